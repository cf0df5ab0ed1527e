//! `fsck`: whether what is on the disk and what the records say agree.

use std::collections::HashSet;
use std::path::Path;

use dhow_image::{CheckOptions, Finding};

use super::System;
use crate::lifecycle::mounts::owner_of_snapshot;
use crate::services::{Services, blocking};
use crate::{Error, Result};

impl System {
    /// Looks at images, layers, containers and volumes; what running work uses is left alone.
    ///
    /// # Errors
    /// The records or folders can't be read; what is damaged is a finding.
    pub async fn check(&self, options: CheckOptions) -> Result<Vec<Finding>> {
        let services = self.services.clone();
        blocking(move || {
            let mut found = services.images.check(options)?;
            snapshots(&services, options.repair, &mut found)?;
            folders(&services, options.repair, &mut found)?;
            volumes(&services, &mut found)?;
            Ok::<_, Error>(found)
        })
        .await
    }
}

/// Writable layers of no container, and containers without one.
fn snapshots(services: &Services, repair: bool, found: &mut Vec<Finding>) -> Result<()> {
    let keys = services.snapshots.keys()?;
    for key in &keys {
        if services.containers.knows(owner_of_snapshot(key)) {
            continue;
        }
        let mut finding = Finding::new(format!("writable layer {key}"), "belongs to no container");
        if repair {
            services.snapshots.remove(key)?;
            finding.repaired = true;
        }
        found.push(finding);
    }
    let keys: HashSet<String> = keys.into_iter().collect();
    for container in services.containers.all() {
        // One that was made since is not in the list, but there.
        let is_there =
            keys.contains(&container.id) || services.snapshots.upper(&container.id).is_ok();
        if !is_there && services.containers.knows(&container.id) {
            let name = container.record().name.clone();
            found.push(Finding::new(
                format!("container {name}"),
                "its writable layer is missing: remove it and make it again",
            ));
        }
    }
    Ok(())
}

/// Folders of no container.
fn folders(services: &Services, repair: bool, found: &mut Vec<Finding>) -> Result<()> {
    for name in names(&services.config.data_root.join("containers"))? {
        if services.containers.knows(&name) {
            continue;
        }
        let folder = services.folder(&name);
        let mut finding = Finding::new(
            format!("folder {}", folder.display()),
            "belongs to no container",
        );
        if repair {
            std::fs::remove_dir_all(&folder).map_err(|source| Error::File {
                action: "remove folder",
                path: folder,
                source,
            })?;
            finding.repaired = true;
        }
        found.push(finding);
    }
    Ok(())
}

/// Folders of no volume; they hold what somebody may want back, and are never removed.
fn volumes(services: &Services, found: &mut Vec<Finding>) -> Result<()> {
    let root = services.config.data_root.join("volumes");
    for name in names(&root)? {
        if services.volumes.get(&name).is_err() {
            found.push(Finding::new(
                format!("folder {}", root.join(name).display()),
                "belongs to no volume: move it away or remove it",
            ));
        }
    }
    Ok(())
}

/// The names of the folders in `folder`.
fn names(folder: &Path) -> Result<Vec<String>> {
    let failed = |source| Error::File {
        action: "list folder",
        path: folder.to_owned(),
        source,
    };
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed)?;
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            names.extend(entry.file_name().into_string());
        }
    }
    names.sort();
    Ok(names)
}
