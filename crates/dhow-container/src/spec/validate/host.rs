//! Checks of the part about the host.

use std::net::IpAddr;

use super::Facts;
use crate::spec::{
    ContainerConfig, CreateContainer, Healthcheck, HostConfig, Invalid, NetworkMode, RestartName,
    RestartPolicy, UtsMode, storage_size,
};

pub(super) fn check(request: &CreateContainer, facts: &Facts<'_>) -> Result<(), Invalid> {
    let host = &request.host;
    restart(&host.restart_policy, host.auto_remove)?;
    unsupported(host, facts)?;
    simple(host, facts)?;
    extra_hosts(host)?;
    network(request)
}

/// Checks a restart policy.
///
/// # Errors
/// It contradicts itself or `--rm`, in Docker's words.
pub fn restart(policy: &RestartPolicy, auto_remove: bool) -> Result<(), Invalid> {
    let counts = matches!(
        policy.name,
        RestartName::OnFailure | RestartName::OnUnhealthy
    );
    if policy.maximum_retry_count > 0 && !counts {
        return Err(Invalid::new(
            "invalid restart policy: maximum retry count can only be used with 'on-failure'",
        ));
    }
    if auto_remove && policy.name != RestartName::No {
        return Err(Invalid::new(
            "can't create 'AutoRemove' container with restart policy",
        ));
    }
    Ok(())
}

/// Checks that there is a health check where the restart policy asks for one; `config` is merged with the image's.
///
/// # Errors
/// There is none.
pub fn restart_check(policy: &RestartPolicy, config: &ContainerConfig) -> Result<(), Invalid> {
    let checked = config.healthcheck.as_ref();
    if policy.name == RestartName::OnUnhealthy && !checked.is_some_and(Healthcheck::is_active) {
        return Err(Invalid::new(
            "invalid restart policy: 'on-unhealthy' needs a health check, and the container has none",
        ));
    }
    Ok(())
}

fn unsupported(host: &HostConfig, facts: &Facts<'_>) -> Result<(), Invalid> {
    if !host.cgroup.is_empty() {
        return Err(Invalid::new("the Cgroup setting is not supported"));
    }
    storage_size(&host.storage_opt, facts.quotas)?;
    if !matches!(host.isolation.as_str(), "" | "default") {
        return Err(Invalid(format!(
            "invalid isolation ({}): linux only supports 'default'",
            host.isolation
        )));
    }
    Ok(())
}

fn simple(host: &HostConfig, facts: &Facts<'_>) -> Result<(), Invalid> {
    if !(-1000..=1000).contains(&host.oom_score_adj) {
        return Err(Invalid(format!(
            "Invalid value {}, range for oom score adj is [-1000, 1000]",
            host.oom_score_adj
        )));
    }
    if !host.runtime.is_empty() && !facts.runtimes.contains(&host.runtime) {
        return Err(Invalid(format!(
            "unknown or invalid runtime name: {}",
            host.runtime
        )));
    }
    for path in host.tmpfs.keys() {
        if !path.starts_with('/') {
            return Err(Invalid(format!(
                "invalid mount path: '{path}' mount path must be absolute"
            )));
        }
        if path.bytes().all(|byte| byte == b'/') {
            return Err(Invalid::new(
                "invalid specification: destination can't be '/'",
            ));
        }
    }
    for options in host.tmpfs.values() {
        crate::oci::mounts::check_tmpfs(options)?;
    }
    for server in &host.dns {
        if server.parse::<IpAddr>().is_err() {
            return Err(Invalid(format!("bad nameserver address: {server}")));
        }
    }
    crate::oci::capabilities::check(&host.cap_add, &host.cap_drop)?;
    crate::oci::security::check(&host.security_opt, facts.apparmor)?;
    crate::oci::sysctl::check(host)
}

fn extra_hosts(host: &HostConfig) -> Result<(), Invalid> {
    for entry in &host.extra_hosts {
        let (name, address) = entry
            .split_once([':', '='])
            .filter(|(name, _)| !name.is_empty())
            .ok_or_else(|| Invalid(format!("bad format for add-host: \"{entry}\"")))?;
        let _ = name;
        let bare = address.trim_start_matches('[').trim_end_matches(']');
        if address != "host-gateway" && bare.parse::<IpAddr>().is_err() {
            return Err(Invalid(format!(
                "invalid IP address in add-host: \"{address}\""
            )));
        }
    }
    Ok(())
}

fn network(request: &CreateContainer) -> Result<(), Invalid> {
    let (config, host) = (&request.config, &request.host);
    if host.uts_mode == UtsMode::Host && !config.hostname.is_empty() {
        return Err(Invalid::new(
            "conflicting options: hostname and the UTS mode",
        ));
    }
    let conflict = |what: &str| {
        Invalid(format!(
            "conflicting options: {what} can't be used with links. This would result in undefined behavior"
        ))
    };
    match host.network_mode {
        NetworkMode::Host if !host.links.is_empty() => {
            return Err(conflict("host type networking"));
        }
        NetworkMode::Container(_) if !host.links.is_empty() => {
            return Err(conflict("container type network"));
        }
        _ => {}
    }
    if let NetworkMode::Container(_) = host.network_mode {
        let conflicts = [
            (
                !config.hostname.is_empty(),
                "conflicting options: hostname and the network mode",
            ),
            (
                !host.dns.is_empty(),
                "conflicting options: dns and the network mode",
            ),
            (
                !host.extra_hosts.is_empty(),
                "conflicting options: custom host-to-IP mapping and the network mode",
            ),
            (
                !host.port_bindings.is_empty() || host.publish_all_ports,
                "conflicting options: port publishing and the container type network mode",
            ),
            (
                !config.exposed_ports.is_empty(),
                "conflicting options: port exposing and the container type network mode",
            ),
        ];
        if let Some((_, text)) = conflicts.iter().find(|(is_set, _)| *is_set) {
            return Err(Invalid::new(*text));
        }
    }
    if host.network_mode == NetworkMode::Host
        && host.sysctls.keys().any(|name| name.starts_with("net."))
    {
        let name = host
            .sysctls
            .keys()
            .find(|name| name.starts_with("net."))
            .map_or("", |name| name);
        return Err(Invalid(format!(
            "sysctl \"{name}\" not allowed in host network namespace"
        )));
    }
    if !host.network_mode.is_private() && !request.networking.is_empty() {
        return Err(Invalid::new(
            "conflicting options: cannot attach both user-defined and non-user-defined network-modes",
        ));
    }
    Ok(())
}
