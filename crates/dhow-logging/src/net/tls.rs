//! TLS to a receiver.

use std::io;
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{CertificateError, ClientConfig, ClientConnection, StreamOwned};

use dhow_golang::io_text;
use dhow_tls::Roots;

/// The files that say whom to trust and who we are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TlsFiles {
    /// Trusted instead of the system's authorities.
    pub(crate) ca: Option<PathBuf>,
    pub(crate) cert: Option<PathBuf>,
    pub(crate) key: Option<PathBuf>,
    /// Trust anybody.
    pub(crate) skip_verify: bool,
}

/// How to talk TLS.
pub(crate) struct Tls(Arc<ClientConfig>);

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// Docker's text, naming the file.
    pub(crate) fn new(files: &TlsFiles) -> Result<Self, String> {
        let roots = match (&files.ca, files.skip_verify) {
            (_, true) => None,
            (Some(path), false) => {
                let shown = path.display();
                let unusable = |error: dhow_tls::Error| {
                    format!(
                        "could not read CA certificate \"{shown}\": {}",
                        text(&error)
                    )
                };
                let mut roots = Roots::default();
                for certificate in dhow_tls::certificates(path).map_err(unusable)? {
                    roots.add(certificate).map_err(|error| error.to_string())?;
                }
                Some(roots)
            }
            (None, false) => Some(Roots::system()),
        };
        let identity = match (&files.cert, &files.key) {
            (None, None) => None,
            (cert, key) => {
                let (cert, key) = (
                    cert.clone().unwrap_or_default(),
                    key.clone().unwrap_or_default(),
                );
                let identity = dhow_tls::identity(&cert, &key)
                    .map_err(|error| format!("Could not load X509 key pair: {}", text(&error)))?;
                Some(identity)
            }
        };
        let config = dhow_tls::client(roots, identity)
            .map_err(|error| format!("Could not load X509 key pair: {error}"))?;
        Ok(Self(Arc::new(config)))
    }

    /// Shakes hands with `host` over a connection.
    pub(super) fn over(
        &self,
        mut plain: TcpStream,
        host: &str,
    ) -> Result<StreamOwned<ClientConnection, TcpStream>, String> {
        let name = ServerName::try_from(host.to_owned()).map_err(|error| error.to_string())?;
        let mut connection =
            ClientConnection::new(Arc::clone(&self.0), name).map_err(|error| error.to_string())?;
        plain
            .set_read_timeout(Some(super::connection::DIAL))
            .map_err(|error| io_text(&error))?;
        while connection.is_handshaking() {
            connection
                .complete_io(&mut plain)
                .map_err(|error| refusal(&error))?;
        }
        Ok(StreamOwned::new(connection, plain))
    }
}

/// Why there is no connection, in Go's words where there are some.
fn refusal(error: &io::Error) -> String {
    let unverified = |why: &str| format!("tls: failed to verify certificate: x509: {why}");
    match error.get_ref().and_then(|error| error.downcast_ref()) {
        Some(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer)) => {
            unverified("certificate signed by unknown authority")
        }
        Some(rustls::Error::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. },
        )) => unverified("certificate has expired or is not yet valid"),
        Some(other) => format!("tls: {other}"),
        None => io_text(error),
    }
}

fn text(error: &dhow_tls::Error) -> String {
    match error {
        dhow_tls::Error::Read { path, source } => {
            format!("open {}: {}", path.display(), io_text(source))
        }
        other => dhow_errdefs::chain(other).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_are_not_there_are_named_as_docker_does() {
        let refused = |files: TlsFiles| Tls::new(&files).map(drop).err().unwrap_or_default();
        assert_eq!(
            refused(TlsFiles {
                ca: Some("/nope".into()),
                ..TlsFiles::default()
            }),
            "could not read CA certificate \"/nope\": open /nope: no such file or directory"
        );
        assert_eq!(
            refused(TlsFiles {
                cert: Some("/nope".into()),
                skip_verify: true,
                ..TlsFiles::default()
            }),
            "Could not load X509 key pair: open /nope: no such file or directory"
        );
    }
}
