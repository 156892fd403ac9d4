//! Predicts the result of server-side apply, for cases in which the dry run is forbidden or rejected. Defaults and
//! admission are not predicted.

use serde_json::{Map, Value};

use super::field_owners::Owners;
use super::list_keys;
use super::pointer::PointerStep;

/// Merges the manifest into the live value, and removes the fields that only our last apply set. `name` is the field's
/// name; `None` for the root and for list items.
pub(super) fn predicted(name: Option<&str>, desired: &Value, live: &Value, owners: &Owners<'_>) -> Value {
    match (desired, live) {
        (Value::Object(desired), Value::Object(live)) if !owners.is_whole() => map(desired, live, owners),
        (Value::Array(desired), Value::Array(live)) => {
            match list_keys::keys_of(name, [desired, live], owners) {
                Some(keys) => list(desired, live, &keys, owners),
                None => Value::Array(desired.clone()),
            }
        }
        _ => desired.clone(),
    }
}

fn map(desired: &Map<String, Value>, live: &Map<String, Value>, owners: &Owners<'_>) -> Value {
    let mut merged = desired.clone();
    for (key, live) in live {
        let owners = owners.at(&PointerStep::Key(key.clone()));
        let value = match desired.get(key) {
            Some(desired) => Some(predicted(Some(key), desired, live, &owners)),
            None => without_ours(live, &owners),
        };
        if let Some(value) = value {
            merged.insert(key.clone(), value);
        }
    }
    Value::Object(merged)
}

fn list(desired: &[Value], live: &[Value], keys: &[String], owners: &Owners<'_>) -> Value {
    let mut merged = Vec::with_capacity(desired.len());
    for item in desired {
        let live_item =
            list_keys::key_of(item, keys).and_then(|key| Some((list_keys::item(live, keys, &key)?, key)));
        merged.push(match live_item {
            Some((live_item, key)) => predicted(None, item, live_item, &owners.at(&PointerStep::Item(key))),
            None => item.clone(),
        });
    }
    for live_item in live {
        let Some(key) = list_keys::key_of(live_item, keys) else { continue };
        if list_keys::item(desired, keys, &key).is_none() {
            merged.extend(without_ours(live_item, &owners.at(&PointerStep::Item(key))));
        }
    }
    Value::Array(merged)
}

/// Returns the part of a live value that remains if our manifest no longer has it: fields of other managers, and
/// defaults.
fn without_ours(live: &Value, owners: &Owners<'_>) -> Option<Value> {
    if !owners.ours() {
        return Some(live.clone());
    }
    match live {
        _ if owners.other().is_none() => None,
        Value::Object(live) if !owners.is_whole() => {
            let remaining: Map<String, Value> = live
                .iter()
                .filter_map(|(key, value)| {
                    let owners = owners.at(&PointerStep::Key(key.clone()));
                    Some((key.clone(), without_ours(value, &owners)?))
                })
                .collect();
            Some(Value::Object(remaining))
        }
        _ => Some(live.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn predicted_removes_only_our_fields() {
        let live = json!({
            "metadata": {
                "labels": { "ours": "1", "old": "1", "theirs": "1", "both": "1" },
                "managedFields": [
                    { "manager": "handsctl", "operation": "Apply", "fieldsV1": {
                        "f:metadata": { "f:labels": { "f:ours": {}, "f:old": {}, "f:both": {} } },
                        "f:spec": {
                            "f:selector": {},
                            "f:ports": { "k:{\"port\":1,\"protocol\":\"TCP\"}": { ".": {}, "f:port": {} } },
                        },
                    } },
                    { "manager": "else", "operation": "Update", "fieldsV1": {
                        "f:metadata": { "f:labels": { "f:theirs": {}, "f:both": {} } },
                        "f:spec": { "f:ports": { "k:{\"port\":2,\"protocol\":\"TCP\"}": { ".": {}, "f:port": {} } } },
                    } },
                ],
            },
            "spec": {
                "clusterIP": "10.0.0.1",
                "selector": { "a": "1", "b": "2" },
                "ports": [{ "port": 1, "protocol": "TCP", "targetPort": 1 }, { "port": 2, "protocol": "TCP" }],
            },
        });
        let desired = json!({
            "metadata": { "labels": { "ours": "2" } },
            "spec": { "selector": { "a": "1" }, "ports": [{ "port": 3 }, { "port": 1, "name": "http" }] },
        });
        let after = predicted(None, &desired, &live, &Owners::from_object(&live));
        assert_eq!(after["metadata"]["labels"], json!({ "ours": "2", "theirs": "1", "both": "1" }));
        assert_eq!(
            after["spec"],
            json!({
                "clusterIP": "10.0.0.1",
                "selector": { "a": "1" },
                "ports": [
                    { "port": 3 },
                    { "port": 1, "protocol": "TCP", "targetPort": 1, "name": "http" },
                    { "port": 2, "protocol": "TCP" },
                ],
            })
        );
    }
}
