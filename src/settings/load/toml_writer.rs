//! Writes a tree as text: TOML for the application and the terminal, Python literals for environment variables.

use super::toml_key::{dotted, quoted};
use super::tree::{Data, Node, Table, TreeEntry};

/// Writes a value on one line; a secret that was moved out of the tree is `(redacted)`.
pub(crate) fn inline(data: &Data) -> String {
    match data {
        Data::Text(text) => quoted(text),
        Data::Integer(number) => number.to_string(),
        Data::Float(number) => float(*number),
        Data::Boolean(value) => value.to_string(),
        Data::Datetime(value) => value.to_string(),
        Data::List(items) => {
            let items: Vec<String> = items.iter().map(|item| in_array(&item.data)).collect();
            format!("[{}]", items.join(", "))
        }
        Data::Table(table) if table.is_empty() => "{}".to_owned(),
        Data::Table(table) => {
            let pair = |(name, entry): (&String, &TreeEntry)| {
                format!("{} = {}", dotted(&[name]), inline(&entry.node.data))
            };
            format!("{{ {} }}", table.iter().map(pair).collect::<Vec<_>>().join(", "))
        }
        Data::Secret => "(redacted)".to_owned(),
        Data::TooLarge => "(too large)".to_owned(),
    }
}

/// Python's `toml` 0.10 splits an array at a comma at the beginning of a string, so that comma is escaped.
fn in_array(data: &Data) -> String {
    match (data, inline(data).strip_prefix("\",")) {
        (Data::Text(_), Some(rest)) => format!("\"\\u002C{rest}"),
        _ => inline(data),
    }
}

fn float(number: f64) -> String {
    if number.is_nan() {
        return "nan".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    format!("{number:?}")
}

/// Writes a whole document: values first, then tables, each in alphabetical order.
///
/// The application reads it with the Python package `toml` 0.10, which loses inline tables in an array if one of their
/// strings contains a quote or a bracket: arrays of tables are written as `[[sections]]`.
pub(crate) fn document(table: &Table) -> String {
    let mut out = String::new();
    section(&mut out, &mut Vec::new(), Header::Table, table);
    out
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Header {
    Table,
    /// One table of an array.
    Item,
}

fn section<'a>(out: &mut String, path: &mut Vec<&'a str>, header: Header, table: &'a Table) {
    let (sections, values): (Vec<_>, Vec<_>) =
        table.iter().partition(|(_, entry)| is_section(&entry.node.data));
    let needs_header = header == Header::Item || !values.is_empty() || sections.is_empty();
    if !path.is_empty() && needs_header {
        if !out.is_empty() {
            out.push('\n');
        }
        let (open, close) = if header == Header::Item { ("[[", "]]\n") } else { ("[", "]\n") };
        out.extend([open, &dotted(path), close]);
    }
    for (name, entry) in values {
        out.extend([&dotted(&[name]), " = ", &inline(&entry.node.data), "\n"]);
    }
    for (name, entry) in sections {
        path.push(name);
        match &entry.node.data {
            Data::Table(inner) => section(out, path, Header::Table, inner),
            Data::List(items) => {
                for item in items {
                    if let Data::Table(inner) = &item.data {
                        section(out, path, Header::Item, inner);
                    }
                }
            }
            _ => {}
        }
        path.pop();
    }
}

/// Whether the value is a table or a non-empty array of tables.
fn is_section(data: &Data) -> bool {
    match data {
        Data::Table(_) => true,
        Data::List(items) => {
            !items.is_empty() && items.iter().all(|item| matches!(item.data, Data::Table(_)))
        }
        _ => false,
    }
}

/// Writes a value for Python's `ast.literal_eval`, with which the application reads lists and tables from its
/// environment. The escapes of Python strings are those of TOML.
pub(crate) fn python(node: &Node) -> String {
    match &node.data {
        Data::Text(text) => quoted(text),
        Data::Boolean(true) => "True".to_owned(),
        Data::Boolean(false) => "False".to_owned(),
        Data::List(items) => format!("[{}]", items.iter().map(python).collect::<Vec<_>>().join(", ")),
        Data::Table(table) => {
            let pair =
                |(name, entry): (&String, &TreeEntry)| format!("{}: {}", quoted(name), python(&entry.node));
            format!("{{{}}}", table.iter().map(pair).collect::<Vec<_>>().join(", "))
        }
        Data::Datetime(value) => quoted(&value.to_string()),
        Data::Integer(_) | Data::Float(_) | Data::TooLarge | Data::Secret => inline(&node.data),
    }
}
