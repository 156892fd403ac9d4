//! What a run has to do: the plan beside what is in the cluster. Pure.
//!
//! Everything that depends on this comparison reads it from one value: whether the lock is needed, the rights check,
//! the dry run, `diff`, the apply, the prune and the summary.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::desired::{Member, Plan};
use super::inventory::apply_set::{ApplySet, InventoryScope, PART_OF, parent_matches};
use super::inventory::members::Members;
use super::inventory::prune::{PruneCandidate, is_configuration, prune_candidates};
use super::inventory::revision::{Current, History, Revision, RevisionResult, SurplusRevision};
use super::ownership::policy::Ownership;
use crate::object::kind::SECRET;
use crate::object::{ObjectId, managed_fields};

/// What has to be done for a member. The manifest is what is sent: with the set's label, and without fields that are
/// left to others.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// The live object has every field of the manifest: nothing is sent.
    Unchanged,
    /// The object does not exist, or is not a member of the set: it is sent create-only.
    Create(Value),
    /// The object is a member and differs.
    Update(Value),
}

/// What is in the cluster, as far as it decides what has to be done.
#[derive(Debug, Clone, Copy)]
pub struct Live<'a> {
    /// Members of the set.
    pub members: &'a Members,
    /// The ApplySet's parent.
    pub parent: Option<&'a Value>,
    /// The kept revisions.
    pub history: &'a History,
    /// Whether the key of the Secrets' names is stored.
    pub key_is_stored: bool,
    /// Names that pods and `ReplicaSets` refer to.
    pub referenced: &'a BTreeSet<String>,
}

/// What was asked for beside the plan.
#[derive(Debug, Clone)]
pub struct ChangePolicy {
    /// What is done about fields and objects of others.
    pub ownership: Ownership,
    /// `[deploy].revision_history`: revisions that are kept beside the deployed one.
    pub revision_history: usize,
    /// `--delete-data`.
    pub delete_data: bool,
    /// Whether the run waits for the rollout, and so learns the revision's result. `--no-wait` does not.
    pub waits: bool,
}

/// The revision that a run is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RevisionChange {
    /// The plan is this revision.
    Existing {
        /// Its number.
        number: u64,
        /// Its result before this run.
        result: RevisionResult,
    },
    /// The plan is none of the kept revisions: it is recorded under this number.
    New(u64),
}

/// What is deleted once a revision has this result.
#[derive(Debug, Clone, PartialEq)]
pub struct Cleanup {
    /// Live members that are not planned, with what becomes of each.
    pub candidates: Vec<PruneCandidate>,
    /// Revisions that are no longer kept.
    pub revisions: Vec<SurplusRevision>,
    /// Whether the parent names exactly the members that are then left.
    inventory_is_exact: bool,
}

/// What a run has to do.
#[derive(Debug)]
pub struct Changes {
    /// What is wanted.
    pub plan: Plan,
    /// One for each member of the plan, in its order.
    pub members: Vec<Change>,
    /// The revision that the plan is.
    pub revision: RevisionChange,
    /// Whether the key of the Secrets' names has to be stored: a Secret is named after it.
    pub stores_key: bool,
    if_good: Cleanup,
    /// None: the revision was good before this run.
    if_as_before: Option<Cleanup>,
    waits: bool,
}

impl Changes {
    /// Compares the plan with what is in the cluster.
    #[must_use]
    pub fn between(plan: Plan, live: Live<'_>, policy: &ChangePolicy) -> Self {
        let members = member_changes(&plan, live.members, &policy.ownership);
        let sends = members.iter().any(|change| *change != Change::Unchanged);
        let revision = RevisionChange::between(&plan, live.history, sends);
        let has_secret = plan.members.iter().any(|member| member.kind == SECRET);
        let (if_good, if_as_before) = cleanups(&plan, revision, live, policy);
        Self {
            if_good,
            if_as_before,
            stores_key: has_secret && !live.key_is_stored,
            waits: policy.waits,
            revision,
            members,
            plan,
        }
    }

    /// Decides again what is deleted, where other names are referred to than at the comparison: a rollout replaces
    /// pods and `ReplicaSets`.
    pub fn update_cleanup(&mut self, live: Live<'_>, policy: &ChangePolicy) {
        (self.if_good, self.if_as_before) = cleanups(&self.plan, self.revision, live, policy);
    }

    /// Whether there is nothing to write: then no lock is taken. A run that waits marks a revision whose result is not
    /// known to be good.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let unsettled = match self.revision {
            RevisionChange::New(_) => true,
            RevisionChange::Existing { result, .. } => self.waits && result != RevisionResult::Good,
        };
        !(self.sends() || self.stores_key || unsettled) && self.cleanup(self.revision.result()).is_empty()
    }

    /// The members that are sent, with what is sent of each.
    pub fn to_send(&self) -> impl Iterator<Item = (&Member, &Change)> + Clone {
        self.plan.members.iter().zip(&self.members).filter(|(_, change)| **change != Change::Unchanged)
    }

    /// Whether any member is sent.
    #[must_use]
    pub fn sends(&self) -> bool {
        self.to_send().next().is_some()
    }

    /// Whether this run writes the revision: it records a new one, or sends something of an existing one. Only such a
    /// run can make it fail.
    #[must_use]
    pub fn touches_revision(&self) -> bool {
        matches!(self.revision, RevisionChange::New(_)) || self.sends()
    }

    /// What is deleted once the revision has this result: good, or what it was before.
    #[must_use]
    pub fn cleanup(&self, result: RevisionResult) -> &Cleanup {
        match &self.if_as_before {
            Some(cleanup) if result != RevisionResult::Good => cleanup,
            _ => &self.if_good,
        }
    }

    /// The planned members.
    pub fn member_ids(&self) -> impl Iterator<Item = &ObjectId> {
        self.plan.members.iter().map(|member| &member.id)
    }
}

impl RevisionChange {
    fn between(plan: &Plan, history: &History, sends: bool) -> Self {
        match history.deployed_revision(plan, !sends) {
            Some(Revision { number, result, .. }) => Self::Existing { number: *number, result: *result },
            None => Self::New(history.next_number()),
        }
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> u64 {
        match self {
            Self::Existing { number, .. } | Self::New(number) => number,
        }
    }

    /// Its result before this run.
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
        let current = Current { number: revision.number(), outcome: result };
        let revisions = live.history.to_prune(current, policy.revision_history);
        let configuration = unplanned.iter().map(|(id, _)| *id).filter(|id| is_configuration(id));
        let names: BTreeSet<&str> = configuration.map(|id| id.name.as_str()).collect();
        let mut referenced = live.history.referenced_names(&revisions, &names);
        referenced.extend(live.referenced.iter().filter(|name| names.contains(name.as_str())).cloned());
        let candidates = prune_candidates(unplanned, &referenced, policy.delete_data);
        let inventory_is_exact = live.parent.is_some_and(|parent| {
            let planned = plan.members.iter().map(|member| &member.id);
            let members: Vec<&ObjectId> = planned.chain(candidates.iter().map(|one| &one.id)).collect();
            let exact = plan.set.parent_manifest(InventoryScope::Exact(&members), Some(parent));
            parent_matches(parent, &exact)
        });
        Self { candidates, revisions, inventory_is_exact }
    }

    /// The live members that are deleted.
    pub fn to_delete(&self) -> impl Iterator<Item = &PruneCandidate> {
        self.candidates.iter().filter(|candidate| candidate.decision().deletes())
    }

    /// Whether nothing is deleted and the parent need not be written.
    fn is_empty(&self) -> bool {
        self.to_delete().next().is_none() && self.revisions.is_empty() && self.inventory_is_exact
    }
}

/// What is deleted where the revision is good, and where its result stays, if that is another one.
fn cleanups(
    plan: &Plan,
    revision: RevisionChange,
    live: Live<'_>,
    policy: &ChangePolicy,
) -> (Cleanup, Option<Cleanup>) {
    let unplanned = unplanned(plan, live.members);
    let after = |result| Cleanup::after(result, revision, &unplanned, plan, live, policy);
    let unlike_good = Some(revision.result()).filter(|result| *result != RevisionResult::Good);
    (after(RevisionResult::Good), unlike_good.map(after))
}

/// Live members that the plan does not have, by identity.
fn unplanned<'a>(plan: &Plan, live: &'a Members) -> Vec<(&'a ObjectId, &'a Value)> {
    let planned: BTreeSet<&ObjectId> = plan.members.iter().map(|member| &member.id).collect();
    let mut unplanned: Vec<_> = live.iter().filter(|(id, _)| !planned.contains(id)).collect();
    unplanned.sort_by_key(|(id, _)| *id);
    unplanned
}

fn member_changes(plan: &Plan, live: &Members, ownership: &Ownership) -> Vec<Change> {
    let change = |member: &Member| match live.get(&member.id) {
        None => Change::Create(with_set_label(member.manifest.clone(), &plan.set)),
        Some(object) => {
            let manifest = manifest_for(member, object, &plan.set, ownership);
            if managed_fields::is_unchanged(&manifest, object) {
                Change::Unchanged
            } else {
                Change::Update(manifest)
            }
        }
    };
    plan.members.iter().map(change).collect()
}

/// What is sent of a member upon this live object.
#[must_use]
pub fn manifest_for(member: &Member, live: &Value, set: &ApplySet, ownership: &Ownership) -> Value {
    with_set_label(ownership.without_yielded_fields(member, live), set)
}

/// The manifest with the set's label, as it is sent.
fn with_set_label(mut manifest: Value, set: &ApplySet) -> Value {
    manifest["metadata"]["labels"][PART_OF] = json!(set.id());
    manifest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::kind::CONFIG_MAP;
    use crate::object::labels::MANAGER;
    use crate::plan::inventory::revision::{self, Snapshot, read_all};

    /// A set of ConfigMaps in a cluster, and what is asked of it.
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

    /// `a=1` is ConfigMap `a` with the datum 1.
    fn member(text: &str) -> Member {
        let (name, datum) = text.split_once('=').unwrap();
        let manifest = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name, "namespace": "n" }, "data": { "datum": datum },
        });
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
        let (mut secret, _) =
            revision::manifest(&set(), number, "ana@laptop", &Snapshot::from_plan(plan)).unwrap();
        secret["metadata"]["annotations"][revision::RESULT] = json!(result.word());
        secret["metadata"]["uid"] = json!(format!("u{number}"));
        read_all(&[secret]).unwrap().remove(0)
    }

    /// What these members look like after a deploy that recorded revision 1.
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
                waits: true,
            },
        }
    }

    impl Case {
        fn to(&self, members: &[&str]) -> Changes {
            let history = History::new(self.revisions.clone());
            let live = Live {
                members: &self.members,
                parent: self.parent.as_ref(),
                history: &history,
                key_is_stored: self.key_is_stored,
                referenced: &self.referenced,
            };
            Changes::between(plan(members), live, &self.policy)
        }
    }

    /// `create a, update b`.
    fn sent(changes: &Changes) -> String {
        let words = changes.to_send().map(|(member, change)| match change {
            Change::Create(_) => format!("create {}", member.id.name),
            Change::Update(_) => format!("update {}", member.id.name),
            Change::Unchanged => unreachable!("to_send leaves these out"),
        });
        words.collect::<Vec<_>>().join(", ")
    }

    fn deleted(changes: &Changes, result: RevisionResult) -> Vec<String> {
        changes.cleanup(result).to_delete().map(|candidate| candidate.id.name.clone()).collect()
    }

    #[test]
    fn what_is_sent_and_which_revision_it_is() {
        use RevisionResult::{Applying, Failed, Good};
        let existing = |result| RevisionChange::Existing { number: 1, result };
        // live members, the result of their revision, what is wanted → sent, revision, whether there is nothing to do
        let rows = [
            (&["a=1", "b=1"][..], Good, &["a=1", "b=1"][..], "", existing(Good), true),
            (&["a=1", "b=1"], Failed, &["a=1", "b=1"], "", existing(Failed), false),
            (&["a=1", "b=1"], Applying, &["a=1", "b=1"], "", existing(Applying), false),
            (&["a=1", "b=1"], Good, &["a=1", "b=2"], "update b", RevisionChange::New(2), false),
            (&["a=1"], Good, &["a=1", "c=1"], "create c", RevisionChange::New(2), false),
            (&["a=1", "b=1"], Good, &["a=1"], "", RevisionChange::New(2), false),
        ];
        for (members, result, wanted, expected, revision, empty) in rows {
            let changes = deployed(members, result).to(wanted);
            let of = (sent(&changes), changes.revision, changes.is_empty());
            assert_eq!(of, (expected.to_owned(), revision, empty), "{members:?} {result:?} → {wanted:?}");
        }
    }

    #[test]
    fn a_live_object_that_others_changed_is_sent_and_stays_the_same_revision() {
        let mut case = deployed(&["a=1", "b=1"], RevisionResult::Good);
        case.members.get_mut(&id("b")).unwrap()["data"]["datum"] = json!("theirs");
        let changes = case.to(&["a=1", "b=1"]);
        let good = RevisionChange::Existing { number: 1, result: RevisionResult::Good };
        assert_eq!((sent(&changes).as_str(), changes.revision), ("update b", good));
        assert!(changes.touches_revision() && !changes.is_empty());
        case.members.remove(&id("b"));
        assert_eq!(sent(&case.to(&["a=1", "b=1"])), "create b");
    }

    /// D4: only a run that records the revision or sends something of it can make it fail.
    #[test]
    fn a_run_that_only_cleans_up_does_not_touch_the_revision() {
        let mut case = deployed(&["a=1"], RevisionResult::Good);
        case.members.extend([live(&member("old=1"))]);
        let changes = case.to(&["a=1"]);
        assert_eq!(deleted(&changes, RevisionResult::Good), ["old"]);
        assert!(!changes.is_empty() && !changes.touches_revision());
    }

    #[test]
    fn an_unwaited_run_settles_no_result() {
        let mut case = deployed(&["a=1"], RevisionResult::Failed);
        assert!(!case.to(&["a=1"]).is_empty());
        case.policy.waits = false;
        assert!(case.to(&["a=1"]).is_empty());
    }

    #[test]
    fn the_parent_and_the_key_are_something_to_do() {
        let mut case = deployed(&["a=1"], RevisionResult::Good);
        case.parent.as_mut().unwrap()["metadata"]["annotations"]["applyset.kubernetes.io/contains-group-kinds"] =
            json!("ConfigMap,Ingress.networking.k8s.io");
        assert!(!case.to(&["a=1"]).is_empty(), "a kind that no member has");
        case.parent = None;
        assert!(!case.to(&["a=1"]).is_empty(), "no parent");
        let mut case = deployed(&["a=1"], RevisionResult::Good);
        case.key_is_stored = false;
        assert!(case.to(&["a=1"]).is_empty(), "no Secret is named after the key");
    }

    #[test]
    fn configuration_goes_once_nothing_refers_to_it() {
        let mut case = deployed(&["config-1=1"], RevisionResult::Good);
        let to_second = |case: &Case| deleted(&case.to(&["config-2=1"]), RevisionResult::Good);
        assert!(to_second(&case).is_empty(), "revision 1 is kept");
        case.policy.revision_history = 0;
        assert_eq!(to_second(&case), ["config-1"]);
        case.referenced = BTreeSet::from(["config-1".to_owned()]);
        assert!(to_second(&case).is_empty(), "a pod has it mounted");
        let mut changes = case.to(&["config-2=1"]);
        let history = History::new(case.revisions.clone());
        let nobody = BTreeSet::new();
        let live = Live {
            members: &case.members,
            parent: None,
            history: &history,
            key_is_stored: true,
            referenced: &nobody,
        };
        changes.update_cleanup(live, &case.policy);
        assert_eq!(deleted(&changes, RevisionResult::Good), ["config-1"], "that pod is replaced");
    }

    #[test]
    fn revisions_go_with_the_result_that_makes_them_surplus() {
        let mut case = deployed(&["a=3"], RevisionResult::Failed);
        let old = |number, text: &str| revision(number, RevisionResult::Good, &plan(&[text]));
        case.revisions =
            vec![old(1, "a=1"), old(2, "a=2"), revision(3, RevisionResult::Failed, &plan(&["a=3"]))];
        case.policy.revision_history = 0;
        let changes = case.to(&["a=3"]);
        let surplus = |result| -> Vec<u64> {
            changes.cleanup(result).revisions.iter().map(|revision| revision.number).collect()
        };
        assert_eq!(surplus(RevisionResult::Good), [2, 1]);
        assert_eq!(surplus(RevisionResult::Failed), [1], "the last good one stays until this one is good");
    }
}
