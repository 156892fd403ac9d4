//! Members that are no longer in the set: which go, and which stay and why. Pure.

use std::collections::BTreeSet;

use serde_json::Value;

use super::members::Members;
use crate::object::kind::{CONFIG_MAP, KindInfo, SECRET};
use crate::object::{ObjectId, labels};
use crate::plan::desired::Plan;

/// A live member that the plan does not have.
#[derive(Debug, Clone, PartialEq)]
pub struct PruneCandidate {
    /// Which.
    pub id: ObjectId,
    /// As it is in the cluster.
    pub object: Value,
    /// What becomes of it.
    pub decision: PruneDecision,
}

/// What becomes of a leftover.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PruneDecision {
    /// It is deleted once the new set works.
    Delete,
    /// It is deleted, and data with it.
    DeleteWithData,
    /// It stays, and people are told why.
    Keep(String),
    /// Configuration that a kept revision, a ReplicaSet or a pod refers to: it stays until nobody does.
    InUse,
}

impl PruneDecision {
    /// Whether it goes.
    #[must_use]
    pub const fn deletes(&self) -> bool {
        matches!(self, PruneDecision::Delete | PruneDecision::DeleteWithData)
    }
}

/// What the plan does not have, sorted. `in_use` are the names of configuration that somebody refers to
/// ([`crate::object::references`]); `delete_data` is `--delete-data`.
#[must_use]
pub fn prune_candidates(
    plan: &Plan,
    live: &Members,
    in_use: &BTreeSet<String>,
    delete_data: bool,
) -> Vec<PruneCandidate> {
    let planned: BTreeSet<&ObjectId> = plan.members.iter().map(|member| &member.id).collect();
    let mut left: Vec<PruneCandidate> = live
        .iter()
        .filter(|(id, _)| !planned.contains(id))
        .map(|(id, object)| PruneCandidate {
            id: id.clone(),
            object: object.clone(),
            decision: decide(id, object, in_use, delete_data),
        })
        .collect();
    left.sort_by(|a, b| a.id.cmp(&b.id));
    left
}

/// What becomes of this object, which is a member and not planned.
#[must_use]
pub fn decide(id: &ObjectId, object: &Value, in_use: &BTreeSet<String>, delete_data: bool) -> PruneDecision {
    if is_exempt(object) {
        return PruneDecision::Keep(format!("its annotation {} is \"disabled\"", labels::PRUNE));
    }
    let is_configuration = [CONFIG_MAP.kind, SECRET.kind].contains(&id.kind.as_str()) && id.group.is_empty();
    if is_configuration && in_use.contains(&id.name) {
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

    fn fate_of(id: &ObjectId, object: &Value, delete_data: bool) -> PruneDecision {
        decide(id, object, &BTreeSet::from(["oh-config-1".to_owned()]), delete_data)
    }

    #[test]
    fn what_is_not_planned_goes() {
        assert_eq!(fate_of(&INGRESS.id("n", "oh"), &json!({}), false), PruneDecision::Delete);
        assert_eq!(fate_of(&CONFIG_MAP.id("n", "oh-config-0"), &json!({}), false), PruneDecision::Delete);
    }

    #[test]
    fn configuration_that_somebody_refers_to_stays() {
        assert_eq!(fate_of(&CONFIG_MAP.id("n", "oh-config-1"), &json!({}), false), PruneDecision::InUse);
        assert_eq!(fate_of(&INGRESS.id("n", "oh-config-1"), &json!({}), false), PruneDecision::Delete);
    }

    #[test]
    fn data_goes_only_when_asked_for() {
        let claim = json!({ "spec": { "resources": { "requests": { "storage": "5Gi" } } } });
        let id = CLAIM.id("n", "oh-state");
        assert_eq!(
            fate_of(&id, &claim, false),
            PruneDecision::Keep("5Gi of data; --delete-data removes it".to_owned())
        );
        assert_eq!(fate_of(&id, &claim, true), PruneDecision::DeleteWithData);
    }

    #[test]
    fn an_annotation_on_the_live_object_exempts_it() {
        let object = json!({ "metadata": { "annotations": { "handsctl.dev/prune": "disabled" } } });
        assert!(matches!(fate_of(&INGRESS.id("n", "oh"), &object, true), PruneDecision::Keep(_)));
    }
}
