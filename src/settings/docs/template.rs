//! The config.toml of `config init`: every key that the application uses, with its description and default.

use std::fmt::Write as _;

use serde_json::Value as Json;

use super::reference::{KeyDoc, KeyReference, ValueForm};
use crate::settings::handsctl::Profile;

/// Tables whose header may be active without a key. An empty `[condenser]` would disable shortening, and
/// `[model_routing]` is an error before 0.56.
const ACTIVE: &[&str] = &["llm", "deploy", "cluster", "kubernetes", "sandbox", "core", "agent", "security"];
/// Tables that are commented out.
const COMMENTED: &[&str] = &["condenser", "mcp", "model_routing", "extended"];

/// Keys that come first in their table; the others follow in alphabetical order.
const FIRST: &[&str] =
    &["model", "api_key", "base_url", "profile", "name", "namespace", "image", "host", "provider"];

const WIDTH: usize = 100;

const HEAD: &str = "\
# config.toml of OpenHands and handsctl. A key behind `#` shows its default, or an example if it has no default.
# Remove the `#` to set the key. `handsctl config explain KEY` describes a key, `handsctl config check` checks the file.
";

impl KeyReference {
    /// Returns the whole file; with `profile`, the key `deploy.profile` is set.
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
        let _ = writeln!(out, "\n{}", comment(&doc.description));
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
                    let set = profile.filter(|_| path == ["deploy", "profile"]);
                    self.key(out, name, &path, &key, set);
                }
                _ => {}
            }
        }
        for path in tables {
            self.table(out, &path, active, profile);
        }
    }

    fn key(&self, out: &mut String, name: &str, path: &[&str], doc: &KeyDoc, set: Option<Profile>) {
        let since = doc.since.as_ref().map(|since| format!(" (OpenHands {since})")).unwrap_or_default();
        let _ = writeln!(out, "{}", comment(&format!("{}{since}", doc.description)));
        if let Some(profile) = set {
            let _ = writeln!(out, "{name} = \"{}\"", profile.name());
            return;
        }
        let value = doc.default.clone().unwrap_or_else(|| self.example(path));
        let _ = writeln!(out, "#{name} = {value}");
    }

    /// Returns an example value of a key without a default.
    fn example(&self, path: &[&str]) -> String {
        let Some((remarks, value)) = self.schema_of(path) else { return "\"\"".to_owned() };
        if let Some(example) = remarks["examples"][0].as_str() {
            return crate::settings::load::toml_key::quoted(example);
        }
        let key = path.last().copied().unwrap_or_default();
        match value["x-reference"].as_str() {
            Some(_) => {
                let owned: Vec<String> = path.iter().map(|name| (*name).to_owned()).collect();
                let variable = crate::settings::secrets::extract::variable(&owned)
                    .unwrap_or_else(|| key.to_ascii_uppercase());
                return format!("{{ env = \"{variable}\" }}");
            }
            None if value.get("anyOf").is_some() => return "\"llm\"".to_owned(),
            None => {}
        }
        if let Some(first) = value["oneOf"][0]["const"].as_str() {
            return format!("\"{first}\"");
        }
        let types = match &value["type"] {
            Json::Array(types) => types.iter().filter_map(Json::as_str).find(|name| *name != "null"),
            name => name.as_str(),
        };
        match types {
            Some("boolean") => "true".to_owned(),
            Some("integer") => value["minimum"].as_i64().unwrap_or(1).max(1).to_string(),
            Some("number") => "1.0".to_owned(),
            Some("array") => "[]".to_owned(),
            Some("object") => "{}".to_owned(),
            // An empty string means that an optional string is not set.
            _ => "\"\"".to_owned(),
        }
    }
}

fn comment(text: &str) -> String {
    let lines = textwrap::wrap(text, WIDTH);
    lines.iter().map(|line| format!("# {line}")).collect::<Vec<_>>().join("\n")
}
