//! HTTP/2 on connections that the engine's API gave away.

use std::task::{Context, Poll};

use futures::future::BoxFuture;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tonic::body::Body;
use tonic::service::Routes;
use tower::Service;

/// Bytes of a stream that may be on their way.
const STREAM_WINDOW: u32 = 1 << 20;
/// Bytes of a connection that may be on their way.
const CONNECTION_WINDOW: u32 = 4 << 20;
/// Bytes of a request's or answer's head: patterns are sent there.
const HEAD: u32 = 1 << 20;

/// The largest message that is taken.
pub(crate) const MESSAGE: usize = 16 << 20;

/// Serves `routes` on a connection, to its end. Why it ended is for the other side to say.
pub(crate) async fn serve<C>(connection: C, routes: Routes)
where
    C: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = TowerToHyperService::new(routes);
    let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(STREAM_WINDOW as usize)
        .max_header_list_size(HEAD)
        .serve_connection(TokioIo::new(connection), service)
        .await;
}

/// Calls on a connection; clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Channel(SendRequest<Body>);

/// Takes the client's part on a connection.
pub(crate) async fn dial<C>(connection: C) -> Result<Channel, hyper::Error>
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
    tokio::spawn(life);
    Ok(Channel(sender))
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
