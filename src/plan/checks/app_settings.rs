//! Decides whether to post model and key to the application's settings. The application reads them only from its own
//! settings: with `[llm]` of config.toml alone it rejects every conversation
//! (`openhands/server/routes/manage_conversations.py`: `CONFIGURATION$SETTINGS_NOT_FOUND`). Pure.

use serde_json::{Map, Value, json};

use crate::settings::Settings;
use crate::settings::handsctl::SeedSettings;
use crate::settings::secrets::value::SecretSource;

/// The environment variable of `[llm] api_key`.
pub const KEY: &str = "LLM_API_KEY";

/// Fields of the settings response that a request must not contain.
const RESPONSE_ONLY: [&str; 4] =
    ["llm_api_key_set", "search_api_key_set", "provider_tokens_set", "secrets_store"];

/// The application's settings according to the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DesiredAppSettings {
    /// The condition for posting them.
    pub when: SeedSettings,
    /// `[llm] model`.
    pub model: Option<String>,
    /// `[llm] base_url`.
    pub base_url: Option<String>,
    /// `[core] default_agent`.
    pub agent: String,
    /// The source of the key; `None` if the configuration has no key.
    pub key: Option<SecretSource>,
}

/// The decision about the application's settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Post nothing: the application keeps its settings.
    Keep {
        /// The model in its settings.
        model: Option<String>,
    },
    /// Post these settings, with the key added.
    Post {
        /// The settings without the key.
        settings: Value,
        /// The model in them.
        model: Option<String>,
    },
    /// Post nothing, although the application has no settings.
    Missing(Missing),
}

/// The reason why an application without settings gets none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// The configuration has no key.
    NoKey,
    /// The configuration has `seed_settings = "never"`.
    Never,
}

impl DesiredAppSettings {
    /// Reads the application's settings from the configuration.
    #[must_use]
    pub fn from_settings(settings: &Settings) -> Self {
        let llm = &settings.openhands.llm.options;
        let agent = settings.openhands.core.default_agent.clone();
        Self {
            when: settings.deploy.seed_settings,
            model: llm.model.clone(),
            base_url: llm.base_url.as_ref().map(ToString::to_string),
            agent: agent.unwrap_or_else(|| "CodeActAgent".to_owned()),
            key: settings.secrets.get(KEY).cloned(),
        }
    }

    /// Decides what to post. `current` are the application's present settings; `None` if it has none.
    #[must_use]
    pub fn decide(&self, current: Option<&Value>) -> Decision {
        let current_model = current.and_then(|current| current["llm_model"].as_str()).map(str::to_owned);
        match (self.when, current, &self.key) {
            (SeedSettings::Always, _, Some(_)) | (SeedSettings::IfMissing, None, Some(_)) => {
                let settings = self.settings(current);
                let model = settings["llm_model"].as_str().map(str::to_owned);
                Decision::Post { settings, model }
            }
            (_, Some(_), _) => Decision::Keep { model: current_model },
            (SeedSettings::Never, None, _) => Decision::Missing(Missing::Never),
            (_, None, None) => Decision::Missing(Missing::NoKey),
        }
    }

    /// Merges the configured settings into the current ones, because the application resets every field that a request
    /// omits.
    fn settings(&self, current: Option<&Value>) -> Value {
        let mut settings = match current.and_then(Value::as_object) {
            Some(current) => current.clone(),
            None => Map::from_iter([("language".to_owned(), json!("en"))]),
        };
        settings.retain(|name, value| !value.is_null() && !RESPONSE_ONLY.contains(&name.as_str()));
        settings.entry("agent").or_insert_with(|| json!(self.agent));
        for (name, value) in [("llm_model", &self.model), ("llm_base_url", &self.base_url)] {
            if let Some(value) = value {
                settings.insert(name.to_owned(), json!(value));
            }
        }
        Value::Object(settings)
    }

    /// Returns whether the application uses another model than the configured one.
    #[must_use]
    pub fn differs_from(&self, used: Option<&str>) -> bool {
        matches!((self.model.as_deref(), used), (Some(configured), Some(used)) if configured != used)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::secrets::value::Redacted;

    fn desired_settings(when: SeedSettings, key: bool) -> DesiredAppSettings {
        DesiredAppSettings {
            when,
            model: Some("m".into()),
            base_url: None,
            agent: "CodeActAgent".into(),
            key: key.then(|| SecretSource::Value(Redacted::new("sk"))),
        }
    }

    #[test]
    fn missing_settings_are_posted_if_a_key_exists() {
        let fresh = json!({ "agent": "CodeActAgent", "language": "en", "llm_model": "m" });
        let post = Decision::Post { settings: fresh, model: Some("m".into()) };
        assert_eq!(desired_settings(SeedSettings::IfMissing, true).decide(None), post);
        assert_eq!(desired_settings(SeedSettings::Always, true).decide(None), post);
        assert_eq!(
            desired_settings(SeedSettings::IfMissing, false).decide(None),
            Decision::Missing(Missing::NoKey)
        );
        assert_eq!(
            desired_settings(SeedSettings::Never, true).decide(None),
            Decision::Missing(Missing::Never)
        );
    }

    #[test]
    fn existing_settings_are_kept_unless_always() {
        let current = json!({
            "llm_model": "other", "language": "de", "agent": null, "llm_api_key": null, "llm_api_key_set": true,
            "secrets_store": { "provider_tokens": {} }, "enable_sound_notifications": false,
        });
        let keep = Decision::Keep { model: Some("other".into()) };
        assert_eq!(desired_settings(SeedSettings::IfMissing, true).decide(Some(&current)), keep);
        assert_eq!(desired_settings(SeedSettings::Always, false).decide(Some(&current)), keep);
        assert_eq!(desired_settings(SeedSettings::Never, true).decide(Some(&current)), keep);
        let Decision::Post { settings, model } =
            desired_settings(SeedSettings::Always, true).decide(Some(&current))
        else {
            panic!("nothing is posted")
        };
        assert_eq!(model.as_deref(), Some("m"));
        assert_eq!(
            settings,
            json!({ "llm_model": "m", "language": "de", "agent": "CodeActAgent", "enable_sound_notifications": false })
        );
    }

    #[test]
    fn differs_from_detects_another_model() {
        let settings = desired_settings(SeedSettings::IfMissing, true);
        assert!(
            settings.differs_from(Some("other"))
                && !settings.differs_from(Some("m"))
                && !settings.differs_from(None)
        );
    }
}
