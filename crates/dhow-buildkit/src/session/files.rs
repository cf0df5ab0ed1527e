//! The client's files.

use std::path::Path;
use std::sync::Arc;

use bollard_buildkit_proto::moby::filesync::v1::file_sync_client::FileSyncClient;
use dhow_builder::client::{ClientError, Tree};
use dhow_builder::graph::LocalOp;
use dhow_filesync::{FolderKey, Packet, Synced};
use dhow_oci::Digest;
use futures::{StreamExt, TryStreamExt};
use tokio::sync::mpsc;
use tonic::Request;

use super::{Session, metadata, origin};
use crate::transport::MESSAGE;

/// A synced folder as the builder sees it.
pub(crate) struct Folder {
    synced: Synced,
    transferred: Option<u64>,
}

impl Folder {
    pub(crate) fn new(synced: Synced, transferred: Option<u64>) -> Self {
        Self {
            synced,
            transferred,
        }
    }
}

impl Tree for Folder {
    fn path(&self) -> &Path {
        self.synced.path()
    }

    fn transferred(&self) -> Option<u64> {
        self.transferred
    }

    fn digest(&self, path: &Path) -> Option<Digest> {
        self.synced.digest(path)
    }
}

impl Session {
    /// Brings the folder that `wanted` names in step with the client's.
    pub(super) async fn files(&self, wanted: &LocalOp) -> Result<Arc<dyn Tree>, ClientError> {
        if !self.serves("/moby.filesync.v1.FileSync/DiffCopy") {
            return Err(ClientError("no local sources enabled".into()));
        }
        let key = FolderKey {
            shared_key: self.shared_key.clone(),
            name: wanted.name.clone(),
            scope: wanted.follow.join("\n"),
        };
        let (replies, mut said) = mpsc::unbounded_channel();
        let outgoing = futures::stream::poll_fn(move |cx| said.poll_recv(cx)).map(Packet::from);
        let mut request = Request::new(outgoing);
        let map = request.metadata_mut();
        metadata::add(map, "dir-name", [wanted.name.as_str()]);
        metadata::add(map, "followpaths", wanted.follow.iter().map(String::as_str));
        metadata::add(
            map,
            "exclude-patterns",
            wanted.exclude.iter().map(String::as_str),
        );
        let mut client = FileSyncClient::with_origin(self.channel.clone(), origin())
            .max_decoding_message_size(MESSAGE);
        let gone = |status: tonic::Status| ClientError(status.message().to_owned());
        let incoming = client.diff_copy(request).await.map_err(gone)?.into_inner();
        let incoming = incoming.map_err(|status| dhow_filesync::Error::Sender(said_by(&status)));
        let mut bytes = 0;
        let progress = |so_far| bytes = so_far;
        let received = dhow_filesync::receive(&self.folders, &key, incoming, replies, progress);
        let synced = received.await.map_err(|error| {
            let text = match error {
                dhow_filesync::Error::Sender(text) => text,
                error => dhow_errdefs::chain(&error).to_string(),
            };
            ClientError(text)
        })?;
        Ok(Arc::new(Folder::new(synced, Some(bytes))))
    }
}

/// What a failed call says.
fn said_by(status: &tonic::Status) -> String {
    match status.message() {
        "" => format!("the client answered {:?}", status.code()),
        message => message.to_owned(),
    }
}
