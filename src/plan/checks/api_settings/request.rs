//! Builds the requests that give an application its settings.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::settings::api_settings::{ApiSettings, Field, Group, ModelSettings};
use crate::settings::secrets::value::Redacted;

/// The values of secrets by the keys of config.toml that set them.
pub type SecretValues = BTreeMap<String, Redacted>;

/// Builds the change of the settings: an empty object if nothing but profiles is configured.
#[must_use]
pub fn settings_request(desired: &ApiSettings, secrets: &SecretValues) -> Value {
    let llm = model_fields(&desired.llm, secrets);
    let llm = llm.into_iter().map(|(name, value)| (Field::new(Group::Llm, &name), value));
    let mut request = json!({});
    for (field, value) in llm.chain(desired.fields.clone()) {
        put(&mut request, &field, value);
    }
    request
}

/// Builds the request that saves a model as a profile. Its secrets are stored with it (`include_secrets` is true by
/// default), encrypted (`profiles_router.py` of agent-server 1.49.1).
#[must_use]
pub fn profile_request(model: &ModelSettings, secrets: &SecretValues) -> Value {
    json!({ "llm": model_fields(model, secrets) })
}

/// Returns all that is given as one value, for its MAC.
#[must_use]
pub fn whole_request(desired: &ApiSettings, secrets: &SecretValues) -> Value {
    let profile = |(name, model): (&String, &ModelSettings)| (name.clone(), profile_request(model, secrets));
    let profiles: Map<String, Value> = desired.profiles.iter().map(profile).collect();
    json!({ "settings": settings_request(desired, secrets), "profiles": profiles })
}

fn model_fields(model: &ModelSettings, secrets: &SecretValues) -> Map<String, Value> {
    let secret = model
        .secrets
        .iter()
        .filter_map(|secret| Some((secret.field.to_owned(), json!(secrets.get(&secret.key)?.expose()))));
    model.fields.clone().into_iter().chain(secret).collect()
}

/// Adds a value to a change of the settings.
pub(super) fn put(request: &mut Value, field: &Field, value: Value) {
    let (object, path) = field.group.path();
    let change = &mut request[format!("{object}_diff")];
    let group = path.iter().fold(change, |group, name| &mut group[*name]);
    group[&field.name] = value;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::api_settings::ModelSecret;
    use crate::settings::secrets::value::SecretSource;

    #[test]
    fn request_has_only_what_is_configured() {
        let secret = ModelSecret {
            field: "api_key",
            key: "llm.api_key".to_owned(),
            source: SecretSource::Placeholder,
        };
        let fields = json!({ "model": "a/m" }).as_object().cloned().unwrap_or_default();
        let llm = ModelSettings { fields, secrets: vec![secret] };
        let only_llm = ApiSettings {
            llm: llm.clone(),
            profiles: BTreeMap::from([("fast".to_owned(), llm.clone())]),
            ..ApiSettings::default()
        };
        let secrets = SecretValues::from([("llm.api_key".to_owned(), Redacted::new("sk"))]);
        let model = json!({ "model": "a/m", "api_key": "sk" });
        let settings = json!({ "agent_settings_diff": { "llm": model } });
        assert_eq!(settings_request(&only_llm, &secrets), settings);
        assert_eq!(profile_request(&llm, &secrets), json!({ "llm": model }));
        assert_eq!(profile_request(&llm, &SecretValues::new()), json!({ "llm": { "model": "a/m" } }));
        let whole = json!({ "settings": settings, "profiles": { "fast": { "llm": model } } });
        assert_eq!(whole_request(&only_llm, &secrets), whole);
        let iterations = (Field::new(Group::Conversation, "max_iterations"), json!(40));
        let only_field = ApiSettings { fields: BTreeMap::from([iterations]), ..ApiSettings::default() };
        let settings = json!({ "conversation_settings_diff": { "max_iterations": 40 } });
        assert_eq!(settings_request(&only_field, &secrets), settings);
        assert_eq!(settings_request(&ApiSettings::default(), &secrets), json!({}));
    }
}
