//! Pseudo terminals.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::pty::OpenptFlags;
use rustix::termios::Winsize;

/// A pseudo terminal: what is written to one side is read from the other.
#[derive(Debug)]
pub struct Pty {
    /// The side of the one who looks at it (shim, terminal emulator).
    pub master: OwnedFd,
    /// The side of the programs that run in it.
    pub slave: OwnedFd,
}

/// Opens a new pseudo terminal in the devpts instance whose `ptmx` stands in the directory `devpts`; neither side
/// becomes anybody's controlling terminal, both are close-on-exec.
///
/// # Errors
/// The kernel's.
pub fn open_in(devpts: BorrowedFd<'_>) -> io::Result<Pty> {
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let master = rustix::fs::openat(devpts, "ptmx", flags, Mode::empty())?;
    finish(master)
}

/// Opens a new pseudo terminal in the host's devpts instance.
///
/// # Errors
/// The kernel's.
pub fn open() -> io::Result<Pty> {
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    finish(rustix::fs::open("/dev/ptmx", flags, Mode::empty())?)
}

fn finish(master: OwnedFd) -> io::Result<Pty> {
    rustix::pty::unlockpt(&master)?;
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let slave = rustix::pty::ioctl_tiocgptpeer(&master, flags)?;
    Ok(Pty { master, slave })
}

/// Sets the window size, in characters; nothing is done where both are 0.
///
/// # Errors
/// The kernel's.
pub fn resize(terminal: impl AsFd, rows: u16, columns: u16) -> io::Result<()> {
    if rows == 0 && columns == 0 {
        return Ok(());
    }
    let size = Winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    Ok(rustix::termios::tcsetwinsize(terminal, size)?)
}

/// Makes `slave` the controlling terminal of the calling session, which must have none (call `setsid` first).
///
/// # Errors
/// The kernel's.
pub fn make_controlling(slave: impl AsFd) -> io::Result<()> {
    Ok(rustix::process::ioctl_tiocsctty(slave)?)
}
