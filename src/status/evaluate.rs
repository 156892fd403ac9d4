//! Live objects → verdict and findings.

use std::time::Duration;

use jiff::Timestamp;

use super::grace::{GracePeriods, later};
use super::observed::state::{ObservedState, TrackedKind};
use super::rules::fault::Fault;
use super::rules::object_status::{ObjectHealth, with_reason};
use super::rules::root_cause::{self, ObjectFault};
use super::rules::{claim, deployment, text, workload};
use super::verdict::{Evaluation, Expected, ObjectState, Verdict};
use crate::catalogue::Id;

/// What is older than this run and faulty may have been mended by it (a Secret that was missing): the kubelet
/// needs its next round to notice. Nothing of the kind is waited for when the run changed nothing.
const FIX_GRACE: Duration = Duration::from_secs(30);

/// Judges the set: deletion timestamp, then generation, then the rule of its kind.
#[must_use]
pub fn evaluate(
    world: &ObservedState,
    expected: &[Expected],
    tolerance: &GracePeriods,
    now: Timestamp,
) -> Evaluation {
    let changed = expected.iter().any(|expected| expected.changed);
    let mut objects = Vec::with_capacity(expected.len());
    let mut faults = Vec::new();
    let mut pending = Vec::new();
    let mut rechecks: Vec<Timestamp> = Vec::new();
    for one in expected {
        let mut outlook = object_health(world, one, tolerance);
        if let Some(settles) = outlook.stable_at.filter(|settles| outlook.ready && *settles > now) {
            outlook.ready = false;
            outlook.message = with_reason(&outlook.message, "must stay up 10 s, it has no probes");
            rechecks.push(settles);
        }
        for symptom in outlook.faults {
            let symptom = if changed { with_grace_for_fixed_objects(symptom, tolerance) } else { symptom };
            rechecks.extend(symptom.final_at.recheck(now));
            if symptom.final_at.is_final(now) {
                faults.push(ObjectFault { of: one.id.clone(), wanted: outlook.wanted, fault: symptom });
            } else if symptom.final_at.recheck(now).is_some() {
                pending.push(symptom.finding);
            }
        }
        objects.push(ObjectState { id: one.id.clone(), ready: outlook.ready, message: outlook.message });
    }
    let findings = root_cause::root_causes(faults);
    let verdict = if !findings.is_empty() {
        Verdict::Failed
    } else if objects.iter().all(|object| object.ready) {
        Verdict::Ready
    } else {
        Verdict::Waiting { until: rechecks.into_iter().min() }
    };
    Evaluation { objects, findings, pending, verdict }
}

fn with_grace_for_fixed_objects(mut symptom: Fault, tolerance: &GracePeriods) -> Fault {
    if symptom.created.is_some_and(|born| born < tolerance.started) {
        symptom.final_at = symptom.final_at.not_before(later(tolerance.started, FIX_GRACE));
    }
    symptom
}

/// How one object is.
pub(super) fn object_health(
    world: &ObservedState,
    expected: &Expected,
    tolerance: &GracePeriods,
) -> ObjectHealth {
    let Some(kind) = TrackedKind::of(&expected.id) else { return ObjectHealth::ready("exists") };
    let uid = expected.uid.as_str();
    if let Some(faulty) = deleted(world, expected) {
        return faulty;
    }
    let seen = match kind {
        TrackedKind::Deployment => {
            world.deployments.get(uid).map(|it| deployment::evaluate(world, expected, it, tolerance))
        }
        TrackedKind::StatefulSet => {
            world.stateful_sets.get(uid).map(|it| workload::stateful_set(world, expected, it, tolerance))
        }
        TrackedKind::Job => world.jobs.get(uid).map(|it| workload::job(world, expected, it, tolerance)),
        TrackedKind::ReplicaSet => {
            world.replica_sets.get(uid).map(|it| workload::replica_set(world, expected, it, tolerance))
        }
        TrackedKind::Pod => world.pods.get(uid).map(|it| workload::bare_pod(world, it, tolerance)),
        TrackedKind::PersistentVolumeClaim => {
            world.claims.get(uid).map(|it| claim::evaluate(world, &expected.id, it, tolerance))
        }
        TrackedKind::EndpointSlice | TrackedKind::Event => Some(ObjectHealth::ready("exists")),
    };
    seen.unwrap_or_else(|| ObjectHealth::waiting("not seen yet"))
}

/// An object that somebody deleted: a deletion cannot be taken back, so it is final before it is over.
fn deleted(world: &ObservedState, expected: &Expected) -> Option<ObjectHealth> {
    let fault = |message: &str, gap| Fault::new(Id::Deleted, expected.id.clone(), message, gap);
    let Some(metadata) = world.metadata(&expected.uid) else {
        let gone = world.is_deleted(&expected.uid);
        return gone.then(|| ObjectHealth::faulty("gone", fault("the object was deleted", "it was deleted")));
    };
    let deletion = metadata.deletion_timestamp.as_ref()?;
    let finalizers = metadata.finalizers.as_deref().unwrap_or_default();
    let held = (!finalizers.is_empty()).then(|| format!("held by the finalizer {}", finalizers.join(", ")));
    let since = format!("deletion timestamp {}", text::clock(deletion.0));
    let symptom =
        fault("the object is being deleted", "it is being deleted").evidence([since]).evidence(held);
    Some(ObjectHealth::faulty("deleting", symptom))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::ObjectId;
    use serde_json::{Value, json};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn metadata(uid: &str, owner: Option<(&str, &str)>) -> Value {
        let owners: Vec<Value> = owner
            .map(|(kind, uid)| json!({"apiVersion": "v1", "kind": kind, "name": uid, "uid": uid, "controller": true}))
            .into_iter()
            .collect();
        json!({"name": uid, "namespace": "hands", "uid": uid, "generation": 1, "ownerReferences": owners,
            "creationTimestamp": at(0).to_string()})
    }

    fn deployment(ready: i32) -> Value {
        let probe = json!({"tcpSocket": {"port": 1}});
        json!({"metadata": metadata("deploy", None),
            "spec": {"replicas": 1, "selector": {}, "template": {"spec": {
                "containers": [{"name": "app", "image": "a:1", "readinessProbe": probe}]}}},
            "status": {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "availableReplicas": ready}})
    }

    fn replica_set(conditions: &Value) -> Value {
        json!({"metadata": metadata("set", Some(("Deployment", "deploy"))),
            "spec": {"selector": {}, "template": deployment(0)["spec"]["template"]},
            "status": {"replicas": 1, "conditions": conditions}})
    }

    fn pod(state: &Value, restarts: i32, ready: bool) -> Value {
        json!({"metadata": metadata("pod", Some(("ReplicaSet", "set"))),
            "spec": {"nodeName": "n", "containers": deployment(0)["spec"]["template"]["spec"]["containers"]},
            "status": {"phase": "Running", "startTime": at(1).to_string(),
                "conditions": [{"type": "Ready", "status": if ready { "True" } else { "False" }}],
                "containerStatuses": [{"name": "app", "image": "a:1", "imageID": "", "ready": ready,
                    "restartCount": restarts, "state": state}]}})
    }

    fn waits(reason: &str, message: &str) -> Value {
        json!({"waiting": {"reason": reason, "message": message}})
    }

    fn expected(changed: bool) -> Vec<Expected> {
        let id = ObjectId::namespaced("apps", "Deployment", "hands", "deploy");
        vec![Expected { id, uid: "deploy".into(), generation: 1, changed }]
    }

    fn world() -> ObservedState {
        let mut world = ObservedState::default();
        world.apply(0, TrackedKind::Deployment, &deployment(0), at(0)).unwrap();
        world.apply(0, TrackedKind::ReplicaSet, &replica_set(&json!([])), at(0)).unwrap();
        world
    }

    fn verdict(world: &ObservedState, second: i64) -> Verdict {
        evaluate(world, &expected(true), &GracePeriods::starting_at(at(0)), at(second)).verdict
    }

    #[test]
    fn the_grace_of_a_pull_runs_from_the_first_failure() {
        let mut world = world();
        let refused = "dial tcp 1.2.3.4:443: connect: connection refused";
        world.apply(0, TrackedKind::Pod, &pod(&waits("ContainerCreating", ""), 0, false), at(1)).unwrap();
        assert_eq!(verdict(&world, 500), Verdict::Waiting { until: None });
        world.apply(0, TrackedKind::Pod, &pod(&waits("ErrImagePull", refused), 0, false), at(10)).unwrap();
        world
            .apply(0, TrackedKind::Pod, &pod(&waits("ImagePullBackOff", "Back-off"), 0, false), at(20))
            .unwrap();
        assert_eq!(verdict(&world, 69), Verdict::Waiting { until: Some(at(70)) });
        let judged = evaluate(&world, &expected(true), &GracePeriods::starting_at(at(0)), at(70));
        assert_eq!(judged.verdict, Verdict::Failed);
        assert_eq!(judged.findings[0].message, refused);
    }

    #[test]
    fn an_unchanged_set_is_judged_from_its_live_state_at_once() {
        let mut world = world();
        let missing = waits("CreateContainerConfigError", "secret \"x\" not found");
        world.apply(0, TrackedKind::Pod, &pod(&missing, 0, false), at(1000)).unwrap();
        let judged = |changed| {
            evaluate(&world, &expected(changed), &GracePeriods::starting_at(at(1000)), at(1000)).verdict
        };
        assert_eq!(judged(false), Verdict::Failed);
        assert_eq!(judged(true), Verdict::Waiting { until: Some(at(1030)) }, "the run may have mended it");
    }

    #[test]
    fn a_stage_without_a_time_counts_from_unready_for_a_pod_older_than_the_run() {
        let mut world = world();
        let mut old = pod(&waits("ImagePullBackOff", "dial tcp: i/o timeout"), 0, false);
        let unready =
            json!({"type": "ContainersReady", "status": "False", "lastTransitionTime": at(1).to_string()});
        old["status"]["conditions"] = json!([unready]);
        world.apply(0, TrackedKind::Pod, &old, at(1000)).unwrap();
        let judged = |started| {
            evaluate(&world, &expected(false), &GracePeriods::starting_at(at(started)), at(1000)).verdict
        };
        assert_eq!(judged(990), Verdict::Failed);
        assert_eq!(judged(0), Verdict::Waiting { until: Some(at(1060)) }, "the run itself made it");
    }

    #[test]
    fn an_old_pod_keeps_a_rollout_from_being_done() {
        let mut world = world();
        let mut rolling = deployment(2);
        rolling["status"]["replicas"] = json!(2);
        world.apply(0, TrackedKind::Deployment, &rolling, at(1)).unwrap();
        let judged = evaluate(&world, &expected(true), &GracePeriods::starting_at(at(0)), at(1));
        assert_eq!(judged.verdict, Verdict::Waiting { until: None });
    }

    #[test]
    fn crashes_count_by_restarts_of_the_new_pod() {
        let mut world = world();
        let crashed = json!({"terminated": {"exitCode": 3, "reason": "Error",
            "startedAt": at(3).to_string(), "finishedAt": at(4).to_string()}});
        for (restarts, expected) in [(0, false), (1, false), (2, true)] {
            world.apply(0, TrackedKind::Pod, &pod(&crashed, restarts, false), at(5)).unwrap();
            assert_eq!(verdict(&world, 5) == Verdict::Failed, expected, "{restarts} restarts");
        }
    }

    #[test]
    fn a_quota_heals_within_its_grace() {
        let mut world = world();
        let refused = json!([{"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate",
            "message": "pods \"a\" is forbidden: exceeded quota: team", "lastTransitionTime": at(2).to_string()}]);
        world.apply(0, TrackedKind::ReplicaSet, &replica_set(&refused), at(2)).unwrap();
        assert_eq!(verdict(&world, 3), Verdict::Waiting { until: Some(at(7)) });
        assert_eq!(verdict(&world, 7), Verdict::Failed);
        world.apply(0, TrackedKind::ReplicaSet, &replica_set(&json!([])), at(8)).unwrap();
        assert_eq!(verdict(&world, 8), Verdict::Waiting { until: None });
    }

    #[test]
    fn a_deleted_object_is_final_and_an_unseen_one_is_not() {
        let mut world = ObservedState::default();
        assert_eq!(verdict(&world, 0), Verdict::Waiting { until: None });
        world.apply(0, TrackedKind::Deployment, &deployment(1), at(0)).unwrap();
        assert_eq!(verdict(&world, 0), Verdict::Ready);
        world.replace(0, TrackedKind::Deployment, &[], at(1)).unwrap();
        let judged = evaluate(&world, &expected(true), &GracePeriods::starting_at(at(0)), at(1));
        assert_eq!((judged.verdict, judged.findings[0].id), (Verdict::Failed, Id::Deleted));
    }

    #[test]
    fn a_generation_that_the_watch_has_not_shown_is_waited_for() {
        let mut world = ObservedState::default();
        world.apply(0, TrackedKind::Deployment, &deployment(1), at(0)).unwrap();
        let mut ahead = expected(true);
        ahead[0].generation = 2;
        let judged = evaluate(&world, &ahead, &GracePeriods::starting_at(at(0)), at(1));
        assert_eq!(judged.verdict, Verdict::Waiting { until: None });
    }

    #[test]
    fn what_is_not_watched_is_ready_once_it_exists() {
        let id = ObjectId::namespaced("", "ConfigMap", "hands", "c");
        let exists = Expected { id, uid: "c".into(), generation: 0, changed: true };
        let judged = evaluate(&ObservedState::default(), &[exists], &GracePeriods::starting_at(at(0)), at(0));
        assert_eq!(judged.verdict, Verdict::Ready);
    }
}
