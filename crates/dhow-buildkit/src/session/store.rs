//! The client's content stores, by containerd's content service: folders with caches, and OCI layouts.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Write};
use std::sync::Arc;

use dhow_builder::client::{ClientError, ClientStore};
use dhow_oci::{Descriptor, Digest};
use futures::future::BoxFuture;
use prost::Message;
use tokio::sync::mpsc;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::{Code, Request, Status, Streaming};
use tonic_prost::ProstCodec;

use super::{Session, metadata, origin};
use crate::content::{ReadRequest, ReadResponse};
use crate::transport::{Channel, MESSAGE};

/// Stands beside each call and says which store it is about.
const STORE: &str = "buildkit-attachable-store-id";
/// The largest piece of a blob that is sent.
const PIECE: usize = 1 << 20;

/// What is to be done with a message of `Write`.
const STAT: i32 = 0;
const WRITE: i32 = 1;
const COMMIT: i32 = 2;

#[derive(Clone, PartialEq, Message)]
struct WriteRequest {
    #[prost(int32, tag = "1")]
    action: i32,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(int64, tag = "3")]
    total: i64,
    #[prost(string, tag = "4")]
    expected: String,
    #[prost(int64, tag = "5")]
    offset: i64,
    #[prost(bytes = "vec", tag = "6")]
    data: Vec<u8>,
    #[prost(map = "string, string", tag = "7")]
    labels: HashMap<String, String>,
}

#[derive(Clone, PartialEq, Message)]
struct WriteResponse {
    #[prost(int32, tag = "1")]
    action: i32,
    #[prost(int64, tag = "4")]
    offset: i64,
    #[prost(int64, tag = "5")]
    total: i64,
    #[prost(string, tag = "6")]
    digest: String,
}

/// One of the client's stores.
struct Store {
    name: String,
    channel: Channel,
}

impl Session {
    /// The store of that name, if the client serves any.
    pub(super) fn content(&self, name: &str) -> Option<Arc<dyn ClientStore>> {
        let serves = self.serves("/containerd.services.content.v1.Content/Read");
        serves.then(|| {
            Arc::new(Store {
                name: name.to_owned(),
                channel: self.channel.clone(),
            }) as Arc<dyn ClientStore>
        })
    }
}

impl Store {
    async fn grpc(&self) -> Result<Grpc<Channel>, ClientError> {
        let mut grpc =
            Grpc::with_origin(self.channel.clone(), origin()).max_decoding_message_size(MESSAGE);
        let ready = grpc.ready().await;
        ready.map_err(|error| ClientError(error.to_string()))?;
        Ok(grpc)
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        metadata::add(request.metadata_mut(), STORE, [self.name.as_str()]);
        request
    }

    async fn fetch(&self, digest: &Digest, to: &mut (dyn Write + Send)) -> Result<(), ClientError> {
        let request = self.request(ReadRequest {
            digest: digest.to_string(),
            ..ReadRequest::default()
        });
        let path = PathAndQuery::from_static("/containerd.services.content.v1.Content/Read");
        let codec: ProstCodec<ReadRequest, ReadResponse> = ProstCodec::default();
        let answer = self
            .grpc()
            .await?
            .server_streaming(request, path, codec)
            .await;
        let mut pieces: Streaming<ReadResponse> = answer.map_err(said)?.into_inner();
        while let Some(piece) = pieces.message().await.map_err(said)? {
            to.write_all(&piece.data)
                .map_err(|error| ClientError(error.to_string()))?;
        }
        Ok(())
    }

    async fn keep(&self, descriptor: &Descriptor, mut file: File) -> Result<(), ClientError> {
        let unreadable = |error: std::io::Error| ClientError(error.to_string());
        let (messages, mut queue) = mpsc::channel(1);
        let outgoing = futures::stream::poll_fn(move |cx| queue.poll_recv(cx));
        let path = PathAndQuery::from_static("/containerd.services.content.v1.Content/Write");
        let codec: ProstCodec<WriteRequest, WriteResponse> = ProstCodec::default();
        let total = i64::try_from(descriptor.size).unwrap_or(i64::MAX);
        let message = |action, offset, data| WriteRequest {
            action,
            name: format!("dhow-{}", descriptor.digest),
            total,
            expected: descriptor.digest.to_string(),
            offset,
            data,
            labels: HashMap::new(),
        };
        let gone = || ClientError("the client takes no content any more".into());
        // The first message has to be there before the client answers at all.
        messages
            .send(message(STAT, 0, Vec::new()))
            .await
            .map_err(|_| gone())?;
        let answer = self
            .grpc()
            .await?
            .streaming(self.request(outgoing), path, codec)
            .await;
        let mut answers: Streaming<WriteResponse> = match answer {
            Ok(answer) => answer.into_inner(),
            Err(status) => return there(status),
        };
        let mut offset = match answers.message().await {
            Ok(Some(first)) => first.offset,
            Ok(None) => return Err(gone()),
            Err(status) => return there(status),
        };
        let start = u64::try_from(offset).unwrap_or(0);
        std::io::Seek::seek(&mut file, std::io::SeekFrom::Start(start)).map_err(unreadable)?;
        loop {
            let mut data = Vec::with_capacity(PIECE);
            let length = (&file)
                .take(PIECE as u64)
                .read_to_end(&mut data)
                .map_err(unreadable)?;
            let action = if length == 0 { COMMIT } else { WRITE };
            messages
                .send(message(action, offset, data))
                .await
                .map_err(|_| gone())?;
            match answers.message().await {
                Ok(Some(answer)) => offset = answer.offset,
                Ok(None) => return Err(gone()),
                Err(status) => return there(status),
            }
            if action == COMMIT {
                return Ok(());
            }
        }
    }
}

/// Content that is there already need not be sent.
fn there(status: Status) -> Result<(), ClientError> {
    match status.code() {
        Code::AlreadyExists => Ok(()),
        _ => Err(said(status)),
    }
}

fn said(status: Status) -> ClientError {
    ClientError(status.message().to_owned())
}

impl ClientStore for Store {
    fn read<'a>(
        &'a self,
        digest: &'a Digest,
        to: &'a mut (dyn Write + Send),
    ) -> BoxFuture<'a, Result<(), ClientError>> {
        Box::pin(self.fetch(digest, to))
    }

    fn write<'a>(
        &'a self,
        descriptor: &'a Descriptor,
        file: File,
    ) -> BoxFuture<'a, Result<(), ClientError>> {
        Box::pin(self.keep(descriptor, file))
    }
}
