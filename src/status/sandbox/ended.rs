//! Sandboxes that have ended, and what is left of them.

use std::collections::BTreeMap;

use serde_json::Value;

use super::part::{ConversationPart, NAME_PREFIX};
use crate::object::deletion;
use crate::object::kind::{INGRESS, KindInfo, SERVICE};
use crate::object::labels;

/// The suffixes of a sandbox's Services after its name.
const SERVICE_SUFFIXES: [&str; 2] =
    [ConversationPart::CodeService.suffix(), ConversationPart::Service.suffix()];

/// The suffix of a sandbox's Ingress, and of its volume claim.
const INGRESS_SUFFIX: &str = ConversationPart::Ingress.suffix();
const CLAIM_SUFFIX: &str = ConversationPart::Claim.suffix();

/// Whether the application made an object for a conversation. Only the pod has a label; the others have names that
/// follow from the pod's.
#[must_use]
pub fn is_of_conversation(kind: &str, object: &Value) -> bool {
    let Some(name) = name(object).filter(|name| name.starts_with(NAME_PREFIX)) else { return false };
    let (label, value) = labels::SANDBOX;
    match kind {
        "Pod" => object["metadata"]["labels"][label] == value,
        "Service" => SERVICE_SUFFIXES.iter().any(|suffix| name.ends_with(suffix)),
        "Ingress" => name.ends_with(INGRESS_SUFFIX),
        "PersistentVolumeClaim" => name.ends_with(CLAIM_SUFFIX),
        _ => false,
    }
}

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
        let [code, main] = SERVICE_SUFFIXES.map(|suffix| format!("{}{suffix}", self.name));
        [(INGRESS, format!("{}{INGRESS_SUFFIX}", self.name)), (SERVICE, code), (SERVICE, main)]
    }
}

/// Returns the ended sandboxes. A sandbox ends when its node stops, because its pod's restart policy is `Never`; a node
/// that is drained or lost deletes the pod and leaves its Services.
#[must_use]
pub fn ended<'a>(pods: &'a [Value], services: &'a [Value]) -> Vec<EndedSandbox<'a>> {
    let live: BTreeMap<&str, &Value> = pods.iter().filter_map(|pod| Some((name(pod)?, pod))).collect();
    let mut ended: BTreeMap<&str, Option<&Value>> = services
        .iter()
        .filter_map(name)
        .filter_map(|service| SERVICE_SUFFIXES.iter().find_map(|suffix| service.strip_suffix(suffix)))
        .filter(|sandbox| !live.contains_key(sandbox))
        .map(|sandbox| (sandbox, None))
        .collect();
    ended.extend(live.into_iter().filter(|(_, pod)| has_ended(pod)).map(|(name, pod)| (name, Some(pod))));
    ended.into_iter().map(|(name, pod)| EndedSandbox { name, pod }).collect()
}

/// Returns the pods of sandboxes that run: their conversations may be at work.
#[must_use]
pub fn running(pods: &[Value]) -> Vec<&Value> {
    let is_running = |pod: &&Value| {
        pod["status"]["phase"] == "Running"
            && deletion::deleted_since(pod).is_none()
            && !has_ended(pod)
            && name(pod).is_some()
    };
    pods.iter().filter(is_running).collect()
}

/// Returns the name of an object of a conversation.
fn name(object: &Value) -> Option<&str> {
    object["metadata"]["name"].as_str().filter(|name| name.starts_with(NAME_PREFIX))
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

    #[test]
    fn only_what_the_application_makes_is_of_a_conversation() {
        let object =
            |name: &str, app: &str| json!({ "metadata": { "name": name, "labels": { "app": app } } });
        for (kind, name, app, expected) in [
            ("Pod", "openhands-runtime-a", "openhands-runtime", true),
            ("Pod", "openhands-runtime-a", "theirs", false),
            ("Service", "openhands-runtime-a-svc", "", true),
            ("Service", "openhands-runtime-a-svc-code", "", true),
            ("Service", "openhands-runtime-theirs", "", false),
            ("Ingress", "openhands-runtime-a-ingress-code", "", true),
            ("Ingress", "openhands-runtime-x", "openhands-runtime", false),
            ("PersistentVolumeClaim", "openhands-runtime-a-pvc", "", true),
            ("ConfigMap", "openhands-runtime-a", "openhands-runtime", false),
            ("Service", "other-svc", "", false),
        ] {
            assert_eq!(is_of_conversation(kind, &object(name, app)), expected, "{kind} {name}");
        }
    }

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
            let pods = [pod("openhands-runtime-1", phase), pod("openhands-5f9", phase)];
            assert_eq!(names(&pods, &[]), [("openhands-runtime-1".to_owned(), true)]);
        }
        for phase in ["Pending", "Running", "Unknown"] {
            assert!(names(&[pod("openhands-runtime-1", phase)], &[]).is_empty(), "{phase}");
        }
    }

    #[test]
    fn sandbox_has_ended_before_its_phase_says_so() {
        let mut pod = pod("openhands-runtime-1", "Running");
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
        let mut leaving = pod("openhands-runtime-2", "Running");
        leaving["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        let pods = [
            pod("openhands-runtime-1", "Running"),
            leaving,
            pod("openhands-runtime-3", "Pending"),
            pod("openhands-runtime-4", "Failed"),
            pod("openhands-5f9", "Running"),
        ];
        let names: Vec<&str> = running(&pods).into_iter().filter_map(name).collect();
        assert_eq!(names, ["openhands-runtime-1"]);
    }

    #[test]
    fn services_without_their_pod_are_an_ended_sandbox() {
        let services = [
            service("openhands"),
            service("openhands-runtime-1-svc"),
            service("openhands-runtime-1-svc-code"),
            service("openhands-runtime-2-svc"),
        ];
        let pods = [pod("openhands-runtime-2", "Running")];
        assert_eq!(names(&pods, &services), [("openhands-runtime-1".to_owned(), false)]);
        let objects =
            ended(&pods, &services)[0].entry_points().map(|(kind, name)| format!("{} {name}", kind.kind));
        assert_eq!(
            objects,
            [
                "Ingress openhands-runtime-1-ingress-code",
                "Service openhands-runtime-1-svc-code",
                "Service openhands-runtime-1-svc",
            ]
        );
    }
}
