//! Objects that are being deleted: since when, and what holds them.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;

use super::list_items::items;

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
    let finalizers = object["metadata"]["finalizers"].as_array();
    let finalizer =
        finalizers.into_iter().flatten().filter_map(Value::as_str).find(|name| *name != "foregroundDeletion");
    let Some(finalizer) = finalizer else { return "is terminating".to_owned() };
    match finalizer_manager(object, finalizer) {
        Some(manager) => format!("waits for finalizer \"{finalizer}\", set by manager \"{manager}\""),
        None => format!("waits for finalizer \"{finalizer}\""),
    }
}

/// Returns the manager that set a finalizer of an object.
#[must_use]
pub fn finalizer_manager<'a>(object: &'a Value, finalizer: &str) -> Option<&'a str> {
    let mut entries = items(&object["metadata"]["managedFields"]);
    entries.find(|entry| sets(&entry["fieldsV1"], finalizer))?["manager"].as_str()
}

/// Returns who set each finalizer of a watched object, as far as its managed fields tell.
#[must_use]
pub fn finalizer_managers(metadata: &ObjectMeta) -> Vec<String> {
    let manager = |finalizer: &String| {
        let mut entries = metadata.managed_fields.iter().flatten();
        let owner = entries
            .find(|entry| entry.fields_v1.as_ref().is_some_and(|fields| sets(&fields.0, finalizer)))?;
        Some(describe_manager(finalizer, owner.manager.as_deref()?))
    };
    metadata.finalizers.iter().flatten().filter_map(manager).collect()
}

/// Whether these fields of a manager have the finalizer.
fn sets(fields: &Value, finalizer: &str) -> bool {
    !fields["f:metadata"]["f:finalizers"][format!("v:\"{finalizer}\"")].is_null()
}

/// Formats who set a finalizer.
#[must_use]
pub fn describe_manager(finalizer: &str, manager: &str) -> String {
    format!("finalizer {finalizer} was set by manager {manager}")
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
