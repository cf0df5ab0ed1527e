//! Kernel parameters of a container's own namespaces.

use std::collections::HashMap;

use crate::ContainerRecord;
use crate::spec::{HostConfig, Invalid, IpcMode, NetworkMode, UtsMode};

const IPC: &[&str] = &[
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
];

/// Refuses parameters that are not of a namespace the container has for itself.
///
/// # Errors
/// Names the parameter; the texts are Docker's and runc's.
pub fn check(host: &HostConfig) -> Result<(), Invalid> {
    for name in host.sysctls.keys() {
        if name.starts_with("net.") {
            if host.network_mode == NetworkMode::Host {
                return Err(Invalid(format!(
                    "sysctl \"{name}\" not allowed in host network namespace"
                )));
            }
        } else if IPC.contains(&name.as_str()) || name.starts_with("fs.mqueue.") {
            if host.ipc_mode == IpcMode::Host {
                return Err(Invalid(format!(
                    "sysctl \"{name}\" is not allowed in the hosts ipc namespace"
                )));
            }
        } else if matches!(name.as_str(), "kernel.domainname" | "kernel.hostname") {
            if host.uts_mode == UtsMode::Host {
                return Err(Invalid(format!(
                    "sysctl \"{name}\" is not allowed in the hosts uts namespace"
                )));
            }
        } else {
            return Err(Invalid(format!(
                "sysctl \"{name}\" is not in a separate kernel namespace"
            )));
        }
    }
    Ok(())
}

/// The parameters asked for, and Docker's own for a private network: low ports and pings without privileges.
pub(super) fn settings(record: &ContainerRecord) -> Option<HashMap<String, String>> {
    let host = &record.host;
    let mut settings: HashMap<String, String> = host
        .sysctls
        .iter()
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    if host.network_mode.is_private() {
        for (name, value) in [
            ("net.ipv4.ip_unprivileged_port_start", "0"),
            ("net.ipv4.ping_group_range", "0 2147483647"),
        ] {
            settings
                .entry(name.to_owned())
                .or_insert_with(|| value.to_owned());
        }
    }
    (!settings.is_empty()).then_some(settings)
}
