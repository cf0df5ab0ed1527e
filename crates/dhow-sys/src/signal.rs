//! Signal masks, dispositions and signalfd.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use crate::call::check_int;

/// A set of signals.
#[derive(Clone, Copy)]
pub struct SignalSet(libc::sigset_t);

impl SignalSet {
    /// No signal.
    #[must_use]
    pub fn empty() -> Self {
        let mut set = MaybeUninit::uninit();
        // SAFETY: sigemptyset initialises the set it is given and can't fail.
        unsafe {
            libc::sigemptyset(set.as_mut_ptr());
            Self(set.assume_init())
        }
    }

    /// Every signal.
    #[must_use]
    pub fn full() -> Self {
        let mut set = MaybeUninit::uninit();
        // SAFETY: sigfillset initialises the set it is given and can't fail.
        unsafe {
            libc::sigfillset(set.as_mut_ptr());
            Self(set.assume_init())
        }
    }

    /// The signals given; numbers out of range are left out.
    #[must_use]
    pub fn of(signals: &[i32]) -> Self {
        signals
            .iter()
            .fold(Self::empty(), |set, signal| set.with(*signal))
    }

    /// The set with `signal` added.
    #[must_use]
    pub fn with(mut self, signal: i32) -> Self {
        // SAFETY: the set is initialised; a number out of range changes nothing.
        unsafe { libc::sigaddset(&raw mut self.0, signal) };
        self
    }

    /// The set with `signal` left out.
    #[must_use]
    pub fn without(mut self, signal: i32) -> Self {
        // SAFETY: the set is initialised; a number out of range changes nothing.
        unsafe { libc::sigdelset(&raw mut self.0, signal) };
        self
    }
}

impl std::fmt::Debug for SignalSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // SAFETY: the set is initialised, and the numbers are in range.
        let members =
            (1..=64).filter(|signal| unsafe { libc::sigismember(&raw const self.0, *signal) } == 1);
        f.debug_set().entries(members).finish()
    }
}

/// Makes `set` the blocked signals of the calling thread, and gives the ones blocked before.
///
/// # Errors
/// The kernel's.
pub fn set_mask(set: &SignalSet) -> io::Result<SignalSet> {
    let mut old = SignalSet::empty();
    // SAFETY: both sets are initialised and outlive the call.
    check_int(unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const set.0, &raw mut old.0) })?;
    Ok(old)
}

/// Blocks `set` beside what is blocked already.
///
/// # Errors
/// The kernel's.
pub fn block(set: &SignalSet) -> io::Result<()> {
    // SAFETY: the set is initialised, and the old one is not asked for.
    check_int(unsafe { libc::sigprocmask(libc::SIG_BLOCK, &raw const set.0, std::ptr::null_mut()) })
        .map(drop)
}

/// Makes the program of `command` start with no signal blocked: it would inherit the mask of the caller.
pub fn start_unblocked(command: &mut std::process::Command) -> &mut std::process::Command {
    use std::os::unix::process::CommandExt;
    let none = SignalSet::empty();
    // SAFETY: the closure only makes one system call, which is allowed between fork and exec.
    unsafe { command.pre_exec(move || set_mask(&none).map(drop)) }
}

/// Gives every signal its default disposition again (Rust ignores SIGPIPE, a caller may ignore more).
///
/// The kernel is asked directly: the C library refuses to touch the two signals that it uses itself, which then stayed
/// ignored in the next program where our caller ignored them.
pub fn reset_dispositions() {
    /// The kernel's `struct sigaction`, all zero: `SIG_DFL`, no flags, an empty mask.
    const DEFAULT: [u64; 4] = [0; 4];
    /// The kernel's `sizeof(sigset_t)`.
    const SET: usize = 8;
    for signal in 1..=64_i64 {
        // SAFETY: the kernel reads at most 32 bytes of the first structure and writes nothing; SIG_DFL installs no
        // handler; the two signals that can't be changed only give an error.
        unsafe {
            libc::syscall(
                libc::SYS_rt_sigaction,
                signal,
                DEFAULT.as_ptr(),
                std::ptr::null_mut::<u64>(),
                SET,
            )
        };
    }
}

/// Ignores `signal`.
///
/// # Errors
/// `EINVAL` for a signal that can't be ignored.
pub fn ignore(signal: i32) -> io::Result<()> {
    // SAFETY: SIG_IGN installs no handler.
    if unsafe { libc::signal(signal, libc::SIG_IGN) } == libc::SIG_ERR {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Sends `signal` to the process, or to the group `-pid`; -1 means every process.
///
/// # Errors
/// The kernel's.
pub fn kill(pid: i32, signal: i32) -> io::Result<()> {
    // SAFETY: no memory is passed.
    check_int(unsafe { libc::kill(pid, signal) }).map(drop)
}

/// Sends `signal` to the process of a pidfd.
///
/// # Errors
/// The kernel's: `ESRCH` where it has been waited for.
pub fn send(pidfd: impl AsFd, signal: i32) -> io::Result<()> {
    // SAFETY: no siginfo is given, and there are no flags.
    crate::call::check(unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd.as_fd().as_raw_fd(),
            signal,
            std::ptr::null::<libc::siginfo_t>(),
            0,
        )
    })
    .map(drop)
}

/// A descriptor from which blocked signals are read; close-on-exec.
#[derive(Debug)]
pub struct SignalFd(OwnedFd);

/// A signal that was delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivered {
    /// Its number.
    pub signal: i32,
    /// Where it comes from (`SI_*`): positive from the kernel (a terminal, a fault, a child), else from a process.
    pub code: i32,
    /// The sender or, for SIGCHLD, the child.
    pub pid: i32,
}

impl SignalFd {
    /// Makes one for `set`, which the caller must have blocked.
    ///
    /// # Errors
    /// The kernel's.
    pub fn new(set: &SignalSet, nonblocking: bool) -> io::Result<Self> {
        let flags = libc::SFD_CLOEXEC | if nonblocking { libc::SFD_NONBLOCK } else { 0 };
        // SAFETY: the set is initialised; -1 asks for a new descriptor.
        let fd = check_int(unsafe { libc::signalfd(-1, &raw const set.0, flags) })?;
        // SAFETY: the descriptor is new, nobody else knows it.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Takes the next signal; `None` where there is none and the descriptor does not block.
    ///
    /// # Errors
    /// The kernel's.
    pub fn read(&self) -> io::Result<Option<Delivered>> {
        let mut buffer = [0u8; size_of::<libc::signalfd_siginfo>()];
        match rustix::io::read(&self.0, &mut buffer) {
            Ok(_) => {}
            Err(rustix::io::Errno::AGAIN) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        let number = |at: usize| {
            let bytes = [buffer[at], buffer[at + 1], buffer[at + 2], buffer[at + 3]];
            i32::from_ne_bytes(bytes)
        };
        // ssi_signo, ssi_errno, ssi_code, ssi_pid, of four bytes each.
        Ok(Some(Delivered {
            signal: number(0),
            code: number(8),
            pid: number(12),
        }))
    }
}

impl AsFd for SignalFd {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.0.as_fd()
    }
}
