//! The rights of an account that runs `deploy`, and what is lost without each. Pure.

use std::collections::BTreeMap;

use super::rules::{self, Right};
use crate::object::kind::{
    CONFIG_MAP, ENDPOINT_SLICE, EVENT, KindInfo, NAMESPACE, NODE, POD, SECRET, SERVICE,
};
use crate::plan::Plan;
use crate::plan::checks::secret_refs::WantedSecret;

/// What is lost without a right; None: nothing can be deployed.
pub type Loss = Option<&'static str>;

const UNFOUND: Loss = Some("what an earlier configuration left is not found, and teardown is refused");
const UNDELETED: Loss = Some("a configuration that leaves it out is refused, and so is teardown");
const UNREAD: Loss = Some("named Secrets are not looked at, and a change of one does not roll the pod");
const UNEXPLAINED: Loss = Some("a failure is explained with less evidence");
const UNASKED: Loss = Some("the application is asked through a port-forward or its URL, or not at all");
const UNPULLED: Loss = Some("a changed image is pulled only after the old pod was stopped");
const UNCOUNTED: Loss = Some("how many sandboxes fit is not said, and taints are not explained");
const UNMADE: Loss = Some("namespaces have to be there");

/// Every right that deploying, rolling back and tearing down this plan uses; `wanted` are the Secrets that it names.
#[must_use]
pub fn of_deployer(plan: &Plan, wanted: &[WantedSecret]) -> BTreeMap<Right, Loss> {
    let set = &plan.set;
    let own = set.namespace.as_str();
    let mut rights: BTreeMap<Right, Loss> = BTreeMap::new();
    let mut optional = |right: Right, loss: Loss| {
        rights.insert(right, loss);
    };
    for namespace in set.namespaces() {
        for kind in set.kinds_in(namespace) {
            for verb in ["get", "list", "watch", "delete"] {
                optional(Right::new(namespace, kind, verb), UNFOUND);
            }
        }
    }
    for member in &plan.members {
        let namespace = member.id.namespace.as_deref().unwrap_or_default();
        // What changes under a delete, or was somebody's, is looked at before it is judged again.
        for verb in ["get", "delete"] {
            optional(Right::new(namespace, member.kind, verb), UNDELETED);
        }
    }
    for kind in [EVENT, ENDPOINT_SLICE] {
        for verb in ["list", "watch"] {
            optional(Right::new(own, kind, verb), UNEXPLAINED);
        }
    }
    for secret in wanted {
        optional(Right::new(&secret.namespace, SECRET, "get"), UNREAD);
    }
    optional(Right::of_part(own, POD, "log", "get"), UNEXPLAINED);
    for verb in ["get", "create"] {
        optional(Right::of_part(own, SERVICE, "proxy", verb), UNASKED);
    }
    for verb in ["create", "delete"] {
        optional(Right::new(own, POD, verb), UNPULLED);
    }
    for right in [Right::new("", NODE, "get"), Right::new("", NODE, "list"), Right::new("", POD, "list")] {
        optional(right, UNCOUNTED);
    }
    for verb in ["get", "create"] {
        optional(Right::new("", NAMESPACE, verb), UNMADE);
    }
    let needed = rules::needed(plan, plan.members.iter().map(|member| (member, true)))
        .into_iter()
        .chain(rules::watched(plan))
        .chain(rules::locked(set))
        .chain([Right::new(own, CONFIG_MAP, "get")])
        .chain((!plan.secret_sources.is_empty()).then(|| Right::new(own, SECRET, "watch")))
        .chain(rules::granted(plan.members.iter()));
    for right in needed {
        rights.insert(right, None);
    }
    rights
}

impl Right {
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

    fn rights(text: &str) -> BTreeMap<Right, Loss> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config.toml"), text).unwrap();
        let settings = read(&Request::default(), &[], folder.path()).unwrap().settings;
        of_deployer(&build(&settings, SecretNaming::Rendered, &[]).unwrap(), &[])
    }

    fn right(namespace: &str, group: &str, resource: &str, verb: &str) -> Right {
        Right {
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
