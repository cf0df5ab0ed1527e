//! A blob on its way here.

/// The bytes of a blob as they come in.
#[derive(Debug)]
pub struct BlobStream {}
