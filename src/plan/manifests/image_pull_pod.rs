//! The short-lived pod that makes a node pull an image. Pure.

use serde_json::{Value, json};

use crate::object::labels::{COMPONENT, MANAGER};
use crate::object::{ObjectId, container_names};
use crate::plan::checks::node_fit::{NodeFit, is_simulated};
use crate::plan::checks::sandbox_capacity::{canonical, names_image};
use crate::plan::desired::Member;
use crate::settings::Settings;
use crate::settings::format::DnsName;

/// The label with the set that a pull is for. It finds pods that an interrupted run left behind.
pub const PULL_FOR: &str = "handsctl.dev/pull-for";
/// Seconds after which a pull pod ends by itself, in case no run deletes it.
const ACTIVE_DEADLINE_SECONDS: u64 = 3600;

/// One image pull: an image and the node that has to pull it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImagePull {
    /// The name of the set that needs the image.
    pub set: String,
    /// The namespace of the pod; its pull secrets are used.
    pub namespace: String,
    /// The prefix of the pod's name, such as `openhands-prepull`.
    pub prefix: String,
    /// The image.
    pub image: String,
    /// The node's name; with `None` the scheduler chooses the node.
    pub node: Option<String>,
    /// The pod's `imagePullSecrets`.
    pub secrets: Value,
    /// The container's command. The image is pulled even if the command cannot run.
    pub command: Vec<String>,
    /// The owner reference; deleting the owner also deletes the pod.
    pub owner: Option<Value>,
}

impl ImagePull {
    /// Builds the pod. It satisfies Pod Security *restricted*, requests almost no resources, and tolerates every taint.
    #[must_use]
    pub fn manifest(&self) -> Value {
        let small = json!({ "cpu": "1m", "memory": "16Mi" });
        let mut spec = json!({
            "restartPolicy": "Never",
            "activeDeadlineSeconds": ACTIVE_DEADLINE_SECONDS,
            "terminationGracePeriodSeconds": 0,
            "automountServiceAccountToken": false,
            "enableServiceLinks": false,
            "securityContext": {
                "runAsNonRoot": true, "runAsUser": 42420, "runAsGroup": 42420,
                "seccompProfile": { "type": "RuntimeDefault" },
            },
            "tolerations": [{ "operator": "Exists" }],
            "containers": [{
                "name": container_names::PULL,
                "image": self.image,
                "imagePullPolicy": "IfNotPresent",
                "command": self.command,
                "resources": { "requests": small, "limits": { "cpu": "100m", "memory": "64Mi" } },
                "securityContext": {
                    "allowPrivilegeEscalation": false,
                    "readOnlyRootFilesystem": true,
                    "capabilities": { "drop": ["ALL"] },
                },
            }],
        });
        if !self.secrets.is_null() {
            spec["imagePullSecrets"] = self.secrets.clone();
        }
        if let Some(node) = &self.node {
            // Node affinity, because `nodeName` bypasses the scheduler and its checks.
            spec["affinity"] = json!({ "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [{ "matchFields": [
                    { "key": "metadata.name", "operator": "In", "values": [node] },
                ] }],
            } } });
        }
        let mut metadata = json!({
            "generateName": format!("{}-", self.prefix),
            "namespace": self.namespace,
            "labels": {
                "app.kubernetes.io/managed-by": MANAGER, COMPONENT: "pull", PULL_FOR: self.set,
            },
        });
        if let Some(owner) = &self.owner {
            metadata["ownerReferences"] = json!([owner]);
        }
        json!({ "apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec })
    }
}

/// An image and the constraints of the pods that run it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageSource {
    /// The image.
    pub image: String,
    /// The namespace of its pods.
    pub namespace: String,
    secrets: Value,
    placement: NodeFit,
}

/// The decision whether a node pulls an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PullDecision {
    /// The node has to pull it.
    Pull(Box<ImagePull>),
    /// The node already has it.
    Present,
    /// The image's pods cannot run on the node, for this reason.
    NotEligible(String),
}

/// Returns the images that the configuration names, the application's first.
#[must_use]
pub fn sources(settings: &Settings) -> Vec<ImageSource> {
    let deploy = &settings.deploy;
    let application = ImageSource {
        image: deploy.image.as_str().to_owned(),
        namespace: deploy.namespace.to_string(),
        secrets: pull_secrets(&deploy.image_pull_secrets),
        placement: NodeFit::of_application(settings),
    };
    let sandboxes = &settings.openhands.sandbox.runtime_container_image;
    let sandboxes = sandboxes
        .as_ref()
        .filter(|_| settings.edition().has_sandbox_pods())
        .map(|image| of_sandboxes(settings, image.as_str()));
    std::iter::once(application).chain(sandboxes).collect()
}

/// Returns the source of a named image. An image that the configuration does not use is treated as a sandbox image.
#[must_use]
pub fn source_of(settings: &Settings, image: &str) -> ImageSource {
    let configured =
        sources(settings).into_iter().find(|source| canonical(&source.image) == canonical(image));
    configured.unwrap_or_else(|| of_sandboxes(settings, image))
}

fn of_sandboxes(settings: &Settings, image: &str) -> ImageSource {
    ImageSource {
        image: image.to_owned(),
        namespace: settings.runtime_namespace().to_owned(),
        secrets: pull_secrets(&settings.openhands.kubernetes.image_pull_secret),
        placement: NodeFit::of_sandboxes(settings),
    }
}

/// Builds the `imagePullSecrets` of a pod; null if there are none.
fn pull_secrets<'a>(names: impl IntoIterator<Item = &'a DnsName>) -> Value {
    let secrets: Vec<Value> = names.into_iter().map(|name| json!({ "name": name.as_str() })).collect();
    if secrets.is_empty() { Value::Null } else { Value::Array(secrets) }
}

impl ImageSource {
    /// Decides whether a node pulls the image for a set.
    #[must_use]
    pub fn on_node(&self, node: &Value, set: &str) -> PullDecision {
        if is_simulated(node) {
            return PullDecision::NotEligible("simulated".to_owned());
        }
        if let Some(reason) = self.placement.mismatch(node) {
            return PullDecision::NotEligible(reason);
        }
        if names_image(node, &canonical(&self.image)) {
            return PullDecision::Present;
        }
        let node = node["metadata"]["name"].as_str().unwrap_or_default();
        PullDecision::Pull(Box::new(ImagePull {
            set: set.to_owned(),
            namespace: self.namespace.clone(),
            prefix: format!("{set}-pull"),
            image: self.image.clone(),
            node: Some(node.to_owned()),
            secrets: self.secrets.clone(),
            command: vec!["/bin/true".to_owned()],
            owner: None,
        }))
    }
}

/// Builds an owner reference to a live object. Without `blockOwnerDeletion` the dependent never delays the owner's
/// deletion.
#[must_use]
pub fn owner(object: &Value) -> Option<Value> {
    let id = ObjectId::from_object(object)?;
    let uid = object["metadata"]["uid"].as_str()?;
    Some(json!({ "apiVersion": object["apiVersion"], "kind": id.kind, "name": id.name, "uid": uid }))
}

/// Returns the image that a planned or live Deployment runs.
#[must_use]
pub fn image_of(deployment: &Value) -> Option<&str> {
    deployment["spec"]["template"]["spec"]["containers"][0]["image"].as_str()
}

/// Returns the pull that precedes a change of a Deployment, if its image changes and its policy allows a pull. `node`
/// is the node of the old pod.
#[must_use]
pub fn before_change(member: &Member, live: &Value, set: &str, node: Option<&str>) -> Option<ImagePull> {
    let image = image_of(&member.manifest).filter(|image| Some(*image) != image_of(live))?;
    let spec = &member.manifest["spec"]["template"]["spec"];
    if spec["containers"][0]["imagePullPolicy"] == "Never" {
        return None;
    }
    Some(ImagePull {
        set: set.to_owned(),
        namespace: member.id.namespace.clone()?,
        prefix: format!("{}-prepull", member.id.name),
        image: image.to_owned(),
        node: node.map(str::to_owned),
        secrets: spec["imagePullSecrets"].clone(),
        // The application's container starts with `sh` too, so its image contains it.
        command: ["sh", "-c", "exit 0"].map(str::to_owned).into(),
        owner: None,
    })
}

/// Returns the number of nodes that can run the pods of a planned Deployment, if every one of them has its image and
/// the kubelets pull only a missing one. `nodes_with` are nodes that have it although their status does not list it yet.
#[must_use]
pub fn present_on(deployment: &Value, nodes: &[Value], nodes_with: &[String]) -> Option<usize> {
    let spec = &deployment["spec"]["template"]["spec"];
    if spec["containers"][0]["imagePullPolicy"] == "Always" {
        return None;
    }
    let image = canonical(image_of(deployment)?);
    let fit = NodeFit::of_template(spec);
    let eligible: Vec<&Value> = nodes.iter().filter(|node| fit.mismatch(node).is_none()).collect();
    let has_image = |node: &&Value| {
        names_image(node, &image) || nodes_with.iter().any(|name| node["metadata"]["name"] == name.as_str())
    };
    (!eligible.is_empty() && eligible.iter().all(has_image)).then_some(eligible.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::kind::DEPLOYMENT;
    use crate::settings::{Request, read};

    fn deployment(image: &str, policy: &str) -> Value {
        json!({ "spec": { "template": { "spec": {
            "imagePullSecrets": [{ "name": "s" }],
            "containers": [{ "image": image, "imagePullPolicy": policy }],
        } } } })
    }

    fn member(image: &str, policy: &str) -> Member {
        Member { id: DEPLOYMENT.id("n", "oh"), kind: DEPLOYMENT, manifest: deployment(image, policy) }
    }

    #[test]
    fn before_change_pulls_only_a_changed_image() {
        let live = deployment("a:1", "IfNotPresent");
        assert_eq!(before_change(&member("a:1", "IfNotPresent"), &live, "oh", None), None);
        assert_eq!(before_change(&member("a:2", "Never"), &live, "oh", None), None);
        let pull = before_change(&member("a:2", "IfNotPresent"), &live, "oh", Some("node-1")).unwrap();
        let pod = pull.manifest();
        assert_eq!(pod["metadata"]["generateName"], "oh-prepull-");
        assert_eq!(pod["spec"]["containers"][0]["image"], "a:2");
        assert_eq!(pod["spec"]["imagePullSecrets"], json!([{ "name": "s" }]));
        let term =
            "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms/0";
        assert_eq!(pod.pointer(term).unwrap()["matchFields"][0]["values"], json!(["node-1"]));
    }

    #[test]
    fn on_node_pulls_missing_image_on_eligible_node() {
        let request = Request::default();
        let empty_dir = tempfile::tempdir().unwrap();
        let settings = read(&request, &[], empty_dir.path()).unwrap().settings;
        let image = "docker.all-hands.dev/all-hands-ai/runtime:0.59-nikolaik";
        let source = source_of(&settings, image);
        assert_eq!(
            sources(&settings).iter().filter(|other| **other == source).count(),
            1,
            "the configuration names it"
        );
        let mut node = json!({
            "metadata": { "name": "a" },
            "status": { "conditions": [{ "type": "Ready", "status": "True" }] },
        });
        let PullDecision::Pull(pull) = source.on_node(&node, "oh") else { panic!("not pulled") };
        assert_eq!((pull.node.as_deref(), pull.namespace.as_str()), (Some("a"), "openhands"));
        node["status"]["images"] = json!([{ "names": [image] }]);
        assert_eq!(source.on_node(&node, "oh"), PullDecision::Present);
        node["spec"]["unschedulable"] = json!(true);
        assert_eq!(source.on_node(&node, "oh"), PullDecision::NotEligible("cordoned".into()));
        node["metadata"]["annotations"] = json!({ "kwok.x-k8s.io/node": "fake" });
        assert_eq!(source.on_node(&node, "oh"), PullDecision::NotEligible("simulated".into()));
    }

    #[test]
    fn image_is_present_if_every_eligible_node_has_it() {
        let node = |name: &str, images: Value| {
            json!({ "metadata": { "name": name }, "spec": {}, "status": {
                "conditions": [{ "type": "Ready", "status": "True" }], "images": images } })
        };
        let with = node("a", json!([{ "names": ["docker.io/acme/x:2"] }]));
        let without = node("b", json!([]));
        let mut cordoned = without.clone();
        cordoned["spec"]["unschedulable"] = json!(true);
        let planned = deployment("acme/x:2", "IfNotPresent");
        let present = |nodes: &[&Value], nodes_with: &[String]| {
            present_on(&planned, &nodes.iter().copied().cloned().collect::<Vec<_>>(), nodes_with)
        };
        assert_eq!(present(&[&with, &cordoned], &[]), Some(1));
        assert_eq!(present(&[&with, &without], &[]), None);
        assert_eq!(present(&[&with, &without], &["b".to_owned()]), Some(2), "it was just loaded there");
        assert_eq!(present(&[&cordoned], &[]), None, "no node can run the pod");
        assert_eq!(present_on(&deployment("acme/x:2", "Always"), &[with], &[]), None);
    }

    #[test]
    fn pull_pod_lacks_the_instance_label() {
        let pod =
            before_change(&member("a:2", "Always"), &deployment("a:1", ""), "oh", None).unwrap().manifest();
        assert!(pod["metadata"]["labels"]["app.kubernetes.io/instance"].is_null());
        assert_eq!(pod["metadata"]["labels"][PULL_FOR], "oh");
    }
}
