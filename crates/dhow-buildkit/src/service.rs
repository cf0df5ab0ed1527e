//! The handle that the daemon is put together with.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use bollard_buildkit_proto::health::health_server::HealthServer;
use bollard_buildkit_proto::moby::buildkit::v1 as control;
use bollard_buildkit_proto::moby::buildkit::v1::control_server::ControlServer;
use bollard_buildkit_proto::moby::buildkit::v1::frontend::llb_bridge_server::LlbBridgeServer;
use dhow_builder::usage::{CacheUsage, PruneOptions, Pruned};
use dhow_builder::{BuildRequest, Builder, Client, Outcome, Progress};
use dhow_content::ContentStore;
use dhow_errdefs::{Classify, ErrorKind};
use dhow_filesync::{Folders, Limits};
use dhow_image::Images;
use dhow_metadata::Database;
use futures::future::BoxFuture;
use http::HeaderMap;
use prost::Message;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::service::Routes;

use crate::bridge::Bridge;
use crate::builds::{Build, Builds};
use crate::content::Content;
use crate::control::Control;
use crate::health::Health;
use crate::history::History;
use crate::order::Order;
use crate::session::Sessions;
use crate::transport::{self, MESSAGE};
use crate::{board, id, upload};

/// What builds, as these services need it.
pub trait Maker: Send + Sync + 'static {
    /// Carries out a build; dropping the future cancels it.
    ///
    /// # Errors
    /// The first step that failed.
    fn build(&self, request: BuildRequest) -> BoxFuture<'_, Result<Outcome, dhow_builder::Error>>;

    /// What the cache holds. Blocking.
    ///
    /// # Errors
    /// The records can't be read.
    fn usage(&self) -> Result<Vec<CacheUsage>, Box<dhow_builder::Error>>;

    /// Removes what `options` pick. Blocking.
    ///
    /// # Errors
    /// The records can't be written.
    fn prune(&self, options: &PruneOptions) -> Result<Pruned, Box<dhow_builder::Error>>;
}

impl Maker for Builder {
    fn build(&self, request: BuildRequest) -> BoxFuture<'_, Result<Outcome, dhow_builder::Error>> {
        Box::pin(Self::build(self, request))
    }

    fn usage(&self) -> Result<Vec<CacheUsage>, Box<dhow_builder::Error>> {
        Self::usage(self).map_err(Box::new)
    }

    fn prune(&self, options: &PruneOptions) -> Result<Pruned, Box<dhow_builder::Error>> {
        Self::prune(self, options).map_err(Box::new)
    }
}

/// What the services work with.
#[derive(Clone)]
pub struct BuildKitConfig {
    /// What builds.
    pub maker: Arc<dyn Maker>,
    /// The images.
    pub images: Images,
    /// The blobs; the same that `images` has.
    pub content: ContentStore,
    /// The records, for the history.
    pub db: Database,
    /// A folder of its own: `builder/sync` below the data root.
    pub folder: PathBuf,
    /// The host's address for containers, which clients put in place of `host-gateway`.
    pub host_gateway: Arc<dyn Fn() -> Option<IpAddr> + Send + Sync>,
    /// What is pruned from time to time, as clients are told.
    pub policy: Vec<PruneOptions>,
    /// What is said of this engine's version.
    pub version: String,
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
    /// The synced folders can't be opened.
    #[error("can't open the synced folders")]
    Sync(#[from] dhow_filesync::Error),
}

impl Classify for Error {
    fn kind(&self) -> ErrorKind {
        ErrorKind::System
    }
}

/// What all services share.
pub(crate) struct Shared {
    pub(crate) maker: Arc<dyn Maker>,
    pub(crate) images: Images,
    pub(crate) sessions: Sessions,
    pub(crate) builds: Builds,
    pub(crate) history: History,
    pub(crate) folders: Folders,
    /// Where uploaded contexts are unpacked.
    pub(crate) uploads: PathBuf,
    pub(crate) config: BuildKitConfig,
    /// The worker's id, which is the builder's.
    pub(crate) worker_id: String,
}

/// BuildKit's services; clones are the same.
#[derive(Clone)]
pub struct BuildKit {
    shared: Arc<Shared>,
    routes: axum::Router,
}

impl BuildKit {
    /// Opens the services on their folder.
    ///
    /// # Errors
    /// The folder can't be made or read.
    pub fn open(config: BuildKitConfig) -> Result<Self, Error> {
        let make = |folder: PathBuf| {
            std::fs::create_dir_all(&folder)
                .map(|()| folder.clone())
                .map_err(|error| Error::Folder(folder, error))
        };
        let folders = Folders::open(config.folder.join("folders"), Limits::default())?;
        let history = History::new(config.db.clone(), make(config.folder.join("history"))?);
        let uploads = config.folder.join("uploads");
        // What a daemon that died has left.
        if let Err(error) = std::fs::remove_dir_all(&uploads)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            return Err(Error::Folder(uploads, error));
        }
        let uploads = make(uploads)?;
        let shared = Arc::new(Shared {
            maker: config.maker.clone(),
            images: config.images.clone(),
            sessions: Sessions::new(folders.clone()),
            builds: Builds::default(),
            history,
            uploads,
            folders,
            worker_id: worker_id(&config.folder),
            config,
        });
        let control = ControlServer::new(Control(shared.clone()));
        let bridge = LlbBridgeServer::new(Bridge(shared.clone()));
        let routes = Routes::new(control.max_decoding_message_size(MESSAGE))
            .add_service(bridge.max_decoding_message_size(MESSAGE))
            .add_service(Content(shared.clone()))
            .add_service(HealthServer::new(Health))
            .into_axum_router();
        Ok(Self { shared, routes })
    }

    /// Serves the services on a connection that `POST /grpc` gave away (HTTP/2 without TLS), to its end.
    pub async fn serve_grpc<C>(&self, connection: C)
    where
        C: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let stop = self.shared.config.stop.clone();
        tokio::select! {
            () = stop.cancelled() => {}
            () = transport::serve(connection, self.routes.clone()) => {}
        }
    }

    /// Takes part in a session on a connection that `POST /session` gave away, to its end. The request's headers say what
    /// the client serves (`X-Docker-Expose-Session-*`).
    pub async fn serve_session<C>(&self, connection: C, headers: &HeaderMap)
    where
        C: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let stop = self.shared.config.stop.clone();
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.shared.sessions.serve(connection, headers) => {}
        }
    }

    /// The services as routes, for gRPC that comes over the API's own socket by HTTP/2.
    pub fn routes(&self) -> axum::Router {
        self.routes.clone()
    }

    /// The client of a session, waiting for it to come if need be (`POST /build?session=ID`); none if it doesn't within
    /// five seconds.
    pub async fn client(&self, session: &str) -> Option<Arc<dyn Client>> {
        let session = self.shared.sessions.find(session).await?;
        Some(session)
    }

    /// Progress as an encoded `StatusResponse`, as `POST /build?version=2` tells it.
    #[must_use]
    pub fn trace(&self, progress: &Progress) -> Vec<u8> {
        board::status_of(progress).encode_to_vec()
    }

    /// The copies of clients' folders: what they take, and to remove them. They are part of the build cache.
    #[must_use]
    pub fn folders(&self) -> &Folders {
        &self.shared.folders
    }
}

impl std::fmt::Debug for BuildKit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BuildKit").finish_non_exhaustive()
    }
}

/// The worker's id: the same as long as the folder is there.
fn worker_id(folder: &std::path::Path) -> String {
    let file = folder.join("worker");
    match std::fs::read_to_string(&file) {
        Ok(id) if id.len() == 25 => id,
        _ => {
            let id = id::random();
            // Without the file there is another id after the next start, which nobody minds.
            let _ = std::fs::write(&file, &id);
            id
        }
    }
}

impl Shared {
    /// The client of a build; one that uploads its context has it taken first.
    pub(crate) async fn taking_upload(
        &self,
        order: &mut Order,
        build: &Build,
    ) -> Result<Arc<dyn Client>, Status> {
        let client = build.client.clone();
        let taken = upload::take(order, client, &self.folders, &self.uploads).await;
        taken.map_err(|error| Status::unknown(error.to_string()))
    }

    /// What clients are told of who builds here.
    pub(crate) fn worker(&self) -> control::types::WorkerRecord {
        crate::worker::record(self)
    }
}
