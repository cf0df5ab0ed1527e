//! Walking a file tree into a tar.

/// What was written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Written {
    /// The entries.
    pub entries: u64,
    /// The bytes of the files' contents, as the sum of their sizes.
    pub bytes: u64,
}
