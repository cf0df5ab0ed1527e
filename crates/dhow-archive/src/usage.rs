//! How much a tree holds.

use std::os::fd::BorrowedFd;

use crate::Error;

/// The bytes of all regular files in the directory `root`, one with several names counted once.
///
/// # Errors
/// When a directory can't be read.
pub fn usage(root: BorrowedFd<'_>) -> Result<u64, Error> {
    let _ = root;
    todo!()
}
