//! Stands in for the controllers: a claim is bound when it is created, and a Deployment has its pod at once. The pod is
//! ready or crashes, as the test decides by the ConfigMap that the pod mounts.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};

use serde_json::{Value, json};

use super::store::Store;
use crate::object::kind::{CLAIM, CONFIG_MAP, DEPLOYMENT, KindInfo, POD, REPLICA_SET};

/// Returns whether a pod works that mounts this ConfigMap.
pub(crate) type Works = fn(&Value) -> bool;

/// The pods that work.
#[derive(Debug, Clone, Copy)]
pub(super) struct WorkingPods {
    pub(super) works: Works,
    /// Whether every pod crashes at present.
    pub(super) outage: bool,
}

/// Brings the state of every Deployment and claim of a namespace up to date.
pub(super) fn reconcile(store: &mut Store, namespace: &str, pods: WorkingPods) {
    let path = |kind: KindInfo| kind.in_namespace(namespace).path().to_owned();
    for mut claim in store.list(&path(CLAIM), "") {
        claim["status"]["phase"] = json!("Bound");
        store.put(&path(CLAIM), &claim);
    }
    for deployment in store.list(&path(DEPLOYMENT), "") {
        Rollout { deployment, namespace }.run(store, pods);
    }
}

struct Rollout<'a> {
    deployment: Value,
    namespace: &'a str,
}

impl Rollout<'_> {
    fn run(mut self, store: &mut Store, pods: WorkingPods) {
        let is_ready = !pods.outage && self.config(store).is_some_and(|config| (pods.works)(&config));
        let name = self.replica_set_name();
        self.delete_old(store, &name);
        let replica_set = self.create_replica_set(store, &name);
        self.put_pod(store, &replica_set, is_ready);
        let ready = u8::from(is_ready);
        self.deployment["status"] = json!({
            "observedGeneration": self.deployment["metadata"]["generation"],
            "replicas": 1, "updatedReplicas": 1, "readyReplicas": ready, "availableReplicas": ready,
        });
        store.put(DEPLOYMENT.in_namespace(self.namespace).path(), &self.deployment);
    }

    fn template(&self) -> &Value {
        &self.deployment["spec"]["template"]
    }

    /// Returns the mounted ConfigMap; None if it does not exist.
    fn config(&self, store: &Store) -> Option<Value> {
        let volumes = self.template()["spec"]["volumes"].as_array()?;
        let name = volumes.iter().find_map(|volume| volume["configMap"]["name"].as_str())?;
        store.get(CONFIG_MAP.in_namespace(self.namespace).path(), name).cloned()
    }

    fn replica_set_name(&self) -> String {
        let mut hasher = DefaultHasher::new();
        self.template().to_string().hash(&mut hasher);
        let name = self.deployment["metadata"]["name"].as_str().unwrap_or_default();
        format!("{name}-{:08x}", hasher.finish() & 0xffff_ffff)
    }

    fn owned(&self, store: &Store) -> Vec<Value> {
        let uid = &self.deployment["metadata"]["uid"];
        let mut sets = store.list(REPLICA_SET.in_namespace(self.namespace).path(), "");
        sets.retain(|set| set["metadata"]["ownerReferences"][0]["uid"] == *uid);
        sets.sort_by_key(revision_of);
        sets
    }

    /// Scales the old `ReplicaSets` down, and deletes those beyond the Deployment's history.
    fn delete_old(&self, store: &mut Store, current: &str) {
        let limit = self.deployment["spec"]["revisionHistoryLimit"].as_u64().unwrap_or(10);
        let mut old = self.owned(store);
        old.retain(|set| set["metadata"]["name"] != current);
        let surplus = old.len().saturating_sub(usize::try_from(limit).unwrap());
        let path = REPLICA_SET.in_namespace(self.namespace);
        for (index, mut set) in old.into_iter().enumerate() {
            let name = set["metadata"]["name"].as_str().unwrap_or_default().to_owned();
            store.delete(POD.in_namespace(self.namespace).path(), &pod_name(&name));
            if index < surplus {
                store.delete(path.path(), &name);
                continue;
            }
            set["spec"]["replicas"] = json!(0);
            set["status"]["replicas"] = json!(0);
            store.put(path.path(), &set);
        }
    }

    fn create_replica_set(&self, store: &mut Store, name: &str) -> Value {
        let path = REPLICA_SET.in_namespace(self.namespace);
        let newest = self.owned(store).last().map_or(0, revision_of);
        let existing = store.get(path.path(), name).cloned();
        let is_newest = existing.as_ref().is_some_and(|set| revision_of(set) == newest);
        let mut template = self.template().clone();
        template["metadata"]["labels"]["pod-template-hash"] = json!(name);
        let mut set = existing.unwrap_or_else(|| {
            json!({ "apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {
                "name": name, "labels": template["metadata"]["labels"],
                "ownerReferences": [owner(&self.deployment, "apps/v1", "Deployment")],
            } })
        });
        if !is_newest {
            set["metadata"]["annotations"][REVISION] = json!((newest + 1).to_string());
        }
        set["spec"] =
            json!({ "replicas": 1, "selector": self.deployment["spec"]["selector"], "template": template });
        set["status"] = json!({ "replicas": 1 });
        store.put(path.path(), &set)
    }

    fn put_pod(&self, store: &mut Store, replica_set: &Value, is_ready: bool) {
        let path = POD.in_namespace(self.namespace);
        let template = &replica_set["spec"]["template"];
        let name = pod_name(replica_set["metadata"]["name"].as_str().unwrap_or_default());
        let now = store.now_text();
        let before = store.get(path.path(), &name);
        if before.is_some_and(|pod| is_ready == (pod["status"]["containerStatuses"][0]["ready"] == true)) {
            return;
        }
        let container = &template["spec"]["containers"][0];
        let mut pod = before.cloned().unwrap_or_else(|| {
            let mut spec = template["spec"].clone();
            spec["nodeName"] = json!("node");
            json!({ "apiVersion": "v1", "kind": "Pod", "spec": spec, "metadata": {
                "name": name, "labels": template["metadata"]["labels"],
                "ownerReferences": [owner(replica_set, "apps/v1", "ReplicaSet")],
            } })
        });
        let (state, last_state) = if is_ready {
            (json!({ "running": { "startedAt": now } }), json!({}))
        } else {
            let end = json!({ "exitCode": 1, "reason": "Error", "startedAt": now, "finishedAt": now });
            (json!({ "waiting": { "reason": "CrashLoopBackOff" } }), json!({ "terminated": end }))
        };
        let ready = if is_ready { "True" } else { "False" };
        pod["status"] = json!({
            "phase": "Running", "startTime": now,
            "conditions": [
                { "type": "PodScheduled", "status": "True" },
                { "type": "Ready", "status": ready },
                { "type": "handsctl.dev/Simulated", "status": "True" },
            ],
            "containerStatuses": [{
                "name": container["name"], "image": container["image"], "imageID": "", "ready": is_ready,
                "started": is_ready, "restartCount": if is_ready { 0 } else { 9 }, "state": state,
                "lastState": last_state,
            }],
        });
        store.put(path.path(), &pod);
    }
}

/// The annotation with the number of a `ReplicaSet` among those of its Deployment.
const REVISION: &str = "deployment.kubernetes.io/revision";

fn revision_of(replica_set: &Value) -> u64 {
    let number = replica_set["metadata"]["annotations"][REVISION].as_str();
    number.and_then(|number| number.parse().ok()).unwrap_or_default()
}

fn pod_name(replica_set: &str) -> String {
    format!("{replica_set}-pod")
}

fn owner(object: &Value, api_version: &str, kind: &str) -> Value {
    let metadata = &object["metadata"];
    json!({
        "apiVersion": api_version, "kind": kind, "name": metadata["name"], "uid": metadata["uid"],
        "controller": true,
    })
}
