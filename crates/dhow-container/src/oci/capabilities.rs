//! Which capabilities a container's program has.

use dhow_oci::runtime::Capability;

use crate::spec::{HostConfig, Invalid};

/// Every capability there is.
const ALL: &[&str] = &[
    "AUDIT_CONTROL",
    "AUDIT_READ",
    "AUDIT_WRITE",
    "BLOCK_SUSPEND",
    "BPF",
    "CHECKPOINT_RESTORE",
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "IPC_LOCK",
    "IPC_OWNER",
    "KILL",
    "LEASE",
    "LINUX_IMMUTABLE",
    "MAC_ADMIN",
    "MAC_OVERRIDE",
    "MKNOD",
    "NET_ADMIN",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_RAW",
    "PERFMON",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYSLOG",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_CHROOT",
    "SYS_MODULE",
    "SYS_NICE",
    "SYS_PACCT",
    "SYS_PTRACE",
    "SYS_RAWIO",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "WAKE_ALARM",
];
/// What a container has when nothing else is said.
const DEFAULT: &[&str] = &[
    "CHOWN",
    "DAC_OVERRIDE",
    "FSETID",
    "FOWNER",
    "MKNOD",
    "NET_RAW",
    "SETGID",
    "SETUID",
    "SETFCAP",
    "SETPCAP",
    "NET_BIND_SERVICE",
    "SYS_CHROOT",
    "KILL",
    "AUDIT_WRITE",
];

/// Checks that every name is one of a capability, or `ALL`.
///
/// # Errors
/// Names the first that is not, with Docker's text.
pub fn check(add: &[String], drop: &[String]) -> Result<(), Invalid> {
    normalise(add).map_err(|name| unknown("CapAdd", &name))?;
    normalise(drop).map_err(|name| unknown("CapDrop", &name))?;
    Ok(())
}

fn unknown(field: &str, name: &str) -> Invalid {
    Invalid(format!("invalid {field}: unknown capability: \"{name}\""))
}

/// The capabilities that result from the defaults, `--cap-add`, `--cap-drop` and `--privileged`.
///
/// # Errors
/// As [`check`].
pub fn effective(host: &HostConfig) -> Result<Vec<Capability>, Invalid> {
    if host.privileged {
        return Ok(resolve(ALL));
    }
    let add = normalise(&host.cap_add).map_err(|name| unknown("CapAdd", &name))?;
    let drop = normalise(&host.cap_drop).map_err(|name| unknown("CapDrop", &name))?;
    let has = |list: &[String], name: &str| list.iter().any(|entry| entry == name);
    let names: Vec<&str> = match (has(&add, "ALL"), has(&drop, "ALL")) {
        // `--cap-add ALL --cap-drop X`: all but X; with `--cap-drop ALL` too, what is added by name remains.
        (true, false) => ALL
            .iter()
            .copied()
            .filter(|name| !has(&drop, name))
            .collect(),
        (false, true) => add.iter().map(String::as_str).collect(),
        (true, true) => ALL.to_vec(),
        (false, false) => {
            let kept = DEFAULT.iter().copied().filter(|name| !has(&drop, name));
            let added = add
                .iter()
                .map(String::as_str)
                .filter(|name| !DEFAULT.contains(name));
            kept.chain(added).collect()
        }
    };
    Ok(resolve(&names))
}

/// The capabilities of an exec with all privileges.
pub fn all() -> Vec<Capability> {
    resolve(ALL)
}

fn resolve(names: &[&str]) -> Vec<Capability> {
    names.iter().filter_map(|name| name.parse().ok()).collect()
}

/// Upper case, without `CAP_`; the name as it was given when it is unknown.
fn normalise(names: &[String]) -> Result<Vec<String>, String> {
    names
        .iter()
        .map(|given| {
            let upper = given.to_ascii_uppercase();
            let name = upper.strip_prefix("CAP_").unwrap_or(&upper);
            if name == "ALL" || ALL.contains(&name) {
                Ok(name.to_owned())
            } else {
                Err(format!("CAP_{name}"))
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn names(add: &[&str], drop: &[&str], privileged: bool) -> Vec<String> {
        let own = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect();
        let host = HostConfig {
            cap_add: own(add),
            cap_drop: own(drop),
            privileged,
            ..HostConfig::default()
        };
        let mut names: Vec<String> = effective(&host)
            .unwrap()
            .iter()
            .map(ToString::to_string)
            .collect();
        names.sort();
        names
    }

    #[test]
    fn every_name_is_known_to_the_specification() {
        assert_eq!(resolve(ALL).len(), ALL.len());
        assert_eq!(resolve(DEFAULT).len(), 14);
    }

    #[test]
    fn capabilities_are_added_and_dropped() {
        assert_eq!(names(&[], &[], false).len(), 14);
        assert_eq!(names(&["net_admin"], &["CAP_MKNOD"], false).len(), 14);
        assert_eq!(names(&["SYS_TIME"], &["ALL"], false), ["SYS_TIME"]);
        assert_eq!(names(&["ALL"], &["SYS_TIME"], false).len(), ALL.len() - 1);
        assert_eq!(names(&[], &["all"], false).len(), 0);
        assert_eq!(names(&[], &[], true).len(), ALL.len());
    }

    #[test]
    fn unknown_names_are_refused() {
        let error = check(&["foo".into()], &[]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "invalid CapAdd: unknown capability: \"CAP_FOO\""
        );
    }
}
