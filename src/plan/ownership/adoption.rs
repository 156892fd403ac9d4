//! Taking over an object of somebody else's: whether that may be, and what becomes of the tools that made it. Pure.

use serde_json::{Map, Value};

use crate::object::labels::MANAGER;
use crate::object::managed_fields;
use crate::plan::inventory::apply_set::{ApplySet, PART_OF};

/// Managers whose fields become ours: tools that deploy whole objects, and what the API server calls whoever
/// changed an object before it was first applied.
const MIGRATED: &[&str] = &["helm", "kubectl-client-side-apply", "before-first-apply"];

/// Whether the fields of this manager become ours.
#[must_use]
pub fn is_migrated(manager: &str, subresource: Option<&str>) -> bool {
    subresource.is_none_or(str::is_empty) && MIGRATED.contains(&manager)
}

/// Why this object cannot be taken over into this set; None where it can.
#[must_use]
pub fn blocker(object: &Value, set: &ApplySet) -> Option<String> {
    let metadata = &object["metadata"];
    if let Some(owner) = metadata["ownerReferences"].as_array().and_then(|owners| owners.first()) {
        let text = |key: &str| owner[key].as_str().unwrap_or("?").to_owned();
        return Some(format!(
            "{}/{} owns it and would make it anew",
            text("kind").to_lowercase(),
            text("name")
        ));
    }
    if let Some(other) = metadata["labels"][PART_OF].as_str().filter(|id| *id != set.id()) {
        return Some(format!("it is part of another set, {other}"));
    }
    let since = metadata["deletionTimestamp"].as_str()?;
    Some(format!("it is being deleted since {since}"))
}

/// What makes an object's fields ours.
#[derive(Debug, Clone, PartialEq)]
pub struct Migration {
    /// The managers that lose their fields.
    pub managers: Vec<String>,
    /// The object's new `metadata.managedFields`.
    pub managed_fields: Value,
}

/// Moves everything that the tools of others manage into our own apply entry, as client-go's `csaupgrade` does: the
/// next apply then removes what our manifest does not have. None where there is nothing of theirs.
#[must_use]
pub fn migration(object: &Value, api_version: &Value) -> Option<Migration> {
    let entries = object["metadata"]["managedFields"].as_array()?;
    let moves = |entry: &&Value| {
        is_migrated(entry["manager"].as_str().unwrap_or_default(), entry["subresource"].as_str())
    };
    let (theirs, mut kept): (Vec<&Value>, Vec<&Value>) = entries.iter().partition(moves);
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
        unite(&mut fields, &entry["fieldsV1"]);
    }
    let mut entry = serde_json::json!({
        "manager": MANAGER,
        "operation": "Apply",
        "apiVersion": api_version,
        "fieldsType": "FieldsV1",
        "fieldsV1": fields,
    });
    // All are in UTC and of the same form.
    if let Some(time) = entries.iter().filter_map(|entry| entry["time"].as_str()).max() {
        entry["time"] = time.into();
    }
    entry
}

/// Adds a field set to another. A node without children stands for itself, one with children only with `.`.
fn unite(fields: &mut Map<String, Value>, other: &Value) {
    for (name, node) in other.as_object().into_iter().flatten() {
        match fields.get_mut(name) {
            None => {
                fields.insert(name.clone(), node.clone());
            }
            Some(Value::Object(known)) => {
                if known.is_empty() != managed_fields::is_leaf(node) {
                    known.insert(".".to_owned(), Value::Object(Map::new()));
                }
                unite(known, node);
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
    fn what_somebody_else_still_looks_after_cannot_be_taken_over() {
        let object = |metadata: Value| json!({ "metadata": metadata });
        assert_eq!(blocker(&object(json!({ "labels": { "a": "b" } })), &set()), None);
        assert_eq!(
            blocker(&object(json!({ "labels": { PART_OF: set().id() } })), &set()),
            None,
            "a copy of ours"
        );
        for (metadata, words) in [
            (json!({ "ownerReferences": [{ "kind": "ReplicaSet", "name": "x" }] }), "replicaset/x owns it"),
            (json!({ "labels": { PART_OF: "applyset-x-v1" } }), "part of another set, applyset-x-v1"),
            (json!({ "deletionTimestamp": "2026-01-01T00:00:00Z" }), "being deleted since 2026"),
        ] {
            let obstacle = blocker(&object(metadata), &set()).unwrap();
            assert!(obstacle.contains(words), "{obstacle}");
        }
    }

    #[test]
    fn the_tools_entries_are_united_into_ours_and_the_others_stay() {
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
