//! A faulty object with everything around it that was observed, to be kept with a finding.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Serialize;
use serde_json::Value;

use super::kube_events::KubeEvent;
use super::state::{ByUid, ObservedState, controller};
use crate::object::ObjectId;
use crate::object::literal_secret;
use crate::status::finding::Exhibit;

/// The longest chain of owners is Deployment, `ReplicaSet`, Pod. The limit ends a cycle.
const MAX_OWNERS: usize = 4;

impl ObservedState {
    /// Returns an object, its owners, and the claims that it mounts, each with its Events. Empty if it is not observed.
    #[must_use]
    pub fn exhibits(&self, id: &ObjectId) -> Vec<Exhibit> {
        let mut exhibits: Vec<Exhibit> = Vec::new();
        let mut uid = self.uid_of(id);
        for _ in 0..MAX_OWNERS {
            let Some(object) = uid.as_deref().and_then(|uid| self.exhibit(uid)) else { break };
            uid = uid.as_deref().and_then(|uid| Some(controller(self.metadata(uid)?)?.uid.clone()));
            exhibits.push(object);
        }
        let claims = exhibits.first().map(|first| claims_of(&first.object)).unwrap_or_default();
        let is_mounted = |metadata: &ObjectMeta| {
            metadata.namespace == id.namespace
                && metadata.name.as_ref().is_some_and(|name| claims.contains(name))
        };
        let mounted = self.claims.iter().filter(|(_, claim)| is_mounted(&claim.metadata));
        exhibits.extend(mounted.filter_map(|(uid, _)| self.exhibit(uid)));
        exhibits
    }

    fn uid_of(&self, id: &ObjectId) -> Option<String> {
        let metadata = |metadata: &ObjectMeta| {
            metadata.name.as_deref() == Some(id.name.as_str()) && metadata.namespace == id.namespace
        };
        match id.kind.as_str() {
            "Deployment" => uid_in(&self.deployments, |object| metadata(&object.metadata)),
            "StatefulSet" => uid_in(&self.stateful_sets, |object| metadata(&object.metadata)),
            "DaemonSet" => uid_in(&self.daemon_sets, |object| metadata(&object.metadata)),
            "Job" => uid_in(&self.jobs, |object| metadata(&object.metadata)),
            "ReplicaSet" => uid_in(&self.replica_sets, |object| metadata(&object.metadata)),
            "Pod" => uid_in(&self.pods, |object| metadata(&object.metadata)),
            "PersistentVolumeClaim" => uid_in(&self.claims, |object| metadata(&object.metadata)),
            _ => uid_in(&self.untyped, |object| object.kind == id.kind && metadata(&object.metadata)),
        }
    }

    fn exhibit(&self, uid: &str) -> Option<Exhibit> {
        let object = None
            .or_else(|| manifest(&self.deployments, uid))
            .or_else(|| manifest(&self.stateful_sets, uid))
            .or_else(|| manifest(&self.daemon_sets, uid))
            .or_else(|| manifest(&self.jobs, uid))
            .or_else(|| manifest(&self.replica_sets, uid))
            .or_else(|| manifest(&self.pods, uid))
            .or_else(|| manifest(&self.claims, uid))
            .or_else(|| manifest(&self.untyped, uid))?;
        let mut events: Vec<&KubeEvent> = self.events.about(uid).collect();
        events.sort_by_key(|event| event.last);
        Some(Exhibit { object, events: events.into_iter().map(describe).collect() })
    }
}

fn uid_in<T>(objects: &ByUid<T>, is_same: impl Fn(&T) -> bool) -> Option<String> {
    objects.iter().find(|(_, object)| is_same(object)).map(|(uid, _)| uid.clone())
}

/// Returns an object as it is in the cluster, without the record of its managers, which nobody reads, and without its
/// secrets.
fn manifest<T: Serialize>(objects: &ByUid<T>, uid: &str) -> Option<Value> {
    let mut object = serde_json::to_value(objects.get(uid)?).ok()?;
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.remove("managedFields");
    }
    let kind = object["kind"].as_str().unwrap_or_default();
    Some(literal_secret::masked(kind, &object))
}

fn claims_of(object: &Value) -> Vec<String> {
    let volumes = object["spec"]["volumes"].as_array().into_iter().flatten();
    let names = volumes.filter_map(|volume| volume["persistentVolumeClaim"]["claimName"].as_str());
    names.map(str::to_owned).collect()
}

/// Formats an Event: `2026-01-02T03:04:05Z  3x  FailedMount  the message`.
fn describe(event: &KubeEvent) -> String {
    let KubeEvent { reason, message, last, count, .. } = event;
    format!("{last}  {count}x  {reason}  {message}")
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::json;

    use super::*;
    use crate::object::kind::POD;
    use crate::status::TrackedKind;

    #[test]
    fn pod_is_kept_with_its_owners_claim_and_events() {
        let object = |kind: &str, api_version: &str, name: &str, owner: Option<&str>, spec: Value| {
            let owners: Vec<Value> = owner
                .map(|uid| json!({ "apiVersion": "v1", "kind": "x", "name": uid, "uid": uid, "controller": true }))
                .into_iter()
                .collect();
            json!({ "apiVersion": api_version, "kind": kind, "spec": spec,
                "metadata": { "name": name, "namespace": "n", "uid": name, "ownerReferences": owners,
                    "managedFields": [{ "manager": "m" }] } })
        };
        let volume = json!([{ "name": "v", "persistentVolumeClaim": { "claimName": "c" } }]);
        let container = json!({ "name": "c", "env": [{ "name": "FOO_TOKEN", "value": "t-1" }, { "name": "A", "value": "a" }] });
        let template = json!({ "selector": {}, "template": {} });
        let event = json!({ "apiVersion": "v1", "kind": "Event", "metadata": { "uid": "e" },
            "involvedObject": { "uid": "p" }, "reason": "BackOff", "message": "back-off", "count": 3,
            "firstTimestamp": "2026-01-02T03:04:05Z", "lastTimestamp": "2026-01-02T03:04:06Z" });
        let mut state = ObservedState::default();
        for (kind, object) in [
            (TrackedKind::Deployment, object("Deployment", "apps/v1", "d", None, template.clone())),
            (TrackedKind::ReplicaSet, object("ReplicaSet", "apps/v1", "r", Some("d"), template)),
            (
                TrackedKind::Pod,
                object("Pod", "v1", "p", Some("r"), json!({ "containers": [container], "volumes": volume })),
            ),
            (TrackedKind::PersistentVolumeClaim, object("PersistentVolumeClaim", "v1", "c", None, json!({}))),
            (TrackedKind::PersistentVolumeClaim, object("PersistentVolumeClaim", "v1", "z", None, json!({}))),
            (TrackedKind::Event, event),
        ] {
            state.apply(0, kind, &object, Timestamp::UNIX_EPOCH).unwrap();
        }
        let exhibits = state.exhibits(&POD.id("n", "p"));
        let kinds: Vec<&str> =
            exhibits.iter().filter_map(|exhibit| exhibit.object["kind"].as_str()).collect();
        assert_eq!(kinds, ["Pod", "ReplicaSet", "Deployment", "PersistentVolumeClaim"]);
        assert_eq!(exhibits[0].events, ["2026-01-02T03:04:06Z  3x  BackOff  back-off"]);
        assert!(exhibits[0].object["metadata"]["managedFields"].is_null());
        let variables = &exhibits[0].object["spec"]["containers"][0]["env"];
        assert_eq!((&variables[0]["value"], &variables[1]["value"]), (&json!("(redacted)"), &json!("a")));
        assert_eq!(state.exhibits(&POD.id("n", "q")), []);
    }
}
