//! The rights and images that a rollback would bring and that neither the configuration nor the live set has. Pure.
//!
//! Somebody who can read the set's key can forge a revision with a Role that grants more than the set needs, or with a
//! container of their own.

use std::collections::BTreeSet;

use serde_json::Value;

use super::members::Members;
use crate::object::ObjectId;
use crate::object::kind::{ROLE, ROLE_BINDING};
use crate::object::list_items::items;
use crate::object::pod_spec::pod_spec;
use crate::plan::desired::{Member, Plan};
use crate::settings::format::ImageRef;

/// A right on one resource: API group, resource, verb, and the names to which it is limited, as JSON.
type Right = (String, String, String, String);

/// What the set has without the rollback.
#[derive(Debug, Clone, Copy)]
pub struct KnownObjects<'a> {
    /// The members that the configuration describes.
    pub configured: &'a [Member],
    /// The live members.
    pub live: &'a Members,
    /// The live members before this run, which an automatic rollback restores.
    pub replaced: &'a Members,
    /// The texts in pods and in the `ReplicaSets` that their Deployments keep, images among them.
    pub referenced: &'a BTreeSet<String>,
}

impl<'a> KnownObjects<'a> {
    fn objects(self) -> impl Iterator<Item = (&'a ObjectId, &'a Value)> {
        let configured = self.configured.iter().map(|member| (&member.id, &member.manifest));
        configured.chain(self.live).chain(self.replaced)
    }

    fn with_id(self, id: &ObjectId) -> impl Iterator<Item = &'a Value> {
        self.objects().filter(move |(other, _)| *other == id).map(|(_, object)| object)
    }
}

/// Returns the rights that the restored plan grants in addition, each with its object: `role.…/oh: create pods/exec`.
#[must_use]
pub fn additional_rights(restored: &Plan, known: KnownObjects<'_>) -> Vec<String> {
    let mut additional = Vec::new();
    for Member { id, kind, manifest } in &restored.members {
        if *kind == ROLE {
            // Another Role grants its rights to other accounts.
            let granted: BTreeSet<Right> = known.with_id(id).flat_map(rights).collect();
            additional.extend(rights(manifest).filter(|right| !is_granted(right, &granted)).map(
                |(group, resource, verb, names)| {
                    let group = if group.is_empty() { String::new() } else { format!(".{group}") };
                    let names = if names == "null" { String::new() } else { format!(" {names}") };
                    format!("{id}: {verb} {resource}{group}{names}")
                },
            ));
        }
        if *kind == ROLE_BINDING && !known.with_id(id).any(|binding| binds(binding) == binds(manifest)) {
            let (role, subjects) = binds(manifest);
            let subjects: Vec<String> = subjects.into_iter().collect();
            additional.push(format!("{id}: {role} for {}", subjects.join(", ")));
        }
        let of_namespace = known.objects().filter(|(other, _)| other.namespace == id.namespace);
        let accounts: BTreeSet<&str> =
            of_namespace.filter_map(|(_, workload)| pod_account(workload)).collect();
        if let Some(account) = pod_account(manifest).filter(|account| !accounts.contains(account)) {
            additional.push(format!("{id}: runs as serviceaccount/{account}"));
        }
    }
    additional
}

/// Returns the images of the restored plan from repositories that no known object uses, each with its object.
#[must_use]
pub fn additional_images(restored: &Plan, known: KnownObjects<'_>) -> Vec<String> {
    let repositories: BTreeSet<String> =
        known.objects().flat_map(|(_, workload)| images(workload)).map(repository).collect();
    let mut additional = Vec::new();
    for Member { id, manifest, .. } in &restored.members {
        for image in images(manifest) {
            if !repositories.contains(&repository(image)) && !known.referenced.contains(image) {
                additional.push(format!("{id}: {image}"));
            }
        }
    }
    additional
}

/// The fields with the pod's ServiceAccount; the API server reads the deprecated one if the first is empty.
const ACCOUNTS: [&str; 2] = ["serviceAccountName", "serviceAccount"];
/// The account of a pod that names none.
const DEFAULT_ACCOUNT: &str = "default";
/// The lists of containers that a pod starts.
const CONTAINER_LISTS: [&str; 2] = ["initContainers", "containers"];

/// Returns the ServiceAccount of a workload's pods.
fn pod_account(workload: &Value) -> Option<&str> {
    let spec = pod_spec(workload)?;
    let named = ACCOUNTS.iter().find_map(|field| spec[field].as_str().filter(|name| !name.is_empty()));
    Some(named.unwrap_or(DEFAULT_ACCOUNT))
}

/// Returns the images of a workload's containers.
fn images(workload: &Value) -> impl Iterator<Item = &str> {
    let lists = pod_spec(workload).into_iter().flat_map(|spec| CONTAINER_LISTS.map(|list| &spec[list]));
    let containers = lists.flat_map(items);
    containers.filter_map(|container| container["image"].as_str())
}

/// Returns an image's registry and path; the whole text if it is no image.
fn repository(image: &str) -> String {
    ImageRef::parse(image).map_or_else(|_| image.to_owned(), |image| image.repository().to_owned())
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

    /// Returns what one restored member adds to the configuration and the live set.
    fn additional(restored: Member, configured: &[Member], live: &[Member]) -> Vec<String> {
        let live = live.iter().map(|member| (member.id.clone(), member.manifest.clone())).collect();
        let known = KnownObjects {
            configured,
            live: &live,
            replaced: &Members::new(),
            referenced: &BTreeSet::from(["kept.example/old:1".to_owned()]),
        };
        let plan = Plan { members: vec![restored], ..Plan::default() };
        let rights = additional_rights(&plan, known);
        rights.into_iter().chain(additional_images(&plan, known)).collect()
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
        let mut other = role(&json!([exec()]));
        other.id.name = "user-of-ci".to_owned();
        assert_eq!(
            additional(role(&json!([exec()])), &[other], &[]),
            [format!("{name}: create pods/exec")],
            "the right of another account"
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
        let deployment = |field: &str, account: &str| {
            let pod = json!({ field: account, "containers": [] });
            member(DEPLOYMENT, json!({ "spec": { "template": { "spec": pod } } }))
        };
        let own = || [deployment("serviceAccountName", "oh")];
        assert_eq!(additional(deployment("serviceAccountName", "oh"), &own(), &[]), none);
        for (field, account) in
            [("serviceAccountName", "admin"), ("serviceAccount", "admin"), ("x", "default")]
        {
            assert_eq!(
                additional(deployment(field, account), &own(), &[]),
                [format!("deployment.apps/oh: runs as serviceaccount/{account}")]
            );
        }
    }

    #[test]
    fn image_of_an_unknown_repository_is_named() {
        let deployment = |list: &str, image: &str| {
            let mut pod = json!({ "serviceAccountName": "oh", "containers": [] });
            pod[list] = json!([{ "name": "c", "image": image }]);
            member(DEPLOYMENT, json!({ "spec": { "template": { "spec": pod } } }))
        };
        let own = || [deployment("containers", "a.example:5000/hands:0.59")];
        for (list, image, is_known) in [
            ("containers", "a.example:5000/hands:0.58", true),
            (
                "initContainers",
                "a.example:5000/hands@sha256:0123456789012345678901234567890123456789012345678901234567890123",
                true,
            ),
            ("containers", "kept.example/old:1", true),
            ("containers", "kept.example/old:2", false),
            ("containers", "a.example:5000/hands-2:0.59", false),
            ("containers", "a.example/hands:0.59", false),
            ("initContainers", "intruder.example/hands:0.59", false),
            ("containers", "no image", false),
        ] {
            let expected = if is_known { vec![] } else { vec![format!("deployment.apps/oh: {image}")] };
            assert_eq!(additional(deployment(list, image), &own(), &[]), expected, "configured: {image}");
            assert_eq!(additional(deployment(list, image), &[], &own()), expected, "live: {image}");
        }
    }
}
