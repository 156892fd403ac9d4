//! A node whose kubelet the test plays: pods are bound to it by hand, and their statuses and Events are written as a
//! kubelet writes them.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::bed::{Bed, Namespace};

/// Time limit for a controller to create a pod, on a busy computer.
const POD_LIMIT: Duration = Duration::from_secs(60);

/// A node without a kubelet. Its taint keeps the scheduler away. Dropping the value deletes it.
pub(crate) struct BareNode {
    bed: &'static Bed,
    pub(crate) name: String,
}

impl BareNode {
    pub(crate) fn new(namespace: &Namespace) -> Self {
        Self::with_labels(namespace, &json!({}))
    }

    pub(crate) fn with_labels(namespace: &Namespace, labels: &Value) -> Self {
        let node = Self { bed: namespace.bed, name: format!("bare-{}", namespace.name) };
        let object = json!({ "apiVersion": "v1", "kind": "Node",
            "metadata": { "name": node.name, "labels": labels },
            "spec": { "taints": [{ "key": "example.io/bare", "value": "yes", "effect": "NoSchedule" }] } });
        node.bed.kubectl_with(&["create", "-f", "-"], &object.to_string());
        node
    }

    pub(crate) fn patch_status(&self, patch: &Value) {
        let patch = patch.to_string();
        self.bed.kubectl(&[
            "patch",
            "node",
            &self.name,
            "--subresource=status",
            "--type=merge",
            "-p",
            &patch,
        ]);
    }

    /// Binds the set's unschedulable pod to this node; returns its name.
    pub(crate) fn bind_pod(&self, namespace: &Namespace) -> String {
        let pod = wait_for_pod(namespace, "app.kubernetes.io/component=app");
        let binding = json!({ "apiVersion": "v1", "kind": "Binding", "metadata": { "name": pod },
            "target": { "apiVersion": "v1", "kind": "Node", "name": self.name } });
        self.bed.kubectl_with(&["create", "-n", &namespace.name, "-f", "-"], &binding.to_string());
        pod
    }
}

impl Drop for BareNode {
    fn drop(&mut self) {
        // No kubelet confirms the deletion of the pods.
        let on_node = format!("spec.nodeName={}", self.name);
        let pods = ["delete", "pods", "-A", "--force", "--grace-period=0", "--field-selector", &on_node];
        let _already_deleted = self.bed.try_kubectl(&pods, "");
        let _already_deleted =
            self.bed.try_kubectl(&["delete", "node", "--ignore-not-found", &self.name], "");
    }
}

/// Waits until the namespace has a pod with this label and returns its name. `kubectl wait --for=create` needs the name.
pub(crate) fn wait_for_pod(namespace: &Namespace, label: &str) -> String {
    wait_for_replacement(namespace, label, "")
}

/// Waits until the namespace has a pod with this label and another name, and returns it.
pub(crate) fn wait_for_replacement(namespace: &Namespace, label: &str, replaced: &str) -> String {
    let limit = format!("--request-timeout={}s", POD_LIMIT.as_secs());
    let names = r#"jsonpath={.metadata.name}{"\n"}"#;
    let watch = ["get", "pods", "-n", &namespace.name, "-l", label, "--watch", &limit, "-o", names];
    let mut kubectl = namespace.bed.kubectl_command(&watch);
    let mut kubectl =
        kubectl.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let lines = BufReader::new(kubectl.stdout.take().unwrap()).lines();
    let name = lines.map_while(Result::ok).find(|name| !name.is_empty() && name != replaced);
    let _ended_already = kubectl.kill();
    let _status = kubectl.wait();
    name.unwrap_or_else(|| panic!("no pod with {label} in {}", namespace.name))
}

/// Patches the status of a pod.
pub(crate) fn patch_pod(namespace: &Namespace, pod: &str, status: &Value) {
    let patch = json!({ "status": status }).to_string();
    let arguments =
        ["patch", "pod", pod, "-n", &namespace.name, "--subresource=status", "--type=strategic", "-p"];
    namespace.bed.kubectl(&[&arguments[..], &[&patch]].concat());
}

/// Writes the status of the set's container, as its kubelet would.
pub(crate) fn report(namespace: &Namespace, pod: &str, container: &Value) {
    let mut status = json!({ "name": "openhands", "image": "x", "imageID": "", "ready": false, "started": false,
        "restartCount": 0 });
    for (key, value) in container.as_object().unwrap() {
        status[key] = value.clone();
    }
    let unready = |kind: &str| json!({ "type": kind, "status": "False", "reason": "ContainersNotReady" });
    let status = json!({
        "phase": "Pending", "startTime": Timestamp::now().to_string(),
        "conditions": [unready("Ready"), unready("ContainersReady")], "containerStatuses": [status],
    });
    patch_pod(namespace, pod, &status);
}

/// Reports that the set's container runs and that its probes succeed.
pub(crate) fn report_ready(namespace: &Namespace, pod: &str) {
    let ready = |kind: &str| json!({ "type": kind, "status": "True", "lastTransitionTime": seconds_ago(0) });
    let status = json!({
        "phase": "Running", "startTime": seconds_ago(0),
        "conditions": [ready("Ready"), ready("ContainersReady")],
        "containerStatuses": [{ "name": "openhands", "image": "x", "imageID": "x@sha256:0", "ready": true,
            "started": true, "restartCount": 0, "state": { "running": { "startedAt": seconds_ago(0) } } }],
    });
    patch_pod(namespace, pod, &status);
}

/// A container state: waiting.
pub(crate) fn waiting(reason: &str, message: &str) -> Value {
    json!({ "state": { "waiting": { "reason": reason, "message": message } } })
}

/// A container state: waiting for its restart after it has ended this way for the number of restarts and once more.
pub(crate) fn backing_off(restarts: u32, reason: &str, exit_code: i32) -> Value {
    json!({
        "restartCount": restarts,
        "state": { "waiting": { "reason": "CrashLoopBackOff", "message": "back-off 10s restarting failed container" } },
        "lastState": { "terminated": {
            "exitCode": exit_code, "reason": reason, "startedAt": seconds_ago(2), "finishedAt": seconds_ago(1),
        } },
    })
}

/// The time so many seconds ago, as objects have it: without a fraction.
pub(crate) fn seconds_ago(seconds: i64) -> String {
    Timestamp::from_second(Timestamp::now().as_second() - seconds).unwrap().to_string()
}

/// Reports an Event about a pod, or one of its containers, as its kubelet would.
pub(crate) fn kubelet_event(
    namespace: &Namespace,
    pod: &str,
    reason: &str,
    container: Option<&str>,
    message: &str,
) {
    let field = container.map(|container| format!("spec.containers{{{container}}}"));
    event(namespace, ("Pod", pod), (reason, message), json!({ "fieldPath": field }));
}

/// Reports an Event about an object that it names. `more` is added to the reference.
pub(crate) fn event(namespace: &Namespace, object: (&str, &str), event: (&str, &str), more: Value) {
    let ((kind, name), (reason, message)) = (object, event);
    let live = namespace.bed.get(&[&kind.to_lowercase(), name, "-n", &namespace.name]);
    let mut involved = json!({ "apiVersion": "v1", "kind": kind, "namespace": namespace.name, "name": name,
        "uid": live["metadata"]["uid"] });
    if let Value::Object(more) = more {
        involved.as_object_mut().unwrap().extend(more);
    }
    let event = json!({
        "apiVersion": "v1", "kind": "Event",
        "metadata": { "name": reason.to_lowercase(), "namespace": namespace.name },
        "involvedObject": involved, "reason": reason, "message": message, "type": "Warning",
        "source": { "component": "kubelet" },
        "firstTimestamp": seconds_ago(0), "lastTimestamp": seconds_ago(0), "count": 3,
    });
    namespace.bed.kubectl_with(&["create", "-f", "-"], &event.to_string());
}
