//! Masks secret values. The data of a Secret is never shown; copies of it in other places, such as an annotation or a
//! message of the API server, are replaced.

use std::collections::BTreeSet;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::pointer::FieldPointer;

/// Replaces each copy of a secret value.
const HIDDEN: &str = "(hidden)";
/// The minimum length of a masked value. Masking every `1` or `true` would make the output unreadable and protect
/// nothing.
const MIN_LENGTH: usize = 5;

/// The values of all Secrets in a comparison, as plain text and in base64.
#[derive(Clone, Default)]
pub struct Mask(BTreeSet<String>);

impl fmt::Debug for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mask(redacted)")
    }
}

impl Mask {
    /// Collects the values of the Secrets among these objects.
    #[must_use]
    pub fn from_objects<'a>(objects: impl IntoIterator<Item = &'a Value>) -> Self {
        let mut values = BTreeSet::new();
        for secret in objects.into_iter().filter(|object| object["kind"] == "Secret") {
            for encoded in secret["data"].as_object().into_iter().flat_map(|data| data.values()) {
                let Some(encoded) = encoded.as_str() else { continue };
                let decoded = STANDARD.decode(encoded).ok().and_then(|bytes| String::from_utf8(bytes).ok());
                values.extend(decoded.map(|text| text.trim().to_owned()));
                values.insert(encoded.to_owned());
            }
            let texts = secret["stringData"].as_object().into_iter().flat_map(|data| data.values());
            for text in texts.filter_map(Value::as_str) {
                values.insert(STANDARD.encode(text));
                values.insert(text.trim().to_owned());
            }
        }
        values.retain(|value| value.len() >= MIN_LENGTH);
        Self(values)
    }

    /// Masks the copies of secrets in a text.
    #[must_use]
    pub fn text(&self, text: &str) -> String {
        // Longer values first: a value may contain a shorter one, and its rest would stay visible.
        let mut values: Vec<&String> = self.0.iter().filter(|value| text.contains(value.as_str())).collect();
        values.sort_by_key(|value| std::cmp::Reverse(value.len()));
        values.into_iter().fold(text.to_owned(), |text, value| text.replace(value.as_str(), HIDDEN))
    }

    /// Masks the copies of secrets in a value.
    #[must_use]
    pub fn value(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(text)),
            Value::Array(items) => items.iter().map(|item| self.value(item)).collect(),
            Value::Object(map) => {
                Value::Object(map.iter().map(|(key, value)| (key.clone(), self.value(value))).collect())
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
        }
    }
}

/// Returns whether a field of an object of this kind is never shown.
pub(super) fn hides(kind: &str, path: &FieldPointer) -> bool {
    kind == "Secret" && (path.is_under(&["data"]) || path.is_under(&["stringData"]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn copies_of_a_secret_are_masked() {
        let secret = json!({ "kind": "Secret", "data": { "A": STANDARD.encode("sk-12345"), "B": "MQ==" } });
        let mask = Mask::from_objects([&secret, &json!({ "kind": "ConfigMap", "data": { "A": "openly" } })]);
        let encoded = STANDARD.encode("sk-12345");
        assert_eq!(mask.text(&format!("a sk-12345 b {encoded} openly 1")), "a (hidden) b (hidden) openly 1");
        assert_eq!(mask.value(&json!([{ "a": "sk-12345" }, 1])), json!([{ "a": "(hidden)" }, 1]));
        assert_eq!(format!("{mask:?}"), "Mask(redacted)");
    }
}
