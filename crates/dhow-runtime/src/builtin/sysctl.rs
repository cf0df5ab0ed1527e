//! Kernel settings of a container: only those that belong to one of its own namespaces.

use std::path::PathBuf;

use dhow_sys::namespace::kind;
use rustix::fs::{CWD, Mode, OFlags, openat};

use super::namespaces::NamespacePlan;
use crate::error::{Error, Result};
use crate::failure::{Failure, Step, errno_text};
use crate::spec::Spec;

const OF_IPC: [&str; 8] = [
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
];

/// The settings of the specification, sorted, each checked to be the container's own business.
pub(crate) fn plan(spec: &Spec, namespaces: &NamespacePlan) -> Result<Vec<(String, String)>> {
    let settings = spec
        .linux()
        .as_ref()
        .and_then(|linux| linux.sysctl().clone());
    let mut settings: Vec<(String, String)> = settings.into_iter().flatten().collect();
    settings.sort();
    for (key, _) in &settings {
        let key = normal(key);
        let needed = if OF_IPC.contains(&key.as_str()) || key.starts_with("fs.mqueue.") {
            kind::IPC
        } else if key.starts_with("net.") {
            kind::NET
        } else if key == "kernel.domainname" || key == "kernel.hostname" {
            kind::UTS
        } else {
            return Err(Error::Spec(format!(
                "sysctl {key:?} is not in a separate kernel namespace"
            )));
        };
        if namespaces.all() & needed == 0 {
            let text = if needed == kind::NET {
                format!("sysctl {key:?} not allowed in host network namespace")
            } else {
                format!("sysctl {key:?} is not allowed in the hosts ipc or uts namespace")
            };
            return Err(Error::Spec(text));
        }
    }
    Ok(settings)
}

/// Writes the settings through the host's `/proc`, which shows each process those of its own namespaces.
pub(crate) fn apply(settings: &[(String, String)]) -> Step {
    for (key, value) in settings {
        let path = PathBuf::from("/proc/sys").join(key.replace('.', "/"));
        let failed = |verb: &str, error: rustix::io::Errno| {
            Failure::Step(format!(
                "{verb} {}: {}",
                path.display(),
                errno_text(&error.into())
            ))
        };
        let flags = OFlags::WRONLY | OFlags::CLOEXEC;
        let file =
            openat(CWD, &path, flags, Mode::empty()).map_err(|error| failed("open", error))?;
        rustix::io::write(&file, value.as_bytes()).map_err(|error| failed("write", error))?;
    }
    Ok(())
}

/// `net/ipv4/conf/eth0.100/rp_filter` is the other way to write keys, for names with dots.
fn normal(key: &str) -> String {
    match key.find(['.', '/']) {
        Some(at) if key.as_bytes()[at] == b'/' => key
            .chars()
            .map(|c| {
                if c == '/' {
                    '.'
                } else if c == '.' {
                    '/'
                } else {
                    c
                }
            })
            .collect(),
        _ => key.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn check(key: &str, all: u64) -> std::result::Result<(), String> {
        let json = format!(r#"{{"ociVersion": "1.2.0", "linux": {{"sysctl": {{"{key}": "1"}}}}}}"#);
        let spec: Spec = serde_json::from_str(&json).unwrap();
        let namespaces = NamespacePlan {
            new: all,
            ..NamespacePlan::default()
        };
        plan(&spec, &namespaces)
            .map(drop)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn only_settings_of_own_namespaces() {
        assert!(check("net.ipv4.ip_forward", kind::NET).is_ok());
        assert!(check("kernel.shmmax", kind::IPC).is_ok());
        assert!(check("fs.mqueue.msg_max", kind::IPC).is_ok());
        let text = check("net.ipv4.ip_forward", kind::IPC).unwrap_err();
        assert!(
            text.ends_with("not allowed in host network namespace"),
            "{text}"
        );
        let text = check("kernel.panic", !0).unwrap_err();
        assert!(
            text.ends_with("is not in a separate kernel namespace"),
            "{text}"
        );
        assert!(check("vm/swappiness", !0).is_err());
    }
}
