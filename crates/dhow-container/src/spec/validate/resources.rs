//! Checks of limits.

use super::Facts;
use crate::spec::{Invalid, Resources};

/// The least memory Docker lets a container have.
const LEAST_MEMORY: i64 = 6 * 1024 * 1024;

/// Checks limits and gives warnings; the texts are Docker's.
pub fn resources(limits: &Resources, facts: &Facts<'_>) -> Result<Vec<String>, Invalid> {
    memory(limits)?;
    cpu(limits, facts)?;
    cpuset(limits, facts)?;
    blkio(limits)?;
    devices(limits)?;
    ulimits(limits)?;
    let mut warnings = Vec::new();
    if limits.oom_kill_disable == Some(true) && limits.memory == 0 {
        warnings.push(
            "OOM killer is disabled for the container, but no memory limit is set, this can result in the system \
             running out of resources."
                .to_owned(),
        );
    }
    Ok(warnings)
}

fn memory(limits: &Resources) -> Result<(), Invalid> {
    let (memory, swap, reserved) = (limits.memory, limits.memory_swap, limits.memory_reservation);
    let swappiness = limits.memory_swappiness.unwrap_or(-1);
    let checks = [
        (
            memory != 0 && memory < LEAST_MEMORY,
            "Minimum memory limit allowed is 6MB",
        ),
        (
            memory > 0 && swap > 0 && swap < memory,
            "Minimum memoryswap limit should be larger than memory limit, see usage",
        ),
        (
            memory == 0 && swap > 0,
            "You should always set the Memory limit when using Memoryswap limit, see usage",
        ),
        (
            reserved != 0 && reserved < LEAST_MEMORY,
            "Minimum memory reservation allowed is 6MB",
        ),
        (
            memory > 0 && reserved > 0 && memory < reserved,
            "Minimum memory limit can not be less than memory reservation limit, see usage",
        ),
    ];
    if let Some((_, text)) = checks.iter().find(|(failed, _)| *failed) {
        return Err(Invalid::new(*text));
    }
    if !(-1..=100).contains(&swappiness) {
        return Err(Invalid(format!(
            "Invalid value: {swappiness}, valid memory swappiness range is 0-100"
        )));
    }
    Ok(())
}

fn cpu(limits: &Resources, facts: &Facts<'_>) -> Result<(), Invalid> {
    let nano = limits.nano_cpus;
    let most = i64::try_from(facts.cpus)
        .unwrap_or(i64::MAX)
        .saturating_mul(1_000_000_000);
    if nano != 0 {
        if limits.cpu_period != 0 {
            return Err(Invalid::new(
                "Conflicting options: Nano CPUs and CPU Period cannot both be set",
            ));
        }
        if limits.cpu_quota != 0 {
            return Err(Invalid::new(
                "Conflicting options: Nano CPUs and CPU Quota cannot both be set",
            ));
        }
        // Below 0.01 CPUs the quota would be under the kernel's millisecond.
        if nano < 10_000_000 || nano > most {
            let cpus = facts.cpus;
            return Err(Invalid(format!(
                "range of CPUs is from 0.01 to {cpus}.00, as there are only {cpus} CPUs available"
            )));
        }
    }
    if limits.cpu_period != 0 && !(1000..=1_000_000).contains(&limits.cpu_period) {
        return Err(Invalid::new(
            "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)",
        ));
    }
    if limits.cpu_quota > 0 && limits.cpu_quota < 1000 {
        return Err(Invalid::new(
            "CPU cfs quota can not be less than 1ms (i.e. 1000)",
        ));
    }
    Ok(())
}

fn cpuset(limits: &Resources, facts: &Facts<'_>) -> Result<(), Invalid> {
    if !limits.cpuset_cpus.is_empty() {
        let wanted = parse_set(&limits.cpuset_cpus).ok_or_else(|| {
            Invalid(format!(
                "Invalid value {0} for cpuset cpus: invalid format: {0}",
                limits.cpuset_cpus
            ))
        })?;
        if wanted.iter().any(|(_, end)| *end >= facts.cpus) {
            let last = facts.cpus.saturating_sub(1);
            let there = if last == 0 {
                "0".to_owned()
            } else {
                format!("0-{last}")
            };
            return Err(Invalid(format!(
                "Requested CPUs are not available - requested {}, available: {there}",
                limits.cpuset_cpus
            )));
        }
    }
    if !limits.cpuset_mems.is_empty() {
        let mems = &limits.cpuset_mems;
        let wanted = parse_set(mems).ok_or_else(|| {
            Invalid(format!(
                "Invalid value {mems} for cpuset mems: invalid format: {mems}"
            ))
        })?;
        let there = parse_set(facts.memory_nodes).unwrap_or_default();
        let has = |node: usize| {
            there
                .iter()
                .any(|(start, end)| (*start..=*end).contains(&node))
        };
        // Where the machine does not say which nodes there are, the kernel decides.
        let missing = |&(start, end): &(usize, usize)| !has(start) || !has(end);
        if !there.is_empty() && wanted.iter().any(missing) {
            return Err(Invalid(format!(
                "Requested memory nodes are not available - requested {mems}, available: {}",
                facts.memory_nodes
            )));
        }
    }
    Ok(())
}

/// Reads `0-2,7` as ranges.
fn parse_set(text: &str) -> Option<Vec<(usize, usize)>> {
    text.split(',')
        .map(|part| {
            let (start, end) = part.split_once('-').unwrap_or((part, part));
            let range = (start.parse().ok()?, end.parse().ok()?);
            (range.0 <= range.1).then_some(range)
        })
        .collect()
}

fn blkio(limits: &Resources) -> Result<(), Invalid> {
    let weights = limits
        .blkio_weight_device
        .iter()
        .map(|device| device.weight);
    for weight in weights.chain([limits.blkio_weight]) {
        if weight != 0 && !(10..=1000).contains(&weight) {
            return Err(Invalid::new("Range of blkio weight is from 10 to 1000"));
        }
    }
    Ok(())
}

fn devices(limits: &Resources) -> Result<(), Invalid> {
    for device in &limits.devices {
        let permissions = &device.permissions;
        let fits = permissions
            .chars()
            .all(|letter| matches!(letter, 'r' | 'w' | 'm'));
        if !fits || permissions.len() > 3 {
            return Err(Invalid(format!("invalid device mode: {permissions}")));
        }
    }
    for rule in &limits.device_cgroup_rules {
        crate::oci::devices::parse_rule(rule)?;
    }
    Ok(())
}

fn ulimits(limits: &Resources) -> Result<(), Invalid> {
    for limit in &limits.ulimits {
        crate::oci::process::rlimit(limit)?;
        if limit.hard != -1 && (limit.soft > limit.hard || limit.soft == -1) {
            return Err(Invalid(format!(
                "ulimit soft limit must be less than or equal to hard limit: {} > {}",
                limit.soft, limit.hard
            )));
        }
    }
    Ok(())
}
