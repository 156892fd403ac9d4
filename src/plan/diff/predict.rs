//! What server-side apply would make of an object, as far as that can be told without the server: for what may not be
//! asked, or is refused. Defaults and admission are not in it.

use serde_json::{Map, Value};

use super::field_owners::Owners;
use super::list_keys;
use super::pointer::PointerStep;

/// The live object with what the manifest says, and without what only our last apply said. `name` is the field's
/// own, None at the root.
pub(super) fn predicted(name: Option<&str>, wanted: &Value, live: &Value, owners: &Owners<'_>) -> Value {
    match (wanted, live) {
        (Value::Object(wanted), Value::Object(live)) if !owners.is_whole() => map(wanted, live, owners),
        (Value::Array(wanted), Value::Array(live)) => {
            match list_keys::keys_of(name, [wanted, live], owners) {
                Some(keys) => list(wanted, live, &keys, owners),
                None => Value::Array(wanted.clone()),
            }
        }
        _ => wanted.clone(),
    }
}

fn map(wanted: &Map<String, Value>, live: &Map<String, Value>, owners: &Owners<'_>) -> Value {
    let mut merged = wanted.clone();
    for (key, live) in live {
        let owners = owners.at(&PointerStep::Key(key.clone()));
        let value = match wanted.get(key) {
            Some(wanted) => Some(predicted(Some(key), wanted, live, &owners)),
            None => without_ours(live, &owners),
        };
        if let Some(value) = value {
            merged.insert(key.clone(), value);
        }
    }
    Value::Object(merged)
}

fn list(wanted: &[Value], live: &[Value], keys: &[String], owners: &Owners<'_>) -> Value {
    let mut merged = Vec::with_capacity(wanted.len());
    for item in wanted {
        let there =
            list_keys::key_of(item, keys).and_then(|key| Some((list_keys::item(live, keys, &key)?, key)));
        merged.push(match there {
            Some((there, key)) => predicted(None, item, there, &owners.at(&PointerStep::Item(key))),
            None => item.clone(),
        });
    }
    for there in live {
        let Some(key) = list_keys::key_of(there, keys) else { continue };
        if list_keys::item(wanted, keys, &key).is_none() {
            merged.extend(without_ours(there, &owners.at(&PointerStep::Item(key))));
        }
    }
    Value::Array(merged)
}

/// What is left when we no longer ask for it: what somebody else set, or nobody.
fn without_ours(live: &Value, owners: &Owners<'_>) -> Option<Value> {
    if !owners.ours() {
        return Some(live.clone());
    }
    match live {
        _ if owners.other().is_none() => None,
        Value::Object(live) if !owners.is_whole() => {
            let left: Map<String, Value> = live
                .iter()
                .filter_map(|(key, value)| {
                    let owners = owners.at(&PointerStep::Key(key.clone()));
                    Some((key.clone(), without_ours(value, &owners)?))
                })
                .collect();
            Some(Value::Object(left))
        }
        _ => Some(live.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_only_we_set_goes_and_what_others_set_stays() {
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
        let wanted = json!({
            "metadata": { "labels": { "ours": "2" } },
            "spec": { "selector": { "a": "1" }, "ports": [{ "port": 3 }, { "port": 1, "name": "http" }] },
        });
        let after = predicted(None, &wanted, &live, &Owners::of(&live));
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
