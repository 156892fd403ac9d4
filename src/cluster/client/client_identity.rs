//! Reads the client certificate of a kubeconfig's user, and its key.
//!
//! kube gives them to rustls, which rejects a certificate of X.509 version 1. Go's client sends it, and only the server
//! verifies it.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kube::config::AuthInfo;
use rustls::client::ResolvesClientCert;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{Error, InconsistentKeys};
use secrecy::{ExposeSecret as _, SecretString};

use crate::object::SharedMask;
use crate::reason;

/// Removes the client certificate from the user and reads it. Adds its key to the secrets. Blocks: a file may be a named
/// pipe.
///
/// # Errors
/// A file cannot be read, or is no certificate or no key. The text has no byte of the key.
pub(super) fn take(
    user: &mut AuthInfo,
    secrets: &SharedMask,
) -> Result<Option<Arc<dyn ResolvesClientCert>>, String> {
    let (certificate, certificate_file) =
        (user.client_certificate_data.take(), user.client_certificate.take());
    let (key, key_file) = (user.client_key_data.take(), user.client_key.take());
    let certificate = read("client-certificate", certificate.as_deref(), certificate_file.as_deref())?;
    // A key without a certificate is not used.
    let Some(certificate) = certificate else { return Ok(None) };
    let key = read("client-key", key.as_ref().map(SecretString::expose_secret), key_file.as_deref())?;
    let key = key.ok_or("the client certificate has no client-key")?;
    secrets.add(&String::from_utf8_lossy(&key));
    let invalid = "the client certificate or its key is not valid PEM";
    let chain = CertificateDer::pem_slice_iter(&certificate).collect::<Result<Vec<_>, _>>();
    // Its text would be the bytes of the key.
    let chain = chain.ok().filter(|chain| !chain.is_empty()).ok_or(invalid)?;
    let key = PrivateKeyDer::from_pem_slice(&key).map_err(|_shows_the_key| invalid)?;
    let key = rustls::crypto::ring::default_provider().key_provider.load_private_key(key);
    let key = key.map_err(|_shows_the_key| "client-key is not a key of RSA, ECDSA or Ed25519")?;
    let identity = CertifiedKey::new(chain, key);
    // Every other error is that of a certificate that rustls cannot read.
    if identity.keys_match() == Err(Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) {
        return Err("client-key is not the key of the client certificate".to_owned());
    }
    Ok(Some(Arc::new(SingleCertAndKey::from(identity))))
}

/// Reads a value: its data have priority over its file.
fn read(name: &str, data: Option<&str>, file: Option<&str>) -> Result<Option<Vec<u8>>, String> {
    match (data, file) {
        (Some(data), _) => match STANDARD.decode(data) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(_shows_a_byte) => Err(format!("{name}-data is not base64")),
        },
        (None, Some(file)) => match std::fs::read(file) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) => Err(format!("cannot read {name} {file}: {}", reason::of_io(&error))),
        },
        (None, None) => Ok(None),
    }
}
