//! Names the handsctl set that a foreign object belongs to. Pure.

use serde_json::Value;

use crate::object::labels::INSTANCE;
use crate::object::managed_fields::owns_label;
use crate::plan::inventory::apply_set::{ApplySet, PART_OF};

/// Describes the handsctl set that an object is a member of; `None` if it belongs to no set. The object's label is only
/// a hash of the set's name and home namespace, so the home is known only if it is the object's own namespace or among
/// these `namespaces`.
#[must_use]
pub fn other_set(live: &Value, namespaces: &[String]) -> Option<String> {
    let id = live["metadata"]["labels"][PART_OF].as_str().filter(|_| owns_label(live, PART_OF))?;
    let Some(name) = live["metadata"]["labels"][INSTANCE].as_str() else {
        return Some("another handsctl installation".to_owned());
    };
    let namespace = live["metadata"]["namespace"].as_str().unwrap_or_default();
    let is_home = |namespace: &&str| {
        let set =
            ApplySet { name: name.to_owned(), namespace: (*namespace).to_owned(), ..ApplySet::default() };
        set.id() == id
    };
    let home = std::iter::once(namespace).chain(namespaces.iter().map(String::as_str)).find(is_home);
    let home = home.map_or_else(|| "another namespace".to_owned(), |home| format!("namespace {home}"));
    Some(format!("the handsctl installation {name} of {home}"))
}

/// Returns whether only the names of the cluster's namespaces tell the home of the set that the object belongs to.
#[must_use]
pub fn has_hidden_home(live: &Value) -> bool {
    other_set(live, &[]).is_some_and(|set| set.ends_with(" of another namespace"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn member_of(set: &ApplySet) -> Value {
        json!({ "metadata": {
            "namespace": "n", "labels": { INSTANCE: set.name, PART_OF: set.id() },
            "managedFields": [{ "manager": "handsctl", "operation": "Apply", "fieldsV1": {
                "f:metadata": { "f:labels": { format!("f:{PART_OF}"): {} } },
            } }],
        } })
    }

    #[test]
    fn owner_is_named_with_its_home() {
        let set = |name: &str, namespace: &str| ApplySet {
            name: name.into(),
            namespace: namespace.into(),
            ..ApplySet::default()
        };
        let owner = |set: &ApplySet| other_set(&member_of(set), &[]);
        assert_eq!(owner(&set("oh", "n")).as_deref(), Some("the handsctl installation oh of namespace n"));
        assert_eq!(
            owner(&set("oh", "m")).as_deref(),
            Some("the handsctl installation oh of another namespace")
        );
        let namespaces = ["k".to_owned(), "m".to_owned()];
        let foreign = member_of(&set("oh", "m"));
        assert_eq!(
            other_set(&foreign, &namespaces).as_deref(),
            Some("the handsctl installation oh of namespace m")
        );
        assert!(has_hidden_home(&foreign) && !has_hidden_home(&member_of(&set("oh", "n"))));
        let mut extra = member_of(&set("oh", "n"));
        extra["metadata"]["labels"].as_object_mut().unwrap().remove(INSTANCE);
        assert_eq!(other_set(&extra, &[]).as_deref(), Some("another handsctl installation"));
        let mut copied = member_of(&set("oh", "n"));
        copied["metadata"]["managedFields"] = json!([]);
        assert_eq!(other_set(&copied, &[]), None, "a copy of the label is no membership");
    }
}
