//! A pod with everything that is known of it.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Pod, PodCondition};

use super::fault::Symptom;
use crate::catalogue::Id;
use crate::object::ObjectId;
use crate::status::grace::{Due, Tolerance, after};
use crate::status::observed::kube_events::Note;
use crate::status::observed::state::World;

/// How a pod is.
#[derive(Debug, Default)]
pub(crate) struct PodOutlook {
    pub(crate) ready: bool,
    /// What it waits for, in few words.
    pub(crate) gap: Option<String>,
    pub(crate) symptoms: Vec<Symptom>,
    /// Since when its containers without probes have run.
    pub(crate) up_since: Option<Timestamp>,
}

/// What the containers of a pod are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// They run for ever.
    Serve,
    /// They end.
    Complete,
}

/// A pod with what is known about it.
pub(crate) struct View<'a> {
    pub(crate) world: &'a World,
    pub(crate) tolerance: &'a Tolerance,
    pub(crate) pod: &'a Pod,
    pub(crate) id: ObjectId,
    uid: &'a str,
}

impl<'a> View<'a> {
    pub(crate) fn new(world: &'a World, tolerance: &'a Tolerance, pod: &'a Pod) -> Self {
        let uid = pod.metadata.uid.as_deref().unwrap_or_default();
        Self { world, tolerance, pod, id: id_of(pod), uid }
    }

    /// A fault of one container.
    pub(crate) fn symptom(&self, id: Id, spec: &Container, message: impl Into<String>, gap: &str) -> Symptom {
        Symptom::new(id, self.id.clone(), message, gap).container(&spec.name).born(self.born())
    }

    /// A fault of the whole pod.
    pub(crate) fn whole(&self, id: Id, message: &str, gap: &str) -> Symptom {
        Symptom::new(id, self.id.clone(), message, gap).born(self.born())
    }

    /// The events about this pod.
    pub(crate) fn notes(&self) -> impl Iterator<Item = &'a Note> + use<'a> {
        self.world.notes.about(self.uid)
    }

    /// The latest event about this pod with one of these reasons.
    pub(crate) fn latest(&self, reasons: &[&str]) -> Option<&'a Note> {
        self.world.notes.latest(self.uid, reasons)
    }

    pub(crate) fn condition(&self, kind: &str) -> Option<&'a PodCondition> {
        self.pod.status.as_ref()?.conditions.iter().flatten().find(|condition| condition.type_ == kind)
    }

    /// When the kubelet took the pod.
    pub(crate) fn started(&self) -> Option<Timestamp> {
        self.pod.status.as_ref()?.start_time.as_ref().map(|time| time.0).or_else(|| self.born())
    }

    fn born(&self) -> Option<Timestamp> {
        self.pod.metadata.creation_timestamp.as_ref().map(|time| time.0)
    }

    /// When the container was first seen in its present stage.
    pub(crate) fn seen(&self, container: &str) -> Option<Timestamp> {
        self.world.moments.since(self.uid, container)
    }

    /// What the container's last failed pull said.
    pub(crate) fn pull_error(&self, container: &str) -> Option<&'a str> {
        self.world.moments.pull_error(self.uid, container)
    }

    /// Since when the pod has not been ready.
    pub(crate) fn unready_since(&self) -> Option<Timestamp> {
        let condition = self.condition("ContainersReady").filter(|condition| condition.status == "False")?;
        condition.last_transition_time.as_ref().map(|time| time.0)
    }

    /// Since when a stage without a time of its own lasts: its event, its first sighting, or, for a pod older
    /// than the run (whose beginning nobody watched), since it is not ready.
    pub(crate) fn since(&self, container: &str, event: Option<Timestamp>) -> Option<Timestamp> {
        let older = self.started().is_some_and(|started| started < self.tolerance.started);
        let unready = self.unready_since().filter(|_| older);
        [event, self.seen(container), unready].into_iter().flatten().min()
    }

    /// The grace of what the kubelet retries by itself.
    pub(crate) fn retried(&self, container: &str) -> Due {
        after(self.since(container, None), self.tolerance.image_pull)
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
