//! Failing rollouts, on simulated nodes and on nodes whose kubelet the test plays: id, evidence, time of the verdict,
//! and recovery.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::bed::{Bed, NODES, Namespace, Run};
use crate::failures::deny_pods;
use crate::fault::Proxy;
use crate::kubelet::{BareNode, kubelet_event, report, wait_for_pod, waiting};
use crate::planted;

/// Time limit from the cluster's report of a cause (or the end of its grace) to the verdict: far below the default
/// `--timeout`.
const VERDICT_LIMIT: Duration = Duration::from_secs(30);

/// The label of the application's pods.
const APP: &str = "app.kubernetes.io/component=app";

/// A run of `deploy` with its events.
struct DeployRun {
    run: Run,
    events: Vec<Value>,
}

/// Runs `deploy` and reads its events.
fn deploy(namespace: &Namespace, more: &[&str]) -> DeployRun {
    let path = namespace.folder.path().join("events.ndjson");
    let arguments = [&["deploy", "--events", path.to_str().unwrap()], more].concat();
    let run = namespace.handsctl(&arguments);
    let text = std::fs::read_to_string(&path).unwrap();
    DeployRun { run, events: text.lines().map(|line| serde_json::from_str(line).unwrap()).collect() }
}

impl DeployRun {
    /// The time of the verdict.
    fn verdict(&self) -> Timestamp {
        let finding = self.events.iter().find(|event| event["type"] == "finding");
        timestamp(&finding.unwrap_or_else(|| panic!("no finding: {:?}", self.run))["ts"])
    }

    /// Panics if the verdict came before this time or long after it. Times of objects have no fraction of a second.
    fn assert_verdict_after(&self, earliest: Timestamp) {
        let after = self.verdict().duration_since(earliest);
        assert!(
            !after.is_negative() && after.unsigned_abs() <= VERDICT_LIMIT,
            "the verdict came {after} after {earliest}: {:?}",
            self.run
        );
    }
}

fn timestamp(value: &Value) -> Timestamp {
    value.as_str().unwrap().parse().unwrap()
}

fn plus_seconds(time: Timestamp, seconds: i64) -> Timestamp {
    Timestamp::from_second(time.as_second() + seconds).unwrap()
}

/// The set's only pod.
pub(super) fn pod(namespace: &Namespace) -> Value {
    let list = namespace.bed.get(&["pods", "-n", &namespace.name]);
    let pods = list["items"].as_array().unwrap();
    assert_eq!(pods.len(), 1, "{list}");
    pods[0].clone()
}

/// The object's condition of this type.
fn condition<'a>(object: &'a Value, kind: &str) -> &'a Value {
    let conditions = object["status"]["conditions"].as_array().unwrap();
    conditions
        .iter()
        .find(|condition| condition["type"] == kind)
        .unwrap_or_else(|| panic!("no condition {kind}: {object}"))
}

/// The first event with this reason.
fn event(namespace: &Namespace, reason: &str) -> Value {
    let selector = format!("reason={reason}");
    let list = namespace.bed.get(&["events", "-n", &namespace.name, "--field-selector", &selector]);
    list["items"][0].clone()
}

/// Panics unless `status` reports the set as down with this finding and evidence.
fn assert_down(namespace: &Namespace, id: &str, evidence: &str) {
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
    let deploy_run = deploy(&namespace, &[]);
    deploy_run.assert_verdict_after(timestamp(&event(&namespace, "Failed")["firstTimestamp"]));
    let check = |run: Run| {
        run.exits(9)
            .says("error[HC4103]: the image does not exist")
            .says("object    pod/oh-")
            .says(", container openhands")
            .says(&format!("{image}: not found"))
            .says("--> config.toml:2:9")
            .says("no pod is serving")
            .says("hint: handsctl explain HC4103")
    };
    check(deploy_run.run).says("10 created");
    check(namespace.handsctl(&["deploy"])).says("10 unchanged");
    assert_down(&namespace, "HC4103", "not found");

    let broken = pod(&namespace);
    namespace.config("");
    namespace.handsctl(&["deploy"]).exits(0).says("deployment.apps/oh 1/1");
    assert_ne!(pod(&namespace)["metadata"]["uid"], broken["metadata"]["uid"]);
    namespace.handsctl(&["status"]).exits(0);
}

/// The texts of all files in a folder and in its folders, by their paths.
fn files(folder: &std::path::Path) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            files.extend(
                self::files(&path).into_iter().map(|(inner, text)| (format!("{name}/{inner}"), text)),
            );
        } else {
            files.insert(name, std::fs::read_to_string(&path).unwrap());
        }
    }
    files
}

#[test]
fn evidence_of_a_failed_rollout_is_written_to_files_without_secrets() {
    let namespace = Bed::shared().namespace("evidence");
    let secret = planted::secret("e1");
    let image = "registry.example/simulate-image-pull-backoff:0.59";
    let note = format!("see {secret}");
    namespace.config(&format!(
        "[llm]\napi_key = {secret:?}\n[deploy]\nimage = \"{image}\"\nenv = {{ NOTE = {note:?} }}\n"
    ));
    namespace.handsctl(&["deploy", "--evidence", "kept/here"]).exits(9).says("error[HC4103]");
    let name = pod(&namespace)["metadata"]["name"].as_str().unwrap().to_owned();
    let files = files(&namespace.folder.path().join("kept/here"));
    let own = format!("HC4103-{}-pod-{name}-openhands", namespace.name);
    assert!(files[&format!("{own}/finding.txt")].contains("[deploy].image"), "{files:?}");
    assert!(files[&format!("{own}/pod-{name}.yaml")].contains(image), "{files:?}");
    assert!(files[&format!("{own}/pod-{name}.events.txt")].contains("Failed"), "{files:?}");
    for rest in ["deployment-oh.yaml", "persistentvolumeclaim-oh-state.yaml"] {
        assert!(files.contains_key(&format!("{own}/{rest}")), "{rest}: {:?}", files.keys());
    }
    for (path, text) in &files {
        planted::assert_hidden(&secret, path, text);
    }
    namespace.handsctl(&["teardown", "--evidence", "kept"]).exits(2).says("--evidence");
}

#[test]
fn report_is_one_page_with_the_timeline_and_the_finding() {
    let namespace = Bed::shared().namespace("report");
    let secret = planted::secret("h1");
    let note = format!("see {secret}");
    namespace.config(&format!("[llm]\napi_key = {secret:?}\n[deploy]\nenv = {{ NOTE = {note:?} }}\n"));
    let page = |file: &str| {
        let path = namespace.folder.path().join(file);
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{file}");
        // As a browser shows it.
        let escaped = [
            ("&#x2f;", "/"),
            ("&#x27;", "'"),
            ("&quot;", "\""),
            ("&lt;", "<"),
            ("&gt;", ">"),
            ("&amp;", "&"),
        ];
        let text = std::fs::read_to_string(path).unwrap();
        escaped.iter().fold(text, |text, (escape, character)| text.replace(escape, character))
    };
    namespace.handsctl(&["deploy", "--report", "good.html"]).exits(0);
    let good = page("good.html");
    let first = "this is the first revision";
    for text in ["exit 0", "1/1", "bar done", "bar ready", "mark event", "handsctl teardown", first] {
        assert!(good.contains(text), "{text}: {good}");
    }
    namespace.handsctl(&["deploy", "--set", "kubernetes.resource_memory_limit=\"3Gi\""]).exits(0);
    let image = "deploy.image=\"registry.example/simulate-image-pull-backoff:0.59\"";
    let note = format!("a note with {secret}");
    namespace.handsctl(&["deploy", "--set", image, "--note", &note, "--report", "bad.html"]).exits(9);
    let bad = page("bad.html");
    let changed = "<code>deploy.image</code>";
    let compared = "beside revision 2, the last good one";
    for text in
        ["exit 9", "bar failed", "mark finding", "HC4103", "rollback: to revision 2", changed, compared]
    {
        assert!(bad.contains(text), "{text}: {bad}");
    }
    // The rollback has recorded revision 2 anew, so that 1 is the one before.
    namespace.handsctl(&["history", "3", "--report", "kept.html"]).exits(0);
    let kept = page("kept.html");
    let compared = "beside revision 1, the last good one";
    for text in ["Revision 3", "HC4103", "bar failed", "mark finding", changed, compared, "a note with"] {
        assert!(kept.contains(text), "{text}: {kept}");
    }
    // An earlier version of handsctl has recorded it.
    let name = &namespace.name;
    namespace.bed.kubectl(&["annotate", "secret", "handsctl-oh-r1", "handsctl.dev/run-", "-n", name]);
    namespace.handsctl(&["history", "1", "--report", "old.html"]).exits(0);
    let old = page("old.html");
    assert!(old.contains("its times are not kept") && !old.contains("class=\"axis\""), "{old}");
    namespace.handsctl(&["history", "--report", "x.html"]).exits(2).says("needs the number of a revision");
    namespace.handsctl(&["history", "7", "--report", "x.html"]).exits(2).says("revision 7 is not kept");
    let config = ["history", "1", "--report", "config.toml"];
    namespace.handsctl(&config).exits(2).says("--report would overwrite the configuration config.toml");
    for (name, text) in [("good.html", &good), ("bad.html", &bad), ("kept.html", &kept)] {
        planted::assert_hidden(&secret, name, text);
        assert!(text.starts_with("<!DOCTYPE html>") && !text.contains("<script"), "{text}");
    }
    namespace
        .handsctl(&["deploy", "--report", "no/such/folder.html"])
        .exits(2)
        .says("cannot create the report");
    namespace.handsctl(&["status", "--report", "x.html"]).exits(2).says("--report");
    // No output replaces what is read, or another output.
    let overwritten = |arguments: &[&str], text: &str| namespace.handsctl(arguments).exits(2).says(text);
    overwritten(
        &["deploy", "--report", "config.toml"],
        "--report would overwrite the configuration config.toml",
    );
    overwritten(&["status", "--junit", "./config.toml"], "--junit would overwrite the configuration");
    overwritten(&["config", "check", "--junit", "config.toml"], "--junit would overwrite the configuration");
    overwritten(&["deploy", "--report", "x", "--events", "./x"], "--report and --events name the same file");
    let config = std::fs::read_to_string(namespace.folder.path().join("config.toml")).unwrap();
    assert!(config.starts_with("[llm]"), "{config}");
}

#[test]
fn crash_loop_exits_9_with_exit_code() {
    let namespace = Bed::shared().namespace("crash");
    let set = "deploy.image=\"registry.example/simulate-crash-loop-backoff:0.59\"";
    let deploy_run = deploy(&namespace, &["--set", set]);
    let status = &pod(&namespace)["status"]["containerStatuses"][0];
    let ended =
        ["state", "lastState"].iter().find_map(|state| status[*state]["terminated"]["finishedAt"].as_str());
    deploy_run.assert_verdict_after(ended.unwrap().parse().unwrap());
    let check = |run: Run| {
        run.exits(9)
            .says("error[HC4201]: the container crashes in a loop")
            .says(", container openhands")
            .says("exit code 1")
            .says("2 restarts in")
            .says("hint: handsctl explain HC4201")
    };
    check(deploy_run.run);
    check(namespace.handsctl(&["deploy", "--set", set])).says("10 unchanged");
    assert_down(&namespace, "HC4201", "exit code 1");
}

#[test]
fn unmatched_node_selector_exits_9_after_grace() {
    let namespace = Bed::shared().namespace("selector");
    namespace
        .config("[deploy]\nnode_selector = { disk = \"gold\" }\ntolerate = { unschedulable = \"3s\" }\n");
    let deploy_run = deploy(&namespace, &[]);
    let since = timestamp(&condition(&pod(&namespace), "PodScheduled")["lastTransitionTime"]);
    deploy_run.assert_verdict_after(plus_seconds(since, 3));
    let check = |run: Run| {
        run.exits(9)
            .says("error[HC4301]: the pod fits on no node")
            .says(&format!("{NODES} node(s) didn't match Pod's node affinity/selector"))
            .says("--> config.toml:2:1")
            .says("^^^^^^^^^^^^^ [deploy].node_selector")
            .says("hint: handsctl explain HC4301")
    };
    check(deploy_run.run);
    check(namespace.handsctl(&["deploy"]));
    assert_down(&namespace, "HC4301", "node affinity/selector");
}

#[test]
fn oversized_pod_exits_9_after_15s_grace() {
    let namespace = Bed::shared().namespace("large");
    namespace.config(
        "[deploy.resources]\nrequests = { cpu = \"100000\", memory = \"1Gi\" }\nlimits = { memory = \"4Gi\" }\n",
    );
    let deploy_run = deploy(&namespace, &[]);
    let since = timestamp(&condition(&pod(&namespace), "PodScheduled")["lastTransitionTime"]);
    deploy_run.assert_verdict_after(plus_seconds(since, 15));
    deploy_run
        .run
        .exits(9)
        .says("error[HC4301]: the pod fits on no node")
        .says(&format!("{NODES} Insufficient cpu"))
        .says("--> config.toml:2:20")
        .says("[deploy.resources.requests].cpu");
}

#[test]
fn missing_storage_class_exits_9() {
    let namespace = Bed::shared().namespace("class");
    namespace.config("[deploy]\nstorage_class = \"gold\"\n");
    let deploy_run = deploy(&namespace, &[]);
    deploy_run.assert_verdict_after(timestamp(&event(&namespace, "ProvisioningFailed")["firstTimestamp"]));
    let check = |run: Run| {
        run.exits(9)
            .says("error[HC4402]: the storage class does not exist")
            .says("object    persistentvolumeclaim/oh-state")
            .says("storageclass.storage.k8s.io \"gold\" not found")
            .says("--> config.toml:2:17")
    };
    check(deploy_run.run);
    check(namespace.handsctl(&["deploy"])).says("10 unchanged");
    assert_down(&namespace, "HC4402", "\"gold\" not found");
}

#[test]
fn unbound_claim_of_both_revisions_prevents_rollback() {
    let namespace = Bed::shared().namespace("unbound");
    namespace.handsctl(&["deploy"]).exits(0);
    // handsctl creates a claim only if it does not exist.
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
fn missing_claim_exits_14_before_the_first_write() {
    let namespace = Bed::shared().namespace("claim");
    namespace.config("[deploy]\nexisting_claim = \"mine\"\n");
    for arguments in [&["deploy", "--dry-run"][..], &["deploy"]] {
        namespace
            .handsctl(arguments)
            .exits(14)
            .says("error[HC2052]: persistentvolumeclaim/mine does not exist in namespace")
            .says("--> config.toml:2:18")
            .says("[deploy].existing_claim")
            .says("lists the volume claims");
    }
    let namespaces = ["get", "namespace", &namespace.name, "--ignore-not-found", "-o", "name"];
    assert_eq!(namespace.bed.kubectl(&namespaces).trim(), "", "not even the namespace was created");
}

#[test]
fn limit_range_rejects_pods_exit_9() {
    let namespace = Bed::shared().namespace("limits");
    namespace.create(&[]);
    let range = json!({ "apiVersion": "v1", "kind": "LimitRange", "metadata": { "name": "small" },
        "spec": { "limits": [{ "type": "Container", "max": { "memory": "2Gi" } }] } });
    namespace.bed.kubectl_with(&["create", "-n", &namespace.name, "-f", "-"], &range.to_string());
    let deploy_run = deploy(&namespace, &[]);
    let sets = namespace.bed.get(&["replicasets", "-n", &namespace.name]);
    deploy_run.assert_verdict_after(timestamp(
        &condition(&sets["items"][0], "ReplicaFailure")["lastTransitionTime"],
    ));
    let check = |run: Run| {
        run.exits(9)
            .says("error[HC4503]: the pods are rejected")
            .says("object    deployment.apps/oh")
            .says("maximum memory usage per Container is 2Gi, but limit is 4Gi")
            .says("setting   [deploy.resources.limits].memory = \"4Gi\" (default)")
    };
    check(deploy_run.run);
    check(namespace.handsctl(&["deploy"])).says("10 unchanged");
    assert_down(&namespace, "HC4503", "maximum memory usage per Container is 2Gi");
}

/// A policy that rejects every pod of a namespace. Dropping the value deletes the policy.
struct Policy<'a>(&'a Namespace);

impl<'a> Policy<'a> {
    fn new(namespace: &'a Namespace) -> Self {
        let policy = Self(namespace);
        deny_pods(namespace);
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
fn policy_that_rejects_new_pods_leaves_old_pod_serving() {
    let namespace = Bed::shared().namespace("guarded");
    deploy(&namespace, &[]).run.exits(0);
    let before = pod(&namespace)["metadata"]["uid"].clone();
    let policy = Policy::new(&namespace);
    for command in [&["deploy", "--set", "deploy.env={A=\"1\"}"][..], &["restart"]] {
        namespace
            .handsctl(command)
            .exits(8)
            .says("error[HC4503]: the server would reject the new pods of deployment.apps/oh")
            .says("this namespace accepts no pods")
            .says("the previous pod was not stopped");
        let pod = pod(&namespace);
        assert_eq!(pod["metadata"]["uid"], before, "{command:?}");
        assert!(pod["metadata"]["deletionTimestamp"].is_null(), "{command:?}");
    }
    drop(policy);
    // Only the revision that was applied is kept.
    namespace.handsctl(&["history"]).exits(0).prints("1").never_says("failed");
}

#[test]
fn progress_deadline_without_progress_exits_9() {
    let namespace = Bed::shared().namespace("progress");
    namespace.config(
        "[deploy]\nprogress_deadline = \"4s\"\nnode_selector = { disk = \"gold\" }\ntolerate = { unschedulable = \"10m\" }\n",
    );
    let deploy_run = deploy(&namespace, &[]);
    let deployment = namespace.bed.get(&["deployment", "oh", "-n", &namespace.name]);
    deploy_run.assert_verdict_after(timestamp(&condition(&deployment, "Progressing")["lastUpdateTime"]));
    let check = |run: Run| {
        run.exits(9)
            .says("error[HC4001]: no progress before the deployment's deadline")
            .says("object    deployment.apps/oh")
            .says("has timed out progressing")
            .says("no node matches its selector")
            .says("--> config.toml:2:")
    };
    check(deploy_run.run);
    check(namespace.handsctl(&["deploy"]));
}

#[test]
fn command_timeout_exits_10_and_names_the_cause() {
    let namespace = Bed::shared().namespace("timeout");
    namespace.config("[deploy]\nnode_selector = { disk = \"gold\" }\n");
    namespace
        .handsctl(&["deploy", "--timeout", "5s"])
        .exits(10)
        .within(VERDICT_LIMIT)
        .says("error[HC4002]: timed out before the rollout was complete")
        .says("deployment.apps/oh  0/1: no node matches its selector")
        .says("cause     the pod fits on no node")
        .says("evidence  0/")
        .says("--> config.toml:2:1")
        .says("[deploy].node_selector")
        .says("hint: the applied objects are kept and the rollout continues; ")
        .says(&namespace.suggested("status", "shows its progress"))
        .says("hint: --timeout DURATION sets a longer limit");
}

#[test]
fn startup_probe_that_answers_500_is_named_at_the_deadline() {
    let namespace = Bed::shared().namespace("starting");
    namespace.config(
        "[deploy]\nnode_selector = { \"example.io/bare\" = \"yes\" }\ntolerate = { unschedulable = \"10m\" }\n",
    );
    let node = BareNode::new(&namespace);
    let deploy = namespace.command(&["deploy", "--timeout", "12s"]).spawn_in_background();
    let pod = node.bind_pod(&namespace);
    let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    report(&namespace, &pod, &json!({ "started": false, "state": { "running": { "startedAt": now } } }));
    let message = "Startup probe failed: HTTP probe failed with statuscode: 500";
    kubelet_event(&namespace, &pod, "Unhealthy", Some("openhands"), message);
    deploy
        .finish()
        .within(VERDICT_LIMIT)
        .exits(10)
        .says("error[HC4002]: timed out before the rollout was complete")
        .says("cause     a container runs but does not become ready")
        .says(&format!("object    pod/{pod}, container openhands"))
        .says("evidence  Startup probe failed: HTTP probe failed with statuscode: 500")
        .says("3 times");
}

/// A simulated pod is ready and nothing listens in it.
#[test]
fn ready_pod_that_does_not_answer_is_reported_with_its_evidence() {
    let namespace = Bed::shared().namespace("silent");
    namespace.config("");
    let arguments = ["deploy", "--probe", "always", "--evidence", "evidence", "--events", "events.ndjson"];
    namespace
        .handsctl(&arguments)
        .exits(9)
        .says("error[HC4601]: the application does not respond")
        .says("object    pod/oh-")
        .says("the pod is ready, but /alive does not answer")
        .says("hint: handsctl logs")
        .says("hint: handsctl explain HC4601");
    let events = std::fs::read_to_string(namespace.folder.path().join("events.ndjson")).unwrap();
    let events = events.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let findings: Vec<Value> = events.filter(|event| event["type"] == "finding").collect();
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert_eq!((&findings[0]["id"], &findings[0]["container"]), (&json!("HC4601"), &json!("openhands")));
    let folders: Vec<_> = std::fs::read_dir(namespace.folder.path().join("evidence")).unwrap().collect();
    let [Ok(folder)] = folders.as_slice() else { panic!("{folders:?}") };
    assert!(folder.file_name().to_string_lossy().starts_with("HC4601-"), "{folder:?}");
    let files = std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().file_name());
    let files: Vec<String> = files.map(|file| file.into_string().unwrap()).collect();
    for part in ["finding.txt", "pod-oh-", "deployment-oh.yaml"] {
        assert!(files.iter().any(|file| file.starts_with(part)), "{part}: {files:?}");
    }
}

/// The watches are open, so a wait without a change sends nothing but renewals of the lock, every 20 s.
#[test]
fn idle_wait_sends_only_renewals_of_the_lock() {
    let namespace = Bed::shared().namespace("quiet");
    namespace.config(
        "[deploy]\nnode_selector = { \"example.io/nowhere\" = \"yes\" }\ntolerate = { unschedulable = \"10m\" }\n",
    );
    let proxy = Proxy::for_cluster(namespace.bed);
    let deploy = proxy.command(&namespace, &["deploy", "--timeout", "5m"]).spawn_in_background();
    wait_for_pod(&namespace, APP);
    std::thread::sleep(Duration::from_secs(5));
    let earlier = proxy.requests().len();
    std::thread::sleep(Duration::from_secs(60));
    let requests = proxy.requests().split_off(earlier);
    drop(deploy);
    let (renewals, others): (Vec<_>, Vec<_>) =
        requests.iter().partition(|request| request.is("PUT", "/leases/handsctl-oh"));
    assert!((2..=4).contains(&renewals.len()), "{requests:?}");
    assert!(others.is_empty(), "{others:?}");
}

#[test]
fn no_wait_exits_0_and_status_shows_failure() {
    let namespace = Bed::shared().namespace("nowait");
    let set = "deploy.image=\"registry.example/simulate-image-pull-backoff:0.59\"";
    namespace
        .handsctl(&["deploy", "--no-wait", "--set", set])
        .exits(0)
        .says("10 created")
        .says("without waiting for the rollout");
    wait_for_pod(&namespace, APP);
    let waiting = "--for=jsonpath={.status.containerStatuses[0].state.waiting.reason}=ImagePullBackOff";
    namespace.bed.kubectl(&["wait", "-n", &namespace.name, waiting, "pod", "--all", "--timeout=30s"]);
    assert_down(&namespace, "HC4103", "not found");
}

#[test]
fn changed_key_replaces_pod() {
    let namespace = Bed::shared().namespace("changed");
    namespace.handsctl(&["deploy"]).exits(0);
    let before = pod(&namespace);
    namespace.config("[llm]\nmodel = \"anthropic/claude-sonnet-4\"\n");
    namespace.handsctl(&["deploy"]).exits(0).says("1 created, 1 configured, 8 unchanged").says("1/1");
    assert_ne!(pod(&namespace)["metadata"]["uid"], before["metadata"]["uid"]);
}

/// A finalizer on the set's pod. Dropping the value removes it.
struct Finalizer<'a> {
    namespace: &'a Namespace,
    pod: String,
}

impl<'a> Finalizer<'a> {
    fn new(namespace: &'a Namespace) -> Self {
        let pod = pod(namespace)["metadata"]["name"].as_str().unwrap().to_owned();
        let finalizer = Self { namespace, pod };
        finalizer.patch(r#"{"metadata":{"finalizers":["example.io/hold"]}}"#);
        finalizer
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
    let finalizer = Finalizer::new(&namespace);
    namespace.config("[llm]\nmodel = \"anthropic/claude-sonnet-4\"\n");
    namespace
        .handsctl(&["deploy"])
        .exits(9)
        .says("error[HC4004]: an old pod does not terminate")
        .says(&format!("object    pod/{}", finalizer.pod))
        .says("held by the finalizer example.io/hold");
    drop(finalizer);
    namespace.handsctl(&["deploy"]).exits(0).says("10 unchanged");
}

/// Deploys with this configuration to a node that reports this container status. Returns this run, timed from the
/// report, and an unchanged second one.
fn deploy_with_report(namespace: &Namespace, config: &str, container: &Value) -> [Run; 2] {
    deploy_with_change(namespace, config, container, || {}, 9)
}

/// As [`deploy_with_report`], with a change of the cluster between the start of the pod and the node's report, after which
/// the second run exits with this code.
fn deploy_with_change(
    namespace: &Namespace,
    config: &str,
    container: &Value,
    change: impl FnOnce(),
    second_exit: i32,
) -> [Run; 2] {
    let config = format!(
        "[deploy]\nnode_selector = {{ \"example.io/bare\" = \"yes\" }}\ntolerate = {{ unschedulable = \"10m\" }}\n{config}"
    );
    namespace.config(&config);
    let node = BareNode::new(namespace);
    let deploy = namespace.command(&["deploy", "--timeout", "60s"]).spawn_in_background();
    let pod = node.bind_pod(namespace);
    change();
    report(namespace, &pod, container);
    [deploy.finish().within(VERDICT_LIMIT).exits(9), namespace.handsctl(&["deploy"]).exits(second_exit)]
}

/// The configuration and the user's Secret that it names.
fn with_secret(test: &str) -> (Namespace, &'static str) {
    let namespace = Bed::shared().namespace(test);
    namespace.create(&[]);
    let create = ["create", "secret", "generic", "llm", "-n", &namespace.name];
    namespace.bed.kubectl(&[&create[..], &["--from-literal=token=x", "--from-literal=other=x"]].concat());
    (namespace, "[llm]\napi_key = { secret = \"llm\", key = \"token\" }\n")
}

#[test]
fn secret_deleted_during_rollout_exits_9_then_14() {
    let (namespace, config) = with_secret("secret");
    let container = waiting("CreateContainerConfigError", "secret \"llm\" not found");
    let delete = || {
        namespace.bed.kubectl(&["delete", "secret", "llm", "-n", &namespace.name]);
    };
    let [first, second] = deploy_with_change(&namespace, config, &container, delete, 14);
    first
        .says("error[HC4203]: a Secret, ConfigMap or key that the container needs does not exist")
        .says("object    pod/oh-")
        .says("evidence  secret \"llm\" not found")
        .says("--> config.toml:5:1")
        .says("[llm].api_key");
    second.says("error[HC4203]: secret/llm in namespace").says("does not exist; nothing was changed");
}

#[test]
fn missing_secret_is_an_error_before_the_first_write() {
    let (namespace, config) = with_secret("unwritten");
    namespace.handsctl(&["deploy"]).exits(0);
    let pod = || namespace.bed.kubectl(&["get", "pods", "-n", &namespace.name, "-o", "name"]);
    let before = pod();
    namespace.config(&config.replace("token", "absent"));
    for arguments in [&["deploy"][..], &["deploy", "--dry-run=server"]] {
        namespace
            .handsctl(arguments)
            .exits(14)
            .says("has no entry \"absent\"; it has \"other\", \"token\"; nothing was changed")
            .says("--> config.toml:2:1")
            .says(" patch secret llm -n ")
            .says("-p '{\"stringData\":{\"absent\":\"VALUE\"}}'")
            .never_says("create secret generic");
    }
    assert_eq!(pod(), before, "the pod serves on");
    namespace.handsctl(&["diff"]).exits(1).says("the pod will wait for it");
    // A rollback restores references that worked.
    namespace.handsctl(&["rollback", "1"]).exits(0);
    // A controller may create the Secret of an object that is applied with it.
    namespace.config(&format!(
        "[deploy]\nextra_manifests = [\"job.yaml\"]\n{}",
        config.replace("token", "absent")
    ));
    let job = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: keys}\nspec:\n  template:\n    spec:\n      restartPolicy: Never\n      containers: [{name: keys, image: keys}]\n";
    std::fs::write(namespace.folder.path().join("job.yaml"), job).unwrap();
    namespace
        .handsctl(&["deploy", "--dry-run=server"])
        .exits(0)
        .says("HC4203")
        .says("the pod will wait for it");
}

#[test]
fn missing_secret_of_a_new_namespace_is_a_warning() {
    let namespace = Bed::shared().namespace("unfilled");
    namespace.config("[llm]\napi_key = { secret = \"llm\", key = \"token\" }\n");
    namespace
        .handsctl(&["deploy", "--dry-run=server"])
        .exits(0)
        .says("HC4203")
        .says("does not exist; the pod will wait for it");
}

#[test]
fn secret_key_that_the_node_misses_exits_9() {
    let (namespace, config) = with_secret("key");
    let message = format!("couldn't find key token in Secret {}/llm", namespace.name);
    for run in deploy_with_report(&namespace, config, &waiting("CreateContainerConfigError", &message)) {
        run.says("error[HC4203]").says(&format!("evidence  {message}")).says("--> config.toml:5:1");
    }
}

/// A volume of a zone in which no node is, already bound to the application's claim.
#[test]
fn volume_of_another_zone_is_named() {
    let namespace = Bed::shared().namespace("zone");
    namespace.create(&[]);
    let volume = format!("zone-{}", namespace.name);
    let zone = json!([{ "key": "topology.kubernetes.io/zone", "operator": "In", "values": ["moon-1a"] }]);
    let objects = json!({ "apiVersion": "v1", "kind": "List", "items": [
        { "apiVersion": "v1", "kind": "PersistentVolume", "metadata": { "name": volume },
          "spec": {
              "capacity": { "storage": "5Gi" }, "accessModes": ["ReadWriteOnce"], "hostPath": { "path": "/none" },
              "claimRef": { "namespace": namespace.name, "name": "mine" },
              "nodeAffinity": { "required": { "nodeSelectorTerms": [{ "matchExpressions": zone }] } },
          } },
        { "apiVersion": "v1", "kind": "PersistentVolumeClaim",
          "metadata": { "name": "mine", "namespace": namespace.name },
          "spec": {
              "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "5Gi" } },
              "volumeName": volume, "storageClassName": "",
          } },
    ] });
    namespace.bed.kubectl_with(&["create", "-f", "-"], &objects.to_string());
    namespace.config("[deploy]\nexisting_claim = \"mine\"\ntolerate = { unschedulable = \"2s\" }\n");
    let run = namespace.handsctl(&["deploy"]);
    namespace.bed.kubectl(&["delete", "pv", &volume, "--wait=false"]);
    run.exits(9)
        .says("error[HC4301]: the pod fits on no node")
        .says(&format!(
            "persistentvolume/{volume} of the volume claim mine is only reachable from nodes with "
        ))
        .says("topology.kubernetes.io/zone In moon-1a")
        .says("--> config.toml:2:18")
        .says("[deploy].existing_claim");
}

#[test]
fn secret_in_a_registry_answer_is_hidden_everywhere() {
    let namespace = Bed::shared().namespace("quoted");
    let secret = planted::secret("r1");
    let answer = "rpc error: code = NotFound desc = failed to pull and unpack image \"x\": x: not found";
    let answer = format!("{answer}: {}", planted::quotations(&secret).join("; "));
    namespace.config(&format!(
        "[deploy]\nnode_selector = {{ \"example.io/bare\" = \"yes\" }}\n\
         tolerate = {{ unschedulable = \"10m\" }}\n[llm]\napi_key = {secret:?}\n"
    ));
    let files = ["events", "summary"].map(|name| namespace.folder.path().join(name));
    let command = |arguments: &[&str]| {
        let command = namespace.command(arguments).env("GITHUB_ACTIONS", "true");
        command.env("GITHUB_STEP_SUMMARY", &files[1])
    };
    let node = BareNode::new(&namespace);
    let arguments = ["deploy", "-v", "--timeout", "60s", "--events", files[0].to_str().unwrap()];
    let deploy = command(&arguments).spawn_in_background();
    report(&namespace, &node.bind_pod(&namespace), &waiting("ErrImagePull", &answer));
    deploy.finish().exits(9).hides(&secret).says("x: not found: key (redacted) is wrong");
    command(&["deploy", "-o", "json"]).run().exits(9).hides(&secret).says("(redacted)");
    for file in &files {
        let text = std::fs::read_to_string(file).unwrap();
        planted::assert_hidden(&secret, "the file", &text);
        assert!(text.contains("redacted"), "{text}");
    }
    for arguments in [&["status"][..], &["status", "-o", "json"], &["history", "-o", "yaml"]] {
        command(arguments).run().hides(&secret);
    }
    // The evidence that is stored with the failed revision.
    let revisions =
        namespace.bed.get(&["secrets", "-n", &namespace.name, "--field-selector=type=handsctl.dev/revision"]);
    let revisions = revisions["items"].as_array().unwrap();
    assert!(!revisions.is_empty());
    for revision in revisions {
        planted::assert_hidden(&secret, "the revision", &revision["metadata"].to_string());
    }
}
