//! `start` and `restart`.

use std::sync::Arc;

use super::Containers;
use crate::container::StopOptions;
use crate::store::Container;
use crate::{Error, Result, lifecycle};

impl Containers {
    /// Starts a container. `NotModified` when it runs already.
    ///
    /// # Errors
    /// It does not exist or can't be started; what failed is kept in its state.
    pub async fn start(&self, name: &str) -> Result<()> {
        let container = self.services.find(name)?;
        // A client that hangs up must not leave a container half-started.
        let services = self.services.clone();
        let work = async move {
            let _guard = container.lifecycle.lock().await;
            {
                let mut live = container.live();
                live.restart = None;
                live.quick_restarts = 0;
            }
            begin_anew(&services, &container)?;
            lifecycle::start::start(&services, &container).await
        };
        tokio::spawn(work).await.map_err(Error::Background)?
    }

    /// Stops a container if it runs, and starts it.
    ///
    /// # Errors
    /// As `stop` and `start`.
    pub async fn restart(&self, name: &str, options: StopOptions) -> Result<()> {
        let container = self.services.find(name)?;
        let fail = |source| Error::Operation {
            action: "restart",
            name: name.to_owned(),
            source: Box::new(source),
        };
        // It must not be removed between the two.
        container.live().keep = true;
        let stopped = self.stop(&container.id, options).await;
        container.live().keep = false;
        match stopped {
            Ok(()) | Err(Error::NotModified(_)) => {}
            Err(error @ (Error::Invalid(_) | Error::Operation { .. })) => return Err(error),
            Err(error) => return Err(fail(error)),
        }
        match self.start(&container.id).await {
            Ok(()) | Err(Error::NotModified(_)) => {}
            Err(error) => return Err(fail(error)),
        }
        self.services.tell(&container.record(), "restart");
        Ok(())
    }
}

/// A start by the user's hand counts restarts anew.
fn begin_anew(services: &crate::services::Services, container: &Arc<Container>) -> Result<()> {
    let record = container.record();
    if record.restart_count > 0 && !record.state.status.has_process() {
        container.save(&services.db, |record| record.restart_count = 0)?;
    }
    Ok(())
}
