//! TLS on TCP sockets, with clients' certificates checked when `--tlsverify` says so.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use crate::settings::Tls;

/// Why TLS can't be set up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("invalid TLS configuration: cannot read {what} {}", path.display())]
    Read {
        what: &'static str,
        path: PathBuf,
        #[source]
        source: rustls_pki_types::pem::Error,
    },
    #[error("invalid TLS configuration: {} holds no certificate", path.display())]
    Empty { path: PathBuf },
    #[error("invalid TLS configuration: certificate authorities in {} can't be used", path.display())]
    Authorities {
        path: PathBuf,
        #[source]
        source: rustls::server::VerifierBuilderError,
    },
    #[error("invalid TLS configuration: authority in {} can't be used", path.display())]
    Authority {
        path: PathBuf,
        #[source]
        source: rustls::Error,
    },
    #[error("invalid TLS configuration")]
    Config(#[source] rustls::Error),
}

/// Makes TLS of TCP connections.
#[derive(Clone)]
pub(crate) struct Acceptor(pub(crate) TlsAcceptor);

impl std::fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Acceptor")
    }
}

/// Sets TLS up with the settings' files.
pub(crate) fn acceptor(tls: &Tls) -> Result<Acceptor, Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let chain = certificates("certificate", &tls.cert)?;
    let key = PrivateKeyDer::from_pem_file(&tls.key).map_err(|source| Error::Read {
        what: "key",
        path: tls.key.clone(),
        source,
    })?;
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(Error::Config)?;
    let builder = if tls.verify {
        let mut roots = RootCertStore::empty();
        for certificate in certificates("certificate authorities", &tls.ca)? {
            roots.add(certificate).map_err(|source| Error::Authority {
                path: tls.ca.clone(),
                source,
            })?;
        }
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map_err(|source| Error::Authorities {
                path: tls.ca.clone(),
                source,
            })?;
        builder.with_client_cert_verifier(verifier)
    } else {
        builder.with_no_client_auth()
    };
    let mut config = builder
        .with_single_cert(chain, key)
        .map_err(Error::Config)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Acceptor(TlsAcceptor::from(Arc::new(config))))
}

fn certificates(what: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let read = |source| Error::Read {
        what,
        path: path.to_owned(),
        source,
    };
    let all = CertificateDer::pem_file_iter(path)
        .map_err(read)?
        .collect::<Result<Vec<_>, _>>()
        .map_err(read)?;
    if all.is_empty() {
        return Err(Error::Empty {
            path: path.to_owned(),
        });
    }
    Ok(all)
}
