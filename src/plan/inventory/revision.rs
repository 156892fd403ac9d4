//! What was deployed when: each change of the set is kept as an immutable Secret. Pure.
//!
//! A Secret, because the roles `admin` and `edit` may make it, and because a configuration is nobody else's business.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::apply_set::ApplySet;
use super::members::Members;
use crate::error::{Error, Result};
use crate::object::kind::{CLAIM, KindInfo, SECRET};
use crate::object::labels::{self, Component};
use crate::object::{ObjectId, references};
use crate::plan::desired::{Member, Plan, PlanOrigin};
use crate::plan::manifests::extra_manifests::ManifestKind;

/// `type` of the Secret.
pub const TYPE: &str = "handsctl.dev/revision";
/// The annotation with the number.
pub const NUMBER: &str = "handsctl.dev/revision";
/// The annotation that says what came of it.
pub const RESULT: &str = "handsctl.dev/result";
/// The annotation that says why it failed.
pub const EVIDENCE: &str = "handsctl.dev/evidence";
/// Bytes of it at most: annotations of one object have 256 KiB together.
const MOST_EVIDENCE: usize = 16 * 1024;
/// Compressed bytes above which the members are not kept: a Secret takes 1 MiB
/// (<https://kubernetes.io/docs/concepts/configuration/secret/#restriction-data-size>), in base64.
const MOST_BYTES: usize = 900 * 1024;
/// Where a claim says how large it is to be.
const CLAIM_SIZE: &str = "/spec/resources/requests/storage";
/// Decompressed bytes that are read at most.
const MOST_PLAIN_BYTES: u64 = 64 * 1024 * 1024;

/// What a revision says of itself that brings an earlier one back, before that one's number.
const ROLLBACK: &str = "rollback to ";

/// What a revision says of itself that brings this one back.
#[must_use]
pub fn rollback_to(number: u64) -> String {
    format!("{ROLLBACK}{number}")
}

/// Evidence as it is kept: its beginning names the cause, its end is the container's last words.
#[must_use]
pub fn kept_evidence(text: &str) -> String {
    if text.len() <= MOST_EVIDENCE {
        return text.to_owned();
    }
    let half = MOST_EVIDENCE / 2;
    let begin = (0..=half).rev().find_map(|end| text.get(..end)).unwrap_or_default();
    let end = (text.len() - half..=text.len()).find_map(|begin| text.get(begin..)).unwrap_or_default();
    format!("{begin}\n…\n{end}")
}

/// What came of a revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RevisionResult {
    /// It is being applied, or the run that did so was ended, or did not wait.
    Applying,
    /// Its rollout ended well.
    Good,
    /// It was refused, or its rollout failed.
    Failed,
}

impl RevisionResult {
    /// The annotation's value.
    #[must_use]
    pub const fn word(self) -> &'static str {
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

/// A revision as it was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Revision {
    /// 1, 2, 3 … never used again.
    pub number: u64,
    /// What came of it.
    pub result: RevisionResult,
    /// `ana@laptop`.
    pub by: String,
    /// When it was begun.
    pub created: Option<Timestamp>,
    /// What it consisted of; None where it was too large to be kept.
    pub snapshot: Option<Snapshot>,
    /// Why it failed.
    pub evidence: Option<String>,
    /// The Secret's UID.
    pub uid: String,
}

impl Revision {
    /// The revision that this one brings back, where nobody has finished that yet.
    #[must_use]
    pub fn unfinished_rollback(&self) -> Option<u64> {
        let content = self.snapshot.as_ref().filter(|_| self.result == RevisionResult::Applying)?;
        content.note.strip_prefix(ROLLBACK)?.parse().ok()
    }
}

/// The members of a set, without the bodies of Secrets: their names are hashes of their content.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Manifests in the order of sending.
    pub members: Vec<Value>,
    /// `rollback to 3`; empty for a deploy.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}

impl Snapshot {
    /// What is kept of a plan.
    #[must_use]
    pub fn from_plan(plan: &Plan) -> Self {
        let note = match plan.origin {
            PlanOrigin::Configuration => String::new(),
            PlanOrigin::Revision(number) => rollback_to(number),
        };
        Self { members: plan.members.iter().map(without_data).collect(), note }
    }

    /// Whether this revision is exactly this plan.
    #[must_use]
    pub fn matches(&self, plan: &Plan) -> bool {
        self.members.len() == plan.members.len()
            && self.members.iter().zip(&plan.members).all(|(kept, member)| is_kept_as(member, kept))
    }

    /// The image of the application, for people.
    #[must_use]
    pub fn image(&self) -> Option<&str> {
        let is_it = |member: &&Value| member["kind"] == "Deployment" && labels::is_of_application(member);
        let deployment = self.members.iter().find(is_it)?;
        deployment["spec"]["template"]["spec"]["containers"][0]["image"].as_str()
    }

    /// Whether it has every volume claim of the plan.
    #[must_use]
    pub fn has_claims_of(&self, plan: &Plan) -> bool {
        let objects = self.objects();
        let mut claims = plan.members.iter().filter(|member| member.kind == CLAIM);
        claims.all(|claim| objects.contains(&claim.id))
    }

    /// The objects, in the order of sending.
    #[must_use]
    pub fn objects(&self) -> Vec<ObjectId> {
        self.members.iter().filter_map(ObjectId::of_object).collect()
    }

    /// The plan that brings this revision back. Bodies of Secrets come from the live ones. A claim that is there keeps
    /// its size: it can only grow, and going back is no reason to grow it.
    ///
    /// # Errors
    /// The Secrets that are no longer there, or a member of a kind that this version does not know.
    pub fn plan(&self, number: u64, set: &ApplySet, live: &Members) -> Result<Plan, MissingSecrets> {
        let mut missing = Vec::new();
        let mut members = Vec::with_capacity(self.members.len());
        for kept in &self.members {
            let Some(id) = ObjectId::of_object(kept) else { continue };
            let Some(kind) = set.kind_of(&id) else {
                missing.push(id);
                continue;
            };
            let mut manifest = kept.clone();
            let present = live.get(&id);
            if kind == SECRET {
                match present {
                    Some(object) => manifest["data"] = object["data"].clone(),
                    None => missing.push(id.clone()),
                }
            }
            if kind == CLAIM
                && let Some(size) = present.and_then(|claim| claim.pointer(CLAIM_SIZE))
                && let Some(wanted) = manifest.pointer_mut(CLAIM_SIZE)
            {
                *wanted = size.clone();
            }
            members.push(Member { id, kind, manifest });
        }
        if !missing.is_empty() {
            return Err(MissingSecrets(missing));
        }
        let namespaces = members.iter().filter_map(|member| member.id.namespace.clone());
        let set = ApplySet {
            additional_namespaces: namespaces.filter(|name| *name != set.namespace).collect(),
            extra_kinds: crate::plan::desired::extra_kinds(&members),
            ..set.clone()
        };
        Ok(Plan { origin: PlanOrigin::Revision(number), set, members, ..Plan::default() })
    }
}

/// Objects without which a revision cannot be brought back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingSecrets(pub Vec<ObjectId>);

fn without_data(member: &Member) -> Value {
    let mut manifest = member.manifest.clone();
    if member.kind == SECRET
        && let Some(object) = manifest.as_object_mut()
    {
        object.remove("data");
    }
    manifest
}

/// Whether this is what [`without_data`] keeps of the member.
fn is_kept_as(member: &Member, kept: &Value) -> bool {
    if member.kind != SECRET {
        return member.manifest == *kept;
    }
    let (Some(manifest), Some(kept)) = (member.manifest.as_object(), kept.as_object()) else { return false };
    let data = usize::from(manifest.contains_key("data"));
    manifest.len() == kept.len() + data
        && kept.iter().all(|(key, value)| key != "data" && manifest.get(key) == Some(value))
}

/// Name of the Secret of a revision.
#[must_use]
pub fn name(set: &ApplySet, number: u64) -> String {
    format!("{}-r{number}", set.parent_name())
}

/// The Secret of a new revision, and whether its content was too large to be kept.
///
/// # Errors
/// Only where memory cannot be written to.
pub fn manifest(set: &ApplySet, number: u64, by: &str, content: &Snapshot) -> Result<(Value, bool)> {
    let plan = compress(content).map_err(|error| Error::io("cannot compress the revision", error))?;
    let too_large = plan.len() > MOST_BYTES;
    let data = if too_large { json!({}) } else { json!({ "plan": STANDARD.encode(&plan) }) };
    let manifest = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": name(set, number),
            "namespace": set.namespace,
            "labels": labels::of_member(&set.name, Component::App),
            "annotations": {
                labels::CREATED_BY: by,
                NUMBER: number.to_string(),
                RESULT: RevisionResult::Applying.word(),
            },
        },
        "immutable": true,
        "type": TYPE,
        "data": data,
    });
    Ok((manifest, too_large))
}

fn compress(content: &Snapshot) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(&serde_json::to_vec(content)?)?;
    encoder.finish()
}

/// The revisions among these Secrets of a set, oldest first.
///
/// # Errors
/// A Secret of that type whose content cannot be read.
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
    let broken = || Error::internal(format!("secret/{name} is no revision that handsctl can read"));
    let content = match secret["data"]["plan"].as_str() {
        Some(text) => Some(decompress(text).ok_or_else(broken)?),
        None => None,
    };
    Ok(Revision {
        number: annotation(NUMBER).parse().map_err(|_| broken())?,
        result: RevisionResult::parse(annotation(RESULT)),
        by: annotation(labels::CREATED_BY).to_owned(),
        created: metadata["creationTimestamp"].as_str().and_then(|text| text.parse().ok()),
        snapshot: content,
        evidence: metadata["annotations"][EVIDENCE].as_str().map(str::to_owned),
        uid: metadata["uid"].as_str().unwrap_or_default().to_owned(),
    })
}

fn decompress(text: &str) -> Option<Snapshot> {
    let bytes = STANDARD.decode(text).ok()?;
    let mut plain = Vec::new();
    GzDecoder::new(bytes.as_slice()).take(MOST_PLAIN_BYTES).read_to_end(&mut plain).ok()?;
    serde_json::from_slice(&plain).ok()
}

/// The revision that a run is about: recorded, or about to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Current {
    /// Its number.
    pub number: u64,
    /// What is known of it by now, which may not have been written yet.
    pub outcome: RevisionResult,
}

/// A revision that is no longer kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SurplusRevision {
    /// Its number.
    pub number: u64,
    /// UID of its Secret.
    pub uid: String,
}

/// Which revision is the present one, which are kept beside it, and which go.
#[derive(Debug, Clone, Default)]
pub struct History {
    revisions: Vec<Revision>,
}

impl History {
    /// All revisions, oldest first.
    #[must_use]
    pub fn new(revisions: Vec<Revision>) -> Self {
        Self { revisions }
    }

    /// Kinds of members of kept revisions that are neither handsctl's own nor among `known`.
    #[must_use]
    pub fn unknown_kinds(&self, known: &[KindInfo]) -> BTreeSet<ManifestKind> {
        let members = self.revisions.iter().filter_map(|revision| revision.snapshot.as_ref());
        let members = members.flat_map(|content| &content.members);
        let is_unknown = |member: &&Value| {
            let id = ObjectId::of_object(member);
            id.is_some_and(|id| {
                let is_it = |kind: &KindInfo| kind.kind == id.kind && kind.group == id.group;
                KindInfo::of_id(&id).is_none() && !known.iter().any(is_it)
            })
        };
        members.filter(is_unknown).map(ManifestKind::of_manifest).collect()
    }

    /// All, oldest first.
    #[must_use]
    pub fn all(&self) -> &[Revision] {
        &self.revisions
    }

    /// The newest, whatever came of it.
    #[must_use]
    pub fn latest(&self) -> Option<&Revision> {
        self.revisions.last()
    }

    /// The revision with this number.
    #[must_use]
    pub fn get(&self, number: u64) -> Option<&Revision> {
        self.revisions.iter().find(|revision| revision.number == number)
    }

    /// The number of the next one.
    #[must_use]
    pub fn next_number(&self) -> u64 {
        self.latest().map_or(1, |latest| latest.number + 1)
    }

    /// The newest good one.
    #[must_use]
    pub fn latest_good(&self) -> Option<&Revision> {
        self.last_good_before(u64::MAX)
    }

    /// The newest good revision before this number: where a rollback goes.
    #[must_use]
    pub fn last_good_before(&self, number: u64) -> Option<&Revision> {
        self.revisions
            .iter()
            .rev()
            .find(|revision| revision.number < number && revision.result == RevisionResult::Good)
    }

    /// The revision that this plan already is: the newest one, or, where nothing has to be sent, a good one before
    /// attempts that came to nothing.
    #[must_use]
    pub fn deployed_revision(&self, plan: &Plan, nothing_to_send: bool) -> Option<&Revision> {
        let is_plan = |revision: &&Revision| revision.snapshot.as_ref().is_some_and(|it| it.matches(plan));
        self.latest().filter(is_plan).or_else(|| {
            let good = self.revisions.iter().rev().filter(|revision| revision.result == RevisionResult::Good);
            good.take(1).find(is_plan).filter(|_| nothing_to_send)
        })
    }

    /// Those that are beyond what is kept: `history` ones beside the present one, and the newest good one always. That
    /// is the present one as soon as it works: whatever goes goes then, and not with some later deploy.
    #[must_use]
    pub fn to_prune(&self, current: Current, history: usize) -> Vec<SurplusRevision> {
        let newest_good = match current.outcome {
            RevisionResult::Good => Some(current.number),
            RevisionResult::Applying | RevisionResult::Failed => self.latest_good().map(|good| good.number),
        };
        let others = self.revisions.iter().rev().filter(|revision| revision.number != current.number);
        let surplus = others.skip(history).filter(|revision| Some(revision.number) != newest_good);
        surplus
            .map(|revision| SurplusRevision { number: revision.number, uid: revision.uid.clone() })
            .collect()
    }

    /// Which of these names the revisions refer to, but for those that are `pruned`.
    #[must_use]
    pub fn referenced_names(&self, pruned: &[SurplusRevision], names: &BTreeSet<&str>) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        if names.is_empty() {
            return found;
        }
        let is_pruned = |revision: &Revision| pruned.iter().any(|one| one.number == revision.number);
        let kept = self.revisions.iter().filter(|revision| !is_pruned(revision));
        for member in kept.filter_map(|revision| revision.snapshot.as_ref()).flat_map(|it| &it.members) {
            references::find_names(member, names, &mut found);
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::kind::CONFIG_MAP;

    fn set() -> ApplySet {
        ApplySet { name: "oh".into(), namespace: "n".into(), ..ApplySet::default() }
    }

    fn plan(text: &str) -> Plan {
        let member = |kind: KindInfo, name: &str, data: Value| Member {
            id: kind.id("n", name),
            kind,
            manifest: json!({ "apiVersion": "v1", "kind": kind.kind, "metadata": { "name": name, "namespace": "n" }, "data": data }),
        };
        Plan {
            set: set(),
            members: vec![
                member(SECRET, "oh-env-1", json!({ "KEY": "c2VjcmV0" })),
                member(CONFIG_MAP, &format!("oh-config-{text}"), json!({ "config.toml": text })),
            ],
            ..Plan::default()
        }
    }

    fn revision(number: u64, outcome: RevisionResult, text: &str) -> Revision {
        let content = Snapshot::from_plan(&plan(text));
        let (mut secret, too_large) = manifest(&set(), number, "ana@laptop", &content).unwrap();
        assert!(!too_large);
        secret["metadata"]["annotations"][RESULT] = json!(outcome.word());
        secret["metadata"]["uid"] = json!(format!("u{number}"));
        read_all(&[secret]).unwrap().remove(0)
    }

    fn numbers(revisions: &[SurplusRevision]) -> Vec<u64> {
        revisions.iter().map(|revision| revision.number).collect()
    }

    #[test]
    fn a_revision_is_read_back_without_the_bodies_of_secrets() {
        let revision = revision(3, RevisionResult::Good, "a");
        let content = revision.snapshot.as_ref().unwrap();
        assert_eq!(
            (revision.number, revision.result, revision.by.as_str()),
            (3, RevisionResult::Good, "ana@laptop")
        );
        assert!(content.matches(&plan("a")) && !content.matches(&plan("b")));
        assert!(!format!("{content:?}").contains("c2VjcmV0"));
    }

    #[test]
    fn a_rollback_takes_secrets_from_the_live_ones_or_names_what_is_gone() {
        let content = Snapshot::from_plan(&plan("a"));
        let id = SECRET.id("n", "oh-env-1");
        assert_eq!(content.plan(3, &set(), &Members::new()).unwrap_err(), MissingSecrets(vec![id.clone()]));
        let live = Members::from([(id, json!({ "data": { "KEY": "c2VjcmV0" } }))]);
        assert_eq!(content.plan(3, &set(), &live).unwrap().members, plan("a").members);
    }

    #[test]
    fn claims_are_compared_by_identity() {
        let with_claims = |names: &[&str]| {
            let claim = |name: &&str| Member {
                id: CLAIM.id("n", name),
                kind: CLAIM,
                manifest: json!({
                    "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": { "name": name, "namespace": "n" },
                }),
            };
            Plan { members: names.iter().map(claim).collect(), ..plan("a") }
        };
        let kept = Snapshot::from_plan(&with_claims(&["one", "two"]));
        for (planned, has) in
            [(&[][..], true), (&["one"], true), (&["one", "two"], true), (&["one", "three"], false)]
        {
            assert_eq!(kept.has_claims_of(&with_claims(planned)), has, "{planned:?}");
        }
    }

    #[test]
    fn a_rollback_leaves_a_claim_at_its_size() {
        let claim = |size: &str| {
            json!({
                "apiVersion": "v1", "kind": "PersistentVolumeClaim",
                "metadata": { "name": "oh-state", "namespace": "n" },
                "spec": { "resources": { "requests": { "storage": size } } },
            })
        };
        let content = Snapshot { members: vec![claim("5Gi")], note: String::new() };
        let live = Members::from([(CLAIM.id("n", "oh-state"), claim("10Gi"))]);
        assert_eq!(content.plan(3, &set(), &live).unwrap().members[0].manifest, claim("10Gi"));
        assert_eq!(content.plan(3, &set(), &Members::new()).unwrap().members[0].manifest, claim("5Gi"));
    }

    #[test]
    fn what_does_not_fit_into_a_secret_is_history_without_its_content() {
        let mut state = 1_u64;
        let mut letter = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            char::from(b'!' + (state >> 58) as u8)
        };
        let noise: String = (0..2_000_000).map(|_| letter()).collect();
        let content = Snapshot { members: vec![json!(noise)], note: String::new() };
        let (secret, too_large) = manifest(&set(), 1, "a@b", &content).unwrap();
        assert!(too_large);
        assert_eq!(read_all(&[secret]).unwrap()[0].snapshot, None);
    }

    #[test]
    fn an_unchanged_deploy_is_the_revision_that_is_there() {
        use RevisionResult::{Failed, Good};
        let history =
            History::new(vec![revision(1, Good, "a"), revision(2, Good, "b"), revision(3, Failed, "c")]);
        let number =
            |text: &str, nothing: bool| history.deployed_revision(&plan(text), nothing).map(|it| it.number);
        assert_eq!(number("c", false), Some(3));
        assert_eq!(number("b", true), Some(2), "the attempt came to nothing");
        assert_eq!(number("b", false), None);
        assert_eq!(number("a", true), None);
        assert_eq!(history.next_number(), 4);
        assert_eq!(history.last_good_before(3).map(|it| it.number), Some(2));
        assert_eq!(history.last_good_before(2).map(|it| it.number), Some(1));
    }

    #[test]
    fn the_newest_good_revision_is_kept_however_many_attempts_failed() {
        use RevisionResult::{Failed, Good};
        let history = History::new(
            (1..=6).map(|n| revision(n, if n <= 2 { Good } else { Failed }, &n.to_string())).collect(),
        );
        let current = Current { number: 6, outcome: Failed };
        assert_eq!(numbers(&history.to_prune(current, 3)), [1]);
        assert_eq!(numbers(&history.to_prune(current, 0)), [5, 4, 3, 1]);
        assert!(history.to_prune(current, 9).is_empty());
        let all = BTreeSet::from(["oh-config-1", "oh-config-2", "oh-config-3"]);
        let names = history.referenced_names(&history.to_prune(current, 3), &all);
        assert_eq!(names.iter().map(String::as_str).collect::<Vec<_>>(), ["oh-config-2", "oh-config-3"]);
    }

    #[test]
    fn once_the_present_revision_works_the_good_one_before_it_is_one_among_others() {
        use RevisionResult::{Applying, Good};
        let history = History::new(vec![revision(1, Good, "a"), revision(2, Applying, "b")]);
        let surplus = |outcome| numbers(&history.to_prune(Current { number: 2, outcome }, 0));
        assert_eq!(surplus(Applying), Vec::<u64>::new(), "nobody knows whether it works");
        assert_eq!(surplus(Good), [1]);
    }

    #[test]
    fn a_rollback_that_nobody_finished_says_where_it_goes() {
        use RevisionResult::{Applying, Good};
        let revision = |outcome, note: &str| {
            let content = Snapshot { note: note.to_owned(), ..Snapshot::from_plan(&plan("a")) };
            Revision { snapshot: Some(content), ..revision(3, outcome, "a") }
        };
        assert_eq!(revision(Applying, &rollback_to(12)).unfinished_rollback(), Some(12));
        assert_eq!(revision(Good, &rollback_to(12)).unfinished_rollback(), None);
        assert_eq!(revision(Applying, "").unfinished_rollback(), None);
    }
}
