//! The profiles: what each renders is taken by a real API server without a warning, and the second run sends nothing.

use serde_json::{Value, json};

use crate::bed::{Bed, Namespace, Run};

/// `OpenShift`'s kind, which this server has only while the test runs.
struct Routes<'a>(&'a Bed);

impl<'a> Routes<'a> {
    fn make(bed: &'a Bed) -> Self {
        let schema = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
        let manifest = json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": { "name": "routes.route.openshift.io" },
            "spec": {
                "group": "route.openshift.io", "scope": "Namespaced",
                "names": { "kind": "Route", "plural": "routes", "singular": "route" },
                "versions": [{ "name": "v1", "served": true, "storage": true, "schema": { "openAPIV3Schema": schema } }],
            },
        });
        bed.kubectl_with(&["apply", "-f", "-"], &manifest.to_string());
        bed.kubectl(&[
            "wait",
            "--for=condition=Established",
            "crd/routes.route.openshift.io",
            "--timeout=30s",
        ]);
        Self(bed)
    }
}

impl Drop for Routes<'_> {
    fn drop(&mut self) {
        let name = "crd/routes.route.openshift.io";
        let _gone = self.0.try_kubectl(&["delete", name, "--ignore-not-found", "--wait=false"], "");
    }
}

/// A namespace that warns of everything that Pod Security *restricted* refuses.
fn strict(test: &str) -> Namespace {
    let namespace = Bed::shared().namespace(test);
    namespace.make(&[("pod-security.kubernetes.io/warn", "restricted")]);
    namespace
}

/// Deploys twice: without a word of the server's, and the second time without a PATCH.
fn twice(namespace: &Namespace) -> Run {
    let first = namespace.handsctl(&["deploy"]).exits(0).never_says("HC3010").says("deployment.apps/oh 1/1");
    namespace.handsctl(&["deploy"]).exits(0).never_says("HC3010").says(" 0 to send");
    first
}

fn get(namespace: &Namespace, object: &str) -> Value {
    namespace.bed.get(&[object, "-n", &namespace.name])
}

fn is_there(namespace: &Namespace, object: &str) -> bool {
    namespace.bed.try_kubectl(&["get", object, "-n", &namespace.name], "").status.success()
}

#[test]
fn openshift_has_a_route_where_the_api_has_it() {
    if Bed::is_off("openshift_has_a_route_where_the_api_has_it") {
        return;
    }
    let namespace = strict("openshift");
    namespace.config("[deploy]\nprofile = \"openshift\"\nhost = \"hands.apps.example.com\"\n");
    namespace
        .handsctl(&["deploy"])
        .exits(8)
        .says("error[HC3014]: the cluster has no kind Route")
        .says("expose = \"ingress\" or \"nodeport\"");
    assert!(!is_there(&namespace, "deployment/oh"));
    namespace.handsctl(&["deploy", "--set", "deploy.expose=nodeport", "--dry-run=server"]).exits(0);

    let _routes = Routes::make(namespace.bed);
    twice(&namespace)
        .says("oc adm policy add-scc-to-user nonroot-v2 -z oh")
        .says("route.route.openshift.io/oh created");
    let route = get(&namespace, "route/oh");
    assert_eq!(route["spec"]["host"], "hands.apps.example.com");
    assert_eq!(route["spec"]["to"]["name"], "oh");
    assert_eq!(route["spec"]["tls"]["termination"], "edge");
    assert!(!is_there(&namespace, "ingress/oh"));
    let shown = namespace.handsctl(&["config", "show", "--origin"]).exits(0);
    assert!(
        shown
            .stdout
            .lines()
            .any(|line| line.contains("deploy.expose") && line.ends_with("profile openshift"))
    );
    // What is switched off is pruned, also of a kind that not every set has.
    namespace.config("[deploy]\nprofile = \"openshift\"\nexpose = \"none\"\n");
    namespace.handsctl(&["deploy"]).exits(0).says("route.route.openshift.io/oh pruned");
}

#[test]
fn gke_has_a_load_balancer_and_its_key_file_and_no_role_of_the_cluster() {
    if Bed::is_off("gke_has_a_load_balancer_and_its_key_file_and_no_role_of_the_cluster") {
        return;
    }
    let namespace = strict("gke");
    namespace.config("[deploy]\nprofile = \"gke\"\n");
    let missing = namespace.handsctl(&["deploy", "--dry-run=server"]).exits(0);
    assert!(missing.stderr.contains("secret/google-cloud-key in namespace"), "{}", missing.stderr);
    let key = "--from-literal=key.json={}";
    namespace.bed.kubectl(&["create", "secret", "generic", "google-cloud-key", key, "-n", &namespace.name]);
    let run = twice(&namespace);
    assert!(!run.stderr.contains("HC4203"), "{}", run.stderr);

    assert_eq!(get(&namespace, "service/oh")["spec"]["type"], "LoadBalancer");
    let pod = get(&namespace, "deployment/oh")["spec"]["template"]["spec"].clone();
    let volumes = pod["volumes"].as_array().unwrap();
    let volume = volumes.iter().find(|volume| volume["name"] == "google-cloud-key").expect("its volume");
    assert_eq!(volume["secret"]["secretName"], "google-cloud-key");
    assert_eq!(volume["secret"]["items"], json!([{ "key": "key.json", "path": "key.json" }]));
    let mounts = pod["containers"][0]["volumeMounts"].as_array().unwrap();
    assert!(mounts.iter().any(|mount| mount["mountPath"] == "/var/secrets/google"), "{mounts:?}");
    let rendered = namespace.handsctl(&["render"]).exits(0).stdout;
    assert!(!rendered.contains("ClusterRole"), "{rendered}");

    namespace.config("[deploy]\nprofile = \"gke\"\n[deploy.storage.credentials]\nkey_json = \"\"\n");
    namespace.handsctl(&["deploy"]).exits(0);
    let volumes = get(&namespace, "deployment/oh")["spec"]["template"]["spec"]["volumes"].clone();
    assert!(!volumes.to_string().contains("google-cloud-key"), "{volumes}");
}

#[test]
fn app_is_what_a_cluster_like_any_other_gets() {
    if Bed::is_off("app_is_what_a_cluster_like_any_other_gets") {
        return;
    }
    let namespace = strict("app-profile");
    namespace.config("[deploy]\nprofile = \"app\"\n");
    twice(&namespace);
    assert!(is_there(&namespace, "ingress/oh"));
}
