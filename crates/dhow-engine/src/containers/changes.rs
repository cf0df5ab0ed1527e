//! `diff` and `export`: what a container has changed, and all that it has.

use dhow_archive::{Change, export};

use super::Containers;
use super::copy::existing;
use crate::files::{Running, View};
use crate::services::blocking;
use crate::streams::{ByteStream, written};
use crate::{Error, Result};

impl Containers {
    /// What a container has changed over its image, directories that contain a change included.
    ///
    /// # Errors
    /// It does not exist.
    pub async fn changes(&self, name: &str) -> Result<Vec<Change>> {
        let container = self.services.find(name)?;
        let (services, record) = (self.services.clone(), existing(&container)?);
        blocking(move || Ok::<_, Error>(services.snapshots.changes(&record.id)?)).await
    }

    /// A container's root file system as an archive, without what is mounted in it.
    ///
    /// # Errors
    /// It does not exist. What fails later ends the archive with an error.
    pub async fn export(&self, name: &str) -> Result<ByteStream> {
        let container = self.services.find(name)?;
        let record = existing(&container)?;
        let running = Running::find(&record, container.task()).await;
        let (services, of) = (self.services.clone(), record.clone());
        let view = blocking(move || match running {
            Some(running) => View::running_root(&running),
            None => View::stopped_root(&services, &of),
        })
        .await?;
        self.services.tell(&record, "export");
        Ok(written(move |out| {
            let exported = export(view.root(), out);
            drop(view);
            exported.map(drop).map_err(Error::from)
        }))
    }
}
