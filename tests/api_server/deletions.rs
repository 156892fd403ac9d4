//! Claims, members and namespaces that somebody deletes: no data is lost unasked, and the rest is created anew.

use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::refusals::{FinalizedObject, wait_for_output};
use crate::bed::{Bed, Namespace, Run, finish};
use crate::fault::{Proxy, Request};
use crate::kubelet::wait_for_pod;

const CHANGE: &str = "deploy.env={A=\"1\"}";

/// Deploys the set, and deletes its claim while the pod uses it.
fn with_deleted_claim(test: &str) -> Namespace {
    let namespace = Bed::shared().namespace(test);
    namespace.handsctl(&["deploy"]).exits(0).never_says("HC2046");
    namespace.bed.kubectl(&["delete", "pvc", "oh-state", "-n", &namespace.name, "--wait=false"]);
    namespace
}

fn get(namespace: &Namespace, object: &[&str]) -> Value {
    namespace.bed.get(&[object, &["-n", &namespace.name]].concat())
}

fn uid(namespace: &Namespace, object: &str) -> String {
    get(namespace, &[object])["metadata"]["uid"].as_str().unwrap().to_owned()
}

/// The UIDs of the claim and of the pods.
fn claim_and_pods(namespace: &Namespace) -> Vec<Value> {
    let pods = get(namespace, &["pods"]);
    let claim = json!(uid(namespace, "pvc/oh-state"));
    let pods = pods["items"].as_array().unwrap().iter();
    pods.map(|pod| json!([pod["metadata"]["uid"], pod["metadata"]["deletionTimestamp"]]))
        .chain([claim])
        .collect()
}

/// Starts a command that writes its events to a file.
fn spawn(namespace: &Namespace, arguments: &[&str]) -> (Child, PathBuf) {
    let events = namespace.folder.path().join("events.ndjson");
    let child = namespace.command(&[arguments, &["--events", events.to_str().unwrap()]].concat()).spawn();
    (child, events)
}

/// Waits until the file has the text.
fn wait_for_text(file: &Path, text: &str) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !std::fs::read_to_string(file).unwrap_or_default().contains(text) {
        assert!(Instant::now() < deadline, "no {text} in {:?}", std::fs::read_to_string(file));
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn nothing_stops_the_pod_that_keeps_a_deleted_claim() {
    let namespace = with_deleted_claim("doomed");
    let before = claim_and_pods(&namespace);
    let save = "save the data first: handsctl backup";
    let refused = |run: Run| {
        run.exits(2)
            .says("error[HC2045]: persistentvolumeclaim/oh-state has been terminating since ")
            .says("nothing was changed")
            .says(&namespace.suggested("deploy", "--delete-data gives the data up"))
    };
    refused(namespace.handsctl(&["deploy", "--set", CHANGE])).says(save);
    refused(namespace.handsctl(&["restart"])).says(save);
    refused(namespace.handsctl(&["teardown"])).says(save);
    let status = namespace.handsctl(&["status"]).exits(11).prints("error[HC2045]").prints(save);
    let status = status.prints(&namespace.suggested("deploy", "--delete-data gives the data up"));
    assert!(!status.stdout.contains("waits for the deletion"), "{}", status.stdout);
    // An unchanged deploy does no harm.
    namespace.handsctl(&["deploy"]).exits(0).says("HC2045").says("10 unchanged").never_says("HC4007");
    namespace
        .handsctl(&["diff"])
        .exits(1)
        .prints("it has been terminating since ")
        .prints("its data exists only as long as its pod runs");
    namespace.handsctl(&["diff", "--set", CHANGE]).exits(1).prints("deploy would stop here");
    assert_eq!(claim_and_pods(&namespace), before);
}

#[test]
fn rollback_does_not_stop_the_pod_that_keeps_a_deleted_claim() {
    let namespace = Bed::shared().namespace("doomedback");
    namespace.handsctl(&["deploy"]).exits(0);
    namespace.handsctl(&["deploy", "--set", CHANGE]).exits(0);
    namespace.bed.kubectl(&["delete", "pvc", "oh-state", "-n", &namespace.name, "--wait=false"]);
    let before = claim_and_pods(&namespace);
    namespace.handsctl(&["rollback"]).exits(2).says("error[HC2045]");
    assert_eq!(claim_and_pods(&namespace), before);
}

#[test]
fn claim_deleted_after_the_comparison_is_noticed() {
    let namespace = Bed::shared().namespace("late");
    let proxy = Proxy::for_cluster(namespace.bed);
    proxy.command(&namespace, &["deploy"]).run().exits(0);
    let before = uid(&namespace, "pvc/oh-state");
    let held = proxy.on(Request::is_dry_run).nth(1).hold();
    let child = proxy.command(&namespace, &["deploy", "--set", CHANGE]).spawn();
    held.wait_for_request(Duration::from_secs(60));
    namespace.bed.kubectl(&["delete", "pvc", "oh-state", "-n", &namespace.name, "--wait=false"]);
    held.release();
    finish(child).exits(2).says("error[HC2045]").says("nothing was changed");
    assert_eq!(uid(&namespace, "pvc/oh-state"), before);
}

#[test]
fn claim_deleted_after_teardown_has_listed_it_is_noticed() {
    let namespace = Bed::shared().namespace("listed");
    let proxy = Proxy::for_cluster(namespace.bed);
    proxy.command(&namespace, &["deploy"]).run().exits(0);
    let earlier = proxy.requests().len();
    proxy.command(&namespace, &["deploy"]).run().exits(0).says("10 unchanged");
    let reads_claim = |request: &Request| request.is("GET", "/persistentvolumeclaims/oh-state");
    assert!(!proxy.requests()[earlier..].iter().any(reads_claim), "an unchanged deploy stops no pod");
    let before = claim_and_pods(&namespace);
    let held = proxy.on(|request| request.is("DELETE", "/ingresses/oh")).nth(1).hold();
    let child = proxy.command(&namespace, &["teardown"]).spawn();
    held.wait_for_request(Duration::from_secs(60));
    namespace.bed.kubectl(&["delete", "pvc", "oh-state", "-n", &namespace.name, "--wait=false"]);
    held.release();
    finish(child).exits(2).says("error[HC2045]").says("its pod was not stopped");
    assert_eq!(claim_and_pods(&namespace), before);
    let is_deletion = |request: &Request| request.is("DELETE", "/deployments/oh");
    assert!(proxy.requests_that(is_deletion).is_empty());
}

#[test]
fn deleted_claim_that_the_set_did_not_create_is_kept_too() {
    let namespace = Bed::shared().namespace("others");
    namespace.create(&[]);
    let claim = json!({ "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": { "name": "mine" },
        "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } } });
    namespace.bed.kubectl_with(&["create", "-n", &namespace.name, "-f", "-"], &claim.to_string());
    namespace.config("[deploy]\nexisting_claim = \"mine\"\n");
    namespace.handsctl(&["deploy"]).exits(0);
    let before = uid(&namespace, "pvc/mine");
    namespace.bed.kubectl(&["delete", "pvc", "mine", "-n", &namespace.name, "--wait=false"]);
    for command in [&["deploy", "--set", CHANGE][..], &["restart"]] {
        let run = namespace.handsctl(command).exits(2);
        run.says("error[HC2045]: persistentvolumeclaim/mine has been terminating since ");
    }
    assert_eq!(uid(&namespace, "pvc/mine"), before);
}

#[test]
fn delete_data_completes_the_deletion_and_reports_new_volume() {
    let namespace = with_deleted_claim("given-up");
    let sandbox = json!({ "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": { "name": "openhands-runtime-abcabcabcabcabcabcabcabcabcabcab-pvc" },
        "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } } });
    namespace.bed.kubectl_with(&["create", "-n", &namespace.name, "-f", "-"], &sandbox.to_string());
    let before = uid(&namespace, "pvc/oh-state");
    namespace
        .handsctl(&["deploy", "--delete-data", "--yes"])
        .exits(0)
        .says("HC2046")
        .says("the volume is new and empty")
        .says("persistentvolumeclaim/openhands-runtime-abcabcabcabcabcabcabcabcabcabcab-pvc");
    let claim = get(&namespace, &["pvc/oh-state"]);
    assert!(claim["metadata"]["uid"] != before.as_str() && claim["metadata"]["deletionTimestamp"].is_null());
    namespace.handsctl(&["deploy"]).exits(0).says("10 unchanged").never_says("HC2046");
}

#[test]
fn deleted_member_is_waited_for_and_created_anew() {
    let namespace = Bed::shared().namespace("anew");
    namespace.handsctl(&["deploy"]).exits(0);
    let service = ["service", "oh", "-n", &namespace.name];
    let patch = |finalizers: &str| {
        let patch = format!(r#"{{"metadata":{{"finalizers":{finalizers}}}}}"#);
        let options = ["--type=merge", "--field-manager=lb-controller", "-p", &patch];
        namespace.bed.kubectl(&[&["patch"], &service[..], &options].concat());
    };
    patch(r#"["acme.example/lb"]"#);
    let before = uid(&namespace, "service/oh");
    namespace.bed.kubectl(&[&["delete"], &service[..], &["--wait=false"]].concat());
    namespace.handsctl(&["diff"]).exits(1).prints("service/oh").prints("it has been terminating since ");
    namespace
        .handsctl(&["deploy", "--timeout", "3s"])
        .exits(10)
        .says(&format!("error[HC3015]: service/oh in namespace {} is being deleted", namespace.name))
        .says("waits for finalizer \"acme.example/lb\", set by manager \"lb-controller\"")
        .says("the installation was not changed")
        .says("hint: --timeout DURATION sets a longer limit");
    let (child, events) = spawn(&namespace, &["deploy"]);
    wait_for_text(&events, "waits for finalizer");
    patch("null");
    finish(child).exits(0).says("service/oh created");
    assert_ne!(uid(&namespace, "service/oh"), before);
}

#[test]
fn deploy_waits_for_terminating_namespace() {
    let namespace = Bed::shared().namespace("waited");
    namespace.handsctl(&["deploy"]).exits(0);
    let object = FinalizedObject::new(&namespace);
    let name = format!("namespace/{}", namespace.name);
    let uid = || namespace.bed.get(&[&name])["metadata"]["uid"].clone();
    let before = uid();
    namespace.bed.kubectl(&["delete", "namespace", &namespace.name, "--wait=false"]);
    let remaining = "jsonpath={.status.conditions[?(@.type==\"NamespaceFinalizersRemaining\")].status}";
    let read = ["get", "namespace", &namespace.name, "-o", remaining];
    wait_for_output(namespace.bed, &read, |text| text == "True");
    let (child, events) = spawn(&namespace, &["deploy"]);
    wait_for_text(&events, &format!("waits until {name} is gone"));
    drop(object);
    finish(child).exits(0).says("was deleted with everything in it, also its volumes");
    assert_ne!(uid(), before);
}

#[test]
fn namespace_deleted_during_the_rollout_is_named() {
    let namespace = Bed::shared().namespace("gone-meanwhile");
    namespace.config(
        "[deploy]\nnode_selector = { \"example.io/nowhere\" = \"yes\" }\ntolerate = { unschedulable = \"10m\" }\n",
    );
    let deploy = namespace.command(&["deploy", "--timeout", "60s"]).spawn_in_background();
    wait_for_pod(&namespace, "app.kubernetes.io/component=app");
    let _object = FinalizedObject::new(&namespace);
    namespace.bed.kubectl(&["delete", "namespace", &namespace.name, "--wait=false"]);
    deploy
        .finish()
        .exits(9)
        .says("error[HC4007]")
        .says(&format!("namespace {} has been terminating since", namespace.name));
}
