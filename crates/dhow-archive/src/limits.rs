//! How much an archive may ask for.

use crate::Error;

/// The most an archive may contain; more is one clear error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the whole tar stream, headers and padding included; so also of all files' contents together.
    pub max_bytes: u64,
    /// Entries, directories and links included.
    pub max_entries: u64,
}

impl Default for Limits {
    /// As much as any disk holds, and just under a million entries.
    fn default() -> Self {
        Self {
            max_bytes: 1 << 42,
            max_entries: 999_999,
        }
    }
}

impl Limits {
    /// The limits for a stream that comes out of `compressed` bytes: real layers are three to ten times larger than
    /// their compressed form and hardly ever 100 times; a gigabyte is allowed to any.
    #[must_use]
    pub fn for_compressed(compressed: u64) -> Self {
        let max_bytes = compressed.saturating_mul(200).max(1 << 30);
        Self {
            max_bytes,
            ..Self::default()
        }
    }

    pub(crate) fn check_bytes(&self, bytes: u64) -> Result<(), Error> {
        match bytes > self.max_bytes {
            true => Err(Error::LimitExceeded {
                limit: self.max_bytes,
                what: "bytes",
            }),
            false => Ok(()),
        }
    }

    pub(crate) fn check_entries(&self, entries: u64) -> Result<(), Error> {
        match entries > self.max_entries {
            true => Err(Error::LimitExceeded {
                limit: self.max_entries,
                what: "entries",
            }),
            false => Ok(()),
        }
    }
}
