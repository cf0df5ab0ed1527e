//! New content on its way into the store.

use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use dhow_oci::{Digest, Hasher};

use crate::pending::{FLUSHED, PENDING};
use crate::{ContentStore, Error};

/// A blob being written: bytes go in through [`Write`], [`Ingest::commit`] makes them a blob.
///
/// Dropping an ingest keeps what was written for the next one with the same key, unless that was impossible because two
/// of one key ran at the same time.
#[derive(Debug)]
pub struct Ingest {
    store: ContentStore,
    file: File,
    path: PathBuf,
    hasher: Hasher,
    offset: u64,
    expected: Option<u64>,
    end: End,
}

/// Whether a commit waits for the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Durability {
    Now,
    Later,
}

/// What becomes of the partial when the ingest is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Keep,
    Remove,
    /// It is a blob, under another name.
    Placed,
}

impl Ingest {
    pub(crate) fn open(store: ContentStore, folder: &Path, key: &str) -> Result<Self, Error> {
        let path = folder.join(Digest::of(key.as_bytes()).hex());
        let (file, path, end) = match lock(&path)? {
            Some(file) => (file, path, End::Keep),
            None => own(&path)?,
        };
        let mut ingest = Self {
            store,
            file,
            path,
            hasher: Hasher::new(),
            offset: 0,
            expected: None,
            end,
        };
        ingest.resume()?;
        Ok(ingest)
    }

    pub(crate) fn once(store: ContentStore, folder: &Path) -> Result<Self, Error> {
        let (file, path, end) = own(&folder.join("once"))?;
        Ok(Self {
            store,
            file,
            path,
            hasher: Hasher::new(),
            offset: 0,
            expected: None,
            end,
        })
    }

    /// How many bytes there are so far: what an earlier ingest left, and what was written since.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Says how large the blob will be: a write beyond that fails at once.
    pub fn expect_size(&mut self, size: u64) {
        self.expected = Some(size);
    }

    /// Forgets all bytes so far.
    ///
    /// # Errors
    /// When the partial can't be truncated.
    pub fn reset(&mut self) -> Result<(), Error> {
        let failed = |e| Error::file("truncate", &self.path, e);
        self.file.set_len(0).map_err(failed)?;
        self.file.rewind().map_err(failed)?;
        self.hasher = Hasher::new();
        self.offset = 0;
        Ok(())
    }

    /// Makes the bytes written the blob `expected`; `size` is checked first where it is known.
    ///
    /// The content is on the disk when this returns. A blob that exists already is left as it is.
    ///
    /// # Errors
    /// [`Error::SizeMismatch`]: with too few bytes the partial stays and can be resumed. [`Error::DigestMismatch`]: the
    /// partial is removed. Else when the file system refuses.
    pub fn commit(self, expected: &Digest, size: Option<u64>) -> Result<Digest, Error> {
        self.check_and_place(expected, size, Durability::Now)
    }

    /// As [`Ingest::commit`], without waiting for the disk: the blob is *pending* until [`ContentStore::flush`].
    ///
    /// After a loss of power before that, the blob is checked, and gone if it didn't make it.
    ///
    /// # Errors
    /// As [`Ingest::commit`].
    pub fn commit_pending(self, expected: &Digest, size: Option<u64>) -> Result<Digest, Error> {
        self.check_and_place(expected, size, Durability::Later)
    }

    fn check_and_place(
        mut self,
        expected: &Digest,
        size: Option<u64>,
        durability: Durability,
    ) -> Result<Digest, Error> {
        if let Some(size) = size.or(self.expected)
            && size != self.offset
        {
            if self.offset > size {
                self.end = End::Remove;
            }
            return Err(Error::SizeMismatch {
                actual: self.offset,
                expected: size,
            });
        }
        let actual = std::mem::take(&mut self.hasher).finish();
        if actual != *expected {
            self.end = End::Remove;
            return Err(Error::DigestMismatch {
                actual,
                expected: *expected,
            });
        }
        self.place(&actual, durability)?;
        Ok(actual)
    }

    /// Makes the bytes written a blob, whatever their digest is; returns it and the size.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn commit_any(mut self) -> Result<(Digest, u64), Error> {
        let digest = std::mem::take(&mut self.hasher).finish();
        self.place(&digest, Durability::Now)?;
        Ok((digest, self.offset))
    }

    /// As [`Ingest::commit_any`], without waiting for the disk; see [`Ingest::commit_pending`].
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn commit_any_pending(mut self) -> Result<(Digest, u64), Error> {
        let digest = std::mem::take(&mut self.hasher).finish();
        self.place(&digest, Durability::Later)?;
        Ok((digest, self.offset))
    }

    /// Gives up for good: the partial is removed.
    pub fn discard(mut self) {
        self.end = End::Remove;
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn place(&mut self, digest: &Digest, durability: Durability) -> Result<(), Error> {
        self.end = End::Remove;
        if self.store.contains(digest) {
            return Ok(());
        }
        let mode = match durability {
            Durability::Now => {
                let flushed = self.file.sync_data();
                flushed.map_err(|e| Error::file("flush", &self.path, e))?;
                FLUSHED
            }
            Durability::Later => PENDING,
        };
        place_blob(&self.store, &self.file, &self.path, digest, mode)?;
        self.end = End::Placed;
        Ok(())
    }

    /// Hashes what is there already.
    fn resume(&mut self) -> Result<(), Error> {
        let mut buffer = vec![0; 256 * 1024];
        loop {
            match self.file.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(length) => {
                    self.hasher.update(&buffer[..length]);
                    self.offset += length as u64;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(Error::file("read", &self.path, e)),
            }
        }
    }
}

impl Write for Ingest {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(expected) = self.expected
            && self.offset + bytes.len() as u64 > expected
        {
            let actual = self.offset + bytes.len() as u64;
            let error = Error::SizeMismatch { actual, expected };
            return Err(io::Error::new(io::ErrorKind::InvalidData, error));
        }
        let written = self.file.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        self.offset += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Ingest {
    fn drop(&mut self) {
        let empty = self.end == End::Keep && self.offset == 0;
        if self.end == End::Remove || empty {
            // Nothing more can be done about a partial that stays: the next sweep finds it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Makes the finished partial at `path` the blob `digest`.
pub(crate) fn place_blob(
    store: &ContentStore,
    file: &File,
    path: &Path,
    digest: &Digest,
    mode: u32,
) -> Result<(), Error> {
    file.set_permissions(Permissions::from_mode(mode))
        .map_err(|e| Error::file("set mode of", path, e))?;
    fs::rename(path, store.path(digest)).map_err(|e| Error::file("commit", path, e))
}

/// Opens and locks the partial at `path`; `None` when someone else is writing it.
pub(crate) fn lock(path: &Path) -> Result<Option<File>, Error> {
    loop {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(|e| Error::file("create", path, e))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(e)) => return Err(Error::file("lock", path, e)),
        }
        // Between open and lock its former writer may have committed it: then this is a blob now.
        let ours = file
            .metadata()
            .map_err(|e| Error::file("look at", path, e))?;
        match fs::metadata(path) {
            Ok(named) if named.ino() == ours.ino() => {
                file.seek(SeekFrom::Start(0))
                    .map_err(|e| Error::file("read", path, e))?;
                return Ok(Some(file));
            }
            _ => drop(file),
        }
    }
}

/// A partial of its own beside the one at `path`, which is taken.
pub(crate) fn own(path: &Path) -> Result<(File, PathBuf, End), Error> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let path = path.with_extension(format!("{}-{number}", std::process::id()));
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .map_err(|e| Error::file("create", &path, e))?;
    file.lock().map_err(|e| Error::file("lock", &path, e))?;
    Ok((file, path, End::Remove))
}

#[cfg(test)]
mod tests;
