//! Who set which field, as the API server remembers it (`metadata.managedFields`,
//! <https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management>).

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::pointer::PointerStep;
use crate::object::labels::MANAGER;

/// The managers of one field of a live object.
#[derive(Debug, Clone)]
pub(super) struct Owners<'a>(Vec<DiffOwner<'a>>);

#[derive(Debug, Clone, Copy)]
struct DiffOwner<'a> {
    entry: &'a Value,
    reach: Reach<'a>,
}

/// How much of the field a manager set.
#[derive(Debug, Clone, Copy)]
enum Reach<'a> {
    /// These parts of it.
    Within(&'a Map<String, Value>),
    /// The field as a whole, with everything below.
    Whole,
}

/// A manager who is not us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manager {
    /// Its name: `kubectl-edit`.
    pub name: String,
    /// When it last set a field of the object.
    pub since: Option<Timestamp>,
}

impl<'a> Owners<'a> {
    /// The managers of a live object.
    pub(super) fn of(live: &'a Value) -> Self {
        let entries = live["metadata"]["managedFields"].as_array().into_iter().flatten();
        Self(
            entries
                .filter_map(|entry| Some(DiffOwner { entry, reach: reach(entry.get("fieldsV1")?) }))
                .collect(),
        )
    }

    /// Nobody: the object is not there.
    pub(super) const fn none() -> Self {
        Self(Vec::new())
    }

    /// The managers of what lies a step further down.
    pub(super) fn at(&self, step: &PointerStep) -> Self {
        Self(self.0.iter().filter_map(|owner| owner.at(step)).collect())
    }

    /// Whether we set it, or a part of it, with our last apply.
    pub(super) fn ours(&self) -> bool {
        self.0.iter().any(DiffOwner::is_ours)
    }

    /// The other manager who was here last; None where there is none.
    pub(super) fn other(&self) -> Option<Manager> {
        let others = self.0.iter().filter(|owner| !owner.is_ours());
        let manager = |owner: &DiffOwner<'_>| Manager {
            name: owner.entry["manager"].as_str().unwrap_or("unknown").to_owned(),
            since: owner.entry["time"].as_str().and_then(|time| time.parse().ok()),
        };
        others.map(manager).max_by_key(|manager| manager.since)
    }

    /// Whether no manager set it: it is a default.
    pub(super) fn is_nobody(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it is set as a whole, never in parts.
    pub(super) fn is_whole(&self) -> bool {
        !self.0.is_empty() && self.0.iter().all(|owner| matches!(owner.reach, Reach::Whole))
    }

    /// The keys that tell the items of this list apart, where a manager's entry shows them.
    pub(super) fn keys(&self) -> Option<Vec<String>> {
        self.0.iter().find_map(|owner| {
            let Reach::Within(fields) = owner.reach else { return None };
            fields.keys().find_map(|name| Some(item_of(name)?.keys().cloned().collect()))
        })
    }
}

impl DiffOwner<'_> {
    fn is_ours(&self) -> bool {
        self.entry["manager"] == MANAGER
            && self.entry["operation"] == "Apply"
            && self.entry["subresource"].is_null()
    }

    fn at(&self, step: &PointerStep) -> Option<Self> {
        let Reach::Within(fields) = self.reach else { return Some(*self) };
        let child = match step {
            PointerStep::Key(key) => fields.get(&format!("f:{key}")),
            PointerStep::Item(keys) => {
                fields.iter().find(|(name, _)| item_of(name).as_ref() == Some(keys)).map(|(_, child)| child)
            }
            PointerStep::Index(_) => None,
        };
        child.map(|child| Self { entry: self.entry, reach: reach(child) })
    }
}

fn reach(fields: &Value) -> Reach<'_> {
    match fields.as_object() {
        Some(parts) if !parts.is_empty() => Reach::Within(parts),
        _ => Reach::Whole,
    }
}

/// The keys in the name of an item: `k:{"containerPort":80,"protocol":"TCP"}`.
fn item_of(name: &str) -> Option<Map<String, Value>> {
    serde_json::from_str(name.strip_prefix("k:")?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn live() -> Value {
        json!({ "metadata": { "managedFields": [
            { "manager": "handsctl", "operation": "Apply", "time": "2026-01-01T00:00:00Z", "fieldsV1": { "f:spec": {
                "f:ports": { "k:{\"port\":80,\"protocol\":\"TCP\"}": { ".": {}, "f:name": {} } },
                "f:selector": {},
            } } },
            { "manager": "kubectl-edit", "operation": "Update", "time": "2026-01-02T00:00:00Z", "fieldsV1": {
                "f:spec": { "f:type": {} },
            } },
            { "manager": "handsctl", "operation": "Update", "time": "2026-01-03T00:00:00Z", "fieldsV1": {
                "f:spec": { "f:type": {} },
            } },
        ] } })
    }

    fn key(key: &str) -> PointerStep {
        PointerStep::Key(key.to_owned())
    }

    #[test]
    fn a_field_has_the_managers_who_set_it_or_what_it_is_part_of() {
        let live = live();
        let spec = Owners::of(&live).at(&key("spec"));
        assert!(spec.at(&key("selector")).at(&key("app")).ours(), "a part of what is set as a whole");
        assert!(spec.at(&key("selector")).is_whole() && !spec.is_whole());
        let of_type = spec.at(&key("type"));
        assert!(!of_type.ours(), "an update of ours is not our apply");
        assert_eq!(of_type.other().unwrap().since, Some("2026-01-03T00:00:00Z".parse().unwrap()));
        assert!(!spec.at(&key("clusterIP")).ours() && spec.at(&key("clusterIP")).other().is_none());
    }

    #[test]
    fn an_item_is_found_by_its_keys() {
        let live = live();
        let ports = Owners::of(&live).at(&key("spec")).at(&key("ports"));
        assert_eq!(ports.keys(), Some(vec!["port".to_owned(), "protocol".to_owned()]));
        let item = |port: u16| {
            PointerStep::Item(json!({ "port": port, "protocol": "TCP" }).as_object().unwrap().clone())
        };
        assert!(ports.at(&item(80)).at(&key("name")).ours());
        assert!(!ports.at(&item(81)).ours());
    }
}
