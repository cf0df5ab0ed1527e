//! HTTP/1.1 on one connection.

use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

/// What a client may take.
#[derive(Debug, Clone, Copy)]
pub struct ConnectionLimits {
    /// How long a request's head may take; `None` on sockets that only trusted users reach.
    pub header_timeout: Option<Duration>,
    /// The most bytes of a request's head.
    pub head_bytes: usize,
    /// The most headers of a request.
    pub headers: usize,
}

impl ConnectionLimits {
    /// For sockets on this host: idle connections are kept.
    pub const LOCAL: Self = Self {
        header_timeout: None,
        head_bytes: 64 * 1024,
        headers: 128,
    };
    /// For sockets others reach: who dawdles is cut off.
    pub const REMOTE: Self = Self {
        header_timeout: Some(Duration::from_secs(30)),
        ..Self::LOCAL
    };
}

/// Answers a connection's requests until it is closed or, once `stop` is cancelled, the one under way is answered.
///
/// Broken requests are answered with 400 by the HTTP layer; what the client does wrong is its own affair and only
/// traced.
pub async fn serve_connection<C>(
    connection: C,
    router: Router,
    limits: ConnectionLimits,
    stop: CancellationToken,
) where
    C: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        // Scripts look for `Api-Version:` as Docker writes it.
        .title_case_headers(true)
        .header_read_timeout(limits.header_timeout)
        .max_buf_size(limits.head_bytes)
        .max_headers(limits.headers);
    let service = TowerToHyperService::new(router);
    let serving = builder.serve_connection(TokioIo::new(connection), service);
    let serving = serving.with_upgrades();
    tokio::pin!(serving);
    let result = tokio::select! {
        result = serving.as_mut() => result,
        () = stop.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "connection ended");
    }
}
