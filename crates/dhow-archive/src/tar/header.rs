//! What a tar says about one entry.

use std::path::PathBuf;

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A regular file, sparse or not.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// Another name of a file earlier in the archive.
    Hardlink,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
    /// A named pipe.
    Fifo,
}

/// A point in time as file systems have it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mtime {
    /// Seconds since 1970.
    pub seconds: i64,
    /// Nanoseconds after that, less than a thousand million.
    pub nanoseconds: u32,
}

/// An extended attribute.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Xattr {
    /// The full name, such as `security.capability`.
    pub name: Vec<u8>,
    /// The value.
    pub value: Vec<u8>,
}

/// One entry of an archive, with all that extended headers said about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The name as it stands in the archive, not cleaned.
    pub path: PathBuf,
    /// What it is.
    pub kind: Kind,
    /// The permissions with setuid, setgid and sticky.
    pub mode: u32,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// The size of a file's content, holes included; 0 for everything else.
    pub size: u64,
    /// When it was modified last.
    pub mtime: Mtime,
    /// The target of a symbolic or hard link; else empty.
    pub link: PathBuf,
    /// Major and minor number of a device.
    pub device: (u32, u32),
    /// The extended attributes.
    pub xattrs: Vec<Xattr>,
}

impl Header {
    fn new(path: impl Into<PathBuf>, kind: Kind, mode: u32) -> Self {
        Self {
            path: path.into(),
            kind,
            mode,
            uid: 0,
            gid: 0,
            size: 0,
            mtime: Mtime::default(),
            link: PathBuf::new(),
            device: (0, 0),
            xattrs: Vec::new(),
        }
    }

    /// A regular file of root's.
    #[must_use]
    pub fn file(path: impl Into<PathBuf>, mode: u32, size: u64) -> Self {
        Self {
            size,
            ..Self::new(path, Kind::File, mode)
        }
    }

    /// A directory of root's.
    #[must_use]
    pub fn directory(path: impl Into<PathBuf>, mode: u32) -> Self {
        Self::new(path, Kind::Directory, mode)
    }

    /// A symbolic link to `target`.
    #[must_use]
    pub fn symlink(path: impl Into<PathBuf>, target: impl Into<PathBuf>) -> Self {
        Self {
            link: target.into(),
            ..Self::new(path, Kind::Symlink, 0o777)
        }
    }

    /// A hard link to `target`, a name in the same archive.
    #[must_use]
    pub fn hardlink(path: impl Into<PathBuf>, target: impl Into<PathBuf>) -> Self {
        Self {
            link: target.into(),
            ..Self::new(path, Kind::Hardlink, 0o644)
        }
    }

    /// A device, or a fifo, of root's.
    #[must_use]
    pub fn node(path: impl Into<PathBuf>, kind: Kind, mode: u32, device: (u32, u32)) -> Self {
        Self {
            device,
            ..Self::new(path, kind, mode)
        }
    }

    /// The same with another owner.
    #[must_use]
    pub fn owned_by(self, uid: u32, gid: u32) -> Self {
        Self { uid, gid, ..self }
    }

    /// The same modified at `seconds` since 1970.
    #[must_use]
    pub fn modified_at(self, seconds: i64) -> Self {
        Self {
            mtime: Mtime {
                seconds,
                nanoseconds: 0,
            },
            ..self
        }
    }
}
