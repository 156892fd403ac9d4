//! `deploy` deletes members that are no longer in the set, and no other objects.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::bed::{Bed, Namespace};

const NO_INGRESS: &str = "[deploy]\nexpose = \"none\"\n";

fn get(namespace: &Namespace, arguments: &[&str]) -> Value {
    namespace.bed.get(&[arguments, &["-n", &namespace.name]].concat())
}

/// The kinds that the parent lists.
fn parent_kinds(namespace: &Namespace) -> BTreeSet<String> {
    let parent = get(namespace, &["configmap", "handsctl-oh"]);
    let kinds = &parent["metadata"]["annotations"]["applyset.kubernetes.io/contains-group-kinds"];
    kinds.as_str().unwrap().split(',').map(str::to_owned).collect()
}

#[test]
fn unconfigured_member_is_pruned_and_look_alikes_stay() {
    let namespace = Bed::shared().namespace("prune");
    namespace.handsctl(&["deploy"]).exits(0);
    assert!(parent_kinds(&namespace).contains("Ingress.networking.k8s.io"));
    let ingress = get(&namespace, &["ingress", "oh"]);

    // An object of another owner with all labels of a member.
    let look_alike = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": "look-alike", "labels": ingress["metadata"]["labels"] },
        "data": { "precious": "yes" },
    });
    // A copy of a member, made with kubectl.
    let text = namespace.bed.kubectl(&["get", "ingress", "oh", "-n", &namespace.name, "-o", "yaml"]);
    let copy = text.replace("\n  name: oh\n", "\n  name: copy\n");
    assert_ne!(copy, text);
    for manifest in [look_alike.to_string(), copy] {
        namespace.bed.kubectl_with(&["apply", "-n", &namespace.name, "-f", "-"], &manifest);
    }
    let foreign = || [get(&namespace, &["configmap", "look-alike"]), get(&namespace, &["ingress", "copy"])];
    let before = foreign();
    for object in &before {
        assert!(object["metadata"]["labels"]["applyset.kubernetes.io/part-of"].is_string(), "{object}");
    }

    namespace.config(NO_INGRESS);
    for dry in ["--dry-run", "--dry-run=server"] {
        namespace.handsctl(&["deploy", dry]).exits(0).says("1 pruned");
        assert!(namespace.has("ingress/oh"));
    }
    namespace.handsctl(&["deploy"]).exits(0).says("ingress.networking.k8s.io/oh pruned");
    assert!(!namespace.has("ingress/oh"));
    assert_eq!(foreign(), before);
    assert!(
        !parent_kinds(&namespace).contains("Ingress.networking.k8s.io"),
        "the parent lists only the remaining kinds"
    );
    // EndpointSlices have the Service's labels, but their controller owns them.
    let slices = get(&namespace, &["endpointslices", "-l", "kubernetes.io/service-name=oh"]);
    assert!(!slices["items"].as_array().unwrap().is_empty());

    namespace.handsctl(&["deploy"]).exits(0).says("9 unchanged").never_says("pruned");
    assert_eq!(foreign(), before);
}

#[test]
fn kubectl_rejects_the_set_as_another_tools() {
    let namespace = Bed::shared().namespace("applyset");
    namespace.handsctl(&["deploy"]).exits(0);
    let before = get(&namespace, &["configmap", "handsctl-oh"]);
    let manifest = namespace.folder.path().join("theirs.yaml");
    std::fs::write(&manifest, "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: theirs\n").unwrap();
    let arguments = ["apply", "--prune", "--applyset=configmap/handsctl-oh", "-n", &namespace.name, "-f"];
    let mut kubectl = namespace.bed.kubectl_command(&arguments);
    let output = kubectl.arg(&manifest).env("KUBECTL_APPLYSET", "true").output().unwrap();
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{message}");
    assert!(message.contains("handsctl") && message.contains("kubectl"), "it names both tools: {message}");
    assert!(!namespace.has("configmap/theirs"));
    assert_eq!(get(&namespace, &["configmap", "handsctl-oh"]), before);
}

#[test]
fn object_with_prune_disabled_is_kept_and_named() {
    let namespace = Bed::shared().namespace("exempt");
    namespace.handsctl(&["deploy"]).exits(0);
    let annotate = ["annotate", "ingress", "oh", "-n", &namespace.name];
    namespace.bed.kubectl(&[&annotate[..], &["handsctl.dev/prune=disabled"]].concat());
    namespace.config(NO_INGRESS);
    let why = "ingress.networking.k8s.io/oh kept: its annotation handsctl.dev/prune is \"disabled\"";
    namespace.handsctl(&["deploy"]).exits(0).says(why);
    assert!(namespace.has("ingress/oh"));
    assert!(
        parent_kinds(&namespace).contains("Ingress.networking.k8s.io"),
        "the parent still lists its kind"
    );
    namespace.bed.kubectl(&[&annotate[..], &["handsctl.dev/prune-"]].concat());
    namespace.handsctl(&["deploy"]).exits(0).says("ingress.networking.k8s.io/oh pruned");
    assert!(!namespace.has("ingress/oh"));
}

#[test]
fn claim_is_pruned_only_with_delete_data() {
    let namespace = Bed::shared().namespace("claim");
    namespace.handsctl(&["deploy"]).exits(0);
    let other = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": { "name": "other" },
        "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } },
    });
    namespace.bed.kubectl_with(&["apply", "-n", &namespace.name, "-f", "-"], &other.to_string());
    namespace.config("[deploy]\nexisting_claim = \"other\"\n");
    namespace
        .handsctl(&["deploy"])
        .exits(0)
        .says("persistentvolumeclaim/oh-state kept: a volume of 5Gi with its data; --delete-data deletes it");
    assert!(namespace.has("pvc/oh-state"));

    let run = namespace.handsctl(&["deploy", "--delete-data"]).exits(2);
    run.says("needs a confirmation").says("--yes");
    assert!(namespace.has("pvc/oh-state"));
    namespace
        .handsctl(&["deploy", "--delete-data", "--yes"])
        .exits(0)
        .says("persistentvolumeclaim/oh-state pruned");
    let claim = namespace.bed.try_kubectl(
        &["get", "pvc", "oh-state", "-n", &namespace.name, "-o", "jsonpath={.metadata.deletionTimestamp}"],
        "",
    );
    assert!(!claim.status.success() || !claim.stdout.is_empty(), "the claim is not deleted");
    assert!(namespace.has("pvc/other"));
}

#[test]
fn failed_rollout_prunes_nothing() {
    let namespace = Bed::shared().namespace("prunefail");
    namespace.handsctl(&["deploy"]).exits(0);
    namespace.config(&format!("{NO_INGRESS}image = \"example.com/simulate-image-pull-backoff:1.6\"\n"));
    namespace.handsctl(&["deploy", "--set", "sandbox.runtime_container_image=\"example.com/r:1\""]).exits(9);
    assert!(namespace.has("ingress/oh"));
    assert!(
        parent_kinds(&namespace).contains("Ingress.networking.k8s.io"),
        "the parent still lists its kind"
    );
    namespace.config(NO_INGRESS);
    namespace.handsctl(&["deploy"]).exits(0).says("ingress.networking.k8s.io/oh pruned");
    assert!(!namespace.has("ingress/oh"));
}

#[test]
fn no_wait_prunes_after_apply() {
    let namespace = Bed::shared().namespace("prunenow");
    namespace.handsctl(&["deploy"]).exits(0);
    namespace.config(NO_INGRESS);
    namespace.handsctl(&["deploy", "--no-wait"]).exits(0).says("ingress.networking.k8s.io/oh pruned");
    assert!(!namespace.has("ingress/oh"));
}

#[test]
fn former_sandbox_namespace_is_pruned() {
    let bed = Bed::shared();
    let (namespace, boxes) = (bed.namespace("moving"), bed.namespace("moving-boxes"));
    boxes.create(&[]);
    namespace.config(&format!("[kubernetes]\nnamespace = \"{}\"\n", boxes.name));
    namespace.handsctl(&["deploy"]).exits(0);
    assert!(boxes.has("role/oh") && boxes.has("networkpolicy/oh"));
    namespace.config("");
    namespace
        .handsctl(&["deploy"])
        .exits(0)
        .says("role.rbac.authorization.k8s.io/oh pruned")
        .says("networkpolicy.networking.k8s.io/oh pruned");
    assert!(!boxes.has("role/oh") && !boxes.has("rolebinding/oh") && !boxes.has("networkpolicy/oh"));
    assert!(namespace.has("role/oh"));
    let parent = get(&namespace, &["configmap", "handsctl-oh"]);
    let namespaces = &parent["metadata"]["annotations"]["applyset.kubernetes.io/additional-namespaces"];
    assert!(namespaces.is_null(), "{namespaces}");
}

#[test]
fn policy_of_former_namespace_is_kept_while_sandboxes_run() {
    let bed = Bed::shared();
    for (name, is_own) in [("leaving", false), ("leaving-own", true)] {
        let (namespace, boxes) = (bed.namespace(name), bed.namespace(&format!("{name}-boxes")));
        boxes.create(&[]);
        let separate = format!("[kubernetes]\nnamespace = \"{}\"\n", boxes.name);
        // The installation's own namespace keeps the policy of the application.
        let (former, before, after) =
            if is_own { (&namespace, "", &*separate) } else { (&boxes, &*separate, "") };
        namespace.config(before);
        namespace.handsctl(&["deploy"]).exits(0);
        let pod = serde_json::json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": { "name": "openhands-runtime-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "labels": { "app": "openhands-runtime" } },
            "spec": {
                "nodeSelector": { "example.io/none": "none" },
                "containers": [{ "name": "runtime", "image": "registry.example/runtime:1" }],
            },
        });
        bed.kubectl_with(&["create", "-n", &former.name, "-f", "-"], &pod.to_string());
        namespace.config(after);
        for _ in 0..2 {
            namespace
                .handsctl(&["deploy", "-v"])
                .exits(0)
                .says(&format!("it limits 1 pod in namespace {}", former.name))
                .never_says("networkpolicy.networking.k8s.io/oh pruned");
            assert!(former.has("networkpolicy/oh") && !former.has("role/oh"));
        }
        bed.kubectl(&[
            "delete",
            "pod",
            "openhands-runtime-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "-n",
            &former.name,
            "--now",
        ]);
        namespace.handsctl(&["deploy"]).exits(0).says("networkpolicy.networking.k8s.io/oh pruned");
        assert!(!former.has("networkpolicy/oh") && namespace.has("networkpolicy/oh-app"));
    }
}

#[test]
fn extra_config_map_is_pruned_at_once_unless_a_pod_uses_it() {
    let namespace = Bed::shared().namespace("prune-extra");
    let write = |text: &str| std::fs::write(namespace.folder.path().join("extra.yaml"), text).unwrap();
    let map = |name: &str| {
        format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: {name} }}\ndata: {{ a: b }}\n---\n")
    };
    let volume = "volumes: [{ name: used, configMap: { name: used } }]";
    let workload = format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{ name: own }}\nspec:\n  selector: {{ matchLabels: {{ a: b }} }}\n  template:\n    \
         metadata: {{ labels: {{ a: b }} }}\n    spec:\n      containers: [{{ name: c, image: busybox }}]\n      {volume}\n"
    );
    namespace.config("[deploy]\nextra_manifests = [\"extra.yaml\"]\n");
    write(&[map("plain"), map("used"), workload.clone()].concat());
    namespace.handsctl(&["deploy"]).exits(0);
    write(&workload);
    let why =
        "configmap/used kept: a pod or a ReplicaSet still uses it; the first deploy after that deletes it";
    namespace.handsctl(&["deploy"]).exits(0).says("configmap/plain pruned").says(why);
    assert!(!namespace.has("configmap/plain") && namespace.has("configmap/used"));
    namespace.handsctl(&["deploy"]).exits(0).says(why);
    // The revision has the content of both.
    namespace.handsctl(&["rollback"]).exits(0).says("configmap/plain created");
    write("");
    namespace
        .handsctl(&["deploy"])
        .exits(0)
        .says("configmap/plain pruned")
        .says("deployment.apps/own pruned");
    namespace.handsctl(&["deploy"]).exits(0);
    assert!(!namespace.has("configmap/used") && !namespace.has("configmap/plain"));
}
