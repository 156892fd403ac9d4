//! Secrets that an object has in clear text, where everybody who reads the object reads them. Pure.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Number, Value};

use super::labels::SECRETS;
use super::secret_name::is_sensitive;
use super::secret_value::{is_reference, is_secret};
use super::{assignment, mask};

/// The copy of a manifest that kubectl keeps in an annotation.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// A secret that an object has in clear text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiteralSecret {
    /// The path of its field: `spec.containers[name=\"a\"].args[1]`.
    pub field: String,
    /// What the field is.
    pub role: FieldRole,
    /// The secret.
    value: String,
}

impl LiteralSecret {
    /// Returns the secret, to hide its copies.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.value
    }
}

/// What the field with a secret is; it decides what its owner can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FieldRole {
    /// A value of a ConfigMap.
    ConfigMap,
    /// A variable of a container.
    Variable,
    /// A word of a container's command line.
    Argument,
    /// A header that a probe sends.
    Header,
    /// An annotation.
    Annotation,
    /// Another field.
    Field,
}

/// Returns the secrets that an object has in clear text.
#[must_use]
pub fn literal_secrets(object: &Value) -> Vec<LiteralSecret> {
    let kind = object["kind"].as_str().unwrap_or_default();
    let mut walk = Walk { kind, found: Vec::new(), replacement: |_| mask::REDACTED.to_owned() };
    let _masked = walk.value(&Field::default(), object, None);
    walk.found
}

/// Returns the same of a manifest, unless its owner has said in an annotation that it has none.
#[must_use]
pub fn of_manifest(manifest: &Value) -> Vec<LiteralSecret> {
    let is_free = manifest["metadata"]["annotations"][SECRETS] == "none";
    if is_free { Vec::new() } else { literal_secrets(manifest) }
}

/// Returns an object of this kind with each of its secrets masked.
#[must_use]
pub fn masked(kind: &str, object: &Value) -> Value {
    replaced(kind, object, |_| mask::REDACTED.to_owned())
}

/// Separates the mask from what tells one secret from another.
const SEAL: char = '\0';

/// The same, but values that differ still do. [`unsealed`] returns the masked value.
#[must_use]
pub fn sealed(kind: &str, object: &Value) -> Value {
    replaced(kind, object, |secret| {
        use std::hash::{DefaultHasher, Hash as _, Hasher as _};
        let mut hasher = DefaultHasher::new();
        secret.hash(&mut hasher);
        format!("{}{SEAL}{:016x}{SEAL}", mask::REDACTED, hasher.finish())
    })
}

/// Removes what tells one sealed value from another.
#[must_use]
pub fn unsealed(text: &str) -> String {
    let mut parts = text.split(SEAL);
    let first = parts.next().unwrap_or_default().to_owned();
    // Each second part is a seal.
    parts.skip(1).step_by(2).fold(first, |shown, part| shown + part)
}

fn replaced(kind: &str, object: &Value, replacement: fn(&str) -> String) -> Value {
    Walk { kind, found: Vec::new(), replacement }.value(&Field::default(), object, None)
}

/// The field that the walk has reached.
#[derive(Debug, Clone, Default)]
struct Field {
    path: String,
    /// The key of the field, or of the list that it is an item of.
    key: String,
    /// The field `name` beside it.
    name: Option<String>,
    part: Part,
}

/// The part of an object that a field is in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Part {
    /// The names of the object, of its namespace and its owners.
    Identity,
    /// The data of a ConfigMap.
    Data,
    /// The same in base64.
    BinaryData,
    /// The data of a Secret, which are never shown.
    SecretData,
    Annotations,
    Variables,
    Headers,
    CommandLine,
    #[default]
    Other,
}

impl Part {
    /// Whether every value of the part is a text.
    const fn is_of_texts(self) -> bool {
        matches!(self, Self::Data | Self::Variables | Self::CommandLine)
    }

    const fn role(self) -> FieldRole {
        match self {
            Self::Data | Self::BinaryData => FieldRole::ConfigMap,
            Self::Variables => FieldRole::Variable,
            Self::CommandLine => FieldRole::Argument,
            Self::Headers => FieldRole::Header,
            Self::Annotations => FieldRole::Annotation,
            Self::Identity | Self::SecretData | Self::Other => FieldRole::Field,
        }
    }
}

struct Walk<'a> {
    kind: &'a str,
    found: Vec<LiteralSecret>,
    /// Returns what replaces a secret.
    replacement: fn(&str) -> String,
}

impl Walk<'_> {
    /// Masks a value. `before` is the word before it on a command line.
    fn value(&mut self, field: &Field, value: &Value, before: Option<&str>) -> Value {
        match value {
            Value::Object(map) => self.map(field, map),
            Value::Array(items) => self.list(field, items),
            Value::String(text) => Value::String(self.text(field, text, before)),
            // A text without quotes: the API server would reject it, but it is shown before.
            Value::Number(number) if field.part.is_of_texts() => self.number(field, number, before),
            Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
        }
    }

    fn number(&mut self, field: &Field, number: &Number, before: Option<&str>) -> Value {
        let text = number.to_string();
        let masked = self.text(field, &text, before);
        if masked == text { Value::Number(number.clone()) } else { Value::String(masked) }
    }

    fn map(&mut self, field: &Field, map: &Map<String, Value>) -> Value {
        let name = map.get("name").and_then(Value::as_str);
        let inner = |key: &str| Field {
            path: path_of(&field.path, key),
            key: key.to_owned(),
            name: name.map(str::to_owned),
            part: self.part(field, key),
        };
        let fields: Vec<(Field, &Value)> = map.iter().map(|(key, value)| (inner(key), value)).collect();
        let masked = fields.into_iter().map(|(inner, value)| {
            let masked = self.value(&inner, value, None);
            (inner.key, masked)
        });
        Value::Object(masked.collect())
    }

    /// Returns the part that the field with this key is in.
    fn part(&self, above: &Field, key: &str) -> Part {
        match (self.kind, above.path.as_str(), key) {
            ("ConfigMap", "", "data") => Part::Data,
            ("ConfigMap", "", "binaryData") => Part::BinaryData,
            ("Secret", "", "data" | "stringData") => Part::SecretData,
            (_, "metadata", "name" | "namespace" | "uid" | "ownerReferences" | "managedFields") => {
                Part::Identity
            }
            _ if above.part != Part::Other => above.part,
            (_, "metadata", _) if key == "labels" => Part::Identity,
            (.., "annotations") => Part::Annotations,
            (.., "env") => Part::Variables,
            (.., "httpHeaders") => Part::Headers,
            (.., "args" | "command") => Part::CommandLine,
            _ => Part::Other,
        }
    }

    fn list(&mut self, field: &Field, items: &[Value]) -> Value {
        let mut before = None;
        let masked = items.iter().enumerate().map(|(index, item)| {
            let name = item.get("name").and_then(Value::as_str);
            let at = name.map_or_else(|| index.to_string(), |name| format!("name={}", Value::from(name)));
            let inner = Field { path: format!("{}[{at}]", field.path), ..field.clone() };
            let masked = self.value(&inner, item, before);
            before = item.as_str();
            masked
        });
        Value::Array(masked.collect())
    }

    /// Masks the secrets of a text.
    fn text(&mut self, field: &Field, text: &str, before: Option<&str>) -> String {
        let mut ranges = if is_whole_secret(field, text, before) {
            std::iter::once(0..text.len()).collect()
        } else {
            ranges_in(field, text)
        };
        ranges.sort_by_key(|range| range.start);
        let mut shown = String::new();
        let mut end = 0;
        for range in ranges {
            // Ranges that overlap are one secret.
            if range.start >= end {
                shown.push_str(&text[end..range.start]);
                shown.push_str(&(self.replacement)(&text[range.clone()]));
                let (field_path, role) = (field.path.clone(), field.part.role());
                let value = text[range.clone()].to_owned();
                self.found.push(LiteralSecret { field: field_path, role, value });
            }
            end = end.max(range.end);
        }
        shown + &text[end..]
    }
}

/// Whether the name of a text says that it is a secret.
fn is_whole_secret(field: &Field, text: &str, before: Option<&str>) -> bool {
    let is_secret_of = |name: &str| {
        // A header has no mode: `X-Auth: value`.
        let may_be_mode = field.part != Part::Headers;
        is_sensitive(name)
            && !is_reference(text)
            && !(may_be_mode && assignment::is_count_or_mode(name, text))
    };
    let has_secret_name = field.key == "value" && field.name.as_deref().is_some_and(is_secret_of);
    match field.part {
        Part::Identity | Part::SecretData => false,
        Part::Data => is_sensitive(&field.key) && is_whole_value(&field.key, text),
        Part::BinaryData => {
            let bytes = STANDARD.decode(text).unwrap_or_default();
            is_sensitive(&field.key) || std::str::from_utf8(&bytes).is_ok_and(assignment::has_secret)
        }
        Part::Annotations if field.key == LAST_APPLIED => {
            serde_json::from_str::<Value>(text).is_ok_and(|copy| !literal_secrets(&copy).is_empty())
        }
        Part::CommandLine => before.is_some_and(|before| assignment::is_flag_with_secret(before, text)),
        _ => has_secret_name || is_secret(&field.key, text),
    }
}

/// Whether a value of a ConfigMap is a secret as a whole, and not a file with other lines: `credentials`.
fn is_whole_value(key: &str, text: &str) -> bool {
    let is_file = text.trim_end().contains('\n');
    let is_name = !is_secret(key, text) && key.to_ascii_uppercase().ends_with("_KEY");
    !is_file && !is_reference(text) && !is_name && !assignment::is_count_or_mode(key, text)
}

/// Returns the ranges of the secrets that a text has among other words.
fn ranges_in(field: &Field, text: &str) -> Vec<std::ops::Range<usize>> {
    match field.part {
        Part::Identity | Part::SecretData | Part::BinaryData => Vec::new(),
        _ if is_name(&field.key) => Vec::new(),
        _ => assignment::ranges(text),
    }
}

/// Whether a field has the name of an object.
fn is_name(key: &str) -> bool {
    key == "name" || key == "namespace" || key.ends_with("Name")
}

fn path_of(above: &str, key: &str) -> String {
    let is_plain = !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-'));
    match (above, is_plain) {
        ("", true) => key.to_owned(),
        (above, true) => format!("{above}.{key}"),
        (above, false) => format!("{above}[{}]", Value::from(key)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fields(object: &Value) -> Vec<(String, FieldRole)> {
        literal_secrets(object).into_iter().map(|secret| (secret.field, secret.role)).collect()
    }

    #[test]
    fn values_of_a_config_map_are_found() {
        let map = json!({ "kind": "ConfigMap", "metadata": { "name": "password" }, "data": {
            "password": "planted-1", "db.json": "{\"password\": \"planted-2\"}", "harmless": "ghp_0123456789abcdef",
            "url": "postgres://me:planted-3@db", "app.yaml": "a: b\ntoken: planted-4\n", "tls_key": "other-name",
            "ca.crt": "-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----", "mode": "fast",
        }, "binaryData": { "b": STANDARD.encode("API_KEY=planted-5"), "c": STANDARD.encode("mode") } });
        let found = fields(&map);
        let expected = [
            "binaryData.b",
            "data[\"app.yaml\"]",
            "data[\"db.json\"]",
            "data.harmless",
            "data.password",
            "data.url",
        ];
        let mut names: Vec<&str> = found.iter().map(|(field, _)| field.as_str()).collect();
        names.sort_by_key(|name| name.replace(['[', '.', '\"'], " "));
        assert_eq!(names, expected);
        assert!(found.iter().all(|(_, role)| *role == FieldRole::ConfigMap), "{found:?}");
        let masked = masked("ConfigMap", &map).to_string();
        assert!(!masked.contains("planted-") && !masked.contains("ghp_"), "{masked}");
        assert!(
            masked.contains("me:(redacted)@db") && masked.contains("a: b\\ntoken: (redacted)"),
            "{masked}"
        );
    }

    #[test]
    fn places_of_a_pod_are_found() {
        let probe = json!({ "httpGet": { "path": "/a?token=planted-1", "httpHeaders": [
            { "name": "Authorization", "value": "Bearer planted-2" }, { "name": "Accept", "value": "*/*" }] } });
        let pod = json!({ "kind": "Pod", "metadata": { "name": "a", "annotations": {
            "example.org/api-token": "planted-3", "example.org/url": "https://me:planted-4@h",
            LAST_APPLIED: "{\"kind\":\"ConfigMap\",\"data\":{\"password\":\"planted-5\"}}" } },
            "spec": { "containers": [{ "name": "c", "livenessProbe": probe,
                "env": [{ "name": "DB_PASSWORD", "value": "planted-6" }, { "name": "A", "value": "sk-planted/4711" },
                    { "name": "B_TOKEN", "value": "$(C)" },
                    { "name": "C", "valueFrom": { "secretKeyRef": { "name": "s", "key": "password" } } }],
                "command": ["sh", "-c", "run --token planted-7 -v"],
                "args": ["--password=planted-8", "--token", "planted-9", "Authorization: Bearer planted-10", "--x"] }] } });
        let found = fields(&pod);
        let at = |field: &str, role: FieldRole| {
            assert!(found.contains(&(field.to_owned(), role)), "{field} of {found:?}");
        };
        at("metadata.annotations[\"example.org/api-token\"]", FieldRole::Annotation);
        at("metadata.annotations[\"example.org/url\"]", FieldRole::Annotation);
        at(&format!("metadata.annotations[\"{LAST_APPLIED}\"]"), FieldRole::Annotation);
        let container = "spec.containers[name=\"c\"]";
        at(&format!("{container}.livenessProbe.httpGet.path"), FieldRole::Field);
        at(
            &format!("{container}.livenessProbe.httpGet.httpHeaders[name=\"Authorization\"].value"),
            FieldRole::Header,
        );
        at(&format!("{container}.env[name=\"DB_PASSWORD\"].value"), FieldRole::Variable);
        at(&format!("{container}.env[name=\"A\"].value"), FieldRole::Variable);
        at(&format!("{container}.command[2]"), FieldRole::Argument);
        for index in [0, 2, 3] {
            at(&format!("{container}.args[{index}]"), FieldRole::Argument);
        }
        assert_eq!(found.len(), 11, "{found:?}");
        let masked = masked("Pod", &pod).to_string();
        assert!(!masked.contains("planted"), "{masked}");
    }

    #[test]
    fn names_and_references_are_no_secrets() {
        let resource = json!({ "kind": "Postgres", "metadata": { "name": "sk-team-aBcDeF0123456789012345" }, "spec": {
            "passwordSecretRef": { "name": "db", "key": "password" }, "tokenExpirationSeconds": 3600,
            "imagePullSecrets": [{ "name": "regcred" }], "tlsSecret": "my-tls", "secretName": "ghp_0123456789abcdef",
            "automountServiceAccountToken": false, "topologyKey": "kubernetes.io/hostname",
            "credentials": { "existingSecret": "creds" }, "image": "a/b:0.59@sha256:0123456789abcdef0123456789abcdef" } });
        assert_eq!(fields(&resource), []);
        let resource = json!({ "kind": "Postgres", "spec": { "password": "planted", "auth": { "clientSecret": "abc" } } });
        assert_eq!(fields(&resource).len(), 2);
    }

    #[test]
    fn counts_and_modes_are_no_secrets() {
        let env =
            [("MAX_BATCH_PREFILL_TOKENS", "4096"), ("GPU_TOKENS", "4096"), ("REGISTRY_AUTH", "htpasswd")];
        let env = env.into_iter().chain([("USE_JWT", "1"), ("ENABLE_OTP", "0")]);
        let env: Vec<Value> = env.map(|(name, value)| json!({ "name": name, "value": value })).collect();
        let pod = json!({ "kind": "Pod", "spec": { "containers": [{ "name": "c", "env": env }] } });
        assert_eq!(fields(&pod), []);
        let data = json!({ "GPU_TOKENS": "4096", "REGISTRY_AUTH": "htpasswd" });
        assert_eq!(fields(&json!({ "kind": "ConfigMap", "data": data })), []);
        let env = json!([{ "name": "BOT_TOKENS", "value": "one,two" }, { "name": "REGISTRY_AUTH", "value": "me:pass" },
            { "name": "PROXY_BASIC_AUTH", "value": "planted" }]);
        let pod = json!({ "kind": "Pod", "spec": { "containers": [{ "name": "c", "env": env }] } });
        assert_eq!(fields(&pod).len(), 3);
    }

    #[test]
    fn sealed_values_differ_and_show_nothing() {
        let map = |value: &str| json!({ "kind": "ConfigMap", "data": { "url": format!("a://b:{value}@c d://e:{value}@f") } });
        let (one, two) = (sealed("ConfigMap", &map("planted-1")), sealed("ConfigMap", &map("planted-2")));
        assert_ne!(one, two);
        assert_eq!(one, sealed("ConfigMap", &map("planted-1")));
        assert!(!one.to_string().contains("planted"));
        let shown = one["data"]["url"].as_str().map(unsealed);
        assert_eq!(shown.as_deref(), Some("a://b:(redacted)@c d://e:(redacted)@f"));
        assert_eq!(unsealed("plain"), "plain");
    }
}
