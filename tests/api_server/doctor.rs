//! `doctor` on a real API server: without an installation, with faults of every category, and with half of the rights.

use serde_json::{Value, json};

use super::roles::account;
use crate::bed::{Bed, Namespace, run_in_home};

/// Runs `doctor -o json` and returns its checks.
fn checks(namespace: &Namespace, code: i32) -> Vec<Value> {
    let run = namespace.handsctl(&["doctor", "-o", "json"]).exits(code);
    let value = run.json();
    assert_eq!(value["exit"], code, "{value}");
    value["checks"].as_array().unwrap().clone()
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
    for line in
        ["api        ✓ version: v1.34", "✓ rules: ", "storage    ✓ storage class: ", "nodes      ✓ nodes: "]
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
fn doctor_with_half_of_the_rights_says_what_it_could_not_check() {
    let namespace = Bed::shared().namespace("doctor-rights");
    super::roles::create_with_defaults(&namespace);
    namespace.config("");
    let view = account(&namespace, "view");
    let run = namespace.command(&["doctor"]).env("KUBECONFIG", &view).run().exits(6);
    for line in
        ["✗ rules: HC1030", "? nodes: not checked: no right to list nodes in the cluster", "handsctl rbac"]
    {
        assert!(run.stdout.contains(line), "{line}: {}", run.stdout);
    }
    assert!(run.stdout.contains("\"patch\"]"), "{}", run.stdout);
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
