//! Paths inside a root file system that nobody trusts: resolved by the kernel, with the root as their top.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, mkdirat, mknodat, openat2, readlinkat};
use rustix::io::Errno;

/// Opens `path` as seen by a process whose root is `root`; symbolic links are followed inside it.
pub(crate) fn open(root: BorrowedFd<'_>, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
    let relative = path.strip_prefix("/").unwrap_or(path);
    let relative = if relative.as_os_str().is_empty() {
        Path::new(".")
    } else {
        relative
    };
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    loop {
        match openat2(
            root,
            relative,
            flags | OFlags::CLOEXEC,
            Mode::empty(),
            resolve,
        ) {
            // Something was renamed meanwhile; the kernel could not be sure and asks to try again.
            Err(Errno::AGAIN | Errno::INTR) => {}
            other => return Ok(other?),
        }
    }
}

/// Opens `path` below `directory` as a place (`O_PATH`). Links are followed as long as they stay below it; one that
/// leads out, an absolute one included, is an error (`EXDEV`).
pub(crate) fn open_below(directory: BorrowedFd<'_>, path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    loop {
        match openat2(directory, path, flags, Mode::empty(), resolve) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            other => return Ok(other?),
        }
    }
}

/// As [`make_file`], but a link at the end of the path is an error (`ELOOP`), and so is a directory.
pub(crate) fn make_own_file(root: BorrowedFd<'_>, path: &Path) -> io::Result<OwnedFd> {
    let (parent, name) = split(path)?;
    let directory = make_directory(root, parent, 0o755)?;
    let kind = rustix::fs::FileType::RegularFile;
    match mknodat(&directory, name, kind, Mode::from(0o644), 0) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => return Err(error.into()),
    }
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(&directory, name, flags, Mode::empty())?;
    let stat = rustix::fs::fstat(&file)?;
    match rustix::fs::FileType::from_raw_mode(stat.st_mode) {
        rustix::fs::FileType::Symlink => Err(Errno::LOOP.into()),
        rustix::fs::FileType::Directory => Err(Errno::ISDIR.into()),
        _ => Ok(file),
    }
}

/// Opens the directory `path` in `root` as a place (`O_PATH`), after making what is missing of it.
pub(crate) fn make_directory(root: BorrowedFd<'_>, path: &Path, mode: u32) -> io::Result<OwnedFd> {
    make_directory_to(root, path, mode, 0)
}

/// Opens the file `path` in `root` as a place (`O_PATH`), after making it (empty) and its directories where missing.
pub(crate) fn make_file(root: BorrowedFd<'_>, path: &Path) -> io::Result<OwnedFd> {
    match open(root, path, OFlags::PATH) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        other => return other,
    }
    let (parent, name) = split(path)?;
    let directory = make_directory(root, parent, 0o755)?;
    match mknodat(
        &directory,
        name,
        rustix::fs::FileType::RegularFile,
        Mode::from(0o644),
        0,
    ) {
        Ok(()) => open(directory.as_fd(), Path::new(name), OFlags::PATH),
        Err(Errno::EXIST) => {
            let target = follow(directory.as_fd(), parent, name)?;
            make_file_at_link(root, &target)
        }
        Err(error) => Err(error.into()),
    }
}

fn make_file_at_link(root: BorrowedFd<'_>, target: &Path) -> io::Result<OwnedFd> {
    let (parent, name) = split(target)?;
    let directory = make_directory(root, parent, 0o755)?;
    mknodat(
        &directory,
        name,
        rustix::fs::FileType::RegularFile,
        Mode::from(0o644),
        0,
    )?;
    open(directory.as_fd(), Path::new(name), OFlags::PATH)
}

fn make_directory_to(
    root: BorrowedFd<'_>,
    path: &Path,
    mode: u32,
    links: u32,
) -> io::Result<OwnedFd> {
    match open(root, path, OFlags::PATH | OFlags::DIRECTORY) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        other => return other,
    }
    if links > 20 {
        return Err(Errno::LOOP.into());
    }
    let (parent, name) = split(path)?;
    let directory = make_directory_to(root, parent, mode, links)?;
    match mkdirat(&directory, name, Mode::from(mode)) {
        Ok(()) => {}
        Err(Errno::EXIST) => {
            // A symbolic link to something that is not there: that is what has to be made.
            if let Ok(target) = follow(directory.as_fd(), parent, name) {
                return make_directory_to(root, &target, mode, links + 1);
            }
        }
        Err(error) => return Err(error.into()),
    }
    open(
        directory.as_fd(),
        Path::new(name),
        OFlags::PATH | OFlags::DIRECTORY,
    )
}

/// Where the symbolic link `name` in `directory`, which is at `parent`, leads to.
fn follow(directory: BorrowedFd<'_>, parent: &Path, name: &std::ffi::OsStr) -> io::Result<PathBuf> {
    use std::os::unix::ffi::OsStrExt;
    let target = readlinkat(directory, name, Vec::new())?;
    let target = Path::new(std::ffi::OsStr::from_bytes(target.as_bytes()));
    Ok(parent.join(target))
}

fn split(path: &Path) -> io::Result<(&Path, &std::ffi::OsStr)> {
    let invalid = || io::Error::from(Errno::NOENT);
    match path.components().next_back() {
        Some(Component::Normal(name)) => Ok((path.parent().unwrap_or(Path::new("")), name)),
        _ => Err(invalid()),
    }
}

/// Opens a path of the host as a place.
pub(crate) fn open_host(path: &Path) -> io::Result<OwnedFd> {
    Ok(rustix::fs::openat(
        CWD,
        path,
        OFlags::PATH | OFlags::CLOEXEC,
        Mode::empty(),
    )?)
}

/// Whether the place is a directory.
pub(crate) fn is_directory(place: BorrowedFd<'_>) -> io::Result<bool> {
    let stat = rustix::fs::fstat(place)?;
    Ok(rustix::fs::FileType::from_raw_mode(stat.st_mode).is_dir())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use std::os::unix::fs::symlink;

    fn root(folder: &Path) -> OwnedFd {
        open_host(folder).unwrap()
    }

    #[test]
    fn directories_are_made_inside_the_root_only() {
        let folder = tempfile::tempdir().unwrap();
        let inside = folder.path().join("root");
        std::fs::create_dir(&inside).unwrap();
        symlink("../../outside", inside.join("escape")).unwrap();
        symlink("/absolute/place", inside.join("link")).unwrap();
        let root = root(&inside);
        make_directory(root.as_fd(), Path::new("/escape/deep"), 0o755).unwrap();
        make_directory(root.as_fd(), Path::new("/link/deep"), 0o755).unwrap();
        make_directory(root.as_fd(), Path::new("/../../a/b"), 0o755).unwrap();
        assert!(inside.join("outside/deep").is_dir());
        assert!(inside.join("absolute/place/deep").is_dir());
        assert!(inside.join("a/b").is_dir());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_path_below_leads_nowhere_else() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("in/a/b")).unwrap();
        for (target, name) in [("a/b", "in/link"), ("/etc", "in/abs"), ("../..", "in/up")] {
            symlink(target, folder.path().join(name)).unwrap();
        }
        let inside = root(&folder.path().join("in"));
        for good in ["a", "a/b", "link", "a/../link", "."] {
            assert!(
                open_below(inside.as_fd(), Path::new(good)).is_ok(),
                "{good}"
            );
        }
        for bad in ["abs", "up", "..", "a/../..", "/etc"] {
            let error = open_below(inside.as_fd(), Path::new(bad)).unwrap_err();
            let errno = Errno::from_io_error(&error);
            assert_eq!(errno, Some(Errno::XDEV), "{bad}");
        }
    }

    #[test]
    fn a_link_is_no_place_for_a_terminal() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("dev")).unwrap();
        symlink("/proc/sysrq-trigger", folder.path().join("dev/console")).unwrap();
        let root = root(folder.path());
        assert!(make_own_file(root.as_fd(), Path::new("/dev/console")).is_err());
        assert!(make_own_file(root.as_fd(), Path::new("/dev")).is_err());
        make_own_file(root.as_fd(), Path::new("/dev/other")).unwrap();
    }

    #[test]
    fn a_loop_of_links_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        symlink("two", folder.path().join("one")).unwrap();
        symlink("one", folder.path().join("two")).unwrap();
        let root = root(folder.path());
        assert!(make_directory(root.as_fd(), Path::new("/one/x"), 0o755).is_err());
    }

    #[test]
    fn files_are_made_where_links_lead() {
        let folder = tempfile::tempdir().unwrap();
        symlink("/etc/real", folder.path().join("file")).unwrap();
        let root = root(folder.path());
        make_file(root.as_fd(), Path::new("/file")).unwrap();
        make_file(root.as_fd(), Path::new("/new/file")).unwrap();
        assert!(folder.path().join("etc/real").is_file());
        assert!(folder.path().join("new/file").is_file());
    }
}
