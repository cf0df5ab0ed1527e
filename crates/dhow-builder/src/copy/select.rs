//! What the sources of a copy mean in the tree they are taken from.

use std::os::fd::{AsFd, BorrowedFd};

use dhow_archive::fd::{follow, is_dir, join, names, open_in_root, resolve, stat};
use dhow_dockerfile::IgnorePatterns;
use rustix::fs::{OFlags, Stat, fstat};
use rustix::io::Errno;

use super::wildcard::{is_wild, matches};
use super::{failed, shown};
use crate::error::Error;
use crate::graph::CopyAction;

/// Which files of a tree are meant.
#[derive(Debug, Default)]
pub(crate) struct Selection {
    /// What was found, in the order of the sources and, within one, of the names.
    pub(crate) sources: Vec<Selected>,
    /// What is left out of all of them.
    pub(crate) exclude: IgnorePatterns,
}

/// One source that was found.
#[derive(Debug)]
pub(crate) struct Selected {
    /// Where it really is: clean, no component is a symbolic link.
    pub(crate) path: Vec<u8>,
    /// The name it was found by, without symbolic links followed; it is what the copy is called.
    pub(crate) name: Vec<u8>,
    /// What it is.
    pub(crate) stat: Stat,
    /// With `--parents`: only what matches this, relative to `path`.
    pub(crate) include: Option<IgnorePatterns>,
}

/// Finds what the sources of `action` mean in `root`.
///
/// # Errors
/// One that has no wildcards is not there; BuildKit's words.
pub(crate) fn select(root: BorrowedFd<'_>, action: &CopyAction) -> Result<Selection, Error> {
    let exclude = patterns(&action.exclude)?;
    let mut sources = Vec::new();
    for source in &action.sources {
        if action.parents {
            sources.push(parents(root, source)?);
        } else {
            wild(root, source.as_bytes(), &mut sources)?;
        }
    }
    Ok(Selection { sources, exclude })
}

fn patterns(written: &[String]) -> Result<IgnorePatterns, Error> {
    IgnorePatterns::new(written.iter().map(String::as_str))
        .map_err(|e| Error::invalid(e.to_string()))
}

/// A source of `--parents`: what is before `/./` is no part of the names in the copy.
fn parents(root: BorrowedFd<'_>, source: &str) -> Result<Selected, Error> {
    let (base, pattern) = match source.split_once("/./") {
        Some((base, pattern)) => (base, pattern),
        None => ("", source),
    };
    let base = clean(base.as_bytes());
    let pattern = String::from_utf8_lossy(&clean(pattern.as_bytes())).into_owned();
    let mut found = look_up(root, &base, false)?;
    if !is_wild(pattern.as_bytes()) && !pattern.is_empty() {
        // Without wildcards it must be there.
        look_up(root, &join(&base, pattern.as_bytes()), false)?;
    }
    if !pattern.is_empty() {
        found.include = Some(patterns(&[pattern])?);
    }
    Ok(found)
}

fn wild(root: BorrowedFd<'_>, source: &[u8], found: &mut Vec<Selected>) -> Result<(), Error> {
    let path = clean(source);
    let components: Vec<&[u8]> = path.split(|byte| *byte == b'/').collect();
    let directory = source.ends_with(b"/") || source.ends_with(b"/.");
    let Some(first) = components.iter().position(|component| is_wild(component)) else {
        found.push(look_up(root, &path, directory)?);
        return Ok(());
    };
    let base = components[..first].join(&b'/');
    let mut levels = vec![base];
    for pattern in &components[first..] {
        let mut next = Vec::new();
        for level in &levels {
            matching(root, level, pattern, &mut next)?;
        }
        levels = next;
    }
    for path in levels {
        found.push(look_up(root, &path, directory)?);
    }
    Ok(())
}

/// The paths of what matches one component of a pattern in a directory; nothing where there is no directory.
fn matching(
    root: BorrowedFd<'_>,
    directory: &[u8],
    pattern: &[u8],
    found: &mut Vec<Vec<u8>>,
) -> Result<(), Error> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    let opened = match open_in_root(root, directory, flags) {
        Ok(opened) => opened,
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(()),
        Err(e) => return Err(failed("open", directory)(e)),
    };
    for name in names(opened.as_fd()).map_err(failed("list", directory))? {
        let fits = matches(pattern, &name).map_err(|_| {
            let pattern = String::from_utf8_lossy(pattern);
            Error::invalid(format!("syntax error in pattern: {pattern}"))
        })?;
        if fits {
            found.push(join(directory, &name));
        }
    }
    Ok(())
}

fn look_up(root: BorrowedFd<'_>, path: &[u8], directory: bool) -> Result<Selected, Error> {
    let missing = || not_found(path);
    let real = resolve(root, path).map_err(|e| match e {
        Errno::NOENT | Errno::NOTDIR => missing(),
        e => failed("look at", path)(e),
    })?;
    let opened = match open_in_root(root, &real, OFlags::PATH | OFlags::NOFOLLOW) {
        Ok(opened) => opened,
        Err(Errno::NOENT | Errno::NOTDIR) => return Err(missing()),
        Err(e) => return Err(failed("open", path)(e)),
    };
    let stat = fstat(&opened).map_err(failed("look at", path))?;
    if directory && !is_dir(&stat) {
        return Err(missing());
    }
    Ok(Selected {
        path: real,
        name: path.to_vec(),
        stat,
        include: None,
    })
}

/// BuildKit's words for a path that is not there; it names the layers by two random identifiers.
pub(crate) fn not_found(path: &[u8]) -> Error {
    let (first, second) = (crate::id::random(), crate::id::random());
    Error::not_found(format!(
        "failed to compute cache key: failed to calculate checksum of ref {first}::{second}: {:?}: not found",
        shown(path)
    ))
}

/// A path of a Dockerfile without what means nothing: relative to the root, which `..` does not leave.
pub(crate) fn clean(path: &[u8]) -> Vec<u8> {
    follow(b"", path)
}

/// What is there, if anything, links not followed.
pub(crate) fn stat_of(root: BorrowedFd<'_>, name: &[u8]) -> Result<Option<Stat>, Errno> {
    match stat(root, name) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(e) => Err(e),
    }
}
