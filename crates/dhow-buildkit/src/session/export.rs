//! Files that go to the client.

use std::path::PathBuf;

use bollard_buildkit_proto::moby::filesync::packet::file_send_client::FileSendClient;
use bollard_buildkit_proto::moby::filesync::v1::BytesMessage;
use bollard_buildkit_proto::moby::filesync::v1::file_send_client::FileSendClient as FileClient;
use dhow_builder::client::{ClientError, ExportedFiles};
use dhow_filesync::{Owners, Selection};
use futures::{TryFutureExt, TryStreamExt};
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;
use tonic::metadata::MetadataValue;
use tonic::{Request, Status};

use super::{Session, origin};

/// Messages on their way to the client.
const QUEUE: usize = 32;
/// The largest of them, as BuildKit has it.
const PIECE: usize = 1 << 20;

impl Session {
    /// Hands an export's files to the client.
    pub(super) async fn take(
        &self,
        export: usize,
        files: ExportedFiles,
    ) -> Result<(), ClientError> {
        if !self.serves("/moby.filesync.v1.FileSend/DiffCopy") {
            let text = "method /moby.filesync.v1.FileSend/DiffCopy not supported by the client";
            return Err(ClientError(text.into()));
        }
        match files {
            ExportedFiles::Directory(folder) => self.take_folder(export, folder).await,
            ExportedFiles::File(file) => self.take_file(export, file).await,
        }
    }

    async fn take_folder(&self, export: usize, folder: PathBuf) -> Result<(), ClientError> {
        let (packets, mut queue) = mpsc::channel(QUEUE);
        let outgoing = futures::stream::poll_fn(move |cx| queue.poll_recv(cx));
        let request = for_export(export, outgoing)?;
        let mut client = FileSendClient::with_origin(self.channel.clone(), origin());
        // The client answers only once there is something to answer to.
        let answer = async move {
            client
                .diff_copy(request)
                .await
                .map(tonic::Response::into_inner)
        };
        let requests = Box::pin(answer.try_flatten_stream())
            .map_err(|status| dhow_filesync::Error::Sender(status.message().to_owned()));
        let selection = Selection::default();
        dhow_filesync::send(folder, selection, Owners::Keep, requests, packets)
            .await
            .map_err(|error| ClientError(dhow_errdefs::chain(&error).to_string()))
    }

    async fn take_file(&self, export: usize, file: PathBuf) -> Result<(), ClientError> {
        let unreadable = |error| ClientError(format!("{}: {error}", file.display()));
        let mut file = tokio::fs::File::open(&file).await.map_err(unreadable)?;
        let (pieces, mut queue) = mpsc::channel(QUEUE);
        let outgoing = futures::stream::poll_fn(move |cx| queue.poll_recv(cx));
        let request = for_export(export, outgoing)?;
        let mut client = FileClient::with_origin(self.channel.clone(), origin());
        let sending = async move {
            loop {
                let mut data = Vec::with_capacity(PIECE);
                let length = (&mut file).take(PIECE as u64).read_to_end(&mut data).await;
                match length {
                    Ok(0) => return Ok(()),
                    // The client has gone; what it says is the answer.
                    Ok(_) if pieces.send(BytesMessage { data }).await.is_err() => return Ok(()),
                    Ok(_) => {}
                    Err(error) => return Err(ClientError(error.to_string())),
                }
            }
        };
        let answer = async move {
            let mut answer = client.diff_copy(request).await.map_err(failed)?;
            while answer.get_mut().message().await.map_err(failed)?.is_some() {}
            Ok(())
        };
        tokio::try_join!(sending, answer).map(|_| ())
    }
}

/// A call about the export at that position.
fn for_export<T>(export: usize, message: T) -> Result<Request<T>, ClientError> {
    let mut request = Request::new(message);
    let id = MetadataValue::try_from(export.to_string())
        .map_err(|error| ClientError(error.to_string()))?;
    request
        .metadata_mut()
        .insert("buildkit-attachable-exporter-id", id);
    Ok(request)
}

fn failed(status: Status) -> ClientError {
    ClientError(status.message().to_owned())
}
