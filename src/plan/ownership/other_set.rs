//! Names the handsctl set that a foreign object belongs to. Pure.

use serde_json::Value;

use crate::object::labels::INSTANCE;
use crate::object::managed_fields::owns_label;
use crate::plan::inventory::apply_set::{ApplySet, PART_OF};

/// Describes the handsctl set that an object is a member of; `None` if it belongs to no set. The object's label is only
/// a hash of the set's name and home namespace, so the home is known only if it is the object's own namespace.
#[must_use]
pub fn other_set(live: &Value) -> Option<String> {
    let id = live["metadata"]["labels"][PART_OF].as_str().filter(|_| owns_label(live, PART_OF))?;
    let Some(name) = live["metadata"]["labels"][INSTANCE].as_str() else {
        return Some("another handsctl set".to_owned());
    };
    let namespace = live["metadata"]["namespace"].as_str().unwrap_or_default();
    let local = ApplySet { name: name.to_owned(), namespace: namespace.to_owned(), ..ApplySet::default() };
    let home =
        if local.id() == id { format!("namespace {namespace}") } else { "another namespace".to_owned() };
    Some(format!("the handsctl set {name} of {home}"))
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
        let owner = |set: &ApplySet| other_set(&member_of(set));
        assert_eq!(owner(&set("oh", "n")).as_deref(), Some("the handsctl set oh of namespace n"));
        assert_eq!(owner(&set("oh", "m")).as_deref(), Some("the handsctl set oh of another namespace"));
        let mut extra = member_of(&set("oh", "n"));
        extra["metadata"]["labels"].as_object_mut().unwrap().remove(INSTANCE);
        assert_eq!(other_set(&extra).as_deref(), Some("another handsctl set"));
        let mut copied = member_of(&set("oh", "n"));
        copied["metadata"]["managedFields"] = json!([]);
        assert_eq!(other_set(&copied), None, "a copy of the label is no membership");
    }
}
