//! The files of `config init`: the keys that most people set, or every key that the application uses, each with its
//! description and default.

use std::fmt::Write as _;

use serde_json::Value as Json;

use super::reference::{KeyDoc, KeyReference, ValueForm};
use crate::settings::handsctl::Profile;
use crate::settings::load::toml_key::quoted;
use crate::settings::secrets::misplaced::is_variable_name;

/// Tables whose header may be active without a key. The last one accepts only its own keys: a key that is uncommented
/// below the commented header of another table belongs to it, and is an error there.
const ACTIVE: &[&str] =
    &["llm", "deploy", "cluster", "kubernetes", "sandbox", "core", "agent", "mcp", "extended", "security"];
/// Tables that are commented out, because an empty one has a meaning: an empty `[condenser]` would disable shortening,
/// and `[model_routing]` is newer than some releases.
const COMMENTED: &[&str] = &["condenser", "model_routing"];

/// Keys that come first in their table; the others follow in alphabetical order.
const FIRST: &[&str] =
    &["model", "api_key", "base_url", "profile", "name", "namespace", "image", "host", "provider"];

/// The tables and keys of the short file.
const SHORT: &[(&str, &[&str])] = &[
    ("llm", &["model", "api_key"]),
    ("deploy", &["profile", "host", "storage_size"]),
    ("kubernetes", &["resource_memory_limit"]),
];

/// The model of the short file: OpenHands' default with its provider, as people write other models.
const FIRST_MODEL: &str = "anthropic/claude-sonnet-4-20250514";
/// The width of a comment's text: with its `# ` a line fits into a terminal of 80 columns.
const WIDTH: usize = 78;
/// A text with so many letters and digits is rather a key than the name of a variable.
const LIKELY_KEY: usize = 20;

const HEAD: &str = "\
# config.toml of OpenHands and handsctl. A key behind `#` shows its default,
# or an example where its comment says so. Remove the `#` to set the key.
# `handsctl config explain KEY` describes a key.
# `handsctl config check` checks the file.
";
const SHORT_HEAD: &str = "\
# config.toml of OpenHands and handsctl. A key behind `#` shows its default;
# remove the `#` to change it. `handsctl config init --all -` prints every key,
# `handsctl config explain WORD` finds one.
";
/// What to do in a table that is commented out.
const UNCOMMENT_TABLE: &str = "To set a key of this table, remove the `#` of its first line, too.";

/// The values of the short file that differ from user to user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirstValues {
    /// The model: `llm.model`.
    pub model: String,
    /// The environment variable with the API key: `llm.api_key`.
    pub key_variable: String,
}

impl FirstValues {
    /// Checks a model: a mistyped `?` is none.
    ///
    /// # Errors
    /// Why the text is not a model.
    pub fn check_model(name: &str) -> Result<(), &'static str> {
        if name.chars().any(char::is_alphabetic) {
            return Ok(());
        }
        Err("a model is a name of litellm, such as anthropic/claude-sonnet-4-20250514")
    }

    /// Checks the name of a variable: a name that a shell can export, and not the key itself.
    ///
    /// # Errors
    /// Why the text is not a name. It may be the key, so the reason does not repeat it.
    pub fn check_variable(name: &str) -> Result<(), &'static str> {
        if !name.is_empty() && !is_variable_name(name) {
            return Err(
                "a variable has letters, digits and `_`; the key itself does not belong into the file",
            );
        }
        let has = |kind: fn(&char) -> bool| name.chars().any(|c| kind(&c));
        if name.len() >= LIKELY_KEY && has(char::is_ascii_digit) && has(char::is_ascii_lowercase) {
            return Err(
                "this looks like the key itself, which does not belong into the file; name its variable",
            );
        }
        Ok(())
    }
}

/// The value of a key in the file.
enum Shown {
    /// The default, or an empty value of a key that is not set.
    Default(String),
    /// An example of a key without a default.
    Example(String),
}

impl KeyReference {
    /// Returns the defaults of the values that differ from user to user.
    #[must_use]
    pub fn first_values(&self) -> FirstValues {
        let variable = self.doc(&["llm", "api_key"]).and_then(|doc| doc.variable);
        FirstValues { model: FIRST_MODEL.to_owned(), key_variable: variable.unwrap_or_default() }
    }

    /// Returns a file with the keys that most people set; with `profile`, the key `deploy.profile` is set.
    #[must_use]
    pub fn short_file(&self, values: &FirstValues, profile: Option<Profile>) -> String {
        let mut out = SHORT_HEAD.to_owned();
        for (table, keys) in SHORT {
            let _ = writeln!(out, "\n[{table}]");
            for key in *keys {
                let set = match *key {
                    "model" => Some(quoted(&values.model)),
                    "api_key" => Some(format!("{{ env = {} }}", quoted(&values.key_variable))),
                    "profile" => match profile {
                        Some(profile) => Some(quoted(profile.name())),
                        None => continue,
                    },
                    _ => None,
                };
                let path = [*table, *key];
                if let Some(doc) = self.doc(&path) {
                    self.key(&mut out, &path, &doc, set);
                }
            }
        }
        out
    }

    /// Returns the file with every key; with `profile`, the key `deploy.profile` is set.
    #[must_use]
    pub fn file(&self, profile: Option<Profile>) -> String {
        let mut out = HEAD.to_owned();
        for table in ACTIVE {
            self.table(&mut out, &[table], true, profile);
        }
        for table in COMMENTED {
            self.table(&mut out, &[table], false, profile);
        }
        out
    }

    fn table(&self, out: &mut String, path: &[&str], active: bool, profile: Option<Profile>) {
        let Some(doc) = self.doc(path) else { return };
        // A table with a required key cannot be empty.
        let has_required_key = self.schema_of(path).is_some_and(|(_, value)| value["x-needs"].is_string());
        let active = active && !has_required_key;
        let description =
            if active { doc.description } else { format!("{} {UNCOMMENT_TABLE}", doc.description) };
        let _ = writeln!(out, "\n{}", comment(&description));
        let prefix = if active { "" } else { "#" };
        let _ = writeln!(out, "{prefix}[{}]", doc.key);
        let ValueForm::Table(keys) = &doc.value else { return };
        let mut tables = Vec::new();
        let rank = |name: &str| FIRST.iter().position(|first| *first == name).unwrap_or(FIRST.len());
        let mut names: Vec<&str> = keys.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_by_key(|name| rank(name));
        for name in names {
            let path = [path, &[name]].concat();
            match self.doc(&path) {
                Some(KeyDoc { value: ValueForm::Table(_), .. }) => tables.push(path),
                Some(key) if key.ignored.is_none() => {
                    let profile = profile.filter(|_| path == ["deploy", "profile"]);
                    self.key(out, &path, &key, profile.map(|profile| quoted(profile.name())));
                }
                _ => {}
            }
        }
        for path in tables {
            self.table(out, &path, active, profile);
        }
    }

    /// Writes a key with its description: with the value `set`, or behind `#`.
    fn key(&self, out: &mut String, path: &[&str], doc: &KeyDoc, set: Option<String>) {
        let name = path.last().copied().unwrap_or_default();
        let since = doc.since.as_ref().map(|since| format!(" (OpenHands {since})")).unwrap_or_default();
        let description = format!("{}{since}", doc.description);
        let shown = doc.default.clone().map_or_else(|| self.example(path), Shown::Default);
        let (description, line) = match (set, shown) {
            (Some(value), _) => (description, format!("{name} = {value}")),
            (None, Shown::Default(value)) => (description, format!("#{name} = {value}")),
            (None, Shown::Example(value)) => {
                (format!("{description} No default; for example:"), format!("#{name} = {value}"))
            }
        };
        let _ = writeln!(out, "{}\n{line}", comment(&description));
    }

    /// Returns an example value of a key without a default.
    fn example(&self, path: &[&str]) -> Shown {
        let unset = |value: &str| Shown::Default(value.to_owned());
        let Some((remarks, value)) = self.schema_of(path) else { return unset("\"\"") };
        match &remarks["examples"][0] {
            Json::String(example) => return Shown::Example(quoted(example)),
            example @ (Json::Number(_) | Json::Bool(_)) => return Shown::Example(example.to_string()),
            _ => {}
        }
        let key = path.last().copied().unwrap_or_default();
        match value["x-reference"].as_str() {
            Some(_) => {
                let owned: Vec<String> = path.iter().map(|name| (*name).to_owned()).collect();
                let variable = crate::settings::secrets::extract::variable(&owned)
                    .unwrap_or_else(|| key.to_ascii_uppercase());
                return Shown::Example(format!("{{ env = \"{variable}\" }}"));
            }
            None if value.get("anyOf").is_some() => return Shown::Example("\"llm\"".to_owned()),
            None => {}
        }
        if let Some(first) = value["oneOf"][0]["const"].as_str() {
            return Shown::Example(quoted(first));
        }
        let types = match &value["type"] {
            Json::Array(types) => types.iter().filter_map(Json::as_str).find(|name| *name != "null"),
            name => name.as_str(),
        };
        match types {
            Some("boolean") => Shown::Example("true".to_owned()),
            Some("integer") => Shown::Example(value["minimum"].as_i64().unwrap_or(1).max(1).to_string()),
            Some("number") => Shown::Example("1.0".to_owned()),
            // An empty value means that the key is not set.
            Some("array") => unset("[]"),
            Some("object") => unset("{}"),
            _ => unset("\"\""),
        }
    }
}

fn comment(text: &str) -> String {
    let lines = textwrap::wrap(text, WIDTH);
    lines.iter().map(|line| format!("# {line}")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_model_is_the_default_with_its_provider() {
        let reference = KeyReference::default();
        let (remarks, _) = reference.schema_of(&["llm", "model"]).unwrap();
        assert_eq!(FIRST_MODEL.split_once('/').map(|(_, model)| model), remarks["default"].as_str());
    }

    #[test]
    fn comments_fit_into_80_columns() {
        let reference = KeyReference::default();
        for profile in [None, Some(Profile::Gke)] {
            for file in [reference.file(profile), reference.short_file(&reference.first_values(), profile)] {
                let comments: Vec<&str> = file.lines().filter(|line| line.starts_with("# ")).collect();
                assert!(comments.len() > 6, "{file}");
                for line in comments {
                    assert!(line.chars().count() <= 80, "{line}");
                }
            }
        }
    }

    #[test]
    fn key_instead_of_its_variable_is_rejected() {
        for name in ["LLM_API_KEY", "my_key", "_A1", "a", "OPENAI_API_KEY_OF_TEAM_2"] {
            assert_eq!(FirstValues::check_variable(name), Ok(()), "{name}");
        }
        assert_eq!(FirstValues::check_model("gpt-5"), Ok(()));
        assert!(FirstValues::check_model("?").is_err() && FirstValues::check_model("1").is_err());
        for key in [
            "sk-proj-1",
            "a b$",
            "1A",
            "{A}",
            "3f9a0c1d",
            "plantedkey1plantedkey2",
            "planted_key_1_planted_2",
        ] {
            let reason = FirstValues::check_variable(key).expect_err(key);
            assert!(!reason.contains(key), "{reason}");
        }
    }
}
