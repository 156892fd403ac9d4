//! One container: ready, on its way, or faulty.

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
use crate::status::grace::{FinalAt, final_after};

/// Judges one container by its latest status.
pub(crate) fn evaluate(
    view: &PodFacts,
    spec: &Container,
    status: Option<&ContainerStatus>,
    role: ContainerRole,
) -> ContainerHealth {
    let Some(status) = status else { return ContainerHealth::Progressing("waiting for the kubelet".into()) };
    match &status.state {
        Some(ContainerState { running: Some(running), .. }) => runs(view, spec, status, running, role),
        Some(ContainerState { terminated: Some(terminated), .. }) => {
            ended(view, spec, status, terminated, role)
        }
        Some(ContainerState { waiting: Some(waiting), .. }) => waits(view, spec, status, waiting, role),
        _ => ContainerHealth::Progressing("creating container".into()),
    }
}

fn runs(
    view: &PodFacts,
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
        ContainerRole::Runs => readiness::not_ready(view, spec, status, running),
    }
}

fn ended(
    view: &PodFacts,
    spec: &Container,
    status: &ContainerStatus,
    terminated: &ContainerStateTerminated,
    role: ContainerRole,
) -> ContainerHealth {
    match role {
        ContainerRole::Init | ContainerRole::Completes if terminated.exit_code == 0 => {
            ContainerHealth::Healthy
        }
        ContainerRole::Completes if !crash::cannot_start(terminated) => {
            ContainerHealth::Progressing(format!("ended with {}", text::ended(terminated)))
        }
        _ => crash::symptom(view, spec, status, terminated, crash::ContainerEnd::JustEnded).into(),
    }
}

fn waits(
    view: &PodFacts,
    spec: &Container,
    status: &ContainerStatus,
    waiting: &ContainerStateWaiting,
    role: ContainerRole,
) -> ContainerHealth {
    let message = waiting.message.as_deref().unwrap_or_default();
    match waiting.reason.as_deref().unwrap_or_default() {
        "InvalidImageName" => view
            .container_fault(Id::ImageInvalidName, spec, message, "the image's name is not valid")
            .caused_by(image_of(spec))
            .into(),
        "ErrImageNeverPull" => view
            .container_fault(Id::ImageNeverPull, spec, message, "the image is not on the node")
            .caused_by(image_of(spec))
            .into(),
        reason if image::is_pull_failure(reason) => pull_failure(view, spec, message).into(),
        "CreateContainerConfigError" => not_configured(view, spec, message).into(),
        "CreateContainerError" | "RunContainerError" => not_created(view, spec, message).into(),
        "CrashLoopBackOff" => crash_loop(view, spec, status, message, role),
        "PodInitializing" => ContainerHealth::Progressing("init containers are running".into()),
        _ if pulls(view, spec) => ContainerHealth::Progressing("pulling image".into()),
        _ => ContainerHealth::Progressing("creating container".into()),
    }
}

/// A container that waits for its next start; the Job decides about its own.
fn crash_loop(
    view: &PodFacts,
    spec: &Container,
    status: &ContainerStatus,
    message: &str,
    role: ContainerRole,
) -> ContainerHealth {
    let last = status.last_state.as_ref().and_then(|state| state.terminated.as_ref());
    match last {
        Some(last) if role == ContainerRole::Completes && !crash::cannot_start(last) => {
            ContainerHealth::Progressing(format!("ended with {}", text::ended(last)))
        }
        Some(last) => crash::symptom(view, spec, status, last, crash::ContainerEnd::BackingOff).into(),
        None => view
            .container_fault(Id::CrashLoop, spec, message, "crash-looping")
            .final_at(view.grace.restarts(status.restart_count))
            .into(),
    }
}

fn image_of(spec: &Container) -> &str {
    spec.image.as_deref().unwrap_or_default()
}

/// Whether the image is being pulled: the last of the kubelet's events about it says so.
fn pulls(view: &PodFacts, spec: &Container) -> bool {
    let notes = view.events().filter(|note| note.container.as_deref() == Some(&spec.name));
    notes.max_by_key(|note| note.last).is_some_and(|note| note.reason == "Pulling")
}

fn pull_failure(view: &PodFacts, spec: &Container, message: &str) -> Fault {
    let image = image_of(spec);
    let failed = view
        .events()
        .filter(|note| note.reason == "Failed" && note.message.contains("pull image"))
        .filter(|note| note.container.as_deref() == Some(&spec.name) || note.message.contains(image))
        .max_by_key(|note| note.last);
    let said = [Some(message), view.pull_error(&spec.name), failed.map(|note| note.message.as_str())];
    let said = said.into_iter().flatten().map(image::gist);
    // `ImagePullBackOff` alone says nothing on older servers: the first text that does decides.
    let words = said.clone().find(|text| image::classify(text, image) != Id::ImageUnavailable);
    let words = words.or_else(|| said.clone().find(|text| !text.starts_with("Back-off")));
    let words = words.or_else(|| said.clone().next()).unwrap_or_default();
    let id = image::classify(words, image);
    let (gap, due) = match id {
        Id::ImageNotFound => ("the image does not exist", FinalAt::Now),
        Id::ImageForbidden => ("the registry refuses the image", FinalAt::Now),
        _ => {
            let since = view.since(&spec.name, failed.map(|note| note.first));
            ("the image cannot be pulled", final_after(since, view.grace.image_pull))
        }
    };
    view.container_fault(id, spec, words, gap)
        .caused_by(image)
        .final_at(due)
        .evidence(failed.map(text::times))
}

/// The kubelet cannot put the container's configuration together.
fn not_configured(view: &PodFacts, spec: &Container, message: &str) -> Fault {
    if names_missing_reference(message) {
        return view.container_fault(Id::MissingReference, spec, message, message).caused_by(message);
    }
    let symptom =
        view.container_fault(Id::ContainerCannotStart, spec, message, "the container cannot be configured");
    if message.contains("runAsNonRoot") { symptom } else { symptom.final_at(view.retried(&spec.name)) }
}

/// Whether the kubelet's words name a Secret, ConfigMap or key that does not exist.
pub(crate) fn names_missing_reference(message: &str) -> bool {
    let lower = message.to_lowercase();
    let names_one = lower.contains("secret") || lower.contains("configmap") || lower.contains("config key");
    let missing = ["not found", "couldn't find key", "non-existent"].iter().any(|word| lower.contains(word));
    names_one && missing && !lower.contains("failed to sync")
}

/// The container runtime refuses.
fn not_created(view: &PodFacts, spec: &Container, message: &str) -> Fault {
    let symptom =
        view.container_fault(Id::ContainerCannotStart, spec, message, "the container cannot be started");
    if crash::never_starts(message) { symptom } else { symptom.final_at(view.retried(&spec.name)) }
}

/// Since when containers without readiness and startup probes have run: they must stay up for a while.
pub(crate) fn up_since(spec: &Container, status: Option<&ContainerStatus>) -> Option<Timestamp> {
    if spec.readiness_probe.is_some() || spec.startup_probe.is_some() {
        return None;
    }
    let running = status?.state.as_ref()?.running.as_ref()?;
    running.started_at.as_ref().map(|time| time.0)
}
