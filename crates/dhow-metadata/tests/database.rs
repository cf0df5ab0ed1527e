//! Collections, transactions and the refusal of files that can't be used.

#![allow(clippy::unwrap_used, reason = "tests")]

use dhow_errdefs::{Classify, ErrorKind};
use dhow_metadata::{Database, Error, Record};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Ship {
    masts: u32,
}

impl Record for Ship {
    const COLLECTION: &'static str = "ships";
}

fn ship(masts: u32) -> Ship {
    Ship { masts }
}

#[test]
fn a_missing_collection_is_empty() {
    let db = Database::open_in_memory().unwrap();
    assert_eq!(db.get::<Ship>("a").unwrap(), None);
    assert!(db.list::<Ship>().unwrap().is_empty());
    assert!(!db.delete::<Ship>("a").unwrap());
    assert_eq!(db.read(|tx| tx.count::<Ship>()).unwrap(), 0);
}

#[test]
fn documents_are_listed_by_key_and_prefix() {
    let db = Database::open_in_memory().unwrap();
    for (key, masts) in [("b/2", 2), ("a/1", 1), ("b/1", 3), ("c", 4)] {
        db.put(key, &ship(masts)).unwrap();
    }
    let keys: Vec<String> = db
        .list::<Ship>()
        .unwrap()
        .into_iter()
        .map(|(key, _)| key)
        .collect();
    assert_eq!(keys, ["a/1", "b/1", "b/2", "c"]);
    let some = db.read(|tx| tx.list_prefix::<Ship>("b/")).unwrap();
    assert_eq!(
        some,
        [("b/1".to_owned(), ship(3)), ("b/2".to_owned(), ship(2))]
    );
    assert_eq!(db.read(|tx| tx.count::<Ship>()).unwrap(), 4);
}

#[test]
fn insert_refuses_a_taken_key() {
    let db = Database::open_in_memory().unwrap();
    db.write(|tx| tx.insert("a", &ship(1))).unwrap();
    let error = db.write(|tx| tx.insert("a", &ship(2))).unwrap_err();
    assert!(matches!(error, Error::AlreadyExists { .. }), "{error:?}");
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert_eq!(db.get::<Ship>("a").unwrap(), Some(ship(1)));
}

#[test]
fn an_error_rolls_everything_back_even_the_collection() {
    let folder = tempfile::tempdir().unwrap();
    let db = Database::open(&folder.path().join("dhow.db")).unwrap();
    let result: Result<(), Error> = db.write(|tx| {
        tx.put("a", &ship(1))?;
        tx.insert("a", &ship(2))
    });
    assert!(result.is_err());
    assert_eq!(db.get::<Ship>("a").unwrap(), None);
    db.put("a", &ship(3)).unwrap();
    assert_eq!(db.get::<Ship>("a").unwrap(), Some(ship(3)));
}

#[test]
fn a_panic_rolls_back_and_the_database_goes_on() {
    let db = Database::open_in_memory().unwrap();
    let other = db.clone();
    let thread = std::thread::spawn(move || {
        other.write::<(), Error>(|tx| {
            tx.put("a", &ship(1))?;
            panic!("on purpose");
        })
    });
    assert!(thread.join().is_err());
    assert_eq!(db.get::<Ship>("a").unwrap(), None);
    db.put("a", &ship(2)).unwrap();
}

#[test]
fn documents_outlive_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dhow.db");
    Database::open(&path).unwrap().put("a", &ship(1)).unwrap();
    assert_eq!(
        Database::open(&path).unwrap().get::<Ship>("a").unwrap(),
        Some(ship(1))
    );
}

#[test]
fn many_threads_lose_no_write() {
    let folder = tempfile::tempdir().unwrap();
    let db = Database::open(&folder.path().join("dhow.db")).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..50 {
                    db.write::<(), Error>(|tx| {
                        let masts = tx.get::<Ship>("a")?.map_or(0, |ship| ship.masts);
                        tx.put("a", &ship(masts + 1))
                    })
                    .unwrap();
                    db.get::<Ship>("a").unwrap();
                }
            });
        }
    });
    assert_eq!(db.get::<Ship>("a").unwrap(), Some(ship(400)));
}

#[test]
fn a_damaged_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dhow.db");
    std::fs::write(&path, vec![7_u8; 8192]).unwrap();
    let error = Database::open(&path).unwrap_err();
    assert!(matches!(error, Error::Corrupt { .. }), "{error:?}");
    assert!(error.hint().is_some());
}

#[test]
fn a_newer_file_and_a_foreign_one_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dhow.db");
    drop(Database::open(&path).unwrap());
    let raw = rusqlite::Connection::open(&path).unwrap();
    raw.execute_batch("PRAGMA user_version = 99").unwrap();
    drop(raw);
    let error = Database::open(&path).unwrap_err();
    assert!(matches!(error, Error::Newer { found: 99, .. }), "{error:?}");

    let other = folder.path().join("other.db");
    let raw = rusqlite::Connection::open(&other).unwrap();
    raw.execute_batch("CREATE TABLE t (x)").unwrap();
    drop(raw);
    assert!(matches!(
        Database::open(&other).unwrap_err(),
        Error::Foreign { .. }
    ));
}

#[test]
fn a_wrong_document_is_named() {
    #[derive(Debug, Serialize, Deserialize)]
    struct Other {
        name: String,
    }
    impl Record for Other {
        const COLLECTION: &'static str = "ships";
    }
    let db = Database::open_in_memory().unwrap();
    db.put("a", &ship(1)).unwrap();
    let error = db.get::<Other>("a").unwrap_err();
    assert_eq!(error.to_string(), "decode ships/a");
}
