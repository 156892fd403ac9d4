//! Rollouts that fail, on simulated nodes and on nodes that only the test answers for: the id, the evidence, soon,
//! and the way back.

use std::process::Child;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::bed::{Bed, Namespace, Run};

/// From the report of a cause (or the end of its grace) to the verdict.
const SOON: Duration = Duration::from_secs(2);
/// The times of objects are cut to the second.
const CUT: Duration = Duration::from_secs(1);

/// What a run told with `--events`.
struct Told {
    run: Run,
    events: Vec<Value>,
}

/// Runs `deploy` and reads its events.
fn deploy(namespace: &Namespace, more: &[&str]) -> Told {
    let path = namespace.folder.path().join("events.ndjson");
    let arguments = [&["deploy", "--events", path.to_str().unwrap()], more].concat();
    let run = namespace.handsctl(&arguments);
    let text = std::fs::read_to_string(&path).unwrap();
    Told { run, events: text.lines().map(|line| serde_json::from_str(line).unwrap()).collect() }
}

impl Told {
    /// When the verdict was said.
    fn verdict(&self) -> Timestamp {
        let finding = self.events.iter().find(|event| event["type"] == "finding");
        at(&finding.unwrap_or_else(|| panic!("no finding: {:?}", self.run))["ts"])
    }

    /// Panics where the verdict came before or long after this time.
    fn verdict_at(&self, earliest: Timestamp) {
        let after = self.verdict().duration_since(earliest);
        let limit = SOON + CUT;
        assert!(
            !after.is_negative() && after.unsigned_abs() <= limit,
            "the verdict came {after} after {earliest}: {:?}",
            self.run
        );
    }
}

fn at(value: &Value) -> Timestamp {
    value.as_str().unwrap().parse().unwrap()
}

fn later(time: Timestamp, seconds: i64) -> Timestamp {
    Timestamp::from_second(time.as_second() + seconds).unwrap()
}

/// The set's only pod.
fn pod(namespace: &Namespace) -> Value {
    let list = namespace.bed.get(&["pods", "-n", &namespace.name]);
    let pods = list["items"].as_array().unwrap();
    assert_eq!(pods.len(), 1, "{list}");
    pods[0].clone()
}

/// `kubectl wait --for=create` does not wait for a name that is not known.
fn until_there_is_a_pod(namespace: &Namespace) {
    let deadline = Instant::now() + Duration::from_secs(30);
    let read = ["get", "pods", "-n", &namespace.name, "-o", "name"];
    while namespace.bed.kubectl(&read).is_empty() {
        assert!(Instant::now() < deadline, "no pod in {}", namespace.name);
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A condition of an object.
fn condition<'a>(object: &'a Value, kind: &str) -> &'a Value {
    let all = object["status"]["conditions"].as_array().unwrap();
    all.iter().find(|one| one["type"] == kind).unwrap_or_else(|| panic!("no condition {kind}: {object}"))
}

/// The first event with this reason.
fn event(namespace: &Namespace, reason: &str) -> Value {
    let selector = format!("reason={reason}");
    let list = namespace.bed.get(&["events", "-n", &namespace.name, "--field-selector", &selector]);
    list["items"][0].clone()
}

/// `status` says that nothing serves, and why.
fn is_down(namespace: &Namespace, id: &str, evidence: &str) {
    let status = namespace.handsctl(&["status"]).exits(12);
    for text in ["oh  down", id, evidence] {
        assert!(status.stdout.contains(text), "status lacks {text:?}: {}", status.stdout);
    }
    let value = namespace.handsctl(&["status", "-o", "json"]).exits(12).json();
    assert_eq!((&value["verdict"], &value["findings"][0]["id"]), (&json!("down"), &json!(id)));
}

#[test]
fn missing_image_exits_9_and_fixed_image_deploys() {
    let namespace = Bed::shared().namespace("image");
    let image = "registry.example/simulate-image-pull-backoff:0.59";
    let config = format!("[deploy]\nimage = \"{image}\"\n");
    namespace.config(&config);
    let told = deploy(&namespace, &[]);
    told.verdict_at(at(&event(&namespace, "Failed")["firstTimestamp"]));
    let said = |run: Run| {
        run.exits(9)
            .says("error[HC4103]: the image does not exist")
            .says("object    pod/oh-")
            .says(", container openhands")
            .says(&format!("{image}: not found"))
            .says("--> config.toml:2:9")
            .says("no pod is serving")
            .says("hint: handsctl explain HC4103")
    };
    said(told.run).says("9 created");
    said(namespace.handsctl(&["deploy"])).says("9 unchanged").within(SOON);
    is_down(&namespace, "HC4103", "not found");

    let broken = pod(&namespace);
    namespace.config("");
    namespace.handsctl(&["deploy"]).exits(0).says("deployment.apps/oh 1/1");
    assert_ne!(pod(&namespace)["metadata"]["uid"], broken["metadata"]["uid"]);
    namespace.handsctl(&["status"]).exits(0);
}

#[test]
fn crash_loop_exits_9_with_exit_code() {
    let namespace = Bed::shared().namespace("crash");
    let set = "deploy.image=\"registry.example/simulate-crash-loop-backoff:0.59\"";
    let told = deploy(&namespace, &["--set", set]);
    let status = &pod(&namespace)["status"]["containerStatuses"][0];
    let ended =
        ["state", "lastState"].iter().find_map(|state| status[*state]["terminated"]["finishedAt"].as_str());
    told.verdict_at(ended.unwrap().parse().unwrap());
    let said = |run: Run| {
        run.exits(9)
            .says("error[HC4201]: the container crashes in a loop")
            .says(", container openhands")
            .says("exit code 1")
            .says("2 restarts in")
            .says("hint: handsctl explain HC4201")
    };
    said(told.run);
    said(namespace.handsctl(&["deploy", "--set", set])).says("9 unchanged").within(SOON);
    is_down(&namespace, "HC4201", "exit code 1");
}

#[test]
fn unmatched_node_selector_exits_9_after_grace() {
    let namespace = Bed::shared().namespace("selector");
    namespace
        .config("[deploy]\nnode_selector = { disk = \"gold\" }\ntolerate = { unschedulable = \"3s\" }\n");
    let told = deploy(&namespace, &[]);
    let since = at(&condition(&pod(&namespace), "PodScheduled")["lastTransitionTime"]);
    told.verdict_at(later(since, 3));
    let said = |run: Run| {
        run.exits(9)
            .says("error[HC4301]: the pod fits on no node")
            .says("nodes are available: 2 node(s) didn't match Pod's node affinity/selector")
            .says("hint: handsctl explain HC4301")
    };
    said(told.run);
    said(namespace.handsctl(&["deploy"])).within(SOON);
    is_down(&namespace, "HC4301", "node affinity/selector");
}

#[test]
fn oversized_pod_exits_9_after_15s_grace() {
    let namespace = Bed::shared().namespace("large");
    namespace.config(
        "[deploy.resources]\nrequests = { cpu = \"100000\", memory = \"1Gi\" }\nlimits = { memory = \"4Gi\" }\n",
    );
    let told = deploy(&namespace, &[]);
    let since = at(&condition(&pod(&namespace), "PodScheduled")["lastTransitionTime"]);
    told.verdict_at(later(since, 15));
    told.run.exits(9).says("error[HC4301]: the pod fits on no node").says("2 Insufficient cpu");
}

#[test]
fn missing_storage_class_exits_9() {
    let namespace = Bed::shared().namespace("class");
    namespace.config("[deploy]\nstorage_class = \"gold\"\n");
    let told = deploy(&namespace, &[]);
    told.verdict_at(at(&event(&namespace, "ProvisioningFailed")["firstTimestamp"]));
    let said = |run: Run| {
        run.exits(9)
            .says("error[HC4402]: the storage class does not exist")
            .says("object    persistentvolumeclaim/oh-state")
            .says("storageclass.storage.k8s.io \"gold\" not found")
            .says("--> config.toml:2:17")
    };
    said(told.run);
    said(namespace.handsctl(&["deploy"])).says("9 unchanged").within(SOON);
    is_down(&namespace, "HC4402", "\"gold\" not found");
}

#[test]
fn unbound_claim_of_both_revisions_prevents_rollback() {
    let namespace = Bed::shared().namespace("unbound");
    namespace.handsctl(&["deploy"]).exits(0);
    // A claim is made anew only where somebody deleted it.
    namespace.bed.kubectl(&["delete", "deployment,pvc", "--all", "-n", &namespace.name]);
    namespace.config("[deploy]\nstorage_class = \"gold\"\n[llm]\nmodel = \"openai/other\"\n");
    namespace
        .handsctl(&["deploy"])
        .exits(9)
        .says("error[HC4402]: the storage class does not exist")
        .says("the applied objects are kept")
        .never_says("rolled back")
        .never_says("cannot roll back");
}

#[test]
fn missing_claim_exits_9_after_scheduler_grace() {
    let namespace = Bed::shared().namespace("claim");
    namespace.config("[deploy]\nexisting_claim = \"mine\"\ntolerate = { unschedulable = \"2s\" }\n");
    let told = deploy(&namespace, &[]);
    let since = at(&condition(&pod(&namespace), "PodScheduled")["lastTransitionTime"]);
    told.verdict_at(later(since, 2));
    told.run.exits(9).says("error[HC4301]").says("persistentvolumeclaim \"mine\" not found");
}

#[test]
fn limit_range_rejects_pods_exit_9() {
    let namespace = Bed::shared().namespace("limits");
    namespace.create(&[]);
    let range = json!({ "apiVersion": "v1", "kind": "LimitRange", "metadata": { "name": "small" },
        "spec": { "limits": [{ "type": "Container", "max": { "memory": "2Gi" } }] } });
    namespace.bed.kubectl_with(&["create", "-n", &namespace.name, "-f", "-"], &range.to_string());
    let told = deploy(&namespace, &[]);
    let sets = namespace.bed.get(&["replicasets", "-n", &namespace.name]);
    told.verdict_at(at(&condition(&sets["items"][0], "ReplicaFailure")["lastTransitionTime"]));
    let said = |run: Run| {
        run.exits(9)
            .says("error[HC4503]: the pods are rejected")
            .says("object    deployment.apps/oh")
            .says("maximum memory usage per Container is 2Gi, but limit is 4Gi")
    };
    said(told.run);
    said(namespace.handsctl(&["deploy"])).says("9 unchanged").within(SOON);
    is_down(&namespace, "HC4503", "maximum memory usage per Container is 2Gi");
}

/// A policy that refuses every pod of a namespace, for as long as this lives.
struct Policy<'a>(&'a Namespace);

impl<'a> Policy<'a> {
    /// Returns when the server enforces it.
    fn new(namespace: &'a Namespace) -> Self {
        let name = &namespace.name;
        let pods = json!([{ "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"] }]);
        let group = "admissionregistration.k8s.io/v1";
        let objects = json!({ "apiVersion": "v1", "kind": "List", "items": [
            {
                "apiVersion": group, "kind": "ValidatingAdmissionPolicy", "metadata": { "name": name },
                "spec": {
                    "failurePolicy": "Fail",
                    "matchConstraints": { "resourceRules": pods },
                    "validations": [{ "expression": "false", "message": "the house has no room for pods" }],
                },
            },
            {
                "apiVersion": group, "kind": "ValidatingAdmissionPolicyBinding", "metadata": { "name": name },
                "spec": {
                    "policyName": name,
                    "validationActions": ["Deny"],
                    "matchResources": { "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": name } } },
                },
            },
        ] });
        let policy = Self(namespace);
        namespace.bed.kubectl_with(&["create", "-f", "-"], &objects.to_string());
        let try_one = ["run", "probe", "-n", name, "--image=registry.example/probe:1", "--dry-run=server"];
        let deadline = Instant::now() + Duration::from_secs(30);
        while namespace.bed.try_kubectl(&try_one, "").status.success() {
            assert!(Instant::now() < deadline, "the policy is not enforced");
            std::thread::sleep(Duration::from_millis(100));
        }
        policy
    }
}

impl Drop for Policy<'_> {
    fn drop(&mut self) {
        let kinds = "validatingadmissionpolicy,validatingadmissionpolicybinding";
        let _already_deleted =
            self.0.bed.try_kubectl(&["delete", "--ignore-not-found", kinds, &self.0.name], "");
    }
}

#[test]
fn admission_policy_rejects_pods_exit_9() {
    let namespace = Bed::shared().namespace("policy");
    namespace.create(&[]);
    let policy = Policy::new(&namespace);
    let told = deploy(&namespace, &[]);
    let sets = namespace.bed.get(&["replicasets", "-n", &namespace.name]);
    told.verdict_at(at(&condition(&sets["items"][0], "ReplicaFailure")["lastTransitionTime"]));
    told.run.exits(9).says("error[HC4503]: the pods are rejected").says("the house has no room for pods");
    drop(policy);
}

#[test]
fn progress_deadline_without_progress_exits_9() {
    let namespace = Bed::shared().namespace("progress");
    namespace.config(
        "[deploy]\nprogress_deadline = \"4s\"\nnode_selector = { disk = \"gold\" }\ntolerate = { unschedulable = \"10m\" }\n",
    );
    let told = deploy(&namespace, &[]);
    let deployment = namespace.bed.get(&["deployment", "oh", "-n", &namespace.name]);
    told.verdict_at(at(&condition(&deployment, "Progressing")["lastUpdateTime"]));
    let said = |run: Run| {
        run.exits(9)
            .says("error[HC4001]: no progress before the deployment's deadline")
            .says("object    deployment.apps/oh")
            .says("has timed out progressing")
            .says("no node matches its selector")
            .says("--> config.toml:2:")
    };
    said(told.run);
    said(namespace.handsctl(&["deploy"])).within(SOON);
}

#[test]
fn command_timeout_exits_10_and_names_the_cause() {
    let namespace = Bed::shared().namespace("timeout");
    namespace.config("[deploy]\nnode_selector = { disk = \"gold\" }\n");
    // Two clocks end at the same moment: which of them speaks is no matter of luck.
    for _ in 0..4 {
        namespace
            .handsctl(&["deploy", "--timeout", "2s"])
            .exits(10)
            .within(Duration::from_secs(4))
            .says("error[HC4002]: timed out before the rollout was complete")
            .says("deployment.apps/oh  0/1: no node matches its selector")
            .says("hint: the applied objects stay and the rollout continues; handsctl status shows its progress")
            .says("hint: --timeout gives more time");
    }
}

#[test]
fn no_wait_exits_0_and_status_shows_failure() {
    let namespace = Bed::shared().namespace("nowait");
    let set = "deploy.image=\"registry.example/simulate-image-pull-backoff:0.59\"";
    namespace
        .handsctl(&["deploy", "--no-wait", "--set", set])
        .exits(0)
        .within(Duration::from_secs(5))
        .says("9 created")
        .says("without waiting for the rollout");
    until_there_is_a_pod(&namespace);
    let waiting = "--for=jsonpath={.status.containerStatuses[0].state.waiting.reason}=ImagePullBackOff";
    namespace.bed.kubectl(&["wait", "-n", &namespace.name, waiting, "pod", "--all", "--timeout=30s"]);
    is_down(&namespace, "HC4103", "not found");
}

#[test]
fn changed_key_replaces_pod() {
    let namespace = Bed::shared().namespace("changed");
    namespace.handsctl(&["deploy"]).exits(0);
    let before = pod(&namespace);
    namespace.config("[llm]\nmodel = \"anthropic/claude-sonnet-4\"\n");
    namespace.handsctl(&["deploy"]).exits(0).says("1 created, 1 configured, 7 unchanged").says("1/1");
    assert_ne!(pod(&namespace)["metadata"]["uid"], before["metadata"]["uid"]);
}

/// A pod's finalizer, for as long as this lives.
struct Finalizer<'a> {
    namespace: &'a Namespace,
    pod: String,
}

impl<'a> Finalizer<'a> {
    fn new(namespace: &'a Namespace) -> Self {
        let pod = pod(namespace)["metadata"]["name"].as_str().unwrap().to_owned();
        let held = Self { namespace, pod };
        held.patch(r#"{"metadata":{"finalizers":["example.io/hold"]}}"#);
        held
    }

    fn patch(&self, patch: &str) {
        let namespace = &self.namespace.name;
        let arguments = ["patch", "pod", &self.pod, "-n", namespace, "--type=merge", "-p", patch];
        let _gone_already = self.namespace.bed.try_kubectl(&arguments, "");
    }
}

impl Drop for Finalizer<'_> {
    fn drop(&mut self) {
        self.patch(r#"{"metadata":{"finalizers":null}}"#);
    }
}

#[test]
fn finalizer_on_old_pod_exits_9_until_removed() {
    let namespace = Bed::shared().namespace("held");
    namespace.handsctl(&["deploy"]).exits(0);
    let held = Finalizer::new(&namespace);
    namespace.config("[llm]\nmodel = \"anthropic/claude-sonnet-4\"\n");
    namespace
        .handsctl(&["deploy"])
        .exits(9)
        .within(Duration::from_secs(30))
        .says("error[HC4004]: an old pod does not terminate")
        .says(&format!("object    pod/{}", held.pod))
        .says("held by the finalizer example.io/hold");
    drop(held);
    namespace.handsctl(&["deploy"]).exits(0).says("9 unchanged");
}

/// A node that nobody simulates: its pods' statuses are the test's own. Nothing is scheduled to it.
struct BareNode {
    bed: &'static Bed,
    name: String,
}

impl BareNode {
    fn new(namespace: &Namespace) -> Self {
        let node = Self { bed: namespace.bed, name: format!("bare-{}", namespace.name) };
        let object = json!({ "apiVersion": "v1", "kind": "Node",
            "metadata": { "name": node.name },
            "spec": { "taints": [{ "key": "example.io/bare", "value": "yes", "effect": "NoSchedule" }] } });
        node.bed.kubectl_with(&["create", "-f", "-"], &object.to_string());
        node
    }

    /// Puts the set's pod, which the scheduler leaves in_home, on this node.
    fn takes_the_pod_of(&self, namespace: &Namespace) -> String {
        until_there_is_a_pod(namespace);
        let pod = pod(namespace)["metadata"]["name"].as_str().unwrap().to_owned();
        let binding = json!({ "apiVersion": "v1", "kind": "Binding", "metadata": { "name": pod },
            "target": { "apiVersion": "v1", "kind": "Node", "name": self.name } });
        self.bed.kubectl_with(&["create", "-n", &namespace.name, "-f", "-"], &binding.to_string());
        pod
    }
}

impl Drop for BareNode {
    fn drop(&mut self) {
        // No kubelet confirms that its pods are gone.
        let on_it = format!("spec.nodeName={}", self.name);
        let pods = ["delete", "pods", "-A", "--force", "--grace-period=0", "--field-selector", &on_it];
        let _already_deleted = self.bed.try_kubectl(&pods, "");
        let _already_deleted =
            self.bed.try_kubectl(&["delete", "node", "--ignore-not-found", &self.name], "");
    }
}

/// A run in the background; it ends with the test.
struct Going(Option<Child>);

impl Going {
    fn deploy(namespace: &Namespace) -> Self {
        Self(Some(namespace.command(&["deploy", "--timeout", "60s"]).spawn()))
    }

    /// What it came to, timed from now.
    fn end(mut self) -> Run {
        let begin = Instant::now();
        let output = self.0.take().unwrap().wait_with_output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Run {
            code: output.status.code(),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
            took: begin.elapsed(),
        }
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

/// Says as a kubelet how the set's container is.
fn report(namespace: &Namespace, pod: &str, container: &Value) {
    let mut status = json!({ "name": "openhands", "image": "x", "imageID": "", "ready": false, "started": false,
        "restartCount": 0 });
    for (key, value) in container.as_object().unwrap() {
        status[key] = value.clone();
    }
    let unready = |kind: &str| json!({ "type": kind, "status": "False", "reason": "ContainersNotReady" });
    let patch = json!({ "status": {
        "phase": "Pending", "startTime": Timestamp::now().to_string(),
        "conditions": [unready("Ready"), unready("ContainersReady")], "containerStatuses": [status],
    } });
    let arguments =
        ["patch", "pod", pod, "-n", &namespace.name, "--subresource=status", "--type=strategic", "-p"];
    namespace.bed.kubectl(&[&arguments[..], &[&patch.to_string()]].concat());
}

/// Deploys with this configuration to a node that reports this of the container; the run's end, timed from the
/// report, and the second run's.
fn reported(namespace: &Namespace, config: &str, container: &Value) -> [Run; 2] {
    let all = format!(
        "[deploy]\nnode_selector = {{ \"example.io/bare\" = \"yes\" }}\ntolerate = {{ unschedulable = \"10m\" }}\n{config}"
    );
    namespace.config(&all);
    let node = BareNode::new(namespace);
    let going = Going::deploy(namespace);
    let pod = node.takes_the_pod_of(namespace);
    report(namespace, &pod, container);
    [going.end().within(SOON).exits(9), namespace.handsctl(&["deploy"]).within(SOON).exits(9)]
}

fn waiting(reason: &str, message: &str) -> Value {
    json!({ "state": { "waiting": { "reason": reason, "message": message } } })
}

#[test]
fn missing_secret_warns_and_exits_9() {
    let namespace = Bed::shared().namespace("secret");
    let config = "[llm]\napi_key = { secret = \"llm\", key = \"token\" }\n";
    let container = waiting("CreateContainerConfigError", "secret \"llm\" not found");
    for run in reported(&namespace, config, &container) {
        run.says("secret/llm in namespace")
            .says("does not exist; the pod will wait for it")
            .says("error[HC4203]: a Secret, ConfigMap or key that the container needs does not exist")
            .says("object    pod/oh-")
            .says("evidence  secret \"llm\" not found");
    }
}

#[test]
fn missing_secret_key_exits_9() {
    let namespace = Bed::shared().namespace("key");
    namespace.create(&[]);
    namespace.bed.kubectl(&[
        "create",
        "secret",
        "generic",
        "llm",
        "-n",
        &namespace.name,
        "--from-literal=other=x",
    ]);
    let message = format!("couldn't find key token in Secret {}/llm", namespace.name);
    let config = "[llm]\napi_key = { secret = \"llm\", key = \"token\" }\n";
    for run in reported(&namespace, config, &waiting("CreateContainerConfigError", &message)) {
        run.says("error[HC4203]").says(&format!("evidence  {message}"));
    }
}

#[test]
fn unauthorized_image_pull_exits_9() {
    let namespace = Bed::shared().namespace("private");
    let message = "failed to authorize: unexpected status from GET request to https://registry.example/token: 401 Unauthorized";
    for run in reported(&namespace, "", &waiting("ErrImagePull", message)) {
        run.says("error[HC4104]: the registry denies access to the image").says("401 Unauthorized");
    }
}

#[test]
fn absent_image_with_pull_policy_never_exits_9() {
    let namespace = Bed::shared().namespace("never");
    let message = "Container image \"x\" is not present with pull policy of Never";
    for run in reported(&namespace, "image_pull_policy = \"Never\"\n", &waiting("ErrImageNeverPull", message))
    {
        run.says("error[HC4102]").says(message).says("--> config.toml:4:21");
    }
}

#[test]
fn missing_command_exits_9() {
    let namespace = Bed::shared().namespace("command");
    let message = "failed to create containerd task: exec: \"sh\": executable file not found in $PATH";
    for run in reported(&namespace, "", &waiting("RunContainerError", message)) {
        run.says("error[HC4205]: the container cannot be started").says("executable file not found");
    }
}

#[test]
fn second_out_of_memory_kill_exits_9_with_limit() {
    let namespace = Bed::shared().namespace("memory");
    let now = Timestamp::now();
    let container = json!({
        "restartCount": 1,
        "state": { "waiting": { "reason": "CrashLoopBackOff", "message": "back-off 10s restarting failed container" } },
        "lastState": { "terminated": {
            "exitCode": 137, "reason": "OOMKilled", "startedAt": later(now, -2).to_string(),
            "finishedAt": later(now, -1).to_string(),
        } },
    });
    for run in reported(&namespace, "", &container) {
        run.says("error[HC4202]: the container needs more memory than its limit")
            .says("memory limit 4Gi")
            .says("hint: handsctl explain HC4202");
    }
}
