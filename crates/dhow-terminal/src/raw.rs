//! Raw mode that is always taken back, and the size of the window.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::termios::{self, LocalModes, OptionalActions, Termios};

/// Terminals in raw mode now, with the settings to give back; shared so that a panic or a signal can restore them.
static RAW: Mutex<Vec<(u64, OwnedFd, Termios)>> = Mutex::new(Vec::new());
static NEXT: AtomicU64 = AtomicU64::new(0);

/// A terminal in raw mode until this is dropped.
///
/// Dropping covers returns and unwinding; whoever ends the process another way (a signal handler, `exit`) calls
/// [`restore_all`] first.
#[derive(Debug)]
pub struct RawMode(u64);

impl RawMode {
    /// Puts the terminal behind `fd` into raw mode: no echo, no line editing, no signals from keys.
    ///
    /// # Errors
    /// If `fd` is no terminal, or its settings cannot be changed.
    pub fn enter(fd: BorrowedFd<'_>) -> std::io::Result<Self> {
        Self::change(fd, Termios::make_raw)
    }

    fn change(fd: BorrowedFd<'_>, change: impl FnOnce(&mut Termios)) -> std::io::Result<Self> {
        let original = termios::tcgetattr(fd)?;
        let mut changed = original.clone();
        change(&mut changed);
        let duplicate = fd.try_clone_to_owned()?;
        termios::tcsetattr(fd, OptionalActions::Now, &changed)?;
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        if let Ok(mut raw) = RAW.lock() {
            raw.push((id, duplicate, original));
        }
        Ok(Self(id))
    }
}

/// A terminal that does not show what is typed until the guard is dropped; for passwords.
///
/// # Errors
/// If `fd` is no terminal, or its settings cannot be changed.
pub fn without_echo(fd: BorrowedFd<'_>) -> std::io::Result<RawMode> {
    RawMode::change(fd, |settings| settings.local_modes.remove(LocalModes::ECHO))
}

impl Drop for RawMode {
    fn drop(&mut self) {
        restore(|id| id == self.0);
    }
}

/// Gives every terminal that is in raw mode its settings back.
pub fn restore_all() {
    restore(|_| true);
}

fn restore(which: impl Fn(u64) -> bool) {
    let Ok(mut raw) = RAW.lock() else { return };
    raw.retain(|(id, fd, original)| {
        if !which(*id) {
            return true;
        }
        // A terminal that hung up cannot be restored, and need not be.
        let _ = termios::tcsetattr(fd, OptionalActions::Now, original);
        false
    });
}

/// Whether `fd` is a terminal.
#[must_use]
pub fn is_terminal(fd: impl AsFd) -> bool {
    termios::isatty(fd)
}

/// Rows and columns of the terminal behind `fd`, where it is one and knows them.
#[must_use]
pub fn window_size(fd: impl AsFd) -> Option<(u16, u16)> {
    let size = termios::tcgetwinsize(fd).ok()?;
    (size.ws_row != 0 || size.ws_col != 0).then_some((size.ws_row, size.ws_col))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

    fn terminal() -> (OwnedFd, std::fs::File) {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let slave = std::fs::OpenOptions::new()
            .read(true)
            .write(true)
            .open(name.to_str().unwrap())
            .unwrap();
        (master, slave)
    }

    fn echoes(fd: &std::fs::File) -> bool {
        termios::tcgetattr(fd)
            .unwrap()
            .local_modes
            .contains(LocalModes::ECHO)
    }

    #[test]
    fn raw_mode_ends_with_its_guard_and_with_a_panic() {
        let (_master, slave) = terminal();
        let raw = RawMode::enter(slave.as_fd()).unwrap();
        assert!(!echoes(&slave));
        drop(raw);
        assert!(echoes(&slave));

        let unwound = std::panic::catch_unwind(|| {
            let _raw = RawMode::enter(slave.as_fd()).unwrap();
            panic!("on purpose");
        });
        assert!(unwound.is_err());
        assert!(echoes(&slave));
    }

    #[test]
    fn what_is_no_terminal_is_refused_and_has_no_size() {
        let file = tempfile();
        assert!(RawMode::enter(file.as_fd()).is_err());
        assert_eq!(window_size(&file), None);
        assert!(!is_terminal(&file));
    }

    fn tempfile() -> std::fs::File {
        std::fs::File::open("/dev/null").unwrap()
    }
}
