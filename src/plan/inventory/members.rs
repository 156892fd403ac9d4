//! The set's live members.

use std::collections::HashMap;

use serde_json::Value;

use super::apply_set::{ApplySet, PART_OF};
use crate::object::ObjectId;
use crate::object::managed_fields::owns_label;

/// The set's live members by identity.
pub type Members = HashMap<ObjectId, Value>;

/// Returns whether a live object is a member: it has the set's label, our apply entry owns that label, and the object
/// has no owner reference. Controllers copy labels to dependents, for example from a Service to its endpoint slices.
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
    fn member_has_our_label_entry_and_no_owner() {
        let set = ApplySet { name: "a".into(), namespace: "n".into(), ..ApplySet::default() };
        let mut member = json!({ "metadata": {
            "labels": { PART_OF: set.id() },
            "managedFields": [{ "manager": MANAGER, "operation": "Apply", "apiVersion": "v1",
                "fieldsV1": { "f:metadata": { "f:labels": {} } } }],
        } });
        assert!(!is_member(&member, &set), "another manager set the label");
        let fields = &mut member["metadata"]["managedFields"][0]["fieldsV1"]["f:metadata"]["f:labels"];
        fields[format!("f:{PART_OF}")] = json!({});
        assert!(is_member(&member, &set));
        member["metadata"]["ownerReferences"] = json!([{ "kind": "Service" }]);
        assert!(!is_member(&member, &set), "a controller owns it");
    }
}
