//! What the handles share.

/// The engine's collaborators and what it keeps in memory.
#[derive(Debug)]
pub(crate) struct Services {}
