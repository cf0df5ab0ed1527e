//! What lies below every container's layers: the places that engines mount something on.
//!
//! Docker puts these into a layer of each container's own, between the image and what the container writes: so they
//! are neither in `docker diff` nor in a committed image, but in an export. Here one folder serves all containers, as
//! the lowest layer of all: what an image has itself always wins over it.

use std::fs::File;
use std::io;
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};

use crate::Error;
use crate::folders::Folders;

const DIRECTORIES: [&str; 7] = ["", "dev", "dev/pts", "dev/shm", "etc", "proc", "sys"];
const FILES: [&str; 5] = [
    ".dockerenv",
    "dev/console",
    "etc/hostname",
    "etc/hosts",
    "etc/resolv.conf",
];
const LINKS: [(&str, &str); 1] = [("etc/mtab", "/proc/mounts")];

/// Makes the skeleton below `root`, as far as it is missing, and says where it is.
///
/// What is there stays untouched: containers that run stand on it.
pub(crate) fn make(root: &Path) -> Result<PathBuf, Error> {
    let folder = root.join("skeleton");
    for path in DIRECTORIES.map(|path| folder.join(path)) {
        if !path.is_dir() {
            Folders::make(&path, 0o755)?;
        }
    }
    for path in FILES.map(|path| folder.join(path)) {
        let made = File::options()
            .write(true)
            .create_new(true)
            .mode(0o755)
            .open(&path);
        new_or_there(made.map(drop), &path)?;
    }
    for (path, target) in LINKS {
        let path = folder.join(path);
        new_or_there(symlink(target, &path), &path)?;
    }
    Ok(folder)
}

fn new_or_there(made: io::Result<()>, path: &Path) -> Result<(), Error> {
    match made {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(Error::file("create", path, error))
        }
        _ => Ok(()),
    }
}
