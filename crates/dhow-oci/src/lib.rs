//! The words of the image world: digests, references, platforms, descriptors, manifests, indexes, image configs.
//!
//! Everything here is plain data with parsing and printing; nothing does I/O. Documents written by others keep the
//! fields this crate does not know (`extra`), so that reading and writing one again loses nothing. The OCI
//! *runtime* specification's types come from the `oci-spec` crate and are re-exported as [`runtime`].

mod config;
mod descriptor;
mod digest;
mod manifest;
pub mod media_type;
mod platform;
mod reference;
pub mod signal;

pub use config::{ContainerConfig, Healthcheck, History, ImageConfig, RootFs};
pub use descriptor::Descriptor;
pub use digest::{Digest, DigestError, Hasher, chain_id};
pub use manifest::{Index, Manifest, ManifestError, ManifestOrIndex};
pub use oci_spec::runtime;
pub use platform::{Platform, PlatformError};
pub use reference::{Reference, ReferenceError};
