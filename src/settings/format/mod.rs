//! Texts with a form of their own: names, images, quantities, durations.
//!
//! Each is a newtype that can only hold a valid text. Its JSON Schema carries a `format`, and [`check`] knows the
//! same formats by name, so that the checker of config.toml can point at the offending character.

mod address;
mod duration;
mod field;
mod image;
mod name;
mod quantity;
mod server;
mod version;

use std::fmt;

pub use address::Address;
pub use duration::Duration;
pub use field::OwnedField;
pub use image::ImageRef;
pub use name::{DnsLabel, DnsName, LabelKey, LabelValue, ResourceName, VariableName};
pub use quantity::Quantity;
pub use server::{HttpUrl, Program, ServerName, ServerUrl};
pub use version::KubernetesVersion;

/// What is wrong with a text, and where in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormatError {
    /// Byte offset of the offending character; the text's length where something is missing at the end.
    pub offset: usize,
    /// What is wrong; lowercase, no full stop.
    pub message: String,
}

impl FormatError {
    pub(super) fn new(offset: usize, message: impl Into<String>) -> Self {
        Self { offset, message: message.into() }
    }
}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for FormatError {}

type Check = fn(&str) -> Result<(), FormatError>;

/// Every format by the name that stands in the JSON Schema, with what it is called in a message.
const FORMATS: &[(&str, &str, Check)] = &[
    (DnsLabel::FORMAT, "a name of lowercase letters, digits and `-`", DnsLabel::check),
    (DnsName::FORMAT, "a DNS name", DnsName::check),
    (LabelKey::FORMAT, "a label key", LabelKey::check),
    (LabelValue::FORMAT, "a label value", LabelValue::check),
    (VariableName::FORMAT, "a variable name", VariableName::check),
    (ResourceName::FORMAT, "a name of a resource", ResourceName::check),
    (ImageRef::FORMAT, "an image reference", ImageRef::check),
    (Quantity::FORMAT, "a quantity", Quantity::check),
    (Duration::FORMAT, "a duration", Duration::check),
    (KubernetesVersion::FORMAT, "a Kubernetes version", KubernetesVersion::check),
    (OwnedField::FORMAT, "a field of an object", OwnedField::check),
    (Address::FORMAT, "an IP address", Address::check),
    (HttpUrl::FORMAT, "a URL", HttpUrl::check),
    (ServerUrl::FORMAT, "a server's URL", ServerUrl::check),
    (ServerName::FORMAT, "a server's name", ServerName::check),
    (Program::FORMAT, "a program", Program::check),
];

/// Checks `text` against a format of the JSON Schema; None where the format is not one of ours.
#[must_use]
pub fn check(format: &str, text: &str) -> Option<Result<(), FormatError>> {
    FORMATS.iter().find(|(name, ..)| *name == format).map(|(.., check)| check(text))
}

/// What a text of this format is called: `a quantity`.
#[must_use]
pub fn noun(format: &str) -> Option<&'static str> {
    FORMATS.iter().find(|(name, ..)| *name == format).map(|(_, noun, _)| *noun)
}

/// Serde, schema and text access of a newtype that has `FORMAT`, `parse`, `check` and `as_str`.
macro_rules! formatted {
    ($type:ident, $format:literal) => {
        impl $type {
            /// Name of the format in the JSON Schema.
            pub const FORMAT: &'static str = $format;

            /// Checks a text without keeping it.
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
use formatted;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_is_found_by_its_name() {
        assert_eq!(check("quantity", "1Gi"), Some(Ok(())));
        assert_eq!(check("quantity", "1Gib").map(|result| result.is_err()), Some(true));
        assert_eq!(check("date", "1Gi"), None);
    }
}
