//! The set's key, and the revisions' MAC that it authenticates. Pure.
//!
//! An account that may create Secrets, but not read them, cannot compute the MAC.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::apply_set::{self, ApplySet, KEY};
use super::members::Members;
use crate::error::{Error, Result};
use crate::object::kind::SECRET;
use crate::object::labels;
use crate::plan::manifests::content_hash::SecretKey;

/// The `type` of the key's Secret.
const TYPE: &str = "handsctl.dev/key";
/// The minimum length of a key in bytes.
const MIN_KEY_BYTES: usize = 16;
/// Separates the MAC of a revision from the hash in a Secret's name, which has the same key.
const PURPOSE: &[u8] = b"handsctl.dev/revision\0";
/// Separates the fingerprint from other hashes of the key.
const FINGERPRINT: &[u8] = b"handsctl.dev/key\0";

/// The set's key, as its Secret stores it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoredKey {
    /// The Secret does not exist, or does not have the set's labels.
    Absent,
    /// The Secret of that name holds no key.
    Invalid,
    /// The key.
    Key(SecretKey),
}

/// Returns the set's key among the set's Secrets.
#[must_use]
pub fn stored_key(set: &ApplySet, own_secrets: &[Value]) -> StoredKey {
    let Some(secret) = own_secrets.iter().find(|secret| secret["metadata"]["name"] == set.parent_name())
    else {
        return StoredKey::Absent;
    };
    let bytes = secret["data"]["key"].as_str().and_then(|text| STANDARD.decode(text).ok());
    let bytes = bytes.filter(|bytes| bytes.len() >= MIN_KEY_BYTES);
    bytes.map_or(StoredKey::Invalid, |bytes| StoredKey::Key(SecretKey(bytes)))
}

/// Builds the Secret that stores the key.
#[must_use]
pub fn manifest(set: &ApplySet, key: &SecretKey) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": set.parent_name(),
            "namespace": set.namespace,
            "labels": labels::member_labels(&set.name, labels::Component::App),
            "annotations": { labels::CREATED_BY: apply_set::tooling() },
        },
        "immutable": true,
        "type": TYPE,
        "data": { "key": STANDARD.encode(&key.0) },
    })
}

/// Returns the fingerprint of the key, which the set's parent stores. It reveals nothing about the key.
#[must_use]
pub fn fingerprint(key: &SecretKey) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::new().chain_update(FINGERPRINT).chain_update(&key.0).finalize())
}

/// Returns whether the set's parent names another key than this one.
#[must_use]
pub fn is_replaced(key: &SecretKey, parent: Option<&Value>) -> bool {
    stored_fingerprint(parent).is_some_and(|stored| stored != fingerprint(key))
}

fn stored_fingerprint(parent: Option<&Value>) -> Option<&str> {
    parent.and_then(|parent| parent["metadata"]["annotations"][KEY].as_str())
}

/// Returns whether handsctl stored this key: the set's parent has its fingerprint. Without a parent, or if another tool
/// has removed the annotation, the set has live members of other kinds than Secret, which nobody else creates.
///
/// Otherwise an account that may create Secrets could store a key before the first deploy, and forge revisions with it.
#[must_use]
pub fn is_trusted(key: &SecretKey, parent: Option<&Value>, live: &Members) -> bool {
    match stored_fingerprint(parent) {
        Some(stored) => stored == fingerprint(key),
        None => live.keys().any(|id| id.kind != SECRET.kind),
    }
}

/// Returns the MAC of a revision: HMAC-SHA-256 over the set's identity, the revision's number and its content.
///
/// # Errors
/// Only if the key cannot be used, which HMAC rules out.
pub(super) fn revision_mac(set: &ApplySet, number: u64, content: &[u8], key: &SecretKey) -> Result<Vec<u8>> {
    Ok(revision_hmac(set, number, content, key)?.finalize().into_bytes().to_vec())
}

/// Returns whether this is the MAC of the revision. The comparison takes the same time for every wrong MAC.
pub(super) fn is_revision_mac(
    mac: &[u8],
    set: &ApplySet,
    number: u64,
    content: &[u8],
    key: &SecretKey,
) -> bool {
    revision_hmac(set, number, content, key).is_ok_and(|hmac| hmac.verify_slice(mac).is_ok())
}

fn revision_hmac(set: &ApplySet, number: u64, content: &[u8], key: &SecretKey) -> Result<Hmac<Sha256>> {
    let mut hmac = Hmac::<Sha256>::new_from_slice(&key.0)
        .map_err(|error| Error::internal("cannot use the installation's key").caused_by(error))?;
    hmac.update(PURPOSE);
    hmac.update(format!("{}\0{number}\0", set.id()).as_bytes());
    hmac.update(content);
    Ok(hmac)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::object::kind::{KindInfo, SERVICE};

    /// The key of the tests.
    pub(in crate::plan::inventory) fn key() -> SecretKey {
        SecretKey(vec![7; 32])
    }

    fn set() -> ApplySet {
        ApplySet { name: "oh".into(), namespace: "n".into(), ..ApplySet::default() }
    }

    #[test]
    fn mac_depends_on_set_number_content_and_key() {
        let mac = revision_mac(&set(), 3, b"content", &key()).unwrap();
        assert!(is_revision_mac(&mac, &set(), 3, b"content", &key()));
        let other_set = ApplySet { namespace: "m".into(), ..set() };
        assert!(!is_revision_mac(&mac, &other_set, 3, b"content", &key()), "the installation");
        assert!(!is_revision_mac(&mac, &set(), 4, b"content", &key()), "the number");
        assert!(!is_revision_mac(&mac, &set(), 3, b"contents", &key()), "the content");
        assert!(!is_revision_mac(&mac, &set(), 3, b"content", &SecretKey(vec![8; 32])), "the key");
        assert!(!is_revision_mac(&mac[..16], &set(), 3, b"content", &key()), "a part of the MAC");
        assert!(!is_revision_mac(&[], &set(), 3, b"content", &key()), "no MAC");
    }

    #[test]
    fn stored_key_is_read_back() {
        let manifest = manifest(&set(), &key());
        assert_eq!(stored_key(&set(), std::slice::from_ref(&manifest)), StoredKey::Key(key()));
        assert_eq!(stored_key(&set(), &[]), StoredKey::Absent);
        let short = json!({ "metadata": { "name": "handsctl-oh" }, "data": { "key": "c2hvcnQ=" } });
        assert_eq!(stored_key(&set(), &[short]), StoredKey::Invalid);
    }

    #[test]
    fn key_is_trusted_by_the_parent_or_by_live_members() {
        let parent_of = |key: &SecretKey| {
            let set = ApplySet { key_fingerprint: Some(fingerprint(key)), ..set() };
            set.manifest(&std::collections::BTreeSet::new())
        };
        let none = Members::new();
        assert!(is_trusted(&key(), Some(&parent_of(&key())), &none));
        let other = SecretKey(vec![8; 32]);
        let member = |kind: KindInfo| Members::from([(kind.id("n", "oh"), json!({}))]);
        assert!(!is_trusted(&other, Some(&parent_of(&key())), &member(SERVICE)), "the key was replaced");
        assert!(!is_trusted(&key(), None, &none), "it is older than the installation");
        assert!(!is_trusted(&key(), None, &member(SECRET)), "everybody who can store a key creates Secrets");
        assert!(is_trusted(&key(), None, &member(SERVICE)), "somebody deleted the parent");
        let without = set().manifest(&std::collections::BTreeSet::new());
        assert!(!is_trusted(&key(), Some(&without), &none));
        assert!(is_trusted(&key(), Some(&without), &member(SERVICE)), "a restore lost the annotation");
    }
}
