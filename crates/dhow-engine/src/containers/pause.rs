//! `pause` and `unpause`.

use super::Containers;
use crate::container::Status;
use crate::{Error, Result};

impl Containers {
    /// Freezes a container's processes.
    ///
    /// # Errors
    /// It does not exist or run, or is paused already.
    pub async fn pause(&self, name: &str) -> Result<()> {
        let container = self.services.find(name)?;
        let _guard = container.lifecycle.lock().await;
        let record = container.record();
        let conflict = |text: &str| Error::Conflict(format!("container {} is {text}", record.id));
        match record.state.status {
            Status::Running => {}
            Status::Paused => return Err(conflict("already paused")),
            Status::Restarting => {
                return Err(conflict("restarting, wait until the container is running"));
            }
            _ => return Err(conflict("not running")),
        }
        let task = container.task().ok_or_else(|| conflict("not running"))?;
        task.freeze(true).await?;
        let record = container.save(&self.services.db, |record| {
            record.state.status = Status::Paused
        })?;
        self.services.tell(&record, "pause");
        Ok(())
    }

    /// Thaws a container's processes.
    ///
    /// # Errors
    /// It does not exist or is not paused.
    pub async fn unpause(&self, name: &str) -> Result<()> {
        let container = self.services.find(name)?;
        let _guard = container.lifecycle.lock().await;
        let record = container.record();
        let refused = || Error::Refused(format!("Container {} is not paused", record.id));
        if record.state.status != Status::Paused {
            return Err(refused());
        }
        let task = container.task().ok_or_else(refused)?;
        task.freeze(false).await?;
        let record = container.save(&self.services.db, |record| {
            record.state.status = Status::Running
        })?;
        self.services.tell(&record, "unpause");
        Ok(())
    }
}
