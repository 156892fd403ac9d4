//! Thousands of damaged revisions: no panic, no secret in a message, no content without its MAC, no object outside of the
//! set.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::apply_set::ApplySet;
use super::history::History;
use super::members::Members;
use super::restorable::RestoreTarget;
use super::revision::tests::{compressed, secret};
use super::revision::{RESULT, Revision};
use super::set_key::tests::key;
use super::set_key::{self, revision_mac};
use super::snapshot::tests::{plan, set};
use super::snapshot::{RestoreError, Snapshot};
use crate::damage::{Damage, Xorshift, rounds};
use crate::object::kind::SECRET;
use crate::plan::desired::Plan;

/// A value that no message may show.
const PLANTED: &str = "sk-planted-0123456789";
/// The damage of JSON.
const DAMAGE: Damage = Damage { pieces: PIECES, changes: 3, part: 24 };
/// What is inserted.
const PIECES: &[&str] = &[
    "\"",
    ",",
    ":",
    "{",
    "}",
    "[",
    "]",
    "null",
    "true",
    "-1",
    "1e400",
    "18446744073709551615",
    "\"18446744073709551616\"",
    "\"n\"",
    "\"kube-system\"",
    "\"ClusterRoleBinding\"",
    "\"rbac.authorization.k8s.io/v1\"",
    "\"Secret\"",
    "\"handsctl-oh\"",
    "\"handsctl-oh-r\"",
    "\"rollback to 3\"",
    "\"rollback to 99999999999999999999\"",
    "\"good\"",
    "\"\\u0000\"",
    "😀",
];

/// Replaces a random value of a document by another one, so that the document stays JSON.
fn with_replaced_value(document: &Value, random: &mut Xorshift) -> Value {
    let mut paths = Vec::new();
    collect_paths(document, String::new(), &mut paths);
    let mut changed = document.clone();
    for _ in 0..=random.below(3) {
        let parsed = serde_json::from_str(PIECES[random.below(PIECES.len())]);
        let value = parsed.unwrap_or_else(|_| json!([{ "deep": [null, PLANTED] }]));
        if let Some(place) = changed.pointer_mut(&paths[random.below(paths.len())]) {
            *place = value;
        }
    }
    changed
}

fn collect_paths(value: &Value, path: String, paths: &mut Vec<String>) {
    let escaped = |key: &str| key.replace('~', "~0").replace('/', "~1");
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                collect_paths(value, format!("{path}/{}", escaped(key)), paths);
            }
        }
        Value::Array(items) => {
            for (at, value) in items.iter().enumerate() {
                collect_paths(value, format!("{path}/{at}"), paths);
            }
        }
        _ => {}
    }
    paths.push(path);
}

/// Damages a Secret whose MAC its author cannot compute.
fn without_key(random: &mut Xorshift) -> Option<Value> {
    let original = secret(3, "a");
    match random.below(3) {
        0 => serde_json::from_str(&DAMAGE.damaged(&original.to_string(), random)).ok(),
        1 => Some(with_replaced_value(&original, random)),
        _ => {
            let mut changed = original.clone();
            let plan = STANDARD.decode(original["data"]["plan"].as_str().unwrap()).unwrap();
            changed["data"]["plan"] = json!(STANDARD.encode(with_damaged_bytes(plan, random)));
            Some(changed)
        }
    }
}

fn with_damaged_bytes(mut bytes: Vec<u8>, random: &mut Xorshift) -> Vec<u8> {
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len());
        match random.below(3) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, u8::try_from(random.below(256)).unwrap()),
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = u8::try_from(random.below(256)).unwrap();
                }
            }
        }
    }
    bytes
}

/// A Secret with any content, from an author who has the key.
fn with_key(random: &mut Xorshift) -> Value {
    let mut members = plan("a").members.into_iter().map(|member| member.manifest).collect::<Vec<_>>();
    members[0]["data"] = json!({ "KEY": PLANTED });
    let content = json!({ "members": members, "note": "rollback to 2" });
    let plain = match random.below(3) {
        0 => DAMAGE.damaged(&content.to_string(), random),
        _ => with_replaced_value(&content, random).to_string(),
    };
    let mut content = compressed(plain.as_bytes());
    if random.below(8) == 0 {
        content = with_damaged_bytes(content, random);
    }
    let mut forged = secret(3, "a");
    let mac = revision_mac(&set(), 3, &content, &key()).unwrap();
    forged["data"] = json!({ "plan": STANDARD.encode(content), "mac": STANDARD.encode(mac) });
    forged["metadata"]["annotations"][RESULT] = json!(["good", "applying", "failed", "x"][random.below(4)]);
    forged
}

/// What a command does with the history, and what it says.
fn use_history(history: &mut History, live: &Members) -> Vec<String> {
    let set = set();
    let mut texts: Vec<String> = history.foreign().iter().map(|foreign| foreign.warning(&set)).collect();
    assert!(history.next_number() > 0);
    let _kinds = history.unknown_kinds(&[]);
    let _target = (history.rollback_target(), history.last_good_other_than(&plan("a")));
    for revision in history.all() {
        let Some(snapshot) = &revision.snapshot else { continue };
        texts.extend(snapshot.changes_to(&Snapshot::from_plan(&plan("b"))));
        texts.extend(snapshot.objects().iter().map(ToString::to_string));
        match snapshot.plan(revision.number, RestoreTarget { set: &set, configured: &set, live }) {
            Ok(plan) => assert_within_set(&plan, &set),
            Err(RestoreError::Missing(missing)) => texts.extend(missing.iter().map(ToString::to_string)),
            Err(RestoreError::Rejected(rejected)) => texts.extend(rejected.into_iter().map(|(_, why)| why)),
        }
    }
    history.decide(true);
    texts
}

fn snapshots(history: &History) -> impl Iterator<Item = &Snapshot> {
    history.all().iter().filter_map(|revision| revision.snapshot.as_ref())
}

fn assert_within_set(plan: &Plan, set: &ApplySet) {
    for member in &plan.members {
        assert!(member.kind.namespaced && member.id.namespace.as_deref() == Some("n"), "{}", member.id);
        assert_ne!(member.id.name, set.parent_name(), "{}", member.id);
    }
    assert!(plan.set.additional_namespaces.is_empty());
}

/// The live Secret whose data a rollback sends.
fn live_members() -> Members {
    Members::from([(SECRET.id("n", "oh-env-1"), json!({ "data": { "KEY": STANDARD.encode(PLANTED) } }))])
}

fn read(secret: Value) -> History {
    let secrets = [self::secret(2, "b"), secret, set_key::manifest(&set(), &key())];
    History::from_secrets(&set(), &secrets, None)
}

#[test]
fn damaged_revision_is_foreign_or_stays_in_the_set() {
    let mut random = Xorshift::from_environment();
    let live = live_members();
    let original = read(secret(3, "a"));
    let content = |revision: &Revision| revision.snapshot.clone();
    let original = content(&original.all()[1]);
    let secrets = [PLANTED.to_owned(), STANDARD.encode(PLANTED), STANDARD.encode(&key().0)];
    let (mut foreign, mut readable) = (0, 0);
    for round in 0..rounds(4_000) {
        let is_forged_with_key = round % 2 == 1;
        let damaged = if is_forged_with_key { Some(with_key(&mut random)) } else { without_key(&mut random) };
        let Some(damaged) = damaged else { continue };
        let mut history = read(damaged.clone());
        foreign += history.foreign().len();
        let revision = history.get(3);
        readable += usize::from(revision.is_some_and(|revision| revision.snapshot.is_some()));
        if let Some(revision) = revision.filter(|_| !is_forged_with_key) {
            assert_eq!(content(revision), original, "round {round}: content without its MAC: {damaged}");
        }
        assert!(history.all().iter().all(|revision| [2, 3].contains(&revision.number)), "{damaged}");
        // The damage may have copied the value into an object's identity, which is no secret.
        let is_identity =
            snapshots(&history).flat_map(Snapshot::objects).any(|id| format!("{id:?}").contains(PLANTED));
        for text in use_history(&mut history, &live) {
            let is_shown = secrets.iter().any(|secret| text.contains(secret));
            assert!(!is_shown || is_identity, "round {round}: {text}");
        }
    }
    assert!(foreign > 200 && readable > 200, "the damage is too large or too small: {foreign}, {readable}");
}
