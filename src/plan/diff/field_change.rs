//! Two versions of an object side by side: which fields differ, and because of whom.

use serde_json::{Map, Value};

use super::field_owners::{Manager, Owners};
use super::list_keys;
use super::mask::{self, Mask};
use super::pointer::{FieldPointer, PointerStep};

/// A field that differs.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldChange {
    /// Where.
    pub path: FieldPointer,
    /// From what to what.
    pub change: Change,
    /// Because of whom.
    pub cause: ChangeCause,
}

/// From what to what.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// Values that may be seen.
    Values {
        /// None: it is not there.
        before: Option<Value>,
        /// None: it would not be there any more.
        after: Option<Value>,
    },
    /// A secret.
    Hidden(Hidden),
}

/// All that is said of a secret's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hidden {
    /// It is not there yet.
    New,
    /// It would be another.
    Changed,
    /// It would be the same, in a new object.
    Same,
    /// It would not be there any more.
    Removed,
}

impl Hidden {
    /// The word for programs.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Hidden::New => "new",
            Hidden::Changed => "changed",
            Hidden::Same => "same",
            Hidden::Removed => "removed",
        }
    }
}

/// Because of whom a field differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChangeCause {
    /// The configuration asks for another value than is there. A field that somebody removed counts as this, too: the
    /// server does not remember who that was.
    You,
    /// Another manager has set it.
    Drift(Manager),
    /// A default or admission makes something else of what is asked for, or takes along what nobody asks for.
    Server,
}

/// What is compared, and with whose eyes.
pub(super) struct Comparison<'a> {
    pub(super) kind: &'a str,
    /// What is asked for.
    pub(super) manifest: &'a Value,
    /// Who set what is there.
    pub(super) owners: Owners<'a>,
    pub(super) mask: &'a Mask,
}

/// A field on the way through both versions.
struct Field<'a> {
    path: FieldPointer,
    /// What the manifest says of it.
    wanted: Option<&'a Value>,
    owners: Owners<'a>,
}

impl<'a> Field<'a> {
    fn at(&self, step: &PointerStep, wanted: Option<&'a Value>) -> Self {
        Self { path: self.path.then(step.clone()), wanted, owners: self.owners.at(step) }
    }

    fn key(&self, key: &str) -> Self {
        self.at(&PointerStep::Key(key.to_owned()), self.wanted.and_then(|wanted| wanted.get(key)))
    }
}

impl Comparison<'_> {
    /// The fields that differ between what is there and what would be.
    pub(super) fn between(&self, before: &Value, after: &Value) -> Vec<FieldChange> {
        let root =
            Field { path: FieldPointer::default(), wanted: Some(self.manifest), owners: self.owners.clone() };
        let mut hunks = Vec::new();
        self.walk(&root, Some(before), Some(after), &mut hunks);
        hunks
    }

    /// What the server makes of a new object beside what it was asked for; defaults are left out.
    pub(super) fn of_the_server(&self, answer: &Value) -> Vec<FieldChange> {
        let (asked, made) = (super::noise::without_noise(self.manifest), super::noise::without_noise(answer));
        self.between(&asked, &made)
    }

    /// The content of new configuration beside the one that it replaces.
    pub(super) fn content(&self, predecessor: Option<&Value>) -> Vec<FieldChange> {
        let mut hunks = Vec::new();
        for part in ["data", "stringData", "binaryData"] {
            let (before, after) = (predecessor.and_then(|object| object.get(part)), self.manifest.get(part));
            let keys = |side: Option<&Value>| -> Vec<String> {
                side.and_then(Value::as_object).map_or_else(Vec::new, |map| map.keys().cloned().collect())
            };
            let mut all = [keys(before), keys(after)].concat();
            all.sort();
            all.dedup();
            for key in all {
                let path = FieldPointer::default()
                    .then(PointerStep::Key(part.to_owned()))
                    .then(PointerStep::Key(key.clone()));
                let of = |side: Option<&Value>| side.and_then(|map| map.get(&key)).cloned();
                let change = self.change(&path, of(before), of(after));
                if !matches!(&change, Change::Values { before, after } if before == after) {
                    hunks.push(FieldChange { path, change, cause: ChangeCause::You });
                }
            }
        }
        hunks
    }

    fn walk(
        &self,
        field: &Field<'_>,
        before: Option<&Value>,
        after: Option<&Value>,
        hunks: &mut Vec<FieldChange>,
    ) {
        if before == after {
            return;
        }
        let nothing = Map::new();
        match (before, after) {
            (Some(Value::Object(before)), Some(Value::Object(after))) => {
                self.maps(field, before, after, hunks);
            }
            (None, Some(Value::Object(after))) if is_opened(&field.path) => {
                self.maps(field, &nothing, after, hunks);
            }
            (Some(Value::Object(before)), None) if is_opened(&field.path) => {
                self.maps(field, before, &nothing, hunks);
            }
            (Some(Value::Array(before)), Some(Value::Array(after))) => {
                self.lists(field, before, after, hunks);
            }
            (before, after) => hunks.extend(self.hunk(field, before, after)),
        }
    }

    fn maps(
        &self,
        field: &Field<'_>,
        before: &Map<String, Value>,
        after: &Map<String, Value>,
        hunks: &mut Vec<FieldChange>,
    ) {
        let mut keys: Vec<&String> = before.keys().chain(after.keys()).collect();
        keys.sort();
        keys.dedup();
        for key in keys {
            self.walk(&field.key(key), before.get(key), after.get(key), hunks);
        }
    }

    fn lists(&self, field: &Field<'_>, before: &[Value], after: &[Value], hunks: &mut Vec<FieldChange>) {
        if let Some(keys) = list_keys::keys_of(field.path.last_key(), [before, after], &field.owners) {
            self.items(field, before, after, &keys, hunks);
            if !is_reordered(before, after, &keys) {
                return;
            }
        } else if before.len() == after.len() && before.iter().chain(after).all(Value::is_object) {
            for (index, (before, after)) in before.iter().zip(after).enumerate() {
                let wanted = field.wanted.and_then(|wanted| wanted.get(index));
                self.walk(&field.at(&PointerStep::Index(index), wanted), Some(before), Some(after), hunks);
            }
            return;
        }
        let (before, after) = (Value::from(before.to_vec()), Value::from(after.to_vec()));
        hunks.extend(self.hunk(field, Some(&before), Some(&after)));
    }

    fn items(
        &self,
        field: &Field<'_>,
        before: &[Value],
        after: &[Value],
        keys: &[String],
        hunks: &mut Vec<FieldChange>,
    ) {
        let asked = field.wanted.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let all = before.iter().chain(after).filter_map(|item| list_keys::key_of(item, keys));
        let mut seen: Vec<Map<String, Value>> = Vec::new();
        for key in all {
            if seen.contains(&key) {
                continue;
            }
            let of = |list| list_keys::item(list, keys, &key);
            let field = field.at(&PointerStep::Item(key.clone()), list_keys::item(asked, keys, &key));
            self.walk(&field, of(before), of(after), hunks);
            seen.push(key);
        }
    }

    /// None for a default that the server fills in.
    fn hunk(&self, field: &Field<'_>, before: Option<&Value>, after: Option<&Value>) -> Option<FieldChange> {
        let cause = cause(field, before, after)?;
        let shown = match (before, after) {
            // What is new is shown as it was asked for, without the defaults below it.
            (None, Some(_)) if field.wanted.is_some() => (None, field.wanted.cloned()),
            (Some(before), None) => {
                (Some(set_by_somebody(before, field.path.last_key(), &field.owners)), None)
            }
            (before, after) => (before.cloned(), after.cloned()),
        };
        let change = self.change(&field.path, shown.0, shown.1);
        Some(FieldChange { path: field.path.clone(), change, cause })
    }

    fn change(&self, path: &FieldPointer, before: Option<Value>, after: Option<Value>) -> Change {
        if mask::hides(self.kind, path) {
            return Change::Hidden(match (before, after) {
                (None, _) => Hidden::New,
                (Some(_), None) => Hidden::Removed,
                (Some(before), Some(after)) if before == after => Hidden::Same,
                (Some(_), Some(_)) => Hidden::Changed,
            });
        }
        let masked = |side: Option<Value>| side.map(|value| self.mask.value(&value));
        // Where only the hidden part differs, nothing is left to see.
        if before != after && masked(before.clone()) == masked(after.clone()) {
            return Change::Hidden(Hidden::Changed);
        }
        Change::Values { before: masked(before), after: masked(after) }
    }
}

/// Maps that are shown key by key also where one side has none at all.
fn is_opened(path: &FieldPointer) -> bool {
    matches!(path.last_key(), Some("labels" | "annotations" | "data" | "stringData" | "binaryData"))
}

/// Whether the same items stand in another order, which some lists have a meaning in.
fn is_reordered(before: &[Value], after: &[Value], keys: &[String]) -> bool {
    let order = |list: &[Value]| list.iter().map(|item| list_keys::key_of(item, keys)).collect::<Vec<_>>();
    let (before, after) = (order(before), order(after));
    before.len() == after.len() && before != after && before.iter().all(|key| after.contains(key))
}

/// The part of a value that somebody set, without defaults; all of it where that is not known.
fn set_by_somebody(value: &Value, name: Option<&str>, owners: &Owners<'_>) -> Value {
    if owners.is_nobody() || owners.is_whole() {
        return value.clone();
    }
    match value {
        Value::Object(map) => {
            let set = map.iter().filter_map(|(key, value)| {
                let owners = owners.at(&PointerStep::Key(key.clone()));
                (!owners.is_nobody()).then(|| (key.clone(), set_by_somebody(value, Some(key), &owners)))
            });
            Value::Object(set.collect())
        }
        Value::Array(list) => match list_keys::keys_of(name, [list, &[]], owners) {
            Some(keys) => {
                let part = |item: &Value| match list_keys::key_of(item, &keys) {
                    Some(key) => set_by_somebody(item, None, &owners.at(&PointerStep::Item(key))),
                    None => item.clone(),
                };
                Value::Array(list.iter().map(part).collect())
            }
            None => value.clone(),
        },
        _ => value.clone(),
    }
}

/// Whether it is a label or an annotation, of the object or of its pods.
fn is_label(path: &FieldPointer) -> bool {
    matches!(path.keys().as_slice(), [.., "metadata", "labels" | "annotations", _])
}

/// None for a default: a field that nobody asked for and that was not there. Defaults never add labels or items.
fn cause(field: &Field<'_>, before: Option<&Value>, after: Option<&Value>) -> Option<ChangeCause> {
    let ours = field.owners.ours();
    match (before, after, field.wanted) {
        (None, Some(_), None) if !field.path.is_item() && !is_label(&field.path) => None,
        (_, _, None) if !ours => Some(ChangeCause::Server),
        (Some(_), None, Some(_)) => Some(ChangeCause::Server),
        (_, Some(after), Some(wanted)) if !agrees(after, wanted, field.path.last_key()) => {
            Some(ChangeCause::Server)
        }
        _ => Some(field.owners.other().filter(|_| !ours).map_or(ChangeCause::You, ChangeCause::Drift)),
    }
}

/// Whether the value is the wanted one, but for defaults.
fn agrees(value: &Value, wanted: &Value, name: Option<&str>) -> bool {
    match (value, wanted) {
        (Value::Object(value), Value::Object(wanted)) => wanted
            .iter()
            .all(|(key, wanted)| value.get(key).is_some_and(|value| agrees(value, wanted, Some(key)))),
        (Value::Array(value), Value::Array(wanted)) => {
            match list_keys::keys_of(name, [value, wanted], &Owners::none()) {
                Some(keys) => wanted.iter().all(|wanted| {
                    let there =
                        list_keys::key_of(wanted, &keys).and_then(|key| list_keys::item(value, &keys, &key));
                    there.is_some_and(|there| agrees(there, wanted, None))
                }),
                None => {
                    value.len() == wanted.len()
                        && value.iter().zip(wanted).all(|(value, wanted)| agrees(value, wanted, None))
                }
            }
        }
        _ => value == wanted,
    }
}
