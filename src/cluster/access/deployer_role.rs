//! The permissions of an account that runs `deploy`, and the impact of missing ones. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::rules::{self, Permission};
use crate::object::ObjectId;
use crate::object::kind::{
    CONFIG_MAP, ENDPOINT_SLICE, EVENT, INGRESS, INGRESS_CLASS, KindInfo, NAMESPACE, NODE, PERSISTENT_VOLUME,
    POD, REPLICA_SET, SECRET, SERVICE, VOLUME_SNAPSHOT_CLASS, VOLUME_SNAPSHOT_CONTENT,
};
use crate::object::list_items::items;
use crate::plan::checks::secret_refs::SecretRef;
use crate::plan::inventory::app_keys::reads_keys;
use crate::plan::{Member, Plan};
use crate::status::TrackedKind;

/// The consequence of a missing permission; None if nothing can be deployed without it.
pub type Impact = Option<&'static str>;

const NO_PRUNE: Impact = Some("objects of an earlier configuration are not found, and teardown fails");
const NO_DELETE: Impact = Some("removing it from the configuration fails, and so does teardown");
const NO_SECRET_CHECK: Impact =
    Some("referenced Secrets are not checked, and a change of one does not replace the pod");
const LESS_EVIDENCE: Impact = Some("a failure is explained with less evidence");
const NO_SERVICE_PROXY: Impact =
    Some("the application is probed through a port-forward or its URL, or not at all");
const NO_PORT_FORWARD: Impact =
    Some("the application is not probed where a NetworkPolicy does not admit the API server");
const NO_PREPULL: Impact = Some(
    "a changed image is pulled, and a rejection of the new pod is noticed, only after the old pod has stopped",
);
const NO_BACKUP: Impact = Some("backup and restore fail");
const NO_SNAPSHOT: Impact = Some("backup and restore with --snapshot fail");
const NO_SNAPSHOT_CLASS: Impact =
    Some("backup and restore with --snapshot check less before the first change");
const NO_SANDBOX_BACKUP: Impact = Some("backup and restore leave out the volumes of conversations");
const NO_SANDBOX_TEARDOWN: Impact = Some("teardown --sandboxes fails");
const NO_CAPACITY: Impact =
    Some("the number of sandboxes that fit is not reported, and taints are not explained");
const NO_ROUTE_CHECK: Impact = Some("an Ingress whose class does not exist is not noticed");
const NO_NAMESPACE_CREATION: Impact = Some("namespaces must exist before the deploy");

/// Whether pods of this workload mount a volume claim.
fn mounts_a_claim(workload: &Value) -> bool {
    let volumes = items(&workload["spec"]["template"]["spec"]["volumes"]);
    volumes.into_iter().any(|volume| volume["persistentVolumeClaim"].is_object())
}

/// Returns every permission that deploying, rolling back and tearing down this plan uses. `secret_refs` are the Secrets
/// that it references.
#[must_use]
pub fn deployer_permissions(plan: &Plan, secret_refs: &[SecretRef]) -> BTreeMap<Permission, Impact> {
    let set = &plan.set;
    let own_namespace = set.namespace.as_str();
    let mut permissions: BTreeMap<Permission, Impact> = BTreeMap::new();
    let mut add_optional = |permission: Permission, impact: Impact| {
        permissions.insert(permission, impact);
    };
    for namespace in set.namespaces() {
        for permission in rules::for_sandbox_teardown(namespace, true) {
            add_optional(permission, NO_SANDBOX_TEARDOWN);
        }
        for permission in rules::for_sandbox_volumes(namespace, true) {
            add_optional(permission, NO_SANDBOX_BACKUP);
        }
    }
    if plan.members.iter().any(|member| mounts_a_claim(&member.manifest)) {
        for permission in rules::for_snapshot(set, true).into_iter().chain(rules::for_snapshot_restore(set)) {
            add_optional(permission, NO_SNAPSHOT);
        }
        add_optional(Permission::new("", VOLUME_SNAPSHOT_CLASS, "list"), NO_SNAPSHOT_CLASS);
        add_optional(Permission::new("", VOLUME_SNAPSHOT_CONTENT, "get"), NO_SNAPSHOT_CLASS);
    }
    for permission in rules::for_stop(set) {
        add_optional(permission, NO_BACKUP);
    }
    for namespace in set.namespaces() {
        for kind in set.kinds_in(namespace) {
            for verb in ["get", "list", "watch", "delete"] {
                add_optional(Permission::new(namespace, kind, verb), NO_PRUNE);
            }
        }
    }
    for member in &plan.members {
        let namespace = member.id.namespace.as_deref().unwrap_or_default();
        // An object that changes before its delete, or belongs to another tool, is read and evaluated again.
        for verb in ["get", "delete"] {
            add_optional(Permission::new(namespace, member.kind, verb), NO_DELETE);
        }
    }
    for kind in [EVENT, ENDPOINT_SLICE] {
        for verb in ["list", "watch"] {
            add_optional(Permission::new(own_namespace, kind, verb), LESS_EVIDENCE);
        }
    }
    for secret in secret_refs {
        add_optional(Permission::new(&secret.namespace, SECRET, "get"), NO_SECRET_CHECK);
    }
    add_optional(Permission::for_subresource(own_namespace, POD, "log", "get"), LESS_EVIDENCE);
    // The pods of an extra workload are watched where it is.
    for namespace in plan.members.iter().filter(|member| starts_pods(&member.id)).filter_map(namespace_of) {
        for kind in [POD, REPLICA_SET, EVENT] {
            for verb in ["list", "watch"] {
                add_optional(Permission::new(namespace, kind, verb), LESS_EVIDENCE);
            }
        }
        add_optional(Permission::for_subresource(namespace, POD, "log", "get"), LESS_EVIDENCE);
    }
    let has_api = plan.members.iter().any(|member| reads_keys(&member.manifest));
    for verb in ["get", "create"].into_iter().chain(has_api.then_some("patch")) {
        add_optional(Permission::for_subresource(own_namespace, SERVICE, "proxy", verb), NO_SERVICE_PROXY);
    }
    // A WebSocket is a GET; newer API servers also check `create`.
    for verb in ["get", "create"] {
        add_optional(Permission::for_subresource(own_namespace, POD, "portforward", verb), NO_PORT_FORWARD);
    }
    for verb in ["create", "delete"] {
        add_optional(Permission::new(own_namespace, POD, verb), NO_PREPULL);
    }
    for permission in [
        Permission::new("", NODE, "get"),
        Permission::new("", NODE, "list"),
        Permission::new("", POD, "list"),
    ] {
        add_optional(permission, NO_CAPACITY);
    }
    if plan.members.iter().any(|member| member.kind == INGRESS) {
        add_optional(Permission::new("", INGRESS_CLASS, "get"), NO_ROUTE_CHECK);
    }
    if plan.members.iter().any(|member| mounts_a_claim(&member.manifest)) {
        add_optional(Permission::new("", PERSISTENT_VOLUME, "get"), LESS_EVIDENCE);
    }
    for verb in ["get", "create"] {
        add_optional(Permission::new("", NAMESPACE, verb), NO_NAMESPACE_CREATION);
    }
    let required = rules::for_apply(plan, plan.members.iter().map(|member| (member, true)))
        .into_iter()
        .chain(rules::for_watch(plan))
        .chain(rules::for_lock(set))
        .chain([Permission::new(own_namespace, CONFIG_MAP, "get")])
        .chain((!plan.secret_sources.is_empty()).then(|| Permission::new(own_namespace, SECRET, "watch")))
        .chain(rules::granted_by_roles(plan.members.iter()));
    for permission in required {
        permissions.insert(permission, None);
    }
    permissions
}

fn namespace_of(member: &Member) -> Option<&str> {
    member.id.namespace.as_deref()
}

/// Returns whether a rollout follows the object to its pods.
fn starts_pods(id: &ObjectId) -> bool {
    use TrackedKind::{DaemonSet, Deployment, Job, Pod, ReplicaSet, StatefulSet};
    let kind = TrackedKind::from_id(id);
    matches!(kind, Some(Deployment | StatefulSet | DaemonSet | ReplicaSet | Job | Pod))
}

/// Returns the namespaces in which the application, or an account of an extra manifest, can run a process under any
/// account of the namespace: that of the sandboxes, and those with a Role that creates pods or reads accounts' tokens.
#[must_use]
pub fn namespaces_with_foreign_pods(plan: &Plan, sandboxes: &str) -> BTreeSet<String> {
    let granted = rules::granted_by_roles(plan.members.iter());
    let with_role = granted.into_iter().filter(borrows_accounts).map(|permission| permission.namespace);
    with_role.chain([sandboxes.to_owned()]).collect()
}

/// Whether a permission is enough to act as every account of its namespace
/// (<https://kubernetes.io/docs/concepts/security/rbac-good-practices/#privilege-escalation-risks>).
fn borrows_accounts(permission: &Permission) -> bool {
    const WRITES: &[&str] = &["*", "create", "update", "patch"];
    const READS: &[&str] = &["*", "get", "list", "watch"];
    let verbs = match permission.resource.as_str() {
        "*" => return true,
        "pods"
        | "pods/exec"
        | "pods/attach"
        | "pods/ephemeralcontainers"
        | "serviceaccounts/token"
        | "replicationcontrollers"
        | "deployments"
        | "replicasets"
        | "statefulsets"
        | "daemonsets"
        | "jobs"
        | "cronjobs" => WRITES,
        // Secrets may hold tokens of accounts.
        "secrets" => READS,
        _ => return false,
    };
    let is_get_of_exec = permission.resource == "pods/exec" && permission.verb == "get";
    is_get_of_exec || verbs.contains(&permission.verb.as_str())
}

impl Permission {
    pub(super) fn for_subresource(namespace: &str, kind: KindInfo, subresource: &str, verb: &str) -> Self {
        let whole = Self::new(namespace, kind, verb);
        Self { resource: format!("{}/{subresource}", whole.resource), ..whole }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{SecretNaming, build};
    use crate::settings::{Request, read};

    fn permissions(text: &str) -> BTreeMap<Permission, Impact> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config.toml"), text).unwrap();
        let settings = read(&Request::default(), &[], folder.path()).unwrap().settings;
        deployer_permissions(&build(&settings, SecretNaming::Placeholder, &[]).unwrap(), &[])
    }

    fn permission(namespace: &str, group: &str, resource: &str, verb: &str) -> Permission {
        Permission {
            namespace: namespace.to_owned(),
            group: group.to_owned(),
            resource: resource.to_owned(),
            verb: verb.to_owned(),
        }
    }

    #[test]
    fn namespaces_of_foreign_pods_are_those_of_sandboxes_and_roles() {
        let namespaces = |text: &str| {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join("config.toml"), text).unwrap();
            let settings = read(&Request::default(), &[], folder.path()).unwrap().settings;
            let plan = build(&settings, SecretNaming::Placeholder, &[]).unwrap();
            Vec::from_iter(namespaces_with_foreign_pods(&plan, settings.runtime_namespace()))
        };
        assert_eq!(namespaces(""), ["openhands"]);
        assert_eq!(namespaces("[kubernetes]\nnamespace = \"boxes\"\n"), ["boxes"]);
        let own_account = "[deploy]\nservice_account = \"mine\"\n[kubernetes]\nnamespace = \"boxes\"\n";
        assert_eq!(namespaces(own_account), ["boxes"]);
        let dev = "[deploy]\nprofile = \"dev\"\n[kubernetes]\nnamespace = \"boxes\"\n";
        assert_eq!(namespaces(dev), ["boxes", "openhands"], "mirrord's Role creates pods");
        assert!(borrows_accounts(&permission("n", "", "secrets", "list")));
        assert!(!borrows_accounts(&permission("n", "", "pods", "list")));
    }

    #[test]
    fn permissions_of_applications_role_are_required_in_sandbox_namespace() {
        let permissions = permissions("[kubernetes]\nnamespace = \"boxes\"\n");
        for (resource, verb) in
            [("pods", "create"), ("services", "delete"), ("persistentvolumeclaims", "get")]
        {
            assert_eq!(
                permissions.get(&permission("boxes", "", resource, verb)),
                Some(&None),
                "{resource} {verb}"
            );
        }
        assert_eq!(permissions.get(&permission("openhands", "", "pods", "create")), Some(&NO_PREPULL));
        assert_eq!(permissions.get(&permission("boxes", "apps", "deployments", "patch")), None);
    }

    #[test]
    fn named_service_account_needs_no_right_on_roles() {
        let needed = |text: &str, resource: &str| {
            permissions(text).keys().any(|permission| permission.resource == resource)
        };
        let named = "[deploy]\nservice_account = \"app\"\n[kubernetes]\nnamespace = \"boxes\"\n";
        for resource in ["serviceaccounts", "roles", "rolebindings"] {
            assert!(needed("", resource) && !needed(named, resource), "{resource}");
        }
        let sandbox_pod = permission("boxes", "", "pods", "create");
        assert_eq!(
            permissions(named).get(&sandbox_pod),
            Some(&NO_SANDBOX_BACKUP),
            "the account grants nothing"
        );
    }

    #[test]
    fn explanations_need_rights_only_on_what_the_plan_has() {
        let needs = |text: &str, group: &str, resource: &str| {
            permissions(text).contains_key(&permission("", group, resource, "get"))
        };
        assert!(needs("", "networking.k8s.io", "ingressclasses") && needs("", "", "persistentvolumes"));
        assert!(!needs("[deploy]\nexpose = \"none\"\n", "networking.k8s.io", "ingressclasses"));
        let dev = "[deploy]\nprofile = \"dev\"\n";
        assert!(!needs(dev, "", "persistentvolumes"), "no pod mounts a claim");
    }

    #[test]
    fn pods_of_an_extra_workload_may_be_watched_in_its_namespace() {
        let extra = |kind: &str| {
            let folder = tempfile::tempdir().unwrap();
            let manifest = format!(
                "apiVersion: apps/v1\nkind: {kind}\nmetadata: {{ name: helper, namespace: boxes }}\nspec:\n  \
                 selector: {{ matchLabels: {{ app: helper }} }}\n  template:\n    metadata: {{ labels: {{ app: helper }} }}\n    \
                 spec: {{ containers: [{{ name: a, image: a }}] }}\n"
            );
            std::fs::write(folder.path().join("extra.yaml"), manifest).unwrap();
            let text = "[kubernetes]\nnamespace = \"boxes\"\n[deploy]\nextra_manifests = [\"extra.yaml\"]\n";
            std::fs::write(folder.path().join("config.toml"), text).unwrap();
            let settings = read(&Request::default(), &[], folder.path()).unwrap().settings;
            deployer_permissions(&build(&settings, SecretNaming::Placeholder, &[]).unwrap(), &[])
        };
        let events = permission("boxes", "", "events", "watch");
        assert_eq!(extra("Deployment").get(&events), Some(&LESS_EVIDENCE));
        assert_eq!(permissions("[kubernetes]\nnamespace = \"boxes\"\n").get(&events), None);
    }

    #[test]
    fn unconfigured_kind_needs_only_list_permission() {
        let with = permissions("");
        let without = permissions("[deploy]\nexpose = \"none\"\n");
        let list = permission("openhands", "networking.k8s.io", "ingresses", "list");
        assert_eq!((with.get(&list), without.get(&list)), (Some(&None), Some(&NO_PRUNE)));
        let patch = permission("openhands", "networking.k8s.io", "ingresses", "patch");
        assert_eq!((with.get(&patch), without.get(&patch)), (Some(&None), None));
    }
}
