//! Secrets, and values that may be secrets.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

const REDACTED: &str = "(redacted)";

/// A secret string. It prints as `(redacted)`; only [`Redacted::expose`] returns it.
#[derive(Clone, PartialEq, Eq)]
pub struct Redacted(String);

impl Redacted {
    /// Wraps a secret.
    #[must_use]
    pub fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }

    /// Returns the secret itself: only for the Secret's data.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Redacted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl fmt::Display for Redacted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl Serialize for Redacted {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(REDACTED)
    }
}

impl<'de> Deserialize<'de> for Redacted {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self)
    }
}

/// A reference to a secret: where to read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum Reference {
    /// An environment variable of handsctl.
    Env {
        /// Name of the variable.
        env: String,
    },
    /// A file on this computer; one line break at its end does not belong to the secret.
    File {
        /// Path, relative to the file that names it; `-` is standard input.
        file: String,
    },
    /// A Secret that already exists in the application's namespace.
    Secret {
        /// Name of the Secret.
        secret: String,
        /// Key in its data.
        key: String,
    },
}

impl Reference {
    /// The keys of each of the three forms.
    pub const FORMS: &'static [&'static [&'static str]] = &[&["env"], &["file"], &["secret", "key"]];
    /// The path that means standard input.
    pub const STANDARD_INPUT: &'static str = "-";
}

/// A value of `[deploy].env`: a string, or a reference to a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// A string that is not a secret.
    Plain(String),
    /// A reference to a secret.
    Reference(Reference),
}

/// A secret key of OpenHands: a literal, or a reference to a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Secret {
    /// Written in the config file.
    Literal(Redacted),
    /// A reference to a secret.
    Reference(Reference),
}

/// The source of the secret in a container's environment variable or file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// The value goes into a Secret of the set.
    Value(Redacted),
    /// The same, but its variables and files were not read: `render` needs no secret, and `diff` compares without those
    /// that are not available.
    NotRead(Vec<Reference>),
    /// The container reads a Secret that already exists.
    Reference {
        /// Name of the Secret, in the application's namespace.
        secret: String,
        /// Key in its data.
        key: String,
    },
}

/// Names the source of the value, never the value.
impl std::fmt::Display for SecretSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Value(_) => f.write_str("the configuration"),
            Self::NotRead(references) => {
                let sources: Vec<String> = references.iter().map(ToString::to_string).collect();
                f.write_str(&sources.join(", "))
            }
            Self::Reference { secret, key } => write!(f, "secret/{secret}, key {key}"),
        }
    }
}

/// Names the variable, file or Secret.
impl std::fmt::Display for Reference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Env { env } => write!(f, "environment variable {env}"),
            Self::File { file } if file == Self::STANDARD_INPUT => f.write_str("standard input"),
            Self::File { file } => write!(f, "file {file}"),
            Self::Secret { secret, key } => write!(f, "secret/{secret}, key {key}"),
        }
    }
}

/// Schema of a string or one of the three forms; `x-reference` names the type for `load/check`.
fn reference_schema(text: &str) -> Schema {
    json_schema!({
        "x-reference": text,
        "anyOf": [
            { "type": "string" },
            {
                "type": "object", "required": ["env"], "additionalProperties": false,
                "properties": { "env": { "type": "string", "description": "Name of an environment variable of handsctl." } }
            },
            {
                "type": "object", "required": ["file"], "additionalProperties": false,
                "properties": { "file": { "type": "string", "description": "Path, relative to this file; `-` is standard input." } }
            },
            {
                "type": "object", "required": ["secret", "key"], "additionalProperties": false,
                "properties": {
                    "secret": { "type": "string", "description": "Name of a Secret in the application's namespace." },
                    "key": { "type": "string", "description": "Key in the Secret's data." }
                }
            }
        ]
    })
}

impl JsonSchema for Value {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Value".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        reference_schema("value")
    }
}

impl JsonSchema for Secret {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Secret".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        reference_schema("secret")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_prints_as_redacted() {
        let secret = Secret::Literal(Redacted::new("sk-1"));
        assert_eq!(format!("{secret:?}"), "Literal((redacted))");
        assert_eq!(serde_json::to_string(&secret).expect("json"), "\"(redacted)\"");
        assert_eq!(Redacted::new("sk-1").to_string(), "(redacted)");
        assert_eq!(Redacted::new("sk-1").expose(), "sk-1");
    }

    #[test]
    fn value_parses_complete_reference_forms() {
        let read = |text: &str| serde_json::from_str::<Value>(text).ok();
        let env = Reference::Env { env: "A".into() };
        assert_eq!(read(r#"{"env": "A"}"#), Some(Value::Reference(env)));
        assert_eq!(read(r#""text""#), Some(Value::Plain("text".into())));
        assert_eq!(read(r#"{"secret": "a"}"#), None);
        assert_eq!(read(r#"{"env": "A", "file": "b"}"#), None);
    }
}
