//! The pod and the container in which a command runs, where nobody names them. Pure.

use serde_json::Value;

use super::{condition, labels};

/// The annotation with a pod's container for `kubectl exec` and `kubectl logs`
/// (<https://kubernetes.io/docs/reference/labels-annotations-taints/#kubectl-kubernetes-io-default-container>).
const DEFAULT_CONTAINER: &str = "kubectl.kubernetes.io/default-container";

/// Returns the pod of an installation that is most likely to serve: one of the application before those of extra manifests,
/// a ready one, one that runs, and of these the newest.
#[must_use]
pub fn serving_pod(pods: &[Value]) -> Option<&Value> {
    pods.iter().max_by_key(|pod| {
        let is_leaving = pod["metadata"]["deletionTimestamp"].is_string();
        (
            labels::is_of_application(pod),
            !is_leaving && condition::is_ready(pod),
            !is_leaving && has_running_container(pod),
            pod["metadata"]["creationTimestamp"].as_str().unwrap_or_default(),
        )
    })
}

/// Whether a container of the pod runs, so that a command can run in it.
#[must_use]
pub fn has_running_container(pod: &Value) -> bool {
    ["containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"]
        .into_iter()
        .flat_map(|list| pod["status"][list].as_array().into_iter().flatten())
        .any(|status| status["state"]["running"].is_object())
}

/// Returns the container that kubectl uses if none is named: that of the annotation, else the first one.
#[must_use]
pub fn default_container(pod: &Value) -> Option<&str> {
    let annotated =
        pod["metadata"]["annotations"][DEFAULT_CONTAINER].as_str().filter(|name| !name.is_empty());
    annotated.or_else(|| pod["spec"]["containers"][0]["name"].as_str())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(name: &str, created: &str, ready: &str) -> Value {
        json!({
            "metadata": {
                "name": name, "creationTimestamp": created, "labels": { "app.kubernetes.io/component": "app" },
            },
            "spec": { "containers": [{ "name": "openhands" }, { "name": "proxy" }] },
            "status": {
                "conditions": [{ "type": "Ready", "status": ready }],
                "containerStatuses": [{ "state": { "running": {} } }],
            },
        })
    }

    fn name(pod: Option<&Value>) -> &str {
        pod.and_then(|pod| pod["metadata"]["name"].as_str()).unwrap_or_default()
    }

    #[test]
    fn newest_ready_pod_serves() {
        let pods = [
            pod("old", "2026-01-01", "True"),
            pod("new", "2026-01-02", "True"),
            pod("next", "2026-01-03", "False"),
        ];
        assert_eq!(name(serving_pod(&pods)), "new");
        let mut leaving = pod("leaving", "2026-01-04", "True");
        leaving["metadata"]["deletionTimestamp"] = json!("2026-01-05");
        assert_eq!(name(serving_pod(&[leaving, pods[0].clone()])), "old");
    }

    #[test]
    fn pod_of_the_application_comes_before_a_ready_one_of_others() {
        let mut extra = pod("extra", "2026-01-09", "True");
        extra["metadata"]["labels"] = json!({});
        assert_eq!(name(serving_pod(&[pod("crashing", "2026-01-01", "False"), extra])), "crashing");
        assert!(serving_pod(&[]).is_none());
    }

    #[test]
    fn annotation_names_the_default_container() {
        let mut pod = pod("a", "2026-01-01", "True");
        assert_eq!(default_container(&pod), Some("openhands"));
        pod["metadata"]["annotations"] = json!({ DEFAULT_CONTAINER: "proxy" });
        assert_eq!(default_container(&pod), Some("proxy"));
        pod["metadata"]["annotations"] = json!({ DEFAULT_CONTAINER: "" });
        assert_eq!(default_container(&pod), Some("openhands"));
    }

    #[test]
    fn container_that_waits_does_not_run() {
        let mut pod = pod("a", "2026-01-01", "True");
        assert!(has_running_container(&pod));
        pod["status"]["containerStatuses"][0]["state"] = json!({ "waiting": {} });
        assert!(!has_running_container(&pod));
    }
}
