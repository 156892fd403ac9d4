//! Secrets, and values that may be secrets.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

const REDACTED: &str = "(redacted)";
/// Endings of the variables whose value the application sends in a header.
const HEADER_ENDINGS: &[&str] = &["API_KEY", "_TOKEN", "_KEY", "KEY_ID", "_PAT"];
/// Names of keys in lists and tables of the application, for the same use.
const HEADER_NAMES: &[&str] = &["TOKEN", "PAT"];
/// The same endings for a part of a list or table, whose other keys may be those of SSH or of a service account.
const PART_ENDINGS: &[&str] = &["API_KEY", "_TOKEN", "_PAT"];
/// Beginnings of secrets that are files of several lines: PEM and JSON.
const FILE_STARTS: &[&str] = &["-----BEGIN", "{"];

/// A secret string. It prints as `(redacted)`; only [`Redacted::expose`] returns it.
#[derive(Clone, PartialEq, Eq)]
pub struct Redacted(String);

impl Redacted {
    /// Wraps a secret.
    #[must_use]
    pub fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }

    /// Wraps a secret as its source has it: without line breaks at its ends and without byte order marks, which editors
    /// and shells add. The application would send them with every request.
    #[must_use]
    pub fn trimmed(secret: &str) -> Self {
        Self(secret.trim_matches(['\r', '\n', '\u{feff}']).to_owned())
    }

    /// Checks a secret that becomes the variable `name` of the application. White space in an API key or token is a
    /// mistake: HTTP clients reject it as a header, at the first prompt.
    ///
    /// # Errors
    /// The position of the character, never the secret.
    pub fn checked(self, name: &str) -> Result<Self, String> {
        let is_header = is_header(name, HEADER_ENDINGS) && !words(name).ends_with("PRIVATE_KEY");
        self.checked_if(is_header)
    }

    /// Checks a secret that becomes the key `name` in a list or table of the application: variables of sandboxes and MCP
    /// servers, which are often no headers.
    ///
    /// # Errors
    /// The position of the character, never the secret.
    pub fn checked_part(self, name: &str) -> Result<Self, String> {
        let is_file = FILE_STARTS.iter().any(|start| self.0.starts_with(start));
        self.checked_if(is_header(name, PART_ENDINGS) && !is_file)
    }

    fn checked_if(self, is_header: bool) -> Result<Self, String> {
        let is_invisible = |c: char| {
            c.is_whitespace()
                || c.is_control()
                || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}')
        };
        match self.0.chars().position(is_invisible).filter(|_| is_header) {
            Some(at) => Err(format!("character {} is white space or a control character", at + 1)),
            None => Ok(self),
        }
    }

    /// Returns the secret itself: only for the Secret's data.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// Whether the application sends the value of this name in a header.
fn is_header(name: &str, endings: &[&str]) -> bool {
    let name = words(name);
    endings.iter().any(|ending| name.ends_with(ending)) || HEADER_NAMES.contains(&name.as_str())
}

/// Returns a name in capitals, with `_` between its words.
fn words(name: &str) -> String {
    name.to_ascii_uppercase().replace('-', "_")
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
    /// A text instead of the value, for a simulated cluster: no container runs there, and its etcd has no protection.
    Placeholder,
    /// The container reads a Secret that already exists.
    Reference {
        /// Name of the Secret, in the application's namespace.
        secret: String,
        /// Key in its data.
        key: String,
    },
}

impl SecretSource {
    /// The value of a placeholder.
    pub const PLACEHOLDER: &str = "handsctl stores no secret in its simulated clusters";
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
            Self::Placeholder => f.write_str("a placeholder"),
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
    fn line_breaks_and_marks_at_the_ends_are_trimmed() {
        for text in ["sk-1\r", "sk-1\r\n", "\u{feff}sk-1\n\n", "\nsk-1", "\u{feff}sk-1\u{feff}"] {
            assert_eq!(Redacted::trimmed(text).expose(), "sk-1", "{text:?}");
        }
    }

    #[test]
    fn white_space_inside_of_a_key_is_an_error() {
        for text in ["sk 1", "sk-1 ", " sk-1", "sk\t1", "sk\r1", "sk\u{feff}1", "sk\u{200b}1", "sk\u{7}1"] {
            for name in ["LLM_API_KEY", "GITHUB_TOKEN", "aws_access_key_id", "token", "X-Api-Key"] {
                let reason = Redacted::new(text).checked(name).expect_err(text);
                assert!(reason.starts_with("character ") && !reason.contains("sk"), "{reason}");
            }
            assert!(Redacted::new(text).checked("DB_PASS").is_ok(), "a password may contain a blank");
            assert!(Redacted::new(text).checked("TLS_PRIVATE_KEY").is_ok(), "a key file has several lines");
        }
        assert!(Redacted::new("sk-ÄÖÜ/+=").checked("LLM_API_KEY").is_ok());
    }

    #[test]
    fn keys_that_are_no_headers_may_be_files_in_a_list_or_table() {
        let pem = "-----BEGIN OPENSSH PRIVATE KEY-----\nMII\n-----END OPENSSH PRIVATE KEY-----";
        for (name, text) in [
            ("SSH_KEY", pem),
            ("DEPLOY_KEY", pem),
            ("DEPLOY_TOKEN", pem),
            ("GCP_SA_KEY", "{\n  \"type\": \"service_account\"\n}"),
            ("GCP_API_KEY", "{ \"type\": \"service_account\" }"),
            ("SIGNING_KEY", "a b"),
            ("AWS_ACCESS_KEY_ID", "a b"),
            ("COMPAT", "a b"),
        ] {
            assert!(Redacted::new(text).checked_part(name).is_ok(), "{name}");
        }
        for name in ["LLM_API_KEY", "X-Api-Key", "api_key", "GITHUB_TOKEN", "token", "AZURE_DEVOPS_PAT"] {
            let reason = Redacted::new("sk 1").checked_part(name).expect_err(name);
            assert!(reason.starts_with("character 3 "), "{reason}");
        }
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
