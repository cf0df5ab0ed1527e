//! Connections that stop being HTTP: attach and exec.
//!
//! A client that asks `Upgrade: tcp` gets `101 UPGRADED`, and from then on the connection is the process's streams.
//! An old client that doesn't ask gets `200` and the output as the body, the request's body being the input.

use std::future::Future;
use std::io;
use std::os::fd::AsFd;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Request};
use axum::response::Response;
use dhow_engine::streams::Attachment;
use http::{HeaderValue, StatusCode, header};
use http_body_util::BodyExt;
use hyper::ext::ReasonPhrase;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, Interest};
use tokio::net::UnixStream;

use super::{reading, typed};

/// The stream number of the engine's own error texts.
pub(super) const SYSTEM_ERROR: u8 = 3;
/// The stream number of stdout.
const STDOUT: u8 = 1;
/// The output's buffer: one write for a pipe's worth.
const BUFFER: usize = 32 * 1024;
/// What a socket still counts while it tells that a message was read: the kernel gives back all of it but one byte, wakes
/// who waits, and gives back the last (`sock_wfree`). No wake follows, so that one must not be waited for.
const FREED: i32 = 1;
/// How long a process may take to read what a client sent before it went.
const FAREWELL: std::time::Duration = std::time::Duration::from_secs(10);

/// A connection that may be taken over once the answer is known.
pub(crate) struct Hijack {
    upgrade: Option<OnUpgrade>,
    body: Body,
}

impl<S: Sync> FromRequest<S> for Hijack {
    type Rejection = std::convert::Infallible;

    async fn from_request(mut request: Request, _: &S) -> Result<Self, Self::Rejection> {
        let asked = request.headers().contains_key(header::UPGRADE);
        let upgrade = request.extensions_mut().remove::<OnUpgrade>();
        Ok(Self {
            upgrade: upgrade.filter(|_| asked),
            body: request.into_body(),
        })
    }
}

impl Hijack {
    /// The same for a request whose body was read already.
    pub(crate) fn of(request: &mut Request) -> Self {
        let asked = request.headers().contains_key(header::UPGRADE);
        let upgrade = request.extensions_mut().remove::<OnUpgrade>();
        Self {
            upgrade: upgrade.filter(|_| asked),
            body: Body::empty(),
        }
    }
}

/// What a hijacked connection carries.
pub(crate) enum Carried {
    /// A process's streams.
    Process(Attachment),
    /// A text, then nothing more.
    Text(Bytes),
}

/// Answers by handing the connection over.
pub(crate) async fn hijacked(hijack: Hijack, kind: &'static str, carried: Carried) -> Response {
    hijacked_first(hijack, kind, std::future::ready(carried)).await
}

/// As [`hijacked`], `carried` being begun only once the answer's head is out. Some clients read the head through a
/// buffer and then go on with the bare socket: output that comes along with the head is lost to them.
pub(crate) async fn hijacked_first(
    hijack: Hijack,
    kind: &'static str,
    carried: impl Future<Output = Carried> + Send + 'static,
) -> Response {
    let Some(upgrade) = hijack.upgrade else {
        return streamed(hijack.body, kind, carried.await);
    };
    tokio::spawn(async move {
        let connection = upgrade.await;
        // Also when nobody is left to see it: what was asked for is done.
        let carried = carried.await;
        if let Ok(connection) = connection {
            carry(connection, carried).await;
        }
    });
    let mut response = typed(StatusCode::SWITCHING_PROTOCOLS, kind, Body::empty());
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("tcp"));
    let reason = ReasonPhrase::from_static(b"UPGRADED");
    response.extensions_mut().insert(reason);
    response
}

/// The answer after which the connection speaks another protocol.
pub(crate) fn upgraded(protocol: &'static str) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static(protocol));
    response
}

/// Carries a connection that is no longer HTTP to its end.
async fn carry(connection: Upgraded, carried: Carried) {
    // Behind a unix socket it can be seen when a client is gone for good rather than done with its input.
    match connection.downcast::<TokioIo<UnixStream>>() {
        Ok(parts) => {
            let socket = parts.io.into_inner();
            let (gone, seen) = (gone(&socket), seen(&socket));
            let (client_in, client_out) = socket.into_split();
            // Some clients read the head through a buffer and go on with the bare socket: what they got along with the
            // head would be lost to them.
            seen.await;
            let client_in = io::Cursor::new(parts.read_buf).chain(client_in);
            join(client_in, client_out, carried, gone).await;
        }
        Err(connection) => {
            let (client_in, client_out) = tokio::io::split(TokioIo::new(connection));
            join(client_in, client_out, carried, std::future::pending()).await;
        }
    }
}

/// Carries bytes both ways until the output ends or the client is gone.
async fn join(
    client_in: impl AsyncRead + Unpin,
    mut client_out: impl AsyncWrite + Unpin,
    carried: Carried,
    gone: impl Future<Output = ()>,
) {
    let attachment = match carried {
        Carried::Process(attachment) => attachment,
        Carried::Text(text) => {
            // The client may be gone; then there is nobody to tell.
            let _ = client_out.write_all(&text).await;
            let _ = client_out.shutdown().await;
            return;
        }
    };
    let (output, mut input) = tokio::io::split(attachment.stream);
    let fed = async {
        let mut client_in = BufReader::with_capacity(BUFFER / 4, client_in);
        // The end of the input is the end of only that: the output goes on.
        let _ = tokio::io::copy_buf(&mut client_in, &mut input).await;
        let _ = input.shutdown().await;
    };
    let shown = async {
        let mut output = BufReader::with_capacity(BUFFER, output);
        let shown = tokio::io::copy_buf(&mut output, &mut client_out).await;
        let _ = client_out.shutdown().await;
        shown.is_ok()
    };
    let over = async {
        tokio::select! {
            all = shown => all,
            () = gone => false,
        }
    };
    tokio::pin!(fed, over);
    let mut all_fed = false;
    let all_shown = loop {
        tokio::select! {
            () = &mut fed, if !all_fed => all_fed = true,
            all_shown = &mut over => break all_shown,
        }
    };
    if !all_shown && !all_fed {
        // The client has gone, and what it sent before counts: unless the process does not want it.
        let _ = tokio::time::timeout(FAREWELL, fed).await;
    }
}

/// Ends when all that was sent on the socket was read on its other side, or that side is closed.
fn seen(socket: &UnixStream) -> impl Future<Output = ()> + use<> {
    // The registration is edge-triggered: each message that is read there is news about room for writing here.
    #[allow(
        deprecated,
        reason = "it is sound for a descriptor that is owned, and what takes its place is unsafe"
    )]
    let watch = socket
        .as_fd()
        .try_clone_to_owned()
        .and_then(|socket| AsyncFd::with_interest(socket, Interest::WRITABLE));
    async move {
        let Ok(watch) = watch else { return };
        while let Ok(mut ready) = watch.writable().await {
            ready.clear_ready();
            if !dhow_sys::fds::unread(watch.get_ref()).is_ok_and(|unread| unread > FREED) {
                return;
            }
        }
    }
}

/// Ends when the other side of the socket is closed, and not when only its sending half is.
fn gone(socket: &UnixStream) -> impl Future<Output = ()> + use<> {
    // A registration of its own: it never asks to be told of room for writing, so that the only news about writing
    // is that it has no more sense.
    #[allow(
        deprecated,
        reason = "it is sound for a descriptor that is owned, and what takes its place is unsafe"
    )]
    let watch = socket
        .as_fd()
        .try_clone_to_owned()
        .and_then(|socket| AsyncFd::with_interest(socket, Interest::READABLE));
    async move {
        if let Ok(watch) = watch
            && watch.ready(Interest::WRITABLE).await.is_ok()
        {
            return;
        }
        std::future::pending().await
    }
}

fn streamed(body: Body, kind: &'static str, carried: Carried) -> Response {
    let body = match carried {
        Carried::Text(text) => Body::from(text),
        Carried::Process(attachment) => {
            let (output, mut input) = tokio::io::split(attachment.stream);
            tokio::spawn(async move {
                let mut body = body;
                while let Some(Ok(frame)) = body.frame().await {
                    let Ok(data) = frame.into_data() else {
                        continue;
                    };
                    if input.write_all(&data).await.is_err() {
                        return;
                    }
                }
                let _ = input.shutdown().await;
            });
            reading(output)
        }
    };
    let mut response = typed(StatusCode::OK, kind, body);
    // As with Docker, whose answer is the connection: a client that stops reading is not kept by it.
    let close = HeaderValue::from_static("close");
    response.headers_mut().insert(header::CONNECTION, close);
    response
}

/// A text on stdout, or, framed, on the stream of that number.
pub(crate) fn text_frame(tty: bool, stream: u8, text: &str) -> Bytes {
    if tty {
        return Bytes::copy_from_slice(text.as_bytes());
    }
    let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
    let mut frame = Vec::with_capacity(text.len() + 8);
    frame.extend([stream, 0, 0, 0]);
    frame.extend(length.to_be_bytes());
    frame.extend(text.as_bytes());
    frame.into()
}

impl Carried {
    /// What an exec that could not be started says, on its stdout.
    pub(crate) fn failure(tty: bool, text: &str) -> Self {
        Self::Text(text_frame(tty, STDOUT, &format!("{text}\r\n")))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use tokio::io::AsyncReadExt;

    use super::*;

    /// A client's socket, joined to a process whose other side is given too.
    fn joined() -> (
        UnixStream,
        tokio::io::DuplexStream,
        tokio::task::JoinHandle<()>,
    ) {
        let (client, socket) = UnixStream::pair().unwrap();
        let (process, stream) = tokio::io::duplex(1024);
        let attachment = Attachment {
            tty: true,
            stream: Box::new(stream),
        };
        let task = tokio::spawn(async move {
            let gone = gone(&socket);
            let (client_in, client_out) = socket.into_split();
            join(client_in, client_out, Carried::Process(attachment), gone).await;
        });
        (client, process, task)
    }

    #[tokio::test]
    async fn the_end_of_the_input_is_not_the_end_of_the_output() {
        let (mut client, mut process, task) = joined();
        client.write_all(b"in").await.unwrap();
        client.shutdown().await.unwrap();
        let mut input = String::new();
        process.read_to_string(&mut input).await.unwrap();
        assert_eq!(input, "in");
        process.write_all(b"out").await.unwrap();
        drop(process);
        let mut output = String::new();
        client.read_to_string(&mut output).await.unwrap();
        assert_eq!(output, "out");
        task.await.unwrap();
    }

    #[tokio::test]
    async fn a_client_that_is_gone_is_let_go_at_once() {
        let (client, mut process, task) = joined();
        drop(client);
        task.await.unwrap();
        assert_eq!(process.read(&mut [0]).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn what_was_sent_is_seen_once_it_is_read() {
        let (mut client, mut socket) = UnixStream::pair().unwrap();
        seen(&socket).await;
        socket.write_all(b"head").await.unwrap();
        let mut waiting = tokio::spawn(seen(&socket));
        let early = tokio::time::timeout(std::time::Duration::from_millis(50), &mut waiting);
        assert!(early.await.is_err());
        client.read_exact(&mut [0; 4]).await.unwrap();
        waiting.await.unwrap();
        socket.write_all(b"more").await.unwrap();
        drop(client);
        seen(&socket).await;
    }

    #[test]
    fn frames_have_dockers_header() {
        assert_eq!(
            text_frame(false, STDOUT, "hi"),
            &b"\x01\0\0\0\0\0\0\x02hi"[..]
        );
        assert_eq!(text_frame(true, STDOUT, "hi"), &b"hi"[..]);
    }
}
