//! States of a running set that no rollout evaluates: paused rollouts, more pods than a volume allows, deletions that
//! do not end, a scale to zero.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use serde_json::Value;

use super::finding::Finding;
use super::observed::kube_events::KubeEvent;
use super::observed::state::ObservedState;
use super::rules::claim::mounts_claim;
use super::rules::deployment;
use super::verdict::Expected;
use crate::catalogue::Id;
use crate::object::{ObjectId, finalizer};
use crate::phrase;

/// Returns a finding for each expected Deployment whose rollout is paused.
#[must_use]
pub fn paused_rollouts(observed: &ObservedState, expected: &[Expected]) -> Vec<Finding> {
    let paused = expected
        .iter()
        .filter(|object| observed.deployments.get(&object.uid).is_some_and(deployment::is_paused));
    paused
        .map(|object| {
            let message = "spec.paused is true: a change of the pod template replaces no pod";
            Finding::new(Id::RolloutPaused, object.id.clone(), message)
                .hint(deployment::resume_command(&object.id))
        })
        .collect()
}

/// Returns a finding for each expected Deployment with more pods than one of its claims allows.
#[must_use]
pub fn unfit_replicas(observed: &ObservedState, expected: &[Expected]) -> Vec<Finding> {
    let deployments =
        expected.iter().filter_map(|object| Some((object, observed.deployments.get(&object.uid)?)));
    deployments
        .filter_map(|(object, deployment)| unfit_replicas_of(observed, &object.id, deployment))
        .collect()
}

fn unfit_replicas_of(observed: &ObservedState, id: &ObjectId, deployment: &Deployment) -> Option<Finding> {
    let spec = deployment.spec.as_ref()?;
    let replicas = spec.replicas.unwrap_or(1);
    let pod = spec.template.spec.as_ref();
    let claim = observed.claims.values().find(|claim| {
        claim.metadata.namespace == deployment.metadata.namespace
            && mounts_claim(pod, claim.metadata.name.as_deref().unwrap_or_default())
            && !allows_many_nodes(claim)
    });
    let claim = claim.filter(|_| replicas > 1)?;
    let modes = access_modes(claim).join(", ");
    let name = claim.metadata.name.as_deref().unwrap_or_default();
    let message = format!(
        "{} mount persistentvolumeclaim/{name}, which is {modes}",
        phrase::count(replicas, "replica")
    );
    Some(Finding::new(Id::VolumeNotShared, id.clone(), message).hint(scale_command(id, 1)))
}

/// Returns the command that scales a workload.
#[must_use]
pub fn scale_command(id: &ObjectId, replicas: i64) -> String {
    let namespace = id.namespace.as_deref().unwrap_or_default();
    format!("kubectl scale {}/{} -n {namespace} --replicas={replicas}", id.kind.to_ascii_lowercase(), id.name)
}

fn access_modes(claim: &PersistentVolumeClaim) -> Vec<&str> {
    let modes = claim.spec.as_ref().and_then(|spec| spec.access_modes.as_ref());
    modes.into_iter().flatten().map(String::as_str).collect()
}

/// Returns whether pods of several nodes can mount the claim
/// (<https://kubernetes.io/docs/concepts/storage/persistent-volumes/#access-modes>).
fn allows_many_nodes(claim: &PersistentVolumeClaim) -> bool {
    let modes = access_modes(claim);
    modes.is_empty() || modes.iter().any(|mode| matches!(*mode, "ReadWriteMany" | "ReadOnlyMany"))
}

/// Returns when the Deployment with this UID was scaled to zero, if its controller's Event tells it. The API server may
/// drop one of many Events: an older one before the last scale-up tells of an earlier time.
#[must_use]
pub fn scaled_to_zero_at(observed: &ObservedState, uid: &str) -> Option<Timestamp> {
    let events = observed.events.about(uid).filter(|event| event.reason == "ScalingReplicaSet");
    let is_to_zero = |event: &KubeEvent| event.message.ends_with(" to 0");
    let latest = events.max_by_key(|event| (event.last, is_to_zero(event)))?;
    is_to_zero(latest).then_some(latest.last)
}

/// Returns the finding of a member that is being deleted, with what holds it; None if it is not being deleted.
#[must_use]
pub fn terminating_finding(id: &ObjectId, object: &Value) -> Option<Finding> {
    let metadata = &object["metadata"];
    let since = metadata["deletionTimestamp"].as_str()?;
    let finalizers = metadata["finalizers"].as_array();
    let names: Vec<&str> = finalizers.into_iter().flatten().filter_map(Value::as_str).collect();
    let blocker = (!names.is_empty()).then(|| format!("held by the finalizer {}", names.join(", ")));
    let finding = Finding::new(Id::Deleted, id.clone(), "the object is being deleted");
    let managers = names.iter().filter_map(|finalizer| {
        let manager = finalizer::manager_of(object, finalizer)?;
        Some(finalizer::describe_manager(finalizer, manager))
    });
    let managers: Vec<String> = managers.collect();
    Some(finding.evidence([format!("deletion timestamp {since}")]).evidence(blocker).evidence(managers))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::status::TrackedKind;

    fn observed(replicas: i32, paused: bool, mode: &str) -> (ObservedState, Vec<Expected>) {
        let mut observed = ObservedState::default();
        let claim = json!({"metadata": {"name": "oh-state", "namespace": "n", "uid": "c"}, "spec": {"accessModes": [mode]}});
        let volume = json!({"name": "state", "persistentVolumeClaim": {"claimName": "oh-state"}});
        let deployment = json!({"metadata": {"name": "oh", "namespace": "n", "uid": "d"},
            "spec": {"replicas": replicas, "paused": paused, "selector": {},
                "template": {"spec": {"containers": [], "volumes": [volume]}}}});
        let now = Timestamp::UNIX_EPOCH;
        observed.apply(0, TrackedKind::PersistentVolumeClaim, &claim, now).unwrap();
        observed.apply(1, TrackedKind::Deployment, &deployment, now).unwrap();
        let id = ObjectId::namespaced("apps", "Deployment", "n", "oh");
        (observed, vec![Expected { id, uid: "d".into(), generation: 0, changed: false }])
    }

    #[test]
    fn two_replicas_on_single_node_volume_are_reported() {
        for (replicas, mode, reported) in
            [(2, "ReadWriteOnce", true), (1, "ReadWriteOnce", false), (2, "ReadWriteMany", false)]
        {
            let (observed, expected) = observed(replicas, false, mode);
            let findings = unfit_replicas(&observed, &expected);
            assert_eq!(!findings.is_empty(), reported, "{replicas} {mode}");
            for finding in findings {
                assert_eq!(
                    finding.message,
                    "2 replicas mount persistentvolumeclaim/oh-state, which is ReadWriteOnce"
                );
                assert_eq!(finding.hints, ["kubectl scale deployment/oh -n n --replicas=1"]);
            }
        }
    }

    #[test]
    fn paused_rollout_is_reported_with_resume_command() {
        let (running, expected) = observed(1, false, "ReadWriteOnce");
        assert_eq!(paused_rollouts(&running, &expected), []);
        let (paused, expected) = observed(1, true, "ReadWriteOnce");
        let findings = paused_rollouts(&paused, &expected);
        assert_eq!(findings[0].hints, ["kubectl rollout resume deployment/oh -n n"]);
    }

    #[test]
    fn time_of_scale_to_zero_comes_from_its_event() {
        let (mut observed, _) = observed(0, false, "ReadWriteOnce");
        assert_eq!(scaled_to_zero_at(&observed, "d"), None);
        for (uid, message, time, expected) in [
            (
                "1",
                "Scaled down replica set oh-1 from 1 to 0",
                "2026-01-01T00:00:05Z",
                Some("2026-01-01T00:00:05Z"),
            ),
            ("2", "Scaled up replica set oh-1 from 0 to 1", "2026-01-01T00:00:09Z", None),
            (
                "3",
                "Scaled down replica set oh-1 from 1 to 0",
                "2026-01-01T00:00:12Z",
                Some("2026-01-01T00:00:12Z"),
            ),
        ] {
            let event = json!({"metadata": {"name": uid, "uid": uid}, "involvedObject": {"uid": "d"},
                "reason": "ScalingReplicaSet", "message": message, "firstTimestamp": time, "lastTimestamp": time});
            observed.apply(2, TrackedKind::Event, &event, Timestamp::UNIX_EPOCH).unwrap();
            let expected = expected.map(|time| time.parse().unwrap());
            assert_eq!(scaled_to_zero_at(&observed, "d"), expected, "{message}");
        }
    }

    #[test]
    fn terminating_member_names_its_finalizer() {
        let id = ObjectId::namespaced("", "Service", "n", "oh");
        assert_eq!(terminating_finding(&id, &json!({ "metadata": {} })), None);
        let service = json!({ "metadata": {
            "deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["acme.corp/lb"] } });
        let finding = terminating_finding(&id, &service).unwrap();
        assert_eq!(finding.evidence[1], "held by the finalizer acme.corp/lb");
    }
}
