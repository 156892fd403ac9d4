//! Containers that end although they should run, or that cannot even be started.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Container, ContainerStateTerminated, ContainerStatus};

use super::fault::Fault;
use super::pod_facts::PodFacts;
use super::text;
use crate::catalogue::Id;
use crate::phrase;
use crate::status::finding::Lookup;
use crate::status::grace::FinalAt;
use crate::status::observed::kube_events::KubeEvent;

/// Which end is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ContainerEnd {
    /// The container's present state.
    JustEnded,
    /// The one before its next start.
    BackingOff,
}

/// A kubelet starts its back-off anew for a container that ran this long (`MaxContainerBackOff` twice): its end
/// is no loop.
const NO_LOOP: SignedDuration = SignedDuration::from_mins(10);

/// The exit code of a container that was killed, for memory or otherwise.
const KILLED: i32 = 137;

/// Words of a runtime that will say the same next time.
const NEVER_STARTS: &[&str] =
    &["executable file not found", "no such file or directory", "exec format error", "permission denied"];

/// Whether the runtime's words mean that the process can never be started.
pub(crate) fn never_starts(message: &str) -> bool {
    NEVER_STARTS.iter().any(|word| message.contains(word))
}

/// Whether the process was never started: `StartError` in containerd's words, the other in docker's.
pub(crate) fn cannot_start(terminated: &ContainerStateTerminated) -> bool {
    matches!(terminated.reason.as_deref(), Some("StartError" | "ContainerCannotRun"))
}

/// What the end of a container means.
pub(crate) fn symptom(
    view: &PodFacts,
    spec: &Container,
    status: &ContainerStatus,
    end: &ContainerStateTerminated,
    run: ContainerEnd,
) -> Fault {
    let restarts = status.restart_count;
    if cannot_start(end) {
        let message = end.message.as_deref().unwrap_or_default();
        let due = if never_starts(message) { FinalAt::Now } else { view.grace.restarts(restarts) };
        return view
            .container_fault(Id::ContainerCannotStart, spec, message, "the container cannot be started")
            .final_at(due);
    }
    let killer = killed_by_probe(view, spec, end);
    let symptom = match killer {
        Some(probe) if probe.message.starts_with("Startup") => {
            view.container_fault(Id::NotReady, spec, &probe.message, "the startup probe fails")
        }
        Some(probe) => view.container_fault(Id::CrashLoop, spec, &probe.message, "the liveness probe fails"),
        None if is_out_of_memory(end) => {
            view.container_fault(Id::OutOfMemory, spec, text::ended(end), "killed for memory")
        }
        None => {
            let ended = text::ended(end);
            view.container_fault(Id::CrashLoop, spec, &ended, &format!("crashed with {ended}"))
        }
    };
    let due = match symptom.finding.id {
        _ if !loops(end, run) => FinalAt::Never,
        // Restarts are one fewer than ends.
        Id::OutOfMemory if restarts >= 1 => FinalAt::Now,
        Id::OutOfMemory => FinalAt::Never,
        _ => view.grace.restarts(restarts),
    };
    symptom
        .final_at(due)
        .evidence(killer.map(|_| text::ended(end)))
        .evidence(limit(spec, killer, end))
        .evidence([restarted(view, restarts, end)])
        .lookup(Lookup::Log {
            pod: view.id.clone(),
            container: spec.name.clone(),
            previous: run == ContainerEnd::BackingOff,
        })
}

/// Killed for memory. On cgroup v1 the runtime sometimes misses the word and reports the bare exit code; a kubelet
/// that lost a container (`ContainerStatusUnknown`, after a reboot) makes up the same code.
fn is_out_of_memory(end: &ContainerStateTerminated) -> bool {
    match end.reason.as_deref() {
        Some("OOMKilled") => true,
        Some("Error") | None => end.exit_code == KILLED,
        Some(_) => false,
    }
}

/// The failing probe for which the kubelet killed the container, if that is why it ended.
fn killed_by_probe<'a>(
    view: &PodFacts<'a>,
    spec: &Container,
    end: &ContainerStateTerminated,
) -> Option<&'a KubeEvent> {
    if end.reason.as_deref() == Some("OOMKilled") || end.exit_code == 0 {
        return None;
    }
    let started = end.started_at.as_ref().map(|time| time.0);
    let of_this = |note: &&KubeEvent| note.container.as_deref() == Some(&spec.name);
    let killed = view.events().filter(of_this).any(|note| {
        note.reason == "Killing"
            && (note.message.contains("liveness probe") || note.message.contains("startup probe"))
            && started.is_none_or(|started| note.last >= started)
    });
    let probes = ["Liveness probe", "Startup probe"];
    let unhealthy = view.events().filter(of_this).filter(|note| {
        note.reason == "Unhealthy" && probes.iter().any(|probe| note.message.starts_with(probe))
    });
    if killed { unhealthy.max_by_key(|note| note.last) } else { None }
}

/// Whether the run was short enough to be one of a loop.
fn loops(end: &ContainerStateTerminated, run: ContainerEnd) -> bool {
    if run == ContainerEnd::BackingOff {
        return true;
    }
    match (&end.started_at, &end.finished_at) {
        (Some(start), Some(finish)) => finish.0.duration_since(start.0) < NO_LOOP,
        _ => true,
    }
}

/// The memory limit that was hit.
fn limit(spec: &Container, killer: Option<&KubeEvent>, end: &ContainerStateTerminated) -> Option<String> {
    if killer.is_some() || !is_out_of_memory(end) {
        return None;
    }
    let limit = spec.resources.as_ref()?.limits.as_ref()?.get("memory")?;
    Some(format!("memory limit {}", limit.0))
}

/// `2 restarts in 14 s, last end at 07:07:05Z`.
fn restarted(view: &PodFacts, restarts: i32, end: &ContainerStateTerminated) -> String {
    let finished: Option<Timestamp> = end.finished_at.as_ref().map(|time| time.0);
    let began = view.started();
    match (began, finished) {
        (Some(began), Some(finished)) => format!(
            "{} in {}, last end at {}",
            phrase::count(restarts, "restart"),
            phrase::span(phrase::elapsed(began, finished)),
            text::clock(finished)
        ),
        _ => phrase::count(restarts, "restart"),
    }
}
