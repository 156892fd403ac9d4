//! Compares what an application answers with the configured settings.

use serde_json::Value;

use crate::settings::api_settings::{ApiSettings, DEFAULT_PROFILE, ModelSettings};

/// The field of an answer that tells whether the application can read the model's key.
const HAS_MODEL_KEY: &str = "llm_api_key_is_set";
/// The same of a profile.
const HAS_PROFILE_KEY: &str = "api_key_set";
/// The secret field of a model that both are about.
const MODEL_KEY: &str = "api_key";

/// Returns the fields that have another value in the application's answer, which drops fields that it does not know.
/// Secrets are masked there, so they are not compared.
#[must_use]
pub fn differing_fields(desired: &ApiSettings, answer: &Value) -> Vec<String> {
    let values = desired.values().into_iter();
    let differing = values.filter(|(field, value)| !is_equal(value, field.value_in(answer)));
    differing.map(|(field, _)| field.to_string()).collect()
}

/// Returns the same of a profile, as `GET /api/profiles/NAME` answers it.
#[must_use]
pub fn differing_fields_of_profile(name: &str, model: &ModelSettings, answer: &Value) -> Vec<String> {
    let fields = model.fields.iter();
    let differing = fields.filter(|(field, value)| !is_equal(value, &answer["config"][field]));
    differing.map(|(field, _)| format!("{field} of profile {name}")).collect()
}

/// Compares values: a number is the same with and without a fraction, a URL with and without a slash at its end.
pub(super) fn is_equal(desired: &Value, answered: &Value) -> bool {
    match (desired, answered) {
        (Value::Number(desired), Value::Number(answered)) => desired.as_f64() == answered.as_f64(),
        (Value::String(desired), Value::String(answered)) => {
            desired.trim_end_matches('/') == answered.trim_end_matches('/')
        }
        _ => desired == answered,
    }
}

/// Returns whether the application cannot read the configured key of the model: it lost it, or its encrypting key is
/// another one. A model that people activated may need none.
#[must_use]
pub fn lacks_model_key(desired: &ApiSettings, answer: &Value) -> bool {
    let is_configured = active_profile(answer).is_none_or(|name| name == DEFAULT_PROFILE);
    is_configured && has_key(&desired.llm) && has_no_model_key(answer)
}

/// Returns the same of a profile.
#[must_use]
pub fn lacks_key_of_profile(model: &ModelSettings, answer: &Value) -> bool {
    has_key(model) && answer[HAS_PROFILE_KEY] == false
}

fn has_key(model: &ModelSettings) -> bool {
    model.secrets.iter().any(|secret| secret.field == MODEL_KEY)
}

/// Returns whether the application reports that it has no key of the model.
#[must_use]
pub fn has_no_model_key(answer: &Value) -> bool {
    answer[HAS_MODEL_KEY] == false
}

/// Returns the model in the application's settings.
#[must_use]
pub fn model(answer: &Value) -> Option<String> {
    answer["agent_settings"]["llm"]["model"].as_str().map(str::to_owned)
}

/// Returns the profile that is active in the application.
#[must_use]
pub fn active_profile(answer: &Value) -> Option<&str> {
    answer["active_profile"].as_str()
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;
    use crate::settings::api_settings::{Field, Group, ModelSecret};
    use crate::settings::secrets::value::SecretSource;

    pub(in crate::plan::checks::api_settings) fn desired() -> ApiSettings {
        let fields = json!({ "model": "a/m", "base_url": "https://llm.example", "num_retries": 3 });
        let secret = ModelSecret {
            field: "api_key",
            key: "llm.api_key".to_owned(),
            source: SecretSource::Placeholder,
        };
        let llm =
            ModelSettings { fields: fields.as_object().cloned().unwrap_or_default(), secrets: vec![secret] };
        ApiSettings {
            fields: BTreeMap::from([(Field::new(Group::Conversation, "max_iterations"), json!(40))]),
            profiles: BTreeMap::from([(DEFAULT_PROFILE.to_owned(), llm.clone())]),
            llm,
        }
    }

    pub(in crate::plan::checks::api_settings) fn answer() -> Value {
        json!({
            "agent_settings": { "llm": { "model": "a/m", "base_url": "https://llm.example/", "num_retries": 3.0,
                "api_key": "**********", "temperature": null } },
            "conversation_settings": { "max_iterations": 40 },
            "llm_api_key_is_set": true,
            "active_profile": "default",
        })
    }

    #[test]
    fn dropped_and_changed_fields_differ() {
        assert_eq!(differing_fields(&desired(), &answer()), [""; 0]);
        let mut other = answer();
        other["agent_settings"]["llm"]["num_retries"] = json!(5);
        other["conversation_settings"] = json!({});
        assert_eq!(differing_fields(&desired(), &other), ["llm.num_retries", "conversation.max_iterations"]);
    }

    #[test]
    fn profile_is_compared_with_its_table() {
        let llm = desired().llm;
        let mut profile = json!({ "config": answer()["agent_settings"]["llm"], "api_key_set": true });
        let differing = |profile: &Value| differing_fields_of_profile("default", &llm, profile);
        assert_eq!(differing(&profile), [""; 0]);
        assert!(!lacks_key_of_profile(&llm, &profile));
        profile["config"]["model"] = json!("b/other");
        profile["api_key_set"] = json!(false);
        assert_eq!(differing(&profile), ["model of profile default"]);
        assert!(lacks_key_of_profile(&llm, &profile));
    }

    #[test]
    fn unreadable_key_of_the_model_is_noticed() {
        let mut lost = answer();
        lost["llm_api_key_is_set"] = json!(false);
        assert!(lacks_model_key(&desired(), &lost) && !lacks_model_key(&desired(), &answer()));
        let mut without = desired();
        without.llm.secrets.clear();
        assert!(!lacks_model_key(&without, &lost));
        lost["active_profile"] = json!("local");
        assert!(!lacks_model_key(&desired(), &lost));
    }
}
