//! `dhow runtime`: the OCI command line.

use std::ffi::OsString;
use std::process::ExitCode;

/// Runs `dhow runtime <args>`; `args` begins after the word `runtime`. Flags and output are runc's.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let _ = args.into_iter().count();
    todo!()
}
