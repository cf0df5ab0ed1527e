//! What a runtime is asked for and what it answers.

use std::collections::BTreeMap;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::spec::{Process, Spec};

/// A container to be created.
#[derive(Debug)]
pub struct CreateRequest<'a> {
    /// Its id: `[A-Za-z0-9_+.-]+`, at most 1024 bytes.
    pub id: &'a str,
    /// The bundle's folder, for the state, for hooks and for relative paths in the spec.
    pub bundle: &'a Path,
    /// The specification. The caller has parsed it; the bundle's `config.json` is not read.
    pub spec: &'a Spec,
    /// The root file system as a detached mount; without it `spec.root.path` is used.
    pub rootfs: Option<BorrowedFd<'a>>,
    /// The standard streams of the container's program.
    pub stdio: Stdio<'a>,
    /// The user as Docker writes it, to be looked up in the root file system; without it `spec.process.user` counts.
    pub user: Option<&'a UserSpec>,
}

/// A process to be run in a container that exists.
#[derive(Debug)]
pub struct ExecRequest<'a> {
    /// The process. Without capabilities it gets none; the container's seccomp filter is always applied.
    pub process: &'a Process,
    /// Its standard streams.
    pub stdio: Stdio<'a>,
    /// The user as Docker writes it; without it `process.user` counts.
    pub user: Option<&'a UserSpec>,
    /// A sub-cgroup of the container's to run in (`runc exec --cgroup`).
    pub cgroup: Option<&'a Path>,
}

/// The standard streams of a process.
#[derive(Debug, Clone, Copy)]
pub enum Stdio<'a> {
    /// Those of the calling process.
    Inherit,
    /// Three descriptors (pipes, files, sockets). The child dups them; the caller closes its own copies afterwards.
    Pipes {
        /// Read by the process.
        stdin: BorrowedFd<'a>,
        /// Written by the process.
        stdout: BorrowedFd<'a>,
        /// Written by the process.
        stderr: BorrowedFd<'a>,
    },
    /// A pseudo terminal of the container's own devpts, whose master comes back in the answer.
    Terminal {
        /// Columns; 0 for the kernel's default.
        width: u16,
        /// Rows; 0 for the kernel's default.
        height: u16,
    },
}

impl<'a> Stdio<'a> {
    /// The descriptors to hand over.
    pub(crate) fn descriptors(&self) -> Vec<BorrowedFd<'a>> {
        match self {
            Self::Pipes {
                stdin,
                stdout,
                stderr,
            } => vec![*stdin, *stdout, *stderr],
            Self::Inherit | Self::Terminal { .. } => Vec::new(),
        }
    }
}

/// A user as `docker run --user` and an image's `USER` write it, not looked up yet.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserSpec {
    /// `name|uid[:group|gid]`; empty means root.
    pub user: String,
    /// Additional groups, names or numbers (`--group-add`).
    #[serde(default)]
    pub groups: Vec<String>,
}

/// A container that waits to be started.
#[derive(Debug)]
pub struct Created {
    /// The pid of its init, in the caller's pid namespace.
    pub pid: i32,
    /// A descriptor of it: readable when it has ended, `waitid(P_PIDFD)` reaps it.
    pub pidfd: OwnedFd,
    /// The terminal's master, for [`Stdio::Terminal`].
    pub master: Option<OwnedFd>,
    /// What could not be done and was passed over: a hard limit that could not be raised, a controller that is not there.
    pub warnings: Vec<String>,
}

/// A process that runs in a container.
#[derive(Debug)]
pub struct Executed {
    /// Its pid, in the caller's pid namespace.
    pub pid: i32,
    /// A descriptor of it, as in [`Created`].
    pub pidfd: OwnedFd,
    /// The terminal's master, for [`Stdio::Terminal`].
    pub master: Option<OwnedFd>,
    /// As in [`Created`].
    pub warnings: Vec<String>,
}

/// Where in its life a container is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Its init waits.
    Created,
    /// Its program runs.
    Running,
    /// Its program is frozen.
    Paused,
    /// Its program has ended.
    Stopped,
}

/// What `state` shows: the runtime specification's state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// The version of the specification.
    pub oci_version: String,
    /// The container's id.
    pub id: String,
    /// Where in its life it is.
    pub status: Status,
    /// The pid of its init; 0 where it has ended.
    pub pid: i32,
    /// The bundle's folder.
    pub bundle: PathBuf,
    /// The spec's annotations.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}
