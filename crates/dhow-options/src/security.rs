//! `--security-opt` and the modes of namespaces.

/// What `--security-opt` comes to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Security {
    pub(crate) options: Option<Vec<String>>,
    /// `systempaths=unconfined`: nothing is masked or read-only.
    pub(crate) unconfined_paths: bool,
}

/// Reads the values; a seccomp profile's file is read and sent as JSON.
pub(crate) fn security(values: &[String]) -> Result<Security, String> {
    let mut security = Security::default();
    for value in values {
        if value == "systempaths=unconfined" {
            security.unconfined_paths = true;
            continue;
        }
        let option = match value.split_once('=').or_else(|| value.split_once(':')) {
            None if value != "no-new-privileges" => {
                return Err(format!("Invalid --security-opt: {value:?}"));
            }
            Some(("seccomp", profile)) if profile != "unconfined" && profile != "builtin" => {
                format!("seccomp={}", seccomp(profile)?)
            }
            _ => value.clone(),
        };
        security.options.get_or_insert_default().push(option);
    }
    if !values.is_empty() {
        security.options.get_or_insert_default();
    }
    Ok(security)
}

fn seccomp(path: &str) -> Result<String, String> {
    let bytes = std::fs::read(path).map_err(|error| {
        let verb = if error.kind() == std::io::ErrorKind::IsADirectory {
            "read"
        } else {
            "open"
        };
        let reason = dhow_golang::io_text(&error);
        format!("opening seccomp profile ({path}) failed: {verb} {path}: {reason}")
    })?;
    let value: serde_json::Value = serde_json::from_slice(&bytes)
        .map_err(|error| format!("compacting json for seccomp profile ({path}) failed: {error}"))?;
    Ok(value.to_string())
}

/// Names of capabilities in their long form, each once, in order.
pub(crate) fn capabilities(values: &[String]) -> Vec<String> {
    let mut names: Vec<String> = values
        .iter()
        .map(|value| value.trim().to_uppercase())
        .map(|name| match name.as_str() {
            "ALL" => name,
            _ if name.starts_with("CAP_") => name,
            _ => format!("CAP_{name}"),
        })
        .collect();
    names.sort();
    names.dedup();
    names
}

/// Checks the modes of `--pid`, `--uts`, `--userns` and `--cgroupns`.
pub(crate) fn check_modes(pid: &str, uts: &str, user: &str, cgroup: &str) -> Result<(), String> {
    let joins = pid
        .strip_prefix("container:")
        .is_some_and(|name| !name.is_empty());
    if !matches!(pid, "" | "host") && !joins {
        return Err("--pid: invalid PID mode".to_owned());
    }
    if !matches!(uts, "" | "host") {
        return Err("--uts: invalid UTS mode".to_owned());
    }
    if !matches!(user, "" | "host") {
        return Err("--userns: invalid USER mode".to_owned());
    }
    if !matches!(cgroup, "" | "host" | "private") {
        return Err("--cgroupns: invalid CGROUP mode".to_owned());
    }
    Ok(())
}
