//! `doctor` on a real API server: without an installation, with a broken one, with faults of every category, and with half
//! of the rights.

use std::time::Duration;

use serde_json::{Value, json};

use super::refusals::{FinalizedObject, run_with_kubeconfig, without_login};
use super::roles::account;
use crate::bed::{Bed, Namespace, run_in_home};
use crate::fault::Proxy;

/// Runs `doctor -o json` and returns its checks.
fn checks(namespace: &Namespace, code: i32) -> Vec<Value> {
    let run = namespace.handsctl(&["doctor", "-o", "json"]).exits(code);
    let value = run.json();
    assert_eq!(value["exit"], code, "{value}");
    value["checks"].as_array().unwrap().clone()
}

/// Runs `doctor -o json` and returns its checks, whatever its exit code: other tests change nodes and webhooks meanwhile.
fn checks_of_any_code(namespace: &Namespace) -> Vec<Value> {
    namespace.handsctl(&["doctor", "-o", "json"]).json()["checks"].as_array().unwrap().clone()
}

/// The problem with this id.
#[track_caller]
fn problem<'a>(checks: &'a [Value], id: &str) -> &'a Value {
    let problem = checks.iter().map(|check| &check["problem"]).find(|problem| problem["id"] == id);
    problem.unwrap_or_else(|| panic!("{id}: {checks:#?}"))
}

/// The result of each check of this name in a category, with the id of its problem.
fn results(checks: &[Value], category: &str, name: &str) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    checks
        .iter()
        .filter(|check| check["category"] == category && check["name"] == name)
        .map(|check| (text(&check["result"]), text(&check["problem"]["id"])))
        .collect()
}

#[track_caller]
fn assert_result(checks: &[Value], category: &str, name: &str, result: &str, id: &str) {
    let found = results(checks, category, name);
    assert!(found.contains(&(result.to_owned(), id.to_owned())), "{category} {name}: {found:?}\n{checks:#?}");
}

#[test]
fn doctor_checks_every_category_before_the_first_deploy() {
    let namespace = Bed::shared().namespace("doctor");
    namespace.config("[deploy]\nexpose = \"none\"\n");
    let run = namespace.handsctl(&["doctor"]);
    // Other tests have nodes that are not ready.
    for line in ["api        ✓ version: v1.34", "✓ rules: ", "storage    ✓ storage class: ", " nodes: "]
    {
        assert!(run.stdout.contains(line), "{line}: {}", run.stdout);
    }
    assert!(
        !namespace.bed.try_kubectl(&["get", "namespace", &namespace.name], "").status.success(),
        "nothing is made"
    );
    // Other tests change nodes and webhooks meanwhile, so the exit code is not that of the text.
    let value = namespace.handsctl(&["doctor", "-o", "json"]).json();
    let checks = value["checks"].as_array().unwrap().clone();
    for category in ["config", "api", "rights", "storage", "network", "nodes", "sandboxes"] {
        assert!(checks.iter().any(|check| check["category"] == category), "{category}: {checks:#?}");
    }
    assert_result(&checks, "sandboxes", "pod security", "passed", "");
}

#[test]
fn doctor_names_each_fault_with_its_id_and_key() {
    let namespace = Bed::shared().namespace("doctor-faults");
    namespace.create(&[("pod-security.kubernetes.io/enforce", "restricted")]);
    let certificate = rcgen::generate_simple_self_signed(vec!["other.example.org".to_owned()]).unwrap();
    let configuration = ClusterObject::webhook_without_a_server(&namespace, "check.gone.io", "UPDATE");
    let objects = json!({ "apiVersion": "v1", "kind": "List", "items": [
        { "apiVersion": "v1", "kind": "ResourceQuota", "metadata": { "name": "small" }, "spec": { "hard": { "pods": "0" } } },
        {
            "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "tls" }, "type": "kubernetes.io/tls",
            "stringData": { "tls.crt": certificate.cert.pem(), "tls.key": certificate.signing_key.serialize_pem() },
        },
    ] });
    namespace.bed.kubectl_with(&["apply", "-n", &namespace.name, "-f", "-"], &objects.to_string());
    let quota = ["get", "quota", "small", "-n", &namespace.name, "-o", "jsonpath={.status.hard.pods}"];
    super::refusals::wait_for_output(namespace.bed, &quota, |text| text == "0");
    namespace.config(
        "[llm]\napi_key = { secret = \"keys\", key = \"llm\" }\n\
         [deploy]\nhost = \"app.example.org\"\ntls_secret = \"tls\"\nexposure = \"acknowledged\"\n\
         ingress_class = \"nobody\"\nservice_account = \"nobody\"\nnode_selector = { gpu = \"yes\" }\nstorage_class = \"gold\"\n",
    );
    let checks = checks(&namespace, 14);
    assert_result(&checks, "storage", "storage class", "failed", "HC4402");
    assert_result(&checks, "network", "ingress class", "failed", "HC2072");
    assert_result(&checks, "network", "webhooks", "failed", "HC3080");
    assert_result(&checks, "sandboxes", "pod security", "failed", "HC2040");
    assert_result(&checks, "sandboxes", "quota", "warning", "HC2079");
    assert_result(&checks, "config", "service account", "failed", "HC2050");
    assert_result(&checks, "nodes", "placement", "failed", "HC4301");
    // The Secret of the key does not exist, and the certificate is for another host.
    assert_result(&checks, "config", "secrets", "failed", "HC4203");
    assert_result(&checks, "config", "secrets", "warning", "HC4203");
    let text = namespace.handsctl(&["doctor"]).exits(14).stdout;
    for line in ["not valid for app.example.org", "config.toml:10:17", "webhook check.gone.io has no server"]
    {
        assert!(text.contains(line), "{line}: {text}");
    }
    drop(configuration);
}

#[test]
fn doctor_of_a_broken_installation_says_what_status_says() {
    let namespace = Bed::shared().namespace("doctor-broken");
    namespace.config("");
    namespace.handsctl(&["deploy"]).exits(0);
    let checks = checks_of_any_code(&namespace);
    assert_result(&checks, "app", "installation", "passed", "");
    assert_result(&checks, "app", "pod", "passed", "");
    let delete = |object: &str| namespace.bed.kubectl(&["delete", object, "-n", &namespace.name]);

    delete("service/oh");
    let checks = checks_of_any_code(&namespace);
    assert_result(&checks, "app", "installation", "warning", "HC4020");
    let missing = problem(&checks, "HC4020").to_string();
    assert!(missing.contains("service/oh") && missing.contains("handsctl deploy"), "{missing}");
    namespace.handsctl(&["deploy"]).exits(0);

    namespace.bed.kubectl(&["rollout", "pause", "deployment/oh", "-n", &namespace.name]);
    namespace.handsctl(&["deploy", "--no-rollback", "--set", "deploy.env={A=\"1\"}"]).exits(9);
    assert_result(&checks_of_any_code(&namespace), "app", "revision", "warning", "HC2083");
    namespace.bed.kubectl(&["rollout", "resume", "deployment/oh", "-n", &namespace.name]);
    namespace.handsctl(&["deploy"]).exits(0);
    assert!(results(&checks_of_any_code(&namespace), "app", "revision").is_empty(), "a later one is good");

    // Without the key nobody can tell whether a revision is ours.
    delete("secret/handsctl-oh");
    assert_result(&checks_of_any_code(&namespace), "app", "installation", "warning", "HC3060");

    delete("deployment/oh");
    let checks = checks_of_any_code(&namespace);
    let found = results(&checks, "app", "installation");
    assert!(found.iter().any(|(result, _)| result == "failed"), "{found:?}");
}

#[test]
fn doctor_asks_whether_the_api_server_admits_the_application() {
    let namespace = Bed::shared().namespace("doctor-admission");
    namespace.create(&[]);
    let objects = json!({ "apiVersion": "v1", "kind": "List", "items": [
        { "apiVersion": "v1", "kind": "ResourceQuota", "metadata": { "name": "few" }, "spec": { "hard": { "count/services": "0" } } },
        {
            "apiVersion": "v1", "kind": "LimitRange", "metadata": { "name": "small" },
            "spec": { "limits": [{ "type": "Container", "max": { "memory": "128Mi" } }] },
        },
    ] });
    namespace.bed.kubectl_with(&["apply", "-n", &namespace.name, "-f", "-"], &objects.to_string());
    let quota =
        ["get", "quota", "few", "-n", &namespace.name, "-o", "jsonpath={.status.hard.count/services}"];
    super::refusals::wait_for_output(namespace.bed, &quota, |text| text == "0");
    namespace.config("[deploy.resources]\nlimits = { memory = \"2Gi\" }\n");
    let checks = checks_of_any_code(&namespace);
    assert_result(&checks, "app", "pod", "failed", "HC4503");
    assert_result(&checks, "app", "quota", "failed", "HC4502");
    assert_result(&checks, "sandboxes", "limit range", "failed", "HC2084");
    let pod = problem(&checks, "HC4503");
    assert!(pod.to_string().contains("maximum memory usage per Container is 128Mi"), "{pod:#}");
    assert_eq!(pod["keys"][0]["key"], "deploy.resources.limits.memory", "{pod:#}");
    let pods = namespace.bed.kubectl(&["get", "pods", "-n", &namespace.name, "-o", "name"]);
    assert_eq!(pods, "", "the server stores nothing of a dry run");
    // What the doctor foresees is what a deploy is told.
    namespace.handsctl(&["deploy"]).exits(8);
}

#[test]
fn expired_certificate_is_named_by_doctor_and_deploy() {
    let namespace = Bed::shared().namespace("doctor-expired");
    namespace.create(&[]);
    let mut params = rcgen::CertificateParams::new(vec!["app.example.org".to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2021, 1, 1);
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "tls" }, "type": "kubernetes.io/tls",
        "stringData": { "tls.crt": certificate.pem(), "tls.key": key.serialize_pem() },
    });
    namespace.bed.kubectl_with(&["create", "-n", &namespace.name, "-f", "-"], &secret.to_string());
    namespace
        .config("[deploy]\nhost = \"app.example.org\"\ntls_secret = \"tls\"\nexposure = \"acknowledged\"\n");
    let checks = checks_of_any_code(&namespace);
    assert_result(&checks, "config", "secrets", "warning", "HC4203");
    let expired = "its certificate expired on 2021-01-01";
    assert!(problem(&checks, "HC4203").to_string().contains(expired), "{checks:#?}");
    namespace.handsctl(&["deploy", "--dry-run=server"]).exits(0).says(expired);
}

#[test]
fn doctor_names_an_ingress_of_another_namespace_with_the_same_host() {
    let (namespace, other) =
        (Bed::shared().namespace("doctor-host"), Bed::shared().namespace("doctor-rival"));
    namespace.create(&[]);
    other.create(&[]);
    let host = format!("{}.example.org", namespace.name);
    let backend = json!({ "service": { "name": "web", "port": { "number": 80 } } });
    let paths = json!([{ "path": "/", "pathType": "Prefix", "backend": backend }]);
    let rival = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": { "name": "web" },
        "spec": { "rules": [{ "host": host, "http": { "paths": paths } }] },
    });
    namespace.config(&format!("[deploy]\nhost = \"{host}\"\nexposure = \"acknowledged\"\n"));
    assert_result(&checks_of_any_code(&namespace), "network", "host", "passed", "");
    other.bed.kubectl_with(&["apply", "-n", &other.name, "-f", "-"], &rival.to_string());
    let checks = checks_of_any_code(&namespace);
    assert_result(&checks, "network", "host", "warning", "HC2051");
    let shared = problem(&checks, "HC2051").to_string();
    assert!(shared.contains(&format!("ingress/web in namespace {}", other.name)), "{shared}");

    let view = account(&namespace, "view");
    let run = namespace.command(&["doctor"]).env("KUBECONFIG", &view).run();
    assert!(run.stdout.contains("no right to list ingresses in the cluster"), "{}", run.stdout);
}

#[test]
fn doctor_reports_a_terminating_namespace_with_what_holds_it() {
    let namespace = Bed::shared().namespace("doctor-leaving");
    namespace.create(&[]);
    namespace.config("");
    let _object = FinalizedObject::new(&namespace);
    namespace.bed.kubectl(&["delete", "namespace", &namespace.name, "--wait=false"]);
    let conditions = ["get", "namespace", &namespace.name, "-o", "jsonpath={.status.conditions[*].message}"];
    super::refusals::wait_for_output(namespace.bed, &conditions, |text| text.contains("example.io/hold"));
    let checks = checks_of_any_code(&namespace);
    assert_result(&checks, "app", "namespace", "failed", "HC3001");
    assert!(problem(&checks, "HC3001").to_string().contains("example.io/hold"), "{checks:#?}");
    assert!(results(&checks, "app", "pod").is_empty(), "nothing can be created there");
}

#[test]
fn doctor_with_half_of_the_rights_says_what_it_could_not_check() {
    let namespace = Bed::shared().namespace("doctor-rights");
    namespace.create(&[]);
    namespace.config("");
    let view = account(&namespace, "view");
    let run = namespace.command(&["doctor"]).env("KUBECONFIG", &view).run().exits(6);
    for line in
        ["✗ rules: HC1030", "? nodes: not checked: no right to list nodes in the cluster", "handsctl rbac"]
    {
        assert!(run.stdout.contains(line), "{line}: {}", run.stdout);
    }
    assert!(run.stdout.contains("\"patch\"]"), "{}", run.stdout);
    for line in
        ["? pod: not checked: this account may not create pods", "· installation: nothing is deployed"]
    {
        assert!(run.stdout.contains(line), "{line}: {}", run.stdout);
    }
}

#[test]
fn doctor_of_a_silent_api_server_still_reports_the_configuration() {
    let namespace = Bed::shared().namespace("doctor-silent");
    namespace.config("");
    let proxy = Proxy::for_cluster(namespace.bed);
    let _held = proxy.on(|_| true).hold();
    let run = proxy.command(&namespace, &["doctor", "--timeout", "50s"]).run().exits(4);
    assert!(run.stdout.contains("config     ✓ file: "), "{}", run.stdout);
    assert!(run.stdout.contains("the API server did not respond within 10 s"), "{}", run.stdout);
    run.within(Duration::from_secs(45));
}

#[test]
fn doctor_reports_the_other_categories_while_two_hang() {
    let namespace = Bed::shared().namespace("doctor-hangs");
    namespace.create(&[]);
    namespace.config("");
    let proxy = Proxy::for_cluster(namespace.bed);
    let _classes = proxy.on(|request| request.path.contains("/storageclasses")).hold();
    let _pods = proxy.on(|request| request.path.starts_with("/api/v1/pods?")).hold();
    let run = proxy.command(&namespace, &["doctor"]).run();
    for line in [
        "storage    ? storage class: not checked: no answer within 10 s",
        "? room: not checked: no answer within 5 s",
        "✓ rules: ",
        " nodes: ",
        "✓ pod security: ",
        "✓ pod: the API server admits the application",
        "· installation: nothing is deployed",
    ] {
        assert!(run.stdout.contains(line), "{line}: {}", run.stdout);
    }
    run.within(Duration::from_secs(45));
}

#[test]
fn doctor_without_a_cluster_reports_that_and_the_computer() {
    let home = tempfile::tempdir().unwrap();
    let run = run_in_home(home.path(), &["doctor"]);
    assert_eq!(run.code, Some(4), "{}", run.stdout);
    assert!(
        run.stdout.contains("no cluster was chosen\n") && run.stdout.contains("handsctl up"),
        "{}",
        run.stdout
    );
    assert!(run.stdout.contains("computer   "), "{}", run.stdout);
}

/// An object of the whole cluster, which is deleted at the end of the test.
pub(super) struct ClusterObject {
    bed: &'static Bed,
    object: String,
}

impl ClusterObject {
    pub(super) fn create(bed: &'static Bed, object: &Value) -> Self {
        bed.kubectl_with(&["create", "-f", "-"], &object.to_string());
        Self { bed, object: object.to_string() }
    }

    /// Creates a webhook for this operation on Deployments of the namespace; its service does not exist.
    pub(super) fn webhook_without_a_server(namespace: &Namespace, webhook: &str, operation: &str) -> Self {
        let webhooks = json!([{
            "name": webhook,
            "admissionReviewVersions": ["v1"],
            "sideEffects": "None",
            "failurePolicy": "Fail",
            "clientConfig": { "service": { "namespace": namespace.name, "name": "gone" } },
            "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": namespace.name } },
            "rules": [{ "apiGroups": ["apps"], "apiVersions": ["*"], "operations": [operation], "resources": ["deployments"] }],
        }]);
        Self::create(
            namespace.bed,
            &json!({
                "apiVersion": "admissionregistration.k8s.io/v1",
                "kind": "ValidatingWebhookConfiguration",
                "metadata": { "name": format!("{}-gone", namespace.name) },
                "webhooks": webhooks,
            }),
        )
    }
}

impl Drop for ClusterObject {
    fn drop(&mut self) {
        let deleted = self.bed.try_kubectl(&["delete", "-f", "-"], &self.object);
        assert!(deleted.status.success(), "{}", String::from_utf8_lossy(&deleted.stderr));
    }
}

#[test]
fn missing_login_exits_5() {
    let namespace = Bed::shared().namespace("no-login");
    let run = run_with_kubeconfig(&namespace, &without_login(&namespace), &["doctor", "-o", "json"]).exits(5);
    let checks = run.json()["checks"].as_array().unwrap().clone();
    problem(&checks, "HC1020");
}
