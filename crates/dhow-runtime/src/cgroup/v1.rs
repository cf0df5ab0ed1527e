//! Version 1: a directory for each controller.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Driver, Error, devices, files};
use crate::spec::{LinuxBlockIo, LinuxCpu, LinuxMemory, LinuxResources};

/// A group on v1: the directory in each hierarchy, under the hierarchy's name.
pub(super) struct Group<'a>(pub(super) &'a BTreeMap<String, PathBuf>);

impl Driver for Group<'_> {
    fn set(&self, resources: &LinuxResources) -> Result<Vec<String>, Error> {
        if resources
            .unified()
            .as_ref()
            .is_some_and(|unified| !unified.is_empty())
        {
            return Err(Error::Invalid("unified resources need cgroup v2".into()));
        }
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
            let limit = if pids.limit() > 0 {
                pids.limit().to_string()
            } else {
                "max".to_owned()
            };
            self.write("pids", "pids.max", &limit, &mut warnings)?;
        }
        if let Some(block) = resources.block_io() {
            self.block_io(block, &mut warnings)?;
        }
        for page in resources.hugepage_limits().iter().flatten() {
            let file = format!("hugetlb.{}.limit_in_bytes", page.page_size());
            self.write("hugetlb", &file, &page.limit().to_string(), &mut warnings)?;
        }
        if let Some(network) = resources.network() {
            if let Some(class) = network.class_id() {
                self.write(
                    "net_cls",
                    "net_cls.classid",
                    &class.to_string(),
                    &mut warnings,
                )?;
            }
            for priority in network.priorities().iter().flatten() {
                let line = format!("{} {}", priority.name(), priority.priority());
                self.write("net_prio", "net_prio.ifpriomap", &line, &mut warnings)?;
            }
        }
        for (device, limits) in resources.rdma().iter().flatten() {
            let line = super::rdma_line(device, limits);
            self.write("rdma", "rdma.max", &line, &mut warnings)?;
        }
        Ok(warnings)
    }

    fn pids(&self) -> Result<Vec<i32>, Error> {
        let mut pids = Vec::new();
        if let Some(directory) = self.any() {
            files::collect_processes(directory, &mut pids)?;
        }
        Ok(pids)
    }

    fn freeze(&self, frozen: bool) -> Result<(), Error> {
        let directory = self
            .of("freezer")
            .ok_or_else(|| Error::NoController("freezer".into()))?;
        let wanted = if frozen { "FROZEN" } else { "THAWED" };
        files::write(directory, "freezer.state", wanted)?;
        // There is no event for it in version 1; the state moves on as the processes reach a stop, mostly at once.
        let mut pause = Duration::from_micros(50);
        for attempt in 0..200 {
            if files::read(directory, "freezer.state")?.trim() == wanted {
                return Ok(());
            }
            if attempt % 20 == 19 {
                files::write(directory, "freezer.state", wanted)?;
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(10));
        }
        if frozen {
            files::write(directory, "freezer.state", "THAWED")?;
        }
        Err(Error::Invalid(format!(
            "the cgroup does not become {wanted}"
        )))
    }

    fn is_frozen(&self) -> Result<bool, Error> {
        match self.of("freezer") {
            Some(directory) => Ok(files::read(directory, "freezer.state")?.trim() != "THAWED"),
            None => Ok(false),
        }
    }

    fn directories(&self) -> Vec<&Path> {
        self.0.values().map(PathBuf::as_path).collect()
    }

    fn entrances(&self) -> Vec<PathBuf> {
        // Writing 0 to `tasks` moves the one thread that writes without stopping all forks of the machine, which
        // writing to `cgroup.procs` does, at the price of milliseconds.
        self.0
            .values()
            .map(|directory| directory.join("tasks"))
            .collect()
    }
}

impl Group<'_> {
    fn of(&self, controller: &str) -> Option<&Path> {
        super::find(self.0, controller)
    }

    fn any(&self) -> Option<&Path> {
        self.of("devices")
            .or_else(|| self.0.values().next().map(PathBuf::as_path))
    }

    /// Writes a limit; one for a controller or a file this kernel lacks becomes a warning.
    fn write(
        &self,
        controller: &str,
        file: &str,
        value: &str,
        warnings: &mut Vec<String>,
    ) -> Result<(), Error> {
        let Some(directory) = self.of(controller) else {
            warnings.push(Error::NoController(controller.into()).to_string());
            return Ok(());
        };
        match files::write(directory, file, value) {
            Err(Error::File { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                warnings.push(format!("the kernel has no {file}, so it was not set"));
                Ok(())
            }
            other => other,
        }
    }

    fn devices(&self, given: &[crate::spec::LinuxDeviceCgroup]) -> Result<(), Error> {
        let rules = devices::rules(given)?;
        let Some(directory) = self.of("devices") else {
            return Ok(());
        };
        let lines: Vec<(&str, String)> = rules.iter().flat_map(devices::lines).collect();
        // Consecutive lines for the same file go through one descriptor; their order matters.
        for run in lines.chunk_by(|one, next| one.0 == next.0) {
            let values = run.iter().map(|(_, line)| line.as_str());
            files::write_all(directory, run[0].0, values)?;
        }
        Ok(())
    }

    fn memory(&self, memory: &LinuxMemory, warnings: &mut Vec<String>) -> Result<(), Error> {
        let (limit_file, swap_file) = ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes");
        let limit = memory.limit().filter(|limit| *limit != 0);
        let swap = memory.swap().filter(|swap| *swap != 0);
        let current = self
            .of("memory")
            .and_then(|path| files::number(path, swap_file));
        // The one limit may never pass the other, so it depends on the old values which comes first.
        let unlimited = |value: i64| value < 0;
        let swap_first = match (limit, swap, current) {
            (Some(limit), Some(swap), Some(current)) => {
                unlimited(swap)
                    || u64::try_from(swap).is_ok_and(|swap| swap > current)
                    || u64::try_from(limit).is_ok_and(|limit| limit > current)
            }
            _ => false,
        };
        if let (Some(limit), Some(true), Some(path)) =
            (limit, memory.check_before_update(), self.of("memory"))
        {
            super::check_usage(path, "memory.usage_in_bytes", limit)?;
        }
        if let (Some(swap), true) = (swap, swap_first) {
            self.write("memory", swap_file, &swap.to_string(), warnings)?;
        }
        if let Some(limit) = limit {
            // Raising the limit to no limit needs the same of swap first, if nothing is said of it.
            if unlimited(limit) && swap.is_none() && current.is_some() {
                self.write("memory", swap_file, "-1", warnings)?;
            }
            self.write("memory", limit_file, &limit.to_string(), warnings)?;
        }
        if let (Some(swap), false) = (swap, swap_first) {
            self.write("memory", swap_file, &swap.to_string(), warnings)?;
        }
        if let Some(reservation) = memory.reservation().filter(|value| *value != 0) {
            let value = reservation.to_string();
            self.write("memory", "memory.soft_limit_in_bytes", &value, warnings)?;
        }
        if let Some(limit) = memory.kernel_tcp().filter(|value| *value != 0) {
            let value = limit.to_string();
            self.write("memory", "memory.kmem.tcp.limit_in_bytes", &value, warnings)?;
        }
        if let Some(swappiness) = memory.swappiness().filter(|value| *value <= 100) {
            self.write(
                "memory",
                "memory.swappiness",
                &swappiness.to_string(),
                warnings,
            )?;
        }
        if memory.disable_oom_killer() == Some(true) {
            self.write("memory", "memory.oom_control", "1", warnings)?;
        }
        Ok(())
    }

    fn cpu(&self, cpu: &LinuxCpu, warnings: &mut Vec<String>) -> Result<(), Error> {
        let mut set = |controller: &str, file: &str, value: Option<String>| match value {
            Some(value) => self.write(controller, file, &value, warnings),
            None => Ok(()),
        };
        let text = |value: Option<u64>| value.filter(|value| *value != 0).map(|v| v.to_string());
        set("cpu", "cpu.shares", text(cpu.shares()))?;
        let quota = cpu
            .quota()
            .filter(|quota| *quota != 0)
            .map(|quota| quota.to_string());
        // A quota above the old period's or below the new one's is refused: whichever order works.
        let period = text(cpu.period());
        if set("cpu", "cpu.cfs_period_us", period.clone()).is_err() {
            set("cpu", "cpu.cfs_quota_us", quota)?;
            set("cpu", "cpu.cfs_period_us", period)?;
        } else {
            set("cpu", "cpu.cfs_quota_us", quota)?;
        }
        set(
            "cpu",
            "cpu.cfs_burst_us",
            cpu.burst().map(|burst| burst.to_string()),
        )?;
        set("cpu", "cpu.rt_period_us", text(cpu.realtime_period()))?;
        let runtime = cpu.realtime_runtime().filter(|value| *value != 0);
        set(
            "cpu",
            "cpu.rt_runtime_us",
            runtime.map(|value| value.to_string()),
        )?;
        set("cpu", "cpu.idle", cpu.idle().map(|idle| idle.to_string()))?;
        let named = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        set("cpuset", "cpuset.cpus", named(cpu.cpus()))?;
        set("cpuset", "cpuset.mems", named(cpu.mems()))
    }

    fn block_io(&self, block: &LinuxBlockIo, warnings: &mut Vec<String>) -> Result<(), Error> {
        let directory = self.of("blkio");
        // The weights belong to one of two schedulers.
        let bfq = directory.is_some_and(|path| !path.join("blkio.weight").exists());
        let weight_file = if bfq {
            "blkio.bfq.weight"
        } else {
            "blkio.weight"
        };
        let device_file = if bfq {
            "blkio.bfq.weight_device"
        } else {
            "blkio.weight_device"
        };
        let mut set = |file: &str, value: String| self.write("blkio", file, &value, warnings);
        if let Some(weight) = block.weight().filter(|weight| *weight != 0) {
            set(weight_file, weight.to_string())?;
        }
        if let Some(weight) = block.leaf_weight().filter(|weight| *weight != 0) {
            set("blkio.leaf_weight", weight.to_string())?;
        }
        for device in block.weight_device().iter().flatten() {
            let number = format!("{}:{}", device.major(), device.minor());
            if let Some(weight) = device.weight() {
                set(device_file, format!("{number} {weight}"))?;
            }
            if let Some(weight) = device.leaf_weight() {
                set("blkio.leaf_weight_device", format!("{number} {weight}"))?;
            }
        }
        let throttled = [
            (
                "blkio.throttle.read_bps_device",
                block.throttle_read_bps_device(),
            ),
            (
                "blkio.throttle.write_bps_device",
                block.throttle_write_bps_device(),
            ),
            (
                "blkio.throttle.read_iops_device",
                block.throttle_read_iops_device(),
            ),
            (
                "blkio.throttle.write_iops_device",
                block.throttle_write_iops_device(),
            ),
        ];
        for (file, devices) in throttled {
            for device in devices.iter().flatten() {
                set(
                    file,
                    format!("{}:{} {}", device.major(), device.minor(), device.rate()),
                )?;
            }
        }
        Ok(())
    }
}

/// A new cpuset is empty and takes nobody in: gives it what its parent has. Groups made below it later are to get that
/// without our help.
///
/// The parent may be new as well, and not yet filled by whoever made it a moment ago for a container of its own: then it
/// is filled here too. The top of the hierarchy always has something.
pub(super) fn fill_cpuset(directory: &Path) -> Result<(), Error> {
    let Some(parent) = directory.parent() else {
        return Ok(());
    };
    let is_empty = |file| Ok(files::read(directory, file)?.trim().is_empty());
    if !is_empty("cpuset.cpus")? && !is_empty("cpuset.mems")? {
        return Ok(());
    }
    fill_cpuset(parent)?;
    for file in ["cpuset.cpus", "cpuset.mems"] {
        files::write(directory, file, files::read(parent, file)?.trim())?;
    }
    files::write(directory, "cgroup.clone_children", "1")
}
