//! Finds secrets in a source text and masks them, so that diagnostics can show the text.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::schema::{Shape, TableShape};
use crate::object::assignment;
use crate::object::secret_name::{ENDINGS, is_sensitive};
use crate::settings::secrets::misplaced;
use crate::settings::secrets::value::Reference;

/// What replaces a character of as many bytes in UTF-8.
const MASKS: [char; 4] = ['*', '·', '•', '𐄁'];

/// Whether the name of an unknown key marks its value as a secret. The name may be misspelt: `api_keys`, `api_kye`,
/// `tokn`. Masking one value too many is better than showing a secret.
pub(crate) fn resembles_sensitive(name: &str) -> bool {
    if is_sensitive(name) {
        return true;
    }
    let name = name.to_ascii_uppercase().replace('-', "_");
    // Any header may be a login: `extra_headers`.
    if name.ends_with("HEADERS") {
        return true;
    }
    let starts = std::iter::once(0).chain(name.match_indices('_').map(|(at, _)| at + 1));
    starts.map(|start| &name[start..]).any(|tail| {
        ENDINGS.iter().any(|ending| {
            tail == *ending || (ending.len() > 4 && strsim::osa_distance(tail, ending) <= ending.len() / 4)
        })
    })
}

/// Whether a plain value under `name` is a secret; `shape` is its shape in the schema.
pub(crate) fn is_secret(shape: Option<&Shape>, untyped: bool, name: &str) -> bool {
    match shape {
        Some(Shape::Reference { secret: true }) => true,
        None => resembles_sensitive(name),
        Some(Shape::Reference { secret: false } | Shape::Any) => is_sensitive(name),
        Some(_) => untyped && resembles_sensitive(name),
    }
}

/// Returns the ranges of secrets in a source text.
pub(crate) fn spans(shape: &TableShape, table: &DeTable<'_>) -> Vec<Range<usize>> {
    let mut spans = Vec::new();
    in_table(Some(shape), table, &mut spans);
    spans
}

/// Returns the ranges of secrets in one value. `is_listed`: whether the schema lists its name as a key.
pub(crate) fn spans_of_value(
    shape: Option<&Shape>,
    is_listed: bool,
    name: &str,
    value: &toml::Spanned<DeValue<'_>>,
) -> Vec<Range<usize>> {
    let mut spans = Vec::new();
    in_value(shape, is_listed, name, value, &mut spans);
    spans
}

fn in_table(shape: Option<&TableShape>, table: &DeTable<'_>, spans: &mut Vec<Range<usize>>) {
    for (key, value) in table {
        let name = key.get_ref();
        // A token in the place of a key.
        if !assignment::key_ranges(name).is_empty() {
            spans.push(key.span());
        }
        let is_listed = shape.is_some_and(|shape| shape.keys.contains_key(name.as_ref()));
        let inner = shape.and_then(|shape| shape.inner(name));
        in_value(inner, is_listed, name, value, spans);
    }
}

fn in_value(
    shape: Option<&Shape>,
    is_listed: bool,
    name: &str,
    value: &toml::Spanned<DeValue<'_>>,
    spans: &mut Vec<Range<usize>>,
) {
    match value.get_ref() {
        DeValue::Table(table) => {
            spans.extend(misplaced_keys(table));
            let inner = match shape {
                // A reference is not a secret itself; another table in its place may contain the secret.
                Some(Shape::Reference { .. }) => {
                    if !is_reference(table) {
                        spans.extend(table.values().map(toml::Spanned::span));
                    }
                    return;
                }
                // The name is misspelt, and the table may be a misspelt reference.
                None | Some(Shape::Table(_))
                    if !is_listed && resembles_sensitive(name) && !is_reference(table) =>
                {
                    spans.extend(table.values().map(toml::Spanned::span));
                    return;
                }
                shape => shape.and_then(Shape::as_table),
            };
            in_table(inner, table, spans);
        }
        DeValue::Array(items) if !matches!(shape, Some(Shape::Reference { .. })) => {
            let inner = shape.and_then(Shape::as_list);
            spans.extend(flag_values(items));
            for item in items {
                in_value(inner, is_listed, name, item, spans);
            }
        }
        // A number under a name that only resembles a secret's is none: `max_tokens = 4096`.
        DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_)
            if !matches!(shape, Some(Shape::Reference { secret: true })) && !is_sensitive(name) => {}
        _ if is_secret(shape, !is_listed, name) => spans.push(value.span()),
        DeValue::String(text) if assignment::has_secret(text) => spans.push(value.span()),
        _ => {}
    }
}

/// Returns the ranges of the words after a flag with a secret name: `["--token", "…"]`.
fn flag_values<'a>(items: &'a [toml::Spanned<DeValue<'_>>]) -> impl Iterator<Item = Range<usize>> + 'a {
    let is_value = |pair: &&[toml::Spanned<DeValue<'_>>]| match (pair[0].get_ref(), pair[1].get_ref()) {
        (DeValue::String(flag), DeValue::String(value)) => assignment::is_flag_with_secret(flag, value),
        _ => false,
    };
    items.windows(2).filter(is_value).map(|pair| pair[1].span())
}

/// Returns the ranges of secrets that a reference has in place of a name.
fn misplaced_keys(table: &DeTable<'_>) -> Vec<Range<usize>> {
    if !misplaced::has_keys_of_reference(table.keys().map(|key| key.get_ref().as_ref())) {
        return Vec::new();
    }
    let is_misplaced = |key: &str, value: &DeValue<'_>| {
        value.as_str().is_some_and(|text| misplaced::mistake(key, text).is_some())
    };
    let values = table.iter().filter(|(key, value)| is_misplaced(key.get_ref(), value.get_ref()));
    values.map(|(_, value)| value.span()).collect()
}

fn is_reference(table: &DeTable<'_>) -> bool {
    Reference::FORMS
        .iter()
        .any(|form| form.len() == table.len() && form.iter().all(|key| table.contains_key(*key)))
}

/// Masks every character of these ranges. Quotes, line breaks, byte offsets and columns are kept.
pub(crate) fn masked(text: &str, spans: &[Range<usize>]) -> String {
    let is_masked = |at: usize| spans.iter().any(|span| span.contains(&at));
    let mut out = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        if is_masked(at) && !matches!(c, '"' | '\'' | '\n' | '\r') {
            out.push(MASKS[c.len_utf8() - 1]);
        } else {
            out.push(c);
        }
    }
    out
}

/// Returns the ranges of likely secrets in a text with syntax errors: the rest of each line after `SECRET_NAME =`.
pub(crate) fn guessed(text: &str) -> Vec<Range<usize>> {
    let mut spans = assignment::key_ranges(text);
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        for (equals, _) in line.match_indices('=') {
            let before = line[..equals].trim_end().trim_end_matches(['"', '\'']);
            let is_part_of_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
            let name = &before[before.trim_end_matches(is_part_of_name).len()..];
            if resembles_sensitive(name) {
                spans.push(start + equals + 1..start + line.len());
                break;
            }
        }
        start += line.len();
    }
    spans
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misspelt_secret_names_are_sensitive() {
        for name in
            ["api_keys", "api_kye", "API-KEY", "github_tokn", "passwords", "jwt_secrets", "extra_headers"]
        {
            assert!(resembles_sensitive(name), "{name}");
        }
        for name in [
            "ingress_class",
            "node_port",
            "past",
            "pvc_storage_sise",
            "modle",
            "MONKEY",
            "replicaz",
            "colour",
            "hots",
        ] {
            assert!(!resembles_sensitive(name), "{name}");
        }
    }

    #[test]
    fn masking_broken_text_keeps_its_length() {
        let text = "[llm]\napi_key = \"sk-größe\napi-key=\"x\" # y\nmodel = \"m\"\nü = 1\n";
        let shown = masked(text, &guessed(text));
        assert_eq!((shown.len(), shown.chars().count()), (text.len(), text.chars().count()));
        assert!(!shown.contains("sk-") && !shown.contains('x') && shown.contains("model = \"m\""), "{shown}");
    }
}
