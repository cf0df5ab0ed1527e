//! Image records, unpacking, import and export.
//!
//! An *image* is a manifest or an index in the content store, known by its digest. A *record* gives it a name; the
//! store holds whatever a record (or a lease of running work) leads to, and nothing else. Of an image for this
//! machine the layers are *unpacked* into snapshots, so that a container can start from it at once.
//!
//! [`Images`] is the handle; it is cheap to clone. Its blocking calls are fast (a few small files and one
//! transaction) unless said otherwise, the others are async and stop when their future is dropped, leaving the store
//! consistent.

mod attestations;
mod base;
mod build;
mod changes;
mod check;
mod download;
mod error;
mod fetch;
mod gc;
mod history;
mod images;
mod layer;
mod lease;
mod load;
mod lookup;
mod made;
mod meter;
mod names;
mod progress;
mod pull;
mod push;
mod records;
mod remote;
mod room;
mod save;
mod store;
mod types;
mod unpack;

pub use attestations::Attestation;
pub use base::{BaseImage, HeldContent, Pause, Protection};
pub use changes::{apply_changes, is_signal};
pub use check::{CheckOptions, Finding};
pub use error::Error;
pub use images::{Images, ImagesConfig};
pub use progress::{Progress, ProgressDetail, ProgressSender};
pub use remote::RemoteImage;
pub use types::{
    BundledImage, CommitOptions, Deleted, HistoryEntry, Image, ImportOptions, InUse, PlatformImage,
    Pruned,
};
