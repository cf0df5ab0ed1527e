//! One engine on one state folder: the lock of the data root, and the pidfile.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::process;

/// Why this daemon can't have the folder or the pidfile.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("{step} {}", path.display())]
    Io {
        step: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(
        "another engine works on {} (pid {pid}): stop it, or give this one a folder of its own with --data-root",
        root.display()
    )]
    Taken { root: PathBuf, pid: String },
    #[error(
        "failed to start daemon, ensure docker is not running or delete {}: process with PID {pid} is still running",
        path.display()
    )]
    Running { path: PathBuf, pid: i32 },
}

/// The data root, locked for as long as this lives; the kernel unlocks it when the process dies, however it dies.
#[derive(Debug)]
pub(crate) struct DataRoot {
    _lock: File,
}

impl DataRoot {
    /// Locks the folder, which must exist.
    pub(crate) fn lock(root: &Path) -> Result<Self, Error> {
        let path = root.join("dhow.lock");
        let io = |step| {
            let path = path.clone();
            move |source| Error::Io { step, path, source }
        };
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(io("cannot open"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                // Only for the message: who holds the lock may not have written yet.
                let _ = file.read_to_string(&mut pid);
                let pid = match pid.trim() {
                    "" => "unknown".to_owned(),
                    pid => pid.to_owned(),
                };
                return Err(Error::Taken {
                    root: root.to_owned(),
                    pid,
                });
            }
            Err(TryLockError::Error(source)) => return Err(io("cannot lock")(source)),
        }
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", process::id()))
            .map_err(io("cannot write"))?;
        Ok(Self { _lock: file })
    }
}

/// The pidfile, removed at the end.
#[derive(Debug)]
pub(crate) struct PidFile {
    path: PathBuf,
}

impl PidFile {
    /// Writes this process's id, unless another daemon's is there and alive.
    pub(crate) fn write(path: &Path) -> Result<Self, Error> {
        let io = |step| {
            move |source| Error::Io {
                step,
                path: path.to_owned(),
                source,
            }
        };
        if let Some(pid) = running(path) {
            return Err(Error::Running {
                path: path.to_owned(),
                pid,
            });
        }
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(io("cannot make the folder of"))?;
        }
        fs::write(path, process::id().to_string()).map_err(io("cannot write"))?;
        Ok(Self {
            path: path.to_owned(),
        })
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        let ours =
            fs::read_to_string(&self.path).is_ok_and(|text| text == process::id().to_string());
        if ours {
            // A pidfile that stays is found to be stale by the next daemon.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// The process in the pidfile, if it lives and is a daemon: ids are used again, for anything.
fn running(path: &Path) -> Option<i32> {
    let pid: i32 = fs::read_to_string(path).ok()?.trim().parse().ok()?;
    if u32::try_from(pid).is_ok_and(|pid| pid == process::id()) {
        return None;
    }
    let theirs = fs::read_link(format!("/proc/{pid}/exe")).ok()?;
    let name = theirs.file_name()?.to_string_lossy().into_owned();
    let name = name.trim_end_matches(" (deleted)");
    let own = fs::read_link("/proc/self/exe").ok()?;
    (Some(name.as_ref()) == own.file_name() || matches!(name, "dhow" | "dhowd" | "dockerd"))
        .then_some(pid)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_second_engine_is_told_who_has_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let first = DataRoot::lock(folder.path()).unwrap();
        let error = DataRoot::lock(folder.path()).unwrap_err().to_string();
        assert!(
            error.contains(&folder.path().display().to_string()),
            "{error}"
        );
        assert!(
            error.contains(&format!("(pid {})", process::id())),
            "{error}"
        );
        drop(first);
        DataRoot::lock(folder.path()).unwrap();
    }

    #[test]
    fn a_pidfile_is_stale_unless_its_process_is_a_daemon() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run/dhow.pid");
        for stale in ["", "not a number", "1", "999999999"] {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, stale).unwrap();
            let file = PidFile::write(&path).unwrap();
            assert_eq!(
                fs::read_to_string(&path).unwrap(),
                process::id().to_string()
            );
            drop(file);
            assert!(!path.exists());
        }
    }
}
