//! YAML in and out, so that what kubectl reads is what handsctl means.
//!
//! `serde_yaml`, which the request named, writes the strings `on`, `no` and `1_000` without quotes; kubectl
//! reads them back as booleans and a number.

use std::fmt::Write as _;

use serde_json::Value;

use crate::error::{Error, Result};

/// Reads one document. Scalars follow YAML 1.2: only `true` and `false` are booleans.
///
/// # Errors
/// Where the text is not YAML, or a key stands twice.
pub fn read(text: &str) -> Result<Value, serde_saphyr::Error> {
    serde_saphyr::from_str_with_options(
        text,
        serde_saphyr::options! { strict_booleans: true, merge_keys: serde_saphyr::options::MergeKeyPolicy::AsOrdinary },
    )
}

/// Writes one document with sorted keys; the same bytes for the same object on every computer.
///
/// # Errors
/// Where the value cannot be serialised.
pub fn write(value: &Value) -> Result<String> {
    serde_saphyr::to_string(value)
        .map_err(|error| Error::internal("cannot write an object as YAML").caused_by(error))
}

/// Makes JSON, or YAML whose texts are written as JSON, safe for a reader of YAML: JSON leaves some characters as they
/// are that YAML forbids or takes for line breaks. They can only stand in quoted texts, where YAML's own escape is the
/// same character.
#[must_use]
pub fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => {
                let _a_string_takes_everything = write!(printable, "\\u{:04x}", u32::from(character));
            }
            _ => printable.push(character),
        }
    }
    printable
}
