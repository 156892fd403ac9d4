//! The JSON Schema of config.toml, generated from the types that parse it, and its form as a tree that is easy to walk.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde_json::Value as Json;

use crate::error::Error;
use crate::settings::format::by_name;
use crate::settings::{handsctl, openhands};

/// The shape of a value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Shape {
    /// Any value.
    Any,
    /// `true` or `false`.
    Boolean,
    /// A whole number within bounds.
    Integer { min: i64, max: i64 },
    /// A number.
    Number,
    /// A string, perhaps with a format or one of some allowed strings.
    Text { format: Option<String>, allowed: Vec<String> },
    /// A list of values of one shape.
    List(Box<Shape>),
    /// A table.
    Table(TableShape),
    /// One of several shapes, depending on the type of the value.
    Either(Vec<Shape>),
    /// A string or a reference to a secret; `secret`: the string is a secret as well.
    Reference { secret: bool },
}

/// The keys of a table.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TableShape {
    pub keys: BTreeMap<String, Key>,
    /// Required keys.
    pub required: Vec<String>,
    pub other: OtherKeys,
    pub unknown_key_effect: UnknownKeyEffect,
}

/// How a table treats keys that it does not list.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum OtherKeys {
    Rejected,
    Free,
    Each { value: Box<Shape>, name_format: Option<String> },
}

/// How the application treats a table with an unknown key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UnknownKeyEffect {
    /// Not at all: the table is handsctl's own.
    Handsctl,
    /// It crashes at start.
    Crash,
    /// It logs a warning and ignores the whole table.
    SectionIgnored,
    /// It logs a warning and uses the other keys, without checking their types.
    KeyIgnored,
    /// It silently uses the other keys; a value of a wrong type crashes it.
    KeyDropped,
}

/// A key with its schema keywords.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Key {
    pub shape: Shape,
    /// Whether an empty text means that the key is not set.
    pub nullable: bool,
    /// Why the Kubernetes runtime does not use the key.
    pub ignored: Option<String>,
    /// First version of the application that supports the key.
    pub since: Option<String>,
    /// Common misspellings of allowed values, with the value that is meant.
    pub aliases: BTreeMap<String, String>,
    /// How the application treats a value that is not allowed.
    pub invalid_value_effect: Option<String>,
    /// Why the value may not be empty.
    pub not_empty: Option<String>,
    /// Environment variable of the application that receives a secret of handsctl's own tables.
    pub variable: Option<String>,
    /// File of the application that receives a secret of handsctl's own tables.
    pub file: Option<String>,
}

impl Key {
    /// Whether an empty text means that the key is not set: it cannot be a value, or the value is never intended. An
    /// empty text of a nullable key means the same, but the application reads it so itself.
    pub(crate) fn is_unset_by_empty_text(&self) -> bool {
        match &self.shape {
            _ if self.not_empty.is_some() => true,
            Shape::Text { allowed, .. } if !allowed.is_empty() => true,
            Shape::Text { format: Some(format), .. } if !self.nullable => {
                matches!(by_name::check(format, ""), Some(Err(_)))
            }
            Shape::List(item) => !item.admits(),
            Shape::Boolean | Shape::Integer { .. } | Shape::Number => true,
            _ => false,
        }
    }
}

/// A part of the JSON Schema that this module does not support.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct UnsupportedSchema(String);

impl std::fmt::Display for UnsupportedSchema {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "cannot read the schema of config.toml at {}", self.0)
    }
}
impl std::error::Error for UnsupportedSchema {}

type Result<T> = std::result::Result<T, UnsupportedSchema>;

/// Converts the whole schema.
pub(crate) fn read(schema: &Json) -> Result<TableShape> {
    let reader = Reader { definitions: &schema["$defs"] };
    match reader.shape(schema)? {
        Shape::Table(table) => Ok(table),
        _ => Err(UnsupportedSchema("its root".to_owned())),
    }
}

struct Reader<'a> {
    definitions: &'a Json,
}

impl<'a> Reader<'a> {
    /// Follows `$ref`.
    fn resolve(&self, schema: &'a Json) -> Result<&'a Json> {
        match schema["$ref"].as_str() {
            None => Ok(schema),
            Some(reference) => reference
                .strip_prefix("#/$defs/")
                .and_then(|name| self.definitions.get(name))
                .ok_or_else(|| UnsupportedSchema(reference.to_owned())),
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
            shapes => {
                return shapes.iter().map(|one| self.shape(one)).collect::<Result<_>>().map(Shape::Either);
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
            _ => Err(UnsupportedSchema(schema.to_string())),
        }
    }

    fn table(&self, schema: &'a Json) -> Result<TableShape> {
        let mut keys = BTreeMap::new();
        for (name, key) in schema["properties"].as_object().into_iter().flatten() {
            keys.insert(name.clone(), self.key(key)?);
        }
        let other = match &schema["additionalProperties"] {
            Json::Bool(true) => OtherKeys::Free,
            Json::Null | Json::Bool(false) => OtherKeys::Rejected,
            value => OtherKeys::Each {
                value: Box::new(self.shape(value)?),
                name_format: schema["propertyNames"]["format"].as_str().map(str::to_owned),
            },
        };
        let unknown = match schema["x-unknown"].as_str() {
            None => UnknownKeyEffect::Handsctl,
            Some("crash") => UnknownKeyEffect::Crash,
            Some("section") => UnknownKeyEffect::SectionIgnored,
            Some("key") => UnknownKeyEffect::KeyIgnored,
            Some("dropped") => UnknownKeyEffect::KeyDropped,
            Some(other) => return Err(UnsupportedSchema(format!("x-unknown = {other}"))),
        };
        let names = schema["required"].as_array().into_iter().flatten();
        let required = names.filter_map(Json::as_str).map(str::to_owned).collect();
        Ok(TableShape { keys, required, other, unknown_key_effect: unknown })
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
            invalid_value_effect: text("x-otherwise"),
            not_empty: text("x-not-empty"),
            variable: text("x-variable"),
            file: text("x-file"),
        })
    }
}

/// Returns `"string"` for `"string"` and for `["string", "null"]`.
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

/// Returns X and Y of `anyOf: [X, Y, null]`.
fn without_null(any_of: &Json) -> Vec<&Json> {
    let options = any_of.as_array().into_iter().flatten();
    options.filter(|option| option["type"] != "null").collect()
}

/// Returns the strings of `enum: […]` and of `oneOf: [{ const: … }, …]`.
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
    /// The noun of the shape in messages: `a string`.
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
            Shape::Either(shapes) => {
                return shapes.iter().map(Shape::noun).collect::<Vec<_>>().join(" or ");
            }
        };
        noun.to_owned()
    }

    /// Whether an item of a list with this shape is an address or a namespace whose connections are accepted. Such a list
    /// has no empty text: a list that becomes empty would admit everybody.
    pub(crate) fn admits(&self) -> bool {
        let Shape::Text { format: Some(format), .. } = self else { return false };
        matches!(format.as_str(), "ip-range" | "dns-label")
    }

    /// The table that the shape is or allows.
    pub(crate) fn as_table(&self) -> Option<&TableShape> {
        match self {
            Shape::Table(table) => Some(table),
            Shape::Either(shapes) => shapes.iter().find_map(Shape::as_table),
            _ => None,
        }
    }

    /// The shape of the items, if the shape is or allows a list.
    pub(crate) fn as_list(&self) -> Option<&Shape> {
        match self {
            Shape::List(inner) => Some(inner),
            Shape::Either(shapes) => shapes.iter().find_map(Shape::as_list),
            _ => None,
        }
    }
}

impl TableShape {
    /// The shape of the value under `name`, if the table lists or allows the key.
    pub(crate) fn inner(&self, name: &str) -> Option<&Shape> {
        if let Some(key) = self.keys.get(name) {
            return Some(&key.shape);
        }
        match &self.other {
            OtherKeys::Each { value, .. } => Some(value),
            OtherKeys::Free => Some(&Shape::Any),
            OtherKeys::Rejected => None,
        }
    }
}

/// The whole config.toml.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema is used: tables are typed one by one")]
struct ConfigFile {
    /// Cluster that handsctl creates or uses.
    cluster: handsctl::Cluster,
    /// Objects that handsctl deploys, and how it rolls them out.
    deploy: handsctl::Deploy,
    #[serde(flatten)]
    openhands: openhands::OpenHands,
}

/// Returns the JSON Schema (draft 2020-12) of config.toml, generated from the types that parse it.
#[must_use]
pub fn json_schema() -> serde_json::Value {
    let mut schema = schemars::schema_for!(ConfigFile);
    // Every table is optional.
    schema.remove("required");
    schema.insert("additionalProperties".to_owned(), false.into());
    schema.insert("title".to_owned(), "config.toml of OpenHands and handsctl".into());
    schema.to_value()
}

/// Returns the schema in the form that `check` walks.
pub(crate) fn schema_shape() -> std::result::Result<std::sync::Arc<TableShape>, Error> {
    read(&json_schema())
        .map(std::sync::Arc::new)
        .map_err(|error| Error::internal("cannot read the schema").caused_by(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_that_admit_have_no_empty_text() {
        let schema = schema_shape().expect("schema");
        let deploy = schema.inner("deploy").and_then(Shape::as_table).expect("table");
        let lists = deploy.keys.iter().filter(|(_, key)| matches!(key.shape, Shape::List(_)));
        let (unset, kept): (Vec<_>, Vec<_>) = lists.partition(|(_, key)| key.is_unset_by_empty_text());
        let names: Vec<&str> = kept.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["client_namespaces", "source_ranges"]);
        assert!(unset.iter().any(|(name, _)| *name == "image_pull_secrets"));
    }
}
