//! Images before they are needed, on a node that nobody simulates: what its kubelet would say is the test's own.

use std::process::Child;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::bed::{Bed, Namespace, Run, run_from_output};

const SOON: Duration = Duration::from_secs(20);
const MISSING: &str = "rpc error: code = NotFound desc = failed to pull and unpack image \"x\": x: not found";

/// A node with room that only pods of this test tolerate.
struct PlayedNode<'a> {
    namespace: &'a Namespace,
    name: String,
}

impl<'a> PlayedNode<'a> {
    fn new(namespace: &'a Namespace) -> Self {
        let node = Self { namespace, name: format!("played-{}", namespace.name) };
        let object = json!({ "apiVersion": "v1", "kind": "Node",
            "metadata": { "name": node.name },
            "spec": { "taints": [{ "key": node.taint(), "effect": "NoSchedule" }] } });
        namespace.bed.kubectl_with(&["create", "-f", "-"], &object.to_string());
        // The scheduler, which goes round this node, would have the volume made.
        let volume = json!({ "apiVersion": "v1", "kind": "PersistentVolume", "metadata": { "name": node.name },
            "spec": { "accessModes": ["ReadWriteOnce"], "capacity": { "storage": "5Gi" }, "storageClassName": "standard",
                "claimRef": { "namespace": namespace.name, "name": "oh-state" }, "hostPath": { "path": "/nowhere" } } });
        namespace.bed.kubectl_with(&["create", "-f", "-"], &volume.to_string());
        let size = json!({ "cpu": "4", "memory": "8Gi", "pods": "110" });
        node.says(&json!({ "allocatable": size, "capacity": size, "conditions": [condition("Ready")] }));
        // A new node is tainted as not ready until the control plane has seen that it is.
        let name = format!("node/{}", node.name);
        let taints = ["get", &name, "-o", "jsonpath={.spec.taints[*].key}"];
        super::refusals::wait_for_output(namespace.bed, &taints, |keys| keys.trim() == node.taint());
        node
    }

    fn taint(&self) -> String {
        format!("example.io/{}", self.namespace.name)
    }

    fn says(&self, status: &Value) {
        let patch = json!({ "status": status }).to_string();
        let arguments = ["patch", "node", &self.name, "--subresource=status", "--type=merge", "-p", &patch];
        self.namespace.bed.kubectl(&arguments);
    }

    /// Takes the application's pod, which the scheduler leaves in_home, and says that it is ready; its name.
    fn runs_the_application(&self) -> String {
        let namespace = &self.namespace.name;
        let pod = await_pod(self.namespace, "app.kubernetes.io/component=app");
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

impl Drop for PlayedNode<'_> {
    fn drop(&mut self) {
        // No kubelet confirms that its pods are gone.
        let on_it = format!("spec.nodeName={}", self.name);
        let pods = ["delete", "pods", "-A", "--force", "--grace-period=0", "--field-selector", &on_it];
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

/// The name of the one pod of these labels, once it is there.
fn await_pod(namespace: &Namespace, labels: &str) -> String {
    let begin = Instant::now();
    loop {
        if let Some(pod) = pods(namespace, labels).first() {
            return pod["metadata"]["name"].as_str().unwrap().to_owned();
        }
        assert!(begin.elapsed() < SOON, "no pod {labels}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// The pod that pulls, once the scheduler has placed it.
fn await_puller(namespace: &Namespace, labels: &str) -> Value {
    let name = await_pod(namespace, labels);
    let begin = Instant::now();
    loop {
        let pod = namespace.bed.get(&["pod", "-n", &namespace.name, &name]);
        if pod["spec"]["nodeName"].is_string() {
            return pod;
        }
        assert!(begin.elapsed() < SOON, "{name} is not placed: {}", pod["status"]);
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn name(pod: &Value) -> &str {
    pod["metadata"]["name"].as_str().unwrap()
}

/// A run in the background; it ends with the test.
struct Going(Option<Child>);

impl Going {
    fn begin(namespace: &Namespace, arguments: &[&str]) -> Self {
        Self(Some(namespace.command(arguments).spawn()))
    }

    /// What it came to, timed from now.
    fn end(mut self) -> Run {
        let begin = Instant::now();
        let output = self.0.take().unwrap().wait_with_output().unwrap();
        run_from_output(&output, begin.elapsed())
    }
}

impl Drop for Going {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ended_already = child.kill();
            let _status = child.wait();
        }
    }
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
    let node = PlayedNode::new(&namespace);
    let going = Going::begin(&namespace, &DEPLOY);
    let old = node.runs_the_application();
    going.end().exits(0).never_says("preflight prepull");
    let is_stopping = || {
        let pods = pods(&namespace, "app.kubernetes.io/component=app");
        assert_eq!(pods.len(), 1, "{pods:?}");
        assert_eq!(name(&pods[0]), old);
        !pods[0]["metadata"]["deletionTimestamp"].is_null()
    };

    // What does not change the image needs no pull, and one that is not there changes nothing.
    configure(&namespace, "0.58");
    let going = Going::begin(&namespace, &DEPLOY);
    let puller = await_puller(&namespace, PULLER);
    assert_eq!(puller["spec"]["containers"][0]["image"], "docker.all-hands.dev/all-hands-ai/openhands:0.58");
    assert_eq!(puller["spec"]["nodeName"], node.name.as_str());
    let waiting = json!({ "name": "pull", "image": "x", "imageID": "", "ready": false, "restartCount": 0,
        "state": { "waiting": { "reason": "ErrImagePull", "message": MISSING } } });
    report(&namespace, name(&puller), &json!({ "phase": "Pending", "containerStatuses": [waiting] }));
    going
        .end()
        .within(Duration::from_secs(2))
        .exits(9)
        .says("error[HC4103]: the image does not exist")
        .says(&format!("object    pod/{}", name(&puller)))
        .says("state     nothing was changed: the new image is pulled before the old pod is stopped; revision 1 is serving")
        .says("--> config.toml:2:9");
    assert!(!is_stopping());
    assert_eq!(pods(&namespace, PULLER).len(), 0, "it is not left behind");
    let numbers = namespace.handsctl(&["history", "-o", "json"]).exits(0).json();
    assert_eq!(numbers.as_array().unwrap().len(), 1, "no revision of what was not begun");

    // One that is there lets the rollout begin, and not before.
    let going = Going::begin(&namespace, &DEPLOY);
    let puller = await_puller(&namespace, PULLER);
    assert!(!is_stopping());
    report(&namespace, name(&puller), &json!({ "phase": "Succeeded" }));
    let begin = Instant::now();
    while !is_stopping() {
        assert!(begin.elapsed() < SOON, "the rollout does not begin");
        std::thread::sleep(Duration::from_millis(100));
    }
    drop(going);
}

#[test]
fn rejected_pull_pod_only_warns_and_rollout_continues() {
    let namespace = Bed::shared().namespace("no-prepull");
    configure(&namespace, "0.59");
    let node = PlayedNode::new(&namespace);
    let going = Going::begin(&namespace, &DEPLOY);
    node.runs_the_application();
    going.end().exits(0);
    let quota = ["create", "quota", "one", "--hard=pods=1", "-n", &namespace.name];
    namespace.bed.kubectl(&quota);
    let limit = Instant::now() + SOON;
    while namespace.bed.get(&["quota", "one", "-n", &namespace.name])["status"]["used"].is_null() {
        assert!(Instant::now() < limit, "the quota is not counted");
        std::thread::sleep(Duration::from_millis(100));
    }
    configure(&namespace, "0.58");
    namespace
        .handsctl(&["deploy", "--probe", "never", "--timeout", "3s"])
        .exits(10)
        .says("HC4106 cannot pull docker.all-hands.dev/all-hands-ai/openhands:0.58 before the old pod is stopped")
        .says("exceeded quota: one")
        .says("apply     deployment.apps/oh configured");
    // Where it is not asked for there is none.
    namespace.config("[deploy]\nprepull = false\n");
    namespace.handsctl(&["deploy", "--no-wait"]).exits(0).never_says("pulled before");
}

#[test]
fn image_pull_pulls_missing_image_on_each_sandbox_node() {
    let namespace = Bed::shared().namespace("pull");
    namespace.create(&[]);
    let image = "ghcr.io/acme/runtime:1";
    // Simulated nodes pull nothing, and say so.
    namespace.handsctl(&["image", "pull", image]).exits(0).says("the node is simulated").says(": 0 pulled");

    let node = PlayedNode::new(&namespace);
    let refused =
        format!("runtime:1 on {}: skipped: {image}: the node is tainted {}", node.name, node.taint());
    namespace.handsctl(&["image", "pull", image]).exits(0).says(&refused);
    let tolerations = format!("- key: {}\\n  operator: Exists\\n", node.taint());
    namespace.config(&format!(
        "[kubernetes]\ntolerations_yaml = \"{tolerations}\"\nimage_pull_secret = \"mine\"\n"
    ));
    for (status, code, says) in [
        (json!({ "phase": "Succeeded" }), 0, ": 1 pulled"),
        // There is no /bin/true in it, so it has been pulled.
        (not_started("RunContainerError", "exec: \"/bin/true\": no such file or directory"), 0, ": 1 pulled"),
        (not_started("ErrImagePull", MISSING), 9, "error[HC4103]"),
    ] {
        let going = Going::begin(&namespace, &["image", "pull", image, "--timeout", "60s"]);
        let puller = await_puller(&namespace, PULLER);
        assert_eq!(puller["spec"]["nodeName"], node.name.as_str());
        assert_eq!(puller["spec"]["imagePullSecrets"], json!([{ "name": "mine" }]));
        report(&namespace, name(&puller), &status);
        going.end().exits(code).says(says);
        assert_eq!(pods(&namespace, PULLER).len(), 0, "it is not left behind");
    }
    node.says(&json!({ "images": [{ "names": [image], "sizeBytes": 1 }] }));
    namespace
        .handsctl(&["image", "pull", image])
        .exits(0)
        .says(&format!("runtime:1 on {}: {image} already present", node.name));

    // What an interrupted run has left is found by the next one.
    let left = json!({ "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": "left", "labels": { "handsctl.dev/pull-for": "oh" } },
        "spec": { "nodeName": node.name, "containers": [{ "name": "pull", "image": "x" }] } });
    namespace.bed.kubectl_with(&["create", "-n", &namespace.name, "-f", "-"], &left.to_string());
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
        .says("handsctl image pull");
    let node = PlayedNode::new(&namespace);
    let tolerations = format!("- key: {}\\n  operator: Exists\\n", node.taint());
    namespace.config(&format!("[kubernetes]\ntolerations_yaml = \"{tolerations}\"\n"));
    let run = namespace.handsctl(&["image", "pull", "acme/x:1"]);
    run.says(&format!("namespaces \"{}\" not found", namespace.name)).says("error[");
}
