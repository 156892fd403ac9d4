//! Accepts a server's certificate that is itself in the kubeconfig's `certificate-authority-data`, as Go does. Pure.
//!
//! rustls only accepts a certificate that another one has signed. A self-signed server certificate, and a server
//! certificate that is pinned without its issuer, are their own authority.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

/// Verifies like rustls, and accepts one of the authorities itself.
#[derive(Debug)]
pub(super) struct PinnedOrSigned {
    signed: Arc<WebPkiServerVerifier>,
    authorities: Vec<CertificateDer<'static>>,
}

impl PinnedOrSigned {
    /// Creates the verifier for these certificates in DER. None if rustls can use none of them.
    pub(super) fn new(certificates: &[Vec<u8>]) -> Option<Self> {
        let authorities: Vec<_> = certificates.iter().cloned().map(CertificateDer::from).collect();
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(authorities.iter().cloned());
        let signed = WebPkiServerVerifier::builder(Arc::new(roots)).build().ok()?;
        Some(Self { signed, authorities })
    }
}

impl ServerCertVerifier for PinnedOrSigned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let error = match self.signed.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        ) {
            Ok(verified) => return Ok(verified),
            Err(error) => error,
        };
        // `Other` is `CaUsedAsEndEntity`: it and an unknown issuer are found after the check of the time and the purpose.
        let is_unsigned = matches!(
            error,
            Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::Other(_))
        );
        if !is_unsigned || !self.authorities.iter().any(|authority| authority == end_entity) {
            return Err(error);
        }
        verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signed.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signed.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.signed.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};

    use super::*;

    /// A self-signed certificate for `k8s.example`, and the time in its year.
    fn self_signed(is_ca: IsCa, year: i32) -> (CertificateDer<'static>, UnixTime) {
        let mut params = CertificateParams::new(vec!["k8s.example".to_owned()]).unwrap();
        params.is_ca = is_ca;
        params.not_before = rcgen::date_time_ymd(year, 1, 1);
        params.not_after = rcgen::date_time_ymd(year + 1, 1, 1);
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let seconds = u64::try_from(rcgen::date_time_ymd(year, 6, 1).unix_timestamp()).unwrap();
        (certificate.der().clone(), UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }

    fn verify(
        authority: &CertificateDer<'_>,
        certificate: &CertificateDer<'_>,
        name: &str,
        now: UnixTime,
    ) -> Result<(), String> {
        let verifier = PinnedOrSigned::new(&[authority.to_vec()]).unwrap();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let verified = verifier.verify_server_cert(certificate, &[], &name, &[], now);
        verified.map(drop).map_err(|error| error.to_string())
    }

    #[test]
    fn self_signed_certificate_that_is_its_own_authority_is_accepted() {
        for is_ca in [IsCa::Ca(BasicConstraints::Unconstrained), IsCa::ExplicitNoCa, IsCa::NoCa] {
            let (certificate, now) = self_signed(is_ca, 2026);
            assert_eq!(verify(&certificate, &certificate, "k8s.example", now), Ok(()), "{is_ca:?}");
        }
    }

    #[test]
    fn another_name_time_or_certificate_is_rejected() {
        let is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let (certificate, now) = self_signed(is_ca, 2026);
        assert!(verify(&certificate, &certificate, "other.example", now).is_err());
        let (old, _) = self_signed(is_ca, 2020);
        assert!(verify(&old, &old, "k8s.example", now).is_err());
        let (other, _) = self_signed(is_ca, 2026);
        assert!(verify(&certificate, &other, "k8s.example", now).is_err());
    }
}
