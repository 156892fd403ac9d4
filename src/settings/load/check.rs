//! Checks one layer against the schema: reports all errors at once and removes invalid values from the tree, so that
//! later checks see only valid values.

use super::commented_table::header_to_uncomment;
use super::redaction;
use super::schema::{Key, OtherKeys, Shape, TableShape, UnknownKeyEffect};
use super::suggest;
use super::suggest::closest;
use super::toml_key::dotted;
use super::tree::{Data, KeyPosition, Node, SourceLayer, Table, TreeEntry};
use crate::catalogue::Id;
use crate::diagnostic::{Diagnostic, Location, Severity};
use crate::object::assignment;
use crate::object::secret_name::is_sensitive;
use crate::settings::format::{Quantity, by_name};
use crate::settings::secrets::misplaced;
use crate::settings::secrets::value::Reference;

/// The result of a check.
#[derive(Debug, Default)]
pub(crate) struct Checked {
    pub diagnostics: Vec<Diagnostic>,
    /// Dotted keys whose values were removed as invalid.
    pub wrong: Vec<String>,
}

/// Checks a layer and removes invalid values from it.
pub(crate) fn check(schema: &TableShape, table: &mut Table) -> Checked {
    let mut checker = Checker {
        schema,
        path: Vec::new(),
        consequence: UnknownKeyEffect::Handsctl,
        lists: 0,
        checked: Checked::default(),
    };
    table.retain(|name, entry| match schema.keys.get(name) {
        Some(key) => checker.at(name, |checker| checker.key(key, entry)),
        None => checker.unknown_table(name, entry),
    });
    checker.checked
}

struct Checker<'a> {
    schema: &'a TableShape,
    path: Vec<String>,
    consequence: UnknownKeyEffect,
    /// Number of lists around the value. Another layer may complete a table outside of lists, but replaces a list as a
    /// whole.
    lists: usize,
    checked: Checked,
}

/// Whether a value is valid and stays in the tree.
type Keep = bool;

impl Checker<'_> {
    fn at(&mut self, name: &str, check: impl FnOnce(&mut Self) -> Keep) -> Keep {
        self.path.push(name.to_owned());
        let keep = check(self);
        self.path.pop();
        keep
    }

    fn report(
        &mut self,
        id: Id,
        severity: Severity,
        message: String,
        at: Location,
        label: impl Into<String>,
    ) {
        let diagnostic =
            Diagnostic { id, severity, message, location: Some(at), label: label.into(), masked: false };
        self.checked.diagnostics.push(diagnostic);
    }

    fn error(&mut self, id: Id, message: String, at: &KeyPosition, label: impl Into<String>) -> Keep {
        self.report(id, Severity::Error, message, at.location.clone(), label);
        self.checked.wrong.push(self.name());
        false
    }

    fn name(&self) -> String {
        dotted(&self.path)
    }

    fn unknown_table(&mut self, name: &str, entry: &TreeEntry) -> Keep {
        if !matches!(entry.node.data, Data::Table(_)) {
            let message = format!("`{name}` is outside of every table; the application would ignore it");
            let label = tables_with_key(self.schema, name).map_or_else(
                || "a table begins with a line such as [deploy]".to_owned(),
                |tables| format!("a key of {tables}"),
            );
            return self.error(Id::UnknownKey, message, &entry.key, label);
        }
        let message = if self.schema.keys.contains_key(&name.to_ascii_lowercase()) {
            format!(
                "unknown table [{name}]; names are case-sensitive and the application would silently ignore it"
            )
        } else {
            format!("unknown table [{name}]; the application would ignore it")
        };
        let suggestion = closest(name, self.schema.keys.keys().map(String::as_str));
        let Some(suggestion) = suggestion.or_else(|| self.own_table_with_a_key_of(entry)) else {
            let message = format!("unknown table [{name}]; handsctl leaves it out");
            let label = format!("tables: {}", list(self.schema.keys.keys()));
            self.report(Id::LeftOut, Severity::Warning, message, entry.key.location.clone(), label);
            return false;
        };
        self.error(Id::UnknownTable, message, &entry.key, format!("did you mean [{suggestion}]?"))
    }

    /// Returns handsctl's own table that has one of the keys of an unknown table: the user asks handsctl for something
    /// then, and the application does not read the table either way.
    fn own_table_with_a_key_of(&self, entry: &TreeEntry) -> Option<&'static str> {
        let Data::Table(table) = &entry.node.data else { return None };
        let has_key_of = |own: &&str| match self.schema.inner(own) {
            Some(Shape::Table(shape)) => table.keys().any(|name| shape.keys.contains_key(name)),
            _ => false,
        };
        ["deploy", "cluster"].into_iter().find(has_key_of)
    }

    fn key(&mut self, key: &Key, entry: &mut TreeEntry) -> Keep {
        if let Some(reason) = &key.ignored {
            let message = format!("`{}` is ignored", self.name());
            self.report(
                Id::IgnoredByApp,
                Severity::Warning,
                message,
                entry.key.location.clone(),
                reason.clone(),
            );
        }
        if entry.node.data.as_text() == Some("") {
            if self.lists == 0 && key.is_unset_by_empty_text() {
                self.empty(key, &entry.node.position);
                return true;
            }
            if key.nullable {
                return true;
            }
        }
        self.value(&key.shape, Some(key), &mut entry.node)
    }

    /// Reports an empty text that the application would use as a value. An empty text in handsctl's own tables is the
    /// usual way to write that a key is not set.
    fn empty(&mut self, key: &Key, position: &KeyPosition) {
        if self.is_handsctl() {
            return;
        }
        let message = format!("`{}` is empty; handsctl leaves it out", self.name());
        let label = key.not_empty.clone().unwrap_or_else(|| "the application uses its default".to_owned());
        self.report(Id::LeftOut, Severity::Warning, message, position.location.clone(), label);
    }

    /// Whether the key is in a table that only handsctl reads.
    fn is_handsctl(&self) -> bool {
        self.path.first().is_some_and(|table| table == "cluster" || table == "deploy")
    }

    fn value(&mut self, shape: &Shape, key: Option<&Key>, node: &mut Node) -> Keep {
        if matches!(node.data, Data::TooLarge) {
            let message = format!("`{}` is too large for a 64-bit number", self.name());
            return self.error(Id::BadValue, message, &node.position, "");
        }
        if let Shape::Either(shapes) = shape
            && let Some(one) = shapes.iter().find(|one| accepts(one, &node.data))
        {
            return self.value(one, key, node);
        }
        let position = &node.position;
        match (shape, &mut node.data) {
            (Shape::Any, Data::Table(table)) if self.is_reference(table) => self.reference(table, position),
            (Shape::Any, data) => self.any(data),
            (Shape::Boolean, Data::Boolean(_))
            | (Shape::Number, Data::Integer(_) | Data::Float(_))
            | (Shape::Reference { .. }, Data::Text(_)) => true,
            (Shape::Integer { min, max }, Data::Integer(number)) => self.range(*number, *min, *max, position),
            (Shape::Text { format, allowed }, Data::Text(text)) => {
                self.text(text, format.as_deref(), allowed, key, position)
            }
            (Shape::List(inner), Data::List(items)) => self.list(inner, items),
            (Shape::Table(inner), Data::Table(table)) => {
                self.table(inner, table);
                self.complete(inner, table, position)
            }
            (Shape::Reference { .. }, Data::Table(table)) => self.reference(table, position),
            (shape, data) => {
                let (message, label) = self.wrong_type(shape, data, position);
                self.error(Id::WrongType, message, position, label)
            }
        }
    }

    /// Checks every item, also after an invalid one.
    fn list(&mut self, shape: &Shape, items: &mut Vec<Node>) -> Keep {
        if self.is_handsctl() && is_unset_by_empty_item(shape) {
            items.retain(|item| item.data.as_text() != Some(""));
        }
        self.lists += 1;
        let mut keep = self.homogeneous(items);
        for item in items {
            keep &= self.value(shape, None, item);
        }
        self.lists -= 1;
        keep
    }

    /// The application's TOML parser, Python's `toml` 0.10, rejects the whole file if an array has items of different
    /// types.
    fn homogeneous(&mut self, items: &[Node]) -> Keep {
        let Some((first, rest)) = items.split_first().filter(|_| !self.is_handsctl()) else { return true };
        let Some(other) = rest.iter().find(|item| item.data.noun() != first.data.noun()) else { return true };
        let message = format!(
            "`{}` mixes {} and {}; the application could not read the file and would run with all defaults",
            self.name(),
            plural(&first.data),
            plural(&other.data)
        );
        self.error(Id::WrongType, message, &other.position, "use items of one type")
    }

    /// Rejects numbers that do not fit into 64 bits, also in values without a type.
    fn any(&mut self, data: &mut Data) -> Keep {
        match data {
            Data::Table(table) => {
                table.retain(|name, entry| {
                    self.at(name, |checker| checker.value(&Shape::Any, None, &mut entry.node))
                });
                true
            }
            Data::List(items) => self.list(&Shape::Any, items),
            _ => true,
        }
    }

    fn table(&mut self, shape: &TableShape, table: &mut Table) {
        let outer = self.consequence;
        self.consequence = self.consequence_in(shape);
        table.retain(|name, entry| match (shape.keys.get(name), &shape.other) {
            (Some(key), _) => self.at(name, |checker| checker.key(key, entry)),
            (None, OtherKeys::Free) => {
                self.at(name, |checker| checker.value(&Shape::Any, None, &mut entry.node))
            }
            // A value beside named tables is a misspelt key, not the name of a table.
            (None, OtherKeys::Each { value, .. })
                if matches!(**value, Shape::Table(_))
                    && !shape.keys.is_empty()
                    && !matches!(entry.node.data, Data::Table(_)) =>
            {
                self.unknown_key(shape, name, entry)
            }
            (None, OtherKeys::Each { value, name_format }) => {
                let name_is_valid = self.key_name(name, name_format.as_deref(), &entry.key);
                self.at(name, |checker| checker.value(value, None, &mut entry.node)) && name_is_valid
            }
            (None, OtherKeys::Rejected) => self.unknown_key(shape, name, entry),
        });
        self.consequence = outer;
    }

    /// Whether the table has every required key.
    fn complete(&mut self, shape: &TableShape, table: &Table, position: &KeyPosition) -> Keep {
        let mut keep = true;
        let required: &[String] = if self.lists > 0 { &shape.required } else { &[] };
        for name in required {
            if table.contains_key(name) {
                continue;
            }
            keep = false;
            // An invalid value of the key was already reported.
            let key = dotted(&[&self.path[..], std::slice::from_ref(name)].concat());
            if !self.checked.wrong.contains(&key) {
                let consequence = consequence_of_type(self.consequence_in(shape));
                let message = format!("`{}` needs `{name}`{consequence}", self.name());
                self.error(Id::BadValue, message, position, format!("add {name} = \"…\""));
            }
        }
        keep
    }

    fn consequence_in(&self, shape: &TableShape) -> UnknownKeyEffect {
        if shape.unknown_key_effect == UnknownKeyEffect::Handsctl {
            self.consequence
        } else {
            shape.unknown_key_effect
        }
    }

    fn key_name(&mut self, name: &str, name_format: Option<&str>, position: &KeyPosition) -> Keep {
        let Some(Err(error)) = name_format.and_then(|format| by_name::check(format, name)) else {
            return true;
        };
        let noun = name_format.and_then(by_name::noun).unwrap_or_default();
        let message = format!("`{name}` in [{}] is not {noun}", self.name());
        let at =
            KeyPosition { location: narrowed(&position.location, name, error.offset), ..position.clone() };
        self.error(Id::BadValue, message, &at, error.message)
    }

    fn unknown_key(&mut self, shape: &TableShape, name: &str, entry: &mut TreeEntry) -> Keep {
        let table = self.name();
        // Without a misspelt secret the application would start, and fail at its first use.
        let is_left_out = self.consequence == UnknownKeyEffect::SectionIgnored
            && !self.resembles_secret(name, &entry.node.data);
        let consequence = match self.consequence {
            UnknownKeyEffect::Handsctl => "",
            UnknownKeyEffect::Crash => "; the application would crash at start",
            UnknownKeyEffect::SectionIgnored if is_left_out => {
                "; handsctl leaves it out, because the application would ignore the whole section"
            }
            UnknownKeyEffect::SectionIgnored => "; the application would ignore the whole section",
            UnknownKeyEffect::KeyIgnored | UnknownKeyEffect::KeyDropped => {
                "; the application would ignore it"
            }
        };
        let message = format!("unknown key `{name}` in [{table}]{consequence}");
        let label = header_to_uncomment(self.schema, name, &entry.key.location)
            .unwrap_or_else(|| self.suggestion(shape, name));
        if is_left_out {
            self.report(Id::LeftOut, Severity::Warning, message, entry.key.location.clone(), label);
            return false;
        }
        if matches!(self.consequence, UnknownKeyEffect::KeyIgnored | UnknownKeyEffect::KeyDropped) {
            self.report(Id::IgnoredByApp, Severity::Warning, message, entry.key.location.clone(), label);
            return self.at(name, |checker| checker.value(&Shape::Any, None, &mut entry.node));
        }
        self.error(Id::UnknownKey, message, &entry.key, label)
    }

    /// Whether an unknown key, or the table around it, may be a misspelt secret.
    fn resembles_secret(&self, name: &str, data: &Data) -> bool {
        let table = self.path.iter().skip(1).any(|name| redaction::resembles_sensitive(name));
        table || (matches!(data, Data::Text(_) | Data::Table(_)) && redaction::resembles_sensitive(name))
    }

    /// Returns what the user may have meant by an unknown key.
    fn suggestion(&self, shape: &TableShape, name: &str) -> String {
        let keys = || shape.keys.keys().map(String::as_str);
        if let Some(reference) = suggest::reference(name, &shape.keys) {
            return format!("did you mean {reference}?");
        }
        // Words of the same meaning come first: `max_tokens` is closer to `max_input_tokens` than to what it means.
        if let Some(suggestion) = suggest::by_meaning(name, keys()).or_else(|| closest(name, keys())) {
            return format!("did you mean `{suggestion}`?");
        }
        if let Some(tables) = tables_with_key(self.schema, name) {
            return format!("a key of {tables}");
        }
        match suggest::by_first_words(name, keys()) {
            Some(suggestion) => format!("did you mean `{suggestion}`?"),
            None if shape.keys.len() <= 8 => format!("keys: {}", list(shape.keys.keys())),
            None => String::new(),
        }
    }

    fn range(&mut self, number: i64, min: i64, max: i64, position: &KeyPosition) -> Keep {
        if (min..=max).contains(&number) {
            return true;
        }
        let label = match (min, max) {
            (i64::MIN, max) => format!("at most {max}"),
            (min, max) if max >= i64::from(u32::MAX) && number < min => format!("at least {min}"),
            (min, max) => format!("{min} to {max}"),
        };
        // Where an unknown key crashes the application, only handsctl restricts numbers.
        let consequence = consequence_of_type(match self.consequence {
            UnknownKeyEffect::Crash => UnknownKeyEffect::Handsctl,
            other => other,
        });
        self.error(Id::BadValue, format!("`{}` is out of range{consequence}", self.name()), position, label)
    }

    fn text(
        &mut self,
        text: &str,
        format: Option<&str>,
        allowed: &[String],
        key: Option<&Key>,
        position: &KeyPosition,
    ) -> Keep {
        if !allowed.is_empty() {
            return allowed.iter().any(|one| one == text) || self.not_allowed(text, allowed, key, position);
        }
        let Some(Err(error)) = format.and_then(|format| by_name::check(format, text)) else { return true };
        let noun = format.and_then(by_name::noun).unwrap_or_default();
        // Among strings with a format, the application checks only those of MCP servers.
        let is_checked = self.path.first().is_some_and(|table| table == "mcp");
        let consequence = if is_checked { consequence_of_type(self.consequence) } else { "" };
        let message = format!("`{}` is not {noun}{consequence}", self.name());
        let at =
            KeyPosition { location: narrowed(&position.location, text, error.offset), ..position.clone() };
        self.error(Id::BadValue, message, &at, error.message)
    }

    fn not_allowed(
        &mut self,
        text: &str,
        allowed: &[String],
        key: Option<&Key>,
        position: &KeyPosition,
    ) -> Keep {
        let otherwise = key.and_then(|key| key.invalid_value_effect.as_ref());
        let otherwise = otherwise.map_or_else(String::new, |otherwise| format!("; {otherwise}"));
        let shown = super::toml_key::quoted(&assignment::masked(text));
        let message = format!("`{}` cannot be {shown}{otherwise}", self.name());
        let alias = key.and_then(|key| key.aliases.get(&text.to_ascii_lowercase()));
        let suggestion =
            alias.map(String::as_str).or_else(|| closest(text, allowed.iter().map(String::as_str)));
        let values = allowed.iter().map(|one| super::toml_key::quoted(one)).collect::<Vec<_>>().join(", ");
        let label = match (suggestion, allowed.len()) {
            (_, 1) => format!("only {values}"),
            (Some(suggestion), _) => format!("did you mean \"{suggestion}\"?  ({values})"),
            (None, _) => format!("one of {values}"),
        };
        self.error(Id::BadValue, message, position, label)
    }

    fn wrong_type(&self, shape: &Shape, data: &Data, position: &KeyPosition) -> (String, String) {
        let source_text = source_text(&position.location);
        let scalar = !matches!(data, Data::Table(_) | Data::List(_));
        let label = match (shape, data) {
            (Shape::Text { format, .. }, _) if scalar && format.as_deref() == Some("quantity") => {
                format!("write \"{}\"", Quantity::suggestion(&self.name(), &source_text))
            }
            (Shape::Text { .. } | Shape::Either(_), _) if scalar => format!("write \"{source_text}\""),
            (Shape::Reference { .. }, _) if scalar => "write it in quotes".to_owned(),
            (Shape::Integer { .. }, Data::Text(text)) if text.parse::<i64>().is_ok() => {
                format!("write {text}")
            }
            (Shape::Number, Data::Text(text)) if text.parse::<f64>().is_ok() => format!("write {text}"),
            (Shape::Boolean, Data::Text(text)) if matches!(text.as_str(), "true" | "false") => {
                format!("write {text}")
            }
            (Shape::Boolean, _) => "true or false".to_owned(),
            (Shape::List(item), Data::Text(text)) if text.is_empty() && item.admits() => {
                "an empty list may admit everybody; remove the key if that is intended".to_owned()
            }
            (Shape::List(_), Data::Text(text)) if text.is_empty() => "write []".to_owned(),
            (Shape::List(_), _) if scalar => format!("write [{source_text}]"),
            (Shape::Table(_), _) if scalar && self.path.len() == 1 => {
                format!("a table begins with a line [{}]", self.name())
            }
            _ => String::new(),
        };
        // Pydantic reads "5" as 5, so a string instead of a number does not always crash the application.
        let converts =
            matches!((shape, data), (Shape::Integer { .. } | Shape::Number | Shape::Boolean, Data::Text(_)));
        let consequence = match self.consequence {
            _ if self.path.len() == 1 => consequence_of_no_table(&self.path[0]),
            UnknownKeyEffect::KeyIgnored => "; the application does not check it and would fail later",
            other if !converts => consequence_of_type(other),
            _ => "",
        };
        (format!("`{}` must be {}, not {}{consequence}", self.name(), shape.noun(), data.noun()), label)
    }

    /// Whether a table in the place of a value without a type is a secret reference: it has only keys of one, and is under
    /// a sensitive name or in a table in which every such value is a reference.
    fn is_reference(&self, table: &Table) -> bool {
        let is_in_typed_table = || {
            matches!(self.path.first().map(String::as_str), Some("mcp" | "sandbox"))
                && Reference::FORMS.iter().any(|form| is_form(table, form))
        };
        let is_secret = self.path.last().is_some_and(|name| is_sensitive(name));
        misplaced::has_keys_of_reference(table.keys().map(String::as_str))
            && (is_secret || is_in_typed_table())
    }

    fn reference(&mut self, table: &Table, position: &KeyPosition) -> Keep {
        let has_values =
            table.values().all(|entry| entry.node.data.as_text().is_some_and(|text| !text.is_empty()));
        if !has_values || !Reference::FORMS.iter().any(|form| is_form(table, form)) {
            let message = format!("`{}` is not a secret reference", self.name());
            let label = "{ env = \"NAME\" }, { file = \"path\" } or { secret = \"name\", key = \"key\" }";
            return self.error(Id::SecretUnavailable, message, position, label);
        }
        table.iter().fold(true, |keep, (name, entry)| {
            let text = entry.node.data.as_text().unwrap_or_default();
            let position = &entry.node.position;
            if let Some(mistake) = misplaced::mistake(name, text) {
                let message = format!("`{name}` of `{}` is not {}", self.name(), misplaced::noun(name));
                return self.error(Id::SecretInReference, message, position, mistake);
            }
            let is_name = name != "secret"
                || self.at(name, |checker| checker.text(text, Some("dns-name"), &[], None, position));
            is_name && keep
        })
    }
}

/// Whether an empty text in a list of handsctl's own means nothing, as charts write it.
fn is_unset_by_empty_item(shape: &Shape) -> bool {
    matches!(shape, Shape::Text { .. }) && !shape.admits()
}

/// Whether a table has exactly these keys.
fn is_form(table: &Table, form: &[&str]) -> bool {
    form.len() == table.len() && form.iter().all(|key| table.contains_key(*key))
}

/// How the application treats a value in the place of a table.
fn consequence_of_no_table(name: &str) -> &'static str {
    match name {
        "cluster" | "deploy" => "",
        "extended" | "mcp" => "; the application would ignore it",
        _ => "; the application would crash at start",
    }
}

fn plural(data: &Data) -> String {
    let noun = data.noun();
    format!("{}s", noun.trim_start_matches("an ").trim_start_matches("a "))
}

/// Whether a shape accepts values of this type.
fn accepts(shape: &Shape, data: &Data) -> bool {
    match data {
        Data::Text(_) | Data::Secret => matches!(shape, Shape::Text { .. } | Shape::Reference { .. }),
        Data::List(_) => shape.as_list().is_some(),
        Data::Table(_) => shape.as_table().is_some(),
        _ => false,
    }
}

/// How the application treats a value of a wrong type, or a table without a required key.
const fn consequence_of_type(consequence: UnknownKeyEffect) -> &'static str {
    match consequence {
        UnknownKeyEffect::Crash | UnknownKeyEffect::KeyDropped => "; the application would crash at start",
        UnknownKeyEffect::SectionIgnored => "; the application would ignore the whole section",
        UnknownKeyEffect::KeyIgnored | UnknownKeyEffect::Handsctl => "",
    }
}

/// The tables that have a key of this name: `[deploy] and [kubernetes]`.
fn tables_with_key(schema: &TableShape, name: &str) -> Option<String> {
    let has = |shape: &Shape| matches!(shape, Shape::Table(table) if table.keys.contains_key(name));
    let tables: Vec<String> = schema
        .keys
        .iter()
        .filter(|(_, key)| has(&key.shape))
        .map(|(table, _)| format!("[{table}]"))
        .collect();
    (!tables.is_empty()).then(|| tables.join(" and "))
}

fn list<'a>(names: impl Iterator<Item = &'a String>) -> String {
    names.map(String::as_str).collect::<Vec<_>>().join(", ")
}

/// The source text at a location, with masked secrets.
fn source_text(location: &Location) -> String {
    location.source.text.get(location.span.clone()).unwrap_or_default().to_owned()
}

/// Narrows a location to the offending character of its value, unless the source spells the value with escapes.
fn narrowed(location: &Location, value: &str, offset: usize) -> Location {
    let text = location.source.text.as_str();
    let Some(raw) = text.get(location.span.clone()) else { return location.clone() };
    let quote = usize::from(raw != value);
    let inside = raw.get(quote..raw.len().saturating_sub(quote));
    if inside != Some(value) {
        return location.clone();
    }
    let start = location.span.start + quote + offset;
    let length = text.get(start..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8);
    Location { source: location.source.clone(), span: start..(start + length).min(text.len()) }
}

/// Whether the value is in a file or an argument, where others can read it.
pub(crate) fn is_visible(layer: &SourceLayer) -> bool {
    matches!(layer, SourceLayer::File | SourceLayer::Set)
}
