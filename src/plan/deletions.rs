//! Claims that are being deleted while a workload of the set still mounts them. Pure.
//!
//! The finalizer `kubernetes.io/pvc-protection` keeps such a claim, and its data, as long as a pod uses it
//! (<https://kubernetes.io/docs/concepts/storage/persistent-volumes/#storage-object-in-use-protection>). Whatever stops
//! the pod completes the deletion.

use std::collections::BTreeSet;

use serde_json::Value;

use super::diff::{self, Effect};
use super::inventory::members::Members;
use crate::object::kind::CLAIM;
use crate::object::labels;
use crate::object::pod_spec::application_claim;
use crate::object::{Mask, ObjectId, deletion};

/// The command that gives the data of held claims up.
pub const GIVE_UP: &str =
    "handsctl deploy --delete-data gives the data up: it stops the pod and creates an empty volume";

/// A claim that is being deleted and exists only as long as the pod of a workload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldClaim {
    /// The claim.
    pub id: ObjectId,
    /// Its deletion timestamp.
    pub since: String,
    /// The live workloads that mount it, sorted; at least one.
    pub workloads: Vec<ObjectId>,
    /// The path at which the first of them mounts it.
    pub path: Option<String>,
    /// Whether it has the application's state, which `handsctl backup` copies.
    pub is_of_application: bool,
    /// Whether the run would stop a pod of these workloads, and so complete the deletion.
    pub is_at_risk: bool,
}

impl HeldClaim {
    /// Returns whether the pod of one of these workloads keeps the claim.
    #[must_use]
    pub fn is_held_by(&self, workloads: &BTreeSet<ObjectId>) -> bool {
        self.workloads.iter().any(|workload| workloads.contains(workload))
    }

    /// Says since when the claim is being deleted, and what keeps its data.
    #[must_use]
    pub fn sentence(&self) -> String {
        format!("it has been terminating since {}: its data exists only as long as its pod runs", self.since)
    }

    /// Returns the command that copies the data out of the running pod. `pod` is the application's pod, if it is known.
    #[must_use]
    pub fn save_command(&self, pod: Option<&str>) -> String {
        if self.is_of_application {
            return "save the data first: handsctl backup".to_owned();
        }
        let namespace = self.id.namespace.as_deref().unwrap_or_default();
        let path = self.path.as_deref().unwrap_or("PATH");
        let workload = self.workloads.first();
        let is_application = workload.is_some_and(|workload| workload.kind == "Deployment");
        match pod.filter(|_| is_application) {
            Some(pod) => {
                format!("save the data first: kubectl cp -n {namespace} {pod}:{path} ./{}", self.id.name)
            }
            None => format!(
                "save the data first: kubectl exec -n {namespace} {} -- tar cf - {path} > {}.tar",
                workload.map_or_else(|| "POD".to_owned(), ToString::to_string),
                self.id.name
            ),
        }
    }
}

/// Returns the claims of these live members that a workload holds, sorted. None is at risk yet.
///
/// A workload that is being deleted itself, or that has no pods on purpose, holds nothing.
#[must_use]
pub fn held_claims<'a, M>(members: M) -> Vec<HeldClaim>
where
    M: IntoIterator<Item = (&'a ObjectId, &'a Value)> + Copy,
{
    let deleted = members.into_iter().filter(|(id, _)| id.kind == CLAIM.kind);
    let deleted = deleted.filter_map(|(id, claim)| Some((id, deletion::deleted_since(claim)?)));
    let mut held: Vec<HeldClaim> = deleted
        .filter_map(|(id, since)| {
            let is_holding = |(workload, object): &(&ObjectId, &Value)| {
                workload.namespace == id.namespace
                    && deletion::deleted_since(object).is_none()
                    && object["spec"]["replicas"] != 0
                    && mounts(object, &id.name)
            };
            let mut workloads: Vec<_> = members.into_iter().filter(is_holding).collect();
            workloads.sort_by_key(|(workload, _)| *workload);
            let (_, first) = workloads.first()?;
            let path = mount_path(first, &id.name);
            let is_of_application = workloads.iter().any(|(_, object)| {
                labels::is_of_application(object)
                    && application_claim(object).is_some_and(|mount| mount.claim == id.name)
            });
            let workloads = workloads.iter().map(|(workload, _)| (*workload).clone()).collect();
            let (id, since) = (id.clone(), since.to_owned());
            Some(HeldClaim { id, since, workloads, path, is_of_application, is_at_risk: false })
        })
        .collect();
    held.sort_by(|a, b| a.id.cmp(&b.id));
    held
}

/// Returns the claims that live workloads mount, also those that are no members: `[deploy].existing_claim`. Sorted.
#[must_use]
pub fn mounted_claims(members: &Members) -> BTreeSet<ObjectId> {
    let mounted = members.iter().flat_map(|(workload, object)| {
        let volumes = pod_spec(object)["volumes"].as_array().into_iter().flatten();
        let names = volumes.filter_map(|volume| volume["persistentVolumeClaim"]["claimName"].as_str());
        names.filter_map(|name| Some(CLAIM.id(workload.namespace.as_deref()?, name)))
    });
    mounted.collect()
}

/// Returns whether applying this manifest to the live workload stops some of its pods: their template changes, or there
/// will be fewer of them.
#[must_use]
pub fn stops_pods(id: &ObjectId, live: &Value, manifest: &Value) -> bool {
    let difference = diff::changed(id, manifest, live, None, &Mask::from_objects(std::iter::empty()));
    difference.effects.iter().any(|effect| match effect {
        Effect::Restarts(_) => true,
        Effect::Scales { from, to } => to < from,
        _ => false,
    })
}

/// Returns the pod's spec in a workload; the pod's own spec in a pod.
fn pod_spec(object: &Value) -> &Value {
    let template = &object["spec"]["template"]["spec"];
    if template.is_null() { &object["spec"] } else { template }
}

fn volume_of<'a>(object: &'a Value, claim: &str) -> Option<&'a Value> {
    let volumes = pod_spec(object)["volumes"].as_array()?;
    volumes.iter().find(|volume| volume["persistentVolumeClaim"]["claimName"] == claim)
}

fn mounts(object: &Value, claim: &str) -> bool {
    volume_of(object, claim).is_some()
}

fn mount_path(object: &Value, claim: &str) -> Option<String> {
    let volume = volume_of(object, claim)?["name"].as_str()?;
    let containers = pod_spec(object)["containers"].as_array()?;
    let mut mounts =
        containers.iter().flat_map(|container| container["volumeMounts"].as_array().into_iter().flatten());
    let mount = mounts.find(|mount| mount["name"] == volume)?;
    mount["mountPath"].as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::container_names::APP;
    use crate::object::kind::{DEPLOYMENT, POD};
    use serde_json::json;

    fn claim(is_deleted: bool) -> (ObjectId, Value) {
        let deletion = is_deleted.then_some("2026-01-01T00:00:00Z");
        (CLAIM.id("n", "data"), json!({ "metadata": { "name": "data", "deletionTimestamp": deletion } }))
    }

    fn pod() -> Value {
        json!({
            "volumes": [{ "name": "state", "persistentVolumeClaim": { "claimName": "data" } }],
            "containers": [{ "name": "a", "image": "a:1", "volumeMounts": [{ "name": "state", "mountPath": "/state" }] }],
        })
    }

    fn deployment(name: &str, replicas: u32) -> (ObjectId, Value) {
        let object = json!({
            "metadata": { "name": name }, "spec": { "replicas": replicas, "template": { "spec": pod() } },
        });
        (DEPLOYMENT.id("n", name), object)
    }

    fn held(members: &[(ObjectId, Value)]) -> Vec<HeldClaim> {
        let members: Members = members.iter().cloned().collect();
        held_claims(&members)
    }

    #[test]
    fn deleted_claim_is_held_by_workload_that_mounts_it() {
        let expected = HeldClaim {
            id: CLAIM.id("n", "data"),
            since: "2026-01-01T00:00:00Z".into(),
            workloads: vec![DEPLOYMENT.id("n", "a"), DEPLOYMENT.id("n", "b")],
            path: Some("/state".into()),
            is_of_application: false,
            is_at_risk: false,
        };
        assert_eq!(held(&[deployment("b", 1), claim(true), deployment("a", 1)]), [expected]);
        let bare_pod = (POD.id("n", "a"), json!({ "metadata": { "name": "a" }, "spec": pod() }));
        assert_eq!(held(&[bare_pod, claim(true)])[0].workloads, [POD.id("n", "a")]);
    }

    #[test]
    fn data_of_the_application_is_saved_by_backup() {
        let mut application = deployment("a", 1);
        application.1["metadata"]["labels"] = json!({ labels::COMPONENT: "app" });
        application.1["spec"]["template"]["spec"]["containers"][0]["name"] = json!(APP);
        let save = |members: &[(ObjectId, Value)]| held(members)[0].save_command(Some("a-1"));
        assert_eq!(save(&[application, claim(true)]), "save the data first: handsctl backup");
        let of_another = save(&[deployment("a", 1), claim(true)]);
        assert!(of_another.starts_with("save the data first: kubectl "), "{of_another}");
    }

    #[test]
    fn claim_without_deletion_or_pod_is_not_held() {
        assert!(held(&[deployment("a", 1), claim(false)]).is_empty());
        assert!(held(&[claim(true)]).is_empty(), "no workload");
        assert!(held(&[deployment("a", 0), claim(true)]).is_empty(), "no pods");
        let (id, mut deleted) = deployment("a", 1);
        deleted["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        assert!(held(&[(id, deleted), claim(true)]).is_empty(), "the workload is being deleted, too");
        let (_, elsewhere) = deployment("a", 1);
        assert!(held(&[(DEPLOYMENT.id("other", "a"), elsewhere), claim(true)]).is_empty());
        let mut other = deployment("a", 1);
        other.1["spec"]["template"]["spec"]["volumes"] = json!([]);
        assert!(held(&[other, claim(true)]).is_empty(), "it does not mount the volume claim");
    }

    #[test]
    fn mounted_claim_counts_even_if_it_is_no_member() {
        let claims = |members: &[(ObjectId, Value)]| mounted_claims(&members.iter().cloned().collect());
        assert_eq!(claims(&[deployment("a", 1)]), BTreeSet::from([CLAIM.id("n", "data")]));
        assert!(claims(&[claim(false)]).is_empty());
    }

    #[test]
    fn changed_template_or_fewer_replicas_stop_pods() {
        let (id, live) = deployment("a", 2);
        let stops = |change: &dyn Fn(&mut Value)| {
            let mut manifest = live.clone();
            change(&mut manifest);
            stops_pods(&id, &live, &manifest)
        };
        assert!(!stops(&|_| {}));
        assert!(!stops(&|manifest| manifest["metadata"]["labels"] = json!({ "a": "1" })));
        assert!(!stops(&|manifest| manifest["spec"]["replicas"] = json!(3)));
        assert!(stops(&|manifest| manifest["spec"]["replicas"] = json!(1)));
        assert!(stops(&|manifest| {
            manifest["spec"]["template"]["spec"]["containers"][0]["image"] = json!("a:2");
        }));
    }
}
