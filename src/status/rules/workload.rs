//! The health of workloads other than Deployments: `StatefulSet`, Job, `ReplicaSet`, Pod.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{ReplicaSet, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;

use super::fault::Fault;
use super::object_status::{ObjectHealth, WorkloadPods, stable_at, with_reason};
use super::pod_facts::{self, PodFacts, RunMode};
use super::{admission, pod, text};
use crate::catalogue::Id;
use crate::object::condition;
use crate::status::finding::LogRun;
use crate::status::grace::GracePeriods;
use crate::status::observed::state::ObservedState;
use crate::status::verdict::Expected;

/// Evaluates a `StatefulSet`: all replicas must be ready and have the update revision. With a partition only the pods
/// at or above it must be updated; with `OnDelete` none.
pub(crate) fn stateful_set(
    observed: &ObservedState,
    expected: &Expected,
    set: &StatefulSet,
    grace: &GracePeriods,
) -> ObjectHealth {
    let spec = set.spec.as_ref();
    let status = set.status.as_ref();
    let desired = spec.and_then(|spec| spec.replicas).unwrap_or(1);
    let ready = status.and_then(|status| status.ready_replicas).unwrap_or_default();
    let available = status.and_then(|status| status.available_replicas).unwrap_or_default();
    let updated = status.and_then(|status| status.updated_replicas).unwrap_or_default();
    let state = format!("{available}/{desired}");
    let observed_generation = status.and_then(|status| status.observed_generation).unwrap_or_default();
    if observed_generation < set.metadata.generation.unwrap_or_default().max(expected.generation) {
        return ObjectHealth::waiting(with_reason(&state, "its controller has not observed the change"));
    }
    let strategy = spec.and_then(|spec| spec.update_strategy.as_ref());
    let on_delete = strategy.and_then(|strategy| strategy.type_.as_deref()) == Some("OnDelete");
    let partition =
        strategy.and_then(|it| it.rolling_update.as_ref()).and_then(|it| it.partition).unwrap_or_default();
    let must_update = if on_delete { 0 } else { (desired - partition).max(0) };
    let uid = set.metadata.uid.as_deref().unwrap_or_default();
    let pods = WorkloadPods::new(observed, grace, observed.pods_of(uid), RunMode::LongRunning);
    if ready >= desired && available >= desired && updated >= must_update && pods.are_ready(desired) {
        return ObjectHealth { stable_at: pods.up_since().map(stable_at), ..ObjectHealth::ready(state) };
    }
    let revision = status.and_then(|status| status.update_revision.as_deref());
    let all = observed.pods_of(uid);
    let current = all.iter().filter(|pod| !pod_facts::has_failed(pod)).count();
    let (new, old): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|pod| on_delete || revision_of(pod) == revision);
    let is_blocked =
        old.iter().any(|pod| !pod_facts::is_stopping(pod) && condition::ready_pod(pod).is_none());
    let pods = WorkloadPods::new(observed, grace, new, RunMode::LongRunning);
    let desired = usize::try_from(desired).unwrap_or_default();
    let mut faults: Vec<Fault> = (current < desired)
        .then(|| rejection_fault(observed, expected, uid, grace))
        .flatten()
        .into_iter()
        .collect();
    faults.extend(pods.faults.iter().cloned());
    let idle_reason =
        if is_blocked { "an old pod that is not ready blocks the rollout" } else { "waiting for its pods" };
    let message = with_reason(&state, pods.reason(&faults).as_deref().unwrap_or(idle_reason));
    ObjectHealth { faults, desired, ..ObjectHealth::waiting(message) }
}

fn revision_of(pod: &Pod) -> Option<&str> {
    pod.metadata.labels.as_ref()?.get("controller-revision-hash").map(String::as_str)
}

/// Returns the fault of pods that the API server rejects. These controllers report it only with an Event, which
/// outlives the fault. So the Event counts only while pods are missing and none was created after it.
pub(super) fn rejection_fault(
    observed: &ObservedState,
    expected: &Expected,
    uid: &str,
    grace: &GracePeriods,
) -> Option<Fault> {
    let failed = observed.events.latest(uid, &["FailedCreate"])?;
    let created = observed.events.latest(uid, &["SuccessfulCreate"]);
    if created.is_some_and(|created| created.last > failed.last) {
        return None;
    }
    let created =
        observed.metadata(uid).and_then(|metadata| metadata.creation_timestamp.as_ref()).map(|time| time.0);
    Some(admission::rejection_fault(expected.id.clone(), &failed.message, Some(failed.first), created, grace))
}

/// Evaluates a Job. It is ready when it has completed.
pub(crate) fn job(
    observed: &ObservedState,
    expected: &Expected,
    job: &Job,
    grace: &GracePeriods,
) -> ObjectHealth {
    let status = job.status.as_ref();
    let desired = job.spec.as_ref().and_then(|spec| spec.completions.or(spec.parallelism)).unwrap_or(1);
    let succeeded = status.and_then(|status| status.succeeded).unwrap_or_default();
    let state = format!("{succeeded}/{desired}");
    let condition = |kind: &str| {
        let conditions = status.iter().flat_map(|status| status.conditions.iter().flatten());
        conditions.into_iter().find(|condition| condition.type_ == kind && condition.status == "True")
    };
    if condition("Complete").is_some() {
        return ObjectHealth::ready(state);
    }
    let uid = job.metadata.uid.as_deref().unwrap_or_default();
    // The controller sets `FailureTarget` first, and `Failed` after the last pod has terminated.
    if let Some(failed) = condition("Failed").or_else(|| condition("FailureTarget")) {
        let reason = failed.reason.as_deref().unwrap_or("Failed");
        let message = format!("{reason}: {}", failed.message.as_deref().unwrap_or_default());
        let fault = with_last_pod(
            observed,
            grace,
            uid,
            Fault::new(Id::JobFailed, expected.id.clone(), message, "it failed"),
        );
        return ObjectHealth::faulty(&state, fault);
    }
    let pods = WorkloadPods::new(observed, grace, observed.pods_of(uid), RunMode::ToCompletion);
    let mut faults: Vec<Fault> = rejection_fault(observed, expected, uid, grace).into_iter().collect();
    if !pods.live.is_empty() {
        faults.clear();
    }
    faults.extend(pods.faults.iter().cloned());
    let idle_reason = if condition("Suspended").is_some() { "suspended" } else { "waiting for its pod" };
    let message = with_reason(&state, pods.reason(&faults).as_deref().unwrap_or(idle_reason));
    ObjectHealth {
        faults,
        desired: usize::try_from(desired).unwrap_or_default(),
        ..ObjectHealth::waiting(message)
    }
}

/// Adds the exit code and log of the Job's last failed pod, if the pod still exists.
fn with_last_pod(observed: &ObservedState, grace: &GracePeriods, uid: &str, fault: Fault) -> Fault {
    let created_at = |pod: &&Pod| pod.metadata.creation_timestamp.as_ref().map(|time| time.0);
    let Some(pod) =
        observed.pods_of(uid).into_iter().filter(|pod| pod_facts::has_failed(pod)).max_by_key(created_at)
    else {
        return fault;
    };
    let failed_container = crate::status::observed::first_seen::statuses(pod).find_map(|status| {
        let end = status.state.as_ref()?.terminated.as_ref()?;
        (end.exit_code != 0).then_some((status, end))
    });
    match failed_container {
        None => fault,
        Some((status, end)) => fault
            .container(&status.name)
            .evidence([format!("{}: {}", pod_facts::id_of(pod), text::exit_code_text(end))])
            .lookup(PodFacts::new(observed, grace, pod).log(&status.name, LogRun::Latest)),
    }
}

/// Evaluates a `ReplicaSet` that is a member of the set.
pub(crate) fn replica_set(
    observed: &ObservedState,
    expected: &Expected,
    set: &ReplicaSet,
    grace: &GracePeriods,
) -> ObjectHealth {
    let desired = set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    let status = set.status.as_ref();
    let available = status.and_then(|status| status.available_replicas).unwrap_or_default();
    let state = format!("{available}/{desired}");
    let observed_generation = status.and_then(|status| status.observed_generation).unwrap_or_default();
    if observed_generation < set.metadata.generation.unwrap_or_default().max(expected.generation) {
        return ObjectHealth::waiting(with_reason(&state, "its controller has not observed the change"));
    }
    if available >= desired && status.is_some_and(|status| status.replicas == desired) {
        return ObjectHealth::ready(state);
    }
    let uid = set.metadata.uid.as_deref().unwrap_or_default();
    let pods = WorkloadPods::new(observed, grace, observed.pods_of(uid), RunMode::LongRunning);
    let failure = status.and_then(|status| {
        status.conditions.iter().flatten().find(|it| it.type_ == "ReplicaFailure" && it.status == "True")
    });
    let created: Option<Timestamp> = set.metadata.creation_timestamp.as_ref().map(|time| time.0);
    let mut faults: Vec<Fault> = failure
        .map(|failure| {
            let since = failure.last_transition_time.as_ref().map(|time| time.0);
            let message = failure.message.as_deref().unwrap_or_default();
            admission::rejection_fault(expected.id.clone(), message, since, created, grace)
        })
        .into_iter()
        .collect();
    faults.extend(pods.faults.iter().cloned());
    let message = with_reason(&state, pods.reason(&faults).as_deref().unwrap_or("waiting for its pods"));
    ObjectHealth {
        faults,
        desired: usize::try_from(desired).unwrap_or_default(),
        ..ObjectHealth::waiting(message)
    }
}

/// Returns whether the containers of a pod without a controller run for ever.
pub(super) fn mode_of(pod: &Pod) -> RunMode {
    let restart_policy = pod.spec.as_ref().and_then(|spec| spec.restart_policy.as_deref());
    if restart_policy.is_none_or(|policy| policy == "Always") {
        RunMode::LongRunning
    } else {
        RunMode::ToCompletion
    }
}

/// Evaluates a pod that is a member of the set. It must be ready, or succeeded if its containers complete.
pub(crate) fn bare_pod(observed: &ObservedState, pod: &Pod, grace: &GracePeriods) -> ObjectHealth {
    if pod_facts::has_succeeded(pod) {
        return ObjectHealth::ready("Succeeded");
    }
    if pod_facts::has_failed(pod) {
        return ObjectHealth::faulty("Failed", pod::failure(observed, grace, pod));
    }
    let mode = mode_of(pod);
    let health = pod::evaluate(observed, grace, pod, mode);
    if health.ready && mode == RunMode::LongRunning {
        return ObjectHealth { stable_at: health.up_since.map(stable_at), ..ObjectHealth::ready("1/1") };
    }
    let reason = health.faults.first().map(|fault| fault.reason.as_str()).or(health.reason.as_deref());
    let message = with_reason("0/1", reason.unwrap_or("running"));
    ObjectHealth { faults: health.faults, desired: 1, ..ObjectHealth::waiting(message) }
}
