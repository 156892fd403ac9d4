//! Finds and replaces the strings of an object, which include the names of ConfigMaps and Secrets that it refers to. Pure.

use std::collections::BTreeSet;

use serde_json::Value;

/// Collects every string in an object, which includes the names of referenced ConfigMaps and Secrets. Those names end
/// in a hash of the content, so no other string equals one by chance, and no list of reference fields is needed.
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

/// Returns the value with each of its strings changed.
#[must_use]
pub fn map_strings(value: &Value, change: &impl Fn(&str) -> String) -> Value {
    match value {
        Value::String(text) => Value::String(change(text)),
        Value::Array(items) => items.iter().map(|item| map_strings(item, change)).collect(),
        Value::Object(map) => {
            Value::Object(map.iter().map(|(key, value)| (key.clone(), map_strings(value, change))).collect())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

/// Collects those of `names` that occur in an object as whole strings.
pub fn find_names(object: &Value, names: &BTreeSet<&str>, into: &mut BTreeSet<String>) {
    match object {
        Value::String(text) => {
            if names.contains(text.as_str()) {
                into.insert(text.clone());
            }
        }
        Value::Array(items) => items.iter().for_each(|item| find_names(item, names, into)),
        Value::Object(map) => map.values().for_each(|value| find_names(value, names, into)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn collect_strings_finds_names_at_any_depth() {
        let pod = json!({ "spec": {
            "volumes": [{ "configMap": { "name": "oh-config-1" } }],
            "containers": [{ "env": [{ "valueFrom": { "secretKeyRef": { "name": "oh-env-2" } } }] }],
        } });
        let mut strings = BTreeSet::new();
        collect_strings(&pod, &mut strings);
        assert!(strings.contains("oh-config-1") && strings.contains("oh-env-2"));
    }
}
