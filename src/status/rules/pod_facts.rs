//! A pod with its Events and the grace periods.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Pod, PodCondition};
use serde_json::Value;

use super::fault::Fault;
use super::text;
use crate::catalogue::Id;
use crate::object::ObjectId;
use crate::status::finding::{LogRun, Lookup, PodClaims};
use crate::status::grace::{FinalAt, GracePeriods, final_after};
use crate::status::observed::kube_events::KubeEvent;
use crate::status::observed::state::ObservedState;

/// The health of a pod.
#[derive(Debug, Default)]
pub(crate) struct PodHealth {
    pub(crate) ready: bool,
    /// What the pod waits for, in a few words.
    pub(crate) reason: Option<String>,
    pub(crate) faults: Vec<Fault>,
    /// Since when its containers without probes have been running.
    pub(crate) up_since: Option<Timestamp>,
}

/// Whether the containers of a pod run for ever or complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RunMode {
    /// The containers run for ever.
    LongRunning,
    /// The containers complete, as those of a Job.
    ToCompletion,
}

/// A pod with the state that was observed of it, and the grace periods.
pub(crate) struct PodFacts<'a> {
    observed: &'a ObservedState,
    pub(crate) grace: &'a GracePeriods,
    pub(crate) pod: &'a Pod,
    pub(crate) id: ObjectId,
    uid: &'a str,
}

impl<'a> PodFacts<'a> {
    pub(crate) fn new(observed: &'a ObservedState, grace: &'a GracePeriods, pod: &'a Pod) -> Self {
        let uid = pod.metadata.uid.as_deref().unwrap_or_default();
        Self { observed, grace, pod, id: id_of(pod), uid }
    }

    /// Creates a fault of one container.
    pub(crate) fn container_fault(
        &self,
        id: Id,
        spec: &Container,
        message: impl Into<String>,
        reason: &str,
    ) -> Fault {
        Fault::new(id, self.id.clone(), message, reason).container(&spec.name).created(self.created())
    }

    /// Creates a fault of the whole pod.
    pub(crate) fn pod_fault(&self, id: Id, message: &str, reason: &str) -> Fault {
        Fault::new(id, self.id.clone(), message, reason).created(self.created())
    }

    /// Returns the node of this pod.
    pub(crate) fn node(&self) -> Option<&'a str> {
        self.pod.spec.as_ref()?.node_name.as_deref()
    }

    /// Returns the lookup of a container's log.
    pub(crate) fn log(&self, container: &str, run: LogRun) -> Lookup {
        let node = self.node().map(str::to_owned);
        Lookup::Log { pod: self.id.clone(), container: container.to_owned(), node, run }
    }

    /// Returns the lookup of this pod's node, if the node controller has reported that it is lost.
    pub(crate) fn lost_node(&self) -> Option<Lookup> {
        let node = self.node().filter(|_| self.latest_event(&["NodeNotReady"]).is_some())?;
        Some(Lookup::NodeFaults(node.to_owned()))
    }

    /// Returns the claims that this pod mounts.
    pub(crate) fn claims(&self) -> PodClaims {
        let volumes = self.pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
        let claims = volumes.filter_map(|volume| volume.persistent_volume_claim.as_ref());
        PodClaims { pod: self.id.clone(), names: claims.map(|claim| claim.claim_name.clone()).collect() }
    }

    /// Returns the tolerations of this pod.
    pub(crate) fn tolerations(&self) -> Vec<Value> {
        let tolerations = self.pod.spec.iter().flat_map(|spec| spec.tolerations.iter().flatten());
        tolerations.filter_map(|toleration| serde_json::to_value(toleration).ok()).collect()
    }

    /// Returns who ended this pod, or is about to, if it did not end by itself: a preemption, an eviction, a taint. The
    /// scheduler's Event names the pod that took the place.
    pub(crate) fn disruption(&self) -> Vec<String> {
        let condition = self.condition("DisruptionTarget").filter(|condition| condition.status == "True");
        let condition = condition.map(|condition| {
            let reason = condition.reason.as_deref().unwrap_or("DisruptionTarget");
            format!("{reason}: {}", condition.message.as_deref().unwrap_or_default())
        });
        let event = self.latest_event(&["Preempted"]);
        let event = event.map(|event| {
            // The message has only the UID of the other pod.
            let other = event.related.as_ref().map(|other| {
                format!(", which is {other} in namespace {}", other.namespace.as_deref().unwrap_or_default())
            });
            format!("{}: {}{}", text::occurrences(event), event.message, other.unwrap_or_default())
        });
        condition.into_iter().chain(event).collect()
    }

    /// Returns why other pods of the same controller were ended.
    pub(crate) fn disrupted_siblings(&self) -> Vec<String> {
        let owners = self.pod.metadata.owner_references.iter().flatten();
        let Some(owner) = owners.into_iter().find(|owner| owner.controller == Some(true)) else {
            return Vec::new();
        };
        let siblings = self.observed.pods_of(&owner.uid).into_iter();
        let siblings = siblings.filter(|pod| pod.metadata.uid != self.pod.metadata.uid);
        siblings
            .flat_map(|pod| {
                let sibling = PodFacts::new(self.observed, self.grace, pod);
                let disruption = sibling.disruption().into_iter();
                disruption.map(|text| format!("{}: {text}", sibling.id)).collect::<Vec<_>>()
            })
            .collect()
    }

    /// Returns the Events about this pod.
    pub(crate) fn events(&self) -> impl Iterator<Item = &'a KubeEvent> + use<'a> {
        self.observed.events.about(self.uid)
    }

    /// Returns the latest Event about this pod with one of these reasons.
    pub(crate) fn latest_event(&self, reasons: &[&str]) -> Option<&'a KubeEvent> {
        self.observed.events.latest(self.uid, reasons)
    }

    pub(crate) fn condition(&self, kind: &str) -> Option<&'a PodCondition> {
        self.pod.status.as_ref()?.conditions.iter().flatten().find(|condition| condition.type_ == kind)
    }

    /// Returns when the kubelet accepted the pod, else when the pod was created.
    pub(crate) fn started(&self) -> Option<Timestamp> {
        self.pod.status.as_ref()?.start_time.as_ref().map(|time| time.0).or_else(|| self.created())
    }

    /// Returns when the pod was bound to its node.
    pub(crate) fn scheduled(&self) -> Option<Timestamp> {
        let condition = self.condition("PodScheduled").filter(|condition| condition.status == "True")?;
        condition.last_transition_time.as_ref().map(|time| time.0)
    }

    fn created(&self) -> Option<Timestamp> {
        self.pod.metadata.creation_timestamp.as_ref().map(|time| time.0)
    }

    /// Returns when the container was first observed in its current phase.
    pub(crate) fn phase_since(&self, container: &str) -> Option<Timestamp> {
        self.observed.first_seen.since(self.uid, container)
    }

    /// Returns the error of the container's last failed pull.
    pub(crate) fn pull_error(&self, container: &str) -> Option<&'a str> {
        self.observed.first_seen.pull_error(self.uid, container)
    }

    /// Returns since when the pod's containers have not been ready.
    pub(crate) fn unready_since(&self) -> Option<Timestamp> {
        let condition = self.condition("ContainersReady").filter(|condition| condition.status == "False")?;
        condition.last_transition_time.as_ref().map(|time| time.0)
    }

    /// Returns the start of a container phase that has no timestamp: the earliest of its Event and its first
    /// observation. The phase of a pod older than the run may have begun unobserved, so the time since it is not ready
    /// counts as well; for `status` that is each pod.
    pub(crate) fn since(&self, container: &str, event: Option<Timestamp>) -> Option<Timestamp> {
        let is_older =
            !self.grace.is_of_run() || self.started().is_some_and(|started| started < self.grace.started);
        let unready = self.unready_since().filter(|_| is_older);
        [event, self.phase_since(container), unready].into_iter().flatten().min()
    }

    /// Returns when a reference to a missing object becomes final: at once, unless a controller is about to create it.
    pub(crate) fn provision_deadline(&self, since: Option<Timestamp>) -> FinalAt {
        self.grace.provided_later.map_or(FinalAt::Now, |grace| final_after(since, grace))
    }

    /// Returns when a fault that the kubelet retries by itself becomes final.
    pub(crate) fn retry_deadline(&self, container: &str) -> FinalAt {
        final_after(self.since(container, None), self.grace.image_pull)
    }
}

/// Returns the id of a live pod.
pub(crate) fn id_of(pod: &Pod) -> ObjectId {
    ObjectId {
        group: String::new(),
        kind: "Pod".to_owned(),
        namespace: pod.metadata.namespace.clone(),
        name: pod.metadata.name.clone().unwrap_or_default(),
    }
}

/// Returns whether the pod has failed. Evicted pods, and pods that their node rejected, have the phase `Failed` as
/// well.
pub(crate) fn has_failed(pod: &Pod) -> bool {
    phase(pod) == Some("Failed")
}

/// Returns whether the pod is being deleted.
pub(crate) fn is_stopping(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_some()
}

/// Returns whether the pod has succeeded.
pub(crate) fn has_succeeded(pod: &Pod) -> bool {
    phase(pod) == Some("Succeeded")
}

/// Returns whether the pod is deleted and finalizers keep it.
pub(crate) fn is_held(pod: &Pod) -> bool {
    let finalizers = pod.metadata.finalizers.as_deref().unwrap_or_default();
    pod.metadata.deletion_timestamp.is_some() && !finalizers.is_empty()
}

fn phase(pod: &Pod) -> Option<&str> {
    pod.status.as_ref()?.phase.as_deref()
}
