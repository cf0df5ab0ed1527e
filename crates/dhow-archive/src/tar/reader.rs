//! Reading archives.

use std::io::{self, Read};

use super::Header;
use crate::Error;

/// Reads the entries of a tar stream one after the other.
#[derive(Debug)]
pub struct Reader<R> {
    source: R,
}

impl<R: Read> Reader<R> {
    /// Reads from `source`, which need not be buffered.
    pub fn new(source: R) -> Self {
        Self { source }
    }

    /// Goes on to the next entry, over what was not read of the current one's content; `None` at the archive's end.
    ///
    /// # Errors
    /// When the stream can't be read, breaks off or is no tar.
    pub fn next_entry(&mut self) -> Result<Option<Header>, Error> {
        todo!()
    }

    /// The content of the current entry, holes filled with zeroes.
    pub fn content(&mut self) -> Content<'_, R> {
        Content { reader: self }
    }

    /// Reads what follows the archive's end (padding) to the end of the stream and returns the stream.
    ///
    /// # Errors
    /// When the stream can't be read.
    pub fn finish(self) -> Result<R, Error> {
        Ok(self.source)
    }
}

/// The content of an entry; ends where the entry does.
#[derive(Debug)]
pub struct Content<'a, R> {
    reader: &'a mut Reader<R>,
}

impl<R: Read> Read for Content<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.reader.source.read(buffer)
    }
}
