//! The short-lived pod that makes a node pull an image. Pure.

use serde_json::{Value, json};

use crate::object::ObjectId;
use crate::object::labels::{COMPONENT, MANAGER};
use crate::plan::checks::node_fit::{NodeFit, is_simulated};
use crate::plan::checks::sandbox_capacity::{canonical, names_image};
use crate::plan::desired::Member;
use crate::settings::Settings;
use crate::settings::format::DnsName;

/// Whose pull it is: the label by which a run finds what an interrupted one has left.
pub const FOR: &str = "handsctl.dev/pull-for";
/// A pod that nobody deletes ends by itself after this many seconds.
const LONGEST: u64 = 3600;

/// An image, and where it is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImagePull {
    /// The set that it is for.
    pub set: String,
    /// The namespace of the pod, whose pull secrets it uses.
    pub namespace: String,
    /// Beginning of the pod's name: `openhands-prepull`.
    pub prefix: String,
    /// The image.
    pub image: String,
    /// The node; None: wherever the scheduler puts it.
    pub node: Option<String>,
    /// `imagePullSecrets` of a pod.
    pub secrets: Value,
    /// What is run: the pull has succeeded also where this cannot be.
    pub command: Vec<String>,
    /// An object that takes the pod along when it is deleted.
    pub owner: Option<Value>,
}

impl ImagePull {
    /// The pod. It passes Pod Security *restricted*, asks for next to nothing, and tolerates every taint.
    #[must_use]
    pub fn manifest(&self) -> Value {
        let small = json!({ "cpu": "1m", "memory": "16Mi" });
        let mut spec = json!({
            "restartPolicy": "Never",
            "activeDeadlineSeconds": LONGEST,
            "terminationGracePeriodSeconds": 0,
            "automountServiceAccountToken": false,
            "enableServiceLinks": false,
            "securityContext": {
                "runAsNonRoot": true, "runAsUser": 42420, "runAsGroup": 42420,
                "seccompProfile": { "type": "RuntimeDefault" },
            },
            "tolerations": [{ "operator": "Exists" }],
            "containers": [{
                "name": "pull",
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
            // By name and through the scheduler: `nodeName` would go round it and its checks.
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
                "app.kubernetes.io/managed-by": MANAGER, COMPONENT: "pull", FOR: self.set,
            },
        });
        if let Some(owner) = &self.owner {
            metadata["ownerReferences"] = json!([owner]);
        }
        json!({ "apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec })
    }
}

/// An image, and the pods that run it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageSource {
    /// The image.
    pub image: String,
    /// Where its pods are.
    pub namespace: String,
    secrets: Value,
    placement: NodeFit,
}

/// What becomes of an image on a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PullDecision {
    /// It is pulled.
    Pull(Box<ImagePull>),
    /// It is there.
    Has,
    /// Its pods do not run there, for this reason.
    Elsewhere(String),
}

/// The images of the configuration, the application's first.
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
    let sandboxes = sandboxes.as_ref().map(|image| of_sandboxes(settings, image.as_str()));
    std::iter::once(application).chain(sandboxes).collect()
}

/// An image that was named: as the configuration uses it, else as that of a sandbox.
#[must_use]
pub fn source_of(settings: &Settings, image: &str) -> ImageSource {
    let known = sources(settings).into_iter().find(|source| canonical(&source.image) == canonical(image));
    known.unwrap_or_else(|| of_sandboxes(settings, image))
}

fn of_sandboxes(settings: &Settings, image: &str) -> ImageSource {
    ImageSource {
        image: image.to_owned(),
        namespace: settings.runtime_namespace().to_owned(),
        secrets: pull_secrets(&settings.openhands.kubernetes.image_pull_secret),
        placement: NodeFit::of_sandboxes(settings),
    }
}

/// `imagePullSecrets` of a pod; null where there are none.
fn pull_secrets<'a>(names: impl IntoIterator<Item = &'a DnsName>) -> Value {
    let secrets: Vec<Value> = names.into_iter().map(|name| json!({ "name": name.as_str() })).collect();
    if secrets.is_empty() { Value::Null } else { Value::Array(secrets) }
}

impl ImageSource {
    /// What becomes of it on a node. `set`: whose pods it is for.
    #[must_use]
    pub fn on_node(&self, node: &Value, set: &str) -> PullDecision {
        if is_simulated(node) {
            return PullDecision::Elsewhere("simulated".to_owned());
        }
        if let Some(reason) = self.placement.refusal(node) {
            return PullDecision::Elsewhere(reason);
        }
        if names_image(node, &canonical(&self.image)) {
            return PullDecision::Has;
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

/// A live object as the owner of another one: that is deleted with it, and holds nothing up.
#[must_use]
pub fn owner(object: &Value) -> Option<Value> {
    let id = ObjectId::of_object(object)?;
    let uid = object["metadata"]["uid"].as_str()?;
    Some(json!({ "apiVersion": object["apiVersion"], "kind": id.kind, "name": id.name, "uid": uid }))
}

/// The image that a Deployment's manifest, or a live Deployment, runs.
#[must_use]
pub fn image_of(deployment: &Value) -> Option<&str> {
    deployment["spec"]["template"]["spec"]["containers"][0]["image"].as_str()
}

/// The pull before a change of a Deployment, where its image changes and may be pulled; `node`: where its old pod runs.
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
        // What the application itself is started with.
        command: ["sh", "-c", "exit 0"].map(str::to_owned).into(),
        owner: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::kind::DEPLOYMENT;
    use crate::settings::{Flags, Request, read};

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
    fn only_an_image_that_changes_and_may_be_pulled_is_pulled() {
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
    fn an_image_is_pulled_where_its_pods_may_run_and_it_is_not() {
        let request = Request { files: Vec::new(), set: Vec::new(), flags: Flags::default() };
        let nowhere = tempfile::tempdir().unwrap();
        let settings = read(&request, &[], nowhere.path()).unwrap().settings;
        let image = "docker.all-hands.dev/all-hands-ai/runtime:0.59-nikolaik";
        let source = source_of(&settings, image);
        assert_eq!(
            sources(&settings).iter().filter(|it| **it == source).count(),
            1,
            "the configuration's own"
        );
        let mut node = json!({
            "metadata": { "name": "a" },
            "status": { "conditions": [{ "type": "Ready", "status": "True" }] },
        });
        let PullDecision::Pull(pull) = source.on_node(&node, "oh") else { panic!("not pulled") };
        assert_eq!((pull.node.as_deref(), pull.namespace.as_str()), (Some("a"), "openhands"));
        node["status"]["images"] = json!([{ "names": [image] }]);
        assert_eq!(source.on_node(&node, "oh"), PullDecision::Has);
        node["spec"]["unschedulable"] = json!(true);
        assert_eq!(source.on_node(&node, "oh"), PullDecision::Elsewhere("cordoned".into()));
        node["metadata"]["annotations"] = json!({ "kwok.x-k8s.io/node": "fake" });
        assert_eq!(source.on_node(&node, "oh"), PullDecision::Elsewhere("simulated".into()));
    }

    #[test]
    fn the_pod_is_none_of_the_applications() {
        let labels =
            before_change(&member("a:2", "Always"), &deployment("a:1", ""), "oh", None).unwrap().manifest();
        assert!(labels["metadata"]["labels"]["app.kubernetes.io/instance"].is_null());
        assert_eq!(labels["metadata"]["labels"][FOR], "oh");
    }
}
