//! Revisions: each change of the set is recorded as an immutable Secret. Pure.
//!
//! Secrets, because the roles `admin` and `edit` may create them, and because a configuration is confidential.

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
use crate::object::labels::{self, Component};
use crate::plan::desired::Plan;

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
    pub(super) fn parse(word: &str) -> Self {
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
    /// Its members; `None` if they were too large to be stored, or are unreadable.
    pub snapshot: Option<Snapshot>,
    /// Whether its content is stored but cannot be read: somebody has replaced the Secret, or a newer version wrote it.
    pub is_unreadable: bool,
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

    pub(super) fn is_good(&self) -> bool {
        self.result == RevisionResult::Good
    }

    pub(super) fn has_content_of(&self, other: &Snapshot) -> bool {
        self.snapshot.as_ref().is_some_and(|snapshot| snapshot.has_content_of(other))
    }

    pub(super) fn has_plan(&self, plan: &Plan) -> bool {
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

/// Reads the revisions among the Secrets of a set, oldest first. One with unreadable content is a revision without
/// members. A Secret that has a revision's number neither in its annotation nor in its name is none.
#[must_use]
pub fn read_all(secrets: &[Value]) -> Vec<Revision> {
    let mut revisions: Vec<Revision> =
        secrets.iter().filter(|secret| secret["type"] == TYPE).filter_map(read).collect();
    revisions.sort_by_key(|revision| revision.number);
    revisions
}

fn read(secret: &Value) -> Option<Revision> {
    let metadata = &secret["metadata"];
    let annotation = |name: &str| metadata["annotations"][name].as_str().unwrap_or_default();
    let number_in_name = || metadata["name"].as_str()?.rsplit_once("-r")?.1.parse().ok();
    let plan = secret["data"]["plan"].as_str();
    let snapshot = plan.and_then(decompress);
    Some(Revision {
        number: annotation(NUMBER).parse().ok().or_else(number_in_name)?,
        result: RevisionResult::parse(annotation(RESULT)),
        by: annotation(labels::CREATED_BY).to_owned(),
        created: metadata["creationTimestamp"].as_str().and_then(|text| text.parse().ok()),
        is_unreadable: plan.is_some() && snapshot.is_none(),
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

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    use crate::plan::inventory::snapshot::rollback_to;
    use crate::plan::inventory::snapshot::tests::{plan, set};

    pub(in crate::plan::inventory) fn revision(number: u64, outcome: RevisionResult, text: &str) -> Revision {
        let snapshot = Snapshot::from_plan(&plan(text));
        let (mut secret, too_large) = manifest(&set(), number, "ana@laptop", &snapshot).unwrap();
        assert!(!too_large);
        secret["metadata"]["annotations"][RESULT] = json!(outcome.as_str());
        secret["metadata"]["uid"] = json!(format!("u{number}"));
        read_all(&[secret]).remove(0)
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

    /// Stores a snapshot with this text; returns whether it was too large, and whether it is read back.
    fn stored(text: &str) -> (bool, bool) {
        let snapshot = Snapshot { members: vec![json!(text)], note: String::new() };
        let (secret, too_large) = manifest(&set(), 1, "a@b", &snapshot).unwrap();
        let read = read_all(&[secret]).remove(0);
        assert!(!read.is_unreadable);
        (too_large, read.snapshot.is_some_and(|read| read.members == snapshot.members))
    }

    /// A text that is compressed by a quarter at most.
    fn noise(bytes: usize) -> String {
        let mut state = 1_u64;
        let mut letter = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            char::from(b'!' + (state >> 58) as u8)
        };
        (0..bytes).map(|_| letter()).collect()
    }

    #[test]
    fn too_large_snapshot_is_not_stored() {
        assert_eq!(stored(&noise(2_000_000)), (true, false));
    }

    #[test]
    fn snapshots_below_the_limits_are_read_back() {
        assert_eq!(stored(&noise(1_000_000)), (false, true), "compressed");
        assert_eq!(stored(&"a".repeat(2_000_000)), (false, true), "decompressed");
    }

    #[test]
    fn revision_is_named_after_set_and_number() {
        assert_eq!(name(&set(), 12), format!("{}-r12", set().parent_name()));
        let (secret, _) = manifest(&set(), 12, "a@b", &Snapshot::from_plan(&plan("a"))).unwrap();
        assert_eq!(secret["metadata"]["name"], name(&set(), 12));
    }

    #[test]
    fn long_evidence_keeps_beginning_and_end() {
        let fits = "é".repeat(MAX_EVIDENCE_BYTES / 2);
        assert_eq!(kept_evidence(&fits), fits);
        // An odd offset: both cuts would fall into a letter.
        let long = format!("cause{fits}é{fits}end");
        let kept = kept_evidence(&long);
        let (begin, end) = kept.split_once("\n…\n").unwrap();
        assert!(begin.starts_with("causeé") && end.ends_with("éend"), "{kept}");
        for part in [begin, end] {
            assert!((8 * 1024 - 1..=8 * 1024).contains(&part.len()), "{}", part.len());
        }
        assert_eq!(kept_evidence(&"a".repeat(2_000)).len(), 2_000);
    }

    #[test]
    fn unreadable_revision_leaves_the_others_readable() {
        let secret = |number| manifest(&set(), number, "a@b", &Snapshot::from_plan(&plan("a"))).unwrap().0;
        let mut broken = secret(2);
        broken["data"]["plan"] = json!(STANDARD.encode("not compressed"));
        broken["metadata"]["annotations"] = json!({});
        let mut foreign = secret(9);
        foreign["metadata"] = json!({ "name": "x" });
        let revisions = read_all(&[secret(3), broken, foreign, secret(1)]);
        let read: Vec<_> = revisions
            .iter()
            .map(|revision| (revision.number, revision.snapshot.is_some(), revision.is_unreadable))
            .collect();
        assert_eq!(read, [(1, true, false), (2, false, true), (3, true, false)]);
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
