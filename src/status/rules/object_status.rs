//! The health of one object of the set.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;

use super::fault::Fault;
use super::pod;
use super::pod_facts::{self, PodHealth, RunMode};
use super::root_cause::cause_rank;
use crate::catalogue::Id;
use crate::status::grace::{FinalAt, GracePeriods, later};
use crate::status::observed::state::ObservedState;

/// How long containers without readiness and startup probes must run before they count as ready. Without probes, a
/// crash-looping container is ready for a moment after each restart.
const MIN_UPTIME: Duration = Duration::from_secs(10);

/// The health of one object of the set.
#[derive(Debug, Default)]
pub(crate) struct ObjectHealth {
    pub(crate) ready: bool,
    /// The state: `1/1`, `Bound`. If the object is not ready, the reason follows after a colon.
    pub(crate) message: String,
    pub(crate) faults: Vec<Fault>,
    /// The object is ready only if nothing changes until then.
    pub(crate) stable_at: Option<Stability>,
    /// The desired number of pods.
    pub(crate) desired: usize,
}

/// When an object that looks ready counts as ready.
#[derive(Debug)]
pub(crate) struct Stability {
    pub(crate) at: Timestamp,
    /// Why it is not ready before.
    pub(crate) reason: &'static str,
}

impl ObjectHealth {
    pub(crate) fn ready(message: impl Into<String>) -> Self {
        Self { ready: true, message: message.into(), ..Self::default() }
    }

    pub(crate) fn waiting(message: impl Into<String>) -> Self {
        Self { message: message.into(), ..Self::default() }
    }

    pub(crate) fn faulty(state: &str, fault: Fault) -> Self {
        Self { message: with_reason(state, &fault.reason), faults: vec![fault], ..Self::default() }
    }
}

/// Returns when containers without probes that have run since `since` count as ready.
pub(crate) fn stable_at(since: Timestamp) -> Stability {
    Stability { at: later(since, MIN_UPTIME), reason: "must stay up 10 s, it has no probes" }
}

/// Appends the reason to the state: `0/1: pulling image`.
pub(crate) fn with_reason(state: &str, reason: &str) -> String {
    format!("{state}: {reason}")
}

/// The pods of one revision of a workload.
pub(crate) struct WorkloadPods<'a> {
    /// Pods that have not ended and are not being deleted, by name.
    pub(crate) live: Vec<(&'a Pod, PodHealth)>,
    /// The faults of all pods, including failed ones.
    pub(crate) faults: Vec<Fault>,
}

impl<'a> WorkloadPods<'a> {
    pub(crate) fn new(
        observed: &ObservedState,
        grace: &GracePeriods,
        pods: Vec<&'a Pod>,
        mode: RunMode,
    ) -> Self {
        let (failed, running): (Vec<_>, Vec<_>) =
            pods.into_iter().partition(|pod| pod_facts::has_failed(pod));
        let mut live = Vec::new();
        let mut faults = Vec::new();
        for pod in
            running.into_iter().filter(|pod| !pod_facts::is_stopping(pod) && !pod_facts::has_succeeded(pod))
        {
            let mut health = pod::evaluate(observed, grace, pod, mode);
            faults.append(&mut health.faults);
            live.push((pod, health));
        }
        if mode == RunMode::LongRunning {
            // The controller replaces a failed pod at once. Only repeated failures are a fault of the workload, and those
            // from before the run are of an earlier one: a rollback uses its ReplicaSet again.
            let allowed = usize::try_from(grace.crash_restarts).unwrap_or(usize::MAX).max(1);
            let of_run = failed.iter().filter(|pod| !grace.is_before_run(pod)).count();
            let final_at = if of_run >= allowed { FinalAt::Now } else { FinalAt::Never };
            faults
                .extend(failed.into_iter().map(|pod| pod::failure(observed, grace, pod).final_at(final_at)));
        }
        Self { live, faults }
    }

    /// Returns what the workload waits for: its worst fault, else the reason of its first waiting pod. The reason of a
    /// live pod has precedence over a failed pod, because the failed pod is already replaced.
    pub(crate) fn reason(&self, faults: &[Fault]) -> Option<String> {
        let worst =
            faults.iter().min_by_key(|fault| cause_rank(fault.finding.id)).map(|it| (it, it.reason.clone()));
        let waiting_reason = || self.live.iter().find_map(|(_, health)| health.reason.clone());
        match worst {
            Some((fault, reason)) if fault.finding.id == Id::PodFailed => waiting_reason().or(Some(reason)),
            Some((_, reason)) => Some(reason),
            None => waiting_reason(),
        }
    }

    /// Returns whether this number of pods is ready, as far as the pods are observed. The workload and its pods have
    /// separate watches: a status that counts a ready pod may be older than the pod's crash.
    pub(crate) fn are_ready(&self, desired: i32) -> bool {
        let ready = self.live.iter().filter(|(_, health)| health.ready).count();
        self.live.is_empty() || i32::try_from(ready).is_ok_and(|ready| ready >= desired)
    }

    /// Returns since when all containers without probes have been running.
    pub(crate) fn up_since(&self) -> Option<Timestamp> {
        self.live.iter().filter_map(|(_, health)| health.up_since).max()
    }
}
