//! Accepting connections, and seeing the last ones out.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use dhow_buildkit::BuildKit;
use dhow_server::{ConnectionLimits, serve_connection};
use rustix::net::RecvFlags;
use tokio::io::{AsyncRead, AsyncWrite, Interest};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::idle::{self, Idle};
use crate::listen::Listener;
use crate::tls::Acceptor;

/// The most connections over TCP at a time: strangers must not use up the descriptors containers need.
const REMOTE_CONNECTIONS: usize = 1024;
/// How long a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long to leave a listener alone that has no descriptors to accept with.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// What every connection needs.
#[derive(Clone)]
pub(crate) struct Serving {
    router: Router,
    /// For clients that speak gRPC at once, without asking for it by HTTP/1.1.
    buildkit: BuildKit,
    stop: CancellationToken,
    connections: TaskTracker,
    remote: Arc<Semaphore>,
    idle: Idle,
}

impl Serving {
    /// Serves `router`, and `buildkit` to those who begin with HTTP/2, until `stop` is cancelled.
    pub(crate) fn new(router: Router, buildkit: BuildKit, stop: CancellationToken) -> Self {
        let idle = Idle::default();
        tokio::spawn(idle.clone().watch(idle::give_back));
        Self {
            idle,
            router,
            buildkit,
            stop,
            connections: TaskTracker::new(),
            remote: Arc::new(Semaphore::new(REMOTE_CONNECTIONS)),
        }
    }

    /// Begins to accept at `listener`.
    pub(crate) fn listen(&self, listener: Listener) -> io::Result<()> {
        let serving = self.clone();
        match listener {
            Listener::Unix(listener) => {
                let listener = UnixListener::from_std(listener)?;
                tokio::spawn(serving.unix(listener));
            }
            Listener::Tcp(listener) => {
                let listener = TcpListener::from_std(listener)?;
                tokio::spawn(serving.tcp(listener, None));
            }
            Listener::Tls(listener, acceptor) => {
                let listener = TcpListener::from_std(listener)?;
                tokio::spawn(serving.tcp(listener, Some(acceptor)));
            }
        }
        Ok(())
    }

    /// Waits for the connections to end, at most for `limit`; says whether all did.
    pub(crate) async fn drained(&self, limit: Duration) -> bool {
        self.connections.close();
        tokio::time::timeout(limit, self.connections.wait())
            .await
            .is_ok()
    }

    async fn unix(self, listener: UnixListener) {
        while let Some(accepted) = self.accept(listener.accept()).await {
            match accepted {
                Ok((connection, _)) => self.tell_apart(connection, ConnectionLimits::LOCAL, None),
                Err(error) => refused(&error).await,
            }
        }
    }

    async fn tcp(self, listener: TcpListener, acceptor: Option<Acceptor>) {
        while let Some(accepted) = self.accept(listener.accept()).await {
            let (connection, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    refused(&error).await;
                    continue;
                }
            };
            let Ok(permit) = self.remote.clone().try_acquire_owned() else {
                tracing::warn!(%peer, "too many connections; one is refused");
                continue;
            };
            // Answers are written whole; waiting for more only delays them.
            let _ = connection.set_nodelay(true);
            // An attached client whose host vanished is found out this way only.
            let _ = rustix::net::sockopt::set_socket_keepalive(&connection, true);
            let Some(Acceptor(acceptor)) = acceptor.clone() else {
                self.tell_apart(connection, ConnectionLimits::REMOTE, Some(permit));
                continue;
            };
            let serving = self.clone();
            tokio::spawn(async move {
                match tokio::time::timeout(HANDSHAKE, acceptor.accept(connection)).await {
                    Ok(Ok(connection)) => {
                        serving.begin(connection, ConnectionLimits::REMOTE, Some(permit));
                    }
                    Ok(Err(error)) => tracing::info!(%peer, %error, "TLS handshake error"),
                    Err(_) => tracing::info!(%peer, "TLS handshake took too long"),
                }
            });
        }
    }

    async fn accept<T>(&self, accepting: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            () = self.stop.cancelled() => None,
            accepted = accepting => Some(accepted),
        }
    }

    /// Begins with whichever protocol the client does.
    fn tell_apart<C>(
        &self,
        connection: C,
        limits: ConnectionLimits,
        permit: Option<tokio::sync::OwnedSemaphorePermit>,
    ) where
        C: Socket,
    {
        let serving = self.clone();
        let connected = self.idle.connected();
        self.connections.spawn(async move {
            let limit = limits.header_timeout.unwrap_or(Duration::MAX);
            let first = tokio::select! {
                () = serving.stop.cancelled() => return,
                first = tokio::time::timeout(limit, begins_with_http2(&connection)) => first,
            };
            // Who says nothing for too long is told so by the one who serves, or is gone.
            if let Ok(Ok(true)) = first {
                serving.buildkit.serve_grpc(connection).await;
                drop((permit, connected));
            } else {
                drop(connected);
                serving.begin(connection, limits, permit);
            }
        });
    }

    fn begin<C>(
        &self,
        connection: C,
        limits: ConnectionLimits,
        permit: Option<tokio::sync::OwnedSemaphorePermit>,
    ) where
        C: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (router, stop) = (self.router.clone(), self.stop.clone());
        let connected = self.idle.connected();
        self.connections.spawn(async move {
            serve_connection(connection, router, limits, stop).await;
            drop((permit, connected));
        });
    }
}

/// A connection of which the first bytes can be looked at before they are read.
trait Socket: AsyncRead + AsyncWrite + AsFd + Unpin + Send + Sync + 'static {
    /// Waits until there is something to read.
    fn readable(&self) -> impl Future<Output = io::Result<()>> + Send;

    /// Does what has to be tried again when nothing was there after all.
    fn attempt<T>(&self, work: impl FnOnce() -> io::Result<T>) -> io::Result<T>;
}

impl Socket for UnixStream {
    fn readable(&self) -> impl Future<Output = io::Result<()>> + Send {
        Self::readable(self)
    }

    fn attempt<T>(&self, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        self.try_io(Interest::READABLE, work)
    }
}

impl Socket for TcpStream {
    fn readable(&self) -> impl Future<Output = io::Result<()>> + Send {
        Self::readable(self)
    }

    fn attempt<T>(&self, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        self.try_io(Interest::READABLE, work)
    }
}

/// Whether a client begins with HTTP/2's preface: no method of HTTP/1.1 begins like that.
async fn begins_with_http2(connection: &impl Socket) -> io::Result<bool> {
    const PREFACE: &[u8] = b"PRI";
    let mut first = [0; PREFACE.len()];
    loop {
        connection.readable().await?;
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        let seen = connection.attempt(|| {
            let (length, _) = rustix::net::recv(connection, &mut first, flags)?;
            Ok(length)
        });
        match seen {
            Ok(length) => return Ok(first.get(..length) == Some(PREFACE)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

/// A connection that could not be accepted: the client's loss, or ours for a moment.
async fn refused(error: &io::Error) {
    tracing::warn!(%error, "cannot accept a connection");
    let gone = matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    );
    if !gone {
        // No event tells when descriptors are free again.
        tokio::time::sleep(EXHAUSTED).await;
    }
}
