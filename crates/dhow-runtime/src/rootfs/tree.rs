//! Mounts that are attached nowhere yet: new file systems, and copies of what is mounted elsewhere.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use dhow_sys::mount::{MountAttributes, set_attributes};
use rustix::fs::CWD;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, fsconfig_create,
    fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, move_mount, open_tree,
};

use super::options::{Change, Recursive};

/// A new file system of the type `kind`, mounted nowhere. `options` are `key=value` or `key`; the first to fail names
/// itself in the error, with what the kernel had to say about it.
pub(crate) fn new(
    kind: &str,
    source: &Path,
    options: &[impl AsRef<str>],
    attributes: u64,
) -> io::Result<OwnedFd> {
    let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    let said = |error: rustix::io::Errno| explain(context.as_fd(), error);
    if !source.as_os_str().is_empty() {
        fsconfig_set_string(context.as_fd(), "source", source).map_err(said)?;
    }
    for option in options {
        match option.as_ref().split_once('=') {
            Some((key, value)) => fsconfig_set_string(context.as_fd(), key, value),
            None => fsconfig_set_flag(context.as_fd(), option.as_ref()),
        }
        .map_err(|error| {
            let error = explain(context.as_fd(), error);
            io::Error::new(
                error.kind(),
                format!("option {:?}: {error}", option.as_ref()),
            )
        })?;
    }
    fsconfig_create(context.as_fd()).map_err(said)?;
    let flags = MountAttrFlags::from_bits_retain(u32::try_from(attributes).unwrap_or(0));
    Ok(fsmount(
        context.as_fd(),
        FsMountFlags::FSMOUNT_CLOEXEC,
        flags,
    )?)
}

/// A copy of the mount that `path` of the host is in, with `path` as its top.
pub(crate) fn clone_host(path: &Path, recursive: Recursive) -> io::Result<OwnedFd> {
    Ok(open_tree(CWD, path, clone_flags(recursive))?)
}

/// A copy of the mount that `place` is in, with `place` as its top.
pub(crate) fn clone_at(place: BorrowedFd<'_>, recursive: Recursive) -> io::Result<OwnedFd> {
    Ok(open_tree(
        place,
        "",
        clone_flags(recursive) | OpenTreeFlags::AT_EMPTY_PATH,
    )?)
}

/// Attaches `tree` on `place`.
pub(crate) fn attach(tree: BorrowedFd<'_>, place: BorrowedFd<'_>) -> io::Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    Ok(move_mount(tree, "", place, "", flags)?)
}

/// Changes the attributes of `tree`.
pub(crate) fn change(tree: BorrowedFd<'_>, change: Change, recursive: Recursive) -> io::Result<()> {
    if change.is_none() {
        return Ok(());
    }
    let attributes = MountAttributes {
        set: change.set,
        clear: change.clear,
        ..MountAttributes::default()
    };
    set_attributes(tree, c"", recursive == Recursive::Yes, &attributes)
}

/// Changes the propagation of `tree`.
pub(crate) fn propagate(tree: BorrowedFd<'_>, kind: u64, recursive: Recursive) -> io::Result<()> {
    let attributes = MountAttributes {
        propagation: kind,
        ..MountAttributes::default()
    };
    set_attributes(tree, c"", recursive == Recursive::Yes, &attributes)
}

fn clone_flags(recursive: Recursive) -> OpenTreeFlags {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    match recursive {
        Recursive::Yes => flags | OpenTreeFlags::AT_RECURSIVE,
        Recursive::No => flags,
    }
}

/// The error with the kernel's own words, which are read from the context.
fn explain(context: BorrowedFd<'_>, error: rustix::io::Errno) -> io::Error {
    let mut buffer = [0; 512];
    match rustix::io::read(context, &mut buffer) {
        Ok(count) if count > 2 => {
            let text = String::from_utf8_lossy(&buffer[2..count]).trim().to_owned();
            let plain = io::Error::from(error);
            io::Error::new(
                plain.kind(),
                format!("{} ({text})", crate::failure::errno_text(&plain)),
            )
        }
        _ => error.into(),
    }
}
