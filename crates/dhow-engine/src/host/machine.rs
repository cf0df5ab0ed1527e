//! The machine and its kernel.

use std::path::Path;

use crate::system::Machine;

/// The host's name.
pub(crate) fn name() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}

/// The kernel's release.
pub(crate) fn kernel() -> String {
    rustix::system::uname()
        .release()
        .to_string_lossy()
        .into_owned()
}

/// The nodes of memory, `0-1`; empty where the kernel does not say.
pub(crate) fn memory_nodes() -> String {
    let online = std::fs::read_to_string("/sys/devices/system/node/online");
    online.map_or_else(|_| String::new(), |text| text.trim().to_owned())
}

/// How many processors the engine may use.
pub(crate) fn cpus() -> usize {
    std::thread::available_parallelism().map_or(1, Into::into)
}

/// Whether the machine has cgroup v2 only.
pub(crate) fn has_cgroup_v2() -> bool {
    Path::new("/sys/fs/cgroup/cgroup.controllers").exists()
}

/// Whether the kernel has AppArmor and it is on.
pub(crate) fn has_apparmor() -> bool {
    dhow_runtime::apparmor::AppArmor::default().is_on()
}

/// Everything `GET /info` tells of the machine.
pub(crate) fn describe() -> Machine {
    let uname = rustix::system::uname();
    let (operating_system, os_version) = release();
    let v2 = has_cgroup_v2();
    let memsw = Path::new("/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes").exists();
    Machine {
        name: name(),
        kernel: kernel(),
        operating_system,
        os_version,
        architecture: uname.machine().to_string_lossy().into_owned(),
        cpus: cpus(),
        memory: memory(),
        cgroup_version: if v2 { "2" } else { "1" },
        controllers: dhow_runtime::cgroup::controllers(),
        ipv4_forwarding: read("/proc/sys/net/ipv4/ip_forward") == "1",
        seccomp: Path::new("/proc/sys/kernel/seccomp/actions_avail").exists(),
        swap_limit: v2 || memsw,
    }
}

/// Bytes of memory the machine has; 0 where that is not to be found out.
pub(crate) fn memory() -> u64 {
    let text = read("/proc/meminfo");
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kibibytes = line
        .and_then(|line| line.split_whitespace().next())
        .and_then(|number| number.parse().ok());
    kibibytes.unwrap_or(0_u64).saturating_mul(1024)
}

/// The distribution's name and version.
fn release() -> (String, String) {
    let text = match read("/etc/os-release") {
        text if text.is_empty() => read("/usr/lib/os-release"),
        text => text,
    };
    let value = |key: &str| {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        line.map(|value| value.trim_matches(['"', '\'']).to_owned())
            .unwrap_or_default()
    };
    let pretty = value("PRETTY_NAME");
    (
        if pretty.is_empty() {
            "Linux".into()
        } else {
            pretty
        },
        value("VERSION_ID"),
    )
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path)
        .map(|text| text.trim().to_owned())
        .unwrap_or_default()
}
