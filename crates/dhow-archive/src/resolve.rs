//! Where a path really leads inside a root.

use std::os::fd::BorrowedFd;

use rustix::fs::readlinkat;
use rustix::io::Errno;

use crate::at::open_parent;
use crate::names::{follow, join, split};

/// How many symbolic links a path may go through; the kernel's number.
const MOST_LINKS: usize = 40;

/// The clean path without symbolic links that `path`, clean too, leads to below `root`; what doesn't exist stays as it is.
pub fn resolve(root: BorrowedFd<'_>, path: &[u8]) -> Result<Vec<u8>, Errno> {
    let mut links = 0;
    let mut real: Vec<u8> = Vec::new();
    let mut rest = path.to_vec();
    while !rest.is_empty() {
        let slash = rest.iter().position(|byte| *byte == b'/');
        let name = rest[..slash.unwrap_or(rest.len())].to_vec();
        rest = slash
            .map(|slash| rest[slash + 1..].to_vec())
            .unwrap_or_default();
        let target = open_parent(root, &real)
            .and_then(|parent| readlinkat(parent, name.as_slice(), Vec::new()));
        match target {
            Ok(target) => {
                links += 1;
                if links > MOST_LINKS {
                    return Err(Errno::LOOP);
                }
                // Resolved from the root again: the target may go through links itself.
                rest = join(&follow(&real, target.to_bytes()), &rest);
                real.clear();
            }
            Err(Errno::INVAL | Errno::NOENT | Errno::NOTDIR) => real = join(&real, &name),
            Err(e) => return Err(e),
        }
    }
    Ok(real)
}

/// A path as Docker's clients give it.
#[derive(Debug)]
pub(crate) struct Asked {
    /// The clean path.
    pub(crate) path: Vec<u8>,
    /// What it is called in archives and answers: its last component, `.` or `/`.
    pub(crate) base: Vec<u8>,
    /// Whether it ends in a way that means the directory it leads to, and not the link.
    pub(crate) directory: bool,
}

impl Asked {
    pub(crate) fn new(asked: &[u8]) -> Self {
        let path = follow(b"", asked);
        let dot = asked.ends_with(b"/.") || asked == b".";
        let base = match (dot, path.as_slice()) {
            (true, _) => b".".to_vec(),
            (false, []) => b"/".to_vec(),
            (false, path) => split(path).1.to_vec(),
        };
        let directory = dot || path.is_empty() || asked.ends_with(b"/");
        Self {
            path,
            base,
            directory,
        }
    }
}
