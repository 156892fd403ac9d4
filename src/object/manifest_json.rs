//! Manifests in JSON: kubectl reads a text that begins with `{` as a sequence of JSON documents.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// A key that an object has twice.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct DuplicateKey {
    /// The line, from 1.
    pub(super) line: usize,
}

/// Reads all documents; None if the text is not JSON, such as a YAML map in braces.
pub(super) fn read_all(text: &str) -> Option<Result<Vec<Value>, DuplicateKey>> {
    let mut documents = Vec::new();
    for document in serde_json::Deserializer::from_str(text).into_iter::<Document>() {
        match document {
            Ok(Document(value)) => documents.push(value),
            Err(error) if error.is_data() => return Some(Err(DuplicateKey { line: error.line() })),
            Err(_) => return None,
        }
    }
    Some(Ok(documents))
}

/// A document without duplicate keys.
struct Document(Value);

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DocumentVisitor).map(Self)
    }
}

struct DocumentVisitor;

impl<'de> Visitor<'de> for DocumentVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }
    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(whole_or_fraction(value))
    }
    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Document(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(list.into())
    }
    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = BTreeMap::new();
        while let Some((key, Document(value))) = entries.next_entry::<String, Document>()? {
            if map.insert(key, value).is_some() {
                return Err(de::Error::custom("a duplicate key"));
            }
        }
        Ok(Value::Object(map.into_iter().collect::<Map<_, _>>()))
    }
}

/// Returns a number as it arrives at the API server: JSON writes `1.0` as `1`, which is an integer there.
pub(super) fn whole_or_fraction(value: f64) -> Value {
    // 2^63, the first float that is not an i64.
    const END: f64 = 9_223_372_036_854_775_808.0;
    if value.fract() == 0.0 && (-END..END).contains(&value) {
        #[expect(clippy::cast_possible_truncation, reason = "the value is whole and within the bounds")]
        return Value::from(value as i64);
    }
    Number::from_f64(value).map_or(Value::Null, Value::Number)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn documents_follow_each_other_without_separator() {
        assert_eq!(
            read_all("{\"a\": 1.0}\n{\"b\": [null, \"😀\"]}"),
            Some(Ok(vec![json!({"a": 1}), json!({"b": [null, "😀"]})]))
        );
        assert_eq!(read_all("{a: 1}"), None);
    }

    #[test]
    fn duplicate_key_is_rejected_with_its_line() {
        assert_eq!(read_all("{\"a\": 1,\n \"a\": 2}"), Some(Err(DuplicateKey { line: 2 })));
    }
}
