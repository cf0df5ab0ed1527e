//! The stream of an attachment: perhaps preceded by the log, perhaps not connected yet, perhaps with detach keys.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures::Stream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot};

use super::Duplex;
use super::keys::Scanner;

/// Wraps an exec's stream: the keys end it (without a terminal nobody types keys), and it does not end before `end`, so
/// that whoever has read all of it finds the exit code.
pub(crate) fn of_exec(
    stream: UnixStream,
    keys: Vec<u8>,
    tty: bool,
    end: impl Future<Output = ()> + Send + Sync + 'static,
) -> Box<dyn Duplex> {
    let keys = if tty { keys } else { Vec::new() };
    let mut attached = Attached::new(Target::Connected(stream), keys);
    attached.end = Some(Box::pin(end));
    Box::new(attached)
}

/// A process's stream, now or later.
pub(crate) enum Target {
    /// It is there.
    Connected(UnixStream),
    /// It will be there when the container is started; the sender is dropped when it never will.
    Waiting(oneshot::Receiver<UnixStream>),
    /// There is none, or no more.
    Closed,
}

/// An attachment's stream.
pub(crate) struct Attached {
    /// What the log has; read first.
    log: Option<mpsc::Receiver<Result<Bytes, dhow_logging::Error>>>,
    /// What is left of the log's last chunk.
    rest: Bytes,
    target: Target,
    scanner: Scanner,
    /// Input that was scanned and not yet taken by the process.
    unsent: Vec<u8>,
    detached: bool,
    /// What has to be waited for when the process has closed its side.
    end: Option<Pin<Box<dyn Future<Output = ()> + Send + Sync>>>,
    reader: Option<std::task::Waker>,
}

impl Attached {
    pub(crate) fn new(target: Target, keys: Vec<u8>) -> Self {
        Self {
            log: None,
            rest: Bytes::new(),
            target,
            scanner: Scanner::new(keys),
            unsent: Vec::new(),
            detached: false,
            end: None,
            reader: None,
        }
    }

    /// Lets the log be read first.
    pub(crate) fn after(mut self, log: mpsc::Receiver<Result<Bytes, dhow_logging::Error>>) -> Self {
        self.log = Some(log);
        self
    }

    /// The stream once it is there; nothing when there is none.
    fn poll_target(&mut self, cx: &mut Context<'_>) -> Poll<Option<Pin<&mut UnixStream>>> {
        if let Target::Waiting(receiver) = &mut self.target {
            self.target = match ready!(Pin::new(receiver).poll(cx)) {
                Ok(stream) => Target::Connected(stream),
                Err(_) => Target::Closed,
            };
        }
        match &mut self.target {
            Target::Connected(stream) => Poll::Ready(Some(Pin::new(stream))),
            _ => Poll::Ready(None),
        }
    }

    /// Passes on what was scanned.
    fn poll_unsent(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.unsent.is_empty() {
            let unsent = std::mem::take(&mut self.unsent);
            let result = match self.poll_target(cx) {
                Poll::Ready(Some(stream)) => stream.poll_write(cx, &unsent),
                Poll::Ready(None) => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
                Poll::Pending => Poll::Pending,
            };
            let written = match &result {
                Poll::Ready(Ok(written)) => *written,
                _ => 0,
            };
            self.unsent = unsent.get(written..).unwrap_or_default().to_vec();
            ready!(result)?;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_log(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<bool>> {
        loop {
            if !self.rest.is_empty() {
                let piece = self.rest.split_to(self.rest.len().min(buf.remaining()));
                buf.put_slice(&piece);
                return Poll::Ready(Ok(true));
            }
            let Some(log) = &mut self.log else {
                return Poll::Ready(Ok(false));
            };
            match ready!(log.poll_recv(cx)) {
                Some(Ok(chunk)) => self.rest = chunk,
                Some(Err(error)) => return Poll::Ready(Err(io::Error::other(error))),
                None => self.log = None,
            }
        }
    }
}

impl AsyncRead for Attached {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.detached {
            return Poll::Ready(Ok(()));
        }
        self.reader = Some(cx.waker().clone());
        if ready!(self.poll_log(cx, buf))? {
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        if let Some(stream) = ready!(self.poll_target(cx)) {
            ready!(stream.poll_read(cx, buf))?;
        }
        if buf.filled().len() == before
            && let Some(end) = &mut self.end
        {
            ready!(end.as_mut().poll(cx));
            self.end = None;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Attached {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        input: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.detached {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        ready!(self.poll_unsent(cx))?;
        if self.scanner.is_idle(input) {
            return match ready!(self.poll_target(cx)) {
                Some(stream) => stream.poll_write(cx, input),
                None => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            };
        }
        let scanned = self.scanner.scan(input);
        self.unsent = scanned.pass;
        if scanned.detach {
            self.detached = true;
            // The process must not take the closing for the end of its input before it got what came before.
            let _ = self.poll_unsent(cx)?;
            self.target = Target::Closed;
            if let Some(reader) = self.reader.take() {
                reader.wake();
            }
        } else if let Poll::Ready(Err(error)) = self.poll_unsent(cx) {
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(input.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.detached || (self.unsent.is_empty() && !matches!(self.target, Target::Connected(_)))
        {
            return Poll::Ready(Ok(()));
        }
        ready!(self.poll_unsent(cx))?;
        match ready!(self.poll_target(cx)) {
            Some(stream) => stream.poll_flush(cx),
            None => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.detached {
            return Poll::Ready(Ok(()));
        }
        ready!(self.poll_unsent(cx))?;
        match ready!(self.poll_target(cx)) {
            Some(stream) => stream.poll_shutdown(cx),
            None => Poll::Ready(Ok(())),
        }
    }
}

impl Stream for super::LogStream {
    type Item = Result<Bytes, dhow_logging::Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.chunks.poll_recv(cx)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn a_waiting_stream_is_connected_and_detached() {
        let (sender, receiver) = oneshot::channel();
        let mut stream = Attached::new(Target::Waiting(receiver), vec![16, 17]);
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        sender.send(ours).unwrap();
        stream.write_all(b"hello\x10").await.unwrap();
        let mut buffer = [0; 5];
        theirs.read_exact(&mut buffer).await.unwrap();
        assert_eq!(&buffer, b"hello");
        theirs.write_all(b"answer").await.unwrap();
        let mut buffer = [0; 6];
        stream.read_exact(&mut buffer).await.unwrap();
        assert_eq!(&buffer, b"answer");
        stream.write_all(b"\x11").await.unwrap();
        assert_eq!(stream.read(&mut buffer).await.unwrap(), 0);
        assert_eq!(theirs.read(&mut buffer).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn a_stream_that_never_comes_ends() {
        let (sender, receiver) = oneshot::channel();
        let mut stream = Attached::new(Target::Waiting(receiver), Vec::new());
        drop(sender);
        let mut buffer = [0; 1];
        assert_eq!(stream.read(&mut buffer).await.unwrap(), 0);
        assert!(stream.write_all(b"x").await.is_err());
    }

    #[tokio::test]
    async fn an_execs_stream_ends_when_its_end_is_known() {
        let (known, end) = oneshot::channel::<()>();
        let (ours, theirs) = UnixStream::pair().unwrap();
        let end = async move { drop(end.await) };
        let mut stream = of_exec(ours, Vec::new(), false, end);
        drop(theirs);
        let mut buffer = [0; 1];
        let read = tokio::time::timeout(std::time::Duration::ZERO, stream.read(&mut buffer));
        assert!(read.await.is_err(), "the end is not known yet");
        known.send(()).unwrap();
        assert_eq!(stream.read(&mut buffer).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn the_log_comes_first() {
        let (sender, log) = mpsc::channel(4);
        sender.send(Ok(Bytes::from_static(b"old "))).await.unwrap();
        drop(sender);
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.write_all(b"new").await.unwrap();
        drop(theirs);
        let mut stream = Attached::new(Target::Connected(ours), Vec::new()).after(log);
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "old new");
    }
}
