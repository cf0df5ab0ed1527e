//! What the builder needs of whoever runs commands.

use std::path::PathBuf;
use std::sync::Arc;

use dhow_dockerfile::{Network, Security};
use dhow_snapshot::Mounts;
use futures::future::BoxFuture;

use crate::graph::Limits;

/// Runs commands in containers that nobody else sees.
pub trait Executor: Send + Sync + 'static {
    /// Runs a command to its end and gives its exit code (128 + the signal's number for one that was killed).
    ///
    /// All of it is over when the future is: no process, mount, interface or control group is left. Dropping the future kills
    /// the command. After a crash of the daemon the command is killed and cleaned up at the next start.
    ///
    /// # Errors
    /// The command could not be started; the text is for the one who builds (`exec: "nosuch": executable file not found in $PATH`).
    fn run<'a>(&'a self, command: Command) -> BoxFuture<'a, Result<i32, ExecutorError>>;

    /// Waits until nothing is left of a command whose future was dropped: its upper directory may be removed then.
    fn settled<'a>(&'a self, id: &'a str) -> BoxFuture<'a, ()> {
        let _ = id;
        Box::pin(async {})
    }
}

/// Why a command could not be started.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ExecutorError(pub String);

/// A command to run.
pub struct Command {
    /// An id that no other command has: letters, digits and `-`, at most 64.
    pub id: String,
    /// The file system; its upper directory gets what the command writes.
    pub root: Mounts,
    /// The program and its arguments; the program is looked up in the container's `PATH`.
    pub args: Vec<String>,
    /// The environment, complete but for `HOME`, which is the user's where it is missing.
    pub env: Vec<String>,
    /// The working directory; made if it is not there.
    pub working_dir: String,
    /// The user as in `USER`, resolved in the container.
    pub user: String,
    /// What is mounted, in this order. Targets are resolved inside the root.
    pub mounts: Vec<CommandMount>,
    /// The network.
    pub network: Network,
    /// How it is confined.
    pub security: Security,
    /// Names of CDI devices.
    pub devices: Vec<String>,
    /// The rest.
    pub limits: Limits,
    /// Takes what the command prints; called in order, quickly.
    pub output: Arc<dyn Output>,
}

/// Something mounted for a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandMount {
    /// Where in the root; absolute.
    pub target: String,
    /// Whether the command can't write to it.
    pub read_only: bool,
    /// What is mounted.
    pub kind: CommandMountKind,
}

/// What is mounted for a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandMountKind {
    /// A file, directory or socket of the host, by a path that nobody hostile can change.
    Bind(PathBuf),
    /// A path within another file system, resolved inside of it; what is written is thrown away.
    Overlay {
        /// The other file system.
        root: Mounts,
        /// The path within it.
        path: String,
    },
    /// Memory, at most so many bytes.
    Tmpfs(Option<u64>),
}

/// Takes a command's output.
pub trait Output: Send + Sync + 'static {
    /// Some bytes of its standard output (1) or error (2).
    fn write(&self, stream: u8, bytes: &[u8]);
}
