//! Rollouts that stumble and succeed: no obstacle within its grace is an alarm. `src/status/fixtures/healthy_rollouts.rs`
//! has many more, second by second, without a cluster; `seeded_rollouts` combines them.

use std::thread::sleep;
use std::time::Duration;

use serde_json::{Value, json};

use super::refusals::{scoped_quota, wait_for_output};
use super::rollouts::pod;
use crate::bed::{BackgroundRun, Bed, Namespace};
use crate::kubelet::{BareNode, wait_for_pod, waiting};
use crate::webhook::PodWebhook;

/// How long an obstacle lasts: longer than the time after which a fault is reported, shorter than each grace.
const OBSTACLE: Duration = Duration::from_secs(4);

/// Deploys to a node whose kubelet the test plays.
fn deploy_to_bare_node(namespace: &Namespace, more: &str) -> BackgroundRun {
    namespace.config(&format!(
        "[deploy]\nnode_selector = {{ \"example.io/bare\" = \"yes\" }}\ntolerate = {{ unschedulable = \"10m\" }}\n{more}"
    ));
    namespace.command(&["deploy", "--timeout", "2m", "--probe", "never"]).spawn_in_background()
}

/// Binds the pod, and lets its volume be provisioned, as the scheduler would; returns the pod's name.
fn bind(namespace: &Namespace, node: &BareNode) -> String {
    let pod = node.bind_pod(namespace);
    let selected = format!("volume.kubernetes.io/selected-node={}", worker(namespace.bed));
    let annotate = ["annotate", "--overwrite", "pvc", "oh-state", "-n", &namespace.name, &selected];
    namespace.bed.kubectl(&annotate);
    pod
}

/// Writes the status of a pod and of its container, as a kubelet would.
pub(super) fn report(namespace: &Namespace, pod: &str, phase: &str, container: &Value) {
    let is_ready = container["ready"] == true;
    let mut status =
        json!({ "name": "openhands", "image": "x", "imageID": "", "ready": false, "restartCount": 0 });
    for (key, value) in container.as_object().unwrap() {
        status[key] = value.clone();
    }
    let condition = |kind: &str| json!({ "type": kind, "status": if is_ready { "True" } else { "False" } });
    let patch = json!({ "status": {
        "phase": phase, "startTime": jiff::Timestamp::now().to_string(),
        "conditions": [condition("Ready"), condition("ContainersReady")], "containerStatuses": [status],
    } });
    let arguments =
        ["patch", "pod", pod, "-n", &namespace.name, "--subresource=status", "--type=strategic", "-p"];
    namespace.bed.kubectl(&[&arguments[..], &[&patch.to_string()]].concat());
}

/// The status of a container that has run since now.
pub(super) fn running(ready: bool, restarts: u32) -> Value {
    let now = jiff::Timestamp::now().to_string();
    let mut status = json!({ "ready": ready, "started": ready, "restartCount": restarts,
        "state": { "running": { "startedAt": now } } });
    if restarts > 0 {
        let end = json!({ "exitCode": 1, "reason": "Error", "startedAt": now, "finishedAt": now });
        status["lastState"] = json!({ "terminated": end });
    }
    status
}

#[test]
fn image_pulled_at_the_third_try_is_no_alarm() {
    let namespace = Bed::shared().namespace("third-try");
    let node = BareNode::new(&namespace);
    let deploy = deploy_to_bare_node(&namespace, "");
    let pod = bind(&namespace, &node);
    let refused = "failed to pull image: dial tcp 192.0.2.1:443: connect: connection refused";
    for reason in ["ErrImagePull", "ImagePullBackOff", "ErrImagePull", "ImagePullBackOff"] {
        report(&namespace, &pod, "Pending", &waiting(reason, refused));
        sleep(Duration::from_secs(1));
    }
    report(&namespace, &pod, "Pending", &waiting("ContainerCreating", ""));
    report(&namespace, &pod, "Running", &running(true, 0));
    deploy.finish().exits(0).says("deployment.apps/oh 1/1").never_says("error[");
}

#[test]
fn restarted_container_and_rescheduled_pod_are_no_alarm() {
    let namespace = Bed::shared().namespace("stumbles");
    let node = BareNode::new(&namespace);
    let deploy = deploy_to_bare_node(&namespace, "");
    let first = bind(&namespace, &node);
    report(&namespace, &first, "Running", &running(false, 1));
    sleep(OBSTACLE);
    // Somebody deletes the pod, and its node confirms it.
    let delete = ["delete", "pod", &first, "-n", &namespace.name, "--force", "--grace-period=0"];
    namespace.bed.kubectl(&delete);
    let names = ["get", "pods", "-n", &namespace.name, "-o", "name"];
    wait_for_output(namespace.bed, &names, |text| !text.trim().is_empty() && !text.contains(&first));
    let second = bind(&namespace, &node);
    report(&namespace, &second, "Running", &running(false, 0));
    sleep(OBSTACLE);
    report(&namespace, &second, "Running", &running(true, 0));
    deploy.finish().exits(0).says("deployment.apps/oh 1/1").never_says("error[");
}

/// The name of a simulated node on which pods run.
pub(super) fn worker(bed: &Bed) -> String {
    let nodes = bed.get(&["nodes", "-l", "!node-role.kubernetes.io/control-plane"]);
    let nodes = nodes["items"].as_array().unwrap();
    let is_simulated = |node: &&Value| !node["metadata"]["annotations"]["kwok.x-k8s.io/node"].is_null();
    nodes.iter().find(is_simulated).unwrap()["metadata"]["name"].as_str().unwrap().to_owned()
}

/// A label of a simulated node. Dropping the value removes it.
struct NodeLabel<'a> {
    bed: &'a Bed,
    node: String,
    key: String,
}

impl Drop for NodeLabel<'_> {
    fn drop(&mut self) {
        let _without = self.bed.try_kubectl(&["label", "node", &self.node, &format!("{}-", self.key)], "");
    }
}

#[test]
fn node_that_comes_late_is_no_alarm() {
    let namespace = Bed::shared().namespace("late-node");
    let bed = namespace.bed;
    let key = format!("example.io/{}", namespace.name);
    namespace.config(&format!("[deploy]\nnode_selector = {{ \"{key}\" = \"yes\" }}\n"));
    let deploy = namespace.command(&["deploy"]).spawn_in_background();
    wait_for_pod(&namespace, "app.kubernetes.io/component=app");
    sleep(OBSTACLE);
    let node = worker(bed);
    bed.kubectl(&["label", "node", &node, &format!("{key}=yes")]);
    let label = NodeLabel { bed, node, key };
    deploy.finish().exits(0).says("deployment.apps/oh 1/1").never_says("error[");
    assert_eq!(pod(&namespace)["spec"]["nodeName"], label.node.as_str());
}

/// Waits until the ReplicaSet reports that its pods are rejected.
pub(super) fn wait_for_rejection(namespace: &Namespace) {
    let reason = "jsonpath={.items[*].status.conditions[?(@.type==\"ReplicaFailure\")].reason}";
    let sets = ["get", "replicasets", "-n", &namespace.name, "-o", reason];
    wait_for_output(namespace.bed, &sets, |text| text.contains("FailedCreate"));
}

#[test]
fn quota_raised_meanwhile_is_no_alarm() {
    let namespace = Bed::shared().namespace("raised");
    namespace.create(&[]);
    scoped_quota(&namespace, "pods=0");
    let deploy = namespace.command(&["deploy"]).spawn_in_background();
    wait_for_rejection(&namespace);
    let raise = r#"{"spec":{"hard":{"pods":"20"}}}"#;
    namespace.bed.kubectl(&["patch", "quota", "tight", "-n", &namespace.name, "--type=merge", "-p", raise]);
    deploy.finish().exits(0).says("deployment.apps/oh 1/1").never_says("error[");
}

#[test]
fn webhook_that_fails_for_a_moment_is_no_alarm() {
    let namespace = Bed::shared().namespace("webhook-once");
    namespace.create(&[]);
    let webhook = PodWebhook::without_service(&namespace);
    let deploy = namespace.command(&["deploy"]).spawn_in_background();
    wait_for_rejection(&namespace);
    sleep(OBSTACLE);
    drop(webhook);
    deploy.finish().exits(0).says("deployment.apps/oh 1/1").never_says("error[");
}
