//! The runtime that does the work itself.

use std::path::{Path, PathBuf};

use crate::{CreateRequest, Created, ExecRequest, Executed, Result, Runtime, State, spec};

/// The runtime that does the work in the calling process, which must have one thread only.
///
/// The init of a container made by it waits on a socket that this value keeps: when the process ends before
/// [`Runtime::start`], so does the init.
#[derive(Debug)]
pub struct Builtin {
    state_root: PathBuf,
}

impl Builtin {
    /// A runtime that keeps its state in `state_root/<id>/`, made when needed.
    #[must_use]
    pub fn new(state_root: &Path) -> Self {
        Self {
            state_root: state_root.to_owned(),
        }
    }

    /// The control group of a container.
    ///
    /// # Errors
    /// [`crate::Error::NotFound`].
    pub fn cgroup(&self, id: &str) -> Result<crate::cgroup::Cgroup> {
        let _ = (&self.state_root, id);
        todo!()
    }
}

impl Runtime for Builtin {
    fn create(&self, _request: &CreateRequest<'_>) -> Result<Created> {
        todo!()
    }
    fn start(&self, _id: &str) -> Result<()> {
        todo!()
    }
    fn kill(&self, _id: &str, _signal: i32, _all: bool) -> Result<()> {
        todo!()
    }
    fn delete(&self, _id: &str, _force: bool) -> Result<()> {
        todo!()
    }
    fn exec(&self, _id: &str, _request: &ExecRequest<'_>) -> Result<Executed> {
        todo!()
    }
    fn pause(&self, _id: &str) -> Result<()> {
        todo!()
    }
    fn resume(&self, _id: &str) -> Result<()> {
        todo!()
    }
    fn update(&self, _id: &str, _resources: &spec::LinuxResources) -> Result<()> {
        todo!()
    }
    fn state(&self, _id: &str) -> Result<State> {
        todo!()
    }
    fn pids(&self, _id: &str) -> Result<Vec<i32>> {
        todo!()
    }
}
