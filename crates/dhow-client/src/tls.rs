//! TLS for `tcp://` addresses.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::error::{Error, Result};
use crate::settings::TlsFiles;
use dhow_golang::io_text;
use dhow_tls::Roots;

/// How to speak TLS to one engine.
pub(crate) struct Tls {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl Tls {
    /// Reads the certificates; a client certificate that is not there is not used.
    pub(super) fn new(files: Option<&TlsFiles>, host: &str) -> Result<Self> {
        let roots = match files {
            Some(files) if !files.verify => None,
            Some(files) => Some(roots(&files.ca)?),
            // For `https://` without files of one's own.
            None => Some(Roots::system()),
        };
        let identity = files
            .filter(|files| files.cert.exists() && files.key.exists())
            .map(|files| dhow_tls::identity(&files.cert, &files.key))
            .transpose()
            .map_err(|error| unusable(&error))?;
        let config =
            dhow_tls::client(roots, identity).map_err(|error| refused(&error.to_string()))?;
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

fn roots(path: &Path) -> Result<Roots> {
    let mut roots = Roots::default();
    let certificates = dhow_tls::certificates(path).map_err(|error| unusable(&error))?;
    // A bundle may hold certificates of kinds that are of no use here.
    roots.add_usable(certificates);
    Ok(roots)
}

fn unusable(error: &dhow_tls::Error) -> Error {
    refused(&match error {
        dhow_tls::Error::Read { source, .. } => format!("{error}: {}", io_text(source)),
        dhow_tls::Error::Pem { source, .. } => format!("{error}: {source}"),
    })
}

fn refused(reason: &str) -> Error {
    Error::text(format!(
        "Failed to initialize: unable to resolve docker endpoint: {reason}"
    ))
}
