//! Lists whose items are told apart by a key (`x-kubernetes-list-map-keys` of the API's schema).

use serde_json::{Map, Value};

use super::field_owners::Owners;

/// The keys of the lists that are met in the objects of a set, by the list's name. An item of a Service's `ports` has
/// no `containerPort`, so the first that fits is the one.
const KNOWN: &[(&str, &[&str])] = &[
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

/// The keys of this list; None where it is one value, or where two items would have the same key.
pub(super) fn keys_of(name: Option<&str>, lists: [&[Value]; 2], owners: &Owners<'_>) -> Option<Vec<String>> {
    if owners.is_whole() {
        return None;
    }
    let known = KNOWN.iter().filter(|(list, _)| Some(*list) == name);
    let known = known.map(|(_, keys)| keys.iter().map(|key| (*key).to_owned()).collect());
    owners.keys().into_iter().chain(known).find(|keys| lists.iter().all(|list| tell_apart(list, keys)))
}

fn tell_apart(list: &[Value], keys: &[String]) -> bool {
    let items: Option<Vec<_>> = list.iter().map(|item| key_of(item, keys)).collect();
    items.is_some_and(|items| items.iter().enumerate().all(|(at, item)| !items[..at].contains(item)))
}

/// The key of an item; None where it has none. The API server fills in `protocol` where it is left out.
pub(super) fn key_of(item: &Value, keys: &[String]) -> Option<Map<String, Value>> {
    let of = |key: &String| match item.get(key) {
        Some(value) => Some((key.clone(), value.clone())),
        None if key == "protocol" => Some((key.clone(), Value::from("TCP"))),
        None => None,
    };
    item.is_object().then(|| keys.iter().map(of).collect::<Option<_>>())?
}

/// The item with this key.
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
    fn known_lists_have_keys_and_others_are_one_value() {
        assert_eq!(keys("env", &json!([{ "name": "A" }])), Some(vec!["name".to_owned()]));
        assert_eq!(keys("ports", &json!([{ "port": 80 }])).unwrap()[0], "port");
        assert_eq!(keys("ports", &json!([{ "containerPort": 80 }])).unwrap()[0], "containerPort");
        assert_eq!(keys("args", &json!(["a"])), None);
        assert_eq!(keys("rules", &json!([{ "host": "a" }])), None);
    }

    #[test]
    fn items_that_cannot_be_told_apart_make_it_one_value() {
        assert_eq!(keys("env", &json!([{ "name": "A" }, { "name": "A" }])), None);
        assert_eq!(keys("env", &json!([{ "value": "A" }])), None);
    }

    #[test]
    fn a_protocol_that_is_left_out_is_tcp() {
        let (with, without) = (json!({ "port": 1, "protocol": "TCP" }), json!({ "port": 1 }));
        let keys = ["port".to_owned(), "protocol".to_owned()];
        assert_eq!(key_of(&with, &keys), key_of(&without, &keys));
    }
}
