//! The key reference of config.toml, derived from its JSON Schema.

use serde_json::Value as Json;

use crate::settings::load::schema::json_schema;
use crate::settings::load::suggest::closest;
use crate::settings::load::toml_key::dotted;

/// A key or a table of config.toml.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyDoc {
    /// Dotted key, such as `deploy.image`; a name that the user chooses is `NAME`.
    pub key: String,
    /// Description, as one paragraph.
    pub description: String,
    /// Form of the allowed values.
    pub value: ValueForm,
    /// Default as TOML; None without a default.
    pub default: Option<String>,
    /// First version of the application that supports the key.
    pub since: Option<String>,
    /// Why the application ignores the key.
    pub ignored: Option<String>,
    /// How the application treats a value that is not allowed.
    pub invalid_value_effect: Option<String>,
    /// How the application treats an unknown key in the same table.
    pub unknown_key_effect: UnknownKeys,
    /// Fields of objects that the key sets, such as `deployment spec.replicas`.
    pub fields: Vec<String>,
    /// Environment variable of the application with the same meaning.
    pub variable: Option<String>,
}

impl KeyDoc {
    /// Returns the first sentence of the description, without its full stop.
    #[must_use]
    pub fn summary(&self) -> String {
        first_sentence(&self.description)
    }

    /// Returns the name of the key in its table.
    fn name(&self) -> &str {
        self.key.rsplit('.').next().unwrap_or_default()
    }
}

/// Form of the allowed values of a key.
#[derive(Debug, Clone, PartialEq)]
pub enum ValueForm {
    /// A value: `a quantity`, `1 to 100`.
    Plain(String),
    /// One of these strings, each with its meaning.
    OneOf(Vec<(String, String)>),
    /// A table with these keys, each with the first sentence of its description.
    Table(Vec<(String, String)>),
}

/// How the application treats an unknown key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnknownKeys {
    /// Not at all: the table is handsctl's own or accepts every key.
    NotApplicable,
    /// It crashes at start.
    Crash,
    /// It ignores the whole table.
    SectionIgnored,
    /// It ignores the key.
    KeyIgnored,
}

/// The key reference of config.toml: its JSON Schema.
#[derive(Debug)]
pub struct KeyReference(Json);

impl Default for KeyReference {
    fn default() -> Self {
        Self(json_schema())
    }
}

/// A key or table of the schema, with what it inherits from the tables around it.
struct SchemaKey<'a> {
    /// The schema at the key itself, beside `$ref`: its description and `x-…` keywords.
    remarks: &'a Json,
    /// Its description in this table, where several tables have keys of one type: `x-keys` of the table.
    own_description: Option<&'a str>,
    /// The schema of the value, after resolving `$ref`.
    value: &'a Json,
    path: Vec<String>,
    unknown: UnknownKeys,
    /// Fields of objects that the key, or the table around it, sets.
    fields: Vec<String>,
}

/// Returns the part of a dotted key after the last dot.
fn last_name(key: &str) -> &str {
    key.rsplit('.').next().unwrap_or_default()
}

impl KeyReference {
    /// Returns the reference of a key or table; the empty path is the whole file.
    #[must_use]
    pub fn doc(&self, path: &[&str]) -> Option<KeyDoc> {
        Some(self.describe(&self.find(path)?))
    }

    /// Returns the existing keys that most resemble an unknown one, the shortest path first.
    #[must_use]
    pub fn closest_keys(&self, key: &str) -> Vec<String> {
        let named = self.keys_named(last_name(key));
        if !named.is_empty() {
            return named;
        }
        let all = self.keys();
        if let Some(near) = closest(key, all.iter().map(String::as_str)) {
            return vec![near.to_owned()];
        }
        // A single word is compared with names, not with whole paths.
        let name = closest(key, all.iter().map(|key| last_name(key))).filter(|_| !key.contains('.'));
        name.map(|name| self.keys_named(name)).unwrap_or_default()
    }

    /// Returns the keys and tables of a name, the shortest path first and those that the application does not use last.
    #[must_use]
    pub fn keys_named(&self, name: &str) -> Vec<String> {
        let mut named: Vec<String> = self.keys().into_iter().filter(|key| last_name(key) == name).collect();
        named.sort_by_cached_key(|key| {
            let doc = self.doc(&key.split('.').collect::<Vec<_>>());
            (doc.is_some_and(|doc| doc.ignored.is_some()), key.matches('.').count(), key.clone())
        });
        named
    }

    /// Returns the keys and tables that a word means: the key itself, or those of its name in every table.
    #[must_use]
    pub fn keys_meant(&self, word: &str) -> Vec<String> {
        let mut named = self.keys_named(last_name(word));
        named.retain(|key| key == word || !word.contains('.'));
        named
    }

    /// Returns the keys and tables that a word names, the shortest path first and those that the application does not use
    /// last: `memory` finds `kubernetes.resource_memory_limit`. If no name has the word, names that contain it as a part
    /// count, else descriptions that have it.
    #[must_use]
    pub fn matching(&self, word: &str) -> Vec<KeyDoc> {
        let word = word.to_ascii_lowercase().replace('-', "_");
        if word.is_empty() {
            return Vec::new();
        }
        let docs: Vec<KeyDoc> =
            self.keys().iter().filter_map(|key| self.doc(&key.split('.').collect::<Vec<_>>())).collect();
        let in_description = |doc: &KeyDoc| {
            let text = doc.description.to_ascii_lowercase();
            text.split(|letter: char| !letter.is_alphanumeric()).any(|part| part == word)
        };
        let rules: [&dyn Fn(&KeyDoc) -> bool; 3] = [
            &|doc| format!("_{}_", doc.name()).contains(&format!("_{word}_")),
            &|doc| doc.name().contains(&word),
            &in_description,
        ];
        let found = rules.iter().map(|rule| docs.iter().filter(|doc| rule(doc)).cloned().collect::<Vec<_>>());
        let mut matching = found.into_iter().find(|docs| !docs.is_empty()).unwrap_or_default();
        matching.sort_by_key(|doc| {
            (doc.ignored.is_some(), doc.key.matches('.').count(), doc.name() != word, doc.key.clone())
        });
        matching
    }

    /// Returns every table and key with a fixed name, in alphabetical order.
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        fn walk(manual: &KeyReference, key: &SchemaKey<'_>, keys: &mut Vec<String>) {
            for name in names(key.value) {
                if let Some(child_key) = manual.child(key, name) {
                    keys.push(dotted(&child_key.path));
                    walk(manual, &child_key, keys);
                }
            }
        }
        let mut keys = Vec::new();
        walk(self, &self.root(), &mut keys);
        keys
    }

    /// Returns the names of the file's tables: `core`, `deploy`.
    #[must_use]
    pub fn tables(&self) -> Vec<String> {
        names(&self.0).into_iter().map(str::to_owned).collect()
    }

    /// Returns the schema at a key, and the schema of its value.
    pub(crate) fn schema_of(&self, path: &[&str]) -> Option<(&Json, &Json)> {
        let key = self.find(path)?;
        Some((key.remarks, key.value))
    }

    /// The whole file.
    fn root(&self) -> SchemaKey<'_> {
        SchemaKey {
            remarks: &self.0,
            own_description: None,
            value: &self.0,
            path: Vec::new(),
            unknown: UnknownKeys::NotApplicable,
            fields: Vec::new(),
        }
    }

    fn find(&self, path: &[&str]) -> Option<SchemaKey<'_>> {
        path.iter().try_fold(self.root(), |parent, name| self.child(&parent, name))
    }

    fn child<'a>(&'a self, parent: &SchemaKey<'a>, name: &str) -> Option<SchemaKey<'a>> {
        let table = parent.value;
        let (remarks, name) = match &table["properties"][name] {
            Json::Null => match &table["additionalProperties"] {
                // A name that resembles a key is a misspelt key.
                value @ Json::Object(_) if closest(name, names(table).into_iter()).is_none() => {
                    (value, "NAME")
                }
                _ => return None,
            },
            key => (key, name),
        };
        let mut path = parent.path.clone();
        path.push(name.to_owned());
        let own_description = parent.remarks["x-keys"][name].as_str();
        let value = self.resolve(remarks);
        let unknown = unknown(&value["x-unknown"]).unwrap_or(parent.unknown);
        let fields = match texts(&remarks["x-fields"]) {
            none if none.is_empty() => fields(&path, value, &parent.fields),
            own => own,
        };
        Some(SchemaKey { remarks, own_description, value, path, unknown, fields })
    }

    /// Follows `$ref`, and ignores the `null` of an optional value.
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

    fn describe(&self, key: &SchemaKey<'_>) -> KeyDoc {
        let keyword = |name: &str| key.remarks[name].as_str().map(str::to_owned);
        let description = key
            .own_description
            .map(str::to_owned)
            .or_else(|| keyword("description"))
            .or_else(|| key.value["description"].as_str().map(str::to_owned))
            .unwrap_or_default();
        KeyDoc {
            key: dotted(&key.path),
            description: paragraph(&description),
            value: self.value_form(key),
            default: default(&key.remarks["default"]),
            since: keyword("x-since"),
            ignored: keyword("x-ignored"),
            invalid_value_effect: keyword("x-otherwise"),
            unknown_key_effect: key.unknown,
            fields: key.fields.clone(),
            variable: variable(&key.path),
        }
    }

    fn value_form(&self, key: &SchemaKey<'_>) -> ValueForm {
        let names = names(key.value);
        let is_reference = key.value.get("x-reference").is_some();
        if !names.is_empty() && !is_reference {
            let entries = names.into_iter().filter_map(|name| {
                let child_key = self.child(key, name)?;
                Some((name.to_owned(), self.describe(&child_key).summary()))
            });
            return ValueForm::Table(entries.collect());
        }
        match allowed(key.value) {
            allowed if !allowed.is_empty() => ValueForm::OneOf(allowed),
            _ => ValueForm::Plain(self.describe_form(key.value)),
        }
    }

    fn describe_form(&self, value: &Json) -> String {
        let value = self.resolve(value);
        if value.get("x-reference").is_some() {
            return "a string, { env = \"NAME\" }, { file = \"path\" } or { secret = \"name\", key = \"key\" }"
                .to_owned();
        }
        if let Some(options) = value["anyOf"].as_array() {
            return options.iter().map(|option| self.describe_form(option)).collect::<Vec<_>>().join(", or ");
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
                .and_then(crate::settings::format::by_name::noun)
                .map_or_else(|| "a string".to_owned(), |noun| format!("{noun}, as a string")),
            Some("array") => format!("an array, each item: {}", self.describe_form(&value["items"])),
            Some("object") => match &value["additionalProperties"] {
                item @ Json::Object(_) => format!("a table, each value: {}", self.describe_form(item)),
                _ => "a table".to_owned(),
            },
            _ => "any value".to_owned(),
        }
    }
}

/// The strings of `oneOf: [{ const: … }, …]`, with their descriptions.
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

/// Returns the fields that a key sets: for an application key a line of its config.toml or a secret, for a handsctl key
/// the fields of its table.
fn fields(path: &[String], value: &Json, parent: &[String]) -> Vec<String> {
    let is_handsctl = path.first().is_some_and(|table| table == "cluster" || table == "deploy");
    let secret = value["x-reference"] == "secret";
    match path {
        _ if is_handsctl => parent.to_vec(),
        [_, _] if secret => crate::settings::secrets::extract::variable(path)
            .map(|variable| format!("secret data[{variable}], an environment variable of the application"))
            .into_iter()
            .collect(),
        [_, _, ..] => vec!["configmap data[config.toml], the application's own file".to_owned()],
        _ => Vec::new(),
    }
}

/// Returns the default as TOML. Null and a table without values are no defaults.
fn default(value: &Json) -> Option<String> {
    let text = match value {
        Json::Null => return None,
        Json::Object(table) if table.values().all(|value| default(value).is_none()) => return None,
        Json::String(text) => crate::settings::load::toml_key::quoted(text),
        other => other.to_string(),
    };
    Some(text)
}

/// Returns the variable from which OpenHands also reads a key (`load_from_env` in `openhands/core/config/utils.py`).
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

/// Joins the lines of a comment.
fn paragraph(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn first_sentence(text: &str) -> String {
    let end = text.match_indices(['.', ';']).find(|(at, _)| text[at + 1..].starts_with(' '));
    end.map_or(text, |(at, _)| &text[..at]).trim_end_matches('.').to_owned()
}
