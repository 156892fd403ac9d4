//! Reads and writes YAML in a form that kubectl reads with the same meaning.
//!
//! `serde_yaml` is not used: it writes the strings `on`, `no` and `1_000` without quotes, and kubectl reads them as
//! booleans and a number.

use std::fmt::Write as _;

use serde_json::Value;

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
