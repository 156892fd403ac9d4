//! A Deployment: its new `ReplicaSet` and what keeps that from being all there is.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentCondition, ReplicaSet};
use k8s_openapi::api::core::v1::{Pod, PodTemplateSpec};

use super::fault::Fault;
use super::object_status::{ObjectHealth, WorkloadPods, stable_at, with_reason};
use super::pod_facts::{self, RunMode};
use super::{admission, pod};
use crate::catalogue::Id;
use crate::phrase;
use crate::status::grace::GracePeriods;
use crate::status::observed::state::ObservedState;
use crate::status::verdict::Expected;

/// A Deployment and what belongs to it.
struct DeploymentView<'a> {
    world: &'a ObservedState,
    expected: &'a Expected,
    deployment: &'a Deployment,
    tolerance: &'a GracePeriods,
    /// None until the controller has made it; under Recreate that is after the last old pod.
    new: Option<&'a ReplicaSet>,
    old_pods: Vec<&'a Pod>,
    counts: ReplicaCounts,
}

/// `status` in numbers.
#[derive(Debug, Clone, Copy)]
struct ReplicaCounts {
    wanted: i32,
    updated: i32,
    all: i32,
    available: i32,
}

/// Judges a Deployment as `kubectl rollout status` does, and says why it is not done.
pub(crate) fn evaluate(
    world: &ObservedState,
    expected: &Expected,
    deployment: &Deployment,
    tolerance: &GracePeriods,
) -> ObjectHealth {
    let rollout = DeploymentView::new(world, expected, deployment, tolerance);
    let counts = rollout.counts;
    let wanted = usize::try_from(counts.wanted).unwrap_or_default();
    let outlook = if !rollout.is_observed() {
        ObjectHealth::waiting(with_reason(&counts.state(), "its controller has not seen the change"))
    } else if counts.are_complete() {
        rollout.complete()
    } else {
        rollout.incomplete()
    };
    ObjectHealth { wanted, ..outlook }
}

/// The `ReplicaSet` of the present template, as the controller finds it (`FindNewReplicaSet`). Its revision
/// annotation would not do: under Recreate the Deployment carries the old number until the last old pod is gone.
pub(crate) fn new_replica_set<'a>(
    world: &'a ObservedState,
    deployment: &Deployment,
) -> Option<&'a ReplicaSet> {
    let uid = deployment.metadata.uid.as_deref()?;
    let template = &deployment.spec.as_ref()?.template;
    world.replica_sets_of(uid).into_iter().find(|set| {
        set.spec.as_ref().and_then(|spec| spec.template.as_ref()).is_some_and(|own| same(own, template))
    })
}

/// Equal but for the hash that the controller adds.
fn same(own: &PodTemplateSpec, wanted: &PodTemplateSpec) -> bool {
    const HASH: &str = "pod-template-hash";
    if own.spec != wanted.spec {
        return false;
    }
    let bare = |template: &PodTemplateSpec| {
        let mut metadata = template.metadata.clone().unwrap_or_default();
        if let Some(labels) = &mut metadata.labels {
            labels.remove(HASH);
        }
        metadata.labels = metadata.labels.filter(|labels| !labels.is_empty());
        metadata.annotations = metadata.annotations.filter(|annotations| !annotations.is_empty());
        metadata.creation_timestamp = None;
        metadata
    };
    bare(own) == bare(wanted)
}

impl ReplicaCounts {
    fn from_status(deployment: &Deployment) -> Self {
        let status = deployment.status.as_ref();
        let number = |read: fn(&k8s_openapi::api::apps::v1::DeploymentStatus) -> Option<i32>| {
            status.and_then(read).unwrap_or_default()
        };
        Self {
            wanted: deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1),
            updated: number(|status| status.updated_replicas),
            all: number(|status| status.replicas),
            available: number(|status| status.available_replicas),
        }
    }

    fn are_complete(self) -> bool {
        self.updated >= self.wanted && self.all <= self.updated && self.available >= self.updated
    }

    /// Pods of the new revision that are available, of how many. `availableReplicas` counts the old ones too.
    fn state(self) -> String {
        let old = self.all - self.updated;
        format!("{}/{}", (self.available - old).clamp(0, self.updated), self.wanted)
    }
}

impl<'a> DeploymentView<'a> {
    fn new(
        world: &'a ObservedState,
        expected: &'a Expected,
        deployment: &'a Deployment,
        tolerance: &'a GracePeriods,
    ) -> Self {
        let uid = deployment.metadata.uid.as_deref().unwrap_or_default();
        let new = new_replica_set(world, deployment);
        let is_new = |set: &&ReplicaSet| new.is_some_and(|new| new.metadata.uid == set.metadata.uid);
        let old = world.replica_sets_of(uid).into_iter().filter(|set| !is_new(set));
        let old_pods = old.flat_map(|set| world.pods_of(set.metadata.uid.as_deref().unwrap_or_default()));
        let old_pods =
            old_pods.filter(|pod| !pod_facts::has_failed(pod) && !pod_facts::has_succeeded(pod)).collect();
        Self {
            world,
            expected,
            deployment,
            tolerance,
            new,
            old_pods,
            counts: ReplicaCounts::from_status(deployment),
        }
    }

    /// Whether the status speaks of what we sent, and of the object as it is now.
    fn is_observed(&self) -> bool {
        let observed = self.deployment.status.as_ref().and_then(|status| status.observed_generation);
        let generation =
            self.deployment.metadata.generation.unwrap_or_default().max(self.expected.generation);
        observed.unwrap_or_default() >= generation
    }

    fn pods(&self) -> WorkloadPods<'a> {
        let uid = self.new.and_then(|set| set.metadata.uid.as_deref());
        let pods = uid.map(|uid| self.world.pods_of(uid)).unwrap_or_default();
        WorkloadPods::new(self.world, self.tolerance, pods, RunMode::LongRunning)
    }

    fn complete(&self) -> ObjectHealth {
        let pods = self.pods();
        let settles = if pods.live.is_empty() { self.available_since() } else { pods.up_since() };
        ObjectHealth { stable_at: settles.map(stable_at), ..ObjectHealth::ready(self.counts.state()) }
    }

    /// When the revision became available, for probe-less pods that are not seen (yet, or for lack of rights).
    fn available_since(&self) -> Option<Timestamp> {
        let spec = self.deployment.spec.as_ref()?.template.spec.as_ref()?;
        let probed = |container: &k8s_openapi::api::core::v1::Container| {
            container.readiness_probe.is_some() || container.startup_probe.is_some()
        };
        if self.counts.wanted == 0 || spec.containers.iter().all(probed) {
            return None;
        }
        self.condition("Progressing")?.last_update_time.as_ref().map(|time| time.0)
    }

    fn incomplete(&self) -> ObjectHealth {
        let pods = self.pods();
        let mut symptoms: Vec<Fault> = self.refused().into_iter().collect();
        symptoms.extend(pods.faults.iter().cloned());
        if self.recreates() {
            symptoms.extend(
                self.old_pods.iter().filter_map(|pod| pod::held_in_deletion(self.world, self.tolerance, pod)),
            );
        }
        let gap = pods.gap(&symptoms).unwrap_or_else(|| self.gap(&pods));
        symptoms.extend(self.stalled(&gap));
        ObjectHealth { faults: symptoms, ..ObjectHealth::waiting(with_reason(&self.counts.state(), &gap)) }
    }

    /// What the rollout waits for when no pod says it.
    fn gap(&self, pods: &WorkloadPods) -> String {
        let ReplicaCounts { wanted, updated, all, .. } = self.counts;
        if self.deployment.spec.as_ref().is_some_and(|spec| spec.paused == Some(true)) {
            "the rollout is paused".to_owned()
        } else if self.recreates() && !self.old_pods.is_empty() && updated == 0 {
            "the old pod is stopping".to_owned()
        } else if updated < wanted && pods.live.is_empty() {
            "waiting for its pod".to_owned()
        } else if updated < wanted {
            format!("{updated} of {wanted} pods are new")
        } else if all > updated {
            format!("{} to stop", phrase::count(all - updated, "old pod"))
        } else {
            "not available yet".to_owned()
        }
    }

    fn recreates(&self) -> bool {
        let strategy = self.deployment.spec.as_ref().and_then(|spec| spec.strategy.as_ref());
        strategy.and_then(|strategy| strategy.type_.as_deref()) == Some("Recreate")
    }

    /// The API server refuses the pods: the `ReplicaSet` says it first, the Deployment where that cannot be read.
    fn refused(&self) -> Option<Fault> {
        let (message, since, born) = match self.new {
            Some(set) => {
                let conditions = set.status.as_ref()?.conditions.as_ref()?;
                let failure =
                    conditions.iter().find(|it| it.type_ == "ReplicaFailure" && it.status == "True")?;
                (failure.message.as_deref(), &failure.last_transition_time, &set.metadata.creation_timestamp)
            }
            None if self.world.replica_sets.is_empty() => {
                let failure = self.condition("ReplicaFailure").filter(|failure| failure.status == "True")?;
                (failure.message.as_deref(), &failure.last_transition_time, &None)
            }
            None => return None,
        };
        let since = since.as_ref().map(|time| time.0);
        let born = born.as_ref().map(|time| time.0);
        let message = message.unwrap_or_default();
        Some(admission::symptom(self.expected.id.clone(), message, since, born, self.tolerance))
    }

    /// The controller gave up waiting, and says so about what we sent: under Recreate the condition of the
    /// rollout before stays until the new `ReplicaSet` is made.
    fn stalled(&self, gap: &str) -> Option<Fault> {
        let condition = self.condition("Progressing")?;
        if condition.status != "False" || condition.reason.as_deref() != Some("ProgressDeadlineExceeded") {
            return None;
        }
        let since = condition.last_update_time.as_ref().map(|time| time.0);
        let stale = self.new.is_none() && !self.world.replica_sets.is_empty()
            || self.expected.changed && since.is_some_and(|since| since < self.tolerance.started);
        if stale {
            return None;
        }
        let message = condition.message.as_deref().unwrap_or_default();
        let symptom =
            Fault::new(Id::ProgressDeadline, self.expected.id.clone(), message, "no progress in time");
        Some(symptom.evidence([with_reason(&self.counts.state(), gap)]))
    }

    fn condition(&self, kind: &str) -> Option<&'a DeploymentCondition> {
        self.deployment.status.as_ref()?.conditions.iter().flatten().find(|condition| condition.type_ == kind)
    }
}
