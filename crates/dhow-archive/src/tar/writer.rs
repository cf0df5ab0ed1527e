//! Writing archives.

use std::io::{Read, Write};

use super::Header;
use crate::Error;

/// Writes a tar stream. Equal calls give equal bytes.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
}

impl<W: Write> Writer<W> {
    /// Writes to `out`; headers are written in one piece each, contents in large ones.
    pub fn new(out: W) -> Self {
        Self { out }
    }

    /// Writes an entry without content: anything but a file that is not empty.
    ///
    /// # Errors
    /// When `out` fails.
    pub fn entry(&mut self, header: &Header) -> Result<(), Error> {
        let _ = header;
        todo!()
    }

    /// Writes a file with the content `bytes`, whose length takes the place of the header's size.
    ///
    /// # Errors
    /// When `out` fails.
    pub fn bytes(&mut self, header: Header, bytes: &[u8]) -> Result<(), Error> {
        let _ = (header, bytes);
        todo!()
    }

    /// Writes a file with `header.size` bytes from `content`. A source that ends early is filled up with zeroes, as a
    /// file that shrinks while it is read must not break the archive.
    ///
    /// # Errors
    /// When `content` can't be read or `out` fails.
    pub fn file(&mut self, header: &Header, content: impl Read) -> Result<(), Error> {
        let _ = (header, content);
        todo!()
    }

    /// Writes the end of the archive, flushes and returns `out`.
    ///
    /// # Errors
    /// When `out` fails.
    pub fn finish(self) -> Result<W, Error> {
        Ok(self.out)
    }
}
