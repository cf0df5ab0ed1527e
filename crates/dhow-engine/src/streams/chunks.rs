//! Archives on their way out: written by a thread, read as chunks.

use std::io;
use std::sync::mpsc as buffers;

use bytes::Bytes;
use dhow_archive::tar::Sink;
use tokio::sync::mpsc;

use super::ByteStream;
use crate::{Error, Result};

/// How many chunks wait for a slow reader.
const WAITING: usize = 4;

/// Runs `work` on a thread of its own; what it puts is the stream. It is told by an error when nobody reads any more; an
/// error of its own ends the stream.
///
/// The thread is none of those that all blocking work shares: clients that read slowly, or no more and stay, would keep
/// these from everybody else.
pub(crate) fn written(work: impl FnOnce(&mut Chunks) -> Result<()> + Send + 'static) -> ByteStream {
    let (sender, receiver) = mpsc::channel(WAITING);
    let told = sender.clone();
    let thread = std::thread::Builder::new().name("archive".into());
    let started = thread.spawn(move || {
        let (giving_back, used) = buffers::channel();
        let mut out = Chunks {
            sender,
            giving_back,
            used,
        };
        if let Err(error) = work(&mut out) {
            // Where nobody reads any more, nobody wants to know.
            let _ = out.sender.blocking_send(Err(error));
        }
    });
    if let Err(source) = started {
        let step = "start a thread for";
        // There is room for it: nothing was sent yet.
        let _ = told.try_send(Err(Error::View { step, source }));
    }
    receiver
}

/// Sends each piece as one chunk, without copying it: its buffer comes back when the chunk has been sent on.
#[derive(Debug)]
pub(crate) struct Chunks {
    sender: mpsc::Sender<Result<Bytes, Error>>,
    giving_back: buffers::Sender<Vec<u8>>,
    used: buffers::Receiver<Vec<u8>>,
}

impl Sink for &mut Chunks {
    fn put(&mut self, piece: Vec<u8>) -> io::Result<Vec<u8>> {
        let chunk = Bytes::from_owner(Piece {
            bytes: piece,
            giving_back: self.giving_back.clone(),
        });
        let sent = self.sender.blocking_send(Ok(chunk));
        sent.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        Ok(self.used.try_recv().unwrap_or_default())
    }

    fn end(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The bytes of a chunk.
struct Piece {
    bytes: Vec<u8>,
    giving_back: buffers::Sender<Vec<u8>>,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        // The work may be done, and in no need of buffers any more.
        let _ = self.giving_back.send(std::mem::take(&mut self.bytes));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[tokio::test]
    async fn what_is_put_arrives_and_then_the_error() {
        let mut stream = written(|mut out| {
            out.put(b"one".to_vec()).unwrap();
            out.put(b"two".to_vec()).unwrap();
            Err(Error::Refused("broken".into()))
        });
        assert_eq!(stream.recv().await.unwrap().unwrap(), "one");
        assert_eq!(stream.recv().await.unwrap().unwrap(), "two");
        let error = stream.recv().await.unwrap().unwrap_err();
        assert_eq!(error.to_string(), "broken");
        assert!(stream.recv().await.is_none());
    }

    #[tokio::test]
    async fn a_reader_that_is_gone_ends_the_work() {
        let (done, ended) = tokio::sync::oneshot::channel();
        let stream = written(move |mut out| {
            let error = loop {
                if let Err(error) = out.put(b"x".to_vec()) {
                    break error;
                }
            };
            done.send(error.kind()).unwrap();
            Ok(())
        });
        drop(stream);
        assert_eq!(ended.await.unwrap(), io::ErrorKind::BrokenPipe);
    }
}
