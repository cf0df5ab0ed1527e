//! What the cache holds, in the terms of `docker buildx du`, and how it is pruned.

use std::time::Duration;

use jiff::Timestamp;

/// One record of the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheUsage {
    /// Its id: 25 lower-case letters and digits, as BuildKit's look.
    pub id: String,
    /// The ids of what it stands on.
    pub parents: Vec<String>,
    /// What it is.
    pub kind: CacheKind,
    /// `mount / from exec /bin/sh -c make`
    pub description: String,
    /// Whether a build uses it now.
    pub in_use: bool,
    /// Whether something else than the cache holds it as well: an image.
    pub shared: bool,
    /// Whether it can be changed still (a cache mount's directory).
    pub mutable: bool,
    /// Its bytes.
    pub size: u64,
    /// When it was made.
    pub created: Timestamp,
    /// When it was last used.
    pub last_used: Option<Timestamp>,
    /// How often.
    pub uses: u64,
}

/// What a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CacheKind {
    /// A step's layer.
    Regular,
    /// An internal one.
    Internal,
    /// Part of a front end.
    Frontend,
    /// The client's files.
    SourceLocal,
    /// A git repository.
    SourceGit,
    /// A cache mount's directory.
    ExecCacheMount,
}

impl CacheKind {
    /// BuildKit's name: `exec.cachemount`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Regular => "regular",
            Self::Internal => "internal",
            Self::Frontend => "frontend",
            Self::SourceLocal => "source.local",
            Self::SourceGit => "source.git.checkout",
            Self::ExecCacheMount => "exec.cachemount",
        }
    }
}

/// What is removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PruneOptions {
    /// What internal records and those of front ends are removed as well, and layers that images share.
    pub all: bool,
    /// Only what was not used for so long.
    pub unused_for: Option<Duration>,
    /// Only what fits all of these; values as BuildKit's filters have them.
    pub filters: Vec<Filter>,
    /// As much as fits stays: bytes that are kept in any case.
    pub reserved: Option<u64>,
    /// The most bytes that the cache may have.
    pub most: Option<u64>,
    /// The free bytes that the disk should have.
    pub free: Option<u64>,
}

/// A condition on a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// The field: `id`, `parents`, `type`, `description`, `inuse`, `shared`, `mutable`, `private`.
    pub field: String,
    /// How it is compared.
    pub comparison: Comparison,
    /// With what; for `inuse` and its like `true`, `1`, `false`, `0` or nothing.
    pub value: String,
}

/// How a value is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// Is the same.
    Equal,
    /// Is another.
    NotEqual,
    /// Fits the regular expression, or begins with it as text.
    Matches,
}

/// What a prune did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pruned {
    /// What is gone.
    pub removed: Vec<CacheUsage>,
    /// The bytes won.
    pub reclaimed: u64,
}

/// How large the cache may grow; enforced before anything is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Never more bytes than these.
    pub most: Option<u64>,
    /// Never less free on the disk, in percent.
    pub free_percent: u8,
    /// Bytes that are kept even so, as long as there is anything free at all.
    pub reserved: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            most: None,
            free_percent: 2,
            reserved: 0,
        }
    }
}
