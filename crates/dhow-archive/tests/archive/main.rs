//! The crate's behaviour, on real directories.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "tests")]

mod apply;
mod common;
mod copy;
mod diff;
mod format;
mod hostile;
mod property;
mod remove;
mod settle;
