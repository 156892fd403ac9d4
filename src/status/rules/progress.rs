//! What a pod without a fault waits for. A deadline that passes meanwhile explains itself with it; it never ends a
//! rollout.

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

use super::fault::Fault;
use super::pod_facts::{self, PodFacts, RunMode};
use super::{deployment, pod, text, workload};
use crate::catalogue::Id;
use crate::status::finding::{LogRun, Lookup};
use crate::status::grace::{FinalAt, GracePeriods};
use crate::status::observed::first_seen::statuses;
use crate::status::observed::state::{ObservedState, TrackedKind};
use crate::status::verdict::Expected;

/// Returns a fault that never becomes final for each pod of an object that is not ready and has no fault.
pub(crate) fn waits(observed: &ObservedState, expected: &Expected, grace: &GracePeriods) -> Vec<Fault> {
    let uid = expected.uid.as_str();
    let (pods, mode) = match TrackedKind::from_id(&expected.id) {
        Some(TrackedKind::Deployment) => {
            let deployment = observed.deployments.get(uid);
            let set = deployment.and_then(|deployment| deployment::new_replica_set(observed, deployment));
            let set = set.and_then(|set| set.metadata.uid.as_deref());
            (set.map(|set| observed.pods_of(set)).unwrap_or_default(), RunMode::LongRunning)
        }
        Some(TrackedKind::StatefulSet | TrackedKind::DaemonSet | TrackedKind::ReplicaSet) => {
            (observed.pods_of(uid), RunMode::LongRunning)
        }
        Some(TrackedKind::Job) => (observed.pods_of(uid), RunMode::ToCompletion),
        Some(TrackedKind::Pod) => {
            let pod = observed.pods.get(uid);
            (pod.into_iter().collect(), pod.map_or(RunMode::LongRunning, workload::mode_of))
        }
        _ => return Vec::new(),
    };
    let is_live = |pod: &&Pod| {
        !pod_facts::has_failed(pod) && !pod_facts::is_stopping(pod) && !pod_facts::has_succeeded(pod)
    };
    pods.into_iter().filter(is_live).filter_map(|pod| wait(observed, grace, pod, mode)).collect()
}

fn wait(observed: &ObservedState, grace: &GracePeriods, pod: &Pod, mode: RunMode) -> Option<Fault> {
    let health = pod::evaluate(observed, grace, pod, mode);
    if health.ready && mode == RunMode::LongRunning || !health.faults.is_empty() {
        return None;
    }
    let facts = PodFacts::new(observed, grace, pod);
    Some(lost_node(&facts).unwrap_or_else(|| progress(&facts, &health.reason.unwrap_or_default())))
}

/// Returns the fault of a pod whose node the node controller reports as lost.
fn lost_node(facts: &PodFacts) -> Option<Fault> {
    let event = facts.latest_event(&["NodeNotReady"])?;
    let node = facts.node()?;
    let message = format!("its node {node} is not ready");
    let fault = facts.pod_fault(Id::NodesNotReady, &message, "its node is not ready").caused_by(node);
    Some(
        fault
            .final_at(FinalAt::Never)
            .evidence([text::occurrences(event)])
            .lookup(Lookup::NodeFaults(node.to_owned()))
            .hint(format!("kubectl get node {node}")),
    )
}

/// Returns what the pod waits for, since when, and the last Event about it.
fn progress(facts: &PodFacts, reason: &str) -> Fault {
    let running = statuses(facts.pod).find(|status| is_running(status) && !status.ready).or_else(|| {
        // A container of a Job counts as ready while it runs.
        statuses(facts.pod).find(|status| is_running(status))
    });
    let waiting =
        statuses(facts.pod).find(|status| status.state.as_ref().is_some_and(|state| state.waiting.is_some()));
    let container = running.or(waiting);
    let message = match facts.node() {
        Some(node) if container.is_none() && statuses(facts.pod).next().is_none() => {
            let since = facts
                .scheduled()
                .map_or_else(String::new, |time| format!(" since {}", text::time_of_day(time)));
            format!("the pod is bound to node {node}, whose kubelet has not reported it{since}")
        }
        _ => {
            let since = container.and_then(|status| facts.since(&status.name, started_at(status)));
            let since = since.or_else(|| facts.started());
            let since = since.map_or_else(String::new, |time| format!(" since {}", text::time_of_day(time)));
            format!("{reason}{since}")
        }
    };
    let last = facts.events().max_by_key(|event| event.last);
    let mut fault = facts
        .pod_fault(Id::DeadlinePassed, &message, reason)
        .caused_by(reason)
        .final_at(FinalAt::Never)
        .observed(false)
        .evidence(last.map(|event| format!("{}: {}", text::occurrences(event), event.message)))
        .lookups(running.map(|status| facts.log(&status.name, LogRun::Latest)))
        .lookups(facts.node().map(|node| Lookup::NodeFaults(node.to_owned())));
    if let Some(status) = container {
        fault = fault.container(&status.name);
    }
    fault
}

fn is_running(status: &ContainerStatus) -> bool {
    status.state.as_ref().is_some_and(|state| state.running.is_some())
}

fn started_at(status: &ContainerStatus) -> Option<jiff::Timestamp> {
    status.state.as_ref()?.running.as_ref()?.started_at.as_ref().map(|time| time.0)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::{Value, json};

    use super::*;
    use crate::object::kind::{JOB, POD};
    use crate::status::evaluate::evaluate;
    use crate::status::verdict::{Evaluation, Verdict};

    const NOW: &str = "2026-11-21T07:05:00Z";

    /// Evaluates a Job with a pod of this status and one Event.
    fn judged(node: &Value, status: &Value, event: (&str, &str)) -> Evaluation {
        let owner =
            json!([{ "apiVersion": "batch/v1", "kind": "Job", "name": "j", "uid": "j", "controller": true }]);
        let init = json!([{ "name": "prepare", "image": "a:1" }]);
        let pod = json!({
            "metadata": { "name": "p", "namespace": "n", "uid": "p", "ownerReferences": owner,
                "creationTimestamp": "2026-11-21T07:00:00Z" },
            "spec": { "nodeName": node, "initContainers": init, "containers": [{ "name": "main", "image": "a:1" }] },
            "status": status,
        });
        let event = json!({
            "metadata": { "uid": "e" }, "involvedObject": { "uid": "p" }, "reason": event.0, "message": event.1, "count": 1,
            "firstTimestamp": "2026-11-21T07:01:00Z", "lastTimestamp": "2026-11-21T07:01:00Z",
        });
        let job =
            json!({ "metadata": { "name": "j", "namespace": "n", "uid": "j" }, "spec": { "template": {} } });
        let now: Timestamp = NOW.parse().unwrap();
        let mut observed = ObservedState::default();
        for (kind, object) in [(TrackedKind::Job, job), (TrackedKind::Pod, pod), (TrackedKind::Event, event)]
        {
            observed.apply(0, kind, &object, now).unwrap();
        }
        let expected = [Expected { id: JOB.id("n", "j"), uid: "j".to_owned(), generation: 0, changed: true }];
        evaluate(&observed, &expected, &GracePeriods::starting_at(now), now)
    }

    fn scheduled() -> Value {
        json!([{ "type": "PodScheduled", "status": "True", "lastTransitionTime": "2026-11-21T07:00:30Z" }])
    }

    #[test]
    fn running_init_container_is_pending_with_its_log_and_never_fails() {
        let running = json!({ "running": { "startedAt": "2026-11-21T07:02:00Z" } });
        let status = json!({ "phase": "Pending", "conditions": scheduled(), "initContainerStatuses": [{
            "name": "prepare", "image": "a:1", "imageID": "", "ready": false, "restartCount": 0, "state": running }] });
        let evaluation = judged(&json!("node-1"), &status, ("Started", "Started container prepare"));
        assert_eq!(evaluation.verdict, Verdict::Waiting { until: None });
        assert_eq!(evaluation.objects[0].fails_at, None);
        let [pending] = evaluation.pending.as_slice() else { panic!("{:?}", evaluation.pending) };
        assert_eq!(pending.message, "init container prepare is running since 07:02:00Z");
        assert_eq!(pending.evidence, ["Started at 07:01:00Z: Started container prepare"]);
        let log = Lookup::Log {
            pod: POD.id("n", "p"),
            container: "prepare".to_owned(),
            node: Some("node-1".to_owned()),
            run: LogRun::Latest,
        };
        assert_eq!(pending.lookups, [log, Lookup::NodeFaults("node-1".to_owned())]);
    }

    #[test]
    fn pod_without_a_status_of_its_kubelet_names_the_node() {
        let status = json!({ "phase": "Pending", "conditions": scheduled() });
        let evaluation = judged(&json!("node-1"), &status, ("Scheduled", "assigned"));
        assert_eq!(
            evaluation.pending[0].message,
            "the pod is bound to node node-1, whose kubelet has not reported it since 07:00:30Z"
        );
        assert_eq!(evaluation.pending[0].lookups, [Lookup::NodeFaults("node-1".to_owned())]);
    }

    #[test]
    fn lost_node_is_the_cause_of_a_pod_that_waits() {
        let status = json!({ "phase": "Pending", "conditions": scheduled() });
        let evaluation = judged(&json!("node-1"), &status, ("NodeNotReady", "Node is not ready"));
        assert_eq!(evaluation.verdict, Verdict::Waiting { until: None });
        let pending = &evaluation.pending[0];
        assert_eq!(
            (pending.id, pending.message.as_str()),
            (Id::NodesNotReady, "its node node-1 is not ready")
        );
    }

    #[test]
    fn node_that_is_being_added_is_pending_with_the_autoscalers_event() {
        let unschedulable = json!([{ "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
            "message": "0/1 nodes are available: 1 Insufficient cpu." }]);
        let status = json!({ "phase": "Pending", "conditions": unschedulable });
        let evaluation = judged(&Value::Null, &status, ("TriggeredScaleUp", "pool 1->2"));
        let pending = &evaluation.pending[0];
        assert_eq!(pending.message, "a node is being added since 07:00:00Z");
        assert_eq!(pending.evidence, ["TriggeredScaleUp at 07:01:00Z: pool 1->2"]);
    }
}
