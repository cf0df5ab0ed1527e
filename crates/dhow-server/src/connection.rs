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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
    use tokio::sync::oneshot;
    use tokio::task::JoinHandle;

    use super::*;

    fn serve(router: Router, stop: CancellationToken) -> (DuplexStream, JoinHandle<()>) {
        let (client, connection) = tokio::io::duplex(64 * 1024);
        let serving = serve_connection(connection, router, ConnectionLimits::REMOTE, stop);
        (client, tokio::spawn(serving))
    }

    #[tokio::test(start_paused = true)]
    async fn who_dawdles_over_the_head_is_cut_off() {
        let (mut client, serving) = serve(Router::new(), CancellationToken::new());
        client.write_all(b"GET / HT").await.unwrap();
        let begun = tokio::time::Instant::now();
        serving.await.unwrap();
        assert!(begun.elapsed() >= Duration::from_secs(30));
    }

    #[tokio::test]
    async fn a_request_under_way_is_answered_after_the_stop() {
        let (go, gone) = oneshot::channel::<()>();
        let (began, begun) = oneshot::channel::<()>();
        let once = std::sync::Mutex::new(Some((began, gone)));
        let once = std::sync::Arc::new(once);
        let handler = move || {
            let (began, gone) = once.lock().unwrap().take().unwrap();
            async move {
                began.send(()).unwrap();
                gone.await.unwrap();
                "done"
            }
        };
        let stop = CancellationToken::new();
        let (mut client, serving) = serve(Router::new().route("/", get(handler)), stop.clone());
        client
            .write_all(b"GET / HTTP/1.1\r\nHost: d\r\n\r\n")
            .await
            .unwrap();
        begun.await.unwrap();
        stop.cancel();
        go.send(()).unwrap();
        let mut text = String::new();
        client.read_to_string(&mut text).await.unwrap();
        assert!(
            text.starts_with("HTTP/1.1 200 ") && text.ends_with("done"),
            "{text}"
        );
        serving.await.unwrap();
    }

    #[tokio::test]
    async fn a_client_that_hangs_up_ends_its_request() {
        let (began, begun) = oneshot::channel::<()>();
        let (held, ended) = oneshot::channel::<()>();
        let once = std::sync::Arc::new(std::sync::Mutex::new(Some((began, held))));
        let handler = move || {
            let (began, _held) = once.lock().unwrap().take().unwrap();
            async move {
                began.send(()).unwrap();
                let _held = _held;
                std::future::pending::<()>().await;
            }
        };
        let (mut client, serving) = serve(
            Router::new().route("/", get(handler)),
            CancellationToken::new(),
        );
        client
            .write_all(b"GET / HTTP/1.1\r\nHost: d\r\n\r\n")
            .await
            .unwrap();
        begun.await.unwrap();
        drop(client);
        assert!(ended.await.is_err());
        serving.await.unwrap();
    }
}
