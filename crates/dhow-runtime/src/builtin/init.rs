//! The inside of `create`: what the cloned process does until it is the container's program.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use dhow_sys::clone::{CloneOptions, Cloned, clone3};
use dhow_sys::exec::EndOnUnwind;
use dhow_sys::namespace::{bring_loopback_up, kind, unshare};
use dhow_sys::signal::SignalSet;
use rustix::fs::OFlags;
use rustix::process::setsid;
use rustix::thread::{Gid, Uid, set_thread_groups, set_thread_res_gid, set_thread_res_uid};

use super::hooks;
use super::namespaces::NamespacePlan;
use super::sysctl;
use crate::channel::{Channel, Message};
use crate::failure::{Failure, Step, StepContext};
use crate::process::{self, Labels, ProcessPlan};
use crate::request::{State, Stdio};
use crate::rootfs::{self, Assembled, RootfsPlan, paths};
use crate::spec::Hook;

/// Everything an init needs, worked out before the clone.
#[derive(Debug)]
pub(crate) struct InitPlan<'a> {
    pub(crate) namespaces: NamespacePlan,
    pub(crate) rootfs: RootfsPlan,
    pub(crate) process: ProcessPlan,
    pub(crate) stdio: Stdio<'a>,
    /// The root as a detached mount.
    pub(crate) given_root: Option<BorrowedFd<'a>>,
    /// Files to write `0` to, for getting into the cgroup.
    pub(crate) entrances: Vec<OwnedFd>,
    pub(crate) hostname: Option<String>,
    pub(crate) domainname: Option<String>,
    pub(crate) sysctls: Vec<(String, String)>,
    pub(crate) hooks: InitHooks,
    /// For the session keyring.
    pub(crate) id: &'a str,
}

/// The hooks that concern the init.
#[derive(Debug, Default)]
pub(crate) struct InitHooks {
    /// There are hooks to be run on the outside when the namespaces are there.
    pub(crate) outside: bool,
    pub(crate) create_container: Vec<Hook>,
    pub(crate) start_container: Vec<Hook>,
    /// What they are told.
    pub(crate) state: Option<State>,
}

/// How the word to start reaches the init.
#[derive(Debug)]
pub(crate) enum Gate {
    /// Through the channel to the process that made it, which has to stay.
    Channel,
    /// Through a socket that anybody may connect to.
    Socket(OwnedFd),
}

impl InitPlan<'_> {
    /// Becomes the container's program; where that fails it says so and ends.
    pub(crate) fn run(&self, channel: Channel, gate: &Gate) -> ! {
        let _end = EndOnUnwind;
        match self.until_ready(&channel, gate) {
            Ok(prepared) => dhow_sys::exec::exit(self.wait_and_execute(prepared, channel, gate)),
            Err(failure) => {
                let _ = channel.send(&Message::Failed(failure));
                dhow_sys::exec::exit(1)
            }
        }
    }

    fn until_ready(&self, channel: &Channel, gate: &Gate) -> Step<process::finish::Prepared<'_>> {
        settle(&self.kept(channel, gate))?;
        self.enter_namespaces(channel)?;
        let labels = Labels::open(&self.process.attributes)?;
        if self.hooks.outside {
            channel.ask(&Message::NeedHooks)?;
        }
        sysctl::apply(&self.sysctls)?;
        let assembled = rootfs::assemble(&self.rootfs, self.given_root)?;
        let terminal = self.open_terminal(&assembled, channel)?;
        if let Some(state) = &self.hooks.state {
            hooks::run("createContainer", &self.hooks.create_container, state)?;
        }
        assembled.enter(&self.rootfs)?;
        process::stdio::connect(&self.stdio, terminal.as_ref().map(AsFd::as_fd))?;
        process::prepare(&self.process, &labels, channel)
    }

    /// The descriptors the init needs.
    fn kept<'a>(&'a self, channel: &'a Channel, gate: &'a Gate) -> Vec<BorrowedFd<'a>> {
        let mut keep = vec![channel.as_fd()];
        keep.extend(self.given_root);
        keep.extend(self.entrances.iter().map(AsFd::as_fd));
        keep.extend(self.namespaces.join.iter().map(|(_, fd)| fd.as_fd()));
        keep.extend(self.stdio.descriptors());
        if let Gate::Socket(listener) = gate {
            keep.push(listener.as_fd());
        }
        keep
    }

    fn wait_and_execute(
        &self,
        prepared: process::finish::Prepared<'_>,
        channel: Channel,
        gate: &Gate,
    ) -> i32 {
        if channel.send(&Message::Ready).is_err() {
            return 1;
        }
        let channel = match gate {
            Gate::Channel => match channel.wait_to_go_on() {
                Ok(()) => channel,
                // Whoever made the container has gone.
                Err(_) => return 1,
            },
            Gate::Socket(listener) => {
                drop(channel);
                match wait_at(listener) {
                    Ok(channel) => channel,
                    Err(_) => return 1,
                }
            }
        };
        if let Some(state) = &self.hooks.state
            && let Err(failure) = hooks::run("startContainer", &self.hooks.start_container, state)
        {
            let _ = channel.send(&Message::Failed(failure));
            return 1;
        }
        prepared.execute_or_say(&channel)
    }

    fn enter_namespaces(&self, channel: &Channel) -> Step {
        let plan = &self.namespaces;
        if plan.mappings.is_some() {
            channel.ask(&Message::NeedMappings)?;
            become_root()?;
        }
        plan.enter()?;
        if plan.needs_two_steps() {
            become_root()?;
            second_clone(plan.new & !kind::CGROUP, channel)?;
        }
        for entrance in &self.entrances {
            rustix::io::write(entrance, b"0")
                .step(|| "unable to apply cgroup configuration".into())?;
        }
        if plan.new & kind::CGROUP != 0 {
            unshare(kind::CGROUP).step(|| "cannot make a cgroup namespace".into())?;
        }
        if plan.new & kind::NET != 0 {
            bring_loopback_up().step(|| "cannot bring the loopback interface up".into())?;
        }
        setsid().step(|| "setsid".into())?;
        // Keys of whoever started us are none of the container's business; a kernel without keys has none.
        if let Ok(name) = std::ffi::CString::new(format!("_ses.{}", self.id)) {
            let _ = dhow_sys::identity::join_session_keyring(&name);
        }
        if let Some(name) = &self.hostname {
            rustix::system::sethostname(name.as_bytes()).step(|| "sethostname".into())?;
        }
        if let Some(name) = &self.domainname {
            rustix::system::setdomainname(name.as_bytes()).step(|| "setdomainname".into())?;
        }
        Ok(())
    }

    /// Opens a terminal in the container's own devpts and shows it as its console.
    fn open_terminal(&self, assembled: &Assembled, channel: &Channel) -> Step<Option<OwnedFd>> {
        let Stdio::Terminal { width, height } = self.stdio else {
            return Ok(None);
        };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let devpts = paths::open(assembled.root(), Path::new("/dev/pts"), flags)
            .step(|| "cannot open /dev/pts of the container".into())?;
        let slave = new_terminal(devpts.as_fd(), width, height, channel)?;
        assembled.show(slave.as_fd(), Path::new("/dev/console"))?;
        Ok(Some(slave))
    }
}

/// Makes a terminal in `devpts`, sends its master to the parent and gives the slave.
pub(crate) fn new_terminal(
    devpts: BorrowedFd<'_>,
    width: u16,
    height: u16,
    channel: &Channel,
) -> Step<OwnedFd> {
    const DEVPTS: i64 = 0x1cd1;
    let failed = || "cannot open a terminal in the container".to_owned();
    let magic = rustix::fs::fstatfs(devpts).step(failed)?.f_type;
    if magic != DEVPTS {
        return Err(Failure::Step(
            "a terminal needs a devpts file system at /dev/pts".into(),
        ));
    }
    let pty = dhow_sys::pty::open_in(devpts).step(failed)?;
    dhow_sys::pty::resize(&pty.master, height, width).step(failed)?;
    channel
        .send(&Message::Terminal(pty.master))
        .step(|| "cannot reach the runtime".into())?;
    Ok(pty.slave)
}

/// Makes the child of a clone a process of its own: with the descriptors `keep` only, with no signal handling left over,
/// and not to be looked into by anybody in the container it enters.
pub(crate) fn settle(keep: &[BorrowedFd<'_>]) -> Step {
    let failed = || "cannot settle".to_owned();
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)
        .step(failed)?;
    dhow_sys::fds::close_all_but(keep).step(failed)?;
    dhow_sys::signal::set_mask(&SignalSet::empty()).step(failed)?;
    rustix::process::umask(rustix::fs::Mode::empty());
    Ok(())
}

/// In a user namespace: root of it, with no groups of the host.
pub(crate) fn become_root() -> Step {
    let failed = || "cannot become root of the user namespace".to_owned();
    let (uid, gid) = (Uid::ROOT, Gid::ROOT);
    let _ = set_thread_groups(&[]);
    set_thread_res_gid(gid, gid, gid).step(failed)?;
    set_thread_res_uid(uid, uid, uid).step(failed)
}

/// Goes on in a child that is in the new namespaces `kinds`; the calling process tells its parent and ends.
fn second_clone(kinds: u64, channel: &Channel) -> Step {
    let options = CloneOptions {
        namespaces: kinds,
        cgroup: None,
        sibling: true,
    };
    match clone3(&options).step(|| "cannot make namespaces in the user namespace".into())? {
        Cloned::Child => channel.wait_to_go_on(),
        Cloned::Parent(process) => {
            let told = channel.send(&Message::Replaced(process.pid, process.pidfd));
            dhow_sys::exec::exit(i32::from(told.is_err()))
        }
    }
}

/// Waits at the socket until somebody says to go on, and tells them that it does.
fn wait_at(listener: &OwnedFd) -> Step<Channel> {
    loop {
        let flags = rustix::net::SocketFlags::CLOEXEC;
        let connection = rustix::io::retry_on_intr(|| rustix::net::accept_with(listener, flags))
            .step(|| "cannot wait to be started".into())?;
        let channel = Channel::from(connection);
        if channel.wait_to_go_on().is_ok() && channel.send(&Message::Ready).is_ok() {
            return Ok(channel);
        }
    }
}
