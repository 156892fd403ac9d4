//! Revisions: each change of the set is recorded as an immutable Secret. Pure.
//!
//! Secrets, because the roles `admin` and `edit` may create them, and because a configuration is confidential.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::apply_set::ApplySet;
use super::snapshot::Snapshot;
use crate::error::{Error, Result};
use crate::object::kind::KindInfo;
use crate::object::labels::{self, Component};
use crate::object::{ObjectId, references};
use crate::plan::desired::Plan;
use crate::plan::manifests::extra_manifests::ManifestKind;

/// The `type` of the Secret.
pub const TYPE: &str = "handsctl.dev/revision";
/// The annotation with the number.
pub const NUMBER: &str = "handsctl.dev/revision";
/// The annotation with the revision's result.
pub const RESULT: &str = "handsctl.dev/result";
/// The annotation with the evidence of a failure.
pub const EVIDENCE: &str = "handsctl.dev/evidence";
/// The maximum length of the evidence in bytes. All annotations of an object share 256 KiB.
const MAX_EVIDENCE_BYTES: usize = 16 * 1024;
/// The maximum size of the compressed snapshot in bytes; a larger one is not stored. A Secret is limited to 1 MiB
/// (<https://kubernetes.io/docs/concepts/configuration/secret/#restriction-data-size>), in base64.
const MAX_COMPRESSED_BYTES: usize = 900 * 1024;
/// The maximum size of a decompressed snapshot in bytes.
const MAX_PLAIN_BYTES: u64 = 64 * 1024 * 1024;

/// Shortens evidence to its beginning, which names the cause, and its end, the container's last log lines.
#[must_use]
pub fn kept_evidence(text: &str) -> String {
    if text.len() <= MAX_EVIDENCE_BYTES {
        return text.to_owned();
    }
    let half = MAX_EVIDENCE_BYTES / 2;
    let begin = (0..=half).rev().find_map(|end| text.get(..end)).unwrap_or_default();
    let end = (text.len() - half..=text.len()).find_map(|begin| text.get(begin..)).unwrap_or_default();
    format!("{begin}\n…\n{end}")
}

/// The number of the newest revisions without a good rollout that are kept for their evidence, where at least as many
/// good ones are.
const NOT_GOOD_KEPT: usize = 2;

/// The result of a revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RevisionResult {
    /// Its run is in progress, or was killed.
    Applying,
    /// Its run ended without a result: a signal, the deadline or a lost connection.
    Interrupted,
    /// Its run did not wait for the rollout: `--no-wait`.
    NotWatched,
    /// Its rollout succeeded.
    Good,
    /// Its rollout failed.
    Failed,
}

impl RevisionResult {
    const ALL: [Self; 5] = [Self::Applying, Self::Interrupted, Self::NotWatched, Self::Good, Self::Failed];

    /// Returns the annotation's value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            RevisionResult::Applying => "applying",
            RevisionResult::Interrupted => "interrupted",
            RevisionResult::NotWatched => "not watched",
            RevisionResult::Good => "good",
            RevisionResult::Failed => "failed",
        }
    }

    /// Returns whether no run has seen the end of the rollout.
    #[must_use]
    pub const fn is_undecided(self) -> bool {
        matches!(self, Self::Applying | Self::Interrupted | Self::NotWatched)
    }

    /// An unknown value is the result of a newer version, which has decided nothing that this one understands.
    fn parse(word: &str) -> Self {
        Self::ALL.into_iter().find(|result| result.as_str() == word).unwrap_or(Self::Interrupted)
    }
}

/// A revision as read from its Secret.
#[derive(Debug, Clone, PartialEq)]
pub struct Revision {
    /// Its number: 1, 2, 3 …
    pub number: u64,
    /// Its result.
    pub result: RevisionResult,
    /// The user who deployed it: `ana@laptop`.
    pub by: String,
    /// The time at which its Secret was created.
    pub created: Option<Timestamp>,
    /// Its members; `None` if they were too large to be stored.
    pub snapshot: Option<Snapshot>,
    /// The evidence of its failure.
    pub evidence: Option<String>,
    /// The Secret's UID.
    pub uid: String,
}

impl Revision {
    /// Returns the number of the revision that this one restores, if that rollback is unfinished.
    #[must_use]
    pub fn unfinished_rollback(&self) -> Option<u64> {
        let is_unfinished = matches!(self.result, RevisionResult::Applying | RevisionResult::Interrupted);
        self.snapshot.as_ref().filter(|_| is_unfinished)?.restored_revision()
    }

    fn is_good(&self) -> bool {
        self.result == RevisionResult::Good
    }

    fn has_content_of(&self, other: &Snapshot) -> bool {
        self.snapshot.as_ref().is_some_and(|snapshot| snapshot.has_content_of(other))
    }

    fn has_plan(&self, plan: &Plan) -> bool {
        self.snapshot.as_ref().is_some_and(|snapshot| snapshot.matches(plan))
    }
}

/// Returns the name of a revision's Secret.
#[must_use]
pub fn name(set: &ApplySet, number: u64) -> String {
    format!("{}-r{number}", set.parent_name())
}

/// Builds the Secret of a new revision, and reports whether the snapshot was too large to be stored.
///
/// # Errors
/// Only if the compression fails, which writes to memory.
pub fn manifest(set: &ApplySet, number: u64, by: &str, snapshot: &Snapshot) -> Result<(Value, bool)> {
    let plan = compress(snapshot).map_err(|error| Error::io("cannot compress the revision", error))?;
    let too_large = plan.len() > MAX_COMPRESSED_BYTES;
    let data = if too_large { json!({}) } else { json!({ "plan": STANDARD.encode(&plan) }) };
    let manifest = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": name(set, number),
            "namespace": set.namespace,
            "labels": labels::member_labels(&set.name, Component::App),
            "annotations": {
                labels::CREATED_BY: by,
                NUMBER: number.to_string(),
                RESULT: RevisionResult::Applying.as_str(),
            },
        },
        "immutable": true,
        "type": TYPE,
        "data": data,
    });
    Ok((manifest, too_large))
}

fn compress(snapshot: &Snapshot) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(&serde_json::to_vec(snapshot)?)?;
    encoder.finish()
}

/// Reads the revisions among the Secrets of a set, oldest first.
///
/// # Errors
/// If a Secret of the revision type cannot be read.
pub fn read_all(secrets: &[Value]) -> Result<Vec<Revision>> {
    let mut revisions =
        secrets.iter().filter(|secret| secret["type"] == TYPE).map(read).collect::<Result<Vec<_>>>()?;
    revisions.sort_by_key(|revision| revision.number);
    Ok(revisions)
}

fn read(secret: &Value) -> Result<Revision> {
    let metadata = &secret["metadata"];
    let annotation = |name: &str| metadata["annotations"][name].as_str().unwrap_or_default();
    let name = metadata["name"].as_str().unwrap_or_default();
    let unreadable = || Error::internal(format!("cannot read secret/{name} as a revision"));
    let snapshot = match secret["data"]["plan"].as_str() {
        Some(text) => Some(decompress(text).ok_or_else(unreadable)?),
        None => None,
    };
    Ok(Revision {
        number: annotation(NUMBER).parse().map_err(|_| unreadable())?,
        result: RevisionResult::parse(annotation(RESULT)),
        by: annotation(labels::CREATED_BY).to_owned(),
        created: metadata["creationTimestamp"].as_str().and_then(|text| text.parse().ok()),
        snapshot,
        evidence: metadata["annotations"][EVIDENCE].as_str().map(str::to_owned),
        uid: metadata["uid"].as_str().unwrap_or_default().to_owned(),
    })
}

fn decompress(text: &str) -> Option<Snapshot> {
    let bytes = STANDARD.decode(text).ok()?;
    let mut plain = Vec::new();
    GzDecoder::new(bytes.as_slice()).take(MAX_PLAIN_BYTES).read_to_end(&mut plain).ok()?;
    serde_json::from_slice(&plain).ok()
}

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
    decision: Option<LatestDecision>,
}

impl History {
    /// Creates a history from revisions, oldest first.
    #[must_use]
    pub fn new(revisions: Vec<Revision>) -> Self {
        Self { revisions, decision: None }
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

    /// Returns the number of the next revision.
    #[must_use]
    pub fn next_number(&self) -> u64 {
        self.latest().map_or(1, |latest| latest.number + 1)
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
        let differs = |revision: &&Revision| {
            revision.number < latest.number && content.is_none_or(|content| !revision.has_content_of(content))
        };
        self.restorable().find(differs)
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

    /// Returns the revision that equals the plan: the newest one, or the newest good one if nothing has to be sent,
    /// because the attempts after it changed nothing.
    #[must_use]
    pub fn deployed_revision(&self, plan: &Plan, nothing_to_send: bool) -> Option<&Revision> {
        self.latest().filter(|latest| latest.has_plan(plan)).or_else(|| {
            let newest_good = self.revisions.iter().rev().find(|revision| revision.is_good());
            newest_good.filter(|good| nothing_to_send && good.has_plan(plan))
        })
    }

    /// Returns the revisions to delete. Kept are the current one; the `keep` newest good ones with different content,
    /// of equal ones the newest; and the two newest that did not become good. Until the current revision is good, at
    /// least one good one is kept.
    #[must_use]
    pub fn to_prune(&self, current: Current, plan: &Plan, keep: usize) -> Vec<SurplusRevision> {
        let current_is_good = current.result == RevisionResult::Good;
        let mut good_left = if current_is_good { keep } else { keep.max(1) };
        let mut not_good_left = keep.min(NOT_GOOD_KEPT);
        let mut kept: Vec<&Snapshot> = Vec::new();
        let mut surplus = Vec::new();
        for revision in self.revisions.iter().rev().filter(|revision| revision.number != current.number) {
            let left = if revision.is_good() { &mut good_left } else { &mut not_good_left };
            let is_repeated = revision.is_good()
                && (current_is_good && revision.has_plan(plan)
                    || kept.iter().any(|snapshot| revision.has_content_of(snapshot)));
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
    use super::*;

    use crate::plan::inventory::snapshot::rollback_to;
    use crate::plan::inventory::snapshot::tests::{plan, set};

    fn revision(number: u64, outcome: RevisionResult, text: &str) -> Revision {
        let snapshot = Snapshot::from_plan(&plan(text));
        let (mut secret, too_large) = manifest(&set(), number, "ana@laptop", &snapshot).unwrap();
        assert!(!too_large);
        secret["metadata"]["annotations"][RESULT] = json!(outcome.as_str());
        secret["metadata"]["uid"] = json!(format!("u{number}"));
        read_all(&[secret]).unwrap().remove(0)
    }

    fn numbers(revisions: &[SurplusRevision]) -> Vec<u64> {
        revisions.iter().map(|revision| revision.number).collect()
    }

    #[test]
    fn revision_is_stored_without_secret_data() {
        let revision = revision(3, RevisionResult::Good, "a");
        let snapshot = revision.snapshot.as_ref().unwrap();
        assert_eq!(
            (revision.number, revision.result, revision.by.as_str()),
            (3, RevisionResult::Good, "ana@laptop")
        );
        assert!(snapshot.matches(&plan("a")) && !snapshot.matches(&plan("b")));
        assert!(!format!("{snapshot:?}").contains("c2VjcmV0"));
    }

    #[test]
    fn too_large_snapshot_is_not_stored() {
        let mut state = 1_u64;
        let mut letter = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            char::from(b'!' + (state >> 58) as u8)
        };
        let noise: String = (0..2_000_000).map(|_| letter()).collect();
        let snapshot = Snapshot { members: vec![json!(noise)], note: String::new() };
        let (secret, too_large) = manifest(&set(), 1, "a@b", &snapshot).unwrap();
        assert!(too_large);
        assert_eq!(read_all(&[secret]).unwrap()[0].snapshot, None);
    }

    #[test]
    fn unchanged_plan_is_the_deployed_revision() {
        use RevisionResult::{Failed, Good};
        let history =
            History::new(vec![revision(1, Good, "a"), revision(2, Good, "b"), revision(3, Failed, "c")]);
        let number = |text: &str, nothing_to_send: bool| {
            history.deployed_revision(&plan(text), nothing_to_send).map(|revision| revision.number)
        };
        assert_eq!(number("c", false), Some(3));
        assert_eq!(number("b", true), Some(2), "the failed attempt changed nothing");
        assert_eq!(number("b", false), None);
        assert_eq!(number("a", true), None);
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
    }

    #[test]
    fn names_of_kept_revisions_are_referenced() {
        let history = history("1 good 1, 2 good 2, 3 failed 3");
        let current = Current { number: 4, result: RevisionResult::Good };
        let all = BTreeSet::from(["oh-config-1", "oh-config-2", "oh-config-3"]);
        let names = history.referenced_names(&history.to_prune(current, &plan("4"), 1), &all);
        assert_eq!(names.iter().map(String::as_str).collect::<Vec<_>>(), ["oh-config-2", "oh-config-3"]);
    }

    #[test]
    fn unfinished_rollback_returns_its_target() {
        use RevisionResult::{Applying, Good};
        let revision = |outcome, note: &str| {
            let snapshot = Snapshot { note: note.to_owned(), ..Snapshot::from_plan(&plan("a")) };
            Revision { snapshot: Some(snapshot), ..revision(3, outcome, "a") }
        };
        assert_eq!(revision(Applying, &rollback_to(12)).unfinished_rollback(), Some(12));
        assert_eq!(revision(RevisionResult::Interrupted, &rollback_to(12)).unfinished_rollback(), Some(12));
        assert_eq!(revision(RevisionResult::NotWatched, &rollback_to(12)).unfinished_rollback(), None);
        assert_eq!(revision(Good, &rollback_to(12)).unfinished_rollback(), None);
        assert_eq!(revision(Applying, "").unfinished_rollback(), None);
    }
}
