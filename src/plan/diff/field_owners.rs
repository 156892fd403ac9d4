//! The owners of fields, as the API server records them (`metadata.managedFields`,
//! <https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management>).

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::pointer::PointerStep;
use crate::object::labels::MANAGER;
use crate::object::managed_fields::{entries_of_others, is_leaf, our_entries};

/// The field managers of the components of Kubernetes and `OpenShift`, which complete every object.
const CONTROL_PLANE: &[&str] = &[
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "cloud-controller-manager",
    "openshift-controller-manager",
];

/// The managers of one field of a live object.
#[derive(Debug, Clone)]
pub(super) struct Owners<'a>(Vec<DiffOwner<'a>>);

#[derive(Debug, Clone, Copy)]
struct DiffOwner<'a> {
    entry: &'a Value,
    extent: Extent<'a>,
}

/// The extent of a field that a manager owns.
#[derive(Debug, Clone, Copy)]
enum Extent<'a> {
    /// These children of the field.
    Children(&'a Map<String, Value>),
    /// The whole field with all its children.
    Whole,
}

/// A field manager other than handsctl.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldManager {
    /// Its name, such as `kubectl-edit`.
    pub name: String,
    /// The time at which it last set a field of the object.
    pub since: Option<Timestamp>,
}

impl<'a> Owners<'a> {
    /// Reads the managers of a live object.
    pub(super) fn from_object(live: &'a Value) -> Self {
        let entries = live["metadata"]["managedFields"].as_array().into_iter().flatten();
        Self(
            entries
                .filter_map(|entry| Some(DiffOwner { entry, extent: extent(entry.get("fieldsV1")?) }))
                .collect(),
        )
    }

    /// Reads the managers that may have added fields to a live member: all but handsctl, the control plane, writers of
    /// subresources, and the creator of the object.
    pub(super) fn of_additions(live: &'a Value) -> Self {
        let is_other = |entry: &&Value| {
            let manager = entry["manager"].as_str().unwrap_or_default();
            manager != MANAGER
                && !CONTROL_PLANE.contains(&manager)
                && entry["subresource"].is_null()
                && !is_creator(entry, live)
        };
        let entries = entries_of_others(live).filter(is_other);
        Self(
            entries
                .filter_map(|entry| Some(DiffOwner { entry, extent: extent(entry.get("fieldsV1")?) }))
                .collect(),
        )
    }

    /// Returns no managers, for an object that does not exist.
    pub(super) const fn none() -> Self {
        Self(Vec::new())
    }

    /// Returns the managers of a child.
    pub(super) fn at(&self, step: &PointerStep) -> Self {
        Self(self.0.iter().filter_map(|owner| owner.at(step)).collect())
    }

    /// Returns the managers that own parts of the field, without those that own it as a whole.
    pub(super) fn of_parts(&self) -> Self {
        let owns_parts = |owner: &&DiffOwner<'_>| matches!(owner.extent, Extent::Children(_));
        Self(self.0.iter().filter(owns_parts).copied().collect())
    }

    /// Returns whether our last apply set the field or a part of it.
    pub(super) fn ours(&self) -> bool {
        self.0.iter().any(DiffOwner::is_ours)
    }

    /// Returns the other manager with the most recent change; `None` if there is no other manager.
    pub(super) fn other(&self) -> Option<FieldManager> {
        let others = self.0.iter().filter(|owner| !owner.is_ours());
        let manager = |owner: &DiffOwner<'_>| FieldManager {
            name: owner.entry["manager"].as_str().unwrap_or("unknown").to_owned(),
            since: owner.entry["time"].as_str().and_then(|time| time.parse().ok()),
        };
        others.map(manager).max_by_key(|manager| manager.since)
    }

    /// Returns whether the field has no manager, so that its value is a default.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns whether the field has managers and all of them own it as a whole.
    pub(super) fn is_whole(&self) -> bool {
        !self.0.is_empty() && self.0.iter().all(|owner| matches!(owner.extent, Extent::Whole))
    }

    /// Returns the keys that identify the items of this list, if a manager's entry contains them.
    pub(super) fn keys(&self) -> Option<Vec<String>> {
        self.0.iter().find_map(|owner| {
            let Extent::Children(fields) = owner.extent else { return None };
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
        let Extent::Children(fields) = self.extent else { return Some(*self) };
        let child = match step {
            PointerStep::Key(key) => fields.get(&format!("f:{key}")),
            PointerStep::Item(keys) => {
                fields.iter().find(|(name, _)| item_of(name).as_ref() == Some(keys)).map(|(_, child)| child)
            }
            PointerStep::Index(_) => None,
        };
        child.map(|child| Self { entry: self.entry, extent: extent(child) })
    }
}

/// Returns whether another tool created the object with this request, for example a restore from a backup. Its entry
/// has the defaults of the API server too, which nobody added.
fn is_creator(entry: &Value, live: &Value) -> bool {
    let created = &live["metadata"]["creationTimestamp"];
    entry["operation"] == "Update"
        && created.is_string()
        && entry["time"] == *created
        && our_entries(live).any(|ours| overlap(&entry["fieldsV1"], &ours["fieldsV1"]))
}

/// Returns whether two field sets have a field in common.
fn overlap(one: &Value, other: &Value) -> bool {
    let (Some(children), Some(others)) = (one.as_object(), other.as_object()) else { return false };
    children.iter().filter(|(name, _)| *name != ".").any(|(name, child)| match others.get(name) {
        Some(other) => is_leaf(child) || is_leaf(other) || overlap(child, other),
        None => false,
    })
}

fn extent(fields: &Value) -> Extent<'_> {
    match fields.as_object() {
        Some(parts) if !parts.is_empty() => Extent::Children(parts),
        _ => Extent::Whole,
    }
}

/// Parses the keys in the name of an item: `k:{"containerPort":80,"protocol":"TCP"}`.
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
    fn field_has_its_own_and_inherited_managers() {
        let live = live();
        let spec = Owners::from_object(&live).at(&key("spec"));
        assert!(
            spec.at(&key("selector")).at(&key("app")).ours(),
            "a child of a field that is owned as a whole"
        );
        assert!(spec.at(&key("selector")).is_whole() && !spec.is_whole());
        let type_owners = spec.at(&key("type"));
        assert!(!type_owners.ours(), "an update by handsctl is not an apply");
        assert_eq!(type_owners.other().unwrap().since, Some("2026-01-03T00:00:00Z".parse().unwrap()));
        assert!(!spec.at(&key("clusterIP")).ours() && spec.at(&key("clusterIP")).other().is_none());
    }

    #[test]
    fn creator_and_control_plane_added_nothing() {
        let entry = |manager: &str, time: &str| {
            json!({ "manager": manager, "operation": "Update", "time": time, "fieldsV1": {
                "f:spec": { "f:selector": {}, "f:sessionAffinity": {} },
            } })
        };
        let of_additions = |entry: Value| {
            let mut live = live();
            live["metadata"]["creationTimestamp"] = json!("2026-01-01T00:00:00Z");
            live["metadata"]["managedFields"].as_array_mut().unwrap().truncate(1);
            live["metadata"]["managedFields"].as_array_mut().unwrap().push(entry);
            Owners::of_additions(&live).other().map(|manager| manager.name)
        };
        assert_eq!(of_additions(entry("velero-server", "2026-01-01T00:00:00Z")), None);
        assert_eq!(of_additions(entry("kube-controller-manager", "2026-01-02T00:00:00Z")), None);
        let edited = of_additions(entry("kubectl-edit", "2026-01-02T00:00:00Z"));
        assert_eq!(edited.as_deref(), Some("kubectl-edit"));
        let mut annotated = entry("annotator", "2026-01-01T00:00:00Z");
        annotated["fieldsV1"] = json!({ "f:metadata": { "f:annotations": { ".": {}, "f:a": {} } } });
        assert_eq!(of_additions(annotated).as_deref(), Some("annotator"), "it reacts in the same second");
    }

    #[test]
    fn items_are_found_by_their_keys() {
        let live = live();
        let ports = Owners::from_object(&live).at(&key("spec")).at(&key("ports"));
        assert_eq!(ports.keys(), Some(vec!["port".to_owned(), "protocol".to_owned()]));
        let item = |port: u16| {
            PointerStep::Item(json!({ "port": port, "protocol": "TCP" }).as_object().unwrap().clone())
        };
        assert!(ports.at(&item(80)).at(&key("name")).ours());
        assert!(!ports.at(&item(81)).ours());
    }
}
