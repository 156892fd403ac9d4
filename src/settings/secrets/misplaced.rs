//! Secret references with the secret itself where the name of its source belongs: `{ env = "sk-…" }`. Pure.

use super::value::Reference;
use crate::object::api_key::{has_known_prefix, resembles_key};

/// Whether a text can be the name of an environment variable that a shell sets.
pub(crate) fn is_variable_name(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with(|c: char| c.is_ascii_digit())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Returns what is wrong with the value of a key of a reference; it may be the secret, so the text never quotes it. None:
/// the value can be a name, a path or a Secret's key.
pub(crate) fn mistake(key: &str, text: &str) -> Option<&'static str> {
    match key {
        "env" if resembles_key(text) => Some("the value looks like a key; write the name of the variable"),
        "env" if !is_variable_name(text) => {
            Some("the name of a variable has only letters, digits and `_`, and does not begin with a digit")
        }
        "file" if is_no_path(text) => {
            Some("the value looks like a key; write the path of the file, with ./ before a name")
        }
        "secret" if has_known_prefix(text) || (resembles_key(text) && has_capitals(text)) => {
            Some("the value looks like a key; write the name of the Secret")
        }
        "key" if resembles_key(text) => {
            Some("the value looks like a key; write the name of the key in the Secret")
        }
        _ => None,
    }
}

/// Returns what the value of a key of a reference is, for messages.
pub(crate) fn noun(key: &str) -> &'static str {
    match key {
        "env" => "the name of a variable",
        "file" => "the path of a file",
        "secret" => "the name of a Secret",
        _ => "the name of a key in a Secret",
    }
}

/// A name with a dot may be random: `0123456789abcdef0123.txt`. A token of three parts is none.
fn is_no_path(text: &str) -> bool {
    text.starts_with("-----BEGIN")
        || (!text.contains('/') && (text.starts_with("eyJ") || !text.contains('.')) && resembles_key(text))
}

/// The name of a Secret has none.
fn has_capitals(text: &str) -> bool {
    text.contains(|c: char| c.is_ascii_uppercase() || c == '_')
}

/// Whether every key of a table is one of a reference. The table may have too few or too many of them.
pub(crate) fn has_keys_of_reference<'a>(mut keys: impl Iterator<Item = &'a str>) -> bool {
    let is_of_reference = |key: &str| Reference::FORMS.iter().any(|form| form.contains(&key));
    let Some(first) = keys.next() else { return false };
    is_of_reference(first) && keys.all(is_of_reference)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_in_place_of_a_name_is_a_mistake() {
        for (key, text) in [
            ("env", "sk-ant-1"),
            ("env", "1A"),
            ("env", "LLM API KEY"),
            ("env", "LLM.KEY"),
            ("env", "Ä"),
            ("env", "ghp_0123456789abcdefghij"),
            ("env", "skant1234567890abcdef"),
            ("file", "sk-ant-1234"),
            ("file", "eyJhbGciOi.eyJzdWIi.x"),
            ("file", "-----BEGIN KEY-----/a.b"),
            ("secret", "sk-ant-1234"),
            ("secret", "Skant1234567890abcdef"),
            ("key", "sk-ant-1234"),
        ] {
            let mistake = mistake(key, text).unwrap_or_else(|| panic!("{key} {text}"));
            assert!(!mistake.contains(text), "{mistake}");
        }
        for (key, text) in [
            ("env", "LLM_API_KEY"),
            ("env", "_a1"),
            ("file", "-"),
            ("file", "key.txt"),
            ("file", "./sk-ant-1234"),
            ("file", "/run/secrets/0123456789abcdef0123"),
            ("secret", "openhands-0123456789abcdef0123"),
            ("key", "OPENAI_API_KEY"),
            ("key", "tls.crt"),
        ] {
            assert_eq!(mistake(key, text), None, "{key} {text}");
        }
    }
}
