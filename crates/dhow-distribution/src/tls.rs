//! TLS settings for one host: the system's roots, those of `certs.d`, client certificates.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use crate::Error;

/// The settings for `host`; `insecure` hosts are encrypted to but not checked.
pub(crate) fn client_config(
    host: &str,
    insecure: bool,
    certs_dirs: &[PathBuf],
) -> Result<ClientConfig, Error> {
    let folders: Vec<PathBuf> = certs_dirs.iter().map(|dir| dir.join(host)).collect();
    let mut own_roots = Vec::new();
    let mut identity = None;
    for folder in folders.iter().filter(|folder| folder.is_dir()) {
        read_folder(folder, &mut own_roots, &mut identity)?;
    }
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|e| config_error(host, &e.to_string()))?;
    // A host that has a CA of its own in certs.d is checked even if it is on the insecure list.
    let builder = if insecure && own_roots.is_empty() {
        builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Unchecked(provider)))
    } else {
        let mut roots = system_roots().clone();
        for certificate in own_roots {
            roots
                .add(certificate)
                .map_err(|e| config_error(host, &e.to_string()))?;
        }
        builder.with_root_certificates(roots)
    };
    match identity {
        Some((chain, key)) => builder
            .with_client_auth_cert(chain, key)
            .map_err(|e| config_error(host, &e.to_string())),
        None => Ok(builder.with_no_client_auth()),
    }
}

fn config_error(host: &str, reason: &str) -> Error {
    Error::Config {
        what: format!("TLS settings of {host}"),
        reason: reason.to_owned(),
    }
}

/// The system's roots, or Mozilla's where a machine has none; read once.
fn system_roots() -> &'static RootCertStore {
    static ROOTS: OnceLock<RootCertStore> = OnceLock::new();
    ROOTS.get_or_init(|| {
        let mut roots = RootCertStore::empty();
        let native = rustls_native_certs::load_native_certs();
        for error in &native.errors {
            tracing::warn!(%error, "a system certificate can't be read");
        }
        roots.add_parsable_certificates(native.certs);
        if roots.is_empty() {
            roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
        roots
    })
}

type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn read_folder(
    folder: &Path,
    roots: &mut Vec<CertificateDer<'static>>,
    identity: &mut Option<Identity>,
) -> Result<(), Error> {
    let failed = |path: &Path, source| Error::File {
        path: path.display().to_string(),
        source,
    };
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(|e| failed(folder, e))? {
        paths.push(entry.map_err(|e| failed(folder, e))?.path());
    }
    paths.sort();
    for path in paths {
        match path.extension().and_then(|e| e.to_str()) {
            Some("crt") => roots.extend(certificates(&path)?),
            Some("cert") => {
                let key_path = path.with_extension("key");
                let pem = fs::read(&key_path).map_err(|e| failed(&key_path, e))?;
                let key = PrivateKeyDer::from_pem_slice(&pem).map_err(|e| Error::Config {
                    what: key_path.display().to_string(),
                    reason: e.to_string(),
                })?;
                *identity = Some((certificates(&path)?, key));
            }
            Some("key") if !path.with_extension("cert").exists() => {
                return Err(Error::Config {
                    what: format!(
                        "missing client certificate {}",
                        path.with_extension("cert").display()
                    ),
                    reason: format!("for key {}", path.display()),
                });
            }
            _ => {}
        }
    }
    Ok(())
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let pem = fs::read(path).map_err(|source| Error::File {
        path: path.display().to_string(),
        source,
    })?;
    CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| Error::Config {
            what: path.display().to_string(),
            reason: e.to_string(),
        })
}

/// Accepts any certificate; signatures are still those of its key.
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
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            cert,
            dss,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            cert,
            dss,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
