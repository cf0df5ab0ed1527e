//! The runtime that does the work itself.
//!
//! `create` works everything out ([`init::InitPlan`]), clones the init into its namespaces and answers it until it is
//! ready; what fails on either side is undone. The init then waits for the word to start: from this value, through the
//! channel it keeps, or from anybody, at a socket in the state folder ([`Builtin::detached`]).

mod create;
mod exec;
mod hooks;
mod init;
mod namespaces;
mod record;
mod sysctl;
mod unsupported;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::{AddressFamily, SocketFlags, SocketType};

use crate::cgroup::Cgroup;
use crate::channel::{Channel, Message};
use crate::error::{Error, Result};
use crate::request::{CreateRequest, Created, ExecRequest, Executed, State, Status};
use crate::seccomp::Program;
use crate::{Runtime, spec};
pub(crate) use record::{Folder, OCI_VERSION, Record};

/// The runtime that does the work in the calling process, which must have one thread only.
///
/// The caller is the parent of each init and each exec: it waits for them and reaps them. An init does not end before
/// the execs in its pid namespace are reaped, so they come first; [`Runtime::delete`] with force says so where it is not
/// done.
#[derive(Debug)]
pub struct Builtin {
    state_root: PathBuf,
    detached: bool,
    /// The containers made by this value.
    live: Mutex<BTreeMap<String, Live>>,
}

/// What is known of a container without reading its folder.
#[derive(Debug)]
struct Live {
    record: Record,
    seccomp: Option<Program>,
    /// There until it is started.
    channel: Option<Channel>,
    /// The execs that nobody has reaped yet, as far as we know.
    execs: Vec<OwnedFd>,
}

impl Builtin {
    /// A runtime that keeps its state in `state_root/<id>/`, made when needed. The init of a container made by it waits
    /// on a socket that this value keeps: when the process ends before [`Runtime::start`], so does the init.
    #[must_use]
    pub fn new(state_root: &Path) -> Self {
        Self {
            state_root: state_root.to_owned(),
            detached: false,
            live: Mutex::default(),
        }
    }

    /// The same, but the containers may be started by another process, after this one has ended.
    #[must_use]
    pub fn detached(state_root: &Path) -> Self {
        Self {
            detached: true,
            ..Self::new(state_root)
        }
    }

    /// The control group of a container.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn cgroup(&self, id: &str) -> Result<Cgroup> {
        Ok(self.record(id)?.cgroup)
    }

    /// Everything kept of a container.
    pub(crate) fn record(&self, id: &str) -> Result<Record> {
        if let Some(live) = self.live().get(id) {
            return Ok(live.record.clone());
        }
        Folder::of(&self.state_root, id)?.load(id)
    }

    /// The folder of a container's state.
    pub(crate) fn folder(&self, id: &str) -> Result<Folder> {
        Folder::of(&self.state_root, id)
    }

    fn live(&self) -> MutexGuard<'_, BTreeMap<String, Live>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Our own descriptors of the execs that are not reaped.
    fn execs(&self, id: &str) -> Vec<OwnedFd> {
        let mut live = self.live();
        let Some(live) = live.get_mut(id) else {
            return Vec::new();
        };
        live.execs.retain(is_unreaped);
        live.execs
            .iter()
            .filter_map(|exec| exec.try_clone().ok())
            .collect()
    }

    fn seccomp(&self, record: &Record) -> Result<Option<Program>> {
        if let Some(live) = self.live().get(&record.id) {
            return Ok(live.seccomp.clone());
        }
        Folder::of(&self.state_root, &record.id)?.seccomp(record)
    }

    /// Gives the word through the socket of a detached init.
    fn start_at_socket(&self, record: &Record, folder: &Folder) -> Result<()> {
        let wrong = |state: Status| Error::WrongState {
            action: "start",
            state: format!("{state:?}").to_lowercase(),
        };
        let state = folder.state(record);
        if state.status != Status::Created {
            return Err(wrong(state.status));
        }
        let connected = (|| -> io::Result<Channel> {
            let flags = SocketFlags::CLOEXEC;
            let socket =
                rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
            rustix::net::connect(&socket, &create::address(folder)?.0)?;
            Ok(Channel::from(socket))
        })();
        let channel = connected.map_err(create::step("cannot reach the container's init"))?;
        channel
            .send(&Message::GoOn)
            .map_err(create::step("cannot reach the container's init"))?;
        match channel.receive() {
            Ok(Message::Ready) => follow(&channel),
            // Somebody else has been faster.
            _ => Err(wrong(Status::Running)),
        }
    }
}

/// Follows a started init until it has become its program.
fn follow(channel: &Channel) -> Result<()> {
    match channel.receive() {
        Ok(Message::Failed(failure)) => Err(Error::DuringInit(Box::new(failure.into()))),
        _ => Ok(()),
    }
}

impl Runtime for Builtin {
    fn create(&self, request: &CreateRequest<'_>) -> Result<Created> {
        let waiting = create::create(&self.state_root, request, self.detached)?;
        let channel = Some(waiting.channel).filter(|_| !self.detached);
        let (record, seccomp) = (waiting.record, waiting.seccomp);
        let live = Live {
            record,
            seccomp,
            channel,
            execs: Vec::new(),
        };
        self.live().insert(request.id.to_owned(), live);
        Ok(Created {
            pid: waiting.process.pid,
            pidfd: waiting.process.pidfd,
            master: waiting.master,
            warnings: waiting.warnings,
        })
    }

    fn start(&self, id: &str) -> Result<()> {
        let record = self.record(id)?;
        let folder = Folder::of(&self.state_root, id)?;
        let channel = self.live().get_mut(id).and_then(|live| live.channel.take());
        match channel {
            Some(channel) => {
                channel
                    .send(&Message::GoOn)
                    .map_err(|_| Error::NotRunning(id.to_owned()))?;
                follow(&channel)?;
            }
            None if folder.waiting().is_file() => {
                return Err(Error::WrongState {
                    action: "start",
                    state: "held by another process".into(),
                });
            }
            None => self.start_at_socket(&record, &folder)?,
        }
        let _ = std::fs::remove_file(folder.waiting());
        if let Some(hooks) = record
            .hooks
            .as_ref()
            .and_then(|hooks| hooks.poststart().as_ref())
        {
            hooks::run("poststart", hooks, &folder.state(&record))?;
        }
        Ok(())
    }

    fn kill(&self, id: &str, signal: i32, all: bool) -> Result<()> {
        let record = self.record(id)?;
        if all {
            return Ok(record.cgroup.kill(signal)?);
        }
        let target = exec::target(&record)?;
        match dhow_sys::signal::send(&target, signal) {
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error()) => {
                Err(Error::NotRunning(id.to_owned()))
            }
            Err(source) => Err(Error::Step {
                action: format!("cannot send signal {signal}"),
                source,
            }),
            Ok(()) => Ok(()),
        }
    }

    fn delete(&self, id: &str, force: bool) -> Result<()> {
        let record = self.record(id)?;
        let folder = Folder::of(&self.state_root, id)?;
        let state = folder.state(&record);
        if matches!(state.status, Status::Running | Status::Paused) && !force {
            let state = format!("{:?}", state.status).to_lowercase();
            return Err(Error::WrongState {
                action: "delete",
                state,
            });
        }
        if state.status != Status::Stopped
            && let Ok(target) = exec::target(&record)
        {
            end(&record, &target, &self.execs(id))?;
        }
        record.cgroup.remove()?;
        let hooks = record
            .hooks
            .as_ref()
            .and_then(|hooks| hooks.poststop().as_ref());
        let after = hooks.map_or(Ok(()), |hooks| {
            hooks::run("poststop", hooks, &folder.state(&record))
        });
        folder.remove()?;
        self.live().remove(id);
        Ok(after?)
    }

    fn exec(&self, id: &str, request: &ExecRequest<'_>) -> Result<Executed> {
        let record = self.record(id)?;
        let seccomp = self.seccomp(&record)?;
        let executed = exec::exec(&record, seccomp, request)?;
        if let (Some(live), Ok(copy)) = (self.live().get_mut(id), executed.pidfd.try_clone()) {
            live.execs.retain(is_unreaped);
            live.execs.push(copy);
        }
        Ok(executed)
    }

    fn pause(&self, id: &str) -> Result<()> {
        let record = self.record(id)?;
        exec::target(&record)?;
        Ok(record.cgroup.freeze(true)?)
    }

    fn resume(&self, id: &str) -> Result<()> {
        let record = self.record(id)?;
        exec::target(&record)?;
        Ok(record.cgroup.freeze(false)?)
    }

    fn update(&self, id: &str, resources: &spec::LinuxResources) -> Result<()> {
        self.record(id)?.cgroup.set(resources)?;
        Ok(())
    }

    fn state(&self, id: &str) -> Result<State> {
        let record = self.record(id)?;
        Ok(Folder::of(&self.state_root, id)?.state(&record))
    }

    fn pids(&self, id: &str) -> Result<Vec<i32>> {
        Ok(self.record(id)?.cgroup.pids()?)
    }
}

/// Kills everything in the container and waits until its init has ended.
fn end(record: &Record, target: &OwnedFd, execs: &[OwnedFd]) -> Result<()> {
    // A frozen process on v1 does not even die.
    if record.cgroup.is_frozen().unwrap_or(false) {
        record.cgroup.freeze(false)?;
    }
    let _ = dhow_sys::signal::send(target, 9);
    record.cgroup.kill(9)?;
    execs.iter().try_for_each(wait_for_end)?;
    // The kernel keeps the init until the last process of its pid namespace is reaped, which is the caller's to do.
    if execs.iter().any(is_unreaped) {
        let state = "waiting for its execs to be reaped".into();
        return Err(Error::WrongState {
            action: "delete",
            state,
        });
    }
    wait_for_end(target)
}

fn wait_for_end(process: &OwnedFd) -> Result<()> {
    let mut wait = [PollFd::new(process, PollFlags::IN)];
    rustix::io::retry_on_intr(|| poll(&mut wait, None)).map_err(|error| Error::Step {
        action: "cannot wait".into(),
        source: error.into(),
    })?;
    Ok(())
}

/// Whether the process is there, be it as a zombie.
fn is_unreaped(process: &OwnedFd) -> bool {
    dhow_sys::signal::send(process, 0).is_ok()
}
