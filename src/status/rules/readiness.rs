//! Containers that run and are not ready: how long that is normal, by the probe's own numbers.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, ContainerStateRunning, ContainerStatus, Probe};

use super::container_status::ContainerHealth;
use super::pod_facts::PodFacts;
use super::text;
use crate::catalogue::Id;
use crate::phrase;
use crate::status::finding::Lookup;
use crate::status::grace::{FinalAt, later};

/// The window of a readiness probe with a kubelet's default numbers, 3 failures 10 s apart. A probe that asks
/// more often finds a slow start sooner, but that does not make it a fault.
const SHORTEST_READINESS: Duration = Duration::from_secs(30);

/// A running container that is not ready.
pub(crate) fn not_ready(
    view: &PodFacts,
    spec: &Container,
    status: &ContainerStatus,
    running: &ContainerStateRunning,
) -> ContainerHealth {
    let began = running.started_at.as_ref().map(|time| time.0);
    let starting = spec.startup_probe.as_ref().filter(|_| status.started != Some(true));
    let Some(probe) = starting.or(spec.readiness_probe.as_ref()) else {
        // Without a probe the kubelet sets it ready in its next round.
        return ContainerHealth::Progressing("container not ready".into());
    };
    let which = if starting.is_some() { "startup" } else { "readiness" };
    let due = match (began, starting) {
        (None, _) => FinalAt::Never,
        (Some(began), Some(startup)) => FinalAt::Time(later(began, window(startup))),
        (Some(began), None) => {
            FinalAt::Time(later(readiness_began(view, spec, began), window(probe).max(SHORTEST_READINESS)))
        }
    };
    let prefix = if starting.is_some() { "Startup probe" } else { "Readiness probe" };
    let failed = view
        .events()
        .filter(|note| note.reason == "Unhealthy" && note.message.starts_with(prefix))
        .filter(|note| note.container.as_deref() == Some(&spec.name))
        .filter(|note| began.is_none_or(|began| note.last >= began))
        .max_by_key(|note| note.last);
    let message =
        failed.map_or_else(|| format!("the {which} probe has not succeeded"), |note| note.message.clone());
    let gap = match status.restart_count {
        0 => "container not ready".to_owned(),
        restarts => format!("container not ready after {}", phrase::count(restarts, "restart")),
    };
    let symptom = view
        .container_fault(Id::NotReady, spec, message, &gap)
        .caused_by(which)
        .final_at(due)
        .evidence(failed.map(text::times))
        .evidence([describe(which, probe)])
        .evidence(began.map(|began| format!("running since {}", text::clock(began))));
    ContainerHealth::from(symptom.lookup(Lookup::Log {
        pod: view.id.clone(),
        container: spec.name.clone(),
        previous: false,
    }))
}

/// When readiness began to count: when the container lost it, when it was first seen started, or at the latest
/// when its startup probe must have succeeded.
fn readiness_began(view: &PodFacts, spec: &Container, began: Timestamp) -> Timestamp {
    if let Some(lost) = view.unready_since().filter(|lost| *lost > began) {
        return lost;
    }
    match &spec.startup_probe {
        None => began,
        Some(startup) => {
            let latest = later(began, window(startup));
            view.phase_since(&spec.name).map_or(latest, |seen| seen.clamp(began, latest))
        }
    }
}

/// How long a probe may fail from the container's start on: initial delay + period × failures.
fn window(probe: &Probe) -> Duration {
    let number = |value: Option<i32>, default: u64| {
        value.and_then(|value| u64::try_from(value).ok()).unwrap_or(default)
    };
    let delay = number(probe.initial_delay_seconds, 0);
    let period = number(probe.period_seconds, 10);
    let failures = number(probe.failure_threshold, 3);
    Duration::from_secs(delay + period * failures)
}

/// `readiness probe: GET :3000/alive every 10 s, 3 failures`.
fn describe(which: &str, probe: &Probe) -> String {
    use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
    let what = if let Some(get) = &probe.http_get {
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
    format!("{which} probe: {what} every {period} s, {failures} allowed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_come_from_the_probes_own_numbers() {
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
