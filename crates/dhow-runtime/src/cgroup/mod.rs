//! Control groups: v1 (hybrid included) and v2 behind one type.
//!
//! A [`Cgroup`] is the group of one container. On v1 it is a directory in each mounted hierarchy, on v2 one directory.
//! Life: [`Cgroup::create`], [`Cgroup::set`] (limits before anybody is in it), processes enter, [`Cgroup::freeze`],
//! [`Cgroup::stats`], [`Cgroup::kill`], and [`Cgroup::remove`] when they have ended.

mod device_program;
mod devices;
mod files;
mod layout;
mod oom;
mod stats;
/// Refuses a limit of memory below what is in use now: the kernel would kill for it.
fn check_usage(group: &Path, file: &str, limit: i64) -> Result<(), Error> {
    let usage = files::number(group, file).unwrap_or(0);
    match u64::try_from(limit) {
        Ok(limit) if limit < usage => Err(Error::Invalid(format!(
            "a memory limit of {limit} bytes is below the current usage of {usage}"
        ))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
mod v1;
mod v2;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use dhow_errdefs::{Classify, ErrorKind};
use rustix::fs::{CWD, Mode, OFlags, openat};
use serde::{Deserialize, Serialize};

use crate::spec::{LinuxRdma, LinuxResources};
pub(crate) use layout::Hierarchy;
pub use oom::OomWatch;
pub use stats::{CpuStats, IoStats, MemoryStats, Stats};

/// Which hierarchy controls processes on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Version {
    /// One tree a controller, beside a v2 tree without controllers perhaps (hybrid).
    V1,
    /// One tree.
    V2,
}

/// The version of this machine.
#[must_use]
pub fn version() -> Version {
    layout::layout().version
}

/// The v1 controllers mounted, or the v2 controllers there are (`cpu`, `memory`, `pids`, ...).
#[must_use]
pub fn controllers() -> Vec<String> {
    let layout = layout::layout();
    match (layout.version, &layout.unified) {
        (Version::V1, _) => {
            let all = layout
                .hierarchies
                .iter()
                .flat_map(|one| one.controllers.iter());
            all.filter(|name| !name.starts_with("name="))
                .cloned()
                .collect()
        }
        (Version::V2, Some(top)) => {
            let text = files::read(top, "cgroup.controllers").unwrap_or_default();
            text.split_whitespace().map(str::to_owned).collect()
        }
        (Version::V2, None) => Vec::new(),
    }
}

/// The mounted v1 hierarchies.
pub(crate) fn hierarchies() -> &'static [Hierarchy] {
    &layout::layout().hierarchies
}

/// What went wrong with a control group.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file that can't be read or written.
    #[error("cannot {action} {}", path.display())]
    File {
        /// `read`, `write "…" to`, `create`, `remove`.
        action: String,
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A limit for a controller that is not there.
    #[error("the {0} controller is not available here")]
    NoController(String),
    /// A value the kernel has no form for.
    #[error("{0}")]
    Invalid(String),
}

impl Classify for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Invalid(_) => ErrorKind::InvalidArgument,
            _ => ErrorKind::System,
        }
    }
}

/// What the two versions do in different ways.
trait Driver {
    /// Sets the limits that are given.
    fn set(&self, resources: &LinuxResources) -> Result<Vec<String>, Error>;
    /// The processes in it and below it.
    fn pids(&self) -> Result<Vec<i32>, Error>;
    /// Freezes or thaws, and waits until it is so.
    fn freeze(&self, frozen: bool) -> Result<(), Error>;
    /// Whether it is frozen.
    fn is_frozen(&self) -> Result<bool, Error>;
    /// All its directories.
    fn directories(&self) -> Vec<&Path>;
    /// The files to which a process writes `0` to get in.
    fn entrances(&self) -> Vec<PathBuf>;
}

/// The control group of a container: one directory on v2, one a hierarchy on v1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cgroup {
    version: Version,
    /// The directory in each hierarchy; on v2 the one directory under the empty name.
    paths: BTreeMap<String, PathBuf>,
}

impl Cgroup {
    /// The control group `path` of the spec (`/docker/<id>`, or systemd's `slice:prefix:name`), made where it is not there.
    ///
    /// # Errors
    /// Where it can't be made.
    pub fn create(path: &Path) -> Result<Self, Error> {
        let cgroup = Self::named(path);
        for (name, directory) in &cgroup.paths {
            let cpuset =
                cgroup.version == Version::V1 && name.split(',').any(|one| one == "cpuset");
            files::make_directories(directory, &mut |made| {
                if cpuset {
                    return v1::fill_cpuset(made);
                }
                if cgroup.version == Version::V2
                    && let Some(parent) = made.parent()
                {
                    v2::delegate(parent);
                }
                Ok(())
            })?;
            if cgroup.version == Version::V2
                && let Some(parent) = directory.parent()
            {
                v2::delegate(parent);
            }
        }
        Ok(cgroup)
    }

    /// The control group `path` of the spec, whether it is there or not.
    #[must_use]
    pub fn named(path: &Path) -> Self {
        let layout = layout::layout();
        let own = |controllers: &[String]| {
            if path.is_absolute() {
                return PathBuf::new();
            }
            let text = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
            let all = layout::membership(&text).into_iter();
            all.filter(|(names, _)| names == controllers)
                .map(|(_, path)| path)
                .next()
                .unwrap_or_default()
        };
        let mut paths = BTreeMap::new();
        match layout.version {
            Version::V1 => {
                for hierarchy in &layout.hierarchies {
                    let below = layout::path_below(path, &own(&hierarchy.controllers));
                    paths.insert(hierarchy.name.clone(), hierarchy.mountpoint.join(below));
                }
            }
            Version::V2 => {
                let top = layout
                    .unified
                    .clone()
                    .unwrap_or_else(|| "/sys/fs/cgroup".into());
                paths.insert(String::new(), top.join(layout::path_below(path, &own(&[]))));
            }
        }
        Self {
            version: layout.version,
            paths,
        }
    }

    /// The control group of the process `pid`.
    ///
    /// # Errors
    /// Where the process is not there.
    pub fn of(pid: i32) -> Result<Self, Error> {
        let text = files::read(Path::new("/proc"), &format!("{pid}/cgroup"))?;
        let layout = layout::layout();
        let mut paths = BTreeMap::new();
        for (controllers, path) in layout::membership(&text) {
            let below = layout::path_below(&path, Path::new("/"));
            match layout.version {
                Version::V1 => {
                    let mut all = layout.hierarchies.iter();
                    if let Some(one) = all.find(|one| one.controllers == controllers) {
                        paths.insert(one.name.clone(), one.mountpoint.join(below));
                    }
                }
                Version::V2 if controllers.is_empty() => {
                    let top = layout
                        .unified
                        .clone()
                        .unwrap_or_else(|| "/sys/fs/cgroup".into());
                    paths.insert(String::new(), top.join(below));
                }
                Version::V2 => {}
            }
        }
        Ok(Self {
            version: layout.version,
            paths,
        })
    }

    /// The group `path` below this one.
    pub(crate) fn below(&self, path: &Path) -> Self {
        let below = layout::path_below(path, Path::new("/"));
        let paths = self
            .paths
            .iter()
            .map(|(name, path)| (name.clone(), path.join(&below)));
        Self {
            version: self.version,
            paths: paths.collect(),
        }
    }

    /// Which version it is of.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// The directory of a v1 controller, or the one of v2.
    #[must_use]
    pub fn directory(&self, controller: &str) -> Option<&Path> {
        match self.version {
            Version::V1 => find(&self.paths, controller),
            Version::V2 => self.paths.get("").map(PathBuf::as_path),
        }
    }

    /// The directory in the hierarchy of that name.
    pub(crate) fn directory_in(&self, hierarchy: &str) -> Option<&Path> {
        self.paths.get(hierarchy).map(PathBuf::as_path)
    }

    /// All the directories, by the hierarchy's name.
    #[must_use]
    pub fn paths(&self) -> &BTreeMap<String, PathBuf> {
        &self.paths
    }

    /// Sets the limits that are given; gives warnings for what this machine lacks.
    ///
    /// # Errors
    /// Where the kernel refuses a value.
    pub fn set(&self, resources: &LinuxResources) -> Result<Vec<String>, Error> {
        let mut warnings = self.with(|driver| driver.set(resources))?;
        let memory = resources.memory().as_ref();
        if memory.is_some_and(|memory| memory.kernel().is_some_and(|limit| limit != 0)) {
            warnings.push("the kernel limits its own memory no more, so it was not set".into());
        }
        Ok(warnings)
    }

    /// The processes in it and below it.
    ///
    /// # Errors
    /// Where it can't be read.
    pub fn pids(&self) -> Result<Vec<i32>, Error> {
        self.with(|driver| driver.pids())
    }

    /// Freezes (or thaws) its processes, and returns when they are.
    ///
    /// # Errors
    /// Where it can't be done.
    pub fn freeze(&self, frozen: bool) -> Result<(), Error> {
        self.with(|driver| driver.freeze(frozen))
    }

    /// Whether it is frozen.
    ///
    /// # Errors
    /// Where it can't be read.
    pub fn is_frozen(&self) -> Result<bool, Error> {
        self.with(|driver| driver.is_frozen())
    }

    /// Sends `signal` to every process in it and below it; for SIGKILL none escapes by forking.
    ///
    /// # Errors
    /// Where it can't be done.
    pub fn kill(&self, signal: i32) -> Result<(), Error> {
        const SIGKILL: i32 = 9;
        if signal == SIGKILL
            && let (Version::V2, Some(directory)) = (self.version, self.directory(""))
            && files::try_write(&directory.join("cgroup.kill"), "1").is_ok()
        {
            return Ok(());
        }
        // Nobody can fork while all are frozen; where that is not to be had, two rounds find most.
        let frozen = signal == SIGKILL && self.pids()?.len() > 1 && self.freeze(true).is_ok();
        for pid in self.pids()? {
            let _ = dhow_sys::signal::kill(pid, signal);
        }
        if frozen {
            self.freeze(false)?;
        }
        Ok(())
    }

    /// What its processes use.
    ///
    /// # Errors
    /// Where it is not there.
    pub fn stats(&self) -> Result<Stats, Error> {
        if let Some(gone) = self.paths.values().find(|path| !path.exists()) {
            let source = io::Error::from(io::ErrorKind::NotFound);
            return Err(Error::File {
                action: "read".into(),
                path: gone.clone(),
                source,
            });
        }
        Ok(stats::read(self))
    }

    /// How many processes the kernel has killed in it for want of memory; 0 where nothing counts them.
    #[must_use]
    pub fn oom_kills(&self) -> u64 {
        let Some(directory) = self.directory("memory") else {
            return 0;
        };
        let file = match self.version {
            Version::V1 => "memory.oom_control",
            Version::V2 => "memory.events",
        };
        let table = files::table(directory, file);
        table
            .iter()
            .find(|(key, _)| key == "oom_kill")
            .map_or(0, |(_, count)| *count)
    }

    /// Watches for out-of-memory kills.
    ///
    /// # Errors
    /// Where the memory controller is not there.
    pub fn watch_oom(&self) -> Result<OomWatch, Error> {
        let directory = self
            .directory("memory")
            .ok_or_else(|| Error::NoController("memory".into()))?;
        match self.version {
            Version::V1 => OomWatch::v1(directory),
            Version::V2 => OomWatch::v2(directory),
        }
    }

    /// Removes it with everything below it; nothing is done where it is gone. Processes that are still in it are killed.
    ///
    /// # Errors
    /// Where it can't be removed.
    pub fn remove(&self) -> Result<(), Error> {
        for directory in self.with_directories() {
            let failed = |source| Error::File {
                action: "remove".into(),
                path: directory.clone(),
                source,
            };
            match files::remove_directories(&directory) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
                    self.empty()?;
                    remove_when_left(&directory).map_err(failed)?;
                }
                Err(error) => return Err(failed(error)),
            }
        }
        Ok(())
    }

    /// Kills everything in it and waits until all have ended; what the kernel can't end is not waited for without end.
    fn empty(&self) -> Result<(), Error> {
        let open = |pid: &i32| {
            let pid = rustix::process::Pid::from_raw(*pid)?;
            rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).ok()
        };
        let waiting: Vec<OwnedFd> = self.pids()?.iter().filter_map(open).collect();
        self.kill(9)?;
        for pidfd in waiting {
            let mut wait = [rustix::event::PollFd::new(
                &pidfd,
                rustix::event::PollFlags::IN,
            )];
            let _ = rustix::io::retry_on_intr(|| rustix::event::poll(&mut wait, Some(&PATIENCE)));
        }
        Ok(())
    }

    /// Opens the files through which a process enters by writing `0`.
    pub(crate) fn entrances(&self) -> Result<Vec<OwnedFd>, Error> {
        let flags = OFlags::WRONLY | OFlags::CLOEXEC;
        let open = |path: PathBuf| {
            openat(CWD, &path, flags, Mode::empty()).map_err(|error| Error::File {
                action: "open".into(),
                path,
                source: error.into(),
            })
        };
        self.with(|driver| driver.entrances())
            .into_iter()
            .map(open)
            .collect()
    }

    /// The directory in which a process can be born; v2 only.
    pub(crate) fn birthplace(&self) -> Result<Option<OwnedFd>, Error> {
        let (Version::V2, Some(path)) = (self.version, self.directory("")) else {
            return Ok(None);
        };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        openat(CWD, path, flags, Mode::empty())
            .map(Some)
            .map_err(|error| Error::File {
                action: "open".into(),
                path: path.to_owned(),
                source: error.into(),
            })
    }

    fn with_directories(&self) -> Vec<PathBuf> {
        self.with(|driver| {
            driver
                .directories()
                .into_iter()
                .map(Path::to_owned)
                .collect()
        })
    }

    fn with<R>(&self, act: impl FnOnce(&dyn Driver) -> R) -> R {
        match self.version {
            Version::V1 => act(&v1::Group(&self.paths)),
            Version::V2 => {
                let path = self.paths.get("").map_or(Path::new(""), PathBuf::as_path);
                act(&v2::Group(path))
            }
        }
    }
}

/// How long a killed process is waited for: one that waits for a dead disk ends with it only.
const PATIENCE: rustix::time::Timespec = rustix::time::Timespec {
    tv_sec: 10,
    tv_nsec: 0,
};

/// Removes a group whose processes have ended. The kernel lets go of a process some microseconds after it has told of its
/// end, and has no event for that.
fn remove_when_left(directory: &Path) -> io::Result<()> {
    let mut pause = std::time::Duration::from_micros(50);
    loop {
        match files::remove_directories(directory) {
            Err(error)
                if error.kind() == io::ErrorKind::ResourceBusy && pause.as_millis() < 200 =>
            {
                std::thread::sleep(pause);
                pause *= 2;
            }
            other => return other,
        }
    }
}

/// The directory of a controller among the ones of all hierarchies, whose names may list several.
fn find<'a>(paths: &'a BTreeMap<String, PathBuf>, controller: &str) -> Option<&'a Path> {
    paths
        .get(controller)
        .or_else(|| {
            let mut all = paths.iter();
            all.find(|(name, _)| name.split(',').any(|one| one == controller))
                .map(|(_, path)| path)
        })
        .map(PathBuf::as_path)
}

/// `device hca_handle=1 hca_object=max`
fn rdma_line(device: &str, limits: &LinuxRdma) -> String {
    let mut line = device.to_owned();
    if let Some(handles) = limits.hca_handles() {
        line.push_str(&format!(" hca_handle={handles}"));
    }
    if let Some(objects) = limits.hca_objects() {
        line.push_str(&format!(" hca_object={objects}"));
    }
    line
}
