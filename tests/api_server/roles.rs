//! Accounts with the cluster's default roles: `admin` of a namespace can run every command, and `edit` gets an error with
//! the missing rights.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::refusals::with_token;
use crate::bed::{Bed, Namespace, Run};

/// Creates an account with only this role in its namespace; returns its kubeconfig.
pub(crate) fn account(namespace: &Namespace, role: &str) -> PathBuf {
    let objects = json!({ "apiVersion": "v1", "kind": "List", "items": [
        { "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": "person" } },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": { "name": "person" },
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role },
            "subjects": [{ "kind": "ServiceAccount", "name": "person", "namespace": namespace.name }],
        },
    ] });
    namespace.bed.kubectl_with(&["apply", "-n", &namespace.name, "-f", "-"], &objects.to_string());
    let token = namespace.bed.kubectl(&["create", "token", "person", "-n", &namespace.name]);
    with_token(namespace, token.trim())
}

fn run(namespace: &Namespace, kubeconfig: &Path, arguments: &[&str]) -> Run {
    namespace.command(arguments).env("KUBECONFIG", kubeconfig).run()
}

fn objects(namespace: &Namespace) -> String {
    let kinds = "serviceaccounts,roles,rolebindings,configmaps,secrets,persistentvolumeclaims,deployments,services,ingresses,networkpolicies,leases";
    namespace.bed.kubectl(&["get", kinds, "-n", &namespace.name, "-o", "name"])
}

#[test]
fn namespace_admin_can_deploy_rollback_restart_and_teardown() {
    let namespace = Bed::shared().namespace("admin");
    namespace.create(&[]);
    let admin = account(&namespace, "admin");
    let before = objects(&namespace);
    namespace.config("[llm]\napi_key = { env = \"KEY\" }\n");
    let deploy =
        |key: &str| namespace.command(&["deploy"]).env("KUBECONFIG", &admin).env("KEY", key).run().exits(0);
    deploy("one").says("revision 1");
    deploy("one").says("11 unchanged");
    deploy("two").says("revision 2");
    run(&namespace, &admin, &["rollback"]).exits(0).says("rolled back to revision 1").says("revision 3");
    run(&namespace, &admin, &["restart"]).exits(0).says("1 restarted");
    run(&namespace, &admin, &["status"]).exits(0);
    assert!(run(&namespace, &admin, &["history"]).exits(0).stdout.contains("rollback to 1"));
    namespace.config("[deploy]\nexpose = \"none\"\n");
    run(&namespace, &admin, &["deploy"]).exits(0).says("ingress.networking.k8s.io/oh pruned");
    run(&namespace, &admin, &["teardown", "--delete-data", "--yes"]).exits(0);
    let is_deleted = |text: &str| !text.contains("persistentvolumeclaim");
    super::refusals::wait_for_output(
        namespace.bed,
        &["get", "pvc", "-n", &namespace.name, "-o", "name"],
        is_deleted,
    );
    assert_eq!(objects(&namespace), before);
}

/// Creates what an administrator prepares for `[deploy].service_account = "app"`.
fn create_application_account(namespace: &Namespace) {
    let name = namespace.name.as_str();
    let bed = namespace.bed;
    bed.kubectl(&["create", "serviceaccount", "app", "-n", name]);
    bed.kubectl(&[
        "create",
        "role",
        "app",
        "-n",
        name,
        "--verb=get,create,delete",
        "--resource=pods,services,persistentvolumeclaims,ingresses.networking.k8s.io",
    ]);
    let account = format!("--serviceaccount={name}:app");
    bed.kubectl(&["create", "rolebinding", "app", "-n", name, "--role=app", &account]);
}

#[test]
fn edit_role_deploys_with_a_prepared_service_account() {
    let namespace = Bed::shared().namespace("edit-account");
    namespace.create(&[]);
    let edit = account(&namespace, "edit");
    namespace.config("[deploy]\nservice_account = \"app\"\n");
    let before = objects(&namespace);
    let name = &namespace.name;
    run(&namespace, &edit, &["deploy"])
        .exits(14)
        .says("serviceaccount/app does not exist")
        .says(&format!(" create serviceaccount app -n {name}"))
        .says(&format!("--serviceaccount={name}:app"));
    assert_eq!(objects(&namespace), before);

    create_application_account(&namespace);
    run(&namespace, &edit, &["deploy"]).exits(0).says("revision 1").never_says("cannot be watched");
    let pod = namespace.bed.kubectl(&[
        "get",
        "pods",
        "-n",
        name,
        "-o",
        "jsonpath={.items[*].spec.serviceAccountName}",
    ]);
    assert_eq!(pod, "app");
    assert!(
        !namespace.has("serviceaccount/oh") && !namespace.has("role/oh") && !namespace.has("rolebinding/oh")
    );
    run(&namespace, &edit, &["deploy"]).exits(0).says("unchanged").never_says("cannot be watched");
    let status = run(&namespace, &edit, &["status"]).exits(0);
    assert!(!status.stdout.contains("roles"), "{}", status.stdout);
    run(&namespace, &edit, &["diff"]).exits(0).never_says("no right");
    run(&namespace, &edit, &["teardown", "--delete-data", "--yes"]).exits(0);
    assert!(namespace.has("serviceaccount/app"), "it belongs to the administrator");
}

#[test]
fn own_account_is_pruned_once_another_is_named() {
    let namespace = Bed::shared().namespace("own-account");
    namespace.create(&[]);
    namespace.handsctl(&["deploy"]).exits(0);
    namespace.config("[deploy]\nservice_account = \"oh\"\n");
    namespace
        .handsctl(&["deploy"])
        .exits(14)
        .says("serviceaccount/oh is the installation's own")
        .says("nothing was changed");
    create_application_account(&namespace);
    namespace.config("[deploy]\nservice_account = \"app\"\n");
    namespace
        .handsctl(&["deploy"])
        .exits(0)
        .says("serviceaccount/oh pruned")
        .says("role.rbac.authorization.k8s.io/oh pruned");
    // The configuration no longer names the rights of the set's own account.
    namespace.handsctl(&["rollback"]).exits(7).says("HC3062").says("--yes");
    namespace.handsctl(&["rollback", "--yes"]).exits(0);
    assert!(namespace.has("serviceaccount/oh") && namespace.has("rolebinding/oh"));
    namespace.handsctl(&["teardown", "--delete-data", "--yes"]).exits(0);
    assert!(!namespace.has("role/oh"));
}

#[test]
fn edit_role_exits_6_with_missing_rights_before_changes() {
    let namespace = Bed::shared().namespace("edit");
    namespace.create(&[]);
    let edit = account(&namespace, "edit");
    let before = objects(&namespace);
    run(&namespace, &edit, &["deploy"])
        .exits(6)
        .says("nothing was changed")
        .says(r#"{apiGroups: ["rbac.authorization.k8s.io"], resources: ["roles"], verbs: ["create", "#)
        .says(
            r#"{apiGroups: ["rbac.authorization.k8s.io"], resources: ["rolebindings"], verbs: ["create", "#,
        );
    assert_eq!(objects(&namespace), before);

    // A set that an administrator deployed.
    namespace.handsctl(&["deploy"]).exits(0);
    let before = objects(&namespace);
    for command in [&["deploy"][..], &["rollback", "--to", "1"]] {
        let run = run(&namespace, &edit, command).exits(6);
        run.says(r#"resources: ["roles"], verbs: ["#).says(r#""list", "#);
    }
    run(&namespace, &edit, &["teardown"])
        .exits(6)
        .says("nothing was changed")
        .says(r#"resources: ["roles"], verbs: ["delete", "list", "watch"]}"#)
        .says(r#"resources: ["rolebindings"], verbs: ["delete", "list", "watch"]}"#);
    assert_eq!(objects(&namespace), before);
    // Commands within its rights work.
    run(&namespace, &edit, &["restart"]).exits(0).says("1 restarted");
    run(&namespace, &edit, &["status"]).exits(0);
    run(&namespace, &edit, &["history"]).exits(0);
}
