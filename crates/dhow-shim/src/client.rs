//! The client: a handle on a shim, asynchronous.

use std::os::fd::OwnedFd;
use std::path::Path;

use dhow_oci::runtime;
use tokio::net::UnixStream;
use tokio::sync::mpsc;

use crate::{AttachRequest, Error, ExecRequest, ExecState, ShimConfig, ShimEvent, ShimState};

/// A handle on a shim; cheap to clone. Dropping it changes nothing for the container.
#[derive(Debug, Clone)]
pub struct Shim {}

/// A container that was made and waits for [`Shim::start`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Created {
    /// The process id of its init.
    pub pid: u32,
    /// The shim's process id.
    pub shim_pid: u32,
}

/// An exec that runs.
#[derive(Debug)]
pub struct ExecStarted {
    /// Its process id.
    pub pid: u32,
    /// Its input and output: framed output from the shim (raw with a terminal), raw input to it. The end of the
    /// stream comes after the exec's exit was recorded and told.
    pub stream: UnixStream,
}

impl Shim {
    /// Starts a shim from `program` (`/proc/self/exe`) and makes the container; its init waits for [`Shim::start`].
    ///
    /// `held` descriptors stay open as long as the shim runs. The process is reaped in the background.
    ///
    /// # Errors
    /// [`Error::Refused`] with the runtime's whole chain of errors; then nothing is left of the container or the shim.
    pub async fn spawn(program: &Path, config: &ShimConfig, held: Vec<OwnedFd>) -> Result<(Self, Created), Error> {
        todo!("{program:?} {config:?} {held:?}")
    }

    /// Connects to a running shim.
    ///
    /// # Errors
    /// [`Error::Connect`] when none serves there, [`Error::Version`] when it speaks another protocol.
    pub async fn connect(socket: &Path) -> Result<Self, Error> {
        todo!("{socket:?}")
    }

    /// Lets a created container's init go on.
    ///
    /// # Errors
    /// [`Error::Refused`] with the runtime's chain, e.g. when the command can't be executed; then the shim records
    /// an exit as for any other end.
    pub async fn start(&self) -> Result<(), Error> {
        todo!()
    }

    /// Sends a signal to the init, or to all processes of the container.
    ///
    /// # Errors
    /// [`Error::Refused`] when the container has ended (kind `NotFound`).
    pub async fn kill(&self, signal: i32, all: bool) -> Result<(), Error> {
        todo!("{signal} {all}")
    }

    /// Sends a signal to an exec.
    ///
    /// # Errors
    /// [`Error::Refused`] when the exec has ended (kind `NotFound`).
    pub async fn kill_exec(&self, id: &str, signal: i32) -> Result<(), Error> {
        todo!("{id} {signal}")
    }

    /// What the shim knows now.
    ///
    /// # Errors
    /// When the shim is gone.
    pub async fn state(&self) -> Result<ShimState, Error> {
        todo!()
    }

    /// Everything that happens from now on, beginning with what has happened to the container itself already
    /// (started, ended). The channel ends when the shim does.
    ///
    /// # Errors
    /// When the shim is gone.
    pub async fn subscribe(&self) -> Result<mpsc::Receiver<ShimEvent>, Error> {
        todo!()
    }

    /// Attaches to the init's streams: framed output from the shim (raw with a terminal), raw input to it; shutting
    /// down the writing half is the end of input. All output from here on is received, none is lost; a client that
    /// does not read slows the container down.
    ///
    /// # Errors
    /// When the shim is gone.
    pub async fn attach(&self, request: AttachRequest) -> Result<UnixStream, Error> {
        todo!("{request:?}")
    }

    /// Runs a process in the container.
    ///
    /// # Errors
    /// [`Error::Refused`] with the runtime's chain.
    pub async fn exec(&self, request: &ExecRequest) -> Result<ExecStarted, Error> {
        todo!("{request:?}")
    }

    /// What the shim knows of an exec; its exit code is known for as long as the shim runs (the newest few hundred).
    ///
    /// # Errors
    /// [`Error::Refused`] (kind `NotFound`) for an unknown exec.
    pub async fn exec_state(&self, id: &str) -> Result<ExecState, Error> {
        todo!("{id}")
    }

    /// Resizes the terminal of the init, or of an exec.
    ///
    /// # Errors
    /// [`Error::Refused`] when there is no terminal.
    pub async fn resize(&self, exec: Option<&str>, rows: u16, cols: u16) -> Result<(), Error> {
        todo!("{exec:?} {rows} {cols}")
    }

    /// Freezes the container's processes.
    ///
    /// # Errors
    /// [`Error::Refused`] with the runtime's chain.
    pub async fn pause(&self) -> Result<(), Error> {
        todo!()
    }

    /// Thaws them.
    ///
    /// # Errors
    /// [`Error::Refused`] with the runtime's chain.
    pub async fn resume(&self) -> Result<(), Error> {
        todo!()
    }

    /// Changes the container's resource limits.
    ///
    /// # Errors
    /// [`Error::Refused`] with the runtime's chain.
    pub async fn update(&self, resources: &runtime::LinuxResources) -> Result<(), Error> {
        todo!("{resources:?}")
    }

    /// The process ids in the container, as the host sees them.
    ///
    /// # Errors
    /// [`Error::Refused`] when the container has ended.
    pub async fn pids(&self) -> Result<Vec<u32>, Error> {
        todo!()
    }
}
