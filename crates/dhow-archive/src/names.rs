//! Names in archives.
