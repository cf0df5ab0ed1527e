//! Seccomp: Docker's default profile, profiles in Docker's format, and the compiler to BPF.

use crate::spec::{Capability, LinuxSeccomp};

/// Why a profile can't be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not JSON, or not of the form of a profile.
    #[error("Decoding seccomp profile failed")]
    Decode(#[source] serde_json::Error),
    /// Two forms of the same setting at once.
    #[error("{0}")]
    Invalid(String),
}

/// Docker's default profile for a container with the capabilities `caps`, on this kernel.
#[must_use]
pub fn default_profile(caps: &[Capability]) -> LinuxSeccomp {
    let _ = caps;
    todo!()
}

/// A profile in Docker's JSON format (with `includes`, `excludes`, `archMap`; or the plain OCI form), resolved for a
/// container with the capabilities `caps` on this machine.
///
/// # Errors
/// See [`enum@Error`].
pub fn from_docker_json(json: &str, caps: &[Capability]) -> Result<LinuxSeccomp, Error> {
    let _ = (json, caps);
    todo!()
}
