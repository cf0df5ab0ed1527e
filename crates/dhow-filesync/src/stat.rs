//! Metadata as it is sent: permissions and types are the bits of Go's `os.FileMode`, not the kernel's.

use rustix::fs::{FileType, Mode, RawMode};

use crate::Stat;

const DIRECTORY: u32 = 1 << 31;
const SYMLINK: u32 = 1 << 27;
const DEVICE: u32 = 1 << 26;
const FIFO: u32 = 1 << 25;
const SOCKET: u32 = 1 << 24;
const SETUID: u32 = 1 << 23;
const SETGID: u32 = 1 << 22;
const CHARACTER: u32 = 1 << 21;
const STICKY: u32 = 1 << 20;
const IRREGULAR: u32 = 1 << 19;
/// All the bits of a type.
const TYPE: u32 = DIRECTORY | SYMLINK | DEVICE | FIFO | SOCKET | CHARACTER | IRREGULAR;

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Directory,
    File,
    Symlink,
    Fifo,
    /// Devices, sockets and what else there may be.
    Other,
}

/// What the bits say the file is.
pub(crate) fn kind(mode: u32) -> Kind {
    match mode & TYPE {
        0 => Kind::File,
        DIRECTORY => Kind::Directory,
        SYMLINK => Kind::Symlink,
        FIFO => Kind::Fifo,
        _ => Kind::Other,
    }
}

/// The kernel's permissions of Go's bits.
pub(crate) fn permissions(mode: u32) -> Mode {
    let mut raw: RawMode = mode & 0o777;
    for (go, kernel) in [(SETUID, 0o4000), (SETGID, 0o2000), (STICKY, 0o1000)] {
        if mode & go != 0 {
            raw |= kernel;
        }
    }
    Mode::from_raw_mode(raw)
}

/// Go's bits of the kernel's mode.
pub(crate) fn from_raw(raw: RawMode) -> u32 {
    let mut mode = raw & 0o777;
    for (go, kernel) in [(SETUID, 0o4000), (SETGID, 0o2000), (STICKY, 0o1000)] {
        if raw & kernel != 0 {
            mode |= go;
        }
    }
    mode | match FileType::from_raw_mode(raw) {
        FileType::Directory => DIRECTORY,
        FileType::Symlink => SYMLINK,
        FileType::Fifo => FIFO,
        FileType::Socket => SOCKET,
        FileType::BlockDevice => DEVICE,
        FileType::CharacterDevice => DEVICE | CHARACTER,
        FileType::RegularFile => 0,
        FileType::Unknown => IRREGULAR,
    }
}

/// Whether a file with the one stands for a file with the other, so that it need not be sent again.
pub(crate) fn same(one: &Stat, other: &Stat) -> bool {
    let owned = |stat: &Stat| (stat.mode, stat.uid, stat.gid);
    let timed = |stat: &Stat| match kind(stat.mode) {
        Kind::File => (stat.size, stat.mod_time),
        _ => (0, stat.mod_time),
    };
    owned(one) == owned(other)
        && timed(one) == timed(other)
        && one.linkname == other.linkname
        && one.xattrs == other.xattrs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_gos() {
        for (raw, go) in [
            (0o100_644, 0o644),
            (0o040_755, 0o755 | 1 << 31),
            (0o120_777, 0o777 | 1 << 27),
            (0o104_755, 0o755 | 1 << 23),
            (0o041_777, 0o777 | 1 << 31 | 1 << 20),
            (0o010_600, 0o600 | 1 << 25),
            (0o020_600, 0o600 | 1 << 26 | 1 << 21),
        ] {
            assert_eq!(from_raw(raw), go, "{raw:o}");
            assert_eq!(permissions(go).as_raw_mode(), raw & 0o7777, "{raw:o}");
        }
    }
}
