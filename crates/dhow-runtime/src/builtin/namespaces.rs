//! Which namespaces a container gets, and how a clone gets into them.
//!
//! Most are made by `clone3` itself. Three have to be treated apart: the cgroup namespace is made after the process is
//! in its cgroup, so that this is its top; a pid namespace that exists and the time namespace take effect on children
//! only, so the parent enters them for a moment ([`Children`]); and where a user namespace that exists is joined, the
//! others must be made inside it, which takes a second clone.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use dhow_sys::namespace::{join, kind, unshare};
use rustix::fs::{CWD, Mode, OFlags, openat};

use crate::error::{Error, Result};
use crate::failure::{Step, StepContext};
use crate::spec::{LinuxIdMapping, LinuxNamespaceType, LinuxTimeOffset, Spec};

/// What is to be made and what joined.
#[derive(Debug, Default)]
pub(crate) struct NamespacePlan {
    /// New ones, as bits.
    pub(crate) new: u64,
    /// Existing ones, in the order to join them: users first, mounts last.
    pub(crate) join: Vec<(u64, OwnedFd)>,
    /// The lines for `uid_map` and `gid_map`.
    pub(crate) mappings: Option<(String, String)>,
    /// The lines for `timens_offsets`.
    pub(crate) time_offsets: String,
}

impl NamespacePlan {
    /// The plan of a specification.
    pub(crate) fn new(spec: &Spec) -> Result<Self> {
        let mut plan = Self::default();
        let Some(linux) = spec.linux() else {
            return Err(Error::Spec("there is no linux section".into()));
        };
        for namespace in linux.namespaces().iter().flatten() {
            let bit = bit_of(namespace.typ());
            if plan.all() & bit != 0 {
                return Err(Error::Spec(format!("two {} namespaces", namespace.typ())));
            }
            match namespace.path() {
                Some(path) if !path.as_os_str().is_empty() => plan.join.push((bit, open(path)?)),
                _ => plan.new |= bit,
            }
        }
        plan.join.sort_by_key(|(bit, _)| order(*bit));
        if plan.new & kind::MOUNT == 0 {
            return Err(Error::Spec(
                "a container needs a mount namespace of its own".into(),
            ));
        }
        if plan.new & kind::USER != 0 {
            let lines = |mappings: &Option<Vec<LinuxIdMapping>>| -> String {
                mappings.iter().flatten().map(mapping_line).collect()
            };
            let (users, groups) = (lines(linux.uid_mappings()), lines(linux.gid_mappings()));
            if users.is_empty() || groups.is_empty() {
                return Err(Error::Spec(
                    "User namespaces enabled, but no mapping found".into(),
                ));
            }
            plan.mappings = Some((users, groups));
        }
        if let Some(offsets) = linux.time_offsets() {
            plan.time_offsets = offsets
                .iter()
                .map(|(clock, at)| offset_line(clock, at))
                .collect();
        }
        Ok(plan)
    }

    /// Every kind the container has of its own or shares with another container.
    pub(crate) fn all(&self) -> u64 {
        self.join.iter().fold(self.new, |all, (bit, _)| all | bit)
    }

    /// Whether the others have to be made by a process that is in the user namespace already.
    pub(crate) fn needs_two_steps(&self) -> bool {
        self.join.iter().any(|(bit, _)| *bit == kind::USER)
    }

    /// The flags for the first clone.
    pub(crate) fn clone_flags(&self) -> u64 {
        if self.needs_two_steps() {
            0
        } else {
            self.new & !(kind::CGROUP | kind::TIME)
        }
    }

    /// From the inside: joins what exists, except what only children can join.
    pub(crate) fn enter(&self) -> Step {
        for (bit, fd) in &self.join {
            if bit & (kind::PID | kind::TIME) == 0 || self.needs_two_steps() {
                join(fd.as_fd(), *bit).step(|| "cannot join a namespace".into())?;
            }
        }
        Ok(())
    }
}

/// Makes the next children of the calling process be born in other namespaces, until it is dropped.
pub(crate) struct Children {
    back: Vec<(u64, OwnedFd)>,
}

impl Children {
    /// As the plan of a new container says.
    pub(crate) fn of_plan(plan: &NamespacePlan) -> Result<Self> {
        let mut children = Self { back: Vec::new() };
        if plan.needs_two_steps() {
            return Ok(children);
        }
        for (bit, fd) in &plan.join {
            if bit & (kind::PID | kind::TIME) != 0 {
                children.enter(*bit, || join(fd.as_fd(), *bit))?;
            }
        }
        if plan.new & kind::TIME != 0 {
            children.enter(kind::TIME, || unshare(kind::TIME))?;
            if !plan.time_offsets.is_empty() {
                let path = Path::new("/proc/self/timens_offsets");
                std::fs::write(path, &plan.time_offsets).map_err(|source| Error::File {
                    action: "write",
                    path: path.to_owned(),
                    source,
                })?;
            }
        }
        Ok(children)
    }

    /// In the namespaces of the process of a pidfd.
    pub(crate) fn of_process(pidfd: &OwnedFd, kinds: u64) -> Result<Self> {
        let mut children = Self { back: Vec::new() };
        for bit in [kind::PID, kind::TIME] {
            if kinds & bit != 0 {
                children.enter(bit, || join(pidfd.as_fd(), bit))?;
            }
        }
        Ok(children)
    }

    fn enter(&mut self, bit: u64, act: impl FnOnce() -> std::io::Result<()>) -> Result<()> {
        let own = if bit == kind::PID {
            "/proc/self/ns/pid"
        } else {
            "/proc/self/ns/time"
        };
        let back = open(Path::new(own))?;
        act().map_err(|source| Error::Step {
            action: "cannot join a namespace".into(),
            source,
        })?;
        self.back.push((bit, back));
        Ok(())
    }
}

impl Drop for Children {
    fn drop(&mut self) {
        for (bit, fd) in &self.back {
            // Going back to one's own namespace is always allowed.
            let _ = join(fd.as_fd(), *bit);
        }
    }
}

fn bit_of(namespace: LinuxNamespaceType) -> u64 {
    match namespace {
        LinuxNamespaceType::Mount => kind::MOUNT,
        LinuxNamespaceType::Cgroup => kind::CGROUP,
        LinuxNamespaceType::Uts => kind::UTS,
        LinuxNamespaceType::Ipc => kind::IPC,
        LinuxNamespaceType::User => kind::USER,
        LinuxNamespaceType::Pid => kind::PID,
        LinuxNamespaceType::Network => kind::NET,
        LinuxNamespaceType::Time => kind::TIME,
    }
}

fn order(bit: u64) -> u8 {
    match bit {
        kind::USER => 0,
        kind::MOUNT => 2,
        _ => 1,
    }
}

fn open(path: &Path) -> Result<OwnedFd> {
    openat(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).map_err(|error| {
        Error::File {
            action: "open",
            path: path.to_owned(),
            source: error.into(),
        }
    })
}

fn mapping_line(mapping: &LinuxIdMapping) -> String {
    format!(
        "{} {} {}\n",
        mapping.container_id(),
        mapping.host_id(),
        mapping.size()
    )
}

fn offset_line(clock: &str, offset: &LinuxTimeOffset) -> String {
    let (seconds, nanoseconds) = (offset.secs().unwrap_or(0), offset.nanosecs().unwrap_or(0));
    format!("{clock} {seconds} {nanoseconds}\n")
}
