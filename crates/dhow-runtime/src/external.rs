//! Another OCI runtime, called as a program.

use std::path::{Path, PathBuf};

use crate::{CreateRequest, Created, ExecRequest, Executed, Result, Runtime, State, spec};

/// Another OCI runtime (`runc`, `crun`, ...), called through its command line.
///
/// The containers' processes are not children of the caller but orphans of the program: the caller becomes a child
/// subreaper ([`External::new`] sees to it), so that it can wait for them all the same.
#[derive(Debug)]
pub struct External {
    program: PathBuf,
    root: PathBuf,
    log: PathBuf,
}

impl External {
    /// A runtime that calls `program` with `--root root` and reads its errors from the file `log`.
    ///
    /// # Errors
    /// Where the caller can't become a subreaper.
    pub fn new(program: &Path, root: &Path, log: &Path) -> Result<Self> {
        Ok(Self {
            program: program.to_owned(),
            root: root.to_owned(),
            log: log.to_owned(),
        })
    }

    /// The control group of a container.
    ///
    /// # Errors
    /// [`crate::Error::NotFound`].
    pub fn cgroup(&self, id: &str) -> Result<crate::cgroup::Cgroup> {
        let _ = (&self.program, &self.root, &self.log, id);
        todo!()
    }
}

impl Runtime for External {
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
