//! The Secret `NAME-keys` of an application that keeps its settings itself: the key that encrypts the secrets on its
//! volume, and the key that its API and its page require. Pure.
//!
//! It is no member of the set: no revision stores it, nothing prunes it, and teardown keeps it as long as the volume,
//! which is unreadable without it.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::apply_set::{self, ApplySet};
use crate::error::{Error, Result};
use crate::object::Mask;
use crate::object::labels::{self, Component};
use crate::plan::manifests::values;
use crate::settings::edition::{API_KEY, Edition, PREVIOUS_API_KEY, SECRET_KEY};
use crate::settings::secrets::value::Redacted;

/// The `type` of the Secret.
pub const TYPE: &str = "handsctl.dev/app-keys";
/// Separates the fingerprint from other hashes of the key.
const FINGERPRINT: &[u8] = b"handsctl.dev/app-keys\0";
/// Separates the MAC of the given settings from other uses of the key.
const GIVEN: &[u8] = b"handsctl.dev/given-settings\0";
/// Bytes of a generated key.
const KEY_BYTES: usize = 32;

/// The keys of an application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppKeys {
    secret: Redacted,
    api: Redacted,
    /// The API's key before this one, which a running pod accepts as well.
    previous: Option<Redacted>,
}

/// The keys in the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoredAppKeys {
    /// The Secret does not exist, or is not of this installation.
    Absent,
    /// The Secret of that name lacks a key.
    Invalid,
    /// The keys.
    Keys(AppKeys),
}

/// Reads the keys among the set's Secrets.
#[must_use]
pub fn stored(set: &ApplySet, own_secrets: &[Value]) -> StoredAppKeys {
    let Some(secret) = own_secrets.iter().find(|secret| is_of_set(secret, set)) else {
        return StoredAppKeys::Absent;
    };
    let key = |name: &str| {
        let bytes = secret["data"][name].as_str().and_then(|text| STANDARD.decode(text).ok());
        let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok())?;
        (!text.trim().is_empty() && text.trim() == text).then(|| Redacted::new(text))
    };
    match (key(SECRET_KEY), key(API_KEY)) {
        (Some(secret), Some(api)) => {
            StoredAppKeys::Keys(AppKeys { secret, api, previous: key(PREVIOUS_API_KEY) })
        }
        _ => StoredAppKeys::Invalid,
    }
}

/// Returns whether a Secret holds the keys of this set's application. Everybody who may create Secrets can give one any type
/// and label.
#[must_use]
pub fn is_of_set(secret: &Value, set: &ApplySet) -> bool {
    let metadata = &secret["metadata"];
    metadata["name"] == values::app_keys_name(&set.name)
        && secret["type"] == TYPE
        && labels::is_instance(secret, &set.name)
}

/// Returns whether the application of a Deployment reads keys of this Secret. One of another edition may read a Secret of
/// this name that is not ours.
#[must_use]
pub fn reads_keys(deployment: &Value) -> bool {
    Edition::of_deployment(deployment).has_keys()
}

/// Returns whether a container of a pod gets a key of this Secret.
#[must_use]
pub fn is_read_by(pod: &Value, secret: &str) -> bool {
    let containers = pod["spec"]["containers"].as_array().into_iter().flatten();
    let mut variables = containers.filter_map(|container| container["env"].as_array()).flatten();
    variables.any(|variable| variable["valueFrom"]["secretKeyRef"]["name"] == secret)
}

impl AppKeys {
    /// Makes the keys from random bytes; `fill` fills a buffer with them.
    ///
    /// # Errors
    /// The computer returns no random numbers.
    pub fn generate<E>(
        mut fill: impl FnMut(&mut [u8]) -> std::result::Result<(), E>,
    ) -> std::result::Result<Self, E> {
        Ok(Self { secret: random_key(&mut fill)?, api: random_key(&mut fill)?, previous: None })
    }

    /// Replaces the API's key by one of random bytes, and keeps the earlier one as its predecessor.
    ///
    /// # Errors
    /// The computer returns no random numbers.
    pub fn rotated<E>(
        self,
        mut fill: impl FnMut(&mut [u8]) -> std::result::Result<(), E>,
    ) -> std::result::Result<Self, E> {
        let api = random_key(&mut fill)?;
        Ok(Self { api, previous: Some(self.api), ..self })
    }

    /// Whether the API's key has a predecessor that running pods accept as well.
    #[must_use]
    pub const fn has_previous(&self) -> bool {
        self.previous.is_some()
    }

    /// Returns the keys without the predecessor of the API's key; None if it has none.
    #[must_use]
    pub fn without_previous(self) -> Option<Self> {
        self.previous.is_some().then_some(Self { previous: None, ..self })
    }

    /// The key that the application's API requires.
    #[must_use]
    pub const fn api(&self) -> &Redacted {
        &self.api
    }

    /// Returns all keys, to hide them in every output.
    #[must_use]
    pub fn mask(&self) -> Mask {
        let mut mask = Mask::default();
        mask.add(self.secret.expose());
        mask.add(self.api.expose());
        if let Some(previous) = &self.previous {
            mask.add(previous.expose());
        }
        mask
    }

    /// Builds the Secret. It is not immutable, because [`Self::patch_of_api_keys`] changes it.
    #[must_use]
    pub fn manifest(&self, set: &ApplySet) -> Value {
        json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": values::app_keys_name(&set.name),
                "namespace": set.namespace,
                "labels": labels::member_labels(&set.name, Component::App),
                "annotations": { labels::CREATED_BY: apply_set::tooling() },
            },
            "type": TYPE,
            "data": {
                SECRET_KEY: STANDARD.encode(self.secret.expose()),
                API_KEY: STANDARD.encode(self.api.expose()),
            },
        })
    }

    /// Builds the JSON merge patch of the Secret with the API's keys. A predecessor that there is no more is removed.
    #[must_use]
    pub fn patch_of_api_keys(&self) -> Value {
        let previous = self.previous.as_ref().map(|key| STANDARD.encode(key.expose()));
        json!({ "data": { API_KEY: STANDARD.encode(self.api.expose()), PREVIOUS_API_KEY: previous } })
    }

    /// Returns the fingerprint of the key that encrypts the volume's secrets. It reveals nothing about a random key.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let hash = Sha256::new().chain_update(FINGERPRINT).chain_update(self.secret.expose()).finalize();
        URL_SAFE_NO_PAD.encode(hash)
    }

    /// Returns a MAC of settings with their secrets: equal settings have equal ones, and it reveals none of them.
    ///
    /// # Errors
    /// Only if the key cannot be used, which HMAC rules out.
    pub fn mac_of_settings(&self, settings: &Value) -> Result<String> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.secret.expose().as_bytes())
            .map_err(|error| Error::internal("cannot use the application's key").caused_by(error))?;
        mac.update(GIVEN);
        mac.update(settings.to_string().as_bytes());
        Ok(URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
    }
}

fn random_key<E>(
    fill: &mut impl FnMut(&mut [u8]) -> std::result::Result<(), E>,
) -> std::result::Result<Redacted, E> {
    let mut bytes = [0; KEY_BYTES];
    fill(&mut bytes)?;
    Ok(Redacted::new(URL_SAFE_NO_PAD.encode(bytes)))
}

/// Keys for tests: the first one consists of this byte.
#[cfg(test)]
pub(crate) fn keys(byte: u8) -> AppKeys {
    let mut next = byte;
    let fill = |bytes: &mut [u8]| {
        bytes.fill(next);
        next += 1;
        Ok::<_, std::convert::Infallible>(())
    };
    AppKeys::generate(fill).unwrap_or_else(|never| match never {})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set() -> ApplySet {
        ApplySet { name: "oh".into(), namespace: "n".into(), ..ApplySet::default() }
    }

    #[test]
    fn stored_keys_are_read_back() {
        let manifest = keys(1).manifest(&set());
        let read = StoredAppKeys::Keys(keys(1));
        assert_eq!(stored(&set(), std::slice::from_ref(&manifest)), read);
        assert_eq!(stored(&set(), &[]), StoredAppKeys::Absent);
        let mut of_others = manifest.clone();
        of_others["type"] = json!("Opaque");
        assert_eq!(stored(&set(), &[of_others]), StoredAppKeys::Absent);
        for damaged in [json!(null), json!(""), json!("!"), json!(STANDARD.encode("key\n"))] {
            let mut manifest = manifest.clone();
            manifest["data"]["api-key"] = damaged;
            assert_eq!(stored(&set(), &[manifest]), StoredAppKeys::Invalid);
        }
    }

    #[test]
    fn rotation_replaces_the_key_of_the_api_and_keeps_the_earlier_one() {
        let first = keys(1);
        let nines = |bytes: &mut [u8]| {
            bytes.fill(9);
            Ok::<_, std::convert::Infallible>(())
        };
        let second = first.clone().rotated(nines).unwrap();
        assert_ne!(second.api(), first.api());
        assert_eq!((&second.previous, second.fingerprint()), (&Some(first.api.clone()), first.fingerprint()));
        let stored_after = |keys: &AppKeys| {
            let mut secret = keys.manifest(&set());
            for (name, value) in keys.patch_of_api_keys()["data"].as_object().unwrap() {
                secret["data"][name] = value.clone();
            }
            stored(&set(), &[secret])
        };
        assert_eq!(stored_after(&second), StoredAppKeys::Keys(second.clone()));
        let last = second.without_previous().unwrap();
        assert_eq!(stored_after(&last), StoredAppKeys::Keys(last.clone()));
        assert_eq!(last.patch_of_api_keys()["data"][PREVIOUS_API_KEY], Value::Null);
        assert_eq!(last.without_previous(), None);
    }

    #[test]
    fn keys_differ_and_appear_in_no_debug_text() {
        let keys = keys(1);
        assert_ne!(keys.secret, keys.api);
        assert_eq!(keys.api().expose().len(), 43);
        let text = format!("{keys:?}");
        assert!([&keys.secret, &keys.api].iter().all(|key| !text.contains(key.expose())), "{text}");
    }

    #[test]
    fn fingerprint_depends_on_the_encrypting_key_only() {
        let with_other_api = AppKeys { api: Redacted::new("x"), ..keys(1) };
        assert_eq!(keys(1).fingerprint(), with_other_api.fingerprint());
        assert_ne!(keys(1).fingerprint(), keys(2).fingerprint());
    }

    #[test]
    fn mac_depends_on_settings_and_key() {
        let mac = |keys: &AppKeys, settings: Value| keys.mac_of_settings(&settings).unwrap();
        let settings = json!({ "llm": { "model": "m", "api_key": "sk" } });
        assert_eq!(mac(&keys(1), settings.clone()), mac(&keys(1), settings.clone()));
        assert_ne!(mac(&keys(1), settings.clone()), mac(&keys(2), settings));
        assert_ne!(mac(&keys(1), json!({ "llm": { "model": "m" } })), mac(&keys(1), json!({ "llm": {} })));
    }
}
