//! Every format by its name in the JSON Schema, so that the check of config.toml can report the offending character.

use super::address::Address;
use super::duration::Duration;
use super::error::FormatError;
use super::field::OwnedField;
use super::image::ImageRef;
use super::ip_range::IpRange;
use super::name::{DnsLabel, DnsName, LabelKey, LabelValue, ResourceName, VariableName};
use super::quantity::Quantity;
use super::server::{HttpUrl, Program, ServerName, ServerUrl};
use super::version::{AppRelease, KubernetesVersion};

type Check = fn(&str) -> Result<(), FormatError>;

/// The name of every format in the JSON Schema, its noun in messages, and its check.
const FORMATS: &[(&str, &str, Check)] = &[
    (DnsLabel::FORMAT, "a name of lowercase letters, digits and `-`", DnsLabel::check),
    (DnsName::FORMAT, "a DNS name", DnsName::check),
    (LabelKey::FORMAT, "a label key", LabelKey::check),
    (LabelValue::FORMAT, "a label value", LabelValue::check),
    (VariableName::FORMAT, "a variable name", VariableName::check),
    (ResourceName::FORMAT, "a resource name", ResourceName::check),
    (ImageRef::FORMAT, "an image reference", ImageRef::check),
    (Quantity::FORMAT, "a quantity", Quantity::check),
    (Duration::FORMAT, "a duration", Duration::check),
    (KubernetesVersion::FORMAT, "a Kubernetes version", KubernetesVersion::check),
    (AppRelease::FORMAT, "a version of OpenHands", AppRelease::check),
    (OwnedField::FORMAT, "a field of an object", OwnedField::check),
    (Address::FORMAT, "an IP address", Address::check),
    (IpRange::FORMAT, "a range of IP addresses", IpRange::check),
    (HttpUrl::FORMAT, "a URL", HttpUrl::check),
    (ServerUrl::FORMAT, "a server's URL", ServerUrl::check),
    (ServerName::FORMAT, "a server's name", ServerName::check),
    (Program::FORMAT, "a program", Program::check),
];

/// Checks `text` against a format of the JSON Schema; None if the format is not in this table.
#[must_use]
pub fn check(format: &str, text: &str) -> Option<Result<(), FormatError>> {
    FORMATS.iter().find(|(name, ..)| *name == format).map(|(.., check)| check(text))
}

/// The noun of a format in messages: `a quantity`.
#[must_use]
pub fn noun(format: &str) -> Option<&'static str> {
    FORMATS.iter().find(|(name, ..)| *name == format).map(|(_, noun, _)| *noun)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_finds_format_by_name() {
        assert_eq!(check("quantity", "1Gi"), Some(Ok(())));
        assert_eq!(check("quantity", "1Gib").map(|result| result.is_err()), Some(true));
        assert_eq!(check("date", "1Gi"), None);
    }
}
