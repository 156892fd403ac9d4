//! Parses JSON without the fields that nobody reads: a map of one field takes hundreds of bytes, and the managed fields of
//! an object are a tree of such maps. Pure.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Parses a text, and leaves out the fields of these names, wherever they are.
pub(super) fn parse(text: &[u8], left_out: &[&str]) -> serde_json::Result<Value> {
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let value = Reduced(left_out).deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(value)
}

/// The names of the fields that are left out.
#[derive(Clone, Copy)]
struct Reduced<'a>(&'a [&'a str]);

impl<'de> DeserializeSeed<'de> for Reduced<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reduced<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = items.next_element_seed(self)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(name) = fields.next_key::<String>()? {
            if self.0.contains(&name.as_str()) {
                fields.next_value::<IgnoredAny>()?;
            } else {
                map.insert(name, fields.next_value_seed(self)?);
            }
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fields_of_these_names_are_left_out_and_the_rest_is_unchanged() {
        let object = json!({
            "metadata": { "name": "a", "managedFields": [{ "f:spec": {} }], "labels": { "x": "y" } },
            "spec": [1, -2, 2.5, true, null, { "env": ["b"], "image": "é\n" }],
        });
        let expected = json!({
            "metadata": { "name": "a", "labels": { "x": "y" } },
            "spec": [1, -2, 2.5, true, null, { "image": "é\n" }],
        });
        let text = object.to_string();
        assert_eq!(parse(text.as_bytes(), &["managedFields", "env"]).unwrap(), expected);
        assert_eq!(parse(text.as_bytes(), &[]).unwrap(), object);
        assert!(parse(b"{} trailing", &[]).is_err() && parse(b"{\"a\":", &[]).is_err());
    }
}
