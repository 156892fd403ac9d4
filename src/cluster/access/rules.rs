//! Which rights a deploy needs, and whether a list of rules grants them. Pure.

use std::collections::BTreeSet;

use k8s_openapi::api::authorization::v1::ResourceRule;
use serde_json::Value;

use crate::object::ObjectId;
use crate::object::kind::{CONFIG_MAP, DEPLOYMENT, KindInfo, LEASE, POD, REPLICA_SET, ROLE, SECRET};
use crate::plan::inventory::apply_set::ApplySet;
use crate::plan::{Member, Plan};

/// One right in one namespace.
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
    /// A right on a kind; an empty namespace is the whole cluster.
    #[must_use]
    pub fn new(namespace: &str, kind: KindInfo, verb: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            group: kind.group.to_owned(),
            resource: kind.plural.to_owned(),
            verb: verb.to_owned(),
        }
    }

    /// As a rule of a Role.
    #[must_use]
    pub fn rule(&self) -> String {
        format!(
            r#"{{apiGroups: ["{}"], resources: ["{}"], verbs: ["{}"]}}"#,
            self.group, self.resource, self.verb
        )
    }
}

/// What applying these members and watching their rollout needs. Server-side apply of an object that does not
/// exist needs `create` as well as `patch`.
#[must_use]
pub fn for_apply<'a>(plan: &Plan, to_send: impl Iterator<Item = (&'a Member, bool)>) -> BTreeSet<Permission> {
    let mut rights = BTreeSet::new();
    for (member, creates) in to_send {
        let namespace = member.id.namespace.as_deref().unwrap_or_default();
        rights.insert(Permission::new(namespace, member.kind, "patch"));
        if creates {
            rights.insert(Permission::new(namespace, member.kind, "create"));
        }
    }
    for verb in ["patch", "create"] {
        rights.insert(Permission::new(&plan.set.namespace, CONFIG_MAP, verb));
    }
    rights.extend(for_lock(&plan.set));
    // The revisions.
    for verb in ["list", "create", "patch", "delete"] {
        rights.insert(Permission::new(&plan.set.namespace, SECRET, verb));
    }
    for kind in [POD, REPLICA_SET] {
        rights.insert(Permission::new(&plan.set.namespace, kind, "list"));
        rights.insert(Permission::new(&plan.set.namespace, kind, "watch"));
    }
    rights
}

/// What these members grant, where they are Roles: nobody may grant what they do not have, unless they may `escalate`
/// (<https://kubernetes.io/docs/reference/access-authn-authz/rbac/#privilege-escalation-prevention-and-bootstrapping>).
#[must_use]
pub fn granted_by_roles<'a>(members: impl Iterator<Item = &'a Member>) -> BTreeSet<Permission> {
    fn texts(value: &Value) -> impl Iterator<Item = &str> {
        value.as_array().into_iter().flatten().filter_map(Value::as_str)
    }
    let mut rights = BTreeSet::new();
    for role in members.filter(|member| member.kind == ROLE) {
        let namespace = role.id.namespace.as_deref().unwrap_or_default();
        for rule in role.manifest["rules"].as_array().into_iter().flatten() {
            for group in texts(&rule["apiGroups"]) {
                for resource in texts(&rule["resources"]) {
                    rights.extend(texts(&rule["verbs"]).map(|verb| Permission {
                        namespace: namespace.to_owned(),
                        group: group.to_owned(),
                        resource: resource.to_owned(),
                        verb: verb.to_owned(),
                    }));
                }
            }
        }
    }
    rights
}

/// What lets an account grant what it does not have.
#[must_use]
pub fn escalate_on(granted: &BTreeSet<Permission>) -> BTreeSet<Permission> {
    granted.iter().map(|right| Permission::new(&right.namespace, ROLE, "escalate")).collect()
}

/// What holding the set's lock needs.
#[must_use]
pub fn for_lock(set: &ApplySet) -> BTreeSet<Permission> {
    ["get", "create", "update", "delete"].map(|verb| Permission::new(&set.namespace, LEASE, verb)).into()
}

/// What `restart` needs.
#[must_use]
pub fn for_restart(set: &ApplySet) -> BTreeSet<Permission> {
    let mut rights = for_lock(set);
    rights.insert(Permission::new(&set.namespace, DEPLOYMENT, "patch"));
    rights
}

/// What `teardown` needs.
#[must_use]
pub fn for_teardown(set: &ApplySet) -> BTreeSet<Permission> {
    let mut rights = for_lock(set);
    for namespace in set.namespaces() {
        for kind in set.kinds_in(namespace) {
            rights.extend(["list", "watch", "delete"].map(|verb| Permission::new(namespace, kind, verb)));
        }
    }
    rights.extend(["list", "watch"].map(|verb| Permission::new(&set.namespace, POD, verb)));
    rights
}

/// What deleting these members needs.
#[must_use]
pub fn for_prune<'a>(set: &ApplySet, members: impl Iterator<Item = &'a ObjectId>) -> BTreeSet<Permission> {
    members
        .filter_map(|id| Some(Permission::new(id.namespace.as_deref()?, set.kind_of(id)?, "delete")))
        .collect()
}

/// What watching these members and their rollout needs.
#[must_use]
pub fn for_watch(plan: &Plan) -> BTreeSet<Permission> {
    let members = plan.members.iter().map(|member| (member.id.namespace.as_deref(), member.kind));
    let mut rights = BTreeSet::new();
    for (namespace, kind) in
        members.chain([POD, REPLICA_SET].map(|kind| (Some(plan.set.namespace.as_str()), kind)))
    {
        for verb in ["list", "watch"] {
            rights.insert(Permission::new(namespace.unwrap_or_default(), kind, verb));
        }
    }
    rights
}

/// Whether one of these rules grants the right to every object of the resource
/// (<https://kubernetes.io/docs/reference/access-authn-authz/rbac/>).
#[must_use]
pub fn grants(rules: &[ResourceRule], right: &Permission) -> bool {
    let has = |list: Option<&Vec<String>>, wanted: &str| {
        list.is_some_and(|list| list.iter().any(|item| item == wanted || item == "*"))
    };
    rules.iter().any(|rule| {
        rule.resource_names.as_ref().is_none_or(Vec::is_empty)
            && has(rule.api_groups.as_ref(), &right.group)
            && has(rule.resources.as_ref(), &right.resource)
            && has(Some(&rule.verbs), &right.verb)
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
    fn a_rule_grants_what_it_names() {
        let right = Permission::new("n", DEPLOYMENT, "patch");
        assert!(grants(&[rule(&["apps"], &["deployments"], &["get", "patch"], &[])], &right));
        assert!(grants(&[rule(&["*"], &["*"], &["*"], &[])], &right));
        assert!(!grants(&[rule(&["apps"], &["deployments"], &["patch"], &["other"])], &right));
        assert!(!grants(&[rule(&[""], &["deployments"], &["patch"], &[])], &right));
        assert!(!grants(&[], &right));
    }
}
