//! `--chown`: users and groups by name or number, looked up in the root that is copied to.

use std::io::Read;
use std::os::fd::BorrowedFd;

use dhow_archive::fd::open_in_root;
use rustix::fs::OFlags;
use rustix::io::Errno;

use super::failed;
use crate::error::Error;
use crate::graph::Owner;

/// The most that is read of `/etc/passwd` and `/etc/group`.
const LARGEST: u64 = 16 << 20;

/// The numbers of an owner.
///
/// # Errors
/// A name is not known in the root.
pub(crate) fn resolve(root: BorrowedFd<'_>, owner: &Owner) -> Result<(u32, u32), Error> {
    let (uid, primary) = match owner.user.parse::<u32>() {
        Ok(uid) => (uid, uid),
        Err(_) => user(root, &owner.user)?,
    };
    let gid = match &owner.group {
        None => primary,
        Some(group) => match group.parse::<u32>() {
            Ok(gid) => gid,
            Err(_) => self::group(root, group)?,
        },
    };
    Ok((uid, gid))
}

fn user(root: BorrowedFd<'_>, name: &str) -> Result<(u32, u32), Error> {
    let found = entry(root, b"etc/passwd", name, |fields| {
        Some((fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?))
    })?;
    found.ok_or_else(|| {
        Error::not_found(format!(
            "unable to convert uid/gid chown string to host mapping: can't find uid for user {name}: no such user: {name}"
        ))
    })
}

fn group(root: BorrowedFd<'_>, name: &str) -> Result<u32, Error> {
    let found = entry(root, b"etc/group", name, |fields| {
        fields.get(2)?.parse().ok()
    })?;
    found.ok_or_else(|| {
        Error::not_found(format!(
            "unable to convert uid/gid chown string to host mapping: can't find gid for group {name}: no such group: {name}"
        ))
    })
}

/// What `read` makes of the first line whose first field is `name`.
fn entry<T>(
    root: BorrowedFd<'_>,
    file: &[u8],
    name: &str,
    read: impl Fn(&[&str]) -> Option<T>,
) -> Result<Option<T>, Error> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK;
    let opened = match open_in_root(root, file, flags) {
        Ok(opened) => std::fs::File::from(opened),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(None),
        Err(e) => return Err(failed("open", file)(e)),
    };
    let mut text = Vec::new();
    opened
        .take(LARGEST)
        .read_to_end(&mut text)
        .map_err(|e| Error::file("read", super::shown(file), e))?;
    let text = String::from_utf8_lossy(&text);
    let found = text.lines().find_map(|line| {
        let fields: Vec<&str> = line.trim().split(':').collect();
        (fields[0] == name).then(|| read(&fields)).flatten()
    });
    Ok(found)
}
