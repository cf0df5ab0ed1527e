//! What a layer needs from the layers below it.

use std::os::fd::BorrowedFd;

use crate::{Applied, Error};

/// Puts right in `layer` what [`crate::apply`] could not know without the layers below, whose merged view is `lower`
/// (`None`: there are none).
///
/// Implicit directories get owner, mode, times and attributes of the directory below; where a symbolic link to a
/// directory is below, their contents move to where it leads. Hard links to files below get a copy of the file, as
/// overlayfs makes it. Whiteouts of what isn't below are removed.
///
/// # Errors
/// When a hard link's target does not exist, or the file system refuses.
pub fn settle(
    layer: BorrowedFd<'_>,
    lower: Option<BorrowedFd<'_>>,
    applied: &Applied,
) -> Result<(), Error> {
    let _ = (layer, lower, applied);
    todo!()
}
