//! Compares two versions of an object: the fields that differ, and the cause of each difference.

use serde_json::{Map, Value};

use super::field_owners::{FieldManager, Owners};
use super::hidden_field;
use super::list_keys;
use super::pointer::{FieldPointer, PointerStep};
use crate::object::Mask;
use crate::object::literal_secret::{sealed, unsealed};
use crate::object::references::map_strings;

/// A field that differs.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldChange {
    /// The field's path.
    pub path: FieldPointer,
    /// Its values.
    pub change: ValueChange,
    /// The cause of the difference.
    pub cause: ChangeCause,
}

/// The values of a changed field.
#[derive(Debug, Clone, PartialEq)]
pub enum ValueChange {
    /// Values that are shown.
    Values {
        /// The live value; `None` if the field does not exist.
        before: Option<Value>,
        /// The value after a deploy; `None` if the field would be removed.
        after: Option<Value>,
    },
    /// The order of a list's items, by their keys.
    Order {
        /// The live order.
        before: Vec<String>,
        /// The order after a deploy.
        after: Vec<String>,
    },
    /// Values of a Secret, which are not shown.
    Hidden(Hidden),
}

/// The change of a Secret's value, without the value itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hidden {
    /// The value does not exist yet.
    New,
    /// The value would change.
    Changed,
    /// The value would be the same, in a new object.
    Same,
    /// The value would be removed.
    Removed,
}

impl Hidden {
    /// Returns the identifier for JSON output.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Hidden::New => "new",
            Hidden::Changed => "changed",
            Hidden::Same => "same",
            Hidden::Removed => "removed",
        }
    }
}

/// The cause of a field's difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChangeCause {
    /// The configuration has another value than the live object. This includes fields that someone removed, because the
    /// API server does not record who did.
    You,
    /// Another manager has set the live value.
    Drift(FieldManager),
    /// The API server's defaults or admission change the configured value, or a field that is not configured.
    Server,
}

/// The inputs of a comparison.
pub(super) struct Comparison<'a> {
    pub(super) kind: &'a str,
    /// The manifest that is sent.
    pub(super) manifest: &'a Value,
    /// The owners of the live object's fields.
    pub(super) owners: Owners<'a>,
    pub(super) mask: &'a Mask,
}

/// The field that the walk through both versions has reached.
struct Field<'a> {
    path: FieldPointer,
    /// Its value in the manifest.
    desired: Option<&'a Value>,
    owners: Owners<'a>,
}

impl<'a> Field<'a> {
    fn at(&self, step: &PointerStep, desired: Option<&'a Value>) -> Self {
        Self { path: self.path.then(step.clone()), desired, owners: self.owners.at(step) }
    }

    fn key(&self, key: &str) -> Self {
        self.at(&PointerStep::Key(key.to_owned()), self.desired.and_then(|desired| desired.get(key)))
    }
}

impl Comparison<'_> {
    /// Returns the fields that differ between two versions.
    pub(super) fn between(&self, before: &Value, after: &Value) -> Vec<FieldChange> {
        let mut hunks = Vec::new();
        if before == after {
            return hunks;
        }
        // Only the whole object tells which of its texts are secrets: the value of a header has no name of its own.
        let [manifest, before, after] =
            [self.manifest, before, after].map(|object| sealed(self.kind, object));
        let root =
            Field { path: FieldPointer::default(), desired: Some(&manifest), owners: self.owners.clone() };
        self.walk(&root, Some(&before), Some(&after), &mut hunks);
        hunks
    }

    /// Returns the fields of a new object that the API server changed, without its defaults.
    pub(super) fn set_by_server(&self, response: &Value) -> Vec<FieldChange> {
        let (sent, stored) =
            (super::noise::without_noise(self.manifest), super::noise::without_noise(response));
        self.between(&sent, &stored)
    }

    /// Returns the changed content of a new ConfigMap or Secret, compared with its predecessor.
    pub(super) fn content(&self, predecessor: Option<&Value>) -> Vec<FieldChange> {
        let manifest = sealed(self.kind, self.manifest);
        let predecessor = predecessor.map(|object| sealed(self.kind, object));
        let mut hunks = Vec::new();
        for part in ["data", "stringData", "binaryData"] {
            let (before, after) =
                (predecessor.as_ref().and_then(|object| object.get(part)), manifest.get(part));
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
                let value = |side: Option<&Value>| side.and_then(|map| map.get(&key)).cloned();
                let change = self.change(&path, value(before), value(after));
                if !matches!(&change, ValueChange::Values { before, after } if before == after) {
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
        let empty = Map::new();
        match (before, after) {
            (Some(Value::Object(before)), Some(Value::Object(after))) => {
                self.maps(field, before, after, hunks);
            }
            (None, Some(Value::Object(after))) if is_compared_by_key(&field.path) => {
                self.maps(field, &empty, after, hunks);
            }
            (Some(Value::Object(before)), None) if is_compared_by_key(&field.path) => {
                self.maps(field, before, &empty, hunks);
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
            hunks.extend(order_change(field, before, after, &keys));
            return;
        }
        if before.len() == after.len() && before.iter().chain(after).all(Value::is_object) {
            for (index, (before, after)) in before.iter().zip(after).enumerate() {
                let desired = field.desired.and_then(|desired| desired.get(index));
                self.walk(&field.at(&PointerStep::Index(index), desired), Some(before), Some(after), hunks);
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
        let desired_items = field.desired.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let all = before.iter().chain(after).filter_map(|item| list_keys::key_of(item, keys));
        let mut compared: Vec<Map<String, Value>> = Vec::new();
        for key in all {
            if compared.contains(&key) {
                continue;
            }
            let find = |list| list_keys::item(list, keys, &key);
            let field = field.at(&PointerStep::Item(key.clone()), list_keys::item(desired_items, keys, &key));
            self.walk(&field, find(before), find(after), hunks);
            compared.push(key);
        }
    }

    /// Returns the change of one field; `None` for a default of the API server.
    fn hunk(&self, field: &Field<'_>, before: Option<&Value>, after: Option<&Value>) -> Option<FieldChange> {
        let cause = cause(field, before, after)?;
        let shown = match (before, after) {
            // A new field is shown as configured, without the defaults below it.
            (None, Some(_)) if field.desired.is_some() => (None, field.desired.cloned()),
            (Some(before), None) => {
                (Some(without_defaults(before, field.path.last_key(), &field.owners)), None)
            }
            (before, after) => (before.cloned(), after.cloned()),
        };
        let change = self.change(&field.path, shown.0, shown.1);
        Some(FieldChange { path: field.path.clone(), change, cause })
    }

    fn change(&self, path: &FieldPointer, before: Option<Value>, after: Option<Value>) -> ValueChange {
        if hidden_field::hides(self.kind, path) {
            return ValueChange::Hidden(match (before, after) {
                (None, _) => Hidden::New,
                (Some(_), None) => Hidden::Removed,
                (Some(before), Some(after)) if before == after => Hidden::Same,
                (Some(_), Some(_)) => Hidden::Changed,
            });
        }
        let masked = |side: Option<Value>| side.map(|value| self.mask.value(&map_strings(&value, &unsealed)));
        // Only the masked parts differ, so both masked values would look equal.
        if before != after && masked(before.clone()) == masked(after.clone()) {
            return ValueChange::Hidden(Hidden::Changed);
        }
        ValueChange::Values { before: masked(before), after: masked(after) }
    }
}

/// Returns whether a map is compared key by key even if one side lacks it.
pub(super) fn is_compared_by_key(path: &FieldPointer) -> bool {
    matches!(path.last_key(), Some("labels" | "annotations" | "data" | "stringData" | "binaryData"))
}

/// Returns the change of the order of the items that both versions have; the order is significant for some lists. The
/// API server moves the items of other managers when it merges ours.
fn order_change(
    field: &Field<'_>,
    before: &[Value],
    after: &[Value],
    keys: &[String],
) -> Option<FieldChange> {
    let order =
        |list: &[Value]| list.iter().filter_map(|item| list_keys::key_of(item, keys)).collect::<Vec<_>>();
    let (before, after) = (order(before), order(after));
    let only = |list: &[Map<String, Value>], others: &[Map<String, Value>]| {
        list.iter().filter(|key| others.contains(key)).cloned().collect::<Vec<_>>()
    };
    let (before, after) = (only(&before, &after), only(&after, &before));
    if before == after {
        return None;
    }
    let desired = field.desired.and_then(Value::as_array).map_or_else(Vec::new, |desired| order(desired));
    let is_ours_moved = only(&before, &desired) != only(&after, &desired);
    let cause = if is_ours_moved { ChangeCause::You } else { ChangeCause::Server };
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let name = |key: &Map<String, Value>| key.values().map(text).collect::<Vec<_>>().join("/");
    let names = |list: &[Map<String, Value>]| list.iter().map(|key| unsealed(&name(key))).collect();
    let change = ValueChange::Order { before: names(&before), after: names(&after) };
    Some(FieldChange { path: field.path.clone(), change, cause })
}

/// Removes defaults from a value: parts that no manager set. Without information about managers it returns the whole
/// value.
pub(super) fn without_defaults(value: &Value, name: Option<&str>, owners: &Owners<'_>) -> Value {
    if owners.is_empty() || owners.is_whole() {
        return value.clone();
    }
    match value {
        Value::Object(map) => {
            let owned = map.iter().filter_map(|(key, value)| {
                let owners = owners.at(&PointerStep::Key(key.clone()));
                (!owners.is_empty()).then(|| (key.clone(), without_defaults(value, Some(key), &owners)))
            });
            Value::Object(owned.collect())
        }
        Value::Array(list) => match list_keys::keys_of(name, [list, &[]], owners) {
            Some(keys) => {
                let part = |item: &Value| match list_keys::key_of(item, &keys) {
                    Some(key) => without_defaults(item, None, &owners.at(&PointerStep::Item(key))),
                    None => item.clone(),
                };
                Value::Array(list.iter().map(part).collect())
            }
            None => value.clone(),
        },
        _ => value.clone(),
    }
}

/// Returns whether a field is a label or an annotation, of the object or of its pods.
fn is_label(path: &FieldPointer) -> bool {
    matches!(path.keys().as_slice(), [.., "metadata", "labels" | "annotations", _])
}

/// Returns the cause of a difference; `None` for a default: a new field that is not configured. Labels and list items
/// are never defaults.
fn cause(field: &Field<'_>, before: Option<&Value>, after: Option<&Value>) -> Option<ChangeCause> {
    let ours = field.owners.ours();
    match (before, after, field.desired) {
        (None, Some(_), None) if !field.path.is_item() && !is_label(&field.path) => None,
        (_, _, None) if !ours => Some(ChangeCause::Server),
        (Some(_), None, Some(_)) => Some(ChangeCause::Server),
        (_, Some(after), Some(desired)) if !matches_desired(after, desired, field.path.last_key()) => {
            Some(ChangeCause::Server)
        }
        _ => Some(field.owners.other().filter(|_| !ours).map_or(ChangeCause::You, ChangeCause::Drift)),
    }
}

/// Returns whether a value equals the desired one, apart from defaults.
fn matches_desired(value: &Value, desired: &Value, name: Option<&str>) -> bool {
    match (value, desired) {
        (Value::Object(value), Value::Object(desired)) => desired.iter().all(|(key, desired)| {
            value.get(key).is_some_and(|value| matches_desired(value, desired, Some(key)))
        }),
        (Value::Array(value), Value::Array(desired)) => {
            match list_keys::keys_of(name, [value, desired], &Owners::none()) {
                Some(keys) => desired.iter().all(|desired| {
                    let item =
                        list_keys::key_of(desired, &keys).and_then(|key| list_keys::item(value, &keys, &key));
                    item.is_some_and(|item| matches_desired(item, desired, None))
                }),
                None => {
                    value.len() == desired.len()
                        && value
                            .iter()
                            .zip(desired)
                            .all(|(value, desired)| matches_desired(value, desired, None))
                }
            }
        }
        _ => value == desired,
    }
}
