//! The shim's process.

use std::ffi::OsString;
use std::process::ExitCode;

/// Runs `dhow shim` (arguments without the program and the verb): `--config PATH`, or `--control FD`.
pub fn main(args: Vec<OsString>) -> ExitCode {
    todo!("{args:?}")
}
