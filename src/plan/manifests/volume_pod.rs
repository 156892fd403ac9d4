//! The short-lived pod that mounts a volume claim, so that its files can be copied while nothing else runs. Pure.

use serde_json::{Map, Value, json};

use crate::object::container_names;
use crate::object::labels::{COMPONENT, MANAGED_BY, MANAGER};
use crate::object::list_items::items;
use crate::object::pod_spec::ClaimMount;

/// The label with the set whose volume the pod mounts. It finds pods that an interrupted run left behind.
pub const VOLUME_OF: &str = "handsctl.dev/volume-of";
/// The folder of a conversation's volume in its sandbox, and in the pod that copies it.
pub const WORKSPACE: &str = "/workspace";
/// Fields of the application's pod that decide where it runs and with which rights.
const KEPT: &[&str] = &[
    "securityContext",
    "imagePullSecrets",
    "nodeSelector",
    "tolerations",
    "affinity",
    "priorityClassName",
    "runtimeClassName",
    "schedulerName",
];

/// A pod that mounts a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumePod {
    /// The pod's manifest, with a name that the server completes.
    pub manifest: Value,
    /// The claim, and where the pod mounts it.
    pub mount: ClaimMount,
}

/// Builds the pod that mounts the application's volume as the application does: on the same nodes, with the same image
/// and the same rights. It ends by itself after `seconds`. `owner` is deleted before it.
#[must_use]
pub fn for_application(
    deployment: &Value,
    mount: &ClaimMount,
    set: &str,
    seconds: u64,
    owner: Option<Value>,
) -> Option<VolumePod> {
    let template = &deployment["spec"]["template"]["spec"];
    let container = items(&template["containers"]).find(|container| container["name"] == *mount.container)?;
    let namespace = deployment["metadata"]["namespace"].as_str()?;
    let mut spec: Map<String, Value> = KEPT
        .iter()
        .filter(|field| !template[**field].is_null())
        .map(|field| ((*field).to_owned(), template[*field].clone()))
        .collect();
    spec.insert(
        "containers".to_owned(),
        json!([{
            "image": container["image"],
            "imagePullPolicy": container["imagePullPolicy"],
            "securityContext": container["securityContext"],
        }]),
    );
    Some(build(Value::Object(spec), namespace, &mount.claim, &mount.path, set, seconds, owner))
}

/// Builds the pod that mounts a conversation's volume as its sandbox does: with the sandboxes' image, whose account owns
/// the files.
#[must_use]
pub fn for_sandbox(
    namespace: &str,
    claim: &str,
    image: &str,
    pull_secret: Option<&str>,
    set: &str,
    seconds: u64,
) -> VolumePod {
    let mut spec = json!({ "containers": [{
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "securityContext": { "allowPrivilegeEscalation": false },
    }] });
    if let Some(secret) = pull_secret {
        spec["imagePullSecrets"] = json!([{ "name": secret }]);
    }
    build(spec, namespace, claim, WORKSPACE, set, seconds, None)
}

/// Completes a pod that has one container with an image and its rights.
fn build(
    mut spec: Value,
    namespace: &str,
    claim: &str,
    path: &str,
    set: &str,
    seconds: u64,
    owner: Option<Value>,
) -> VolumePod {
    spec["restartPolicy"] = json!("Always");
    spec["activeDeadlineSeconds"] = json!(seconds);
    spec["terminationGracePeriodSeconds"] = json!(0);
    spec["automountServiceAccountToken"] = json!(false);
    spec["enableServiceLinks"] = json!(false);
    spec["volumes"] = json!([
        { "name": "volume", "persistentVolumeClaim": { "claimName": claim } },
        { "name": "temporary", "emptyDir": { "sizeLimit": "2Gi" } },
    ]);
    let container = &mut spec["containers"][0];
    container["name"] = json!(container_names::VOLUME);
    // It exists in every image that has `sh`.
    container["command"] = json!(["sleep", seconds.to_string()]);
    container["readinessProbe"] =
        json!({ "exec": { "command": ["sh", "-c", "exit 0"] }, "periodSeconds": 1 });
    container["resources"] = json!({
        "requests": { "cpu": "10m", "memory": "32Mi" },
        "limits": { "cpu": "1", "memory": "512Mi" },
    });
    container["volumeMounts"] = json!([
        { "name": "volume", "mountPath": path },
        { "name": "temporary", "mountPath": "/tmp" },
    ]);
    let mut metadata = json!({
        "generateName": format!("{set}-volume-"),
        "namespace": namespace,
        "labels": { MANAGED_BY: MANAGER, COMPONENT: container_names::VOLUME, VOLUME_OF: set },
    });
    if let Some(owner) = owner {
        metadata["ownerReferences"] = json!([owner]);
    }
    VolumePod {
        manifest: json!({ "apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec }),
        mount: ClaimMount {
            claim: claim.to_owned(),
            container: container_names::VOLUME.to_owned(),
            path: path.to_owned(),
        },
    }
}

/// The annotation of a conversation's claim whose files are not completely restored.
pub const UNFINISHED: &str = "handsctl.dev/restore";

/// Builds the claim of a conversation as the application creates it
/// (`openhands/runtime/impl/kubernetes/kubernetes_runtime.py`).
#[must_use]
pub fn sandbox_claim(namespace: &str, name: &str, size: &str, storage_class: Option<&str>) -> Value {
    let mut spec = json!({
        "accessModes": ["ReadWriteOnce"],
        "resources": { "requests": { "storage": size } },
    });
    if let Some(class) = storage_class {
        spec["storageClassName"] = json!(class);
    }
    json!({
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": { "name": name, "namespace": namespace, "annotations": { UNFINISHED: "unfinished" } },
        "spec": spec,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::labels;
    use crate::object::pod_spec::claim_mounts;
    use crate::plan::{self, SecretNaming};
    use crate::settings::{Request, read};

    fn deployment() -> Value {
        let folder = tempfile::tempdir().unwrap();
        let settings = read(&Request::default(), &[], folder.path()).unwrap().settings;
        let plan = plan::build(&settings, SecretNaming::Placeholder, &[]).unwrap();
        let member = plan.members.into_iter().find(|member| member.id.kind == "Deployment");
        member.unwrap().manifest
    }

    #[test]
    fn pod_runs_as_the_application_and_is_none_of_its_pods() {
        let deployment = deployment();
        let mount = claim_mounts(&deployment).remove(0);
        assert_eq!((mount.claim.as_str(), mount.path.as_str()), ("openhands-state", "/.openhands"));
        let owner = json!({ "kind": "Deployment" });
        let pod = for_application(&deployment, &mount, "openhands", 60, Some(owner.clone())).unwrap();
        let (spec, template) = (&pod.manifest["spec"], &deployment["spec"]["template"]["spec"]);
        assert_eq!(spec["securityContext"], template["securityContext"]);
        for field in ["image", "imagePullPolicy", "securityContext"] {
            assert_eq!(spec["containers"][0][field], template["containers"][0][field], "{field}");
        }
        for field in ["env", "ports", "livenessProbe", "lifecycle"] {
            assert!(spec["containers"][0][field].is_null(), "{field}");
        }
        assert_eq!(spec["activeDeadlineSeconds"], 60);
        assert_eq!(spec["automountServiceAccountToken"], false);
        assert_eq!(claim_mounts(&pod.manifest), std::slice::from_ref(&pod.mount));
        assert_eq!((pod.mount.claim, pod.mount.path), (mount.claim, mount.path));
        assert_eq!(pod.manifest["metadata"]["ownerReferences"], json!([owner]));
        assert!(pod.manifest["metadata"]["labels"][labels::INSTANCE].is_null(), "no Service selects it");
    }

    #[test]
    fn pod_of_conversation_has_the_sandboxes_image() {
        let pod = for_sandbox("boxes", "c-pvc", "acme/runtime:1", Some("pull"), "oh", 60);
        let spec = &pod.manifest["spec"];
        assert_eq!(spec["containers"][0]["image"], "acme/runtime:1");
        assert_eq!(spec["imagePullSecrets"], json!([{ "name": "pull" }]));
        assert_eq!(claim_mounts(&pod.manifest), [pod.mount]);
        let claim = sandbox_claim("boxes", "c-pvc", "2Gi", None);
        assert_eq!(claim["spec"]["resources"]["requests"]["storage"], "2Gi");
        assert!(claim["spec"]["storageClassName"].is_null(), "the default class");
        assert_eq!(sandbox_claim("b", "c", "1Gi", Some("fast"))["spec"]["storageClassName"], "fast");
    }
}
