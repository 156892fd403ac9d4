//! Fields that other managers added to a member. The plan lacks them, and a deploy keeps them.

use serde_json::Value;

use super::field_change::{is_compared_by_key, without_defaults};
use super::field_owners::{FieldManager, Owners};
use super::hidden_field;
use super::list_keys;
use super::noise::without_noise;
use super::pointer::{FieldPointer, PointerStep};
use crate::object::{Mask, ObjectId, literal_secret};

/// A field that another manager added.
#[derive(Debug, Clone, PartialEq)]
pub struct Addition {
    /// The field's path.
    pub path: FieldPointer,
    /// Its value; `None` if it is a Secret's value, which is not shown.
    pub value: Option<Value>,
    /// The manager that set it last.
    pub manager: FieldManager,
}

/// Returns the fields of a live member that others set and its manifest lacks. Kubernetes' own controllers are no
/// others. A field of the manifest is not an addition: if its value differs, it is drift.
#[must_use]
pub fn additions(id: &ObjectId, manifest: &Value, live: &Value, mask: &Mask) -> Vec<Addition> {
    let mut walk = AdditionWalk { kind: &id.kind, mask, additions: Vec::new() };
    let (manifest, owners) = (without_noise(manifest), Owners::of_additions(live));
    if owners.other().is_none() {
        return walk.additions;
    }
    let live = literal_secret::masked(&id.kind, &without_noise(live));
    walk.value(&FieldPointer::default(), Some(&manifest), &live, &owners);
    walk.additions
}

struct AdditionWalk<'a> {
    kind: &'a str,
    mask: &'a Mask,
    additions: Vec<Addition>,
}

impl AdditionWalk<'_> {
    /// Visits a live value. `owners` are the other managers that own it or a part of it.
    fn value(&mut self, path: &FieldPointer, desired: Option<&Value>, live: &Value, owners: &Owners<'_>) {
        let Some(manager) = owners.other() else { return };
        let is_descended = is_compared_by_key(path) || path.last_key() == Some("metadata");
        if desired.is_none() && !is_descended {
            let value = without_defaults(live, path.last_key(), owners);
            let is_shown = !hidden_field::hides(self.kind, path);
            let value = is_shown.then(|| self.mask.value(&value));
            self.additions.push(Addition { path: path.clone(), value, manager });
            return;
        }
        // Whoever owns a field of the manifest as a whole has changed it and added nothing.
        let owners = if desired.is_some() { owners.of_parts() } else { owners.clone() };
        match live {
            Value::Object(live) => {
                for (key, live) in live {
                    let step = PointerStep::Key(key.clone());
                    let desired = desired.and_then(|desired| desired.get(key));
                    self.value(&path.then(step.clone()), desired, live, &owners.at(&step));
                }
            }
            Value::Array(live) => self.items(path, desired, live, &owners),
            _ => {}
        }
    }

    fn items(&mut self, path: &FieldPointer, desired: Option<&Value>, live: &[Value], owners: &Owners<'_>) {
        let desired = desired.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let Some(keys) = list_keys::keys_of(path.last_key(), [desired, live], owners) else { return };
        for item in live {
            let Some(key) = list_keys::key_of(item, &keys) else { continue };
            let desired = list_keys::item(desired, &keys, &key);
            let step = PointerStep::Item(key);
            self.value(&path.then(step.clone()), desired, item, &owners.at(&step));
        }
    }
}
