//! One container: ready, on its way, or faulty.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    Container, ContainerState, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting,
    ContainerStatus,
};

use super::container_status::{Outlook, Role};
use super::fault::Symptom;
use super::pod_facts::View;
use super::{crash, image, readiness, text};
use crate::catalogue::Id;
use crate::status::grace::{Due, after};

/// Judges one container by its latest status.
pub(crate) fn look(view: &View, spec: &Container, status: Option<&ContainerStatus>, role: Role) -> Outlook {
    let Some(status) = status else { return Outlook::Coming("waiting for the kubelet".into()) };
    match &status.state {
        Some(ContainerState { running: Some(running), .. }) => runs(view, spec, status, running, role),
        Some(ContainerState { terminated: Some(terminated), .. }) => {
            ended(view, spec, status, terminated, role)
        }
        Some(ContainerState { waiting: Some(waiting), .. }) => waits(view, spec, status, waiting, role),
        _ => Outlook::Coming("creating container".into()),
    }
}

fn runs(
    view: &View,
    spec: &Container,
    status: &ContainerStatus,
    running: &ContainerStateRunning,
    role: Role,
) -> Outlook {
    match role {
        Role::Init => Outlook::Coming(format!("init container {} is running", spec.name)),
        Role::Completes => Outlook::Coming("running".into()),
        Role::Runs if status.ready => Outlook::Fine,
        Role::Runs => readiness::not_ready(view, spec, status, running),
    }
}

fn ended(
    view: &View,
    spec: &Container,
    status: &ContainerStatus,
    terminated: &ContainerStateTerminated,
    role: Role,
) -> Outlook {
    match role {
        Role::Init | Role::Completes if terminated.exit_code == 0 => Outlook::Fine,
        Role::Completes if !crash::cannot_start(terminated) => {
            Outlook::Coming(format!("ended with {}", text::ended(terminated)))
        }
        _ => crash::symptom(view, spec, status, terminated, crash::Run::JustEnded).into(),
    }
}

fn waits(
    view: &View,
    spec: &Container,
    status: &ContainerStatus,
    waiting: &ContainerStateWaiting,
    role: Role,
) -> Outlook {
    let message = waiting.message.as_deref().unwrap_or_default();
    match waiting.reason.as_deref().unwrap_or_default() {
        "InvalidImageName" => view
            .symptom(Id::ImageInvalidName, spec, message, "the image's name is not valid")
            .caused_by(image_of(spec))
            .into(),
        "ErrImageNeverPull" => view
            .symptom(Id::ImageNeverPull, spec, message, "the image is not on the node")
            .caused_by(image_of(spec))
            .into(),
        reason if image::is_pull_failure(reason) => pull_failure(view, spec, message).into(),
        "CreateContainerConfigError" => not_configured(view, spec, message).into(),
        "CreateContainerError" | "RunContainerError" => not_created(view, spec, message).into(),
        "CrashLoopBackOff" => crash_loop(view, spec, status, message, role),
        "PodInitializing" => Outlook::Coming("init containers are running".into()),
        _ if pulls(view, spec) => Outlook::Coming("pulling image".into()),
        _ => Outlook::Coming("creating container".into()),
    }
}

/// A container that waits for its next start; the Job decides about its own.
fn crash_loop(view: &View, spec: &Container, status: &ContainerStatus, message: &str, role: Role) -> Outlook {
    let last = status.last_state.as_ref().and_then(|state| state.terminated.as_ref());
    match last {
        Some(last) if role == Role::Completes && !crash::cannot_start(last) => {
            Outlook::Coming(format!("ended with {}", text::ended(last)))
        }
        Some(last) => crash::symptom(view, spec, status, last, crash::Run::BackingOff).into(),
        None => view
            .symptom(Id::CrashLoop, spec, message, "crash-looping")
            .due(view.tolerance.restarts(status.restart_count))
            .into(),
    }
}

fn image_of(spec: &Container) -> &str {
    spec.image.as_deref().unwrap_or_default()
}

/// Whether the image is being pulled: the last of the kubelet's events about it says so.
fn pulls(view: &View, spec: &Container) -> bool {
    let notes = view.notes().filter(|note| note.container.as_deref() == Some(&spec.name));
    notes.max_by_key(|note| note.last).is_some_and(|note| note.reason == "Pulling")
}

fn pull_failure(view: &View, spec: &Container, message: &str) -> Symptom {
    let image = image_of(spec);
    let failed = view
        .notes()
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
        Id::ImageNotFound => ("the image does not exist", Due::Now),
        Id::ImageForbidden => ("the registry refuses the image", Due::Now),
        _ => {
            let since = view.since(&spec.name, failed.map(|note| note.first));
            ("the image cannot be pulled", after(since, view.tolerance.image_pull))
        }
    };
    view.symptom(id, spec, words, gap).caused_by(image).due(due).evidence(failed.map(text::times))
}

/// The kubelet cannot put the container's configuration together.
fn not_configured(view: &View, spec: &Container, message: &str) -> Symptom {
    if names_missing_reference(message) {
        return view.symptom(Id::MissingReference, spec, message, message).caused_by(message);
    }
    let symptom = view.symptom(Id::ContainerCannotStart, spec, message, "the container cannot be configured");
    if message.contains("runAsNonRoot") { symptom } else { symptom.due(view.retried(&spec.name)) }
}

/// Whether the kubelet's words name a Secret, ConfigMap or key that does not exist.
pub(crate) fn names_missing_reference(message: &str) -> bool {
    let lower = message.to_lowercase();
    let names_one = lower.contains("secret") || lower.contains("configmap") || lower.contains("config key");
    let missing = ["not found", "couldn't find key", "non-existent"].iter().any(|word| lower.contains(word));
    names_one && missing && !lower.contains("failed to sync")
}

/// The container runtime refuses.
fn not_created(view: &View, spec: &Container, message: &str) -> Symptom {
    let symptom = view.symptom(Id::ContainerCannotStart, spec, message, "the container cannot be started");
    if crash::never_starts(message) { symptom } else { symptom.due(view.retried(&spec.name)) }
}

/// Since when containers without readiness and startup probes have run: they must stay up for a while.
pub(crate) fn up_since(spec: &Container, status: Option<&ContainerStatus>) -> Option<Timestamp> {
    if spec.readiness_probe.is_some() || spec.startup_probe.is_some() {
        return None;
    }
    let running = status?.state.as_ref()?.running.as_ref()?;
    running.started_at.as_ref().map(|time| time.0)
}
