//! A container's streams over a websocket: each message is a piece of them, without Docker's frames.

use axum::extract::ws::{Message, WebSocket};
use dhow_engine::streams::Attachment;
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// How much output goes into one message at most.
const BUFFER: usize = 32 * 1024;
/// The length of the header before each piece of framed output.
const HEADER: usize = 8;

/// What messages are: API versions before 1.28 have text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// UTF-8; what isn't is replaced.
    Text,
    /// Bytes.
    Binary,
}

/// Carries an attachment until its output ends or the client goes.
pub(crate) async fn carry(socket: WebSocket, attachment: Attachment, kind: Kind) {
    let framed = !attachment.tty;
    let (output, input) = tokio::io::split(attachment.stream);
    let (to_client, from_client) = socket.split();
    tokio::select! {
        () = send(output, to_client, framed, kind) => {}
        () = receive(from_client, input) => {}
    }
}

async fn send(
    mut output: impl AsyncRead + Unpin,
    mut client: SplitSink<WebSocket, Message>,
    framed: bool,
    kind: Kind,
) {
    let mut frames = framed.then(Frames::default);
    let mut buffer = vec![0; BUFFER];
    // An output that breaks off has ended.
    while let Ok(length @ 1..) = output.read(&mut buffer).await {
        let piece = match &mut frames {
            Some(frames) => frames.payload(&buffer[..length]),
            None => buffer[..length].to_vec(),
        };
        if piece.is_empty() {
            continue;
        }
        let message = match kind {
            Kind::Binary => Message::Binary(piece.into()),
            Kind::Text => Message::Text(String::from_utf8_lossy(&piece).into_owned().into()),
        };
        if client.send(message).await.is_err() {
            return;
        }
    }
    // The client may be gone already.
    let _ = client.close().await;
}

/// Ends when the client is gone; one that closes in order has ended the input, and waits for the output no more.
async fn receive(mut client: SplitStream<WebSocket>, mut input: impl AsyncWrite + Unpin) {
    while let Some(Ok(message)) = client.next().await {
        let bytes = match message {
            Message::Binary(bytes) => bytes,
            Message::Text(text) => text.into(),
            Message::Ping(_) | Message::Pong(_) => continue,
            Message::Close(_) => break,
        };
        if input.write_all(&bytes).await.is_err() {
            // The process takes no more input; its output may go on.
            std::future::pending::<()>().await;
        }
    }
    let _ = input.shutdown().await;
}

/// Takes Docker's frames off output that comes in pieces of any length.
#[derive(Debug, Default)]
struct Frames {
    header: Vec<u8>,
    /// What is still to come of the current frame.
    remaining: usize,
}

impl Frames {
    fn payload(&mut self, mut bytes: &[u8]) -> Vec<u8> {
        let mut payload = Vec::with_capacity(bytes.len());
        while !bytes.is_empty() {
            if self.remaining == 0 {
                let take = bytes.len().min(HEADER - self.header.len());
                self.header.extend_from_slice(&bytes[..take]);
                bytes = &bytes[take..];
                if self.header.len() == HEADER {
                    self.remaining = self.header[4..]
                        .iter()
                        .fold(0, |length, byte| length << 8 | usize::from(*byte));
                    self.header.clear();
                }
                continue;
            }
            let take = bytes.len().min(self.remaining);
            payload.extend_from_slice(&bytes[..take]);
            self.remaining -= take;
            bytes = &bytes[take..];
        }
        payload
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_off_whatever_the_cuts() {
        let framed = b"\x01\0\0\0\0\0\0\x03one\x02\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\x03two";
        for step in 1..framed.len() {
            let mut frames = Frames::default();
            let pieces = framed.chunks(step).map(|piece| frames.payload(piece));
            assert_eq!(pieces.collect::<Vec<_>>().concat(), b"onetwo", "{step}");
        }
    }
}
