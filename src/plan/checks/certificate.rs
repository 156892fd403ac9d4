//! Whether the certificate of a TLS Secret covers a host, and is valid now. Pure.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, Error, RootCertStore};
use serde_json::Value;

/// Returns why the certificate of a TLS Secret does not serve a host at this time; None if it does. `secret` has the keys of
/// the type `kubernetes.io/tls`.
#[must_use]
pub fn fault(secret: &Value, host: &str, now: Timestamp) -> Option<String> {
    let Some(pem) = secret["data"]["tls.crt"].as_str().and_then(|text| STANDARD.decode(text).ok()) else {
        return Some("tls.crt is not base64".to_owned());
    };
    let Ok(certificate) = CertificateDer::from_pem_slice(&pem) else {
        return Some("tls.crt is not a PEM certificate".to_owned());
    };
    let Ok(parsed) = ParsedCertificate::try_from(&certificate) else {
        return Some("tls.crt is not an X.509 certificate".to_owned());
    };
    let name = ServerName::try_from(host.to_owned()).ok()?;
    if verify_server_name(&parsed, &name).is_err() {
        return Some(format!("its certificate is not valid for {host}"));
    }
    outside_of_validity(&certificate, &name, now)
}

/// Returns that a certificate has expired, or is not valid yet. rustls checks the time before the issuer, which is not of
/// interest: the authority may be known to the browsers only.
fn outside_of_validity(
    certificate: &CertificateDer<'_>,
    name: &ServerName<'_>,
    now: Timestamp,
) -> Option<String> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone().into_owned()).ok()?;
    let provider = Arc::new(ring::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().ok()?;
    let now = UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(now.as_second()).ok()?));
    match verifier.verify_server_cert(certificate, &[], name, &[], now) {
        Err(Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. })) => {
            Some(format!("its certificate expired on {}", date(not_after)?))
        }
        Err(Error::InvalidCertificate(CertificateError::NotValidYetContext { not_before, .. })) => {
            Some(format!("its certificate is not valid before {}", date(not_before)?))
        }
        Ok(_) | Err(_) => None,
    }
}

/// Returns the day of a time, in UTC.
fn date(time: UnixTime) -> Option<String> {
    let time = Timestamp::from_second(i64::try_from(time.as_secs()).ok()?).ok()?;
    Some(time.strftime("%Y-%m-%d").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const NOW: &str = "2026-11-21T07:00:00Z";

    fn secret(names: &[&str], years: (i32, i32)) -> Value {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = rcgen::CertificateParams::new(names).unwrap();
        params.not_before = rcgen::date_time_ymd(years.0, 1, 1);
        params.not_after = rcgen::date_time_ymd(years.1, 1, 1);
        let certificate = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
        json!({ "data": { "tls.crt": STANDARD.encode(certificate.pem()) } })
    }

    fn fault_now(secret: &Value, host: &str) -> Option<String> {
        fault(secret, host, NOW.parse().unwrap())
    }

    #[test]
    fn wildcard_covers_one_label() {
        let wildcard = secret(&["*.example.org"], (2026, 2027));
        assert_eq!(fault_now(&wildcard, "vscode-x.example.org"), None);
        assert_eq!(
            fault_now(&wildcard, "openhands.example.com").as_deref(),
            Some("its certificate is not valid for openhands.example.com")
        );
        assert!(fault_now(&wildcard, "a.b.example.org").is_some());
    }

    #[test]
    fn certificate_outside_of_its_validity_is_named_with_the_day() {
        let of_years = |years| fault_now(&secret(&["x.org"], years), "x.org");
        assert_eq!(of_years((2025, 2026)).as_deref(), Some("its certificate expired on 2026-01-01"));
        assert_eq!(of_years((2027, 2028)).as_deref(), Some("its certificate is not valid before 2027-01-01"));
        assert_eq!(of_years((2026, 2027)), None);
    }

    #[test]
    fn text_that_is_no_certificate_is_named() {
        let text = json!({ "data": { "tls.crt": STANDARD.encode("hello") } });
        assert_eq!(fault_now(&text, "x.org").as_deref(), Some("tls.crt is not a PEM certificate"));
    }
}
