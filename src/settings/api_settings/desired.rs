//! The configured settings for the application's API.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::carried::{CONVERSATION, PREFERENCES};
use super::field::{Field, Group};
use super::model::{ModelSecret, ModelSettings};
use super::{condenser, named_models};
use crate::settings::edition::Configuration;
use crate::settings::resolved::Settings;

/// The configured settings for the application's API.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ApiSettings {
    /// The model of the agent.
    pub llm: ModelSettings,
    /// Other fields.
    pub fields: BTreeMap<Field, Value>,
    /// The models that the page offers, by the names of their profiles. That of `[llm]` is one of them.
    pub profiles: BTreeMap<String, ModelSettings>,
}

impl ApiSettings {
    /// Returns the settings for the API; None for an application that reads config.toml.
    #[must_use]
    pub fn from_settings(settings: &Settings) -> Option<Self> {
        (settings.edition().configuration == Configuration::Api).then(|| Self {
            llm: ModelSettings::of_default(settings),
            fields: conversation_fields(settings)
                .chain(condenser::fields(settings))
                .chain(preferences(settings))
                .collect(),
            profiles: named_models::profiles(settings),
        })
    }

    /// Returns the settings with the secrets only whose keys are available. A profile needs all of its own: it is saved as a
    /// whole, and would lose a secret that it has.
    #[must_use]
    pub fn with_secrets(&self, is_available: impl Fn(&str) -> bool + Copy) -> Self {
        let profiles = self.profiles.iter().filter(|(_, model)| model.has_all_secrets(is_available));
        Self {
            llm: self.llm.with_secrets(is_available),
            fields: self.fields.clone(),
            profiles: profiles.map(|(name, model)| (name.clone(), model.clone())).collect(),
        }
    }

    /// Returns the secrets, each once.
    #[must_use]
    pub fn secrets(&self) -> BTreeMap<&str, &ModelSecret> {
        let models = std::iter::once(&self.llm).chain(self.profiles.values());
        models.flat_map(|model| &model.secrets).map(|secret| (secret.key.as_str(), secret)).collect()
    }

    /// Returns the fields that are no secrets, with their values.
    #[must_use]
    pub fn values(&self) -> BTreeMap<Field, &Value> {
        let llm = self.llm.fields.iter().map(|(name, value)| (Field::new(Group::Llm, name), value));
        llm.chain(self.fields.iter().map(|(field, value)| (field.clone(), value))).collect()
    }

    /// Returns the configured fields, with the secret ones.
    #[must_use]
    pub fn field_names(&self) -> BTreeSet<Field> {
        let secrets = self.llm.secrets.iter().map(|secret| Field::new(Group::Llm, secret.field));
        self.values().into_keys().chain(secrets).collect()
    }

    /// Whether nothing is configured.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.llm.is_empty() && self.fields.is_empty() && self.profiles.is_empty()
    }
}

fn conversation_fields(settings: &Settings) -> impl Iterator<Item = (Field, Value)> {
    let openhands = &settings.openhands;
    let values = json!({
        "max_iterations": openhands.core.max_iterations,
        "confirmation_mode": openhands.security.confirmation_mode,
        "security_analyzer": openhands.security.security_analyzer,
    });
    let set = CONVERSATION.iter().filter(|(table, key)| settings.is_set(&[table, key]));
    set.map(move |(_, key)| (Field::new(Group::Conversation, key), values[*key].clone()))
}

fn preferences(settings: &Settings) -> impl Iterator<Item = (Field, Value)> {
    let core = &settings.openhands.core;
    let values = json!({ "git_user_name": core.git_user_name, "git_user_email": core.git_user_email });
    let set = PREFERENCES.iter().filter(|key| settings.is_set(&["core", key]));
    set.map(move |key| (Field::new(Group::Preferences, key), values[*key].clone()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::secrets::value::{Redacted, SecretSource};
    use crate::settings::tests::read_text;

    fn settings(text: &str) -> Option<ApiSettings> {
        ApiSettings::from_settings(&read_text(text).expect("settings").settings)
    }

    #[test]
    fn set_keys_are_carried_under_their_names() {
        let text = "[deploy]\nedition = \"canvas\"\n[core]\nmax_iterations = 40\n[security]\nconfirmation_mode = true\n\
                    [llm]\nmodel = \"a/m\"\napi_key = \"sk-1\"\nbase_url = \"https://llm.example\"\ntemperature = 0.5\n";
        let carried = settings(text).unwrap();
        let llm = json!({ "model": "a/m", "base_url": "https://llm.example", "temperature": 0.5 });
        assert_eq!(Value::Object(carried.llm.fields.clone()), llm);
        let key = &carried.llm.secrets[0];
        assert_eq!((key.field, key.key.as_str()), ("api_key", "llm.api_key"));
        assert_eq!(key.source, SecretSource::Value(Redacted::new("sk-1")));
        let fields: Vec<String> =
            carried.fields.iter().map(|(field, value)| format!("{field}={value}")).collect();
        assert_eq!(fields, ["conversation.confirmation_mode=true", "conversation.max_iterations=40"]);
        assert_eq!(carried.profiles["default"], carried.llm);
        assert!(settings("[deploy]\nedition = \"canvas\"\n").unwrap().is_empty());
        assert_eq!(settings("[llm]\nmodel = \"m\"\n"), None, "classic reads config.toml");
    }

    #[test]
    fn author_of_commits_is_a_preference_of_the_page() {
        let text = "[deploy]\nedition = \"canvas\"\n[core]\ngit_user_name = \"Ana\"\n";
        let (field, value) = settings(text).unwrap().fields.pop_first().unwrap();
        assert_eq!((field.to_string().as_str(), value), ("app_preferences.git_user_name", json!("Ana")));
        let answer = json!({ "misc_settings": { "app_preferences": { "git_user_name": "Ana" } } });
        assert_eq!(*field.value_in(&answer), "Ana");
    }

    #[test]
    fn unavailable_secrets_are_left_out_everywhere() {
        let text = "[deploy]\nedition = \"canvas\"\n[llm]\nmodel = \"a/m\"\napi_key = \"sk-1\"\n\
                    [llm.fast]\napi_key = \"sk-2\"\n";
        let all = settings(text).unwrap();
        assert_eq!(all.secrets().into_keys().collect::<Vec<_>>(), ["llm.api_key", "llm.fast.api_key"]);
        let known = all.with_secrets(|key| key == "llm.fast.api_key");
        assert_eq!(known.secrets().into_keys().collect::<Vec<_>>(), ["llm.fast.api_key"]);
        assert!(known.llm.secrets.is_empty() && known.llm.model().is_some());
        assert_eq!(known.profiles.into_keys().collect::<Vec<_>>(), ["fast"]);
    }
}
