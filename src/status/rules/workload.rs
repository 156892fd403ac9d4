//! The workloads beside Deployments: `StatefulSet`, Job, `ReplicaSet`, Pod.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{ReplicaSet, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;

use super::fault::Symptom;
use super::object_status::{Outlook, Pods, joined, settled};
use super::pod_facts::{self, Purpose};
use super::{admission, pod, text};
use crate::catalogue::Id;
use crate::status::grace::Tolerance;
use crate::status::observed::state::World;
use crate::status::verdict::Expected;

/// Judges a `StatefulSet`: all replicas of the update revision and ready; of a partitioned one those above the
/// partition; `OnDelete` leaves old pods alone.
pub(crate) fn stateful_set(
    world: &World,
    expected: &Expected,
    set: &StatefulSet,
    tolerance: &Tolerance,
) -> Outlook {
    let spec = set.spec.as_ref();
    let status = set.status.as_ref();
    let wanted = spec.and_then(|spec| spec.replicas).unwrap_or(1);
    let ready = status.and_then(|status| status.ready_replicas).unwrap_or_default();
    let available = status.and_then(|status| status.available_replicas).unwrap_or_default();
    let updated = status.and_then(|status| status.updated_replicas).unwrap_or_default();
    let state = format!("{available}/{wanted}");
    let observed = status.and_then(|status| status.observed_generation).unwrap_or_default();
    if observed < set.metadata.generation.unwrap_or_default().max(expected.generation) {
        return Outlook::waiting(joined(&state, "its controller has not seen the change"));
    }
    let strategy = spec.and_then(|spec| spec.update_strategy.as_ref());
    let on_delete = strategy.and_then(|strategy| strategy.type_.as_deref()) == Some("OnDelete");
    let partition =
        strategy.and_then(|it| it.rolling_update.as_ref()).and_then(|it| it.partition).unwrap_or_default();
    let must_update = if on_delete { 0 } else { (wanted - partition).max(0) };
    let uid = set.metadata.uid.as_deref().unwrap_or_default();
    if ready >= wanted && available >= wanted && updated >= must_update {
        let pods = Pods::of(world, tolerance, world.pods_of(uid), Purpose::Serve);
        return Outlook { settles: pods.up_since().map(settled), ..Outlook::ready(state) };
    }
    let revision = status.and_then(|status| status.update_revision.as_deref());
    let all = world.pods_of(uid);
    let have = all.iter().filter(|pod| !pod_facts::has_failed(pod)).count();
    let (new, old): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|pod| on_delete || revision_of(pod) == revision);
    let blocked = old.iter().any(|pod| !pod_facts::is_stopping(pod) && !is_ready(pod));
    let pods = Pods::of(world, tolerance, new, Purpose::Serve);
    let wanted = usize::try_from(wanted).unwrap_or_default();
    let mut symptoms: Vec<Symptom> =
        (have < wanted).then(|| refused(world, expected, uid, tolerance)).flatten().into_iter().collect();
    symptoms.extend(pods.symptoms.iter().cloned());
    let idle =
        if blocked { "an old pod that is not ready holds up the rollout" } else { "waiting for its pods" };
    let message = joined(&state, pods.gap(&symptoms).as_deref().unwrap_or(idle));
    Outlook { symptoms, wanted, ..Outlook::waiting(message) }
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
fn refused(world: &World, expected: &Expected, uid: &str, tolerance: &Tolerance) -> Option<Symptom> {
    let failed = world.notes.latest(uid, &["FailedCreate"])?;
    let created = world.notes.latest(uid, &["SuccessfulCreate"]);
    if created.is_some_and(|created| created.last > failed.last) {
        return None;
    }
    let born =
        world.metadata(uid).and_then(|metadata| metadata.creation_timestamp.as_ref()).map(|time| time.0);
    Some(admission::symptom(expected.id.clone(), &failed.message, Some(failed.first), born, tolerance))
}

/// Judges a Job: it must complete.
pub(crate) fn job(world: &World, expected: &Expected, job: &Job, tolerance: &Tolerance) -> Outlook {
    let status = job.status.as_ref();
    let wanted = job.spec.as_ref().and_then(|spec| spec.completions.or(spec.parallelism)).unwrap_or(1);
    let done = status.and_then(|status| status.succeeded).unwrap_or_default();
    let state = format!("{done}/{wanted}");
    let condition = |kind: &str| {
        let conditions = status.iter().flat_map(|status| status.conditions.iter().flatten());
        conditions.into_iter().find(|condition| condition.type_ == kind && condition.status == "True")
    };
    if condition("Complete").is_some() {
        return Outlook::ready(state);
    }
    let uid = job.metadata.uid.as_deref().unwrap_or_default();
    // `FailureTarget` comes first, `Failed` once the last pod is gone.
    if let Some(failed) = condition("Failed").or_else(|| condition("FailureTarget")) {
        let reason = failed.reason.as_deref().unwrap_or("Failed");
        let message = format!("{reason}: {}", failed.message.as_deref().unwrap_or_default());
        let symptom =
            with_last_pod(world, uid, Symptom::new(Id::JobFailed, expected.id.clone(), message, "it failed"));
        return Outlook::faulty(&state, symptom);
    }
    let pods = Pods::of(world, tolerance, world.pods_of(uid), Purpose::Complete);
    let mut symptoms: Vec<Symptom> = refused(world, expected, uid, tolerance).into_iter().collect();
    if !pods.live.is_empty() {
        symptoms.clear();
    }
    symptoms.extend(pods.symptoms.iter().cloned());
    let idle = if condition("Suspended").is_some() { "suspended" } else { "waiting for its pod" };
    let message = joined(&state, pods.gap(&symptoms).as_deref().unwrap_or(idle));
    Outlook { symptoms, wanted: usize::try_from(wanted).unwrap_or_default(), ..Outlook::waiting(message) }
}

/// How the Job's last pod ended, where it is still there.
fn with_last_pod(world: &World, uid: &str, symptom: Symptom) -> Symptom {
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
    world: &World,
    expected: &Expected,
    set: &ReplicaSet,
    tolerance: &Tolerance,
) -> Outlook {
    let wanted = set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    let status = set.status.as_ref();
    let available = status.and_then(|status| status.available_replicas).unwrap_or_default();
    let state = format!("{available}/{wanted}");
    let observed = status.and_then(|status| status.observed_generation).unwrap_or_default();
    if observed < set.metadata.generation.unwrap_or_default().max(expected.generation) {
        return Outlook::waiting(joined(&state, "its controller has not seen the change"));
    }
    if available >= wanted && status.is_some_and(|status| status.replicas == wanted) {
        return Outlook::ready(state);
    }
    let uid = set.metadata.uid.as_deref().unwrap_or_default();
    let pods = Pods::of(world, tolerance, world.pods_of(uid), Purpose::Serve);
    let failure = status.and_then(|status| {
        status.conditions.iter().flatten().find(|it| it.type_ == "ReplicaFailure" && it.status == "True")
    });
    let born: Option<Timestamp> = set.metadata.creation_timestamp.as_ref().map(|time| time.0);
    let mut symptoms: Vec<Symptom> = failure
        .map(|failure| {
            let since = failure.last_transition_time.as_ref().map(|time| time.0);
            let message = failure.message.as_deref().unwrap_or_default();
            admission::symptom(expected.id.clone(), message, since, born, tolerance)
        })
        .into_iter()
        .collect();
    symptoms.extend(pods.symptoms.iter().cloned());
    let message = joined(&state, pods.gap(&symptoms).as_deref().unwrap_or("waiting for its pods"));
    Outlook { symptoms, wanted: usize::try_from(wanted).unwrap_or_default(), ..Outlook::waiting(message) }
}

/// Judges a pod that belongs to the set itself: ready, or ended well.
pub(crate) fn lone_pod(world: &World, pod: &Pod, tolerance: &Tolerance) -> Outlook {
    if pod_facts::has_succeeded(pod) {
        return Outlook::ready("Succeeded");
    }
    if pod_facts::has_failed(pod) {
        return Outlook::faulty("Failed", pod::failed(world, tolerance, pod));
    }
    let restarts = pod.spec.as_ref().and_then(|spec| spec.restart_policy.as_deref()).unwrap_or("Always");
    let purpose = if restarts == "Always" { Purpose::Serve } else { Purpose::Complete };
    let outlook = pod::look(world, tolerance, pod, purpose);
    if outlook.ready && purpose == Purpose::Serve {
        return Outlook { settles: outlook.up_since.map(settled), ..Outlook::ready("1/1") };
    }
    let gap = outlook.symptoms.first().map(|symptom| symptom.gap.as_str()).or(outlook.gap.as_deref());
    let message = joined("0/1", gap.unwrap_or("running"));
    Outlook { symptoms: outlook.symptoms, wanted: 1, ..Outlook::waiting(message) }
}
