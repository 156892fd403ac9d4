//! The health of one container: healthy, progressing, or faulty.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    Container, ContainerState, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting,
    ContainerStatus,
};

use super::container_status::{ContainerHealth, ContainerRole};
use super::fault::Fault;
use super::pod_facts::PodFacts;
use super::{crash, image, readiness, text};
use crate::catalogue::Id;
use crate::status::finding::Lookup;
use crate::status::grace::{FinalAt, final_after};

/// Evaluates one container by its latest status.
pub(crate) fn evaluate(
    facts: &PodFacts,
    spec: &Container,
    status: Option<&ContainerStatus>,
    role: ContainerRole,
) -> ContainerHealth {
    let Some(status) = status else { return ContainerHealth::Progressing("waiting for the kubelet".into()) };
    match &status.state {
        Some(ContainerState { running: Some(running), .. }) => {
            evaluate_running(facts, spec, status, running, role)
        }
        Some(ContainerState { terminated: Some(terminated), .. }) => {
            evaluate_terminated(facts, spec, status, terminated, role)
        }
        Some(ContainerState { waiting: Some(waiting), .. }) => {
            evaluate_waiting(facts, spec, status, waiting, role)
        }
        _ => ContainerHealth::Progressing("creating container".into()),
    }
}

fn evaluate_running(
    facts: &PodFacts,
    spec: &Container,
    status: &ContainerStatus,
    running: &ContainerStateRunning,
    role: ContainerRole,
) -> ContainerHealth {
    match role {
        ContainerRole::Init => {
            ContainerHealth::Progressing(format!("init container {} is running", spec.name))
        }
        ContainerRole::Completes => ContainerHealth::Progressing("running".into()),
        ContainerRole::Runs if status.ready => ContainerHealth::Healthy,
        ContainerRole::Runs => match crash::end_in_loop(facts, spec, status, running) {
            Some(end) => crash::exit_fault(facts, spec, status, end, crash::ContainerEnd::BackingOff).into(),
            None => readiness::not_ready(facts, spec, status, running),
        },
    }
}

fn evaluate_terminated(
    facts: &PodFacts,
    spec: &Container,
    status: &ContainerStatus,
    terminated: &ContainerStateTerminated,
    role: ContainerRole,
) -> ContainerHealth {
    match role {
        ContainerRole::Init | ContainerRole::Completes if terminated.exit_code == 0 => {
            ContainerHealth::Healthy
        }
        ContainerRole::Completes if !crash::was_never_started(terminated) => {
            ContainerHealth::Progressing(format!("ended with {}", text::exit_code_text(terminated)))
        }
        _ => crash::exit_fault(facts, spec, status, terminated, crash::ContainerEnd::JustEnded).into(),
    }
}

fn evaluate_waiting(
    facts: &PodFacts,
    spec: &Container,
    status: &ContainerStatus,
    waiting: &ContainerStateWaiting,
    role: ContainerRole,
) -> ContainerHealth {
    let message = waiting.message.as_deref().unwrap_or_default();
    match waiting.reason.as_deref().unwrap_or_default() {
        "InvalidImageName" => facts
            .container_fault(Id::ImageInvalidName, spec, message, "the image's name is not valid")
            .caused_by(image_of(spec))
            .into(),
        "ErrImageNeverPull" => facts
            .container_fault(Id::ImageNeverPull, spec, message, "the image is not on the node")
            .caused_by(image_of(spec))
            .into(),
        reason if image::is_pull_failure(reason) => pull_fault(facts, spec, message).into(),
        "CreateContainerConfigError" => config_fault(facts, spec, message).into(),
        "CreateContainerError" | "RunContainerError" => create_fault(facts, spec, message).into(),
        "CrashLoopBackOff" => evaluate_crash_loop(facts, spec, status, message, role),
        "PodInitializing" => ContainerHealth::Progressing("init containers are running".into()),
        _ if is_pulling(facts, spec) => ContainerHealth::Progressing("pulling image".into()),
        _ => ContainerHealth::Progressing("creating container".into()),
    }
}

/// Evaluates a container that waits for its restart. Failures of a Job's containers are left to the Job.
fn evaluate_crash_loop(
    facts: &PodFacts,
    spec: &Container,
    status: &ContainerStatus,
    message: &str,
    role: ContainerRole,
) -> ContainerHealth {
    let last = status.last_state.as_ref().and_then(|state| state.terminated.as_ref());
    match last {
        Some(last) if role == ContainerRole::Completes && !crash::was_never_started(last) => {
            ContainerHealth::Progressing(format!("ended with {}", text::exit_code_text(last)))
        }
        Some(last) => crash::exit_fault(facts, spec, status, last, crash::ContainerEnd::BackingOff).into(),
        None => facts
            .container_fault(Id::CrashLoop, spec, message, "crash-looping")
            .final_at(facts.grace.restarts(status.restart_count))
            .into(),
    }
}

fn image_of(spec: &Container) -> &str {
    spec.image.as_deref().unwrap_or_default()
}

/// Returns whether the image is being pulled: the kubelet's latest Event about the container is `Pulling`.
pub(super) fn is_pulling(facts: &PodFacts, spec: &Container) -> bool {
    let events = facts.events().filter(|event| event.container.as_deref() == Some(&spec.name));
    events.max_by_key(|event| event.last).is_some_and(|event| event.reason == "Pulling")
}

fn pull_fault(facts: &PodFacts, spec: &Container, message: &str) -> Fault {
    let image = image_of(spec);
    let failed = facts
        .events()
        .filter(|event| event.reason == "Failed" && event.message.contains("pull image"))
        .filter(|event| event.container.as_deref() == Some(&spec.name) || event.message.contains(image))
        .max_by_key(|event| event.last);
    let messages = [Some(message), facts.pull_error(&spec.name), failed.map(|event| event.message.as_str())];
    let messages = messages.into_iter().flatten().map(image::registry_message);
    // On older servers `ImagePullBackOff` has no registry message, so the first message with a known cause decides.
    let cause = messages.clone().find(|text| image::classify(text, image) != Id::ImageUnavailable);
    let cause = cause.or_else(|| messages.clone().find(|text| !text.starts_with("Back-off")));
    let cause = cause.or_else(|| messages.clone().next()).unwrap_or_default();
    let id = image::classify(cause, image);
    let is_of_other_platform = image::is_of_other_platform(cause);
    let platform = facts.node().filter(|_| is_of_other_platform);
    let (reason, final_at) = match id {
        Id::ImageNotFound if is_of_other_platform => {
            ("the image does not exist for the node's platform", FinalAt::Now)
        }
        Id::ImageNotFound => ("the image does not exist", FinalAt::Now),
        Id::ImageForbidden => ("the registry denies access to the image", FinalAt::Now),
        _ => {
            let since = facts.since(&spec.name, failed.map(|event| event.first));
            ("the image cannot be pulled", final_after(since, facts.grace.image_pull))
        }
    };
    facts
        .container_fault(id, spec, cause, reason)
        .caused_by(image)
        .final_at(final_at)
        .evidence(failed.map(text::occurrences))
        .lookups(platform.map(|node| Lookup::NodePlatform(node.to_owned())))
}

/// Returns the fault of a container whose configuration the kubelet cannot create.
fn config_fault(facts: &PodFacts, spec: &Container, message: &str) -> Fault {
    if names_missing_reference(message) {
        return facts
            .container_fault(Id::MissingReference, spec, message, message)
            .caused_by(message)
            .final_at(facts.provision_deadline(facts.since(&spec.name, None)));
    }
    let fault =
        facts.container_fault(Id::ContainerCannotStart, spec, message, "the container cannot be configured");
    if message.contains("runAsNonRoot") { fault } else { fault.final_at(facts.retry_deadline(&spec.name)) }
}

/// Returns whether the kubelet's message names a Secret, ConfigMap or key that does not exist.
pub(crate) fn names_missing_reference(message: &str) -> bool {
    let lower = message.to_lowercase();
    let names_reference =
        lower.contains("secret") || lower.contains("configmap") || lower.contains("config key");
    let missing = ["not found", "couldn't find key", "non-existent"].iter().any(|word| lower.contains(word));
    names_reference && missing && !lower.contains("failed to sync")
}

/// Returns the fault of a container that the container runtime cannot create or start.
fn create_fault(facts: &PodFacts, spec: &Container, message: &str) -> Fault {
    let fault =
        facts.container_fault(Id::ContainerCannotStart, spec, message, "the container cannot be started");
    let fault = fault.lookups(crash::platform_lookup(facts, message));
    if crash::is_permanent_start_error(message) {
        fault
    } else {
        fault.final_at(facts.retry_deadline(&spec.name))
    }
}

/// Returns since when a container without readiness and startup probes has been running. Such a container must stay up
/// for a minimum time before it counts as ready.
pub(crate) fn up_since(spec: &Container, status: Option<&ContainerStatus>) -> Option<Timestamp> {
    if spec.readiness_probe.is_some() || spec.startup_probe.is_some() {
        return None;
    }
    let running = status?.state.as_ref()?.running.as_ref()?;
    running.started_at.as_ref().map(|time| time.0)
}
