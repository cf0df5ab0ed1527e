//! What is left of steps when an engine died: killed, given back, removed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use dhow_oci::runtime::Spec;
use dhow_runtime::cgroup::Cgroup;
use futures::future::join_all;

use super::outcome;
use crate::lifecycle::{abandoned, report};
use crate::services::{Services, blocking};
use crate::{Error, Result};

/// Ends all steps of engines before this one.
///
/// # Errors
/// The work was cut short; what goes wrong with one step is logged.
pub(crate) async fn recover(services: &Arc<Services>) -> Result<()> {
    let config = &services.config;
    let mut left = names(&config.exec_root.join(FOLDER));
    for id in names(&config.data_root.join(FOLDER)) {
        if !left.contains(&id) {
            left.push(id);
        }
    }
    let kills = left.iter().map(|id| kill(services, id));
    join_all(kills).await;
    let own = services.clone();
    blocking(move || {
        for id in &left {
            end(&own, id);
            report("release endpoints", own.networks.release(id, None));
            remove_folders(&own, id);
        }
        Ok::<_, Error>(())
    })
    .await
}

/// Kills a step whose supervisor still answers, and waits until that is gone.
async fn kill(services: &Services, id: &str) {
    let socket = services.step_socket(id);
    let Ok(task) = services.supervisor.connect(&socket).await else {
        return;
    };
    let Ok(events) = task.subscribe().await else {
        return;
    };
    report("kill a step", task.kill(9, true).await);
    outcome::ended(events).await;
}

/// Ends what still runs of a step without its supervisor; fine when there is nothing. Blocking.
pub(super) fn end(services: &Services, id: &str) {
    let group = read_group(&services.step_folder(id));
    abandoned::end(services, id, None);
    if let Some(group) = group {
        report("remove control group", Cgroup::named(&group).remove());
    }
}

/// The control group of a step, as its bundle says.
fn read_group(folder: &Path) -> Option<PathBuf> {
    let text = std::fs::read(folder.join("config.json")).ok()?;
    let spec: Spec = serde_json::from_slice(&text).ok()?;
    spec.linux().as_ref()?.cgroups_path().clone()
}

/// The steps' folder below the data root and below the exec root.
const FOLDER: &str = "steps";

impl Services {
    /// The folder of a step's run: bundle, socket, `hosts`.
    pub(crate) fn step_folder(&self, id: &str) -> PathBuf {
        self.config.exec_root.join(FOLDER).join(id)
    }

    /// What a step needs on the layers' file system.
    pub(super) fn step_scratch(&self, id: &str) -> PathBuf {
        self.config.data_root.join(FOLDER).join(id)
    }

    /// The socket of a step's supervisor.
    pub(super) fn step_socket(&self, id: &str) -> PathBuf {
        self.step_folder(id).join("shim.sock")
    }
}

/// Removes a step's folders; fine when they are gone. Blocking.
pub(super) fn remove_folders(services: &Services, id: &str) {
    for path in [services.step_folder(id), services.step_scratch(id)] {
        match std::fs::remove_dir_all(&path) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                let action = "remove";
                let error = Error::File {
                    action,
                    path,
                    source,
                };
                report("remove a step's folder", Err(error));
            }
            _ => {}
        }
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect()
}
