//! What the watches have shown: the judge's only source.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use k8s_openapi::Metadata;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use serde::de::{DeserializeOwned, Error as _};
use serde_json::Value;

use super::first_seen::FirstSeen;
use super::kube_events::KubeEvents;
use crate::object::ObjectId;

/// The kinds that are watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TrackedKind {
    /// `apps/v1`.
    Deployment,
    /// `apps/v1`.
    StatefulSet,
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
}

impl TrackedKind {
    /// The watched kind of an object; None for what is ready once it exists.
    #[must_use]
    pub fn of(id: &ObjectId) -> Option<Self> {
        match (id.group.as_str(), id.kind.as_str()) {
            ("apps", "Deployment") => Some(Self::Deployment),
            ("apps", "StatefulSet") => Some(Self::StatefulSet),
            ("apps", "ReplicaSet") => Some(Self::ReplicaSet),
            ("batch", "Job") => Some(Self::Job),
            ("", "Pod") => Some(Self::Pod),
            ("", "PersistentVolumeClaim") => Some(Self::PersistentVolumeClaim),
            ("discovery.k8s.io", "EndpointSlice") => Some(Self::EndpointSlice),
            ("", "Event") => Some(Self::Event),
            _ => None,
        }
    }
}

/// Live objects of one kind by UID.
pub(crate) type ByUid<T> = BTreeMap<String, T>;

/// What the watches have shown.
///
/// Each watch has a scope: a number that the caller gives it. Several scopes may be of one kind (two namespaces, two
/// label selectors), and may show the same object: it is gone when none of them shows it any more.
///
/// Events of objects that are not known are kept too: an event may arrive before its pod does.
#[derive(Debug, Default)]
pub struct ObservedState {
    pub(crate) deployments: ByUid<Deployment>,
    pub(crate) stateful_sets: ByUid<StatefulSet>,
    pub(crate) jobs: ByUid<Job>,
    pub(crate) replica_sets: ByUid<ReplicaSet>,
    pub(crate) pods: ByUid<Pod>,
    pub(crate) claims: ByUid<PersistentVolumeClaim>,
    pub(crate) endpoint_slices: ByUid<EndpointSlice>,
    pub(crate) events: KubeEvents,
    pub(crate) first_seen: FirstSeen,
    /// The scopes that show each object, by UID.
    shown_by: BTreeMap<String, BTreeSet<usize>>,
    gone: BTreeSet<String>,
}

impl ObservedState {
    /// Takes in an object that the watch of this scope added or modified. `seen` is the time of its arrival on the
    /// server's clock.
    ///
    /// # Errors
    /// The object is not of that kind, or has no UID.
    pub fn apply(
        &mut self,
        scope: usize,
        kind: TrackedKind,
        object: &Value,
        seen: Timestamp,
    ) -> Result<(), serde_json::Error> {
        match kind {
            TrackedKind::Deployment => put(&mut self.deployments, object)?,
            TrackedKind::StatefulSet => put(&mut self.stateful_sets, object)?,
            TrackedKind::Job => put(&mut self.jobs, object)?,
            TrackedKind::ReplicaSet => put(&mut self.replica_sets, object)?,
            TrackedKind::PersistentVolumeClaim => put(&mut self.claims, object)?,
            TrackedKind::EndpointSlice => put(&mut self.endpoint_slices, object)?,
            TrackedKind::Event => return self.events.put(object),
            TrackedKind::Pod => {
                let (uid, pod) = typed::<Pod>(object)?;
                self.first_seen.observe(&uid, &pod, seen);
                self.pods.insert(uid, pod);
            }
        }
        if let Some(uid) = object["metadata"]["uid"].as_str() {
            self.shown_by.entry(uid.to_owned()).or_default().insert(scope);
        }
        Ok(())
    }

    /// Takes in that the watch of this scope no longer shows an object. It is forgotten when no scope shows it, but not
    /// that it was deleted.
    pub fn remove(&mut self, scope: usize, kind: TrackedKind, uid: &str) {
        if let Some(scopes) = self.shown_by.get_mut(uid) {
            scopes.remove(&scope);
            if !scopes.is_empty() {
                return;
            }
            self.shown_by.remove(uid);
        }
        let known = match kind {
            TrackedKind::Deployment => self.deployments.remove(uid).is_some(),
            TrackedKind::StatefulSet => self.stateful_sets.remove(uid).is_some(),
            TrackedKind::Job => self.jobs.remove(uid).is_some(),
            TrackedKind::ReplicaSet => self.replica_sets.remove(uid).is_some(),
            TrackedKind::PersistentVolumeClaim => self.claims.remove(uid).is_some(),
            TrackedKind::EndpointSlice => self.endpoint_slices.remove(uid).is_some(),
            TrackedKind::Event => {
                self.events.remove(uid);
                return;
            }
            TrackedKind::Pod => {
                self.first_seen.forget(uid);
                self.pods.remove(uid).is_some()
            }
        };
        if known {
            self.events.forget_subject(uid);
            self.gone.insert(uid.to_owned());
        }
    }

    /// Takes in everything that a scope shows: what it showed before and does not name now is gone from it. Events are
    /// only added to, because a server drops them by age.
    ///
    /// # Errors
    /// An object is not of that kind, or has no UID; those before it were taken in.
    pub fn replace(
        &mut self,
        scope: usize,
        kind: TrackedKind,
        objects: &[Value],
        seen: Timestamp,
    ) -> Result<(), serde_json::Error> {
        let mut listed = BTreeSet::new();
        for object in objects {
            self.apply(scope, kind, object, seen)?;
            listed.extend(object["metadata"]["uid"].as_str());
        }
        let shown = self.shown_by.iter().filter(|(_, scopes)| scopes.contains(&scope));
        let unlisted: Vec<String> =
            shown.map(|(uid, _)| uid).filter(|uid| !listed.contains(uid.as_str())).cloned().collect();
        for uid in unlisted {
            self.remove(scope, kind, &uid);
        }
        Ok(())
    }

    /// The pods that are there.
    pub fn pods(&self) -> impl Iterator<Item = &Pod> {
        self.pods.values()
    }

    /// Whether this UID is a watched object whose owners, if it has any, are watched objects too.
    #[must_use]
    pub fn is_known_owner_chain(&self, uid: &str) -> bool {
        let mut uid = uid;
        // Deployment, ReplicaSet, Pod: no chain of ours is longer, and a cycle must end.
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

    /// Whether a watched object was deleted.
    pub(crate) fn is_deleted(&self, uid: &str) -> bool {
        self.gone.contains(uid)
    }

    /// The pods that an object controls, by name.
    pub(crate) fn pods_of(&self, owner: &str) -> Vec<&Pod> {
        let mut pods: Vec<&Pod> =
            self.pods.values().filter(|pod| is_controlled_by(&pod.metadata, owner)).collect();
        pods.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
        pods
    }

    /// The `ReplicaSet`s that a Deployment controls, oldest first: of several that match its template the
    /// Deployment controller takes the first of this order (`FindNewReplicaSet`).
    pub(crate) fn replica_sets_of(&self, owner: &str) -> Vec<&ReplicaSet> {
        let mut sets: Vec<&ReplicaSet> =
            self.replica_sets.values().filter(|set| is_controlled_by(&set.metadata, owner)).collect();
        sets.sort_by(|a, b| order(&a.metadata).cmp(&order(&b.metadata)));
        sets
    }

    /// The metadata of a watched object.
    pub(crate) fn metadata(&self, uid: &str) -> Option<&ObjectMeta> {
        None.or_else(|| self.deployments.get(uid).map(|object| &object.metadata))
            .or_else(|| self.stateful_sets.get(uid).map(|object| &object.metadata))
            .or_else(|| self.jobs.get(uid).map(|object| &object.metadata))
            .or_else(|| self.replica_sets.get(uid).map(|object| &object.metadata))
            .or_else(|| self.pods.get(uid).map(|object| &object.metadata))
            .or_else(|| self.claims.get(uid).map(|object| &object.metadata))
            .or_else(|| self.endpoint_slices.get(uid).map(|object| &object.metadata))
    }
}

fn put<T>(store: &mut ByUid<T>, object: &Value) -> Result<(), serde_json::Error>
where
    T: DeserializeOwned + Metadata<Ty = ObjectMeta>,
{
    let (uid, object) = typed(object)?;
    store.insert(uid, object);
    Ok(())
}

/// The object and its UID, without its managed fields: they are most of its size and say nothing here.
fn typed<T>(object: &Value) -> Result<(String, T), serde_json::Error>
where
    T: DeserializeOwned + Metadata<Ty = ObjectMeta>,
{
    let mut object = T::deserialize(object)?;
    object.metadata_mut().managed_fields = None;
    match object.metadata().uid.clone() {
        Some(uid) => Ok((uid, object)),
        None => Err(serde_json::Error::custom("metadata.uid is missing")),
    }
}

/// The owner that manages the object.
fn controller(metadata: &ObjectMeta) -> Option<&OwnerReference> {
    metadata.owner_references.iter().flatten().find(|owner| owner.controller == Some(true))
}

fn is_controlled_by(metadata: &ObjectMeta, owner: &str) -> bool {
    controller(metadata).is_some_and(|reference| reference.uid == owner)
}

fn order(metadata: &ObjectMeta) -> (Option<Timestamp>, Option<&str>) {
    (metadata.creation_timestamp.as_ref().map(|time| time.0), metadata.name.as_deref())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(uid: &str, owner: Option<&str>) -> Value {
        let owners: Vec<Value> = owner
            .map(|uid| json!({"apiVersion": "v1", "kind": "X", "name": uid, "uid": uid, "controller": true}))
            .into_iter()
            .collect();
        json!({"metadata": {"name": uid, "uid": uid, "ownerReferences": owners}})
    }

    #[test]
    fn ownership_goes_up_to_an_object_without_an_owner() {
        let mut world = ObservedState::default();
        let seen = Timestamp::UNIX_EPOCH;
        world.apply(0, TrackedKind::Pod, &object("pod", Some("set")), seen).unwrap();
        assert!(!world.is_known_owner_chain("pod"), "its ReplicaSet is not known yet");
        let mut set = object("set", Some("deploy"));
        set["spec"] = json!({"selector": {}});
        world.apply(0, TrackedKind::ReplicaSet, &set, seen).unwrap();
        let mut deployment = object("deploy", None);
        deployment["spec"] = json!({"selector": {}, "template": {}});
        world.apply(0, TrackedKind::Deployment, &deployment, seen).unwrap();
        assert!(
            world.is_known_owner_chain("pod")
                && world.is_known_owner_chain("set")
                && world.is_known_owner_chain("deploy")
        );
        assert!(!world.is_known_owner_chain("stranger"));
        world.remove(0, TrackedKind::ReplicaSet, "set");
        assert!(!world.is_known_owner_chain("pod"));
    }

    #[test]
    fn an_object_of_another_kind_or_without_a_uid_is_an_error() {
        let mut world = ObservedState::default();
        let wrong = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"uid": "x"}});
        assert!(world.apply(0, TrackedKind::Pod, &wrong, Timestamp::UNIX_EPOCH).is_err());
        assert!(
            world
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
    fn object_shown_by_two_scopes_goes_with_the_last() {
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
    fn managed_fields_are_not_kept() {
        let mut world = ObservedState::default();
        let mut pod = object("pod", None);
        pod["metadata"]["managedFields"] = json!([{"manager": "handsctl", "fieldsV1": {"f:spec": {}}}]);
        world.apply(0, TrackedKind::Pod, &pod, Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(world.metadata("pod").unwrap().managed_fields, None);
    }
}
