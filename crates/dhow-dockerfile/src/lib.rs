//! The Dockerfile language, through syntax 1.20, without anything that builds.
//!
//! A file is read in three steps, each of which can be used alone:
//!
//! 1. [`parse`] splits it into *instructions* by the rules of its [`Directives`] (continuations, comments, heredocs) and
//!    makes [`Stage`]s of typed [`Instruction`]s. Words are left as they are written.
//! 2. [`Expander`] substitutes variables in a word when a stage is built, as the values are known only then.
//! 3. [`lint`] tells what is legal but probably not meant; it needs nothing but what [`parse`] returns.
//!
//! [`IgnorePatterns`] is the language of `.dockerignore`.
//!
//! Errors and warnings have BuildKit's texts; each knows its lines, so that they can be shown with [`excerpt`].
//!
//! ```
//! let dockerfile = dhow_dockerfile::parse(b"FROM debian AS base\nRUN echo hi\n")?;
//! assert_eq!(dockerfile.stages[0].name.as_deref(), Some("base"));
//! # Ok::<(), dhow_dockerfile::ParseError>(())
//! ```

pub mod lint;

mod directives;
mod error;
mod flags;
mod heredoc;
mod ignore;
mod instruction;
mod lines;
mod parse;
mod stage;
mod suggest;
mod words;

pub use directives::Directives;
pub use error::{Lines, ParseError, excerpt};
pub use heredoc::Heredoc;
pub use ignore::{IgnorePatterns, PatternError};
pub use instruction::{
    Add, Argument, CommandLine, Copy, Device, Expose, Health, HealthCommand, Instruction, KeyValue,
    Mount, MountKind, MountSharing, Network, Run, Security, Source,
};
pub use lines::{BlankContinuation, Raw};
pub use parse::{Dockerfile, parse};
pub use stage::{Stage, Step};
pub use suggest::suggest;
pub use words::{Expanded, Expander, Lexer, Variables, WordError};
