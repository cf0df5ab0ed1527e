//! What can go wrong with the database.

use std::path::PathBuf;

use dhow_errdefs::{Classify, ErrorKind};

/// A failed step of the database, with the file or the document it concerned.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file could not be opened or set up.
    #[error("open database {}", path.display())]
    Open {
        /// The database's file.
        path: PathBuf,
        /// SQLite's reason.
        #[source]
        source: rusqlite::Error,
    },
    /// The file is damaged, or no database at all.
    #[error("database {} is damaged", path.display())]
    Corrupt {
        /// The database's file.
        path: PathBuf,
        /// SQLite's reason.
        #[source]
        source: rusqlite::Error,
    },
    /// The file belongs to another program.
    #[error("{} is a database of another program", path.display())]
    Foreign {
        /// The database's file.
        path: PathBuf,
    },
    /// The file was written by a newer release.
    #[error(
        "database {} has schema version {found}, this release knows versions up to {supported}",
        path.display()
    )]
    Newer {
        /// The database's file.
        path: PathBuf,
        /// The version the file has.
        found: i64,
        /// The newest version that is understood.
        supported: i64,
    },
    /// A transaction could not be begun or committed.
    #[error("{step} transaction")]
    Transaction {
        /// `begin` or `commit`.
        step: &'static str,
        /// SQLite's reason.
        #[source]
        source: rusqlite::Error,
    },
    /// A statement on a collection failed.
    #[error("{action} {collection}")]
    Statement {
        /// What was tried.
        action: &'static str,
        /// The collection's name.
        collection: &'static str,
        /// SQLite's reason.
        #[source]
        source: rusqlite::Error,
    },
    /// A document could not be turned into JSON.
    #[error("encode {collection}/{key}")]
    Encode {
        /// The collection's name.
        collection: &'static str,
        /// The document's key.
        key: String,
        /// The reason.
        #[source]
        source: serde_json::Error,
    },
    /// A document is not what its collection should hold.
    #[error("decode {collection}/{key}")]
    Decode {
        /// The collection's name.
        collection: &'static str,
        /// The document's key.
        key: String,
        /// The reason.
        #[source]
        source: serde_json::Error,
    },
    /// A document of that key is there already.
    #[error("{collection}/{key} already exists")]
    AlreadyExists {
        /// The collection's name.
        collection: &'static str,
        /// The document's key.
        key: String,
    },
}

impl Classify for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::AlreadyExists { .. } => ErrorKind::Conflict,
            _ => ErrorKind::System,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Newer { .. } => Some("start the release that wrote it, or a newer one".into()),
            Self::Corrupt { path, .. } => Some(format!(
                "restore {} from a backup, or move it away to start empty",
                path.display()
            )),
            _ => None,
        }
    }
}
