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
use super::provenance::Provenance;
use super::set_key::{self, StoredKey};
use super::snapshot::Snapshot;
use crate::error::{Error, Result};
use crate::object::labels::{self, Component};
use crate::plan::desired::Plan;
use crate::plan::manifests::content_hash::SecretKey;
use crate::timeline::RunRecord;

/// The `type` of the Secret.
pub const TYPE: &str = "handsctl.dev/revision";
/// The annotation with the number.
pub const NUMBER: &str = "handsctl.dev/revision";
/// The annotation with the revision's result.
pub const RESULT: &str = "handsctl.dev/result";
/// The annotation with the evidence of a failure.
pub const EVIDENCE: &str = "handsctl.dev/evidence";
/// The annotation with the timeline of the run that decided the result. Earlier versions do not write it, and ignore it.
pub const RUN: &str = "handsctl.dev/run";
/// The maximum length of the evidence in bytes. All annotations of an object share 256 KiB.
const MAX_EVIDENCE_BYTES: usize = 16 * 1024;
/// The maximum size of the compressed snapshot in bytes; a larger one is not stored. A Secret is limited to 1 MiB
/// (<https://kubernetes.io/docs/concepts/configuration/secret/#restriction-data-size>), in base64.
const MAX_COMPRESSED_BYTES: usize = 900 * 1024;
/// The maximum size of a decompressed snapshot in bytes.
const MAX_PLAIN_BYTES: u64 = 64 * 1024 * 1024;
/// The number of digits of an error's id.
const ID_DIGITS: usize = 4;
/// The largest number of a revision.
const MAX_NUMBER: u64 = u32::MAX as u64;

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
    /// Whether its content is stored but cannot be read: a newer version wrote it.
    pub is_unreadable: bool,
    /// The evidence of its failure.
    pub evidence: Option<String>,
    /// The timeline of the run that decided its result. An earlier version kept none.
    pub record: Option<RunRecord>,
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

    /// Returns who started the run: the user of the CI system, else `ana@laptop`.
    #[must_use]
    pub fn author(&self) -> &str {
        self.provenance().and_then(|provenance| provenance.actor.as_deref()).unwrap_or(&self.by)
    }

    /// Returns what the run said of itself; None if the revision has no content.
    #[must_use]
    pub fn provenance(&self) -> Option<&Provenance> {
        self.snapshot.as_ref().map(|snapshot| &snapshot.provenance)
    }

    /// Returns the id of the error with which its rollout failed: `HC4103`.
    #[must_use]
    pub fn failure_id(&self) -> Option<&str> {
        let (id, _) = self.evidence.as_deref()?.split_once(':')?;
        let digits = id.strip_prefix("HC")?;
        (digits.len() == ID_DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit())).then_some(id)
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

/// A Secret of a revision's type that is not a revision of the set, so that nothing of it is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignRevision {
    /// The Secret's name.
    pub name: String,
    /// The number in its name, if the name is that of a revision.
    pub number: Option<u64>,
    /// Why it is not a revision.
    pub reason: ForeignReason,
}

/// Why a Secret is not a revision of the set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForeignReason {
    /// Its name is not that of a revision.
    Name,
    /// Its annotation does not have the number of its name.
    Number,
    /// Its content can be changed.
    Mutable,
    /// Its MAC is missing, or was not made with the set's key: somebody else created it, or changed its content.
    Mac,
    /// It does not have the labels of the set's Secrets, so it only takes the name.
    Labels,
    /// The set's key does not exist.
    KeyMissing,
    /// The set's key is not the one that the set's parent names.
    KeyReplaced,
}

impl std::fmt::Display for ForeignReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Name => "it does not have the name of a revision",
            Self::Number => "its annotation does not have the number of its name",
            Self::Mutable => "it is not immutable",
            Self::Mac => "its content was not recorded with the installation's key",
            Self::Labels => "it does not have the installation's labels",
            Self::KeyReplaced => {
                "the installation's key was replaced by another one, so its origin cannot be checked"
            }
            Self::KeyMissing => "the installation's key is missing, so its origin cannot be checked",
        })
    }
}

impl ForeignRevision {
    /// Says that the Secret is not used, why, and what to do.
    #[must_use]
    pub fn warning(&self, set: &ApplySet) -> String {
        let Self { name, reason, .. } = self;
        let remedy = self.remedy(set);
        format!(
            "secret/{name} is not a revision of installation `{}`, so it is ignored: {reason}; {remedy}",
            set.name
        )
    }

    /// Says how the Secret becomes a revision again, or how to delete it.
    #[must_use]
    pub fn remedy(&self, set: &ApplySet) -> String {
        match self.reason {
            ForeignReason::KeyMissing | ForeignReason::KeyReplaced => {
                let (key, namespace) = (set.parent_name(), &set.namespace);
                format!(
                    "to use it again: restore secret/{key} in namespace {namespace}, which has the key, from a backup"
                )
            }
            ForeignReason::Name
            | ForeignReason::Number
            | ForeignReason::Mutable
            | ForeignReason::Mac
            | ForeignReason::Labels => {
                format!("to delete it: kubectl delete secret {} -n {}", self.name, set.namespace)
            }
        }
    }
}

/// The Secrets of an installation that are, or pretend to be, revisions.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RevisionSecrets {
    /// The installation's revisions, oldest first.
    pub revisions: Vec<Revision>,
    /// The other Secrets of a revision's type.
    pub foreign: Vec<ForeignRevision>,
    /// The numbers whose names are taken, by whatever Secret.
    pub taken: BTreeSet<u64>,
}

/// Returns whether the Secret is the revision of this number, recorded with this key.
#[must_use]
pub fn is_recorded(set: &ApplySet, number: u64, secret: &Value, key: &SecretKey) -> bool {
    secret["type"] == TYPE && read(set, secret, Some(number), Ok(key)).is_ok()
}

/// Returns the name of a revision's Secret.
#[must_use]
pub fn name(set: &ApplySet, number: u64) -> String {
    format!("{}-r{number}", set.parent_name())
}

/// Returns the number in the name of a revision's Secret.
#[must_use]
pub fn number_in(name_of_secret: &str, set: &ApplySet) -> Option<u64> {
    let number = name_of_secret.strip_prefix(&set.parent_name())?.strip_prefix("-r")?.parse().ok()?;
    // Only one spelling of a number is a name: `+7` and `007` are numbers too.
    ((1..=MAX_NUMBER).contains(&number) && name(set, number) == name_of_secret).then_some(number)
}

/// Builds the Secret of a new revision, and reports whether the snapshot was too large to be stored.
///
/// # Errors
/// Only if the compression fails, which writes to memory.
pub fn manifest(
    set: &ApplySet,
    number: u64,
    by: &str,
    snapshot: &Snapshot,
    key: &SecretKey,
) -> Result<(Value, bool)> {
    let plan = compress(snapshot).map_err(|error| Error::io("cannot compress the revision", error))?;
    let too_large = plan.len() > MAX_COMPRESSED_BYTES;
    let plan = if too_large { Vec::new() } else { plan };
    let mac = set_key::revision_mac(set, number, &plan, key)?;
    let mut data = json!({ "mac": STANDARD.encode(mac) });
    if !too_large {
        data["plan"] = json!(STANDARD.encode(&plan));
    }
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
    compress_bytes(&serde_json::to_vec(snapshot)?)
}

fn compress_bytes(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes)?;
    encoder.finish()
}

/// Reads the revisions among the Secrets of an installation, which contain its key. A Secret is a revision only if its name, its
/// annotation and its MAC agree and it is immutable. Everybody who may create Secrets can give one any type and label.
///
/// With the set's parent, a key that the parent does not name authenticates nothing.
#[must_use]
pub fn read_all(set: &ApplySet, secrets: &[Value], parent: Option<&Value>) -> RevisionSecrets {
    let key = match set_key::stored_key(set, secrets) {
        StoredKey::Key(key) if set_key::is_replaced(&key, parent) => Err(ForeignReason::KeyReplaced),
        StoredKey::Key(key) => Ok(key),
        StoredKey::Absent | StoredKey::Invalid => Err(ForeignReason::KeyMissing),
    };
    let mut all = RevisionSecrets::default();
    for secret in secrets {
        let name = secret["metadata"]["name"].as_str().unwrap_or_default();
        let number = number_in(name, set);
        all.taken.extend(number);
        if secret["type"] != TYPE {
            continue;
        }
        match read(set, secret, number, key.as_ref().map_err(|reason| *reason)) {
            Ok(revision) => all.revisions.push(revision),
            Err(reason) => all.foreign.push(ForeignRevision { name: name.to_owned(), number, reason }),
        }
    }
    all.revisions.sort_by_key(|revision| revision.number);
    all.foreign.sort_by(|a, b| (a.number, &a.name).cmp(&(b.number, &b.name)));
    all
}

fn read(
    set: &ApplySet,
    secret: &Value,
    number: Option<u64>,
    key: Result<&SecretKey, ForeignReason>,
) -> Result<Revision, ForeignReason> {
    let metadata = &secret["metadata"];
    let annotation = |name: &str| metadata["annotations"][name].as_str().unwrap_or_default();
    let number = number.ok_or(ForeignReason::Name)?;
    if annotation(NUMBER) != number.to_string() {
        return Err(ForeignReason::Number);
    }
    if secret["immutable"] != true {
        return Err(ForeignReason::Mutable);
    }
    let key = key?;
    let datum = |name: &str| secret["data"][name].as_str().map(|text| STANDARD.decode(text)).transpose();
    let (Ok(content), Ok(Some(mac))) = (datum("plan"), datum("mac")) else { return Err(ForeignReason::Mac) };
    if !set_key::is_revision_mac(&mac, set, number, content.as_deref().unwrap_or_default(), key) {
        return Err(ForeignReason::Mac);
    }
    let snapshot = content.as_deref().and_then(decompress);
    Ok(Revision {
        number,
        result: RevisionResult::parse(annotation(RESULT)),
        by: annotation(labels::CREATED_BY).to_owned(),
        created: metadata["creationTimestamp"].as_str().and_then(|text| text.parse().ok()),
        is_unreadable: content.is_some() && snapshot.is_none(),
        snapshot,
        evidence: metadata["annotations"][EVIDENCE].as_str().map(str::to_owned),
        record: RunRecord::parse(annotation(RUN)),
        uid: metadata["uid"].as_str().unwrap_or_default().to_owned(),
    })
}

fn decompress(compressed: &[u8]) -> Option<Snapshot> {
    let mut plain = Vec::new();
    GzDecoder::new(compressed).take(MAX_PLAIN_BYTES).read_to_end(&mut plain).ok()?;
    let mut snapshot: Snapshot = serde_json::from_slice(&plain).ok()?;
    snapshot.provenance = snapshot.provenance.cleaned();
    Some(snapshot)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    use crate::plan::inventory::set_key::tests::key;
    use crate::plan::inventory::snapshot::rollback_to;
    use crate::plan::inventory::snapshot::tests::{plan, set};

    /// Compresses any content as that of a revision.
    pub(in crate::plan::inventory) fn compressed(bytes: &[u8]) -> Vec<u8> {
        compress_bytes(bytes).unwrap()
    }

    /// Reads these Secrets together with the installation's key.
    pub(in crate::plan) fn read_with_key(secrets: &[Value]) -> RevisionSecrets {
        read_all(&set(), &[secrets, &[set_key::manifest(&set(), &key())]].concat(), None)
    }

    /// The Secret of a revision of the test set, with this text in it.
    pub(in crate::plan) fn secret(number: u64, text: &str) -> Value {
        manifest(&set(), number, "ana@laptop", &Snapshot::from_plan(&plan(text)), &key()).unwrap().0
    }

    pub(in crate::plan::inventory) fn revision(number: u64, outcome: RevisionResult, text: &str) -> Revision {
        let mut secret = secret(number, text);
        secret["metadata"]["annotations"][RESULT] = json!(outcome.as_str());
        secret["metadata"]["uid"] = json!(format!("u{number}"));
        read_with_key(&[secret]).revisions.remove(0)
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
        let snapshot = Snapshot { members: vec![json!(text)], ..Snapshot::default() };
        let (secret, too_large) = manifest(&set(), 1, "a@b", &snapshot, &key()).unwrap();
        let read = read_with_key(&[secret]).revisions.remove(0);
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
    fn provenance_is_part_of_the_authenticated_content() {
        let provenance = Provenance {
            actor: Some("octocat".into()),
            note: Some("adds\nEU".into()),
            ..Provenance::default()
        };
        let snapshot = Snapshot::from_plan(&plan("a")).with_provenance(provenance);
        let (secret, _) = manifest(&set(), 3, "runner@host", &snapshot, &key()).unwrap();
        let revision = read_with_key(std::slice::from_ref(&secret)).revisions.remove(0);
        assert_eq!((revision.author(), revision.by.as_str()), ("octocat", "runner@host"));
        assert_eq!(revision.provenance().unwrap().note.as_deref(), Some("adds EU"));
        assert!(revision.has_plan(&plan("a")), "it is no part of what is deployed");
        assert!(!secret["metadata"].to_string().contains("octocat"), "an annotation could be changed");
    }

    #[test]
    fn revision_of_an_earlier_version_names_its_user() {
        let stored = json!({ "members": [], "note": "rollback to 2" }).to_string();
        let revision = read_with_key(&[with_content(1, &compressed(stored.as_bytes()))]).revisions.remove(0);
        assert_eq!(revision.author(), "ana@laptop");
        assert_eq!(revision.snapshot.unwrap().note, "rollback to 2");
    }

    #[test]
    fn failure_id_is_read_from_the_evidence() {
        let failed = |evidence: Option<&str>| {
            let evidence = evidence.map(str::to_owned);
            Revision { evidence, ..revision(3, RevisionResult::Failed, "a") }.failure_id().map(str::to_owned)
        };
        assert_eq!(failed(Some("HC4103: the image does not exist")).as_deref(), Some("HC4103"));
        for other in [None, Some("no id"), Some("HC41: a"), Some("HCabcd: a"), Some("")] {
            assert_eq!(failed(other), None, "{other:?}");
        }
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
        assert_eq!(secret(12, "a")["metadata"]["name"], name(&set(), 12));
        assert_eq!(number_in(&name(&set(), 12), &set()), Some(12));
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

    /// A Secret with this content, whose MAC is right.
    fn with_content(number: u64, content: &[u8]) -> Value {
        let mac = set_key::revision_mac(&set(), number, content, &key()).unwrap();
        let mut secret = secret(number, "a");
        secret["data"] = json!({ "plan": STANDARD.encode(content), "mac": STANDARD.encode(mac) });
        secret
    }

    #[test]
    fn unreadable_revision_leaves_the_others_readable() {
        let broken = with_content(2, b"of a newer version");
        let all = read_with_key(&[secret(3, "a"), broken, secret(1, "a")]);
        let read: Vec<_> = all
            .revisions
            .iter()
            .map(|revision| (revision.number, revision.snapshot.is_some(), revision.is_unreadable))
            .collect();
        assert_eq!(read, [(1, true, false), (2, false, true), (3, true, false)]);
        assert_eq!(all.foreign, []);
    }

    /// The Secret of revision 3 after a change, and why it is not a revision.
    fn disguises() -> Vec<(ForeignReason, Value)> {
        use ForeignReason::{Mac, Mutable, Name, Number};
        let changed = |change: &dyn Fn(&mut Value)| {
            let mut secret = secret(3, "a");
            change(&mut secret);
            secret
        };
        let named = |name: &'static str| changed(&|secret| secret["metadata"]["name"] = json!(name));
        let numbered = |number: &'static str| {
            changed(&|secret| secret["metadata"]["annotations"][NUMBER] = json!(number))
        };
        let other_plan = self::secret(3, "b")["data"]["plan"].clone();
        let with_other_key = |bytes: Vec<u8>| {
            let snapshot = Snapshot::from_plan(&plan("a"));
            manifest(&set(), 3, "ana@laptop", &snapshot, &SecretKey(bytes)).unwrap().0
        };
        let other_set = ApplySet { namespace: "m".into(), ..set() };
        let of_other_set =
            manifest(&other_set, 3, "a@b", &Snapshot::from_plan(&plan("a")), &key()).unwrap().0;
        vec![
            (Name, named("x")),
            (Name, named("handsctl-oh-r03")),
            (Name, named("handsctl-oh-r+3")),
            (Name, named("handsctl-oh-r0")),
            (Name, named("handsctl-oh-r-3")),
            (Name, named("handsctl-oh-r4294967296")),
            (Name, named("handsctl-oh-r18446744073709551615")),
            (Name, named("handsctl-other-r3")),
            (Number, numbered("4")),
            (Number, numbered("18446744073709551615")),
            (Number, numbered("03")),
            (Number, changed(&|secret| secret["metadata"]["annotations"] = json!({}))),
            (Mutable, changed(&|secret| secret["immutable"] = json!(false))),
            (Mutable, changed(&|secret| secret["immutable"] = Value::Null)),
            (Mac, changed(&|secret| secret["data"]["plan"] = other_plan.clone())),
            (Mac, changed(&|secret| secret["data"] = json!({ "plan": other_plan }))),
            (Mac, changed(&|secret| secret["data"]["plan"] = Value::Null)),
            (Mac, changed(&|secret| secret["data"]["mac"] = json!(""))),
            (Mac, changed(&|secret| secret["data"]["mac"] = json!("%"))),
            (Mac, changed(&|secret| secret["data"]["plan"] = json!("%"))),
            (Mac, changed(&|secret| secret["data"] = Value::Null)),
            (Mac, with_other_key(vec![0; 32])),
            (Mac, with_other_key(Vec::new())),
            (Mac, of_other_set),
            // A copy of a real revision under another number.
            (
                Mac,
                changed(&|secret| {
                    secret["metadata"]["name"] = json!("handsctl-oh-r9");
                    secret["metadata"]["annotations"][NUMBER] = json!("9");
                }),
            ),
        ]
    }

    #[test]
    fn replaced_key_authenticates_nothing() {
        let parent_of = |key: &SecretKey| {
            let set = ApplySet { key_fingerprint: Some(set_key::fingerprint(key)), ..set() };
            set.manifest(&BTreeSet::new())
        };
        let secrets = [secret(3, "a"), set_key::manifest(&set(), &key())];
        assert_eq!(read_all(&set(), &secrets, Some(&parent_of(&key()))).revisions.len(), 1);
        // Somebody has replaced the key and forged a revision with it, or the revision is older than the new key.
        let other = SecretKey(vec![8; 32]);
        for (stored, named) in [(key(), &other), (other.clone(), &key())] {
            let secrets = [secret(3, "a"), set_key::manifest(&set(), &stored)];
            let all = read_all(&set(), &secrets, Some(&parent_of(named)));
            assert_eq!(all.revisions, []);
            let [foreign] = all.foreign.as_slice() else { panic!("{all:?}") };
            assert_eq!(foreign.reason, ForeignReason::KeyReplaced);
            assert!(
                foreign.remedy(&set()).contains("restore secret/handsctl-oh in namespace n"),
                "{foreign:?}"
            );
            assert!(!foreign.warning(&set()).contains("kubectl delete"), "it may be genuine");
        }
    }

    #[test]
    fn disguised_secret_is_foreign_for_a_reason() {
        assert_eq!(read_with_key(&[secret(3, "a")]).revisions.len(), 1);
        for (reason, secret) in disguises() {
            let all = read_with_key(std::slice::from_ref(&secret));
            assert_eq!(all.revisions, [], "{secret}");
            let name = secret["metadata"]["name"].as_str().unwrap();
            let expected = ForeignRevision { name: name.to_owned(), number: number_in(name, &set()), reason };
            assert_eq!(all.foreign, [expected], "{secret}");
            assert!(all.foreign[0].warning(&set()).contains(&format!("secret/{name} is not")), "{all:?}");
        }
    }

    #[test]
    fn revision_without_the_sets_key_is_foreign() {
        let all = read_all(&set(), &[secret(3, "a")], None);
        assert_eq!(all.foreign[0].reason, ForeignReason::KeyMissing);
        assert_eq!((all.revisions.len(), all.taken), (0, BTreeSet::from([3])));
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
