//! `sandbox`: lists conversations by the exact names of their objects, and `gc` deletes nothing else.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::refusals::{account, run_with_kubeconfig, wait_for_output};
use super::teardown::Finalizer;
use crate::bed::{Bed, Namespace, run_in_home};
use crate::fault::Proxy;

/// A conversation whose sandbox runs.
pub(super) const RUNNING: &str = "0f1c2d3e4f5061728394a5b6c7d8e9fa";
/// A conversation whose sandbox has failed.
pub(super) const FAILED: &str = "77aa2d3e4f5061728394a5b6c7d8e901";
const WITHOUT_POD: &str = "a5b62d3e4f5061728394a5b6c7d8e9f0";
const ONLY_CLAIM: &str = "c0dec0dec0dec0dec0dec0dec0dec0de";

fn metadata(name: &str) -> Value {
    json!({ "name": name })
}

fn pod(name: &str, app: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name, "labels": { "app": app } },
        "spec": {
            "restartPolicy": "Never", "nodeSelector": { "example.io/none": "none" },
            "containers": [{ "name": "runtime", "image": "registry.example/runtime:1" }],
            "volumes": [{ "name": "w", "persistentVolumeClaim": { "claimName": format!("{name}-pvc") } }],
        },
    })
}

fn service(name: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "Service", "metadata": metadata(name), "spec": { "ports": [{ "port": 8080 }] } })
}

fn ingress(name: &str) -> Value {
    let backend = json!({ "service": { "name": "a", "port": { "number": 8081 } } });
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": metadata(name),
        "spec": { "ingressClassName": "none", "rules": [{ "http": {
            "paths": [{ "path": "/", "pathType": "Prefix", "backend": backend }],
        } }] },
    })
}

fn claim(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata(name),
        "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "2Gi" } }, "storageClassName": "none" },
    })
}

/// What the application creates for a conversation.
fn entry_points(id: &str) -> Vec<Value> {
    let name = |suffix: &str| format!("openhands-runtime-{id}{suffix}");
    vec![service(&name("-svc")), service(&name("-svc-code")), ingress(&name("-ingress-code"))]
}

fn conversation(id: &str) -> Vec<Value> {
    let name = format!("openhands-runtime-{id}");
    [entry_points(id), vec![claim(&format!("{name}-pvc")), pod(&name, "openhands-runtime")]].concat()
}

fn create(bed: &Bed, namespace: &str, objects: &[Value]) {
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": objects });
    bed.kubectl_with(&["create", "-n", namespace, "-f", "-"], &list.to_string());
}

fn set_phase(bed: &Bed, namespace: &str, id: &str, phase: &str) {
    let status = json!({ "status": { "phase": phase } }).to_string();
    let name = format!("openhands-runtime-{id}");
    bed.kubectl(&["patch", "pod", &name, "-n", namespace, "--subresource=status", "-p", &status]);
}

/// Kind, name and UID of the objects that a clean-up could reach.
fn objects(bed: &Bed, namespace: &str) -> BTreeSet<String> {
    let kinds =
        "pods,services,ingresses,persistentvolumeclaims,configmaps,secrets,deployments,roles,rolebindings";
    let list = bed.get(&[kinds, "-n", namespace]);
    let items = list["items"].as_array().unwrap().iter();
    let mut found = BTreeSet::new();
    for item in items {
        let [kind, name, uid] = [&item["kind"], &item["metadata"]["name"], &item["metadata"]["uid"]]
            .map(|it| it.as_str().unwrap());
        found.insert(format!("{kind}/{name} {uid}"));
    }
    found
}

/// Creates a conversation of each case.
pub(super) fn create_conversations(bed: &Bed, namespace: &str) {
    create(bed, namespace, &[conversation(RUNNING), conversation(FAILED)].concat());
    create(bed, namespace, &entry_points(WITHOUT_POD));
    create(bed, namespace, &[claim(&format!("openhands-runtime-{ONLY_CLAIM}-pvc"))]);
    set_phase(bed, namespace, RUNNING, "Running");
    set_phase(bed, namespace, FAILED, "Failed");
}

/// Deploys, and creates a conversation of each case, and objects whose names are nearly those of one.
fn with_conversations(test: &str) -> Namespace {
    let namespace = Bed::shared().namespace(test);
    namespace.handsctl(&["deploy"]).exits(0);
    let (bed, name) = (namespace.bed, namespace.name.as_str());
    create_conversations(bed, name);
    let (foreign, long) = (FAILED.replace("77aa", "88bb"), format!("{FAILED}0"));
    let near_misses = [
        service(&format!("openhands-runtime-{}-svc", &FAILED[1..])),
        service(&format!("openhands-runtime-{long}-svc")),
        service("openhands-runtime-theirs-svc"),
        claim(&format!("openhands-runtime-{FAILED}-pvc-2")),
        claim(&format!("openhands-runtime-{FAILED}")),
        pod(&format!("openhands-runtime-{long}"), "openhands-runtime"),
        pod(&format!("openhands-runtime-{foreign}"), "theirs"),
        service(&format!("openhands-runtime-{foreign}-svc")),
    ];
    create(bed, name, &near_misses);
    set_phase(bed, name, &long, "Failed");
    set_phase(bed, name, &foreign, "Failed");
    namespace
}

#[test]
fn list_shows_every_case_and_says_why_knowledge_is_unknown() {
    let namespace = with_conversations("sandbox-list");
    let run = namespace.handsctl(&["sandbox", "list", "-o", "json"]).exits(0);
    let run = run.says(
        "whether the application knows a conversation is unknown: no container runs on simulated nodes",
    );
    let items = run.json();
    let items = items.as_array().unwrap();
    let ids: Vec<&str> = items.iter().map(|item| item["conversation"].as_str().unwrap()).collect();
    assert_eq!(ids, [RUNNING, FAILED, WITHOUT_POD, ONLY_CLAIM]);
    let notes: Vec<Option<&str>> = items.iter().map(|item| item["note"].as_str()).collect();
    assert_eq!(notes[0], None);
    assert!(notes[1].unwrap().starts_with("blocks its conversation"), "{notes:?}");
    assert!(notes[2].unwrap().starts_with("left behind, blocks"), "{notes:?}");
    assert_eq!(notes[3], None, "its files may be those of a closed conversation");
    assert_eq!(items[1]["pod"]["phase"], "Failed");
    assert_eq!(items[3]["claim"]["size"], "2Gi");
    assert!(items.iter().all(|item| item["known"] == "unknown"));

    let table = namespace.handsctl(&["sandbox", "list"]).exits(0);
    assert!(table.stdout.starts_with("CONVERSATION  POD "), "{}", table.stdout);
    let table = table.prints("0f1c2d3e ").prints("runtime:1").prints("2Gi pending");
    assert!(!table.stdout.contains("theirs"), "{}", table.stdout);
    namespace
        .handsctl(&["sandbox", "describe", "77"])
        .exits(0)
        .prints(FAILED)
        .prints("blocks its conversation")
        .prints("volume claim  openhands-runtime-77aa");
    let described = namespace.handsctl(&["sandbox", "describe", "77", "-o", "json"]).exits(0).json();
    assert_eq!((&described["conversation"], &described["pod"]["phase"]), (&json!(FAILED), &json!("Failed")));
    assert_eq!(described["claim"]["name"], format!("openhands-runtime-{FAILED}-pvc"));
    assert_eq!((&described["namespace"], &described["known"]), (&json!(namespace.name), &json!("unknown")));
    assert!(described["why_unknown"].as_str().unwrap().contains("simulated"), "{described}");
    assert!(described["events"].is_array() && described["conditions"].is_array(), "{described}");
    namespace.handsctl(&["sandbox", "describe", "f"]).exits(2).says("no conversation of namespace");
    namespace.handsctl(&["sandbox", "exec", "c0de"]).exits(12).says("has no pod");
}

#[test]
fn gc_deletes_what_blocks_and_nothing_else() {
    let namespace = with_conversations("sandbox-gc");
    let second = namespace.bed.namespace("sandbox-gc-2");
    namespace.bed.kubectl(&["create", "namespace", &second.name]);
    create(namespace.bed, &second.name, &conversation(FAILED));
    set_phase(namespace.bed, &second.name, FAILED, "Failed");
    let all = || (objects(namespace.bed, &namespace.name), objects(namespace.bed, &second.name));
    let before = all();

    namespace.handsctl(&["sandbox", "gc", "--delete-data"]).exits(2).says("--yes confirms it");
    let dry_run = namespace.handsctl(&["sandbox", "gc", "--delete-data", "--dry-run"]).exits(0);
    let dry_run = dry_run.says("7 objects of namespace").says("nothing was deleted");
    dry_run.says("so nothing is deleted that depends on it");
    assert_eq!(all(), before, "neither a refusal nor a dry run deletes anything");

    namespace.handsctl(&["sandbox", "gc", "--delete-data", "--yes"]).exits(0).says("7 objects deleted");
    let after = all();
    assert_eq!(after.1, before.1, "another namespace");
    let deleted: BTreeSet<&str> =
        before.0.difference(&after.0).map(|object| object.split(' ').next().unwrap()).collect();
    let mut expected = BTreeSet::from([format!("Pod/openhands-runtime-{FAILED}")]);
    for id in [FAILED, WITHOUT_POD] {
        expected.insert(format!("Service/openhands-runtime-{id}-svc"));
        expected.insert(format!("Service/openhands-runtime-{id}-svc-code"));
        expected.insert(format!("Ingress/openhands-runtime-{id}-ingress-code"));
    }
    assert_eq!(deleted, expected.iter().map(String::as_str).collect());
    assert!(after.0.is_subset(&before.0));
    namespace.handsctl(&["sandbox", "gc"]).exits(0).says("nothing to delete");
}

/// Binds the role of another installation, whose sandboxes are then in the same namespace.
fn bind_second(namespace: &Namespace) {
    let labels = json!({
        "app.kubernetes.io/managed-by": "handsctl", "app.kubernetes.io/instance": "second",
    });
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": { "name": "second", "labels": labels },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "second" },
        "subjects": [{ "kind": "ServiceAccount", "name": "second", "namespace": "elsewhere" }],
    });
    create(namespace.bed, &namespace.name, &[binding]);
}

#[test]
fn gc_leaves_a_shared_namespace_alone_without_an_answer() {
    let namespace = with_conversations("sandbox-shared");
    bind_second(&namespace);
    let before = objects(namespace.bed, &namespace.name);
    let run = namespace.handsctl(&["sandbox", "gc", "--delete-data", "--yes"]).exits(0);
    run.says("second can have sandboxes in namespace").says("nothing to delete");
    assert_eq!(objects(namespace.bed, &namespace.name), before);
}

#[test]
fn kinds_that_may_not_be_listed_are_named_with_their_rules() {
    let namespace = with_conversations("sandbox-rights");
    let pods = json!([{ "apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"] }]);
    let kubeconfig = account(&namespace, &pods);
    let run = run_with_kubeconfig(&namespace, &kubeconfig, &["sandbox", "list", "-o", "json"]).exits(0);
    let run = run
        .says("persistentvolumeclaims, services, ingresses were not listed")
        .says("resources: [\"services\"]");
    assert_eq!(run.json().as_array().unwrap().len(), 2, "those with a pod");
}

#[test]
fn gc_without_the_right_to_list_pods_exits_6() {
    let namespace = Bed::shared().namespace("sandbox-blind");
    namespace.handsctl(&["deploy"]).exits(0);
    create(namespace.bed, &namespace.name, &entry_points(WITHOUT_POD));
    create(namespace.bed, &namespace.name, &[claim(&format!("openhands-runtime-{ONLY_CLAIM}-pvc"))]);
    let claims = json!([{ "apiGroups": [""], "resources": ["persistentvolumeclaims"], "verbs": ["list"] }]);
    let kubeconfig = account(&namespace, &claims);
    run_with_kubeconfig(&namespace, &kubeconfig, &["sandbox", "gc", "--yes"])
        .exits(6)
        .says("nothing tells which objects are left behind")
        .says("resources: [\"pods\"], verbs: [\"list\"]");
    let list = run_with_kubeconfig(&namespace, &kubeconfig, &["sandbox", "list"]).exits(0);
    list.prints("unknown");
}

#[test]
fn command_on_simulated_nodes_exits_14() {
    let namespace = Bed::shared().namespace("exec-simulated");
    namespace.handsctl(&["exec"]).exits(12);
    namespace.handsctl(&["deploy"]).exits(0);
    namespace.handsctl(&["exec"]).exits(14).says("no container runs, so no command can run");
    namespace.handsctl(&["exec", "nothing"]).exits(2).says("there is no pod `nothing`");
    namespace.handsctl(&["exec", "-c", "nothing"]).exits(2).says("has no container `nothing`");
}

/// The objects of conversations and those with similar names, without UIDs.
fn names_of_conversations(namespace: &Namespace) -> BTreeSet<String> {
    let all = objects(namespace.bed, &namespace.name).into_iter();
    all.filter(|object| object.contains("openhands-runtime")).collect()
}

/// Kind and name of these objects of a conversation.
fn parts(id: &str, parts: &[&str]) -> BTreeSet<String> {
    let name = |(kind, suffix): (&str, &str)| format!("{kind}/openhands-runtime-{id}{suffix}");
    parts.iter().map(|part| name(part.split_once(' ').unwrap())).collect()
}

const WITHOUT_CLAIM: [&str; 4] = ["Pod ", "Service -svc", "Service -svc-code", "Ingress -ingress-code"];

fn difference(before: &BTreeSet<String>, after: &BTreeSet<String>) -> BTreeSet<String> {
    before.difference(after).map(|object| object.split(' ').next().unwrap().to_owned()).collect()
}

#[test]
fn teardown_deletes_sandboxes_and_no_similar_names() {
    let namespace = with_conversations("teardown-sandboxes");
    let bed = namespace.bed;
    let volume = json!({
        "apiVersion": "v1", "kind": "PersistentVolume", "metadata": { "name": namespace.name },
        "spec": {
            "accessModes": ["ReadWriteOnce"], "capacity": { "storage": "3Gi" }, "storageClassName": "none",
            "persistentVolumeReclaimPolicy": "Retain", "hostPath": { "path": "/none" },
            "claimRef": { "namespace": namespace.name, "name": format!("openhands-runtime-{ONLY_CLAIM}-pvc") },
        },
    });
    bed.kubectl_with(&["create", "-f", "-"], &volume.to_string());
    let claim = format!("openhands-runtime-{ONLY_CLAIM}-pvc");
    let phase = ["get", "pvc", &claim, "-n", &namespace.name, "-o", "jsonpath={.status.phase}"];
    wait_for_output(bed, &phase, |phase| phase == "Bound");
    let before = names_of_conversations(&namespace);

    namespace.handsctl(&["teardown", "--sandboxes"]).exits(2).says("--yes confirms it");
    assert_eq!(names_of_conversations(&namespace), before);
    let run = namespace.handsctl(&["teardown", "--sandboxes", "--yes", "-o", "json"]).exits(0).json();
    let after = names_of_conversations(&namespace);
    let mut expected = parts(WITHOUT_POD, &WITHOUT_CLAIM[1..]);
    expected.extend([RUNNING, FAILED].into_iter().flat_map(|id| parts(id, &WITHOUT_CLAIM)));
    assert_eq!(difference(&before, &after), expected);
    assert!(after.is_subset(&before), "nothing is created anew");
    let message = |id: &str| {
        let name = format!("openhands-runtime-{id}-pvc");
        let object =
            run["objects"].as_array().unwrap().iter().find(|it| it["object"]["name"] == name).unwrap();
        assert_eq!(object["action"], "kept");
        object["message"].as_str().unwrap().to_owned()
    };
    assert_eq!(message(ONLY_CLAIM), "--delete-data deletes it, 3Gi (reclaim policy Retain)");
    assert_eq!(message(RUNNING), "--delete-data deletes it, 2Gi");

    // The installation is gone, and the claims of its conversations are still found.
    namespace.handsctl(&["teardown", "--sandboxes", "--delete-data", "--yes"]).exits(0);
    let last = names_of_conversations(&namespace);
    let claims =
        [RUNNING, FAILED, ONLY_CLAIM].into_iter().flat_map(|id| parts(id, &["PersistentVolumeClaim -pvc"]));
    assert_eq!(difference(&after, &last), claims.collect());
    bed.kubectl(&["delete", "pv", &namespace.name]);
}

#[test]
fn name_without_an_installation_has_no_sandboxes_of_others() {
    let namespace = with_conversations("status-nope");
    let own = namespace.handsctl(&["status", "-o", "json"]).json();
    assert_ne!(own["sandboxes"], json!({ "running": 0, "waiting": 0, "ended": [] }), "{own}");
    let kubeconfig = namespace.bed.kubeconfig.to_str().unwrap();
    let cluster = ["--kubeconfig", kubeconfig, "--context", &namespace.bed.context];
    let installation = ["status", "-o", "json", "-n", &namespace.name, "--name", "nope"];
    let nope = run_in_home(namespace.folder.path(), &[&installation[..], &cluster].concat()).exits(12).json();
    assert_eq!(nope["verdict"], "not deployed");
    assert_eq!(nope["sandboxes"], json!({ "running": 0, "waiting": 0, "ended": [] }));
}

#[test]
fn interrupted_teardown_of_sandboxes_goes_on() {
    let namespace = with_conversations("teardown-sandboxes-held");
    let held = format!("service/openhands-runtime-{RUNNING}-svc");
    let finalizer = Finalizer::add(&namespace, &held);
    let run = namespace.handsctl(&["teardown", "--sandboxes", "--yes", "--timeout", "8s"]).exits(10);
    run.says(&held).says("example.io/hold");
    let parent = ["get", "configmap/handsctl-oh", "-n", &namespace.name, "-o", "name"];
    assert_eq!(namespace.bed.kubectl(&parent).trim(), "configmap/handsctl-oh", "the next run finds the rest");
    drop(finalizer);
    namespace.handsctl(&["teardown", "--sandboxes", "--yes"]).exits(0);
    let rest = names_of_conversations(&namespace);
    assert!(!rest.iter().any(|object| object.contains(RUNNING) && !object.contains("-pvc")), "{rest:?}");
    assert!(!namespace.bed.try_kubectl(&parent, "").status.success());
}

#[test]
fn teardown_keeps_unknown_sandboxes_of_a_shared_namespace() {
    let namespace = with_conversations("teardown-sandboxes-shared");
    bind_second(&namespace);
    let before = names_of_conversations(&namespace);
    let run = namespace.handsctl(&["teardown", "--sandboxes", "--delete-data", "--yes"]).exits(0);
    run.says("second can have sandboxes in namespace").says("another application may use it");
    assert_eq!(names_of_conversations(&namespace), before);
}

/// The requests that `status` and `sandbox list` may need, whatever the number of conversations.
const MOST_REQUESTS: usize = 40;

#[test]
fn request_count_does_not_grow_with_sandboxes() {
    let namespace = Bed::shared().namespace("sandbox-requests");
    namespace.handsctl(&["deploy"]).exits(0);
    let sandbox = |number: usize| {
        let id = format!("{number:032x}");
        let mut pod = pod(&format!("openhands-runtime-{id}"), "openhands-runtime");
        // The scheduler leaves it alone.
        pod["spec"]["schedulingGates"] = json!([{ "name": "example.io/hold" }]);
        let mut service = service(&format!("openhands-runtime-{id}-svc"));
        service["spec"]["clusterIP"] = json!("None");
        [pod, service]
    };
    let sandboxes: Vec<Value> = (0..300).flat_map(sandbox).collect();
    // kubectl sends 50 requests per second after the first 300.
    std::thread::scope(|scope| {
        for part in sandboxes.chunks(200) {
            scope.spawn(|| create(namespace.bed, &namespace.name, part));
        }
    });
    let proxy = Proxy::for_cluster(namespace.bed);
    for command in [&["status", "-o", "json"][..], &["sandbox", "list", "-o", "json"]] {
        let earlier = proxy.requests().len();
        let run = proxy.command(&namespace, command).run().exits(0);
        let requests = &proxy.requests()[earlier..];
        let paths: Vec<&str> = requests.iter().map(|request| request.path.as_str()).collect();
        assert!(requests.len() <= MOST_REQUESTS, "{command:?}: {} requests: {paths:#?}", requests.len());
        if command[0] == "sandbox" {
            assert_eq!(run.json().as_array().unwrap().len(), 300);
        }
    }
}

#[test]
fn account_that_may_list_nothing_gets_exit_6_and_no_empty_list() {
    let namespace = Bed::shared().namespace("boxes-forbidden");
    namespace.handsctl(&["deploy"]).exits(0);
    let kubeconfig =
        account(&namespace, &json!([{ "apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"] }]));
    for arguments in [&["sandbox", "list"][..], &["sandbox", "list", "-o", "json"]] {
        let run = run_with_kubeconfig(&namespace, &kubeconfig, arguments).exits(6);
        assert!(!run.stderr.contains("no sandboxes"), "{run:?}");
    }
}
