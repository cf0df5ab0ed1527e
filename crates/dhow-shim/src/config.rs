//! What a shim is told: its container, and the requests that carry data.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use dhow_logging::LogConfig;
use dhow_oci::runtime;
use serde::{Deserialize, Serialize};

/// The version of [`ShimConfig`] this release writes.
pub const SHIM_VERSION: u32 = 1;

/// Everything a shim needs to know of its container. The container's OCI spec stands in `<bundle>/config.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShimConfig {
    /// [`SHIM_VERSION`] of the writer.
    pub version: u32,
    /// The container's id.
    pub id: String,
    /// The OCI bundle: `config.json`, and for foreign runtimes the mount point `rootfs`.
    pub bundle: PathBuf,
    /// Where the exit records go; must exist.
    pub state_dir: PathBuf,
    /// The socket to serve on; its folder must exist. The file stays when the shim ends; connecting then fails.
    pub socket: PathBuf,
    /// Which runtime makes the container.
    pub runtime: RuntimeChoice,
    /// Where the runtime keeps its state.
    pub runtime_root: PathBuf,
    /// The root file system.
    pub rootfs: Rootfs,
    /// The user as in `--user` or the image (`name`, `uid`, `name:group`, ...), resolved in the container's own
    /// `/etc/passwd` and `/etc/group`; empty means what the spec says.
    #[serde(default)]
    pub user: String,
    /// Groups by name or number, resolved likewise.
    #[serde(default)]
    pub additional_groups: Vec<String>,
    /// The container's process gets a terminal.
    #[serde(default)]
    pub terminal: bool,
    /// Keep standard input open, else it is `/dev/null`.
    #[serde(default)]
    pub open_stdin: bool,
    /// Close standard input when the first client that was attached to it ends its side.
    #[serde(default)]
    pub stdin_once: bool,
    /// The terminal's first size.
    #[serde(default)]
    pub console_size: Option<ConsoleSize>,
    /// The log.
    pub log: LogConfig,
}

/// The size of a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsoleSize {
    /// Lines.
    pub rows: u16,
    /// Columns.
    pub cols: u16,
}

/// Which runtime a container is made with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RuntimeChoice {
    /// Dhow's own, inside the shim.
    Builtin,
    /// Another OCI runtime's program (`runc`, `crun`, ...).
    External {
        /// Its path.
        program: PathBuf,
    },
}

/// A container's root file system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rootfs {
    /// An overlay, mounted by the shim (see `dhow_snapshot::Mounts`).
    Overlay {
        /// The read-only layers, the topmost first.
        lower: Vec<PathBuf>,
        /// The writable layer.
        upper: Option<PathBuf>,
        /// Overlay's work folder; there when `upper` is.
        work: Option<PathBuf>,
        /// Mount it read-only.
        read_only: bool,
        /// Nothing in it needs to survive a loss of power: it goes away with the container.
        #[serde(default)]
        volatile: bool,
    },
    /// A folder that is ready as it is.
    Directory(PathBuf),
}

/// What an attaching client wants.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachRequest {
    /// Send what the client sends to the process's standard input.
    pub stdin: bool,
    /// Receive standard output (with a terminal: all output).
    pub stdout: bool,
    /// Receive standard error.
    pub stderr: bool,
}

/// A process to be run in a running container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExecRequest {
    /// The exec's id, unique in its container.
    pub id: String,
    /// What to run; `process.terminal` is taken from `terminal` below.
    pub process: runtime::Process,
    /// As [`ShimConfig::user`].
    #[serde(default)]
    pub user: String,
    /// As [`ShimConfig::additional_groups`].
    #[serde(default)]
    pub additional_groups: Vec<String>,
    /// Give it a terminal.
    #[serde(default)]
    pub terminal: bool,
    /// The terminal's first size.
    #[serde(default)]
    pub console_size: Option<ConsoleSize>,
    /// Give it the client's input; else it reads `/dev/null`. The client's end of input is the process's.
    #[serde(default)]
    pub stdin: bool,
    /// Give the client its output.
    #[serde(default)]
    pub stdout: bool,
    /// Give the client its standard error.
    #[serde(default)]
    pub stderr: bool,
}

/// The longest path a socket's address takes.
const LONGEST_ADDRESS: usize = 107;

/// A path for `socket` that fits into an address: itself, or one through a descriptor of its folder, which must stay
/// open while the path is used.
pub(crate) fn short_socket_path(socket: &Path) -> io::Result<(Option<OwnedFd>, PathBuf)> {
    if socket.as_os_str().len() <= LONGEST_ADDRESS {
        return Ok((None, socket.to_path_buf()));
    }
    let (Some(folder), Some(name)) = (socket.parent(), socket.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let flags =
        rustix::fs::OFlags::PATH | rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC;
    let folder = rustix::fs::open(folder, flags, rustix::fs::Mode::empty())?;
    let path = Path::new("/proc/self/fd")
        .join(folder.as_raw_fd().to_string())
        .join(name);
    Ok((Some(folder), path))
}
