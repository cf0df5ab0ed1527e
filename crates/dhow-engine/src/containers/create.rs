//! `create`.

use super::Containers;
use crate::Result;
use crate::container::Created;
use crate::lifecycle;
use crate::services::blocking;
use dhow_container::spec::CreateContainer;

impl Containers {
    /// Makes a container.
    ///
    /// # Errors
    /// The request is wrong, the image or a mount's source missing, or the name taken.
    pub async fn create(&self, request: CreateContainer) -> Result<Created> {
        let services = self.services.clone();
        blocking(move || lifecycle::create::create(&services, request)).await
    }
}
