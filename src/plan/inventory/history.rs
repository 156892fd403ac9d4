//! The recorded revisions of a set: which one is deployed, which one a rollback restores, and which are kept. Pure.

use std::collections::BTreeSet;

use serde_json::Value;

use super::apply_set::ApplySet;
use super::revision::{self, ForeignRevision, Revision, RevisionResult, RevisionSecrets};
use super::snapshot::Snapshot;
use crate::object::kind::KindInfo;
use crate::object::{ObjectId, references};
use crate::plan::desired::Plan;
use crate::plan::manifests::extra_manifests::ManifestKind;
use crate::timeline::RunRecord;

/// The number of the newest revisions without a good rollout that are kept for their evidence, where at least as many
/// good ones are.
const NOT_GOOD_KEPT: usize = 2;

/// The revision that a run deploys; it may not be recorded yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Current {
    /// Its number.
    pub number: u64,
    /// Its present result, which may not be recorded yet.
    pub result: RevisionResult,
}

/// A revision that is no longer kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SurplusRevision {
    /// Its number.
    pub number: u64,
    /// The UID of its Secret.
    pub uid: String,
}

/// The result that the live set proves for the latest revision, whose run has not recorded one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LatestDecision {
    /// The revision's number.
    pub number: u64,
    /// Its recorded result.
    pub recorded: RevisionResult,
    /// Its result according to the live set.
    pub result: RevisionResult,
}

/// The recorded revisions of a set.
#[derive(Debug, Clone, Default)]
pub struct History {
    revisions: Vec<Revision>,
    foreign: Vec<ForeignRevision>,
    taken: BTreeSet<u64>,
    decision: Option<LatestDecision>,
}

impl History {
    /// Creates a history from revisions, oldest first.
    #[must_use]
    pub fn new(revisions: Vec<Revision>) -> Self {
        Self { revisions, ..Self::default() }
    }

    /// Reads the history from the Secrets of a set, which contain its key. The set's parent names the key.
    #[must_use]
    pub fn from_secrets(set: &ApplySet, secrets: &[Value], parent: Option<&Value>) -> Self {
        let RevisionSecrets { revisions, foreign, taken } = revision::read_all(set, secrets, parent);
        Self { revisions, foreign, taken, decision: None }
    }

    /// Returns the Secrets that have the type of a revision and are none of this set.
    #[must_use]
    pub fn foreign(&self) -> &[ForeignRevision] {
        &self.foreign
    }

    /// Returns the foreign Secret that has the name of this revision.
    #[must_use]
    pub fn foreign_with(&self, number: u64) -> Option<&ForeignRevision> {
        self.foreign.iter().find(|foreign| foreign.number == Some(number))
    }

    /// Returns whether another history has the same revisions and the same foreign Secrets.
    #[must_use]
    pub fn is_same_record(&self, other: &Self) -> bool {
        self.revisions == other.revisions && self.foreign == other.foreign && self.taken == other.taken
    }

    /// Returns the latest revision if no run has seen the end of its rollout.
    #[must_use]
    pub fn undecided(&self) -> Option<&Revision> {
        self.latest().filter(|latest| latest.result.is_undecided())
    }

    /// Decides about the undecided latest revision: good if the live set is ready with its workloads, otherwise
    /// interrupted if its run has not recorded a result. The caller holds the lock before it records the decision, so no
    /// other run is applying the revision.
    pub fn decide(&mut self, is_ready: bool) {
        let Some(latest) = self.revisions.last_mut().filter(|latest| latest.result.is_undecided()) else {
            return;
        };
        let recorded = latest.result;
        let result = match recorded {
            _ if is_ready => RevisionResult::Good,
            RevisionResult::Applying => RevisionResult::Interrupted,
            other => other,
        };
        if result != recorded {
            latest.result = result;
            self.decision = Some(LatestDecision { number: latest.number, recorded, result });
        }
    }

    /// Returns the decision about the latest revision that is not recorded yet.
    #[must_use]
    pub const fn decision(&self) -> Option<LatestDecision> {
        self.decision
    }

    /// Returns the kinds of the revisions' members that are neither built in nor among `known`.
    #[must_use]
    pub fn unknown_kinds(&self, known: &[KindInfo]) -> BTreeSet<ManifestKind> {
        let members = self.revisions.iter().filter_map(|revision| revision.snapshot.as_ref());
        let members = members.flat_map(|snapshot| &snapshot.members);
        let is_unknown = |member: &&Value| {
            let id = ObjectId::from_object(member);
            id.is_some_and(|id| {
                let matches = |kind: &KindInfo| kind.kind == id.kind && kind.group == id.group;
                KindInfo::for_id(&id).is_none() && !known.iter().any(matches)
            })
        };
        members.filter(is_unknown).map(ManifestKind::of_manifest).collect()
    }

    /// Returns all revisions, oldest first.
    #[must_use]
    pub fn all(&self) -> &[Revision] {
        &self.revisions
    }

    /// Returns the members of all revisions.
    pub fn members(&self) -> impl Iterator<Item = ObjectId> + '_ {
        self.revisions.iter().filter_map(|revision| revision.snapshot.as_ref()).flat_map(Snapshot::objects)
    }

    /// Returns the newest revision, regardless of its result.
    #[must_use]
    pub fn latest(&self) -> Option<&Revision> {
        self.revisions.last()
    }

    /// Returns the revision with this number.
    #[must_use]
    pub fn get(&self, number: u64) -> Option<&Revision> {
        self.revisions.iter().find(|revision| revision.number == number)
    }

    /// Returns the number of the next revision. The name of no other Secret has it.
    #[must_use]
    pub fn next_number(&self) -> u64 {
        let mut number = self.latest().map_or(1, |latest| latest.number.saturating_add(1));
        while self.taken.contains(&number) {
            number += 1;
        }
        number
    }

    /// Returns the newest good revision that has the timeline of its run, with it; with `before`, only an earlier one.
    #[must_use]
    pub fn usual_run(&self, before: Option<u64>) -> Option<(u64, &RunRecord)> {
        let earlier = self.revisions.iter().rev().filter(|it| before.is_none_or(|before| it.number < before));
        earlier.filter(|it| it.is_good()).find_map(|it| Some((it.number, it.record.as_ref()?)))
    }

    /// Returns the target of a rollback without a number: that of an unfinished rollback, otherwise the last good
    /// revision whose content differs from the latest one's.
    #[must_use]
    pub fn rollback_target(&self) -> Option<&Revision> {
        let latest = self.latest()?;
        if let Some(number) = latest.unfinished_rollback() {
            return self.get(number);
        }
        let content = latest.snapshot.as_ref();
        let differs = |revision: &&Revision| content.is_none_or(|content| !revision.has_content_of(content));
        self.restorable().find(differs)
    }

    /// Returns the newest revision that restored this one and so has its content. A rollback makes the restored revision
    /// superfluous, so that it is deleted.
    #[must_use]
    pub fn restored_as(&self, number: u64) -> Option<&Revision> {
        let restores = |revision: &&Revision| {
            revision.snapshot.as_ref().is_some_and(|snapshot| snapshot.restored_revision() == Some(number))
        };
        self.revisions.iter().rev().find(restores)
    }

    /// Returns the last good revision whose content differs from a plan that has failed, the target of an automatic
    /// rollback.
    #[must_use]
    pub fn last_good_other_than(&self, plan: &Plan) -> Option<&Revision> {
        self.restorable().find(|revision| !revision.has_plan(plan))
    }

    /// Returns the good revisions that can be restored, newest first.
    fn restorable(&self) -> impl Iterator<Item = &Revision> {
        self.revisions.iter().rev().filter(|revision| revision.is_good() && revision.snapshot.is_some())
    }

    /// Returns the revision that equals the plan: the newest one, or none. An earlier equal one is recorded anew, because
    /// the attempts after it may have changed what runs: one that only added an object differs from it in nothing that is
    /// sent. So the newest revision always names what runs.
    #[must_use]
    pub fn deployed_revision(&self, plan: &Plan) -> Option<&Revision> {
        self.latest().filter(|latest| latest.has_plan(plan))
    }

    /// Returns the manifests of one object in the newest good revision and in all later ones, which may have been applied
    /// only in part. Empty if one of them lacks the object.
    #[must_use]
    pub fn applied_manifests(&self, id: &ObjectId) -> Vec<&Value> {
        let newest_good = self.revisions.iter().rposition(Revision::is_good).unwrap_or(0);
        let applied = self.revisions[newest_good..].iter().map(|revision| {
            let members = revision.snapshot.as_ref().map(|snapshot| snapshot.members.iter());
            members.into_iter().flatten().find(|member| ObjectId::from_object(member).as_ref() == Some(id))
        });
        applied.collect::<Option<_>>().unwrap_or_default()
    }

    /// Returns the revisions to delete. Kept are the current one; the `keep` newest good ones with different content,
    /// of equal ones the newest; and the two newest that did not become good. Until the current revision is good, at
    /// least one good one is kept, and one with the current content in addition: it becomes superfluous then.
    #[must_use]
    pub fn to_prune(&self, current: Current, plan: &Plan, keep: usize) -> Vec<SurplusRevision> {
        let current_is_good = current.result == RevisionResult::Good;
        let mut good_left = if current_is_good { keep } else { keep.max(1) };
        let mut not_good_left = keep.min(NOT_GOOD_KEPT);
        let mut equal_left = usize::from(!current_is_good);
        let mut kept: Vec<&Snapshot> = Vec::new();
        let mut surplus = Vec::new();
        for revision in self.revisions.iter().rev().filter(|revision| revision.number != current.number) {
            let left = if !revision.is_good() {
                &mut not_good_left
            } else if revision.has_plan(plan) {
                &mut equal_left
            } else {
                &mut good_left
            };
            let is_repeated =
                revision.is_good() && kept.iter().any(|snapshot| revision.has_content_of(snapshot));
            if *left == 0 || is_repeated {
                surplus.push(SurplusRevision { number: revision.number, uid: revision.uid.clone() });
                continue;
            }
            *left -= 1;
            kept.extend(revision.snapshot.as_ref().filter(|_| revision.is_good()));
        }
        surplus
    }

    /// Returns those of `names` that the revisions refer to, except the `pruned` revisions.
    #[must_use]
    pub fn referenced_names(&self, pruned: &[SurplusRevision], names: &BTreeSet<&str>) -> BTreeSet<String> {
        let mut referenced = BTreeSet::new();
        if names.is_empty() {
            return referenced;
        }
        let is_pruned = |revision: &Revision| pruned.iter().any(|surplus| surplus.number == revision.number);
        let kept = self.revisions.iter().filter(|revision| !is_pruned(revision));
        for member in
            kept.filter_map(|revision| revision.snapshot.as_ref()).flat_map(|snapshot| &snapshot.members)
        {
            references::find_names(member, names, &mut referenced);
        }
        referenced
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::object::kind::CONFIG_MAP;
    use crate::plan::inventory::revision::tests::revision;
    use crate::plan::inventory::snapshot::rollback_to;
    use crate::plan::inventory::snapshot::tests::plan;

    fn numbers(revisions: &[SurplusRevision]) -> Vec<u64> {
        revisions.iter().map(|revision| revision.number).collect()
    }

    #[test]
    fn only_the_newest_revision_is_the_deployed_one() {
        use RevisionResult::{Failed, Good};
        let history =
            History::new(vec![revision(1, Good, "a"), revision(2, Good, "b"), revision(3, Failed, "c")]);
        let number = |text: &str| history.deployed_revision(&plan(text)).map(|revision| revision.number);
        assert_eq!(number("c"), Some(3));
        assert_eq!(number("b"), None, "the history must say what runs after the failed attempt");
        assert_eq!(history.next_number(), 4);
    }

    /// Builds a history from `1 good a, 2 failed b`.
    fn history(text: &str) -> History {
        let read = |text: &str| {
            let mut words = text.split(' ');
            let number = words.next().unwrap().parse().unwrap();
            let result = RevisionResult::parse(&words.next().unwrap().replace('-', " "));
            revision(number, result, words.next().unwrap())
        };
        History::new(text.split(", ").map(read).collect())
    }

    #[test]
    fn rollback_target_is_last_good_with_other_content() {
        for (recorded, expected) in [
            ("1 good a", None),
            ("1 good a, 2 good b", Some(1)),
            ("1 good a, 2 failed b", Some(1)),
            // An automatic rollback has restored a.
            ("1 good c, 2 good a, 3 failed b, 4 good a", Some(1)),
            ("1 good a, 2 failed b, 3 good a", None),
            ("1 good a, 2 not-watched b", Some(1)),
            ("1 not-watched a, 2 good b", None),
        ] {
            let target = history(recorded).rollback_target().map(|revision| revision.number);
            assert_eq!(target, expected, "{recorded}");
        }
    }

    #[test]
    fn interrupted_rollback_is_continued_by_the_next() {
        let rollback = |result| {
            let snapshot = Snapshot { note: rollback_to(1), ..Snapshot::from_plan(&plan("a")) };
            let interrupted = Revision { snapshot: Some(snapshot), ..revision(4, result, "a") };
            let before = history("1 good a, 2 good b, 3 good c").revisions;
            let history = History::new(before.into_iter().chain([interrupted]).collect());
            history.rollback_target().map(|revision| revision.number)
        };
        assert_eq!(rollback(RevisionResult::Applying), Some(1));
        assert_eq!(rollback(RevisionResult::Interrupted), Some(1));
        assert_eq!(rollback(RevisionResult::NotWatched), Some(3));
        assert_eq!(rollback(RevisionResult::Good), Some(3));
    }

    #[test]
    fn automatic_rollback_never_restores_what_failed() {
        let target = |recorded: &str, failed: &str| {
            history(recorded).last_good_other_than(&plan(failed)).map(|revision| revision.number)
        };
        assert_eq!(target("1 good a, 2 good b", "b"), Some(1));
        assert_eq!(target("1 good a, 2 good b", "c"), Some(2));
        assert_eq!(target("1 good a", "a"), None);
        assert_eq!(target("1 not-watched a", "b"), None);
    }

    #[test]
    fn deleted_revision_is_found_in_the_newest_one_that_restored_it() {
        let restored = |number, note: &str| {
            let snapshot = Snapshot { note: note.to_owned(), ..Snapshot::from_plan(&plan("a")) };
            Revision { snapshot: Some(snapshot), ..revision(number, RevisionResult::Good, "a") }
        };
        let (third, fifth) = (restored(3, &rollback_to(1)), restored(5, &rollback_to(1)));
        let history = History::new(vec![restored(2, ""), third, restored(4, ""), fifth]);
        assert_eq!(history.restored_as(1).map(|revision| revision.number), Some(5));
        assert_eq!(history.restored_as(2).map(|revision| revision.number), None);
    }

    #[test]
    fn revision_without_snapshot_is_no_target() {
        let mut history = history("1 good a, 2 good b, 3 good c");
        history.revisions[1].snapshot = None;
        assert_eq!(history.rollback_target().map(|revision| revision.number), Some(1));
        assert_eq!(history.last_good_other_than(&plan("c")).map(|revision| revision.number), Some(1));
    }

    #[test]
    fn live_set_decides_about_undecided_latest_revision() {
        use RevisionResult::{Applying, Good, Interrupted, NotWatched};
        for (recorded, is_ready, expected) in [
            ("1 applying a", true, Some((Applying, Good))),
            ("1 applying a", false, Some((Applying, Interrupted))),
            ("1 interrupted a", true, Some((Interrupted, Good))),
            ("1 interrupted a", false, None),
            ("1 not-watched a", true, Some((NotWatched, Good))),
            ("1 not-watched a", false, None),
            ("1 failed a", true, None),
            ("1 good a", false, None),
            ("1 not-watched a, 2 good b", true, None),
        ] {
            let mut history = history(recorded);
            history.decide(is_ready);
            let decision = history.decision().map(|decision| (decision.recorded, decision.result));
            assert_eq!(decision, expected, "{recorded} {is_ready}");
        }
    }

    #[test]
    fn to_prune_keeps_distinct_good_and_two_failed_revisions() {
        let surplus = |recorded: &str, current: &str, keep| {
            let history = history(recorded);
            let mut words = current.split(' ');
            let number = words.next().unwrap().parse().unwrap();
            let result = RevisionResult::parse(words.next().unwrap());
            let plan = plan(words.next().unwrap());
            numbers(&history.to_prune(Current { number, result }, &plan, keep))
        };
        // Failed attempts do not displace good revisions.
        let failures = "1 good a, 2 good b, 3 failed c, 4 failed d, 5 failed e, 6 good f";
        assert_eq!(surplus(failures, "7 good g", 3), [3]);
        assert_eq!(surplus(failures, "7 good g", 2), [3, 1]);
        assert_eq!(surplus(failures, "7 good g", 1), [4, 3, 2, 1]);
        assert_eq!(surplus(failures, "7 good g", 0), [6, 5, 4, 3, 2, 1]);
        assert_eq!(
            surplus(failures, "7 applying g", 0),
            [5, 4, 3, 2, 1],
            "the last good one is kept until then"
        );
        // Of revisions with equal content the newest is kept.
        let repeated = "1 good a, 2 good b, 3 good a, 4 good b";
        assert_eq!(surplus(repeated, "5 good c", 3), [2, 1]);
        assert_eq!(surplus(repeated, "5 good b", 3), [4, 2, 1]);
        assert_eq!(surplus(repeated, "5 applying b", 3), [2, 1], "4 is the last good revision if 5 fails");
        let distinct = "1 good a, 2 good b, 3 good c, 4 good d";
        assert_eq!(
            surplus(distinct, "5 applying c", 2),
            [1],
            "3 does not displace 2, and goes when 5 is good"
        );
        assert_eq!(surplus(distinct, "5 good c", 2), [3, 1]);
    }

    #[test]
    fn unknown_kinds_are_neither_built_in_nor_known() {
        let manifest = |api_version: &str, kind: &str| {
            let metadata = json!({ "name": "a", "namespace": "n" });
            json!({ "apiVersion": api_version, "kind": kind, "metadata": metadata })
        };
        let members = vec![
            manifest("v1", "ConfigMap"),
            manifest("acme.io/v1", "Known"),
            // Equal in one half only to a known kind.
            manifest("other.io/v1", "Known"),
            manifest("acme.io/v1", "Unknown"),
        ];
        let snapshot = Snapshot { members, ..Snapshot::from_plan(&plan("a")) };
        let recorded = Revision { snapshot: Some(snapshot), ..revision(1, RevisionResult::Good, "a") };
        let history = History::new(vec![recorded]);
        let known = KindInfo { kind: "Known", group: "acme.io", ..CONFIG_MAP };
        let unknown = history.unknown_kinds(&[known]);
        let names: Vec<String> = unknown.iter().map(|it| format!("{it:?}")).collect();
        assert_eq!(names.len(), 2, "{names:?}");
        let has = |group: &str, kind: &str| names.iter().any(|it| it.contains(group) && it.contains(kind));
        assert!(has("other.io", "Known") && has("acme.io", "Unknown"), "{names:?}");
        assert_eq!(history.all().len(), 1);
    }

    #[test]
    fn names_of_kept_revisions_are_referenced() {
        let history = history("1 good 1, 2 good 2, 3 failed 3");
        let current = Current { number: 4, result: RevisionResult::Good };
        let all = BTreeSet::from(["oh-config-1", "oh-config-2", "oh-config-3"]);
        let names = history.referenced_names(&history.to_prune(current, &plan("4"), 1), &all);
        assert_eq!(names.iter().map(String::as_str).collect::<Vec<_>>(), ["oh-config-2", "oh-config-3"]);
    }
}
