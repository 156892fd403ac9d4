//! Running containers that are not ready, and how long their probe allows that.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, ContainerStateRunning, ContainerStatus, Probe};

use super::container_status::ContainerHealth;
use super::pod_facts::PodFacts;
use super::text;
use crate::catalogue::Id;
use crate::phrase;
use crate::status::finding::LogRun;
use crate::status::grace::{FinalAt, later};

/// The window of a readiness probe with the default values: 3 failures, 10 s apart. A probe with a shorter period
/// detects a slow start earlier, but a slow start is not a fault.
const SHORTEST_READINESS: Duration = Duration::from_secs(30);

/// Evaluates a running container that is not ready.
pub(crate) fn not_ready(
    facts: &PodFacts,
    spec: &Container,
    status: &ContainerStatus,
    running: &ContainerStateRunning,
) -> ContainerHealth {
    let started = running.started_at.as_ref().map(|time| time.0);
    let starting = spec.startup_probe.as_ref().filter(|_| status.started != Some(true));
    let Some(probe) = starting.or(spec.readiness_probe.as_ref()) else {
        // Without a probe the kubelet marks the container ready at its next sync.
        return ContainerHealth::Progressing("container not ready".into());
    };
    let probe_name = if starting.is_some() { "startup" } else { "readiness" };
    let final_at = match (started, starting) {
        (None, _) => FinalAt::Never,
        (Some(started), Some(startup)) => FinalAt::Time(later(started, window(startup))),
        (Some(started), None) => FinalAt::Time(later(
            readiness_started(facts, spec, started),
            window(probe).max(SHORTEST_READINESS),
        )),
    };
    let prefix = if starting.is_some() { "Startup probe" } else { "Readiness probe" };
    let failed = facts
        .events()
        .filter(|event| event.reason == "Unhealthy" && event.message.starts_with(prefix))
        .filter(|event| event.container.as_deref() == Some(&spec.name))
        .filter(|event| started.is_none_or(|started| event.last >= started))
        .max_by_key(|event| event.last);
    let message = failed
        .map_or_else(|| format!("the {probe_name} probe has not succeeded"), |event| event.message.clone());
    let reason = match status.restart_count {
        0 => "container not ready".to_owned(),
        restarts => format!("container not ready after {}", phrase::count(restarts, "restart")),
    };
    let fault = facts
        .container_fault(Id::NotReady, spec, message, &reason)
        .caused_by(probe_name)
        .final_at(final_at)
        .observed(failed.is_some())
        .evidence(failed.map(text::occurrences))
        .evidence([describe(probe_name, probe)])
        .evidence(started.map(|started| format!("running since {}", text::time_of_day(started))))
        .lookups(facts.lost_node());
    ContainerHealth::from(fault.lookup(facts.log(&spec.name, LogRun::of_running(status.restart_count))))
}

/// Returns when the readiness window starts: when the container became unready, when it was first observed as started,
/// or at the latest when its startup probe must have succeeded.
fn readiness_started(facts: &PodFacts, spec: &Container, started: Timestamp) -> Timestamp {
    if let Some(unready) = facts.unready_since().filter(|unready| *unready > started) {
        return unready;
    }
    match &spec.startup_probe {
        None => started,
        Some(startup) => {
            let latest = later(started, window(startup));
            facts.phase_since(&spec.name).map_or(latest, |observed| observed.clamp(started, latest))
        }
    }
}

/// Returns how long after the container's start a probe may fail: initial delay + period × failures.
fn window(probe: &Probe) -> Duration {
    let number = |value: Option<i32>, default: u64| {
        value.and_then(|value| u64::try_from(value).ok()).unwrap_or(default)
    };
    let delay = number(probe.initial_delay_seconds, 0);
    let period = number(probe.period_seconds, 10);
    let failures = number(probe.failure_threshold, 3);
    Duration::from_secs(delay + period * failures)
}

/// Describes a probe: `readiness probe: GET :3000/alive every 10 s, 3 failures allowed`.
pub(super) fn describe(probe_name: &str, probe: &Probe) -> String {
    use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
    let action = if let Some(get) = &probe.http_get {
        let port = match &get.port {
            IntOrString::Int(port) => port.to_string(),
            IntOrString::String(name) => name.clone(),
        };
        format!("GET :{port}{}", get.path.as_deref().unwrap_or("/"))
    } else if let Some(exec) = &probe.exec {
        exec.command.as_deref().unwrap_or_default().join(" ")
    } else if probe.tcp_socket.is_some() {
        "TCP connect".to_owned()
    } else {
        "gRPC health".to_owned()
    };
    let period = probe.period_seconds.unwrap_or(10);
    let failures = phrase::count(probe.failure_threshold.unwrap_or(3), "failure");
    format!("{probe_name} probe: {action} every {period} s, {failures} allowed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn window_is_delay_plus_period_times_failures() {
        let probe = |delay, period, failures| Probe {
            initial_delay_seconds: delay,
            period_seconds: period,
            failure_threshold: failures,
            ..Probe::default()
        };
        assert_eq!(window(&probe(None, None, None)), Duration::from_secs(30));
        assert_eq!(window(&probe(Some(5), Some(5), Some(60))), Duration::from_secs(305));
    }
}
