//! Secrets that a test plants, and every form in which they may not be seen.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};

/// A value that every encoding changes, and that stands nowhere by chance.
pub(crate) fn secret(mark: &str) -> String {
    format!("sk-{mark}/Plänted+{mark}?&=%\"{mark}")
}

/// Panics where a text shows the value: as it is, in base64 (also as a part of something longer), URL-encoded, or with
/// the escapes of JSON.
pub(crate) fn assert_hidden(value: &str, place: &str, text: &str) {
    for form in forms(value) {
        assert!(!text.contains(&form), "{place} shows a secret as {form:?}:\n{text}");
    }
}

fn forms(value: &str) -> Vec<String> {
    let mut forms = vec![value.to_owned(), url(value, false), url(value, true), escaped(value)];
    for before in 0..3 {
        // What stands before shifts the digits; the first and the last ones depend on the neighbours.
        let shifted = ["\0".repeat(before).as_bytes(), value.as_bytes()].concat();
        for engine in [STANDARD, URL_SAFE] {
            let digits = engine.encode(&shifted);
            forms.push(digits[4..digits.len() - 4].to_owned());
        }
    }
    forms
}

fn escaped(value: &str) -> String {
    let quoted = serde_json::to_string(value).unwrap();
    quoted[1..quoted.len() - 1].to_owned()
}

fn url(value: &str, lowercase: bool) -> String {
    let byte = |byte: &u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(*byte).to_string(),
        byte if lowercase => format!("%{byte:02x}"),
        byte => format!("%{byte:02X}"),
    };
    value.as_bytes().iter().map(byte).collect()
}

#[test]
fn every_encoding_is_recognized() {
    let value = secret("a1");
    let encoded = STANDARD.encode(format!("{{\"key\":\"{value}\"}}"));
    let url = "sk-a1%2FPl%C3%A4nted%2Ba1%3F%26%3D%25%22a1".to_owned();
    for shown in [value.clone(), encoded, url, format!("{value:?}")] {
        let seen = forms(&value).iter().any(|form| shown.contains(form.as_str()));
        assert!(seen, "{shown}");
    }
}
