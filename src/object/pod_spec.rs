//! The pod's specification inside of an object. Pure.

use serde_json::Value;

use super::container_names::APP;
use super::list_items::items;

/// JSON pointers to the pod's specification in a workload, a Pod and a `CronJob`.
const POD_SPECS: [&str; 3] = ["/spec/template/spec", "/spec", "/spec/jobTemplate/spec/template/spec"];

/// Returns the specification of an object's pods; None if it has no pods.
#[must_use]
pub fn pod_spec(object: &Value) -> Option<&Value> {
    let mut specs = POD_SPECS.iter().filter_map(|path| object.pointer(path));
    specs.find(|spec| spec["containers"].is_array())
}

/// Returns the claims that the object's pods mount, as `NAMESPACE/NAME`.
pub fn mounted_claims(object: &Value) -> impl Iterator<Item = String> {
    let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default();
    claim_names(object).map(move |name| format!("{namespace}/{name}"))
}

/// Returns the names of the claims that the object's pods mount.
pub fn claim_names(object: &Value) -> impl Iterator<Item = &str> {
    let volumes = pod_spec(object).into_iter().flat_map(|spec| items(&spec["volumes"]));
    volumes.filter_map(|volume| volume["persistentVolumeClaim"]["claimName"].as_str())
}

/// A volume claim as a container mounts it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimMount {
    /// The name of the claim.
    pub claim: String,
    /// The container.
    pub container: String,
    /// The folder in the container: `/.openhands`.
    pub path: String,
}

/// Returns the whole volume claims that the containers of a pod or a workload mount.
#[must_use]
pub fn claim_mounts(object: &Value) -> Vec<ClaimMount> {
    let Some(spec) = pod_spec(object) else { return Vec::new() };
    let claim_of = |mount: &Value| {
        let volume = items(&spec["volumes"]).find(|volume| volume["name"] == mount["name"])?;
        volume["persistentVolumeClaim"]["claimName"].as_str()
    };
    let mut mounts = Vec::new();
    for container in items(&spec["containers"]) {
        for mount in items(&container["volumeMounts"]).filter(|mount| mount["subPath"].is_null()) {
            if let (Some(claim), Some(container), Some(path)) =
                (claim_of(mount), container["name"].as_str(), mount["mountPath"].as_str())
            {
                mounts.push(ClaimMount {
                    claim: claim.to_owned(),
                    container: container.to_owned(),
                    path: path.to_owned(),
                });
            }
        }
    }
    mounts
}

/// Returns the first claim that the application's container mounts: the one with its state.
#[must_use]
pub fn application_claim(object: &Value) -> Option<ClaimMount> {
    claim_mounts(object).into_iter().find(|mount| mount.container == APP)
}

/// Returns the size of a claim's volume; before it has one, the requested size. None if the claim tells neither.
#[must_use]
pub fn claim_size(claim: &Value) -> Option<&str> {
    let sizes = [&claim["status"]["capacity"]["storage"], &claim["spec"]["resources"]["requests"]["storage"]];
    sizes.into_iter().find_map(Value::as_str)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn claims_of_every_form_of_workload_are_returned() {
        let spec = json!({ "containers": [], "volumes": [{ "emptyDir": {} }, { "persistentVolumeClaim": { "claimName": "a" } }] });
        for spec in [
            spec.clone(),
            json!({ "template": { "spec": spec } }),
            json!({ "jobTemplate": { "spec": { "template": { "spec": spec } } } }),
        ] {
            let object = json!({ "metadata": { "namespace": "n" }, "spec": spec });
            assert_eq!(mounted_claims(&object).collect::<Vec<_>>(), ["n/a"], "{object}");
        }
        assert_eq!(mounted_claims(&json!({ "kind": "ConfigMap" })).count(), 0);
    }

    #[test]
    fn mount_has_its_claim_container_and_folder() {
        let spec = json!({
            "containers": [
                { "name": "app", "volumeMounts": [
                    { "name": "temporary", "mountPath": "/tmp" },
                    { "name": "state", "mountPath": "/.openhands" },
                    { "name": "state", "mountPath": "/part", "subPath": "x" },
                ] },
                { "name": "beside" },
            ],
            "volumes": [
                { "name": "temporary", "emptyDir": {} },
                { "name": "state", "persistentVolumeClaim": { "claimName": "oh-state" } },
            ],
        });
        let expected = ClaimMount {
            claim: "oh-state".to_owned(),
            container: "app".to_owned(),
            path: "/.openhands".to_owned(),
        };
        assert_eq!(claim_mounts(&json!({ "spec": spec })), std::slice::from_ref(&expected));
        assert_eq!(claim_mounts(&json!({ "spec": { "template": { "spec": spec } } })), [expected]);
        assert_eq!(claim_mounts(&json!({ "spec": {} })), []);
    }
}
