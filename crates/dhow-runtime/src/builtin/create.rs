//! The outside of `create`: planning, cloning the init, answering it until it is ready, and undoing all on an error.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use dhow_sys::clone::{CloneOptions, Cloned, Process as Cloning, clone3};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use rustix::process::{DumpableBehavior, WaitId, WaitIdOptions, set_dumpable_behavior, waitid};

use super::hooks;
use super::init::{Gate, InitHooks, InitPlan};
use super::namespaces::{Children, NamespacePlan};
use super::record::{Folder, OCI_VERSION, Record, process_stat};
use super::{sysctl, unsupported};
use crate::cgroup::Cgroup;
use crate::channel::{Channel, Message};
use crate::error::{Error, Result};
use crate::process::{ProcessPlan, plan};
use crate::request::{CreateRequest, State, Status};
use crate::rootfs::{RootfsPlan, paths};
use crate::seccomp::{self, Program};
use crate::spec::{Hooks, Spec};
use crate::user;

/// A container whose init waits.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) record: Record,
    pub(super) process: Cloning,
    pub(super) channel: Channel,
    pub(super) master: Option<OwnedFd>,
    pub(super) warnings: Vec<String>,
    pub(super) seccomp: Option<Program>,
}

/// Makes a container. With `detached` its init can be started by any process, otherwise through the channel only.
pub(super) fn create(
    state_root: &Path,
    request: &CreateRequest<'_>,
    detached: bool,
) -> Result<Waiting> {
    let folder = Folder::of(state_root, request.id)?;
    unsupported::check(request.spec)?;
    let namespaces = NamespacePlan::new(request.spec)?;
    folder.make(request.id)?;
    let mut undo = Undo {
        folder: &folder,
        cgroup: None,
        process: None,
    };
    match steps(request, namespaces, detached, &mut undo) {
        Ok(waiting) => Ok(waiting),
        Err(error) => {
            undo.undo();
            Err(error)
        }
    }
}

/// What has been made so far.
struct Undo<'a> {
    folder: &'a Folder,
    cgroup: Option<Cgroup>,
    process: Option<Cloning>,
}

impl Undo<'_> {
    /// Takes it all back; what can't be is left, since there is an error to be told already.
    fn undo(self) {
        if let Some(process) = self.process {
            let _ = dhow_sys::signal::send(&process.pidfd, 9);
            reap(&process.pidfd);
        }
        if let Some(cgroup) = self.cgroup {
            let _ = cgroup.remove();
        }
        let _ = self.folder.remove();
    }
}

/// Waits for the process and forgets it.
pub(super) fn reap(pidfd: &OwnedFd) {
    let _ =
        rustix::io::retry_on_intr(|| waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED));
}

fn steps(
    request: &CreateRequest<'_>,
    namespaces: NamespacePlan,
    detached: bool,
    undo: &mut Undo<'_>,
) -> Result<Waiting> {
    let spec = request.spec;
    let linux = spec.linux().as_ref();
    let cgroup_path = linux.and_then(|linux| linux.cgroups_path().clone());
    let cgroup_path = cgroup_path.filter(|path| !path.as_os_str().is_empty());
    let cgroup_path = cgroup_path.unwrap_or_else(|| request.id.into());
    undo.cgroup = Some(Cgroup::named(&cgroup_path));
    let cgroup = Cgroup::create(&cgroup_path)?;
    let mut warnings = Vec::new();
    if let Some(resources) = linux.and_then(|linux| linux.resources().as_ref()) {
        warnings.extend(cgroup.set(resources)?);
    }
    let mut rootfs = RootfsPlan::new(spec, request.bundle, &cgroup)?;
    if request.rootfs.is_some() {
        rootfs.attach_at.clone_from(&undo.folder.0);
    }
    let process = plan_process(request, &rootfs)?;
    let joined = namespaces.all();
    let init = plan_init(request, namespaces, rootfs, process, &cgroup)?;
    let (inside, outside) = Channel::pair().map_err(step("cannot make a channel"))?;
    let gate = if detached {
        Gate::Socket(listen(undo.folder)?)
    } else {
        Gate::Channel
    };
    let cloned = clone_init(init, inside, gate, &cgroup, undo)?;
    let pid = cloned.0;
    if !detached {
        undo.folder.mark_waiting()?;
    }
    let mut record = Record {
        id: request.id.to_owned(),
        pid,
        start_time: 0,
        bundle: request.bundle.to_owned(),
        rootfs: cloned.1.rootfs_path,
        created: seconds_now(),
        annotations: annotations(spec),
        cgroup,
        namespaces: joined,
        capabilities: cloned.1.capabilities,
        seccomp_flags: cloned.1.seccomp.as_ref().map(|program| program.flags),
        personality: cloned.1.personality,
        hooks: spec.hooks().clone(),
    };
    set_oom_score(spec, pid, &mut warnings)?;
    let mut conversation = Conversation {
        spec,
        record: &mut record,
        undo,
        warnings: &mut warnings,
        master: None,
    };
    conversation.until_ready(&outside, cloned.1.mappings)?;
    let master = conversation.master;
    record.start_time = process_stat(record.pid).map_or(0, |(_, start)| start);
    undo.folder.save(&record, cloned.1.seccomp.as_ref())?;
    let process = undo
        .process
        .take()
        .ok_or_else(|| Error::Init("the init is gone".into()))?;
    Ok(Waiting {
        record,
        process,
        channel: outside,
        master,
        warnings,
        seccomp: cloned.1.seccomp,
    })
}

fn plan_process(request: &CreateRequest<'_>, rootfs: &RootfsPlan) -> Result<ProcessPlan> {
    let spec = request.spec;
    let process = spec
        .process()
        .as_ref()
        .ok_or_else(|| Error::Spec("there is no process".into()))?;
    let opened;
    let root = match request.rootfs {
        Some(root) => root,
        None => {
            opened = paths::open_host(&rootfs.path).map_err(|source| Error::Step {
                action: format!("invalid rootfs {}", rootfs.path.display()),
                source,
            })?;
            opened.as_fd()
        }
    };
    let found = match request.user {
        Some(wanted) => Some(user::resolve(root, &wanted.user, &wanted.groups)?),
        None => None,
    };
    let home = match &found {
        Some(user) => user.home.clone(),
        None => user::home_of(root, process.user().uid()),
    };
    let mut planned = ProcessPlan::new(process, found.as_ref(), &home)?;
    let linux = spec.linux().as_ref();
    if let Some(profile) = linux.and_then(|linux| linux.seccomp().as_ref()) {
        planned.seccomp = Some(seccomp::compile(profile)?);
    }
    if let Some(personality) = linux.and_then(|linux| linux.personality().as_ref()) {
        planned.attributes.personality = Some(plan::personality(personality)?);
    }
    Ok(planned)
}

fn plan_init<'a>(
    request: &CreateRequest<'a>,
    namespaces: NamespacePlan,
    rootfs: RootfsPlan,
    process: ProcessPlan,
    cgroup: &Cgroup,
) -> Result<InitPlan<'a>> {
    let spec = request.spec;
    let named = |name: &Option<String>| name.clone().filter(|name| !name.is_empty());
    let (hostname, domainname) = (named(spec.hostname()), named(spec.domainname()));
    if hostname.is_some() && namespaces.all() & dhow_sys::namespace::kind::UTS == 0 {
        return Err(Error::Spec(
            "unable to set hostname without a private UTS namespace".into(),
        ));
    }
    let entrances = match cgroup.version() {
        crate::cgroup::Version::V1 => cgroup.entrances()?,
        crate::cgroup::Version::V2 => Vec::new(),
    };
    Ok(InitPlan {
        sysctls: sysctl::plan(spec, &namespaces)?,
        namespaces,
        rootfs,
        process,
        stdio: request.stdio,
        given_root: request.rootfs,
        entrances,
        hostname,
        domainname,
        hooks: init_hooks(request),
        id: request.id,
    })
}

fn init_hooks(request: &CreateRequest<'_>) -> InitHooks {
    let Some(hooks) = request.spec.hooks() else {
        return InitHooks::default();
    };
    let state = State {
        oci_version: OCI_VERSION.into(),
        id: request.id.to_owned(),
        status: Status::Created,
        pid: 1,
        bundle: request.bundle.to_owned(),
        annotations: annotations(request.spec),
    };
    InitHooks {
        outside: !outside_hooks(hooks).is_empty(),
        create_container: hooks.create_container().clone().unwrap_or_default(),
        start_container: hooks.start_container().clone().unwrap_or_default(),
        state: Some(state),
    }
}

/// The hooks to be run on the outside once the namespaces are there, with their kind.
fn outside_hooks(hooks: &Hooks) -> Vec<(&'static str, Vec<crate::spec::Hook>)> {
    #[allow(deprecated, reason = "the specification still wants them to be run")]
    let prestart = hooks.prestart().clone();
    let kinds = [
        ("prestart", prestart),
        ("createRuntime", hooks.create_runtime().clone()),
    ];
    kinds
        .into_iter()
        .filter_map(|(kind, hooks)| Some((kind, hooks.filter(|hooks| !hooks.is_empty())?)))
        .collect()
}

/// What is still needed of a plan after the clone.
struct Kept {
    rootfs_path: std::path::PathBuf,
    capabilities: crate::process::capabilities::CapabilityPlan,
    personality: Option<u64>,
    seccomp: Option<Program>,
    mappings: Option<(String, String)>,
}

fn clone_init(
    init: InitPlan<'_>,
    inside: Channel,
    gate: Gate,
    cgroup: &Cgroup,
    undo: &mut Undo<'_>,
) -> Result<(i32, Kept)> {
    let birthplace = cgroup.birthplace()?;
    let children = Children::of_plan(&init.namespaces)?;
    let options = CloneOptions {
        namespaces: init.namespaces.clone_flags(),
        cgroup: birthplace.as_ref().map(AsFd::as_fd),
        sibling: false,
    };
    let process = match clone_hidden(&options)? {
        Cloned::Child => init.run(inside, &gate),
        Cloned::Parent(process) => process,
    };
    drop(children);
    let pid = process.pid;
    undo.process = Some(process);
    let kept = Kept {
        rootfs_path: init.rootfs.path,
        capabilities: init.process.capabilities,
        personality: init.process.attributes.personality,
        seccomp: init.process.seccomp,
        mappings: init.namespaces.mappings,
    };
    Ok((pid, kept))
}

/// Clones with the child hidden from the container from its first moment on: it may be born into its pid namespace.
pub(super) fn clone_hidden(options: &CloneOptions<'_>) -> Result<Cloned> {
    let before = rustix::process::dumpable_behavior().unwrap_or(DumpableBehavior::Dumpable);
    let hide = |behavior| set_dumpable_behavior(behavior).map_err(io::Error::from);
    hide(DumpableBehavior::NotDumpable).map_err(step("prctl"))?;
    let cloned = clone3(options);
    if !matches!(cloned, Ok(Cloned::Child)) && before == DumpableBehavior::Dumpable {
        hide(before).map_err(step("prctl"))?;
    }
    cloned.map_err(step("cannot clone the container's process"))
}

/// What the parent does while the init works.
struct Conversation<'a, 'b> {
    spec: &'a Spec,
    record: &'a mut Record,
    undo: &'a mut Undo<'b>,
    warnings: &'a mut Vec<String>,
    master: Option<OwnedFd>,
}

impl Conversation<'_, '_> {
    fn until_ready(&mut self, channel: &Channel, mappings: Option<(String, String)>) -> Result<()> {
        loop {
            match channel.receive().map_err(step("cannot hear the init"))? {
                Message::Ready => return Ok(()),
                Message::NeedMappings => {
                    write_mappings(self.record.pid, mappings.as_ref())?;
                    go_on(channel)?;
                }
                Message::NeedHooks => {
                    self.run_hooks()?;
                    go_on(channel)?;
                }
                Message::Replaced(pid, pidfd) => {
                    self.record.pid = pid;
                    if let Some(first) = self.undo.process.replace(Cloning { pid, pidfd }) {
                        reap(&first.pidfd);
                    }
                    set_oom_score(self.spec, pid, self.warnings)?;
                    go_on(channel)?;
                }
                Message::Terminal(master) => self.master = Some(master),
                Message::Warning(text) => self.warnings.push(text),
                Message::Failed(failure) => {
                    return Err(Error::DuringInit(Box::new(failure.into())));
                }
                Message::Closed | Message::GoOn if self.record.cgroup.oom_kills() > 0 => {
                    let text = "container init was OOM-killed (memory limit too low?)";
                    return Err(Error::Init(text.into()));
                }
                Message::Closed | Message::GoOn => {
                    return Err(Error::Init("the container's init died unexpectedly".into()));
                }
            }
        }
    }

    fn run_hooks(&self) -> Result<()> {
        let Some(all) = self.spec.hooks() else {
            return Ok(());
        };
        let state = State {
            oci_version: OCI_VERSION.into(),
            id: self.record.id.clone(),
            status: Status::Created,
            pid: self.record.pid,
            bundle: self.record.bundle.clone(),
            annotations: self.record.annotations.clone(),
        };
        for (kind, hooks) in outside_hooks(all) {
            hooks::run(kind, &hooks, &state)?;
        }
        Ok(())
    }
}

fn go_on(channel: &Channel) -> Result<()> {
    channel
        .send(&Message::GoOn)
        .map_err(step("cannot reach the init"))
}

fn write_mappings(pid: i32, mappings: Option<&(String, String)>) -> Result<()> {
    let Some((users, groups)) = mappings else {
        return Ok(());
    };
    for (name, lines) in [("uid_map", users), ("gid_map", groups)] {
        let path = std::path::PathBuf::from(format!("/proc/{pid}/{name}"));
        std::fs::write(&path, lines).map_err(|source| Error::File {
            action: "write",
            path,
            source,
        })?;
    }
    Ok(())
}

/// Lowering the score takes CAP_SYS_RESOURCE; where we lack it, the score stays.
fn set_oom_score(spec: &Spec, pid: i32, warnings: &mut Vec<String>) -> Result<()> {
    match spec
        .process()
        .as_ref()
        .and_then(crate::spec::Process::oom_score_adj)
    {
        Some(score) => write_oom_score(score, pid, warnings),
        None => Ok(()),
    }
}

/// Sets the score of a process.
fn write_oom_score(score: i32, pid: i32, warnings: &mut Vec<String>) -> Result<()> {
    let path = std::path::PathBuf::from(format!("/proc/{pid}/oom_score_adj"));
    match std::fs::write(&path, score.to_string()) {
        Ok(()) => Ok(()),
        // A failed init tells why itself.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            warnings.push(format!(
                "cannot set oom_score_adj to {score} without CAP_SYS_RESOURCE"
            ));
            Ok(())
        }
        Err(source) => Err(Error::File {
            action: "write",
            path,
            source,
        }),
    }
}

/// The socket at which the init waits to be started.
fn listen(folder: &Folder) -> Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC;
    let listening = (|| {
        let socket =
            rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        rustix::net::bind(&socket, &address(folder)?.0)?;
        rustix::net::listen(&socket, 1)?;
        Ok(socket)
    })();
    listening.map_err(|source: io::Error| Error::File {
        action: "create",
        path: folder.waiting(),
        source,
    })
}

/// The socket's address; through a descriptor of its folder, because socket addresses are short.
pub(super) fn address(folder: &Folder) -> io::Result<(SocketAddrUnix, OwnedFd)> {
    use std::os::fd::AsRawFd;
    let directory = paths::open_host(&folder.0)?;
    let path = format!("/proc/self/fd/{}/waiting", directory.as_raw_fd());
    Ok((SocketAddrUnix::new(path)?, directory))
}

fn annotations(spec: &Spec) -> BTreeMap<String, String> {
    spec.annotations().clone().into_iter().flatten().collect()
}

fn seconds_now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

/// For turning an I/O error into one of ours.
pub(super) fn step(action: &str) -> impl FnOnce(io::Error) -> Error {
    let action = action.to_owned();
    move |source| Error::Step { action, source }
}
