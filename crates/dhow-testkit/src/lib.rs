//! Fixtures for the tests: real images, real registries, private engines and both command lines.
//!
//! Nothing here pretends. [`packages`] fetches Debian's packages and unpacks them into a cache of the user's;
//! [`images`] makes images from them; [`Registry`] runs Debian's `docker-registry`; [`Engine`] runs this tree's
//! `dhow daemon` in a root of its own, and when it is dropped, stops it and says what it left behind; [`Cli`] runs
//! `dhow` or the official `docker` against it. [`scripted`] is an engine that says what a test wants,
//! [`corpus`] images with awkward layers.
//!
//! Failures panic with what was tried: this crate is for tests only.
#![allow(
    clippy::print_stderr,
    clippy::missing_panics_doc,
    clippy::expect_used,
    reason = "test support: it panics with a message and reports on the terminal"
)]

mod cli;
pub mod clients;
pub mod corpus;
pub mod dockerfiles;
mod engine;
pub mod faults;
pub mod fuzz;
pub mod http;
pub mod images;
mod leaks;
mod network;
pub mod packages;
mod plugins;
pub mod reference;
mod registry;
pub mod scripted;
pub mod tokens;

pub use cli::{Cli, Output};
pub use engine::{Engine, EngineOptions, program};
pub use leaks::Leaks;
pub use plugins::{install_plugins, plugins};
pub use registry::{Registry, RegistryKind};

/// An address of every private engine's host that is not a loopback one: registries there are not taken for insecure.
pub const HOST_ADDRESS: &str = "10.254.254.1";

/// True when the calling test can be run: as root, and against a reference engine only if it is none of the
/// [`reference::exceptions`]. Else it says loudly, once a call, what is being skipped and why.
#[must_use]
pub fn root_or_skip(what: &str) -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("SKIPPED {what}: it needs root (namespaces, mounts, nftables)");
    }
    let exception = reference::exception();
    if let Some(reason) = &exception {
        eprintln!("SKIPPED {what} on the reference engine: {reason}");
    }
    root && exception.is_none()
}

/// The process at the other end of `stream`, as it was when it began to listen.
///
/// # Panics
/// When the kernel does not say.
#[must_use]
pub fn peer(stream: &std::os::unix::net::UnixStream) -> i32 {
    let credentials =
        rustix::net::sockopt::socket_peercred(stream).expect("unix sockets know their peers");
    credentials.pid.as_raw_nonzero().get()
}
