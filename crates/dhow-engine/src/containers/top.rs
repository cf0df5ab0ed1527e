//! `top`.

use super::Containers;
use crate::container::{Status, Top};
use crate::services::blocking;
use crate::{Error, Result, host};

impl Containers {
    /// A running container's processes, as `ps` with these arguments (`-ef` when empty) shows them.
    ///
    /// # Errors
    /// It does not exist or run, or the arguments are wrong.
    pub async fn top(&self, name: &str, ps_args: &str) -> Result<Top> {
        let args = if ps_args.trim().is_empty() {
            "-ef"
        } else {
            ps_args
        };
        host::ps::check(args)?;
        let container = self.services.find(name)?;
        let record = container.record();
        let stopped = || Error::Conflict(format!("container {} is not running", record.id));
        if record.state.status == Status::Restarting {
            return Err(Error::Conflict(format!(
                "Container {} is restarting, wait until the container is running",
                record.id
            )));
        }
        let task = container.task().ok_or_else(stopped)?;
        let pids = task.pids().await?;
        let top = match host::ps::run(args, &pids).await? {
            Some(top) => top,
            // There is no `ps` on this machine.
            None => blocking(move || Ok::<_, Error>(host::ps::own(&pids))).await?,
        };
        self.services.tell(&record, "top");
        Ok(top)
    }
}
