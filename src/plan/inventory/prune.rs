//! Decides which members that are no longer planned are deleted, and which are kept and why. Pure.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::object::kind::{self, CLAIM, CONFIG_MAP, SECRET};
use crate::object::{ObjectId, labels};

/// A live member that the plan lacks.
#[derive(Debug, Clone, PartialEq)]
pub struct PruneCandidate {
    /// Its identity.
    pub id: ObjectId,
    /// The live object as it was listed.
    pub object: Value,
    /// Whether a kept revision, a pod or a ReplicaSet refers to it by name.
    pub is_referenced: bool,
    /// The flag `--delete-data`.
    pub delete_data: bool,
}

/// The decision about a candidate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PruneDecision {
    /// Delete it once the new set is ready.
    Delete,
    /// Delete it together with its data.
    DeleteWithData,
    /// Keep it and report this reason.
    Keep(String),
    /// Keep it: it is a ConfigMap or Secret that is still referenced.
    InUse,
}

impl PruneDecision {
    /// Returns whether the object is deleted.
    #[must_use]
    pub const fn deletes(&self) -> bool {
        matches!(self, PruneDecision::Delete | PruneDecision::DeleteWithData)
    }
}

impl PruneCandidate {
    /// Decides about the object as it was listed.
    #[must_use]
    pub fn decision(&self) -> PruneDecision {
        self.decision_for(&self.object)
    }

    /// Decides about the object's current state, because it may have changed since it was listed.
    #[must_use]
    pub fn decision_for(&self, object: &Value) -> PruneDecision {
        decide(&self.id, object, self.is_referenced, self.delete_data)
    }
}

/// Decides about a member that is not planned.
#[must_use]
pub fn decide(id: &ObjectId, object: &Value, is_referenced: bool, delete_data: bool) -> PruneDecision {
    if is_exempt(object) {
        return PruneDecision::Keep(format!("its annotation {} is \"disabled\"", labels::PRUNE));
    }
    if is_configuration(id) && is_referenced {
        return PruneDecision::InUse;
    }
    match held_data(id, object) {
        None => PruneDecision::Delete,
        Some(_) if delete_data => PruneDecision::DeleteWithData,
        Some(data) => PruneDecision::Keep(format!("{data}; --delete-data deletes it")),
    }
}

/// Returns what is lost with the object; `None` if its manifest can restore it.
fn held_data(id: &ObjectId, object: &Value) -> Option<String> {
    if id.kind == CLAIM.kind && id.group.is_empty() {
        return Some(format!("{} of data", size(object)));
    }
    if kind::may_hold_data(id) {
        return Some(format!("the controller of {} may delete data with it", id.group_kind()));
    }
    // https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/#persistentvolumeclaim-retention
    let deletes_volumes = object["spec"]["persistentVolumeClaimRetentionPolicy"]["whenDeleted"] == "Delete";
    let has_volumes =
        object["spec"]["volumeClaimTemplates"].as_array().is_some_and(|claims| !claims.is_empty());
    (id.kind == "StatefulSet" && id.group == "apps" && deletes_volumes && has_volumes)
        .then(|| "its volumes are deleted with it".to_owned())
}

/// Builds the candidates for live members that the plan lacks. `referenced` are the names that other objects refer to
/// ([`crate::object::references`]); `delete_data` is the flag `--delete-data`.
#[must_use]
pub fn prune_candidates(
    unplanned: &[(&ObjectId, &Value)],
    referenced: &BTreeSet<String>,
    delete_data: bool,
) -> Vec<PruneCandidate> {
    let candidate = |(id, object): &(&ObjectId, &Value)| PruneCandidate {
        id: (*id).clone(),
        object: (*object).clone(),
        is_referenced: referenced.contains(&id.name),
        delete_data,
    };
    unplanned.iter().map(candidate).collect()
}

/// Returns whether this is a ConfigMap or a Secret; pods refer to both by name.
#[must_use]
pub fn is_configuration(id: &ObjectId) -> bool {
    [CONFIG_MAP.kind, SECRET.kind].contains(&id.kind.as_str()) && id.group.is_empty()
}

/// Returns whether an annotation of the live object excludes it from prune and teardown.
#[must_use]
pub fn is_exempt(object: &Value) -> bool {
    object["metadata"]["annotations"][labels::PRUNE] == "disabled"
}

/// Returns a claim's capacity; before it is bound, its requested size.
#[must_use]
pub fn size(claim: &Value) -> &str {
    claim["status"]["capacity"]["storage"]
        .as_str()
        .or_else(|| claim["spec"]["resources"]["requests"]["storage"].as_str())
        .unwrap_or("an unknown amount")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::kind::INGRESS;
    use serde_json::json;

    fn decision(id: &ObjectId, object: &Value, delete_data: bool) -> PruneDecision {
        decide(id, object, id.name == "oh-config-1", delete_data)
    }

    #[test]
    fn unplanned_members_are_deleted() {
        assert_eq!(decision(&INGRESS.id("n", "oh"), &json!({}), false), PruneDecision::Delete);
        assert_eq!(decision(&CONFIG_MAP.id("n", "oh-config-0"), &json!({}), false), PruneDecision::Delete);
    }

    #[test]
    fn referenced_configuration_is_in_use() {
        assert_eq!(decision(&CONFIG_MAP.id("n", "oh-config-1"), &json!({}), false), PruneDecision::InUse);
        assert_eq!(decision(&INGRESS.id("n", "oh-config-1"), &json!({}), false), PruneDecision::Delete);
    }

    #[test]
    fn claims_are_deleted_only_with_delete_data() {
        let claim = json!({ "spec": { "resources": { "requests": { "storage": "5Gi" } } } });
        let id = CLAIM.id("n", "oh-state");
        assert_eq!(
            decision(&id, &claim, false),
            PruneDecision::Keep("5Gi of data; --delete-data deletes it".to_owned())
        );
        assert_eq!(decision(&id, &claim, true), PruneDecision::DeleteWithData);
    }

    #[test]
    fn object_that_may_hold_data_is_kept_like_a_claim() {
        let database = ObjectId::namespaced("postgresql.cnpg.io", "Cluster", "n", "db");
        let keep = PruneDecision::Keep(
            "the controller of Cluster.postgresql.cnpg.io may delete data with it; --delete-data deletes it"
                .to_owned(),
        );
        assert_eq!(decision(&database, &json!({}), false), keep);
        assert_eq!(decision(&database, &json!({}), true), PruneDecision::DeleteWithData);
        let budget = ObjectId::namespaced("policy", "PodDisruptionBudget", "n", "b");
        assert_eq!(decision(&budget, &json!({}), false), PruneDecision::Delete);

        let set = ObjectId::namespaced("apps", "StatefulSet", "n", "s");
        let with_policy = |policy: &str| {
            json!({ "spec": { "persistentVolumeClaimRetentionPolicy": { "whenDeleted": policy },
                "volumeClaimTemplates": [{ "metadata": { "name": "data" } }] } })
        };
        assert_eq!(decision(&set, &with_policy("Retain"), false), PruneDecision::Delete);
        assert!(matches!(decision(&set, &with_policy("Delete"), false), PruneDecision::Keep(_)));
        assert_eq!(decision(&set, &with_policy("Delete"), true), PruneDecision::DeleteWithData);
    }

    #[test]
    fn prune_annotation_exempts_the_object() {
        let object = json!({ "metadata": { "annotations": { "handsctl.dev/prune": "disabled" } } });
        assert!(matches!(decision(&INGRESS.id("n", "oh"), &object, true), PruneDecision::Keep(_)));
    }
}
