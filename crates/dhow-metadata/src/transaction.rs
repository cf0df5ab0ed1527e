//! The operations on collections, within one transaction.

use std::cell::RefCell;
use std::collections::HashSet;

use rusqlite::{CachedStatement, OptionalExtension, params};

use crate::{Error, Record};

/// One transaction on the database; made by [`Database::read`](crate::Database::read) and
/// [`Database::write`](crate::Database::write).
pub struct Transaction<'a> {
    inner: rusqlite::Transaction<'a>,
    /// Collections that existed before this transaction.
    known: &'a HashSet<&'static str>,
    /// Collections this transaction found or made.
    found: RefCell<HashSet<&'static str>>,
}

impl std::fmt::Debug for Transaction<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transaction").finish_non_exhaustive()
    }
}

impl<'a> Transaction<'a> {
    pub(crate) fn new(inner: rusqlite::Transaction<'a>, known: &'a HashSet<&'static str>) -> Self {
        Self {
            inner,
            known,
            found: RefCell::default(),
        }
    }

    /// Commits and returns the collections that are now known to exist.
    pub(crate) fn commit(self) -> Result<HashSet<&'static str>, Error> {
        let commit = |source| Error::Transaction {
            step: "commit",
            source,
        };
        self.inner.commit().map_err(commit)?;
        Ok(self.found.into_inner())
    }

    /// The document at `key`, if there is one.
    ///
    /// # Errors
    /// Fails when the file can't be read or the document not be decoded.
    pub fn get<R: Record>(&self, key: &str) -> Result<Option<R>, Error> {
        if !self.exists::<R>()? {
            return Ok(None);
        }
        let fail = failure::<R>("read");
        let sql = format!("SELECT value FROM \"{}\" WHERE key = ?1", R::COLLECTION);
        let text: Option<String> = self
            .statement::<R>(&sql)?
            .query_row(params![key], |row| row.get(0))
            .optional()
            .map_err(fail)?;
        text.map(|text| decode(key, &text)).transpose()
    }

    /// Writes `record` at `key`, in place of what was there.
    ///
    /// # Errors
    /// Fails when the file can't be written.
    pub fn put<R: Record>(&self, key: &str, record: &R) -> Result<(), Error> {
        let text = encode(key, record)?;
        self.ensure::<R>()?;
        let sql = format!(
            "INSERT INTO \"{}\" (key, value) VALUES (?1, ?2) \
             ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            R::COLLECTION
        );
        self.statement::<R>(&sql)?
            .execute(params![key, text])
            .map_err(failure::<R>("write"))?;
        Ok(())
    }

    /// Writes `record` at `key`, where nothing may be yet.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`] when there is a document at `key`; else when the file can't be written.
    pub fn insert<R: Record>(&self, key: &str, record: &R) -> Result<(), Error> {
        let text = encode(key, record)?;
        self.ensure::<R>()?;
        let sql = format!(
            "INSERT INTO \"{}\" (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO NOTHING",
            R::COLLECTION
        );
        let rows = self
            .statement::<R>(&sql)?
            .execute(params![key, text])
            .map_err(failure::<R>("write"))?;
        if rows == 0 {
            return Err(Error::AlreadyExists {
                collection: R::COLLECTION,
                key: key.to_owned(),
            });
        }
        Ok(())
    }

    /// Removes the document at `key`; false when there was none.
    ///
    /// # Errors
    /// Fails when the file can't be written.
    pub fn delete<R: Record>(&self, key: &str) -> Result<bool, Error> {
        if !self.exists::<R>()? {
            return Ok(false);
        }
        let sql = format!("DELETE FROM \"{}\" WHERE key = ?1", R::COLLECTION);
        let fail = failure::<R>("delete from");
        let rows = self
            .statement::<R>(&sql)?
            .execute(params![key])
            .map_err(fail)?;
        Ok(rows > 0)
    }

    /// Every document of the collection with its key, in the order of the keys.
    ///
    /// # Errors
    /// Fails when the file can't be read or a document not be decoded.
    pub fn list<R: Record>(&self) -> Result<Vec<(String, R)>, Error> {
        self.list_prefix("")
    }

    /// Every document whose key starts with `prefix`, in the order of the keys.
    ///
    /// # Errors
    /// Fails when the file can't be read or a document not be decoded.
    pub fn list_prefix<R: Record>(&self, prefix: &str) -> Result<Vec<(String, R)>, Error> {
        let mut documents = Vec::new();
        self.each(prefix, |key, record| {
            documents.push((key.to_owned(), record))
        })?;
        Ok(documents)
    }

    /// Shows `visitor` every document of the collection with its key, in the order of the keys, one at a time.
    ///
    /// # Errors
    /// Fails when the file can't be read or a document not be decoded; `visitor` has seen those before it.
    pub fn visit<R: Record>(&self, visitor: impl FnMut(&str, R)) -> Result<(), Error> {
        self.each("", visitor)
    }

    fn each<R: Record>(&self, prefix: &str, mut visitor: impl FnMut(&str, R)) -> Result<(), Error> {
        if !self.exists::<R>()? {
            return Ok(());
        }
        let fail = failure::<R>("list");
        let sql = format!(
            "SELECT key, value FROM \"{}\" WHERE key >= ?1 ORDER BY key",
            R::COLLECTION
        );
        let mut statement = self.statement::<R>(&sql)?;
        let mut rows = statement.query(params![prefix]).map_err(fail)?;
        while let Some(row) = rows.next().map_err(fail)? {
            let text = |column| {
                row.get_ref(column)
                    .and_then(|value| Ok(value.as_str()?))
                    .map_err(fail)
            };
            let key = text(0)?;
            if !key.starts_with(prefix) {
                break;
            }
            visitor(key, decode(key, text(1)?)?);
        }
        Ok(())
    }

    /// How many documents the collection has.
    ///
    /// # Errors
    /// Fails when the file can't be read.
    pub fn count<R: Record>(&self) -> Result<u64, Error> {
        if !self.exists::<R>()? {
            return Ok(0);
        }
        let sql = format!("SELECT count(*) FROM \"{}\"", R::COLLECTION);
        let fail = failure::<R>("count");
        let count: i64 = self
            .statement::<R>(&sql)?
            .query_row([], |row| row.get(0))
            .map_err(fail)?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    fn statement<R: Record>(&self, sql: &str) -> Result<CachedStatement<'_>, Error> {
        self.inner
            .prepare_cached(sql)
            .map_err(failure::<R>("prepare"))
    }

    fn exists<R: Record>(&self) -> Result<bool, Error> {
        let name = R::COLLECTION;
        if self.known.contains(name) || self.found.borrow().contains(name) {
            return Ok(true);
        }
        let sql = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = ?1";
        let count: i64 = self
            .statement::<R>(sql)?
            .query_row(params![name], |row| row.get(0))
            .map_err(failure::<R>("look up"))?;
        if count > 0 {
            self.found.borrow_mut().insert(name);
        }
        Ok(count > 0)
    }

    fn ensure<R: Record>(&self) -> Result<(), Error> {
        if self.exists::<R>()? {
            return Ok(());
        }
        let sql = format!(
            "CREATE TABLE \"{}\" (key TEXT PRIMARY KEY NOT NULL, value TEXT NOT NULL)",
            R::COLLECTION
        );
        self.inner
            .execute_batch(&sql)
            .map_err(failure::<R>("make"))?;
        self.found.borrow_mut().insert(R::COLLECTION);
        Ok(())
    }
}

fn failure<R: Record>(action: &'static str) -> impl Fn(rusqlite::Error) -> Error + Copy {
    move |source| Error::Statement {
        action,
        collection: R::COLLECTION,
        source,
    }
}

fn encode<R: Record>(key: &str, record: &R) -> Result<String, Error> {
    serde_json::to_string(record).map_err(|source| Error::Encode {
        collection: R::COLLECTION,
        key: key.to_owned(),
        source,
    })
}

fn decode<R: Record>(key: &str, text: &str) -> Result<R, Error> {
    serde_json::from_str(text).map_err(|source| Error::Decode {
        collection: R::COLLECTION,
        key: key.to_owned(),
        source,
    })
}
