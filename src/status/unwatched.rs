//! Objects of which nothing tells whether they work.

use super::observed::state::ObservedState;
use super::rules::custom;
use crate::object::ObjectId;
use crate::object::kind::is_custom;

/// Returns whether nothing tells if the object works: its controller reports neither `Ready` nor `Available`, or starts
/// pods that are not followed. `uid` is None for an object whose content is unknown.
#[must_use]
pub fn is_unwatched(observed: &ObservedState, id: &ObjectId, uid: Option<&str>) -> bool {
    let is_reported = || {
        let object = uid.and_then(|uid| observed.untyped.get(uid));
        object.is_some_and(custom::reports_health)
    };
    (id.group.is_empty() && id.kind == "ReplicationController") || is_custom(id) && !is_reported()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::{Value, json};

    use super::*;
    use crate::status::TrackedKind;

    fn is_unwatched_with(group: &str, kind: &str, status: &Value) -> bool {
        let id = ObjectId::namespaced(group, kind, "n", "x");
        let mut observed = ObservedState::default();
        let object = json!({ "metadata": { "name": "x", "uid": "u" }, "status": status });
        if let Some(kind) = TrackedKind::from_id(&id) {
            observed.apply(0, kind, &object, Timestamp::UNIX_EPOCH).unwrap();
        }
        is_unwatched(&observed, &id, Some("u"))
    }

    #[test]
    fn object_without_a_condition_of_its_controller_is_not_watched() {
        for (group, kind, unwatched) in [
            ("acme.example", "Gadget", true),
            ("batch", "CronJob", false),
            ("", "ReplicationController", true),
            ("", "ConfigMap", false),
            ("policy", "PodDisruptionBudget", false),
            ("networking.k8s.io", "Ingress", false),
            ("rbac.authorization.k8s.io", "Role", false),
            ("route.openshift.io", "Route", false),
        ] {
            assert_eq!(is_unwatched_with(group, kind, &Value::Null), unwatched, "{kind}");
        }
        let status = |name: &str| json!({ "conditions": [{ "type": name, "status": "False" }] });
        for (condition, unwatched) in
            [("Ready", false), ("Available", false), ("Stalled", false), ("Seen", true)]
        {
            assert_eq!(
                is_unwatched_with("acme.example", "Gadget", &status(condition)),
                unwatched,
                "{condition}"
            );
        }
        let id = ObjectId::namespaced("acme.example", "Gadget", "n", "x");
        assert!(is_unwatched(&ObservedState::default(), &id, None));
    }
}
