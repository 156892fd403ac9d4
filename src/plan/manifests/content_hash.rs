//! Content hashes for names: a change creates a new object, and old pods keep the old one.

use std::collections::BTreeMap;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

use crate::error::{Error, Result};

/// The random key of the hash in a set's Secret names. With an unkeyed hash, anyone who can list Secret names could
/// test guesses of the content.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct SecretKey(pub Vec<u8>);

impl std::fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretKey(redacted)")
    }
}

/// Returns ten hex digits of the SHA-256 of the data in canonical form (sorted keys, JSON).
pub(crate) fn of_config(data: &BTreeMap<String, String>) -> Result<String> {
    Ok(ten_digits(&Sha256::digest(canonical(data)?)))
}

/// Returns ten hex digits of the HMAC-SHA-256 of the data in canonical form.
pub(crate) fn of_secret(data: &BTreeMap<String, String>, key: &SecretKey) -> Result<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(&key.0)
        .map_err(|error| Error::internal("cannot use the installation's key").caused_by(error))?;
    mac.update(&canonical(data)?);
    Ok(ten_digits(&mac.finalize().into_bytes()))
}

fn canonical(data: &BTreeMap<String, String>) -> Result<Vec<u8>> {
    serde_json::to_vec(data).map_err(|error| Error::internal("cannot serialise data").caused_by(error))
}

fn ten_digits(hash: &[u8]) -> String {
    let number = hash.iter().take(5).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    format!("{number:010x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hash_depends_on_content_and_key() {
        let data = BTreeMap::from([("a".to_owned(), "1".to_owned())]);
        let other_data = BTreeMap::from([("a".to_owned(), "2".to_owned())]);
        let (key, other_key) = (SecretKey(vec![1; 32]), SecretKey(vec![2; 32]));
        assert_eq!(of_config(&data).unwrap().len(), 10);
        assert_ne!(of_config(&data).unwrap(), of_config(&other_data).unwrap());
        assert_eq!(of_secret(&data, &key).unwrap(), of_secret(&data, &key).unwrap());
        assert_ne!(of_secret(&data, &key).unwrap(), of_secret(&data, &other_key).unwrap());
        assert_ne!(of_secret(&data, &key).unwrap(), of_config(&data).unwrap());
    }
}
