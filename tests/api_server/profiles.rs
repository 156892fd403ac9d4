//! The profiles: a real API server accepts their objects without a warning, and the second run sends nothing.

use serde_json::{Value, json};

use crate::bed::{Bed, Definition, Namespace, Run};

/// A namespace that warns of violations of Pod Security *restricted*.
fn restricted(test: &str) -> Namespace {
    let namespace = Bed::shared().namespace(test);
    namespace.create(&[("pod-security.kubernetes.io/warn", "restricted")]);
    namespace
}

/// Deploys twice: without a warning of the server, and the second time without a PATCH.
fn deploy_twice(namespace: &Namespace) -> Run {
    let first = namespace.handsctl(&["deploy"]).exits(0).never_says("HC3010").says("deployment.apps/oh 1/1");
    namespace.handsctl(&["deploy"]).exits(0).never_says("HC3010").says(" 0 to send");
    first
}

fn get(namespace: &Namespace, object: &str) -> Value {
    namespace.bed.get(&[object, "-n", &namespace.name])
}

#[test]
fn openshift_profile_creates_route_where_api_has_it() {
    let namespace = restricted("openshift");
    namespace.config(
        "[deploy]\nprofile = \"openshift\"\nexposure = \"acknowledged\"\nhost = \"hands.apps.example.com\"\n",
    );
    namespace
        .handsctl(&["deploy"])
        .exits(8)
        .says("error[HC3014]: the cluster has no kind Route")
        .says("expose = \"ingress\" or \"nodeport\"");
    assert!(!namespace.has("deployment/oh"));
    namespace.handsctl(&["deploy", "--set", "deploy.expose=nodeport", "--dry-run=server"]).exits(0);

    let _routes = Definition::create(namespace.bed, "route.openshift.io", "v1", "Route");
    deploy_twice(&namespace)
        .says("oc adm policy add-scc-to-user nonroot-v2 -z oh")
        .says("route.route.openshift.io/oh created");
    let route = get(&namespace, "route/oh");
    assert_eq!(route["spec"]["host"], "hands.apps.example.com");
    assert_eq!(route["spec"]["to"]["name"], "oh");
    assert_eq!(route["spec"]["tls"]["termination"], "edge");
    assert!(!namespace.has("ingress/oh"));
    let shown = namespace.handsctl(&["config", "show", "--origin"]).exits(0);
    assert!(
        shown
            .stdout
            .lines()
            .any(|line| line.contains("deploy.expose") && line.ends_with("profile openshift"))
    );
    // An unconfigured Route is pruned, although its kind is not in every set.
    namespace.config("[deploy]\nprofile = \"openshift\"\nexpose = \"none\"\n");
    namespace.handsctl(&["deploy"]).exits(0).says("route.route.openshift.io/oh pruned");
}

#[test]
fn gke_profile_has_load_balancer_and_key_volume() {
    let namespace = restricted("gke");
    namespace.config("[deploy]\nprofile = \"gke\"\nexposure = \"acknowledged\"\n");
    let missing = namespace.handsctl(&["deploy", "--dry-run=server"]).exits(14);
    assert!(missing.stderr.contains("secret/google-cloud-key in namespace"), "{}", missing.stderr);
    let key = "--from-literal=key.json={}";
    namespace.bed.kubectl(&["create", "secret", "generic", "google-cloud-key", key, "-n", &namespace.name]);
    let run = deploy_twice(&namespace);
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

    namespace.config("[deploy]\nprofile = \"gke\"\nexposure = \"acknowledged\"\n[deploy.storage.credentials]\nkey_json = \"\"\n");
    namespace.handsctl(&["deploy"]).exits(0);
    let volumes = get(&namespace, "deployment/oh")["spec"]["template"]["spec"]["volumes"].clone();
    assert!(!volumes.to_string().contains("google-cloud-key"), "{volumes}");
}

#[test]
fn app_profile_deploys_without_warning() {
    let namespace = restricted("app-profile");
    namespace.config("[deploy]\nprofile = \"app\"\n");
    deploy_twice(&namespace);
    assert!(namespace.has("ingress/oh"));
}
