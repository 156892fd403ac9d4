//! Objects of which no rule tells whether they work.

use super::observed::state::TrackedKind;
use crate::object::ObjectId;

/// Groups of Kubernetes itself. Most of their objects only hold data, and work as soon as they exist.
const OWN_GROUPS: &[&str] = &["", "apps", "batch", "autoscaling", "policy"];

/// Returns whether nothing tells if the object works: it is of another controller's kind, or starts pods by a schedule
/// or a controller that is not followed.
#[must_use]
pub fn is_unwatched(id: &ObjectId) -> bool {
    if TrackedKind::from_id(id).is_some() {
        return false;
    }
    match (id.group.as_str(), id.kind.as_str()) {
        ("batch", "CronJob") | ("", "ReplicationController") => true,
        // OpenShift's router admits a Route; its URL is probed.
        ("route.openshift.io", _) => false,
        (group, _) => !OWN_GROUPS.contains(&group) && !group.ends_with(".k8s.io"),
    }
}

/// Returns whether a controller may make other objects from this one, such as a Secret from an `ExternalSecret`, a
/// `SealedSecret` or a Certificate.
#[must_use]
pub fn may_provide_objects(id: &ObjectId) -> bool {
    is_unwatched(id) && !OWN_GROUPS.contains(&id.group.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_of_other_controllers_are_not_watched() {
        for (group, kind, unwatched) in [
            ("acme.example", "Gadget", true),
            ("batch", "CronJob", true),
            ("", "ReplicationController", true),
            ("apps", "DaemonSet", false),
            ("", "ConfigMap", false),
            ("policy", "PodDisruptionBudget", false),
            ("networking.k8s.io", "Ingress", false),
            ("rbac.authorization.k8s.io", "Role", false),
            ("route.openshift.io", "Route", false),
        ] {
            assert_eq!(is_unwatched(&ObjectId::namespaced(group, kind, "n", "x")), unwatched, "{kind}");
        }
        let may_provide =
            |group: &str, kind: &str| may_provide_objects(&ObjectId::namespaced(group, kind, "n", "x"));
        assert!(may_provide("external-secrets.io", "ExternalSecret"));
        assert!(!may_provide("batch", "CronJob"), "its pods make no Secret that a container waits for");
    }
}
