//! Compares a manifest with a live object by managed fields, so that an unchanged object is not sent.
//!
//! The API server keeps, for each field manager, which fields it set (`metadata.managedFields`,
//! <https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management>). Our own entry, read together
//! with the live object, yields the manifest that we applied last, without defaults, without other managers' fields,
//! and without any schema. In doubt the comparison reports a difference, which costs one request.

use serde_json::{Map, Value};

use super::labels::MANAGER;

/// Returns whether our fields of `live` are exactly those of `manifest`.
#[must_use]
pub fn is_unchanged(manifest: &Value, live: &Value) -> bool {
    if !live["metadata"]["deletionTimestamp"].is_null() {
        return false;
    }
    let Some(fields) = our_fields(manifest, live) else { return false };
    same(&without_identity(manifest), live, fields)
}

/// Returns whether our apply entry owns this label. A copy made with `kubectl get -o yaml | kubectl apply` also has the
/// label, but not our entry.
#[must_use]
pub fn owns_label(live: &Value, label: &str) -> bool {
    our_entries(live)
        .any(|entry| !entry["fieldsV1"]["f:metadata"]["f:labels"][format!("f:{label}")].is_null())
}

/// Returns whether handsctl has applied this object.
#[must_use]
pub fn is_applied(live: &Value) -> bool {
    our_entries(live).next().is_some()
}

/// Returns whether two versions of an object differ only in the status and the server's own bookkeeping. A controller
/// that writes the status raises the resourceVersion, even if our own PATCH changed nothing.
#[must_use]
pub fn is_same_but_for_status(before: &Value, after: &Value) -> bool {
    without_noise(before) == without_noise(after)
}

/// Returns the manifest that we applied last: our fields of the live object, with its identity. None if handsctl has not
/// applied it.
#[must_use]
pub fn applied_manifest(live: &Value) -> Option<Value> {
    let entry = our_entries(live).find(|entry| entry["apiVersion"] == live["apiVersion"])?;
    let mut manifest = owned(live, &entry["fieldsV1"]);
    for key in ["apiVersion", "kind"] {
        manifest[key] = live[key].clone();
    }
    for key in ["name", "namespace", "uid"] {
        manifest["metadata"][key] = live["metadata"][key].clone();
    }
    Some(manifest)
}

/// Returns the part of a live value that a node of a field set names.
fn owned(live: &Value, fields: &Value) -> Value {
    let Some(children) = fields.as_object().filter(|children| !children.is_empty()) else {
        return live.clone();
    };
    let children = children.iter().filter(|(key, _)| *key != ".");
    match live {
        Value::Object(map) => {
            let fields = children.filter_map(|(key, child)| {
                let name = key.strip_prefix("f:")?;
                Some((name.to_owned(), owned(map.get(name)?, child)))
            });
            Value::Object(fields.collect())
        }
        Value::Array(items) => {
            let children: Vec<_> = children.collect();
            let of_item = |item: &Value| {
                children.iter().find_map(|(key, child)| match key.split_at_checked(2)? {
                    ("k:", keys) => {
                        let keys: Map<String, Value> = serde_json::from_str(keys).ok()?;
                        let is_same = keys.iter().all(|(name, value)| item[name.as_str()] == *value);
                        is_same.then(|| owned(item, child))
                    }
                    ("v:", value) => {
                        let value: Value = serde_json::from_str(value).ok()?;
                        (value == *item).then(|| item.clone())
                    }
                    _ => None,
                })
            };
            items.iter().filter_map(of_item).collect()
        }
        scalar => scalar.clone(),
    }
}

/// Returns the managed fields entries of our own applies.
pub(crate) fn our_entries(live: &Value) -> impl Iterator<Item = &Value> {
    entries(live).filter(|entry| is_our_entry(entry))
}

/// Returns the managed fields entries of all other managers.
pub(crate) fn entries_of_others(live: &Value) -> impl Iterator<Item = &Value> {
    entries(live).filter(|entry| !is_our_entry(entry))
}

fn entries(live: &Value) -> impl Iterator<Item = &Value> {
    live["metadata"]["managedFields"].as_array().into_iter().flatten()
}

pub(crate) fn is_our_entry(entry: &Value) -> bool {
    entry["manager"] == MANAGER && entry["operation"] == "Apply" && entry["subresource"].is_null()
}

/// Returns whether a node of a field set has no children; the manager then owns the field as a whole.
pub(crate) fn is_leaf(node: &Value) -> bool {
    node.as_object().is_some_and(Map::is_empty)
}

fn our_fields<'a>(manifest: &Value, live: &'a Value) -> Option<&'a Value> {
    our_entries(live)
        .find(|entry| entry["apiVersion"] == manifest["apiVersion"])
        .map(|entry| &entry["fieldsV1"])
}

/// Removes the identity fields, which no field set contains.
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
            let is_main_resource = |entry: &Value| entry["subresource"].is_null();
            if let Some(entries) = entries {
                entries.retain(is_main_resource);
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

fn same(desired: &Value, live: &Value, fields: &Value) -> bool {
    let Some(children) = fields.as_object().filter(|children| !children.is_empty()) else {
        return desired == live;
    };
    let names: Vec<&String> = children.keys().filter(|key| *key != ".").collect();
    match (desired, live) {
        (Value::Object(desired), Value::Object(live)) if names.iter().all(|name| name.starts_with("f:")) => {
            same_map(desired, live, children)
        }
        (Value::Array(desired), Value::Array(live)) if names.iter().all(|name| name.starts_with("k:")) => {
            same_keyed_list(desired, live, children)
        }
        (Value::Array(desired), Value::Array(_)) if names.iter().all(|name| name.starts_with("v:")) => {
            same_set(desired, &names)
        }
        _ => false,
    }
}

fn same_map(desired: &Map<String, Value>, live: &Map<String, Value>, children: &Map<String, Value>) -> bool {
    let owned = children.iter().filter_map(|(name, child)| Some((name.strip_prefix("f:")?, child)));
    desired.len() == owned.clone().count()
        && owned.into_iter().all(|(name, child)| {
            matches!((desired.get(name), live.get(name)), (Some(desired), Some(live)) if same(desired, live, child))
        })
}

fn same_keyed_list(desired: &[Value], live: &[Value], children: &Map<String, Value>) -> bool {
    let owned = children.iter().filter_map(|(name, child)| Some((name.strip_prefix("k:")?, child)));
    desired.len() == owned.clone().count()
        && owned.into_iter().all(|(key, child)| {
            let Ok(Value::Object(key)) = serde_json::from_str(key) else { return false };
            let has_key = |item: &&Value| key.iter().all(|(name, value)| item.get(name) == Some(value));
            let pair = (desired.iter().find(has_key), live.iter().find(has_key));
            matches!(pair, (Some(desired), Some(live)) if same(desired, live, child))
        })
}

fn same_set(desired: &[Value], names: &[&String]) -> bool {
    let owned: Vec<Value> =
        names.iter().filter_map(|name| serde_json::from_str(name.strip_prefix("v:")?).ok()).collect();
    desired.len() == owned.len() && desired.iter().all(|item| owned.contains(item))
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
    fn defaults_and_other_managers_fields_are_ignored() {
        assert!(is_unchanged(&manifest(), &live()));
    }

    #[test]
    fn is_unchanged_detects_every_kind_of_difference() {
        let changes = [
            ("/metadata/labels", json!({ "app": "b" })),
            ("/metadata/labels", json!({ "app": "a", "new": "b" })),
            ("/spec/ports", json!([])),
            ("/spec/ports/0/name", json!("web")),
            ("/spec/ports/0/port", json!(81)),
            ("/spec/selector", json!({ "app": "a", "b": "c" })),
            ("/apiVersion", json!("v2")),
        ];
        for (pointer, value) in changes {
            let mut manifest = manifest();
            *manifest.pointer_mut(pointer).unwrap() = value;
            assert!(!is_unchanged(&manifest, &live()), "{pointer}");
        }
    }

    #[test]
    fn drifted_terminating_or_foreign_object_is_changed() {
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
    fn applied_manifest_has_our_fields_and_no_others() {
        let applied = applied_manifest(&live()).unwrap();
        assert!(is_unchanged(&applied, &live()), "{applied}");
        let without_uid = |mut manifest: Value| {
            manifest["metadata"].as_object_mut().unwrap().remove("uid");
            manifest
        };
        assert_eq!(without_uid(applied), without_uid(manifest()));
        let mut foreign = live();
        foreign["metadata"]["managedFields"][0]["manager"] = json!("helm");
        assert_eq!(applied_manifest(&foreign), None);
    }

    #[test]
    fn status_write_is_not_a_change() {
        let mut after = live();
        after["status"] = json!({ "loadBalancer": {} });
        after["metadata"]["resourceVersion"] = json!("9");
        after["metadata"]["managedFields"][2]["time"] = json!("later");
        assert!(is_same_but_for_status(&live(), &after));
        after["spec"]["selector"] = json!({});
        assert!(!is_same_but_for_status(&live(), &after));
    }
}
