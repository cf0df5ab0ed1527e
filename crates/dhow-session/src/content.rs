//! Folders with caches, as content stores: containerd's content service as far as builders use it.
//!
//! A store is an OCI layout: blobs by their digests, which are checked before a blob gets its name.

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::task::{Context, Poll};

use dhow_oci::{Digest, Hasher};
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use prost::Message;
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;
use tonic::body::Body;
use tonic::metadata::MetadataMap;
use tonic::server::{Grpc, NamedService, ServerStreamingService, StreamingService, UnaryService};
use tonic::{Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;
use tower::Service;

use crate::session::random_id;
use crate::transport::MESSAGE;

/// Stands beside each call and says which store it is about.
const STORE: &str = "buildkit-attachable-store-id";
/// Messages on their way.
const QUEUE: usize = 4;
/// The largest of them.
const PIECE: usize = 1 << 20;
/// What is to be done with a message of `Write`.
const STAT: i32 = 0;
const COMMIT: i32 = 2;

#[derive(Clone, PartialEq, Message)]
struct InfoRequest {
    #[prost(string, tag = "1")]
    digest: String,
}

#[derive(Clone, PartialEq, Message)]
struct InfoResponse {
    #[prost(message, optional, tag = "1")]
    info: Option<Info>,
}

#[derive(Clone, PartialEq, Message)]
struct Info {
    #[prost(string, tag = "1")]
    digest: String,
    #[prost(int64, tag = "2")]
    size: i64,
}

#[derive(Clone, PartialEq, Message)]
struct ReadRequest {
    #[prost(string, tag = "1")]
    digest: String,
    #[prost(int64, tag = "2")]
    offset: i64,
    #[prost(int64, tag = "3")]
    size: i64,
}

#[derive(Clone, PartialEq, Message)]
struct ReadResponse {
    #[prost(int64, tag = "1")]
    offset: i64,
    #[prost(bytes = "vec", tag = "2")]
    data: Vec<u8>,
}

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

/// The stores by their names.
#[derive(Clone)]
pub(crate) struct Stores(pub(crate) Arc<BTreeMap<String, PathBuf>>);

impl Stores {
    fn folder(&self, metadata: &MetadataMap) -> Result<PathBuf, Status> {
        let name = metadata.get(STORE).and_then(|name| name.to_str().ok());
        let folder = name.and_then(|name| self.0.get(name));
        folder
            .cloned()
            .ok_or_else(|| Status::not_found("there is no such content store"))
    }
}

/// Where a blob is.
fn place(folder: &Path, digest: &str) -> Result<(Digest, PathBuf), Status> {
    let parsed: Digest = digest
        .parse()
        .map_err(|_| Status::invalid_argument(format!("{digest:?} is no digest")))?;
    let path = folder.join("blobs/sha256").join(parsed.hex());
    Ok((parsed, path))
}

fn failed(error: std::io::Error) -> Status {
    match error.kind() {
        std::io::ErrorKind::NotFound => Status::not_found("content: not found"),
        _ => Status::unknown(error.to_string()),
    }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

impl NamedService for Stores {
    const NAME: &'static str = "containerd.services.content.v1.Content";
}

impl Service<http::Request<Body>> for Stores {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let stores = self.clone();
        Box::pin(async move {
            let path = request.uri().path().to_owned();
            Ok(match path.rsplit('/').next() {
                Some("Info") => {
                    let mut grpc = Grpc::new(ProstCodec::default());
                    grpc.unary(InfoOf(stores), request).await
                }
                Some("Read") => {
                    let mut grpc = Grpc::new(ProstCodec::default());
                    grpc.server_streaming(ReadOf(stores), request).await
                }
                Some("Write") => {
                    let grpc = Grpc::new(ProstCodec::default());
                    let mut grpc = grpc.max_decoding_message_size(MESSAGE);
                    grpc.streaming(WriteOf(stores), request).await
                }
                _ => Status::unimplemented("not of use to a builder").into_http(),
            })
        })
    }
}

struct InfoOf(Stores);

impl UnaryService<InfoRequest> for InfoOf {
    type Response = InfoResponse;
    type Future = BoxFuture<'static, Result<Response<InfoResponse>, Status>>;

    fn call(&mut self, request: Request<InfoRequest>) -> Self::Future {
        let folder = self.0.folder(request.metadata());
        Box::pin(async move {
            let digest = request.into_inner().digest;
            let (_, path) = place(&folder?, &digest)?;
            let size = signed(tokio::fs::metadata(path).await.map_err(failed)?.len());
            let info = Some(Info { digest, size });
            Ok(Response::new(InfoResponse { info }))
        })
    }
}

struct ReadOf(Stores);

impl ServerStreamingService<ReadRequest> for ReadOf {
    type Response = ReadResponse;
    type ResponseStream = BoxStream<'static, Result<ReadResponse, Status>>;
    type Future = BoxFuture<'static, Result<Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: Request<ReadRequest>) -> Self::Future {
        let folder = self.0.folder(request.metadata());
        Box::pin(async move {
            let request = request.into_inner();
            let (_, path) = place(&folder?, &request.digest)?;
            let mut file = std::fs::File::open(path).map_err(failed)?;
            let (messages, mut queue) = mpsc::channel(QUEUE);
            tokio::task::spawn_blocking(move || {
                let ended = send(&mut file, &request, &messages);
                if let Err(error) = ended {
                    let _ = messages.blocking_send(Err(failed(error)));
                }
            });
            let stream = futures::stream::poll_fn(move |cx| queue.poll_recv(cx));
            Ok(Response::new(stream.boxed()))
        })
    }
}

/// Sends the part of a blob that is asked for. Blocking.
fn send(
    file: &mut std::fs::File,
    request: &ReadRequest,
    messages: &mpsc::Sender<Result<ReadResponse, Status>>,
) -> std::io::Result<()> {
    let mut offset = u64::try_from(request.offset).unwrap_or(0);
    file.seek(SeekFrom::Start(offset))?;
    let mut left = match u64::try_from(request.size) {
        Ok(0) | Err(_) => u64::MAX,
        Ok(size) => size,
    };
    while left > 0 {
        let mut data = Vec::with_capacity(PIECE);
        let length = file.take(left.min(PIECE as u64)).read_to_end(&mut data)?;
        let length = u64::try_from(length).unwrap_or(0);
        let message = ReadResponse {
            offset: signed(offset),
            data,
        };
        // At the end, and where nobody listens any more.
        if length == 0 || messages.blocking_send(Ok(message)).is_err() {
            break;
        }
        offset += length;
        left -= length;
    }
    Ok(())
}

struct WriteOf(Stores);

impl StreamingService<WriteRequest> for WriteOf {
    type Response = WriteResponse;
    type ResponseStream = BoxStream<'static, Result<WriteResponse, Status>>;
    type Future = BoxFuture<'static, Result<Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: Request<Streaming<WriteRequest>>) -> Self::Future {
        let folder = self.0.folder(request.metadata());
        Box::pin(async move {
            let folder = folder?;
            let mut incoming = request.into_inner();
            let (messages, mut queue) = mpsc::channel(QUEUE);
            tokio::spawn(async move {
                let mut ingest = None;
                while let Ok(Some(message)) = incoming.message().await {
                    let answer = write(&folder, &mut ingest, message).await;
                    let over = answer.is_err();
                    if messages.send(answer).await.is_err() || over {
                        break;
                    }
                }
            });
            let stream = futures::stream::poll_fn(move |cx| queue.poll_recv(cx));
            Ok(Response::new(stream.boxed()))
        })
    }
}

/// A blob on its way. What does not get its name is removed.
struct Ingest {
    file: tokio::fs::File,
    path: PathBuf,
    hasher: Hasher,
    length: u64,
}

impl Drop for Ingest {
    fn drop(&mut self) {
        // After it was renamed there is nothing any more.
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Ingest {
    async fn begin(folder: &Path) -> std::io::Result<Self> {
        tokio::fs::create_dir_all(folder.join("blobs/sha256")).await?;
        let path = folder.join(format!(".{}", random_id()));
        Ok(Self {
            file: tokio::fs::File::create_new(&path).await?,
            path,
            hasher: Hasher::new(),
            length: 0,
        })
    }

    async fn add(&mut self, data: &[u8]) -> std::io::Result<()> {
        self.hasher.update(data);
        self.length += u64::try_from(data.len()).unwrap_or(0);
        self.file.write_all(data).await
    }
}

async fn write(
    folder: &Path,
    ingest: &mut Option<Ingest>,
    message: WriteRequest,
) -> Result<WriteResponse, Status> {
    let (expected, place) = place(folder, &message.expected)?;
    if message.action == STAT && place.exists() {
        return Err(Status::already_exists(format!(
            "content {expected}: already exists"
        )));
    }
    let mut blob = match ingest.take() {
        Some(blob) => blob,
        None => Ingest::begin(folder).await.map_err(failed)?,
    };
    if message.action != STAT && message.offset != signed(blob.length) {
        return Err(Status::out_of_range("content out of its order"));
    }
    blob.add(&message.data).await.map_err(failed)?;
    let answer = WriteResponse {
        action: message.action,
        offset: signed(blob.length),
        total: message.total,
        digest: expected.to_string(),
    };
    if message.action != COMMIT {
        *ingest = Some(blob);
        return Ok(answer);
    }
    blob.file.flush().await.map_err(failed)?;
    let hasher = std::mem::take(&mut blob.hasher);
    if hasher.finish() != expected {
        return Err(Status::failed_precondition(format!(
            "content is not {expected}"
        )));
    }
    tokio::fs::rename(&blob.path, &place)
        .await
        .map_err(failed)?;
    Ok(answer)
}
