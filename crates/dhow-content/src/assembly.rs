//! Blobs whose parts come in any order.
//!
//! An [`Assembly`] is the partial file of one blob. Its parts are written wherever they belong, by one writer; a
//! [`Follower`] reads the blob from its beginning while it grows, and waits where something is still missing. The
//! digest is computed in order, as soon as everything before is there.
//!
//! What a dropped assembly, or a crash, leaves is found again by the next one for the same blob. The file itself tells:
//! what was never written is a hole (`SEEK_HOLE`, lseek(2)). The last bytes before a hole may be the rest of a page that
//! was not filled, so they count as missing. A file system without holes makes everything look written: the digest is
//! wrong then, and the blob is assembled anew.

use std::fs::{self, File};
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use dhow_oci::{Digest, Hasher};
use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;

use crate::ingest::{End, lock, own, place_blob};
use crate::pending::PENDING;
use crate::ranges::Ranges;
use crate::{ContentStore, Error};

/// What may lie between the last byte written and a hole: no file system in use has larger blocks or pages.
const BLOCK: u64 = 64 << 10;
/// How much is read back at once to be hashed.
const PIECE: usize = 256 << 10;
/// How much is hashed at most after a write, so that the writer isn't held up by what was there before.
const CATCH_UP: u64 = 16 << 20;

/// A blob being put together; see the module.
#[derive(Debug)]
pub struct Assembly {
    store: ContentStore,
    file: File,
    path: PathBuf,
    end: End,
    digest: Digest,
    size: u64,
    parts: Ranges,
    hasher: Hasher,
    hashed: u64,
    buffer: Vec<u8>,
    resumed: bool,
    growth: Arc<Growth>,
}

/// How far the blob is there from its beginning, for those who follow.
#[derive(Debug, Default)]
struct Growth {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    frontier: u64,
    /// Nothing more will come.
    over: bool,
}

impl Growth {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }
}

impl ContentStore {
    /// Starts, or goes on with, putting together the blob `digest` of `size` bytes. See [`Assembly`].
    ///
    /// # Errors
    /// When the partial can't be made or read.
    pub fn assemble(&self, digest: &Digest, size: u64) -> Result<Assembly, Error> {
        Assembly::open(self.clone(), digest, size)
    }

    /// How much room an unfinished assembly of `digest` takes.
    #[must_use]
    pub fn parts_size(&self, digest: &Digest) -> u64 {
        let metadata = fs::metadata(self.parts_path(digest));
        metadata.map_or(0, |metadata| metadata.blocks() * 512)
    }

    /// Removes what an assembly of `digest` has left behind, unless someone is at work on it.
    ///
    /// # Errors
    /// When it can't be removed.
    pub fn discard_parts(&self, digest: &Digest) -> Result<(), Error> {
        let path = self.parts_path(digest);
        match File::open(&path) {
            Ok(file) if file.try_lock().is_ok() => {
                fs::remove_file(&path).map_err(|e| Error::file("remove", &path, e))
            }
            _ => Ok(()),
        }
    }

    fn parts_path(&self, digest: &Digest) -> PathBuf {
        let key = Digest::of(format!("layer {digest}").as_bytes());
        self.folders.ingest.join(key.hex())
    }
}

impl Assembly {
    fn open(store: ContentStore, digest: &Digest, size: u64) -> Result<Self, Error> {
        let path = store.parts_path(digest);
        let (file, path, end) = match lock(&path)? {
            Some(file) => (file, path, End::Keep),
            None => own(&path)?,
        };
        let mut assembly = Self {
            store,
            file,
            path,
            end,
            digest: *digest,
            size,
            parts: Ranges::default(),
            hasher: Hasher::new(),
            hashed: 0,
            buffer: Vec::new(),
            resumed: false,
            growth: Arc::default(),
        };
        assembly.resume()?;
        Ok(assembly)
    }

    /// The bytes that are missing, in order.
    #[must_use]
    pub fn missing(&self) -> Vec<Range<u64>> {
        self.parts.missing(self.size)
    }

    /// How many bytes are there.
    #[must_use]
    pub fn present(&self) -> u64 {
        self.parts.count()
    }

    /// Whether something was there from an earlier attempt.
    #[must_use]
    pub fn is_resumed(&self) -> bool {
        self.resumed
    }

    /// A reader of the whole blob from its beginning, while it comes together.
    ///
    /// # Errors
    /// When the partial can't be opened once more.
    pub fn follow(&self) -> Result<Follower, Error> {
        // Opened anew: the lock is to end with the assembly, whoever still reads.
        let file = File::open(&self.path).map_err(|e| Error::file("open", &self.path, e))?;
        Ok(Follower {
            file,
            growth: Arc::clone(&self.growth),
            position: 0,
            size: self.size,
        })
    }

    /// Puts `bytes` where they belong.
    ///
    /// # Errors
    /// [`Error::SizeMismatch`] beyond the blob's end; else when the file system refuses.
    pub fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        let end = offset.saturating_add(bytes.len() as u64);
        if end > self.size {
            return Err(Error::SizeMismatch {
                actual: end,
                expected: self.size,
            });
        }
        self.file
            .write_all_at(bytes, offset)
            .map_err(|e| Error::file("write", &self.path, e))?;
        self.parts.insert(offset..end);
        if offset == self.hashed {
            self.hasher.update(bytes);
            self.hashed = end;
        }
        let frontier = self.parts.frontier();
        self.growth.set(|state| state.frontier = frontier);
        self.hash_to(frontier.min(self.hashed.saturating_add(CATCH_UP)))
    }

    /// Makes it a blob, pending until [`ContentStore::flush`], if everything is there and right.
    ///
    /// # Errors
    /// [`Error::SizeMismatch`] when something is missing: what there is stays for another attempt.
    /// [`Error::DigestMismatch`]: the partial is removed. Else when the file system refuses.
    pub fn commit_pending(mut self) -> Result<(), Error> {
        let frontier = self.parts.frontier();
        if frontier != self.size {
            return Err(Error::SizeMismatch {
                actual: self.parts.count(),
                expected: self.size,
            });
        }
        self.hash_to(frontier)?;
        let actual = std::mem::take(&mut self.hasher).finish();
        self.end = End::Remove;
        if actual != self.digest {
            return Err(Error::DigestMismatch {
                actual,
                expected: self.digest,
            });
        }
        if !self.store.contains(&self.digest) {
            place_blob(&self.store, &self.file, &self.path, &actual, PENDING)?;
            self.end = End::Placed;
        }
        Ok(())
    }

    /// Gives up for good: the partial is removed.
    pub fn discard(mut self) {
        self.end = End::Remove;
    }

    /// Finds what an earlier attempt has left.
    fn resume(&mut self) -> Result<(), Error> {
        let failed = |e: io::Error| Error::file("read", &self.path, e);
        let length = self.file.metadata().map_err(failed)?.len();
        if length > self.size {
            // Of another blob, or of no use.
            self.file.set_len(0).map_err(failed)?;
            return Ok(());
        }
        for extent in extents(&self.file, length).map_err(|e| failed(e.into()))? {
            let end = match extent.end == length {
                true => length,
                false => extent.end.saturating_sub(BLOCK),
            };
            self.parts.insert(extent.start..end.max(extent.start));
        }
        self.resumed = self.parts.count() > 0;
        self.growth.lock().frontier = self.parts.frontier();
        Ok(())
    }

    /// Hashes what is there up to `end` and was not hashed when it came.
    fn hash_to(&mut self, end: u64) -> Result<(), Error> {
        if self.hashed < end {
            self.buffer.resize(PIECE, 0);
        }
        while self.hashed < end {
            let most = usize::try_from(end - self.hashed).unwrap_or(PIECE);
            let piece = &mut self.buffer[..most.min(PIECE)];
            self.file
                .read_exact_at(piece, self.hashed)
                .map_err(|e| Error::file("read", &self.path, e))?;
            self.hasher.update(piece);
            self.hashed += piece.len() as u64;
        }
        Ok(())
    }
}

impl Drop for Assembly {
    fn drop(&mut self) {
        let empty = self.end == End::Keep && self.parts.count() == 0;
        if self.end == End::Remove || empty {
            // Nothing more can be done about a partial that stays: the next sweep finds it.
            let _ = fs::remove_file(&self.path);
        }
        self.growth.set(|state| state.over = true);
    }
}

/// Where there is data in the first `length` bytes.
fn extents(file: &File, length: u64) -> Result<Vec<Range<u64>>, Errno> {
    let mut extents = Vec::new();
    let mut from = 0;
    while from < length {
        let start = match seek(file, SeekFrom::Data(from)) {
            Ok(start) => start,
            // No data from there on.
            Err(Errno::NXIO) => break,
            Err(e) => return Err(e),
        };
        let end = seek(file, SeekFrom::Hole(start))?.min(length);
        if start >= end {
            break;
        }
        extents.push(start..end);
        from = end;
    }
    Ok(extents)
}

/// Reads a blob from its beginning while it is put together.
///
/// Reading waits for what is missing, and fails with [`io::ErrorKind::UnexpectedEof`] when the assembly ended without
/// it. What is read is what was written: whether it is right is known only when the assembly is committed.
#[derive(Debug)]
pub struct Follower {
    file: File,
    growth: Arc<Growth>,
    position: u64,
    size: u64,
}

impl Follower {
    /// How much was read.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// How many bytes can be read now; waits until there are some.
    fn available(&self) -> io::Result<u64> {
        let waiting = |state: &mut State| state.frontier <= self.position && !state.over;
        let state = self
            .growth
            .changed
            .wait_while(self.growth.lock(), waiting)
            .unwrap_or_else(PoisonError::into_inner);
        match state.frontier.saturating_sub(self.position) {
            0 => Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the transfer was cut off",
            )),
            available => Ok(available),
        }
    }
}

impl Read for Follower {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.position == self.size || out.is_empty() {
            return Ok(0);
        }
        let available = usize::try_from(self.available()?).unwrap_or(usize::MAX);
        let length = out.len().min(available);
        let read = self.file.read_at(&mut out[..length], self.position)?;
        self.position += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests;
