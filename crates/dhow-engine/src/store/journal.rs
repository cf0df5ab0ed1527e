//! What is half-done: written before a creation's or a removal's first step, deleted with its last one.

use dhow_metadata::{Database, Record};
use serde::{Deserialize, Serialize};

use crate::Result;

/// A change of several steps. After a crash, an unfinished creation is undone and an unfinished removal finished:
/// for both, everything that belongs to the container's id is removed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Undertaking {
    /// Volumes that go with the container.
    #[serde(default)]
    pub(crate) volumes: Vec<String>,
}

impl Record for Undertaking {
    const COLLECTION: &'static str = "undertakings";
}

/// The undertakings by container id.
#[derive(Debug, Clone)]
pub(crate) struct Journal {
    pub(crate) db: Database,
}

impl Journal {
    /// Notes that something begins.
    pub(crate) fn begin(&self, id: &str, undertaking: &Undertaking) -> Result<()> {
        Ok(self.db.put(id, undertaking)?)
    }

    /// Notes that it is done, or undone.
    pub(crate) fn end(&self, id: &str) -> Result<()> {
        self.db.delete::<Undertaking>(id)?;
        Ok(())
    }

    /// What was under way when the engine died.
    pub(crate) fn unfinished(&self) -> Result<Vec<(String, Undertaking)>> {
        Ok(self.db.list()?)
    }
}
