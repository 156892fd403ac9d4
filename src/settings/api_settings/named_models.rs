//! The models of `[llm.NAME]`, which are profiles of the application.
//!
//! Its page lists profiles only. Where there are some and none is active, it activates the first that has a key, and the
//! agent then uses that one (`root-layout` of Agent Canvas 1.20.0). So `[llm]` is a profile as well, and the active one.

use std::collections::BTreeMap;

use super::model::ModelSettings;
use crate::settings::resolved::Settings;

/// The profile of `[llm]`. The application refers to a profile of this name where none is active (`profiles/seed.py` of
/// openhands-sdk 1.49.1).
pub const DEFAULT_PROFILE: &str = "default";
/// The longest name of a profile.
const LONGEST_NAME: usize = 64;

/// Returns the models by the names of their profiles. A profile needs a model (422 of agent-server 1.49.1 without one).
pub(super) fn profiles(settings: &Settings) -> BTreeMap<String, ModelSettings> {
    let default = ModelSettings::of_default(settings);
    let named = settings.openhands.llm.named.iter().map(|(name, options)| {
        let own = ModelSettings::of_table(settings, name, options);
        (name.clone(), with_options_of_default(own, &default))
    });
    let mut profiles: BTreeMap<String, ModelSettings> = named.collect();
    profiles.insert(DEFAULT_PROFILE.to_owned(), default);
    profiles.retain(|_, model| model.model().is_some());
    profiles
}

/// Returns whether a profile can have this name (`PROFILE_NAME_PATTERN` of openhands-sdk 1.49.1).
#[must_use]
pub fn is_profile_name(name: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    name.len() <= LONGEST_NAME
        && name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric())
        && name.bytes().all(is_part)
}

/// Adds the options of `[llm]` that the table does not have, as OpenHands does (`LLMConfig.from_toml_section` of 0.59).
/// Its keys are added only for the same provider and URL: nobody else's server may get them.
fn with_options_of_default(own: ModelSettings, default: &ModelSettings) -> ModelSettings {
    let is_same = own.fields.get("base_url").is_none_or(|url| default.fields.get("base_url") == Some(url))
        && own
            .model()
            .is_none_or(|model| default.model().is_some_and(|other| is_same_provider(model, other)));
    let mut model = default.clone();
    model.secrets.retain(|secret| is_same && own.secrets.iter().all(|other| other.field != secret.field));
    model.fields.extend(own.fields);
    model.secrets.extend(own.secrets);
    model
}

/// Whether two models have the same provider, which stands before the first slash: `anthropic/claude-sonnet-4`.
fn is_same_provider(model: &str, other: &str) -> bool {
    let provider = |model: &str| model.split_once('/').map(|(provider, _)| provider.to_owned());
    model == other || provider(model).is_some_and(|name| provider(other) == Some(name))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::settings::tests::read_text;

    fn profiles_of(text: &str) -> BTreeMap<String, ModelSettings> {
        let text = format!("[deploy]\nedition = \"canvas\"\n{text}");
        profiles(&read_text(&text).expect("settings").settings)
    }

    fn keys(model: &ModelSettings) -> Vec<&str> {
        model.secrets.iter().map(|secret| secret.key.as_str()).collect()
    }

    #[test]
    fn named_model_has_the_options_of_llm_and_its_own() {
        let profiles = profiles_of(
            "[llm]\nmodel = \"a/m\"\napi_key = \"sk-1\"\nnum_retries = 3\n[llm.fast]\nmodel = \"a/fast\"\n\
             [llm.\"4.1\"]\nmodel = \"b/m\"\napi_key = \"sk-2\"\n[llm.other]\nbase_url = \"https://o.example\"\n",
        );
        assert_eq!(profiles.keys().collect::<Vec<_>>(), ["4.1", "default", "fast", "other"]);
        assert_eq!(json!(profiles["fast"].fields), json!({ "model": "a/fast", "num_retries": 3 }));
        assert_eq!(keys(&profiles["fast"]), ["llm.api_key"]);
        assert_eq!(keys(&profiles["4.1"]), ["llm.\"4.1\".api_key"]);
        assert_eq!(keys(&profiles["default"]), ["llm.api_key"]);
        assert_eq!(keys(&profiles["other"]), [""; 0], "another server gets no key of [llm]");
        assert_eq!(profiles["other"].model(), Some("a/m"));
    }

    #[test]
    fn only_tables_with_a_model_are_profiles() {
        let profiles = profiles_of("[llm]\nnum_retries = 3\n[llm.a]\nseed = 1\n[llm.b]\nmodel = \"m\"\n");
        assert_eq!(profiles.keys().collect::<Vec<_>>(), ["b"]);
    }

    #[test]
    fn names_are_those_of_files() {
        for name in ["a", "4.1", "A_b-c.d", &"x".repeat(64)] {
            assert!(is_profile_name(name), "{name}");
        }
        for name in ["", ".a", "-a", "a b", "a/b", "ä", &"x".repeat(65)] {
            assert!(!is_profile_name(name), "{name}");
        }
    }

    #[test]
    fn provider_is_before_the_slash() {
        assert!(is_same_provider("a/x", "a/y") && is_same_provider("gpt", "gpt"));
        assert!(!is_same_provider("a/x", "b/x") && !is_same_provider("gpt", "claude"));
    }
}
