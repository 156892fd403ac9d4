//! The JSON Schema of config.toml, made from the types that parse it, and the same as a tree that is easy to walk.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde_json::Value as Json;

use crate::error::Error;
use crate::settings::{handsctl, openhands};

/// What a value must look like.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Shape {
    /// Anything.
    Any,
    /// `true` or `false`.
    Boolean,
    /// A whole number within bounds.
    Integer { min: i64, max: i64 },
    /// A number.
    Number,
    /// A text, of a format or one of some.
    Text { format: Option<String>, allowed: Vec<String> },
    /// A list of equal things.
    List(Box<Shape>),
    /// A table with keys of its own.
    Table(TableShape),
    /// One of several, by the type of the value.
    Either(Vec<Shape>),
    /// A text or a reference to a secret; `secret`: the text itself is one too.
    Reference { secret: bool },
}

/// What may stand in a table.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TableShape {
    pub keys: BTreeMap<String, Key>,
    /// Keys that must be there.
    pub required: Vec<String>,
    pub other: Other,
    pub unknown: UnknownKeyEffect,
}

/// What a table says about keys that it does not list.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Other {
    Refused,
    Free,
    Each { value: Box<Shape>, name_format: Option<String> },
}

/// What the application does with a table that has a key it does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UnknownKeyEffect {
    /// Nothing: the table is handsctl's own.
    Ours,
    /// It stops at start.
    Crash,
    /// It logs a warning and uses none of the table.
    SectionIgnored,
    /// It logs a warning and uses the rest, whose types it does not check.
    KeyIgnored,
    /// It uses the rest without a word; a value of a wrong type stops it.
    KeyDropped,
}

/// A key and its remarks.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Key {
    pub shape: Shape,
    /// Whether an empty text means that the key is not set.
    pub nullable: bool,
    /// Why the Kubernetes runtime does not use it.
    pub ignored: Option<String>,
    /// First version of the application that may know it.
    pub since: Option<String>,
    /// What people write instead of an allowed value.
    pub aliases: BTreeMap<String, String>,
    /// What the application does with a value that is not allowed.
    pub otherwise: Option<String>,
    /// Why it may not be empty.
    pub not_empty: Option<String>,
    /// Variable of the application that a secret of handsctl's own tables becomes.
    pub variable: Option<String>,
    /// File that such a secret becomes.
    pub file: Option<String>,
}

/// A JSON Schema that says something this module does not understand.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unreadable(String);

impl std::fmt::Display for Unreadable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the schema of config.toml cannot be read at {}", self.0)
    }
}
impl std::error::Error for Unreadable {}

type Result<T> = std::result::Result<T, Unreadable>;

/// Reads the whole schema.
pub(crate) fn read(schema: &Json) -> Result<TableShape> {
    let reader = Reader { definitions: &schema["$defs"] };
    match reader.shape(schema)? {
        Shape::Table(table) => Ok(table),
        _ => Err(Unreadable("its root".to_owned())),
    }
}

struct Reader<'a> {
    definitions: &'a Json,
}

impl<'a> Reader<'a> {
    /// The schema itself, or what it refers to.
    fn resolve(&self, schema: &'a Json) -> Result<&'a Json> {
        match schema["$ref"].as_str() {
            None => Ok(schema),
            Some(reference) => reference
                .strip_prefix("#/$defs/")
                .and_then(|name| self.definitions.get(name))
                .ok_or_else(|| Unreadable(reference.to_owned())),
        }
    }

    fn shape(&self, schema: &'a Json) -> Result<Shape> {
        let schema = self.resolve(schema)?;
        if schema.as_bool() == Some(true) {
            return Ok(Shape::Any);
        }
        if let Some(kind) = schema["x-reference"].as_str() {
            return Ok(Shape::Reference { secret: kind == "secret" });
        }
        if let Some(allowed) = allowed_texts(schema) {
            return Ok(Shape::Text { format: None, allowed });
        }
        match &without_null(&schema["anyOf"])[..] {
            [] => {}
            [only] => return self.shape(only),
            several => {
                return several.iter().map(|one| self.shape(one)).collect::<Result<_>>().map(Shape::Either);
            }
        }
        match type_name(&schema["type"]) {
            Some("boolean") => Ok(Shape::Boolean),
            Some("integer") => Ok(integer(schema)),
            Some("number") => Ok(Shape::Number),
            Some("string") => {
                Ok(Shape::Text { format: schema["format"].as_str().map(str::to_owned), allowed: Vec::new() })
            }
            Some("array") => Ok(Shape::List(Box::new(self.shape(&schema["items"])?))),
            Some("object") => self.table(schema).map(Shape::Table),
            _ => Err(Unreadable(schema.to_string())),
        }
    }

    fn table(&self, schema: &'a Json) -> Result<TableShape> {
        let mut keys = BTreeMap::new();
        for (name, key) in schema["properties"].as_object().into_iter().flatten() {
            keys.insert(name.clone(), self.key(key)?);
        }
        let other = match &schema["additionalProperties"] {
            Json::Bool(true) => Other::Free,
            Json::Null | Json::Bool(false) => Other::Refused,
            value => Other::Each {
                value: Box::new(self.shape(value)?),
                name_format: schema["propertyNames"]["format"].as_str().map(str::to_owned),
            },
        };
        let unknown = match schema["x-unknown"].as_str() {
            None => UnknownKeyEffect::Ours,
            Some("crash") => UnknownKeyEffect::Crash,
            Some("section") => UnknownKeyEffect::SectionIgnored,
            Some("key") => UnknownKeyEffect::KeyIgnored,
            Some("dropped") => UnknownKeyEffect::KeyDropped,
            Some(other) => return Err(Unreadable(format!("x-unknown = {other}"))),
        };
        let names = schema["required"].as_array().into_iter().flatten();
        let required = names.filter_map(Json::as_str).map(str::to_owned).collect();
        Ok(TableShape { keys, required, other, unknown })
    }

    fn key(&self, schema: &'a Json) -> Result<Key> {
        let text = |name: &str| schema[name].as_str().map(str::to_owned);
        let aliases = schema["x-aliases"].as_object().into_iter().flatten();
        Ok(Key {
            shape: self.shape(schema)?,
            nullable: is_nullable(schema),
            ignored: text("x-ignored"),
            since: text("x-since"),
            aliases: aliases.filter_map(|(from, to)| Some((from.clone(), to.as_str()?.to_owned()))).collect(),
            otherwise: text("x-otherwise"),
            not_empty: text("x-not-empty"),
            variable: text("x-variable"),
            file: text("x-file"),
        })
    }
}

/// `"string"` of `"string"` and of `["string", "null"]`.
fn type_name(schema: &Json) -> Option<&str> {
    match schema {
        Json::String(name) => Some(name),
        Json::Array(names) => names.iter().filter_map(Json::as_str).find(|name| *name != "null"),
        _ => None,
    }
}

fn is_nullable(schema: &Json) -> bool {
    let null = |schema: &Json| schema["type"] == "null";
    schema["type"].as_array().is_some_and(|names| names.iter().any(|name| name == "null"))
        || schema["anyOf"].as_array().is_some_and(|options| options.iter().any(null))
}

/// The others of `anyOf: [X, Y, null]`.
fn without_null(any_of: &Json) -> Vec<&Json> {
    let options = any_of.as_array().into_iter().flatten();
    options.filter(|option| option["type"] != "null").collect()
}

/// The texts of `enum: […]` and of `oneOf: [{ const: … }, …]`.
fn allowed_texts(schema: &Json) -> Option<Vec<String>> {
    let text = |value: &Json| value.as_str().map(str::to_owned);
    if let Some(constant) = text(&schema["const"]) {
        return Some(vec![constant]);
    }
    if let Some(values) = schema["enum"].as_array() {
        return values.iter().filter(|value| !value.is_null()).map(text).collect();
    }
    let options = schema["oneOf"].as_array()?;
    let lists: Option<Vec<Vec<String>>> = options.iter().map(allowed_texts).collect();
    Some(lists?.concat())
}

fn integer(schema: &Json) -> Shape {
    let (low, high) = match schema["format"].as_str() {
        Some("uint16") => (0, i64::from(u16::MAX)),
        Some("uint32") => (0, i64::from(u32::MAX)),
        Some("int32") => (i64::from(i32::MIN), i64::from(i32::MAX)),
        _ => (i64::MIN, i64::MAX),
    };
    Shape::Integer {
        min: schema["minimum"].as_i64().unwrap_or(low).max(low),
        max: schema["maximum"].as_i64().unwrap_or(high).min(high),
    }
}

impl Shape {
    /// What it is called in a message: `a string`.
    pub(crate) fn noun(&self) -> String {
        let noun = match self {
            Shape::Any => "any value",
            Shape::Boolean => "a boolean",
            Shape::Integer { .. } => "an integer",
            Shape::Number => "a number",
            Shape::Text { .. } => "a string",
            Shape::List(_) => "an array",
            Shape::Table(_) => "a table",
            Shape::Reference { .. } => "a string or a secret reference",
            Shape::Either(several) => {
                return several.iter().map(Shape::noun).collect::<Vec<_>>().join(" or ");
            }
        };
        noun.to_owned()
    }

    /// The table that it is or can be.
    pub(crate) fn as_table(&self) -> Option<&TableShape> {
        match self {
            Shape::Table(table) => Some(table),
            Shape::Either(several) => several.iter().find_map(Shape::as_table),
            _ => None,
        }
    }

    /// What the items of the list are that it is or can be.
    pub(crate) fn as_list(&self) -> Option<&Shape> {
        match self {
            Shape::List(inner) => Some(inner),
            Shape::Either(several) => several.iter().find_map(Shape::as_list),
            _ => None,
        }
    }
}

impl TableShape {
    /// The shape of what stands under `name`, where the table has or allows it.
    pub(crate) fn inner(&self, name: &str) -> Option<&Shape> {
        if let Some(key) = self.keys.get(name) {
            return Some(&key.shape);
        }
        match &self.other {
            Other::Each { value, .. } => Some(value),
            Other::Free => Some(&Shape::Any),
            Other::Refused => None,
        }
    }
}

/// The whole config.toml.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema is used: tables are typed one by one")]
struct ConfigFile {
    /// The cluster that handsctl makes or uses.
    cluster: handsctl::Cluster,
    /// What is deployed, and how.
    deploy: handsctl::Deploy,
    #[serde(flatten)]
    openhands: openhands::OpenHands,
}

/// JSON Schema (draft 2020-12) of config.toml, made from the types that parse it.
#[must_use]
pub fn json_schema() -> serde_json::Value {
    let mut schema = schemars::schema_for!(ConfigFile);
    // Every table may be absent.
    schema.remove("required");
    schema.insert("additionalProperties".to_owned(), false.into());
    schema.insert("title".to_owned(), "config.toml of OpenHands and handsctl".into());
    schema.to_value()
}

/// The schema as the checker walks it.
pub(crate) fn schema_shape() -> std::result::Result<std::sync::Arc<TableShape>, Error> {
    read(&json_schema())
        .map(std::sync::Arc::new)
        .map_err(|error| Error::internal("cannot read the schema").caused_by(error))
}
