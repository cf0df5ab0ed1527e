//! The command line: one file per verb.

use std::ffi::OsString;
use std::process::ExitCode;

/// Runs one command line; `args[0]` is the name the program was called by (`dhow` or `docker`).
#[must_use]
pub fn main(args: Vec<OsString>) -> ExitCode {
    let _ = args;
    ExitCode::FAILURE
}
