//! `dhow init`: a tiny init that forwards signals and reaps what is left to it.

use std::ffi::OsString;
use std::process::ExitCode;

/// Runs `dhow init [-s] [--] program args...`; `args` begins after the word `init`. Ends with the program's exit code
/// (128 + the signal where one ended it), 127 where there is no such program, 126 where it can't be executed.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let _ = args.into_iter().count();
    todo!()
}
