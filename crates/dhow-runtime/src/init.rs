//! `dhow init`: a tiny init that forwards signals and reaps what is left to it.
//!
//! It runs as the first process of a container (`docker run --init`) before the container's own program, which is its
//! child and stays in its process group: what the terminal sends to the group reaches the program directly, everything
//! else is forwarded. It ends with the program, with its exit code.

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::{Command, ExitCode};

use dhow_sys::signal::{Delivered, SignalFd, SignalSet, block, kill, start_unblocked};
use rustix::process::{Pid, WaitOptions, WaitStatus, wait};

/// Signals that say that we are broken, not that something is to be forwarded; and the two a terminal stops us with.
const NOT_FORWARDED: [i32; 9] = [4, 5, 6, 7, 8, 11, 31, 21, 22];
const SIGCHLD: i32 = 17;

/// Runs `dhow init [-s] [--] program args...`; `args` begins after the word `init`. `-s` makes it reap orphans without
/// being the first process. Ends with the program's exit code (128 + the signal where one ended it), 127 where there is
/// no such program, 126 where it can't be executed.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let mut args = args.into_iter().peekable();
    let subreaper = args.next_if(|arg| arg == "-s").is_some();
    args.next_if(|arg| arg == "--");
    let Some(program) = args.next() else {
        return fail("usage: dhow init [-s] [--] PROGRAM [ARGUMENT...]", 1);
    };
    match run(&program, args, subreaper) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            let code = if error.kind() == io::ErrorKind::NotFound {
                127
            } else {
                126
            };
            let text = crate::failure::errno_text(&error);
            fail(&format!("exec {} failed: {text}", program.display()), code)
        }
    }
}

fn fail(text: &str, code: u8) -> ExitCode {
    let _ = writeln!(io::stderr(), "dhow init: {text}");
    ExitCode::from(code)
}

fn run(
    program: &OsString,
    args: impl Iterator<Item = OsString>,
    subreaper: bool,
) -> io::Result<u8> {
    if subreaper {
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    }
    let set = NOT_FORWARDED
        .iter()
        .fold(SignalSet::full(), |set, signal| set.without(*signal));
    // Before there is a child, so that none of its signals is missed.
    block(&set)?;
    for signal in [21, 22] {
        dhow_sys::signal::ignore(signal)?;
    }
    let signals = SignalFd::new(&set, false)?;
    let child = start_unblocked(Command::new(program).args(args)).spawn()?;
    let child = i32::try_from(child.id()).map_err(io::Error::other)?;
    loop {
        let Some(delivered) = signals.read()? else {
            continue;
        };
        if delivered.signal == SIGCHLD {
            if let Some(code) = reap(child) {
                return Ok(code);
            }
        } else if !is_from_terminal(delivered) {
            // It may have ended just now.
            let _ = kill(child, delivered.signal);
        }
    }
}

/// Whether the kernel sent it, which does so to the whole group of a terminal.
fn is_from_terminal(delivered: Delivered) -> bool {
    const SI_KERNEL: i32 = 0x80;
    delivered.code == SI_KERNEL
}

/// Takes every child that has ended; gives the exit code of `child` if it was among them.
fn reap(child: i32) -> Option<u8> {
    let mut code = None;
    while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
        if Pid::as_raw(Some(pid)) == child {
            code = exit_code(status);
        }
    }
    code
}

fn exit_code(status: WaitStatus) -> Option<u8> {
    let code = status
        .exit_status()
        .or_else(|| status.terminating_signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok())
}
