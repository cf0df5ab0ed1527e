//! Blobs that are not yet known to be on the disk.
//!
//! Waiting for the disk would be the larger part of a pull. A blob committed without waiting is marked by its mode; a
//! flush in the background writes it out and takes the mark away. A crash of the program loses nothing. After a crash of
//! the machine, told by the boot id, marked blobs are hashed when the store is opened, and removed if they are damaged.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use dhow_oci::{Digest, Hasher};

use crate::{ContentStore, Error};

/// The mode of a blob that survives a loss of power.
pub(crate) const FLUSHED: u32 = 0o444;
/// The mode of one that may not.
pub(crate) const PENDING: u32 = 0o644;

impl ContentStore {
    /// Writes all pending blobs to the disk; takes as long as the disk does.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn flush(&self) -> Result<(), Error> {
        for (_, path) in self.pending()? {
            let flushed = File::open(&path).and_then(|file| {
                file.sync_data()?;
                file.set_permissions(Permissions::from_mode(FLUSHED))
            });
            match flushed {
                // Removed meanwhile.
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                other => other.map_err(|e| Error::file("flush", &path, e))?,
            }
        }
        Ok(())
    }

    fn pending(&self) -> Result<Vec<(Digest, PathBuf)>, Error> {
        let folder = &self.folders.blobs;
        let failed = |e| Error::file("list", folder, e);
        let mut pending = Vec::new();
        for entry in fs::read_dir(folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            let digest = name.to_str().and_then(|hex| Digest::from_hex(hex).ok());
            let mode = entry.metadata().map_or(FLUSHED, |m| m.permissions().mode());
            if let Some(digest) = digest
                && mode & 0o200 != 0
            {
                pending.push((digest, entry.path()));
            }
        }
        Ok(pending)
    }

    /// After the machine was started anew: removes pending blobs that are damaged.
    pub(crate) fn check_pending(&self, root: &Path) -> Result<(), Error> {
        let mark = root.join("boot");
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        if fs::read_to_string(&mark).is_ok_and(|known| known == boot) {
            return Ok(());
        }
        for (digest, path) in self.pending()? {
            let mut hasher = Hasher::new();
            let whole = File::open(&path)
                .and_then(|mut file| io::copy(&mut file, &mut hasher))
                .is_ok_and(|_| hasher.finish() == digest);
            if !whole {
                self.remove(&digest)?;
            }
        }
        self.flush()?;
        fs::write(&mark, boot).map_err(|e| Error::file("write", &mark, e))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::io::Write;

    use super::*;

    fn put(store: &ContentStore, bytes: &[u8]) -> Digest {
        let mut ingest = store.ingest("x").unwrap();
        ingest.write_all(bytes).unwrap();
        ingest.commit_pending(&Digest::of(bytes), None).unwrap()
    }

    fn mode(store: &ContentStore, digest: &Digest) -> u32 {
        fs::metadata(store.path(digest))
            .unwrap()
            .permissions()
            .mode()
            & 0o777
    }

    #[test]
    fn flush_takes_the_mark_away() {
        let folder = tempfile::tempdir().unwrap();
        let store = ContentStore::open(folder.path()).unwrap();
        let digest = put(&store, b"hello");
        assert_eq!(mode(&store, &digest), PENDING);
        assert_eq!(store.read(&digest, 10).unwrap(), b"hello");
        store.flush().unwrap();
        assert_eq!(mode(&store, &digest), FLUSHED);
    }

    #[test]
    fn damage_is_found_after_a_restart_of_the_machine_only() {
        let folder = tempfile::tempdir().unwrap();
        let store = ContentStore::open(folder.path()).unwrap();
        let (good, bad) = (put(&store, b"good"), put(&store, b"bad"));
        fs::write(store.path(&bad), b"").unwrap();
        let store = ContentStore::open(folder.path()).unwrap();
        assert!(
            store.contains(&bad),
            "the program restarted, the machine did not"
        );
        fs::write(folder.path().join("boot"), "another").unwrap();
        let store = ContentStore::open(folder.path()).unwrap();
        assert!(!store.contains(&bad));
        assert_eq!(mode(&store, &good), FLUSHED);
    }
}
