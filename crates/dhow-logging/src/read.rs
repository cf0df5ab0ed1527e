//! Readers: from a log to what the API sends.

mod decode;
mod files;
mod stream;
#[cfg(test)]
mod tests;
mod watch;

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use jiff::Timestamp;

use self::decode::{Decoded, Decoder};
use self::files::LogFile;
use self::watch::Watch;
use crate::{Error, LogConfig};

pub use self::stream::stream;

/// How much is read from a file at a time.
const BLOCK: usize = 128 * 1024;
/// Longer lines are no log's; they are passed over.
const LONGEST_LINE: usize = 1024 * 1024;

/// A log to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSource {
    /// Whether its driver keeps anything that can be read.
    pub readable: bool,
    /// Its newest file; the rotated ones stand beside it.
    pub path: PathBuf,
}

impl From<&LogConfig> for LogSource {
    fn from(config: &LogConfig) -> Self {
        Self {
            readable: crate::is_readable(config),
            path: config.path.clone(),
        }
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
pub struct Reader {
    path: PathBuf,
    decoder: Decoder,
    watch: Option<Watch>,
    writer_ended: bool,
    /// Still to be read, oldest first; the first is being read.
    files: VecDeque<LogFile>,
    buffer: Vec<u8>,
    /// The part of the buffer that was read and not yet decoded.
    unread: std::ops::Range<usize>,
    /// In the middle of a line too long to be one.
    skipping: bool,
    past: bool,
}

impl Reader {
    /// Opens a log and finds the first entry wanted.
    ///
    /// # Errors
    /// [`Error::NotReadable`] for a driver that keeps nothing, or when the files can't be read. A log file that does
    /// not exist (yet) is an empty log.
    pub fn open(source: &LogSource, options: ReadOptions) -> Result<Self, Error> {
        if !source.readable {
            return Err(Error::NotReadable);
        }
        // Watch first: what is written while the files are being opened must not go unnoticed.
        let watch = if options.follow {
            Some(Watch::new(&source.path)?)
        } else {
            None
        };
        let mut files = files::open_all(&source.path)?;
        if let Some(count) = options.tail {
            files::keep_tail(&mut files, count)?;
        }
        if let Some(since) = options.since {
            files::drop_older(&mut files, since.into());
        }
        Ok(Self {
            path: source.path.clone(),
            decoder: Decoder::new(options),
            watch,
            writer_ended: false,
            files,
            buffer: Vec::new(),
            unread: 0..0,
            skipping: false,
            past: false,
        })
    }

    /// Appends the next entries to `out`, at most about `limit` bytes of them.
    ///
    /// # Errors
    /// When a file can't be read. Lines that can't be understood are skipped.
    pub fn read(&mut self, out: &mut Vec<u8>, limit: usize) -> Result<Progress, Error> {
        if let Some(watch) = &self.watch {
            watch.drain();
        }
        let full = out.len() + limit;
        loop {
            self.decode(out, full);
            if self.past {
                return Ok(Progress::Ended);
            }
            if out.len() >= full {
                return Ok(Progress::More);
            }
            if !self.fill()? && !self.next_file()? {
                return Ok(if self.watch.is_none() || self.writer_ended {
                    Progress::Ended
                } else {
                    Progress::CaughtUp
                });
            }
        }
    }

    /// The descriptor (inotify) that becomes readable when the log changes; `None` when not following.
    #[must_use]
    pub fn watch(&self) -> Option<BorrowedFd<'_>> {
        self.watch.as_ref().map(AsFd::as_fd)
    }

    /// Says that nothing more will be written: the reader ends where the log ends now.
    pub fn writer_ended(&mut self) {
        self.writer_ended = true;
    }

    pub(crate) fn writer_has_ended(&self) -> bool {
        self.writer_ended
    }

    /// Blocks until the log changes or `stop` becomes readable; then behaves as after [`Reader::writer_ended`] in
    /// the latter case.
    ///
    /// # Errors
    /// When the log can't be watched.
    pub fn wait(&mut self, stop: BorrowedFd<'_>) -> Result<(), Error> {
        let changed = match &self.watch {
            Some(watch) => watch.wait(stop).map_err(|source| Error::Watch {
                path: self.path.clone(),
                source,
            })?,
            None => false,
        };
        self.writer_ended |= !changed;
        Ok(())
    }

    /// Decodes the whole lines in the buffer, until `out` has `full` bytes.
    fn decode(&mut self, out: &mut Vec<u8>, full: usize) {
        while out.len() < full {
            let unread = &self.buffer[self.unread.clone()];
            let Some(newline) = memchr::memchr(b'\n', unread) else {
                return;
            };
            let line = &unread[..newline];
            self.unread.start += newline + 1;
            if let Some(file) = self.files.front_mut() {
                file.position += newline as u64 + 1;
            }
            let passed = match self.files.front_mut() {
                Some(file) if file.passed > 0 => {
                    file.passed -= 1;
                    true
                }
                _ => false,
            };
            if std::mem::take(&mut self.skipping) || passed {
                continue;
            }
            if self.decoder.push(out, line) == Decoded::Past {
                self.past = true;
                return;
            }
        }
    }

    /// Reads more of the current file behind what is unread; false at its end.
    fn fill(&mut self) -> Result<bool, Error> {
        let Some(file) = self.files.front_mut() else {
            return Ok(false);
        };
        self.buffer.copy_within(self.unread.clone(), 0);
        self.unread = 0..self.unread.len();
        if self.unread.end >= LONGEST_LINE {
            file.position += self.unread.end as u64;
            self.unread = 0..0;
            self.skipping = true;
        }
        if self.buffer.len() < self.unread.end + BLOCK {
            self.buffer.resize(self.unread.end + BLOCK, 0);
        }
        let from = file.position + self.unread.end as u64;
        let read = file.read(&mut self.buffer[self.unread.end..], from)?;
        if read == 0 && !file.is_compressed() && file.length()? < file.position {
            // Someone has emptied the file; what is in it now was written since.
            file.position = 0;
            self.unread = 0..0;
            return Ok(file.length()? > 0);
        }
        self.unread.end += read;
        Ok(read > 0)
    }

    /// At the end of a file: goes on to the next, if there is one.
    fn next_file(&mut self) -> Result<bool, Error> {
        if self.files.len() <= 1 {
            return self.find_newer();
        }
        self.files.pop_front();
        self.unread = 0..0;
        self.skipping = false;
        Ok(true)
    }

    /// Looks for files that were begun after the current one. If there are any the current one must be read on
    /// before it is left: lines may have been added between its end being seen and its being replaced.
    fn find_newer(&mut self) -> Result<bool, Error> {
        if self.watch.is_none() {
            return Ok(false);
        }
        let newer = match self.files.front() {
            Some(current) => files::newer_than(&self.path, current)?,
            None => files::open_all(&self.path)?,
        };
        let found = !newer.is_empty();
        self.files.extend(newer);
        Ok(found)
    }
}

/// Makes a descriptor pair to end a blocking follower: dropping the second makes the first readable.
///
/// # Errors
/// When no pipe can be made.
pub fn follow_stop() -> std::io::Result<(OwnedFd, OwnedFd)> {
    Ok(rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?)
}
