//! Which configuration somebody refers to by name. Pure.

use std::collections::BTreeSet;

use serde_json::Value;

/// Every string in this object, the names of referenced configuration among them. A name that carries its
/// content's hash is met by chance nowhere else, so no list of the fields that may hold one is needed.
pub fn collect_strings(object: &Value, into: &mut BTreeSet<String>) {
    match object {
        Value::String(text) => {
            into.insert(text.clone());
        }
        Value::Array(items) => items.iter().for_each(|item| collect_strings(item, into)),
        Value::Object(map) => map.values().for_each(|value| collect_strings(value, into)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Which of these names stand somewhere in the object, as whole strings.
pub fn find_names(object: &Value, names: &BTreeSet<&str>, found: &mut BTreeSet<String>) {
    match object {
        Value::String(text) => {
            if names.contains(text.as_str()) {
                found.insert(text.clone());
            }
        }
        Value::Array(items) => items.iter().for_each(|item| find_names(item, names, found)),
        Value::Object(map) => map.values().for_each(|value| find_names(value, names, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_are_found_wherever_they_stand() {
        let pod = json!({ "spec": {
            "volumes": [{ "configMap": { "name": "oh-config-1" } }],
            "containers": [{ "env": [{ "valueFrom": { "secretKeyRef": { "name": "oh-env-2" } } }] }],
        } });
        let mut found = BTreeSet::new();
        collect_strings(&pod, &mut found);
        assert!(found.contains("oh-config-1") && found.contains("oh-env-2"));
    }
}
