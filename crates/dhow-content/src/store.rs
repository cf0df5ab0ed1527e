//! The store: blobs by digest.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use dhow_oci::Digest;

use crate::{Error, Ingest};

/// A directory of blobs; a clone is the same store.
#[derive(Debug, Clone)]
pub struct ContentStore {
    pub(crate) folders: Arc<Folders>,
}

#[derive(Debug)]
pub(crate) struct Folders {
    pub(crate) blobs: PathBuf,
    pub(crate) ingest: PathBuf,
}

impl ContentStore {
    /// Opens the store in the folder `root`, making it if need be, and removes partials nobody can resume.
    ///
    /// # Errors
    /// When the folder can't be made or read.
    pub fn open(root: &Path) -> Result<Self, Error> {
        let folders = Folders {
            blobs: root.join("blobs").join("sha256"),
            ingest: root.join("ingest"),
        };
        for folder in [&folders.blobs, &folders.ingest] {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(folder)
                .map_err(|e| Error::file("create folder", folder, e))?;
        }
        let store = Self {
            folders: Arc::new(folders),
        };
        store.sweep(|name, _| name.contains('.'))?;
        store.check_pending(root)?;
        Ok(store)
    }

    /// Starts, or goes on with, the ingest called `key` (any text). See [`Ingest`].
    ///
    /// # Errors
    /// When the partial can't be made or read.
    pub fn ingest(&self, key: &str) -> Result<Ingest, Error> {
        Ingest::open(self.clone(), &self.folders.ingest, key)
    }

    /// Starts an ingest that nobody can go on with: dropped without a commit, or found after a crash, it is removed.
    ///
    /// # Errors
    /// When the partial can't be made.
    pub fn ingest_once(&self) -> Result<Ingest, Error> {
        Ingest::once(self.clone(), &self.folders.ingest)
    }

    /// Stores `bytes` and returns their digest.
    ///
    /// # Errors
    /// When they can't be written.
    pub fn put(&self, bytes: &[u8]) -> Result<Digest, Error> {
        let digest = Digest::of(bytes);
        if self.contains(&digest) {
            return Ok(digest);
        }
        let mut ingest = self.ingest_once()?;
        let path = ingest.path().to_owned();
        ingest
            .write_all(bytes)
            .map_err(|e| Error::file("write", path, e))?;
        ingest.commit(&digest, None)
    }

    /// Whether the blob is there, whole.
    #[must_use]
    pub fn contains(&self, digest: &Digest) -> bool {
        self.path(digest).exists()
    }

    /// The size of a blob in bytes.
    ///
    /// # Errors
    /// [`Error::NotFound`] when it isn't there.
    pub fn size(&self, digest: &Digest) -> Result<u64, Error> {
        let path = self.path(digest);
        match fs::metadata(&path) {
            Ok(metadata) => Ok(metadata.len()),
            Err(e) => Err(absent(e, digest, "look at", path)),
        }
    }

    /// Opens a blob for reading.
    ///
    /// # Errors
    /// [`Error::NotFound`] when it isn't there.
    pub fn open_blob(&self, digest: &Digest) -> Result<File, Error> {
        let path = self.path(digest);
        File::open(&path).map_err(|e| absent(e, digest, "open", path))
    }

    /// Reads a blob of at most `limit` bytes and checks its digest; for manifests and configurations.
    ///
    /// # Errors
    /// [`Error::NotFound`] when it isn't there, [`Error::TooLarge`], [`Error::Damaged`].
    pub fn read(&self, digest: &Digest, limit: u64) -> Result<Vec<u8>, Error> {
        let file = self.open_blob(digest)?;
        let failed = |e| Error::file("read", self.path(digest), e);
        let size = file.metadata().map_err(failed)?.len();
        if size > limit {
            return Err(Error::TooLarge {
                digest: *digest,
                size,
                limit,
            });
        }
        let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
        file.take(limit).read_to_end(&mut bytes).map_err(failed)?;
        match Digest::of(&bytes) == *digest {
            true => Ok(bytes),
            false => Err(Error::Damaged(*digest)),
        }
    }

    /// Removes a blob; says whether it was there. Readers that have it open keep it.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn remove(&self, digest: &Digest) -> Result<bool, Error> {
        let path = self.path(digest);
        match fs::remove_file(&path) {
            Ok(()) => Ok(true),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(e) => Err(Error::file("remove", path, e)),
        }
    }

    /// All blobs with their sizes, in no particular order.
    ///
    /// # Errors
    /// When the folder can't be read.
    pub fn list(&self) -> Result<Vec<(Digest, u64)>, Error> {
        let folder = &self.folders.blobs;
        let failed = |e| Error::file("list", folder, e);
        let mut blobs = Vec::new();
        for entry in fs::read_dir(folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let digest = entry
                .file_name()
                .to_str()
                .and_then(|hex| Digest::from_hex(hex).ok());
            if let (Some(digest), Ok(metadata)) = (digest, entry.metadata()) {
                blobs.push((digest, metadata.len()));
            }
        }
        Ok(blobs)
    }

    /// Removes partials that nobody has written to for `age` and nobody is writing now; returns how many.
    ///
    /// # Errors
    /// When the folder can't be read or a partial not be removed.
    pub fn prune_partials(&self, age: Duration) -> Result<usize, Error> {
        let now = SystemTime::now();
        self.sweep(|_, modified| {
            now.duration_since(modified)
                .is_ok_and(|passed| passed >= age)
        })
    }

    /// The device number of the file system the store is on, and how many bytes it has room for.
    ///
    /// # Errors
    /// When the file system can't be asked.
    pub fn room(&self) -> Result<(u64, u64), Error> {
        let folder = &self.folders.blobs;
        let failed = |e: rustix::io::Errno| Error::file("look at", folder, e.into());
        let device = rustix::fs::stat(folder).map_err(failed)?.st_dev;
        let system = rustix::fs::statvfs(folder).map_err(failed)?;
        // What is reserved for the superuser is ours if we are that.
        let blocks = match rustix::process::geteuid().is_root() {
            true => system.f_bfree,
            false => system.f_bavail,
        };
        Ok((device, blocks.saturating_mul(system.f_frsize)))
    }

    /// Where a blob is, or would be.
    #[must_use]
    pub fn path(&self, digest: &Digest) -> PathBuf {
        self.folders.blobs.join(digest.hex())
    }

    fn sweep(&self, old: impl Fn(&str, SystemTime) -> bool) -> Result<usize, Error> {
        let folder = &self.folders.ingest;
        let failed = |e| Error::file("list", folder, e);
        let mut removed = 0;
        for entry in fs::read_dir(folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let Ok(modified) = entry.metadata().and_then(|metadata| metadata.modified()) else {
                continue;
            };
            if !old(&entry.file_name().to_string_lossy(), modified) {
                continue;
            }
            let path = entry.path();
            let Ok(file) = File::open(&path) else {
                continue;
            };
            if file.try_lock().is_ok() {
                fs::remove_file(&path).map_err(|e| Error::file("remove", &path, e))?;
                removed += 1;
            }
        }
        Ok(removed)
    }
}

fn absent(error: io::Error, digest: &Digest, step: &'static str, path: PathBuf) -> Error {
    match error.kind() {
        io::ErrorKind::NotFound => Error::NotFound(*digest),
        _ => Error::file(step, path, error),
    }
}
