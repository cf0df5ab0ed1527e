//! Printing where there is no session, and the texts of wrong command lines.

use std::io::Write;

use dhow_terminal::harmless;

use crate::command::{Arguments, Command};
use crate::error::Error;

pub(crate) fn to_stdout(text: &str) -> Result<(), Error> {
    let mut out = std::io::stdout().lock();
    Ok(out.write_all(text.as_bytes()).and_then(|()| out.flush())?)
}

pub(crate) fn to_stderr(text: &str) {
    // Nowhere is left to report that reports cannot be written.
    let _ = writeln!(std::io::stderr().lock(), "{}", harmless(text));
}

/// Wrong flags; `meant` are paragraphs about what may have been meant.
pub(crate) fn usage(error: &str, meant: &str, usage: &str, path: &str) -> Error {
    let text =
        format!("{error}\n\n{meant}Usage:  {usage}\n\nRun '{path} --help' for more information");
    Error::Exit { code: 125, text }
}

/// A wrong number of arguments.
pub(crate) fn arguments(error: &str, command: &Command, path: &str, program: &str) -> Error {
    let verb = if matches!(command.arguments, Arguments::AtLeast(_)) {
        "See"
    } else {
        "Run"
    };
    Error::text(format!(
        "{program}: {error}\n\nUsage:  {}\n\n{verb} '{path} --help' for more information",
        command.usage_of(path)
    ))
}
