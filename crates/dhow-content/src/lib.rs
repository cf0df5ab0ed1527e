//! Content-addressed blobs: ingest, commit, read.
//!
//! A [`ContentStore`] is a directory of *blobs*, each named by the digest of its bytes and never changed. New content
//! goes through an [`Ingest`]: a partial file under a *key* of the caller's choice, hashed while it is written, and
//! renamed into place by [`Ingest::commit`] when digest and size are as expected. A blob is there whole or not at all.
//!
//! An ingest that is dropped, or cut off by a crash, leaves its partial behind; the next ingest with the same key goes
//! on where it ended. Two ingests of one key at the same time don't meet: the second writes a file of its own.
//!
//! A blob that comes over several connections at once is an [`Assembly`]: its parts are written in any order, and read
//! from the beginning by a [`Follower`] meanwhile.
//!
//! ```
//! use std::io::Write;
//! use dhow_content::ContentStore;
//! use dhow_oci::Digest;
//!
//! # let folder = std::env::temp_dir().join(format!("dhow-content-doc-{}", std::process::id()));
//! let store = ContentStore::open(&folder)?;
//! let expected = Digest::of(b"hello");
//! let mut ingest = store.ingest("layer-1")?;
//! ingest.write_all(b"hello")?;
//! ingest.commit(&expected, Some(5))?;
//! assert_eq!(store.read(&expected, 1024)?, b"hello");
//! # std::fs::remove_dir_all(&folder)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # On disk
//!
//! `blobs/sha256/<hex>`: the blobs, mode 0444; those not yet known to be on the disk 0644. `boot`: the boot during which
//! the store was opened last. `ingest/<hex of the key's sha256>`: partials, locked with `flock` while
//! they are written; those of assemblies have holes where a part is missing; with a suffix `.N`, partials that can't be resumed and are removed when the store is opened.

mod assembly;
mod error;
mod ingest;
mod pending;
mod ranges;
mod store;

pub use assembly::{Assembly, Follower};
pub use error::Error;
pub use ingest::Ingest;
pub use store::ContentStore;
