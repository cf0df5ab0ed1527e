//! Volumes.

use dhow_api::volume as wire;
use dhow_volume::{CreateVolume, VolumeRecord};

use super::{map, time};
use crate::error::{ApiError, Result};

/// A volume asked for.
pub(crate) fn create(wire: wire::VolumeCreateRequest) -> Result<CreateVolume> {
    if wire.cluster_volume_spec.is_some() {
        return Err(ApiError::not_implemented("volume option ClusterVolumeSpec"));
    }
    Ok(CreateVolume {
        name: Some(wire.name).filter(|name| !name.is_empty()),
        driver: wire.driver,
        options: map(wire.driver_opts),
        labels: map(wire.labels),
    })
}

/// A volume as it is shown.
pub(crate) fn view(record: &VolumeRecord) -> wire::Volume {
    wire::Volume {
        created_at: time::seconds_only(record.created),
        driver: record.driver.clone(),
        labels: record.labels.clone(),
        mountpoint: record.mountpoint.display().to_string(),
        name: record.name.clone(),
        options: record.options.clone(),
        scope: record.scope.clone(),
        status: None,
        usage_data: None,
    }
}
