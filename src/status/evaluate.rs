//! Live objects → verdict and findings.

use jiff::Timestamp;

use super::finding::{Finding, Lookup};
use super::grace::{GracePeriods, later};
use super::observed::state::{ObservedState, TrackedKind};
use super::rules::fault::Fault;
use super::rules::object_status::{ObjectHealth, with_reason};
use super::rules::root_cause::{self, ObjectFault};
use super::rules::{claim, custom, daemon_set, deployment, progress, text, workload};
use super::verdict::{Evaluation, Expected, ObjectState, Verdict};
use crate::catalogue::Id;
use crate::object::finalizer;

/// Evaluates the set. Each object is checked for deletion first, then for its generation, then by the rule of its kind.
#[must_use]
pub fn evaluate(
    observed: &ObservedState,
    expected: &[Expected],
    grace: &GracePeriods,
    now: Timestamp,
) -> Evaluation {
    let changed = grace.members_changed || expected.iter().any(|expected| expected.changed);
    let mut objects = Vec::with_capacity(expected.len());
    let mut faults = Vec::new();
    let mut pending = Vec::new();
    let mut rechecks: Vec<Timestamp> = Vec::new();
    for object in expected {
        let mut health = object_health(observed, object, grace);
        if let Some(stability) = health.stable_at.filter(|stability| health.ready && stability.at > now) {
            health.ready = false;
            health.message = with_reason(&health.message, stability.reason);
            rechecks.push(stability.at);
        }
        // A passed deadline explains itself with what the pods still wait for.
        let is_unexplained = health.faults.iter().all(|fault| fault.finding.id == Id::ProgressDeadline);
        if !health.ready && is_unexplained {
            pending.extend(progress::waits(observed, object, grace).into_iter().map(|mut fault| {
                fault.finding.member = Some(object.id.clone());
                ObjectFault { object: object.id.clone(), desired: health.desired, fault }
            }));
        }
        let mut fails_at = None;
        for mut fault in health.faults {
            fault.finding.member = Some(object.id.clone());
            let fault = if changed { with_grace_for_fixed_objects(fault, grace) } else { fault };
            let final_at = fault.final_at.recheck(now);
            rechecks.extend(final_at);
            fails_at = earlier(fails_at, final_at);
            let list = if fault.final_at.is_final(now) { &mut faults } else { &mut pending };
            list.push(ObjectFault { object: object.id.clone(), desired: health.desired, fault });
        }
        let (id, ready, message) = (object.id.clone(), health.ready, health.message);
        objects.push(ObjectState { id, ready, message, fails_at });
    }
    root_cause::explain_deadlines(&mut faults, &pending);
    let mut symptoms = if grace.is_of_run() { Vec::new() } else { with_symptoms(&faults, &pending) };
    let findings = root_cause::root_causes(faults);
    symptoms.retain(|symptom| !findings.iter().any(|finding| is_same(finding, symptom)));
    let verdict = if !findings.is_empty() {
        Verdict::Failed
    } else if objects.iter().all(|object| object.ready) {
        Verdict::Ready
    } else {
        Verdict::Waiting { until: rechecks.into_iter().min() }
    };
    Evaluation { objects, findings, pending: root_cause::root_causes(pending), symptoms, verdict }
}

/// Returns one finding for each cause of the final faults, and of the observed ones of objects without a final fault.
fn with_symptoms(faults: &[ObjectFault], pending: &[ObjectFault]) -> Vec<Finding> {
    let symptoms = pending.iter().filter(|pending| {
        pending.fault.is_observed && faults.iter().all(|fault| fault.object != pending.object)
    });
    root_cause::root_causes(faults.iter().chain(symptoms).cloned().collect())
}

fn is_same(one: &Finding, other: &Finding) -> bool {
    (one.id, &one.object) == (other.id, &other.object)
}

/// Returns the earlier one of two times that may be unknown.
fn earlier(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    one.into_iter().chain(other).min()
}

fn with_grace_for_fixed_objects(mut fault: Fault, grace: &GracePeriods) -> Fault {
    if fault.created.is_some_and(|created| created < grace.started) {
        fault.final_at = fault.final_at.not_before(later(grace.started, grace.fix));
    }
    fault
}

/// Returns the health of one object.
pub(super) fn object_health(
    observed: &ObservedState,
    expected: &Expected,
    grace: &GracePeriods,
) -> ObjectHealth {
    let Some(kind) = TrackedKind::from_id(&expected.id) else { return ObjectHealth::ready("exists") };
    let uid = expected.uid.as_str();
    if let Some(faulty) = deletion_health(observed, expected) {
        return faulty;
    }
    let health = match kind {
        TrackedKind::Deployment => {
            observed.deployments.get(uid).map(|it| deployment::evaluate(observed, expected, it, grace))
        }
        TrackedKind::StatefulSet => {
            observed.stateful_sets.get(uid).map(|it| workload::stateful_set(observed, expected, it, grace))
        }
        TrackedKind::DaemonSet => {
            observed.daemon_sets.get(uid).map(|it| daemon_set::evaluate(observed, expected, it, grace))
        }
        TrackedKind::Job => observed.jobs.get(uid).map(|it| workload::job(observed, expected, it, grace)),
        TrackedKind::ReplicaSet => {
            observed.replica_sets.get(uid).map(|it| workload::replica_set(observed, expected, it, grace))
        }
        TrackedKind::Pod => observed.pods.get(uid).map(|it| workload::bare_pod(observed, it, grace)),
        TrackedKind::PersistentVolumeClaim => {
            observed.claims.get(uid).map(|it| claim::evaluate(observed, &expected.id, it, grace))
        }
        TrackedKind::Custom => {
            observed.untyped.get(uid).map(|it| custom::evaluate(observed, expected, it, grace))
        }
        TrackedKind::EndpointSlice
        | TrackedKind::Event
        | TrackedKind::Autoscaler
        | TrackedKind::CronJob
        | TrackedKind::DisruptionBudget => Some(ObjectHealth::ready("exists")),
    };
    health.unwrap_or_else(|| ObjectHealth::waiting("not seen yet"))
}

/// Returns a faulty health if the object is deleted or being deleted. A deletion cannot be undone, so it is final as
/// soon as it is requested.
fn deletion_health(observed: &ObservedState, expected: &Expected) -> Option<ObjectHealth> {
    let new_fault = |message: &str, reason| {
        let namespace = expected.id.namespace.clone().map(Lookup::Namespace);
        Fault::new(Id::Deleted, expected.id.clone(), message, reason).lookups(namespace)
    };
    let Some(metadata) = observed.metadata(&expected.uid) else {
        let is_deleted = observed.is_deleted(&expected.uid);
        return is_deleted
            .then(|| ObjectHealth::faulty("gone", new_fault("the object was deleted", "it was deleted")));
    };
    let deletion = metadata.deletion_timestamp.as_ref()?;
    let finalizers = metadata.finalizers.as_deref().unwrap_or_default();
    let blocker =
        (!finalizers.is_empty()).then(|| format!("held by the finalizer {}", finalizers.join(", ")));
    let since = format!("deletion timestamp {}", text::time_of_day(deletion.0));
    let fault = new_fault("the object is being deleted", "it is being deleted")
        .evidence([since])
        .evidence(blocker)
        .evidence(finalizer::managers(metadata));
    Some(ObjectHealth::faulty("deleting", fault))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::ObjectId;
    use crate::status::finding::LogRun;
    use crate::status::rejected::rejected_deployments;
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

    fn waiting(reason: &str, message: &str) -> Value {
        json!({"waiting": {"reason": reason, "message": message}})
    }

    fn expected(changed: bool) -> Vec<Expected> {
        let id = ObjectId::namespaced("apps", "Deployment", "hands", "deploy");
        vec![Expected { id, uid: "deploy".into(), generation: 1, changed }]
    }

    fn observed() -> ObservedState {
        let mut observed = ObservedState::default();
        observed.apply(0, TrackedKind::Deployment, &deployment(0), at(0)).unwrap();
        observed.apply(0, TrackedKind::ReplicaSet, &replica_set(&json!([])), at(0)).unwrap();
        observed
    }

    fn verdict(observed: &ObservedState, second: i64) -> Verdict {
        evaluate(observed, &expected(true), &GracePeriods::starting_at(at(0)), at(second)).verdict
    }

    #[test]
    fn pull_grace_starts_at_first_failure() {
        let mut observed = observed();
        let unreachable = "dial tcp 1.2.3.4:443: connect: connection refused";
        observed
            .apply(0, TrackedKind::Pod, &pod(&waiting("ContainerCreating", ""), 0, false), at(1))
            .unwrap();
        assert_eq!(verdict(&observed, 500), Verdict::Waiting { until: None });
        observed
            .apply(0, TrackedKind::Pod, &pod(&waiting("ErrImagePull", unreachable), 0, false), at(10))
            .unwrap();
        observed
            .apply(0, TrackedKind::Pod, &pod(&waiting("ImagePullBackOff", "Back-off"), 0, false), at(20))
            .unwrap();
        assert_eq!(verdict(&observed, 69), Verdict::Waiting { until: Some(at(70)) });
        let evaluation = evaluate(&observed, &expected(true), &GracePeriods::starting_at(at(0)), at(69));
        assert_eq!(evaluation.objects[0].fails_at, Some(at(70)));
        let evaluation = evaluate(&observed, &expected(true), &GracePeriods::starting_at(at(0)), at(70));
        assert_eq!(evaluation.verdict, Verdict::Failed);
        assert_eq!(evaluation.findings[0].message, unreachable);
    }

    #[test]
    fn fault_of_unchanged_set_is_final_at_once() {
        let mut observed = observed();
        let missing = waiting("CreateContainerConfigError", "secret \"x\" not found");
        observed.apply(0, TrackedKind::Pod, &pod(&missing, 0, false), at(1000)).unwrap();
        let verdict_of = |changed| {
            evaluate(&observed, &expected(changed), &GracePeriods::starting_at(at(1000)), at(1000)).verdict
        };
        assert_eq!(verdict_of(false), Verdict::Failed);
        assert_eq!(verdict_of(true), Verdict::Waiting { until: Some(at(1030)) }, "the run may have fixed it");
    }

    #[test]
    fn change_of_unwatched_member_gives_time_to_heal() {
        let mut observed = observed();
        let missing = waiting("CreateContainerConfigError", "secret \"x\" not found");
        observed.apply(0, TrackedKind::Pod, &pod(&missing, 0, false), at(1000)).unwrap();
        let grace = GracePeriods { members_changed: true, ..GracePeriods::starting_at(at(1000)) };
        let evaluation = evaluate(&observed, &expected(false), &grace, at(1000));
        assert_eq!(evaluation.verdict, Verdict::Waiting { until: Some(at(1030)) });
    }

    #[test]
    fn pods_of_restarted_nodes_get_more_time() {
        let mut observed = observed();
        let missing = waiting("CreateContainerConfigError", "secret \"x\" not found");
        observed.apply(0, TrackedKind::Pod, &pod(&missing, 0, false), at(1000)).unwrap();
        let fix = std::time::Duration::from_secs(300);
        let grace = GracePeriods { members_changed: true, fix, ..GracePeriods::starting_at(at(1000)) };
        let evaluation = evaluate(&observed, &expected(false), &grace, at(1200));
        assert_eq!(evaluation.verdict, Verdict::Waiting { until: Some(at(1300)) });
    }

    /// A ReplicaSet whose pods a webhook has denied since second 2.
    fn denied() -> ObservedState {
        let mut observed = observed();
        let failure = json!([{"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate",
            "message": "admission webhook \"x\" denied the request: no", "lastTransitionTime": at(2).to_string()}]);
        observed.apply(0, TrackedKind::ReplicaSet, &replica_set(&failure), at(2)).unwrap();
        observed
    }

    #[test]
    fn rejection_before_the_run_is_void_if_pods_are_admitted_now() {
        let verdict = |started, admits_rejected_pods| {
            let grace = GracePeriods { admits_rejected_pods, ..GracePeriods::starting_at(at(started)) };
            evaluate(&denied(), &expected(false), &grace, at(100)).verdict
        };
        assert_eq!(verdict(90, false), Verdict::Failed);
        assert_eq!(verdict(90, true), Verdict::Waiting { until: None });
        assert_eq!(verdict(1, true), Verdict::Failed, "the rejection is newer than the run's start");
    }

    #[test]
    fn deployments_with_pods_rejected_before_the_run_are_found() {
        let found = |before| rejected_deployments(&denied(), &expected(false), at(before)).len();
        assert_eq!((found(2), found(3)), (0, 1));
        assert!(rejected_deployments(&observed(), &expected(false), at(9)).is_empty());
    }

    #[test]
    fn grace_of_older_pod_starts_when_it_became_unready() {
        let mut observed = observed();
        let mut old = pod(&waiting("ImagePullBackOff", "dial tcp: i/o timeout"), 0, false);
        let unready =
            json!({"type": "ContainersReady", "status": "False", "lastTransitionTime": at(1).to_string()});
        old["status"]["conditions"] = json!([unready]);
        observed.apply(0, TrackedKind::Pod, &old, at(1000)).unwrap();
        let verdict_of = |started| {
            evaluate(&observed, &expected(false), &GracePeriods::starting_at(at(started)), at(1000)).verdict
        };
        assert_eq!(verdict_of(990), Verdict::Failed);
        assert_eq!(
            verdict_of(0),
            Verdict::Waiting { until: Some(at(1060)) },
            "the run itself created the pod"
        );
    }

    #[test]
    fn rollout_with_old_pod_is_waiting() {
        let mut observed = observed();
        let mut rolling = deployment(2);
        rolling["status"]["replicas"] = json!(2);
        observed.apply(0, TrackedKind::Deployment, &rolling, at(1)).unwrap();
        let evaluation = evaluate(&observed, &expected(true), &GracePeriods::starting_at(at(0)), at(1));
        assert_eq!(evaluation.verdict, Verdict::Waiting { until: None });
    }

    #[test]
    fn rejected_replica_set_asks_for_its_webhook() {
        let of = |message: &str| {
            let mut observed = observed();
            let failed = json!({"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": message,
                "lastTransitionTime": at(1).to_string()});
            let set = replica_set(&json!([failed]));
            observed.apply(0, TrackedKind::ReplicaSet, &set, at(1)).unwrap();
            let grace = GracePeriods::starting_at(at(0));
            let mut findings = evaluate(&observed, &expected(true), &grace, at(70)).findings;
            assert_eq!((findings.len(), findings[0].id), (1, Id::PodsRejected));
            findings.swap_remove(0).lookups
        };
        let silent =
            "Internal error occurred: failed calling webhook \"pods.example.io\": context deadline exceeded";
        assert_eq!(of(silent), [Lookup::Webhook("pods.example.io".to_owned())]);
        assert_eq!(of("admission webhook \"pods.example.io\" denied the request: no"), []);
    }

    #[test]
    fn preempted_pod_is_named_where_its_replacement_finds_no_node() {
        let mut observed = observed();
        let mut victim = pod(&json!({}), 0, false);
        victim["metadata"]["name"] = json!("victim");
        victim["metadata"]["uid"] = json!("victim");
        victim["metadata"]["deletionTimestamp"] = json!(at(60).to_string());
        victim["status"]["conditions"] = json!([{"type": "DisruptionTarget", "status": "True",
            "reason": "PreemptionByScheduler", "message": "preempting to accommodate a higher priority pod"}]);
        let mut replacement = pod(&json!({}), 0, false);
        replacement["spec"].as_object_mut().unwrap().remove("nodeName");
        replacement["status"] = json!({"phase": "Pending", "conditions": [{"type": "PodScheduled",
            "status": "False", "reason": "Unschedulable", "lastTransitionTime": at(30).to_string(),
            "message": "0/1 nodes are available: 1 Insufficient cpu."}]});
        for object in [&victim, &replacement] {
            observed.apply(0, TrackedKind::Pod, object, at(30)).unwrap();
        }
        let preempted = json!({"metadata": {"uid": "event"}, "involvedObject": {"uid": "victim"}, "reason": "Preempted",
            "message": "Preempted by pod 6f1c on node n", "eventTime": at(29).to_string(),
            "related": {"kind": "Pod", "namespace": "batch", "name": "urgent", "apiVersion": "v1"}});
        observed.apply(0, TrackedKind::Event, &preempted, at(30)).unwrap();
        let evaluation = evaluate(&observed, &expected(true), &GracePeriods::starting_at(at(0)), at(45));
        assert_eq!(evaluation.findings[0].id, Id::Unschedulable);
        assert_eq!(
            evaluation.findings[0].evidence,
            [
                "pod/victim: PreemptionByScheduler: preempting to accommodate a higher priority pod",
                "pod/victim: Preempted at 08:00:29Z: Preempted by pod 6f1c on node n, which is pod/urgent in namespace batch"
            ]
        );
    }

    #[test]
    fn crash_is_final_after_two_restarts() {
        let mut observed = observed();
        let crashed = json!({"terminated": {"exitCode": 3, "reason": "Error",
            "startedAt": at(3).to_string(), "finishedAt": at(4).to_string()}});
        for (restarts, expected) in [(0, false), (1, false), (2, true)] {
            observed.apply(0, TrackedKind::Pod, &pod(&crashed, restarts, false), at(5)).unwrap();
            assert_eq!(verdict(&observed, 5) == Verdict::Failed, expected, "{restarts} restarts");
        }
    }

    /// An application that has run since second 20 and is not ready, after this many restarts.
    fn unready(restarts: i32) -> ObservedState {
        let mut observed = observed();
        let running = json!({"running": {"startedAt": at(20).to_string()}});
        let mut pod = pod(&running, restarts, false);
        if restarts > 0 {
            pod["status"]["containerStatuses"][0]["lastState"] = json!({"terminated": {"exitCode": 3, "reason": "Error",
                "startedAt": at(8).to_string(), "finishedAt": at(9).to_string()}});
        }
        observed.apply(0, TrackedKind::Pod, &pod, at(21)).unwrap();
        observed
    }

    fn failed_probe(second: i64) -> Value {
        json!({"metadata": {"uid": "probe"}, "reason": "Unhealthy", "count": 1,
            "involvedObject": {"uid": "pod", "fieldPath": "spec.containers{app}"},
            "message": "Readiness probe failed: HTTP probe failed with statuscode: 500",
            "firstTimestamp": at(second).to_string(), "lastTimestamp": at(second).to_string()})
    }

    fn outside_of_a_run(observed: &ObservedState) -> Evaluation {
        evaluate(observed, &expected(false), &GracePeriods::starting_at(Timestamp::UNIX_EPOCH), at(30))
    }

    #[test]
    fn probe_that_fails_within_its_window_is_a_symptom() {
        let mut observed = unready(0);
        assert_eq!(outside_of_a_run(&observed).symptoms, [], "it has not failed yet");
        observed.apply(0, TrackedKind::Event, &failed_probe(25), at(25)).unwrap();
        let evaluation = outside_of_a_run(&observed);
        assert_eq!(evaluation.findings, []);
        let [symptom] = evaluation.symptoms.as_slice() else { panic!("{:?}", evaluation.symptoms) };
        assert_eq!(symptom.id, Id::NotReady);
        assert_eq!(symptom.message, "Readiness probe failed: HTTP probe failed with statuscode: 500");
    }

    #[test]
    fn restarted_container_is_in_its_crash_loop_outside_of_a_run() {
        let first = outside_of_a_run(&unready(1));
        assert_eq!((first.findings.len(), first.symptoms[0].id), (0, Id::CrashLoop));
        assert_eq!(first.objects[0].message, "0/1: crashed with exit code 3");
        let evaluation = outside_of_a_run(&unready(2));
        assert_eq!(evaluation.symptoms, [], "the finding is final");
        let crash = &evaluation.findings[0];
        assert_eq!((crash.id, crash.message.as_str()), (Id::CrashLoop, "exit code 3"));
        assert!(matches!(crash.lookups[..], [Lookup::Log { run: LogRun::Previous, .. }]), "{crash:?}");
        let followed = evaluate(&unready(2), &expected(true), &GracePeriods::starting_at(at(0)), at(30));
        assert_eq!(
            (followed.findings.len(), followed.pending[0].id),
            (0, Id::NotReady),
            "the next end tells"
        );
    }

    #[test]
    fn container_that_outlasts_its_back_off_is_in_no_crash_loop() {
        let mut observed = unready(2);
        observed.apply(0, TrackedKind::Event, &failed_probe(619), at(619)).unwrap();
        assert_eq!(outside_of_a_run(&observed).findings[0].id, Id::CrashLoop);
        observed.apply(0, TrackedKind::Event, &failed_probe(620), at(620)).unwrap();
        let evaluation = outside_of_a_run(&observed);
        assert_eq!((evaluation.findings.len(), evaluation.symptoms[0].id), (0, Id::NotReady));
    }

    #[test]
    fn count_of_ready_pods_older_than_a_crash_is_not_ready() {
        let mut observed = observed();
        observed.apply(0, TrackedKind::Deployment, &deployment(1), at(4)).unwrap();
        let running = json!({"running": {"startedAt": at(2).to_string()}});
        observed.apply(0, TrackedKind::Pod, &pod(&running, 0, true), at(4)).unwrap();
        assert_eq!(verdict(&observed, 60), Verdict::Ready);
        let crashed = json!({"terminated": {"exitCode": 3, "reason": "Error",
            "startedAt": at(3).to_string(), "finishedAt": at(4).to_string()}});
        observed.apply(0, TrackedKind::Pod, &pod(&crashed, 1, false), at(5)).unwrap();
        assert_eq!(verdict(&observed, 60), Verdict::Waiting { until: None });
    }

    #[test]
    fn quota_fault_heals_within_grace() {
        let mut observed = observed();
        let failure = json!([{"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate",
            "message": "pods \"a\" is forbidden: exceeded quota: team", "lastTransitionTime": at(2).to_string()}]);
        observed.apply(0, TrackedKind::ReplicaSet, &replica_set(&failure), at(2)).unwrap();
        assert_eq!(verdict(&observed, 3), Verdict::Waiting { until: Some(at(7)) });
        assert_eq!(verdict(&observed, 7), Verdict::Failed);
        observed.apply(0, TrackedKind::ReplicaSet, &replica_set(&json!([])), at(8)).unwrap();
        assert_eq!(verdict(&observed, 8), Verdict::Waiting { until: None });
    }

    #[test]
    fn deleted_object_fails_and_unobserved_object_waits() {
        let mut observed = ObservedState::default();
        assert_eq!(verdict(&observed, 0), Verdict::Waiting { until: None });
        observed.apply(0, TrackedKind::Deployment, &deployment(1), at(0)).unwrap();
        assert_eq!(verdict(&observed, 0), Verdict::Ready);
        observed.replace(0, TrackedKind::Deployment, &[], at(1)).unwrap();
        let evaluation = evaluate(&observed, &expected(true), &GracePeriods::starting_at(at(0)), at(1));
        assert_eq!((evaluation.verdict, evaluation.findings[0].id), (Verdict::Failed, Id::Deleted));
    }

    #[test]
    fn unobserved_generation_is_waiting() {
        let mut observed = ObservedState::default();
        observed.apply(0, TrackedKind::Deployment, &deployment(1), at(0)).unwrap();
        let mut ahead = expected(true);
        ahead[0].generation = 2;
        let evaluation = evaluate(&observed, &ahead, &GracePeriods::starting_at(at(0)), at(1));
        assert_eq!(evaluation.verdict, Verdict::Waiting { until: None });
    }

    #[test]
    fn object_of_untracked_kind_is_ready_when_it_exists() {
        let id = ObjectId::namespaced("", "ConfigMap", "hands", "c");
        let config_map = Expected { id, uid: "c".into(), generation: 0, changed: true };
        let evaluation =
            evaluate(&ObservedState::default(), &[config_map], &GracePeriods::starting_at(at(0)), at(0));
        assert_eq!(evaluation.verdict, Verdict::Ready);
    }
}
