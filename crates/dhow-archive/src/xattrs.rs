//! Extended attributes of files that have no descriptor for reading, by way of `/proc/self/fd`.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use rustix::fs::{XattrFlags, fgetxattr, flistxattr, fsetxattr, lgetxattr, llistxattr, lsetxattr};
use rustix::io::Errno;

use crate::tar::Xattr;

/// overlayfs' own attributes: what they mean depends on the layers around, and no archive has a say in it.
const OVERLAY: &[u8] = b"trusted.overlay.";

/// The administrator's own attributes, overlayfs' among them: no archive sets any, as in containerd.
const TRUSTED: &[u8] = b"trusted.";

/// The attribute of a directory that hides all below it, with the value `y`.
pub(crate) const OPAQUE: &str = "trusted.overlay.opaque";

/// Attributes that belong to this host and not to the file.
const HOST: [&[u8]; 3] = [b"security.selinux", b"security.ima", b"security.evm"];

/// What attributes are read from or written to.
#[derive(Debug, Clone, Copy)]
pub enum Target<'a> {
    /// An open file.
    File(BorrowedFd<'a>),
    /// A name in a directory, not followed if it is a link; the empty name is the directory.
    Name(BorrowedFd<'a>, &'a [u8]),
}

impl Target<'_> {
    fn path(parent: BorrowedFd<'_>, name: &[u8]) -> Vec<u8> {
        let mut path = format!("/proc/self/fd/{}/", parent.as_raw_fd()).into_bytes();
        match name {
            b"" => path.push(b'.'),
            name => path.extend_from_slice(name),
        }
        path
    }

    fn list(self, buffer: &mut Vec<u8>) -> Result<usize, Errno> {
        match self {
            Self::File(fd) => flistxattr(fd, buffer.as_mut_slice()),
            Self::Name(parent, name) => llistxattr(Self::path(parent, name), buffer.as_mut_slice()),
        }
    }

    fn get(self, key: &[u8], buffer: &mut [u8]) -> Result<usize, Errno> {
        match self {
            Self::File(fd) => fgetxattr(fd, key, buffer),
            Self::Name(parent, name) => lgetxattr(Self::path(parent, name), key, buffer),
        }
    }

    fn set(self, key: &[u8], value: &[u8]) -> Result<(), Errno> {
        let flags = XattrFlags::empty();
        match self {
            Self::File(fd) => fsetxattr(fd, key, value, flags),
            Self::Name(parent, name) => lsetxattr(Self::path(parent, name), key, value, flags),
        }
    }
}

/// Sets what an archive says. What the file system can't keep is left out, as Docker does.
pub fn apply(target: Target<'_>, xattrs: &[Xattr]) -> Result<(), Errno> {
    for xattr in xattrs
        .iter()
        .filter(|xattr| !xattr.name.starts_with(TRUSTED))
    {
        match target.set(&xattr.name, &xattr.value) {
            // The file system has no such attributes, or not on this kind of file.
            Err(Errno::OPNOTSUPP) => {}
            Err(Errno::PERM) if xattr.name.starts_with(b"user.") => {}
            result => result?,
        }
    }
    Ok(())
}

/// The attributes worth keeping in an archive, sorted.
pub fn read(target: Target<'_>) -> Result<Vec<Xattr>, Errno> {
    let mut names = vec![0; 1024];
    let length = loop {
        match target.list(&mut names) {
            Ok(length) => break length,
            Err(Errno::RANGE) if names.len() < 1 << 16 => names.resize(1 << 16, 0),
            Err(Errno::OPNOTSUPP | Errno::NODATA) => return Ok(Vec::new()),
            Err(error) => return Err(error),
        }
    };
    let mut xattrs = Vec::new();
    for name in names[..length]
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
    {
        if name.starts_with(OVERLAY) || HOST.contains(&name) {
            continue;
        }
        let mut value = vec![0; 1 << 16];
        match target.get(name, &mut value) {
            Ok(length) => {
                value.truncate(length);
                xattrs.push(Xattr {
                    name: name.to_vec(),
                    value,
                });
            }
            Err(Errno::NODATA) => {}
            Err(error) => return Err(error),
        }
    }
    xattrs.sort();
    Ok(xattrs)
}

pub(crate) fn set_opaque(directory: impl AsFd) -> Result<(), Errno> {
    Target::Name(directory.as_fd(), b"").set(OPAQUE.as_bytes(), b"y")
}

/// Whether overlayfs shows nothing of what is below this directory.
pub fn is_opaque(directory: impl AsFd) -> bool {
    let mut value = [0; 1];
    let read = Target::Name(directory.as_fd(), b"").get(OPAQUE.as_bytes(), &mut value);
    read == Ok(1) && value == *b"y"
}
