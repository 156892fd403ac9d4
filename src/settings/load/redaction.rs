//! Which places hold a secret, and how a source text is shown without it.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::schema::{Shape, TableShape};
use crate::settings::secrets::value::Reference;

/// Endings of names that hold a secret, where no type says it.
const ENDINGS: &[&str] = &[
    "API_KEY",
    "APIKEY",
    "TOKEN",
    "PASSWORD",
    "PASSWD",
    "DB_PASS",
    "SECRET",
    "SECRET_KEY",
    "ACCESS_KEY",
    "ACCESS_KEY_ID",
    "PRIVATE_KEY",
    "CREDENTIALS",
    "AUTHORIZATION",
];

/// Whether a name that no type describes says that its value is a secret: `GITHUB_TOKEN`, `X-Session-API-Key`.
pub(crate) fn is_sensitive(name: &str) -> bool {
    let name = name.to_ascii_uppercase().replace('-', "_");
    ENDINGS
        .iter()
        .any(|ending| name.strip_suffix(ending).is_some_and(|rest| rest.is_empty() || rest.ends_with('_')))
}

/// The same for a name that is nobody's key and so perhaps a misspelt one: `api_keys`, `api_kye`, `tokn`. What is
/// shown of its value matters more than a value too many that is hidden.
fn resembles_sensitive(name: &str) -> bool {
    let name = name.to_ascii_uppercase().replace('-', "_");
    let starts = std::iter::once(0).chain(name.match_indices('_').map(|(at, _)| at + 1));
    starts.map(|start| &name[start..]).any(|tail| {
        ENDINGS.iter().any(|ending| tail == *ending || strsim::osa_distance(tail, ending) <= ending.len() / 4)
    })
}

/// Whether a plain value under `name` is a secret; `shape` is what the schema says about it.
pub(crate) fn is_secret(shape: Option<&Shape>, untyped: bool, name: &str) -> bool {
    match shape {
        Some(Shape::Reference { secret: true }) => true,
        None => resembles_sensitive(name),
        Some(Shape::Reference { secret: false } | Shape::Any) => is_sensitive(name),
        Some(_) => untyped && resembles_sensitive(name),
    }
}

/// The ranges of a source text that hold secrets.
pub(crate) fn spans(shape: &TableShape, table: &DeTable<'_>) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    in_table(Some(shape), table, &mut found);
    found
}

fn in_table(shape: Option<&TableShape>, table: &DeTable<'_>, found: &mut Vec<Range<usize>>) {
    for (name, value) in table {
        let name = name.get_ref();
        let known = shape.is_some_and(|shape| shape.keys.contains_key(name.as_ref()));
        let inner = shape.and_then(|shape| shape.inner(name));
        in_value(inner, known, name, value, found);
    }
}

fn in_value(
    shape: Option<&Shape>,
    known: bool,
    name: &str,
    value: &toml::Spanned<DeValue<'_>>,
    found: &mut Vec<Range<usize>>,
) {
    match value.get_ref() {
        DeValue::Table(table) => {
            let inner = match shape {
                // A reference names a secret and is none; what is no reference may hold the secret itself.
                Some(Shape::Reference { .. }) => {
                    if !is_reference(table) {
                        found.extend(table.values().map(toml::Spanned::span));
                    }
                    return;
                }
                shape => shape.and_then(Shape::as_table),
            };
            in_table(inner, table, found);
        }
        DeValue::Array(items) if !matches!(shape, Some(Shape::Reference { .. })) => {
            let inner = shape.and_then(Shape::as_list);
            for item in items {
                in_value(inner, known, name, item, found);
            }
        }
        _ if is_secret(shape, !known, name) => found.push(value.span()),
        _ => {}
    }
}

fn is_reference(table: &DeTable<'_>) -> bool {
    Reference::FORMS
        .iter()
        .any(|form| form.len() == table.len() && form.iter().all(|key| table.contains_key(*key)))
}

/// The text with every character of these ranges replaced; quotes, line breaks and byte offsets stay.
pub(crate) fn masked(text: &str, spans: &[Range<usize>]) -> String {
    let hidden = |at: usize| spans.iter().any(|span| span.contains(&at));
    let mut out = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        if hidden(at) && !matches!(c, '"' | '\'' | '\n' | '\r') {
            out.extend(std::iter::repeat_n('*', c.len_utf8()));
        } else {
            out.push(c);
        }
    }
    out
}

/// The same for a text that could not be parsed in full: whatever follows `SECRET_NAME =` on its line.
pub(crate) fn guessed(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        for (equals, _) in line.match_indices('=') {
            let before = line[..equals].trim_end().trim_end_matches(['"', '\'']);
            let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
            let name = &before[before.trim_end_matches(word).len()..];
            if resembles_sensitive(name) {
                found.push(start + equals + 1..start + line.len());
                break;
            }
        }
        start += line.len();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_say_it() {
        for name in ["GITHUB_TOKEN", "api_key", "X-Session-API-Key", "Authorization", "DB_PASS", "jwt_secret"]
        {
            assert!(is_sensitive(name), "{name}");
        }
        for name in ["max_output_tokens", "MONKEY", "LLM_MODEL", "KEYBOARD", "BYPASS"] {
            assert!(!is_sensitive(name), "{name}");
        }
    }

    #[test]
    fn misspelt_names_that_would_say_it() {
        for name in ["api_keys", "api_kye", "API-KEY", "github_tokn", "passwords", "jwt_secrets"] {
            assert!(resembles_sensitive(name), "{name}");
        }
        for name in ["pvc_storage_sise", "modle", "MONKEY", "replicaz", "colour", "hots"] {
            assert!(!resembles_sensitive(name), "{name}");
        }
    }

    #[test]
    fn a_broken_text_keeps_its_length_and_loses_its_secrets() {
        let text = "[llm]\napi_key = \"sk-größe\napi-key=\"x\" # y\nmodel = \"m\"\nü = 1\n";
        let shown = masked(text, &guessed(text));
        assert_eq!(shown.len(), text.len());
        assert!(!shown.contains("sk-") && !shown.contains('x') && shown.contains("model = \"m\""), "{shown}");
    }
}
