//! What the engine needs of the processes that supervise containers: a small interface, so that the engine can be
//! tested on a simulated one.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use dhow_oci::runtime::LinuxResources;
use dhow_shim::{
    AttachRequest, Created, ExecRequest, ExecStarted, ExitRecord, HeldPort, Shim, ShimConfig,
    ShimEvent, ShimState,
};
use futures::future::BoxFuture;
use tokio::net::UnixStream;
use tokio::sync::mpsc;

pub use dhow_shim::Error;

/// A running supervisor of one container.
pub type Task = Arc<dyn Supervised>;

/// The result of an asynchronous call to a supervisor.
pub type Answer<'a, T> = BoxFuture<'a, Result<T, Error>>;

/// Makes supervisors and finds those that run.
pub trait Supervisor: Send + Sync + 'static {
    /// Starts a supervisor and makes the container; its init waits for the start.
    fn spawn(&self, config: ShimConfig, held: Vec<OwnedFd>) -> Answer<'_, (Task, Created)>;

    /// Connects to the supervisor that serves on `socket`.
    fn connect<'a>(&'a self, socket: &'a Path) -> Answer<'a, Task>;

    /// What a supervisor left behind when its container ended.
    ///
    /// # Errors
    /// The record can't be read.
    fn exit_record(&self, state_dir: &Path) -> Result<Option<ExitRecord>, Error>;
}

/// What a supervisor can be asked for; see [`Shim`] for the contracts.
pub trait Supervised: Send + Sync + 'static {
    /// Lets the init go on.
    fn start(&self) -> Answer<'_, ()>;
    /// Sends a signal to the init or to all processes.
    fn kill(&self, signal: i32, all: bool) -> Answer<'_, ()>;
    /// What the supervisor knows now.
    fn state(&self) -> Answer<'_, ShimState>;
    /// Everything that happens, beginning with what has happened to the container itself.
    fn subscribe(&self) -> Answer<'_, mpsc::Receiver<ShimEvent>>;
    /// Connects to the init's streams.
    fn attach(&self, request: AttachRequest) -> Answer<'_, UnixStream>;
    /// Runs a process in the container.
    fn exec(&self, request: ExecRequest) -> Answer<'_, ExecStarted>;
    /// Resizes a terminal.
    fn resize<'a>(&'a self, exec: Option<&'a str>, rows: u16, columns: u16) -> Answer<'a, ()>;
    /// Freezes or thaws the processes.
    fn freeze(&self, frozen: bool) -> Answer<'_, ()>;
    /// Changes the limits.
    fn update(&self, resources: LinuxResources) -> Answer<'_, ()>;
    /// The host's ids of the processes.
    fn pids(&self) -> Answer<'_, Vec<u32>>;
    /// Takes more sockets to hold, and lets go of those that are not at places to keep.
    fn hold(&self, sockets: Vec<OwnedFd>, keep: Option<Vec<HeldPort>>) -> Answer<'_, ()>;
}

/// The real thing: shim processes started from a program.
#[derive(Debug, Clone)]
pub struct Shims {
    /// The program to start a shim from, `/proc/self/exe`.
    pub program: std::path::PathBuf,
}

impl Supervisor for Shims {
    fn spawn(&self, config: ShimConfig, held: Vec<OwnedFd>) -> Answer<'_, (Task, Created)> {
        Box::pin(async move {
            let (shim, created) = Shim::spawn(&self.program, &config, held).await?;
            Ok((Arc::new(shim) as Task, created))
        })
    }

    fn connect<'a>(&'a self, socket: &'a Path) -> Answer<'a, Task> {
        Box::pin(async move { Ok(Arc::new(Shim::connect(socket).await?) as Task) })
    }

    fn exit_record(&self, state_dir: &Path) -> Result<Option<ExitRecord>, Error> {
        dhow_shim::exit_record(state_dir)
    }
}

impl Supervised for Shim {
    fn start(&self) -> Answer<'_, ()> {
        Box::pin(self.start())
    }

    fn kill(&self, signal: i32, all: bool) -> Answer<'_, ()> {
        Box::pin(self.kill(signal, all))
    }

    fn state(&self) -> Answer<'_, ShimState> {
        Box::pin(self.state())
    }

    fn subscribe(&self) -> Answer<'_, mpsc::Receiver<ShimEvent>> {
        Box::pin(self.subscribe())
    }

    fn attach(&self, request: AttachRequest) -> Answer<'_, UnixStream> {
        Box::pin(self.attach(request))
    }

    fn exec(&self, request: ExecRequest) -> Answer<'_, ExecStarted> {
        Box::pin(async move { self.exec(&request).await })
    }

    fn resize<'a>(&'a self, exec: Option<&'a str>, rows: u16, columns: u16) -> Answer<'a, ()> {
        Box::pin(self.resize(exec, rows, columns))
    }

    fn freeze(&self, frozen: bool) -> Answer<'_, ()> {
        Box::pin(async move {
            if frozen {
                self.pause().await
            } else {
                self.resume().await
            }
        })
    }

    fn update(&self, resources: LinuxResources) -> Answer<'_, ()> {
        Box::pin(async move { self.update(&resources).await })
    }

    fn pids(&self) -> Answer<'_, Vec<u32>> {
        Box::pin(self.pids())
    }

    fn hold(&self, sockets: Vec<OwnedFd>, keep: Option<Vec<HeldPort>>) -> Answer<'_, ()> {
        Box::pin(self.hold(sockets, keep))
    }
}

/// Whether a call came too late: the container has ended, though that is not told yet.
pub(crate) fn is_over(error: &Error) -> bool {
    use dhow_errdefs::{Classify, ErrorKind};
    error.is_gone() || matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Conflict)
}
