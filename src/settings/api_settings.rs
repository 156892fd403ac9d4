//! config.toml → the settings of an application that takes them by its API: which key has which place there, and why the
//! others have none.

use serde_json::{Map, Value, json};

use super::edition::Configuration;
use super::openhands::LlmOptions;
use super::resolved::Settings;
use super::secrets::value::SecretSource;

/// The keys of `[llm]` that the application has under the same name (`GET /api/settings` of agent-server 1.49.1).
const LLM: &[&str] = &[
    "model",
    "base_url",
    "api_version",
    "aws_region_name",
    "openrouter_site_url",
    "openrouter_app_name",
    "num_retries",
    "retry_multiplier",
    "retry_min_wait",
    "retry_max_wait",
    "timeout",
    "max_message_chars",
    "temperature",
    "top_p",
    "top_k",
    "max_input_tokens",
    "max_output_tokens",
    "input_cost_per_token",
    "output_cost_per_token",
    "ollama_base_url",
    "drop_params",
    "disable_vision",
    "disable_stop_word",
    "caching_prompt",
    "log_completions",
    "log_completions_folder",
    "custom_tokenizer",
    "native_tool_calling",
    "reasoning_effort",
    "seed",
];
/// The secret keys of `[llm]` that it has, and the variables under which the settings keep them.
const LLM_SECRETS: &[(&str, &str)] = &[
    ("api_key", "LLM_API_KEY"),
    ("aws_access_key_id", "LLM_AWS_ACCESS_KEY_ID"),
    ("aws_secret_access_key", "LLM_AWS_SECRET_ACCESS_KEY"),
];
/// The keys of other tables that its conversations have under the same name.
const CONVERSATION: &[(&str, &str)] =
    &[("core", "max_iterations"), ("security", "confirmation_mode"), ("security", "security_analyzer")];

/// The configured settings for the application's API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiSettings {
    /// Fields of the model that are no secrets.
    pub llm: Map<String, Value>,
    /// Secret fields of the model, with their sources.
    pub llm_secrets: Vec<(&'static str, SecretSource)>,
    /// Fields of conversations.
    pub conversation: Map<String, Value>,
}

impl ApiSettings {
    /// Returns the settings for the API; None for an application that reads config.toml.
    #[must_use]
    pub fn from_settings(settings: &Settings) -> Option<Self> {
        if settings.edition().configuration == Configuration::File {
            return None;
        }
        let openhands = &settings.openhands;
        let set: Value = serde_json::to_value::<&LlmOptions>(&openhands.llm.options).unwrap_or_default();
        let llm = LLM.iter().filter_map(|key| Some(((*key).to_owned(), set.get(*key)?.clone())));
        let secret =
            |(key, variable): &(&'static str, &str)| Some((*key, settings.secrets.get(*variable)?.clone()));
        let fields = json!({
            "max_iterations": openhands.core.max_iterations,
            "confirmation_mode": openhands.security.confirmation_mode,
            "security_analyzer": openhands.security.security_analyzer,
        });
        let set = CONVERSATION.iter().filter(|(table, key)| settings.is_set(&[table, key]));
        Some(Self {
            llm: llm.collect(),
            llm_secrets: LLM_SECRETS.iter().filter_map(secret).collect(),
            conversation: set.map(|(_, key)| ((*key).to_owned(), fields[*key].clone())).collect(),
        })
    }

    /// Returns the settings with these secret fields only.
    #[must_use]
    pub fn with_secrets(&self, is_known: impl Fn(&str) -> bool) -> Self {
        let secrets = self.llm_secrets.iter().filter(|(field, _)| is_known(field)).cloned();
        Self { llm_secrets: secrets.collect(), ..self.clone() }
    }

    /// Whether nothing is configured.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.llm.is_empty() && self.llm_secrets.is_empty() && self.conversation.is_empty()
    }

    /// The configured model.
    #[must_use]
    pub fn model(&self) -> Option<&str> {
        self.llm.get("model").and_then(Value::as_str)
    }
}

/// Returns why a key of a table has no place in the application's settings; None if it has one.
#[must_use]
pub(crate) fn why_not_carried(table: &str, key: &str) -> Option<&'static str> {
    let is_carried = match table {
        "llm" => LLM.contains(&key) || LLM_SECRETS.iter().any(|(name, _)| *name == key),
        _ => CONVERSATION.contains(&(table, key)),
    };
    if is_carried {
        return None;
    }
    Some(match table {
        "llm" => "it has no such field; models beside [llm] are profiles on its settings page",
        "core" => "it has no such setting; a variable of its own goes into [deploy.env]",
        "kubernetes" => {
            "its agent works in the application's own pod: [deploy].resources, node_selector and tolerations apply"
        }
        "sandbox" => "its agent works in the application's own pod: variables go into [deploy.env]",
        "mcp" => "its settings page has the servers",
        _ => "its settings page has what there is of it",
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::golden;
    use crate::settings::secrets::value::Redacted;
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
        assert_eq!(Value::Object(carried.llm), llm);
        assert_eq!(carried.llm_secrets, [("api_key", SecretSource::Value(Redacted::new("sk-1")))]);
        let conversation = json!({ "max_iterations": 40, "confirmation_mode": true });
        assert_eq!(Value::Object(carried.conversation), conversation);
        assert!(settings("[deploy]\nedition = \"canvas\"\n").unwrap().is_empty());
        assert_eq!(settings("[llm]\nmodel = \"m\"\n"), None, "classic reads config.toml");
    }

    #[test]
    fn every_field_of_a_model_is_a_key_of_ours() {
        let schema = serde_json::to_value(schemars::schema_for!(LlmOptions)).unwrap();
        let secrets = LLM_SECRETS.iter().map(|(key, _)| *key);
        for key in LLM.iter().copied().chain(secrets) {
            assert!(schema["properties"][key].is_object(), "{key}");
            assert_eq!(why_not_carried("llm", key), None);
        }
        assert!(
            why_not_carried("llm", "correct_num").is_some() && why_not_carried("core", "model").is_some()
        );
    }

    /// The table of docs/editions.md, made from the lists of this file.
    #[test]
    fn documented_table_has_every_key_that_is_carried() {
        let quoted = |keys: &[&str]| keys.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ");
        let secrets: Vec<&str> = LLM_SECRETS.iter().map(|(key, _)| *key).collect();
        let of = |name: &str| -> Vec<&str> {
            CONVERSATION.iter().filter(|(table, _)| *table == name).map(|(_, key)| *key).collect()
        };
        let rows = [
            ("llm", quoted(LLM), "the model's field of the same name"),
            (
                "llm",
                quoted(&secrets),
                "the model's secret field of the same name, of which the API only tells that it is set",
            ),
            ("core", quoted(&of("core")), "the field of conversations of the same name"),
            ("security", quoted(&of("security")), "the field of conversations of the same name"),
        ];
        let carried = rows.map(|(table, keys, place)| format!("| `[{table}]` {keys} | {place} |\n")).concat();
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/editions.md");
        let text = std::fs::read_to_string(&path).unwrap();
        let (before, rest) = text.split_once("| key | place in Agent Canvas |\n|---|---|\n").unwrap();
        let (_, after) = rest.split_once("| `[deploy.env]` |").unwrap();
        let written =
            format!("{before}| key | place in Agent Canvas |\n|---|---|\n{carried}| `[deploy.env]` |{after}");
        golden::assert_matches(&path, &written);
    }
}
