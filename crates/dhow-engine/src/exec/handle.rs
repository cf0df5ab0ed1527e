//! The handle of execs.

use std::sync::Arc;

use super::{CreateExec, ExecDetails, StartExec};
use crate::Result;
use crate::services::Services;
use crate::streams::Attachment;

/// Further processes in running containers.
#[derive(Debug, Clone)]
pub struct Execs {
    pub(crate) services: Arc<Services>,
}

impl Execs {
    /// Prepares an exec in a running container and gives its id.
    ///
    /// # Errors
    /// The container does not exist, does not run or is paused, or there is no command.
    pub async fn create(&self, container: &str, request: CreateExec) -> Result<String> {
        todo!()
    }

    /// Starts an exec; unless it is detached, gives the connection to it.
    ///
    /// # Errors
    /// It does not exist, has run already, its container stopped, or the program can't be started.
    pub async fn start(&self, id: &str, options: StartExec) -> Result<Option<Attachment>> {
        todo!()
    }

    /// What is known of an exec.
    ///
    /// # Errors
    /// It does not exist.
    pub fn inspect(&self, id: &str) -> Result<ExecDetails> {
        todo!()
    }

    /// Sets the size of its terminal.
    ///
    /// # Errors
    /// It does not exist, does not run or has no terminal.
    pub async fn resize(&self, id: &str, rows: u16, columns: u16) -> Result<()> {
        todo!()
    }
}
