//! The workloads beside Deployments: `StatefulSet`, Job, `ReplicaSet`, Pod.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{ReplicaSet, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;

use super::fault::Fault;
use super::object_status::{ObjectHealth, WorkloadPods, stable_at, with_reason};
use super::pod_facts::{self, RunMode};
use super::{admission, pod, text};
use crate::catalogue::Id;
use crate::status::grace::GracePeriods;
use crate::status::observed::state::ObservedState;
use crate::status::verdict::Expected;

/// Judges a `StatefulSet`: all replicas of the update revision and ready; of a partitioned one those above the
/// partition; `OnDelete` leaves old pods alone.
pub(crate) fn stateful_set(
    world: &ObservedState,
    expected: &Expected,
    set: &StatefulSet,
    tolerance: &GracePeriods,
) -> ObjectHealth {
    let spec = set.spec.as_ref();
    let status = set.status.as_ref();
    let wanted = spec.and_then(|spec| spec.replicas).unwrap_or(1);
    let ready = status.and_then(|status| status.ready_replicas).unwrap_or_default();
    let available = status.and_then(|status| status.available_replicas).unwrap_or_default();
    let updated = status.and_then(|status| status.updated_replicas).unwrap_or_default();
    let state = format!("{available}/{wanted}");
    let observed = status.and_then(|status| status.observed_generation).unwrap_or_default();
    if observed < set.metadata.generation.unwrap_or_default().max(expected.generation) {
        return ObjectHealth::waiting(with_reason(&state, "its controller has not seen the change"));
    }
    let strategy = spec.and_then(|spec| spec.update_strategy.as_ref());
    let on_delete = strategy.and_then(|strategy| strategy.type_.as_deref()) == Some("OnDelete");
    let partition =
        strategy.and_then(|it| it.rolling_update.as_ref()).and_then(|it| it.partition).unwrap_or_default();
    let must_update = if on_delete { 0 } else { (wanted - partition).max(0) };
    let uid = set.metadata.uid.as_deref().unwrap_or_default();
    if ready >= wanted && available >= wanted && updated >= must_update {
        let pods = WorkloadPods::new(world, tolerance, world.pods_of(uid), RunMode::LongRunning);
        return ObjectHealth { stable_at: pods.up_since().map(stable_at), ..ObjectHealth::ready(state) };
    }
    let revision = status.and_then(|status| status.update_revision.as_deref());
    let all = world.pods_of(uid);
    let have = all.iter().filter(|pod| !pod_facts::has_failed(pod)).count();
    let (new, old): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|pod| on_delete || revision_of(pod) == revision);
    let blocked = old.iter().any(|pod| !pod_facts::is_stopping(pod) && !is_ready(pod));
    let pods = WorkloadPods::new(world, tolerance, new, RunMode::LongRunning);
    let wanted = usize::try_from(wanted).unwrap_or_default();
    let mut symptoms: Vec<Fault> =
        (have < wanted).then(|| refused(world, expected, uid, tolerance)).flatten().into_iter().collect();
    symptoms.extend(pods.faults.iter().cloned());
    let idle =
        if blocked { "an old pod that is not ready holds up the rollout" } else { "waiting for its pods" };
    let message = with_reason(&state, pods.gap(&symptoms).as_deref().unwrap_or(idle));
    ObjectHealth { faults: symptoms, wanted, ..ObjectHealth::waiting(message) }
}

fn revision_of(pod: &Pod) -> Option<&str> {
    pod.metadata.labels.as_ref()?.get("controller-revision-hash").map(String::as_str)
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// The API server refuses the pods. These controllers have no condition for it, only an event, which outlives
/// the fault: it counts while pods are missing and none was created since.
fn refused(world: &ObservedState, expected: &Expected, uid: &str, tolerance: &GracePeriods) -> Option<Fault> {
    let failed = world.events.latest(uid, &["FailedCreate"])?;
    let created = world.events.latest(uid, &["SuccessfulCreate"]);
    if created.is_some_and(|created| created.last > failed.last) {
        return None;
    }
    let born =
        world.metadata(uid).and_then(|metadata| metadata.creation_timestamp.as_ref()).map(|time| time.0);
    Some(admission::symptom(expected.id.clone(), &failed.message, Some(failed.first), born, tolerance))
}

/// Judges a Job: it must complete.
pub(crate) fn job(
    world: &ObservedState,
    expected: &Expected,
    job: &Job,
    tolerance: &GracePeriods,
) -> ObjectHealth {
    let status = job.status.as_ref();
    let wanted = job.spec.as_ref().and_then(|spec| spec.completions.or(spec.parallelism)).unwrap_or(1);
    let done = status.and_then(|status| status.succeeded).unwrap_or_default();
    let state = format!("{done}/{wanted}");
    let condition = |kind: &str| {
        let conditions = status.iter().flat_map(|status| status.conditions.iter().flatten());
        conditions.into_iter().find(|condition| condition.type_ == kind && condition.status == "True")
    };
    if condition("Complete").is_some() {
        return ObjectHealth::ready(state);
    }
    let uid = job.metadata.uid.as_deref().unwrap_or_default();
    // `FailureTarget` comes first, `Failed` once the last pod is gone.
    if let Some(failed) = condition("Failed").or_else(|| condition("FailureTarget")) {
        let reason = failed.reason.as_deref().unwrap_or("Failed");
        let message = format!("{reason}: {}", failed.message.as_deref().unwrap_or_default());
        let symptom =
            with_last_pod(world, uid, Fault::new(Id::JobFailed, expected.id.clone(), message, "it failed"));
        return ObjectHealth::faulty(&state, symptom);
    }
    let pods = WorkloadPods::new(world, tolerance, world.pods_of(uid), RunMode::ToCompletion);
    let mut symptoms: Vec<Fault> = refused(world, expected, uid, tolerance).into_iter().collect();
    if !pods.live.is_empty() {
        symptoms.clear();
    }
    symptoms.extend(pods.faults.iter().cloned());
    let idle = if condition("Suspended").is_some() { "suspended" } else { "waiting for its pod" };
    let message = with_reason(&state, pods.gap(&symptoms).as_deref().unwrap_or(idle));
    ObjectHealth {
        faults: symptoms,
        wanted: usize::try_from(wanted).unwrap_or_default(),
        ..ObjectHealth::waiting(message)
    }
}

/// How the Job's last pod ended, where it is still there.
fn with_last_pod(world: &ObservedState, uid: &str, symptom: Fault) -> Fault {
    let born = |pod: &&Pod| pod.metadata.creation_timestamp.as_ref().map(|time| time.0);
    let Some(pod) = world.pods_of(uid).into_iter().filter(|pod| pod_facts::has_failed(pod)).max_by_key(born)
    else {
        return symptom;
    };
    let ended = crate::status::observed::first_seen::statuses(pod).find_map(|status| {
        let end = status.state.as_ref()?.terminated.as_ref()?;
        (end.exit_code != 0).then_some((status, end))
    });
    match ended {
        None => symptom,
        Some((status, end)) => symptom
            .container(&status.name)
            .evidence([format!("{}: {}", pod_facts::id_of(pod), text::ended(end))])
            .lookup(crate::status::finding::Lookup::Log {
                pod: pod_facts::id_of(pod),
                container: status.name.clone(),
                previous: false,
            }),
    }
}

/// Judges a `ReplicaSet` that belongs to the set itself.
pub(crate) fn replica_set(
    world: &ObservedState,
    expected: &Expected,
    set: &ReplicaSet,
    tolerance: &GracePeriods,
) -> ObjectHealth {
    let wanted = set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    let status = set.status.as_ref();
    let available = status.and_then(|status| status.available_replicas).unwrap_or_default();
    let state = format!("{available}/{wanted}");
    let observed = status.and_then(|status| status.observed_generation).unwrap_or_default();
    if observed < set.metadata.generation.unwrap_or_default().max(expected.generation) {
        return ObjectHealth::waiting(with_reason(&state, "its controller has not seen the change"));
    }
    if available >= wanted && status.is_some_and(|status| status.replicas == wanted) {
        return ObjectHealth::ready(state);
    }
    let uid = set.metadata.uid.as_deref().unwrap_or_default();
    let pods = WorkloadPods::new(world, tolerance, world.pods_of(uid), RunMode::LongRunning);
    let failure = status.and_then(|status| {
        status.conditions.iter().flatten().find(|it| it.type_ == "ReplicaFailure" && it.status == "True")
    });
    let born: Option<Timestamp> = set.metadata.creation_timestamp.as_ref().map(|time| time.0);
    let mut symptoms: Vec<Fault> = failure
        .map(|failure| {
            let since = failure.last_transition_time.as_ref().map(|time| time.0);
            let message = failure.message.as_deref().unwrap_or_default();
            admission::symptom(expected.id.clone(), message, since, born, tolerance)
        })
        .into_iter()
        .collect();
    symptoms.extend(pods.faults.iter().cloned());
    let message = with_reason(&state, pods.gap(&symptoms).as_deref().unwrap_or("waiting for its pods"));
    ObjectHealth {
        faults: symptoms,
        wanted: usize::try_from(wanted).unwrap_or_default(),
        ..ObjectHealth::waiting(message)
    }
}

/// Judges a pod that belongs to the set itself: ready, or ended well.
pub(crate) fn bare_pod(world: &ObservedState, pod: &Pod, tolerance: &GracePeriods) -> ObjectHealth {
    if pod_facts::has_succeeded(pod) {
        return ObjectHealth::ready("Succeeded");
    }
    if pod_facts::has_failed(pod) {
        return ObjectHealth::faulty("Failed", pod::failed(world, tolerance, pod));
    }
    let restarts = pod.spec.as_ref().and_then(|spec| spec.restart_policy.as_deref()).unwrap_or("Always");
    let purpose = if restarts == "Always" { RunMode::LongRunning } else { RunMode::ToCompletion };
    let outlook = pod::evaluate(world, tolerance, pod, purpose);
    if outlook.ready && purpose == RunMode::LongRunning {
        return ObjectHealth { stable_at: outlook.up_since.map(stable_at), ..ObjectHealth::ready("1/1") };
    }
    let gap = outlook.faults.first().map(|symptom| symptom.reason.as_str()).or(outlook.reason.as_deref());
    let message = with_reason("0/1", gap.unwrap_or("running"));
    ObjectHealth { faults: outlook.faults, wanted: 1, ..ObjectHealth::waiting(message) }
}
