//! What is asked of the builder, and what it answers.

use std::collections::BTreeMap;
use std::sync::Arc;

use dhow_oci::{Descriptor, Digest, Platform, Reference};

use crate::client::Client;
use crate::graph::{Arguments, Limits};
use crate::progress::Listener;

/// A build.
pub struct BuildRequest {
    /// What it is known by: the client's choice, unique.
    pub id: String,
    /// Who asked.
    pub client: Arc<dyn Client>,
    /// Who is told.
    pub listener: Arc<dyn Listener>,
    /// Where the Dockerfile is.
    pub dockerfile: DockerfileSource,
    /// Where `COPY` takes its files from.
    pub context: ContextSource,
    /// Further contexts by name (`--build-context`); a name may stand for a stage or an image as well.
    pub named_contexts: BTreeMap<String, ContextSource>,
    /// How the Dockerfile is understood.
    pub options: Options,
    /// What is made of the result; nothing is exported if it is empty (the result stays in the cache).
    pub exports: Vec<Export>,
    /// Where results are looked for besides here.
    pub cache_from: Vec<CacheSource>,
    /// Where results are written to as well.
    pub cache_to: Vec<CacheTarget>,
}

/// Where a Dockerfile is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DockerfileSource {
    /// In a context of the client (`dockerfile`, which may be the same folder as `context`), by name.
    Local {
        /// The context's name.
        context: String,
        /// The path in it: `Dockerfile`.
        path: String,
    },
    /// In the main context, by name.
    Context(String),
    /// Here.
    Inline(Vec<u8>),
}

/// Where files come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContextSource {
    /// The client has them, by name.
    Local(String),
    /// A git repository, as in `docker build URL`.
    Git(String),
    /// An archive or a Dockerfile at a URL.
    Http(String),
    /// An image (`docker-image://`).
    Image(String),
    /// An OCI layout of the client (`oci-layout://`): the store's name and a reference.
    OciLayout(String),
    /// Another target of the same build (`target:`), already in the store as this image.
    Result(Digest),
    /// There are none.
    Empty,
}

/// How a Dockerfile is understood.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Options {
    /// The stage to build; the last if not said.
    pub target: Option<String>,
    /// `--build-arg`
    pub arguments: Arguments,
    /// `--label`
    pub labels: BTreeMap<String, String>,
    /// The platforms to build for; this machine's if there are none.
    pub platforms: Vec<Platform>,
    /// What is not taken from the cache.
    pub no_cache: NoCache,
    /// Whether images are looked up in their registry though they are here.
    pub pull: bool,
    /// The network of commands that ask for none.
    pub network: dhow_dockerfile::Network,
    /// What all commands get.
    pub limits: Limits,
    /// What the client allows: `network.host`, `security.insecure`, `device`.
    pub entitlements: Vec<String>,
    /// The time that stands in the image instead of now, seconds since 1970 (`SOURCE_DATE_EPOCH`).
    pub epoch: Option<i64>,
    /// Nothing is built; this is answered instead (`--call`, `--check`).
    pub call: Option<Call>,
    /// Whether the result is an index even with one platform, and vertices tell their platform.
    pub multi_platform: bool,
    /// Whether the image's layers become one (`--squash`).
    pub squash: bool,
}

/// What is asked instead of a build; the answer is in [`Outcome::metadata`] as `result.json`, `result.txt`, `version` and,
/// where there is one, `result.statuscode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// `frontend.lint`
    Check,
    /// `frontend.outline`
    Outline,
    /// `frontend.targets`
    Targets,
    /// `frontend.subrequests.describe`
    Describe,
}

/// What is not taken from the cache.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum NoCache {
    /// Everything may be.
    #[default]
    Nothing,
    /// Nothing is.
    All,
    /// These stages are not.
    Stages(Vec<String>),
}

/// What is made of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Export {
    /// An image in the store; with `push`, in the registries of its names too.
    Image {
        /// Its names; without any it is dangling.
        names: Vec<Reference>,
        /// Whether it is pushed.
        push: bool,
        /// How it is written.
        image: ImageOptions,
    },
    /// The files of the root, on the client's disk.
    Local {
        /// Whether each platform gets a directory of its own; by the number of platforms if not said.
        split: Option<bool>,
    },
    /// The files of the root, as one tar for the client.
    Tar,
    /// An OCI layout for the client, as a tar or as a directory.
    Oci {
        /// Its names.
        names: Vec<Reference>,
        /// Whether it is a tar.
        tar: bool,
        /// How it is written.
        image: ImageOptions,
    },
    /// An archive as of `docker save` for the client.
    Docker {
        /// Its names.
        names: Vec<Reference>,
        /// How it is written.
        image: ImageOptions,
    },
}

/// How an image is written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageOptions {
    /// `gzip`, `zstd`, `uncompressed`; what is quickest if not said.
    pub compression: Option<dhow_oci::media_type::Compression>,
    /// The level.
    pub level: Option<i32>,
    /// Whether layers that are compressed otherwise are compressed anew.
    pub force: bool,
    /// Annotations of manifests, by key; the index's begin with `index:`.
    pub annotations: BTreeMap<String, String>,
    /// Whether the times of files are cut to the epoch.
    pub rewrite_timestamps: bool,
    /// Attestations: `provenance` and `sbom`, with their parameters.
    pub attestations: BTreeMap<String, BTreeMap<String, String>>,
    /// Whether Docker's media types are used rather than OCI's.
    pub docker_media_types: bool,
}

/// Where results are looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CacheSource {
    /// An image in a registry, that holds a cache or had it exported `inline`.
    Registry(Reference),
    /// A folder of the client, by the name of its content store, with the digest of the cache's manifest.
    Local {
        /// The name.
        store: String,
        /// The digest.
        digest: Digest,
    },
}

/// Where results are written to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CacheTarget {
    /// Into the image itself.
    Inline,
    /// To a registry.
    Registry {
        /// The name.
        reference: Reference,
        /// Whether the directories of cache mounts are written as well.
        mounts: bool,
        /// Whether the results of all steps are written, not only of those that are in the image.
        all: bool,
    },
    /// Into a folder of the client.
    Local {
        /// The name of its content store.
        store: String,
        /// Whether the directories of cache mounts are written as well.
        mounts: bool,
        /// Whether the results of all steps are written, not only of those that are in the image.
        all: bool,
    },
}

/// What a build gave.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outcome {
    /// What was exported of the image: what its names lead to, a manifest or an index.
    pub image: Option<Descriptor>,
    /// The digest of the configuration, if there is one platform.
    pub config: Option<Digest>,
    /// The names it got.
    pub names: Vec<String>,
    /// Further values that clients are told, as BuildKit names them: `containerimage.digest`, …
    pub metadata: BTreeMap<String, String>,
}
