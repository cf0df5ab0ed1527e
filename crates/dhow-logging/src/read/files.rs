//! The files of a log, oldest first, and where in them to begin.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use crate::Error;
use crate::time::Instant;
use crate::write::numbered;

/// How much is read at a time while lines are counted from the end.
const BLOCK: usize = 64 * 1024;

/// An open file of a log.
#[derive(Debug)]
pub(crate) struct LogFile {
    pub(crate) path: PathBuf,
    pub(crate) file: File,
    /// Where the next unread line begins.
    pub(crate) position: u64,
}

impl LogFile {
    fn open(path: &Path) -> Result<Option<Self>, Error> {
        match File::open(path) {
            Ok(file) => Ok(Some(Self {
                path: path.into(),
                file,
                position: 0,
            })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(Error::Open {
                path: path.into(),
                source,
            }),
        }
    }

    pub(crate) fn failed(&self, source: io::Error) -> Error {
        Error::Read {
            path: self.path.clone(),
            source,
        }
    }

    /// Which file this is, whatever its name is by now.
    pub(crate) fn identity(&self) -> Result<(u64, u64), Error> {
        let metadata = self.file.metadata().map_err(|source| self.failed(source))?;
        Ok((metadata.dev(), metadata.ino()))
    }

    pub(crate) fn length(&self) -> Result<u64, Error> {
        Ok(self
            .file
            .metadata()
            .map_err(|source| self.failed(source))?
            .len())
    }
}

/// Opens all files of the log at `path`, oldest first. They may be rotated meanwhile: none is listed twice.
pub(crate) fn open_all(path: &Path) -> Result<VecDeque<LogFile>, Error> {
    let mut files: VecDeque<LogFile> = VecDeque::new();
    for number in 0.. {
        let name = if number == 0 {
            path.to_path_buf()
        } else {
            numbered(path, number)
        };
        let Some(file) = LogFile::open(&name)? else {
            if number == 0 {
                continue;
            }
            return Ok(files);
        };
        let identity = file.identity()?;
        let known = files.front().map(LogFile::identity).transpose()?;
        if known != Some(identity) {
            files.push_front(file);
        }
    }
    Ok(files)
}

/// What replaced `file` as the newest file of the log at `path`: all newer files, oldest first; none if it still is
/// the newest.
pub(crate) fn newer_than(path: &Path, file: &LogFile) -> Result<VecDeque<LogFile>, Error> {
    let identity = file.identity()?;
    let newest = match std::fs::metadata(path) {
        Ok(metadata) => (metadata.dev(), metadata.ino()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(VecDeque::new()),
        Err(source) => {
            return Err(Error::Read {
                path: path.into(),
                source,
            });
        }
    };
    if newest == identity {
        return Ok(VecDeque::new());
    }
    let mut files = open_all(path)?;
    let place = files
        .iter()
        .position(|other| other.identity().ok() == Some(identity));
    // Not there any more: rotated away entirely, so all that is left is newer.
    files.drain(..place.map_or(0, |place| place + 1));
    Ok(files)
}

/// Drops files and moves positions so that the last `count` whole lines remain.
pub(crate) fn keep_tail(files: &mut VecDeque<LogFile>, count: u64) -> Result<(), Error> {
    let mut missing = count;
    let mut first = files.len();
    while first > 0 && missing > 0 {
        first -= 1;
        missing -= seek_back(&mut files[first], missing)?;
    }
    if count == 0 {
        if let Some(newest) = files.back_mut() {
            seek_back(newest, 0)?;
        }
        first = files.len().saturating_sub(1);
    }
    files.drain(..first);
    Ok(())
}

/// Positions `file` at the beginning of its last `count` whole lines; says how many there are of them.
fn seek_back(file: &mut LogFile, count: u64) -> Result<u64, Error> {
    let mut end = file.length()?;
    let mut block = vec![0; BLOCK];
    // The newline that ends the first line wanted is the (count + 1)th from the end: the one before that line.
    let mut seen = 0;
    while end > 0 {
        let start = end.saturating_sub(BLOCK as u64);
        let part = &mut block[..usize::try_from(end - start).unwrap_or(BLOCK)];
        file.file
            .read_exact_at(part, start)
            .map_err(|source| file.failed(source))?;
        let here = memchr::memchr_iter(b'\n', part).count() as u64;
        if seen + here > count {
            // Newlines to be passed over from the end of this block.
            let passed = usize::try_from(count - seen).unwrap_or(usize::MAX);
            let newline = memchr::memrchr_iter(b'\n', part)
                .nth(passed)
                .unwrap_or_default();
            file.position = start + newline as u64 + 1;
            return Ok(count);
        }
        seen += here;
        end = start;
    }
    file.position = 0;
    Ok(seen)
}

/// Drops files that were last written before `since`: all their entries are older.
pub(crate) fn drop_older(files: &mut VecDeque<LogFile>, since: Instant) {
    let older = |file: &LogFile| {
        let modified = file.file.metadata().ok()?.modified().ok()?;
        let age = modified.duration_since(UNIX_EPOCH).ok()?;
        // A second of slack: file systems keep coarser times than entries have.
        Some(i64::try_from(age.as_secs()).ok()? + 1 < since.seconds)
    };
    while files.len() > 1 && older(&files[0]).unwrap_or(false) {
        files.pop_front();
    }
}
