//! `exec`: another process in a container that runs.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use dhow_sys::clone::{CloneOptions, Cloned, Process as Cloning};
use dhow_sys::exec::EndOnUnwind;
use dhow_sys::namespace::{join, kind};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::process::{Pid, PidfdFlags, pidfd_open, setsid};

use super::create::{clone_hidden, reap, step};
use super::init::{become_root, new_terminal, settle};
use super::namespaces::Children;
use super::record::{Record, is_alive};
use crate::cgroup::Version;
use crate::channel::{Channel, Message};
use crate::error::{Error, Result};
use crate::failure::{Step, StepContext};
use crate::process::{self, Labels, ProcessPlan};
use crate::request::{ExecRequest, Executed, Stdio};
use crate::seccomp::Program;
use crate::user;

/// Runs a process in the container of `record`.
pub(super) fn exec(
    record: &Record,
    seccomp: Option<Program>,
    request: &ExecRequest<'_>,
) -> Result<Executed> {
    let target = target(record)?;
    if record.cgroup.is_frozen().unwrap_or(false) {
        return Err(Error::WrongState {
            action: "exec in",
            state: "paused".into(),
        });
    }
    let cgroup = match request.cgroup {
        Some(path) => record.cgroup.below(path),
        None => record.cgroup.clone(),
    };
    let entrances = match cgroup.version() {
        Version::V1 => cgroup.entrances()?,
        Version::V2 => Vec::new(),
    };
    let birthplace = cgroup.birthplace()?;
    let plan = ExecPlan {
        process: plan_process(record, seccomp, request)?,
        target,
        namespaces: record.namespaces,
        entrances,
        stdio: request.stdio,
        id: &record.id,
        oom_score: request.process.oom_score_adj(),
    };
    let (inside, outside) = Channel::pair().map_err(step("cannot make a channel"))?;
    let children = Children::of_process(&plan.target, record.namespaces)?;
    let options = CloneOptions {
        namespaces: 0,
        cgroup: birthplace.as_ref().map(AsFd::as_fd),
        sibling: false,
    };
    let process = match clone_hidden(&options)? {
        Cloned::Child => plan.run(&inside),
        Cloned::Parent(process) => process,
    };
    drop(children);
    drop(inside);
    match attend(process, &outside) {
        Ok(executed) => Ok(executed),
        Err((error, process)) => {
            let _ = dhow_sys::signal::send(&process.pidfd, 9);
            reap(&process.pidfd);
            Err(error)
        }
    }
}

/// Follows the process until it has become its program.
fn attend(process: Cloning, channel: &Channel) -> std::result::Result<Executed, (Error, Cloning)> {
    let mut warnings = Vec::new();
    let mut master = None;
    let mut ready = false;
    loop {
        match channel.receive() {
            Ok(Message::Ready) => ready = true,
            Ok(Message::Terminal(terminal)) => master = Some(terminal),
            Ok(Message::Warning(text)) => warnings.push(text),
            Ok(Message::Failed(failure)) => return Err((failure.into(), process)),
            // The channel closes on `execve`.
            Ok(Message::Closed) if ready => {
                let Cloning { pid, pidfd } = process;
                return Ok(Executed {
                    pid,
                    pidfd,
                    master,
                    warnings,
                });
            }
            Ok(_) => return Err((Error::Init("the process died unexpectedly".into()), process)),
            Err(source) => {
                let action = "cannot hear the process".into();
                return Err((Error::Step { action, source }, process));
            }
        }
    }
}

/// A pidfd of the container's init.
pub(super) fn target(record: &Record) -> Result<OwnedFd> {
    let gone = || Error::NotRunning(record.id.clone());
    let pid = Pid::from_raw(record.pid).ok_or_else(gone)?;
    let pidfd = pidfd_open(pid, PidfdFlags::empty()).map_err(|_| gone())?;
    // The pid could be another process's by now; having the pidfd, we can't be fooled after this check.
    if is_alive(record.pid, record.start_time) {
        Ok(pidfd)
    } else {
        Err(gone())
    }
}

fn plan_process(
    record: &Record,
    seccomp: Option<Program>,
    request: &ExecRequest<'_>,
) -> Result<ProcessPlan> {
    let path = format!("/proc/{}/root", record.pid);
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = openat(CWD, &path, flags, Mode::empty()).map_err(|error| Error::File {
        action: "open",
        path: path.into(),
        source: error.into(),
    })?;
    let found = match request.user {
        Some(wanted) => Some(user::resolve(root.as_fd(), &wanted.user, &wanted.groups)?),
        None => None,
    };
    let home = match &found {
        Some(user) => user.home.clone(),
        None => user::home_of(root.as_fd(), request.process.user().uid()),
    };
    let mut plan = ProcessPlan::new(request.process, found.as_ref(), &home)?;
    if request.process.capabilities().is_none() {
        plan.capabilities = record.capabilities;
    }
    plan.attributes.personality = record.personality;
    plan.seccomp = seccomp;
    Ok(plan)
}

/// Everything the process needs, worked out before the clone.
struct ExecPlan<'a> {
    process: ProcessPlan,
    target: OwnedFd,
    namespaces: u64,
    entrances: Vec<OwnedFd>,
    stdio: Stdio<'a>,
    id: &'a str,
    oom_score: Option<i32>,
}

impl ExecPlan<'_> {
    fn run(&self, channel: &Channel) -> ! {
        let _end = EndOnUnwind;
        let failure = match self.until_ready(channel) {
            Ok(prepared) => match prepared.execute() {
                Ok(never) => match never {},
                Err(failure) => failure,
            },
            Err(failure) => failure,
        };
        let _ = channel.send(&Message::Failed(failure));
        dhow_sys::exec::exit(255)
    }

    fn until_ready(&self, channel: &Channel) -> Step<process::finish::Prepared<'_>> {
        settle(&self.kept(channel))?;
        self.set_oom_score(channel)?;
        for entrance in &self.entrances {
            rustix::io::write(entrance, b"0")
                .step(|| "unable to apply cgroup configuration".into())?;
        }
        let labels = Labels::open(&self.process.attributes)?;
        let kinds = self.namespaces & !(kind::PID | kind::TIME);
        join(self.target.as_fd(), kinds).step(|| "cannot join the container".into())?;
        if kinds & kind::USER != 0 {
            become_root()?;
        }
        setsid().step(|| "setsid".into())?;
        if let Ok(name) = std::ffi::CString::new(format!("_ses.{}", self.id)) {
            let _ = dhow_sys::identity::join_session_keyring(&name);
        }
        let terminal = self.open_terminal(channel)?;
        process::stdio::connect(&self.stdio, terminal.as_ref().map(AsFd::as_fd))?;
        let prepared = process::prepare(&self.process, &labels, channel)?;
        channel
            .send(&Message::Ready)
            .step(|| "cannot reach the runtime".into())?;
        Ok(prepared)
    }

    /// Before it is in the container, whose `/proc` could be anything.
    fn set_oom_score(&self, channel: &Channel) -> Step {
        let Some(score) = self.oom_score else {
            return Ok(());
        };
        match std::fs::write("/proc/self/oom_score_adj", score.to_string()) {
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                let text = format!("cannot set oom_score_adj to {score} without CAP_SYS_RESOURCE");
                channel
                    .send(&Message::Warning(text))
                    .step(|| "cannot reach the runtime".into())
            }
            other => other.step(|| format!("cannot set oom_score_adj to {score}")),
        }
    }

    fn kept<'a>(&'a self, channel: &'a Channel) -> Vec<BorrowedFd<'a>> {
        let mut keep = vec![channel.as_fd(), self.target.as_fd()];
        keep.extend(self.entrances.iter().map(AsFd::as_fd));
        keep.extend(self.stdio.descriptors());
        keep
    }

    fn open_terminal(&self, channel: &Channel) -> Step<Option<OwnedFd>> {
        let Stdio::Terminal { width, height } = self.stdio else {
            return Ok(None);
        };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let devpts = openat(CWD, Path::new("/dev/pts"), flags, Mode::empty())
            .step(|| "cannot open /dev/pts of the container".into())?;
        new_terminal(devpts.as_fd(), width, height, channel).map(Some)
    }
}
