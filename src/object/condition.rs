//! The condition `Ready` of pods and nodes. Pure.

use k8s_openapi::api::core::v1::{Pod, PodCondition};
use serde_json::Value;

/// Returns the condition `Ready` of an object.
#[must_use]
pub fn ready(object: &Value) -> Option<&Value> {
    object["status"]["conditions"].as_array()?.iter().find(|condition| condition["type"] == "Ready")
}

/// Whether the condition `Ready` is true.
#[must_use]
pub fn is_ready(object: &Value) -> bool {
    ready(object).is_some_and(|condition| condition["status"] == "True")
}

/// Returns the condition `Ready` of a pod; None if it is not true.
#[must_use]
pub fn ready_pod(pod: &Pod) -> Option<&PodCondition> {
    let mut conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.find(|condition| condition.type_ == "Ready" && condition.status == "True")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn object_without_the_condition_is_not_ready() {
        let object = |status: &str| json!({ "status": { "conditions": [{ "type": "A" }, { "type": "Ready", "status": status }] } });
        assert!(is_ready(&object("True")) && !is_ready(&object("False")) && !is_ready(&object("Unknown")));
        assert!(!is_ready(&json!({})) && ready(&json!({})).is_none());
    }
}
