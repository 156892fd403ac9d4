//! `rbac`: the printed roles suffice for an account that deploys, and every rule is needed or its loss is reported.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::refusals::with_token;
use crate::bed::{Bed, Namespace, Run};

/// Time limit until the server enforces a changed role.
const WAIT_LIMIT: Duration = Duration::from_secs(30);
const CONFIG: &str = "[llm]\napi_key = { env = \"KEY\" }\n[deploy.quota]\npods = \"20\"\n\
    [deploy.env]\nA = { secret = \"somebodys\", key = \"a\" }\n";

/// The namespace of the account that `rbac` prints. Dropping the value deletes it.
struct AccountNamespace<'a>(&'a Namespace);

impl AccountNamespace<'_> {
    fn name(&self) -> String {
        format!("{}-deployer", self.0.name)
    }
}

impl Drop for AccountNamespace<'_> {
    fn drop(&mut self) {
        let delete = ["delete", "namespace", &self.name(), "--ignore-not-found", "--wait=false"];
        let _already_deleted = self.0.bed.try_kubectl(&delete, "");
    }
}

/// Creates the namespace and an account with the roles that `rbac` prints; returns its kubeconfig.
fn account(namespace: &Namespace) -> PathBuf {
    let bed = namespace.bed;
    namespace.create(&[]);
    bed.kubectl(&["create", "secret", "generic", "somebodys", "--from-literal=a=b", "-n", &namespace.name]);
    let manifests = namespace.handsctl(&["rbac"]).exits(0).stdout;
    bed.kubectl_with(&["apply", "-f", "-"], &manifests);
    let token =
        bed.kubectl(&["create", "token", "oh-deployer", "-n", &format!("{}-deployer", namespace.name)]);
    with_token(namespace, token.trim())
}

/// The account's `ClusterRole` and its binding. Dropping the value deletes them, because they are in no namespace.
struct ClusterRoles<'a>(&'a Namespace);

impl Drop for ClusterRoles<'_> {
    fn drop(&mut self) {
        let name = format!("{}-oh-deployer", self.0.name);
        for kind in ["clusterrolebinding", "clusterrole"] {
            let _already_deleted = self.0.bed.try_kubectl(&["delete", kind, &name, "--ignore-not-found"], "");
        }
    }
}

fn run(namespace: &Namespace, kubeconfig: &PathBuf, arguments: &[&str]) -> Run {
    namespace.command(arguments).env("KUBECONFIG", kubeconfig).env("KEY", "k").run()
}

/// The role without one verb of one resource.
fn without(role: &Value, group: &str, resource: &str, verb: &str) -> Value {
    let mut role = role.clone();
    let contains = |list: &Value, text: &str| list.as_array().unwrap().iter().any(|item| item == text);
    for rule in role["rules"].as_array_mut().unwrap() {
        if contains(&rule["apiGroups"], group) && contains(&rule["resources"], resource) {
            rule["verbs"].as_array_mut().unwrap().retain(|one| one != verb);
        }
    }
    role["rules"].as_array_mut().unwrap().retain(|rule| !rule["verbs"].as_array().unwrap().is_empty());
    role
}

/// Runs `then` while the role lacks this verb and the server enforces it.
fn with_role_without(namespace: &Namespace, role: &Value, right: &Value, verb: &str, then: impl FnOnce()) {
    let bed = namespace.bed;
    let (group, resource) = (right["apiGroup"].as_str().unwrap(), right["resource"].as_str().unwrap());
    let account = format!("system:serviceaccount:{}-deployer:oh-deployer", namespace.name);
    let name = if group.is_empty() { resource.to_owned() } else { format!("{resource}.{group}") };
    let (parent, subresource) = match name.split_once('/') {
        Some((parent, subresource)) => (parent, Some(format!("--subresource={subresource}"))),
        None => (name.as_str(), None),
    };
    let mut can_i = vec!["auth", "can-i", verb, parent, "--as", &account];
    can_i.extend(subresource.as_deref());
    if role["metadata"]["namespace"].is_string() {
        can_i.extend(["-n", &namespace.name]);
    }
    let wait_for = |answer: &str| {
        let deadline = Instant::now() + WAIT_LIMIT;
        // `can-i` exits with 1 for "no", so this compares the output only.
        while String::from_utf8_lossy(&bed.try_kubectl(&can_i, "").stdout).trim() != answer {
            assert!(Instant::now() < deadline, "{can_i:?} is never {answer}");
            std::thread::sleep(Duration::from_millis(25));
        }
    };
    bed.kubectl_with(&["apply", "-f", "-"], &without(role, group, resource, verb).to_string());
    wait_for("no");
    then();
    bed.kubectl_with(&["apply", "-f", "-"], &role.to_string());
    wait_for("yes");
}

/// The rights that `rbac` lists: needed and optional ones.
fn rights(namespace: &Namespace) -> (Vec<Value>, Vec<Value>) {
    let list = namespace.handsctl(&["rbac", "-o", "json"]).exits(0).json();
    list.as_array().unwrap().iter().cloned().partition(|right| right["needed"] == true)
}

fn role(namespace: &Namespace, kind: &str) -> Value {
    let name =
        if kind == "role" { "oh-deployer".to_owned() } else { format!("{}-oh-deployer", namespace.name) };
    let mut role = namespace.bed.get(&[kind, &name, "-n", &namespace.name]);
    let metadata = role["metadata"].as_object_mut().unwrap();
    metadata.retain(|key, _| key == "name" || key == "namespace");
    role
}

fn rule(right: &Value, verb: &str) -> String {
    format!(
        r#"{{apiGroups: ["{}"], resources: ["{}"], verbs: ["{verb}"]}}"#,
        right["apiGroup"].as_str().unwrap(),
        right["resource"].as_str().unwrap()
    )
}

#[test]
fn roles_are_applied_to_a_cluster_without_the_namespace() {
    let namespace = Bed::shared().namespace("rbac-new");
    let _cluster_roles = ClusterRoles(&namespace);
    let account_namespace = AccountNamespace(&namespace);
    let manifests = namespace.handsctl(&["rbac"]).exits(0).stdout;
    namespace.bed.kubectl_with(&["apply", "-f", "-"], &manifests);
    assert!(namespace.has("rolebinding/oh-deployer"));
    // OpenHands starts pods in the set's namespace, and a pod can run under every account of its namespace.
    assert!(!namespace.has("serviceaccount/oh-deployer"));
    namespace.bed.get(&["serviceaccount", "oh-deployer", "-n", &account_namespace.name()]);
}

#[test]
fn needed_rights_suffice_and_each_missing_one_exits_6() {
    let namespace = Bed::shared().namespace("rbac");
    let (_cluster_roles, _account) = (ClusterRoles(&namespace), AccountNamespace(&namespace));
    namespace.config(CONFIG);
    let kubeconfig = account(&namespace);
    // A ClusterRole would grant its rights in this namespace, too.
    drop(ClusterRoles(&namespace));
    let (needed, _) = rights(&namespace);
    let own = role(&namespace, "role");
    let kinds =
        "serviceaccounts,roles,deployments,services,ingresses,secrets,configmaps,leases,resourcequotas";
    let objects = || namespace.bed.kubectl(&["get", kinds, "-n", &namespace.name, "-o", "name"]);
    let before = objects();
    let mut tried = 0;
    for right in &needed {
        for verb in right["verbs"].as_array().unwrap() {
            let verb = verb.as_str().unwrap();
            with_role_without(&namespace, &own, right, verb, || {
                let run = run(&namespace, &kubeconfig, &["deploy"]);
                let (code, rule) = (run.code, rule(right, verb));
                assert!(
                    code == Some(6) && run.stderr.contains(&rule),
                    "{rule}: exit {code:?}\n{}",
                    run.stderr
                );
                assert_eq!(objects(), before, "{rule}: an object was changed");
            });
            tried += 1;
        }
    }
    assert!(tried > 40, "only {tried} rights");

    let deploy = run(&namespace, &kubeconfig, &["deploy"]).exits(0).says("deployment.apps/oh 1/1");
    assert!(
        !deploy.stderr.contains("forbidden")
            && !deploy.stderr.contains("may not be")
            && !deploy.stderr.contains("cannot be watched"),
        "{}",
        deploy.stderr
    );
    run(&namespace, &kubeconfig, &["deploy"]).exits(0).says("unchanged");
    namespace.config("[deploy]\nexpose = \"none\"\n");
    run(&namespace, &kubeconfig, &["deploy"]).exits(0).says("ingress.networking.k8s.io/oh pruned");
    run(&namespace, &kubeconfig, &["rollback"]).exits(0);
    run(&namespace, &kubeconfig, &["teardown", "--delete-data", "--yes"]).exits(0);
}

#[test]
fn missing_optional_right_is_reported() {
    let namespace = Bed::shared().namespace("rbac-less");
    let (_cluster_roles, _account) = (ClusterRoles(&namespace), AccountNamespace(&namespace));
    namespace.config(CONFIG);
    let kubeconfig = account(&namespace);
    let (_, optional) = rights(&namespace);
    let (own, cluster) = (role(&namespace, "role"), role(&namespace, "clusterrole"));
    run(&namespace, &kubeconfig, &["deploy"]).exits(0);
    let mut tried = Vec::new();
    for right in &optional {
        let resource = right["resource"].as_str().unwrap();
        // kubectl answers for no kind that the cluster does not have, and no deploy uses these.
        if resource.starts_with("volumesnapshot") {
            continue;
        }
        for verb in right["verbs"].as_array().unwrap() {
            let verb = verb.as_str().unwrap();
            let granting_role = if right["namespace"].is_null() { &cluster } else { &own };
            with_role_without(&namespace, granting_role, right, verb, || {
                let deploy = || run(&namespace, &kubeconfig, &["deploy"]).exits(0);
                match (resource, verb) {
                    ("events", "list") | ("endpointslices", "watch") => {
                        deploy().says(&format!("{resource} cannot be watched: a failure will be explained"));
                    }
                    ("nodes" | "pods", "list") if right["namespace"].is_null() => {
                        deploy().says("the room for sandboxes is unknown");
                    }
                    ("secrets", "get") => {
                        deploy().says("secret/somebodys cannot be read");
                    }
                    (_, "delete") if resource != "pods" => {
                        run(&namespace, &kubeconfig, &["teardown"]).exits(6).says(&rule(right, verb));
                    }
                    // These have no effect here: simulated nodes run no container to probe, pull or log; the namespace
                    // exists; a streamed watch needs no list, and a watch that was allowed once is retried for a while.
                    _ => {
                        deploy();
                        return;
                    }
                }
                tried.push(format!("{verb} {resource}"));
            });
        }
    }
    assert!(tried.len() >= 10, "{tried:?}");
}
