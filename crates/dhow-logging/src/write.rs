//! Writers: from a container's output to a log.

mod compress;
mod escape;
mod file_options;
mod json_file;
mod rotate;
#[cfg(test)]
mod tests;

use std::os::fd::BorrowedFd;
use std::time::{Duration, SystemTime};

pub(crate) use compress::{Identity, run as compress};
pub(crate) use escape::push_escaped;
pub use json_file::JsonFile;
pub(crate) use rotate::{compressed, numbered};

use crate::forward::Forward;
use crate::validate::Plan;
use crate::{Error, LogConfig, Stream};

/// Takes a container's output, chunk by chunk, and stores or sends it.
///
/// Chunks need not end at line ends; what is left of a line waits (at most 16 KiB a stream) for the next chunk or
/// for [`Writer::finish`].
pub trait Writer {
    /// Takes a chunk, read from `stream` at `now`. Until [`Writer::flush`] it may wait in memory.
    ///
    /// # Errors
    /// What could not be stored is lost, and the next call begins anew; the log stays well-formed.
    fn write(&mut self, stream: Stream, chunk: &[u8], now: SystemTime) -> Result<(), Error>;

    /// Stores what waits in memory; to be called when there is nothing more to be read at once.
    ///
    /// # Errors
    /// As [`Writer::write`].
    fn flush(&mut self) -> Result<(), Error> {
        Ok(())
    }

    /// The stream ended: stores what is left of its last line.
    ///
    /// # Errors
    /// As [`Writer::write`].
    fn finish(&mut self, stream: Stream, now: SystemTime) -> Result<(), Error>;

    /// Gives back the memory of a burst; to be called when there is nothing to do.
    fn release(&mut self) {}

    /// The connection to the process that delivers, if there is one.
    fn link(&self) -> Option<Link<'_>> {
        None
    }

    /// Takes nothing more for the moment: the container's output should not be read until [`Writer::resume`] has
    /// changed that. Chunks that are written nevertheless are kept.
    fn is_behind(&self) -> bool {
        false
    }

    /// Its link is ready: goes on.
    ///
    /// # Errors
    /// As [`Writer::write`].
    fn resume(&mut self) -> Result<(), Error> {
        Ok(())
    }

    /// How many entries or chunks were lost so far because a receiver was away or too slow.
    fn lost(&self) -> u64 {
        0
    }

    /// Nothing more will come: waits at most so long for what is still on its way.
    fn close(&mut self, _patience: Duration) {}
}

/// A writer's connection to the process that delivers.
#[derive(Debug, Clone, Copy)]
pub struct Link<'a> {
    /// Another one when the process was started again.
    pub number: u32,
    /// Readable when the process has something to say: [`Writer::resume`].
    pub fd: BorrowedFd<'a>,
    /// Whether to wait until it is writable, too.
    pub waits: bool,
}

/// Opens the writer which `config` asks for; a log that is there already is continued.
///
/// # Errors
/// With Docker's texts: the driver can't be used as it is configured, or the file can't be opened.
pub fn open(config: &LogConfig) -> Result<Box<dyn Writer>, Error> {
    let plan = Plan::of(config);
    let apart = plan.remote || plan.buffer.is_some() && plan.file;
    if !apart {
        return Ok(match plan.file {
            true => Box::new(JsonFile::open(config)?),
            false => Box::new(Discard),
        });
    }
    // What may make nobody wait is written to its file by the logger, too.
    let file = match plan.file && plan.buffer.is_none() {
        true => Some(JsonFile::open(config)?),
        false => None,
    };
    let forward = Forward::start(config, plan)?;
    Ok(Box::new(Both { file, forward }))
}

/// The driver `none`: everything is thrown away.
#[derive(Debug, Clone, Copy, Default)]
pub struct Discard;

impl Writer for Discard {
    fn write(&mut self, _: Stream, _: &[u8], _: SystemTime) -> Result<(), Error> {
        Ok(())
    }

    fn finish(&mut self, _: Stream, _: SystemTime) -> Result<(), Error> {
        Ok(())
    }
}

/// A driver in a process of its own, and the copy that `docker logs` reads.
struct Both {
    file: Option<JsonFile>,
    forward: Forward,
}

impl Writer for Both {
    fn write(&mut self, stream: Stream, chunk: &[u8], now: SystemTime) -> Result<(), Error> {
        let sent = self.forward.write(stream, chunk, now);
        match &mut self.file {
            Some(file) => file.write(stream, chunk, now).and(sent),
            None => sent,
        }
    }

    fn flush(&mut self) -> Result<(), Error> {
        self.file.as_mut().map_or(Ok(()), Writer::flush)
    }

    fn finish(&mut self, stream: Stream, now: SystemTime) -> Result<(), Error> {
        let sent = self.forward.finish(stream, now);
        match &mut self.file {
            Some(file) => file.finish(stream, now).and(sent),
            None => sent,
        }
    }

    fn release(&mut self) {
        if let Some(file) = &mut self.file {
            file.release();
        }
    }

    fn link(&self) -> Option<Link<'_>> {
        self.forward.link()
    }

    fn is_behind(&self) -> bool {
        self.forward.is_behind()
    }

    fn resume(&mut self) -> Result<(), Error> {
        self.forward.resume()
    }

    fn lost(&self) -> u64 {
        self.forward.lost()
    }

    fn close(&mut self, patience: Duration) {
        self.forward.close(patience);
    }
}
