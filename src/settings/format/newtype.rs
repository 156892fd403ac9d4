//! Common traits of the string types: serde, JSON Schema, `FromStr` and `Display`.

/// Implements `FORMAT`, `check`, serde, JSON Schema, `FromStr` and `Display` for a type with `parse` and `as_str`.
macro_rules! formatted {
    ($type:ident, $format:literal) => {
        impl $type {
            /// Name of the format in the JSON Schema.
            pub const FORMAT: &'static str = $format;

            /// Checks a string without keeping it.
            pub fn check(text: &str) -> Result<(), FormatError> {
                Self::parse(text).map(drop)
            }
        }

        impl std::str::FromStr for $type {
            type Err = FormatError;
            fn from_str(text: &str) -> Result<Self, FormatError> {
                Self::parse(text)
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                Self::parse(&text).map_err(serde::de::Error::custom)
            }
        }

        impl schemars::JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }
            fn inline_schema() -> bool {
                true
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "format": $format })
            }
        }
    };
}
pub(super) use formatted;
