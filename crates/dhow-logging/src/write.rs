//! Writers: from a container's output to a log.

mod escape;
mod json_file;
mod rotate;
#[cfg(test)]
mod tests;

use std::time::SystemTime;

pub use json_file::JsonFile;
pub(crate) use rotate::numbered;

use crate::{Error, LogConfig, Stream};

/// Takes a container's output, chunk by chunk, and stores it.
///
/// Chunks need not end at line ends; what is left of a line waits (at most 16 KiB a stream) for the next chunk or
/// for [`Writer::finish`].
pub trait Writer {
    /// Stores the lines of `chunk`, read from `stream` at `now`.
    ///
    /// # Errors
    /// What could not be stored is lost, and the next call begins anew; the log stays well-formed.
    fn write(&mut self, stream: Stream, chunk: &[u8], now: SystemTime) -> Result<(), Error>;

    /// The stream ended: stores what is left of its last line.
    ///
    /// # Errors
    /// As [`Writer::write`].
    fn finish(&mut self, stream: Stream, now: SystemTime) -> Result<(), Error>;

    /// Gives back the memory of a burst; to be called when there is nothing to do.
    fn release(&mut self) {}
}

/// Opens the writer which `config` asks for; a log that is there already is continued.
///
/// # Errors
/// As [`crate::validate`], or when the file can't be opened.
pub fn open(config: &LogConfig) -> Result<Box<dyn Writer>, Error> {
    crate::validate(&config.driver, &config.options)?;
    match config.driver.as_str() {
        "none" => Ok(Box::new(Discard)),
        _ => Ok(Box::new(JsonFile::open(config)?)),
    }
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
