//! The connection on which this side serves.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use bollard_buildkit_proto::moby::buildkit::secrets::v1::secrets_server::SecretsServer;
use bollard_buildkit_proto::moby::filesync::v1::auth_server::AuthServer;
use bollard_buildkit_proto::moby::filesync::v1::file_sync_server::FileSyncServer;
use bollard_buildkit_proto::moby::sshforward::v1::ssh_server::SshServer;
use bollard_buildkit_proto::moby::upload::v1::upload_server::UploadServer;
use dhow_client::{Client, Config, Request};
use tokio::task::JoinHandle;
use tonic::service::Routes;

use crate::agents::Agents;
use crate::auth::Credentials;
use crate::content::Stores;
use crate::export::{Exports, Target};
use crate::files::Folders;
use crate::secrets::{Kept, Secret};
use crate::transport::{self, MESSAGE};
use crate::upload::{Input, Waiting};
use crate::{Error, Failure};

/// The methods, as the engine is told them before it calls any.
const METHODS: [&str; 10] = [
    "/moby.filesync.v1.Auth/Credentials",
    "/moby.filesync.v1.FileSync/DiffCopy",
    "/moby.filesync.v1.FileSend/DiffCopy",
    "/moby.buildkit.secrets.v1.Secrets/GetSecret",
    "/moby.sshforward.v1.SSH/CheckAgent",
    "/moby.sshforward.v1.SSH/ForwardAgent",
    "/moby.upload.v1.Upload/Pull",
    "/containerd.services.content.v1.Content/Info",
    "/containerd.services.content.v1.Content/Read",
    "/containerd.services.content.v1.Content/Write",
];

/// What the engine may have of this side.
#[derive(Default)]
pub struct Offer {
    /// What the engine keeps its copies of the folders under: the same for the same folder on the same machine.
    pub shared_key: String,
    /// Folders by the names that the build has for them.
    pub folders: BTreeMap<String, PathBuf>,
    /// Secrets by their ids.
    pub secrets: BTreeMap<String, Secret>,
    /// Sockets of ssh agents by their ids.
    pub agents: BTreeMap<String, PathBuf>,
    /// Folders with blobs, which the engine may read and add to, by the names of content stores.
    pub stores: BTreeMap<String, PathBuf>,
    /// Where credentials are found.
    pub config: Config,
    /// Where the exports go, in their order.
    pub targets: Vec<Target>,
    /// A context that is read once, and its id.
    pub upload: Option<(String, Input)>,
}

impl std::fmt::Debug for Offer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Offer")
            .field("folders", &self.folders)
            .finish_non_exhaustive()
    }
}

/// A session; it ends when it is dropped.
pub struct Session {
    id: String,
    exports: Exports,
    serving: JoinHandle<()>,
}

impl Session {
    /// Opens a session that serves `offer`.
    ///
    /// # Errors
    /// The engine can't be reached, or knows no sessions.
    pub async fn open(client: &Client, mut offer: Offer) -> Result<Self, Error> {
        let id = random_id();
        let mut request = Request::post("/session")
            .header("X-Docker-Expose-Session-Uuid", &*id)
            .header("X-Docker-Expose-Session-Name", "dhow")
            .header("X-Docker-Expose-Session-Sharedkey", &*offer.shared_key);
        for method in METHODS {
            request = request.header("X-Docker-Expose-Session-Grpc-Method", method);
        }
        let connection = client.upgrade(request, "h2c").await?;
        let exports = Exports::new(std::mem::take(&mut offer.targets));
        let routes = routes(offer, exports.clone());
        let serving = tokio::spawn(transport::serve(connection.stream, routes));
        Ok(Self {
            id,
            exports,
            serving,
        })
    }

    /// Waits until all that the engine has sent is in its place: to be called after a build.
    ///
    /// # Errors
    /// Files can't be put into their places.
    pub async fn finish(&self) -> Result<(), Failure> {
        self.exports.finish().await.map_err(Failure::from)
    }

    /// What builds name it by.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn routes(offer: Offer, exports: Exports) -> Routes {
    let (id, input) = offer.upload.unzip();
    let upload = Waiting {
        id: id.unwrap_or_default(),
        input: Mutex::new(input),
    };
    let folders = FileSyncServer::new(Folders(Arc::new(offer.folders)));
    Routes::new(folders.max_decoding_message_size(MESSAGE))
        .add_service(exports)
        .add_service(Stores(Arc::new(offer.stores)))
        .add_service(AuthServer::new(Credentials(Arc::new(offer.config))))
        .add_service(SecretsServer::new(Kept(Arc::new(offer.secrets))))
        .add_service(SshServer::new(Agents(Arc::new(offer.agents))))
        .add_service(UploadServer::new(upload))
}

/// Twenty-five letters and digits that nobody else has: the id of a session, a build, an upload.
#[must_use]
pub fn random_id() -> String {
    const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz012345";
    let mut bytes = [0; 25];
    if getrandom::fill(&mut bytes).is_err() {
        // No randomness: the time and the process are as good as alone.
        let now = std::time::SystemTime::UNIX_EPOCH
            .elapsed()
            .unwrap_or_default();
        let text = format!("{:016x}{:08x}0", now.as_nanos(), std::process::id());
        return text.chars().rev().take(25).collect();
    }
    let letter = |byte: u8| char::from(LETTERS[usize::from(byte % 32)]);
    bytes.into_iter().map(letter).collect()
}
