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

/// The result of a revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RevisionResult {
    /// Its run is in progress, was interrupted, or did not wait for the rollout.
    Applying,
    /// Its rollout succeeded.
    Good,
    /// The API server rejected it, or its rollout failed.
    Failed,
}

impl RevisionResult {
    /// Returns the annotation's value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            RevisionResult::Applying => "applying",
            RevisionResult::Good => "good",
            RevisionResult::Failed => "failed",
        }
    }

    fn parse(word: &str) -> Self {
        match word {
            "good" => RevisionResult::Good,
            "failed" => RevisionResult::Failed,
            _ => RevisionResult::Applying,
        }
    }
}

/// A revision as read from its Secret.
#[derive(Debug, Clone, PartialEq)]
pub struct Revision {
    /// Its number: 1, 2, 3 …, never reused.
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
        let snapshot = self.snapshot.as_ref().filter(|_| self.result == RevisionResult::Applying)?;
        snapshot.restored_revision()
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

/// The recorded revisions of a set.
#[derive(Debug, Clone, Default)]
pub struct History {
    revisions: Vec<Revision>,
}

impl History {
    /// Creates a history from revisions, oldest first.
    #[must_use]
    pub fn new(revisions: Vec<Revision>) -> Self {
        Self { revisions }
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

    /// Returns the newest good revision.
    #[must_use]
    pub fn latest_good(&self) -> Option<&Revision> {
        self.last_good_before(u64::MAX)
    }

    /// Returns the newest good revision before this number, the target of a rollback.
    #[must_use]
    pub fn last_good_before(&self, number: u64) -> Option<&Revision> {
        self.revisions
            .iter()
            .rev()
            .find(|revision| revision.number < number && revision.result == RevisionResult::Good)
    }

    /// Returns the revision that equals the plan: the newest one, or the newest good one if nothing has to be sent,
    /// because the attempts after it changed nothing.
    #[must_use]
    pub fn deployed_revision(&self, plan: &Plan, nothing_to_send: bool) -> Option<&Revision> {
        let is_plan =
            |revision: &&Revision| revision.snapshot.as_ref().is_some_and(|snapshot| snapshot.matches(plan));
        self.latest().filter(is_plan).or_else(|| {
            let good = self.revisions.iter().rev().filter(|revision| revision.result == RevisionResult::Good);
            good.take(1).find(is_plan).filter(|_| nothing_to_send)
        })
    }

    /// Returns the revisions to delete. Kept are the current one, the `history` newest others, and the latest good one.
    /// Once the current revision is good it is the latest good one, so older ones are deleted in the same run.
    #[must_use]
    pub fn to_prune(&self, current: Current, history: usize) -> Vec<SurplusRevision> {
        let newest_good = match current.result {
            RevisionResult::Good => Some(current.number),
            RevisionResult::Applying | RevisionResult::Failed => self.latest_good().map(|good| good.number),
        };
        let others = self.revisions.iter().rev().filter(|revision| revision.number != current.number);
        let surplus = others.skip(history).filter(|revision| Some(revision.number) != newest_good);
        surplus
            .map(|revision| SurplusRevision { number: revision.number, uid: revision.uid.clone() })
            .collect()
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
        assert_eq!(history.last_good_before(3).map(|revision| revision.number), Some(2));
        assert_eq!(history.last_good_before(2).map(|revision| revision.number), Some(1));
    }

    #[test]
    fn to_prune_keeps_the_newest_good_revision() {
        use RevisionResult::{Failed, Good};
        let history = History::new(
            (1..=6).map(|n| revision(n, if n <= 2 { Good } else { Failed }, &n.to_string())).collect(),
        );
        let current = Current { number: 6, result: Failed };
        assert_eq!(numbers(&history.to_prune(current, 3)), [1]);
        assert_eq!(numbers(&history.to_prune(current, 0)), [5, 4, 3, 1]);
        assert!(history.to_prune(current, 9).is_empty());
        let all = BTreeSet::from(["oh-config-1", "oh-config-2", "oh-config-3"]);
        let names = history.referenced_names(&history.to_prune(current, 3), &all);
        assert_eq!(names.iter().map(String::as_str).collect::<Vec<_>>(), ["oh-config-2", "oh-config-3"]);
    }

    #[test]
    fn good_current_revision_makes_older_good_ones_surplus() {
        use RevisionResult::{Applying, Good};
        let history = History::new(vec![revision(1, Good, "a"), revision(2, Applying, "b")]);
        let surplus = |outcome| numbers(&history.to_prune(Current { number: 2, result: outcome }, 0));
        assert_eq!(surplus(Applying), Vec::<u64>::new(), "its result is not known yet");
        assert_eq!(surplus(Good), [1]);
    }

    #[test]
    fn unfinished_rollback_returns_its_target() {
        use RevisionResult::{Applying, Good};
        let revision = |outcome, note: &str| {
            let snapshot = Snapshot { note: note.to_owned(), ..Snapshot::from_plan(&plan("a")) };
            Revision { snapshot: Some(snapshot), ..revision(3, outcome, "a") }
        };
        assert_eq!(revision(Applying, &rollback_to(12)).unfinished_rollback(), Some(12));
        assert_eq!(revision(Good, &rollback_to(12)).unfinished_rollback(), None);
        assert_eq!(revision(Applying, "").unfinished_rollback(), None);
    }
}
