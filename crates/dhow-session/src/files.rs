//! The folders that the engine may have files of.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use bollard_buildkit_proto::moby::filesync::v1::file_sync_server::FileSync;
use dhow_filesync::{Owners, Packet, Selection};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use tokio::sync::mpsc;
use tonic::{Request, Response, Status, Streaming};

use crate::metadata;

/// Messages on their way.
const QUEUE: usize = 1024;

/// The folders by their names.
pub(crate) struct Folders(pub(crate) Arc<BTreeMap<String, PathBuf>>);

#[tonic::async_trait]
impl FileSync for Folders {
    type DiffCopyStream = BoxStream<'static, Result<Packet, Status>>;
    type TarStreamStream = BoxStream<'static, Result<Packet, Status>>;

    async fn diff_copy(
        &self,
        request: Request<Streaming<Packet>>,
    ) -> Result<Response<Self::DiffCopyStream>, Status> {
        let map = request.metadata();
        let name = metadata::first(map, "dir-name");
        let folder = self.0.get(&name).cloned();
        let folder = folder
            .ok_or_else(|| Status::not_found(format!("no access allowed to dir {name:?}")))?;
        let selection = Selection {
            include: metadata::all(map, "include-patterns"),
            exclude: metadata::all(map, "exclude-patterns"),
            follow: metadata::all(map, "followpaths"),
        };
        let (packets, mut queue) = mpsc::channel(QUEUE);
        let requests = request
            .into_inner()
            .map_err(|status| dhow_filesync::Error::Sender(status.message().to_owned()));
        // What goes wrong is told to the engine, which then fails with it.
        tokio::spawn(dhow_filesync::send(
            folder,
            selection,
            Owners::Root,
            requests,
            packets,
        ));
        let stream = futures::stream::poll_fn(move |cx| queue.poll_recv(cx)).map(Ok);
        Ok(Response::new(stream.boxed()))
    }

    async fn tar_stream(
        &self,
        _: Request<Streaming<Packet>>,
    ) -> Result<Response<Self::TarStreamStream>, Status> {
        Err(Status::unimplemented("files are not sent as archives"))
    }
}
