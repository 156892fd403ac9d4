//! Names of ConfigMaps and Secrets that running pods refer to, or pods that `kubectl rollout undo` would start again.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::apps::v1::ReplicaSet;
use serde_json::Value;

use super::observed::state::ObservedState;
use crate::object::references;

/// The annotation in which the Deployment controller stores a `ReplicaSet`'s revision number.
const REVISION: &str = "deployment.kubernetes.io/revision";

/// Returns every name that a pod refers to, or a `ReplicaSet` that its Deployment keeps.
///
/// After a complete rollout a Deployment deletes its `ReplicaSet`s without pods, except the newest `history` ones
/// (<https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#clean-up-policy>). The older ones do not
/// count, even if they still exist.
#[must_use]
pub fn referenced_names(observed: &ObservedState, history: usize) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut collect = |object: Result<Value, serde_json::Error>| {
        if let Ok(object) = object {
            references::collect_strings(&object, &mut names);
        }
    };
    // A pod that is being deleted starts no more containers.
    for pod in observed.pods().filter(|pod| pod.metadata.deletion_timestamp.is_none()) {
        collect(serde_json::to_value(&pod.spec));
    }
    for replica_set in retained_replica_sets(observed, history) {
        collect(serde_json::to_value(&replica_set.spec));
    }
    names
}

fn retained_replica_sets(observed: &ObservedState, history: usize) -> Vec<&ReplicaSet> {
    let mut by_owner: BTreeMap<&str, Vec<&ReplicaSet>> = BTreeMap::new();
    for replica_set in observed.replica_sets.values() {
        let owners = replica_set.metadata.owner_references.as_deref().unwrap_or_default();
        let owner = owners.iter().find(|owner| owner.controller == Some(true));
        by_owner.entry(owner.map_or("", |owner| owner.uid.as_str())).or_default().push(replica_set);
    }
    let mut retained = Vec::new();
    for mut replica_sets in by_owner.into_values() {
        replica_sets.sort_by_key(|replica_set| Reverse(revision(replica_set)));
        // The first one belongs to the current revision.
        let (with_pods, without): (Vec<_>, Vec<_>) =
            replica_sets.into_iter().enumerate().partition(|(index, it)| *index == 0 || has_pods(it));
        retained.extend(with_pods.into_iter().chain(without.into_iter().take(history)).map(|(_, it)| it));
    }
    retained
}

fn revision(replica_set: &ReplicaSet) -> u64 {
    let annotations = replica_set.metadata.annotations.as_ref();
    annotations.and_then(|all| all.get(REVISION)?.parse().ok()).unwrap_or_default()
}

fn has_pods(replica_set: &ReplicaSet) -> bool {
    let desired = replica_set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    let current = replica_set.status.as_ref().map_or(0, |status| status.replicas);
    desired > 0 || current > 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::observed::state::TrackedKind;
    use jiff::Timestamp;
    use serde_json::json;

    fn replica_set(number: u64, replicas: u32) -> Value {
        json!({
            "metadata": {
                "name": format!("oh-{number}"), "uid": format!("u{number}"),
                "annotations": { REVISION: number.to_string() },
                "ownerReferences": [{ "apiVersion": "apps/v1", "kind": "Deployment", "name": "oh", "uid": "d", "controller": true }],
            },
            "spec": {
                "replicas": replicas, "selector": {},
                "template": { "spec": { "containers": [], "volumes": [{ "name": "c", "configMap": { "name": format!("config-{number}") } }] } },
            },
            "status": { "replicas": replicas },
        })
    }

    fn names(replica_sets: &[Value], history: usize) -> Vec<String> {
        let mut observed = ObservedState::default();
        observed.replace(0, TrackedKind::ReplicaSet, replica_sets, Timestamp::UNIX_EPOCH).unwrap();
        let names = referenced_names(&observed, history);
        names.into_iter().filter(|name| name.starts_with("config-")).collect()
    }

    #[test]
    fn current_and_newest_replica_sets_count() {
        let sets = [replica_set(1, 0), replica_set(2, 0), replica_set(3, 0), replica_set(10, 1)];
        assert_eq!(names(&sets, 2), ["config-10", "config-2", "config-3"]);
        assert_eq!(names(&sets, 0), ["config-10"]);
    }

    #[test]
    fn terminating_pod_does_not_count() {
        let mut pod = json!({
            "metadata": { "name": "oh", "uid": "p" },
            "spec": { "containers": [], "volumes": [{ "name": "c", "configMap": { "name": "config-1" } }] },
        });
        let is_referenced = |pod: &Value| {
            let mut state = ObservedState::default();
            state.replace(0, TrackedKind::Pod, std::slice::from_ref(pod), Timestamp::UNIX_EPOCH).unwrap();
            referenced_names(&state, 0).contains("config-1")
        };
        assert!(is_referenced(&pod));
        pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        assert!(!is_referenced(&pod));
    }

    #[test]
    fn old_replica_set_with_pods_counts() {
        let sets = [replica_set(1, 1), replica_set(2, 0), replica_set(3, 0)];
        assert_eq!(names(&sets, 0), ["config-1", "config-3"]);
    }
}
