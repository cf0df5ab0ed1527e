//! Error kinds, hints and the one printer of error chains.
//!
//! Every crate has its own `Error` enum, one variant per failed step. What those enums share is small and stands
//! here: a [`Classify`] says of what *kind* an error is (the server turns the kind into an HTTP status, the command
//! line into an exit code) and what the user may do about it, and [`chain`] prints an error with all its sources.
//!
//! ```
//! use dhow_errdefs::{Classify, ErrorKind, chain};
//!
//! #[derive(Debug, thiserror::Error)]
//! #[error("no such volume: {0}")]
//! struct Missing(String);
//!
//! impl Classify for Missing {
//!     fn kind(&self) -> ErrorKind {
//!         ErrorKind::NotFound
//!     }
//! }
//!
//! let error = Missing("data".into());
//! assert_eq!(error.kind(), ErrorKind::NotFound);
//! assert_eq!(chain(&error).to_string(), "no such volume: data");
//! ```

use std::error::Error;
use std::fmt;

/// What went wrong, seen by the one who asked; the names follow containerd's and moby's `errdefs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The request itself is wrong: a malformed reference, an option out of range.
    InvalidArgument,
    /// The thing named does not exist.
    NotFound,
    /// The request contradicts the state of the thing: a taken name, a running container.
    Conflict,
    /// What was asked for is already so; nothing was done.
    NotModified,
    /// No or wrong credentials.
    Unauthorized,
    /// Understood and refused: a predefined network, a policy.
    Forbidden,
    /// The feature does not exist here.
    NotImplemented,
    /// Something that is needed is not there now: another service, a swarm.
    Unavailable,
    /// The caller gave up, or its time ran out.
    Cancelled,
    /// The system failed: disk, kernel, network, or a bug.
    System,
}

/// Says of an error of what kind it is and what can be done about it.
pub trait Classify: Error {
    /// The kind of this error, taken from the innermost cause that knows.
    fn kind(&self) -> ErrorKind;

    /// What the user can do, as one sentence, where there is something.
    fn hint(&self) -> Option<String> {
        None
    }
}

/// Prints `error` and its sources, outermost first, joined by `": "`.
#[must_use]
pub fn chain<'a>(error: &'a (dyn Error + 'static)) -> Chain<'a> {
    Chain(error)
}

/// An error to be displayed with all its sources; made by [`chain`].
#[derive(Debug, Clone, Copy)]
pub struct Chain<'a>(&'a (dyn Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}

/// The kind that fits an I/O error when nothing more is known.
#[must_use]
pub fn kind_of_io(error: &std::io::Error) -> ErrorKind {
    match error.kind() {
        std::io::ErrorKind::NotFound => ErrorKind::NotFound,
        std::io::ErrorKind::InvalidInput => ErrorKind::InvalidArgument,
        _ => ErrorKind::System,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("outer step")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn chain_joins_every_source_once() {
        let error = Outer(std::io::Error::other("inner cause"));
        assert_eq!(chain(&error).to_string(), "outer step: inner cause");
    }

    #[test]
    fn io_errors_are_the_systems_unless_the_path_is_wrong() {
        let missing = std::io::Error::from(std::io::ErrorKind::NotFound);
        assert_eq!(kind_of_io(&missing), ErrorKind::NotFound);
        assert_eq!(kind_of_io(&std::io::Error::other("x")), ErrorKind::System);
    }
}
