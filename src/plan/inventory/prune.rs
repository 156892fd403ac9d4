//! Members that are no longer in the set: which go, and which stay and why. Pure.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::object::kind::{CONFIG_MAP, KindInfo, SECRET};
use crate::object::{ObjectId, labels};

/// A live member that the plan does not have.
#[derive(Debug, Clone, PartialEq)]
pub struct PruneCandidate {
    /// Which.
    pub id: ObjectId,
    /// As it is in the cluster.
    pub object: Value,
    /// Whether a kept revision, a pod or a ReplicaSet refers to it by name.
    pub is_referenced: bool,
    /// `--delete-data`.
    pub delete_data: bool,
}

/// What becomes of a candidate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PruneDecision {
    /// It is deleted once the new set works.
    Delete,
    /// It is deleted, and data with it.
    DeleteWithData,
    /// It stays, and people are told why.
    Keep(String),
    /// Configuration that something refers to: it stays until nothing does.
    InUse,
}

impl PruneDecision {
    /// Whether the object is deleted.
    #[must_use]
    pub const fn deletes(&self) -> bool {
        matches!(self, PruneDecision::Delete | PruneDecision::DeleteWithData)
    }
}

impl PruneCandidate {
    /// What becomes of it as it was listed.
    #[must_use]
    pub fn decision(&self) -> PruneDecision {
        self.decision_for(&self.object)
    }

    /// What becomes of it as it is now: somebody may have changed it since it was listed.
    #[must_use]
    pub fn decision_for(&self, object: &Value) -> PruneDecision {
        decide(&self.id, object, self.is_referenced, self.delete_data)
    }
}

/// What becomes of an object that is a member and not planned.
#[must_use]
pub fn decide(id: &ObjectId, object: &Value, is_referenced: bool, delete_data: bool) -> PruneDecision {
    if is_exempt(object) {
        return PruneDecision::Keep(format!("its annotation {} is \"disabled\"", labels::PRUNE));
    }
    if is_configuration(id) && is_referenced {
        return PruneDecision::InUse;
    }
    if KindInfo::of_id(id).is_some_and(|kind| kind.holds_data) {
        return if delete_data {
            PruneDecision::DeleteWithData
        } else {
            PruneDecision::Keep(format!("{} of data; --delete-data removes it", size(object)))
        };
    }
    PruneDecision::Delete
}

/// Live members that the plan does not have, as candidates. `referenced` are the names that something refers to
/// ([`crate::object::references`]); `delete_data` is `--delete-data`.
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

/// Whether this is a ConfigMap or a Secret: pods refer to both by name.
#[must_use]
pub fn is_configuration(id: &ObjectId) -> bool {
    [CONFIG_MAP.kind, SECRET.kind].contains(&id.kind.as_str()) && id.group.is_empty()
}

/// Whether the live object asks to be left alone by prune and teardown.
#[must_use]
pub fn is_exempt(object: &Value) -> bool {
    object["metadata"]["annotations"][labels::PRUNE] == "disabled"
}

/// How much a claim holds, or asks for.
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
    use crate::object::kind::{CLAIM, INGRESS};
    use serde_json::json;

    fn decision(id: &ObjectId, object: &Value, delete_data: bool) -> PruneDecision {
        decide(id, object, id.name == "oh-config-1", delete_data)
    }

    #[test]
    fn what_is_not_planned_goes() {
        assert_eq!(decision(&INGRESS.id("n", "oh"), &json!({}), false), PruneDecision::Delete);
        assert_eq!(decision(&CONFIG_MAP.id("n", "oh-config-0"), &json!({}), false), PruneDecision::Delete);
    }

    #[test]
    fn configuration_that_somebody_refers_to_stays() {
        assert_eq!(decision(&CONFIG_MAP.id("n", "oh-config-1"), &json!({}), false), PruneDecision::InUse);
        assert_eq!(decision(&INGRESS.id("n", "oh-config-1"), &json!({}), false), PruneDecision::Delete);
    }

    #[test]
    fn data_goes_only_when_asked_for() {
        let claim = json!({ "spec": { "resources": { "requests": { "storage": "5Gi" } } } });
        let id = CLAIM.id("n", "oh-state");
        assert_eq!(
            decision(&id, &claim, false),
            PruneDecision::Keep("5Gi of data; --delete-data removes it".to_owned())
        );
        assert_eq!(decision(&id, &claim, true), PruneDecision::DeleteWithData);
    }

    #[test]
    fn an_annotation_on_the_live_object_exempts_it() {
        let object = json!({ "metadata": { "annotations": { "handsctl.dev/prune": "disabled" } } });
        assert!(matches!(decision(&INGRESS.id("n", "oh"), &object, true), PruneDecision::Keep(_)));
    }
}
