//! Pulls of images before their use, on a node whose kubelet the test plays.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::bed::{Bed, Namespace};

/// Time limit of each wait.
const WAIT_LIMIT: Duration = Duration::from_secs(60);
/// The message of a kubelet about an image that does not exist.
const MISSING: &str = "rpc error: code = NotFound desc = failed to pull and unpack image \"x\": x: not found";

/// A node with free resources and a taint that only the pods of one test tolerate.
struct NodeWithoutKubelet<'a> {
    namespace: &'a Namespace,
    name: String,
}

impl<'a> NodeWithoutKubelet<'a> {
    fn new(namespace: &'a Namespace) -> Self {
        let node = Self { namespace, name: format!("played-{}", namespace.name) };
        let object = json!({ "apiVersion": "v1", "kind": "Node",
            "metadata": { "name": node.name },
            "spec": { "taints": [{ "key": node.taint(), "effect": "NoSchedule" }] } });
        namespace.bed.kubectl_with(&["create", "-f", "-"], &object.to_string());
        // The scheduler does not use this node and so starts no provisioning of the volume.
        let volume = json!({ "apiVersion": "v1", "kind": "PersistentVolume", "metadata": { "name": node.name },
            "spec": { "accessModes": ["ReadWriteOnce"], "capacity": { "storage": "5Gi" }, "storageClassName": "standard",
                "claimRef": { "namespace": namespace.name, "name": "oh-state" }, "hostPath": { "path": "/nowhere" } } });
        namespace.bed.kubectl_with(&["create", "-f", "-"], &volume.to_string());
        let size = json!({ "cpu": "4", "memory": "8Gi", "pods": "110" });
        node.set_status(
            &json!({ "allocatable": size, "capacity": size, "conditions": [condition("Ready")] }),
        );
        // The control plane removes the not-ready taint of a new node a little later.
        let name = format!("node/{}", node.name);
        let taints = ["get", &name, "-o", "jsonpath={.spec.taints[*].key}"];
        super::refusals::wait_for_output(namespace.bed, &taints, |keys| keys.trim() == node.taint());
        node
    }

    fn taint(&self) -> String {
        format!("example.io/{}", self.namespace.name)
    }

    fn set_status(&self, status: &Value) {
        let patch = json!({ "status": status }).to_string();
        let arguments = ["patch", "node", &self.name, "--subresource=status", "--type=merge", "-p", &patch];
        self.namespace.bed.kubectl(&arguments);
    }

    /// Binds the application's unschedulable pod to this node and reports it as ready; returns its name.
    fn run_application(&self) -> String {
        let namespace = &self.namespace.name;
        let pod = wait_for_pod(self.namespace, "app.kubernetes.io/component=app");
        let binding = json!({ "apiVersion": "v1", "kind": "Binding", "metadata": { "name": pod },
            "target": { "apiVersion": "v1", "kind": "Node", "name": self.name } });
        self.namespace.bed.kubectl_with(&["create", "-n", namespace, "-f", "-"], &binding.to_string());
        let container = json!({ "name": "openhands", "image": "x", "imageID": "", "ready": true, "started": true,
            "restartCount": 0, "state": { "running": { "startedAt": Timestamp::now().to_string() } } });
        let conditions = ["Ready", "ContainersReady"].map(condition);
        report(
            self.namespace,
            &pod,
            &json!({ "phase": "Running", "conditions": conditions, "containerStatuses": [container] }),
        );
        pod
    }
}

impl Drop for NodeWithoutKubelet<'_> {
    fn drop(&mut self) {
        // No kubelet confirms the deletion of the pods.
        let on_node = format!("spec.nodeName={}", self.name);
        let pods = ["delete", "pods", "-A", "--force", "--grace-period=0", "--field-selector", &on_node];
        let _already_deleted = self.namespace.bed.try_kubectl(&pods, "");
        let both = [format!("node/{}", self.name), format!("pv/{}", self.name)];
        let delete = ["delete", "--ignore-not-found", "--wait=false", &both[0], &both[1]];
        let _already_deleted = self.namespace.bed.try_kubectl(&delete, "");
    }
}

fn condition(kind: &str) -> Value {
    json!({ "type": kind, "status": "True", "lastTransitionTime": Timestamp::now().to_string() })
}

fn report(namespace: &Namespace, pod: &str, status: &Value) {
    let patch = json!({ "status": status }).to_string();
    let arguments = [
        "patch",
        "pod",
        pod,
        "-n",
        &namespace.name,
        "--subresource=status",
        "--type=strategic",
        "-p",
        &patch,
    ];
    namespace.bed.kubectl(&arguments);
}

fn pods(namespace: &Namespace, labels: &str) -> Vec<Value> {
    let list = namespace.bed.get(&["pods", "-n", &namespace.name, "-l", labels]);
    list["items"].as_array().unwrap().clone()
}

/// Waits for a pod with these labels; returns its name.
fn wait_for_pod(namespace: &Namespace, labels: &str) -> String {
    let begin = Instant::now();
    loop {
        if let Some(pod) = pods(namespace, labels).first() {
            return pod["metadata"]["name"].as_str().unwrap().to_owned();
        }
        assert!(begin.elapsed() < WAIT_LIMIT, "no pod {labels}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Waits until the pod that pulls is scheduled.
fn wait_for_puller(namespace: &Namespace, labels: &str) -> Value {
    let name = wait_for_pod(namespace, labels);
    let begin = Instant::now();
    loop {
        let pod = namespace.bed.get(&["pod", "-n", &namespace.name, &name]);
        if pod["spec"]["nodeName"].is_string() {
            return pod;
        }
        assert!(begin.elapsed() < WAIT_LIMIT, "{name} is not scheduled: {}", pod["status"]);
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn name(pod: &Value) -> &str {
    pod["metadata"]["name"].as_str().unwrap()
}

const DEPLOY: [&str; 5] = ["deploy", "--probe", "never", "--timeout", "60s"];
const PULLER: &str = "handsctl.dev/pull-for=oh";

fn configure(namespace: &Namespace, version: &str) {
    namespace.config(&format!(
        "[deploy]\nimage = \"docker.all-hands.dev/all-hands-ai/openhands:{version}\"\n\
         node_selector = {{ \"example.io/nobody\" = \"yes\" }}\ntolerate = {{ unschedulable = \"10m\" }}\n"
    ));
}

#[test]
fn changed_image_is_pulled_before_old_pod_stops() {
    let namespace = Bed::shared().namespace("prepull");
    configure(&namespace, "0.59");
    let node = NodeWithoutKubelet::new(&namespace);
    let deploy = namespace.command(&DEPLOY).spawn_in_background();
    let old = node.run_application();
    deploy.finish().exits(0).never_says("preflight prepull");
    let is_stopping = || {
        let pods = pods(&namespace, "app.kubernetes.io/component=app");
        assert_eq!(pods.len(), 1, "{pods:?}");
        assert_eq!(name(&pods[0]), old);
        !pods[0]["metadata"]["deletionTimestamp"].is_null()
    };

    // The first deploy pulled nothing beforehand. A missing image changes nothing.
    configure(&namespace, "0.58");
    let deploy = namespace.command(&DEPLOY).spawn_in_background();
    let puller = wait_for_puller(&namespace, PULLER);
    assert_eq!(puller["spec"]["containers"][0]["image"], "docker.all-hands.dev/all-hands-ai/openhands:0.58");
    assert_eq!(puller["spec"]["nodeName"], node.name.as_str());
    let waiting = json!({ "name": "pull", "image": "x", "imageID": "", "ready": false, "restartCount": 0,
        "state": { "waiting": { "reason": "ErrImagePull", "message": MISSING } } });
    report(&namespace, name(&puller), &json!({ "phase": "Pending", "containerStatuses": [waiting] }));
    deploy
        .finish()
        .exits(9)
        .says("error[HC4103]: the image does not exist")
        .says(&format!("object    pod/{}", name(&puller)))
        .says("state     nothing was changed: the new image is pulled before the old pod is stopped; the old pod is serving")
        .says("--> config.toml:2:9");
    assert!(!is_stopping());
    assert_eq!(pods(&namespace, PULLER).len(), 0, "the pod that pulls is deleted");
    let numbers = namespace.handsctl(&["history", "-o", "json"]).exits(0).json();
    assert_eq!(numbers.as_array().unwrap().len(), 1, "the failed pull records no revision");

    // The rollout starts only after the pull of an existing image.
    let deploy = namespace.command(&DEPLOY).spawn_in_background();
    let puller = wait_for_puller(&namespace, PULLER);
    assert!(!is_stopping());
    report(&namespace, name(&puller), &json!({ "phase": "Succeeded" }));
    let begin = Instant::now();
    while !is_stopping() {
        assert!(begin.elapsed() < WAIT_LIMIT, "the rollout does not start");
        std::thread::sleep(Duration::from_millis(100));
    }
    drop(deploy);
}

#[test]
fn image_that_every_node_has_is_not_pulled() {
    let namespace = Bed::shared().namespace("present-image");
    let node = NodeWithoutKubelet::new(&namespace);
    let configure = |version: &str| {
        let key = node.taint();
        namespace.config(&format!(
            "[deploy]\nimage = \"docker.all-hands.dev/all-hands-ai/openhands:{version}\"\n\
             node_selector = {{ \"{key}\" = \"yes\" }}\ntolerations = [{{ key = \"{key}\", operator = \"Exists\" }}]\n\
             tolerate = {{ unschedulable = \"10m\" }}\n"
        ));
    };
    configure("0.59");
    let deploy = namespace.command(&DEPLOY).spawn_in_background();
    node.run_application();
    deploy.finish().exits(0);
    namespace.bed.kubectl(&["label", "node", &node.name, &format!("{}=yes", node.taint())]);
    let images = ["docker.all-hands.dev/all-hands-ai/openhands:0.58"];
    node.set_status(&json!({ "images": [{ "names": images, "sizeBytes": 1 }] }));
    configure("0.58");
    namespace
        .handsctl(&["deploy", "--no-wait"])
        .exits(0)
        .says("openhands:0.58: present on 1 node")
        .says("deployment.apps/oh configured");
}

#[test]
fn rejected_pull_pod_only_warns_and_rollout_continues() {
    let namespace = Bed::shared().namespace("no-prepull");
    configure(&namespace, "0.59");
    let node = NodeWithoutKubelet::new(&namespace);
    let deploy = namespace.command(&DEPLOY).spawn_in_background();
    node.run_application();
    deploy.finish().exits(0);
    let quota = ["create", "quota", "one", "--hard=pods=1", "-n", &namespace.name];
    namespace.bed.kubectl(&quota);
    let deadline = Instant::now() + WAIT_LIMIT;
    while namespace.bed.get(&["quota", "one", "-n", &namespace.name])["status"]["used"].is_null() {
        assert!(Instant::now() < deadline, "the quota has no status");
        std::thread::sleep(Duration::from_millis(100));
    }
    configure(&namespace, "0.58");
    namespace
        .handsctl(&["deploy", "--probe", "never", "--timeout", "3s"])
        .exits(10)
        .says("HC4106 cannot pull docker.all-hands.dev/all-hands-ai/openhands:0.58 before the old pod is stopped")
        .says("exceeded quota: one")
        .says("apply     deployment.apps/oh configured");
    // prepull = false pulls nothing beforehand.
    namespace.config("[deploy]\nprepull = false\n");
    namespace.handsctl(&["deploy", "--no-wait"]).exits(0).never_says("pulled before");
}

#[test]
fn image_pull_pulls_missing_image_on_each_sandbox_node() {
    let namespace = Bed::shared().namespace("pull");
    namespace.create(&[]);
    let image = "ghcr.io/acme/runtime:1";
    // Simulated nodes pull nothing.
    namespace.handsctl(&["image", "pull", image]).exits(0).says("the node is simulated").says(": 0 pulled");

    let node = NodeWithoutKubelet::new(&namespace);
    let skipped =
        format!("runtime:1 on {}: skipped: {image}: the node is tainted {}", node.name, node.taint());
    namespace.handsctl(&["image", "pull", image]).exits(0).says(&skipped);
    let tolerations = format!("- key: {}\\n  operator: Exists\\n", node.taint());
    namespace.config(&format!(
        "[kubernetes]\ntolerations_yaml = \"{tolerations}\"\nimage_pull_secret = \"mine\"\n"
    ));
    for (status, code, says) in [
        (json!({ "phase": "Succeeded" }), 0, ": 1 pulled"),
        // The image has no /bin/true, so it was pulled.
        (not_started("RunContainerError", "exec: \"/bin/true\": no such file or directory"), 0, ": 1 pulled"),
        (not_started("ErrImagePull", MISSING), 9, "error[HC4103]"),
    ] {
        let pull = namespace.command(&["image", "pull", image, "--timeout", "60s"]).spawn_in_background();
        let puller = wait_for_puller(&namespace, PULLER);
        assert_eq!(puller["spec"]["nodeName"], node.name.as_str());
        assert_eq!(puller["spec"]["imagePullSecrets"], json!([{ "name": "mine" }]));
        report(&namespace, name(&puller), &status);
        pull.finish().exits(code).says(says);
        assert_eq!(pods(&namespace, PULLER).len(), 0, "the pod that pulls is deleted");
    }
    node.set_status(&json!({ "images": [{ "names": [image], "sizeBytes": 1 }] }));
    namespace
        .handsctl(&["image", "pull", image])
        .exits(0)
        .says(&format!("runtime:1 on {}: {image} already present", node.name));

    // The next run deletes the pod that an interrupted run left.
    let leftover = json!({ "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": "left", "labels": { "handsctl.dev/pull-for": "oh" } },
        "spec": { "nodeName": node.name, "containers": [{ "name": "pull", "image": "x" }] } });
    namespace.bed.kubectl_with(&["create", "-n", &namespace.name, "-f", "-"], &leftover.to_string());
    report(&namespace, "left", &json!({ "phase": "Succeeded" }));
    namespace.handsctl(&["image", "pull", image]).exits(0);
    assert_eq!(pods(&namespace, PULLER).len(), 0);
}

fn not_started(reason: &str, message: &str) -> Value {
    let state = json!({ "waiting": { "reason": reason, "message": message } });
    let container = json!({ "name": "pull", "image": "x", "imageID": "", "ready": false, "restartCount": 0, "state": state });
    json!({ "phase": "Pending", "containerStatuses": [container] })
}

#[test]
fn image_load_needs_kind_and_image_pull_a_namespace() {
    let namespace = Bed::shared().namespace("no-load");
    namespace
        .handsctl(&["image", "load"])
        .exits(14)
        .says("error[HC2013]")
        .says("is not a kind cluster on this computer")
        .says(&namespace.suggested("image pull", "makes the nodes pull"));
    let node = NodeWithoutKubelet::new(&namespace);
    let tolerations = format!("- key: {}\\n  operator: Exists\\n", node.taint());
    namespace.config(&format!("[kubernetes]\ntolerations_yaml = \"{tolerations}\"\n"));
    let run = namespace.handsctl(&["image", "pull", "acme/x:1"]);
    run.says(&format!("namespaces \"{}\" not found", namespace.name)).says("error[");
}
