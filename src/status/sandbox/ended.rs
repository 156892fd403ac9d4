//! Sandboxes that have ended, and what is left of them.

use std::collections::BTreeMap;

use serde_json::Value;

use super::part::ConversationPart;
use crate::object::deletion;
use crate::object::kind::KindInfo;

/// A sandbox that has ended. Its conversation cannot start again until the rest of it is deleted: the application finds
/// the pod by its name and waits for it, or it fails to create the Services again.
#[derive(Debug, Clone, PartialEq)]
pub struct EndedSandbox<'a> {
    /// The pod's name, from which the names of its other objects follow.
    pub name: &'a str,
    /// The ended pod; None if only its Services are left.
    pub pod: Option<&'a Value>,
}

impl EndedSandbox<'_> {
    /// Returns kind and name of the Ingress and the Services. The claim is not among them: it has the files.
    #[must_use]
    pub fn entry_points(&self) -> [(KindInfo, String); 3] {
        use ConversationPart::{CodeService, Ingress, Service};
        [Ingress, CodeService, Service].map(|part| (part.kind(), part.beside_pod(self.name)))
    }
}

/// Returns the ended sandboxes. A sandbox ends when its node stops, because its pod's restart policy is `Never`; a node
/// that is drained or lost deletes the pod and leaves its Services.
#[must_use]
pub fn ended<'a>(pods: &'a [Value], services: &'a [Value]) -> Vec<EndedSandbox<'a>> {
    let live: BTreeMap<&str, &Value> =
        pods.iter().filter_map(|pod| Some((name_of(ConversationPart::Pod, pod)?, pod))).collect();
    let mut ended: BTreeMap<&str, Option<&Value>> = services
        .iter()
        .filter_map(pod_of_service)
        .filter(|sandbox| !live.contains_key(sandbox))
        .map(|sandbox| (sandbox, None))
        .collect();
    ended.extend(live.into_iter().filter(|(_, pod)| has_ended(pod)).map(|(name, pod)| (name, Some(pod))));
    ended.into_iter().map(|(name, pod)| EndedSandbox { name, pod }).collect()
}

/// Returns the pods of sandboxes that run: their conversations may be at work.
#[must_use]
pub fn running(pods: &[Value]) -> Vec<&Value> {
    live_in_phase(pods, "Running")
}

/// Returns the pods of sandboxes that have not started yet, or cannot.
pub(super) fn waiting(pods: &[Value]) -> Vec<&Value> {
    live_in_phase(pods, "Pending")
}

fn live_in_phase<'a>(pods: &'a [Value], phase: &str) -> Vec<&'a Value> {
    let is_in_phase = |pod: &&Value| {
        pod["status"]["phase"] == phase
            && deletion::deleted_since(pod).is_none()
            && !has_ended(pod)
            && name_of(ConversationPart::Pod, pod).is_some()
    };
    pods.iter().filter(is_in_phase).collect()
}

/// Returns the name of an object, if it is this part of a conversation.
fn name_of(part: ConversationPart, object: &Value) -> Option<&str> {
    let name = object["metadata"]["name"].as_str()?;
    part.conversation_in(name).map(|_| name)
}

/// Returns the name of the pod to which a conversation's Service belongs.
fn pod_of_service(service: &Value) -> Option<&str> {
    let parts = [ConversationPart::CodeService, ConversationPart::Service];
    parts.into_iter().find_map(|part| name_of(part, service)?.strip_suffix(part.suffix()))
}

/// Returns whether no container of the pod will run again. A kubelet reports the end of the containers before the phase.
#[must_use]
pub fn has_ended(pod: &Value) -> bool {
    let is_terminal = matches!(pod["status"]["phase"].as_str(), Some("Failed" | "Succeeded"));
    let containers = pod["status"]["containerStatuses"].as_array().map_or(&[][..], Vec::as_slice);
    let is_terminated = |status: &Value| status["state"]["terminated"].is_object();
    let never_restarts = pod["spec"]["restartPolicy"] == "Never";
    is_terminal || (never_restarts && !containers.is_empty() && containers.iter().all(is_terminated))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(name: &str, phase: &str) -> Value {
        json!({ "metadata": { "name": name }, "status": { "phase": phase } })
    }

    fn service(name: &str) -> Value {
        json!({ "metadata": { "name": name } })
    }

    fn names(pods: &[Value], services: &[Value]) -> Vec<(String, bool)> {
        let ended = ended(pods, services);
        ended.into_iter().map(|it| (it.name.to_owned(), it.pod.is_some())).collect()
    }

    #[test]
    fn only_sandbox_pods_that_ended_are_found() {
        for phase in ["Failed", "Succeeded"] {
            let pods = [
                pod("openhands-runtime-11111111111111111111111111111111", phase),
                pod("openhands-5f9", phase),
            ];
            assert_eq!(
                names(&pods, &[]),
                [("openhands-runtime-11111111111111111111111111111111".to_owned(), true)]
            );
        }
        for phase in ["Pending", "Running", "Unknown"] {
            assert!(
                names(&[pod("openhands-runtime-11111111111111111111111111111111", phase)], &[]).is_empty(),
                "{phase}"
            );
        }
    }

    #[test]
    fn sandbox_has_ended_before_its_phase_says_so() {
        let mut pod = pod("openhands-runtime-11111111111111111111111111111111", "Running");
        pod["spec"] = json!({ "restartPolicy": "Never" });
        pod["status"]["containerStatuses"] = json!([{ "state": { "terminated": { "exitCode": 255 } } }]);
        assert_eq!(names(std::slice::from_ref(&pod), &[]).len(), 1);
        pod["spec"]["restartPolicy"] = json!("Always");
        assert!(names(std::slice::from_ref(&pod), &[]).is_empty());
        pod["spec"]["restartPolicy"] = json!("Never");
        pod["status"]["containerStatuses"] = json!([]);
        assert!(names(std::slice::from_ref(&pod), &[]).is_empty());
    }

    #[test]
    fn only_live_sandbox_pods_run() {
        let mut leaving = pod("openhands-runtime-22222222222222222222222222222222", "Running");
        leaving["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        let pods = [
            pod("openhands-runtime-11111111111111111111111111111111", "Running"),
            leaving,
            pod("openhands-runtime-33333333333333333333333333333333", "Pending"),
            pod("openhands-runtime-44444444444444444444444444444444", "Failed"),
            pod("openhands-5f9", "Running"),
        ];
        let names: Vec<&str> =
            running(&pods).into_iter().filter_map(|pod| pod["metadata"]["name"].as_str()).collect();
        assert_eq!(names, ["openhands-runtime-11111111111111111111111111111111"]);
    }

    #[test]
    fn objects_of_others_with_similar_names_are_no_sandbox() {
        let pods = [pod("openhands-runtime-test", "Failed")];
        assert!(names(&pods, &[service("openhands-runtime-theirs-svc")]).is_empty());
        assert!(running(&[pod("openhands-runtime-test", "Running")]).is_empty());
    }

    #[test]
    fn services_without_their_pod_are_an_ended_sandbox() {
        let services = [
            service("openhands"),
            service("openhands-runtime-11111111111111111111111111111111-svc"),
            service("openhands-runtime-11111111111111111111111111111111-svc-code"),
            service("openhands-runtime-22222222222222222222222222222222-svc"),
        ];
        let pods = [pod("openhands-runtime-22222222222222222222222222222222", "Running")];
        assert_eq!(
            names(&pods, &services),
            [("openhands-runtime-11111111111111111111111111111111".to_owned(), false)]
        );
        let objects =
            ended(&pods, &services)[0].entry_points().map(|(kind, name)| format!("{} {name}", kind.kind));
        assert_eq!(
            objects,
            [
                "Ingress openhands-runtime-11111111111111111111111111111111-ingress-code",
                "Service openhands-runtime-11111111111111111111111111111111-svc-code",
                "Service openhands-runtime-11111111111111111111111111111111-svc",
            ]
        );
    }
}
