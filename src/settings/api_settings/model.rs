//! A model of the application: its fields, and the sources of its secrets.

use serde_json::{Map, Value};

use super::carried::{LLM, LLM_SECRETS};
use crate::settings::load::toml_key::dotted;
use crate::settings::openhands::LlmOptions;
use crate::settings::resolved::Settings;
use crate::settings::secrets::value::SecretSource;

/// The configured fields of a model.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ModelSettings {
    /// Fields that are no secrets.
    pub fields: Map<String, Value>,
    /// Secret fields.
    pub secrets: Vec<ModelSecret>,
}

/// A secret field of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelSecret {
    /// Name of the field.
    pub field: &'static str,
    /// Dotted key of config.toml that sets it, such as `llm.fast.api_key`.
    pub key: String,
    /// Its source.
    pub source: SecretSource,
}

impl ModelSettings {
    /// Returns the model of `[llm]`.
    pub(super) fn of_default(settings: &Settings) -> Self {
        let secret = |(field, variable): &(&'static str, &str)| {
            let source = settings.secrets.get(*variable)?.clone();
            Some(ModelSecret { field, key: dotted(&["llm", field]), source })
        };
        Self {
            fields: carried_fields(&settings.openhands.llm.options),
            secrets: LLM_SECRETS.iter().filter_map(secret).collect(),
        }
    }

    /// Returns what the table `[llm.NAME]` itself has.
    pub(super) fn of_table(settings: &Settings, name: &str, options: &LlmOptions) -> Self {
        let secret = |(field, _): &(&'static str, &str)| {
            let key = dotted(&["llm", name, field]);
            let source = settings.keys.get(&key)?.clone();
            Some(ModelSecret { field, key, source })
        };
        Self { fields: carried_fields(options), secrets: LLM_SECRETS.iter().filter_map(secret).collect() }
    }

    /// The configured name of the model.
    #[must_use]
    pub fn model(&self) -> Option<&str> {
        self.fields.get("model").and_then(Value::as_str)
    }

    /// Whether each secret is available.
    pub(super) fn has_all_secrets(&self, is_available: impl Fn(&str) -> bool) -> bool {
        self.secrets.iter().all(|secret| is_available(&secret.key))
    }

    /// Returns the model with the secrets only whose keys are available.
    pub(super) fn with_secrets(&self, is_available: impl Fn(&str) -> bool) -> Self {
        let secrets = self.secrets.iter().filter(|secret| is_available(&secret.key)).cloned();
        Self { fields: self.fields.clone(), secrets: secrets.collect() }
    }

    /// Whether nothing is configured.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty() && self.secrets.is_empty()
    }
}

fn carried_fields(options: &LlmOptions) -> Map<String, Value> {
    let set = serde_json::to_value(options).unwrap_or_default();
    LLM.iter().filter_map(|key| Some(((*key).to_owned(), set.get(*key)?.clone()))).collect()
}
