//! Archives on their way out: written by a thread, read as chunks.

use std::io::{self, Write};

use bytes::Bytes;
use tokio::sync::mpsc;

use super::ByteStream;
use crate::{Error, Result};

/// How many chunks wait for a slow reader.
const WAITING: usize = 4;

/// Runs `work` on a thread that may block; what it writes is the stream. It is told by an error when nobody reads any
/// more; an error of its own ends the stream.
pub(crate) fn written(
    work: impl FnOnce(&mut ChunkWriter) -> Result<()> + Send + 'static,
) -> ByteStream {
    let (sender, receiver) = mpsc::channel(WAITING);
    tokio::task::spawn_blocking(move || {
        let mut out = ChunkWriter { sender };
        if let Err(error) = work(&mut out) {
            // Where nobody reads any more, nobody wants to know.
            let _ = out.sender.blocking_send(Err(error));
        }
    });
    receiver
}

/// Sends each piece that is written as one chunk; meant for large ones.
#[derive(Debug)]
pub(crate) struct ChunkWriter {
    sender: mpsc::Sender<Result<Bytes, Error>>,
}

impl Write for ChunkWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let chunk = Bytes::copy_from_slice(bytes);
        let sent = self.sender.blocking_send(Ok(chunk));
        sent.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[tokio::test]
    async fn what_is_written_arrives_and_then_the_error() {
        let mut stream = written(|out| {
            out.write_all(b"one").unwrap();
            out.write_all(b"two").unwrap();
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
        let stream = written(move |out| {
            let error = loop {
                if let Err(error) = out.write(b"x") {
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
