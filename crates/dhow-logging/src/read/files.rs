//! The files of a log, oldest first, and where in them to begin.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use flate2::read::GzDecoder;

use crate::Error;
use crate::time::Instant;
use crate::write::{Identity, compressed, numbered};

/// How much is read at a time while lines are counted from the end.
const BLOCK: usize = 64 * 1024;

/// An open file of a log.
#[derive(Debug)]
pub(crate) struct LogFile {
    pub(crate) path: PathBuf,
    file: File,
    /// Where the next unread line begins; of a compressed file, within what it was made of.
    pub(crate) position: u64,
    /// Whole lines to be passed over first, where a file can't be read from the middle.
    pub(crate) passed: u64,
    packed: Option<Packed>,
}

/// A compressed file is read from its beginning to its end.
struct Packed {
    decoder: GzDecoder<File>,
    /// Of which file it was made.
    identity: Option<Identity>,
}

impl std::fmt::Debug for Packed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Packed").finish_non_exhaustive()
    }
}

impl Packed {
    fn new(file: &File) -> io::Result<Self> {
        let mut file = file.try_clone()?;
        file.seek(SeekFrom::Start(0))?;
        let decoder = GzDecoder::new(file);
        let identity = decoder
            .header()
            .and_then(|header| header.extra())
            .and_then(Identity::of_header);
        Ok(Self { decoder, identity })
    }
}

impl LogFile {
    fn open(path: &Path) -> Result<Option<Self>, Error> {
        match File::open(path) {
            Ok(file) => Ok(Some(Self {
                path: path.into(),
                file,
                position: 0,
                passed: 0,
                packed: None,
            })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(Error::Open {
                path: path.into(),
                source,
            }),
        }
    }

    /// The file with that number, compressed or not.
    fn numbered(path: &Path, number: u32) -> Result<Option<Self>, Error> {
        if number == 0 {
            return Self::open(path);
        }
        if let Some(file) = Self::open(&numbered(path, number))? {
            return Ok(Some(file));
        }
        let Some(mut file) = Self::open(&compressed(path, number))? else {
            return Ok(None);
        };
        file.packed = Some(Packed::new(&file.file).map_err(|source| file.failed(source))?);
        Ok(Some(file))
    }

    pub(crate) fn failed(&self, source: io::Error) -> Error {
        Error::Read {
            path: self.path.clone(),
            source,
        }
    }

    /// Which file this is, whatever its name is by now; of one that is not compressed.
    fn inode(&self) -> Result<(u64, u64), Error> {
        let metadata = self.file.metadata().map_err(|source| self.failed(source))?;
        Ok((metadata.dev(), metadata.ino()))
    }

    /// Are these the same, or is one made of the other? Neither is in the middle of its first line.
    fn is_same(&self, other: &Self) -> Result<bool, Error> {
        if self.packed.is_none() && other.packed.is_none() {
            return Ok(self.inode()? == other.inode()?);
        }
        let (ours, theirs) = (self.identity()?, other.identity()?);
        Ok(ours.is_some() && ours == theirs)
    }

    fn identity(&self) -> Result<Option<Identity>, Error> {
        match &self.packed {
            Some(packed) => Ok(packed.identity),
            None => Identity::of(&self.file)
                .map(Some)
                .map_err(|source| self.failed(source)),
        }
    }

    pub(crate) fn is_compressed(&self) -> bool {
        self.packed.is_some()
    }

    pub(crate) fn length(&self) -> Result<u64, Error> {
        Ok(self
            .file
            .metadata()
            .map_err(|source| self.failed(source))?
            .len())
    }

    /// Reads on, at `from` (of a compressed file: where the last reading ended).
    pub(crate) fn read(&mut self, buffer: &mut [u8], from: u64) -> Result<usize, Error> {
        let read = match &mut self.packed {
            None => self.file.read_at(buffer, from),
            Some(packed) => packed.decoder.read(buffer),
        };
        read.map_err(|source| self.failed(source))
    }
}

/// How often a list of files is made again that was rotated meanwhile.
const ATTEMPTS: u32 = 8;

/// Opens all files of the log at `path`, oldest first. They may be rotated meanwhile: none is listed twice, and none
/// left out.
pub(crate) fn open_all(path: &Path) -> Result<VecDeque<LogFile>, Error> {
    let mut files = open_once(path)?;
    for _ in 1..ATTEMPTS {
        let newest = files.back().map(LogFile::inode).transpose()?;
        if newest == inode_at(path)? {
            break;
        }
        files = open_once(path)?;
    }
    Ok(files)
}

fn open_once(path: &Path) -> Result<VecDeque<LogFile>, Error> {
    let mut files: VecDeque<LogFile> = VecDeque::new();
    let mut missing = 0;
    for number in 0.. {
        let Some(file) = LogFile::numbered(path, number)? else {
            // While files get their next numbers, one number is nobody's; and the newest may not be made yet.
            missing += 1;
            if missing > 2 {
                break;
            }
            continue;
        };
        let known = match files.front() {
            Some(known) => known.is_same(&file)?,
            None => false,
        };
        if !known {
            files.push_front(file);
        }
    }
    Ok(files)
}

/// Which file is the newest; `None` when there is none.
fn inode_at(path: &Path) -> Result<Option<(u64, u64)>, Error> {
    match std::fs::metadata(path) {
        Ok(metadata) => Ok(Some((metadata.dev(), metadata.ino()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::Read {
            path: path.into(),
            source,
        }),
    }
}

/// What replaced `file` as the newest file of the log at `path`: all newer files, oldest first; none if it still is
/// the newest.
pub(crate) fn newer_than(path: &Path, file: &LogFile) -> Result<VecDeque<LogFile>, Error> {
    let newest = inode_at(path)?;
    if newest.is_none() || !file.is_compressed() && newest == Some(file.inode()?) {
        return Ok(VecDeque::new());
    }
    let mut files = open_all(path)?;
    // The newest of those that look the same: an older one may have had the same inode once.
    let place = files
        .iter()
        .rposition(|other| other.is_same(file).unwrap_or(false));
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
    if file.is_compressed() {
        return pass_over(file, count);
    }
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

/// The same for a file that can be read from its beginning only: all its lines are counted, and all but the last ones
/// will be passed over.
fn pass_over(file: &mut LogFile, count: u64) -> Result<u64, Error> {
    let mut packed = Packed::new(&file.file).map_err(|source| file.failed(source))?;
    let mut block = vec![0; BLOCK];
    let mut lines = 0;
    loop {
        let read = packed
            .decoder
            .read(&mut block)
            .map_err(|source| file.failed(source))?;
        if read == 0 {
            break;
        }
        lines += memchr::memchr_iter(b'\n', &block[..read]).count() as u64;
    }
    let wanted = lines.min(count);
    file.passed = lines - wanted;
    file.packed = Some(Packed::new(&file.file).map_err(|source| file.failed(source))?);
    Ok(wanted)
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
