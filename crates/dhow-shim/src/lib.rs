//! The per-container supervisor: protocol, server and client.
//!
//! A *shim* is a process of its own, one for each container. It makes and starts the container through a runtime,
//! owns its output and input, writes its log, records its exit code and those of its execs on disk, and serves
//! clients on a socket. It does not need the daemon: when that dies nothing changes for the container, and the next
//! daemon finds the shim by its socket, or what it left in its state folder.
//!
//! - [`Shim`]: the client, asynchronous; what the engine holds.
//! - [`main`]: the server, one thread around `epoll`, without an async runtime and with few, small, fixed buffers.
//! - [`protocol`]: what the two say to each other, and its versions.
//! - [`exit_record`], [`exec_records`]: what a shim left behind.
//!
//! # Life of a shim
//!
//! [`Shim::spawn`] starts the process, which makes the container (*created*: its init waits). Attach clients may
//! connect now. [`Shim::start`] lets the init go on (*running*). When the init ends, the shim takes what is left in
//! the container's pipes into the log, records the exit in the state folder, tells the subscribers, removes the
//! container from the runtime and ends, as soon as the attached clients have taken what they are owed.

mod client;
mod config;
mod error;
pub mod protocol;
mod record;
mod server;

pub use client::{Created, ExecStarted, Shim};
pub use config::{
    AttachRequest, ConsoleSize, ExecRequest, Rootfs, RuntimeChoice, SHIM_VERSION, ShimConfig,
};
pub use error::Error;
pub use protocol::{ExecState, HeldPort, ShimEvent, ShimState, ShimStatus};
pub use record::{ExecRecord, ExitRecord, exec_records, exit_record};
pub use server::{Simulated, main, main_with};

pub use dhow_logging::{LogConfig, logger};

/// With this a refusal begins when the container's log driver can't be used. Docker's text.
pub const LOG_DRIVER_FAILED: &str = "failed to initialize logging driver";
