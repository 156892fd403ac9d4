//! The objects that the watches have received: the only input of the evaluation.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use k8s_openapi::Metadata;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use serde::Deserialize as _;
use serde::de::{DeserializeOwned, Error as _};
use serde_json::Value;

use super::first_seen::FirstSeen;
use super::kube_events::KubeEvents;
use super::untyped::UntypedObject;
use crate::object::kind::is_custom;
use crate::object::{ObjectId, condition};

/// The kinds that are watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TrackedKind {
    /// `apps/v1`.
    Deployment,
    /// `apps/v1`.
    StatefulSet,
    /// `apps/v1`.
    DaemonSet,
    /// `batch/v1`.
    Job,
    /// `apps/v1`.
    ReplicaSet,
    /// `v1`.
    Pod,
    /// `v1`.
    PersistentVolumeClaim,
    /// `discovery.k8s.io/v1`.
    EndpointSlice,
    /// `v1`.
    Event,
    /// A kind of another controller, which reports the object's state in conditions.
    Custom,
    /// `autoscaling`. It has no rollout.
    Autoscaler,
    /// `batch/v1`. It has no rollout.
    CronJob,
    /// `policy/v1`. It has no rollout.
    DisruptionBudget,
}

impl TrackedKind {
    /// Returns the watched kind of an object. Objects of other kinds (None) are ready when they exist.
    #[must_use]
    pub fn from_id(id: &ObjectId) -> Option<Self> {
        match (id.group.as_str(), id.kind.as_str()) {
            ("apps", "Deployment") => Some(Self::Deployment),
            ("apps", "StatefulSet") => Some(Self::StatefulSet),
            ("apps", "DaemonSet") => Some(Self::DaemonSet),
            ("apps", "ReplicaSet") => Some(Self::ReplicaSet),
            ("batch", "Job") => Some(Self::Job),
            ("", "Pod") => Some(Self::Pod),
            ("", "PersistentVolumeClaim") => Some(Self::PersistentVolumeClaim),
            ("discovery.k8s.io", "EndpointSlice") => Some(Self::EndpointSlice),
            ("", "Event") => Some(Self::Event),
            ("autoscaling", "HorizontalPodAutoscaler") => Some(Self::Autoscaler),
            ("batch", "CronJob") => Some(Self::CronJob),
            ("policy", "PodDisruptionBudget") => Some(Self::DisruptionBudget),
            _ => is_custom(id).then_some(Self::Custom),
        }
    }

    /// Returns whether a rollout waits for objects of the kind. Objects of the others only report that they cannot do
    /// their work.
    #[must_use]
    pub fn has_rollout(self) -> bool {
        !matches!(self, Self::Autoscaler | Self::CronJob | Self::DisruptionBudget)
    }
}

/// Live objects of one kind by UID.
pub(crate) type ByUid<T> = BTreeMap<String, T>;

/// The objects that the watches have received.
///
/// Each watch has a scope: a number that the caller assigns. Several scopes may watch one kind (two namespaces, two
/// label selectors), and may contain the same object: it is deleted when no scope contains it any more.
///
/// Events of unknown objects are stored as well, because an Event may arrive before its pod.
#[derive(Debug, Default)]
pub struct ObservedState {
    pub(crate) deployments: ByUid<Deployment>,
    pub(crate) stateful_sets: ByUid<StatefulSet>,
    pub(crate) daemon_sets: ByUid<DaemonSet>,
    pub(crate) jobs: ByUid<Job>,
    pub(crate) replica_sets: ByUid<ReplicaSet>,
    pub(crate) pods: ByUid<Pod>,
    pub(crate) claims: ByUid<PersistentVolumeClaim>,
    pub(crate) endpoint_slices: ByUid<EndpointSlice>,
    /// Objects of kinds without a type of their own, and of kinds without a rollout.
    pub(crate) untyped: ByUid<UntypedObject>,
    pub(crate) events: KubeEvents,
    pub(crate) first_seen: FirstSeen,
    /// The scopes that contain each object, by UID.
    scopes_of: BTreeMap<String, BTreeSet<usize>>,
    deleted: BTreeSet<String>,
}

impl ObservedState {
    /// Stores an object that the watch of this scope added or modified. `now` is the time of its arrival on the
    /// server's clock.
    ///
    /// # Errors
    /// The object is of another kind, or has no UID.
    pub fn apply(
        &mut self,
        scope: usize,
        kind: TrackedKind,
        object: &Value,
        now: Timestamp,
    ) -> Result<(), serde_json::Error> {
        match kind {
            TrackedKind::Deployment => put(&mut self.deployments, object)?,
            TrackedKind::StatefulSet => put(&mut self.stateful_sets, object)?,
            TrackedKind::DaemonSet => put(&mut self.daemon_sets, object)?,
            TrackedKind::Job => put(&mut self.jobs, object)?,
            TrackedKind::ReplicaSet => put(&mut self.replica_sets, object)?,
            TrackedKind::PersistentVolumeClaim => put(&mut self.claims, object)?,
            TrackedKind::EndpointSlice => put(&mut self.endpoint_slices, object)?,
            TrackedKind::Custom
            | TrackedKind::Autoscaler
            | TrackedKind::CronJob
            | TrackedKind::DisruptionBudget => {
                let mut untyped = UntypedObject::deserialize(object)?;
                self.untyped.insert(trimmed(&mut untyped.metadata)?, untyped);
            }
            TrackedKind::Event => return self.events.put(object),
            TrackedKind::Pod => {
                let (uid, pod) = parse::<Pod>(object)?;
                self.first_seen.observe(&uid, &pod, now);
                self.pods.insert(uid, pod);
            }
        }
        if let Some(uid) = object["metadata"]["uid"].as_str() {
            self.scopes_of.entry(uid.to_owned()).or_default().insert(scope);
        }
        Ok(())
    }

    /// Removes an object from this scope. When no scope contains the object any more, it is dropped and recorded as
    /// deleted.
    pub fn remove(&mut self, scope: usize, kind: TrackedKind, uid: &str) {
        if let Some(scopes) = self.scopes_of.get_mut(uid) {
            scopes.remove(&scope);
            if !scopes.is_empty() {
                return;
            }
            self.scopes_of.remove(uid);
        }
        let is_removed = match kind {
            TrackedKind::Deployment => self.deployments.remove(uid).is_some(),
            TrackedKind::StatefulSet => self.stateful_sets.remove(uid).is_some(),
            TrackedKind::DaemonSet => self.daemon_sets.remove(uid).is_some(),
            TrackedKind::Job => self.jobs.remove(uid).is_some(),
            TrackedKind::ReplicaSet => self.replica_sets.remove(uid).is_some(),
            TrackedKind::PersistentVolumeClaim => self.claims.remove(uid).is_some(),
            TrackedKind::EndpointSlice => self.endpoint_slices.remove(uid).is_some(),
            TrackedKind::Custom
            | TrackedKind::Autoscaler
            | TrackedKind::CronJob
            | TrackedKind::DisruptionBudget => self.untyped.remove(uid).is_some(),
            TrackedKind::Event => {
                self.events.remove(uid);
                return;
            }
            TrackedKind::Pod => {
                self.first_seen.forget(uid);
                self.pods.remove(uid).is_some()
            }
        };
        if is_removed {
            self.events.forget_subject(uid);
            self.deleted.insert(uid.to_owned());
        }
    }

    /// Replaces the content of a scope with a complete list. Objects of this scope that are not listed are removed from
    /// it. Unlisted Events stay, because a server drops them by age.
    ///
    /// # Errors
    /// An object is of another kind, or has no UID; the objects before it are stored.
    pub fn replace(
        &mut self,
        scope: usize,
        kind: TrackedKind,
        objects: &[Value],
        now: Timestamp,
    ) -> Result<(), serde_json::Error> {
        let mut listed = BTreeSet::new();
        for object in objects {
            self.apply(scope, kind, object, now)?;
            listed.extend(object["metadata"]["uid"].as_str());
        }
        let current = self.scopes_of.iter().filter(|(_, scopes)| scopes.contains(&scope));
        let unlisted: Vec<String> =
            current.map(|(uid, _)| uid).filter(|uid| !listed.contains(uid.as_str())).cloned().collect();
        for uid in unlisted {
            self.remove(scope, kind, &uid);
        }
        Ok(())
    }

    /// Returns all pods.
    pub fn pods(&self) -> impl Iterator<Item = &Pod> {
        self.pods.values()
    }

    /// Returns the ready pods. A terminating pod may still report that it is ready, but no Service sends requests to it.
    pub fn ready_pods(&self) -> impl Iterator<Item = &Pod> {
        let ready = self.pods().filter(|pod| condition::ready_pod(pod).is_some());
        ready.filter(|pod| pod.metadata.deletion_timestamp.is_none())
    }

    /// Returns whether this UID belongs to a watched object and all its owners are watched objects as well.
    #[must_use]
    pub fn has_observed_owners(&self, uid: &str) -> bool {
        let mut uid = uid;
        // The longest chain is Deployment, ReplicaSet, Pod. The limit ends a cycle.
        for _ in 0..4 {
            match self.metadata(uid) {
                None => return false,
                Some(metadata) => match controller(metadata) {
                    None => return true,
                    Some(owner) => uid = &owner.uid,
                },
            }
        }
        false
    }

    /// Returns whether a watched object was deleted.
    pub(crate) fn is_deleted(&self, uid: &str) -> bool {
        self.deleted.contains(uid)
    }

    /// Returns the pods that an object controls, sorted by name.
    pub(crate) fn pods_of(&self, owner: &str) -> Vec<&Pod> {
        let mut pods: Vec<&Pod> =
            self.pods.values().filter(|pod| is_controlled_by(&pod.metadata, owner)).collect();
        pods.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
        pods
    }

    /// Returns the `ReplicaSet`s that a Deployment controls, oldest first. If several match the template, the
    /// Deployment controller uses the first one in this order (`FindNewReplicaSet`).
    pub(crate) fn replica_sets_of(&self, owner: &str) -> Vec<&ReplicaSet> {
        let mut sets: Vec<&ReplicaSet> =
            self.replica_sets.values().filter(|set| is_controlled_by(&set.metadata, owner)).collect();
        sets.sort_by(|a, b| age_order(&a.metadata).cmp(&age_order(&b.metadata)));
        sets
    }

    /// Returns the metadata of a watched object.
    pub(crate) fn metadata(&self, uid: &str) -> Option<&ObjectMeta> {
        None.or_else(|| self.deployments.get(uid).map(|object| &object.metadata))
            .or_else(|| self.stateful_sets.get(uid).map(|object| &object.metadata))
            .or_else(|| self.daemon_sets.get(uid).map(|object| &object.metadata))
            .or_else(|| self.jobs.get(uid).map(|object| &object.metadata))
            .or_else(|| self.replica_sets.get(uid).map(|object| &object.metadata))
            .or_else(|| self.pods.get(uid).map(|object| &object.metadata))
            .or_else(|| self.claims.get(uid).map(|object| &object.metadata))
            .or_else(|| self.endpoint_slices.get(uid).map(|object| &object.metadata))
            .or_else(|| self.untyped.get(uid).map(|object| &object.metadata))
    }
}

fn put<T>(store: &mut ByUid<T>, object: &Value) -> Result<(), serde_json::Error>
where
    T: DeserializeOwned + Metadata<Ty = ObjectMeta>,
{
    let (uid, object) = parse(object)?;
    store.insert(uid, object);
    Ok(())
}

/// Parses the object and its UID. Drops the managed fields: they are most of its size. Only those of an object that a
/// finalizer holds are used: they name its manager.
fn parse<T>(object: &Value) -> Result<(String, T), serde_json::Error>
where
    T: DeserializeOwned + Metadata<Ty = ObjectMeta>,
{
    let mut object = T::deserialize(object)?;
    let uid = trimmed(object.metadata_mut())?;
    Ok((uid, object))
}

/// Drops the managed fields that are not used, and returns the UID.
fn trimmed(metadata: &mut ObjectMeta) -> Result<String, serde_json::Error> {
    if metadata.deletion_timestamp.is_none() || metadata.finalizers.is_none() {
        metadata.managed_fields = None;
    }
    metadata.uid.clone().ok_or_else(|| serde_json::Error::custom("metadata.uid is missing"))
}

/// Returns the owner reference with `controller: true`.
pub(crate) fn controller(metadata: &ObjectMeta) -> Option<&OwnerReference> {
    metadata.owner_references.iter().flatten().find(|owner| owner.controller == Some(true))
}

fn is_controlled_by(metadata: &ObjectMeta, owner: &str) -> bool {
    controller(metadata).is_some_and(|reference| reference.uid == owner)
}

fn age_order(metadata: &ObjectMeta) -> (Option<Timestamp>, Option<&str>) {
    (metadata.creation_timestamp.as_ref().map(|time| time.0), metadata.name.as_deref())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::finalizer;
    use serde_json::json;

    fn object(uid: &str, owner: Option<&str>) -> Value {
        let owners: Vec<Value> = owner
            .map(|uid| json!({"apiVersion": "v1", "kind": "X", "name": uid, "uid": uid, "controller": true}))
            .into_iter()
            .collect();
        json!({"metadata": {"name": uid, "uid": uid, "ownerReferences": owners}})
    }

    #[test]
    fn owner_chain_needs_every_owner_up_to_root() {
        let mut observed = ObservedState::default();
        let now = Timestamp::UNIX_EPOCH;
        observed.apply(0, TrackedKind::Pod, &object("pod", Some("set")), now).unwrap();
        assert!(!observed.has_observed_owners("pod"), "its ReplicaSet is not observed yet");
        let mut set = object("set", Some("deploy"));
        set["spec"] = json!({"selector": {}});
        observed.apply(0, TrackedKind::ReplicaSet, &set, now).unwrap();
        let mut deployment = object("deploy", None);
        deployment["spec"] = json!({"selector": {}, "template": {}});
        observed.apply(0, TrackedKind::Deployment, &deployment, now).unwrap();
        assert!(
            observed.has_observed_owners("pod")
                && observed.has_observed_owners("set")
                && observed.has_observed_owners("deploy")
        );
        assert!(!observed.has_observed_owners("unknown-uid"));
        observed.remove(0, TrackedKind::ReplicaSet, "set");
        assert!(!observed.has_observed_owners("pod"));
    }

    #[test]
    fn object_of_wrong_kind_or_without_uid_is_error() {
        let mut observed = ObservedState::default();
        let wrong = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"uid": "x"}});
        assert!(observed.apply(0, TrackedKind::Pod, &wrong, Timestamp::UNIX_EPOCH).is_err());
        assert!(
            observed
                .apply(0, TrackedKind::Pod, &json!({"metadata": {"name": "x"}}), Timestamp::UNIX_EPOCH)
                .is_err()
        );
    }

    #[test]
    fn list_of_one_scope_leaves_other_scopes_alone() {
        let mut state = ObservedState::default();
        let now = Timestamp::UNIX_EPOCH;
        state.replace(0, TrackedKind::Deployment, &[object("app", None)], now).unwrap();
        state.replace(1, TrackedKind::Deployment, &[object("extra", None)], now).unwrap();
        assert!(state.metadata("app").is_some() && !state.is_deleted("app"));
        state.replace(1, TrackedKind::Deployment, &[], now).unwrap();
        assert!(state.is_deleted("extra") && state.metadata("app").is_some());
    }

    #[test]
    fn object_in_two_scopes_is_deleted_with_the_last() {
        let mut state = ObservedState::default();
        let now = Timestamp::UNIX_EPOCH;
        for scope in [0, 1] {
            state.apply(scope, TrackedKind::Pod, &object("p", None), now).unwrap();
        }
        state.remove(0, TrackedKind::Pod, "p");
        assert!(state.metadata("p").is_some());
        state.remove(1, TrackedKind::Pod, "p");
        assert!(state.is_deleted("p"));
    }

    #[test]
    fn managed_fields_are_dropped() {
        let mut observed = ObservedState::default();
        let mut pod = object("pod", None);
        pod["metadata"]["managedFields"] = json!([{"manager": "handsctl", "fieldsV1": {"f:spec": {}}}]);
        observed.apply(0, TrackedKind::Pod, &pod, Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(observed.metadata("pod").unwrap().managed_fields, None);
        pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        pod["metadata"]["finalizers"] = json!(["a/b"]);
        pod["metadata"]["managedFields"][0]["fieldsV1"] =
            json!({"f:metadata": {"f:finalizers": {"v:\"a/b\"": {}}}});
        observed.apply(0, TrackedKind::Pod, &pod, Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(
            finalizer::managers(observed.metadata("pod").unwrap()),
            ["finalizer a/b was set by manager handsctl"]
        );
    }
}
