//! The content service of containerd, as far as clients use it of a builder: to read what a history's records name.

use std::convert::Infallible;
use std::io::{Read, Seek, SeekFrom};
use std::sync::Arc;
use std::task::{Context, Poll};

use bollard_buildkit_proto::google::protobuf::Timestamp;
use dhow_oci::Digest;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use prost::Message;
use tonic::body::Body;
use tonic::codegen::http;
use tonic::server::{Grpc, NamedService, ServerStreamingService, UnaryService};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;
use tower::Service;

use crate::service::Shared;

/// The largest piece of an answer.
const PIECE: usize = 1 << 20;

/// The service.
#[derive(Clone)]
pub(crate) struct Content(pub(crate) Arc<Shared>);

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
    #[prost(message, optional, tag = "3")]
    created_at: Option<Timestamp>,
    #[prost(message, optional, tag = "4")]
    updated_at: Option<Timestamp>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ReadRequest {
    #[prost(string, tag = "1")]
    pub(crate) digest: String,
    #[prost(int64, tag = "2")]
    pub(crate) offset: i64,
    #[prost(int64, tag = "3")]
    pub(crate) size: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ReadResponse {
    #[prost(int64, tag = "1")]
    pub(crate) offset: i64,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) data: Vec<u8>,
}

/// A blob that is read.
enum Blob {
    Bytes(std::io::Cursor<Vec<u8>>),
    File(std::fs::File),
}

impl Read for Blob {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Self::Bytes(bytes) => bytes.read(buffer),
            Self::File(file) => file.read(buffer),
        }
    }
}

impl Content {
    /// Finds a blob; gives its size too. Blocking.
    fn open(&self, digest: &str) -> Result<(Blob, u64), Status> {
        let missing = || Status::not_found(format!("content {digest}: not found"));
        let parsed: Digest = digest.parse().map_err(|_| missing())?;
        if let Some(bytes) = self.0.history.blob(&parsed) {
            let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            return Ok((Blob::Bytes(std::io::Cursor::new(bytes)), size));
        }
        let content = &self.0.config.content;
        let size = content.size(&parsed).map_err(|_| missing())?;
        let file = content.open_blob(&parsed).map_err(|_| missing())?;
        Ok((Blob::File(file), size))
    }

    fn read(&self, request: &ReadRequest) -> Result<Vec<ReadResponse>, Status> {
        let failed = |error: std::io::Error| Status::unknown(error.to_string());
        let (mut blob, size) = self.open(&request.digest)?;
        let offset = u64::try_from(request.offset).unwrap_or(0).min(size);
        match &mut blob {
            Blob::Bytes(bytes) => bytes.set_position(offset),
            Blob::File(file) => {
                file.seek(SeekFrom::Start(offset)).map_err(failed)?;
            }
        }
        let wanted = match u64::try_from(request.size) {
            Ok(0) | Err(_) => size - offset,
            Ok(wanted) => wanted.min(size - offset),
        };
        // Records are small; layers are not read over this service.
        if wanted > 64 << 20 {
            return Err(Status::resource_exhausted(
                "content is too large to be read here",
            ));
        }
        let mut bytes = Vec::new();
        blob.take(wanted).read_to_end(&mut bytes).map_err(failed)?;
        let mut at = request.offset;
        let pieces = bytes.chunks(PIECE).map(|piece| {
            let response = ReadResponse {
                offset: at,
                data: piece.to_vec(),
            };
            at += i64::try_from(piece.len()).unwrap_or(0);
            response
        });
        Ok(pieces.collect())
    }
}

impl NamedService for Content {
    const NAME: &'static str = "containerd.services.content.v1.Content";
}

impl Service<http::Request<Body>> for Content {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let content = self.clone();
        let method = request
            .uri()
            .path()
            .rsplit('/')
            .next()
            .unwrap_or_default()
            .to_owned();
        Box::pin(async move {
            Ok(match method.as_str() {
                "Info" => {
                    let mut grpc = Grpc::new(ProstCodec::default());
                    grpc.unary(InfoOf(content), request).await
                }
                "Read" => {
                    let mut grpc = Grpc::new(ProstCodec::default());
                    grpc.server_streaming(ReadOf(content), request).await
                }
                _ => Status::unimplemented("read-only content store").into_http(),
            })
        })
    }
}

struct InfoOf(Content);

impl UnaryService<InfoRequest> for InfoOf {
    type Response = InfoResponse;
    type Future = BoxFuture<'static, Result<Response<InfoResponse>, Status>>;

    fn call(&mut self, request: Request<InfoRequest>) -> Self::Future {
        let content = self.0.clone();
        Box::pin(async move {
            let digest = request.into_inner().digest;
            let name = digest.clone();
            let opened = tokio::task::spawn_blocking(move || content.open(&name));
            let (_, size) = opened
                .await
                .map_err(|e| Status::internal(e.to_string()))??;
            let info = Info {
                digest,
                size: i64::try_from(size).unwrap_or(i64::MAX),
                ..Info::default()
            };
            Ok(Response::new(InfoResponse { info: Some(info) }))
        })
    }
}

struct ReadOf(Content);

impl ServerStreamingService<ReadRequest> for ReadOf {
    type Response = ReadResponse;
    type ResponseStream = BoxStream<'static, Result<ReadResponse, Status>>;
    type Future = BoxFuture<'static, Result<Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: Request<ReadRequest>) -> Self::Future {
        let content = self.0.clone();
        Box::pin(async move {
            let request = request.into_inner();
            let read = tokio::task::spawn_blocking(move || content.read(&request));
            let pieces = read.await.map_err(|e| Status::internal(e.to_string()))??;
            let stream = futures::stream::iter(pieces.into_iter().map(Ok));
            Ok(Response::new(Box::pin(stream) as Self::ResponseStream))
        })
    }
}
