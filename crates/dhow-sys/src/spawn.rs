//! Starting another program cheaply from a large process with many threads.
//!
//! `posix_spawn` shares the caller's memory until the new program begins, so its cost does not grow with the caller,
//! and it is safe beside other threads, which `fork` is not.

use std::ffi::CString;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::clone::Process;

/// A program to be started in a session of its own, with `/dev/null` as its standard streams.
#[derive(Debug)]
pub struct Program<'a> {
    /// Where it is.
    pub path: &'a Path,
    /// Its arguments, its name first.
    pub args: &'a [CString],
    /// Its whole environment.
    pub env: &'a [CString],
    /// The descriptors it inherits, as 3, 4, and so on; their close-on-exec flag here does not matter and stays.
    pub inherited: &'a [BorrowedFd<'a>],
}

/// Starts a program. Signals have their default dispositions there and none is blocked.
///
/// # Errors
/// The kernel's, `execve`'s included.
pub fn spawn(program: &Program<'_>) -> io::Result<Process> {
    let path = CString::new(program.path.as_os_str().as_bytes())?;
    let first_free = i32::try_from(program.inherited.len()).map_err(io::Error::other)? + 3;
    // Copies above the numbers they get in the child, so that no step there overwrites the source of a later one.
    let copies = program
        .inherited
        .iter()
        .map(|fd| rustix::io::fcntl_dupfd_cloexec(fd, first_free))
        .collect::<Result<Vec<_>, _>>()?;
    let mut actions = Actions::new()?;
    for standard in 0..=2 {
        actions.open_null(standard)?;
    }
    for (copy, number) in copies.iter().zip(3..) {
        actions.dup2(copy.as_raw_fd(), number)?;
    }
    let attributes = Attributes::new()?;
    let (args, env) = (pointers(program.args), pointers(program.env));
    let mut pid = 0;
    // SAFETY: `path` is a C string, `args` and `env` end with a null pointer, `actions` and `attributes` are
    // initialised, and all of them outlive the call.
    result(unsafe {
        libc::posix_spawn(
            &raw mut pid,
            path.as_ptr(),
            &raw const actions.0,
            &raw const attributes.0,
            args.as_ptr(),
            env.as_ptr(),
        )
    })?;
    let raw = rustix::process::Pid::from_raw(pid).ok_or(io::ErrorKind::NotFound)?;
    // The child can't have been reaped by anyone: the number still means it.
    let pidfd = rustix::process::pidfd_open(raw, rustix::process::PidfdFlags::empty())?;
    Ok(Process { pid, pidfd })
}

/// What the child does with descriptors before its program begins.
struct Actions(libc::posix_spawn_file_actions_t);

impl Actions {
    fn new() -> io::Result<Self> {
        let mut actions = MaybeUninit::uninit();
        // SAFETY: initialises the value it is given.
        result(unsafe { libc::posix_spawn_file_actions_init(actions.as_mut_ptr()) })?;
        // SAFETY: initialised by the call above, which did not fail.
        Ok(Self(unsafe { actions.assume_init() }))
    }

    fn open_null(&mut self, fd: i32) -> io::Result<()> {
        // SAFETY: the value is initialised, and the path is copied by the call.
        result(unsafe {
            libc::posix_spawn_file_actions_addopen(
                &raw mut self.0,
                fd,
                c"/dev/null".as_ptr(),
                libc::O_RDWR,
                0,
            )
        })
    }

    fn dup2(&mut self, from: i32, to: i32) -> io::Result<()> {
        // SAFETY: the value is initialised.
        result(unsafe { libc::posix_spawn_file_actions_adddup2(&raw mut self.0, from, to) })
    }
}

impl Drop for Actions {
    fn drop(&mut self) {
        // SAFETY: initialised, and not used afterwards.
        unsafe { libc::posix_spawn_file_actions_destroy(&raw mut self.0) };
    }
}

/// What else is set in the child: a new session, no blocked signals, default dispositions.
struct Attributes(libc::posix_spawnattr_t);

impl Attributes {
    fn new() -> io::Result<Self> {
        const SETSID: i32 = 0x80;
        let flags = SETSID | libc::POSIX_SPAWN_SETSIGMASK | libc::POSIX_SPAWN_SETSIGDEF;
        let mut attributes = MaybeUninit::uninit();
        // SAFETY: initialises the value it is given.
        result(unsafe { libc::posix_spawnattr_init(attributes.as_mut_ptr()) })?;
        // SAFETY: initialised by the call above, which did not fail.
        let mut attributes = Self(unsafe { attributes.assume_init() });
        let (none, all) = (signals(false), signals(true));
        let flags = libc::c_short::try_from(flags).map_err(io::Error::other)?;
        // SAFETY: the value and both sets are initialised.
        unsafe {
            result(libc::posix_spawnattr_setsigmask(
                &raw mut attributes.0,
                &raw const none,
            ))?;
            result(libc::posix_spawnattr_setsigdefault(
                &raw mut attributes.0,
                &raw const all,
            ))?;
            result(libc::posix_spawnattr_setflags(&raw mut attributes.0, flags))?;
        }
        Ok(attributes)
    }
}

impl Drop for Attributes {
    fn drop(&mut self) {
        // SAFETY: initialised, and not used afterwards.
        unsafe { libc::posix_spawnattr_destroy(&raw mut self.0) };
    }
}

/// No signal, or all of them.
fn signals(all: bool) -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: both calls initialise the set they are given and can't fail.
    unsafe {
        if all {
            libc::sigfillset(set.as_mut_ptr());
        } else {
            libc::sigemptyset(set.as_mut_ptr());
        }
        set.assume_init()
    }
}

fn pointers(strings: &[CString]) -> Vec<*mut libc::c_char> {
    let ends = std::iter::once(std::ptr::null_mut());
    strings
        .iter()
        .map(|text| text.as_ptr().cast_mut())
        .chain(ends)
        .collect()
}

/// These calls return the error itself.
fn result(code: i32) -> io::Result<()> {
    if code == 0 {
        Ok(())
    } else {
        Err(io::Error::from_raw_os_error(code))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use std::io::Read;
    use std::os::fd::AsFd;

    fn strings(texts: &[&str]) -> Vec<CString> {
        texts
            .iter()
            .map(|text| CString::new(*text).unwrap())
            .collect()
    }

    fn reap(process: &Process) -> i32 {
        let pid = rustix::process::Pid::from_raw(process.pid).unwrap();
        let (_, status) =
            rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty())
                .unwrap()
                .unwrap();
        status.exit_status().unwrap()
    }

    #[test]
    fn descriptors_arrive_in_order() {
        let (mut first, to_first) = io::pipe().unwrap();
        let (mut second, to_second) = io::pipe().unwrap();
        let script = "echo one >&3; echo two >&4; echo $A >&3";
        let process = spawn(&Program {
            path: Path::new("/bin/sh"),
            args: &strings(&["my name", "-c", script]),
            env: &strings(&["A=b", "PATH=/usr/bin:/bin"]),
            inherited: &[to_first.as_fd(), to_second.as_fd()],
        })
        .unwrap();
        drop((to_first, to_second));
        let (mut one, mut two) = (String::new(), String::new());
        first.read_to_string(&mut one).unwrap();
        second.read_to_string(&mut two).unwrap();
        assert_eq!((one.as_str(), two.as_str()), ("one\nb\n", "two\n"));
        assert_eq!(reap(&process), 0);
    }

    #[test]
    fn a_missing_program_is_an_error() {
        let program = Program {
            path: Path::new("/no/such"),
            args: &strings(&["x"]),
            env: &[],
            inherited: &[],
        };
        assert_eq!(spawn(&program).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
