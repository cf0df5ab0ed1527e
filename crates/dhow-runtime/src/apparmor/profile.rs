//! The text of the default profile.
//!
//! It lets a container do what its capabilities, namespaces and seccomp policy let it do, but for what is the whole
//! machine's: it may not mount, not write to the kernel's settings in `/proc` and `/sys`, and not trace or signal
//! anything that is not in a container of this profile. It is no more than a second fence: masked and read-only paths say
//! the same.

use std::fmt::Write;

/// Directories of `/proc` that are not those of processes.
const PROC: &str = "acpi,asound,bus,driver,dynamic_debug,fs,irq,mpt,scsi,sysvipc,tty";
/// Settings below `/proc/sys` but those of `kernel`, of which shared memory's belong to the container's namespace.
const PROC_SYS: &str = "abi,crypto,debug,dev,fs,net,sunrpc,user,vm";
/// Directories of `/sys` but `fs`, of which control groups are the container's.
const SYS: &str = "block,bus,class,dev,devices,firmware,hypervisor,kernel,module,power";
/// What must not even be read.
const HIDDEN: [&str; 7] = [
    "@{PROC}/sysrq-trigger",
    "@{PROC}/kcore",
    "@{PROC}/keys",
    "@{PROC}/timer_list",
    "/sys/firmware/**",
    "/sys/devices/virtual/powercap/**",
    "/sys/kernel/security/**",
];

/// What of `/etc/apparmor.d` the profile can build on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Includes {
    /// `tunables/global`: the variables' values.
    pub(super) tunables: bool,
    /// `abstractions/base`: what every program needs.
    pub(super) base: bool,
}

/// The profile's text, for `apparmor_parser`.
pub(super) fn text(name: &str, includes: Includes) -> String {
    let mut text = String::new();
    match includes.tunables {
        true => text += "#include <tunables/global>\n",
        false => text += "@{PROC}=/proc/\n",
    }
    // Writing to a string can't fail.
    let _ = writeln!(
        text,
        "\nprofile {name} flags=(attach_disconnected,mediate_deleted) {{"
    );
    if includes.base {
        text += "  #include <abstractions/base>\n";
    }
    text += "  network,\n  capability,\n  file,\n  umount,\n\n";
    // Signals come from outside: from the engine, its supervisors and other runtimes, and from one's own.
    for peer in ["unconfined", "runc", "crun"] {
        let _ = writeln!(text, "  signal (receive) peer={peer},");
    }
    let _ = writeln!(text, "  signal (send,receive) peer={name},");
    let _ = writeln!(text, "  ptrace (trace,read,tracedby,readby) peer={name},\n");
    text += "  deny mount,\n";
    let _ = writeln!(
        text,
        "  deny @{{PROC}}/* w,\n  deny @{{PROC}}/{{{PROC}}}/** w,"
    );
    let _ = writeln!(text, "  deny @{{PROC}}/sys/{{{PROC_SYS}}}/** w,");
    text += "  deny @{PROC}/sys/kernel/{[^s],s[^h],sh[^m]}** w,\n";
    let _ = writeln!(text, "  deny /sys/{{{SYS}}}/** wklx,");
    text += "  deny /sys/fs/{[^c],c[^g]}** wklx,\n";
    for path in HIDDEN {
        let _ = writeln!(text, "  deny {path} rwklx,");
    }
    text += "}\n";
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_installed_is_not_included() {
        let bare = text("docker-default", Includes::default());
        assert!(!bare.contains("#include") && bare.starts_with("@{PROC}=/proc/"));
        let all = Includes {
            tunables: true,
            base: true,
        };
        let full = text("docker-default", all);
        assert!(full.starts_with("#include <tunables/global>\n"));
        assert!(full.contains("profile docker-default flags="));
        assert!(full.contains("peer=docker-default,"));
        assert_eq!(full.matches('{').count(), full.matches('}').count());
    }
}
