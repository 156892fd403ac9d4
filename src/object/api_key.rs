//! Texts that look like an API key: where a name or a path is expected, and inside of other texts. Pure.

use std::ops::Range;

/// Beginnings of keys and tokens of known services that nothing else has.
const UNMISTAKABLE: &[&str] = &[
    "ghp_",
    "gho_",
    "ghu_",
    "ghs_",
    "ghr_",
    "github_pat_",
    "glpat-",
    "gldt-",
    "xoxb-",
    "xoxp-",
    "xapp-",
    "AIza",
    "AKIA",
    "ASIA",
    "dop_v1_",
    "tvly-",
    "xoxa-",
    "xoxr-",
    "xoxs-",
    "whsec_",
    "hvs.",
    "hvb.",
    "glrt-",
    "dckr_pat_",
    "AGE-SECRET-KEY-",
];
/// Beginnings that a name may have, too: `sk-team-5f4dcc3b5a` is a pod.
const MISTAKABLE: &[&str] =
    &["sk-", "sk_", "pk_", "rk_", "hf_", "gsk_", "xai-", "npm_", "pypi-", "r8_", "SG."];
/// Beginnings of web tokens, of values of the header Authorization, and of key files.
const OTHER: &[&str] = &["eyJ", "Bearer ", "Basic ", "-----BEGIN"];
/// The minimum length of what follows a known beginning, and of a shorter rest with digits: `sk-openai` is a name.
const MIN_REST: usize = 16;
const MIN_REST_WITH_DIGITS: usize = 6;
/// The minimum length of letters and digits in a row that no person would choose as a name.
const MIN_RUN: usize = 20;
/// The minimum number of digits among them.
const MIN_DIGITS: usize = 3;

/// Returns texts of which one is in every text of several words that has a key.
pub(crate) fn marks() -> impl Iterator<Item = &'static str> {
    [UNMISTAKABLE, MISTAKABLE, OTHER, SCHEMES].into_iter().flatten().copied()
}

/// Whether a text begins like the keys of a known service: `sk-…`, `ghp_…`.
#[must_use]
pub fn has_known_prefix(text: &str) -> bool {
    let is_key = |rest: &str| {
        rest.len() >= MIN_REST || rest.len() >= MIN_REST_WITH_DIGITS && digits(rest) >= MIN_DIGITS
    };
    let prefixes = UNMISTAKABLE.iter().chain(MISTAKABLE).chain(OTHER);
    prefixes.filter_map(|prefix| text.strip_prefix(prefix)).any(is_key)
}

/// Whether a text looks like a key, and not like a name: a known beginning, or a long mix of letters and digits.
#[must_use]
pub fn resembles_key(text: &str) -> bool {
    has_known_prefix(text) || text.split(|c: char| !c.is_ascii_alphanumeric()).any(is_random)
}

/// Schemes of the header Authorization.
const SCHEMES: &[&str] = &["Bearer ", "bearer ", "BEARER ", "Basic ", "basic "];
/// The minimum length of a token after a scheme.
const MIN_TOKEN: usize = 8;

/// Returns the ranges of the keys in a text: those of known services, tokens after `Bearer`, and private keys. A certificate
/// is public.
#[must_use]
pub fn ranges(text: &str) -> Vec<Range<usize>> {
    let mut ranges: Vec<Range<usize>> = private_keys(text).collect();
    ranges.extend(scheme_tokens(text));
    let is_of_key = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let mut start = None;
    for (at, c) in text.char_indices().chain([(text.len(), ' ')]) {
        match (start, is_of_key(c)) {
            (None, true) => start = Some(at),
            (Some(from), false) => {
                let word = text[from..at].trim_end_matches('.');
                if is_key_in_text(word) {
                    ranges.push(from..from + word.len());
                }
                start = None;
            }
            _ => {}
        }
    }
    if ranges.is_empty() && is_key(text) {
        ranges.push(0..text.len());
    }
    ranges
}

/// Whether a whole text is the key of a known service, or a private key.
fn is_key(text: &str) -> bool {
    let is_other = OTHER.iter().any(|prefix| text.starts_with(prefix));
    // `npm_config_cache_directory=/x` is a variable.
    let name = text.split_once('=').map(|(name, _)| name);
    let is_name = |name: &str| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    let is_variable = name.is_some_and(is_name);
    // Words with the same beginning: `sk-bratislava-production`.
    let is_words = digits(text) < MIN_DIGITS
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() && !byte.is_ascii_uppercase() || byte == b'-');
    !is_other && !is_variable && !is_words && !text.contains(char::is_whitespace) && has_known_prefix(text)
}

/// Whether a word among others is a key.
fn is_key_in_text(word: &str) -> bool {
    if word.len() < MIN_REST {
        return false;
    }
    let rest = |prefix: &&str| word.strip_prefix(*prefix);
    let is_web_token = word.starts_with("eyJ") && word.len() >= MIN_RUN && word.contains('.');
    is_web_token
        || UNMISTAKABLE.iter().filter_map(rest).any(|rest| rest.len() >= MIN_REST)
        || MISTAKABLE.iter().filter_map(rest).any(|rest| {
            let is_long_mix = rest.len() >= MIN_REST && is_mix(rest);
            is_long_mix || rest.split(['-', '_', '.']).any(is_random)
        })
}

/// Whether a text has capitals, small letters and digits.
fn is_mix(text: &str) -> bool {
    let has = |is: fn(&u8) -> bool| text.as_bytes().iter().any(is);
    has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase) && has(u8::is_ascii_digit)
}

fn private_keys(text: &str) -> impl Iterator<Item = Range<usize>> + '_ {
    text.match_indices("-----BEGIN ").filter_map(|(at, begin)| {
        let rest = &text[at + begin.len()..];
        rest[..rest.find("-----")?].contains("PRIVATE KEY").then_some(())?;
        let end = rest.find("-----END ").and_then(|end| {
            let last = end + "-----END ".len();
            Some(last + rest[last..].find("-----")? + "-----".len())
        });
        Some(at..end.map_or(text.len(), |end| at + begin.len() + end))
    })
}

fn scheme_tokens(text: &str) -> impl Iterator<Item = Range<usize>> + '_ {
    let found = SCHEMES.iter().flat_map(|scheme| text.match_indices(scheme));
    found.filter_map(|(at, scheme)| {
        let is_word = !text[..at].ends_with(|c: char| c.is_alphanumeric());
        let start = at + scheme.len();
        let is_end =
            |c: char| c.is_whitespace() || c.is_control() || matches!(c, '"' | '\'' | ',' | ';' | '<' | '\\');
        let token = &text[start..start + text[start..].find(is_end).unwrap_or(text.len() - start)];
        // Prose has words after it: `Bearer authentication`.
        let is_prose = token.chars().skip(1).all(|c| c.is_ascii_lowercase() || matches!(c, '.' | ':' | ')'));
        let is_token = token.len() >= MIN_TOKEN && !is_prose && !token.starts_with(['$', '{', '(']);
        (is_word && is_token).then(|| start..start + token.len())
    })
}

fn is_random(run: &str) -> bool {
    let digits = digits(run);
    run.len() >= MIN_RUN && digits >= MIN_DIGITS && digits < run.len()
}

fn digits(text: &str) -> usize {
    text.bytes().filter(u8::is_ascii_digit).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_told_from_names() {
        for key in [
            "sk-ant-api03-abcdef",
            "sk_live_abcdefghijkl",
            "ghp_0123456789abcdef",
            "AIzaSyD1234567",
            "eyJhbGciOi.eyJzdWIi.x",
            "skant1234567890abcdef",
            "0123456789abcdef0123456789abcdef",
            "-----BEGIN PRIVATE KEY-----",
        ] {
            assert!(resembles_key(key), "{key}");
        }
        for name in [
            "LLM_API_KEY",
            "OPENHANDS_PRODUCTION_OPENAI_API_KEY_2",
            "sk-x",
            "sk-openai",
            "sk-secrets",
            "hf_api_key",
            "npm_config__auth",
            "secrets/llm-key.txt",
            "MYVERYLONGVARIABLENAMEOFACOMPANY",
            "openhands-env-5f4dcc3b5a",
            "",
        ] {
            assert!(!resembles_key(name), "{name}");
        }
    }

    #[test]
    fn keys_in_texts_are_found() {
        for (text, expected) in [
            ("use ghp_0123456789abcdef0123, then", "ghp_0123456789abcdef0123"),
            ("a sk-proj-Abcdefghijklmnop12345", "sk-proj-Abcdefghijklmnop12345"),
            ("key=sk-0123456789abcdef0123456789abcdef&a", "sk-0123456789abcdef0123456789abcdef"),
            ("id AKIAIOSFODNN7EXAMPLE.", "AKIAIOSFODNN7EXAMPLE"),
            ("Authorization: Bearer abc-DEF-123", "abc-DEF-123"),
            ("-H 'Authorization: Basic bWU6cGFzcw=='", "bWU6cGFzcw=="),
            ("x eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc"),
            ("sk-live/and+nothing+else", "sk-live/and+nothing+else"),
            (
                "a -----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY----- b",
                "-----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY-----",
            ),
        ] {
            let found: Vec<&str> = ranges(text).into_iter().map(|range| &text[range]).collect();
            assert_eq!(found, [expected], "{text}");
        }
        for text in [
            "pod sk-team-6d5f9c7b9-x2kqp is ready",
            "Bearer authentication is required",
            "Basic tokens",
            "Bearer $(API_TOKEN)",
            "npm_config_cache_directory=/x",
            "-----BEGIN CERTIFICATE-----\nMIIEvQIBADANBg0123\n-----END CERTIFICATE-----",
            "eyJhIjoxfQ",
            "sk-bratislava-production",
            "mask-0123456789abcdef0123",
        ] {
            assert!(ranges(text).is_empty(), "{text}");
        }
    }
}
