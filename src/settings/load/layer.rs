//! One layer of settings: a file, an environment variable, a `--set`, a flag. Parses text into a tree and diagnostics.

use std::ops::Range;
use std::sync::Arc;

use toml::de::{DeTable, DeValue};

use super::redaction;
use super::schema::{Shape, TableShape};
use super::suggest::closest;
use super::tree::{self, Data, KeyPosition, Node, SourceLayer, Table};
use crate::catalogue::Id;
use crate::diagnostic::{Diagnostic, Location, Severity, SourceText};
use crate::object::assignment;

/// Variables that choose the installation and the cluster. An empty one is a mistake of a script, and must not replace the
/// file's choice by the default.
const TARGETS: &[&str] = &["DEPLOY__NAME", "DEPLOY__NAMESPACE", "CLUSTER__NAME", "CLUSTER__CONTEXT"];
/// Variables `HANDSCTL_…` that are not settings.
const RESERVED: &[&str] = &["CONFIG", "ASSETS", "IN_CLUSTER", "COMPLETION_LIMIT"];
const PREFIX: &str = "HANDSCTL_";
/// Further syntax errors are only counted, because they mostly follow from earlier ones.
const MOST_SYNTAX_ERRORS: usize = 10;

/// The content of one source.
#[derive(Debug, Default)]
pub(crate) struct Parsed {
    pub table: Table,
    pub diagnostics: Vec<Diagnostic>,
    /// Whether the text could be parsed; if not, the table is empty.
    pub broken: bool,
}

/// Parses a file. `name` is its path as the user gave it.
pub(crate) fn file(shape: &TableShape, name: &str, text: &str) -> Parsed {
    let (parsed, errors) = DeTable::parse_recoverable(text);
    let mut secrets = redaction::spans(shape, parsed.get_ref());
    if errors.is_empty() {
        let source = source(name, redaction::masked(text, &secrets));
        let table = tree::table(parsed.get_ref(), &SourceLayer::File, &source);
        return Parsed { table, ..Parsed::default() };
    }
    secrets.extend(redaction::guessed(text));
    let source = source(name, redaction::masked(text, &secrets));
    let mut diagnostics: Vec<Diagnostic> =
        errors.iter().take(MOST_SYNTAX_ERRORS).map(|error| syntax_error(error, &source)).collect();
    if let Some(more) = errors.len().checked_sub(MOST_SYNTAX_ERRORS).filter(|more| *more > 0) {
        diagnostics.push(Diagnostic {
            message: format!("{more} more syntax errors in {name}"),
            location: None,
            ..syntax_error(&errors[0], &source)
        });
    }
    Parsed { table: Table::new(), diagnostics, broken: true }
}

fn source(name: &str, text: String) -> Arc<SourceText> {
    Arc::new(SourceText { name: name.to_owned(), text })
}

fn syntax_error(error: &toml::de::Error, source: &Arc<SourceText>) -> Diagnostic {
    let text = &source.text;
    let start = error.span().map_or(text.len(), |span| span.start.min(text.len()));
    let end = error.span().map_or(start, |span| span.end.clamp(start, text.len()));
    Diagnostic {
        id: Id::ConfigSyntax,
        severity: Severity::Error,
        message: "not TOML; the application would log a warning and run with all defaults".to_owned(),
        location: Some(Location { source: Arc::clone(source), span: start..end }),
        label: error.message().to_owned(),
        masked: false,
    }
}

/// Parses the environment variables that begin with `HANDSCTL_`.
pub(crate) fn environment(shape: &TableShape, variables: &[(String, String)]) -> Parsed {
    let mut parsed = Parsed::default();
    for (name, value) in variables {
        let Some(rest) = name.strip_prefix(PREFIX) else { continue };
        let is_unset = value.is_empty() && TARGETS.contains(&rest);
        if RESERVED.contains(&rest) || rest.starts_with("TEST_") || is_unset {
            continue;
        }
        let path: Vec<String> = rest.split("__").map(str::to_ascii_lowercase).collect();
        let path = schema_path(shape, rest, &path);
        match path {
            Some((path, inner)) => {
                let (_, is_listed) = shape_at(shape, &path.iter().map(String::as_str).collect::<Vec<_>>());
                variable(&mut parsed.table, name, value, &path, inner, is_listed);
            }
            None => parsed.diagnostics.push(unknown_variable(shape, name)),
        }
    }
    parsed
}

/// Returns the path of a variable in the spelling of the tables, and the shape of its value. A name that the user
/// chooses, such as a variable in `deploy.env`, keeps its case.
fn schema_path<'a>(shape: &'a TableShape, rest: &str, lower: &[String]) -> Option<(Vec<String>, &'a Shape)> {
    let mut path = Vec::new();
    let mut table = Some(shape);
    let mut shape_at_end = None;
    for (written, lower) in rest.split("__").zip(lower) {
        let current = table?;
        let name = if current.keys.contains_key(lower) { lower.as_str() } else { written };
        let inner = current.inner(name).filter(|_| !name.is_empty())?;
        path.push(name.to_owned());
        table = match inner {
            Shape::Table(next) => Some(next),
            _ => None,
        };
        shape_at_end = Some(inner);
    }
    // `HANDSCTL_DEPLOY` cannot set a whole table of the file, but `HANDSCTL_DEPLOY__ENV={…}` can set an inner table.
    shape_at_end.filter(|_| path.len() > 1).map(|shape| (path, shape))
}

fn variable(table: &mut Table, name: &str, value: &str, path: &[String], shape: &Shape, is_listed: bool) {
    let layer = SourceLayer::Environment(name.to_owned());
    let last = path.last().map_or("", String::as_str);
    let parsed = DeValue::parse(value).ok();
    let spans = secrets_of_value(value, Some(shape), is_listed, last, parsed.as_ref(), 0..value.len());
    let source = source(&format!("environment variable {name}"), redaction::masked(value, &spans));
    let node = value_node(parsed.as_ref(), value, shape, &layer, &source, 0..value.len());
    let key = KeyPosition::new(&layer, &source, 0..value.len());
    tree::put(table, &path.iter().map(String::as_str).collect::<Vec<_>>(), key, node);
}

/// Returns the node of a TOML value, else of a string. A key that accepts strings takes an unquoted value as a string.
fn value_node(
    parsed: Option<&toml::Spanned<DeValue<'_>>>,
    text: &str,
    shape: &Shape,
    layer: &SourceLayer,
    source: &Arc<SourceText>,
    span: Range<usize>,
) -> Node {
    let string = || Node {
        data: Data::Text(text.to_owned()),
        position: KeyPosition::new(layer, source, span.clone()),
    };
    let Some(parsed) = parsed else { return string() };
    let accepts_strings = matches!(shape, Shape::Text { .. } | Shape::Reference { .. });
    match parsed.get_ref() {
        DeValue::String(_) | DeValue::Table(_) | DeValue::Array(_) => tree::node(parsed, layer, source),
        _ if accepts_strings => string(),
        _ => tree::node(parsed, layer, source),
    }
}

fn unknown_variable(shape: &TableShape, name: &str) -> Diagnostic {
    let mut names = Vec::new();
    variable_names(shape, PREFIX, &mut names);
    let label = closest(name, names.iter().map(String::as_str))
        .map_or_else(String::new, |suggestion| format!("did you mean {suggestion}?"));
    // Only the name: the value may be a secret.
    let source = source("environment", name.to_owned());
    Diagnostic {
        id: Id::UnknownVariable,
        severity: Severity::Warning,
        message: format!("the environment variable {name} matches no key and has no effect"),
        location: Some(Location { source, span: 0..name.len() }),
        label,
        masked: false,
    }
}

fn variable_names(shape: &TableShape, prefix: &str, names: &mut Vec<String>) {
    for (name, key) in &shape.keys {
        let name = format!("{prefix}{}", name.to_ascii_uppercase());
        match &key.shape {
            Shape::Table(inner) => variable_names(inner, &format!("{name}__"), names),
            _ => names.push(name),
        }
    }
}

/// Parses one `--set KEY=VALUE`.
pub(crate) fn set(shape: &TableShape, text: &str) -> Parsed {
    let Some((path, value_at)) = set_key(text) else { return set_without_key(shape, text) };
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    let (inner, is_listed) = shape_at(shape, &path);
    let value = &text[value_at..];
    let padded = padded_value(text, value_at);
    let document = DeTable::parse(&padded).ok();
    let parsed = document.as_ref().and_then(only_value);
    let name = path.last().copied().unwrap_or_default();
    let masking = inner.or_else(|| meant_shape(shape, &path));
    let secrets = secrets_of_value(text, masking, is_listed, name, parsed, value_at..text.len());
    let source = source("--set", redaction::masked(text, &secrets));
    let any = Shape::Any;
    let node =
        value_node(parsed, value, inner.unwrap_or(&any), &SourceLayer::Set, &source, value_at..text.len());
    let mut table = Table::new();
    tree::put(&mut table, &path, KeyPosition::new(&SourceLayer::Set, &source, 0..value_at - 1), node);
    Parsed { table, ..Parsed::default() }
}

/// Returns the text of a `--set` with its secrets masked.
pub(crate) fn masked_set(shape: &TableShape, text: &str) -> String {
    let Some((path, value_at)) = set_key(text) else {
        return without_value(shape, text);
    };
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    let (inner, is_listed) = shape_at(shape, &path);
    let padded = padded_value(text, value_at);
    let document = DeTable::parse(&padded).ok();
    let parsed = document.as_ref().and_then(only_value);
    let name = path.last().copied().unwrap_or_default();
    let masking = inner.or_else(|| meant_shape(shape, &path));
    redaction::masked(text, &secrets_of_value(text, masking, is_listed, name, parsed, value_at..text.len()))
}

/// Returns the shape of the key that an unknown path means, to decide whether its value is a secret: a key without its
/// table, or one that is misspelt in its table. None: the value may be anything.
fn meant_shape<'a>(shape: &'a TableShape, path: &[&str]) -> Option<&'a Shape> {
    let (name, table) = path.split_last()?;
    if table.is_empty() {
        let tables = shape.keys.values().filter_map(|key| key.shape.as_table());
        let mut same: Vec<&Shape> =
            tables.filter_map(|table| table.keys.get(*name)).map(|key| &key.shape).collect();
        // One key of this name that holds a secret is enough.
        same.sort_by_key(|shape| !matches!(shape, Shape::Reference { secret: true }));
        return same.first().copied();
    }
    let table = shape_at(shape, table).0?.as_table()?;
    let near = closest(name, table.keys.keys().map(String::as_str))?;
    table.keys.get(near).map(|key| &key.shape)
}

/// Returns the value as the document `v = VALUE`, padded so that its positions are those of the whole text.
fn padded_value(text: &str, value_at: usize) -> String {
    format!("v{}={}", " ".repeat(value_at.saturating_sub(2)), &text[value_at..])
}

/// Returns the value of a document with one key.
fn only_value<'a, 'i>(document: &'a toml::Spanned<DeTable<'i>>) -> Option<&'a toml::Spanned<DeValue<'i>>> {
    let table = document.get_ref();
    if table.len() == 1 { table.values().next() } else { None }
}

/// Returns the path before the first `=` outside of quotes, and the offset of the value.
pub(super) fn set_key(text: &str) -> Option<(Vec<String>, usize)> {
    let mut quote = None;
    let equals = text.char_indices().find_map(|(at, c)| {
        match (quote, c) {
            (None, '=') => return Some(at),
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            _ => {}
        }
        None
    })?;
    let document = format!("{}=0", &text[..equals]);
    let parsed = DeTable::parse(&document).ok()?;
    let mut path = Vec::new();
    let mut table = parsed.get_ref();
    loop {
        let (name, value) = table.iter().next().filter(|_| table.len() == 1)?;
        path.push(name.get_ref().to_string());
        match value.get_ref() {
            DeValue::Table(inner) => table = inner,
            _ => return Some((path, equals + 1)),
        }
    }
}

/// Masks a `--set` that cannot be parsed, because any part of it may be a secret. Only a part before `=` that begins
/// with the name of a table is a key.
fn without_value(shape: &TableShape, text: &str) -> String {
    let key = text.split('=').next().unwrap_or_default();
    let table = key.trim().split('.').next().unwrap_or_default();
    let shown = if key.len() < text.len() && shape.keys.contains_key(table) { key.len() + 1 } else { 0 };
    redaction::masked(text, std::slice::from_ref(&(shown..text.len())))
}

fn set_without_key(shape: &TableShape, text: &str) -> Parsed {
    let source = source("--set", without_value(shape, text));
    let diagnostic = Diagnostic {
        id: Id::BadValue,
        severity: Severity::Error,
        message: "--set takes KEY=VALUE".to_owned(),
        location: Some(Location { span: 0..source.text.len(), source }),
        label: "a dotted key is expected before `=`, as in deploy.replicas=1".to_owned(),
        masked: false,
    };
    Parsed { diagnostics: vec![diagnostic], ..Parsed::default() }
}

/// Returns the ranges of secrets in one value; `whole` is the range of the value in the text.
fn secrets_of_value(
    text: &str,
    shape: Option<&Shape>,
    is_listed: bool,
    name: &str,
    parsed: Option<&toml::Spanned<DeValue<'_>>>,
    whole: Range<usize>,
) -> Vec<Range<usize>> {
    match parsed {
        // A mistyped reference is a table too, and may contain the secret itself.
        Some(value) if value.get_ref().is_table() => redaction::spans_of_value(shape, is_listed, name, value),
        _ if redaction::is_secret(shape, !is_listed, name) => vec![whole],
        Some(value) => redaction::spans_of_value(shape, is_listed, name, value),
        None if is_plain_text(shape) && !text[whole.clone()].trim_start().starts_with(['{', '[']) => {
            secrets_in(text, whole)
        }
        // A list or table with a syntax error may contain a secret anywhere.
        None => vec![whole],
    }
}

/// Whether a value without TOML syntax is a string, or a number with a mistake, rather than a broken list or table.
fn is_plain_text(shape: Option<&Shape>) -> bool {
    matches!(
        shape,
        Some(
            Shape::Text { .. }
                | Shape::Reference { .. }
                | Shape::Integer { .. }
                | Shape::Number
                | Shape::Boolean
        )
    )
}

fn secrets_in(text: &str, whole: Range<usize>) -> Vec<Range<usize>> {
    let ranges = assignment::ranges(&text[whole.clone()]);
    ranges.into_iter().map(|range| range.start + whole.start..range.end + whole.start).collect()
}

/// Returns the shape at a path, and whether the schema lists the last segment as a key.
pub(super) fn shape_at<'a>(shape: &'a TableShape, path: &[&str]) -> (Option<&'a Shape>, bool) {
    let Some((first, rest)) = path.split_first() else { return (None, false) };
    let inner = shape.inner(first);
    if rest.is_empty() {
        return (inner, shape.keys.contains_key(*first));
    }
    match inner {
        Some(Shape::Table(next)) => shape_at(next, rest),
        Some(Shape::Any) => (Some(&Shape::Any), false),
        _ => (None, false),
    }
}

/// Adds the key that a dedicated flag sets.
pub(crate) fn flag(table: &mut Table, name: &str, path: &[&str], value: &str) {
    let source = source(name, value.to_owned());
    let position = KeyPosition::new(&SourceLayer::Flag, &source, 0..value.len());
    tree::put(table, path, position.clone(), Node { data: Data::Text(value.to_owned()), position });
}
