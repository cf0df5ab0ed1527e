//! An overlay upper directory as a layer's tar stream.

use std::io::Write;
use std::os::fd::BorrowedFd;

use crate::at::open_dir;
use crate::names::as_path;
use crate::tar::Sink;
use crate::tree::TreeWriter;
use crate::{Error, Written};

/// Writes the overlay upper directory `upper` to `out` as an uncompressed OCI layer, whiteouts in the tar's form.
///
/// The order is that of the names, directories before what is in them, so the same tree gives the same bytes. Sockets
/// are left out, as nothing can be done with them.
///
/// # Errors
/// When something can't be read, or `out` fails.
pub fn diff(upper: BorrowedFd<'_>, out: impl Write) -> Result<Written, Error> {
    let top = open_dir(upper, b"").map_err(|e| Error::file("open", as_path(b""), e))?;
    let mut tree = TreeWriter::new(out, true);
    tree.contents(&top, b"")?;
    Ok(tree.finish()?.1)
}

/// As [`diff`], of an upper directory that is to become a layer itself: whiteouts of what is not in `lower` (`None`: there
/// is nothing below) are left out, and removed from `upper`.
///
/// # Errors
/// When something can't be read or removed, or `out` fails.
pub fn layer(
    upper: BorrowedFd<'_>,
    lower: Option<BorrowedFd<'_>>,
    out: impl Sink,
) -> Result<Written, Error> {
    let top = open_dir(upper, b"").map_err(|e| Error::file("open", as_path(b""), e))?;
    let mut tree = TreeWriter::new(out, true).over(lower);
    tree.contents(&top, b"")?;
    Ok(tree.finish()?.1)
}
