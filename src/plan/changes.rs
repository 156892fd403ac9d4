//! Compares the plan with the cluster and returns the changes that a run has to make. Pure.
//!
//! All later steps use this one comparison: whether the lock is needed, the permission check, the dry run, `diff`, the
//! apply, the prune and the summary.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::deletions::{self, HeldClaim};
use super::desired::{Member, Plan};
use super::inventory::apply_set::{ApplySet, InventoryScope, PART_OF, parent_matches};
use super::inventory::history::{Current, History, LatestDecision, SurplusRevision};
use super::inventory::members::Members;
use super::inventory::prune::{PruneCandidate, ReferencedNames, is_configuration, prune_candidates};
use super::inventory::revision::{Revision, RevisionResult};
use super::ownership::conflict::Conflict;
use super::ownership::policy::Ownership;
use super::ownership::taken_field::taken_fields;
use crate::object::{ObjectId, deletion, managed_fields};

/// The change to one member.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// Our fields of the live object equal the manifest: nothing is sent.
    Unchanged,
    /// The object does not exist, or is not a member of the set: it is created and never overwritten. Its manifest is
    /// built when it is sent, because a first deploy would keep every manifest twice.
    Create,
    /// The object is a member and differs. The manifest is sent unmodified: it has the set's label, and lacks the fields
    /// that are yielded to other managers.
    Update(Value),
    /// The object is a member and is being deleted: the run waits until it is gone, and creates it anew.
    Recreate,
}

/// The state of the cluster that determines the changes.
#[derive(Debug, Clone, Copy)]
pub struct Live<'a> {
    /// The set's members.
    pub members: &'a Members,
    /// The ApplySet's parent.
    pub parent: Option<&'a Value>,
    /// The kept revisions.
    pub history: &'a History,
    /// Whether the cluster stores the key that Secret names are derived from.
    pub key_is_stored: bool,
    /// The names that pods and `ReplicaSets` refer to.
    pub referenced: &'a BTreeSet<String>,
}

/// The options that determine the changes, beside the plan.
#[derive(Debug, Clone)]
pub struct ChangePolicy {
    /// The treatment of fields and objects that others manage.
    pub ownership: Ownership,
    /// `[deploy].revision_history`: the number of good revisions that are kept beside the deployed one.
    pub revision_history: usize,
    /// `--delete-data`.
    pub delete_data: bool,
    /// `--change-edition`: whether another edition of OpenHands may replace the deployed one.
    pub changes_edition: bool,
    /// Whether the run waits for the rollout and records the revision's result. False with `--no-wait`.
    pub waits: bool,
}

/// The revision that a run deploys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RevisionChange {
    /// The plan equals the newest recorded revision.
    Existing {
        /// Its number.
        number: u64,
        /// Its result before this run.
        result: RevisionResult,
    },
    /// The plan differs from the deployed revision and is recorded under this number.
    New(u64),
}

/// The deletions that follow from one result of the revision.
#[derive(Debug, Clone, PartialEq)]
pub struct Cleanup {
    /// The live members that the plan lacks; each candidate decides whether it is deleted.
    pub candidates: Vec<PruneCandidate>,
    /// The revisions that are no longer kept.
    pub revisions: Vec<SurplusRevision>,
    /// Whether the parent already lists exactly the kinds and namespaces of the planned members and the candidates.
    inventory_is_exact: bool,
}

/// The changes that a run has to make.
#[derive(Debug)]
pub struct Changes {
    /// The desired state.
    pub plan: Plan,
    /// One change for each member of the plan, in the plan's order.
    pub members: Vec<Change>,
    /// The revision that the plan equals or becomes.
    pub revision: RevisionChange,
    /// The result of an earlier run's revision that this run records.
    pub decision: Option<LatestDecision>,
    /// Whether the run has to store the key, which authenticates revisions and from which the names of Secrets are derived.
    pub stores_key: bool,
    /// The set's claims that are being deleted and exist only as long as the pod of a workload.
    pub held_claims: Vec<HeldClaim>,
    /// The fields that somebody took from us without becoming their manager, by object.
    pub taken: BTreeMap<ObjectId, Vec<Conflict>>,
    /// The live workloads whose pods the run stops: it changes the workload, or deletes it at the end.
    pub stopping: BTreeSet<ObjectId>,
    if_good: Cleanup,
    /// The cleanup if the revision keeps its result; `None` if it was good before this run.
    if_result_unchanged: Option<Cleanup>,
    waits: bool,
}

impl Changes {
    /// Compares the plan with the cluster.
    #[must_use]
    pub fn between(plan: Plan, live: Live<'_>, policy: &ChangePolicy) -> Self {
        let mut held_claims = deletions::held_claims(live.members);
        let members = member_changes(&plan, live.members, policy, &held_claims);
        let taken = taken(&plan, &members, live, &policy.ownership);
        let revision = RevisionChange::between(&plan, live.history);
        let decision = live.history.decision().filter(|decision| match revision {
            RevisionChange::New(_) => true,
            // This run decides about the revision itself, unless it is ready already.
            RevisionChange::Existing { .. } => decision.result == RevisionResult::Good,
        });
        let (if_good, if_result_unchanged) = cleanups(&plan, revision, live, policy);
        let stopping = stopping(&plan, &members, live.members, &if_good);
        for claim in &mut held_claims {
            claim.is_at_risk = claim.is_held_by(&stopping);
        }
        Self {
            held_claims,
            taken,
            stopping,
            if_good,
            if_result_unchanged,
            stores_key: !live.key_is_stored,
            waits: policy.waits,
            decision,
            revision,
            members,
            plan,
        }
    }

    /// Recomputes the deletions after a rollout, because new pods and `ReplicaSets` refer to other names.
    pub fn update_cleanup(&mut self, live: Live<'_>, policy: &ChangePolicy) {
        (self.if_good, self.if_result_unchanged) = cleanups(&self.plan, self.revision, live, policy);
    }

    /// Returns whether there is nothing to write, so that no lock is needed. A run that waits for the rollout writes
    /// the result of every revision that is not marked good yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let result_is_open = match self.revision {
            RevisionChange::New(_) => true,
            RevisionChange::Existing { result, .. } => self.waits && result != RevisionResult::Good,
        };
        !(self.sends() || self.stores_key || result_is_open || self.decision.is_some())
            && self.cleanup(self.revision.result()).is_empty()
    }

    /// Returns the members that are sent, with their changes.
    pub fn to_send(&self) -> impl Iterator<Item = (&Member, &Change)> + Clone {
        self.plan.members.iter().zip(&self.members).filter(|(_, change)| **change != Change::Unchanged)
    }

    /// Returns whether any member is sent.
    #[must_use]
    pub fn sends(&self) -> bool {
        self.to_send().next().is_some()
    }

    /// Returns whether a failure of this run is the revision's: it records the revision, or sends members of one that
    /// is not good. A good revision stays good: another failure of the same content has another cause.
    #[must_use]
    pub fn judges_revision(&self) -> bool {
        match self.revision {
            RevisionChange::New(_) => true,
            RevisionChange::Existing { result, .. } => result != RevisionResult::Good && self.sends(),
        }
    }

    /// Returns the deletions for a result of the revision: good, or the result that it had before this run.
    #[must_use]
    pub fn cleanup(&self, result: RevisionResult) -> &Cleanup {
        match &self.if_result_unchanged {
            Some(cleanup) if result != RevisionResult::Good => cleanup,
            _ => &self.if_good,
        }
    }

    /// Returns the members that are being deleted and are created anew.
    pub fn recreated(&self) -> impl Iterator<Item = &Member> {
        self.to_send().filter(|(_, change)| **change == Change::Recreate).map(|(member, _)| member)
    }

    /// Returns the planned members.
    pub fn member_ids(&self) -> impl Iterator<Item = &ObjectId> {
        self.plan.members.iter().map(|member| &member.id)
    }
}

impl RevisionChange {
    fn between(plan: &Plan, history: &History) -> Self {
        match history.deployed_revision(plan) {
            Some(Revision { number, result, .. }) => Self::Existing { number: *number, result: *result },
            None => Self::New(history.next_number()),
        }
    }

    /// Returns the revision's number.
    #[must_use]
    pub const fn number(self) -> u64 {
        match self {
            Self::Existing { number, .. } | Self::New(number) => number,
        }
    }

    /// Returns the revision's result before this run.
    #[must_use]
    pub const fn result(self) -> RevisionResult {
        match self {
            Self::Existing { result, .. } => result,
            Self::New(_) => RevisionResult::Applying,
        }
    }
}

impl Cleanup {
    fn after(
        result: RevisionResult,
        revision: RevisionChange,
        unplanned: &[(&ObjectId, &Value)],
        plan: &Plan,
        live: Live<'_>,
        policy: &ChangePolicy,
    ) -> Self {
        let current = Current { number: revision.number(), result };
        let revisions = live.history.to_prune(current, plan, policy.revision_history);
        let configuration = unplanned.iter().map(|(id, _)| *id).filter(|id| is_configuration(id));
        let names: BTreeSet<&str> = configuration.map(|id| id.name.as_str()).collect();
        let by_revisions = live.history.referenced_names(&revisions, &names);
        let referenced = ReferencedNames { by_revisions: &by_revisions, by_pods: live.referenced };
        let candidates = prune_candidates(&plan.set.name, unplanned, referenced, policy.delete_data);
        let inventory_is_exact = live.parent.is_some_and(|parent| {
            let planned = plan.members.iter().map(|member| &member.id);
            let members: Vec<&ObjectId> =
                planned.chain(candidates.iter().map(|candidate| &candidate.id)).collect();
            let exact = plan.set.parent_manifest(InventoryScope::Exact(&members), Some(parent));
            parent_matches(parent, &exact)
        });
        Self { candidates, revisions, inventory_is_exact }
    }

    /// Returns the live members that are deleted.
    pub fn to_delete(&self) -> impl Iterator<Item = &PruneCandidate> {
        self.candidates.iter().filter(|candidate| candidate.decision().deletes())
    }

    /// Returns whether nothing is deleted and the parent is up to date.
    fn is_empty(&self) -> bool {
        self.to_delete().next().is_none() && self.revisions.is_empty() && self.inventory_is_exact
    }
}

/// Computes the cleanup for a good result, and the one for the present result unless that is good.
fn cleanups(
    plan: &Plan,
    revision: RevisionChange,
    live: Live<'_>,
    policy: &ChangePolicy,
) -> (Cleanup, Option<Cleanup>) {
    let unplanned = unplanned(plan, live.members);
    let after = |result| Cleanup::after(result, revision, &unplanned, plan, live, policy);
    let present_result = Some(revision.result()).filter(|result| *result != RevisionResult::Good);
    (after(RevisionResult::Good), present_result.map(after))
}

/// Returns the live members that the plan lacks, sorted by identity.
fn unplanned<'a>(plan: &Plan, live: &'a Members) -> Vec<(&'a ObjectId, &'a Value)> {
    let planned: BTreeSet<&ObjectId> = plan.members.iter().map(|member| &member.id).collect();
    let mut unplanned: Vec<_> = live.iter().filter(|(id, _)| !planned.contains(id)).collect();
    unplanned.sort_by_key(|(id, _)| *id);
    unplanned
}

fn member_changes(
    plan: &Plan,
    live: &Members,
    policy: &ChangePolicy,
    held_claims: &[HeldClaim],
) -> Vec<Change> {
    // With `--delete-data` the deletion is completed, and the claim is created anew.
    let is_kept = |id: &ObjectId| !policy.delete_data && held_claims.iter().any(|claim| claim.id == *id);
    let change = |member: &Member| match live.get(&member.id) {
        None => Change::Create,
        Some(_) if is_kept(&member.id) => Change::Unchanged,
        Some(object) if deletion::deleted_since(object).is_some() => Change::Recreate,
        Some(object) => {
            let manifest = changed_manifest(member, object, &plan.set, &policy.ownership);
            manifest.map_or(Change::Unchanged, Change::Update)
        }
    };
    plan.members.iter().map(change).collect()
}

/// Returns whether the live objects equal these members of the plan.
pub fn are_unchanged<'a>(
    members: impl Iterator<Item = &'a Member>,
    set: &ApplySet,
    live: &Members,
    ownership: &Ownership,
) -> bool {
    let mut members = members;
    members.all(|member| {
        let object = live.get(&member.id);
        object.is_some_and(|object| changed_manifest(member, object, set, ownership).is_none())
    })
}

/// Returns the manifest that is sent for a live member; None if our fields of it equal the manifest.
fn changed_manifest(member: &Member, live: &Value, set: &ApplySet, ownership: &Ownership) -> Option<Value> {
    Some(manifest_for(member, live, set, ownership))
        .filter(|manifest| !managed_fields::is_unchanged(manifest, live))
}

/// Returns the taken fields of the members that are updated. An unchanged member has all of its fields.
fn taken(
    plan: &Plan,
    changes: &[Change],
    live: Live<'_>,
    ownership: &Ownership,
) -> BTreeMap<ObjectId, Vec<Conflict>> {
    let updated = plan.members.iter().zip(changes).filter(|(_, change)| matches!(change, Change::Update(_)));
    let taken = updated.filter_map(|(member, _)| {
        let object = live.members.get(&member.id)?;
        let applied = live.history.applied_manifests(&member.id);
        Some((member.id.clone(), taken_fields(member, object, &applied, ownership)))
    });
    taken.filter(|(_, conflicts)| !conflicts.is_empty()).collect()
}

fn stopping(plan: &Plan, changes: &[Change], live: &Members, if_good: &Cleanup) -> BTreeSet<ObjectId> {
    let updated = plan.members.iter().zip(changes).filter(|(member, change)| match change {
        Change::Update(manifest) => {
            live.get(&member.id).is_some_and(|object| deletions::stops_pods(&member.id, object, manifest))
        }
        Change::Unchanged | Change::Create | Change::Recreate => false,
    });
    let deleted = if_good.to_delete().map(|candidate| candidate.id.clone());
    updated.map(|(member, _)| member.id.clone()).chain(deleted).collect()
}

/// Returns the manifest that is sent for a member that exists as `live`.
#[must_use]
pub fn manifest_for(member: &Member, live: &Value, set: &ApplySet, ownership: &Ownership) -> Value {
    with_set_label(ownership.without_yielded_fields(member, live), set)
}

/// Returns the manifest that is sent for a member that does not exist.
#[must_use]
pub fn new_manifest(member: &Member, set: &ApplySet) -> Value {
    with_set_label(member.manifest.clone(), set)
}

/// Adds the set's label to a manifest.
fn with_set_label(mut manifest: Value, set: &ApplySet) -> Value {
    manifest["metadata"]["labels"][PART_OF] = json!(set.id());
    manifest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::kind::{CLAIM, CONFIG_MAP, DEPLOYMENT, KindInfo};
    use crate::object::labels::{self, Component, MANAGER};
    use crate::plan::inventory::revision::{self, read_all};
    use crate::plan::inventory::set_key;
    use crate::plan::inventory::snapshot::Snapshot;
    use crate::plan::manifests::content_hash::SecretKey;

    /// A set of ConfigMaps in a cluster, and the options of a run.
    struct Case {
        members: Members,
        parent: Option<Value>,
        revisions: Vec<Revision>,
        key_is_stored: bool,
        referenced: BTreeSet<String>,
        policy: ChangePolicy,
    }

    fn set() -> ApplySet {
        ApplySet { name: "oh".into(), namespace: "n".into(), ..ApplySet::default() }
    }

    fn id(name: &str) -> ObjectId {
        CONFIG_MAP.id("n", name)
    }

    /// Builds a ConfigMap: `a=1` has the name `a` and the datum 1. One whose name begins with `oh-` is the application's.
    fn member(text: &str) -> Member {
        let (name, datum) = text.split_once('=').unwrap();
        let mut manifest = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name, "namespace": "n" }, "data": { "datum": datum },
        });
        if name.starts_with("oh-") {
            manifest["metadata"]["labels"] = json!(labels::member_labels("oh", Component::App));
        }
        Member { id: id(name), kind: CONFIG_MAP, manifest }
    }

    fn plan(members: &[&str]) -> Plan {
        Plan { set: set(), members: members.iter().map(|text| member(text)).collect(), ..Plan::default() }
    }

    fn live(member: &Member) -> (ObjectId, Value) {
        let mut object = with_set_label(member.manifest.clone(), &set());
        object["metadata"]["managedFields"] = json!([{
            "manager": MANAGER, "operation": "Apply", "apiVersion": "v1", "fieldsV1": {
                "f:metadata": { "f:labels": { format!("f:{PART_OF}"): {} } }, "f:data": { "f:datum": {} },
            },
        }]);
        (member.id.clone(), object)
    }

    fn revision(number: u64, result: RevisionResult, plan: &Plan) -> Revision {
        let key = SecretKey(vec![7; 32]);
        let snapshot = Snapshot::from_plan(plan);
        let (mut secret, _) = revision::manifest(&set(), number, "ana@laptop", &snapshot, &key).unwrap();
        secret["metadata"]["annotations"][revision::RESULT] = json!(result.as_str());
        secret["metadata"]["uid"] = json!(format!("u{number}"));
        read_all(&set(), &[secret, set_key::manifest(&set(), &key)], None).revisions.remove(0)
    }

    /// Returns the cluster after a deploy of these members that recorded revision 1.
    fn deployed(members: &[&str], result: RevisionResult) -> Case {
        let plan = plan(members);
        let ids: Vec<&ObjectId> = plan.members.iter().map(|member| &member.id).collect();
        Case {
            members: plan.members.iter().map(live).collect(),
            parent: Some(set().parent_manifest(InventoryScope::Exact(&ids), None)),
            revisions: vec![revision(1, result, &plan)],
            key_is_stored: true,
            referenced: BTreeSet::new(),
            policy: ChangePolicy {
                ownership: Ownership::default(),
                revision_history: 3,
                delete_data: false,
                changes_edition: false,
                waits: true,
            },
        }
    }

    impl Case {
        fn changes_to(&self, members: &[&str]) -> Changes {
            self.changes_to_plan(plan(members))
        }

        fn changes_to_plan(&self, plan: Plan) -> Changes {
            self.changes_with(plan, &History::new(self.revisions.clone()))
        }

        fn changes_with(&self, plan: Plan, history: &History) -> Changes {
            let live = Live {
                members: &self.members,
                parent: self.parent.as_ref(),
                history,
                key_is_stored: self.key_is_stored,
                referenced: &self.referenced,
            };
            Changes::between(plan, live, &self.policy)
        }
    }

    /// Lists the changes that are sent: `create a, update b`.
    fn sent(changes: &Changes) -> String {
        let words = changes.to_send().map(|(member, change)| match change {
            Change::Create => format!("create {}", member.id.name),
            Change::Update(_) => format!("update {}", member.id.name),
            Change::Recreate => format!("recreate {}", member.id.name),
            Change::Unchanged => unreachable!("to_send leaves these out"),
        });
        words.collect::<Vec<_>>().join(", ")
    }

    fn deleted(changes: &Changes, result: RevisionResult) -> Vec<String> {
        changes.cleanup(result).to_delete().map(|candidate| candidate.id.name.clone()).collect()
    }

    #[test]
    fn changes_sent_and_revision_by_plan() {
        use RevisionResult::{Applying, Failed, Good, NotWatched};
        let existing = |result| RevisionChange::Existing { number: 1, result };
        // live members, the result of their revision, planned members → changes sent, revision, is_empty
        let rows = [
            (&["a=1", "b=1"][..], Good, &["a=1", "b=1"][..], "", existing(Good), true),
            (&["a=1", "b=1"], Failed, &["a=1", "b=1"], "", existing(Failed), false),
            (&["a=1", "b=1"], Applying, &["a=1", "b=1"], "", existing(Applying), false),
            (&["a=1", "b=1"], NotWatched, &["a=1", "b=1"], "", existing(NotWatched), false),
            (&["a=1", "b=1"], Good, &["a=1", "b=2"], "update b", RevisionChange::New(2), false),
            (&["a=1"], Good, &["a=1", "c=1"], "create c", RevisionChange::New(2), false),
            (&["a=1", "b=1"], Good, &["a=1"], "", RevisionChange::New(2), false),
        ];
        for (members, result, planned, expected, revision, empty) in rows {
            let changes = deployed(members, result).changes_to(planned);
            let actual = (sent(&changes), changes.revision, changes.is_empty());
            assert_eq!(
                actual,
                (expected.to_owned(), revision, empty),
                "{members:?} {result:?} → {planned:?}"
            );
        }
    }

    #[test]
    fn deploy_after_a_failed_attempt_is_a_revision_of_its_own() {
        let mut case = deployed(&["a=1"], RevisionResult::Good);
        case.revisions.push(revision(2, RevisionResult::Failed, &plan(&["a=1", "b=1"])));
        let changes = case.changes_to(&["a=1"]);
        assert_eq!((changes.revision, changes.is_empty()), (RevisionChange::New(3), false));
        assert_eq!(sent(&changes), "", "the attempt only added b");
    }

    #[test]
    fn members_are_unchanged_if_all_equal_the_plan() {
        let case = deployed(&["a=1", "b=1"], RevisionResult::Good);
        let are_unchanged = |planned: &[&str]| {
            let plan = plan(planned);
            are_unchanged(plan.members.iter(), &plan.set, &case.members, &case.policy.ownership)
        };
        assert!(are_unchanged(&["a=1", "b=1"]) && are_unchanged(&["b=1"]));
        assert!(!are_unchanged(&["a=1", "b=2"]), "one differs");
        assert!(!are_unchanged(&["a=1", "c=1"]), "one does not exist");
    }

    #[test]
    fn only_deleted_members_are_recreated() {
        let mut case = deployed(&["a=1", "b=1"], RevisionResult::Good);
        case.delete(&id("b"));
        let changes = case.changes_to(&["a=2", "b=1"]);
        let recreated: Vec<&str> = changes.recreated().map(|member| member.id.name.as_str()).collect();
        assert_eq!((sent(&changes).as_str(), recreated), ("update a, recreate b", vec!["b"]));
        let all: Vec<&str> = changes.member_ids().map(|id| id.name.as_str()).collect();
        assert_eq!(all, ["a", "b"]);
    }

    #[test]
    fn missing_key_is_stored_for_every_set() {
        let mut case = deployed(&["a=1"], RevisionResult::Good);
        assert!(!case.changes_to(&["a=1"]).stores_key);
        case.key_is_stored = false;
        assert!(case.changes_to(&["a=1"]).stores_key, "a revision is authenticated with it");
    }

    #[test]
    fn drifted_member_is_sent_without_new_revision() {
        let mut case = deployed(&["a=1", "b=1"], RevisionResult::Good);
        case.members.get_mut(&id("b")).unwrap()["data"]["datum"] = json!("theirs");
        let changes = case.changes_to(&["a=1", "b=1"]);
        let good = RevisionChange::Existing { number: 1, result: RevisionResult::Good };
        assert_eq!((sent(&changes).as_str(), changes.revision), ("update b", good));
        assert!(!changes.judges_revision() && !changes.is_empty());
        case.members.remove(&id("b"));
        assert_eq!(sent(&case.changes_to(&["a=1", "b=1"])), "create b");
    }

    #[test]
    fn failure_is_the_revisions_if_it_is_new_or_was_not_good() {
        use RevisionResult::{Failed, Good, NotWatched};
        let judges = |result, planned: &[&str]| {
            let mut case = deployed(&["a=1"], result);
            let unchanged = case.changes_to(planned).judges_revision();
            case.members.get_mut(&id("a")).unwrap()["data"]["datum"] = json!("theirs");
            (unchanged, case.changes_to(planned).judges_revision())
        };
        // unchanged members, drifted members
        assert_eq!(judges(Good, &["a=1"]), (false, false));
        assert_eq!(judges(Failed, &["a=1"]), (false, true));
        assert_eq!(judges(NotWatched, &["a=1"]), (false, true));
        assert_eq!(judges(Good, &["a=2"]), (true, true));
    }

    #[test]
    fn decision_about_earlier_revision_is_recorded() {
        use RevisionResult::{Applying, Good, Interrupted, NotWatched};
        let decision = |result, is_ready, planned: &[&str], waits| {
            let mut case = deployed(&["a=1"], result);
            case.policy.waits = waits;
            let mut history = History::new(case.revisions.clone());
            history.decide(is_ready);
            let changes = case.changes_with(plan(planned), &history);
            (changes.decision.map(|decision| decision.result), changes.is_empty())
        };
        assert_eq!(decision(NotWatched, true, &["a=2"], true), (Some(Good), false));
        assert_eq!(decision(NotWatched, true, &["a=2"], false), (Some(Good), false));
        assert_eq!(decision(Applying, false, &["a=2"], true), (Some(Interrupted), false));
        assert_eq!(decision(NotWatched, false, &["a=2"], true), (None, false));
        // The same content again: a ready revision is good at once, and this run decides about another one.
        assert_eq!(decision(NotWatched, true, &["a=1"], true), (Some(Good), false));
        assert_eq!(decision(Applying, false, &["a=1"], true), (None, false));
        assert_eq!(decision(NotWatched, true, &["a=1"], false), (Some(Good), false));
        assert_eq!(decision(NotWatched, false, &["a=1"], false), (None, true));
    }

    #[test]
    fn cleanup_only_run_does_not_judge_revision() {
        let mut case = deployed(&["a=1"], RevisionResult::Good);
        case.members.extend([live(&member("old=1"))]);
        let changes = case.changes_to(&["a=1"]);
        assert_eq!(deleted(&changes, RevisionResult::Good), ["old"]);
        assert!(!changes.is_empty() && !changes.judges_revision());
    }

    #[test]
    fn run_without_wait_leaves_failed_revision_alone() {
        let mut case = deployed(&["a=1"], RevisionResult::Failed);
        assert!(!case.changes_to(&["a=1"]).is_empty());
        case.policy.waits = false;
        assert!(case.changes_to(&["a=1"]).is_empty());
    }

    #[test]
    fn stale_or_missing_parent_is_a_change() {
        let mut case = deployed(&["a=1"], RevisionResult::Good);
        case.parent.as_mut().unwrap()["metadata"]["annotations"]["applyset.kubernetes.io/contains-group-kinds"] =
            json!("ConfigMap,Ingress.networking.k8s.io");
        assert!(!case.changes_to(&["a=1"]).is_empty(), "the parent lists a kind that no member has");
        case.parent = None;
        assert!(!case.changes_to(&["a=1"]).is_empty(), "the parent does not exist");
        let mut case = deployed(&["a=1"], RevisionResult::Good);
        case.key_is_stored = false;
        assert!(!case.changes_to(&["a=1"]).is_empty(), "the key does not exist");
    }

    #[test]
    fn unreferenced_configuration_is_deleted() {
        let mut case = deployed(&["oh-config-1=1"], RevisionResult::Good);
        let to_second = |case: &Case| deleted(&case.changes_to(&["oh-config-2=1"]), RevisionResult::Good);
        assert!(to_second(&case).is_empty(), "revision 1 is kept");
        case.policy.revision_history = 0;
        assert_eq!(to_second(&case), ["oh-config-1"]);
        case.referenced = BTreeSet::from(["oh-config-1".to_owned()]);
        assert!(to_second(&case).is_empty(), "a pod mounts it");
        let mut changes = case.changes_to(&["oh-config-2=1"]);
        let history = History::new(case.revisions.clone());
        let unreferenced = BTreeSet::new();
        let live = Live {
            members: &case.members,
            parent: None,
            history: &history,
            key_is_stored: true,
            referenced: &unreferenced,
        };
        changes.update_cleanup(live, &case.policy);
        assert_eq!(deleted(&changes, RevisionResult::Good), ["oh-config-1"], "the pod was replaced");
    }

    #[test]
    fn extra_config_map_is_deleted_at_once() {
        let mut case = deployed(&["a=1", "mine=1"], RevisionResult::Good);
        let changes = case.changes_to(&["a=1"]);
        assert_eq!(deleted(&changes, RevisionResult::Good), ["mine"], "revision 1 has its content");
        case.referenced = BTreeSet::from(["mine".to_owned()]);
        assert!(deleted(&case.changes_to(&["a=1"]), RevisionResult::Good).is_empty(), "a pod mounts it");
    }

    #[test]
    fn surplus_revisions_depend_on_result() {
        let mut case = deployed(&["a=3"], RevisionResult::Failed);
        let old = |number, text: &str| revision(number, RevisionResult::Good, &plan(&[text]));
        case.revisions =
            vec![old(1, "a=1"), old(2, "a=2"), revision(3, RevisionResult::Failed, &plan(&["a=3"]))];
        case.policy.revision_history = 0;
        let changes = case.changes_to(&["a=3"]);
        let surplus = |result| -> Vec<u64> {
            changes.cleanup(result).revisions.iter().map(|revision| revision.number).collect()
        };
        assert_eq!(surplus(RevisionResult::Good), [2, 1]);
        assert_eq!(
            surplus(RevisionResult::Failed),
            [1],
            "the last good revision is kept until this one is good"
        );
    }

    /// A set with a claim and a Deployment that mounts it, after a deploy of revision 1.
    fn with_claim(image: &str) -> (Case, Plan) {
        let claim = json!({ "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": { "name": "data", "namespace": "n" } });
        let deployment = json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "oh", "namespace": "n" },
            "spec": { "template": { "spec": {
                "containers": [{ "name": "a", "image": image }],
                "volumes": [{ "name": "state", "persistentVolumeClaim": { "claimName": "data" } }],
            } } },
        });
        let member = |kind: KindInfo, manifest: Value| Member {
            id: kind.id("n", manifest["metadata"]["name"].as_str().unwrap()),
            kind,
            manifest,
        };
        let members = vec![member(CLAIM, claim), member(DEPLOYMENT, deployment)];
        let plan = Plan { set: set(), members, ..Plan::default() };
        let mut case = deployed(&[], RevisionResult::Good);
        case.revisions = vec![revision(1, RevisionResult::Good, &plan)];
        let labels = json!({ "f:labels": { format!("f:{PART_OF}"): {} } });
        let template = json!({ "f:spec": { "f:template": { "f:spec": {
            "f:volumes": {}, "f:containers": { "k:{\"name\":\"a\"}": { ".": {}, "f:name": {}, "f:image": {} } },
        } } } });
        for (member, fields) in plan.members.iter().zip([json!({}), template]) {
            let mut object = with_set_label(member.manifest.clone(), &set());
            let mut fields = fields;
            fields["f:metadata"] = labels.clone();
            object["metadata"]["managedFields"] = json!([{
                "manager": MANAGER, "operation": "Apply", "apiVersion": member.manifest["apiVersion"], "fieldsV1": fields,
            }]);
            case.members.insert(member.id.clone(), object);
        }
        (case, plan)
    }

    impl Case {
        fn delete(&mut self, id: &ObjectId) {
            self.members.get_mut(id).unwrap()["metadata"]["deletionTimestamp"] =
                json!("2026-01-01T00:00:00Z");
        }
    }

    fn with_image(mut plan: Plan, image: &str) -> Plan {
        plan.members[1].manifest["spec"]["template"]["spec"]["containers"][0]["image"] = json!(image);
        plan
    }

    /// Returns the changes that are sent, and the claims at risk.
    fn risk(changes: &Changes) -> (String, Vec<&str>) {
        let at_risk = changes.held_claims.iter().filter(|claim| claim.is_at_risk);
        (sent(changes), at_risk.map(|claim| claim.id.name.as_str()).collect())
    }

    #[test]
    fn deleted_claim_is_at_risk_if_its_pod_stops() {
        let (mut case, plan) = with_claim("a:1");
        assert_eq!(
            risk(&case.changes_to_plan(with_image(plan.clone(), "a:2"))),
            ("update oh".into(), vec![])
        );
        case.delete(&CLAIM.id("n", "data"));
        let unchanged = case.changes_to_plan(plan.clone());
        assert_eq!((risk(&unchanged), unchanged.held_claims.len()), ((String::new(), vec![]), 1));
        let changed = case.changes_to_plan(with_image(plan.clone(), "a:2"));
        assert_eq!(risk(&changed), ("update oh".into(), vec!["data"]));
        let without_deployment = Plan { members: plan.members[..1].to_vec(), ..plan.clone() };
        assert_eq!(risk(&case.changes_to_plan(without_deployment)), (String::new(), vec!["data"]));
        case.policy.delete_data = true;
        assert_eq!(risk(&case.changes_to_plan(plan)), ("recreate data".into(), vec![]));
    }

    #[test]
    fn claim_at_risk_counts_even_if_no_longer_planned() {
        let (mut case, plan) = with_claim("a:1");
        case.delete(&CLAIM.id("n", "data"));
        let mut without_claim = with_image(plan, "a:2");
        without_claim.members.remove(0);
        assert_eq!(risk(&case.changes_to_plan(without_claim)), ("update oh".into(), vec!["data"]));
    }

    #[test]
    fn deleted_member_without_pod_is_recreated() {
        let mut case = deployed(&["a=1", "b=1"], RevisionResult::Good);
        case.delete(&id("b"));
        let changes = case.changes_to(&["a=1", "b=1"]);
        assert_eq!(sent(&changes), "recreate b");
        assert!(!changes.is_empty());
        let (mut case, plan) = with_claim("a:1");
        case.delete(&CLAIM.id("n", "data"));
        case.delete(&DEPLOYMENT.id("n", "oh"));
        assert_eq!(risk(&case.changes_to_plan(plan)), ("recreate data, recreate oh".into(), vec![]));
    }
}
