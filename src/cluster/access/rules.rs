//! The permissions that each command needs, and whether a list of rules grants them. Pure.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::authorization::v1::ResourceRule;
use serde_json::Value;

use crate::object::ObjectId;
use crate::object::kind::{
    CLAIM, CONFIG_MAP, DEPLOYMENT, INGRESS, KindInfo, LEASE, POD, REPLICA_SET, ROLE, SECRET, SERVICE,
    VOLUME_SNAPSHOT,
};
use crate::plan::inventory::apply_set::ApplySet;
use crate::plan::{Member, Plan};

/// One verb on one resource in one namespace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Permission {
    /// Namespace.
    pub namespace: String,
    /// API group; empty for the core group.
    pub group: String,
    /// `deployments`.
    pub resource: String,
    /// `patch`.
    pub verb: String,
}

impl Permission {
    /// A permission for a kind; an empty namespace means the whole cluster.
    #[must_use]
    pub fn new(namespace: &str, kind: KindInfo, verb: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            group: kind.group.to_owned(),
            resource: kind.plural.to_owned(),
            verb: verb.to_owned(),
        }
    }
}

/// Formats permissions as rules of Roles with their namespaces: one rule for all verbs on a resource.
#[must_use]
pub fn as_rules<'a>(permissions: impl IntoIterator<Item = &'a Permission>) -> Vec<String> {
    let mut verbs: BTreeMap<(&str, &str, &str), BTreeSet<&str>> = BTreeMap::new();
    for Permission { namespace, group, resource, verb } in permissions {
        verbs.entry((namespace, group, resource)).or_default().insert(verb);
    }
    let rule = |((namespace, group, resource), verbs): ((&str, &str, &str), BTreeSet<&str>)| {
        let verbs = verbs.into_iter().collect::<Vec<_>>().join("\", \"");
        let scope = match namespace {
            "" => "in the whole cluster".to_owned(),
            namespace => format!("in namespace {namespace}"),
        };
        format!(r#"{{apiGroups: ["{group}"], resources: ["{resource}"], verbs: ["{verbs}"]}}  {scope}"#)
    };
    verbs.into_iter().map(rule).collect()
}

/// Returns the permissions for applying these members and watching their rollout. The flag marks members that do not
/// exist: server-side apply needs `create` as well as `patch` for them.
#[must_use]
pub fn for_apply<'a>(plan: &Plan, members: impl Iterator<Item = (&'a Member, bool)>) -> BTreeSet<Permission> {
    let mut permissions = BTreeSet::new();
    for (member, creates) in members {
        let namespace = member.id.namespace.as_deref().unwrap_or_default();
        permissions.insert(Permission::new(namespace, member.kind, "patch"));
        if creates {
            permissions.insert(Permission::new(namespace, member.kind, "create"));
        }
    }
    for verb in ["patch", "create"] {
        permissions.insert(Permission::new(&plan.set.namespace, CONFIG_MAP, verb));
    }
    permissions.extend(for_lock(&plan.set));
    // Revisions are Secrets.
    for verb in ["list", "create", "patch", "delete"] {
        permissions.insert(Permission::new(&plan.set.namespace, SECRET, verb));
    }
    for kind in [POD, REPLICA_SET] {
        permissions.insert(Permission::new(&plan.set.namespace, kind, "list"));
        permissions.insert(Permission::new(&plan.set.namespace, kind, "watch"));
    }
    permissions
}

/// Returns the permissions that Roles among these members grant. An account can only grant permissions that it has,
/// unless it has the verb `escalate`
/// (<https://kubernetes.io/docs/reference/access-authn-authz/rbac/#privilege-escalation-prevention-and-bootstrapping>).
#[must_use]
pub fn granted_by_roles<'a>(members: impl Iterator<Item = &'a Member>) -> BTreeSet<Permission> {
    fn strings(value: &Value) -> impl Iterator<Item = &str> {
        value.as_array().into_iter().flatten().filter_map(Value::as_str)
    }
    let mut permissions = BTreeSet::new();
    for role in members.filter(|member| member.kind == ROLE) {
        let namespace = role.id.namespace.as_deref().unwrap_or_default();
        for rule in role.manifest["rules"].as_array().into_iter().flatten() {
            for group in strings(&rule["apiGroups"]) {
                for resource in strings(&rule["resources"]) {
                    permissions.extend(strings(&rule["verbs"]).map(|verb| Permission {
                        namespace: namespace.to_owned(),
                        group: group.to_owned(),
                        resource: resource.to_owned(),
                        verb: verb.to_owned(),
                    }));
                }
            }
        }
    }
    permissions
}

/// Returns the permissions that let an account grant permissions that it does not have.
#[must_use]
pub fn escalate_on(granted: &BTreeSet<Permission>) -> BTreeSet<Permission> {
    granted.iter().map(|permission| Permission::new(&permission.namespace, ROLE, "escalate")).collect()
}

/// Returns the permissions for the set's lock.
#[must_use]
pub fn for_lock(set: &ApplySet) -> BTreeSet<Permission> {
    ["get", "create", "update", "delete"].map(|verb| Permission::new(&set.namespace, LEASE, verb)).into()
}

/// Returns the permissions for `restart`.
#[must_use]
pub fn for_restart(set: &ApplySet) -> BTreeSet<Permission> {
    let mut permissions = for_lock(set);
    permissions.insert(Permission::new(&set.namespace, DEPLOYMENT, "patch"));
    permissions
}

/// Returns the permissions for a `restart` that changes the keys of the application's API.
#[must_use]
pub fn for_restart_with_keys(set: &ApplySet) -> BTreeSet<Permission> {
    let mut permissions = for_restart(set);
    permissions.extend(["get", "patch"].map(|verb| Permission::new(&set.namespace, SECRET, verb)));
    permissions
}

/// Returns the permissions for a command in the containers of a namespace.
#[must_use]
pub fn for_exec(namespace: &str) -> BTreeSet<Permission> {
    // A WebSocket is a GET; newer API servers also check `create`.
    let exec = ["get", "create"].map(|verb| Permission::for_subresource(namespace, POD, "exec", verb));
    exec.into_iter().chain([Permission::new(namespace, POD, "list")]).collect()
}

/// Returns the permissions for stopping the application and mounting its volume in a pod.
#[must_use]
pub fn for_stop(set: &ApplySet) -> BTreeSet<Permission> {
    let mut permissions = for_scale_down(set);
    permissions.extend(for_exec(&set.namespace));
    permissions.extend(for_volume_pods(&set.namespace));
    permissions
}

/// Returns the permissions for stopping the application and starting it again. The stopped pods are read one by one until
/// they are gone.
fn for_scale_down(set: &ApplySet) -> BTreeSet<Permission> {
    let mut permissions = for_lock(set);
    permissions.insert(Permission::new(&set.namespace, DEPLOYMENT, "patch"));
    permissions.extend(["get", "list"].map(|verb| Permission::new(&set.namespace, POD, verb)));
    permissions
}

/// Returns the permissions for a snapshot of the application's volume; `stops`: while the application is stopped.
#[must_use]
pub fn for_snapshot(set: &ApplySet, stops: bool) -> BTreeSet<Permission> {
    let mut permissions = if stops { for_scale_down(set) } else { BTreeSet::new() };
    permissions.insert(Permission::new(&set.namespace, CLAIM, "get"));
    let of_snapshots = |verb| Permission::new(&set.namespace, VOLUME_SNAPSHOT, verb);
    permissions.extend(["get", "create", "delete"].map(of_snapshots));
    permissions
}

/// Returns the permissions for replacing the application's volume by a snapshot.
#[must_use]
pub fn for_snapshot_restore(set: &ApplySet) -> BTreeSet<Permission> {
    let mut permissions = for_scale_down(set);
    permissions.extend(["get", "list"].map(|verb| Permission::new(&set.namespace, VOLUME_SNAPSHOT, verb)));
    let of_claims = |verb| Permission::new(&set.namespace, CLAIM, verb);
    permissions.extend(["get", "create", "patch", "delete"].map(of_claims));
    permissions
}

/// Returns the permissions for mounting volumes of a namespace in pods.
#[must_use]
pub fn for_volume_pods(namespace: &str) -> BTreeSet<Permission> {
    ["list", "watch", "create", "delete"].map(|verb| Permission::new(namespace, POD, verb)).into()
}

/// Returns the permissions for copying the volumes of conversations; `writes`: for restoring them.
#[must_use]
pub fn for_sandbox_volumes(namespace: &str, writes: bool) -> BTreeSet<Permission> {
    let mut permissions = for_exec(namespace);
    permissions.extend(for_volume_pods(namespace));
    let verbs: &[&str] = if writes { &["get", "list", "create", "patch"] } else { &["list"] };
    permissions.extend(verbs.iter().map(|verb| Permission::new(namespace, CLAIM, verb)));
    permissions
}

/// Returns the permissions for deleting the sandboxes of a namespace, and their claims with `delete_data`.
#[must_use]
pub fn for_sandbox_teardown(namespace: &str, delete_data: bool) -> BTreeSet<Permission> {
    let of = |kind: KindInfo, verbs: &'static [&'static str]| {
        verbs.iter().map(move |verb| Permission::new(namespace, kind, verb))
    };
    let claims: &[&str] = if delete_data { &["list", "watch", "delete"] } else { &["list", "watch"] };
    let others = [POD, SERVICE, INGRESS].into_iter().flat_map(|kind| of(kind, &["list", "watch", "delete"]));
    others.chain(of(CLAIM, claims)).collect()
}

/// Returns the permissions for `teardown`.
#[must_use]
pub fn for_teardown(set: &ApplySet) -> BTreeSet<Permission> {
    let mut permissions = for_lock(set);
    for namespace in set.namespaces() {
        for kind in set.kinds_in(namespace) {
            permissions
                .extend(["list", "watch", "delete"].map(|verb| Permission::new(namespace, kind, verb)));
        }
    }
    permissions.extend(["list", "watch"].map(|verb| Permission::new(&set.namespace, POD, verb)));
    permissions
}

/// Returns the permissions for deleting these members.
#[must_use]
pub fn for_prune<'a>(set: &ApplySet, members: impl Iterator<Item = &'a ObjectId>) -> BTreeSet<Permission> {
    members
        .filter_map(|id| Some(Permission::new(id.namespace.as_deref()?, set.kind_of(id)?, "delete")))
        .collect()
}

/// Returns the permissions for watching these members and their rollout.
#[must_use]
pub fn for_watch(plan: &Plan) -> BTreeSet<Permission> {
    let members = plan.members.iter().map(|member| (member.id.namespace.as_deref(), member.kind));
    let mut permissions = BTreeSet::new();
    for (namespace, kind) in
        members.chain([POD, REPLICA_SET].map(|kind| (Some(plan.set.namespace.as_str()), kind)))
    {
        for verb in ["list", "watch"] {
            permissions.insert(Permission::new(namespace.unwrap_or_default(), kind, verb));
        }
    }
    permissions
}

/// Whether one of these rules grants the permission for every object of the resource
/// (<https://kubernetes.io/docs/reference/access-authn-authz/rbac/>).
#[must_use]
pub fn grants(rules: &[ResourceRule], permission: &Permission) -> bool {
    let contains = |list: Option<&Vec<String>>, value: &str| {
        list.is_some_and(|list| list.iter().any(|item| item == value || item == "*"))
    };
    rules.iter().any(|rule| {
        rule.resource_names.as_ref().is_none_or(Vec::is_empty)
            && contains(rule.api_groups.as_ref(), &permission.group)
            && contains(rule.resources.as_ref(), &permission.resource)
            && contains(Some(&rule.verbs), &permission.verb)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(groups: &[&str], resources: &[&str], verbs: &[&str], names: &[&str]) -> ResourceRule {
        let list = |items: &[&str]| items.iter().map(|item| (*item).to_owned()).collect::<Vec<_>>();
        ResourceRule {
            api_groups: Some(list(groups)),
            resources: Some(list(resources)),
            verbs: list(verbs),
            resource_names: Some(list(names)),
        }
    }

    #[test]
    fn verbs_on_one_resource_are_one_rule() {
        let permissions = [("n", "patch"), ("n", "create"), ("", "list")]
            .map(|(at, verb)| Permission::new(at, DEPLOYMENT, verb));
        let rule = |verbs: &str, scope: &str| {
            format!(r#"{{apiGroups: ["apps"], resources: ["deployments"], verbs: [{verbs}]}}  in {scope}"#)
        };
        let expected = [rule(r#""list""#, "the whole cluster"), rule(r#""create", "patch""#, "namespace n")];
        assert_eq!(as_rules(&permissions), expected);
    }

    #[test]
    fn rule_grants_listed_or_wildcard_permissions_only() {
        let permission = Permission::new("n", DEPLOYMENT, "patch");
        assert!(grants(&[rule(&["apps"], &["deployments"], &["get", "patch"], &[])], &permission));
        assert!(grants(&[rule(&["*"], &["*"], &["*"], &[])], &permission));
        assert!(!grants(&[rule(&["apps"], &["deployments"], &["patch"], &["other"])], &permission));
        assert!(!grants(&[rule(&[""], &["deployments"], &["patch"], &[])], &permission));
        assert!(!grants(&[], &permission));
    }
}
