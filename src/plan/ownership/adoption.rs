//! Adoption of an object that another tool created: whether it is allowed, and the migration of its fields. Pure.

use serde_json::{Map, Value};

use super::other_set::other_set;
use crate::object::labels::MANAGER;
use crate::object::managed_fields;
use crate::plan::inventory::apply_set::{ApplySet, PART_OF};

/// Managers whose fields are migrated to ours: tools that deploy whole objects, commands that create them, and
/// `before-first-apply`, the API server's name for all changes before the first apply.
const MIGRATED: &[&str] =
    &["helm", "kubectl-client-side-apply", "kubectl-create", "kubectl-expose", "before-first-apply"];

/// Returns whether the fields of this manager are migrated to ours.
#[must_use]
pub fn is_migrated(manager: &str, subresource: Option<&str>) -> bool {
    subresource.is_none_or(str::is_empty) && MIGRATED.contains(&manager)
}

/// Returns the reason why an object cannot be adopted into a set; `None` if it can.
#[must_use]
pub fn blocker(object: &Value, set: &ApplySet) -> Option<String> {
    let metadata = &object["metadata"];
    if let Some(owner) = metadata["ownerReferences"].as_array().and_then(|owners| owners.first()) {
        let text = |key: &str| owner[key].as_str().unwrap_or("?").to_owned();
        return Some(format!(
            "{}/{} owns it and would create it again",
            text("kind").to_lowercase(),
            text("name")
        ));
    }
    if let Some(other) = metadata["labels"][PART_OF].as_str().filter(|id| *id != set.id()) {
        let set = other_set(object, &[]).unwrap_or_else(|| format!("another installation, {other}"));
        return Some(format!("it is part of {set}"));
    }
    let since = metadata["deletionTimestamp"].as_str()?;
    Some(format!("it has been terminating since {since}"))
}

/// The marks of tools that apply objects again and again: annotation or label → tool.
const TRACKERS: &[(&str, &str)] = &[
    ("argocd.argoproj.io/tracking-id", "Argo CD"),
    ("argocd.argoproj.io/instance", "Argo CD"),
    ("kustomize.toolkit.fluxcd.io/name", "Flux"),
    ("helm.toolkit.fluxcd.io/name", "Flux"),
];

/// Returns the tool that applies this object again and again, and its mark on the object. An adoption removes the mark of
/// no such tool, so that the tool undoes later changes or deletes the object.
#[must_use]
pub fn tracker(object: &Value) -> Option<(&'static str, &'static str)> {
    let has =
        |key: &str| ["annotations", "labels"].iter().any(|field| object["metadata"][field][key].is_string());
    TRACKERS.iter().find(|(key, _)| has(key)).map(|(key, tool)| (*tool, *key))
}

/// Says what a tracking tool will do to an adopted object, and what prevents it.
#[must_use]
pub fn still_tracked(tool: &str, mark: &str) -> String {
    format!(
        "{tool} still tracks it ({mark}) and undoes changes or deletes it: remove its application there, or this mark \
         from the object"
    )
}

/// The migration of an object's fields to our manager.
#[derive(Debug, Clone, PartialEq)]
pub struct Migration {
    /// The managers whose fields are migrated.
    pub managers: Vec<String>,
    /// The object's new `metadata.managedFields`.
    pub managed_fields: Value,
}

/// Moves the fields of all migrated managers into our own apply entry, as client-go's `csaupgrade` does. The next apply
/// then removes the fields that our manifest lacks. Returns `None` if there is no such manager.
#[must_use]
pub fn migration(object: &Value, api_version: &Value) -> Option<Migration> {
    let entries = object["metadata"]["managedFields"].as_array()?;
    let is_migrated_entry = |entry: &&Value| {
        is_migrated(entry["manager"].as_str().unwrap_or_default(), entry["subresource"].as_str())
    };
    let (theirs, mut kept): (Vec<&Value>, Vec<&Value>) = entries.iter().partition(is_migrated_entry);
    if theirs.is_empty() {
        return None;
    }
    let mut managers: Vec<String> =
        theirs.iter().filter_map(|entry| entry["manager"].as_str()).map(str::to_owned).collect();
    managers.sort_unstable();
    managers.dedup();
    let ours = |entry: &&Value| managed_fields::is_our_entry(entry) && entry["apiVersion"] == *api_version;
    let merged: Vec<&Value> = kept.iter().copied().filter(ours).chain(theirs).collect();
    kept.retain(|entry| !ours(entry));
    let mut managed_fields: Vec<Value> = kept.into_iter().cloned().collect();
    managed_fields.push(entry_of(&merged, api_version));
    Some(Migration { managers, managed_fields: Value::Array(managed_fields) })
}

fn entry_of(entries: &[&Value], api_version: &Value) -> Value {
    let mut fields = Map::new();
    for entry in entries {
        merge_fields(&mut fields, &entry["fieldsV1"]);
    }
    let mut entry = serde_json::json!({
        "manager": MANAGER,
        "operation": "Apply",
        "apiVersion": api_version,
        "fieldsType": "FieldsV1",
        "fieldsV1": fields,
    });
    // The times compare as text: all are in UTC and have the same format.
    if let Some(time) = entries.iter().filter_map(|entry| entry["time"].as_str()).max() {
        entry["time"] = time.into();
    }
    entry
}

/// Merges a field set into another. A node without children owns the field itself; one with children owns it only if it
/// has a child `.`.
fn merge_fields(fields: &mut Map<String, Value>, other: &Value) {
    for (name, node) in other.as_object().into_iter().flatten() {
        match fields.get_mut(name) {
            None => {
                fields.insert(name.clone(), node.clone());
            }
            Some(Value::Object(existing)) => {
                if existing.is_empty() != managed_fields::is_leaf(node) {
                    existing.insert(".".to_owned(), Value::Object(Map::new()));
                }
                merge_fields(existing, node);
            }
            Some(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn set() -> ApplySet {
        ApplySet { name: "a".into(), namespace: "n".into(), ..ApplySet::default() }
    }

    #[test]
    fn tracker_is_named_with_its_mark() {
        let object = |field: &str, key: &str| json!({ "metadata": { field: { key: "x" } } });
        let argo = object("annotations", "argocd.argoproj.io/tracking-id");
        assert_eq!(tracker(&argo), Some(("Argo CD", "argocd.argoproj.io/tracking-id")));
        let flux = object("labels", "kustomize.toolkit.fluxcd.io/name");
        assert_eq!(tracker(&flux).map(|(tool, _)| tool), Some("Flux"));
        assert_eq!(tracker(&object("labels", "app")), None);
        let text = still_tracked("Flux", "kustomize.toolkit.fluxcd.io/name");
        assert!(text.contains("deletes it: remove its application there"), "{text}");
    }

    #[test]
    fn blocker_names_owner_other_set_or_deletion() {
        let object = |metadata: Value| json!({ "metadata": metadata });
        assert_eq!(blocker(&object(json!({ "labels": { "a": "b" } })), &set()), None);
        assert_eq!(
            blocker(&object(json!({ "labels": { PART_OF: set().id() } })), &set()),
            None,
            "a copy of a member"
        );
        for (metadata, expected) in [
            (json!({ "ownerReferences": [{ "kind": "ReplicaSet", "name": "x" }] }), "replicaset/x owns it"),
            (
                json!({ "labels": { PART_OF: "applyset-x-v1" } }),
                "part of another installation, applyset-x-v1",
            ),
            (json!({ "deletionTimestamp": "2026-01-01T00:00:00Z" }), "terminating since 2026"),
        ] {
            let reason = blocker(&object(metadata), &set()).unwrap();
            assert!(reason.contains(expected), "{reason}");
        }
    }

    #[test]
    fn migration_merges_tool_entries_and_keeps_others() {
        let entry = |manager: &str, operation: &str, subresource: Option<&str>, fields: Value| {
            let mut entry = json!({ "manager": manager, "operation": operation, "apiVersion": "apps/v1",
                "fieldsType": "FieldsV1", "fieldsV1": fields, "time": "2026-01-01T00:00:00Z" });
            if let Some(subresource) = subresource {
                entry["subresource"] = json!(subresource);
            }
            entry
        };
        let scale = entry("helm", "Update", Some("scale"), json!({ "f:spec": { "f:replicas": {} } }));
        let edit = entry("kubectl-edit", "Update", None, json!({ "f:spec": { "f:paused": {} } }));
        let object = json!({ "metadata": { "managedFields": [
            entry("helm", "Update", None, json!({ "f:spec": { "f:replicas": {}, "f:selector": {} } })),
            scale,
            edit,
            entry("kubectl-client-side-apply", "Update", None, json!({
                "f:metadata": { "f:annotations": { ".": {}, "f:kubectl.kubernetes.io/last-applied-configuration": {} } },
                "f:spec": { "f:selector": { "f:matchLabels": {} } } })),
        ] } });
        let migration = migration(&object, &json!("apps/v1")).unwrap();
        assert_eq!(migration.managers, ["helm", "kubectl-client-side-apply"]);
        let ours = entry(
            "handsctl",
            "Apply",
            None,
            json!({
            "f:metadata": { "f:annotations": { ".": {}, "f:kubectl.kubernetes.io/last-applied-configuration": {} } },
            "f:spec": { "f:replicas": {}, "f:selector": { ".": {}, "f:matchLabels": {} } } }),
        );
        assert_eq!(migration.managed_fields, json!([scale, edit, ours]));
        assert_eq!(
            super::migration(&json!({ "metadata": { "managedFields": [edit] } }), &json!("apps/v1")),
            None
        );
    }
}
