//! HTTP/2 on connections that are there already: as the server of the services, and as the client of a session.

use std::task::{Context, Poll};

use futures::future::BoxFuture;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tonic::body::Body;
use tower::Service;

/// Bytes of a stream that may be on their way.
const STREAM_WINDOW: u32 = 512 << 10;
/// Bytes of a connection that may be on their way. Half of it is what small messages may cost beyond their bytes (each of
/// a list of files is one), before the other side is taken for an attacker: ten lists that nobody reads have room.
const CONNECTION_WINDOW: u32 = 64 << 20;
/// Bytes of a request's or answer's head: patterns are sent there.
const HEAD: u32 = 1 << 20;
/// Calls at once on one connection.
const STREAMS: u32 = 256;

/// The largest message that is taken.
pub(crate) const MESSAGE: usize = 16 << 20;

/// Serves `routes` on a connection, to its end.
pub(crate) async fn serve<C>(connection: C, routes: axum::Router)
where
    C: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = TowerToHyperService::new(routes);
    let served = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(HEAD)
        .serve_connection(TokioIo::new(connection), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a gRPC connection ended");
    }
}

/// Calls on a session's connection; clones share it.
#[derive(Clone)]
pub(crate) struct Channel(SendRequest<Body>);

/// Takes the client's part on a connection. The future is the connection's life.
pub(crate) async fn dial<C>(
    connection: C,
) -> Result<(Channel, impl Future<Output = ()> + Send), hyper::Error>
where
    C: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, life) = Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(HEAD)
        .handshake(TokioIo::new(connection))
        .await?;
    let life = async move {
        if let Err(error) = life.await {
            tracing::debug!(%error, "a session's connection ended");
        }
    };
    Ok((Channel(sender), life))
}

impl Service<Request<Body>> for Channel {
    type Response = Response<Incoming>;
    type Error = hyper::Error;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(self.0.send_request(request))
    }
}
