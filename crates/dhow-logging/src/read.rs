//! Readers: from a log to what the API sends.

use std::future::Future;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::PathBuf;

use bytes::Bytes;
use jiff::Timestamp;
use tokio::sync::mpsc;

use crate::{Error, LogConfig};

/// A log to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSource {
    /// The driver it was written with.
    pub driver: String,
    /// Its newest file; the rotated ones stand beside it.
    pub path: PathBuf,
}

impl From<&LogConfig> for LogSource {
    fn from(config: &LogConfig) -> Self {
        Self { driver: config.driver.clone(), path: config.path.clone() }
    }
}

/// What to read, and how to present it; the parameters of `GET /containers/{id}/logs`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadOptions {
    /// Entries of standard output.
    pub stdout: bool,
    /// Entries of standard error.
    pub stderr: bool,
    /// Only entries that are not older.
    pub since: Option<Timestamp>,
    /// Only entries that are not younger.
    pub until: Option<Timestamp>,
    /// Only the last so many entries (of both streams, counted before the other conditions, as Docker does).
    pub tail: Option<u64>,
    /// Go on with what is written later.
    pub follow: bool,
    /// Begin each entry with its time and a space.
    pub timestamps: bool,
    /// Begin each entry with its attributes and a space.
    pub details: bool,
    /// Put each entry into a frame of Docker's multiplexed format; off for containers with a terminal.
    pub framed: bool,
}

impl Default for ReadOptions {
    /// Everything there is, of both streams, framed.
    fn default() -> Self {
        Self {
            stdout: true,
            stderr: true,
            since: None,
            until: None,
            tail: None,
            follow: false,
            timestamps: false,
            details: false,
            framed: true,
        }
    }
}

/// Where a [`Reader`] stands after a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// There is more to read now.
    More,
    /// Everything written so far was read; a following reader waits for the log to change.
    CaughtUp,
    /// Nothing will come any more.
    Ended,
}

/// Reads a log; the blocking core.
///
/// Each [`Reader::read`] decodes a bounded number of entries into the caller's buffer. Iterate until
/// [`Progress::Ended`]; on [`Progress::CaughtUp`] (only when following) wait until [`Reader::watch`] is readable.
#[derive(Debug)]
pub struct Reader {}

impl Reader {
    /// Opens a log and finds the first entry wanted.
    ///
    /// # Errors
    /// [`Error::NotReadable`] for a driver that keeps nothing, or when the files can't be read. A log file that does
    /// not exist (yet) is an empty log.
    pub fn open(source: &LogSource, options: ReadOptions) -> Result<Self, Error> {
        todo!("{source:?} {options:?}")
    }

    /// Appends the next entries to `out`, at most about `limit` bytes of them.
    ///
    /// # Errors
    /// When a file can't be read. Lines that can't be understood are skipped.
    pub fn read(&mut self, out: &mut Vec<u8>, limit: usize) -> Result<Progress, Error> {
        todo!("{out:?} {limit}")
    }

    /// The descriptor (inotify) that becomes readable when the log changes; `None` when not following.
    #[must_use]
    pub fn watch(&self) -> Option<BorrowedFd<'_>> {
        todo!()
    }

    /// Says that nothing more will be written: the reader ends where the log ends now.
    pub fn writer_ended(&mut self) {
        todo!()
    }

    /// Blocks until the log changes or `stop` becomes readable; then behaves as after [`Reader::writer_ended`] in
    /// the latter case.
    ///
    /// # Errors
    /// When the log can't be watched.
    pub fn wait(&mut self, stop: BorrowedFd<'_>) -> Result<(), Error> {
        todo!("{stop:?}")
    }
}

/// Makes a descriptor pair to end a blocking follower: dropping the second makes the first readable.
///
/// # Errors
/// When no pipe can be made.
pub fn follow_stop() -> std::io::Result<(OwnedFd, OwnedFd)> {
    todo!()
}

/// Reads a log in the background and sends it in chunks of about 64 KiB; needs a tokio runtime.
///
/// The channel is bounded, so a slow receiver slows the reading; dropping it ends the reading. A following stream
/// ends when everything written before `ended` became ready was sent. No thread is held while it waits.
#[must_use]
pub fn stream(
    source: LogSource,
    options: ReadOptions,
    ended: impl Future<Output = ()> + Send + 'static,
) -> mpsc::Receiver<Result<Bytes, Error>> {
    drop((source, options, ended));
    todo!()
}
