//! Objects that are being deleted: since when, and what holds them.

use serde_json::Value;

use super::finalizer::{Finalizer, finalizers};

/// Returns since when an object is being deleted; None if it is not.
#[must_use]
pub fn deleted_since(object: &Value) -> Option<&str> {
    object["metadata"]["deletionTimestamp"].as_str()
}

/// Returns why a deleted object still exists: what a namespace still contains, a finalizer and its manager, or a
/// terminating pod.
#[must_use]
pub fn blocker(object: &Value) -> String {
    let remaining = namespace_blockers(object);
    if !remaining.is_empty() {
        return remaining.join("; ");
    }
    match finalizers(object).next() {
        None => "is terminating".to_owned(),
        Some(Finalizer { name, manager: Some(manager) }) => {
            format!("waits for finalizer \"{name}\", set by manager \"{manager}\"")
        }
        Some(Finalizer { name, manager: None }) => format!("waits for finalizer \"{name}\""),
    }
}

/// Returns what keeps a namespace from being gone, as the namespace controller reports it in the conditions.
#[must_use]
pub fn namespace_blockers(namespace: &Value) -> Vec<&str> {
    let conditions = namespace["status"]["conditions"].as_array();
    let is_of_namespace =
        |condition: &&Value| condition["type"].as_str().is_some_and(|name| name.starts_with("Namespace"));
    let holding = conditions.into_iter().flatten().filter(is_of_namespace);
    let holding = holding.filter(|condition| condition["status"] == "True");
    holding.filter_map(|condition| condition["message"].as_str()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn deletion_blocker_names_finalizer_and_its_manager() {
        let object = json!({ "metadata": {
            "finalizers": ["foregroundDeletion", "example.io/hold"],
            "managedFields": [{ "manager": "other", "fieldsV1": { "f:metadata": { "f:finalizers": {
                ".": {}, "v:\"example.io/hold\"": {} } } } }],
        } });
        assert_eq!(blocker(&object), "waits for finalizer \"example.io/hold\", set by manager \"other\"");
        assert_eq!(blocker(&json!({})), "is terminating");
    }

    #[test]
    fn terminating_namespace_quotes_its_conditions() {
        let condition = |name: &str, status: &str, message: &str| json!({ "type": name, "status": status, "message": message });
        let namespace = json!({ "spec": { "finalizers": ["kubernetes"] }, "status": { "phase": "Terminating", "conditions": [
            condition("NamespaceDeletionDiscoveryFailure", "True", "Discovery failed for some groups, 1 failing"),
            condition("NamespaceDeletionContentFailure", "False", "All content successfully deleted"),
            condition("NamespaceFinalizersRemaining", "True", "x.example/hold in 1 resource instances"),
        ] } });
        assert_eq!(
            blocker(&namespace),
            "Discovery failed for some groups, 1 failing; x.example/hold in 1 resource instances"
        );
        let deployment =
            json!({ "status": { "conditions": [condition("Available", "True", "has availability")] } });
        assert_eq!(
            blocker(&deployment),
            "is terminating",
            "only a namespace's conditions explain a deletion"
        );
    }
}
