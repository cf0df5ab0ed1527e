//! What a shim leaves on disk: how its container ended, and how its execs did.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use jiff::Timestamp;
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use crate::Error;

/// How a container's init ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitRecord {
    /// The exit code; 128 + the signal's number when a signal ended it.
    pub code: i32,
    /// The signal that ended it.
    #[serde(default)]
    pub signal: Option<i32>,
    /// The kernel killed a process of the container for want of memory.
    #[serde(default)]
    pub oom_killed: bool,
    /// When.
    pub finished_at: Timestamp,
}

/// How an exec ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecRecord {
    /// The exec's id.
    pub id: String,
    /// The exit code; 128 + the signal's number when a signal ended it.
    pub code: i32,
    /// When.
    pub finished_at: Timestamp,
}

/// The file of the exit record in a state folder.
const EXIT_FILE: &str = "exit.json";
/// What holds its room until then, and how much of it; longer than any record.
const RESERVED_FILE: &str = "exit.json.new";
const RESERVED: usize = 256;
/// The file of the exec records, one JSON document a line.
const EXECS_FILE: &str = "execs.jsonl";
/// What it is called when it has grown and a new one was begun.
const OLD_EXECS_FILE: &str = "execs.jsonl.1";
/// How long it grows.
const EXECS_LIMIT: u64 = 64 * 1024;

/// The exit record in a shim's state folder; `None` when the container has not ended (or its shim was killed).
///
/// # Errors
/// When the file is there and can't be read.
pub fn exit_record(state_dir: &Path) -> Result<Option<ExitRecord>, Error> {
    let path = state_dir.join(EXIT_FILE);
    let Some(bytes) = read_if_there(&path)? else {
        return Ok(None);
    };
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|error| Error::Record {
            path,
            source: error.into(),
        })
}

/// The records of the execs that ended, oldest first (the newest few hundred of them).
///
/// # Errors
/// When the file is there and can't be read.
pub fn exec_records(state_dir: &Path) -> Result<Vec<ExecRecord>, Error> {
    let mut records = Vec::new();
    for name in [OLD_EXECS_FILE, EXECS_FILE] {
        let bytes = read_if_there(&state_dir.join(name))?.unwrap_or_default();
        // A last line that was torn by a crash is nobody's exit.
        records.extend(
            bytes
                .split(|byte| *byte == b'\n')
                .filter_map(|line| serde_json::from_slice(line).ok()),
        );
    }
    Ok(records)
}

fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::Record {
            path: path.into(),
            source,
        }),
    }
}

/// Writes the exit record: all of it or nothing, whatever happens.
///
/// It is not synced to the disk: it must outlive any process, not a power cut, which ends every container anyway.
pub(crate) fn write_exit(state_dir: &Path, record: &ExitRecord) -> io::Result<()> {
    let reserved = state_dir.join(RESERVED_FILE);
    let mut bytes = serde_json::to_vec(record)?;
    bytes.resize(bytes.len().max(RESERVED), b' ');
    let mut file = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&reserved)?;
    file.write_all(&bytes)?;
    std::fs::rename(reserved, state_dir.join(EXIT_FILE))
}

/// Takes the room that the exit record will need, while there is some: a full disk must not cost an exit code.
pub(crate) fn reserve_exit(state_dir: &Path) -> io::Result<()> {
    std::fs::write(state_dir.join(RESERVED_FILE), [b' '; RESERVED])
}

/// Keeps two shims of one container apart: the second waits until the first has taken its container away.
#[derive(Debug)]
pub(crate) struct Lock(File);

impl Lock {
    /// Waits for the lock of a state folder.
    pub(crate) fn take(state_dir: &Path) -> io::Result<Self> {
        let file = File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .open(state_dir.join("lock"))?;
        flock(&file, FlockOperation::LockExclusive)?;
        Ok(Self(file))
    }

    /// Lets the next one go on. The end of the process does that too.
    pub(crate) fn release(&self) {
        // Only a descriptor that is not open could fail.
        let _ = flock(&self.0, FlockOperation::Unlock);
    }
}

/// Removes the records of the container's last run.
pub(crate) fn clear(state_dir: &Path) -> io::Result<()> {
    for name in [EXIT_FILE, RESERVED_FILE, EXECS_FILE, OLD_EXECS_FILE] {
        match std::fs::remove_file(state_dir.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Adds the record of an exec.
pub(crate) fn add_exec(state_dir: &Path, record: &ExecRecord) -> io::Result<()> {
    let mut line = serde_json::to_vec(record)?;
    line.push(b'\n');
    let path = state_dir.join(EXECS_FILE);
    let mut file = File::options().append(true).create(true).open(&path)?;
    file.write_all(&line)?;
    if file.metadata()?.len() > EXECS_LIMIT {
        std::fs::rename(path, state_dir.join(OLD_EXECS_FILE))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn an_exit_is_found_again_and_cleared() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(exit_record(folder.path()).unwrap(), None);
        let finished_at = Timestamp::now();
        let record = ExitRecord {
            code: 3,
            signal: None,
            oom_killed: true,
            finished_at,
        };
        write_exit(folder.path(), &record).unwrap();
        assert_eq!(exit_record(folder.path()).unwrap(), Some(record));
        clear(folder.path()).unwrap();
        assert_eq!(exit_record(folder.path()).unwrap(), None);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn the_room_reserved_is_enough() {
        let folder = tempfile::tempdir().unwrap();
        reserve_exit(folder.path()).unwrap();
        let record = ExitRecord {
            code: i32::MIN,
            signal: Some(i32::MIN),
            oom_killed: false,
            finished_at: Timestamp::MIN,
        };
        write_exit(folder.path(), &record).unwrap();
        let path = folder.path().join(EXIT_FILE);
        assert_eq!(std::fs::metadata(path).unwrap().len(), RESERVED as u64);
        assert_eq!(exit_record(folder.path()).unwrap(), Some(record));
    }

    #[test]
    fn the_second_shim_waits_for_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let first = Lock::take(folder.path()).unwrap();
        let path = folder.path().to_path_buf();
        let (sender, taken) = std::sync::mpsc::channel();
        let second = std::thread::spawn(move || {
            let _second = Lock::take(&path).unwrap();
            sender.send(()).unwrap();
        });
        assert!(taken.try_recv().is_err());
        first.release();
        taken.recv().unwrap();
        second.join().unwrap();
    }

    #[test]
    fn a_spoilt_record_is_an_error_with_its_path() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(EXIT_FILE), "{").unwrap();
        let error = exit_record(folder.path()).unwrap_err();
        assert!(error.to_string().ends_with("exit.json"), "{error}");
    }

    #[test]
    fn the_newest_execs_are_kept_and_the_file_stays_small() {
        let folder = tempfile::tempdir().unwrap();
        let record = |number| ExecRecord {
            id: format!("exec{number}"),
            code: number,
            finished_at: Timestamp::now(),
        };
        for number in 0..3000 {
            add_exec(folder.path(), &record(number)).unwrap();
        }
        let codes: Vec<i32> = exec_records(folder.path())
            .unwrap()
            .iter()
            .map(|record| record.code)
            .collect();
        assert!(codes.len() > 500 && codes.len() < 2000, "{}", codes.len());
        assert!(codes.windows(2).all(|pair| pair[0] + 1 == pair[1]));
        assert_eq!(codes.last(), Some(&2999));
    }
}
