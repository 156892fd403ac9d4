//! Conversations and their sandboxes: what `status` reports of them, and who is warned before they are interrupted.

use serde_json::json;

use super::refusals::{account, run_with_kubeconfig};
use crate::bed::{Bed, Namespace};

fn deployed(test: &str) -> Namespace {
    let namespace = Bed::shared().namespace(test);
    namespace.handsctl(&["deploy"]).exits(0);
    namespace
}

/// Creates the pod of a sandbox as the application does, and sets its phase. No simulated node runs it. The
/// conversation's id consists of one digit.
fn create_sandbox(namespace: &Namespace, digit: &str, phase: &str) -> String {
    let id = digit.repeat(32);
    let name = format!("openhands-runtime-{id}");
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": name, "labels": { "app": "openhands-runtime", "session": id } },
        "spec": {
            "restartPolicy": "Never", "nodeSelector": { "example.io/none": "none" },
            "containers": [{ "name": "runtime", "image": "registry.example/runtime:1" }],
        },
    });
    namespace.bed.kubectl_with(&["create", "-n", &namespace.name, "-f", "-"], &pod.to_string());
    let status = json!({ "status": { "phase": phase } }).to_string();
    let patch = ["patch", "pod", &name, "-n", &namespace.name, "--subresource=status", "-p", &status];
    namespace.bed.kubectl(&patch);
    name
}

#[test]
fn ended_sandboxes_degrade_status_until_they_are_deleted() {
    let namespace = deployed("conv-stuck");
    create_sandbox(&namespace, "b", "Running");
    let stuck = create_sandbox(&namespace, "a", "Failed");
    let run = namespace.handsctl(&["status"]).exits(11);
    assert!(run.stdout.starts_with("oh  degraded: 1 conversation is stuck "), "{}", run.stdout);
    let run = run.prints("error[HC4030]").prints("sandboxes  1 running, 1 ended; handsctl sandbox list");
    assert!(run.stdout.contains("hint: handsctl sandbox gc "), "{}", run.stdout);
    // The local cluster of the configuration has a shorter way.
    let cluster = namespace.bed.context.strip_prefix("kwok-").unwrap();
    let own = namespace.command(&["status", "--set", &format!("cluster.name=\"{cluster}\"")]);
    let own = own.without("XDG_STATE_HOME").run().exits(11);
    assert!(own.stdout.contains("hint: handsctl up --set "), "{}", own.stdout);
    own.prints(&format!(
        " -n {} --name oh --context {} deletes what is left of them",
        namespace.name, namespace.bed.context
    ));

    namespace.bed.kubectl(&["delete", "pod", &stuck, "-n", &namespace.name, "--wait=false", "--now"]);
    let status = namespace.handsctl(&["status", "-o", "json"]).exits(0).json();
    assert_eq!(status["sandboxes"], json!({ "running": 1, "waiting": 0, "ended": [] }));
}

#[test]
fn sandboxes_that_cannot_be_listed_are_unknown() {
    let namespace = deployed("conv-unknown");
    let read = json!([{ "apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list", "watch"] }]);
    let kubeconfig = account(&namespace, &read);
    let elsewhere = ["status", "--set", "kubernetes.namespace=\"boxes\""];
    run_with_kubeconfig(&namespace, &kubeconfig, &elsewhere)
        .exits(0)
        .prints("no right to list pods in namespace boxes: conversations whose sandbox ended are not found");
    let json = [&elsewhere[..], &["-o", "json"]].concat();
    assert!(run_with_kubeconfig(&namespace, &kubeconfig, &json).exits(0).json()["sandboxes"].is_null());
}

#[test]
fn running_conversations_are_named_before_their_application_stops() {
    const INTERRUPTED: &str = "HC2047 1 conversation has a running sandbox and is interrupted";
    const CHANGE: &str = "deploy.env={A=\"1\"}";
    let namespace = deployed("conv-busy");
    create_sandbox(&namespace, "b", "Running");
    create_sandbox(&namespace, "a", "Failed");
    // The pod goes on running.
    namespace.handsctl(&["deploy"]).exits(0).never_says("HC2047");
    namespace.handsctl(&["deploy", "--set", "deploy.host=\"b.example\""]).exits(0).never_says("HC2047");
    namespace.handsctl(&["deploy", "--dry-run", "--set", CHANGE]).exits(0).says(INTERRUPTED);
    namespace.handsctl(&["deploy", "--set", CHANGE]).exits(0).says(INTERRUPTED);
    namespace.handsctl(&["rollback"]).exits(0).says(INTERRUPTED);
    namespace.handsctl(&["restart"]).exits(0).says(INTERRUPTED);
}

#[test]
fn upgrade_names_sandboxes_that_keep_the_old_image() {
    let namespace = deployed("conv-upgrade");
    create_sandbox(&namespace, "c", "Running");
    let upgrade = "deploy.image=\"docker.openhands.dev/openhands/openhands:1.6\"";
    namespace
        .handsctl(&["deploy", "--dry-run", "--set", upgrade])
        .exits(0)
        .says("1 sandbox keeps its image registry.example/runtime:1 also then, and only new sandboxes get ");
}
