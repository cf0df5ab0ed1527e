//! Reading and writing the small files that control groups consist of.

use std::io;
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, openat};

use super::Error;

/// Writes `value` with one system call, as these files want it; they are never created.
pub(super) fn write(directory: &Path, name: &str, value: &str) -> Result<(), Error> {
    let path = directory.join(name);
    try_write(&path, value).map_err(|source| Error::File {
        action: format!("write {:?} to", value.trim_end()),
        path,
        source,
    })
}

/// Writes several values, each with one system call.
pub(super) fn write_all<'a>(
    directory: &Path,
    name: &str,
    values: impl Iterator<Item = &'a str>,
) -> Result<(), Error> {
    let path = directory.join(name);
    let failed = |value: &str, source: rustix::io::Errno| Error::File {
        action: format!("write {value:?} to"),
        path: path.clone(),
        source: source.into(),
    };
    let mut values = values.peekable();
    let Some(first) = values.peek() else {
        return Ok(());
    };
    let flags = OFlags::WRONLY | OFlags::TRUNC | OFlags::CLOEXEC;
    let file = openat(CWD, &path, flags, Mode::empty()).map_err(|error| failed(first, error))?;
    for value in values {
        rustix::io::pwrite(&file, value.as_bytes(), 0).map_err(|error| failed(value, error))?;
    }
    Ok(())
}

/// The same, with the plain error, for those who want to know which.
pub(super) fn try_write(path: &Path, value: &str) -> io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::TRUNC | OFlags::CLOEXEC;
    let file = openat(CWD, path, flags, Mode::empty())?;
    rustix::io::retry_on_intr(|| rustix::io::write(&file, value.as_bytes()))?;
    Ok(())
}

/// Reads a file.
pub(super) fn read(directory: &Path, name: &str) -> Result<String, Error> {
    let path = directory.join(name);
    std::fs::read_to_string(&path).map_err(|source| Error::File {
        action: "read".into(),
        path,
        source,
    })
}

/// Reads a file of one number; `max` and what is not there give `None`.
pub(super) fn number(directory: &Path, name: &str) -> Option<u64> {
    read(directory, name).ok()?.trim().parse().ok()
}

/// Reads lines of a name and a number.
pub(super) fn table(directory: &Path, name: &str) -> Vec<(String, u64)> {
    let text = read(directory, name).unwrap_or_default();
    let line = |line: &str| {
        let (key, value) = line.split_once(' ')?;
        Some((key.to_owned(), value.trim().parse().ok()?))
    };
    text.lines().filter_map(line).collect()
}

/// Makes the directory with all above it; `made` is called for each that was not there, topmost first.
pub(super) fn make_directories(
    path: &Path,
    made: &mut dyn FnMut(&Path) -> Result<(), Error>,
) -> Result<(), Error> {
    let failed = |source| Error::File {
        action: "create".into(),
        path: path.to_owned(),
        source,
    };
    match std::fs::create_dir(path) {
        Ok(()) => made(path),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let parent = path.parent().ok_or_else(|| failed(error))?;
            make_directories(parent, made)?;
            match std::fs::create_dir(path) {
                Ok(()) => made(path),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
                Err(error) => Err(failed(error)),
            }
        }
        Err(error) => Err(failed(error)),
    }
}

/// Removes the directory with all below it, deepest first; what is gone already is fine.
pub(super) fn remove_directories(path: &Path) -> io::Result<()> {
    match std::fs::remove_dir(path) {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        // With groups below it the kernel says it is busy, too.
        Err(_) => {}
    }
    for below in subdirectories(path) {
        remove_directories(&below)?;
    }
    match std::fs::remove_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The directories directly below `path`.
pub(super) fn subdirectories(path: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}

/// Adds the processes listed in `cgroup.procs` of `path` and of everything below it.
pub(super) fn collect_processes(path: &Path, pids: &mut Vec<i32>) -> Result<(), Error> {
    let text = match read(path, "cgroup.procs") {
        Ok(text) => text,
        Err(Error::File { source, .. }) if gone(&source) => return Ok(()),
        Err(error) => return Err(error),
    };
    pids.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()));
    subdirectories(path)
        .iter()
        .try_for_each(|below| collect_processes(below, pids))
}

/// Whether the error says that the group has been removed meanwhile.
pub(super) fn gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
        || error.raw_os_error() == Some(rustix::io::Errno::NODEV.raw_os_error())
}
