//! The default policy: what a container may ask the kernel for unless told otherwise, the same as Docker's.
//!
//! It is written down the other way round than Docker's: every call we have a number for is allowed, save those that
//! are refused to everybody ([`REFUSED`]), those that come with a capability ([`WITH_CAPABILITY`]), and the four with
//! conditions on their arguments. Anything unknown gets EPERM.

use super::table::Table;
use crate::spec::{
    Arch, Capability, LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompArgBuilder,
    LinuxSeccompBuilder, LinuxSeccompOperator, LinuxSyscall, LinuxSyscallBuilder,
};

/// Never allowed: obsolete, about the whole machine, or with a history of holes.
const REFUSED: &[&str] = &[
    // Kernel keys are not divided among containers.
    "add_key",
    "keyctl",
    "request_key",
    // Another kernel, swap, and the like belong to the machine.
    "kexec_file_load",
    "kexec_load",
    "nfsservctl",
    "swapoff",
    "swapon",
    "_sysctl",
    "sysfs",
    "uselib",
    "ustat",
    "pivot_root",
    "pciconfig_iobase",
    "pciconfig_read",
    "pciconfig_write",
    // Interfaces with much code behind them and more than one hole found.
    "io_uring_enter",
    "io_uring_register",
    "io_uring_setup",
    "uprobe",
    "userfaultfd",
    "vm86",
    "vm86old",
    // Memory of other nodes and processes.
    "migrate_pages",
    "move_pages",
    // Newer than the policy that this one follows.
    "file_getattr",
    "file_setattr",
    "open_tree_attr",
    // Long gone from the kernel, or superseded before containers were there.
    "afs_syscall",
    "bdflush",
    "break",
    "create_module",
    "ftime",
    "get_kernel_syms",
    "getpmsg",
    "gtty",
    "idle",
    "lock",
    "mpx",
    "nice",
    "oldfstat",
    "oldlstat",
    "oldolduname",
    "oldstat",
    "olduname",
    "prof",
    "profil",
    "putpmsg",
    "query_module",
    "readdir",
    "security",
    "sgetmask",
    "sigaction",
    "signal",
    "sigpending",
    "sigsuspend",
    "ssetmask",
    "stty",
    "tuxcall",
    "ulimit",
    "vserver",
    "get_tls",
    "usr26",
    "usr32",
];

/// Allowed with a capability only; a call that stands in several lines needs one of them.
const WITH_CAPABILITY: &[(Capability, &[&str])] = &[
    (Capability::DacReadSearch, &["open_by_handle_at"]),
    (
        Capability::SysAdmin,
        &[
            "bpf",
            "clone",
            "clone3",
            "fanotify_init",
            "fsconfig",
            "fsmount",
            "fsopen",
            "fspick",
            "lookup_dcookie",
            "lsm_get_self_attr",
            "lsm_list_modules",
            "lsm_set_self_attr",
            "mount",
            "mount_setattr",
            "move_mount",
            "open_tree",
            "perf_event_open",
            "quotactl",
            "quotactl_fd",
            "setdomainname",
            "sethostname",
            "setns",
            "syslog",
            "umount",
            "umount2",
            "unshare",
        ],
    ),
    (Capability::SysBoot, &["reboot"]),
    (Capability::SysChroot, &["chroot"]),
    (
        Capability::SysModule,
        &["delete_module", "finit_module", "init_module"],
    ),
    (Capability::SysPacct, &["acct"]),
    (
        Capability::SysPtrace,
        &["kcmp", "pidfd_getfd", "process_madvise"],
    ),
    (Capability::SysRawio, &["ioperm", "iopl"]),
    (
        Capability::SysTime,
        &["clock_settime", "clock_settime64", "settimeofday", "stime"],
    ),
    (Capability::SysTtyConfig, &["vhangup"]),
    (
        Capability::SysNice,
        &[
            "get_mempolicy",
            "mbind",
            "set_mempolicy",
            "set_mempolicy_home_node",
        ],
    ),
    (Capability::Syslog, &["syslog"]),
    (Capability::Bpf, &["bpf"]),
    (Capability::Perfmon, &["perf_event_open"]),
];

/// Allowed on the architectures that have them: nothing to choose elsewhere.
const OF_ARM: &[&str] = &[
    "arm_fadvise64_64",
    "arm_sync_file_range",
    "breakpoint",
    "cacheflush",
    "set_tls",
    "sync_file_range2",
];
const OF_X86: &[&str] = &["arch_prctl", "modify_ldt"];

/// With conditions, handled one by one.
const CONDITIONAL: &[&str] = &["clone", "clone3", "personality", "socket"];

/// The bits with which `clone` makes namespaces.
const NEW_NAMESPACES: u64 = 0x7e02_0000;

/// Execution domains that change nothing a container should not: Linux, 32 bits, no randomisation, both; and asking.
const PERSONALITIES: [u64; 5] = [0x0, 0x8, 0x2_0000, 0x2_0008, 0xffff_ffff];

/// Sockets to the hypervisor, which know no namespaces.
const AF_VSOCK: u64 = 40;

/// Docker's default policy for a container with the capabilities `caps`, on this machine.
#[must_use]
pub fn default_profile(caps: &[Capability]) -> LinuxSeccomp {
    let admin = caps.contains(&Capability::SysAdmin);
    let mut rules = vec![allow(allowed(caps))];
    rules.push(allow_if(
        &["socket"],
        &[argument(0, AF_VSOCK, None, LinuxSeccompOperator::ScmpCmpNe)],
    ));
    for value in PERSONALITIES {
        let is = argument(0, value, None, LinuxSeccompOperator::ScmpCmpEq);
        rules.push(allow_if(&["personality"], &[is]));
    }
    if !admin {
        let none = LinuxSeccompOperator::ScmpCmpMaskedEq;
        rules.push(allow_if(
            &["clone"],
            &[argument(0, NEW_NAMESPACES, Some(0), none)],
        ));
        // Its flags can't be looked at; "not implemented" makes libraries fall back to `clone`.
        let refused = LinuxSyscallBuilder::default()
            .names(vec!["clone3".to_owned()])
            .action(LinuxSeccompAction::ScmpActErrno)
            .errno_ret(38u32)
            .build();
        rules.extend(refused);
    }
    let architectures = if cfg!(target_arch = "aarch64") {
        vec![Arch::ScmpArchAarch64, Arch::ScmpArchArm]
    } else {
        vec![Arch::ScmpArchX86_64, Arch::ScmpArchX86, Arch::ScmpArchX32]
    };
    LinuxSeccompBuilder::default()
        .default_action(LinuxSeccompAction::ScmpActErrno)
        .default_errno_ret(1u32)
        .architectures(architectures)
        .syscalls(rules)
        .build()
        .expect("every field the builder needs has been given")
}

/// The calls allowed whatever their arguments.
fn allowed(caps: &[Capability]) -> Vec<String> {
    let arm = cfg!(target_arch = "aarch64");
    let may = |name: &str| {
        if REFUSED.contains(&name)
            || (OF_ARM.contains(&name) && !arm)
            || (OF_X86.contains(&name) && arm)
        {
            return false;
        }
        let mut needs_one = CONDITIONAL.contains(&name);
        for (capability, names) in WITH_CAPABILITY {
            if names.contains(&name) {
                needs_one = true;
                if caps.contains(capability) {
                    return true;
                }
            }
        }
        !needs_one
    };
    Table::new()
        .names()
        .filter(|name| may(name))
        .map(str::to_owned)
        .collect()
}

fn allow(names: Vec<String>) -> LinuxSyscall {
    LinuxSyscallBuilder::default()
        .names(names)
        .action(LinuxSeccompAction::ScmpActAllow)
        .build()
        .expect("every field the builder needs has been given")
}

fn allow_if(names: &[&str], arguments: &[LinuxSeccompArg]) -> LinuxSyscall {
    let mut rule = allow(names.iter().map(|name| (*name).to_owned()).collect());
    rule.set_args(Some(arguments.to_vec()));
    rule
}

fn argument(
    index: usize,
    value: u64,
    other: Option<u64>,
    op: LinuxSeccompOperator,
) -> LinuxSeccompArg {
    let builder = LinuxSeccompArgBuilder::default()
        .index(index)
        .value(value)
        .op(op);
    let builder = match other {
        Some(other) => builder.value_two(other),
        None => builder,
    };
    builder
        .build()
        .expect("every field the builder needs has been given")
}

#[cfg(test)]
mod tests {
    use super::super::table::Column;
    use super::*;

    const DEFAULT: [Capability; 2] = [Capability::SysChroot, Capability::NetRaw];

    #[test]
    fn every_call_of_the_table_has_been_looked_at() {
        // Before raising these, decide for each new call whether a container may have it.
        assert_eq!(Table::new().highest(Column::X86_64), 469);
        assert_eq!(Table::new().highest(Column::Aarch64), 469);
    }

    #[test]
    fn every_name_is_one_of_the_table() {
        let known: Vec<&str> = Table::new().names().collect();
        let named = REFUSED
            .iter()
            .chain(WITH_CAPABILITY.iter().flat_map(|(_, names)| *names));
        for name in named.chain(OF_ARM).chain(OF_X86).chain(CONDITIONAL) {
            assert!(known.contains(name), "{name}");
        }
    }

    #[test]
    fn capabilities_open_their_calls() {
        let plain = allowed(&DEFAULT);
        for name in ["read", "chroot", "ptrace", "statmount", "mseal"] {
            assert!(plain.iter().any(|allowed| allowed == name), "{name}");
        }
        for name in [
            "mount",
            "clone",
            "clone3",
            "keyctl",
            "bpf",
            "io_uring_setup",
            "syslog",
        ] {
            assert!(!plain.iter().any(|allowed| allowed == name), "{name}");
        }
        let admin = allowed(&[Capability::SysAdmin]);
        for name in ["mount", "clone", "clone3", "bpf", "syslog"] {
            assert!(admin.iter().any(|allowed| allowed == name), "{name}");
        }
        assert!(
            !admin
                .iter()
                .any(|allowed| allowed == "keyctl" || allowed == "chroot")
        );
    }

    #[test]
    fn clone3_is_not_implemented_without_the_capability() {
        let profile = default_profile(&DEFAULT);
        let rules = profile.syscalls().clone().unwrap_or_default();
        let clone3 = rules.iter().find(|rule| rule.names() == &["clone3"]);
        assert_eq!(clone3.and_then(LinuxSyscall::errno_ret), Some(38));
        let profile = default_profile(&[Capability::SysAdmin]);
        let rules = profile.syscalls().clone().unwrap_or_default();
        assert!(!rules.iter().any(|rule| rule.names() == &["clone3"]));
    }
}
