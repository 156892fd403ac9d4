//! Server-side apply and merge patches of stored objects. A list is one field, and a field has one manager, so there are
//! no conflicts.

use serde_json::{Map, Value, json};

/// Fields that identify an object or that only the server sets.
const OF_SERVER: &[&str] =
    &["name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp", "managedFields"];

/// Returns the object after this manager has applied the manifest.
pub(super) fn applied(live: Option<&Value>, manifest: &Value, manager: &str) -> Value {
    let mut desired = manifest.clone();
    if let Some(metadata) = desired["metadata"].as_object_mut() {
        metadata.retain(|name, _| !OF_SERVER.contains(&name.as_str()) || name == "name");
    }
    remove_nulls(&mut desired);
    let mut fields = fields_of(&desired);
    for name in ["f:apiVersion", "f:kind"] {
        fields.as_object_mut().unwrap().remove(name);
    }
    if let Some(metadata) = fields["f:metadata"].as_object_mut() {
        metadata.remove("f:name");
    }
    let mut object = live.cloned().unwrap_or_else(|| json!({}));
    let mut entries = match object["metadata"]["managedFields"].take() {
        Value::Array(entries) => entries,
        _ => Vec::new(),
    };
    let is_own = |entry: &Value| entry["manager"] == manager && entry["operation"] == "Apply";
    if let Some(entry) = entries.iter().find(|entry| is_own(entry)) {
        remove_left_out(&mut object, &entry["fieldsV1"], &fields);
    }
    merge(&mut object, &desired);
    let entry = json!({
        "manager": manager, "operation": "Apply", "apiVersion": manifest["apiVersion"],
        "fieldsType": "FieldsV1", "fieldsV1": fields,
    });
    match entries.iter_mut().find(|entry| is_own(entry)) {
        Some(own) => *own = entry,
        None => entries.push(entry),
    }
    object["metadata"]["managedFields"] = Value::Array(entries);
    object
}

/// Changes an object by a JSON merge patch (RFC 7396).
pub(super) fn patch(object: &mut Value, patch: &Value) {
    let Value::Object(fields) = patch else {
        *object = patch.clone();
        return;
    };
    if !object.is_object() {
        *object = json!({});
    }
    let Value::Object(object) = object else { return };
    for (name, value) in fields {
        if value.is_null() {
            object.remove(name);
        } else {
            self::patch(object.entry(name.clone()).or_insert(Value::Null), value);
        }
    }
}

fn remove_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(remove_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(remove_nulls),
        _ => {}
    }
}

/// Returns the set of an object's fields in the form of `fieldsV1`.
fn fields_of(value: &Value) -> Value {
    let children = value.as_object().into_iter().flatten();
    let fields: Map<String, Value> =
        children.map(|(name, value)| (format!("f:{name}"), fields_of(value))).collect();
    Value::Object(fields)
}

/// Removes the fields of an earlier apply that a later one leaves out.
fn remove_left_out(object: &mut Value, earlier: &Value, later: &Value) {
    let Value::Object(object) = object else { return };
    for (field, children) in earlier.as_object().into_iter().flatten() {
        let name = field.trim_start_matches("f:");
        match later.get(field) {
            None => {
                object.remove(name);
            }
            Some(later) => {
                if let Some(value) = object.get_mut(name) {
                    remove_left_out(value, children, later);
                }
            }
        }
    }
}

fn merge(object: &mut Value, desired: &Value) {
    match (object, desired) {
        (Value::Object(object), Value::Object(desired)) => {
            for (name, value) in desired {
                merge(object.entry(name.clone()).or_insert(Value::Null), value);
            }
        }
        (object, desired) => *object = desired.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::labels::MANAGER;
    use crate::object::managed_fields;

    fn manifest(data: &Value) -> Value {
        let metadata = json!({ "name": "a", "uid": "u", "labels": { "app": "a" } });
        json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data })
    }

    #[test]
    fn apply_removes_own_fields_and_keeps_those_of_others() {
        let mut live = applied(None, &manifest(&json!({ "a": "1", "b": "2" })), MANAGER);
        live["data"]["theirs"] = json!("3");
        assert!(managed_fields::is_unchanged(&manifest(&json!({ "a": "1", "b": "2" })), &live));
        let changed = manifest(&json!({ "a": "4" }));
        assert!(!managed_fields::is_unchanged(&changed, &live));
        let live = applied(Some(&live), &changed, MANAGER);
        assert_eq!(live["data"], json!({ "a": "4", "theirs": "3" }));
        assert!(managed_fields::is_unchanged(&changed, &live));
    }

    #[test]
    fn merge_patch_replaces_and_removes_fields() {
        let mut object = json!({ "a": { "b": 1, "c": 2 } });
        patch(&mut object, &json!({ "a": { "b": null, "d": 3 } }));
        assert_eq!(object, json!({ "a": { "c": 2, "d": 3 } }));
    }
}
