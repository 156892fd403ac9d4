//! The rights that a rollback would grant and that neither the configuration nor the live set grants. Pure.
//!
//! Somebody who can read the set's key can forge a revision with a Role that grants more than the set needs.

use std::collections::BTreeSet;

use serde_json::Value;

use super::members::Members;
use crate::object::ObjectId;
use crate::object::kind::{ROLE, ROLE_BINDING};
use crate::plan::desired::{Member, Plan};

/// A right on one resource: API group, resource, verb, and the names to which it is limited, as JSON.
type Right = (String, String, String, String);

/// Returns the rights that the restored plan grants in addition, each with its object: `role.…/oh: create pods/exec`. Empty
/// for the plan of a configuration.
#[must_use]
pub fn additional_rights(restored: &Plan, configured: &[Member], live: &Members) -> Vec<String> {
    let known = || {
        let configured = configured.iter().map(|member| (&member.id, &member.manifest));
        configured.chain(live.iter())
    };
    let mut additional = Vec::new();
    for Member { id, kind, manifest } in &restored.members {
        let of_namespace = |(other, _): &(&ObjectId, &Value)| other.namespace == id.namespace;
        if *kind == ROLE {
            let roles = known().filter(of_namespace).filter(|(other, _)| other.kind == ROLE.kind);
            let granted: BTreeSet<Right> = roles.flat_map(|(_, role)| rights(role)).collect();
            additional.extend(rights(manifest).filter(|right| !is_granted(right, &granted)).map(
                |(group, resource, verb, names)| {
                    let group = if group.is_empty() { String::new() } else { format!(".{group}") };
                    let names = if names == "null" { String::new() } else { format!(" {names}") };
                    format!("{id}: {verb} {resource}{group}{names}")
                },
            ));
        }
        if *kind == ROLE_BINDING {
            let mut bindings = known().filter(|(other, _)| *other == id);
            if !bindings.any(|(_, binding)| binds(binding) == binds(manifest)) {
                let (role, subjects) = binds(manifest);
                let subjects: Vec<String> = subjects.into_iter().collect();
                additional.push(format!("{id}: {role} for {}", subjects.join(", ")));
            }
        }
        let accounts: BTreeSet<&str> =
            known().filter(of_namespace).filter_map(|(_, workload)| pod_account(workload)).collect();
        if let Some(account) = pod_account(manifest).filter(|account| !accounts.contains(account)) {
            additional.push(format!("{id}: runs as serviceaccount/{account}"));
        }
    }
    additional
}

/// JSON pointers to the pod's specification in a workload, a Pod and a `CronJob`.
const POD_SPECS: [&str; 3] = ["/spec/template/spec", "/spec", "/spec/jobTemplate/spec/template/spec"];

/// Returns the ServiceAccount of a workload's pods, if it names one.
fn pod_account(workload: &Value) -> Option<&str> {
    POD_SPECS.iter().find_map(|path| workload.pointer(path)?["serviceAccountName"].as_str())
}

fn is_granted(right: &Right, granted: &BTreeSet<Right>) -> bool {
    let (group, resource, verb, _) = right;
    let for_all_names = (group.clone(), resource.clone(), verb.clone(), "null".to_owned());
    granted.contains(right) || granted.contains(&for_all_names)
}

fn rights(role: &Value) -> impl Iterator<Item = Right> {
    let strings = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let mut rights = Vec::new();
    for rule in role["rules"].as_array().into_iter().flatten() {
        let names = rule["resourceNames"].to_string();
        for group in strings(&rule["apiGroups"]) {
            for resource in strings(&rule["resources"]) {
                let of_verb = |verb| (group.clone(), resource.clone(), verb, names.clone());
                rights.extend(strings(&rule["verbs"]).into_iter().map(of_verb));
            }
        }
    }
    rights.into_iter()
}

/// Returns the role that a binding grants, and its subjects. The API server adds a group to each subject.
fn binds(binding: &Value) -> (String, BTreeSet<String>) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let reference = &binding["roleRef"];
    let subjects = binding["subjects"].as_array().into_iter().flatten();
    let name = |subject: &Value| {
        format!("{} {}/{}", text(&subject["kind"]), text(&subject["namespace"]), text(&subject["name"]))
    };
    (format!("{} {}", text(&reference["kind"]), text(&reference["name"])), subjects.map(name).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::object::kind::{DEPLOYMENT, KindInfo};
    use crate::object::labels;

    fn member(kind: KindInfo, mut manifest: Value) -> Member {
        manifest["metadata"] =
            json!({ "name": "oh", "labels": labels::member_labels("oh", labels::Component::App) });
        Member { id: kind.id("n", "oh"), kind, manifest }
    }

    fn role(rules: &Value) -> Member {
        member(ROLE, json!({ "rules": rules }))
    }

    fn rule(resource: &str, verb: &str, names: Value) -> Value {
        let mut rule = json!({ "apiGroups": [""], "resources": [resource], "verbs": [verb] });
        if !names.is_null() {
            rule["resourceNames"] = names;
        }
        rule
    }

    fn additional(restored: Member, configured: &[Member], live: &[Member]) -> Vec<String> {
        let live = live.iter().map(|member| (member.id.clone(), member.manifest.clone())).collect();
        additional_rights(&Plan { members: vec![restored], ..Plan::default() }, configured, &live)
    }

    #[test]
    fn rights_beyond_configuration_and_live_set_are_named() {
        let pods = || rule("pods", "get", Value::Null);
        let exec = || rule("pods/exec", "create", Value::Null);
        let none: &[String] = &[];
        assert_eq!(additional(role(&json!([pods()])), &[role(&json!([pods(), exec()]))], &[]), none);
        assert_eq!(additional(role(&json!([exec()])), &[], &[role(&json!([exec()]))]), none);
        let name = "role.rbac.authorization.k8s.io/oh";
        assert_eq!(
            additional(role(&json!([pods(), exec()])), &[role(&json!([pods()]))], &[]),
            [format!("{name}: create pods/exec")]
        );
        let limited = || rule("pods", "get", json!(["a"]));
        assert_eq!(additional(role(&json!([limited()])), &[role(&json!([pods()]))], &[]), none);
        assert_eq!(
            additional(role(&json!([pods()])), &[role(&json!([limited()]))], &[]),
            [format!("{name}: get pods")]
        );
    }

    #[test]
    fn other_binding_and_other_account_are_named() {
        let binding = |role: &str, subject: &str| {
            member(
                ROLE_BINDING,
                json!({ "roleRef": { "kind": "ClusterRole", "name": role },
                    "subjects": [{ "kind": "ServiceAccount", "namespace": "n", "name": subject }] }),
            )
        };
        let none: &[String] = &[];
        assert_eq!(additional(binding("edit", "oh"), &[], &[binding("edit", "oh")]), none);
        assert_eq!(
            additional(binding("admin", "intruder"), &[binding("edit", "oh")], &[]),
            ["rolebinding.rbac.authorization.k8s.io/oh: ClusterRole admin for ServiceAccount n/intruder"]
        );
        let deployment = |account: &str| {
            member(
                DEPLOYMENT,
                json!({ "spec": { "template": { "spec": { "serviceAccountName": account } } } }),
            )
        };
        assert_eq!(additional(deployment("oh"), &[deployment("oh")], &[]), none);
        assert_eq!(
            additional(deployment("admin"), &[deployment("oh")], &[]),
            ["deployment.apps/oh: runs as serviceaccount/admin"]
        );
    }
}
