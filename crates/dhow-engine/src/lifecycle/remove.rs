//! Removing a container: the record first, with a note of what is left to do, then everything that belonged to it.

use std::sync::Arc;

use super::report;
use crate::container::{ContainerRecord, Status};
use crate::events::EventKind;
use crate::services::{Services, blocking};
use crate::store::{Container, Undertaking};
use crate::{Error, Result};
use dhow_container::spec::MountKind;

/// Removes a container that does not run. The caller holds its lifecycle lock.
pub(crate) async fn remove(
    services: &Arc<Services>,
    container: &Arc<Container>,
    with_volumes: bool,
) -> Result<()> {
    let record = container.record();
    if record.state.status == Status::Removing {
        return Err(Error::NoSuchContainer(record.name.clone()));
    }
    container.change(|record| record.state.status = Status::Removing);
    {
        let mut live = container.live();
        live.restart = None;
        live.pending.clear();
    }
    let volumes = anonymous(&record, with_volumes);
    let (own, gone) = (services.clone(), record.clone());
    let result = blocking(move || {
        let undertaking = Undertaking { volumes };
        forget(&own, &gone.id, &undertaking)?;
        dispose(&own, &gone, &undertaking);
        Ok::<_, Error>(())
    });
    if let Err(error) = result.await {
        container.change(|record| record.state.status = Status::Dead);
        return Err(error);
    }
    services.containers.remove(container);
    services.forget_execs(&container.id);
    services.stats.forget(&container.id);
    services.tell(&record, "destroy");
    container.removed();
    Ok(())
}

/// The volumes that go with a container: the anonymous ones, when asked for.
fn anonymous(record: &ContainerRecord, with_volumes: bool) -> Vec<String> {
    let volumes = record
        .mounts
        .iter()
        .filter(|point| point.kind == MountKind::Volume && point.anonymous);
    volumes
        .filter(|_| with_volumes)
        .map(|point| point.name.clone())
        .collect()
}

/// From here on the container does not exist, even if the engine dies before its files are gone.
fn forget(services: &Services, id: &str, undertaking: &Undertaking) -> Result<()> {
    services.db.write(|tx| {
        tx.delete::<ContainerRecord>(id)?;
        if !undertaking.volumes.is_empty() {
            tx.put(id, undertaking)?;
        }
        Ok(())
    })
}

/// Removes everything that belonged to a container; what fails is tried again at the engine's next start.
fn dispose(services: &Services, record: &ContainerRecord, undertaking: &Undertaking) {
    let id = &record.id;
    for point in record
        .mounts
        .iter()
        .filter(|point| point.kind == MountKind::Volume)
    {
        report("release volume", services.volumes.release(&point.name, id));
    }
    report("remove snapshot", services.snapshots.remove(id));
    super::mounts::release_images(services, record);
    remove_folder(services, id);
    if !undertaking.volumes.is_empty() {
        finish(services, id, undertaking);
    }
}

/// Removes the volumes of an undertaking and ends it.
pub(crate) fn finish(services: &Services, id: &str, undertaking: &Undertaking) {
    for name in &undertaking.volumes {
        match services.volumes.remove(name, true) {
            Ok(()) => {
                services.tell_other(EventKind::Volume, "destroy", name, &[("driver", "local")])
            }
            // Somebody else uses it meanwhile (`--volumes-from`).
            Err(dhow_volume::Error::InUse { .. }) => {}
            Err(error) => tracing::warn!("remove volume: {}", dhow_errdefs::chain(&error)),
        }
    }
    report("end undertaking", services.journal().end(id));
}

/// Removes the durable folder of a container.
pub(crate) fn remove_folder(services: &Services, id: &str) {
    let path = services.folder(id);
    match std::fs::remove_dir_all(&path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            report(
                "remove container",
                Err(Error::File {
                    action: "remove",
                    path,
                    source,
                }),
            );
        }
        _ => {}
    }
}
