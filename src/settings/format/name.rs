//! Names of objects, labels and environment variables, by the rules of apimachinery's `validation` package.

use super::error::FormatError;
use super::newtype::formatted;

/// Defines a string type whose `parse` only checks the string.
macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $format:literal, $rule:path) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(String);

        impl $type {
            /// Checks the string.
            pub fn parse(text: &str) -> Result<Self, FormatError> {
                $rule(text)?;
                Ok(Self(text.to_owned()))
            }

            /// Returns a name from a constant that is known to be valid.
            #[must_use]
            pub fn from_static(text: &'static str) -> Self {
                debug_assert!($rule(text).is_ok(), "{text}");
                Self(text.to_owned())
            }

            /// The string.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        formatted!($type, $format);
    };
}
pub(super) use name;

name!(
    /// An RFC 1123 label: lowercase letters, digits and `-`, at most 63 characters.
    DnsLabel, "dns-label", dns_label
);
name!(
    /// An RFC 1123 subdomain: labels separated by dots, at most 253 characters.
    DnsName, "dns-name", dns_name
);
name!(
    /// Key of a label: `zone`, `example.com/zone`.
    LabelKey, "label-key", label_key
);
name!(
    /// Value of a label; may be empty.
    LabelValue, "label-value", label_value
);
name!(
    /// Name of an environment variable of a container.
    VariableName, "variable-name", variable_name
);

name!(
    /// Name of a resource that a quota limits: `pods`, `requests.cpu`, `count/ingresses.networking.k8s.io`.
    ResourceName, "resource-name", resource_name
);

fn check_length(text: &str, limit: usize) -> Result<(), FormatError> {
    if text.len() <= limit {
        return Ok(());
    }
    let offset = text.char_indices().map(|(at, _)| at).find(|at| *at >= limit).unwrap_or(limit);
    Err(FormatError::new(offset, format!("{} characters, at most {limit} are allowed", text.chars().count())))
}

/// Checks one label, which begins at offset `start` of the whole string.
fn label_at(start: usize, label: &str, subject: &str) -> Result<(), FormatError> {
    let (Some(first), Some(last)) = (label.chars().next(), label.chars().next_back()) else {
        return Err(FormatError::new(start, format!("{subject} may not be empty")));
    };
    for (at, c) in label.char_indices() {
        if c.is_ascii_uppercase() {
            return Err(FormatError::new(start + at, format!("uppercase `{c}` is not allowed")));
        }
        if !(c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-') {
            let message = format!("`{c}` is not allowed: lowercase letters, digits and `-` only");
            return Err(FormatError::new(start + at, message));
        }
    }
    if first == '-' {
        return Err(FormatError::new(start, "may not begin with `-`"));
    }
    if last == '-' {
        return Err(FormatError::new(start + label.len() - 1, "may not end with `-`"));
    }
    Ok(())
}

fn dns_label(text: &str) -> Result<(), FormatError> {
    label_at(0, text, "the name")?;
    check_length(text, 63)
}

fn dns_name(text: &str) -> Result<(), FormatError> {
    let mut start = 0;
    for label in text.split('.') {
        label_at(start, label, if text.is_empty() { "the name" } else { "a part between dots" })?;
        start += label.len() + 1;
    }
    check_length(text, 253)
}

/// Checks for letters, digits, `-`, `_` and `.`, with a letter or digit at both ends.
fn qualified(start: usize, text: &str) -> Result<(), FormatError> {
    for (at, c) in text.char_indices() {
        let is_edge = at == 0 || at + c.len_utf8() == text.len();
        if !(c.is_ascii_alphanumeric() || (!is_edge && matches!(c, '-' | '_' | '.'))) {
            let message = if matches!(c, '-' | '_' | '.') {
                format!("may not begin or end with `{c}`")
            } else {
                format!("`{c}` is not allowed: letters, digits, `-`, `_` and `.` only")
            };
            return Err(FormatError::new(start + at, message));
        }
    }
    check_length(text, 63).map_err(|error| FormatError { offset: start + error.offset, ..error })
}

fn label_key(text: &str) -> Result<(), FormatError> {
    prefixed(text, "the key may not be empty")
}

fn resource_name(text: &str) -> Result<(), FormatError> {
    prefixed(text, "the name may not be empty")
}

/// Checks a name with an optional prefix: a DNS name and a slash.
fn prefixed(text: &str, empty: &str) -> Result<(), FormatError> {
    let (start, name) = match text.split_once('/') {
        Some((prefix, name)) => {
            dns_name(prefix)?;
            (prefix.len() + 1, name)
        }
        None => (0, text),
    };
    if name.is_empty() {
        return Err(FormatError::new(start, empty));
    }
    qualified(start, name)
}

fn label_value(text: &str) -> Result<(), FormatError> {
    qualified(0, text)
}

fn variable_name(text: &str) -> Result<(), FormatError> {
    if text.is_empty() {
        return Err(FormatError::new(0, "the name may not be empty"));
    }
    for (at, c) in text.char_indices() {
        if at == 0 && c.is_ascii_digit() {
            return Err(FormatError::new(0, "may not begin with a digit"));
        }
        if !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')) {
            let message = format!("`{c}` is not allowed: letters, digits, `_`, `-` and `.` only");
            return Err(FormatError::new(at, message));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offset<T: std::fmt::Debug>(result: Result<T, FormatError>) -> Option<usize> {
        result.err().map(|error| error.offset)
    }

    #[test]
    fn dns_error_offset_is_offending_character() {
        assert_eq!(offset(DnsLabel::parse("hands-2")), None);
        assert_eq!(offset(DnsLabel::parse("")), Some(0));
        assert_eq!(offset(DnsLabel::parse("Hands")), Some(0));
        assert_eq!(offset(DnsLabel::parse("my_ns")), Some(2));
        assert_eq!(offset(DnsLabel::parse("hands-")), Some(5));
        assert_eq!(offset(DnsLabel::parse("größe")), Some(2));
        assert_eq!(offset(DnsLabel::parse(&"a".repeat(63))), None);
        assert_eq!(offset(DnsLabel::parse(&"a".repeat(64))), Some(63));
        assert_eq!(offset(DnsName::parse("a.b-c.d")), None);
        assert_eq!(offset(DnsName::parse("a..b")), Some(2));
        assert_eq!(offset(DnsName::parse("a.b.")), Some(4));
        assert_eq!(offset(DnsName::parse("*.example.com")), Some(0));
    }

    #[test]
    fn label_and_variable_error_offsets() {
        assert_eq!(offset(LabelKey::parse("example.com/zone")), None);
        assert_eq!(offset(LabelKey::parse("Zone_1.a")), None);
        assert_eq!(offset(LabelKey::parse("example.com/")), Some(12));
        assert_eq!(offset(LabelKey::parse("a/b/c")), Some(3));
        assert_eq!(offset(LabelKey::parse("-a")), Some(0));
        assert_eq!(offset(LabelValue::parse("")), None);
        assert_eq!(offset(LabelValue::parse("a b")), Some(1));
        assert_eq!(offset(VariableName::parse("LLM_API_KEY")), None);
        assert_eq!(offset(VariableName::parse("1A")), Some(0));
        assert_eq!(offset(VariableName::parse("A=B")), Some(1));
    }
}
