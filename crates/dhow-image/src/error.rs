//! What can go wrong with images; texts that Docker's users know are Docker's.

use dhow_errdefs::{Classify, ErrorKind};
use dhow_oci::{Digest, DigestError, ManifestError, PlatformError, ReferenceError};

/// A failed step of work on images.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No image has that name or id.
    #[error("No such image: {0}")]
    NotFound(String),
    /// Several images' ids begin so.
    #[error("ambiguous reference")]
    Ambiguous(String),
    /// Not a reference.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// Not a digest.
    #[error(transparent)]
    Digest(#[from] DigestError),
    /// Not a platform.
    #[error(transparent)]
    Platform(#[from] PlatformError),
    /// The image is not for that platform.
    #[error(
        "image with reference {reference} was found but does not provide the specified platform ({platform})"
    )]
    WrongPlatform {
        /// The image.
        reference: String,
        /// The platform asked for.
        platform: String,
    },
    /// The registry's index has nothing for that platform.
    #[error(
        "no matching manifest for {platform} in the manifest list entries: no match for platform in manifest: not found"
    )]
    NoManifest {
        /// The platform asked for.
        platform: String,
    },
    /// A removal that would hurt somebody.
    #[error("conflict: unable to delete {reference} ({how}) - {reason}")]
    Conflict {
        /// What was to be removed.
        reference: String,
        /// `must be forced` or `cannot be forced`.
        how: &'static str,
        /// Who is in the way.
        reason: String,
    },
    /// A push of what isn't here.
    #[error("An image does not exist locally with the tag: {0}")]
    NotTagged(String),
    /// The repository is private or missing; moby's text.
    #[error("pull access denied for {0}, repository does not exist or may require 'docker login'")]
    Denied(String),
    /// A push of a tag that isn't here.
    #[error("tag does not exist: {0}")]
    NoTag(String),
    /// The registry client failed.
    #[error(transparent)]
    Registry(#[from] dhow_distribution::Error),
    /// A manifest or index is broken.
    #[error("{digest}")]
    Manifest {
        /// Which.
        digest: Digest,
        /// How.
        #[source]
        source: ManifestError,
    },
    /// A config is broken.
    #[error("invalid image config {digest}")]
    Config {
        /// Which.
        digest: Digest,
        /// How.
        #[source]
        source: serde_json::Error,
    },
    /// An image that makes no sense.
    #[error("invalid image: {0}")]
    Invalid(String),
    /// A layer of a kind we can't unpack.
    #[error("unsupported media type {media_type} of layer {digest}")]
    MediaType {
        /// The layer.
        digest: Digest,
        /// Its type.
        media_type: String,
    },
    /// A layer that its registry doesn't have because it may be had only elsewhere.
    #[error(
        "layer {0} is foreign: the registry doesn't have it, and layers are not fetched from elsewhere"
    )]
    Foreign(Digest),
    /// The disk has no room for the image.
    #[error(
        "no space left on device: the image needs {} more, {} are free",
        size(*needed),
        size(*free)
    )]
    NoRoom {
        /// How many bytes it takes at the least.
        needed: u64,
        /// How many there are.
        free: u64,
    },
    /// A layer could not be unpacked.
    #[error("failed to extract layer {diff_id}")]
    Unpack {
        /// The layer.
        diff_id: Digest,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A layer isn't what the config says.
    #[error("wrong diff id calculated on extraction {found:?}, expected {expected:?}")]
    DiffId {
        /// What the config says.
        expected: String,
        /// What was found.
        found: String,
    },
    /// A change that is no Dockerfile instruction or none that may be used here.
    #[error("{0}")]
    Change(String),
    /// An archive is not one of images.
    #[error("invalid archive: {0}")]
    Archive(String),
    /// Reading or writing a stream failed.
    #[error("{step}")]
    Io {
        /// What was tried.
        step: String,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The blob store failed.
    #[error(transparent)]
    Content(#[from] dhow_content::Error),
    /// The layer store failed.
    #[error(transparent)]
    Snapshot(#[from] dhow_snapshot::Error),
    /// The database failed.
    #[error(transparent)]
    Metadata(#[from] dhow_metadata::Error),
    /// Work on another thread was stopped.
    #[error("{0} was cancelled")]
    Cancelled(&'static str),
}

impl Classify for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound(_)
            | Self::Ambiguous(_)
            | Self::WrongPlatform { .. }
            | Self::NoManifest { .. } => ErrorKind::NotFound,
            Self::Change(_)
            | Self::Archive(_)
            | Self::Invalid(_)
            | Self::Manifest { .. }
            | Self::Config { .. } => ErrorKind::InvalidArgument,
            Self::Reference(source) => source.kind(),
            Self::Digest(source) => source.kind(),
            Self::Platform(source) => source.kind(),
            Self::Conflict { .. } => ErrorKind::Conflict,
            Self::NotTagged(_) | Self::NoTag(_) | Self::Denied(_) => ErrorKind::NotFound,
            Self::Registry(source) => source.kind(),
            Self::Metadata(source) => source.kind(),
            Self::Cancelled(_) => ErrorKind::Cancelled,
            _ => ErrorKind::System,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Registry(source) => source.hint(),
            Self::NoRoom { .. } => Some(
                "free some space, for instance by removing unused images and containers".into(),
            ),
            Self::Content(source) => source.hint(),
            _ => None,
        }
    }
}

/// A size as Docker writes it: `1.2GB`.
fn size(bytes: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
    for (unit, name) in UNITS {
        if bytes >= unit {
            return format!("{}.{}{name}", bytes / unit, bytes % unit * 10 / unit);
        }
    }
    format!("{bytes}B")
}
