//! A layer on its way from the registry, as the unpacking threads read it.

use std::io::{self, BufRead, Read, Write};

use bytes::{Buf, Bytes};
use dhow_content::Ingest;
use tokio::sync::mpsc;

use crate::meter::Meter;

/// Takes a layer's bytes from the network's side, stores them, and hands them on to be unpacked.
///
/// When the other side goes away before all bytes came, reading fails.
#[derive(Debug)]
pub(crate) struct Feed {
    incoming: mpsc::Receiver<Bytes>,
    current: Bytes,
    ingest: Ingest,
    size: u64,
    meter: Meter,
}

impl Feed {
    pub(crate) fn new(
        incoming: mpsc::Receiver<Bytes>,
        ingest: Ingest,
        size: u64,
        meter: Meter,
    ) -> Self {
        Self {
            incoming,
            current: Bytes::new(),
            ingest,
            size,
            meter,
        }
    }

    /// The store's side, when all was read.
    pub(crate) fn into_ingest(self) -> Ingest {
        self.ingest
    }
}

impl BufRead for Feed {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.current.is_empty() {
            match self.incoming.blocking_recv() {
                Some(bytes) => {
                    self.ingest.write_all(&bytes)?;
                    self.meter.unpacking(self.ingest.offset());
                    self.current = bytes;
                }
                None if self.ingest.offset() == self.size => {}
                None => {
                    return Err(io::Error::new(
                        io::ErrorKind::UnexpectedEof,
                        "the transfer was cut off",
                    ));
                }
            }
        }
        Ok(&self.current)
    }

    fn consume(&mut self, amount: usize) {
        self.current.advance(amount);
    }
}

impl Read for Feed {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let length = available.len().min(out.len());
        out[..length].copy_from_slice(&available[..length]);
        self.consume(length);
        Ok(length)
    }
}
