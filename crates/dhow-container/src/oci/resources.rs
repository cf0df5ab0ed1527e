//! Limits as the runtime takes them.

use dhow_oci::runtime::{
    LinuxBlockIo, LinuxCpu, LinuxMemory, LinuxPids, LinuxResources, LinuxThrottleDevice,
    LinuxThrottleDeviceBuilder, LinuxWeightDevice, LinuxWeightDeviceBuilder,
};

use std::collections::BTreeMap;

use super::{Inputs, devices};
use crate::spec::{Invalid, Resources, ThrottleDevice, WeightDevice};

/// The CFS period that `--cpus` uses, in microseconds.
const PERIOD: u64 = 100_000;

/// All limits of a container, the device rules included.
pub(super) fn limits(
    wish: &Resources,
    inputs: &Inputs,
    privileged: bool,
) -> Result<LinuxResources, Invalid> {
    let mut limits = changeable(wish, &inputs.block_devices);
    limits.set_devices(Some(devices::rules(
        inputs,
        &wish.device_cgroup_rules,
        privileged,
    )?));
    Ok(limits)
}

/// Block devices' numbers, major and minor, by the paths that limits name them with.
pub type BlockDevices = BTreeMap<String, (i64, i64)>;

/// The paths of the block devices that have weights or throttles, to be looked up for [`changeable`].
pub fn block_devices(wish: &Resources) -> impl Iterator<Item = &str> {
    let weights = wish.blkio_weight_device.iter();
    let throttles = wish
        .blkio_read_bps
        .iter()
        .chain(&wish.blkio_write_bps)
        .chain(&wish.blkio_read_iops)
        .chain(&wish.blkio_write_iops);
    weights
        .map(|device| device.path.as_str())
        .chain(throttles.map(|device| device.path.as_str()))
}

/// The limits that can be changed while a container runs.
#[must_use]
pub fn changeable(wish: &Resources, devices: &BlockDevices) -> LinuxResources {
    let mut limits = LinuxResources::default();
    limits
        .set_memory(memory(wish))
        .set_cpu(cpu(wish))
        .set_pids(pids(wish.pids_limit))
        .set_block_io(block_io(wish, devices));
    limits
}

fn memory(wish: &Resources) -> Option<LinuxMemory> {
    let nonzero = |number: i64| (number != 0).then_some(number);
    let swappiness = wish
        .memory_swappiness
        .and_then(|number| u64::try_from(number).ok());
    let mut memory = LinuxMemory::default();
    memory
        .set_limit(nonzero(wish.memory))
        .set_swap(nonzero(wish.memory_swap))
        .set_reservation(nonzero(wish.memory_reservation))
        .set_swappiness(swappiness)
        .set_disable_oom_killer(wish.oom_kill_disable.filter(|disable| *disable));
    (memory != LinuxMemory::default()).then_some(memory)
}

fn cpu(wish: &Resources) -> Option<LinuxCpu> {
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let positive = |number: i64| u64::try_from(number).ok().filter(|number| *number > 0);
    let mut cpu = LinuxCpu::default();
    cpu.set_shares((wish.cpu_shares > 0).then_some(wish.cpu_shares))
        .set_cpus(text(&wish.cpuset_cpus))
        .set_mems(text(&wish.cpuset_mems))
        .set_realtime_period(positive(wish.cpu_realtime_period))
        .set_realtime_runtime(
            (wish.cpu_realtime_runtime != 0).then_some(wish.cpu_realtime_runtime),
        );
    if wish.nano_cpus > 0 {
        // 10⁹ nano-CPUs are one CPU: the whole period.
        cpu.set_period(Some(PERIOD))
            .set_quota(Some(wish.nano_cpus / 10_000));
    } else {
        cpu.set_period(positive(wish.cpu_period))
            .set_quota((wish.cpu_quota != 0).then_some(wish.cpu_quota));
    }
    (cpu != LinuxCpu::default()).then_some(cpu)
}

fn pids(limit: Option<i64>) -> Option<LinuxPids> {
    let limit = limit.filter(|limit| *limit != 0)?;
    let mut pids = LinuxPids::default();
    pids.set_limit(if limit < 0 { -1 } else { limit });
    Some(pids)
}

fn block_io(wish: &Resources, devices: &BlockDevices) -> Option<LinuxBlockIo> {
    let mut io = LinuxBlockIo::default();
    let weight = |device: &WeightDevice| weight(device, devices);
    let throttle = |device: &ThrottleDevice| throttle(device, devices);
    io.set_weight((wish.blkio_weight > 0).then_some(wish.blkio_weight))
        .set_weight_device(list(&wish.blkio_weight_device, weight))
        .set_throttle_read_bps_device(list(&wish.blkio_read_bps, throttle))
        .set_throttle_write_bps_device(list(&wish.blkio_write_bps, throttle))
        .set_throttle_read_iops_device(list(&wish.blkio_read_iops, throttle))
        .set_throttle_write_iops_device(list(&wish.blkio_write_iops, throttle));
    (io != LinuxBlockIo::default()).then_some(io)
}

fn list<T, U>(wish: &[T], convert: impl Fn(&T) -> Option<U>) -> Option<Vec<U>> {
    let list: Vec<U> = wish.iter().filter_map(convert).collect();
    (!list.is_empty()).then_some(list)
}

fn weight(device: &WeightDevice, devices: &BlockDevices) -> Option<LinuxWeightDevice> {
    let (major, minor) = *devices.get(&device.path)?;
    LinuxWeightDeviceBuilder::default()
        .major(major)
        .minor(minor)
        .weight(device.weight)
        .build()
        .ok()
}

fn throttle(device: &ThrottleDevice, devices: &BlockDevices) -> Option<LinuxThrottleDevice> {
    let (major, minor) = *devices.get(&device.path)?;
    LinuxThrottleDeviceBuilder::default()
        .major(major)
        .minor(minor)
        .rate(device.rate)
        .build()
        .ok()
}
