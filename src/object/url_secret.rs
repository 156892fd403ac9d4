//! Passwords and keys in URLs, wherever a text contains them. Pure.

use std::borrow::Cow;
use std::ops::Range;

use super::mask;
use super::secret_name::is_sensitive;

/// A user name of this length is a token: `https://ghp_….@host`. `git@host` is not.
const TOKEN_LENGTH: usize = 16;
/// Query parameters that are secrets, besides those with a sensitive name.
const PARAMETERS: &[&str] =
    &["key", "sig", "signature", "x-amz-signature", "x-amz-credential", "x-goog-signature", "auth"];

/// Masks the password, and each secret parameter, of every URL in a text.
#[must_use]
pub fn masked(text: &str) -> Cow<'_, str> {
    mask::without(text, ranges(text))
}

/// Whether a text contains a URL with a password or a secret parameter.
#[must_use]
pub fn has_secret(text: &str) -> bool {
    !ranges(text).is_empty()
}

/// Returns the ranges of passwords and secret parameters of every URL in a text.
#[must_use]
pub fn ranges(text: &str) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    for (at, separator) in text.match_indices("://") {
        if !text[..at].ends_with(|c: char| c.is_ascii_alphanumeric()) {
            continue;
        }
        let start = at + separator.len();
        let is_end =
            |c: char| c.is_whitespace() || c.is_control() || matches!(c, '"' | '\'' | '<' | '>' | '`' | '|');
        let end = text[start..].find(is_end).map_or(text.len(), |length| start + length);
        ranges.extend(user_secret(&text[start..end]).map(|range| shifted(range, start)));
        ranges.extend(parameter_secrets(&text[start..end]).map(|range| shifted(range, start)));
    }
    ranges
}

fn shifted(range: Range<usize>, by: usize) -> Range<usize> {
    range.start + by..range.end + by
}

/// Returns the range of the password in a URL without its scheme: `user:password@host/path`.
fn user_secret(url: &str) -> Option<Range<usize>> {
    let authority = &url[..url.find(['/', '?', '#']).unwrap_or(url.len())];
    let at = authority.rfind('@').or_else(|| {
        // A password whose `/`, `?` or `#` is not encoded. A port has only digits.
        let (_, port) = authority.rsplit_once(':')?;
        let is_port = port.chars().all(|c| c.is_ascii_digit()) || authority.ends_with(']');
        if is_port { None } else { url.rfind('@') }
    })?;
    match url[..at].find(':') {
        Some(colon) if colon + 1 < at => Some(colon + 1..at),
        None if at >= TOKEN_LENGTH => Some(0..at),
        _ => None,
    }
}

/// Returns the ranges of the secret values in a URL's query and fragment.
fn parameter_secrets(url: &str) -> impl Iterator<Item = Range<usize>> + '_ {
    let query = url.find(['?', '#']).map_or(url.len(), |at| at + 1);
    let mut start = query;
    url[query..].split_inclusive(['&', ';', '#', '?']).filter_map(move |part| {
        let at = start;
        start += part.len();
        let part = part.trim_end_matches(['&', ';', '#', '?']);
        let (name, value) = part.split_once('=')?;
        let lower = name.to_ascii_lowercase();
        let is_secret = is_sensitive(name) || PARAMETERS.contains(&lower.as_str());
        (is_secret && !value.is_empty()).then(|| at + name.len() + 1..at + part.len())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_and_keys_in_urls_are_masked() {
        for (text, shown) in [
            ("postgres://me:p@ss@db:5432/x", "postgres://me:(redacted)@db:5432/x"),
            ("a 'https://:pass@host' b", "a 'https://:(redacted)@host' b"),
            ("redis://u:pa/ss#wo?rd@host/0", "redis://u:(redacted)@host/0"),
            ("https://ghp_0123456789abcdef@host/r.git", "https://(redacted)@host/r.git"),
            ("https://h/v1?a=b&api_key=sk-1&c=d#e", "https://h/v1?a=b&api_key=(redacted)&c=d#e"),
            ("https://h/v1?key=AIza", "https://h/v1?key=(redacted)"),
            ("https://h/#access_token=abc", "https://h/#access_token=(redacted)"),
            ("https://h/?X-Amz-Signature=00&x=1", "https://h/?X-Amz-Signature=(redacted)&x=1"),
            ("http://a:b@c http://d:e@f", "http://a:(redacted)@c http://d:(redacted)@f"),
            ("me:(redacted)@db", "me:(redacted)@db"),
            ("https://me:(redacted)@db", "https://me:(redacted)@db"),
        ] {
            assert_eq!(masked(text), shown);
        }
    }

    #[test]
    fn urls_without_secrets_stay() {
        for text in [
            "https://host:8443/a@b",
            "http://[::1]:80/a@b",
            "ssh://git@host/r.git",
            "https://host/path?model=a&page=2",
            "https://me:@host",
            "a://",
            "://x:y@z",
        ] {
            assert!(!has_secret(text), "{text}: {}", masked(text));
        }
    }
}
