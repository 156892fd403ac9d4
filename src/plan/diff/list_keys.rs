//! Lists whose items are identified by keys (`x-kubernetes-list-map-keys` in the API's schema).

use serde_json::{Map, Value};

use super::field_owners::Owners;

/// The keys of the lists that occur in a set's objects, by the list's name. The first entry whose keys all items have
/// applies: an item of a Service's `ports` has no `containerPort`.
const LIST_KEYS: &[(&str, &[&str])] = &[
    ("containers", &["name"]),
    ("initContainers", &["name"]),
    ("ephemeralContainers", &["name"]),
    ("env", &["name"]),
    ("volumes", &["name"]),
    ("imagePullSecrets", &["name"]),
    ("volumeMounts", &["mountPath"]),
    ("volumeDevices", &["devicePath"]),
    ("ports", &["containerPort", "protocol"]),
    ("ports", &["port", "protocol"]),
    ("hostAliases", &["ip"]),
    ("topologySpreadConstraints", &["topologyKey", "whenUnsatisfiable"]),
    ("conditions", &["type"]),
    ("ownerReferences", &["uid"]),
];

/// Returns the keys of a list; `None` if the list is atomic, or if two items have the same keys.
pub(super) fn keys_of(name: Option<&str>, lists: [&[Value]; 2], owners: &Owners<'_>) -> Option<Vec<String>> {
    if owners.is_whole() {
        return None;
    }
    let built_in = LIST_KEYS.iter().filter(|(list, _)| Some(*list) == name);
    let built_in = built_in.map(|(_, keys)| keys.iter().map(|key| (*key).to_owned()).collect());
    owners.keys().into_iter().chain(built_in).find(|keys| lists.iter().all(|list| are_unique(list, keys)))
}

fn are_unique(list: &[Value], keys: &[String]) -> bool {
    let items: Option<Vec<_>> = list.iter().map(|item| key_of(item, keys)).collect();
    items.is_some_and(|items| items.iter().enumerate().all(|(at, item)| !items[..at].contains(item)))
}

/// Returns the keys of an item; `None` if it lacks one. A missing `protocol` gets the API server's default.
pub(super) fn key_of(item: &Value, keys: &[String]) -> Option<Map<String, Value>> {
    let entry = |key: &String| match item.get(key) {
        Some(value) => Some((key.clone(), value.clone())),
        None if key == "protocol" => Some((key.clone(), Value::from("TCP"))),
        None => None,
    };
    item.is_object().then(|| keys.iter().map(entry).collect::<Option<_>>())?
}

/// Finds the item with these keys.
pub(super) fn item<'a>(list: &'a [Value], keys: &[String], key: &Map<String, Value>) -> Option<&'a Value> {
    list.iter().find(|item| key_of(item, keys).as_ref() == Some(key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn keys(name: &str, list: &Value) -> Option<Vec<String>> {
        keys_of(Some(name), [list.as_array().unwrap(), &[]], &Owners::none())
    }

    #[test]
    fn built_in_lists_have_keys_and_others_are_atomic() {
        assert_eq!(keys("env", &json!([{ "name": "A" }])), Some(vec!["name".to_owned()]));
        assert_eq!(keys("ports", &json!([{ "port": 80 }])).unwrap()[0], "port");
        assert_eq!(keys("ports", &json!([{ "containerPort": 80 }])).unwrap()[0], "containerPort");
        assert_eq!(keys("args", &json!(["a"])), None);
        assert_eq!(keys("rules", &json!([{ "host": "a" }])), None);
    }

    #[test]
    fn list_with_equal_or_missing_keys_is_atomic() {
        assert_eq!(keys("env", &json!([{ "name": "A" }, { "name": "A" }])), None);
        assert_eq!(keys("env", &json!([{ "value": "A" }])), None);
    }

    #[test]
    fn missing_protocol_defaults_to_tcp() {
        let (with, without) = (json!({ "port": 1, "protocol": "TCP" }), json!({ "port": 1 }));
        let keys = ["port".to_owned(), "protocol".to_owned()];
        assert_eq!(key_of(&with, &keys), key_of(&without, &keys));
    }
}
