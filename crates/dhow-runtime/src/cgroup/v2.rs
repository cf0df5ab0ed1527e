//! Version 2: one directory.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{CWD, Mode, OFlags, openat};

use super::{Driver, Error, device_program, devices, files};
use crate::spec::{LinuxBlockIo, LinuxCpu, LinuxMemory, LinuxResources};

/// A group on v2.
pub(super) struct Group<'a>(pub(super) &'a Path);

impl Driver for Group<'_> {
    fn set(&self, resources: &LinuxResources) -> Result<Vec<String>, Error> {
        let mut warnings = Vec::new();
        if let Some(rules) = resources.devices() {
            self.devices(rules)?;
        }
        if let Some(memory) = resources.memory() {
            self.memory(memory, &mut warnings)?;
        }
        if let Some(cpu) = resources.cpu() {
            self.cpu(cpu, &mut warnings)?;
        }
        if let Some(pids) = resources.pids()
            && pids.limit() != 0
        {
            self.write("pids.max", &value_or_max(pids.limit()), &mut warnings)?;
        }
        if let Some(block) = resources.block_io() {
            self.block_io(block, &mut warnings)?;
        }
        without(resources, &mut warnings);
        for page in resources.hugepage_limits().iter().flatten() {
            let file = format!("hugetlb.{}.max", page.page_size());
            self.write(&file, &value_or_max(page.limit()), &mut warnings)?;
        }
        for (device, limits) in resources.rdma().iter().flatten() {
            self.write("rdma.max", &super::rdma_line(device, limits), &mut warnings)?;
        }
        let mut unified: Vec<_> = resources.unified().iter().flatten().collect();
        unified.sort();
        for (file, value) in unified {
            if file.contains('/') || file.starts_with('.') || !file.contains('.') {
                return Err(Error::Invalid(format!(
                    "unified resource {file:?} is not a file name"
                )));
            }
            files::write(self.0, file, value)?;
        }
        Ok(warnings)
    }

    fn pids(&self) -> Result<Vec<i32>, Error> {
        let mut pids = Vec::new();
        files::collect_processes(self.0, &mut pids)?;
        Ok(pids)
    }

    fn freeze(&self, frozen: bool) -> Result<(), Error> {
        files::write(self.0, "cgroup.freeze", if frozen { "1" } else { "0" })?;
        let path = self.0.join("cgroup.events");
        let failed = |source: std::io::Error| Error::File {
            action: "watch".into(),
            path: path.clone(),
            source,
        };
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let events = openat(CWD, &path, flags, Mode::empty()).map_err(|e| failed(e.into()))?;
        loop {
            // Reading first arms the notification, so that no change is missed.
            let mut buffer = [0; 256];
            let count =
                rustix::io::pread(&events, &mut buffer, 0).map_err(|error| failed(error.into()))?;
            let text = String::from_utf8_lossy(&buffer[..count]);
            if text
                .lines()
                .any(|line| line == if frozen { "frozen 1" } else { "frozen 0" })
            {
                return Ok(());
            }
            let mut wait = [PollFd::new(&events, PollFlags::PRI)];
            match poll(&mut wait, None) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(failed(error.into())),
            }
        }
    }

    fn is_frozen(&self) -> Result<bool, Error> {
        Ok(files::table(self.0, "cgroup.events")
            .iter()
            .any(|(key, value)| key == "frozen" && *value == 1))
    }

    fn directories(&self) -> Vec<&Path> {
        vec![self.0]
    }

    fn entrances(&self) -> Vec<PathBuf> {
        vec![self.0.join("cgroup.procs")]
    }
}

impl Group<'_> {
    /// Writes a limit; one for a file this group lacks becomes a warning.
    fn write(&self, file: &str, value: &str, warnings: &mut Vec<String>) -> Result<(), Error> {
        match files::write(self.0, file, value) {
            Err(Error::File { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                warnings.push(format!("the kernel has no {file} here, so it was not set"));
                Ok(())
            }
            other => other,
        }
    }

    fn memory(&self, memory: &LinuxMemory, warnings: &mut Vec<String>) -> Result<(), Error> {
        let limit = memory.limit().filter(|limit| *limit != 0);
        if let Some(swap) = memory.swap().filter(|swap| *swap != 0) {
            // The specification counts memory and swap together, the kernel swap alone.
            let alone = match (swap, limit) {
                (swap, _) if swap < 0 => "max".to_owned(),
                (_, None) => {
                    return Err(Error::Invalid("a swap limit needs a memory limit".into()));
                }
                (_, Some(limit)) if limit < 0 => "max".to_owned(),
                (swap, Some(limit)) if swap >= limit => (swap - limit).to_string(),
                _ => {
                    let text = "memory+swap limit should be >= memory limit";
                    return Err(Error::Invalid(text.into()));
                }
            };
            self.write("memory.swap.max", &alone, warnings)?;
        }
        if let Some(limit) = limit {
            if memory.check_before_update() == Some(true) {
                super::check_usage(self.0, "memory.current", limit)?;
            }
            self.write("memory.max", &value_or_max(limit), warnings)?;
        }
        if let Some(reservation) = memory.reservation().filter(|value| *value != 0) {
            self.write("memory.low", &value_or_max(reservation), warnings)?;
        }
        Ok(())
    }

    fn cpu(&self, cpu: &LinuxCpu, warnings: &mut Vec<String>) -> Result<(), Error> {
        if cpu.idle() != Some(1)
            && let Some(shares) = cpu.shares().filter(|shares| *shares != 0)
        {
            self.write(
                "cpu.weight",
                &weight_of_shares(shares).to_string(),
                warnings,
            )?;
        }
        if let Some(idle) = cpu.idle() {
            self.write("cpu.idle", &idle.to_string(), warnings)?;
        }
        let quota = cpu.quota().filter(|quota| *quota != 0);
        let period = cpu.period().filter(|period| *period != 0);
        if quota.is_some() || period.is_some() {
            let old = files::read(self.0, "cpu.max").unwrap_or_default();
            let old_quota = old.split_whitespace().next().unwrap_or("max").to_owned();
            let quota = quota.map_or(old_quota, value_or_max);
            let value = period.map_or(quota.clone(), |period| format!("{quota} {period}"));
            self.write("cpu.max", &value, warnings)?;
        }
        if let Some(burst) = cpu.burst() {
            self.write("cpu.max.burst", &burst.to_string(), warnings)?;
        }
        if let Some(cpus) = cpu.cpus().as_ref().filter(|text| !text.is_empty()) {
            self.write("cpuset.cpus", cpus, warnings)?;
        }
        if let Some(mems) = cpu.mems().as_ref().filter(|text| !text.is_empty()) {
            self.write("cpuset.mems", mems, warnings)?;
        }
        Ok(())
    }

    fn block_io(&self, block: &LinuxBlockIo, warnings: &mut Vec<String>) -> Result<(), Error> {
        let bfq = self.0.join("io.bfq.weight").exists();
        if let Some(weight) = block.weight().filter(|weight| *weight != 0) {
            if bfq {
                self.write("io.bfq.weight", &weight.to_string(), warnings)?;
            } else {
                // 10..1000 of the specification are 1..10000 here.
                let weight = 1 + (u64::from(weight).saturating_sub(10)) * 9999 / 990;
                self.write("io.weight", &weight.to_string(), warnings)?;
            }
        }
        for device in block.weight_device().iter().flatten() {
            if let Some(weight) = device.weight() {
                let line = format!("{}:{} {weight}", device.major(), device.minor());
                let file = if bfq { "io.bfq.weight" } else { "io.weight" };
                self.write(file, &line, warnings)?;
            }
        }
        let throttled = [
            ("rbps", block.throttle_read_bps_device()),
            ("wbps", block.throttle_write_bps_device()),
            ("riops", block.throttle_read_iops_device()),
            ("wiops", block.throttle_write_iops_device()),
        ];
        for (key, list) in throttled {
            for device in list.iter().flatten() {
                let rate = if device.rate() == 0 {
                    "max".into()
                } else {
                    device.rate().to_string()
                };
                let line = format!("{}:{} {key}={rate}", device.major(), device.minor());
                self.write("io.max", &line, warnings)?;
            }
        }
        Ok(())
    }

    /// Attaches the new program and then takes off the old ones, so that there is no moment without one.
    fn devices(&self, given: &[crate::spec::LinuxDeviceCgroup]) -> Result<(), Error> {
        let rules = devices::rules(given)?;
        let failed = |source: std::io::Error| Error::File {
            action: "attach the device program to".into(),
            path: self.0.to_owned(),
            source,
        };
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory =
            openat(CWD, self.0, flags, Mode::empty()).map_err(|error| failed(error.into()))?;
        let old = dhow_sys::bpf::device_programs(directory.as_fd()).map_err(failed)?;
        let program =
            dhow_sys::bpf::load_device_program(&device_program::compile(&rules)).map_err(failed)?;
        dhow_sys::bpf::attach_device_program(directory.as_fd(), program.as_fd()).map_err(failed)?;
        for program in old {
            dhow_sys::bpf::detach_device_program(directory.as_fd(), program.as_fd())
                .map_err(failed)?;
        }
        Ok(())
    }
}

/// Warns of limits that have no counterpart on version 2.
fn without(resources: &LinuxResources, warnings: &mut Vec<String>) {
    let memory = resources.memory().as_ref();
    let network = resources.network().as_ref();
    let (cpu, block) = (resources.cpu().as_ref(), resources.block_io().as_ref());
    for (name, is_set) in [
        (
            "memory.kernelTCP",
            memory.is_some_and(|memory| memory.kernel_tcp().is_some_and(|limit| limit != 0)),
        ),
        (
            "memory.swappiness",
            memory.is_some_and(|memory| memory.swappiness().is_some_and(|value| value <= 100)),
        ),
        (
            "memory.disableOOMKiller",
            memory.is_some_and(|memory| memory.disable_oom_killer() == Some(true)),
        ),
        (
            "cpu.realtime",
            cpu.is_some_and(|cpu| {
                let set = |value: Option<u64>| value.is_some_and(|value| value != 0);
                set(cpu.realtime_period()) || cpu.realtime_runtime().is_some_and(|value| value != 0)
            }),
        ),
        (
            "blockIO.leafWeight",
            block.is_some_and(|block| {
                let mut devices = block.weight_device().iter().flatten();
                block.leaf_weight().is_some_and(|weight| weight != 0)
                    || devices.any(|device| device.leaf_weight().is_some())
            }),
        ),
        (
            "network",
            network.is_some_and(|network| {
                network.class_id().is_some_and(|class| class != 0)
                    || network
                        .priorities()
                        .as_ref()
                        .is_some_and(|list| !list.is_empty())
            }),
        ),
    ] {
        if is_set {
            warnings.push(format!("cgroup v2 has no {name}, so it was not set"));
        }
    }
}

/// Lets the groups below `parent` have all the controllers there are.
pub(super) fn delegate(parent: &Path) {
    let there = files::read(parent, "cgroup.controllers").unwrap_or_default();
    let on = files::read(parent, "cgroup.subtree_control").unwrap_or_default();
    let on: Vec<&str> = on.split_whitespace().collect();
    let wanted: Vec<String> = there
        .split_whitespace()
        .filter(|controller| !on.contains(controller))
        .map(|controller| format!("+{controller}"))
        .collect();
    if wanted.is_empty() {
        return;
    }
    let path = parent.join("cgroup.subtree_control");
    // One that can't be had must not cost the others.
    if files::try_write(&path, &wanted.join(" ")).is_err() {
        for one in wanted {
            let _ = files::try_write(&path, &one);
        }
    }
}

/// 2..262144 of the specification are 1..10000 here.
fn weight_of_shares(shares: u64) -> u64 {
    1 + (shares.clamp(2, 262_144) - 2) * 9999 / 262_142
}

fn value_or_max(value: i64) -> String {
    if value < 0 {
        "max".into()
    } else {
        value.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_become_weights() {
        for (shares, weight) in [(2, 1), (1024, 39), (262_144, 10_000), (1, 1)] {
            assert_eq!(weight_of_shares(shares), weight, "{shares}");
        }
    }
}
