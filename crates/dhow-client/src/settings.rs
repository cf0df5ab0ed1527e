//! What one run is told by flags and the environment.

use std::path::PathBuf;

/// A variable of the environment that is set and not empty.
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The global settings.
#[derive(Debug, Clone, Default)]
pub struct Globals {
    /// `-H`.
    pub host: Option<String>,
    /// `--context`.
    pub context: Option<String>,
    /// `-D`.
    pub debug: bool,
    /// Whether an engine may be started where nobody answers.
    pub autostart: bool,
    /// TLS for `tcp://`, and whether the engine's certificate is checked.
    pub tls: Option<TlsFiles>,
}

/// Where TLS keys and certificates are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// Whom to trust.
    pub ca: PathBuf,
    /// Our certificate; none is shown where the file is not there.
    pub cert: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// Whether the engine's certificate is checked.
    pub verify: bool,
}
