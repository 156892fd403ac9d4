//! `[deploy].extra_manifests`: the user's own objects as members of the set.

use std::time::Duration;

use serde_json::Value;

use super::refusals::wait_for_output;
use crate::bed::{Bed, Definition, Namespace, finish};
use crate::fault::Proxy;

fn write(namespace: &Namespace, file: &str, text: &str) {
    let path = namespace.folder.path().join(file);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

#[test]
fn extra_manifests_follow_the_set_lifecycle() {
    let namespace = Bed::shared().namespace("extra");
    let group = format!("{}.example.com", namespace.name);
    let _definition = Definition::create(namespace.bed, &group, "v1beta2", "Gadget");
    let gadget = format!("gadget.{group}/own");
    let disruption = "poddisruptionbudget.policy/own";
    write(
        &namespace,
        "extra/10-budget.yaml",
        "apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata:\n  name: own\n  labels: { team: \"on\" }\nspec:\n  maxUnavailable: 0\n  \
         selector:\n    matchLabels: { app.kubernetes.io/instance: oh }\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: { name: own }\n\
         data: { a: \"on\" }\n",
    );
    write(
        &namespace,
        "gadget.yaml",
        &format!(
            "apiVersion: {group}/v1beta2\nkind: Gadget\nmetadata: {{ name: own }}\nspec: {{ size: 3 }}\n---\n\
             apiVersion: v1\nkind: PodTemplate\nmetadata: {{ name: own }}\ntemplate:\n  spec:\n    containers: [{{ name: a, image: b }}]\n"
        ),
    );
    let both = "[deploy]\nextra_manifests = [\"extra\", \"gadget.yaml\"]\n";
    namespace.config(both);
    namespace
        .handsctl(&["deploy"])
        .exits(0)
        .says("14 created")
        .says(&format!("{gadget} created"))
        .says(&format!("HC4024 applied, not watched: {gadget}"));
    namespace.handsctl(&["status"]).exits(0).prints(&format!("{gadget}: applied, not watched"));
    let set = namespace.bed.get(&["configmap", "handsctl-oh", "-n", &namespace.name]);
    let kinds = &set["metadata"]["annotations"]["applyset.kubernetes.io/contains-group-kinds"];
    assert!(kinds.as_str().unwrap().contains(&format!("Gadget.{group}")), "{kinds}");
    let live: Value = namespace.bed.get(&["pdb", "own", "-n", &namespace.name]);
    assert_eq!(live["metadata"]["labels"]["team"], "on", "a text in quotes");
    assert!(
        live["metadata"]["labels"]["app.kubernetes.io/instance"].is_null(),
        "the labels of the application are not added"
    );
    // The second deploy sends nothing, and nothing differs.
    namespace.handsctl(&["deploy"]).exits(0).says("14 unchanged").says("0 to send");
    namespace.handsctl(&["diff"]).exits(0);
    assert!(namespace.handsctl(&["render"]).exits(0).stdout.contains("kind: Gadget"));

    namespace.config("[deploy]\nextra_manifests = [\"extra\"]\n");
    namespace.handsctl(&["diff"]).exits(1).prints("own");
    let kept = format!("{gadget} kept: the controller of Gadget.{group} may delete data with it");
    namespace.handsctl(&["deploy"]).exits(0).says(&kept);
    assert!(namespace.has(&gadget) && namespace.has(disruption));
    assert!(!namespace.has("podtemplate/own"), "an object of the core group is pruned too");
    namespace.handsctl(&["deploy", "--delete-data", "--yes"]).exits(0).says(&format!("{gadget} pruned"));
    assert!(!namespace.has(&gadget) && namespace.has(disruption));
    namespace.handsctl(&["rollback"]).exits(0).says(&format!("{gadget} created"));
    assert!(namespace.has(&gadget));
    namespace.handsctl(&["teardown"]).exits(0).says(&kept).says("configmap/handsctl-oh kept");
    assert!(namespace.has(&gadget) && !namespace.has(disruption));
    // A later teardown finds it by the parent, whatever the configuration says.
    namespace.config("");
    namespace.handsctl(&["teardown", "--delete-data"]).exits(2).says("--yes");
    namespace.handsctl(&["teardown", "--delete-data", "--yes"]).exits(0).says(&format!("{gadget} deleted"));
    assert!(!namespace.has(&gadget) && !namespace.has("configmap/handsctl-oh"));
}

#[test]
fn custom_resource_is_kept_like_a_claim_without_delete_data() {
    let namespace = Bed::shared().namespace("custom-kept");
    let group = format!("{}.example.com", namespace.name);
    let _definition = Definition::create(namespace.bed, &group, "v1", "Database");
    let database = format!("database.{group}/own");
    let manifest = format!("apiVersion: {group}/v1\nkind: Database\nmetadata: {{ name: own }}\nspec: {{}}\n");
    write(&namespace, "database.yaml", &manifest);
    let with = "[deploy]\nextra_manifests = [\"database.yaml\"]\n";
    let why = format!("{database} kept: the controller of Database.{group} may delete data with it");
    namespace.config(with);
    namespace.handsctl(&["deploy", "--no-wait"]).exits(0);
    let uid = || namespace.bed.get(&[&database, "-n", &namespace.name])["metadata"]["uid"].clone();
    let created = uid();
    // Neither a deploy without it nor a teardown deletes it.
    namespace.config("");
    namespace.handsctl(&["deploy", "--no-wait"]).exits(0).says(&why);
    namespace.handsctl(&["teardown"]).exits(0).says(&why);
    assert_eq!(uid(), created);
    namespace.config(with);
    namespace.handsctl(&["deploy", "--no-wait"]).exits(0);
    assert_eq!(uid(), created, "it was not created again");
    namespace.handsctl(&["teardown", "--delete-data"]).exits(2).says("--yes");
    assert!(namespace.has(&database));
    namespace.handsctl(&["teardown", "--delete-data", "--yes"]).exits(0);
    assert!(!namespace.has(&database));
}

#[test]
fn kind_added_by_concurrent_run_is_pruned() {
    let namespace = Bed::shared().namespace("extra-meanwhile");
    let template = "apiVersion: v1\nkind: PodTemplate\nmetadata: { name: own }\ntemplate:\n  spec:\n    containers: [{ name: a, image: b }]\n";
    write(&namespace, "extra.yaml", template);
    namespace.handsctl(&["deploy"]).exits(0);
    let proxy = Proxy::for_cluster(namespace.bed);
    let held = proxy.on(|request| request.method == "POST" && request.path.contains("/leases")).hold();
    let set = ["deploy", "--set", "deploy.host=\"other.example\""];
    let first = proxy.command(&namespace, &set).spawn();
    held.wait_for_request(Duration::from_secs(60));
    // The first run has read the set and has no lock yet.
    namespace.handsctl(&["deploy", "--set", "deploy.extra_manifests=[\"extra.yaml\"]"]).exits(0);
    assert!(namespace.has("podtemplate/own"));
    held.release();
    finish(first).exits(0).says("podtemplate/own pruned");
    assert!(!namespace.has("podtemplate/own"));
}

/// A workload whose pods have the label `app: x`, no probes, and one container of this image.
fn workload(api_version: &str, kind: &str, name: &str, image: &str, more: &str) -> String {
    let template = format!(
        "  template:\n    metadata: {{ labels: {{ app: {name} }}{more} }}\n    spec:\n      \
         containers: [{{ name: a, image: \"registry.example/{image}:1\" }}]\n"
    );
    let selector = format!("  selector: {{ matchLabels: {{ app: {name} }} }}\n");
    let service = if kind == "StatefulSet" { "  serviceName: none\n" } else { "" };
    format!(
        "apiVersion: {api_version}\nkind: {kind}\nmetadata: {{ name: {name} }}\nspec:\n{service}{selector}{template}---\n"
    )
}

#[test]
fn extra_deployment_in_another_namespace_survives_the_second_deploy() {
    let bed = Bed::shared();
    let (namespace, boxes) = (bed.namespace("extra-two"), bed.namespace("extra-two-boxes"));
    boxes.create(&[]);
    let helper = workload("apps/v1", "Deployment", "helper", "a", "");
    let elsewhere = format!("metadata: {{ name: helper, namespace: {} }}", boxes.name);
    write(&namespace, "extra.yaml", &helper.replace("metadata: { name: helper }", &elsewhere));
    namespace.config(&format!(
        "[kubernetes]\nnamespace = \"{}\"\n[deploy]\nextra_manifests = [\"extra.yaml\"]\n",
        boxes.name
    ));
    namespace.handsctl(&["deploy"]).exits(0);
    assert!(boxes.has("deployment/helper"));
    // Lists of Deployments arrive from two namespaces: neither replaces the other's.
    namespace.handsctl(&["deploy", "--set", "deploy.env={ A = \"1\" }"]).exits(0).never_says("was deleted");
    assert!(boxes.has("deployment/helper"));
    namespace.handsctl(&["status"]).exits(0).prints("  helper     1/1");
    // Only the revisions name it now.
    namespace.config(&format!("[kubernetes]\nnamespace = \"{}\"\n", boxes.name));
    namespace.handsctl(&["deploy"]).exits(0).says("pruned");
    assert!(!boxes.has("deployment/helper"));
}

#[test]
fn broken_extra_workloads_fail_deploy_and_degrade_status() {
    let namespace = Bed::shared().namespace("extra-broken");
    let image = "simulate-image-pull-backoff";
    let pod = format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{ name: bare }}\nspec:\n  \
         containers: [{{ name: a, image: \"registry.example/{image}:1\" }}]\n"
    );
    let sets = workload("apps/v1", "StatefulSet", "state", image, "")
        + &workload("apps/v1", "DaemonSet", "daemon", image, "");
    write(&namespace, "extra.yaml", &(sets + &pod));
    namespace.config("[deploy]\nextra_manifests = [\"extra.yaml\"]\n");
    namespace.handsctl(&["deploy", "--no-rollback"]).exits(9).says("error[HC4103]: the image does not exist");
    // The application serves without them.
    let application = ["rollout", "status", "deployment/oh", "-n", &namespace.name, "--timeout=30s"];
    namespace.bed.kubectl(&application);
    let status = namespace.handsctl(&["status", "-o", "json"]).exits(11).json();
    let reasons = status["reasons"].to_string();
    for workload in ["state 0/1", "daemon 0/", "pod/bare: 0/1"] {
        assert!(reasons.contains(workload), "{workload} in {reasons}");
    }
    assert_eq!(status["findings"][0]["id"], "HC4103", "{status}");
}

#[test]
fn healthy_extra_workloads_are_followed_to_their_pods() {
    let namespace = Bed::shared().namespace("extra-healthy");
    let once = "apiVersion: batch/v1\nkind: Job\nmetadata: { name: once }\nspec:\n  template:\n    spec:\n      \
                restartPolicy: Never\n      containers: [{ name: a, image: \"registry.example/a:1\" }]\n---\n";
    let nightly = "apiVersion: batch/v1\nkind: CronJob\nmetadata: { name: nightly }\nspec:\n  schedule: \"0 3 * * *\"\n  \
                   jobTemplate:\n    spec:\n      template:\n        spec:\n          restartPolicy: Never\n          \
                   containers: [{ name: a, image: \"registry.example/a:1\" }]\n---\n";
    let sets = workload("apps/v1", "StatefulSet", "state", "a", "")
        + &workload("apps/v1", "DaemonSet", "daemon", "a", "")
        + &workload("apps/v1", "ReplicaSet", "copies", "a", "");
    write(&namespace, "extra.yaml", &(sets + once + nightly));
    namespace.config("[deploy]\nextra_manifests = [\"extra.yaml\"]\n");
    let run = namespace.handsctl(&["deploy"]).exits(0).never_says("HC4024");
    for workload in ["statefulset.apps/state 1/1", "replicaset.apps/copies 1/1", "job.batch/once 1/1"] {
        assert!(run.stderr.contains(workload), "{workload}: {}", run.stderr);
    }
    let daemons = namespace.bed.get(&["daemonset", "daemon", "-n", &namespace.name]);
    let desired = daemons["status"]["desiredNumberScheduled"].as_u64().unwrap();
    assert!(desired > 0 && run.stderr.contains(&format!("daemonset.apps/daemon {desired}/{desired}")));
    namespace.handsctl(&["status"]).exits(0).never_says("not watched");
}

#[test]
fn broken_extra_job_and_replica_set_name_their_pods() {
    let namespace = Bed::shared().namespace("extra-jobs");
    let image = "registry.example/simulate-image-pull-backoff:1";
    let job = format!(
        "apiVersion: batch/v1\nkind: Job\nmetadata: {{ name: once }}\nspec:\n  template:\n    spec:\n      \
         restartPolicy: Never\n      containers: [{{ name: a, image: \"{image}\" }}]\n"
    );
    let copies = workload("apps/v1", "ReplicaSet", "copies", "simulate-image-pull-backoff", "");
    for (file, text, pod) in [("job.yaml", &job, "pod/once-"), ("copies.yaml", &copies, "pod/copies-")] {
        write(&namespace, file, text);
        namespace.config(&format!("[deploy]\nextra_manifests = [\"{file}\"]\n"));
        namespace
            .handsctl(&["deploy", "--no-rollback"])
            .exits(9)
            .says("error[HC4103]: the image does not exist")
            .says(&format!("object    {pod}"))
            .says("[deploy].extra_manifests");
    }
}

/// Writes the condition of an object, as its controller would.
fn report_condition(namespace: &Namespace, object: &str, condition: &Value) {
    let patch = serde_json::json!({ "status": { "conditions": [condition] } }).to_string();
    wait_for_output(namespace.bed, &["get", object, "-n", &namespace.name, "-o", "name"], |text| {
        !text.is_empty()
    });
    namespace.bed.kubectl(&["patch", object, "-n", &namespace.name, "--type=merge", "-p", &patch]);
}

#[test]
fn custom_resource_is_ready_when_its_controller_reports_it() {
    let namespace = Bed::shared().namespace("custom-ready");
    let group = format!("{}.example.com", namespace.name);
    let _definition = Definition::create(namespace.bed, &group, "v1", "Certificate");
    let certificate = format!("certificate.{group}/tls");
    let manifest = |host: &str| {
        format!(
            "apiVersion: {group}/v1\nkind: Certificate\nmetadata: {{ name: tls }}\nspec: {{ host: {host} }}\n"
        )
    };
    write(&namespace, "tls.yaml", &manifest("a.example"));
    namespace.config("[deploy]\nextra_manifests = [\"tls.yaml\"]\n");
    let condition = |name: &str, status: &str, reason: &str, message: &str| {
        serde_json::json!({ "type": name, "status": status, "reason": reason, "message": message,
            "lastTransitionTime": jiff::Timestamp::now().to_string() })
    };
    let deploy = namespace.command(&["deploy", "--no-rollback"]).spawn_in_background();
    report_condition(
        &namespace,
        &certificate,
        &condition("Stalled", "True", "IssuerNotFound", "no issuer of this name"),
    );
    deploy
        .finish()
        .exits(9)
        .says("error[HC4031]: an object's controller reports that it is not ready")
        .says(&format!("object    {certificate}"))
        .says("IssuerNotFound: no issuer of this name")
        .says("--> config.toml:2:19")
        .never_says("HC4024");
    let status = namespace.handsctl(&["status"]);
    assert!(status.stdout.contains("IssuerNotFound: no issuer of this name"), "{}", status.stdout);
    // What was not ready before blocks no deploy that leaves it unchanged. The times of a cluster have whole seconds.
    std::thread::sleep(Duration::from_secs(1));
    let object = format!("{certificate}: IssuerNotFound: no issuer of this name");
    namespace.handsctl(&["deploy"]).exits(0).says("HC4031").says(&object);
    namespace.handsctl(&["status"]).exits(11);
    // The controller succeeds while the next deploy waits for it.
    write(&namespace, "tls.yaml", &manifest("b.example"));
    report_condition(
        &namespace,
        &certificate,
        &condition("Ready", "False", "Issuing", "waiting for the issuer"),
    );
    let deploy = namespace.command(&["deploy"]).spawn_in_background();
    std::thread::sleep(Duration::from_secs(5));
    report_condition(&namespace, &certificate, &condition("Ready", "True", "Issued", "issued"));
    deploy.finish().exits(0).says(&format!("{certificate} Ready"));
    namespace.handsctl(&["status"]).exits(0).never_says("not watched");
}

#[test]
fn crash_looping_extra_deployment_fails_deploy() {
    let namespace = Bed::shared().namespace("extra-crash");
    let backoff = ", annotations: { handsctl.dev/backoff: 1s }";
    let helper = workload("apps/v1", "Deployment", "helper", "simulate-crash-loop-backoff", backoff);
    write(&namespace, "extra.yaml", &helper);
    namespace.config("[deploy]\nextra_manifests = [\"extra.yaml\"]\n");
    namespace
        .handsctl(&["deploy", "--no-rollback"])
        .exits(9)
        .says("error[HC4201]: the container crashes in a loop")
        .says("pod/helper-")
        .says("--> config.toml:2:19")
        .says("[deploy].extra_manifests");
    let status = namespace.handsctl(&["status", "-o", "json"]).json();
    let components = status["components"].as_array().unwrap();
    let helper = components.iter().find(|component| component["name"] == "helper").unwrap();
    assert!(helper["restarts"].as_u64() >= Some(2), "{status}");
}

#[test]
fn deploy_waits_for_pods_of_pruned_deployment() {
    let namespace = Bed::shared().namespace("extra-pruned");
    // The pods do not end before their finalizer is removed.
    let hold = ", finalizers: [example.io/hold]";
    let helper = workload("apps/v1", "Deployment", "helper", "fine", hold);
    let probed = helper.replace("fine:1\"", "fine:1\", readinessProbe: { tcpSocket: { port: 1 } }");
    write(&namespace, "extra.yaml", &probed);
    namespace.config("[deploy]\nextra_manifests = [\"extra.yaml\"]\n");
    namespace.handsctl(&["deploy"]).exits(0);
    namespace.config("");
    let deploy = namespace.command(&["deploy"]).spawn();
    let deletion = "jsonpath={.metadata.deletionTimestamp}";
    let read = ["get", "deployment/helper", "-n", &namespace.name, "-o", deletion];
    wait_for_output(namespace.bed, &read, |text| !text.is_empty());
    let pods = ["get", "pods", "-l", "app=helper", "-n", &namespace.name, "-o", "name"];
    let pod = namespace.bed.kubectl(&pods);
    let patch = r#"{"metadata":{"finalizers":null}}"#;
    namespace.bed.kubectl(&["patch", pod.trim(), "-n", &namespace.name, "--type=merge", "-p", patch]);
    finish(deploy).exits(0).says("deployment.apps/helper pruned").never_says("still terminating");
    assert!(!namespace.has("deployment/helper"), "the deploy has waited for it");
    namespace.handsctl(&["status"]).exits(0);
}

#[test]
fn invalid_extra_manifest_is_rejected_before_changes() {
    let namespace = Bed::shared().namespace("extra-refused");
    namespace.config("[deploy]\nextra_manifests = [\"extra.yaml\"]\n");
    let deploy = |text: &str| {
        write(&namespace, "extra.yaml", text);
        namespace.handsctl(&["deploy"])
    };
    let metadata = "metadata: { name: a }\n";
    deploy(&format!("apiVersion: acme.example/v1\nkind: Rocket\n{metadata}"))
        .exits(8)
        .says("error[HC3014]: the cluster has no kind Rocket in acme.example/v1");
    // A definition with an object of it: the cluster does not know the kind, and that is not the reason.
    let definition = "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\n";
    let both = format!("{definition}{metadata}---\napiVersion: acme.example/v1\nkind: Rocket\n{metadata}");
    for command in ["deploy", "diff"] {
        write(&namespace, "extra.yaml", &both);
        namespace
            .handsctl(&[command])
            .exits(3)
            .says("is a CustomResourceDefinition, which is cluster-scoped")
            .says("apply that with kubectl first");
    }
    deploy(&format!("apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\n{metadata}"))
        .exits(3)
        .says("error[HC0112]")
        .says("which is cluster-scoped")
        .says("config.toml:2:20");
    deploy("apiVersion: v1\nkind: ConfigMap\nmetadata: { name: a, namespace: kube-system }\n")
        .exits(3)
        .says("is for namespace kube-system");
    deploy("apiVersion: apps/v1\nkind: Deployment\nmetadata: { name: oh }\n")
        .exits(3)
        .says("which the installation already has");
    deploy("apiVersion: v1\nkind: Secret\nmetadata: { name: a }\nstringData: { a: planted }\n")
        .exits(3)
        .says("is a Secret, which is not allowed")
        .never_says("planted");
    deploy("apiVersion: v1\nkind: ConfigMap\nmetadata: { name: a }\ndata: { a: 1 }\n")
        .exits(8)
        .says("configmap/a");
    assert!(!namespace.has("deployment/oh"));
}

#[test]
fn octal_mode_of_extra_manifest_reaches_the_cluster() {
    let namespace = Bed::shared().namespace("octal");
    namespace.config("[deploy]\nextra_manifests = [\"extra.yaml\"]\n");
    let volume = "{ name: a, secret: { secretName: b, defaultMode: 0440 } }";
    write(
        &namespace,
        "extra.yaml",
        &format!(
            "apiVersion: v1\nkind: PodTemplate\nmetadata: {{ name: own }}\ntemplate:\n  spec:\n    hostIPC: no\n    \
             containers: [{{ name: a, image: b }}]\n    volumes: [{volume}]\n"
        ),
    );
    namespace.handsctl(&["deploy", "--no-wait"]).exits(0);
    let template = namespace.bed.get(&["podtemplate", "own", "-n", &namespace.name]);
    assert_eq!(template["template"]["spec"]["volumes"][0]["secret"]["defaultMode"], 0o440);
}
