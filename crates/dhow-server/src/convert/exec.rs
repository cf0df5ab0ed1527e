//! Execs.

use dhow_api::exec as wire;
use dhow_engine::exec::{CreateExec, ExecDetails, StartExec};

/// An exec asked for.
pub(crate) fn create(wire: wire::ExecCreateRequest) -> CreateExec {
    CreateExec {
        cmd: wire.cmd.map(|words| words.0).unwrap_or_default(),
        user: wire.user,
        privileged: wire.privileged,
        tty: wire.tty,
        console_size: wire.console_size.map(Into::into),
        attach_stdin: wire.attach_stdin,
        attach_stdout: wire.attach_stdout,
        attach_stderr: wire.attach_stderr,
        env: wire.env.unwrap_or_default(),
        working_dir: wire.working_dir,
        detach_keys: Some(wire.detach_keys).filter(|keys| !keys.is_empty()),
    }
}

/// How an exec is to be started.
pub(crate) fn start(wire: &wire::ExecStartRequest) -> StartExec {
    StartExec {
        detach: wire.detach,
        tty: wire.tty,
        console_size: wire.console_size.map(Into::into),
    }
}

/// An exec as it is shown.
pub(crate) fn inspect(exec: ExecDetails) -> wire::ExecInspect {
    let request = exec.request;
    let mut words = request.cmd.into_iter();
    wire::ExecInspect {
        id: exec.id,
        running: exec.running,
        exit_code: exec.exit_code.map(Into::into),
        process_config: wire::ExecProcessConfig {
            tty: request.tty,
            entrypoint: words.next().unwrap_or_default(),
            arguments: words.collect(),
            privileged: Some(request.privileged),
            user: request.user,
        },
        open_stdin: request.attach_stdin,
        open_stderr: request.attach_stderr,
        open_stdout: request.attach_stdout,
        can_remove: exec.can_remove,
        container_id: exec.container_id,
        detach_keys: request.detach_keys.unwrap_or_default(),
        pid: exec.pid.into(),
    }
}
