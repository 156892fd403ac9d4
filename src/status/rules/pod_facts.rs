//! A pod with everything that is known of it.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Pod, PodCondition};

use super::fault::Fault;
use crate::catalogue::Id;
use crate::object::ObjectId;
use crate::status::grace::{FinalAt, GracePeriods, final_after};
use crate::status::observed::kube_events::KubeEvent;
use crate::status::observed::state::ObservedState;

/// How a pod is.
#[derive(Debug, Default)]
pub(crate) struct PodHealth {
    pub(crate) ready: bool,
    /// What it waits for, in few words.
    pub(crate) reason: Option<String>,
    pub(crate) faults: Vec<Fault>,
    /// Since when its containers without probes have run.
    pub(crate) up_since: Option<Timestamp>,
}

/// What the containers of a pod are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RunMode {
    /// They run for ever.
    LongRunning,
    /// They end.
    ToCompletion,
}

/// A pod with what is known about it.
pub(crate) struct PodFacts<'a> {
    pub(crate) state: &'a ObservedState,
    pub(crate) grace: &'a GracePeriods,
    pub(crate) pod: &'a Pod,
    pub(crate) id: ObjectId,
    uid: &'a str,
}

impl<'a> PodFacts<'a> {
    pub(crate) fn new(world: &'a ObservedState, tolerance: &'a GracePeriods, pod: &'a Pod) -> Self {
        let uid = pod.metadata.uid.as_deref().unwrap_or_default();
        Self { state: world, grace: tolerance, pod, id: id_of(pod), uid }
    }

    /// A fault of one container.
    pub(crate) fn container_fault(
        &self,
        id: Id,
        spec: &Container,
        message: impl Into<String>,
        gap: &str,
    ) -> Fault {
        Fault::new(id, self.id.clone(), message, gap).container(&spec.name).created(self.created())
    }

    /// A fault of the whole pod.
    pub(crate) fn pod_fault(&self, id: Id, message: &str, gap: &str) -> Fault {
        Fault::new(id, self.id.clone(), message, gap).created(self.created())
    }

    /// The events about this pod.
    pub(crate) fn events(&self) -> impl Iterator<Item = &'a KubeEvent> + use<'a> {
        self.state.events.about(self.uid)
    }

    /// The latest event about this pod with one of these reasons.
    pub(crate) fn latest_event(&self, reasons: &[&str]) -> Option<&'a KubeEvent> {
        self.state.events.latest(self.uid, reasons)
    }

    pub(crate) fn condition(&self, kind: &str) -> Option<&'a PodCondition> {
        self.pod.status.as_ref()?.conditions.iter().flatten().find(|condition| condition.type_ == kind)
    }

    /// When the kubelet took the pod.
    pub(crate) fn started(&self) -> Option<Timestamp> {
        self.pod.status.as_ref()?.start_time.as_ref().map(|time| time.0).or_else(|| self.created())
    }

    fn created(&self) -> Option<Timestamp> {
        self.pod.metadata.creation_timestamp.as_ref().map(|time| time.0)
    }

    /// When the container was first seen in its present stage.
    pub(crate) fn phase_since(&self, container: &str) -> Option<Timestamp> {
        self.state.first_seen.since(self.uid, container)
    }

    /// What the container's last failed pull said.
    pub(crate) fn pull_error(&self, container: &str) -> Option<&'a str> {
        self.state.first_seen.pull_error(self.uid, container)
    }

    /// Since when the pod has not been ready.
    pub(crate) fn unready_since(&self) -> Option<Timestamp> {
        let condition = self.condition("ContainersReady").filter(|condition| condition.status == "False")?;
        condition.last_transition_time.as_ref().map(|time| time.0)
    }

    /// Since when a stage without a time of its own lasts: its event, its first sighting, or, for a pod older
    /// than the run (whose beginning nobody watched), since it is not ready.
    pub(crate) fn since(&self, container: &str, event: Option<Timestamp>) -> Option<Timestamp> {
        let older = self.started().is_some_and(|started| started < self.grace.started);
        let unready = self.unready_since().filter(|_| older);
        [event, self.phase_since(container), unready].into_iter().flatten().min()
    }

    /// The grace of what the kubelet retries by itself.
    pub(crate) fn retried(&self, container: &str) -> FinalAt {
        final_after(self.since(container, None), self.grace.image_pull)
    }
}

/// The identity of a live pod.
pub(crate) fn id_of(pod: &Pod) -> ObjectId {
    ObjectId {
        group: String::new(),
        kind: "Pod".to_owned(),
        namespace: pod.metadata.namespace.clone(),
        name: pod.metadata.name.clone().unwrap_or_default(),
    }
}

/// Whether the pod ended badly: `Failed` is the phase of evicted and refused pods too.
pub(crate) fn has_failed(pod: &Pod) -> bool {
    phase(pod) == Some("Failed")
}

/// Whether the pod is being deleted.
pub(crate) fn is_stopping(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_some()
}

/// Whether the pod ended well.
pub(crate) fn has_succeeded(pod: &Pod) -> bool {
    phase(pod) == Some("Succeeded")
}

fn phase(pod: &Pod) -> Option<&str> {
    pod.status.as_ref()?.phase.as_deref()
}
