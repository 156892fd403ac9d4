//! Members of a set that are in the cluster.

use std::collections::HashMap;

use serde_json::Value;

use super::apply_set::{ApplySet, PART_OF};
use crate::object::ObjectId;
use crate::object::managed_fields::owns_label;

/// Members that are in the cluster.
pub type Members = HashMap<ObjectId, Value>;

/// Whether a live object is a member: it carries the set's label, we put it there, and nobody made it for an object
/// of theirs (a Service's labels are copied to its endpoint slices).
#[must_use]
pub fn is_member(object: &Value, set: &ApplySet) -> bool {
    let metadata = &object["metadata"];
    metadata["labels"][PART_OF] == set.id()
        && owns_label(object, PART_OF)
        && metadata["ownerReferences"].as_array().is_none_or(Vec::is_empty)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::labels::MANAGER;
    use serde_json::json;

    #[test]
    fn a_member_carries_our_label_by_our_hand_and_has_no_owner() {
        let set = ApplySet { name: "a".into(), namespace: "n".into(), ..ApplySet::default() };
        let mut member = json!({ "metadata": {
            "labels": { PART_OF: set.id() },
            "managedFields": [{ "manager": MANAGER, "operation": "Apply", "apiVersion": "v1",
                "fieldsV1": { "f:metadata": { "f:labels": {} } } }],
        } });
        assert!(!is_member(&member, &set), "a copy");
        let fields = &mut member["metadata"]["managedFields"][0]["fieldsV1"]["f:metadata"]["f:labels"];
        fields[format!("f:{PART_OF}")] = json!({});
        assert!(is_member(&member, &set));
        member["metadata"]["ownerReferences"] = json!([{ "kind": "Service" }]);
        assert!(!is_member(&member, &set), "an object that a controller made");
    }
}
