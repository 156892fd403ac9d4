//! The record of the settings that an application got, in annotations of the claim of its volume: a MAC of all of them, and
//! their names, so that those are reset which the configuration no longer has. Pure.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::object::labels;
use crate::settings::api_settings::{ApiSettings, Field, is_profile_name};

/// The beginning of the name of a profile in the record.
const PROFILE: &str = "profile/";

/// The settings that an application got last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GivenSettings {
    /// Their MAC; None if it got none.
    pub mac: Option<String>,
    /// The fields of its settings.
    pub fields: BTreeSet<Field>,
    /// The names of its profiles.
    pub profiles: BTreeSet<String>,
}

impl GivenSettings {
    /// Reads the record. Names that config.toml has no key for are left out: anybody who may edit the claim can write them.
    #[must_use]
    pub fn of_claim(claim: &Value) -> Self {
        let text = |name: &str| claim["metadata"]["annotations"][name].as_str();
        let names = || text(labels::GIVEN_FIELDS).into_iter().flat_map(str::split_whitespace);
        let profiles = names().filter_map(|name| name.strip_prefix(PROFILE));
        Self {
            mac: text(labels::GIVEN_SETTINGS).map(str::to_owned),
            fields: names().filter_map(Field::parse).collect(),
            profiles: profiles.filter(|name| is_profile_name(name)).map(str::to_owned).collect(),
        }
    }

    /// Returns what the configuration no longer has.
    #[must_use]
    pub fn removed_from(&self, configured: &ApiSettings) -> RemovedSettings {
        let fields = configured.field_names();
        RemovedSettings {
            fields: self.fields.difference(&fields).cloned().collect(),
            profiles: self
                .profiles
                .iter()
                .filter(|name| !configured.profiles.contains_key(*name))
                .cloned()
                .collect(),
        }
    }

    /// Returns the record after these settings were given, of those that are configured. A setting whose secret could not be
    /// read stays as it was.
    #[must_use]
    pub fn updated(&self, mac: String, given: &ApiSettings, configured: &ApiSettings) -> Self {
        let removed = self.removed_from(configured);
        let fields = self.fields.difference(&removed.fields).cloned();
        let profiles = self.profiles.difference(&removed.profiles).cloned();
        Self {
            mac: Some(mac),
            fields: fields.chain(given.field_names()).collect(),
            profiles: profiles.chain(given.profiles.keys().cloned()).collect(),
        }
    }

    /// Returns the annotations of the record.
    #[must_use]
    pub fn annotations(&self) -> Value {
        let fields = self.fields.iter().map(ToString::to_string);
        let profiles = self.profiles.iter().map(|name| format!("{PROFILE}{name}"));
        let names: Vec<String> = fields.chain(profiles).collect();
        json!({ labels::GIVEN_SETTINGS: self.mac, labels::GIVEN_FIELDS: names.join(" ") })
    }
}

/// Settings that an application got and the configuration no longer has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RemovedSettings {
    /// Fields of its settings.
    pub fields: BTreeSet<Field>,
    /// Names of its profiles.
    pub profiles: BTreeSet<String>,
}

impl RemovedSettings {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty() && self.profiles.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::settings::api_settings::{Group, ModelSecret, ModelSettings};
    use crate::settings::secrets::value::SecretSource;

    fn settings(fields: &Value, secrets: bool) -> ApiSettings {
        let key = "llm.api_key".to_owned();
        let secret = ModelSecret { field: "api_key", key, source: SecretSource::Placeholder };
        let llm = ModelSettings {
            fields: fields.as_object().cloned().unwrap_or_default(),
            secrets: secrets.then_some(secret).into_iter().collect(),
        };
        let profiles = BTreeMap::from([("default".to_owned(), llm.clone())]);
        ApiSettings { llm, profiles, ..ApiSettings::default() }
    }

    fn text(given: &GivenSettings) -> String {
        given.annotations()[labels::GIVEN_FIELDS].as_str().unwrap_or_default().to_owned()
    }

    #[test]
    fn record_is_read_back_without_values() {
        let configured = settings(&json!({ "model": "a/m", "seed": 7 }), true);
        let given = GivenSettings::default().updated("mac".to_owned(), &configured, &configured);
        assert_eq!(text(&given), "llm.api_key llm.model llm.seed profile/default");
        let claim = |annotations: Value| json!({ "metadata": { "annotations": annotations } });
        assert_eq!(GivenSettings::of_claim(&claim(given.annotations())), given);
        assert_eq!(GivenSettings::of_claim(&json!({})), GivenSettings::default());
        let forged = json!({ labels::GIVEN_FIELDS: "llm.usage_id profile/../settings llm.model" });
        assert_eq!(text(&GivenSettings::of_claim(&claim(forged))), "llm.model");
    }

    #[test]
    fn removed_are_those_that_were_given() {
        let before = settings(&json!({ "model": "a/m", "seed": 7 }), true);
        let given = GivenSettings::default().updated("mac".to_owned(), &before, &before);
        assert!(given.removed_from(&before).is_empty());
        let removed = given.removed_from(&settings(&json!({ "model": "b/m", "top_k": 1 }), true));
        assert_eq!(removed.fields, BTreeSet::from([Field::new(Group::Llm, "seed")]));
        assert!(removed.profiles.is_empty());
        assert_eq!(given.removed_from(&ApiSettings::default()).profiles, given.profiles);
    }

    #[test]
    fn secret_that_cannot_be_read_stays_recorded() {
        let configured = settings(&json!({ "model": "a/m" }), true);
        let given = GivenSettings::default().updated("mac".to_owned(), &configured, &configured);
        let readable = configured.with_secrets(|_| false);
        let later = given.updated("other".to_owned(), &readable, &configured);
        assert_eq!(text(&later), "llm.api_key llm.model profile/default");
        assert!(later.removed_from(&configured).is_empty());
    }
}
