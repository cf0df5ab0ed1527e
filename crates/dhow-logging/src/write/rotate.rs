//! A log file that is moved out of the way when it is full.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::compress::{Compressor, FolderLock};
use super::file_options::FileOptions;
use crate::Error;

/// How far from its end a file that was not ended well is searched for its last newline.
const TORN_SEARCH: u64 = 256 * 1024;

/// The newest file of a log, and how it rotates.
#[derive(Debug)]
pub(crate) struct RotatingFile {
    path: PathBuf,
    file: File,
    size: u64,
    options: FileOptions,
    compressor: Compressor,
}

impl RotatingFile {
    /// Opens the file, or makes it; a torn last line is cut off.
    pub(super) fn open(path: &Path, options: FileOptions) -> Result<Self, Error> {
        let failed = |source| Error::Open {
            path: path.to_path_buf(),
            source,
        };
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(failed)?;
        }
        let mut file = open_file(path).map_err(failed)?;
        let size = mend(&mut file).map_err(failed)?;
        Ok(Self {
            path: path.to_path_buf(),
            file,
            size,
            options,
            compressor: Compressor::default(),
        })
    }

    /// Would the file, with `pending` bytes more, be full, so that the next line belongs to a new one?
    pub(crate) fn is_full(&self, pending: usize) -> bool {
        self.options
            .max_size
            .is_some_and(|capacity| self.size + pending as u64 >= capacity)
    }

    /// Appends whole lines. When not all of them can be written the file is cut after the last whole one.
    pub(crate) fn append(&mut self, lines: &[u8]) -> Result<(), Error> {
        let mut written = 0;
        while written < lines.len() {
            match self.file.write(&lines[written..]) {
                Ok(0) => return Err(self.cut(&lines[..written], io::ErrorKind::WriteZero.into())),
                Ok(more) => written += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.cut(&lines[..written], error)),
            }
        }
        self.size += lines.len() as u64;
        Ok(())
    }

    fn cut(&mut self, written: &[u8], source: io::Error) -> Error {
        let whole = memchr::memrchr(b'\n', written).map_or(0, |newline| newline + 1);
        if whole < written.len() {
            // The end is asked for: someone may have truncated the file under us.
            let end = self
                .file
                .seek(SeekFrom::End(0))
                .unwrap_or(self.size + written.len() as u64);
            // If even this fails, the next opening mends the file, and readers skip the line.
            let _ = self
                .file
                .set_len(end.saturating_sub((written.len() - whole) as u64));
        }
        self.size += whole as u64;
        Error::Write {
            path: self.path.clone(),
            source,
        }
    }

    /// Moves the file to `.1`, `.1` to `.2` and so on, and begins a new one.
    ///
    /// With one file only, it is replaced by an empty one; whoever is reading the old one can go on.
    pub(crate) fn rotate(&mut self) -> Result<(), Error> {
        let failed = |source| Error::Rotate {
            path: self.path.clone(),
            source,
        };
        // Only while files are compressed does anybody else rename them.
        let lock = match self.options.compress {
            true => Some(FolderLock::of(&self.path).map_err(failed)?),
            false => None,
        };
        self.shift().map_err(failed)?;
        self.file = open_file(&self.path).map_err(failed)?;
        self.size = 0;
        if let Some(lock) = lock {
            self.compressor.wake(&self.path, &lock);
        }
        Ok(())
    }

    /// Gives each file the next number, the last one to nobody.
    fn shift(&self) -> io::Result<()> {
        let last = self.options.max_file.saturating_sub(1);
        if last == 0 {
            return remove_if_there(&self.path);
        }
        for number in numbers(&self.path)?.into_iter().rev() {
            for name in [numbered, compressed] {
                let old = name(&self.path, number);
                if number >= last {
                    remove_if_there(&old)?;
                } else {
                    rename_if_there(&old, &name(&self.path, number + 1))?;
                }
            }
        }
        rename_if_there(&self.path, &numbered(&self.path, 1))
    }
}

/// The numbers of the rotated files that there are, compressed or not, in their order. `max-file` says nothing of how
/// many that is.
pub(super) fn numbers(path: &Path) -> io::Result<Vec<u32>> {
    let (Some(folder), Some(base)) = (path.parent(), path.file_name().and_then(OsStr::to_str))
    else {
        return Ok(Vec::new());
    };
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name();
        let number: Option<u32> = name
            .to_str()
            .and_then(|name| name.strip_prefix(base)?.strip_prefix('.'))
            .map(|rest| rest.strip_suffix(".gz").unwrap_or(rest))
            .and_then(|number| number.parse().ok());
        numbers.extend(number);
    }
    numbers.sort_unstable();
    numbers.dedup();
    Ok(numbers)
}

/// `path` with `.number` behind it.
pub(crate) fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_os_string();
    name.push(format!(".{number}"));
    name.into()
}

/// The compressed form of the file with that number.
pub(crate) fn compressed(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_os_string();
    name.push(format!(".{number}.gz"));
    name.into()
}

fn open_file(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o640)
        .open(path)
}

fn rename_if_there(from: &Path, to: &Path) -> io::Result<()> {
    ignore_missing(std::fs::rename(from, to))
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    ignore_missing(std::fs::remove_file(path))
}

fn ignore_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Cuts off a last line without a newline (its writer was killed, or the disk full); says how long the file is.
fn mend(file: &mut File) -> io::Result<u64> {
    let size = file.metadata()?.len();
    if size == 0 {
        return Ok(0);
    }
    let mut last = [0];
    file.seek(SeekFrom::Start(size - 1))?;
    file.read_exact(&mut last)?;
    if last == *b"\n" {
        return Ok(size);
    }
    let from = size.saturating_sub(TORN_SEARCH);
    let mut tail = Vec::new();
    file.seek(SeekFrom::Start(from))?;
    file.read_to_end(&mut tail)?;
    match memchr::memrchr(b'\n', &tail) {
        Some(newline) => {
            let whole = from + newline as u64 + 1;
            file.set_len(whole)?;
            Ok(whole)
        }
        None if from == 0 => {
            file.set_len(0)?;
            Ok(0)
        }
        None => {
            file.write_all(b"\n")?;
            Ok(size + 1)
        }
    }
}
