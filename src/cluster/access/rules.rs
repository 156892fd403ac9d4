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
pub struct Right {
    /// Namespace.
    pub namespace: String,
    /// API group; empty for the core group.
    pub group: String,
    /// `deployments`.
    pub resource: String,
    /// `patch`.
    pub verb: String,
}

impl Right {
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
pub fn needed<'a>(plan: &Plan, to_send: impl Iterator<Item = (&'a Member, bool)>) -> BTreeSet<Right> {
    let mut rights = BTreeSet::new();
    for (member, creates) in to_send {
        let namespace = member.id.namespace.as_deref().unwrap_or_default();
        rights.insert(Right::new(namespace, member.kind, "patch"));
        if creates {
            rights.insert(Right::new(namespace, member.kind, "create"));
        }
    }
    for verb in ["patch", "create"] {
        rights.insert(Right::new(&plan.set.namespace, CONFIG_MAP, verb));
    }
    rights.extend(locked(&plan.set));
    // The revisions.
    for verb in ["list", "create", "patch", "delete"] {
        rights.insert(Right::new(&plan.set.namespace, SECRET, verb));
    }
    for kind in [POD, REPLICA_SET] {
        rights.insert(Right::new(&plan.set.namespace, kind, "list"));
        rights.insert(Right::new(&plan.set.namespace, kind, "watch"));
    }
    rights
}

/// What these members grant, where they are Roles: nobody may grant what they do not have, unless they may `escalate`
/// (<https://kubernetes.io/docs/reference/access-authn-authz/rbac/#privilege-escalation-prevention-and-bootstrapping>).
#[must_use]
pub fn granted<'a>(members: impl Iterator<Item = &'a Member>) -> BTreeSet<Right> {
    fn texts(value: &Value) -> impl Iterator<Item = &str> {
        value.as_array().into_iter().flatten().filter_map(Value::as_str)
    }
    let mut rights = BTreeSet::new();
    for role in members.filter(|member| member.kind == ROLE) {
        let namespace = role.id.namespace.as_deref().unwrap_or_default();
        for rule in role.manifest["rules"].as_array().into_iter().flatten() {
            for group in texts(&rule["apiGroups"]) {
                for resource in texts(&rule["resources"]) {
                    rights.extend(texts(&rule["verbs"]).map(|verb| Right {
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
pub fn escalated(granted: &BTreeSet<Right>) -> BTreeSet<Right> {
    granted.iter().map(|right| Right::new(&right.namespace, ROLE, "escalate")).collect()
}

/// What holding the set's lock needs.
#[must_use]
pub fn locked(set: &ApplySet) -> BTreeSet<Right> {
    ["get", "create", "update", "delete"].map(|verb| Right::new(&set.namespace, LEASE, verb)).into()
}

/// What `restart` needs.
#[must_use]
pub fn restarted(set: &ApplySet) -> BTreeSet<Right> {
    let mut rights = locked(set);
    rights.insert(Right::new(&set.namespace, DEPLOYMENT, "patch"));
    rights
}

/// What `teardown` needs.
#[must_use]
pub fn torn_down(set: &ApplySet) -> BTreeSet<Right> {
    let mut rights = locked(set);
    for namespace in set.namespaces() {
        for kind in set.kinds_in(namespace) {
            rights.extend(["list", "watch", "delete"].map(|verb| Right::new(namespace, kind, verb)));
        }
    }
    rights.extend(["list", "watch"].map(|verb| Right::new(&set.namespace, POD, verb)));
    rights
}

/// What deleting these members needs.
#[must_use]
pub fn pruned<'a>(set: &ApplySet, members: impl Iterator<Item = &'a ObjectId>) -> BTreeSet<Right> {
    members.filter_map(|id| Some(Right::new(id.namespace.as_deref()?, set.kind_of(id)?, "delete"))).collect()
}

/// What watching these members and their rollout needs.
#[must_use]
pub fn watched(plan: &Plan) -> BTreeSet<Right> {
    let members = plan.members.iter().map(|member| (member.id.namespace.as_deref(), member.kind));
    let mut rights = BTreeSet::new();
    for (namespace, kind) in
        members.chain([POD, REPLICA_SET].map(|kind| (Some(plan.set.namespace.as_str()), kind)))
    {
        for verb in ["list", "watch"] {
            rights.insert(Right::new(namespace.unwrap_or_default(), kind, verb));
        }
    }
    rights
}

/// Whether one of these rules grants the right to every object of the resource
/// (<https://kubernetes.io/docs/reference/access-authn-authz/rbac/>).
#[must_use]
pub fn grants(rules: &[ResourceRule], right: &Right) -> bool {
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
        let right = Right::new("n", DEPLOYMENT, "patch");
        assert!(grants(&[rule(&["apps"], &["deployments"], &["get", "patch"], &[])], &right));
        assert!(grants(&[rule(&["*"], &["*"], &["*"], &[])], &right));
        assert!(!grants(&[rule(&["apps"], &["deployments"], &["patch"], &["other"])], &right));
        assert!(!grants(&[rule(&[""], &["deployments"], &["patch"], &[])], &right));
        assert!(!grants(&[], &right));
    }
}
