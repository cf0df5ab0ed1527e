//! Bodies that are written as they come.

use std::convert::Infallible;

use axum::body::Body;
use dhow_engine::streams::{ByteStream, LogStream};
use futures::stream::{self, Stream, StreamExt};
use tokio::io::AsyncRead;
use tokio::sync::mpsc;
use tokio_util::io::ReaderStream;
use tokio_util::sync::CancellationToken;

use super::hijack::{SYSTEM_ERROR, text_frame};

/// The media type of raw streams.
pub(crate) const RAW: &str = "application/vnd.docker.raw-stream";
/// The media type of framed streams.
const MULTIPLEXED: &str = "application/vnd.docker.multiplexed-stream";

/// The media type of a stream with frames; the name exists since API 1.42.
pub(crate) fn multiplexed(tty: bool, version: crate::ApiVersion) -> &'static str {
    if tty || version.before(42) {
        RAW
    } else {
        MULTIPLEXED
    }
}

/// A log as a body; an error on the way is told within the stream, as in Docker.
pub(crate) fn log_stream(log: LogStream, stop: CancellationToken) -> Body {
    let tty = log.tty;
    let chunks = receiver(log.chunks).map(move |chunk| {
        let chunk = chunk.unwrap_or_else(|error| {
            let error = dhow_errdefs::chain(&error).to_string();
            text_frame(
                tty,
                SYSTEM_ERROR,
                &format!("Error grabbing logs: {error}\n"),
            )
        });
        Ok::<_, Infallible>(chunk)
    });
    Body::from_stream(chunks.take_until(stop.cancelled_owned()))
}

/// Bytes as they come; an error on the way cuts the connection, as there is no other way to tell it.
pub(crate) fn byte_stream(bytes: ByteStream) -> Body {
    Body::from_stream(receiver(bytes).map(|chunk| {
        chunk.map_err(|error| {
            let text = dhow_errdefs::chain(&error).to_string();
            tracing::error!("stream broken off: {text}");
            std::io::Error::other(text)
        })
    }))
}

/// What a reader gives as a body.
pub(crate) fn reading(reader: impl AsyncRead + Send + 'static) -> Body {
    Body::from_stream(ReaderStream::with_capacity(reader, 64 * 1024))
}

fn receiver<T: Send + 'static>(receiver: mpsc::Receiver<T>) -> impl Stream<Item = T> + Send {
    stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|item| (item, receiver))
    })
}
