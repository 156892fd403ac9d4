//! Masks secrets in texts of a cluster, a program or a file, in every encoding in which such a text may quote them. Pure.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::fmt::Write as _;
use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use serde_json::Value;

use super::references::map_strings;

/// Replaces each copy of a secret.
pub const REDACTED: &str = "(redacted)";
/// The minimum length of a masked value. Masking every `1` or `true` would make the output unreadable and protect
/// nothing.
const MIN_LENGTH: usize = 6;
/// The same for one line of a secret with several lines: a line of a key file, not its `-----`.
const MIN_LINE: usize = 8;

/// Known secrets.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Mask {
    /// The secrets as they are, escaped for JSON, Python and a shell, and URL-encoded.
    texts: BTreeSet<String>,
    /// The digits of their base64 forms that do not depend on neighbouring bytes.
    digits: BTreeSet<String>,
}

impl fmt::Debug for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mask(redacted)")
    }
}

impl Mask {
    /// Collects the values of the Secrets among these objects.
    #[must_use]
    pub fn from_objects<'a>(objects: impl IntoIterator<Item = &'a Value>) -> Self {
        let mut mask = Self::default();
        for secret in objects.into_iter().filter(|object| object["kind"] == "Secret") {
            for encoded in secret["data"].as_object().into_iter().flat_map(|data| data.values()) {
                let Some(encoded) = encoded.as_str() else { continue };
                match STANDARD.decode(encoded).ok().map(String::from_utf8) {
                    Some(Ok(text)) => mask.add(&text),
                    // Bytes that are no text can only be quoted in this form.
                    Some(Err(_)) | None => mask.add(encoded),
                }
            }
            let texts = secret["stringData"].as_object().into_iter().flat_map(|data| data.values());
            texts.filter_map(Value::as_str).for_each(|text| mask.add(text));
        }
        mask
    }

    /// Adds a secret; one that is too short is ignored.
    pub fn add(&mut self, secret: &str) {
        let secret = secret.trim();
        if secret.len() < MIN_LENGTH {
            return;
        }
        self.add_forms(secret);
        // A log may contain a file's lines one by one, and a terminal may indent them.
        if secret.contains('\n') {
            secret
                .lines()
                .map(str::trim)
                .filter(|line| is_characteristic(line))
                .for_each(|line| self.add_forms(line));
        }
    }

    fn add_forms(&mut self, secret: &str) {
        self.texts.extend(texts(secret));
        self.digits.extend(base64_digits(secret));
        // JSON as a whole in base64: a docker config, a Secret's copy.
        self.digits.extend(base64_digits(&json(secret)));
    }

    /// Adds the secrets of another mask.
    pub fn extend(&mut self, other: Self) {
        self.texts.extend(other.texts);
        self.digits.extend(other.digits);
    }

    /// Returns texts of which one is in every text with a copy of a secret.
    pub(super) fn marks(&self) -> impl Iterator<Item = &str> {
        self.texts.iter().chain(&self.digits).map(String::as_str)
    }

    /// Returns where the last copy of a secret ends that has several lines and begins in this range; None if there is none.
    pub(super) fn end_of_lines(&self, bytes: &[u8], range: Range<usize>) -> Option<usize> {
        let secrets = self.texts.iter().filter(|text| text.contains('\n')).map(String::as_bytes);
        let end = |secret: &[u8]| {
            let reach = bytes.len().min(range.end + secret.len() - 1);
            let last = memchr::memmem::rfind(&bytes[range.start..reach], secret)?;
            Some(range.start + last + secret.len())
        };
        secrets.filter_map(end).max()
    }

    /// Masks the copies of secrets in a text.
    #[must_use]
    pub fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut ranges: Vec<Range<usize>> =
            self.texts.iter().flat_map(|secret| occurrences(text, secret)).collect();
        let digits = self.digits.iter().flat_map(|digits| occurrences(text, digits));
        ranges.extend(digits.map(|range| whole_base64(text, range)));
        without(text, ranges)
    }

    /// Masks the copies of secrets in a value.
    #[must_use]
    pub fn value(&self, value: &Value) -> Value {
        map_strings(value, &|text| self.text(text).into_owned())
    }
}

/// Replaces ranges of a text. Ranges that overlap or touch are one secret, or two with nothing in between.
#[must_use]
pub fn without(text: &str, mut ranges: Vec<Range<usize>>) -> Cow<'_, str> {
    if ranges.is_empty() {
        return Cow::Borrowed(text);
    }
    ranges.sort_by_key(|range| range.start);
    let mut masked = String::with_capacity(text.len());
    let mut end = 0;
    for range in ranges {
        if range.start > end || masked.is_empty() {
            masked.push_str(&text[end..range.start]);
            masked.push_str(REDACTED);
        }
        end = end.max(range.end);
    }
    masked.push_str(&text[end..]);
    Cow::Owned(masked)
}

/// Removes everything between the first and the last quotation mark of each sort: messages of parsers quote the value
/// that they do not accept.
#[must_use]
pub fn without_quotes(message: &str) -> String {
    let mut text = message.lines().next().unwrap_or_default().trim_end().to_owned();
    for quote in ['"', '`', '\''] {
        let opening = match quote {
            // An apostrophe begins no quotation: "doesn't".
            '\'' => text.find(" '").map(|at| at + 1).or_else(|| text.starts_with('\'').then_some(0)),
            _ => text.find(quote),
        };
        let Some(opening) = opening else { continue };
        let closing = text.rfind(quote).filter(|closing| *closing > opening);
        // A punctuation mark that the parser expects or does not: `unclosed bracket '['`.
        let is_mark = |quoted: &str| quoted.len() == 1 && !quoted.contains(char::is_alphanumeric);
        if closing.is_some_and(|closing| is_mark(&text[opening + 1..closing])) {
            continue;
        }
        let end = closing.map_or(text.len(), |closing| closing + 1);
        text.replace_range(opening..end, "…");
    }
    text
}

fn is_characteristic(line: &str) -> bool {
    line.len() >= MIN_LINE && !line.starts_with("-----")
}

/// Returns the forms in which a text contains a secret.
fn texts(secret: &str) -> Vec<String> {
    let json = json(secret);
    let ascii: String = json.chars().fold(String::new(), |mut text, character| {
        let mut units = [0; 2];
        if character.is_ascii() {
            text.push(character);
        } else {
            for unit in character.encode_utf16(&mut units) {
                let _infallible = write!(text, "\\u{unit:04x}");
            }
        }
        text
    });
    let python = secret.replace('\\', "\\\\").replace('\'', "\\'").replace('\n', "\\n");
    let shell = secret.replace('\'', r"'\''");
    let debug = inner(format!("{secret:?}"));
    let url = |hex: fn(u8) -> String, blank: &str| {
        secret.bytes().fold(String::new(), |mut text, byte| {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                    text.push(char::from(byte));
                }
                b' ' => text.push_str(blank),
                byte => text.push_str(&hex(byte)),
            }
            text
        })
    };
    let (upper, lower) = (|byte: u8| format!("%{byte:02X}"), |byte: u8| format!("%{byte:02x}"));
    let urls = [url(upper, "%20"), url(lower, "%20"), url(upper, "+"), url(lower, "+")];
    [secret.to_owned(), json, ascii, python, shell, debug].into_iter().chain(urls).collect()
}

/// Returns a secret as it stands between the quotation marks of a JSON string.
fn json(secret: &str) -> String {
    inner(serde_json::to_string(secret).unwrap_or_default())
}

/// Removes the quotation marks.
fn inner(quoted: String) -> String {
    quoted.get(1..quoted.len().saturating_sub(1)).map(str::to_owned).unwrap_or(quoted)
}

/// Returns the digits of a secret in base64, for each of the three positions that it can have in a longer value.
/// Leaves out digits that depend on the bytes before and after it.
fn base64_digits(secret: &str) -> Vec<String> {
    let mut all = Vec::new();
    for offset in 0..3 {
        let bytes = [&[0; 2][..offset], secret.as_bytes()].concat();
        // Of n preceding bytes depend n + 1 digits.
        let start = if offset == 0 { 0 } else { offset + 1 };
        for mut digits in [STANDARD_NO_PAD.encode(&bytes), URL_SAFE_NO_PAD.encode(&bytes)] {
            if bytes.len() % 3 != 0 {
                digits.pop();
            }
            if digits.len() > start + MIN_LENGTH {
                all.push(digits.split_off(start));
            }
        }
    }
    all
}

/// Returns every range of a secret in a text, also those that overlap.
fn occurrences<'a>(text: &'a str, secret: &'a str) -> impl Iterator<Item = Range<usize>> + 'a {
    let step = secret.chars().next().map_or(1, char::len_utf8);
    let mut from = 0;
    std::iter::from_fn(move || {
        let at = from + text.get(from..)?.find(secret)?;
        from = at + step;
        Some(at..at + secret.len())
    })
}

/// Extends the range to the whole base64 value: its other digits contain the rest of the secret.
fn whole_base64(text: &str, range: Range<usize>) -> Range<usize> {
    let is_digit =
        |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_' | b'=');
    let before = text.as_bytes()[..range.start].iter().rev().take_while(|byte| is_digit(byte)).count();
    let after = text.as_bytes()[range.end..].iter().take_while(|byte| is_digit(byte)).count();
    range.start - before..range.end + after
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn mask(secrets: &[&str]) -> Mask {
        let mut mask = Mask::default();
        for secret in secrets {
            mask.add(secret);
        }
        mask
    }

    #[test]
    fn secret_is_masked_in_every_encoding() {
        let secret = "pä ss/w\"o'r\\d+1";
        let mask = mask(&[secret]);
        for text in [
            secret.to_owned(),
            serde_json::to_string(secret).unwrap(),
            r#""p\u00e4 ss/w\"o'r\\d+1""#.to_owned(),
            format!("{secret:?}"),
            r#"'pä ss/w"o\'r\\d+1'"#.to_owned(),
            r#"'pä ss/w"o'\''r\d+1'"#.to_owned(),
            "?a=p%C3%A4%20ss%2Fw%22o%27r%5Cd%2B1&b".to_owned(),
            "?a=p%c3%a4%20ss%2fw%22o%27r%5cd%2b1&b".to_owned(),
            "?a=p%C3%A4+ss%2Fw%22o%27r%5Cd%2B1&b".to_owned(),
            STANDARD.encode(secret),
            URL_SAFE_NO_PAD.encode(format!("a{secret}")),
            STANDARD.encode(format!("ab{secret}c")),
            STANDARD.encode(format!("{{\"a\": \"{secret}\", \"b\": 1}}")),
            STANDARD.encode(json!({ "a": secret, "b": 1 }).to_string()),
        ] {
            let masked = mask.text(&text);
            let rest: Vec<&str> = masked.split(REDACTED).collect();
            assert_eq!(rest.len(), 2, "{text}: {masked}");
            assert!(rest.concat().len() < 8, "{text}: {masked}");
        }
    }

    #[test]
    fn longer_secret_leaves_no_rest_of_shorter() {
        for secrets in [["secret-1", "secret-1-and-more"], ["secret-1-and-more", "secret-1"]] {
            assert_eq!(mask(&secrets).text("a secret-1-and-more b secret-1."), "a (redacted) b (redacted).");
        }
        assert_eq!(mask(&["abcdefg", "efghijk"]).text("x abcdefghijk x"), "x (redacted) x");
        assert_eq!(mask(&["aaaaaa"]).text("aaaaaaaaa!"), "(redacted)!");
    }

    #[test]
    fn lines_of_a_key_are_masked_one_by_one() {
        let mask = mask(&["-----BEGIN KEY-----\nMIIEvQIBADANBg\nkqhkiG9w0BAQ\n-----END KEY-----\n"]);
        assert_eq!(mask.text("  MIIEvQIBADANBg\n  kqhkiG9w0BAQ\n"), "  (redacted)\n  (redacted)\n");
        assert_eq!(mask.text("-----BEGIN KEY-----"), "-----BEGIN KEY-----");
    }

    #[test]
    fn short_values_and_other_text_stay() {
        let mask = mask(&["1", "true", "sk-123456789"]);
        assert!(matches!(mask.text("true 1 ümläut sk-12345"), Cow::Borrowed(_)));
    }

    #[test]
    fn copies_of_a_secret_are_masked() {
        let secret = json!({ "kind": "Secret", "data": { "A": STANDARD.encode("sk-12345"), "B": "MQ==" } });
        let mask = Mask::from_objects([&secret, &json!({ "kind": "ConfigMap", "data": { "A": "openly" } })]);
        let encoded = STANDARD.encode("sk-12345");
        assert_eq!(
            mask.text(&format!("a sk-12345 b {encoded} openly 1")),
            "a (redacted) b (redacted) openly 1"
        );
        assert_eq!(mask.value(&json!([{ "a": "sk-12345" }, 1])), json!([{ "a": "(redacted)" }, 1]));
        assert_eq!(format!("{mask:?}"), "Mask(redacted)");
    }

    #[test]
    fn quoted_values_are_removed_from_messages() {
        for (message, text) in [
            ("invalid type: string \"a \\\" b\", expected u8", "invalid type: string …, expected u8"),
            ("unknown variant `a`b`, expected `c`", "unknown variant …"),
            ("it doesn't say why", "it doesn't say why"),
            ("found 'secret", "found …"),
            ("unclosed bracket '['", "unclosed bracket '['"),
            ("expected '[' but 'secret'", "expected …"),
            ("first line\nsecret", "first line"),
        ] {
            assert_eq!(without_quotes(message), text);
        }
    }
}
