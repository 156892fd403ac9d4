//! One pod: its containers, its place, its volumes.

use k8s_openapi::api::core::v1::{Container, ContainerStatus, Pod};

use super::container_status::{ContainerHealth, ContainerRole};
use super::fault::Fault;
use super::pod_facts::{PodFacts, PodHealth, RunMode};
use super::{container, scheduling, text};
use crate::catalogue::Id;
use crate::status::grace::{FinalAt, GracePeriods, final_after, later};
use crate::status::observed::state::ObservedState;

/// Judges one pod.
pub(crate) fn evaluate(
    world: &ObservedState,
    tolerance: &GracePeriods,
    pod: &Pod,
    purpose: RunMode,
) -> PodHealth {
    let view = PodFacts::new(world, tolerance, pod);
    if let Some(outlook) = scheduling::unscheduled(&view) {
        return outlook;
    }
    let containers = containers(pod, purpose);
    let mut outlook = PodHealth {
        ready: view.condition("Ready").is_some_and(|condition| condition.status == "True"),
        up_since: containers.iter().filter_map(|(spec, status, _)| container::up_since(spec, *status)).max(),
        ..PodHealth::default()
    };
    if outlook.ready {
        outlook.reason = (purpose == RunMode::ToCompletion).then(|| "running".to_owned());
        return outlook;
    }
    for (spec, status, role) in &containers {
        match container::evaluate(&view, spec, *status, *role) {
            ContainerHealth::Healthy => {}
            ContainerHealth::Progressing(gap) => {
                outlook.reason.get_or_insert(gap);
            }
            ContainerHealth::Faulty(symptom) => outlook.faults.push(*symptom),
        }
    }
    if outlook.faults.is_empty() {
        outlook.faults.extend(not_set_up(&view));
    }
    if outlook.reason.is_none() && outlook.faults.is_empty() {
        outlook.reason = Some(readiness_gate(&view).unwrap_or_else(|| "waiting for the kubelet".to_owned()));
    }
    outlook
}

type ContainerOfPod<'a> = (&'a Container, Option<&'a ContainerStatus>, ContainerRole);

/// The containers with their statuses, init containers first.
fn containers(pod: &Pod, purpose: RunMode) -> Vec<ContainerOfPod<'_>> {
    let Some(spec) = &pod.spec else { return Vec::new() };
    let init = spec.init_containers.iter().flatten().map(|container| {
        let sidecar = container.restart_policy.as_deref() == Some("Always");
        (container, if sidecar { ContainerRole::Runs } else { ContainerRole::Init })
    });
    let role = if purpose == RunMode::ToCompletion { ContainerRole::Completes } else { ContainerRole::Runs };
    let main = spec.containers.iter().map(|container| (container, role));
    let status =
        |name: &str| crate::status::observed::first_seen::statuses(pod).find(|status| status.name == name);
    init.chain(main).map(|(container, role)| (container, status(&container.name), role)).collect()
}

/// A pod whose sandbox or volumes cannot be set up: no container says so, only an event.
fn not_set_up(view: &PodFacts) -> Option<Fault> {
    let sandbox =
        view.condition("PodReadyToStartContainers").is_some_and(|condition| condition.status == "True");
    let created = crate::status::observed::first_seen::statuses(view.pod).any(|status| {
        let waits = status.state.as_ref().and_then(|state| state.waiting.as_ref());
        waits.is_none_or(|waits| {
            !matches!(waits.reason.as_deref(), Some("ContainerCreating" | "PodInitializing"))
        })
    });
    if sandbox || created {
        return None;
    }
    let failed = view.latest_event(&["FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox"])?;
    if view.latest_event(&["Pulling", "Pulled", "Created"]).is_some_and(|later| later.last > failed.last) {
        return None;
    }
    let grace = final_after(Some(failed.first), view.grace.image_pull);
    let symptom = if failed.reason == "FailedCreatePodSandBox" {
        view.pod_fault(Id::ContainerCannotStart, &failed.message, "the pod's sandbox cannot be created")
            .final_at(grace)
    } else if container::names_missing_reference(&failed.message) {
        let cause = missing(&failed.message);
        view.pod_fault(Id::MissingReference, &failed.message, cause).caused_by(cause)
    } else {
        view.pod_fault(Id::MountFailed, &failed.message, "a volume cannot be mounted").final_at(grace)
    };
    Some(symptom.evidence([text::times(failed)]))
}

/// `configmap "x" not found` of `MountVolume.SetUp failed for volume "config" : configmap "x" not found`.
fn missing(message: &str) -> &str {
    message.rsplit_once(" : ").map_or(message, |(_, cause)| cause)
}

/// The first readiness gate that is not open, when nothing else keeps the pod from being ready.
fn readiness_gate(view: &PodFacts) -> Option<String> {
    let gates = view.pod.spec.as_ref()?.readiness_gates.as_ref()?;
    let open = |kind: &str| view.condition(kind).is_some_and(|condition| condition.status == "True");
    let gate = gates.iter().find(|gate| !open(&gate.condition_type))?;
    Some(format!("readiness gate {}", gate.condition_type))
}

/// A pod that ended badly: evicted, refused by its node, or run out.
pub(crate) fn failed(world: &ObservedState, tolerance: &GracePeriods, pod: &Pod) -> Fault {
    let view = PodFacts::new(world, tolerance, pod);
    let status = pod.status.as_ref();
    let reason = status.and_then(|status| status.reason.as_deref());
    let said = status.and_then(|status| status.message.as_deref());
    let ended = crate::status::observed::first_seen::statuses(pod)
        .filter_map(|status| status.state.as_ref()?.terminated.as_ref().map(|end| (status, end)))
        .find(|(_, end)| end.exit_code != 0);
    let message = match (reason, said, ended) {
        (Some(reason), Some(said), _) => format!("{reason}: {}", said.trim()),
        (Some(reason), None, _) => reason.to_owned(),
        (None, Some(said), _) => said.trim().to_owned(),
        (None, None, Some((_, end))) => text::ended(end),
        (None, None, None) => "the pod's phase is Failed".to_owned(),
    };
    let gap = if reason == Some("Evicted") { "the pod was evicted" } else { "the pod failed" };
    let symptom = view.pod_fault(Id::PodFailed, &message, gap).caused_by(reason.unwrap_or(&message));
    match ended {
        Some((status, end)) => symptom
            .container(&status.name)
            .evidence((reason.is_some() || said.is_some()).then(|| text::ended(end)))
            .lookup(crate::status::finding::Lookup::Log {
                pod: view.id.clone(),
                container: status.name.clone(),
                previous: false,
            }),
        None => symptom,
    }
}

/// How long a pod may take to go after its grace period: a finalizer's controller, or a kubelet that unmounts.
const MAY_LINGER: std::time::Duration = std::time::Duration::from_secs(15);

/// A pod that is being deleted: when it counts as held, and by what.
pub(crate) fn held_in_deletion(world: &ObservedState, tolerance: &GracePeriods, pod: &Pod) -> Option<Fault> {
    let view = PodFacts::new(world, tolerance, pod);
    // The API server sets the deletion timestamp to the request's time plus the grace period.
    let deadline = later(pod.metadata.deletion_timestamp.as_ref()?.0, MAY_LINGER);
    let finalizers = pod.metadata.finalizers.as_deref().unwrap_or_default().join(", ");
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).unwrap_or("(none)");
    let symptom = if finalizers.is_empty() {
        let message = format!("the pod's grace period is over and its node {node} has not stopped it");
        let lost = view.latest_event(&["NodeNotReady", "TaintManagerEviction"]).map(text::times);
        view.pod_fault(Id::OldPodHeld, &message, "the old pod is stopping")
            .caused_by(node)
            .evidence(lost)
            .hint(format!("kubectl get node {node}"))
    } else {
        let message = format!("the pod is deleted but held by the finalizer {finalizers}");
        let gap = format!("the old pod waits for its finalizer {finalizers}");
        view.pod_fault(Id::OldPodHeld, &message, &gap).caused_by(finalizers)
    };
    // It is older than the run by its nature: nothing that the run sends mends it.
    Some(symptom.created(None).final_at(FinalAt::Time(deadline)))
}
