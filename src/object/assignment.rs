//! Secrets in assignments, as programs print their environment: `API_KEY=value`, `"API_KEY=value"`, `password: value`.
//! Pure.

use std::borrow::Cow;
use std::ops::Range;

use super::secret_name::is_sensitive;
use super::{mask, url_secret};

/// Masks the values of secret names, and the secrets of URLs, in the output of a program.
#[must_use]
pub fn masked(text: &str) -> Cow<'_, str> {
    let mut ranges = url_secret::ranges(text);
    ranges.extend(values(text));
    mask::without(text, ranges)
}

fn values(text: &str) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    for (at, separator) in text.match_indices(['=', ':']) {
        let before = text[..at].trim_end_matches('"');
        let is_part_of_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        let name = &before[before.trim_end_matches(is_part_of_name).len()..];
        if !is_sensitive(name) {
            continue;
        }
        let rest = &text[at + separator.len()..];
        let blanks =
            if separator == ":" { rest.len() - rest.trim_start_matches([' ', '\t']).len() } else { 0 };
        let start = at + separator.len() + blanks;
        let rest = &text[start..];
        let (quote, value) = match rest.strip_prefix(['"', '\'']) {
            Some(value) => (1, value),
            None => (0, rest),
        };
        let closing = rest.chars().next().filter(|_| quote == 1).unwrap_or('"');
        let is_end = |c: char| c == closing || c == '\n' || c == '\r' || (quote == 0 && c.is_whitespace());
        let end = value.find(is_end).unwrap_or(value.len());
        if end > 0 {
            ranges.push(start + quote..start + quote + end);
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_secret_names_are_masked() {
        for (text, shown) in [
            (r#""Env": ["GITHUB_TOKEN=abc", "A=b"]"#, r#""Env": ["GITHUB_TOKEN=(redacted)", "A=b"]"#),
            (
                "HTTPS_PROXY=http://me:secret@proxy:3128\nX=y",
                "HTTPS_PROXY=http://me:(redacted)@proxy:3128\nX=y",
            ),
            ("password: \"a b\", user: c", "password: \"(redacted)\", user: c"),
            (r#"{"api_key": "a", "b": 1}"#, r#"{"api_key": "(redacted)", "b": 1}"#),
            ("API_KEY='a b' c", "API_KEY='(redacted)' c"),
            ("max_tokens=5 key=1 TOKEN= x", "max_tokens=5 key=1 TOKEN= x"),
        ] {
            assert_eq!(masked(text), shown);
        }
    }
}
