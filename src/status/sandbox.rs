//! Sandbox pods that have ended.

use serde_json::Value;

/// The prefix of the names of all objects of a conversation (`openhands/runtime/impl/kubernetes/kubernetes_runtime.py`).
pub const NAME_PREFIX: &str = "openhands-runtime-";

/// Returns whether a pod is a sandbox that has ended, as every sandbox does when its node stops: its restart policy is
/// `Never`. The application finds a sandbox by its name and waits for it, so an ended pod blocks its conversation until
/// someone deletes it. The conversation's files are in its claim, which the next pod mounts.
#[must_use]
pub fn is_ended(pod: &Value) -> bool {
    let is_sandbox =
        pod["metadata"]["name"].as_str().is_some_and(|name| name.starts_with(NAME_PREFIX));
    is_sandbox && matches!(pod["status"]["phase"].as_str(), Some("Failed" | "Succeeded"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_sandboxes_that_ended_are_found() {
        let pod = |name: &str, phase: &str| json!({ "metadata": { "name": name }, "status": { "phase": phase } });
        assert!(is_ended(&pod("openhands-runtime-1", "Failed")));
        assert!(is_ended(&pod("openhands-runtime-1", "Succeeded")));
        for alive in ["Pending", "Running", "Unknown"] {
            assert!(!is_ended(&pod("openhands-runtime-1", alive)), "{alive}");
        }
        assert!(!is_ended(&pod("openhands-5f9", "Failed")));
        assert!(!is_ended(&json!({})));
    }
}
