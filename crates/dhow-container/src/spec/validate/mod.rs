//! Checks of a create request that need nothing but a few facts of the machine. Texts are Docker's.

mod host;
mod resources;

use super::{ContainerConfig, CreateContainer, Invalid, Signal};

pub use host::{restart, restart_check};
pub use resources::resources;

/// What the checks need to know of the machine and the engine.
#[derive(Debug, Clone)]
pub struct Facts<'a> {
    /// How many processors there are.
    pub cpus: usize,
    /// The nodes of memory, `0-1`; empty where the machine does not say.
    pub memory_nodes: &'a str,
    /// The runtimes' names.
    pub runtimes: &'a [String],
    /// The kernel has AppArmor.
    pub apparmor: bool,
    /// What containers write can be limited.
    pub quotas: bool,
}

/// Checks everything that can be checked without the image, and gives warnings.
pub fn create(request: &CreateContainer, facts: &Facts<'_>) -> Result<Vec<String>, Invalid> {
    config(&request.config)?;
    host::check(request, facts)?;
    resources(&request.host.resources, facts)
}

/// Checks a container's name, which may have a slash in front.
pub fn name(name: &str) -> Result<&str, Invalid> {
    let bare = name.strip_prefix('/').unwrap_or(name);
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    let first = bare
        .bytes()
        .next()
        .is_some_and(|byte| byte.is_ascii_alphanumeric());
    if first && bare.len() > 1 && bare.bytes().all(fits) {
        return Ok(bare);
    }
    Err(Invalid(format!(
        "Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
    )))
}

fn config(config: &ContainerConfig) -> Result<(), Invalid> {
    let folder = &config.working_dir;
    if !folder.is_empty() && !folder.starts_with('/') {
        return Err(Invalid(format!(
            "the working directory '{folder}' is invalid, it needs to be an absolute path"
        )));
    }
    if let Some(signal) = config
        .stop_signal
        .as_deref()
        .filter(|signal| !signal.is_empty())
    {
        signal.parse::<Signal>()?;
    }
    env(&config.env)?;
    if config.hostname.len() > 64 {
        return Err(Invalid(format!(
            "invalid hostname format: {}",
            config.hostname
        )));
    }
    for path in &config.volumes {
        if !path.starts_with('/') {
            return Err(Invalid(format!(
                "invalid volume path: '{path}' must be absolute"
            )));
        }
    }
    health(config)
}

/// Checks variables of the environment.
///
/// # Errors
/// One has no name, or a zero byte.
pub fn env(variables: &[String]) -> Result<(), Invalid> {
    for variable in variables {
        if variable.is_empty() || variable.starts_with('=') {
            return Err(Invalid(format!("invalid environment variable: {variable}")));
        }
        if variable.contains('\0') {
            return Err(Invalid::new(
                "invalid environment variable: contains a zero byte",
            ));
        }
    }
    Ok(())
}

fn health(config: &ContainerConfig) -> Result<(), Invalid> {
    let Some(check) = &config.healthcheck else {
        return Ok(());
    };
    let least = std::time::Duration::from_millis(1);
    let durations = [
        ("Interval", check.interval),
        ("Timeout", check.timeout),
        ("StartPeriod", check.start_period),
        ("StartInterval", check.start_interval),
    ];
    for (name, duration) in durations {
        if !duration.is_zero() && duration < least {
            return Err(Invalid(format!(
                "{name} in Healthcheck cannot be less than 1ms"
            )));
        }
    }
    match check.test.first().map(String::as_str) {
        None | Some("" | "NONE" | "CMD" | "CMD-SHELL") => Ok(()),
        Some(other) => Err(Invalid(format!("unknown type in Healthcheck: {other}"))),
    }
}

#[cfg(test)]
mod tests;
