//! Conversations that cannot start again, because the pods of their sandboxes have ended.

use serde_json::Value;

use super::ended::{self, EndedSandbox};
use crate::catalogue::Id;
use crate::object::deletion;
use crate::object::kind::POD;
use crate::phrase;
use crate::status::finding::Finding;

/// What deletes the ended sandboxes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SandboxCleanup {
    /// `handsctl up`, because the cluster is the configuration's local one.
    Up,
    /// `handsctl sandbox gc`.
    Gc,
}

/// The sandboxes of a namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SandboxHealth {
    /// The number of running sandboxes.
    pub running: usize,
    /// The number of sandboxes that have not started yet, or cannot.
    pub waiting: usize,
    /// The names of the sandboxes that have ended and whose rest nobody deletes, sorted.
    pub ended: Vec<String>,
    /// The finding about the ended ones.
    pub finding: Option<Finding>,
}

/// Evaluates the sandboxes of a namespace by their pods and the namespace's Services, which were listed before the pods.
#[must_use]
pub fn sandbox_health(
    pods: &[Value],
    services: &[Value],
    namespace: &str,
    cleanup: SandboxCleanup,
) -> SandboxHealth {
    let mut ended = ended::ended(pods, services);
    ended.retain(|sandbox| sandbox.pod.is_none_or(|pod| deletion::deleted_since(pod).is_none()));
    SandboxHealth {
        running: ended::running(pods).len(),
        waiting: ended::waiting(pods).len(),
        ended: ended.iter().map(|sandbox| sandbox.name.to_owned()).collect(),
        finding: stuck_finding(&ended, namespace, cleanup),
    }
}

impl SandboxHealth {
    /// Returns the counts: `1 running, 1 waiting, 2 ended`; None without a sandbox.
    #[must_use]
    pub fn counts(&self) -> Option<String> {
        let counts = [(self.running, "running"), (self.waiting, "waiting"), (self.ended.len(), "ended")];
        let counts: Vec<String> = counts
            .into_iter()
            .filter(|(count, word)| *count > 0 || *word == "running")
            .map(|(count, word)| format!("{count} {word}"))
            .collect();
        let has_sandboxes = self.running + self.waiting + self.ended.len() > 0;
        has_sandboxes.then(|| counts.join(", "))
    }
}

/// Returns the reason for the verdict: `2 conversations are stuck`.
#[must_use]
pub fn stuck_reason(count: usize) -> String {
    let verb = if count == 1 { "is" } else { "are" };
    format!("{} {verb} stuck", phrase::count(count, "conversation"))
}

fn stuck_finding(ended: &[EndedSandbox<'_>], namespace: &str, cleanup: SandboxCleanup) -> Option<Finding> {
    let first = ended.first()?;
    let cause =
        if ended.len() == 1 { "the pod of its sandbox has" } else { "the pods of their sandboxes have" };
    let message = format!("{}: {cause} ended and will not run again", stuck_reason(ended.len()));
    let finding = Finding::new(Id::ConversationStuck, POD.id(namespace, first.name), message)
        .evidence(ended.iter().map(pod_state));
    let command = match cleanup {
        SandboxCleanup::Up => "handsctl up deletes what is left of them",
        SandboxCleanup::Gc => "handsctl sandbox gc deletes what is left of them",
    };
    let finding = finding.hint(command);
    Some(finding.hint("the volumes with the files are kept: a conversation starts again when it is opened"))
}

/// Returns the state of the pod: `openhands-runtime-a: Failed, exit code 255`.
fn pod_state(sandbox: &EndedSandbox<'_>) -> String {
    let Some(pod) = sandbox.pod else {
        return format!("{}: its pod was deleted, its Services are left", sandbox.name);
    };
    let status = &pod["status"];
    let phase = status["phase"].as_str().unwrap_or_default();
    let reason = status["reason"].as_str().map(|reason| format!(", {reason}"));
    let mut containers = status["containerStatuses"].as_array().into_iter().flatten();
    let code = containers.find_map(|it| it["state"]["terminated"]["exitCode"].as_i64());
    let code = code.map(|code| format!(", exit code {code}"));
    format!("{}: {phase}{}{}", sandbox.name, reason.unwrap_or_default(), code.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// A pod of a node that was stopped, as its kubelet reported it after the start (kind, OpenHands 0.59).
    fn pod(name: &str, phase: &str) -> Value {
        let state = match phase {
            "Failed" => json!({ "terminated": { "exitCode": 255, "reason": "Unknown" } }),
            _ => json!({ "running": {} }),
        };
        json!({
            "metadata": { "name": format!("openhands-runtime-{}", name.repeat(32)), "namespace": "boxes" },
            "spec": { "restartPolicy": "Never" },
            "status": { "phase": phase, "containerStatuses": [{ "name": "runtime", "state": state }] },
        })
    }

    #[test]
    fn ended_sandboxes_are_one_finding_with_its_command() {
        let pods = [pod("b", "Failed"), pod("a", "Failed"), pod("c", "Running"), pod("d", "Pending")];
        let health = sandbox_health(&pods, &[], "boxes", SandboxCleanup::Gc);
        assert_eq!((health.running, health.waiting, health.ended.len()), (1, 1, 2));
        let finding = health.finding.unwrap();
        assert_eq!(finding.id, Id::ConversationStuck);
        let message =
            "2 conversations are stuck: the pods of their sandboxes have ended and will not run again";
        assert_eq!(finding.message, message);
        assert_eq!(
            finding.evidence[0],
            "openhands-runtime-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa: Failed, exit code 255"
        );
        assert_eq!(finding.hints[0], "handsctl sandbox gc deletes what is left of them");
        assert_eq!(finding.hints.len(), 2, "{:?}", finding.hints);
    }

    #[test]
    fn local_cluster_clears_ended_sandboxes_by_up() {
        let health = sandbox_health(&[pod("a", "Failed")], &[], "boxes", SandboxCleanup::Up);
        let hints = health.finding.unwrap().hints;
        assert_eq!(hints[0], "handsctl up deletes what is left of them");
        assert_eq!(hints.len(), 2, "{hints:?}");
    }

    #[test]
    fn sandbox_of_which_only_services_are_left_is_stuck() {
        let service = |name: &str| json!({ "metadata": { "name": format!("openhands-runtime-{}-svc", name.repeat(32)) } });
        let services = [service("a"), service("b")];
        let health = sandbox_health(&[pod("b", "Running")], &services, "boxes", SandboxCleanup::Gc);
        assert_eq!(
            (health.running, health.ended),
            (1, vec!["openhands-runtime-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa".to_owned()])
        );
        let finding = health.finding.unwrap();
        assert_eq!(
            finding.evidence,
            [
                "openhands-runtime-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa: its pod was deleted, its Services are left"
            ]
        );
    }

    #[test]
    fn deleted_or_running_sandbox_is_no_finding() {
        let mut deleted = pod("a", "Failed");
        deleted["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        let health = sandbox_health(&[deleted, pod("b", "Running")], &[], "boxes", SandboxCleanup::Gc);
        assert_eq!(health, SandboxHealth { running: 1, waiting: 0, ended: Vec::new(), finding: None });
    }
}
