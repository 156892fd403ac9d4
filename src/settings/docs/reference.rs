//! What config.toml may hold, for people: the JSON Schema read as a manual.

use serde_json::Value as Json;

use crate::settings::load::schema::json_schema;
use crate::settings::load::suggest::closest;
use crate::settings::load::toml_key::dotted;

/// A key or a table of config.toml.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyDoc {
    /// `deploy.image`; names of the user's own as `NAME`.
    pub key: String,
    /// What it is, as one paragraph.
    pub description: String,
    /// What may stand there.
    pub value: ValueForm,
    /// TOML text of the default; None where nothing is set.
    pub default: Option<String>,
    /// First release of the application that knows it.
    pub since: Option<String>,
    /// Why the application does not use it.
    pub ignored: Option<String>,
    /// What the application does with a value that is not allowed.
    pub otherwise: Option<String>,
    /// What the application does with a key that it does not know, beside this one.
    pub unknown: UnknownKeys,
    /// Fields of objects that it becomes, as `deployment spec.replicas`.
    pub fields: Vec<String>,
    /// Variable of the application that says the same.
    pub variable: Option<String>,
}

/// What may stand under a key.
#[derive(Debug, Clone, PartialEq)]
pub enum ValueForm {
    /// A value: `a quantity`, `1 to 100`.
    Plain(String),
    /// One of these texts, each with what it means.
    OneOf(Vec<(String, String)>),
    /// A table with these keys, each with the first sentence about it.
    Table(Vec<(String, String)>),
}

/// What the application does with a key that it does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnknownKeys {
    /// The table is handsctl's own, or takes every key.
    Nothing,
    /// It stops at start.
    Crash,
    /// It uses none of the table.
    SectionIgnored,
    /// It uses the rest.
    KeyIgnored,
}

/// What config.toml may hold.
#[derive(Debug)]
pub struct KeyReference(Json);

impl Default for KeyReference {
    fn default() -> Self {
        Self(json_schema())
    }
}

/// A place of the schema, and what was said on the way there.
struct FoundKey<'a> {
    /// What stands beside `$ref`: it is about the key.
    remarks: &'a Json,
    /// What it refers to: it is about the value.
    value: &'a Json,
    path: Vec<String>,
    unknown: UnknownKeys,
    /// Fields of objects that this becomes, or what it is a part of.
    fields: Vec<String>,
}

impl KeyReference {
    /// What is known about a dotted key or a table; the empty path is the whole file.
    #[must_use]
    pub fn article(&self, path: &[&str]) -> Option<KeyDoc> {
        Some(self.describe(&self.found(path)?))
    }

    /// A key that resembles one that is not there.
    #[must_use]
    pub fn nearest(&self, key: &str) -> Option<String> {
        let all = self.keys();
        let last = key.rsplit('.').next().unwrap_or(key);
        let same = all.iter().find(|known| known.rsplit('.').next() == Some(last));
        same.cloned().or_else(|| closest(key, all.iter().map(String::as_str)).map(str::to_owned))
    }

    /// Every table and key that has a name of its own, in the order of the alphabet.
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        fn walk(manual: &KeyReference, found: &FoundKey<'_>, keys: &mut Vec<String>) {
            for name in names(found.value) {
                if let Some(inner) = manual.inside(found, name) {
                    keys.push(dotted(&inner.path));
                    walk(manual, &inner, keys);
                }
            }
        }
        let mut keys = Vec::new();
        walk(self, &self.root(), &mut keys);
        keys
    }

    /// The tables of the file: `[core]`, `[deploy]`.
    #[must_use]
    pub fn tables(&self) -> Vec<String> {
        names(&self.0).into_iter().map(str::to_owned).collect()
    }

    /// What the schema says about a key, and about what stands under it.
    pub(crate) fn schema_of(&self, path: &[&str]) -> Option<(&Json, &Json)> {
        let found = self.found(path)?;
        Some((found.remarks, found.value))
    }

    /// The whole file.
    fn root(&self) -> FoundKey<'_> {
        FoundKey {
            remarks: &self.0,
            value: &self.0,
            path: Vec::new(),
            unknown: UnknownKeys::Nothing,
            fields: Vec::new(),
        }
    }

    fn found(&self, path: &[&str]) -> Option<FoundKey<'_>> {
        path.iter().try_fold(self.root(), |outer, name| self.inside(&outer, name))
    }

    fn inside<'a>(&'a self, outer: &FoundKey<'a>, name: &str) -> Option<FoundKey<'a>> {
        let table = outer.value;
        let (remarks, name) = match &table["properties"][name] {
            Json::Null => match &table["additionalProperties"] {
                // A name that resembles a key is one that is misspelt.
                value @ Json::Object(_) if closest(name, names(table).into_iter()).is_none() => {
                    (value, "NAME")
                }
                _ => return None,
            },
            key => (key, name),
        };
        let mut path = outer.path.clone();
        path.push(name.to_owned());
        let value = self.resolve(remarks);
        let unknown = unknown(&value["x-unknown"]).unwrap_or(outer.unknown);
        let fields = match texts(&remarks["x-fields"]) {
            none if none.is_empty() => fields(&path, value, &outer.fields),
            own => own,
        };
        Some(FoundKey { remarks, value, path, unknown, fields })
    }

    /// What a schema refers to; a value that may be absent is what it is where it is there.
    fn resolve<'a>(&'a self, schema: &'a Json) -> &'a Json {
        if let Some(name) = schema["$ref"].as_str().and_then(|name| name.strip_prefix("#/$defs/")) {
            return self.resolve(&self.0["$defs"][name]);
        }
        let options: Vec<&Json> = schema["anyOf"].as_array().into_iter().flatten().collect();
        let others: Vec<&Json> = options.into_iter().filter(|option| option["type"] != "null").collect();
        match others[..] {
            [only] => self.resolve(only),
            _ => schema,
        }
    }

    fn describe(&self, found: &FoundKey<'_>) -> KeyDoc {
        let remark = |name: &str| found.remarks[name].as_str().map(str::to_owned);
        let description = remark("description")
            .or_else(|| found.value["description"].as_str().map(str::to_owned))
            .unwrap_or_default();
        KeyDoc {
            key: dotted(&found.path),
            description: paragraph(&description),
            value: self.form(found),
            default: default(&found.remarks["default"]),
            since: remark("x-since"),
            ignored: remark("x-ignored"),
            otherwise: remark("x-otherwise"),
            unknown: found.unknown,
            fields: found.fields.clone(),
            variable: variable(&found.path),
        }
    }

    fn form(&self, found: &FoundKey<'_>) -> ValueForm {
        let names = names(found.value);
        let is_reference = found.value.get("x-reference").is_some();
        if !names.is_empty() && !is_reference {
            let entries = names.into_iter().filter_map(|name| {
                let inner = self.inside(found, name)?;
                Some((name.to_owned(), first_sentence(&self.describe(&inner).description)))
            });
            return ValueForm::Table(entries.collect());
        }
        match allowed(found.value) {
            allowed if !allowed.is_empty() => ValueForm::OneOf(allowed),
            _ => ValueForm::Plain(self.words(found.value)),
        }
    }

    fn words(&self, value: &Json) -> String {
        let value = self.resolve(value);
        if value.get("x-reference").is_some() {
            return "a string, { env = \"NAME\" }, { file = \"path\" } or { secret = \"name\", key = \"key\" }"
                .to_owned();
        }
        if let Some(options) = value["anyOf"].as_array() {
            return options.iter().map(|option| self.words(option)).collect::<Vec<_>>().join(", or ");
        }
        let name = match &value["type"] {
            Json::Array(names) => names.iter().find_map(|name| name.as_str().filter(|name| *name != "null")),
            name => name.as_str(),
        };
        match name {
            Some("boolean") => "true or false".to_owned(),
            Some("integer") => integer(value),
            Some("number") => "a number".to_owned(),
            Some("string") => value["format"]
                .as_str()
                .and_then(crate::settings::format::known::noun)
                .map_or_else(|| "a string".to_owned(), |noun| format!("{noun}, as a string")),
            Some("array") => format!("an array, each item: {}", self.words(&value["items"])),
            Some("object") => match &value["additionalProperties"] {
                inner @ Json::Object(_) => format!("a table, each value: {}", self.words(inner)),
                _ => "a table".to_owned(),
            },
            _ => "any value".to_owned(),
        }
    }
}

/// The texts of `oneOf: [{ const: … }, …]`.
fn allowed(value: &Json) -> Vec<(String, String)> {
    let options = value["oneOf"].as_array().into_iter().flatten();
    options
        .filter_map(|option| {
            let meaning = option["description"].as_str().unwrap_or_default();
            Some((option["const"].as_str()?.to_owned(), paragraph(meaning)))
        })
        .collect()
}

fn names(value: &Json) -> Vec<&str> {
    value["properties"].as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect()
}

fn unknown(value: &Json) -> Option<UnknownKeys> {
    Some(match value.as_str()? {
        "crash" => UnknownKeys::Crash,
        "section" => UnknownKeys::SectionIgnored,
        _ => UnknownKeys::KeyIgnored,
    })
}

fn integer(value: &Json) -> String {
    match (value["minimum"].as_i64(), value["maximum"].as_i64()) {
        (Some(min), Some(max)) => format!("an integer, {min} to {max}"),
        (Some(min), None) => format!("an integer, at least {min}"),
        _ => "an integer".to_owned(),
    }
}

/// What a key of the application's becomes: a line of its config.toml, or a secret; one of handsctl's own, what its table
/// becomes.
fn fields(path: &[String], value: &Json, outer: &[String]) -> Vec<String> {
    let ours = path.first().is_some_and(|table| table == "cluster" || table == "deploy");
    let secret = value["x-reference"] == "secret";
    match path {
        _ if ours => outer.to_vec(),
        [_, _] if secret => crate::settings::secrets::extract::variable(path)
            .map(|variable| format!("secret data[{variable}], a variable of the application"))
            .into_iter()
            .collect(),
        [_, _, ..] => vec!["configmap data[config.toml], the application's own file".to_owned()],
        _ => Vec::new(),
    }
}

/// Null is no default, and neither is an empty table.
fn default(value: &Json) -> Option<String> {
    let text = match value {
        Json::Null => return None,
        Json::Object(table) if table.values().all(|inner| default(inner).is_none()) => return None,
        Json::String(text) => crate::settings::load::toml_key::quoted(text),
        other => other.to_string(),
    };
    Some(text)
}

/// OpenHands' own tables reach it by environment variables, too (`openhands/core/config/utils.py`).
fn variable(path: &[String]) -> Option<String> {
    match path {
        [table, _]
            if matches!(
                table.as_str(),
                "cluster" | "deploy" | "condenser" | "model_routing" | "extended"
            ) =>
        {
            None
        }
        [_, key] if key == "NAME" => None,
        path => crate::settings::secrets::extract::variable(path),
    }
}

fn texts(value: &Json) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(Json::as_str).map(str::to_owned).collect()
}

/// Lines of a comment as one.
fn paragraph(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn first_sentence(text: &str) -> String {
    let end = text.match_indices(['.', ';']).find(|(at, _)| text[at + 1..].starts_with(' '));
    end.map_or(text, |(at, _)| &text[..at]).trim_end_matches('.').to_owned()
}
