//! The handle of containers: one file for each verb.

use std::future::Future;
use std::sync::Arc;

use crate::Result;
use crate::container::{
    Created, Details, Exit, ListOptions, LogsOptions, Pruned, RemoveOptions, StopOptions, Summary,
    Top, WaitCondition,
};
use crate::filters::Filters;
use crate::services::Services;
use crate::spec::{CreateContainer, Update};
use crate::streams::{AttachOptions, Attachment, LogStream};

/// Containers, each named by its name, its id or the beginning of its id.
#[derive(Debug, Clone)]
pub struct Containers {
    pub(crate) services: Arc<Services>,
}

impl Containers {
    /// Makes a container.
    ///
    /// # Errors
    /// The request is wrong, the image or a mount's source missing, or the name taken.
    pub async fn create(&self, request: CreateContainer) -> Result<Created> {
        todo!()
    }

    /// Starts a container. `NotModified` when it runs already.
    ///
    /// # Errors
    /// It does not exist or can't be started; what failed is kept in its state.
    pub async fn start(&self, name: &str) -> Result<()> {
        todo!()
    }

    /// Stops a container. `NotModified` when it does not run.
    ///
    /// # Errors
    /// It does not exist, or the signal is unknown.
    pub async fn stop(&self, name: &str, options: StopOptions) -> Result<()> {
        todo!()
    }

    /// Stops a container if it runs, and starts it.
    ///
    /// # Errors
    /// As `stop` and `start`.
    pub async fn restart(&self, name: &str, options: StopOptions) -> Result<()> {
        todo!()
    }

    /// Sends a signal (SIGKILL when none is named) and, for SIGKILL, waits for the end.
    ///
    /// # Errors
    /// It does not exist or run, or the signal is unknown.
    pub async fn kill(&self, name: &str, signal: Option<&str>) -> Result<()> {
        todo!()
    }

    /// Freezes a container's processes.
    ///
    /// # Errors
    /// It does not exist or run, or is paused already.
    pub async fn pause(&self, name: &str) -> Result<()> {
        todo!()
    }

    /// Thaws a container's processes.
    ///
    /// # Errors
    /// It does not exist or is not paused.
    pub async fn unpause(&self, name: &str) -> Result<()> {
        todo!()
    }

    /// Gives a container another name.
    ///
    /// # Errors
    /// It does not exist, or the new name is taken, malformed or the old one.
    pub async fn rename(&self, name: &str, new: &str) -> Result<()> {
        todo!()
    }

    /// Removes a container.
    ///
    /// # Errors
    /// It does not exist, or runs and is not to be killed.
    pub async fn remove(&self, name: &str, options: RemoveOptions) -> Result<()> {
        todo!()
    }

    /// Removes every container that does not run (filters: `label`, `label!`, `until`).
    ///
    /// # Errors
    /// A filter is unknown or malformed.
    pub async fn prune(&self, filters: &Filters) -> Result<Pruned> {
        todo!()
    }

    /// Waits for a container. The waiting begins with the call, not when the future is first polled.
    ///
    /// # Errors
    /// It does not exist.
    pub fn wait(
        &self,
        name: &str,
        condition: WaitCondition,
    ) -> Result<impl Future<Output = Result<Exit>> + Send + 'static> {
        let result: Result<std::future::Ready<Result<Exit>>> = todo!();
        result
    }

    /// Everything about a container; with what it takes on disk if `size`.
    ///
    /// # Errors
    /// It does not exist.
    pub async fn inspect(&self, name: &str, size: bool) -> Result<Details> {
        todo!()
    }

    /// The containers that pass the filters, the newest first.
    ///
    /// # Errors
    /// A filter is unknown or malformed.
    pub async fn list(&self, options: &ListOptions) -> Result<Vec<Summary>> {
        todo!()
    }

    /// A running container's processes, as `ps` with these arguments (`-ef` when empty) shows them.
    ///
    /// # Errors
    /// It does not exist or run, or the arguments are wrong.
    pub async fn top(&self, name: &str, ps_args: &str) -> Result<Top> {
        todo!()
    }

    /// A container's log.
    ///
    /// # Errors
    /// It does not exist, no stream was chosen, or its log driver can't be read.
    pub async fn logs(&self, name: &str, options: LogsOptions) -> Result<LogStream> {
        todo!()
    }

    /// Connects to a container's process; to its next one when it does not run.
    ///
    /// # Errors
    /// It does not exist or is paused, or the detach keys are malformed.
    pub async fn attach(&self, name: &str, options: AttachOptions) -> Result<Attachment> {
        todo!()
    }

    /// Sets the size of a running container's terminal.
    ///
    /// # Errors
    /// It does not exist, does not run or has no terminal.
    pub async fn resize(&self, name: &str, rows: u16, columns: u16) -> Result<()> {
        todo!()
    }

    /// Changes limits and restart policy; gives warnings.
    ///
    /// # Errors
    /// It does not exist or a value can't be.
    pub async fn update(&self, name: &str, update: Update) -> Result<Vec<String>> {
        todo!()
    }
}
