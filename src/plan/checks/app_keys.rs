//! Whether the keys in the cluster are those of the volume that an application mounts, and the errors of an application
//! that treats its key in a wrong way. Pure.

use serde_json::Value;

use crate::catalogue::Id;
use crate::error::{Error, Kind};
use crate::object::{ObjectId, labels};
use crate::plan::inventory::app_keys::StoredAppKeys;

/// Why the application could not read the secrets on its volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyFault {
    /// The Secret lacks a key, or has an empty one.
    Incomplete,
    /// There is no Secret, and the volume may have secrets.
    Missing,
    /// The Secret has another key than the one that encrypts them.
    Other,
}

/// Returns the fault of these keys for the live claim that the application mounts. A claim without a volume has no secrets
/// yet.
#[must_use]
pub fn fault(stored: &StoredAppKeys, claim: Option<&Value>) -> Option<KeyFault> {
    let encrypted_by = claim.and_then(encrypted_by);
    match stored {
        StoredAppKeys::Invalid => Some(KeyFault::Incomplete),
        StoredAppKeys::Absent => {
            let has_volume = claim.is_some_and(|claim| claim["spec"]["volumeName"].is_string());
            (has_volume || encrypted_by.is_some()).then_some(KeyFault::Missing)
        }
        StoredAppKeys::Keys(keys) => encrypted_by
            .is_some_and(|fingerprint| fingerprint != keys.fingerprint())
            .then_some(KeyFault::Other),
    }
}

/// Returns the error of an application that answers 401 to the key of its Secret.
#[must_use]
pub fn rejected(secret: &ObjectId, kind: Kind) -> Error {
    Error::new(Id::AppKeyRejected, kind, format!("the application does not accept the key of {secret}"))
        .hint("handsctl restart starts it again with the keys of the Secret, if they are those of its volume")
}

/// Returns the error of a page that contains the key.
#[must_use]
pub fn key_in_page(page: &str, service: &str, kind: Kind) -> Error {
    let message = format!(
        "the page {page} of service/{service} contains the application's key: whoever loads it runs commands in the pod"
    );
    Error::new(Id::Exposed, kind, message)
        .hint("use another release of the image; handsctl teardown stops this one and keeps its volume")
}

fn encrypted_by(claim: &Value) -> Option<&str> {
    claim["metadata"]["annotations"][labels::ENCRYPTED_BY].as_str()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::plan::inventory::app_keys::keys;

    #[test]
    fn volume_with_secrets_needs_its_own_key() {
        let own = StoredAppKeys::Keys(keys(1));
        let claim = |fingerprint: Option<&str>, volume: Option<&str>| json!({ "metadata": { "annotations": { labels::ENCRYPTED_BY: fingerprint } }, "spec": { "volumeName": volume } });
        let fingerprint = keys(1).fingerprint();
        let used = claim(Some(&fingerprint), Some("pv"));
        let bound = claim(None, Some("pv"));
        let unbound = claim(None, None);
        assert_eq!(fault(&own, Some(&used)), None);
        assert_eq!(fault(&own, Some(&bound)), None);
        assert_eq!(fault(&StoredAppKeys::Keys(keys(2)), Some(&used)), Some(KeyFault::Other));
        assert_eq!(fault(&StoredAppKeys::Absent, Some(&used)), Some(KeyFault::Missing));
        assert_eq!(fault(&StoredAppKeys::Absent, Some(&bound)), Some(KeyFault::Missing));
        assert_eq!(fault(&StoredAppKeys::Absent, Some(&unbound)), None);
        assert_eq!(fault(&StoredAppKeys::Absent, None), None);
        assert_eq!(fault(&StoredAppKeys::Invalid, None), Some(KeyFault::Incomplete));
    }
}
