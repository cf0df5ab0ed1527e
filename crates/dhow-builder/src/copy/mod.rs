//! Copying files into a root, as `COPY` and `ADD` do it.
//!
//! Everything happens by descriptors: what is copied from and what is copied to may be hostile, and symbolic links in
//! either are followed inside of it only.
//!
//! * `select` finds what the sources of a copy mean (Go's wildcards, `--parents`);
//! * `tree` copies one of them, with all that is in it;
//! * `archive` unpacks one instead, if it is an archive;
//! * `owner` and `mode` understand `--chown` and `--chmod`;
//! * `make` makes files and directories.
//!
//! # Times
//!
//! What is copied keeps its time. What is made gets the build's epoch or, without one, the time of the directory it is made
//! in, and the directories that get something new keep their times: the same files give the same layer on any day.

mod archive;
mod make;
mod mode;
mod owner;
mod select;
mod tree;
mod wildcard;

pub(crate) use make::{MakeOptions, make_directory, make_file};
pub(crate) use mode::Modes;
pub(crate) use owner::resolve as resolve_owner;
pub(crate) use select::{Selected, Selection, select};
pub(crate) use tree::{Copying, copy};

use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::Errno;

use crate::error::Error;

/// How deep directories may be nested.
pub(crate) const DEEPEST: usize = 512;

/// Whether whoever asked for the work has given it up.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cancelled(std::sync::Arc<AtomicBool>);

impl Cancelled {
    /// Gives up.
    pub(crate) fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Fails when the work is not wanted any more.
    pub(crate) fn check(&self) -> Result<(), Error> {
        match self.0.load(Ordering::Relaxed) {
            true => Err(Error::Cancelled),
            false => Ok(()),
        }
    }
}

/// A failed step on a path of one who builds.
pub(crate) fn failed<'a>(
    step: &'static str,
    path: &'a [u8],
) -> impl Fn(Errno) -> Error + Copy + use<'a> {
    move |errno| Error::file(step, shown(path), errno)
}

/// A path as it is shown: absolute in its root.
pub(crate) fn shown(path: &[u8]) -> String {
    format!("/{}", String::from_utf8_lossy(path).trim_start_matches('/'))
}
