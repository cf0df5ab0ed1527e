//! The last steps of a process before its program: limits, identity, working directory, seccomp, `execve`.
//!
//! [`prepare`] does everything that can go wrong in ways a user may have caused, so that it can be reported by `create`;
//! [`Prepared::execute`] loads the seccomp filter as late as possible, because a profile only has to allow what the
//! program does, not what we do.

use std::convert::Infallible;
use std::ffi::CString;
use std::io::Write;

use dhow_sys::signal::SignalSet;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};
use rustix::process::{fchdir, getcwd, umask};
use rustix::thread::{
    Gid, Uid, set_keep_capabilities, set_no_new_privs, set_thread_groups, set_thread_res_gid,
    set_thread_res_uid,
};

use super::capabilities::SYS_ADMIN;
use super::labels::Labels;
use super::plan::{Limit, ProcessPlan};
use super::{lookup, stdio};
use crate::channel::{Channel, Message};
use crate::failure::{Failure, Step, StepContext, errno_text};

/// A process that needs nothing but its program.
#[derive(Debug)]
pub(crate) struct Prepared<'a> {
    plan: &'a ProcessPlan,
    path: CString,
}

/// Prepares the calling process; `labels` were opened while the host's `/proc` could be reached.
pub(crate) fn prepare<'a>(
    plan: &'a ProcessPlan,
    labels: &Labels,
    channel: &Channel,
) -> Step<Prepared<'a>> {
    let attributes = &plan.attributes;
    if let Some((class, level)) = attributes.io_priority {
        dhow_sys::exec::set_io_priority(class, level).step(|| "cannot set ioPriority".into())?;
    }
    if let Some(scheduler) = attributes.scheduler {
        dhow_sys::exec::set_scheduler(scheduler).step(|| "error setting scheduler".into())?;
    }
    if let Some(personality) = attributes.personality {
        dhow_sys::exec::set_personality(personality).step(|| "error setting personality".into())?;
    }
    for limit in &attributes.limits {
        set_limit(limit, channel)?;
    }
    labels.set()?;
    if attributes.no_new_privileges {
        set_no_new_privs(true).step(|| "cannot set no_new_privs".into())?;
    }
    let there = change_directory(plan).is_ok();
    stdio::give(plan.uid);
    plan.capabilities.limit()?;
    become_user(plan)?;
    let more = if plan.needs_admin() { SYS_ADMIN } else { 0 };
    plan.capabilities.set(more)?;
    umask(Mode::from(plan.umask & 0o777));
    enter_directory(plan, there)?;
    let path = lookup::find(&plan.args[0], &plan.env).map_err(Failure::Executable)?;
    let path = CString::new(path).map_err(|_| Failure::Step("invalid program".into()))?;
    Ok(Prepared { plan, path })
}

impl ProcessPlan {
    /// Loading a filter takes `no_new_privs` or CAP_SYS_ADMIN.
    fn needs_admin(&self) -> bool {
        self.seccomp.is_some() && !self.attributes.no_new_privileges
    }
}

impl Prepared<'_> {
    /// Runs the program; returns only where that fails.
    pub(crate) fn execute(self) -> Step<Infallible> {
        let plan = self.plan;
        let (args, env) = (plan.c_args(), plan.c_env());
        dhow_sys::fds::close_on_exec_from(3).step(|| "cannot close descriptors".into())?;
        dhow_sys::signal::reset_dispositions();
        dhow_sys::signal::set_mask(&SignalSet::empty()).step(|| "cannot reset signals".into())?;
        if plan.attributes.no_new_privileges {
            plan.capabilities.set(0)?;
            plan.capabilities.set_ambient()?;
        }
        if let Some(program) = &plan.seccomp {
            dhow_sys::seccomp::load(&program.instructions, program.flags)
                .step(|| "error loading seccomp filter into kernel".into())?;
        }
        if !plan.attributes.no_new_privileges {
            plan.capabilities.set(0)?;
            plan.capabilities.set_ambient()?;
        }
        let Err(error) = dhow_sys::exec::execve(&self.path, &args, &env);
        let text = format!(
            "exec {}: {}",
            self.path.to_string_lossy(),
            errno_text(&error)
        );
        Err(Failure::Step(text))
    }

    /// The same for an init that has been started: nobody waits for its errors any more, so they go where the
    /// container's users look.
    pub(crate) fn execute_or_say(self, channel: &Channel) -> i32 {
        match self.execute() {
            Ok(never) => match never {},
            Err(Failure::Step(text)) if text.starts_with("exec ") => {
                let _ = writeln!(std::io::stderr(), "{text}");
            }
            Err(failure) => {
                let _ = channel.send(&Message::Failed(failure));
            }
        }
        255
    }
}

/// A hard limit can't be raised without CAP_SYS_RESOURCE; then as much is set as may be.
fn set_limit(limit: &Limit, channel: &Channel) -> Step {
    let failed = || format!("error setting rlimit type {}", limit.number);
    let error = match dhow_sys::exec::set_resource_limit(limit.number, limit.soft, limit.hard) {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => error,
        Err(error) => return Err(error).step(failed),
    };
    let (_, highest) = dhow_sys::exec::resource_limit(limit.number).step(failed)?;
    if limit.hard <= highest {
        return Err(error).step(failed);
    }
    let soft = limit.soft.min(highest);
    dhow_sys::exec::set_resource_limit(limit.number, soft, highest).step(failed)?;
    let text = format!(
        "{}: cannot raise the hard limit to {} without CAP_SYS_RESOURCE, it stays at {highest}",
        limit.kind, limit.hard
    );
    channel
        .send(&Message::Warning(text))
        .step(|| "cannot reach the runtime".into())
}

fn become_user(plan: &ProcessPlan) -> Step {
    let (uid, gid) = (Uid::from_raw(plan.uid), Gid::from_raw(plan.gid));
    let groups: Vec<Gid> = plan
        .groups
        .iter()
        .map(|group| Gid::from_raw(*group))
        .collect();
    set_keep_capabilities(true).step(|| "cannot keep capabilities".into())?;
    match set_thread_groups(&groups) {
        // A user namespace may forbid it; without groups to be set there is nothing to lose.
        Err(rustix::io::Errno::PERM) if groups.is_empty() => {}
        other => other.step(|| "setgroups".into())?,
    }
    set_thread_res_gid(gid, gid, gid).step(|| format!("setresgid {}", plan.gid))?;
    set_thread_res_uid(uid, uid, uid).step(|| format!("setresuid {}", plan.uid))?;
    set_keep_capabilities(false).step(|| "cannot reset keeping capabilities".into())
}

/// Goes to the working directory, but not through the descriptors of a process (`/proc/self/fd/7`): we have more of them
/// than the program will.
fn change_directory(plan: &ProcessPlan) -> rustix::io::Result<()> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::NO_MAGICLINKS;
    let directory = openat2(CWD, &plan.cwd, flags, Mode::empty(), resolve)?;
    fchdir(directory)
}

/// `there` says that it was entered with all privileges, which is enough; otherwise the user's own must do.
fn enter_directory(plan: &ProcessPlan, there: bool) -> Step {
    if !there {
        let failed = || format!("chdir to cwd ({:?}) set in config.json failed", plan.cwd);
        change_directory(plan).step(failed)?;
    }
    // A directory outside of the root (reached through a leaked descriptor) has no path.
    match getcwd(Vec::new()) {
        Ok(path) if path.as_bytes().first() == Some(&b'/') => Ok(()),
        _ => Err(Failure::Step(
            "current working directory is outside of container mount \
            namespace root -- possible container breakout detected"
                .into(),
        )),
    }
}
