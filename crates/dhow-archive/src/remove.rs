//! Removing trees by descriptors.

use std::os::fd::BorrowedFd;
use std::path::Path;

use crate::Error;

/// Removes `name` in the directory `parent`, whatever it is, with all that is in it; nothing there is fine.
///
/// No symbolic link is followed and no other file system entered; the depth of the tree costs neither stack nor
/// descriptors.
///
/// # Errors
/// When something can't be removed; the rest has been removed as far as possible.
pub fn remove_tree(parent: BorrowedFd<'_>, name: &Path) -> Result<(), Error> {
    let _ = (parent, name);
    todo!()
}
