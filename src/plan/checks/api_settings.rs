//! Decides whether to give the configured settings to an application that keeps its settings itself, and compares what it
//! answers. Pure.

use serde_json::{Map, Value, json};

use crate::settings::api_settings::ApiSettings;
use crate::settings::handsctl::SeedSettings;

/// The field of an answer that tells whether the application can read the model's key.
const HAS_MODEL_KEY: &str = "llm_api_key_is_set";
/// The secret field of a model that [`HAS_MODEL_KEY`] is about.
const MODEL_KEY: &str = "api_key";

/// What is known about the settings of an application before a run.
#[derive(Debug, Clone, Copy)]
pub struct KnownSettings<'a> {
    /// Its present settings, as it answers them.
    pub current: &'a Value,
    /// The MAC of the settings that it got last; None if it got none.
    pub given: Option<&'a str>,
    /// The MAC of the configured settings.
    pub mac: &'a str,
}

/// Returns whether the configured settings are to be given. People may change them on the application's page, so equal
/// settings are not given twice, unless `always`, or the model's key is gone.
#[must_use]
pub fn is_to_give(when: SeedSettings, desired: &ApiSettings, known: KnownSettings<'_>) -> bool {
    if desired.is_empty() {
        return false;
    }
    let is_new = known.given != Some(known.mac) || lacks_model_key(desired, known.current);
    match when {
        SeedSettings::Never => false,
        SeedSettings::IfMissing => is_new,
        SeedSettings::Always => is_new || !differing_fields(desired, known.current).is_empty(),
    }
}

/// Builds the body of the request. `secrets` are the secret fields of the model.
#[must_use]
pub fn request(desired: &ApiSettings, secrets: Map<String, Value>) -> Value {
    let llm: Map<String, Value> = desired.llm.clone().into_iter().chain(secrets).collect();
    let mut request = Map::new();
    if !llm.is_empty() {
        request.insert("agent_settings_diff".to_owned(), json!({ "llm": llm }));
    }
    if !desired.conversation.is_empty() {
        request.insert("conversation_settings_diff".to_owned(), json!(desired.conversation));
    }
    Value::Object(request)
}

/// Returns the fields that have another value in the application's answer, which drops fields that it does not know.
/// Secrets are masked there, so they are not compared.
#[must_use]
pub fn differing_fields(desired: &ApiSettings, answer: &Value) -> Vec<String> {
    let llm =
        desired.llm.iter().map(|(name, value)| ("llm", name, value, &answer["agent_settings"]["llm"][name]));
    let conversation = desired.conversation.iter();
    let conversation = conversation
        .map(|(name, value)| ("conversation", name, value, &answer["conversation_settings"][name]));
    llm.chain(conversation)
        .filter(|(_, _, desired, answered)| !is_equal(desired, answered))
        .map(|(group, name, ..)| format!("{group}.{name}"))
        .collect()
}

/// Compares values: a number is the same with and without a fraction, a URL with and without a slash at its end.
fn is_equal(desired: &Value, answered: &Value) -> bool {
    match (desired, answered) {
        (Value::Number(desired), Value::Number(answered)) => desired.as_f64() == answered.as_f64(),
        (Value::String(desired), Value::String(answered)) => {
            desired.trim_end_matches('/') == answered.trim_end_matches('/')
        }
        _ => desired == answered,
    }
}

/// Returns whether the application cannot read the configured key of the model: it lost it, or its encrypting key is
/// another one.
#[must_use]
pub fn lacks_model_key(desired: &ApiSettings, answer: &Value) -> bool {
    let is_configured = desired.llm_secrets.iter().any(|(name, _)| *name == MODEL_KEY);
    is_configured && has_no_model_key(answer)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::secrets::value::SecretSource;

    fn desired() -> ApiSettings {
        let fields = |value: Value| value.as_object().cloned().unwrap_or_default();
        ApiSettings {
            llm: fields(json!({ "model": "a/m", "base_url": "https://llm.example", "num_retries": 3 })),
            llm_secrets: vec![("api_key", SecretSource::Placeholder)],
            conversation: fields(json!({ "max_iterations": 40 })),
        }
    }

    fn answer() -> Value {
        json!({
            "agent_settings": { "llm": { "model": "a/m", "base_url": "https://llm.example/", "num_retries": 3.0,
                "api_key": "**********", "temperature": null } },
            "conversation_settings": { "max_iterations": 40 },
            "llm_api_key_is_set": true,
        })
    }

    #[test]
    fn equal_settings_are_given_once() {
        let answer = answer();
        let gives =
            |when, given, current| is_to_give(when, &desired(), KnownSettings { current, given, mac: "new" });
        assert!(gives(SeedSettings::IfMissing, None, &answer));
        assert!(gives(SeedSettings::IfMissing, Some("old"), &answer));
        assert!(!gives(SeedSettings::IfMissing, Some("new"), &answer));
        let mut changed_on_page = answer.clone();
        changed_on_page["agent_settings"]["llm"]["model"] = json!("b/other");
        assert!(!gives(SeedSettings::IfMissing, Some("new"), &changed_on_page));
        assert!(gives(SeedSettings::Always, Some("new"), &changed_on_page));
        assert!(!gives(SeedSettings::Always, Some("new"), &answer));
        let mut without_key = answer.clone();
        without_key["llm_api_key_is_set"] = json!(false);
        assert!(gives(SeedSettings::IfMissing, Some("new"), &without_key));
        assert!(!gives(SeedSettings::Never, None, &answer));
        let empty = ApiSettings { llm: Map::new(), llm_secrets: Vec::new(), conversation: Map::new() };
        let known = KnownSettings { current: &answer, given: None, mac: "new" };
        assert!(!is_to_give(SeedSettings::Always, &empty, known));
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
    fn request_has_only_what_is_configured() {
        let secrets = json!({ "api_key": "sk" }).as_object().cloned().unwrap_or_default();
        let body = request(&desired(), secrets);
        assert_eq!(body["agent_settings_diff"]["llm"]["api_key"], "sk");
        assert_eq!(body["conversation_settings_diff"], json!({ "max_iterations": 40 }));
        let only = ApiSettings { conversation: Map::new(), ..desired() };
        assert_eq!(request(&only, Map::new()).as_object().map(Map::len), Some(1));
    }

    #[test]
    fn unreadable_key_of_the_model_is_noticed() {
        let mut lost = answer();
        lost["llm_api_key_is_set"] = json!(false);
        assert!(lacks_model_key(&desired(), &lost) && !lacks_model_key(&desired(), &answer()));
        let without = ApiSettings { llm_secrets: Vec::new(), ..desired() };
        assert!(!lacks_model_key(&without, &lost));
    }
}
