//! The file, its connections and the shortcuts for single documents.

use std::collections::HashSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, TransactionBehavior};
use rustix::fs::{FallocateFlags, fallocate};

use crate::{Error, Record, Transaction};

/// The newest layout of the file this release understands.
const SCHEMA_VERSION: i64 = 1;
/// Marks the file as ours (`dhow` in ASCII), see SQLite's `application_id` pragma.
const APPLICATION_ID: i64 = 0x6468_6f77;
/// The log begins anew after a thousand pages of 4 KiB (SQLite's default), each with a header.
const LOG_ROOM: u64 = 1024 * (4096 + 24);
/// Room for the file to grow.
const FILE_ROOM: u64 = 1 << 20;
/// How long a statement waits for another process that holds the file, a backup for instance.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The records of one engine; clones share the same file.
#[derive(Clone)]
pub struct Database {
    shared: Arc<Shared>,
}

struct Shared {
    writer: Mutex<Session>,
    /// A connection of its own, so that readers don't wait for writers; none for a database in memory.
    reader: Option<Mutex<Session>>,
}

/// One connection and the collections it knows to exist.
struct Session {
    connection: Connection,
    known: HashSet<&'static str>,
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Database").finish_non_exhaustive()
    }
}

impl Database {
    /// Opens the file at `path`, which is made when it is missing; its folder must exist.
    ///
    /// # Errors
    /// Fails when the file is damaged, of a newer release or of another program; nothing is changed then.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let writer = connect(path)?;
        let reader = connect(path)?;
        reserve(path);
        Ok(Self::new(writer, Some(reader)))
    }

    /// Opens an empty database that vanishes with its last clone; for tests.
    ///
    /// # Errors
    /// Fails when there is no memory for it.
    pub fn open_in_memory() -> Result<Self, Error> {
        let path = PathBuf::from(":memory:");
        let open = |source| Error::Open {
            path: path.clone(),
            source,
        };
        let connection = Connection::open_in_memory().map_err(open)?;
        prepare(&connection, &path)?;
        Ok(Self::new(connection, None))
    }

    fn new(writer: Connection, reader: Option<Connection>) -> Self {
        let session = |connection| {
            Mutex::new(Session {
                connection,
                known: HashSet::new(),
            })
        };
        let shared = Shared {
            writer: session(writer),
            reader: reader.map(session),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Runs `body` on one consistent state of the file; it must not write.
    ///
    /// # Errors
    /// Passes on what `body` returns, or the failure to begin.
    pub fn read<T, E: From<Error>>(
        &self,
        body: impl FnOnce(&Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let session = self.shared.reader.as_ref().unwrap_or(&self.shared.writer);
        let mut guard = lock(session);
        run(&mut guard, TransactionBehavior::Deferred, body)
    }

    /// Runs `body` and commits what it wrote, all or nothing: an `Err` from it rolls everything back.
    ///
    /// Only one write runs at a time. `body` must not start another transaction.
    ///
    /// # Errors
    /// Passes on what `body` returns, or the failure to begin or commit.
    pub fn write<T, E: From<Error>>(
        &self,
        body: impl FnOnce(&Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut guard = lock(&self.shared.writer);
        run(&mut guard, TransactionBehavior::Immediate, body)
    }

    /// The document at `key`, if there is one.
    ///
    /// # Errors
    /// Fails when the file can't be read or the document not be decoded.
    pub fn get<R: Record>(&self, key: &str) -> Result<Option<R>, Error> {
        self.read(|tx| tx.get(key))
    }

    /// Writes `record` at `key`, in place of what was there.
    ///
    /// # Errors
    /// Fails when the file can't be written.
    pub fn put<R: Record>(&self, key: &str, record: &R) -> Result<(), Error> {
        self.write(|tx| tx.put(key, record))
    }

    /// Removes the document at `key`; false when there was none.
    ///
    /// # Errors
    /// Fails when the file can't be written.
    pub fn delete<R: Record>(&self, key: &str) -> Result<bool, Error> {
        self.write(|tx| tx.delete::<R>(key))
    }

    /// Every document of the collection with its key, in the order of the keys.
    ///
    /// # Errors
    /// Fails when the file can't be read or a document not be decoded.
    pub fn list<R: Record>(&self) -> Result<Vec<(String, R)>, Error> {
        self.read(|tx| tx.list())
    }
}

fn lock(session: &Mutex<Session>) -> MutexGuard<'_, Session> {
    // A panic in a body rolls its transaction back; the connection itself stays sound.
    session.lock().unwrap_or_else(PoisonError::into_inner)
}

fn run<T, E: From<Error>>(
    session: &mut Session,
    behavior: TransactionBehavior,
    body: impl FnOnce(&Transaction<'_>) -> Result<T, E>,
) -> Result<T, E> {
    let begin = |source| {
        E::from(Error::Transaction {
            step: "begin",
            source,
        })
    };
    let inner = session
        .connection
        .transaction_with_behavior(behavior)
        .map_err(begin)?;
    let transaction = Transaction::new(inner, &session.known);
    let value = body(&transaction)?;
    let found = transaction.commit()?;
    session.known.extend(found);
    Ok(value)
}

fn connect(path: &Path) -> Result<Connection, Error> {
    let open = |source| Error::Open {
        path: path.to_owned(),
        source,
    };
    let connection = Connection::open(path).map_err(open)?;
    prepare(&connection, path)?;
    Ok(connection)
}

/// Takes the room that SQLite's log grows into before it begins anew, and some for the file itself: on a full disk it
/// must still be possible to note that something ended or was removed.
fn reserve(path: &Path) {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    let take = |path: &Path, size: &dyn Fn(u64) -> u64| {
        let file = File::options().write(true).open(path)?;
        let size = size(file.metadata()?.len());
        fallocate(&file, FallocateFlags::KEEP_SIZE, 0, size).map_err(std::io::Error::from)
    };
    // Not every file system can; then the room is what there is.
    let _ = take(Path::new(&log), &|_| LOG_ROOM);
    let _ = take(path, &|length| length + FILE_ROOM);
}

/// Sets the connection up and checks that the file is one this release can use.
fn prepare(connection: &Connection, path: &Path) -> Result<(), Error> {
    let fail = |source: rusqlite::Error| {
        let path = path.to_owned();
        match source.sqlite_error_code() {
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
                Error::Corrupt { path, source }
            }
            _ => Error::Open { path, source },
        }
    };
    connection.busy_timeout(BUSY_TIMEOUT).map_err(fail)?;
    let number = |pragma: &str| connection.pragma_query_value(None, pragma, |row| row.get(0));
    let version: i64 = number("user_version").map_err(fail)?;
    let application: i64 = number("application_id").map_err(fail)?;
    let tables: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_master", [], |row| row.get(0))
        .map_err(fail)?;
    let fresh = version == 0 && application == 0 && tables == 0;
    if !fresh && application != APPLICATION_ID {
        return Err(Error::Foreign {
            path: path.to_owned(),
        });
    }
    if version > SCHEMA_VERSION {
        let path = path.to_owned();
        return Err(Error::Newer {
            path,
            found: version,
            supported: SCHEMA_VERSION,
        });
    }
    let setup = "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -512; \
                 PRAGMA temp_store = MEMORY; PRAGMA journal_size_limit = 4194304;";
    connection.execute_batch(setup).map_err(fail)?;
    if fresh {
        let mark = format!(
            "BEGIN IMMEDIATE; PRAGMA application_id = {APPLICATION_ID}; \
             PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
        );
        connection.execute_batch(&mark).map_err(fail)?;
    }
    connection.set_prepared_statement_cache_capacity(64);
    Ok(())
}
