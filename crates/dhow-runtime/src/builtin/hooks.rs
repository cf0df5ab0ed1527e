//! Hooks: programs that the specification wants to have run at points of a container's life.

use std::io::{Read, Seek, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::failure::{Failure, Step, errno_text};
use crate::request::State;
use crate::spec::Hook;

/// Runs the hooks of a kind one after the other with the state on their standard input; the first to fail ends it.
pub(crate) fn run(kind: &str, hooks: &[Hook], state: &State) -> Step {
    for (index, hook) in hooks.iter().enumerate() {
        run_one(hook, state).map_err(|message| Failure::Hook(kind.to_owned(), index, message))?;
    }
    Ok(())
}

fn run_one(hook: &Hook, state: &State) -> Result<(), String> {
    let said = |error: std::io::Error| errno_text(&error);
    let mut output = memory_file().map_err(said)?;
    let mut input = memory_file().map_err(said)?;
    serde_json::to_writer(&mut input, state).map_err(|error| error.to_string())?;
    input.flush().and_then(|()| input.rewind()).map_err(said)?;
    let mut command = Command::new(hook.path());
    if let Some((name, args)) = hook.args().as_deref().and_then(<[String]>::split_first) {
        command.arg0(name).args(args);
    }
    command.env_clear();
    let env = hook
        .env()
        .iter()
        .flatten()
        .filter_map(|entry| entry.split_once('='));
    command.envs(env);
    command.stdin(Stdio::from(input));
    command.stdout(Stdio::from(output.try_clone().map_err(said)?));
    command.stderr(Stdio::from(output.try_clone().map_err(said)?));
    let mut child = dhow_sys::signal::start_unblocked(&mut command)
        .spawn()
        .map_err(said)?;
    if let Some(seconds) = hook
        .timeout()
        .and_then(|seconds| u64::try_from(seconds).ok())
        && seconds > 0
        && !ends_within(child.id(), Duration::from_secs(seconds))
    {
        let _ = child.kill();
        let _ = child.wait();
        return Err(format!("hook ran past specified timeout of {seconds}.0s"));
    }
    let status = child.wait().map_err(said)?;
    if status.success() {
        return Ok(());
    }
    let mut text = String::new();
    let _ = output
        .rewind()
        .and_then(|()| output.take(4096).read_to_string(&mut text));
    let what = match status.code() {
        Some(code) => format!("exit status {code}"),
        None => status.to_string(),
    };
    Err(format!("{what}, output: {}", text.trim()))
}

/// Whether the process ends in time.
fn ends_within(pid: u32, time: Duration) -> bool {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let Some(Ok(pidfd)) = pid.map(|pid| pidfd_open(pid, PidfdFlags::empty())) else {
        return true;
    };
    let mut wait = [PollFd::new(&pidfd, PollFlags::IN)];
    let timeout = Timespec::try_from(time).ok();
    rustix::io::retry_on_intr(|| poll(&mut wait, timeout.as_ref())).is_ok_and(|ready| ready > 0)
}

fn memory_file() -> std::io::Result<std::fs::File> {
    let flags = rustix::fs::MemfdFlags::CLOEXEC;
    Ok(rustix::fs::memfd_create("hook", flags)?.into())
}
