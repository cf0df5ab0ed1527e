//! Content-addressed blobs: ingest, commit, read.
