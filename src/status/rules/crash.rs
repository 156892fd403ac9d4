//! Containers that exit although they should run, or that cannot be started.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{
    Container, ContainerStateRunning, ContainerStateTerminated, ContainerStatus,
};

use super::fault::Fault;
use super::pod_facts::PodFacts;
use super::{readiness, text};
use crate::catalogue::Id;
use crate::object::container_names;
use crate::object::labels::{self, Component};
use crate::phrase;
use crate::status::finding::{LogRun, Lookup};
use crate::status::grace::FinalAt;
use crate::status::looked_up;
use crate::status::observed::kube_events::KubeEvent;

/// Which status field the termination was read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ContainerEnd {
    /// `state`: the container has not been restarted yet.
    JustEnded,
    /// `lastState`: the container waits for its restart in `CrashLoopBackOff`.
    BackingOff,
}

/// The run time (twice `MaxContainerBackOff`) after which a kubelet resets a container's back-off. The exit of a
/// container that ran longer is not part of a crash loop.
const BACK_OFF_RESET: SignedDuration = SignedDuration::from_mins(10);

/// The exit code of a container that was killed with SIGKILL, by the OOM killer or otherwise.
const KILLED: i32 = 137;
/// The fault of such a container if its status does not name the OOM killer.
const KILLED_REASON: &str = "killed (exit code 137), by the kernel for memory or by someone";

/// Errors of a container runtime that a retry does not fix.
const PERMANENT_START_ERRORS: &[&str] =
    &["executable file not found", "no such file or directory", looked_up::WRONG_FORMAT, "permission denied"];

/// Returns whether the runtime's message means that the process can never be started.
pub(crate) fn is_permanent_start_error(message: &str) -> bool {
    PERMANENT_START_ERRORS.iter().any(|word| message.contains(word))
}

/// Returns the lookup that shows why a program is in no format that the node executes.
pub(crate) fn platform_lookup(facts: &PodFacts, message: &str) -> Option<Lookup> {
    let node = facts.node().filter(|_| looked_up::is_wrong_format(message));
    node.map(|node| Lookup::NodePlatform(node.to_owned()))
}

/// Returns whether the process was never started. containerd reports `StartError`, Docker `ContainerCannotRun`.
pub(crate) fn was_never_started(terminated: &ContainerStateTerminated) -> bool {
    matches!(terminated.reason.as_deref(), Some("StartError" | "ContainerCannotRun"))
}

/// Returns the last end of a running container that is not ready and crashes in a loop: it has not been ready since. `None`
/// while a rollout is followed, which awaits the next end.
pub(crate) fn end_in_loop<'a>(
    facts: &PodFacts,
    spec: &Container,
    status: &'a ContainerStatus,
    running: &ContainerStateRunning,
) -> Option<&'a ContainerStateTerminated> {
    let end = status.last_state.as_ref()?.terminated.as_ref()?;
    // A container that the kubelet has lost, as after a restart of its node, ended without a time.
    if end.started_at.is_none() || end.finished_at.is_none() {
        return None;
    }
    let started = running.started_at.as_ref()?.0;
    let was_ready = facts.unready_since().is_some_and(|unready| unready > started);
    // A run that outlasts the back-off is no part of the loop. Only its Events tell how long it has run.
    let outlasts = facts.events().any(|event| {
        event.container.as_deref() == Some(&spec.name) && event.last.duration_since(started) >= BACK_OFF_RESET
    });
    let is_loop = !was_ready && !outlasts && is_crash_loop(end, ContainerEnd::JustEnded);
    (is_loop && !facts.grace.is_of_run()).then_some(end)
}

/// Returns the fault of a terminated container.
pub(crate) fn exit_fault(
    facts: &PodFacts,
    spec: &Container,
    status: &ContainerStatus,
    end: &ContainerStateTerminated,
    source: ContainerEnd,
) -> Fault {
    let restarts = status.restart_count;
    if was_never_started(end) {
        let message = end.message.as_deref().unwrap_or_default();
        let final_at =
            if is_permanent_start_error(message) { FinalAt::Now } else { facts.grace.restarts(restarts) };
        return facts
            .container_fault(Id::ContainerCannotStart, spec, message, "the container cannot be started")
            .lookups(platform_lookup(facts, message))
            .final_at(final_at);
    }
    let failed_probe = failed_probe(facts, spec, end);
    let fault = match failed_probe {
        Some(probe) if probe.message.starts_with("Startup") => {
            facts.container_fault(Id::NotReady, spec, &probe.message, "the startup probe fails")
        }
        Some(probe) => facts.container_fault(Id::CrashLoop, spec, &probe.message, "the liveness probe fails"),
        None if is_out_of_memory(end) => {
            facts.container_fault(Id::OutOfMemory, spec, text::exit_code_text(end), "out of memory")
        }
        None if was_killed(end) => {
            facts.container_fault(Id::CrashLoop, spec, text::exit_code_text(end), KILLED_REASON)
        }
        None => {
            let exit_code = text::exit_code_text(end);
            facts.container_fault(Id::CrashLoop, spec, &exit_code, &format!("crashed with {exit_code}"))
        }
    };
    let final_at = match fault.finding.id {
        _ if !is_crash_loop(end, source) => FinalAt::Never,
        // The number of restarts is one less than the number of exits, so this is at least the second exit.
        Id::OutOfMemory if restarts >= 1 => FinalAt::Now,
        Id::OutOfMemory => FinalAt::Never,
        _ => facts.grace.restarts(restarts),
    };
    fault
        .final_at(final_at)
        .evidence(failed_probe.map(|_| text::exit_code_text(end)))
        .evidence(failed_probe.and_then(|probe| probe_definition(spec, probe)))
        .evidence(memory_limit(facts, spec, failed_probe, end))
        .evidence([restarts_text(facts, restarts, end)])
        .lookup(facts.log(
            &spec.name,
            if source == ContainerEnd::BackingOff { LogRun::Previous } else { LogRun::Latest },
        ))
}

/// Returns whether the kernel killed the container for using too much memory.
fn is_out_of_memory(end: &ContainerStateTerminated) -> bool {
    end.reason.as_deref() == Some("OOMKilled")
}

/// Returns whether the container was killed for an unknown cause: a runtime on cgroup v1 sometimes misses that the kernel
/// did it for memory, and anybody on the node can do it. `ContainerStatusUnknown` (after a reboot) is excluded: the
/// kubelet sets the same exit code for a container that it lost.
fn was_killed(end: &ContainerStateTerminated) -> bool {
    matches!(end.reason.as_deref(), Some("Error") | None) && end.exit_code == KILLED
}

/// Returns whether the container is the application's. Others in its pod were added by a webhook or another tool.
fn is_application(facts: &PodFacts, spec: &Container) -> bool {
    let labels = facts.pod.metadata.labels.as_ref();
    let component = labels.and_then(|labels| labels.get(labels::COMPONENT));
    spec.name == container_names::APP
        && component.is_some_and(|component| component == Component::App.as_str())
}

/// Returns the Event of the failed probe, if the kubelet killed the container because of a probe.
fn failed_probe<'a>(
    facts: &PodFacts<'a>,
    spec: &Container,
    end: &ContainerStateTerminated,
) -> Option<&'a KubeEvent> {
    if end.reason.as_deref() == Some("OOMKilled") || end.exit_code == 0 {
        return None;
    }
    let started = end.started_at.as_ref().map(|time| time.0);
    let of_container = |event: &&KubeEvent| event.container.as_deref() == Some(&spec.name);
    let killed = facts.events().filter(of_container).any(|event| {
        event.reason == "Killing"
            && (event.message.contains("liveness probe") || event.message.contains("startup probe"))
            && started.is_none_or(|started| event.last >= started)
    });
    let probes = ["Liveness probe", "Startup probe"];
    let unhealthy = facts.events().filter(of_container).filter(|event| {
        event.reason == "Unhealthy" && probes.iter().any(|probe| event.message.starts_with(probe))
    });
    if killed { unhealthy.max_by_key(|event| event.last) } else { None }
}

/// Describes the probe for which the kubelet killed the container.
fn probe_definition(spec: &Container, failed: &KubeEvent) -> Option<String> {
    let (name, probe) = if failed.message.starts_with("Startup") {
        ("startup", &spec.startup_probe)
    } else {
        ("liveness", &spec.liveness_probe)
    };
    probe.as_ref().map(|probe| readiness::describe(name, probe))
}

/// Returns whether the run was short enough to be part of a crash loop.
fn is_crash_loop(end: &ContainerStateTerminated, source: ContainerEnd) -> bool {
    if source == ContainerEnd::BackingOff {
        return true;
    }
    match (&end.started_at, &end.finished_at) {
        (Some(start), Some(finish)) => finish.0.duration_since(start.0) < BACK_OFF_RESET,
        _ => true,
    }
}

/// Returns the memory limit of a container that ran out of memory, or may have.
fn memory_limit(
    facts: &PodFacts,
    spec: &Container,
    failed_probe: Option<&KubeEvent>,
    end: &ContainerStateTerminated,
) -> Option<String> {
    if failed_probe.is_some() || !(is_out_of_memory(end) || was_killed(end)) {
        return None;
    }
    let limit = spec.resources.as_ref()?.limits.as_ref()?.get("memory")?;
    let key = if is_application(facts, spec) { " (deploy.resources.limits.memory)" } else { "" };
    Some(format!("memory limit {}{key}", limit.0))
}

/// Describes the restarts: `2 restarts in 14 s, last end at 07:07:05Z`.
fn restarts_text(facts: &PodFacts, restarts: i32, end: &ContainerStateTerminated) -> String {
    let finished: Option<Timestamp> = end.finished_at.as_ref().map(|time| time.0);
    let started = facts.started();
    match (started, finished) {
        (Some(started), Some(finished)) => format!(
            "{} in {}, last end at {}",
            phrase::count(restarts, "restart"),
            phrase::span(phrase::elapsed(started, finished)),
            text::time_of_day(finished)
        ),
        _ => phrase::count(restarts, "restart"),
    }
}
