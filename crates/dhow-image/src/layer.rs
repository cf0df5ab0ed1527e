//! Unpacking one layer: decompress, hash and apply in one pass, on two threads.
//!
//! The thread that calls reads and decompresses; a second one hashes the tar stream (its digest is the *diff id*) and
//! writes the files. Between them go a few buffers, round and round, so a layer of any size needs the same memory.

use std::io::{self, BufRead, Read};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use dhow_archive::{Applied, ApplyOptions, Limits, apply};
use dhow_oci::media_type::Compression;
use dhow_oci::{Digest, Hasher};
use dhow_snapshot::{Snapshots, Staging};

use crate::Error;

/// The size of a buffer between the threads, and how many there are.
const BUFFER: usize = 256 << 10;
const BUFFERS: usize = 4;
/// The largest window a zstd layer may ask for, as a power of two: 128 MiB, zstd's own default limit.
const ZSTD_WINDOW: u32 = 27;

/// A layer in a directory of its own, not yet in its place on others.
#[derive(Debug)]
pub(crate) struct Unpacked {
    pub(crate) staging: Staging,
    pub(crate) applied: Applied,
    pub(crate) diff_id: Digest,
}

/// Why a layer could not be unpacked.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The stream is broken: can't be read or decompressed.
    Stream(io::Error),
    /// What is in it can't be applied.
    Apply(dhow_archive::Error),
    /// The layer store failed.
    Store(dhow_snapshot::Error),
}

impl Failure {
    pub(crate) fn into_error(self, layer: &Digest) -> Error {
        let source: Box<dyn std::error::Error + Send + Sync> = match self {
            Self::Store(error) => return error.into(),
            Self::Stream(error) => Box::new(error),
            Self::Apply(error) => Box::new(error),
        };
        Error::Unpack {
            diff_id: *layer,
            source,
        }
    }
}

/// Unpacks the layer that `source` streams, in whatever compression its first bytes tell.
///
/// Reads `source` to its very end unless that fails.
pub(crate) fn unpack(
    snapshots: &Snapshots,
    source: &mut dyn BufRead,
    limits: Limits,
) -> Result<Unpacked, Failure> {
    let staging = snapshots.begin().map_err(Failure::Store)?;
    let mut tar = decode(source).map_err(Failure::Stream)?;
    let (applied, diff_id) = pump(&mut *tar, staging.path(), limits)?;
    drop(tar);
    io::copy(source, &mut io::sink()).map_err(Failure::Stream)?;
    Ok(Unpacked {
        staging,
        applied,
        diff_id,
    })
}

/// What `source` is when decompressed: itself where its first bytes are not those of gzip or zstd.
///
/// # Errors
/// When it can't be read.
pub(crate) fn decode<'a>(source: &'a mut dyn BufRead) -> io::Result<Box<dyn Read + 'a>> {
    let compression = Compression::of_magic(source.fill_buf()?);
    Ok(match compression {
        Compression::None => Box::new(source),
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(source)),
        Compression::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(source)?;
            decoder.window_log_max(ZSTD_WINDOW)?;
            Box::new(decoder)
        }
    })
}

type Piece = io::Result<Vec<u8>>;

/// Moves the tar stream to a thread that applies it to `root`.
fn pump(tar: &mut dyn Read, root: &Path, limits: Limits) -> Result<(Applied, Digest), Failure> {
    let (full, incoming) = sync_channel::<Piece>(BUFFERS);
    let (returned, empty) = sync_channel::<Vec<u8>>(BUFFERS + 2);
    thread::scope(|scope| {
        let writer = thread::Builder::new()
            .name("unpack".into())
            .spawn_scoped(scope, move || {
                let mut stream = Pieces::new(incoming, returned);
                let applied = apply(&mut stream, root, &ApplyOptions { limits });
                applied.map(|applied| (applied, stream.hasher.finish()))
            })
            .map_err(Failure::Stream)?;
        let read = feed(tar, &full, &empty);
        drop(full);
        let written = writer
            .join()
            .map_err(|_| Failure::Stream(io::Error::other("the unpacking thread panicked")))?;
        // A broken stream makes applying fail too; the stream is the cause then.
        read.map_err(Failure::Stream)?;
        written.map_err(Failure::Apply)
    })
}

/// Reads buffers full and sends them; ends early when nobody takes them any more.
fn feed(tar: &mut dyn Read, full: &SyncSender<Piece>, empty: &Receiver<Vec<u8>>) -> io::Result<()> {
    let mut made = 0;
    loop {
        let mut buffer = match empty.try_recv() {
            Ok(buffer) => buffer,
            Err(_) if made <= BUFFERS => {
                made += 1;
                vec![0; BUFFER]
            }
            Err(_) => match empty.recv() {
                Ok(buffer) => buffer,
                Err(_) => return Ok(()),
            },
        };
        buffer.resize(BUFFER, 0);
        let mut length = 0;
        while length < BUFFER {
            match tar.read(&mut buffer[length..]) {
                Ok(0) => break,
                Ok(read) => length += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    let told = io::Error::new(error.kind(), error.to_string());
                    let _ = full.send(Err(told));
                    return Err(error);
                }
            }
        }
        if length == 0 {
            return Ok(());
        }
        let last = length < BUFFER;
        buffer.truncate(length);
        if full.send(Ok(buffer)).is_err() || last {
            return Ok(());
        }
    }
}

/// The tar stream on the applying side, hashed as it is taken.
struct Pieces {
    incoming: Receiver<Piece>,
    returned: SyncSender<Vec<u8>>,
    current: Vec<u8>,
    position: usize,
    hasher: Hasher,
}

impl Pieces {
    fn new(incoming: Receiver<Piece>, returned: SyncSender<Vec<u8>>) -> Self {
        Self {
            incoming,
            returned,
            current: Vec::new(),
            position: 0,
            hasher: Hasher::new(),
        }
    }
}

impl Read for Pieces {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.position == self.current.len() {
            let used = std::mem::take(&mut self.current);
            if used.capacity() > 0 {
                let _ = self.returned.try_send(used);
            }
            self.position = 0;
            match self.incoming.recv() {
                Ok(piece) => self.current = piece?,
                Err(_) => return Ok(0),
            }
            self.hasher.update(&self.current);
        }
        let length = out.len().min(self.current.len() - self.position);
        out[..length].copy_from_slice(&self.current[self.position..self.position + length]);
        self.position += length;
        Ok(length)
    }
}
