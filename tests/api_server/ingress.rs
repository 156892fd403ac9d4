//! The ingress controllers of local clusters, on a real API server.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::bed::{Bed, OwnCluster, finish};
use crate::fault::{Proxy, Request as RecordedRequest};
use crate::webhook::{Answer, Authority, Webhook};

const NAMESPACE: &str = "ingress-nginx";
const WEBHOOK: &str = "validatingwebhookconfigurations/ingress-nginx-admission";

/// Time limit of each wait.
const WAIT_LIMIT: Duration = Duration::from_secs(60);
/// How long the test checks that no request is sent. No event marks the absence of one.
const QUIET_PERIOD: Duration = Duration::from_secs(2);

#[test]
fn removed_controller_leaves_a_namespace_that_others_use() {
    let own = OwnCluster::new("ingress-change", "ingress = \"nginx\"\n");
    // Simulated nodes run no webhook.
    own.handsctl(&["cluster", "up", "--timeout", "40s"]).exits(10);
    let bed = own.bed();
    let names = |kinds: &str| bed.kubectl(&["get", kinds, "-n", NAMESPACE, "-o", "name"]);
    assert!(names("deployments").contains("ingress-nginx-controller"));
    bed.kubectl(&["create", "configmap", "theirs", "-n", NAMESPACE]);
    own.config("ingress = \"traefik\"\n");
    own.handsctl(&["cluster", "up"])
        .exits(0)
        .says("namespace/ingress-nginx kept")
        .says("it has objects that handsctl did not create: configmap/theirs");
    assert_eq!(names("configmaps,services,jobs,roles"), "configmap/kube-root-ca.crt\nconfigmap/theirs\n");
    assert_eq!(names("deployments"), "");
    // With nothing of others in it, the namespace goes too.
    bed.kubectl(&["delete", "configmap", "theirs", "-n", NAMESPACE]);
    own.handsctl(&["cluster", "up"]).exits(0).says("namespace/ingress-nginx deleted");
}

#[test]
fn nginx_webhook_is_ready_before_any_ingress_is_sent() {
    let own = OwnCluster::new("nginx", "");
    own.handsctl(&["cluster", "up"]).exits(0);
    let mut bed = own.bed();
    let proxy = Proxy::for_cluster(&bed);
    proxy.redirect_kubeconfig(&mut bed);
    // The scheduler uses no simulated node now: the test plays the kubelet of the Jobs and the controller.
    bed.kubectl(&["cordon", "-l", "!nobody"]);
    let node = json!({ "apiVersion": "v1", "kind": "Node", "metadata": { "name": "bare" },
        "spec": { "taints": [{ "key": "example.io/bare", "value": "yes", "effect": "NoSchedule" }] } });
    bed.kubectl_with(&["create", "-f", "-"], &node.to_string());

    own.config("ingress = \"nginx\"\n");
    let up = own.command(&["up", "--timeout", "3m"]).spawn();
    let jobs = ["job-name=ingress-nginx-admission-create", "job-name=ingress-nginx-admission-patch"];
    let jobs = jobs.map(|label| bind_pod(&bed, label));
    let controller = bind_pod(&bed, "app.kubernetes.io/component=controller");
    let ready =
        json!({ "phase": "Running", "conditions": [condition("Ready"), condition("ContainersReady")] });
    set_status(&bed, &controller, &ready);
    std::thread::sleep(QUIET_PERIOD);
    assert_eq!(ingresses(&proxy), Vec::<String>::new(), "the Jobs have not completed");

    let authority = Authority::new();
    let bundle =
        json!([{ "op": "add", "path": "/webhooks/0/clientConfig/caBundle", "value": authority.bundle() }]);
    bed.kubectl(&["patch", WEBHOOK, "--type=json", "-p", &bundle.to_string()]);
    for pod in &jobs {
        set_status(&bed, pod, &json!({ "phase": "Succeeded" }));
    }
    // handsctl sends a dry run, and the webhook does not respond.
    wait_until("the webhook is called", || {
        ingresses(&proxy).iter().any(|request| request.starts_with("POST"))
    });
    std::thread::sleep(QUIET_PERIOD);
    assert!(
        ingresses(&proxy).iter().all(|request| request.starts_with("POST") && request.contains("dryRun=All"))
    );

    bed.kubectl(&["uncordon", "-l", "!nobody"]);
    let webhook = Webhook::new(&authority, |_call| Answer::Allow);
    let patch = json!([
        { "op": "remove", "path": "/webhooks/0/clientConfig/service" },
        { "op": "add", "path": "/webhooks/0/clientConfig/url", "value": webhook.url() },
    ]);
    bed.kubectl(&["patch", WEBHOOK, "--type=json", "-p", &patch.to_string()]);
    let run = finish(up).exits(0);
    run.says("warning   HC2025").says("ingress.networking.k8s.io/openhands created");

    let sent: Vec<RecordedRequest> = proxy.requests_that(|request| request.method == "PATCH");
    let position = |path: &str| sent.iter().position(|request| request.path.contains(path)).unwrap();
    let before =
        position("/jobs/ingress-nginx-admission-patch").max(position("/jobs/ingress-nginx-admission-create"));
    let ingress = position("/ingresses/openhands");
    assert!(position(&format!("/{WEBHOOK}")) < before && before < ingress);
    assert!(webhook.calls() >= 2, "one dry run, then the Ingress");
    let objects = sent.iter().take(ingress).filter(|request| is_of_controller(request)).count();
    assert_eq!(objects, 19, "each object of upstream's manifest once");
    let live = bed.get(&[WEBHOOK]);
    let entry = live["metadata"]["managedFields"]
        .as_array()
        .unwrap()
        .iter()
        .find(|entry| entry["manager"] == "handsctl");
    let fields = entry.unwrap()["fieldsV1"].to_string();
    assert!(fields.contains("f:webhooks") && !fields.contains("caBundle"), "{fields}");
    assert_eq!(live["webhooks"][0]["clientConfig"]["caBundle"], authority.bundle());
}

#[test]
fn traefik_is_created_once_and_foreign_controller_is_kept() {
    let own = OwnCluster::new("traefik", "ingress = \"traefik\"\n");
    own.handsctl(&["cluster", "up"]).exits(0).says("deployment.apps/traefik created");
    let bed = own.bed();
    let class = bed.get(&["ingressclass", "traefik"]);
    assert_eq!(class["metadata"]["annotations"]["ingressclass.kubernetes.io/is-default-class"], "true");
    let second_run = own.handsctl(&["cluster", "up"]).exits(0);
    second_run.never_says("created").never_says("configured");

    // A foreign namespace of the other controller stays unchanged, and Traefik is not deleted.
    bed.kubectl(&["create", "namespace", NAMESPACE]);
    let before = bed.get(&["namespace", NAMESPACE]);
    own.config("ingress = \"nginx\"\n");
    own.handsctl(&["cluster", "up"])
        .exits(7)
        .says("error[HC3006]")
        .says("[cluster] ingress = \"none\"")
        .never_says("deleted");
    assert_eq!(bed.get(&["namespace", NAMESPACE]), before);
    own.config("ingress = \"none\"\n");
    own.handsctl(&["cluster", "up"]).exits(0).never_says("deleted");
    bed.kubectl(&["get", "deployment", "-n", "traefik", "traefik"]);
    assert_eq!(bed.get(&["namespace", "traefik"])["status"]["phase"], "Active");

    // Of two controllers that handsctl created, the unconfigured one is deleted.
    bed.kubectl(&["delete", "namespace", NAMESPACE]);
    own.config("ingress = \"nginx\"\n");
    // The new controller never becomes ready on simulated nodes: the deadline only needs to outlast the deletion.
    own.handsctl(&["cluster", "up", "--timeout", "40s"]).exits(10).says("namespace/traefik deleted");
}

/// All write requests about Ingresses, as `PATCH /apis/…`.
fn ingresses(proxy: &Proxy) -> Vec<String> {
    let writes =
        proxy.requests_that(|request| request.path.contains("/ingresses") && request.method != "GET");
    writes.into_iter().map(|request| format!("{} {}", request.method, request.path)).collect()
}

/// Whether the request is about an object of the nginx controller.
fn is_of_controller(request: &RecordedRequest) -> bool {
    let path = request.path.split('?').next().unwrap();
    let name = path.rsplit('/').next().unwrap();
    path.contains(&format!("/namespaces/{NAMESPACE}")) || name.starts_with(NAMESPACE) || name == "nginx"
}

/// Waits for a pod with these labels and binds it to the node without a kubelet; returns its name.
fn bind_pod(bed: &Bed, labels: &str) -> String {
    let query = ["get", "pods", "-n", NAMESPACE, "-l", labels, "-o", "jsonpath={.items[*].metadata.name}"];
    let mut name = String::new();
    wait_until(labels, || {
        name = String::from_utf8(bed.try_kubectl(&query, "").stdout).unwrap();
        !name.is_empty()
    });
    let binding = json!({ "apiVersion": "v1", "kind": "Binding", "metadata": { "name": name },
        "target": { "apiVersion": "v1", "kind": "Node", "name": "bare" } });
    bed.kubectl_with(&["create", "-n", NAMESPACE, "-f", "-"], &binding.to_string());
    name
}

fn set_status(bed: &Bed, pod: &str, status: &Value) {
    let patch = json!({ "status": status }).to_string();
    bed.kubectl(&[
        "patch",
        "pod",
        pod,
        "-n",
        NAMESPACE,
        "--subresource=status",
        "--type=merge",
        "-p",
        &patch,
    ]);
}

fn condition(kind: &str) -> Value {
    json!({ "type": kind, "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z" })
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < WAIT_LIMIT, "{what}: not within {WAIT_LIMIT:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn second_set_with_the_same_host_is_warned_about() {
    let bed = Bed::shared();
    let (first, second) = (bed.namespace("host-one"), bed.namespace("host-two"));
    let config = format!("[deploy]\nhost = \"{}.example.org\"\n", first.name);
    first.config(&config);
    second.config(&config);
    first.handsctl(&["deploy"]).exits(0).never_says("HC2051");
    let rival =
        format!("ingress/oh in namespace {0} of the handsctl installation oh of namespace {0}", first.name);
    second
        .handsctl(&["deploy"])
        .exits(0)
        .says("HC2051")
        .says(&rival)
        .says(&format!("{}.example.org/", first.name));
    second.handsctl(&["deploy"]).exits(0).says("unchanged").never_says("HC2051");
}
