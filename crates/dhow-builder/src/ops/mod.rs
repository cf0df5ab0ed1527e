//! What vertices do, one file an op.

pub(crate) mod content;
pub(crate) mod file;
pub(crate) mod git;
pub(crate) mod http;
pub(crate) mod image;
pub(crate) mod run;
pub(crate) mod stack;

mod folder;
mod input;
mod mounts;
mod stubs;

pub(crate) use folder::{FolderTree, TempFolder, in_memory};

use crate::error::Error;

/// Runs what takes long on a thread that may block.
///
/// # Errors
/// Those of the work.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| Error::Cancelled)?
}
