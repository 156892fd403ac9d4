//! The health of one pod: its containers, its node, its volumes.

use k8s_openapi::api::core::v1::{Container, ContainerStatus, Pod};

use super::container_status::{ContainerHealth, ContainerRole};
use super::fault::Fault;
use super::pod_facts::{PodFacts, PodHealth, RunMode};
use super::{container, scheduling, text};
use crate::catalogue::Id;
use crate::object::{condition, finalizer};
use crate::status::finding::{LogRun, Lookup};
use crate::status::grace::{FinalAt, GracePeriods, final_after, later};
use crate::status::observed::state::ObservedState;

/// Evaluates one pod.
pub(crate) fn evaluate(
    observed: &ObservedState,
    grace: &GracePeriods,
    pod: &Pod,
    mode: RunMode,
) -> PodHealth {
    let facts = PodFacts::new(observed, grace, pod);
    if let Some(health) = scheduling::unscheduled(&facts) {
        return health;
    }
    let containers = containers(pod, mode);
    let mut health = PodHealth {
        ready: condition::ready_pod(pod).is_some(),
        up_since: containers.iter().filter_map(|(spec, status, _)| container::up_since(spec, *status)).max(),
        ..PodHealth::default()
    };
    if health.ready {
        health.reason = (mode == RunMode::ToCompletion).then(|| "running".to_owned());
        return health;
    }
    for (spec, status, role) in &containers {
        match container::evaluate(&facts, spec, *status, *role) {
            ContainerHealth::Healthy => {}
            ContainerHealth::Progressing(reason) => {
                health.reason.get_or_insert(reason);
            }
            ContainerHealth::Faulty(fault) => health.faults.push(*fault),
        }
    }
    if health.faults.is_empty() {
        health.faults.extend(setup_fault(&facts));
    }
    if health.reason.is_none() && health.faults.is_empty() {
        health.reason = Some(readiness_gate(&facts).unwrap_or_else(|| "waiting for the kubelet".to_owned()));
    }
    health
}

pub(super) type ContainerOfPod<'a> = (&'a Container, Option<&'a ContainerStatus>, ContainerRole);

/// Returns the containers with their statuses and roles, init containers first.
pub(super) fn containers(pod: &Pod, mode: RunMode) -> Vec<ContainerOfPod<'_>> {
    let Some(spec) = &pod.spec else { return Vec::new() };
    let init = spec.init_containers.iter().flatten().map(|container| {
        let sidecar = container.restart_policy.as_deref() == Some("Always");
        (container, if sidecar { ContainerRole::Runs } else { ContainerRole::Init })
    });
    let role = if mode == RunMode::ToCompletion { ContainerRole::Completes } else { ContainerRole::Runs };
    let main = spec.containers.iter().map(|container| (container, role));
    let status =
        |name: &str| crate::status::observed::first_seen::statuses(pod).find(|status| status.name == name);
    init.chain(main).map(|(container, role)| (container, status(&container.name), role)).collect()
}

/// Returns the fault of a pod whose sandbox or volumes cannot be set up. No container status reports it, only an Event.
fn setup_fault(facts: &PodFacts) -> Option<Fault> {
    let has_sandbox =
        facts.condition("PodReadyToStartContainers").is_some_and(|condition| condition.status == "True");
    let has_container = crate::status::observed::first_seen::statuses(facts.pod).any(|status| {
        let waiting = status.state.as_ref().and_then(|state| state.waiting.as_ref());
        waiting.is_none_or(|waiting| {
            !matches!(waiting.reason.as_deref(), Some("ContainerCreating" | "PodInitializing"))
        })
    });
    if has_sandbox || has_container {
        return None;
    }
    let failed = facts.latest_event(&["FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox"])?;
    if facts.latest_event(&["Pulling", "Pulled", "Created"]).is_some_and(|success| success.last > failed.last)
    {
        return None;
    }
    let final_at = final_after(Some(failed.first), facts.grace.image_pull);
    let fault = if failed.reason == "FailedCreatePodSandBox" {
        facts
            .pod_fault(Id::ContainerCannotStart, &failed.message, "the pod's sandbox cannot be created")
            .final_at(final_at)
    } else if container::names_missing_reference(&failed.message) {
        let cause = missing_reference(&failed.message);
        facts
            .pod_fault(Id::MissingReference, &failed.message, cause)
            .caused_by(cause)
            .final_at(facts.provision_deadline(Some(failed.first)))
    } else {
        facts
            .pod_fault(Id::MountFailed, &failed.message, "a volume cannot be mounted")
            .final_at(final_at)
            .lookups(is_in_use(&failed.message).then(|| Lookup::ClaimUsers(facts.claims())))
    };
    Some(fault.evidence([text::occurrences(failed)]))
}

/// Whether a volume cannot be attached because of another pod (`pkg/controller/volume/attachdetach`).
fn is_in_use(message: &str) -> bool {
    ["Multi-Attach", "already used by", "exclusively attached"].iter().any(|text| message.contains(text))
}

/// Returns the cause in a mount error: `configmap "x" not found` of `MountVolume.SetUp failed for volume "config" :
/// configmap "x" not found`.
fn missing_reference(message: &str) -> &str {
    message.rsplit_once(" : ").map_or(message, |(_, cause)| cause)
}

/// Returns the first readiness gate that is not met. Used if nothing else keeps the pod from being ready.
fn readiness_gate(facts: &PodFacts) -> Option<String> {
    let gates = facts.pod.spec.as_ref()?.readiness_gates.as_ref()?;
    let is_met = |kind: &str| facts.condition(kind).is_some_and(|condition| condition.status == "True");
    let gate = gates.iter().find(|gate| !is_met(&gate.condition_type))?;
    Some(format!("readiness gate {}", gate.condition_type))
}

/// Returns the fault of a failed pod: evicted, rejected by its node, or with a failed container.
pub(crate) fn failure(observed: &ObservedState, grace: &GracePeriods, pod: &Pod) -> Fault {
    let facts = PodFacts::new(observed, grace, pod);
    let status = pod.status.as_ref();
    let reason = status.and_then(|status| status.reason.as_deref());
    let status_message = status.and_then(|status| status.message.as_deref());
    let failed_container = crate::status::observed::first_seen::statuses(pod)
        .filter_map(|status| status.state.as_ref()?.terminated.as_ref().map(|end| (status, end)))
        .find(|(_, end)| end.exit_code != 0);
    let message = match (reason, status_message, failed_container) {
        (Some(reason), Some(text), _) => format!("{reason}: {}", text.trim()),
        (Some(reason), None, _) => reason.to_owned(),
        (None, Some(text), _) => text.trim().to_owned(),
        (None, None, Some((_, end))) => text::exit_code_text(end),
        (None, None, None) => "the pod's phase is Failed".to_owned(),
    };
    let short_reason = if reason == Some("Evicted") { "the pod was evicted" } else { "the pod failed" };
    let is_evicted = reason == Some("Evicted");
    let fault = facts
        .pod_fault(Id::PodFailed, &message, short_reason)
        .caused_by(reason.unwrap_or(&message))
        .evidence(facts.disruption())
        .lookups(facts.node().filter(|_| is_evicted).map(|node| Lookup::NodeFaults(node.to_owned())));
    match failed_container {
        Some((status, end)) => fault
            .container(&status.name)
            .evidence((reason.is_some() || status_message.is_some()).then(|| text::exit_code_text(end)))
            .lookup(facts.log(&status.name, LogRun::Latest)),
        None => fault,
    }
}

/// How long a pod may exist after its grace period, while finalizers run or the kubelet unmounts volumes.
const DELETION_GRACE: std::time::Duration = std::time::Duration::from_secs(15);

/// Returns a fault for a pod that is being deleted, with what blocks it. It is final when the deletion takes too long.
pub(crate) fn deletion_fault(observed: &ObservedState, grace: &GracePeriods, pod: &Pod) -> Option<Fault> {
    let facts = PodFacts::new(observed, grace, pod);
    // The API server sets the deletion timestamp to the request's time plus the grace period.
    let deadline = later(pod.metadata.deletion_timestamp.as_ref()?.0, DELETION_GRACE);
    let finalizers = pod.metadata.finalizers.as_deref().unwrap_or_default().join(", ");
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).unwrap_or("(none)");
    let fault = if finalizers.is_empty() {
        let message = format!("the pod's grace period has expired and its node {node} has not stopped it");
        let node_events =
            facts.latest_event(&["NodeNotReady", "TaintManagerEviction"]).map(text::occurrences);
        facts
            .pod_fault(Id::OldPodStuck, &message, "the old pod is stopping")
            .caused_by(node)
            .evidence(node_events)
            .lookups(facts.node().map(|node| Lookup::NodeFaults(node.to_owned())))
            .hint(format!("kubectl get node {node}"))
    } else {
        let message = format!("the pod is deleted but held by the finalizer {finalizers}");
        let reason = format!("the old pod waits for its finalizer {finalizers}");
        let managers = finalizer::managers(&pod.metadata);
        facts.pod_fault(Id::OldPodStuck, &message, &reason).caused_by(finalizers).evidence(managers)
    };
    // An old pod is always older than the run, but the run cannot fix it. Without a creation time it gets no extra
    // grace.
    Some(fault.created(None).final_at(FinalAt::Time(deadline)).observed(false))
}
