//! Resets the fields that the configuration no longer has, and compares the application's answer. Pure.
//!
//! Tried with agent-server 1.49.1: null removes a field of `agent_settings_diff`, at any depth, so that its default
//! applies, except the model itself, without which the model is no model (422). In `conversation_settings_diff` null is a value
//! (422 for most fields), so these get the default that the schema names.

use std::collections::BTreeMap;

use serde_json::Value;

use super::answer::is_equal;
use super::request::put;
use crate::plan::inventory::given_settings::RemovedSettings;
use crate::settings::api_settings::{Field, Group};

/// The defaults of fields, as the application's schemas have them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldDefaults(BTreeMap<Field, Value>);

impl FieldDefaults {
    /// Reads the answers of `/api/settings/agent-schema` and `/api/settings/conversation-schema`: sections with fields, whose
    /// keys are `llm.model` in the first and `max_iterations` in the second.
    #[must_use]
    pub fn from_schemas(agent: &Value, conversation: &Value) -> Self {
        let in_conversation = |key: &str| Field::parse(&format!("{}.{key}", Group::Conversation.name()));
        let agent = fields_of(agent).filter_map(|(key, default)| Some((Field::parse(key)?, default)));
        let conversation =
            fields_of(conversation).filter_map(|(key, default)| Some((in_conversation(key)?, default)));
        Self(agent.chain(conversation).collect())
    }

    fn of(&self, field: &Field) -> Value {
        self.0.get(field).cloned().unwrap_or_default()
    }
}

fn fields_of(schema: &Value) -> impl Iterator<Item = (&str, Value)> {
    let sections = schema["sections"].as_array().into_iter().flatten();
    let fields = sections.filter_map(|section| section["fields"].as_array()).flatten();
    fields.filter_map(|field| Some((field["key"].as_str()?, field["default"].clone())))
}

/// Adds the reset of the removed fields to a change of the settings. Those that accept no null and have no default that is
/// known keep their values.
pub fn add_resets(request: &mut Value, removed: &RemovedSettings, defaults: &FieldDefaults) {
    for field in &removed.fields {
        match defaults.of(field) {
            _ if accepts_null(field) => put(request, field, Value::Null),
            Value::Null => {}
            default => put(request, field, default),
        }
    }
}

fn accepts_null(field: &Field) -> bool {
    field.group != Group::Conversation && *field != Field::new(Group::Llm, "model")
}

/// Returns the removed fields that do not have their default in the application's answer.
#[must_use]
pub fn kept_fields(removed: &RemovedSettings, defaults: &FieldDefaults, answer: &Value) -> Vec<String> {
    let is_kept = |field: &&Field| !is_equal(&defaults.of(field), field.value_in(answer));
    removed.fields.iter().filter(is_kept).map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;

    fn schema(fields: &[(&str, Value)]) -> Value {
        let field = |(key, default): &(&str, Value)| json!({ "key": key, "default": default });
        json!({ "sections": [{ "fields": fields.iter().map(field).collect::<Vec<_>>() }] })
    }

    fn removed(fields: &[&str]) -> RemovedSettings {
        let fields: BTreeSet<Field> = fields.iter().filter_map(|text| Field::parse(text)).collect();
        RemovedSettings { fields, ..RemovedSettings::default() }
    }

    #[test]
    fn fields_return_to_their_defaults() {
        let agent = schema(&[("llm.model", json!("gpt")), ("llm.num_retries", json!(5)), ("x", json!(1))]);
        let defaults = FieldDefaults::from_schemas(&agent, &schema(&[("max_iterations", json!(500))]));
        let removed = removed(&[
            "llm.model",
            "llm.num_retries",
            "llm.api_key",
            "conversation.max_iterations",
            "conversation.security_analyzer",
        ]);
        let mut request = json!({ "agent_settings_diff": { "llm": { "seed": 1 } } });
        add_resets(&mut request, &removed, &defaults);
        let llm = json!({ "seed": 1, "model": "gpt", "num_retries": null, "api_key": null });
        let expected = json!({ "agent_settings_diff": { "llm": llm },
            "conversation_settings_diff": { "max_iterations": 500 } });
        assert_eq!(request, expected);
        let answer = json!({ "agent_settings": { "llm": { "model": "gpt", "num_retries": 5, "api_key": null } },
            "conversation_settings": { "max_iterations": 500, "security_analyzer": "none" } });
        assert_eq!(kept_fields(&removed, &defaults, &answer), ["conversation.security_analyzer"]);
        let ignored = json!({ "agent_settings": { "llm": { "model": "a/m", "num_retries": 9,
            "api_key": "**********" } }, "conversation_settings": { "max_iterations": 40 } });
        assert_eq!(kept_fields(&removed, &defaults, &ignored).len(), 4);
    }

    #[test]
    fn schema_of_another_form_has_no_defaults() {
        assert_eq!(FieldDefaults::from_schemas(&json!(null), &json!([1])), FieldDefaults::default());
    }
}
