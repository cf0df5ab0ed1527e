//! Containers whose supervisor was killed: nobody would ever reap, log or stop them, so they are ended.

use std::path::Path;
use std::process::{Command, Stdio};

use dhow_runtime::cgroup::Cgroup;
use dhow_runtime::{Builtin, Runtime};

use super::report;
use crate::container::ContainerRecord;
use crate::services::Services;

/// Ends what still runs of a container and takes its control group and its runtime's state away; fine when there is
/// nothing. Blocking.
pub(crate) fn end(services: &Services, id: &str, record: Option<&ContainerRecord>) {
    let root = services.runtime_root();
    let folder = root.join(id);
    if folder.exists() {
        let runtime = record.map(|record| record.host.runtime.as_str());
        match runtime.and_then(|name| services.config.runtimes.get(name)) {
            Some(program) => delete(program, &root, id),
            None => match Builtin::new(&root).delete(id, true) {
                // Nothing was noted in it yet.
                Err(dhow_runtime::Error::NotFound(_)) => {
                    let _ = std::fs::remove_dir_all(&folder);
                }
                ended => {
                    tracing::warn!("container {id} has lost its supervisor and is ended");
                    report("end container", ended);
                }
            },
        }
    }
    // A runtime that was killed early has made the group and not yet noted it.
    let own = services.config.cgroup_parent.as_str();
    let given = record.map(|record| record.host.resources.cgroup_parent.as_str());
    let parent = given.filter(|parent| !parent.is_empty()).unwrap_or(own);
    let group = Cgroup::named(&Path::new(parent).join(id));
    report("remove control group", group.remove());
}

fn delete(program: &Path, root: &Path, id: &str) {
    let mut command = Command::new(program);
    command
        .arg("--root")
        .arg(root)
        .args(["delete", "--force", id]);
    let status = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if !status.is_ok_and(|status| status.success()) {
        tracing::warn!("{} could not delete container {id}", program.display());
    }
}
