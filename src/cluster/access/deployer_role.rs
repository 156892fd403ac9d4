//! The rights of an account that runs `deploy`, and what is lost without each. Pure.

use std::collections::BTreeMap;

use super::rules::{self, Permission};
use crate::object::kind::{
    CONFIG_MAP, ENDPOINT_SLICE, EVENT, KindInfo, NAMESPACE, NODE, POD, SECRET, SERVICE,
};
use crate::plan::Plan;
use crate::plan::checks::secret_refs::SecretRef;

/// What is lost without a right; None: nothing can be deployed.
pub type Impact = Option<&'static str>;

const UNFOUND: Impact = Some("what an earlier configuration left is not found, and teardown is refused");
const UNDELETED: Impact = Some("a configuration that leaves it out is refused, and so is teardown");
const UNREAD: Impact = Some("named Secrets are not looked at, and a change of one does not roll the pod");
const UNEXPLAINED: Impact = Some("a failure is explained with less evidence");
const UNASKED: Impact = Some("the application is asked through a port-forward or its URL, or not at all");
const UNPULLED: Impact = Some("a changed image is pulled only after the old pod was stopped");
const UNCOUNTED: Impact = Some("how many sandboxes fit is not said, and taints are not explained");
const UNMADE: Impact = Some("namespaces have to be there");

/// Every right that deploying, rolling back and tearing down this plan uses; `wanted` are the Secrets that it names.
#[must_use]
pub fn deployer_permissions(plan: &Plan, wanted: &[SecretRef]) -> BTreeMap<Permission, Impact> {
    let set = &plan.set;
    let own = set.namespace.as_str();
    let mut rights: BTreeMap<Permission, Impact> = BTreeMap::new();
    let mut optional = |right: Permission, loss: Impact| {
        rights.insert(right, loss);
    };
    for namespace in set.namespaces() {
        for kind in set.kinds_in(namespace) {
            for verb in ["get", "list", "watch", "delete"] {
                optional(Permission::new(namespace, kind, verb), UNFOUND);
            }
        }
    }
    for member in &plan.members {
        let namespace = member.id.namespace.as_deref().unwrap_or_default();
        // What changes under a delete, or was somebody's, is looked at before it is judged again.
        for verb in ["get", "delete"] {
            optional(Permission::new(namespace, member.kind, verb), UNDELETED);
        }
    }
    for kind in [EVENT, ENDPOINT_SLICE] {
        for verb in ["list", "watch"] {
            optional(Permission::new(own, kind, verb), UNEXPLAINED);
        }
    }
    for secret in wanted {
        optional(Permission::new(&secret.namespace, SECRET, "get"), UNREAD);
    }
    optional(Permission::of_part(own, POD, "log", "get"), UNEXPLAINED);
    for verb in ["get", "create"] {
        optional(Permission::of_part(own, SERVICE, "proxy", verb), UNASKED);
    }
    for verb in ["create", "delete"] {
        optional(Permission::new(own, POD, verb), UNPULLED);
    }
    for right in [
        Permission::new("", NODE, "get"),
        Permission::new("", NODE, "list"),
        Permission::new("", POD, "list"),
    ] {
        optional(right, UNCOUNTED);
    }
    for verb in ["get", "create"] {
        optional(Permission::new("", NAMESPACE, verb), UNMADE);
    }
    let needed = rules::for_apply(plan, plan.members.iter().map(|member| (member, true)))
        .into_iter()
        .chain(rules::for_watch(plan))
        .chain(rules::for_lock(set))
        .chain([Permission::new(own, CONFIG_MAP, "get")])
        .chain((!plan.secret_sources.is_empty()).then(|| Permission::new(own, SECRET, "watch")))
        .chain(rules::granted_by_roles(plan.members.iter()));
    for right in needed {
        rights.insert(right, None);
    }
    rights
}

impl Permission {
    fn of_part(namespace: &str, kind: KindInfo, part: &str, verb: &str) -> Self {
        let whole = Self::new(namespace, kind, verb);
        Self { resource: format!("{}/{part}", whole.resource), ..whole }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{SecretNaming, build};
    use crate::settings::{Request, read};

    fn rights(text: &str) -> BTreeMap<Permission, Impact> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config.toml"), text).unwrap();
        let settings = read(&Request::default(), &[], folder.path()).unwrap().settings;
        deployer_permissions(&build(&settings, SecretNaming::Placeholder, &[]).unwrap(), &[])
    }

    fn right(namespace: &str, group: &str, resource: &str, verb: &str) -> Permission {
        Permission {
            namespace: namespace.to_owned(),
            group: group.to_owned(),
            resource: resource.to_owned(),
            verb: verb.to_owned(),
        }
    }

    #[test]
    fn what_the_applications_role_grants_is_needed_where_the_sandboxes_are() {
        let rights = rights("[kubernetes]\nnamespace = \"boxes\"\n");
        for (resource, verb) in
            [("pods", "create"), ("services", "delete"), ("persistentvolumeclaims", "get")]
        {
            assert_eq!(rights.get(&right("boxes", "", resource, verb)), Some(&None), "{resource} {verb}");
        }
        assert_eq!(rights.get(&right("openhands", "", "pods", "create")), Some(&UNPULLED));
        assert_eq!(rights.get(&right("boxes", "apps", "deployments", "patch")), None);
    }

    #[test]
    fn a_kind_that_is_not_configured_is_only_looked_for() {
        let with = rights("");
        let without = rights("[deploy]\nexpose = \"none\"\n");
        let list = right("openhands", "networking.k8s.io", "ingresses", "list");
        assert_eq!((with.get(&list), without.get(&list)), (Some(&None), Some(&UNFOUND)));
        let patch = right("openhands", "networking.k8s.io", "ingresses", "patch");
        assert_eq!((with.get(&patch), without.get(&patch)), (Some(&None), None));
    }
}
