//! Connections that stop being HTTP: attach and exec.
//!
//! A client that asks `Upgrade: tcp` gets `101 UPGRADED`, and from then on the connection is the process's streams.
//! An old client that doesn't ask gets `200` and the output as the body, the request's body being the input.

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Request};
use axum::response::Response;
use dhow_engine::streams::Attachment;
use http::{HeaderValue, StatusCode, header};
use http_body_util::BodyExt;
use hyper::ext::ReasonPhrase;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};

use super::{reading, typed};

/// The stream number of the engine's own error texts.
pub(super) const SYSTEM_ERROR: u8 = 3;
/// The stream number of stdout.
const STDOUT: u8 = 1;
/// The output's buffer: one write for a pipe's worth.
const BUFFER: usize = 32 * 1024;

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
pub(crate) fn hijacked(hijack: Hijack, kind: &'static str, carried: Carried) -> Response {
    let Some(upgrade) = hijack.upgrade else {
        return streamed(hijack.body, kind, carried);
    };
    tokio::spawn(async move {
        let Ok(connection) = upgrade.await else {
            return;
        };
        let mut connection = TokioIo::new(connection);
        match carried {
            Carried::Process(attachment) => join(connection, attachment).await,
            Carried::Text(text) => {
                // The client may be gone; then there is nobody to tell.
                let _ = connection.write_all(&text).await;
                let _ = connection.shutdown().await;
            }
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

/// Carries bytes both ways until the output ends or the client is gone.
async fn join(connection: impl AsyncRead + AsyncWrite, attachment: Attachment) {
    let (client_in, mut client_out) = tokio::io::split(connection);
    let (output, mut input) = tokio::io::split(attachment.stream);
    let to_process = async {
        let mut client_in = BufReader::with_capacity(BUFFER / 4, client_in);
        // Both ends of the input are ends only of the input: the output goes on.
        let _ = tokio::io::copy_buf(&mut client_in, &mut input).await;
        let _ = input.shutdown().await;
        std::future::pending::<()>().await;
    };
    let to_client = async {
        let mut output = BufReader::with_capacity(BUFFER, output);
        let _ = tokio::io::copy_buf(&mut output, &mut client_out).await;
        let _ = client_out.shutdown().await;
    };
    tokio::select! {
        () = to_client => {}
        () = to_process => {}
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
    typed(StatusCode::OK, kind, body)
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
    use super::*;

    #[test]
    fn frames_have_dockers_header() {
        assert_eq!(
            text_frame(false, STDOUT, "hi"),
            &b"\x01\0\0\0\0\0\0\x02hi"[..]
        );
        assert_eq!(text_frame(true, STDOUT, "hi"), &b"hi"[..]);
    }
}
