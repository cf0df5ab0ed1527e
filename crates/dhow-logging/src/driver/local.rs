//! The drivers that keep entries in files, when they may not make the container wait and so run in the logger's
//! process.

use super::Driver;
use crate::entry::Entry;
use crate::write::JsonFile;
use crate::{Error, LogConfig};

/// `json-file` and `local`.
pub(super) struct Files(JsonFile);

impl Files {
    pub(super) fn open(config: &LogConfig) -> Result<Self, Error> {
        JsonFile::open(config).map(Self)
    }
}

impl Driver for Files {
    fn deliver(&mut self, entry: &Entry<'_>) -> Result<(), Error> {
        self.0.store(entry)
    }

    fn flush(&mut self) -> Result<(), Error> {
        self.0.flush_batch()
    }
}
