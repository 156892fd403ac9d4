//! Settings as in their sources: a tree of values, each with its position.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use toml::de::{DeInteger, DeTable, DeValue};
use toml::value::Datetime;

use super::schema::{Shape, TableShape};
use crate::diagnostic::{Location, SourceText};

/// The layer of a value; a later layer overrides an earlier one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SourceLayer {
    File,
    Environment(String),
    Set,
    Flag,
    /// A preset of a profile.
    Profile(&'static str),
    /// Added by handsctl because the application needs the value.
    Handsctl,
}

/// The position of a key or a value: its layer and location.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyPosition {
    pub layer: SourceLayer,
    pub location: Location,
}

impl KeyPosition {
    pub(crate) fn new(layer: &SourceLayer, source: &Arc<SourceText>, span: Range<usize>) -> Self {
        Self { layer: layer.clone(), location: Location { source: Arc::clone(source), span } }
    }

    pub(crate) fn handsctl() -> Self {
        let source = SourceText { name: "handsctl".to_owned(), text: String::new() };
        Self::new(&SourceLayer::Handsctl, &Arc::new(source), 0..0)
    }
}

/// A value and its position.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub data: Data,
    pub position: KeyPosition,
}

/// A value.
#[derive(Debug, Clone)]
pub(crate) enum Data {
    Text(String),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    Datetime(Datetime),
    List(Vec<Node>),
    Table(Table),
    /// A number that 64 bits cannot hold.
    TooLarge,
    /// A secret that was moved out of the tree.
    Secret,
}

/// A key's position and its value.
#[derive(Debug, Clone)]
pub(crate) struct TreeEntry {
    pub key: KeyPosition,
    pub node: Node,
}

/// Keys in alphabetical order.
pub(crate) type Table = BTreeMap<String, TreeEntry>;

impl Data {
    /// The noun of the type in messages: `an integer`.
    pub(crate) fn noun(&self) -> &'static str {
        match self {
            Data::Text(_) | Data::Secret => "a string",
            Data::Integer(_) | Data::TooLarge => "an integer",
            Data::Float(_) => "a float",
            Data::Boolean(_) => "a boolean",
            Data::Datetime(_) => "a date",
            Data::List(_) => "an array",
            Data::Table(_) => "a table",
        }
    }

    pub(crate) fn as_text(&self) -> Option<&str> {
        match self {
            Data::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// Converts a parsed table to a tree.
pub(crate) fn table(parsed: &DeTable<'_>, layer: &SourceLayer, source: &Arc<SourceText>) -> Table {
    let entry = |(key, value): (&toml::Spanned<std::borrow::Cow<'_, str>>, &toml::Spanned<DeValue<'_>>)| {
        let entry =
            TreeEntry { key: KeyPosition::new(layer, source, key.span()), node: node(value, layer, source) };
        (key.get_ref().to_string(), entry)
    };
    parsed.iter().map(entry).collect()
}

/// Converts a parsed value to a node.
pub(crate) fn node(
    parsed: &toml::Spanned<DeValue<'_>>,
    layer: &SourceLayer,
    source: &Arc<SourceText>,
) -> Node {
    let data = match parsed.get_ref() {
        DeValue::String(text) => Data::Text(text.to_string()),
        DeValue::Integer(number) => integer(number),
        DeValue::Float(number) => match number.as_str().parse::<f64>() {
            Ok(value) if value.is_finite() || number.as_str().contains("inf") || value.is_nan() => {
                Data::Float(value)
            }
            _ => Data::TooLarge,
        },
        DeValue::Boolean(value) => Data::Boolean(*value),
        DeValue::Datetime(value) => Data::Datetime(*value),
        DeValue::Array(items) => Data::List(items.iter().map(|item| node(item, layer, source)).collect()),
        DeValue::Table(inner) => Data::Table(table(inner, layer, source)),
    };
    Node { data, position: KeyPosition::new(layer, source, parsed.span()) }
}

fn integer(number: &DeInteger<'_>) -> Data {
    i64::from_str_radix(number.as_str(), number.radix()).map_or(Data::TooLarge, Data::Integer)
}

/// Merges `over` into `base`, key by key; a secret reference is one value and replaced as a whole.
pub(crate) fn merge(shape: &TableShape, base: &mut Table, over: Table) {
    for (name, entry) in over {
        let inner = shape.inner(&name).cloned().unwrap_or(Shape::Any);
        match (base.get_mut(&name), entry) {
            (Some(TreeEntry { node: Node { data: Data::Table(lower), .. }, .. }), upper) => {
                match (inner, upper) {
                    (Shape::Table(shape), TreeEntry { node: Node { data: Data::Table(upper), .. }, .. }) => {
                        merge(&shape, lower, upper);
                    }
                    (Shape::Any, TreeEntry { node: Node { data: Data::Table(upper), .. }, .. }) => {
                        merge(&free_shape(), lower, upper);
                    }
                    (_, upper) => {
                        base.insert(name, upper);
                    }
                }
            }
            (_, upper) => {
                base.insert(name, upper);
            }
        }
    }
}

fn free_shape() -> TableShape {
    use super::schema::{OtherKeys, UnknownKeyEffect};
    TableShape {
        keys: BTreeMap::new(),
        required: Vec::new(),
        other: OtherKeys::Free,
        unknown_key_effect: UnknownKeyEffect::Handsctl,
    }
}

/// Returns the entry at a path.
pub(crate) fn find<'a>(table: &'a Table, path: &[&str]) -> Option<&'a TreeEntry> {
    let (first, rest) = path.split_first()?;
    let entry = table.get(*first)?;
    match (rest.is_empty(), &entry.node.data) {
        (true, _) => Some(entry),
        (false, Data::Table(inner)) => find(inner, rest),
        (false, _) => None,
    }
}

/// Puts a value at a path and creates the tables on the way; another value in their place is replaced.
pub(crate) fn put(table: &mut Table, path: &[&str], key: KeyPosition, node: Node) {
    let Some((first, rest)) = path.split_first() else { return };
    if rest.is_empty() {
        table.insert((*first).to_owned(), TreeEntry { key, node });
        return;
    }
    let entry = table.entry((*first).to_owned()).or_insert_with(|| TreeEntry {
        key: key.clone(),
        node: Node { data: Data::Table(Table::new()), position: key.clone() },
    });
    if !matches!(entry.node.data, Data::Table(_)) {
        entry.node.data = Data::Table(Table::new());
    }
    if let Data::Table(inner) = &mut entry.node.data {
        put(inner, rest, key, node);
    }
}

/// Counts the values of a table and its inner tables; an array counts as one.
pub(crate) fn count(table: &Table) -> usize {
    let values = table.values().map(|entry| match &entry.node.data {
        Data::Table(inner) => count(inner),
        _ => 1,
    });
    values.sum()
}
