//! The health of a Deployment: its new `ReplicaSet`, and what keeps the rollout from completing.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentCondition, ReplicaSet};
use k8s_openapi::api::core::v1::{Pod, PodTemplateSpec};

use super::fault::Fault;
use super::object_status::{ObjectHealth, WorkloadPods, stable_at, with_reason};
use super::pod_facts::{self, RunMode};
use super::{admission, pod};
use crate::catalogue::Id;
use crate::object::ObjectId;
use crate::phrase;
use crate::status::grace::GracePeriods;
use crate::status::observed::state::ObservedState;
use crate::status::verdict::Expected;

/// A Deployment with its new `ReplicaSet` and its old pods.
struct DeploymentView<'a> {
    observed: &'a ObservedState,
    expected: &'a Expected,
    deployment: &'a Deployment,
    grace: &'a GracePeriods,
    /// The `ReplicaSet` of the current template. None until the controller creates it; with the Recreate strategy that
    /// is after the last old pod is deleted.
    new: Option<&'a ReplicaSet>,
    old_pods: Vec<&'a Pod>,
    counts: ReplicaCounts,
}

/// The replica numbers of `spec` and `status`.
#[derive(Debug, Clone, Copy)]
struct ReplicaCounts {
    desired: i32,
    updated: i32,
    total: i32,
    available: i32,
}

/// Evaluates a Deployment as `kubectl rollout status` does, and finds what an incomplete rollout waits for.
pub(crate) fn evaluate(
    observed: &ObservedState,
    expected: &Expected,
    deployment: &Deployment,
    grace: &GracePeriods,
) -> ObjectHealth {
    let rollout = DeploymentView::new(observed, expected, deployment, grace);
    let counts = rollout.counts;
    let desired = usize::try_from(counts.desired).unwrap_or_default();
    let health = if !rollout.is_observed() {
        ObjectHealth::waiting(with_reason(&counts.state(), "its controller has not observed the change"))
    } else if counts.are_complete() {
        rollout.complete_health()
    } else {
        rollout.incomplete_health()
    };
    ObjectHealth { desired, ..health }
}

/// Returns whether the rollout of a Deployment is paused.
pub(crate) fn is_paused(deployment: &Deployment) -> bool {
    deployment.spec.as_ref().is_some_and(|spec| spec.paused == Some(true))
}

/// Returns the command that resumes the rollout of a Deployment.
pub(crate) fn resume_command(id: &ObjectId) -> String {
    let namespace = id.namespace.as_deref().unwrap_or_default();
    format!("kubectl rollout resume deployment/{} -n {namespace}", id.name)
}

/// Returns the `ReplicaSet` of the current template, found as the controller does (`FindNewReplicaSet`). The revision
/// annotation cannot be used: with the Recreate strategy the Deployment has the old number until the last old pod is
/// deleted.
pub(crate) fn new_replica_set<'a>(
    observed: &'a ObservedState,
    deployment: &Deployment,
) -> Option<&'a ReplicaSet> {
    let uid = deployment.metadata.uid.as_deref()?;
    let template = &deployment.spec.as_ref()?.template;
    observed.replica_sets_of(uid).into_iter().find(|set| {
        set.spec
            .as_ref()
            .and_then(|spec| spec.template.as_ref())
            .is_some_and(|own| is_same_template(own, template))
    })
}

/// Compares two templates without the hash label that the controller adds.
fn is_same_template(own: &PodTemplateSpec, template: &PodTemplateSpec) -> bool {
    const HASH: &str = "pod-template-hash";
    if own.spec != template.spec {
        return false;
    }
    let comparable = |template: &PodTemplateSpec| {
        let mut metadata = template.metadata.clone().unwrap_or_default();
        if let Some(labels) = &mut metadata.labels {
            labels.remove(HASH);
        }
        metadata.labels = metadata.labels.filter(|labels| !labels.is_empty());
        metadata.annotations = metadata.annotations.filter(|annotations| !annotations.is_empty());
        metadata.creation_timestamp = None;
        metadata
    };
    comparable(own) == comparable(template)
}

/// Returns the time of the last rejection of a pod of the current template. The `ReplicaSet` removes the condition once
/// it has created its pods.
pub(crate) fn rejected_since(observed: &ObservedState, deployment: &Deployment) -> Option<Timestamp> {
    let set = new_replica_set(observed, deployment)?;
    let conditions = set.status.as_ref()?.conditions.as_ref()?;
    let failure = conditions.iter().find(|it| it.type_ == "ReplicaFailure" && it.status == "True")?;
    failure.last_transition_time.as_ref().map(|time| time.0)
}

impl ReplicaCounts {
    fn from_status(deployment: &Deployment) -> Self {
        let status = deployment.status.as_ref();
        let number = |read: fn(&k8s_openapi::api::apps::v1::DeploymentStatus) -> Option<i32>| {
            status.and_then(read).unwrap_or_default()
        };
        Self {
            desired: deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1),
            updated: number(|status| status.updated_replicas),
            total: number(|status| status.replicas),
            available: number(|status| status.available_replicas),
        }
    }

    fn are_complete(self) -> bool {
        self.updated >= self.desired && self.total <= self.updated && self.available >= self.updated
    }

    /// Formats the available pods of the new revision and the desired number: `0/1`. `availableReplicas` includes old
    /// pods, so they are subtracted.
    fn state(self) -> String {
        let old = self.total - self.updated;
        format!("{}/{}", (self.available - old).clamp(0, self.updated), self.desired)
    }
}

impl<'a> DeploymentView<'a> {
    fn new(
        observed: &'a ObservedState,
        expected: &'a Expected,
        deployment: &'a Deployment,
        grace: &'a GracePeriods,
    ) -> Self {
        let uid = deployment.metadata.uid.as_deref().unwrap_or_default();
        let new = new_replica_set(observed, deployment);
        let is_new = |set: &&ReplicaSet| new.is_some_and(|new| new.metadata.uid == set.metadata.uid);
        let old = observed.replica_sets_of(uid).into_iter().filter(|set| !is_new(set));
        let old_pods = old.flat_map(|set| observed.pods_of(set.metadata.uid.as_deref().unwrap_or_default()));
        let counts = ReplicaCounts::from_status(deployment);
        let has_ended = |pod: &Pod| pod_facts::has_failed(pod) || pod_facts::has_succeeded(pod);
        // With the Recreate strategy the controller continues when it observes the deletion of the last old pod
        // (`pkg/controller/deployment/deployment_controller.go`, `deletePod`). A finalizer delays that beyond the pod's end.
        let is_awaited = |pod: &Pod| counts.updated == 0 && pod_facts::is_held(pod);
        let old_pods = old_pods.filter(|pod| !has_ended(pod) || is_awaited(pod)).collect();
        Self { observed, expected, deployment, grace, new, old_pods, counts }
    }

    /// Returns whether the controller has observed the current generation and the one that this run applied.
    fn is_observed(&self) -> bool {
        let observed_generation =
            self.deployment.status.as_ref().and_then(|status| status.observed_generation);
        let generation =
            self.deployment.metadata.generation.unwrap_or_default().max(self.expected.generation);
        observed_generation.unwrap_or_default() >= generation
    }

    fn new_pods(&self) -> WorkloadPods<'a> {
        let uid = self.new.and_then(|set| set.metadata.uid.as_deref());
        let pods = uid.map(|uid| self.observed.pods_of(uid)).unwrap_or_default();
        WorkloadPods::new(self.observed, self.grace, pods, RunMode::LongRunning)
    }

    fn complete_health(&self) -> ObjectHealth {
        let pods = self.new_pods();
        if !pods.are_ready(self.counts.desired) {
            return self.incomplete_health();
        }
        let stable_since = if pods.live.is_empty() { self.available_since() } else { pods.up_since() };
        ObjectHealth { stable_at: stable_since.map(stable_at), ..ObjectHealth::ready(self.counts.state()) }
    }

    /// Returns when the revision became available. Used for pods without probes that are not observed, either not yet
    /// or for lack of permissions.
    fn available_since(&self) -> Option<Timestamp> {
        let spec = self.deployment.spec.as_ref()?.template.spec.as_ref()?;
        let has_probe = |container: &k8s_openapi::api::core::v1::Container| {
            container.readiness_probe.is_some() || container.startup_probe.is_some()
        };
        if self.counts.desired == 0 || spec.containers.iter().all(has_probe) {
            return None;
        }
        self.condition("Progressing")?.last_update_time.as_ref().map(|time| time.0)
    }

    fn incomplete_health(&self) -> ObjectHealth {
        let pods = self.new_pods();
        let mut faults: Vec<Fault> = self.paused_fault().into_iter().chain(self.rejection_fault()).collect();
        faults.extend(pods.faults.iter().cloned());
        if self.is_recreate() {
            faults.extend(
                self.old_pods.iter().filter_map(|pod| pod::deletion_fault(self.observed, self.grace, pod)),
            );
        }
        let reason = pods.reason(&faults).unwrap_or_else(|| self.reason(&pods));
        faults.extend(self.deadline_fault(&reason));
        ObjectHealth { faults, ..ObjectHealth::waiting(with_reason(&self.counts.state(), &reason)) }
    }

    /// Returns what the rollout waits for, if no pod has a reason.
    fn reason(&self, pods: &WorkloadPods) -> String {
        let ReplicaCounts { desired, updated, total, .. } = self.counts;
        if self.is_recreate() && !self.old_pods.is_empty() && updated == 0 {
            "the old pod is stopping".to_owned()
        } else if updated < desired && pods.live.is_empty() {
            if self.grace.admits_rejected_pods && rejected_since(self.observed, self.deployment).is_some() {
                "its controller tries again after a pause; handsctl restart shortens it".to_owned()
            } else {
                "waiting for its pod".to_owned()
            }
        } else if updated < desired {
            format!("{updated} of {desired} pods are new")
        } else if total > updated {
            format!("{} to stop", phrase::count(total - updated, "old pod"))
        } else {
            "not available yet".to_owned()
        }
    }

    fn is_recreate(&self) -> bool {
        let strategy = self.deployment.spec.as_ref().and_then(|spec| spec.strategy.as_ref());
        strategy.and_then(|strategy| strategy.type_.as_deref()) == Some("Recreate")
    }

    /// Returns the fault of a paused rollout that has no pod of the current template. It is final: the controller
    /// creates none until somebody resumes the rollout.
    fn paused_fault(&self) -> Option<Fault> {
        let id = &self.expected.id;
        let lacks_pods = self.new.is_none() && self.counts.updated < self.counts.desired;
        (lacks_pods && is_paused(self.deployment)).then(|| {
            let message = "spec.paused is true: its controller replaces no pod";
            Fault::new(Id::RolloutPaused, id.clone(), message, "the rollout is paused")
                .hint(resume_command(id))
        })
    }

    /// Returns the fault of pods that the API server rejects. The `ReplicaSet` reports it first. The Deployment's
    /// condition is used if `ReplicaSet`s cannot be read.
    fn rejection_fault(&self) -> Option<Fault> {
        let (message, since, created) = match self.new {
            Some(set) => {
                let conditions = set.status.as_ref()?.conditions.as_ref()?;
                let failure =
                    conditions.iter().find(|it| it.type_ == "ReplicaFailure" && it.status == "True")?;
                (failure.message.as_deref(), &failure.last_transition_time, &set.metadata.creation_timestamp)
            }
            None if self.observed.replica_sets.is_empty() => {
                let failure = self.condition("ReplicaFailure").filter(|failure| failure.status == "True")?;
                (failure.message.as_deref(), &failure.last_transition_time, &None)
            }
            None => return None,
        };
        let since = since.as_ref().map(|time| time.0);
        if self.grace.admits_rejected_pods && since.is_none_or(|since| since < self.grace.started) {
            return None;
        }
        let created = created.as_ref().map(|time| time.0);
        let message = message.unwrap_or_default();
        Some(admission::rejection_fault(self.expected.id.clone(), message, since, created, self.grace))
    }

    /// Returns the fault of a rollout that exceeded its progress deadline. A condition of the previous rollout is
    /// ignored: with the Recreate strategy it stays until the new `ReplicaSet` is created.
    fn deadline_fault(&self, reason: &str) -> Option<Fault> {
        let condition = self.condition("Progressing")?;
        if condition.status != "False" || condition.reason.as_deref() != Some("ProgressDeadlineExceeded") {
            return None;
        }
        let since = condition.last_update_time.as_ref().map(|time| time.0);
        let is_stale = self.new.is_none() && !self.observed.replica_sets.is_empty()
            || self.expected.changed && since.is_some_and(|since| since < self.grace.started);
        if is_stale {
            return None;
        }
        let message = condition.message.as_deref().unwrap_or_default();
        let fault =
            Fault::new(Id::ProgressDeadline, self.expected.id.clone(), message, "no progress in time");
        Some(fault.evidence([with_reason(&self.counts.state(), reason)]))
    }

    fn condition(&self, kind: &str) -> Option<&'a DeploymentCondition> {
        self.deployment.status.as_ref()?.conditions.iter().flatten().find(|condition| condition.type_ == kind)
    }
}
