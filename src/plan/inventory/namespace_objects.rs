//! Which objects of a namespace are somebody else's. Pure.

use std::collections::BTreeSet;

use serde_json::Value;

use super::app_keys;
use super::apply_set::ApplySet;
use super::members;
use super::revision;
use crate::object::{ObjectId, deletion};

/// Objects that Kubernetes or `OpenShift` creates in every namespace, as kind and name.
const OF_EVERY_NAMESPACE: &[(&str, &str)] = &[
    ("ConfigMap", "kube-root-ca.crt"),
    ("ConfigMap", "openshift-service-ca.crt"),
    ("ServiceAccount", "default"),
    ("ServiceAccount", "builder"),
    ("ServiceAccount", "deployer"),
];

/// The UIDs of a namespace's objects.
pub type Uids = BTreeSet<String>;

/// Returns the UIDs of the objects that were listed in a namespace.
#[must_use]
pub fn uids(objects: &[(ObjectId, Value)]) -> Uids {
    objects.iter().filter_map(|(_, object)| object["metadata"]["uid"].as_str().map(str::to_owned)).collect()
}

/// Returns whether somebody made this object who is neither handsctl for this set nor a controller. `listed` are all
/// objects of the namespace.
#[must_use]
pub fn is_foreign(id: &ObjectId, object: &Value, set: &ApplySet, listed: &Uids) -> bool {
    is_of_others(id, object, listed) && !members::is_member(object, set) && !is_record(id, object, set)
}

/// Returns whether somebody made this object who is no controller: it depends on none of the listed objects, belongs to
/// no namespace by default, and is not being deleted already. An owner elsewhere, such as a cluster-scoped one, says
/// nothing about the namespace; everybody can write an owner that does not exist.
#[must_use]
pub fn is_of_others(id: &ObjectId, object: &Value, listed: &Uids) -> bool {
    let mut owners = object["metadata"]["ownerReferences"].as_array().into_iter().flatten();
    let has_owner = owners.any(|owner| owner["uid"].as_str().is_some_and(|uid| listed.contains(uid)));
    !has_owner && deletion::deleted_since(object).is_none() && !is_default(id, object)
}

/// The set's parent, its key, its lock, its revisions, and the keys of its application. A Secret of another type only has such
/// a name.
fn is_record(id: &ObjectId, object: &Value, set: &ApplySet) -> bool {
    if id.kind == "Secret" && !object["type"].as_str().is_some_and(|kind| kind.starts_with("handsctl.dev/")) {
        return false;
    }
    let is_named =
        id.name == set.parent_name() && ["ConfigMap", "Secret", "Lease"].contains(&id.kind.as_str());
    is_named
        || id.kind == "Secret"
            && (revision::number_in(&id.name, set).is_some() || app_keys::is_of_set(object, set))
}

fn is_default(id: &ObjectId, object: &Value) -> bool {
    let is_core = id.group.is_empty();
    let is_named = OF_EVERY_NAMESPACE.contains(&(id.kind.as_str(), id.name.as_str()));
    let account = object["metadata"]["annotations"]["kubernetes.io/service-account.name"].as_str();
    // Before Kubernetes 1.24 a controller created `default-token-x7k2p` for each account.
    let is_token = id.kind == "Secret"
        && account.is_some_and(|account| id.name.starts_with(&format!("{account}-token-")));
    // A controller creates the Endpoints of each Service, without an owner.
    let is_endpoints = id.kind == "Endpoints";
    let is_system_binding = id.kind == "RoleBinding" && id.name.starts_with("system:");
    is_core && (is_named || is_token || is_endpoints) || is_system_binding
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::object::kind::{CLAIM, CONFIG_MAP, LEASE, POD, ROLE_BINDING, SECRET};
    use crate::object::labels::{INSTANCE, MANAGER};
    use crate::plan::inventory::apply_set::PART_OF;

    #[test]
    fn only_objects_of_others_are_foreign() {
        let set = ApplySet { name: "oh".into(), namespace: "n".into(), ..ApplySet::default() };
        let member = json!({ "metadata": { "labels": { PART_OF: set.id() }, "managedFields": [{
            "manager": MANAGER, "operation": "Apply",
            "fieldsV1": { "f:metadata": { "f:labels": { format!("f:{PART_OF}"): {} } } } }] } });
        let owned_by =
            |uid: &str| json!({ "metadata": { "ownerReferences": [{ "kind": "ReplicaSet", "uid": uid }] } });
        let (owned, owned_elsewhere) = (owned_by("listed"), owned_by("elsewhere"));
        let listed = uids(&[(POD.id("n", "x"), json!({ "metadata": { "uid": "listed" } }))]);
        let deleted = json!({ "metadata": { "deletionTimestamp": "2026-01-01T00:00:00Z" } });
        let token =
            json!({ "metadata": { "annotations": { "kubernetes.io/service-account.name": "default" } } });
        let plain = json!({ "metadata": {} });
        let keys_of = |instance: &str| json!({ "type": app_keys::TYPE, "metadata": { "name": "oh-keys", "labels": { INSTANCE: instance } } });
        for (id, object, foreign) in [
            (CONFIG_MAP.id("n", "theirs"), &plain, true),
            (CLAIM.id("n", "theirs"), &plain, true),
            (SECRET.id("n", "handsctl-oh"), &plain, true),
            (SECRET.id("n", "handsctl-oh-r77"), &plain, true),
            (SECRET.id("n", "my-token"), &token, true),
            (SECRET.id("n", "handsctl-other"), &plain, true),
            (POD.id("n", "bare"), &plain, true),
            (CLAIM.id("n", "oh-state"), &member, false),
            (POD.id("n", "oh-1"), &owned, false),
            (CLAIM.id("n", "theirs"), &owned_elsewhere, true),
            (CONFIG_MAP.id("n", "theirs"), &deleted, false),
            (CONFIG_MAP.id("n", "kube-root-ca.crt"), &plain, false),
            (CONFIG_MAP.id("n", "default"), &plain, true),
            (SECRET.id("n", "default-token-x7k2p"), &token, false),
            (ROLE_BINDING.id("n", "system:deployers"), &plain, false),
            (SECRET.id("n", "handsctl-oh"), &json!({ "type": "handsctl.dev/key" }), false),
            (SECRET.id("n", "handsctl-oh-r3"), &json!({ "type": "handsctl.dev/revision" }), false),
            (SECRET.id("n", "oh-keys"), &keys_of("oh"), false),
            (SECRET.id("n", "oh-keys"), &keys_of("other"), true),
            (LEASE.id("n", "handsctl-oh"), &plain, false),
            (LEASE.id("n", "theirs"), &plain, true),
        ] {
            assert_eq!(is_foreign(&id, object, &set, &listed), foreign, "{id} {object}");
        }
    }
}
