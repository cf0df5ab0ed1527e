//! Looking up a user as Docker writes it (`name|uid[:group|gid]`) in a root file system's own files.
//!
//! `/etc/passwd` and `/etc/group` are opened with `openat2(RESOLVE_IN_ROOT)`, so that nothing in a hostile image leads
//! out of it. Rules and texts are those of moby's `user` package.

use std::io;
use std::os::fd::BorrowedFd;

use dhow_errdefs::{Classify, ErrorKind};

/// A user that has been looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedUser {
    /// The user id.
    pub uid: u32,
    /// The primary group.
    pub gid: u32,
    /// The groups of the user in `/etc/group`, then the additional ones asked for, each once.
    pub additional_gids: Vec<u32>,
    /// The home directory of `/etc/passwd`; `/` where there is none.
    pub home: String,
}

/// Why a user can't be looked up; the texts are Docker's.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No such user.
    #[error("unable to find user {0}: no matching entries in passwd file")]
    NoUser(String),
    /// No such group.
    #[error("unable to find group {0}: no matching entries in group file")]
    NoGroup(String),
    /// An additional group that does not exist.
    #[error("Unable to find group {0}")]
    NoAdditionalGroup(String),
    /// A number out of range.
    #[error("uids and gids must be in range 0-2147483647")]
    Range,
    /// A file that can't be read.
    #[error("cannot read {path} of the container")]
    Read {
        /// Which.
        path: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl Classify for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Read { .. } => ErrorKind::System,
            _ => ErrorKind::InvalidArgument,
        }
    }
}

/// Looks up `user` and the additional groups in the root file system `root`. An empty string is root.
///
/// # Errors
/// See [`enum@Error`]. A missing file is like an empty one.
pub fn resolve(
    root: BorrowedFd<'_>,
    user: &str,
    additional_groups: &[String],
) -> Result<ResolvedUser, Error> {
    let _ = (root, user, additional_groups);
    todo!()
}

/// The home directory of `uid` in the root file system `root`, `/` where nothing says another.
#[must_use]
pub fn home_of(root: BorrowedFd<'_>, uid: u32) -> String {
    let _ = (root, uid);
    todo!()
}
