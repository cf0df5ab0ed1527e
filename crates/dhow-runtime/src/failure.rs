//! What fails inside the container's init or an exec, told to the parent through the channel.

use std::io;

use serde::{Deserialize, Serialize};

use crate::error::{Error, ExecutableError};

/// A failed step on the inside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Failure {
    /// The program can't be executed.
    Executable(ExecutableError),
    /// Anything else, as a text.
    Step(String),
    /// A hook: its kind, its number, and what went wrong.
    Hook(String, usize, String),
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Executable(error) => Self::Executable(error),
            Failure::Step(message) => Self::Init(message),
            Failure::Hook(kind, index, message) => Self::Hook {
                kind,
                index,
                message,
            },
        }
    }
}

/// The result of a step on the inside.
pub(crate) type Step<T = ()> = Result<T, Failure>;

/// Turns a system error into a failed step.
pub(crate) trait StepContext<T> {
    /// Says what was to be done, in the words runc uses where it has some.
    fn step(self, what: impl FnOnce() -> String) -> Step<T>;
}

impl<T, E: Into<io::Error>> StepContext<T> for Result<T, E> {
    fn step(self, what: impl FnOnce() -> String) -> Step<T> {
        self.map_err(|error| Failure::Step(format!("{}: {}", what(), errno_text(&error.into()))))
    }
}

/// The text of a system error as Go prints it (`no such file or directory`), which Docker's users know.
pub(crate) fn errno_text(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    let mut characters = text.chars();
    match characters.next() {
        Some(first) if error.raw_os_error().is_some() => {
            first.to_lowercase().chain(characters).collect()
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_read_as_in_go() {
        let error = io::Error::from_raw_os_error(2);
        assert_eq!(errno_text(&error), "no such file or directory");
        assert_eq!(errno_text(&io::Error::other("Plain text")), "Plain text");
    }
}
