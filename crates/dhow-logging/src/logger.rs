//! The logger: the process of a driver that sends entries to a receiver, or that may not make its container wait.
//!
//! A shim is one thread that must never block; drivers do little else: they look up names, shake hands, wait for a
//! receiver that is slow or away. So they live in a process of their own, which exists only for the containers that
//! need it, and which a shim can lose without losing anything else. One thread reads the container's output from the
//! shim and cuts it into entries; another one delivers them. Between the two is a [`queue`] of bounded length: when it
//! is full the reading stops, and with it, in the end, the container; or, in mode `non-blocking` (and with
//! `fluentd-async`), entries are thrown away and counted.
//!
//! When the shim ends, the logger delivers what it has, for some seconds at most, and ends.

mod queue;
mod serve;

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, ExitCode};

/// The word by which the program is asked to be the logger.
const VERB: &str = "logger";

/// A command for this very program as a logger.
pub(crate) fn command() -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.arg(VERB).stderr(std::process::Stdio::null());
    dhow_sys::signal::start_unblocked(&mut command);
    command
}

/// Runs `dhow logger` (arguments without the program and the verb): without arguments for the shim on standard input;
/// `--compress LOG` compresses the rotated files of a log.
#[must_use]
pub fn main(args: &[OsString]) -> ExitCode {
    match args {
        [] => serve::run(),
        [verb, path] if verb == "--compress" => compress(Path::new(path)),
        _ => ExitCode::from(2),
    }
}

/// The lowest priority there is: containers come first.
const NICE: i32 = 19;
/// The kernel's class for those who use a disk that nobody else wants.
const IDLE: u8 = 3;

fn compress(path: &Path) -> ExitCode {
    // Being less polite than wished is no reason to leave the files as they are.
    let _ = rustix::process::setpriority_process(None, NICE);
    let _ = dhow_sys::exec::set_io_priority(IDLE, 0);
    let compressed = rustix::io::dup(rustix::stdio::stdout())
        .map_err(Into::into)
        .and_then(|done| crate::write::compress(path, &done));
    match compressed {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
