//! Which namespaces are made, and which are joined.

use std::path::PathBuf;

use dhow_oci::runtime::{LinuxNamespace, LinuxNamespaceType};

use super::Inputs;
use crate::ContainerRecord;
use crate::spec::{CgroupnsMode, IpcMode, NetworkMode, PidMode, UtsMode};

/// What is not in the list is the host's.
pub(super) fn list(record: &ContainerRecord, inputs: &Inputs) -> Vec<LinuxNamespace> {
    let host = &record.host;
    let mut list = vec![own(LinuxNamespaceType::Mount)];
    match host.network_mode {
        NetworkMode::Host => {}
        NetworkMode::Container(_) => {
            list.push(of(
                LinuxNamespaceType::Network,
                "net",
                inputs.joined.network,
            ));
        }
        _ => list.push(own(LinuxNamespaceType::Network)),
    }
    match host.ipc_mode {
        IpcMode::Host => {}
        IpcMode::Container(_) => list.push(of(LinuxNamespaceType::Ipc, "ipc", inputs.joined.ipc)),
        _ => list.push(own(LinuxNamespaceType::Ipc)),
    }
    match host.pid_mode {
        PidMode::Host => {}
        PidMode::Container(_) => list.push(of(LinuxNamespaceType::Pid, "pid", inputs.joined.pid)),
        PidMode::Private => list.push(own(LinuxNamespaceType::Pid)),
    }
    if host.uts_mode == UtsMode::Private {
        list.push(own(LinuxNamespaceType::Uts));
    }
    if cgroup_is_private(host.cgroupns_mode, inputs.cgroup_v2) {
        list.push(own(LinuxNamespaceType::Cgroup));
    }
    list
}

fn cgroup_is_private(mode: CgroupnsMode, v2: bool) -> bool {
    match mode {
        CgroupnsMode::Private => true,
        CgroupnsMode::Host => false,
        CgroupnsMode::Default => v2,
    }
}

fn own(kind: LinuxNamespaceType) -> LinuxNamespace {
    let mut namespace = LinuxNamespace::default();
    namespace.set_typ(kind).set_path(None);
    namespace
}

fn of(kind: LinuxNamespaceType, name: &str, pid: Option<u32>) -> LinuxNamespace {
    let mut namespace = own(kind);
    namespace.set_path(pid.map(|pid| PathBuf::from(format!("/proc/{pid}/ns/{name}"))));
    namespace
}
