//! Keys of the config file whose value has no effect, because another source has priority.

use std::fmt;

use super::load::edit::key_path;
use super::load::toml_key::dotted;
use super::resolved::{KeyOrigin, Settings};
use super::secrets::extract;

/// A key that another source overrides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OverriddenKey {
    key: String,
    by: Priority,
}

/// What has priority over the file.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Priority {
    /// An environment variable of handsctl.
    Variable(String),
    /// A variable of the application, which it prefers to its config.toml.
    AppVariable(String),
}

impl fmt::Display for OverriddenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = &self.key;
        match &self.by {
            Priority::Variable(name) => write!(
                f,
                "`{key}` has no effect here: the environment variable {name} overrides the file; unset {name}"
            ),
            Priority::AppVariable(name) => write!(
                f,
                "`{key}` has no effect: `deploy.env.{name}` overrides it in the application; remove that key"
            ),
        }
    }
}

/// Returns those of the dotted keys, or of the keys below them, that another source overrides.
#[must_use]
pub fn overridden_keys(settings: &Settings, keys: &[String]) -> Vec<OverriddenKey> {
    let origins = settings.origins();
    let is_asked = |key: &str| keys.iter().any(|asked| key == asked || key.starts_with(&format!("{asked}.")));
    let overridden = origins.into_iter().filter(|value| is_asked(&value.key)).filter_map(|value| {
        let by = match value.origin {
            KeyOrigin::Environment(name) => Priority::Variable(name),
            _ => Priority::AppVariable(app_variable(settings, &value.key)?),
        };
        Some(OverriddenKey { key: value.key, by })
    });
    overridden.collect()
}

/// Returns the variable of `[deploy].env` from which the application reads a key instead.
fn app_variable(settings: &Settings, key: &str) -> Option<String> {
    let path = key_path(key).filter(|path| dotted(path) == key)?;
    let is_own = path.first().is_some_and(|table| table == "deploy" || table == "cluster");
    let variable = extract::variable(&path).filter(|_| !is_own)?;
    // The application ignores an empty variable.
    settings.env.get(&variable).filter(|value| !value.is_empty())?;
    Some(variable)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::load::read::{Request, read_without_secrets};

    fn overridden(text: &str, variables: &[(&str, &str)], key: &str) -> Vec<String> {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("config.toml"), text).expect("a file");
        let variables: Vec<_> =
            variables.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let loaded = read_without_secrets(&Request::default(), &variables, folder.path()).expect("settings");
        overridden_keys(&loaded.settings, &[key.to_owned()]).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn variable_and_key_of_deploy_env_override_the_file() {
        let text = "[llm]\nmodel = \"m\"\n[deploy]\nhost = \"a.localhost\"\n";
        assert_eq!(overridden(text, &[], "deploy.host"), Vec::<String>::new());
        let by_variable = overridden(text, &[("HANDSCTL_DEPLOY__HOST", "b.localhost")], "deploy.host");
        assert_eq!(
            by_variable,
            [
                "`deploy.host` has no effect here: the environment variable HANDSCTL_DEPLOY__HOST overrides the file; unset \
              HANDSCTL_DEPLOY__HOST"
            ]
        );
        assert_eq!(overridden(text, &[("HANDSCTL_LLM__MODEL", "x")], "deploy.host"), Vec::<String>::new());
        assert_eq!(overridden(text, &[("HANDSCTL_LLM__MODEL", "x")], "llm").len(), 1);
        let env = format!("{text}env.LLM_MODEL = \"other\"\n");
        assert_eq!(
            overridden(&env, &[], "llm.model"),
            [
                "`llm.model` has no effect: `deploy.env.LLM_MODEL` overrides it in the application; remove that key"
            ]
        );
        let both = overridden(&env, &[("HANDSCTL_DEPLOY__ENV__LLM_MODEL", "x")], "llm.model");
        assert_eq!(both.len(), 1, "{both:?}");
    }
}
