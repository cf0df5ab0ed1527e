//! The OCI runtime: makes a container from a bundle, runs it, enters it, stops it and takes it away.
//!
//! A *runtime* is anything that implements [`Runtime`]. [`Builtin`] does the work in the calling process with clone3,
//! the new mount interface and seccomp programs of its own; [`External`] calls another OCI runtime (`runc`, `crun`).
//! The life of a container is the one of the runtime specification 1.2: [`Runtime::create`] leaves an init process
//! that waits, [`Runtime::start`] lets it become the container's program, [`Runtime::delete`] takes away what is left.
//!
//! The caller of [`Builtin`] is the parent of the container's init and of every exec: it waits for them (the pidfd
//! becomes readable) and reaps them. It must have one thread only, because the child of a clone goes on in Rust.
//!
//! No mount is ever made in the host's mount namespace, and everything that stays (a state file, the cgroups) is
//! removed by [`Runtime::delete`].

pub mod apparmor;
pub mod cgroup;
pub mod init;
pub mod seccomp;
pub mod user;

mod builtin;
mod channel;
mod cli;
mod error;
mod external;
mod failure;
mod process;
mod request;
mod rootfs;

pub use builtin::Builtin;
pub use cli::main;
pub use dhow_oci::runtime as spec;
pub use error::{Error, ExecutableError, Result};
pub use external::External;
pub use request::{CreateRequest, Created, ExecRequest, Executed, State, Status, Stdio, UserSpec};

/// What runs containers; object safe, blocking, used by the shim.
pub trait Runtime {
    /// Makes the container up to the point where its program could be executed, and leaves its init waiting.
    ///
    /// Everything that can be found wrong before the program runs is an error here, a missing or not executable
    /// program included, with the texts Docker's users know; on an error nothing is left behind.
    ///
    /// # Errors
    /// See [`Error`].
    fn create(&self, request: &CreateRequest<'_>) -> Result<Created>;

    /// Lets the waiting init execute the container's program.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::WrongState`] where it runs or has ended.
    fn start(&self, id: &str) -> Result<()>;

    /// Sends a signal to the container's init, or to every process in it.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::NotRunning`].
    fn kill(&self, id: &str, signal: i32, all: bool) -> Result<()>;

    /// Takes away what is left of a stopped container; with `force` a running one is killed first.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::WrongState`] where it runs.
    fn delete(&self, id: &str, force: bool) -> Result<()>;

    /// Runs another process in the container.
    ///
    /// # Errors
    /// As [`Runtime::create`].
    fn exec(&self, id: &str, request: &ExecRequest<'_>) -> Result<Executed>;

    /// Freezes every process of the container.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::NotRunning`], [`Error::Cgroup`].
    fn pause(&self, id: &str) -> Result<()>;

    /// Thaws it.
    ///
    /// # Errors
    /// As [`Runtime::pause`].
    fn resume(&self, id: &str) -> Result<()>;

    /// Changes the container's limits; what is not given stays.
    ///
    /// # Errors
    /// As [`Runtime::pause`].
    fn update(&self, id: &str, resources: &spec::LinuxResources) -> Result<()>;

    /// What is known of the container.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    fn state(&self, id: &str) -> Result<State>;

    /// The processes of the container, in the caller's pid namespace.
    ///
    /// # Errors
    /// As [`Runtime::pause`].
    fn pids(&self, id: &str) -> Result<Vec<i32>>;
}
