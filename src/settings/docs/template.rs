//! A config.toml to begin with: every key that the application uses, with its meaning and its default.

use std::fmt::Write as _;

use serde_json::Value as Json;

use super::reference::{KeyDoc, KeyReference, ValueForm};
use crate::settings::handsctl::Profile;

/// Tables whose header may stand without a key. An empty `[condenser]` would switch shortening off, and
/// `[model_routing]` is a mistake before 0.56.
const ACTIVE: &[&str] = &["llm", "deploy", "cluster", "kubernetes", "sandbox", "core", "agent", "security"];
/// The others, as comments.
const COMMENTED: &[&str] = &["condenser", "mcp", "model_routing", "extended"];

/// Keys that people look for first; the others follow in the order of the alphabet.
const FIRST: &[&str] =
    &["model", "api_key", "base_url", "profile", "name", "namespace", "image", "host", "provider"];

const WIDTH: usize = 100;

const HEAD: &str = "\
# config.toml of OpenHands and handsctl. A key behind `#` has its default, or an example where there is none:
# take the `#` away to change it. `handsctl config explain KEY` says more, `handsctl config check` finds every mistake.
";

impl KeyReference {
    /// The whole file; with `profile` that key is set.
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
        let Some(article) = self.article(path) else { return };
        // An empty table would lack what it needs.
        let needs = self.schema_of(path).is_some_and(|(_, value)| value["x-needs"].is_string());
        let active = active && !needs;
        let _ = writeln!(out, "\n{}", comment(&article.description));
        let mark = if active { "" } else { "#" };
        let _ = writeln!(out, "{mark}[{}]", article.key);
        let ValueForm::Table(keys) = &article.value else { return };
        let mut tables = Vec::new();
        let place = |name: &str| FIRST.iter().position(|first| *first == name).unwrap_or(FIRST.len());
        let mut names: Vec<&str> = keys.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_by_key(|name| place(name));
        for name in names {
            let path = [path, &[name]].concat();
            match self.article(&path) {
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

    fn key(&self, out: &mut String, name: &str, path: &[&str], article: &KeyDoc, set: Option<Profile>) {
        let since = article.since.as_ref().map(|since| format!(" (OpenHands {since})")).unwrap_or_default();
        let _ = writeln!(out, "{}", comment(&format!("{}{since}", article.description)));
        if let Some(profile) = set {
            let _ = writeln!(out, "{name} = \"{}\"", profile.name());
            return;
        }
        let value = article.default.clone().unwrap_or_else(|| self.example(path));
        let _ = writeln!(out, "#{name} = {value}");
    }

    /// A value that may stand there.
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
            // Where a text may be absent, an empty one means that it is.
            _ => "\"\"".to_owned(),
        }
    }
}

fn comment(text: &str) -> String {
    let lines = textwrap::wrap(text, WIDTH);
    lines.iter().map(|line| format!("# {line}")).collect::<Vec<_>>().join("\n")
}
