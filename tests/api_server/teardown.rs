//! `teardown`: deletes the set's objects and no others, and reports the kept and the stuck ones.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::bed::{Bed, Namespace, OwnCluster, finish};
use crate::fault::Proxy;

/// All objects of the cluster except Events: `Kind/namespace/name` → object, without the fields that the server and its
/// controllers write constantly (versions, leases, the status of nodes).
fn all_objects(bed: &Bed) -> BTreeMap<String, Value> {
    let kinds = bed.kubectl(&["api-resources", "--verbs=list", "-o", "name"]);
    let kinds: Vec<&str> = kinds
        .lines()
        .filter(|kind| !["events", "events.events.k8s.io", "componentstatuses"].contains(kind))
        .collect();
    assert!(kinds.len() > 40 && kinds.contains(&"endpointslices.discovery.k8s.io"), "{kinds:?}");
    let text = bed.kubectl(&["get", &kinds.join(","), "-A", "-o", "json"]);
    let list: Value = serde_json::from_str(&text).unwrap();
    let objects = list["items"].as_array().unwrap().iter().map(|object| {
        let mut object = object.clone();
        object["metadata"].as_object_mut().unwrap().remove("resourceVersion");
        match object["kind"].as_str().unwrap() {
            "Lease" => object["spec"] = Value::Null,
            "Node" => object["status"] = Value::Null,
            _ => {}
        }
        let metadata = &object["metadata"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        (
            format!("{}/{}/{}", text(&object["kind"]), text(&metadata["namespace"]), text(&metadata["name"])),
            object,
        )
    });
    objects.collect()
}

/// Names of created, deleted and changed objects.
fn changed_objects(before: &BTreeMap<String, Value>, after: &BTreeMap<String, Value>) -> BTreeSet<String> {
    let names = before.keys().chain(after.keys());
    names.filter(|name| before.get(*name) != after.get(*name)).cloned().collect()
}

/// Waits until exactly these objects differ from `before`. Controllers delete dependents a little later.
fn wait_for_difference(bed: &Bed, before: &BTreeMap<String, Value>, expected: &[&str]) {
    let expected: BTreeSet<String> = expected.iter().map(|name| (*name).to_owned()).collect();
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        let changed = changed_objects(before, &all_objects(bed));
        if changed == expected {
            return;
        }
        assert!(Instant::now() < end, "the cluster differs in {changed:#?}, not in {expected:#?}");
    }
}

/// Names of the namespace's objects of these kinds, as `configmap/oh`, without those that controllers create in every
/// namespace some time after it.
fn names(namespace: &Namespace, kinds: &str) -> BTreeSet<String> {
    let text = namespace.bed.kubectl(&["get", kinds, "-n", &namespace.name, "-o", "name"]);
    text.lines().filter(|name| !DEFAULTS.contains(name)).map(str::to_owned).collect()
}

const KINDS: &str = "serviceaccounts,roles,rolebindings,configmaps,secrets,persistentvolumeclaims,deployments,replicasets,pods,services,ingresses,networkpolicies";

/// The objects that controllers create in every namespace.
const DEFAULTS: [&str; 2] = ["configmap/kube-root-ca.crt", "serviceaccount/default"];

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn teardown_restores_the_cluster_before_deploy() {
    let config =
        "[deploy]\nnamespace = \"team\"\n[kubernetes]\nnamespace = \"boxes\"\n[llm]\napi_key = \"k\"\n";
    let own = OwnCluster::new("teardown", config);
    own.handsctl(&["cluster", "up"]).exits(0);
    let bed = own.bed();
    // Objects of another owner, with the labels and similar names of a set.
    let labels = json!({
        "app.kubernetes.io/name": "openhands",
        "app.kubernetes.io/instance": "openhands",
        "app.kubernetes.io/component": "app",
        "app.kubernetes.io/part-of": "openhands",
        "app.kubernetes.io/managed-by": "handsctl",
    });
    for namespace in ["team", "boxes"] {
        bed.kubectl(&["create", "namespace", namespace]);
        let object = |api: &str, kind: &str, name: &str, more: &[(&str, Value)]| {
            let metadata = json!({ "name": name, "namespace": namespace, "labels": labels });
            let mut object = json!({ "apiVersion": api, "kind": kind, "metadata": metadata });
            for (key, value) in more {
                object[*key] = value.clone();
            }
            object
        };
        let rules = json!([{ "apiGroups": [""], "resources": ["pods"], "verbs": ["get"] }]);
        let spec = json!({ "ports": [{ "port": 80 }], "selector": labels });
        let claim =
            json!({ "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } });
        let items = [
            object("v1", "ConfigMap", "openhands-config-0123456789", &[("data", json!({ "a": "b" }))]),
            object("v1", "Secret", "openhands-env-0123456789", &[]),
            object("v1", "Service", "foreign", &[("spec", spec)]),
            object("v1", "PersistentVolumeClaim", "foreign", &[("spec", claim)]),
            object("rbac.authorization.k8s.io/v1", "Role", "foreign", &[("rules", rules)]),
        ];
        bed.kubectl_with(
            &["create", "-f", "-"],
            &json!({ "apiVersion": "v1", "kind": "List", "items": items }).to_string(),
        );
    }
    wait_until_stable(&bed);
    let before = all_objects(&bed);

    own.handsctl(&["deploy"]).exits(0);
    let created = changed_objects(&before, &all_objects(&bed));
    assert!(created.len() > 12, "{created:#?}");
    let claim = bed.get(&["pvc", "openhands-state", "-n", "team"]);
    let volume = format!("PersistentVolume//{}", claim["spec"]["volumeName"].as_str().unwrap());
    let kept = ["PersistentVolumeClaim/team/openhands-state", volume.as_str()];

    let run = own.handsctl(&["teardown"]).exits(0);
    run.says("persistentvolumeclaim/openhands-state kept").says("5Gi").says("--delete-data");
    wait_for_difference(&bed, &before, &kept);
    let second_run = own.handsctl(&["teardown"]).exits(0);
    second_run.says("nothing to delete").says("persistentvolumeclaim/openhands-state kept");
    wait_for_difference(&bed, &before, &kept);

    // The next deploy uses the kept claim.
    own.handsctl(&["deploy"]).exits(0);
    let used = bed.get(&["pvc", "openhands-state", "-n", "team"]);
    assert_eq!(used["metadata"]["uid"], claim["metadata"]["uid"], "the kept claim was replaced");
    own.handsctl(&["teardown"]).exits(0);
    own.handsctl(&["teardown", "--delete-data", "--yes"]).exits(0).says("1 object deleted");
    wait_for_difference(&bed, &before, &[]);
    own.handsctl(&["teardown", "--delete-data", "--yes"]).exits(0).says("nothing to delete");
}

/// Waits until controllers have created the dependents of the new namespaces and nothing changes any more.
fn wait_until_stable(bed: &Bed) {
    let end = Instant::now() + Duration::from_secs(30);
    let mut before = all_objects(bed);
    loop {
        let now = all_objects(bed);
        let changing = changed_objects(&before, &now);
        let complete = ["team", "boxes"].iter().all(|name| {
            now.contains_key(&format!("ServiceAccount/{name}/default"))
                && now.contains_key(&format!("ConfigMap/{name}/kube-root-ca.crt"))
                && now.keys().any(|key| key.starts_with(&format!("EndpointSlice/{name}/")))
        });
        if complete && changing.is_empty() {
            return;
        }
        assert!(Instant::now() < end, "{changing:#?}");
        before = now;
    }
}

#[test]
fn delete_data_without_terminal_needs_yes() {
    let namespace = Bed::shared().namespace("confirm");
    namespace.handsctl(&["deploy", "--no-wait"]).exits(0);
    let members = "deployments,services,ingresses,persistentvolumeclaims,configmaps,networkpolicies";
    let before = names(&namespace, members);
    namespace.handsctl(&["teardown", "--delete-data"]).exits(2).says("--yes");
    namespace.handsctl(&["teardown", "--delete-data", "--delete-namespace"]).exits(2).says("--yes");
    assert_eq!(names(&namespace, members), before);
    namespace.handsctl(&["teardown", "--delete-data", "--yes"]).exits(0);
    wait_for_remaining(&namespace, &[]);
}

/// Waits until only these objects remain in the namespace. Controllers delete dependents a little later.
fn wait_for_remaining(namespace: &Namespace, kept: &[&str]) {
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        let remaining = names(namespace, KINDS);
        if remaining == set(kept) {
            return;
        }
        assert!(Instant::now() < end, "{remaining:?} remain, not {kept:?}");
    }
}

#[test]
fn only_own_namespace_is_deleted_with_its_data() {
    let foreign = Bed::shared().namespace("foreign");
    foreign.create(&[]);
    foreign.handsctl(&["deploy"]).exits(0);
    let before = names(&foreign, KINDS);
    let run = foreign.handsctl(&["teardown", "--delete-data", "--delete-namespace", "--yes"]).exits(7);
    run.says("was not created by handsctl").says("nothing was deleted");
    assert_eq!(names(&foreign, KINDS), before);

    let own = Bed::shared().namespace("own");
    own.handsctl(&["deploy"]).exits(0);
    let before = names(&own, KINDS);
    // The deletion of the namespace would delete the claim, which the summary reports as kept.
    own.handsctl(&["teardown", "--delete-namespace", "--yes"]).exits(2).says("--delete-data");
    assert_eq!(names(&own, KINDS), before);
    let run = own.handsctl(&["teardown", "--delete-data", "--delete-namespace", "--yes"]).exits(0);
    run.says(&format!("namespace/{} deleted", own.name)).never_says(" kept");
    assert!(!own.bed.try_kubectl(&["get", "namespace", &own.name], "").status.success());
    let second_run = own.handsctl(&["teardown", "--delete-data", "--delete-namespace", "--yes"]).exits(0);
    second_run.says("nothing to delete");
}

const DELETE_NAMESPACE: [&str; 3] = ["teardown", "--delete-data", "--delete-namespace"];

#[test]
fn objects_of_others_keep_the_namespace() {
    let namespace = Bed::shared().namespace("not-alone");
    namespace.handsctl(&["deploy"]).exits(0);
    let (bed, name) = (namespace.bed, namespace.name.as_str());
    let claim = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": { "name": "theirs", "namespace": name },
        "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } },
    });
    bed.kubectl_with(&["create", "-f", "-"], &claim.to_string());
    bed.kubectl(&["create", "configmap", "theirs", "-n", name]);
    bed.kubectl(&["annotate", "pvc", "oh-state", "handsctl.dev/prune=disabled", "-n", name]);
    let before = names(&namespace, KINDS);
    let foreign = "configmap/theirs, persistentvolumeclaim/oh-state, persistentvolumeclaim/theirs";
    let all = [&DELETE_NAMESPACE[..], &["--yes"]].concat();
    namespace
        .handsctl(&all)
        .exits(7)
        .says(&format!("namespace {name} has objects that are not of this installation; nothing was deleted"))
        .says(foreign)
        .says("without --delete-namespace the installation is deleted")
        .says("--delete-foreign deletes these objects too");
    let with_foreign = [&DELETE_NAMESPACE[..], &["--delete-foreign"]].concat();
    namespace.handsctl(&with_foreign).exits(2).says("--yes");
    assert_eq!(names(&namespace, KINDS), before);
    namespace.handsctl(&[&with_foreign[..], &["--yes"]].concat()).exits(0);
    assert!(!bed.try_kubectl(&["get", "namespace", name], "").status.success());
}

#[test]
fn object_created_during_the_wait_for_the_lock_is_seen() {
    let namespace = Bed::shared().namespace("not-alone-now");
    namespace.handsctl(&["deploy"]).exits(0);
    let proxy = Proxy::for_cluster(namespace.bed);
    let held = proxy.on(|request| request.method == "POST" && request.path.contains("/leases")).hold();
    let all = [&DELETE_NAMESPACE[..], &["--yes"]].concat();
    let run = proxy.command(&namespace, &all).spawn();
    held.wait_for_request(Duration::from_secs(60));
    let before = names(&namespace, KINDS);
    namespace.bed.kubectl(&["create", "configmap", "theirs", "-n", &namespace.name]);
    held.release();
    finish(run).exits(7).says("configmap/theirs").says("nothing was deleted");
    let after: BTreeSet<String> = before.into_iter().chain(["configmap/theirs".to_owned()]).collect();
    assert_eq!(names(&namespace, KINDS), after);
}

#[test]
fn namespace_of_an_empty_installation_is_deleted_under_the_lock() {
    let namespace = Bed::shared().namespace("empty-locked");
    let proxy = Proxy::for_cluster(namespace.bed);
    // The first deploy of another run has the lock, and has recorded nothing yet.
    let held = proxy.on(|request| request.is("PATCH", "/configmaps/handsctl-oh")).hold();
    let deploy = proxy.command(&namespace, &["deploy"]).spawn();
    held.wait_for_request(Duration::from_secs(60));
    let all = [&DELETE_NAMESPACE[..], &["--yes"]].concat();
    namespace.handsctl(&all).exits(13).says("another run is changing the installation");
    held.release();
    finish(deploy).exits(0);
    namespace.handsctl(&["teardown", "--delete-data", "--yes"]).exits(0);
    let run = namespace.handsctl(&all).exits(0).says(&format!("namespace/{} deleted", namespace.name));
    run.never_says("nothing to delete");
}

#[test]
fn own_sandbox_namespace_is_named_and_deleted_too() {
    let (namespace, boxes) = (Bed::shared().namespace("apart"), Bed::shared().namespace("apart-boxes"));
    namespace.config(&format!("[kubernetes]\nnamespace = \"{}\"\n", boxes.name));
    namespace.handsctl(&["deploy"]).exits(0);
    let run = namespace.handsctl(&["teardown"]).exits(0);
    run.says(&format!("namespace/{} kept", namespace.name)).says(&format!("namespace/{} kept", boxes.name));
    namespace.handsctl(&["deploy"]).exits(0);
    namespace.handsctl(&["teardown", "--delete-data", "--delete-namespace", "--yes"]).exits(0);
    for name in [&namespace.name, &boxes.name] {
        assert!(!namespace.bed.try_kubectl(&["get", "namespace", name], "").status.success(), "{name}");
    }
}

#[test]
fn copy_with_our_labels_survives_teardown() {
    let namespace = Bed::shared().namespace("copy");
    namespace.handsctl(&["deploy"]).exits(0);
    let bed = namespace.bed;
    let claim = bed.kubectl(&["get", "pvc", "oh-state", "-n", &namespace.name, "-o", "json"]);
    let mut claim: Value = serde_json::from_str(&claim).unwrap();
    let labels = claim["metadata"]["labels"].take();
    assert!(labels["applyset.kubernetes.io/part-of"].is_string());
    let copy = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": { "name": "copy-state", "namespace": namespace.name, "labels": labels },
        "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } },
    });
    bed.kubectl_with(&["apply", "-f", "-"], &copy.to_string());
    for kind in ["deployment", "service", "serviceaccount", "role", "networkpolicy"] {
        let original = bed.kubectl(&["get", kind, "oh", "-n", &namespace.name, "-o", "yaml"]);
        let copy = original.replace("  name: oh\n", "  name: copy\n").replace("oh-state", "copy-state");
        let copy: String = copy
            .lines()
            .filter(|line| !line.contains("clusterIP") && !line.contains(" - 10."))
            .fold(String::new(), |text, line| text + line + "\n");
        bed.kubectl_with(&["apply", "-n", &namespace.name, "-f", "-"], &copy);
    }
    bed.kubectl(&["rollout", "status", "deployment/copy", "-n", &namespace.name, "--timeout=30s"]);

    namespace.handsctl(&["teardown", "--delete-data", "--yes", "--timeout", "1m"]).exits(0);
    let remaining = names(
        &namespace,
        "deployments,services,serviceaccounts,roles,networkpolicies,persistentvolumeclaims",
    );
    assert_eq!(
        remaining,
        set(&[
            "deployment.apps/copy",
            "service/copy",
            "serviceaccount/copy",
            "role.rbac.authorization.k8s.io/copy",
            "networkpolicy.networking.k8s.io/copy",
            "persistentvolumeclaim/copy-state",
        ])
    );
    let deployment = bed.get(&["deployment", "copy", "-n", &namespace.name]);
    assert_eq!(deployment["status"]["availableReplicas"], 1);
    assert_eq!(names(&namespace, "pods").len(), 1);
}

#[test]
fn conversations_and_protected_objects_are_kept_and_named() {
    let namespace = Bed::shared().namespace("conversation");
    namespace.handsctl(&["deploy"]).exits(0);
    let bed = namespace.bed;
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": "openhands-runtime-11111111111111111111111111111111", "namespace": namespace.name, "labels": { "app": "openhands-runtime" } },
        "spec": { "containers": [{ "name": "runtime", "image": "example.io/runtime:1" }] },
    });
    let claim = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": { "name": "openhands-runtime-11111111111111111111111111111111-pvc", "namespace": namespace.name },
        "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } },
    });
    bed.kubectl_with(&["create", "-f", "-"], &pod.to_string());
    bed.kubectl_with(&["create", "-f", "-"], &claim.to_string());
    bed.kubectl(&["annotate", "service", "oh", "handsctl.dev/prune=disabled", "-n", &namespace.name]);
    let run = namespace.handsctl(&["teardown", "--delete-data", "--yes", "-o", "json"]).exits(0).json();
    let kept: BTreeSet<String> = run["objects"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|object| object["action"] == "kept")
        .map(|object| object["object"]["name"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(
        kept,
        set(&[
            "oh",
            "openhands-runtime-11111111111111111111111111111111",
            "openhands-runtime-11111111111111111111111111111111-pvc",
            namespace.name.as_str()
        ])
    );
    let warnings = run["warnings"].as_array().unwrap();
    assert!(warnings.iter().any(|warning| warning["id"] == "HC3063"), "{warnings:?}");
    let kept = [
        "pod/openhands-runtime-11111111111111111111111111111111",
        "persistentvolumeclaim/openhands-runtime-11111111111111111111111111111111-pvc",
        "service/oh",
    ];
    wait_for_remaining(&namespace, &kept);
}

/// Time limit of a run with `--timeout 2s`.
const TIMEOUT_LIMIT: Duration = Duration::from_secs(30);

/// A finalizer that no controller removes. Dropping the value removes it, so that the namespace can be deleted.
pub(crate) struct Finalizer<'a>(&'a Namespace, &'a str);

impl<'a> Finalizer<'a> {
    pub(crate) fn add(namespace: &'a Namespace, object: &'a str) -> Self {
        let patch = "{\"metadata\":{\"finalizers\":[\"example.io/hold\"]}}";
        let arguments = ["patch", object, "-n", &namespace.name, "--field-manager=other", "-p", patch];
        namespace.bed.kubectl(&arguments);
        Self(namespace, object)
    }
}

impl Drop for Finalizer<'_> {
    fn drop(&mut self) {
        let patch = "{\"metadata\":{\"finalizers\":null}}";
        let _already_deleted =
            self.0.bed.try_kubectl(&["patch", self.1, "-n", &self.0.name, "-p", patch], "");
    }
}

#[test]
fn object_held_by_finalizer_exits_10_naming_manager() {
    let namespace = Bed::shared().namespace("held");
    namespace.handsctl(&["deploy"]).exits(0);
    for object in ["ingress/oh", "service/oh"] {
        let finalizer = Finalizer::add(&namespace, object);
        namespace
            .handsctl(&["teardown", "--timeout", "5s"])
            .exits(10)
            .within(TIMEOUT_LIMIT)
            .says("waits for finalizer \"example.io/hold\", set by manager \"other\"; no pod of the cluster has `other`")
            .says(object.split_once('/').unwrap().0)
            // The Service is in the last batch, whose other objects are gone at once.
            .says(if object == "service/oh" { "serviceaccount/oh deleted" } else { "" });
        drop(finalizer);
    }
    namespace.handsctl(&["teardown"]).exits(0);
    wait_for_remaining(&namespace, &["persistentvolumeclaim/oh-state"]);
}

#[test]
fn terminating_pod_is_waited_for_and_explained() {
    let namespace = Bed::shared().namespace("held-pod");
    namespace.handsctl(&["deploy"]).exits(0);
    let pod = names(&namespace, "pods").pop_first().unwrap();
    let finalizer = Finalizer::add(&namespace, &pod);
    // Longer than the 10 s after which a waiting command reports its reason.
    let stream = namespace.folder.path().join("events");
    let arguments = ["teardown", "--timeout", "12s", "--events", stream.to_str().unwrap()];
    let run = namespace.handsctl(&arguments).exits(10);
    let why = "waits for finalizer \"example.io/hold\", set by manager \"other\"";
    let stream = std::fs::read_to_string(&stream).unwrap();
    let mut events = stream.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let waiting = events.find(|event| event["type"] == "waiting" && event["object"]["kind"] == "Pod");
    let message = waiting.unwrap()["message"].as_str().unwrap().to_owned();
    assert!(message.starts_with(why) && message.contains("does not seem to run"), "{message}");
    run.says(&format!("{pod}  {why}"));
    // The pod still uses its account, its claim and its configuration, so none of them is deleted.
    let remaining = names(&namespace, KINDS);
    for name in ["serviceaccount/oh", "persistentvolumeclaim/oh-state", "configmap/handsctl-oh"] {
        assert!(remaining.contains(name), "{name}: {remaining:?}");
    }
    drop(finalizer);
    namespace.handsctl(&["teardown"]).exits(0);
    wait_for_remaining(&namespace, &["persistentvolumeclaim/oh-state"]);
}

#[test]
fn teardown_finds_members_in_namespaces_of_parent() {
    let bed = Bed::shared();
    let (namespace, boxes) = (bed.namespace("moved"), bed.namespace("moved-boxes"));
    boxes.create(&[]);
    namespace.config(&format!("[kubernetes]\nnamespace = \"{}\"\n", boxes.name));
    namespace.handsctl(&["deploy"]).exits(0);
    assert!(names(&boxes, KINDS).contains("role.rbac.authorization.k8s.io/oh"));
    // The configuration no longer names the sandboxes' namespace.
    namespace.config("");
    namespace.handsctl(&["teardown"]).exits(0);
    wait_for_remaining(&boxes, &[]);

    // The application's namespace was deleted with kubectl.
    namespace.config(&format!("[kubernetes]\nnamespace = \"{}\"\n", boxes.name));
    namespace.handsctl(&["deploy"]).exits(0);
    bed.kubectl(&["delete", "namespace", &namespace.name, "--timeout=60s"]);
    namespace.handsctl(&["teardown"]).exits(0).says("3 objects deleted");
    wait_for_remaining(&boxes, &[]);
}

#[test]
fn teardown_without_set_deletes_nothing() {
    let namespace = Bed::shared().namespace("empty");
    namespace.handsctl(&["teardown"]).exits(0).says("nothing to delete").never_says("kept");
    namespace.create(&[]);
    namespace.handsctl(&["teardown"]).exits(0).says("nothing to delete");
    // The parent of another tool stays unchanged.
    let bed = namespace.bed;
    bed.kubectl(&["create", "configmap", "handsctl-oh", "-n", &namespace.name]);
    bed.kubectl(&[
        "annotate",
        "configmap",
        "handsctl-oh",
        "applyset.kubernetes.io/tooling=kubectl/v1.34",
        "-n",
        &namespace.name,
    ]);
    namespace.handsctl(&["teardown"]).exits(7).says("kubectl/v1.34");
    assert!(names(&namespace, "configmaps").contains("configmap/handsctl-oh"));
}

#[test]
fn copy_of_a_revision_survives_teardown() {
    let namespace = Bed::shared().namespace("copied");
    namespace.create(&[]);
    namespace.handsctl(&["deploy"]).exits(0);
    let mut copy = namespace.bed.get(&["secret", "handsctl-oh-r1", "-n", &namespace.name]);
    let metadata = copy["metadata"].as_object_mut().unwrap();
    for field in ["uid", "resourceVersion", "creationTimestamp", "managedFields", "ownerReferences"] {
        metadata.remove(field);
    }
    metadata["name"] = "handsctl-oh-r5".into();
    metadata["annotations"]["handsctl.dev/revision"] = "5".into();
    namespace.bed.kubectl_with(&["create", "-f", "-"], &copy.to_string());
    namespace
        .handsctl(&["teardown"])
        .exits(0)
        .says("secret/handsctl-oh-r1")
        .never_says("handsctl-oh-r5 deleted");
    let left = namespace.bed.kubectl(&["get", "secrets", "-n", &namespace.name, "-o", "name"]);
    assert_eq!(left.trim(), "secret/handsctl-oh-r5");
}
