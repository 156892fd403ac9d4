//! Values that nobody may see. What stands in a Secret is never shown; a copy of it that stands somewhere else, in an
//! annotation or in a sentence of the server's, is blackened.

use std::collections::BTreeSet;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::pointer::FieldPointer;

/// What stands in the place of a copy.
const HIDDEN: &str = "(hidden)";
/// Shorter values are not looked for: blackening each `1` or `true` would leave nothing to read and hide nothing.
const SHORTEST: usize = 5;

/// The values of all Secrets that a comparison knows, as they are and in base64.
#[derive(Clone, Default)]
pub struct Mask(BTreeSet<String>);

impl fmt::Debug for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mask(redacted)")
    }
}

impl Mask {
    /// The values of the Secrets among these objects.
    #[must_use]
    pub fn of<'a>(objects: impl IntoIterator<Item = &'a Value>) -> Self {
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
        values.retain(|value| value.len() >= SHORTEST);
        Self(values)
    }

    /// The text without copies of secrets.
    #[must_use]
    pub fn text(&self, text: &str) -> String {
        // A value that contains another one goes first, or its rest would stay.
        let mut values: Vec<&String> = self.0.iter().filter(|value| text.contains(value.as_str())).collect();
        values.sort_by_key(|value| std::cmp::Reverse(value.len()));
        values.into_iter().fold(text.to_owned(), |text, value| text.replace(value.as_str(), HIDDEN))
    }

    /// The value without copies of secrets.
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

/// Whether a field of an object of this kind is a secret.
pub(super) fn hides(kind: &str, path: &FieldPointer) -> bool {
    kind == "Secret" && (path.is_under(&["data"]) || path.is_under(&["stringData"]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn copies_of_a_secret_are_blackened_in_either_form() {
        let secret = json!({ "kind": "Secret", "data": { "A": STANDARD.encode("sk-12345"), "B": "MQ==" } });
        let mask = Mask::of([&secret, &json!({ "kind": "ConfigMap", "data": { "A": "openly" } })]);
        let encoded = STANDARD.encode("sk-12345");
        assert_eq!(mask.text(&format!("a sk-12345 b {encoded} openly 1")), "a (hidden) b (hidden) openly 1");
        assert_eq!(mask.value(&json!([{ "a": "sk-12345" }, 1])), json!([{ "a": "(hidden)" }, 1]));
        assert_eq!(format!("{mask:?}"), "Mask(redacted)");
    }
}
