//! What is kept of a container between its creation and its deletion: `<state root>/<id>/`.
//!
//! - `state.json`: the [`Record`];
//! - `seccomp.bpf`: the compiled filter, for execs;
//! - `waiting`: there while the init waits to be started. Made by `dhow runtime create` it is the socket on which
//!   `dhow runtime start` reaches the init; made by a library caller it is an empty file.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use dhow_sys::seccomp::Instruction;
use serde::{Deserialize, Serialize};

use crate::cgroup::Cgroup;
use crate::error::{Error, Result};
use crate::process::capabilities::CapabilityPlan;
use crate::request::{State, Status};
use crate::seccomp::Program;
use crate::spec::Hooks;

/// The state of a container that does not change.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) id: String,
    pub(crate) pid: i32,
    /// When the init was started, in the kernel's ticks; tells it from a later process with the same pid.
    pub(crate) start_time: u64,
    pub(crate) bundle: PathBuf,
    pub(crate) rootfs: PathBuf,
    /// Seconds since 1970.
    pub(crate) created: u64,
    pub(crate) annotations: BTreeMap<String, String>,
    pub(crate) cgroup: Cgroup,
    /// The kinds of namespaces an exec has to join.
    pub(crate) namespaces: u64,
    /// What an exec gets that says nothing of capabilities.
    pub(crate) capabilities: CapabilityPlan,
    pub(crate) seccomp_flags: Option<u32>,
    pub(crate) personality: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) hooks: Option<Hooks>,
}

/// The version of the runtime specification that is implemented.
pub(crate) const OCI_VERSION: &str = "1.2.1";

/// The folder of a container's state.
#[derive(Debug, Clone)]
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    /// The folder of `id` below `root`, for ids that may be file names.
    pub(crate) fn of(root: &Path, id: &str) -> Result<Self> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_+.-".contains(&byte);
        if id.is_empty() || id.len() > 1024 || !id.bytes().all(fits) || id == "." || id == ".." {
            return Err(Error::InvalidId(id.to_owned()));
        }
        Ok(Self(root.join(id)))
    }

    /// Makes it; it must not be there.
    pub(crate) fn make(&self, id: &str) -> Result<()> {
        let mut builder = std::fs::DirBuilder::new();
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        let failed = |source| Error::File {
            action: "create",
            path: self.0.clone(),
            source,
        };
        match builder.create(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                builder
                    .recursive(true)
                    .create(self.0.parent().unwrap_or(&self.0))
                    .map_err(failed)?;
                builder.recursive(false).create(&self.0).map_err(failed)
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(Error::Exists(id.to_owned()))
            }
            other => other.map_err(failed),
        }
    }

    /// Removes it with all in it.
    pub(crate) fn remove(&self) -> Result<()> {
        match std::fs::remove_dir_all(&self.0) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(Error::File {
                action: "remove",
                path: self.0.clone(),
                source,
            }),
            _ => Ok(()),
        }
    }

    /// Writes the record so that a reader sees it whole or not at all.
    pub(crate) fn save(&self, record: &Record, seccomp: Option<&Program>) -> Result<()> {
        if let Some(program) = seccomp {
            self.write("seccomp.bpf", &encode(program))?;
        }
        let json = serde_json::to_vec(record).map_err(|error| Error::Step {
            action: "cannot encode the state".into(),
            source: io::Error::other(error),
        })?;
        self.write("state.json.new", &json)?;
        let path = self.0.join("state.json");
        std::fs::rename(self.0.join("state.json.new"), &path).map_err(|source| Error::File {
            action: "write",
            path,
            source,
        })
    }

    /// Reads the record of `id`.
    pub(crate) fn load(&self, id: &str) -> Result<Record> {
        let path = self.0.join("state.json");
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Error::NotFound(id.to_owned()));
            }
            Err(source) => {
                return Err(Error::File {
                    action: "read",
                    path,
                    source,
                });
            }
        };
        serde_json::from_slice(&bytes).map_err(|error| Error::File {
            action: "read",
            path,
            source: io::Error::other(error),
        })
    }

    /// Reads the filter for execs.
    pub(crate) fn seccomp(&self, record: &Record) -> Result<Option<Program>> {
        let Some(flags) = record.seccomp_flags else {
            return Ok(None);
        };
        let path = self.0.join("seccomp.bpf");
        let bytes = std::fs::read(&path).map_err(|source| Error::File {
            action: "read",
            path,
            source,
        })?;
        Ok(Some(Program {
            instructions: decode(&bytes),
            flags,
        }))
    }

    /// The mark that the init waits.
    pub(crate) fn waiting(&self) -> PathBuf {
        self.0.join("waiting")
    }

    /// Sets that mark without a socket.
    pub(crate) fn mark_waiting(&self) -> Result<()> {
        self.write("waiting", b"")
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let path = self.0.join(name);
        std::fs::write(&path, bytes).map_err(|source| Error::File {
            action: "write",
            path,
            source,
        })
    }

    /// What is known of the container now.
    pub(crate) fn state(&self, record: &Record) -> State {
        let alive = is_alive(record.pid, record.start_time);
        let status = if !alive {
            Status::Stopped
        } else if self.waiting().exists() {
            Status::Created
        } else if record.cgroup.is_frozen().unwrap_or(false) {
            Status::Paused
        } else {
            Status::Running
        };
        State {
            oci_version: OCI_VERSION.into(),
            id: record.id.clone(),
            status,
            pid: if alive { record.pid } else { 0 },
            bundle: record.bundle.clone(),
            annotations: record.annotations.clone(),
        }
    }
}

/// Whether the process is there, is the same one, and has not ended.
pub(crate) fn is_alive(pid: i32, start_time: u64) -> bool {
    process_stat(pid)
        .is_some_and(|(state, start)| start == start_time && !matches!(state, 'Z' | 'X' | 'x'))
}

/// The state and the start time of a process.
pub(crate) fn process_stat(pid: i32) -> Option<(char, u64)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in brackets, may hold anything.
    let mut fields = text.get(text.rfind(')')? + 2..)?.split(' ');
    let state = fields.next()?.chars().next()?;
    Some((state, fields.nth(18)?.parse().ok()?))
}

fn encode(program: &Program) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(program.instructions.len() * 8);
    for one in &program.instructions {
        bytes.extend(one.code.to_le_bytes());
        bytes.extend([one.jump_true, one.jump_false]);
        bytes.extend(one.k.to_le_bytes());
    }
    bytes
}

fn decode(bytes: &[u8]) -> Vec<Instruction> {
    let one = |bytes: &[u8]| Instruction {
        code: u16::from_le_bytes([bytes[0], bytes[1]]),
        jump_true: bytes[2],
        jump_false: bytes[3],
        k: u32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]),
    };
    bytes.chunks_exact(8).map(one).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn ids_are_file_names() {
        let root = Path::new("/run/x");
        for id in ["a", "A-1_b.c+d", "0123"] {
            assert!(Folder::of(root, id).is_ok(), "{id}");
        }
        for id in ["", ".", "..", "a/b", "a b", "ä", "a\0"] {
            assert!(Folder::of(root, id).is_err(), "{id:?}");
        }
    }

    #[test]
    fn programs_survive_being_stored() {
        let program = Program {
            instructions: vec![Instruction {
                code: 0x15,
                jump_true: 1,
                jump_false: 2,
                k: 0xdead_beef,
            }],
            flags: 4,
        };
        assert_eq!(decode(&encode(&program)), program.instructions);
    }

    #[test]
    fn this_process_is_alive() {
        let pid = std::process::id().try_into().unwrap();
        let (_, start) = process_stat(pid).unwrap();
        assert!(is_alive(pid, start));
        assert!(!is_alive(pid, start + 1));
    }
}
