//! Decides which members that are no longer planned are deleted, and which are kept and why. Pure.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::object::kind::{self, CLAIM, CONFIG_MAP, SECRET};
use crate::object::pod_spec::claim_size;
use crate::object::{ObjectId, labels};

/// A live member that the plan lacks.
#[derive(Debug, Clone, PartialEq)]
pub struct PruneCandidate {
    /// Its identity.
    pub id: ObjectId,
    /// The live object as it was listed.
    pub object: Value,
    /// What still uses it.
    pub user: ConfigurationUser,
    /// The flag `--delete-data`.
    pub delete_data: bool,
}

/// What still uses a ConfigMap or Secret that is no longer planned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfigurationUser {
    /// Nothing does, or it is of another kind.
    Nothing,
    /// A kept revision, a pod or a `ReplicaSet` uses the application's own configuration.
    Application,
    /// A pod or a `ReplicaSet` uses a ConfigMap of the user's extra manifests. A kept revision has its content, so a
    /// rollback needs no copy of it in the cluster.
    Pods,
}

/// The names that are still referred to.
#[derive(Debug, Clone, Copy)]
pub struct ReferencedNames<'a> {
    /// By kept revisions.
    pub by_revisions: &'a BTreeSet<String>,
    /// By pods and `ReplicaSet`s.
    pub by_pods: &'a BTreeSet<String>,
}

/// Why a ConfigMap of the user's extra manifests is kept, and until when.
const USED_BY_PODS: &str = "a pod or a ReplicaSet still uses it; the first deploy after that deletes it";

/// The decision about a candidate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PruneDecision {
    /// Delete it once the new set is ready.
    Delete,
    /// Delete it together with its data.
    DeleteWithData,
    /// Keep it and report this reason.
    Keep(String),
    /// Keep it without a report: it is configuration of the application, which rollbacks and running pods use.
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
        decide(&self.id, object, self.user, self.delete_data)
    }
}

/// Decides about a member that is not planned.
#[must_use]
pub fn decide(id: &ObjectId, object: &Value, user: ConfigurationUser, delete_data: bool) -> PruneDecision {
    if is_exempt(object) {
        return PruneDecision::Keep(format!("its annotation {} is \"disabled\"", labels::PRUNE));
    }
    match user {
        ConfigurationUser::Application => return PruneDecision::InUse,
        ConfigurationUser::Pods => return PruneDecision::Keep(USED_BY_PODS.to_owned()),
        ConfigurationUser::Nothing => {}
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
        // An unbound claim has no volume, but a provisioner may be creating one.
        let is_bound = object["spec"]["volumeName"].as_str().is_some_and(|name| !name.is_empty());
        return Some(if is_bound {
            format!("a volume of {} with its data", size(object))
        } else {
            "a volume claim that has no volume yet".to_owned()
        });
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

/// Builds the candidates for live members of installation `set` that the plan lacks. `referenced` are the names that other
/// objects refer to ([`crate::object::references`]); `delete_data` is the flag `--delete-data`.
#[must_use]
pub fn prune_candidates(
    set: &str,
    unplanned: &[(&ObjectId, &Value)],
    referenced: ReferencedNames<'_>,
    delete_data: bool,
) -> Vec<PruneCandidate> {
    let candidate = |(id, object): &(&ObjectId, &Value)| PruneCandidate {
        id: (*id).clone(),
        object: (*object).clone(),
        user: user_of(set, id, object, referenced),
        delete_data,
    };
    unplanned.iter().map(candidate).collect()
}

fn user_of(set: &str, id: &ObjectId, object: &Value, referenced: ReferencedNames<'_>) -> ConfigurationUser {
    if !is_configuration(id) {
        return ConfigurationUser::Nothing;
    }
    // No revision has the data of a Secret, so a rollback needs the Secret itself.
    let is_of_application = id.kind == SECRET.kind || labels::is_own(object, set);
    let (by_revisions, by_pods) =
        (referenced.by_revisions.contains(&id.name), referenced.by_pods.contains(&id.name));
    match is_of_application {
        true if by_revisions || by_pods => ConfigurationUser::Application,
        false if by_pods => ConfigurationUser::Pods,
        _ => ConfigurationUser::Nothing,
    }
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
    claim_size(claim).unwrap_or("an unknown amount")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::kind::INGRESS;
    use serde_json::json;

    fn decision(id: &ObjectId, object: &Value, delete_data: bool) -> PruneDecision {
        decide(id, object, ConfigurationUser::Nothing, delete_data)
    }

    #[test]
    fn unplanned_members_are_deleted() {
        assert_eq!(decision(&INGRESS.id("n", "oh"), &json!({}), false), PruneDecision::Delete);
        assert_eq!(decision(&CONFIG_MAP.id("n", "oh-config-0"), &json!({}), false), PruneDecision::Delete);
    }

    #[test]
    fn configuration_is_kept_by_what_uses_it() {
        let own = json!({ "metadata": { "name": "oh-config-1",
            "labels": labels::member_labels("oh", labels::Component::App) } });
        let extra = json!({ "metadata": { "name": "mine" } });
        let of = |id: ObjectId, object: &Value, by_revisions: bool, by_pods: bool| {
            let names = |is_referenced: bool| -> BTreeSet<String> {
                is_referenced.then(|| id.name.clone()).into_iter().collect()
            };
            let (by_revisions, by_pods) = (names(by_revisions), names(by_pods));
            let referenced = ReferencedNames { by_revisions: &by_revisions, by_pods: &by_pods };
            prune_candidates("oh", &[(&id, object)], referenced, false)[0].decision()
        };
        let config = || CONFIG_MAP.id("n", "oh-config-1");
        assert_eq!(of(config(), &own, true, false), PruneDecision::InUse);
        assert_eq!(of(config(), &own, false, true), PruneDecision::InUse);
        assert_eq!(of(config(), &own, false, false), PruneDecision::Delete);
        assert_eq!(of(INGRESS.id("n", "oh-config-1"), &own, true, true), PruneDecision::Delete);
        let mine = || CONFIG_MAP.id("n", "mine");
        assert_eq!(of(mine(), &extra, true, false), PruneDecision::Delete, "the revision has its content");
        assert_eq!(of(mine(), &extra, true, true), PruneDecision::Keep(USED_BY_PODS.to_owned()));
        assert_eq!(of(SECRET.id("n", "mine"), &extra, true, false), PruneDecision::InUse);
    }

    #[test]
    fn claims_are_deleted_only_with_delete_data() {
        let mut claim = json!({ "spec": { "resources": { "requests": { "storage": "5Gi" } } } });
        let id = CLAIM.id("n", "oh-state");
        let empty = "a volume claim that has no volume yet; --delete-data deletes it";
        assert_eq!(decision(&id, &claim, false), PruneDecision::Keep(empty.to_owned()));
        claim["spec"]["volumeName"] = json!("pvc-1");
        assert_eq!(
            decision(&id, &claim, false),
            PruneDecision::Keep("a volume of 5Gi with its data; --delete-data deletes it".to_owned())
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
