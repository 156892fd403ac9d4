//! The health of a `DaemonSet`: one pod on each node that its pods fit on.

use k8s_openapi::api::apps::v1::{DaemonSet, DaemonSetStatus};
use k8s_openapi::api::core::v1::Pod;

use super::fault::Fault;
use super::object_status::{ObjectHealth, WorkloadPods, stable_at, with_reason};
use super::pod_facts::{self, RunMode};
use super::workload;
use crate::status::grace::GracePeriods;
use crate::status::observed::state::ObservedState;
use crate::status::verdict::Expected;

/// The annotation with the number of the template, which the controller increments at each change, and the pods' label
/// with the number of their template (`k8s.io/api/apps/v1`, `DeprecatedTemplateGeneration`).
const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";
const POD_TEMPLATE_GENERATION: &str = "pod-template-generation";

/// The numbers of nodes in `status`.
struct NodeCounts {
    desired: i32,
    updated: i32,
    available: i32,
}

/// Evaluates a `DaemonSet` as `kubectl rollout status` does: each node must have an available pod of the current
/// template. With `OnDelete` the pods may have an older template.
pub(crate) fn evaluate(
    observed: &ObservedState,
    expected: &Expected,
    set: &DaemonSet,
    grace: &GracePeriods,
) -> ObjectHealth {
    let status = set.status.as_ref();
    let counts = NodeCounts::from_status(status);
    let state = format!("{}/{}", counts.available, counts.desired);
    let observed_generation = status.and_then(|status| status.observed_generation).unwrap_or_default();
    if observed_generation < set.metadata.generation.unwrap_or_default().max(expected.generation) {
        return ObjectHealth::waiting(with_reason(&state, "its controller has not observed the change"));
    }
    let uid = set.metadata.uid.as_deref().unwrap_or_default();
    let must_update = if updates_on_delete(set) { 0 } else { counts.desired };
    let pods: Vec<&Pod> = observed.pods_of(uid);
    let all = WorkloadPods::new(observed, grace, pods.clone(), RunMode::LongRunning);
    let is_complete = counts.available >= counts.desired && counts.updated >= must_update;
    if is_complete && all.are_ready(counts.desired) {
        return ObjectHealth { stable_at: all.up_since().map(stable_at), ..ObjectHealth::ready(state) };
    }
    let desired = usize::try_from(counts.desired).unwrap_or_default();
    let current = pods.iter().filter(|pod| !pod_facts::has_failed(pod)).count();
    let new = pods.into_iter().filter(|pod| must_update == 0 || has_current_template(set, pod)).collect();
    let pods = WorkloadPods::new(observed, grace, new, RunMode::LongRunning);
    let rejected =
        if current < desired { workload::rejection_fault(observed, expected, uid, grace) } else { None };
    let mut faults: Vec<Fault> = rejected.into_iter().collect();
    faults.extend(pods.faults.iter().cloned());
    let message = with_reason(&state, pods.reason(&faults).as_deref().unwrap_or("waiting for its pods"));
    ObjectHealth { faults, desired, ..ObjectHealth::waiting(message) }
}

impl NodeCounts {
    fn from_status(status: Option<&DaemonSetStatus>) -> Self {
        Self {
            desired: status.map_or(0, |status| status.desired_number_scheduled),
            updated: status.and_then(|status| status.updated_number_scheduled).unwrap_or_default(),
            available: status.and_then(|status| status.number_available).unwrap_or_default(),
        }
    }
}

fn updates_on_delete(set: &DaemonSet) -> bool {
    let strategy = set.spec.as_ref().and_then(|spec| spec.update_strategy.as_ref());
    strategy.and_then(|strategy| strategy.type_.as_deref()) == Some("OnDelete")
}

/// Returns whether a pod has the current template. A pod without the label counts as current.
fn has_current_template(set: &DaemonSet, pod: &Pod) -> bool {
    let current = set.metadata.annotations.as_ref().and_then(|all| all.get(TEMPLATE_GENERATION));
    let own = pod.metadata.labels.as_ref().and_then(|labels| labels.get(POD_TEMPLATE_GENERATION));
    current.is_none() || own.is_none() || current == own
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::{Value, json};

    use super::*;
    use crate::catalogue::Id;
    use crate::object::ObjectId;
    use crate::status::TrackedKind;

    /// A `DaemonSet` of template 2 for two nodes, with these numbers in its status.
    fn daemon_set(updated: i32, available: i32, strategy: &str) -> Value {
        json!({
            "metadata": { "name": "d", "namespace": "n", "uid": "d", "generation": 2,
                "annotations": { TEMPLATE_GENERATION: "2" } },
            "spec": { "selector": {}, "template": {}, "updateStrategy": { "type": strategy } },
            "status": { "observedGeneration": 2, "currentNumberScheduled": 2, "numberMisscheduled": 0, "numberReady": available,
                "desiredNumberScheduled": 2, "updatedNumberScheduled": updated, "numberAvailable": available },
        })
    }

    /// A pod of this template whose image does not exist.
    fn pod(name: &str, template: &str) -> Value {
        let waiting = json!({ "waiting": { "reason": "ErrImagePull", "message": "a:1: not found" } });
        json!({
            "metadata": { "name": name, "namespace": "n", "uid": name, "labels": { POD_TEMPLATE_GENERATION: template },
                "ownerReferences": [{ "apiVersion": "apps/v1", "kind": "DaemonSet", "name": "d", "uid": "d", "controller": true }] },
            "spec": { "nodeName": "a", "containers": [{ "name": "a", "image": "a:1" }] },
            "status": { "phase": "Pending", "containerStatuses": [{
                "name": "a", "image": "a:1", "imageID": "", "ready": false, "restartCount": 0, "state": waiting }] },
        })
    }

    fn health(set: &Value, generation: i64, pods: &[Value]) -> ObjectHealth {
        let mut observed = ObservedState::default();
        let now = Timestamp::UNIX_EPOCH;
        observed.apply(0, TrackedKind::DaemonSet, set, now).unwrap();
        for pod in pods {
            observed.apply(1, TrackedKind::Pod, pod, now).unwrap();
        }
        let id = ObjectId::namespaced("apps", "DaemonSet", "n", "d");
        let expected = Expected { id, uid: "d".into(), generation, changed: true };
        evaluate(&observed, &expected, &observed.daemon_sets["d"], &GracePeriods::starting_at(now))
    }

    #[test]
    fn daemon_set_is_ready_with_a_new_pod_on_each_node() {
        for (updated, available, strategy, ready) in [
            (2, 2, "RollingUpdate", true),
            (1, 2, "RollingUpdate", false),
            (2, 1, "RollingUpdate", false),
            (0, 2, "OnDelete", true),
        ] {
            let health = health(&daemon_set(updated, available, strategy), 2, &[]);
            assert_eq!(health.ready, ready, "{updated} {available} {strategy}");
        }
        let stale = health(&daemon_set(2, 2, "RollingUpdate"), 3, &[]);
        assert!(!stale.ready && stale.message.contains("has not observed"), "{}", stale.message);
    }

    #[test]
    fn faults_come_from_pods_of_the_current_template() {
        let pods = [pod("new", "2"), pod("old", "1")];
        let health = health(&daemon_set(1, 1, "RollingUpdate"), 2, &pods);
        let objects: Vec<(Id, &str)> = health
            .faults
            .iter()
            .map(|fault| (fault.finding.id, fault.finding.object.name.as_str()))
            .collect();
        assert_eq!(objects, [(Id::ImageNotFound, "new")]);
        assert_eq!((health.message.split(':').next(), health.desired), (Some("1/2"), 2));
    }
}
