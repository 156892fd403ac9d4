//! Whether the certificate of a TLS Secret covers a host. Pure.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::client::verify_server_name;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::ParsedCertificate;
use serde_json::Value;

/// Returns why the certificate of a TLS Secret does not serve a host; None if it does. `secret` has the keys of the type
/// `kubernetes.io/tls`.
#[must_use]
pub fn fault(secret: &Value, host: &str) -> Option<String> {
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
    verify_server_name(&parsed, &name)
        .err()
        .map(|_not_valid| format!("its certificate is not valid for {host}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn secret(names: &[&str]) -> Value {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let certificate = rcgen::generate_simple_self_signed(names).unwrap();
        json!({ "data": { "tls.crt": STANDARD.encode(certificate.cert.pem()) } })
    }

    #[test]
    fn wildcard_covers_one_label() {
        let wildcard = secret(&["*.example.org"]);
        assert_eq!(fault(&wildcard, "vscode-x.example.org"), None);
        assert_eq!(
            fault(&wildcard, "openhands.example.com").as_deref(),
            Some("its certificate is not valid for openhands.example.com")
        );
        assert!(fault(&wildcard, "a.b.example.org").is_some());
    }

    #[test]
    fn text_that_is_no_certificate_is_named() {
        let text = json!({ "data": { "tls.crt": STANDARD.encode("hello") } });
        assert_eq!(fault(&text, "x.org").as_deref(), Some("tls.crt is not a PEM certificate"));
    }
}
