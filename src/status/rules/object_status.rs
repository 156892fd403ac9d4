//! How one object of the set is.

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

/// How long containers without readiness and startup probes must have run: a crash-looper without probes is
/// ready for a moment in each of its rounds.
const MIN_UPTIME: Duration = Duration::from_secs(10);

/// How one object of the set is.
#[derive(Debug, Default)]
pub(crate) struct ObjectHealth {
    pub(crate) ready: bool,
    /// `1/1`, `Bound`; with the gap behind a colon when it is not ready.
    pub(crate) message: String,
    pub(crate) faults: Vec<Fault>,
    /// Ready only if nothing changes until then.
    pub(crate) stable_at: Option<Timestamp>,
    /// How many pods it wants.
    pub(crate) wanted: usize,
}

impl ObjectHealth {
    pub(crate) fn ready(message: impl Into<String>) -> Self {
        Self { ready: true, message: message.into(), ..Self::default() }
    }

    pub(crate) fn waiting(message: impl Into<String>) -> Self {
        Self { message: message.into(), ..Self::default() }
    }

    pub(crate) fn faulty(state: &str, symptom: Fault) -> Self {
        Self { message: with_reason(state, &symptom.reason), faults: vec![symptom], ..Self::default() }
    }
}

/// When containers without probes that have run since then may be believed.
pub(crate) fn stable_at(since: Timestamp) -> Timestamp {
    later(since, MIN_UPTIME)
}

/// `0/1: pulling image`.
pub(crate) fn with_reason(state: &str, gap: &str) -> String {
    format!("{state}: {gap}")
}

/// The pods of one revision of a workload.
pub(crate) struct WorkloadPods<'a> {
    /// By name; neither failed nor being deleted.
    pub(crate) live: Vec<(&'a Pod, PodHealth)>,
    /// What is wrong, the failed ones included.
    pub(crate) faults: Vec<Fault>,
}

impl<'a> WorkloadPods<'a> {
    pub(crate) fn new(
        world: &ObservedState,
        tolerance: &GracePeriods,
        pods: Vec<&'a Pod>,
        purpose: RunMode,
    ) -> Self {
        let (failed, running): (Vec<_>, Vec<_>) =
            pods.into_iter().partition(|pod| pod_facts::has_failed(pod));
        let mut live = Vec::new();
        let mut symptoms = Vec::new();
        for pod in
            running.into_iter().filter(|pod| !pod_facts::is_stopping(pod) && !pod_facts::has_succeeded(pod))
        {
            let mut outlook = pod::evaluate(world, tolerance, pod, purpose);
            symptoms.append(&mut outlook.faults);
            live.push((pod, outlook));
        }
        if purpose == RunMode::LongRunning {
            // A failed pod is replaced at once: it is a fault of the workload only when it happens again.
            let allowed = usize::try_from(tolerance.crash_restarts).unwrap_or(usize::MAX).max(1);
            let due = if failed.len() >= allowed { FinalAt::Now } else { FinalAt::Never };
            symptoms.extend(failed.into_iter().map(|pod| pod::failed(world, tolerance, pod).final_at(due)));
        }
        Self { live, faults: symptoms }
    }

    /// What the workload waits for: its worst fault, else what its first pod waits for. A pod that ended is
    /// mentioned last, its successor is on its way.
    pub(crate) fn gap(&self, symptoms: &[Fault]) -> Option<String> {
        let worst = symptoms
            .iter()
            .min_by_key(|symptom| cause_rank(symptom.finding.id))
            .map(|it| (it, it.reason.clone()));
        let coming = || self.live.iter().find_map(|(_, outlook)| outlook.reason.clone());
        match worst {
            Some((symptom, gap)) if symptom.finding.id == Id::PodFailed => coming().or(Some(gap)),
            Some((_, gap)) => Some(gap),
            None => coming(),
        }
    }

    /// Since when all containers without probes have run.
    pub(crate) fn up_since(&self) -> Option<Timestamp> {
        self.live.iter().filter_map(|(_, outlook)| outlook.up_since).max()
    }
}
