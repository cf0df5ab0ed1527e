//! What the builder needs of the one who asked for a build: files, secrets, agents, credentials.

use std::path::PathBuf;
use std::sync::Arc;

use dhow_oci::{Descriptor, Digest};
use futures::future::BoxFuture;
use tokio::net::UnixStream;

use crate::graph::LocalOp;

/// The client of one build. A session answers all of this; a classic build has a context only, and the defaults say so.
pub trait Client: Send + Sync + 'static {
    /// Gives the client's files that `wanted` names, as a tree that stays as it is while the handle lives.
    ///
    /// # Errors
    /// The client does not have such a context, went away, or a file can't be read.
    fn files<'a>(
        &'a self,
        wanted: &'a LocalOp,
    ) -> BoxFuture<'a, Result<Arc<dyn Tree>, ClientError>>;

    /// A secret, at most 500 KiB; `None` if the client has none of that name.
    ///
    /// # Errors
    /// The client went away.
    fn secret<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Option<Vec<u8>>, ClientError>> {
        let _ = id;
        Box::pin(async { Ok(None) })
    }

    /// Whether the client forwards an ssh agent of that name.
    fn has_agent<'a>(&'a self, id: &'a str) -> BoxFuture<'a, bool> {
        let _ = id;
        Box::pin(async { false })
    }

    /// Forwards one connection to an ssh agent until either side ends it.
    ///
    /// # Errors
    /// The client has no such agent or went away.
    fn agent<'a>(
        &'a self,
        id: &'a str,
        connection: UnixStream,
    ) -> BoxFuture<'a, Result<(), ClientError>> {
        drop(connection);
        let text = format!("no ssh agent {id:?} is forwarded");
        Box::pin(async { Err(ClientError(text)) })
    }

    /// User name and password (or an empty name and an identity token) for a registry.
    fn credentials<'a>(&'a self, registry: &'a str) -> BoxFuture<'a, Option<(String, String)>> {
        let _ = registry;
        Box::pin(async { None })
    }

    /// The client's content store of that name, for caches in folders and contexts that are OCI layouts.
    fn store(&self, name: &str) -> Option<Arc<dyn ClientStore>> {
        let _ = name;
        None
    }

    /// Takes an export's files: `local` as a directory tree, `tar`, `oci` and `docker` as one stream. `files` is a folder
    /// on disk for the former, a file for the latter.
    ///
    /// # Errors
    /// The client can't take files or went away.
    fn receive<'a>(
        &'a self,
        export: usize,
        files: ExportedFiles,
    ) -> BoxFuture<'a, Result<(), ClientError>> {
        let _ = (export, files);
        Box::pin(async { Err(ClientError("the client takes no files".into())) })
    }
}

/// A content store of the client: a folder with blobs in it.
pub trait ClientStore: Send + Sync + 'static {
    /// Writes the blob of this digest to `to`, as it comes; whoever asked checks it.
    ///
    /// # Errors
    /// It is not there, or the client went away.
    fn read<'a>(
        &'a self,
        digest: &'a Digest,
        to: &'a mut (dyn std::io::Write + Send),
    ) -> BoxFuture<'a, Result<(), ClientError>>;

    /// Has the client keep what is in a file, which is what the descriptor says.
    ///
    /// # Errors
    /// The client can't keep it or went away.
    fn write<'a>(
        &'a self,
        descriptor: &'a Descriptor,
        file: std::fs::File,
    ) -> BoxFuture<'a, Result<(), ClientError>>;
}

/// What an exporter hands to the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExportedFiles {
    /// A directory tree.
    Directory(PathBuf),
    /// One file.
    File(PathBuf),
}

/// Why the client could not give something.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ClientError(pub String);

/// A directory tree that does not change while this lives.
pub trait Tree: Send + Sync + 'static {
    /// The directory. What is in it may be hostile: it is opened by `openat2(RESOLVE_IN_ROOT)` only.
    fn path(&self) -> &std::path::Path;

    /// How many bytes the client had to send for it, if that is known.
    fn transferred(&self) -> Option<u64> {
        None
    }

    /// The digest of a regular file's content, if it is known without reading the file.
    fn digest(&self, path: &std::path::Path) -> Option<Digest> {
        let _ = path;
        None
    }
}
