//! `remove`.

use super::Containers;
use crate::container::{RemoveOptions, Status};
use crate::{Error, Result, lifecycle};

impl Containers {
    /// Removes a container.
    ///
    /// # Errors
    /// It does not exist, or runs and is not to be killed.
    pub async fn remove(&self, name: &str, options: RemoveOptions) -> Result<()> {
        if options.link {
            return lifecycle::links::remove(&self.services, name);
        }
        let container = self.services.find(name)?;
        let services = self.services.clone();
        let name = name.to_owned();
        // A removal goes on when the client hangs up.
        let work = async move {
            let status = container.record().state.status;
            if status.is_running() {
                if !options.force {
                    return Err(running(&name, status));
                }
                super::stop::kill(&services, &container).await?;
            }
            let _guard = container.lifecycle.lock().await;
            if services.find(&container.id).is_err() {
                // It removed itself when it ended.
                return Ok(());
            }
            let status = container.record().state.status;
            if status.is_running() {
                // Somebody started it meanwhile.
                return Err(running(&name, status));
            }
            lifecycle::remove::remove(&services, &container, options.volumes).await
        };
        tokio::spawn(work).await.map_err(Error::Background)?
    }
}

fn running(name: &str, status: Status) -> Error {
    let text = match status {
        Status::Paused => "container is paused and must be unpaused first".to_owned(),
        _ => format!("container is {status}: stop the container before removing or force remove"),
    };
    Error::Remove {
        name: name.to_owned(),
        source: Box::new(Error::Conflict(text)),
    }
}
