//! The checks of a server's certificate.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{VerifierBuilderError, WebPkiServerVerifier, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::Roots;

/// The usual checks, and one exception: a server may show a certificate that is itself trusted, though it is made to
/// sign others (`CA:TRUE`). That is what registries with a certificate of their own making do, and Docker takes it.
#[derive(Debug)]
pub(crate) struct Checked {
    usual: Arc<WebPkiServerVerifier>,
    roots: Roots,
}

impl Checked {
    pub(crate) fn new(
        roots: Roots,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, VerifierBuilderError> {
        let store = Arc::new(roots.store());
        let usual = WebPkiServerVerifier::builder_with_provider(store, provider).build()?;
        Ok(Self { usual, roots })
    }
}

impl ServerCertVerifier for Checked {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self.usual.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        match verified {
            // Its time has been looked at by then: of one that has expired, that would be the error.
            Err(error) if is_authority(&error) && self.roots.has(end_entity) => {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.usual.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.usual.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.usual.supported_verify_schemes()
    }
}

/// Whether all that is wrong is that the certificate is one of an authority.
fn is_authority(error: &Error) -> bool {
    let Error::InvalidCertificate(CertificateError::Other(reason)) = error else {
        return false;
    };
    reason.0.downcast_ref::<webpki::Error>() == Some(&webpki::Error::CaUsedAsEndEntity)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::time::Duration;

    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, date_time_ymd};
    use rustls::crypto::ring;

    use super::*;

    /// A certificate that has signed itself, may sign others, and is good for `server` in 2025 and 2026.
    fn authority() -> CertificateDer<'static> {
        let mut params = CertificateParams::new(vec!["server".to_owned()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.not_before = date_time_ymd(2025, 1, 1);
        params.not_after = date_time_ymd(2027, 1, 1);
        let key = KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().clone()
    }

    /// What is said of `shown` by somebody who trusts `trusted`, so many seconds after 1970.
    fn verdict(
        trusted: &CertificateDer<'static>,
        shown: &CertificateDer<'static>,
        name: &'static str,
        seconds: u64,
    ) -> Result<(), Error> {
        let mut roots = Roots::default();
        roots.add(trusted.clone()).unwrap();
        let provider = Arc::new(ring::default_provider());
        let name = ServerName::try_from(name).unwrap();
        let now = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        Checked::new(roots, provider)
            .unwrap()
            .verify_server_cert(shown, &[], &name, &[], now)
            .map(drop)
    }

    #[test]
    fn a_server_may_show_what_is_trusted_itself() {
        const IN_2026: u64 = 1_780_000_000;
        const IN_2030: u64 = 1_900_000_000;
        let (own, other) = (authority(), authority());
        verdict(&own, &own, "server", IN_2026).unwrap();
        let error = verdict(&own, &own, "other", IN_2026).unwrap_err();
        assert!(error.to_string().contains("not valid for name"), "{error}");
        let error = verdict(&own, &own, "server", IN_2030).unwrap_err();
        assert!(error.to_string().contains("expired"), "{error}");
        let error = verdict(&own, &other, "server", IN_2026).unwrap_err();
        assert!(is_authority(&error), "{error}");
    }
}
