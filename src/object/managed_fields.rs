//! Whether a live object already is what a manifest asks for, so that nothing need be sent.
//!
//! The API server keeps, for each field manager, which fields it set (`metadata.managedFields`,
//! <https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management>). Walking our own entry
//! over the live object shows what our manifest said last time, without defaults, without other managers'
//! fields, and without any schema. In doubt the answer is "differs", which costs one request.

use serde_json::{Map, Value};

use super::labels::MANAGER;

/// Whether our fields of `live` are exactly those of `manifest`.
#[must_use]
pub fn is_unchanged(manifest: &Value, live: &Value) -> bool {
    if !live["metadata"]["deletionTimestamp"].is_null() {
        return false;
    }
    let Some(fields) = our_fields(manifest, live) else { return false };
    same(&without_identity(manifest), live, fields)
}

/// Whether our apply entry owns this label: a copy made with `kubectl get -o yaml | kubectl apply` carries the
/// label too, but not our entry.
#[must_use]
pub fn owns_label(live: &Value, label: &str) -> bool {
    our_entries(live)
        .any(|entry| !entry["fieldsV1"]["f:metadata"]["f:labels"][format!("f:{label}")].is_null())
}

/// Whether we have applied this object at all.
#[must_use]
pub fn is_applied(live: &Value) -> bool {
    our_entries(live).next().is_some()
}

/// Whether two versions of an object differ in nothing but what the server counts by itself: a controller's
/// write of the status moves the resourceVersion under a PATCH that changed nothing.
#[must_use]
pub fn is_same_but_for_status(before: &Value, after: &Value) -> bool {
    without_noise(before) == without_noise(after)
}

/// What our applies say that we manage.
pub(crate) fn our_entries(live: &Value) -> impl Iterator<Item = &Value> {
    entries(live).filter(|entry| is_our_entry(entry))
}

/// What all others manage.
pub(crate) fn entries_of_others(live: &Value) -> impl Iterator<Item = &Value> {
    entries(live).filter(|entry| !is_our_entry(entry))
}

fn entries(live: &Value) -> impl Iterator<Item = &Value> {
    live["metadata"]["managedFields"].as_array().into_iter().flatten()
}

pub(crate) fn is_our_entry(entry: &Value) -> bool {
    entry["manager"] == MANAGER && entry["operation"] == "Apply" && entry["subresource"].is_null()
}

/// Whether a node of a field set has no children: what it stands for is managed as a whole.
pub(crate) fn is_leaf(node: &Value) -> bool {
    node.as_object().is_some_and(Map::is_empty)
}

fn our_fields<'a>(manifest: &Value, live: &'a Value) -> Option<&'a Value> {
    our_entries(live)
        .find(|entry| entry["apiVersion"] == manifest["apiVersion"])
        .map(|entry| &entry["fieldsV1"])
}

/// What says which object it is stands in no field set.
fn without_identity(manifest: &Value) -> Value {
    let mut manifest = manifest.clone();
    if let Some(object) = manifest.as_object_mut() {
        object.remove("apiVersion");
        object.remove("kind");
        if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            for key in ["name", "namespace", "uid", "resourceVersion"] {
                metadata.remove(key);
            }
        }
    }
    manifest
}

fn without_noise(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(map) = object.as_object_mut() {
        map.remove("status");
        if let Some(metadata) = map.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("resourceVersion");
            metadata.remove("generation");
            let entries = metadata.get_mut("managedFields").and_then(Value::as_array_mut);
            let own = |entry: &Value| entry["subresource"].is_null();
            if let Some(entries) = entries {
                entries.retain(own);
                for entry in entries {
                    if let Some(entry) = entry.as_object_mut() {
                        entry.remove("time");
                    }
                }
            }
        }
    }
    object
}

fn same(wanted: &Value, live: &Value, fields: &Value) -> bool {
    let Some(children) = fields.as_object().filter(|children| !children.is_empty()) else {
        return wanted == live;
    };
    let names: Vec<&String> = children.keys().filter(|key| *key != ".").collect();
    match (wanted, live) {
        (Value::Object(wanted), Value::Object(live)) if names.iter().all(|name| name.starts_with("f:")) => {
            same_map(wanted, live, children)
        }
        (Value::Array(wanted), Value::Array(live)) if names.iter().all(|name| name.starts_with("k:")) => {
            same_keyed_list(wanted, live, children)
        }
        (Value::Array(wanted), Value::Array(_)) if names.iter().all(|name| name.starts_with("v:")) => {
            same_set(wanted, &names)
        }
        _ => false,
    }
}

fn same_map(wanted: &Map<String, Value>, live: &Map<String, Value>, children: &Map<String, Value>) -> bool {
    let owned = children.iter().filter_map(|(name, child)| Some((name.strip_prefix("f:")?, child)));
    wanted.len() == owned.clone().count()
        && owned.into_iter().all(|(name, child)| {
            matches!((wanted.get(name), live.get(name)), (Some(wanted), Some(live)) if same(wanted, live, child))
        })
}

fn same_keyed_list(wanted: &[Value], live: &[Value], children: &Map<String, Value>) -> bool {
    let owned = children.iter().filter_map(|(name, child)| Some((name.strip_prefix("k:")?, child)));
    wanted.len() == owned.clone().count()
        && owned.into_iter().all(|(key, child)| {
            let Ok(Value::Object(key)) = serde_json::from_str(key) else { return false };
            let has_key = |item: &&Value| key.iter().all(|(name, value)| item.get(name) == Some(value));
            let pair = (wanted.iter().find(has_key), live.iter().find(has_key));
            matches!(pair, (Some(wanted), Some(live)) if same(wanted, live, child))
        })
}

fn same_set(wanted: &[Value], names: &[&String]) -> bool {
    let owned: Vec<Value> =
        names.iter().filter_map(|name| serde_json::from_str(name.strip_prefix("v:")?).ok()).collect();
    wanted.len() == owned.len() && wanted.iter().all(|item| owned.contains(item))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn manifest() -> Value {
        json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": { "name": "a", "namespace": "n", "labels": { "app": "a" } },
            "spec": { "ports": [{ "port": 80, "protocol": "TCP", "name": "http" }], "selector": { "app": "a" } },
        })
    }

    fn live() -> Value {
        json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {
                "name": "a", "namespace": "n", "uid": "u", "resourceVersion": "7",
                "labels": { "app": "a", "theirs": "x" },
                "managedFields": [
                    { "manager": "handsctl", "operation": "Apply", "apiVersion": "v1", "time": "t", "fieldsV1": {
                        "f:metadata": { "f:labels": { "f:app": {} } },
                        "f:spec": {
                            "f:ports": { "k:{\"port\":80,\"protocol\":\"TCP\"}": { ".": {}, "f:name": {}, "f:port": {}, "f:protocol": {} } },
                            "f:selector": {},
                        },
                    } },
                    { "manager": "handsctl", "operation": "Update", "apiVersion": "v1", "fieldsV1": { "f:spec": {} } },
                    { "manager": "controller", "operation": "Update", "subresource": "status", "time": "t", "fieldsV1": {} },
                ],
            },
            "spec": {
                "clusterIP": "10.0.0.1",
                "ports": [{ "port": 443, "protocol": "TCP" }, { "port": 80, "protocol": "TCP", "name": "http", "targetPort": 80 }],
                "selector": { "app": "a" },
            },
        })
    }

    #[test]
    fn defaults_and_other_managers_fields_are_not_ours() {
        assert!(is_unchanged(&manifest(), &live()));
    }

    #[test]
    fn every_kind_of_difference_is_seen() {
        let changes = [
            ("/metadata/labels", json!({ "app": "b" })),
            ("/metadata/labels", json!({ "app": "a", "new": "b" })),
            ("/spec/ports", json!([])),
            ("/spec/ports/0/name", json!("web")),
            ("/spec/ports/0/port", json!(81)),
            ("/spec/selector", json!({ "app": "a", "b": "c" })),
            ("/apiVersion", json!("v2")),
        ];
        for (place, value) in changes {
            let mut manifest = manifest();
            *manifest.pointer_mut(place).unwrap() = value;
            assert!(!is_unchanged(&manifest, &live()), "{place}");
        }
    }

    #[test]
    fn a_drifted_or_dying_or_foreign_object_is_not_unchanged() {
        let mut drifted = live();
        drifted["spec"]["selector"] = json!({ "app": "b" });
        assert!(!is_unchanged(&manifest(), &drifted));
        let mut dying = live();
        dying["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        assert!(!is_unchanged(&manifest(), &dying));
        let mut foreign = live();
        foreign["metadata"]["managedFields"][0]["manager"] = json!("kubectl");
        assert!(!is_unchanged(&manifest(), &foreign));
    }

    #[test]
    fn only_our_apply_entry_owns_a_label() {
        assert!(owns_label(&live(), "app"));
        assert!(!owns_label(&live(), "theirs"));
    }

    #[test]
    fn a_status_write_in_between_is_no_change() {
        let mut after = live();
        after["status"] = json!({ "loadBalancer": {} });
        after["metadata"]["resourceVersion"] = json!("9");
        after["metadata"]["managedFields"][2]["time"] = json!("later");
        assert!(is_same_but_for_status(&live(), &after));
        after["spec"]["selector"] = json!({});
        assert!(!is_same_but_for_status(&live(), &after));
    }
}
