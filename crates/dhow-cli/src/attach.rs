//! Standard streams joined to a container's: attach, `run` and `exec`.

pub(crate) mod keys;
pub(crate) mod signals;

use std::io::{self, Write};
use std::os::fd::AsFd;

use bytes::Bytes;
use dhow_terminal::{RawMode, is_terminal};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::{mpsc, oneshot};

use crate::error::{Error, Result};
use dhow_client::Hijacked;
use dhow_client::frames::{Decoder, Stream};
use keys::{Detacher, Step};

/// How the streams are joined.
#[derive(Debug, Clone, Default)]
pub(crate) struct Streams {
    pub(crate) stdin: bool,
    pub(crate) stdout: bool,
    pub(crate) stderr: bool,
    /// The container has a terminal: its output is one stream, not two multiplexed ones.
    pub(crate) tty: bool,
    /// Signals are handed on to the container rather than ending us.
    pub(crate) proxied: bool,
    pub(crate) detach_keys: String,
}

/// Why streaming ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The container's output did.
    Output,
    /// The user typed the detach keys.
    Detached,
}

type Raw = dhow_client::RawStream;

/// Moves bytes both ways until the container's output ends or the user detaches.
pub(crate) async fn stream(hijacked: Hijacked, streams: &Streams) -> Result<Ended> {
    let interactive = streams.stdin && streams.tty && is_terminal(io::stdin());
    let keys = keys::parse(&streams.detach_keys)?;
    let raw = match interactive {
        true => Some(
            RawMode::enter(io::stdin().as_fd())
                .map_err(|error| Error::io("unable to setup input stream", error))?,
        ),
        false => None,
    };
    let multiplexed = !streams.tty;
    let (reader, writer) = tokio::io::split(hijacked.stream);
    let output = receive(reader, multiplexed, streams);
    tokio::pin!(output);
    let killed = signals::termination(raw.is_some() && !streams.proxied);
    tokio::pin!(killed);
    if !streams.stdin {
        return tokio::select! {
            outcome = &mut output => outcome.map(|()| Ended::Output),
            code = &mut killed => Err(Error::exit(code)),
        };
    }
    let detacher = streams.tty.then(|| Detacher::new(keys));
    let input = send(writer, detacher);
    tokio::pin!(input);
    let outcome = tokio::select! {
        outcome = &mut output => outcome.map(|()| Ended::Output),
        code = &mut killed => Err(Error::exit(code)),
        ended = &mut input => match ended {
            Ended::Detached => Ok(Ended::Detached),
            // The input is over; the output is not yet.
            Ended::Output => tokio::select! {
                outcome = &mut output => outcome.map(|()| Ended::Output),
                code = &mut killed => Err(Error::exit(code)),
            },
        },
    };
    drop(raw);
    outcome
}

/// Sends standard input until it ends (and closes that direction) or the detach keys are typed.
async fn send(mut writer: WriteHalf<Raw>, mut detacher: Option<Detacher>) -> Ended {
    let mut chunks = dhow_client::input::chunks(io::stdin());
    while let Some(chunk) = chunks.recv().await {
        let Ok(chunk) = chunk else { break };
        let (data, detached) = match &mut detacher {
            None => (chunk, false),
            Some(detacher) => match detacher.feed(&chunk) {
                Step::Pass(data) => (data, false),
                Step::Detach(data) => (data, true),
            },
        };
        // A container that no longer reads is known by its output's end.
        if !data.is_empty() && writer.write_all(&data).await.is_err() {
            return Ended::Output;
        }
        if detached {
            return Ended::Detached;
        }
        if chunks.is_empty() {
            let _ = writer.flush().await;
        }
    }
    let _ = writer.flush().await;
    let _ = writer.shutdown().await;
    Ended::Output
}

async fn receive(mut reader: ReadHalf<Raw>, multiplexed: bool, streams: &Streams) -> Result<()> {
    let mut output = Output::new(streams);
    let mut decoder = Decoder::default();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = match reader.read(&mut buffer).await {
            Ok(0) => break,
            Ok(read) => read,
            // An engine that dies resets the connection; what it sent has been shown.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof
                ) =>
            {
                break;
            }
            Err(error) => return Err(error.into()),
        };
        if multiplexed {
            decoder.feed(&buffer[..read]);
            while let Some((stream, data)) = decoder.next_piece()? {
                output.write(stream, data).await?;
            }
        } else {
            output
                .write(Stream::Stdout, Bytes::copy_from_slice(&buffer[..read]))
                .await?;
        }
    }
    output.finish().await
}

/// Standard output and error. While input flows too, they are written by a thread of their own, so that a slow
/// reader of ours does not hold up what is sent to the container.
struct Output {
    stdout: bool,
    stderr: bool,
    thread: Option<Thread>,
}

/// What the thread is to write, and how it ended.
type Thread = (
    mpsc::Sender<(Stream, Bytes)>,
    oneshot::Receiver<io::Result<()>>,
);

impl Output {
    fn new(streams: &Streams) -> Self {
        let thread = streams.stdin.then(|| {
            let (sender, mut receiver) = mpsc::channel::<(Stream, Bytes)>(16);
            let (done, finished) = oneshot::channel();
            std::thread::spawn(move || {
                let mut outcome = Ok(());
                while let Some((stream, data)) = receiver.blocking_recv() {
                    outcome = write(stream, &data);
                    if outcome.is_err() {
                        break;
                    }
                }
                let _ = done.send(outcome);
            });
            (sender, finished)
        });
        Self {
            stdout: streams.stdout,
            stderr: streams.stderr,
            thread,
        }
    }

    async fn write(&mut self, stream: Stream, data: Bytes) -> Result<()> {
        let wanted = match stream {
            Stream::Stdout => self.stdout,
            Stream::Stderr => self.stderr,
        };
        if !wanted {
            return Ok(());
        }
        let Some((sender, _)) = &self.thread else {
            return write(stream, &data).map_err(|error| failed(&error));
        };
        if sender.send((stream, data)).await.is_ok() {
            return Ok(());
        }
        // The thread ended because it could not write.
        match self.thread.take() {
            Some((_, finished)) => match finished.await {
                Ok(Err(error)) => Err(failed(&error)),
                _ => Err(Error::exit(1)),
            },
            None => Err(Error::exit(1)),
        }
    }

    /// Waits until all is written.
    async fn finish(self) -> Result<()> {
        let Some((sender, finished)) = self.thread else {
            return Ok(());
        };
        drop(sender);
        match finished.await {
            Ok(outcome) => outcome.map_err(|error| failed(&error)),
            Err(_) => Ok(()),
        }
    }
}

/// Shows a piece of a container's output.
pub(crate) fn write(stream: Stream, data: &[u8]) -> io::Result<()> {
    match stream {
        Stream::Stdout => {
            let mut out = io::stdout().lock();
            out.write_all(data)?;
            out.flush()
        }
        Stream::Stderr => io::stderr().lock().write_all(data),
    }
}

/// Our own reader went away: end as the signal would have ended us.
pub(crate) fn failed(error: &io::Error) -> Error {
    if error.kind() == io::ErrorKind::BrokenPipe {
        Error::exit(141)
    } else {
        Error::text(format!(
            "write /dev/stdout: {}",
            dhow_golang::io_text(error)
        ))
    }
}
