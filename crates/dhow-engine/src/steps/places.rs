//! Places for mounts that the root does not have: a layer of their own on top of the root's, below what is written.
//!
//! The runtime would make them in the upper directory, and they would be in every layer that is made of it, with the
//! directories they are in. In a layer that is there for this run only they are nobody's: it has the missing files
//! and directories, and above them the directories there are, with the attributes that they have.
//!
//! Paths are looked up in the mounted root by the kernel, a component at a time, and links are followed inside it.

use std::collections::VecDeque;
use std::ffi::{CStr, OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use dhow_snapshot::Mounts;
use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, Timespec, Timestamps, Uid, XattrFlags,
    fchmod, fchown, fgetxattr, flistxattr, fsetxattr, futimens, mkdirat, mknodat, openat, openat2,
    readlinkat, statat,
};
use rustix::io::Errno;

use super::{StepMount, StepSource};
use crate::{Error, Result};

/// How many links may lead to a place.
const MOST_LINKS: usize = 40;

/// A place that is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Missing {
    /// The components of the directories there are.
    there: Vec<OsString>,
    /// The components that are missing.
    missing: Vec<OsString>,
    directory: bool,
}

/// Makes the places that `mounts` lack in `root` as a layer in `folder`; gives the root with it. Blocking.
///
/// # Errors
/// The root can't be mounted or the layer not be made.
pub(super) fn add(root: &Mounts, mounts: &[StepMount], folder: &Path) -> Result<Mounts> {
    if mounts.is_empty() {
        return Ok(root.clone());
    }
    let seen = root.frozen().mount()?;
    let mut all = Vec::new();
    for mount in mounts {
        let target = Path::new(&mount.target);
        if let Some(place) = look_up(&seen, target, is_directory(mount)?).map_err(failed(target))? {
            all.push(place);
        }
    }
    if all.is_empty() {
        return Ok(root.clone());
    }
    let layer = folder.join("places");
    make(&seen, &all, &layer).map_err(failed(&layer))?;
    let mut with = root.clone();
    with.lower.insert(0, layer);
    Ok(with)
}

fn failed(path: &Path) -> impl FnOnce(Errno) -> Error {
    let path = path.to_owned();
    move |source| Error::File {
        action: "make a place for the mount",
        path,
        source: source.into(),
    }
}

/// Whether a directory is mounted.
fn is_directory(mount: &StepMount) -> Result<bool> {
    match &mount.source {
        StepSource::Memory(_) => Ok(true),
        StepSource::Path(path) => {
            let found = std::fs::metadata(path);
            let found = found.map_err(|source| Error::File {
                action: "mount",
                path: path.clone(),
                source,
            })?;
            Ok(found.is_dir())
        }
        StepSource::Root { root, path } => {
            let root = root.frozen().mount()?;
            let place = open(&root, Path::new(path)).map_err(|source| Error::File {
                action: "mount",
                path: path.into(),
                source: source.into(),
            })?;
            let stat = rustix::fs::fstat(&place).map_err(failed(Path::new(path)))?;
            Ok(FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
        }
    }
}

/// Opens a path as a process sees it whose root is `root`.
fn open(root: &OwnedFd, path: &Path) -> rustix::io::Result<OwnedFd> {
    let path = path.strip_prefix("/").unwrap_or(path);
    let path = if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    };
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    openat2(root, path, flags, Mode::empty(), ResolveFlags::IN_ROOT)
}

/// What is missing of `target`; nothing if it is there, or is no path that could be made.
fn look_up(root: &OwnedFd, target: &Path, directory: bool) -> rustix::io::Result<Option<Missing>> {
    let mut todo = components(target);
    let mut there: Vec<OsString> = Vec::new();
    let mut links = 0;
    while let Some(name) = todo.pop_front() {
        if name == ".." {
            there.pop();
            continue;
        }
        let parent = below(root, &there)?;
        let stat = match statat(&parent, &name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => {
                let mut missing = vec![name];
                missing.extend(todo);
                if missing.iter().any(|name| name == "..") {
                    return Ok(None);
                }
                return Ok(Some(Missing {
                    there,
                    missing,
                    directory,
                }));
            }
            // The runtime says what is wrong.
            Err(Errno::NOTDIR) => return Ok(None),
            Err(error) => return Err(error),
        };
        if FileType::from_raw_mode(stat.st_mode) != FileType::Symlink {
            there.push(name);
            continue;
        }
        links += 1;
        if links > MOST_LINKS {
            return Ok(None);
        }
        let link = readlinkat(&parent, &name, Vec::new())?;
        let link = Path::new(OsStr::from_bytes(link.as_bytes())).to_owned();
        if link.is_absolute() {
            there.clear();
        }
        for name in components(&link).into_iter().rev() {
            todo.push_front(name);
        }
    }
    Ok(None)
}

fn components(path: &Path) -> VecDeque<OsString> {
    let names = path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    });
    names.collect()
}

/// Opens a directory whose path has no links (any more).
fn below(root: &OwnedFd, names: &[OsString]) -> rustix::io::Result<OwnedFd> {
    let path: PathBuf = names.iter().collect();
    let path = if names.is_empty() {
        Path::new(".")
    } else {
        &path
    };
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS;
    openat2(root, path, flags, Mode::empty(), resolve)
}

/// Makes the layer.
fn make(root: &OwnedFd, all: &[Missing], layer: &Path) -> rustix::io::Result<()> {
    mkdirat(rustix::fs::CWD, layer, Mode::from(0o755))?;
    let top = openat(rustix::fs::CWD, layer, DIRECTORY, Mode::empty())?;
    let mut copied: Vec<(Vec<OsString>, OwnedFd)> = Vec::new();
    for place in all {
        for length in 0..=place.there.len() {
            let names = &place.there[..length];
            if copied.iter().any(|(known, _)| known == names) {
                continue;
            }
            let model = openat(below(root, names)?, ".", DIRECTORY, Mode::empty())?;
            if let Some((name, parents)) = names.split_last() {
                there_is_fine(mkdirat(own(&top, parents)?, name, Mode::from(0o755)))?;
            }
            copied.push((names.to_vec(), model));
        }
        make_missing(&top, place)?;
    }
    // Their times last, deepest first: what is made in a directory changes its time.
    copied.sort_by_key(|(names, _)| std::cmp::Reverse(names.len()));
    for (names, model) in &copied {
        dress(&own(&top, names)?, model)?;
    }
    Ok(())
}

const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// Opens a directory of the layer, in which there are no links.
fn own(top: &OwnedFd, names: &[OsString]) -> rustix::io::Result<OwnedFd> {
    let mut folder = top.try_clone().map_err(|_| Errno::MFILE)?;
    for name in names {
        folder = openat(&folder, name, DIRECTORY, Mode::empty())?;
    }
    Ok(folder)
}

fn make_missing(top: &OwnedFd, place: &Missing) -> rustix::io::Result<()> {
    let mut folder = own(top, &place.there)?;
    let (last, parents) = place.missing.split_last().ok_or(Errno::INVAL)?;
    for name in parents {
        there_is_fine(mkdirat(&folder, name, Mode::from(0o755)))?;
        folder = openat(&folder, name, DIRECTORY, Mode::empty())?;
    }
    there_is_fine(if place.directory {
        mkdirat(&folder, last, Mode::from(0o755))
    } else {
        mknodat(&folder, last, FileType::RegularFile, Mode::from(0o644), 0)
    })
}

fn there_is_fine(made: rustix::io::Result<()>) -> rustix::io::Result<()> {
    match made {
        Err(Errno::EXIST) => Ok(()),
        other => other,
    }
}

/// Gives a directory the owner, permissions, extended attributes and times of another.
fn dress(folder: &OwnedFd, model: &OwnedFd) -> rustix::io::Result<()> {
    let stat = rustix::fs::fstat(model)?;
    let owner = Uid::from_raw(stat.st_uid);
    fchown(folder, Some(owner), Some(Gid::from_raw(stat.st_gid)))?;
    fchmod(folder, Mode::from_raw_mode(stat.st_mode))?;
    let mut names = vec![0; fgetxattrs(model, &mut [])?];
    let length = fgetxattrs(model, &mut names)?;
    for name in names[..length].split_inclusive(|byte| *byte == 0) {
        let Ok(name) = CStr::from_bytes_with_nul(name) else {
            continue;
        };
        if name.to_bytes().starts_with(b"trusted.overlay.") {
            continue;
        }
        let mut value = vec![0; fgetxattr(model, name, &mut [0_u8; 0])?];
        let length = fgetxattr(model, name, &mut value)?;
        fsetxattr(folder, name, &value[..length], XattrFlags::empty())?;
    }
    let time = |seconds, nanoseconds| Timespec {
        tv_sec: seconds,
        tv_nsec: i64::try_from(nanoseconds).unwrap_or(0),
    };
    let times = Timestamps {
        last_access: time(stat.st_atime, stat.st_atime_nsec),
        last_modification: time(stat.st_mtime, stat.st_mtime_nsec),
    };
    futimens(folder, &times)
}

/// The names of the extended attributes; how many bytes they take, if there is no room for any.
fn fgetxattrs(file: &OwnedFd, room: &mut [u8]) -> rustix::io::Result<usize> {
    match flistxattr(file, room) {
        Err(Errno::NOTSUP) => Ok(0),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use super::*;

    fn missing(there: &[&str], missing: &[&str]) -> Option<Missing> {
        let names = |list: &[&str]| list.iter().map(OsString::from).collect();
        Some(Missing {
            there: names(there),
            missing: names(missing),
            directory: true,
        })
    }

    #[test]
    fn what_is_missing_is_found_through_links_that_stay_inside() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("run/lock")).unwrap();
        std::fs::create_dir(root.path().join("var")).unwrap();
        std::fs::write(root.path().join("file"), "").unwrap();
        symlink("/run", root.path().join("var/run")).unwrap();
        symlink("../../../../outside", root.path().join("var/out")).unwrap();
        symlink("loop", root.path().join("loop")).unwrap();
        let fd = openat(rustix::fs::CWD, root.path(), DIRECTORY, Mode::empty()).unwrap();
        for (target, expected) in [
            ("/run/lock", None),
            ("/", None),
            ("/run/secrets/a", missing(&["run"], &["secrets", "a"])),
            ("/var/run/x", missing(&["run"], &["x"])),
            ("/var/out/x", missing(&[], &["outside", "x"])),
            ("/new/../x", None),
            ("/file/x", None),
            ("/loop/x", None),
        ] {
            let found = look_up(&fd, Path::new(target), true).unwrap();
            assert_eq!(found, expected, "{target}");
        }
    }

    #[test]
    fn the_layer_has_what_is_missing_and_the_attributes_of_what_is_there() {
        let root = tempfile::tempdir().unwrap();
        let app = root.path().join("app");
        std::fs::create_dir(&app).unwrap();
        std::fs::set_permissions(&app, std::fs::Permissions::from_mode(0o750)).unwrap();
        let fd = openat(rustix::fs::CWD, root.path(), DIRECTORY, Mode::empty()).unwrap();
        let find =
            |target: &str, directory| look_up(&fd, Path::new(target), directory).unwrap().unwrap();
        let all = [find("/app/cache/x", true), find("/app/key", false)];
        let folder = tempfile::tempdir().unwrap();
        let layer = folder.path().join("layer");
        make(&fd, &all, &layer).unwrap();
        let made = std::fs::metadata(layer.join("app")).unwrap();
        let model = std::fs::metadata(&app).unwrap();
        assert_eq!(made.mode(), model.mode());
        assert_eq!(made.modified().unwrap(), model.modified().unwrap());
        assert!(layer.join("app/cache/x").is_dir() && layer.join("app/key").is_file());
    }
}
