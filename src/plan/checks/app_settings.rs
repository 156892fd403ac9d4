//! Whether the application is given model and key: it takes them from its own settings and from nowhere else, so that
//! `[llm]` of config.toml alone leaves every conversation refused
//! (`openhands/server/routes/manage_conversations.py`: `CONFIGURATION$SETTINGS_NOT_FOUND`). Pure.

use serde_json::{Map, Value, json};

use crate::settings::Settings;
use crate::settings::handsctl::SeedSettings;
use crate::settings::secrets::value::SecretSource;

/// The variable that `[llm] api_key` becomes.
pub const KEY: &str = "LLM_API_KEY";

/// Fields of the application's answer that it does not take back.
const ANSWERED_ONLY: [&str; 4] =
    ["llm_api_key_set", "search_api_key_set", "provider_tokens_set", "secrets_store"];

/// What the configuration says of the application's settings; the key itself is not in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DesiredAppSettings {
    /// When they are given.
    pub when: SeedSettings,
    /// `[llm] model`.
    pub model: Option<String>,
    /// `[llm] base_url`.
    pub base_url: Option<String>,
    /// `[core] default_agent`.
    pub agent: String,
    /// Where the key stands; None: the configuration has none.
    pub key: Option<SecretSource>,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Nothing: the application keeps what it has.
    Keep {
        /// The model that it uses.
        model: Option<String>,
    },
    /// Give it these settings, with the key added.
    Post {
        /// Without the key.
        settings: Value,
        /// The model in them.
        model: Option<String>,
    },
    /// It has no settings, and gets none.
    Missing(Missing),
}

/// Why it gets none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// The configuration has no key.
    NoKey,
    /// `seed_settings = "never"`.
    Never,
}

impl DesiredAppSettings {
    /// What these settings say.
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

    /// What follows, where the application has these settings now; None: it has none.
    #[must_use]
    pub fn decide(&self, current: Option<&Value>) -> Decision {
        let used = current.and_then(|current| current["llm_model"].as_str()).map(str::to_owned);
        match (self.when, current, &self.key) {
            (SeedSettings::Always, _, Some(_)) | (SeedSettings::IfMissing, None, Some(_)) => {
                let settings = self.settings(current);
                let model = settings["llm_model"].as_str().map(str::to_owned);
                Decision::Post { settings, model }
            }
            (_, Some(_), _) => Decision::Keep { model: used },
            (SeedSettings::Never, None, _) => Decision::Missing(Missing::Never),
            (_, None, None) => Decision::Missing(Missing::NoKey),
        }
    }

    /// What it has, with ours: whatever is left out is reset.
    fn settings(&self, current: Option<&Value>) -> Value {
        let mut settings = match current.and_then(Value::as_object) {
            Some(current) => current.clone(),
            None => Map::from_iter([("language".to_owned(), json!("en"))]),
        };
        settings.retain(|name, value| !value.is_null() && !ANSWERED_ONLY.contains(&name.as_str()));
        settings.entry("agent").or_insert_with(|| json!(self.agent));
        for (name, value) in [("llm_model", &self.model), ("llm_base_url", &self.base_url)] {
            if let Some(value) = value {
                settings.insert(name.to_owned(), json!(value));
            }
        }
        Value::Object(settings)
    }

    /// Whether the application keeps another model than the configuration names.
    #[must_use]
    pub fn differs_from(&self, used: Option<&str>) -> bool {
        matches!((self.model.as_deref(), used), (Some(wanted), Some(used)) if wanted != used)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::secrets::value::Redacted;

    fn seed(when: SeedSettings, key: bool) -> DesiredAppSettings {
        DesiredAppSettings {
            when,
            model: Some("m".into()),
            base_url: None,
            agent: "CodeActAgent".into(),
            key: key.then(|| SecretSource::Value(Redacted::new("sk"))),
        }
    }

    #[test]
    fn an_application_without_settings_is_given_them_where_there_is_a_key() {
        let fresh = json!({ "agent": "CodeActAgent", "language": "en", "llm_model": "m" });
        let given = Decision::Post { settings: fresh, model: Some("m".into()) };
        assert_eq!(seed(SeedSettings::IfMissing, true).decide(None), given);
        assert_eq!(seed(SeedSettings::Always, true).decide(None), given);
        assert_eq!(seed(SeedSettings::IfMissing, false).decide(None), Decision::Missing(Missing::NoKey));
        assert_eq!(seed(SeedSettings::Never, true).decide(None), Decision::Missing(Missing::Never));
    }

    #[test]
    fn what_it_has_stays_unless_it_is_always_overwritten() {
        let current = json!({
            "llm_model": "other", "language": "de", "agent": null, "llm_api_key": null, "llm_api_key_set": true,
            "secrets_store": { "provider_tokens": {} }, "enable_sound_notifications": false,
        });
        let keep = Decision::Keep { model: Some("other".into()) };
        assert_eq!(seed(SeedSettings::IfMissing, true).decide(Some(&current)), keep);
        assert_eq!(seed(SeedSettings::Always, false).decide(Some(&current)), keep);
        assert_eq!(seed(SeedSettings::Never, true).decide(Some(&current)), keep);
        let Decision::Post { settings, model } = seed(SeedSettings::Always, true).decide(Some(&current))
        else {
            panic!("not given")
        };
        assert_eq!(model.as_deref(), Some("m"));
        assert_eq!(
            settings,
            json!({ "llm_model": "m", "language": "de", "agent": "CodeActAgent", "enable_sound_notifications": false })
        );
    }

    #[test]
    fn another_model_is_noticed() {
        let seed = seed(SeedSettings::IfMissing, true);
        assert!(
            seed.differs_from(Some("other")) && !seed.differs_from(Some("m")) && !seed.differs_from(None)
        );
    }
}
