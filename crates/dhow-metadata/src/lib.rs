//! The engine's records in SQLite: typed collections and transactions.
//!
//! A [`Database`] is one file in WAL mode. In it every [`Record`] type has a *collection*: a table of JSON documents
//! by key, made the first time something is written to it. The file is open to inspection with any SQLite tool.
//!
//! Calls block for microseconds and may be made from async code directly. Readers never wait for a writer. A commit
//! survives the death of the process at once, and the loss of power from the next checkpoint on (`synchronous =
//! NORMAL`): what must survive that too is written to a file of its own.
//!
//! ```
//! use dhow_metadata::{Database, Error, Record};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize, PartialEq, Debug)]
//! struct Volume { driver: String }
//!
//! impl Record for Volume {
//!     const COLLECTION: &'static str = "volumes";
//! }
//!
//! let db = Database::open_in_memory()?;
//! db.write(|tx| tx.insert("data", &Volume { driver: "local".into() }))?;
//! assert_eq!(db.get::<Volume>("data")?, Some(Volume { driver: "local".into() }));
//! # Ok::<(), Error>(())
//! ```

mod database;
mod error;
mod transaction;

pub use database::Database;
pub use error::Error;
pub use transaction::Transaction;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// A document type that is kept in a collection of its own.
///
/// Fields that are added later need a serde default, so that documents of older releases can still be read.
pub trait Record: Serialize + DeserializeOwned {
    /// The collection's name, lower-case letters, digits and `_`; never changed once released.
    const COLLECTION: &'static str;
}
