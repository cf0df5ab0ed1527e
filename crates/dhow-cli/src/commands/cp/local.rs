//! This machine's side of `cp`.

use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use dhow_archive::{Destination, Packing, UnpackOptions, unpack};

use super::paths::{self, Plan, Source, Target};
use crate::error::{Error, Result};
use dhow_golang::io_text;

/// A path as it was given, absolute.
pub(super) fn absolute(path: &str) -> Result<String> {
    let whole = match path.starts_with('/') {
        true => path.to_owned(),
        false => format!("{}/{path}", std::env::current_dir()?.display()),
    };
    Ok(paths::with_end(paths::clean(&whole), path))
}

/// Refuses a path that nothing can be written to.
pub(super) fn check_output(path: &str) -> Result<()> {
    let (folder, _) = paths::split(&paths::clean(path));
    if is_missing(&fs::metadata(&folder)) {
        return Err(Error::text(format!(
            "invalid output path: directory {folder:?} does not exist"
        )));
    }
    let found = fs::metadata(path);
    if is_missing(&found) {
        return Ok(());
    }
    let kind = found
        .map_err(|error| failed("stat", path, &error))?
        .file_type();
    if kind.is_block_device() || kind.is_char_device() {
        return Err(Error::text(format!(
            "invalid output path: {path:?} must be a directory or a regular file: got a device"
        )));
    }
    Ok(())
}

fn is_missing<T>(found: &io::Result<T>) -> bool {
    found
        .as_ref()
        .is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

fn failed(step: &str, path: &str, error: &io::Error) -> Error {
    Error::text(format!("{step} {path}: {}", io_text(error)))
}

/// The same, without step and path where Docker says neither.
fn not_there(step: &str, path: &str, error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::NotADirectory => Error::text("not a directory"),
        _ => failed(step, path, error),
    }
}

/// How many links a target may go through.
const MOST_LINKS: usize = 10;

/// What a path is as a target: links are followed, the last one to where it leads even if that is missing.
pub(super) fn target(path: &str) -> Result<Target> {
    let mut path = path.to_owned();
    let given = path.clone();
    for _ in 0..=MOST_LINKS {
        let found = match fs::symlink_metadata(&path) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return missing(path),
            Err(error) => return Err(failed("lstat", &path, &error)),
        };
        if !found.is_symlink() {
            return Ok(Target {
                path,
                exists: true,
                is_folder: found.is_dir(),
            });
        }
        let link = fs::read_link(&path).map_err(|error| failed("readlink", &path, &error))?;
        path = paths::linked(&path, &link.to_string_lossy());
    }
    Err(Error::text(format!("too many symlinks in {given}")))
}

fn missing(path: String) -> Result<Target> {
    let (folder, _) = paths::split(&path);
    let found = fs::metadata(&folder).map_err(|error| failed("stat", &folder, &error))?;
    if !found.is_dir() {
        return Err(Error::text("not a directory"));
    }
    Ok(Target {
        path,
        ..Target::default()
    })
}

/// What a path is as a source; the link at its end is followed only when asked for.
pub(super) fn source(path: &str, follow: bool) -> Result<Source> {
    let resolve = |path: &str| {
        fs::canonicalize(path)
            .map(|path| path.to_string_lossy().into_owned())
            .map_err(|error| not_there("lstat", path, &error))
    };
    let trimmed = path.trim_end_matches('/');
    let source = match follow {
        true => paths::followed(path, resolve(path)?, false),
        false => {
            let (folder, last) = trimmed.rsplit_once('/').unwrap_or(("", trimmed));
            let folder = resolve(&format!("{folder}/"))?;
            let found = format!("{}/{last}", folder.trim_end_matches('/'));
            Source {
                path: paths::with_end(found, path),
                ..Source::default()
            }
        }
    };
    let found = fs::symlink_metadata(&source.path)
        .map_err(|error| not_there("lstat", &source.path, &error))?;
    Ok(Source {
        is_folder: found.is_dir(),
        ..source
    })
}

/// Writes the source as an archive whose top is called `name`. Blocking.
pub(super) fn pack(source: &Source, name: &str, out: impl Write) -> Result<()> {
    let root = root()?;
    let packing = Packing::find(root.as_fd(), Path::new(&source.path));
    packing
        .and_then(|packing| packing.named(Path::new(name)).write(out))
        .map(drop)
        .map_err(|error| Error::text(dhow_errdefs::chain(&error).to_string()))
}

/// Unpacks an archive whose top is called `old` as planned. What is unpacked belongs to the user. Blocking.
pub(super) fn extract(archive: impl Read, old: &str, plan: &Plan) -> Result<()> {
    let root = root()?;
    let own = (
        rustix::process::geteuid().as_raw(),
        rustix::process::getegid().as_raw(),
    );
    let options = UnpackOptions {
        no_overwrite_dir_non_dir: true,
        owner: Some(own),
        rebase: (old != plan.name).then(|| (old.into(), plan.name.clone().into())),
        ..UnpackOptions::default()
    };
    let into = Destination::find(root.as_fd(), Path::new(&plan.folder));
    into.and_then(|into| unpack(archive, &into, &options))
        .map_err(|error| told(error, &plan.folder))
}

fn told(error: dhow_archive::Error, folder: &str) -> Error {
    match error {
        dhow_archive::Error::Overwrite {
            existing,
            path,
            new,
            ..
        } => {
            let folder = paths::clean(folder);
            let path = Path::new(&folder).join(path);
            Error::text(format!(
                "cannot overwrite {existing} {path:?} with {new} {folder:?}"
            ))
        }
        error => Error::text(dhow_errdefs::chain(&error).to_string()),
    }
}

/// The directory that absolute paths begin in.
fn root() -> Result<OwnedFd> {
    let flags = rustix::fs::OFlags::PATH | rustix::fs::OFlags::CLOEXEC;
    let root = rustix::fs::open("/", flags, rustix::fs::Mode::empty());
    root.map_err(|error| failed("open", "/", &error.into()))
}
