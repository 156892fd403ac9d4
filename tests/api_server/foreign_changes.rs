//! What `status` says about changes of others to the live objects, and that its commands restore what was deployed.

use serde_json::{Value, json};

use super::refusals::on_another_cluster;
use crate::bed::{Bed, Namespace};

fn kubectl(namespace: &Namespace, arguments: &[&str]) -> String {
    namespace.bed.kubectl(&[arguments, &["-n", &namespace.name]].concat())
}

fn patch(namespace: &Namespace, object: &str, form: &str, patch: &Value) {
    let patch = patch.to_string();
    let form = format!("--type={form}");
    kubectl(namespace, &["patch", object, "--field-manager=them", &form, "-p", &patch]);
}

fn spec(namespace: &Namespace, object: &str) -> Value {
    namespace.bed.get(&[object, "-n", &namespace.name])["spec"].clone()
}

/// The entry of a finding or a note with this id in `status -o json`.
fn entry(status: &Value, id: &str) -> Value {
    let entries = ["findings", "notes"].map(|list| status[list].as_array().unwrap().clone()).concat();
    let found = entries.iter().find(|entry| entry["id"] == id);
    found.unwrap_or_else(|| panic!("no {id} in {status}")).clone()
}

/// Runs the first hint of an entry, which is a `kubectl` command with a quoted patch.
fn run_hint(namespace: &Namespace, entry: &Value) {
    let command = entry["hints"][0].as_str().unwrap();
    let (words, patch) = command.split_once(" -p '").expect(command);
    let mut arguments: Vec<&str> = words.split(' ').skip(1).collect();
    let patch = patch.strip_suffix('\'').unwrap().replace(r"'\''", "'");
    arguments.extend(["-p", &patch]);
    namespace.bed.kubectl(&arguments);
}

fn deployed(test: &str) -> Namespace {
    let namespace = Bed::shared().namespace(test);
    namespace.config("");
    namespace.handsctl(&["deploy"]).exits(0);
    namespace
}

#[test]
fn host_ports_of_others_expose_and_command_restores_the_pod() {
    let namespace = Bed::shared().namespace("host-port");
    namespace.create(&[("pod-security.kubernetes.io/enforce", "privileged")]);
    namespace.config("");
    on_another_cluster(&namespace, &["deploy"]).exits(0);
    let before = spec(&namespace, "deployment/oh");
    let port = json!({ "containerPort": 3000, "hostPort": 8080, "hostIP": "0.0.0.0" });
    let side =
        json!({ "name": "side", "image": "busybox", "ports": [{ "containerPort": 9, "hostPort": 9 }] });
    let pod = json!({ "hostNetwork": false, "containers": [{ "name": "openhands", "ports": [port] }, side] });
    patch(&namespace, "deployment/oh", "strategic", &json!({ "spec": { "template": { "spec": pod } } }));
    let status = on_another_cluster(&namespace, &["status", "-o", "json"]).json();
    let note = entry(&status, "HC0172");
    let evidence = note["evidence"].to_string();
    assert!(
        evidence.contains("8080 of 0.0.0.0; set by them") && evidence.contains("has 9; set by them"),
        "{note}"
    );
    on_another_cluster(&namespace, &["deploy"]).exits(7).says("HC0172").says("at a port of its node");
    run_hint(&namespace, &note);
    let restored = spec(&namespace, "deployment/oh");
    let ports = &restored["template"]["spec"]["containers"];
    assert!(!ports.to_string().contains("hostPort") && ports.as_array().unwrap().len() == 1, "{ports}");
    // The address of a port without a hostPort exposes nothing, and is a field of others.
    let status = on_another_cluster(&namespace, &["status", "-o", "json"]).json();
    assert!(!status.to_string().contains("HC0172"), "{status}");
    let pod = json!({ "spec": { "template": { "spec": { "hostNetwork": true,
        "containers": [{ "name": "openhands", "ports": [{ "containerPort": 3000, "hostIP": null }] }] } } } });
    patch(&namespace, "deployment/oh", "strategic", &pod);
    let status = on_another_cluster(&namespace, &["status", "-o", "json"]).json();
    let note = entry(&status, "HC0172");
    assert!(note["message"].as_str().unwrap().contains("its pods have the node's network"), "{note}");
    run_hint(&namespace, &note);
    assert_eq!(spec(&namespace, "deployment/oh"), before, "exactly what was deployed");
}

#[test]
fn containers_and_variables_of_others_are_named_without_values() {
    let namespace = deployed("foreign-pod");
    let before = spec(&namespace, "deployment/oh");
    kubectl(&namespace, &["set", "env", "deployment/oh", "LLM_API_KEY=sk-theirs", "HOME=/theirs"]);
    let pod = json!({ "initContainers": [{ "name": "first", "image": "busybox" }],
        "containers": [{ "name": "side", "image": "busybox" }], "hostname": "theirs" });
    patch(&namespace, "deployment/oh", "strategic", &json!({ "spec": { "template": { "spec": pod } } }));
    let run = namespace.handsctl(&["status", "-o", "json"]).hides("sk-theirs");
    let parts = entry(&run.json(), "HC4027");
    for part in ["container side (busybox), set by them", "init container first (busybox)", "hostname"] {
        assert!(parts.to_string().contains(part), "{part} in {parts}");
    }
    let variables = entry(&run.json(), "HC4028");
    for part in
        ["LLM_API_KEY has a value in clear text, set by kubectl-set", "variable HOME has a value of its own"]
    {
        assert!(variables.to_string().contains(part), "{part} in {variables}");
    }
    let table = namespace.handsctl(&["status"]).hides("sk-theirs");
    table.prints("/1   docker.all-hands.dev/").prints("warning[HC4028]");
    run_hint(&namespace, &parts);
    run_hint(&namespace, &variables);
    assert_eq!(spec(&namespace, "deployment/oh"), before);
    let status = namespace.handsctl(&["status", "-o", "json"]).json();
    assert!(!status.to_string().contains("HC402"), "{status}");
}

#[test]
fn service_that_leads_nowhere_is_degraded_until_its_command_ran() {
    let namespace = deployed("lost-service");
    let before = spec(&namespace, "service/oh");
    for (change, expected) in [
        (
            json!([{ "op": "replace", "path": "/spec/ports/0/port", "value": 3999 }]),
            "it has no port 3000; it has 3999",
        ),
        (
            json!([{ "op": "replace", "path": "/spec/ports/0/targetPort", "value": 3999 }]),
            "its port 3000 leads to port 3999 of the pods instead of http",
        ),
        (
            json!([{ "op": "add", "path": "/spec/selector/tier", "value": "x" }]),
            "its selector matches no pod: it wants tier=x",
        ),
        (json!([{ "op": "remove", "path": "/spec/selector" }]), "it has no selector, so it leads to no pod"),
    ] {
        patch(&namespace, "service/oh", "json", &change);
        let status = namespace.handsctl(&["status", "-o", "json"]).exits(11).json();
        let finding = entry(&status, "HC4604");
        assert_eq!((&status["verdict"], &finding["message"]), (&json!("degraded"), &json!(expected)));
        let evidence = finding["evidence"].to_string();
        assert!(
            evidence.contains("was set by ") && evidence.contains("them ")
                || evidence.contains("has no record"),
            "{finding}"
        );
        assert!(status["reasons"].to_string().contains(expected), "{status}");
        run_hint(&namespace, &finding);
        assert_eq!(spec(&namespace, "service/oh"), before);
        namespace.handsctl(&["status"]).exits(0);
        namespace.handsctl(&["deploy"]).exits(0);
    }
}

#[test]
fn ingress_that_leads_elsewhere_is_degraded_until_its_command_ran() {
    let namespace = deployed("lost-ingress");
    let before = spec(&namespace, "ingress/oh");
    let backend = "/spec/rules/0/http/paths/0/backend/service";
    for (path, value, expected) in [
        (format!("{backend}/name"), json!("other"), "leads to service/other port http"),
        (format!("{backend}/port"), json!({ "number": 80 }), "leads to service/oh port 80"),
        ("/spec/rules/0/host".to_owned(), json!("x.localhost"), "it has no rule for path / of localhost"),
    ] {
        let change = json!([{ "op": "replace", "path": path, "value": value }]);
        patch(&namespace, "ingress/oh", "json", &change);
        let status = namespace.handsctl(&["status", "-o", "json"]).exits(11).json();
        let finding = entry(&status, "HC4605");
        assert!(finding["message"].as_str().unwrap().contains(expected), "{finding}");
        run_hint(&namespace, &finding);
        assert_eq!(spec(&namespace, "ingress/oh"), before);
        namespace.handsctl(&["status"]).exits(0);
    }
}

#[test]
fn services_and_ingresses_of_others_are_said_to_expose() {
    let namespace = Bed::shared().namespace("foreign-route");
    namespace.config("");
    on_another_cluster(&namespace, &["deploy"]).exits(0);
    let service = |name: &str, spec: Value| {
        let mut spec = spec;
        spec["selector"] =
            json!({ "app.kubernetes.io/instance": "oh", "app.kubernetes.io/component": "app" });
        spec["ports"] = json!([{ "port": 80, "targetPort": 3000 }]);
        let object =
            json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": name }, "spec": spec });
        namespace.bed.kubectl_with(&["create", "-n", &namespace.name, "-f", "-"], &object.to_string());
    };
    service("balanced", json!({ "type": "LoadBalancer" }));
    service("ported", json!({ "type": "NodePort" }));
    service("addressed", json!({ "externalIPs": ["203.0.113.7"] }));
    service("inner", json!({}));
    kubectl(&namespace, &["create", "ingress", "routed", "--rule=a.example/*=inner:80"]);
    let run = on_another_cluster(&namespace, &["status"]).exits(0);
    for text in [
        "service/balanced",
        "exposes it by a load balancer",
        "the load balancer has no address yet, port 80, and port ",
        "service/ported",
        "type NodePort, at port ",
        "at 203.0.113.7, port 80",
        "ingress.networking.k8s.io/routed",
        "host a.example leads to it",
        "delete service/ported",
    ] {
        assert!(run.stdout.contains(text), "{text} in {}", run.stdout);
    }
    assert_eq!(run.stdout.matches("warning[HC0173]").count(), 4, "{}", run.stdout);
    on_another_cluster(&namespace, &["status", "--set", "deploy.exposure=acknowledged"]).never_says("HC0173");
    namespace.handsctl(&["status"]).exits(0).never_says("HC0173");
}
