//! TLS for `tcp://` addresses.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::config::TlsFiles;
use crate::error::{Error, Result};

/// How to speak TLS to one engine.
pub(crate) struct Tls {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl Tls {
    /// Reads the certificates; a client certificate that is not there is not used.
    pub(super) fn new(files: Option<&TlsFiles>, host: &str) -> Result<Self> {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::text(error.to_string()))?;
        let verify = files.is_none_or(|files| files.verify);
        let builder = if verify {
            let path = files.map(|files| files.ca.as_path());
            builder.with_root_certificates(roots(path)?)
        } else {
            let unchecked = Arc::new(Unchecked(provider));
            builder
                .dangerous()
                .with_custom_certificate_verifier(unchecked)
        };
        let config = match files {
            Some(files) if files.cert.exists() && files.key.exists() => {
                let key = PrivateKeyDer::from_pem_file(&files.key)
                    .map_err(|error| unreadable(&files.key, &error.to_string()))?;
                builder
                    .with_client_auth_cert(certificates(&files.cert)?, key)
                    .map_err(|error| unreadable(&files.cert, &error.to_string()))?
            }
            _ => builder.with_no_client_auth(),
        };
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| Error::text(format!("{host:?} is no name TLS can check")))?;
        Ok(Self {
            connector: TlsConnector::from(Arc::new(config)),
            name,
        })
    }

    pub(super) async fn connect(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        self.connector.connect(self.name.clone(), stream).await
    }
}

fn roots(path: Option<&Path>) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    let path = path.unwrap_or(Path::new("/etc/ssl/certs/ca-certificates.crt"));
    for certificate in certificates(path)? {
        // A bundle may hold certificates of kinds that are of no use here.
        let _ = roots.add(certificate);
    }
    Ok(roots)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let unreadable = |error: rustls_pki_types::pem::Error| unreadable(path, &error.to_string());
    CertificateDer::pem_file_iter(path)
        .map_err(unreadable)?
        .collect::<Result<_, _>>()
        .map_err(unreadable)
}

fn unreadable(path: &Path, error: &str) -> Error {
    let reason = match std::fs::File::open(path) {
        Err(error) => format!("open {}: {}", path.display(), crate::error::go_io(&error)),
        Ok(_) => format!("could not read {}: {error}", path.display()),
    };
    Error::text(format!(
        "Failed to initialize: unable to resolve docker endpoint: {reason}"
    ))
}

/// Takes any certificate: `--tls` without `--tlsverify`.
#[derive(Debug)]
struct Unchecked(Arc<CryptoProvider>);

impl ServerCertVerifier for Unchecked {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
