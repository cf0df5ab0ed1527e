//! What an overlay upper directory changes, for `docker diff`.

use std::os::fd::BorrowedFd;
use std::path::PathBuf;

use crate::Error;

/// The kind of a change; the numbers are Docker's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChangeKind {
    /// Exists below as well.
    Modified = 0,
    /// Does not exist below.
    Added = 1,
    /// Exists below only.
    Deleted = 2,
}

/// A path that differs from what is below.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    /// The absolute path in the container.
    pub path: PathBuf,
    /// What happened to it.
    pub kind: ChangeKind,
}

/// Lists what `upper` changes over `lower`, the merged view of everything below it (`None`: nothing is below); sorted
/// by path, directories that contain a change included.
///
/// # Errors
/// When a directory can't be read.
pub fn changes(upper: BorrowedFd<'_>, lower: Option<BorrowedFd<'_>>) -> Result<Vec<Change>, Error> {
    let _ = (upper, lower);
    todo!()
}
