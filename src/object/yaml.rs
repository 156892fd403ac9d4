//! Reads and writes YAML in a form that kubectl reads with the same meaning.
//!
//! `serde_yaml` is not used: it writes the strings `on`, `no` and `1_000` without quotes, and kubectl reads them as
//! booleans and a number.

use std::fmt::Write as _;

use serde_json::Value;
use serde_saphyr::{DefaultMessageFormatter, Error as YamlError, MessageFormatter as _};

use super::mask::without_quotes;
use crate::error::{Error, Result};

/// Reads one document. Scalars follow YAML 1.2: only `true` and `false` are booleans.
///
/// # Errors
/// If the text is not YAML, or has a duplicate key.
pub fn read(text: &str) -> Result<Value, serde_saphyr::Error> {
    serde_saphyr::from_str_with_options(
        text,
        serde_saphyr::options! { strict_booleans: true, merge_keys: serde_saphyr::options::MergeKeyPolicy::AsOrdinary },
    )
}

/// Returns why a text is not YAML, or not of the expected type: `line 3, column 5: invalid type, expected a string`.
/// It never contains a part of the text, which may be a secret.
#[must_use]
pub fn reason(error: &YamlError) -> String {
    let cause = cause(error.without_snippet());
    match error.location() {
        Some(at) if at.line() > 0 => format!("line {}, column {}: {cause}", at.line(), at.column()),
        _ => cause,
    }
}

fn cause(error: &YamlError) -> String {
    match error {
        YamlError::AliasError { error, .. } => cause(error.without_snippet()),
        YamlError::SerdeInvalidType { expected, .. } => format!("invalid type, expected {expected}"),
        YamlError::SerdeInvalidValue { expected, .. } => format!("invalid value, expected {expected}"),
        YamlError::SerdeUnknownVariant { expected, .. } => {
            format!("unknown value, expected one of {}", expected.join(", "))
        }
        YamlError::SerdeMissingField { field, .. } => format!("missing field {field}"),
        YamlError::DuplicateMappingKey { .. } => "duplicate key".to_owned(),
        YamlError::NonFiniteFloat { .. } => "invalid number".to_owned(),
        YamlError::QuotingRequired { .. } => "a string without quotes looks like another type".to_owned(),
        YamlError::UnsupportedTag { .. } | YamlError::TaggedEnumMismatch { .. } => {
            "unsupported tag".to_owned()
        }
        other => without_quotes(&DefaultMessageFormatter.format_message(other)),
    }
}

/// Writes one document with sorted keys: the same object has the same bytes on every computer.
///
/// # Errors
/// If the value cannot be serialised.
pub fn write(value: &Value) -> Result<String> {
    serde_saphyr::to_string(value)
        .map_err(|error| Error::internal("cannot write an object as YAML").caused_by(error))
}

/// Escapes JSON, or YAML with JSON strings, for YAML readers. JSON does not escape some characters that YAML forbids or
/// treats as line breaks. They occur only in quoted strings, where a YAML escape means the same character.
#[must_use]
pub fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => {
                let _infallible = write!(printable, "\\u{:04x}", u32::from(character));
            }
            _ => printable.push(character),
        }
    }
    printable
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only the error is of interest")]
    struct User {
        name: String,
        mode: Option<Mode>,
        count: Option<u8>,
        token: Option<BTreeMap<String, String>>,
    }

    #[derive(Debug, serde::Deserialize)]
    enum Mode {
        Never,
    }

    #[test]
    fn reason_has_position_but_no_text() {
        for text in [
            "name: a\ntoken: sk-planted",
            "name: a\ntoken: {a: b\nsk-planted",
            "name: a\ntoken: 'sk-planted",
            "name: a\ntoken: sk-planted: sk-planted",
            "name: a\nmode: sk-planted",
            "name: a\nsk-planted: b",
            "name: a\ntoken:\n  sk-planted: a\n  sk-planted: b",
            "name: a\ncount: sk-planted",
            "name: a\ncount: *sk-planted",
            "name: a\n\ttoken: sk-planted",
            "name: &sk-planted a\ncount: *sk-planted",
            "name: a\ntoken: \"\\qsk-planted\"",
            "name: a\ntoken: @sk-planted",
            "sk-planted",
        ] {
            let reason = reason(&serde_saphyr::from_str::<User>(text).expect_err(text));
            assert!(!reason.contains("planted"), "{text:?}: {reason}");
            assert!(reason.starts_with("line "), "{text:?}: {reason}");
        }
    }

    #[test]
    fn reason_names_missing_field_and_expected_type() {
        let reason = |text: &str| reason(&serde_saphyr::from_str::<User>(text).expect_err(text));
        assert!(reason("count: 1").contains("missing field name"));
        assert_eq!(reason("name: a\nmode: x"), "line 2, column 7: unknown value, expected one of Never");
    }
}
