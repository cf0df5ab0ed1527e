//! Containers whose supervisor was killed: nobody would ever reap, log or stop them, so they are ended.

use std::process::{Command, Stdio};

use dhow_runtime::{Builtin, Runtime};

use super::report;
use crate::services::Services;

/// Ends what still runs of a container and takes its control group and its runtime's state away; fine when there is
/// nothing. Blocking.
pub(crate) fn end(services: &Services, id: &str, runtime: &str) {
    let root = services.runtime_root();
    if !root.join(id).exists() {
        return;
    }
    tracing::warn!("container {id} has lost its supervisor and is ended");
    let Some(program) = services.config.runtimes.get(runtime) else {
        report("end container", Builtin::new(&root).delete(id, true));
        return;
    };
    let mut command = Command::new(program);
    command
        .arg("--root")
        .arg(&root)
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
