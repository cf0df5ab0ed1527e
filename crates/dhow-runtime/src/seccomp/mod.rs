//! Seccomp: Docker's default policy, profiles in Docker's format, and the compiler to BPF.
//!
//! A *profile* ([`LinuxSeccomp`]) names system calls and what is to happen with them; a *program* is what the kernel
//! runs at each call. [`compile`] turns the one into the other, as libseccomp would: a binary search over the numbers,
//! which the mostly contiguous ranges of allowed calls keep small, so that compiling takes less time than reading a
//! stored program would save.

mod compile;
mod docker;
mod policy;
mod table;

pub(crate) use compile::{Program, compile};
pub use docker::from_docker_json;
pub use policy::default_profile;

/// Why a profile can't be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not JSON, or not of the form of a profile.
    #[error("Decoding seccomp profile failed")]
    Decode(#[source] serde_json::Error),
    /// Two forms of the same setting at once, an unknown architecture, an impossible argument.
    #[error("{0}")]
    Invalid(String),
}
