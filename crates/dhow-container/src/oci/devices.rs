//! Device nodes and the rules of the device cgroup.

use dhow_oci::runtime::{LinuxDevice, LinuxDeviceCgroup, LinuxDeviceType};

use super::Inputs;
use crate::spec::Invalid;

/// A device of the host, looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostDevice {
    /// The path within the container.
    pub path: String,
    /// Block instead of character.
    pub block: bool,
    /// The driver's number.
    pub major: u32,
    /// The device's number with its driver.
    pub minor: u32,
    /// The permission bits of the node.
    pub mode: u32,
    /// The node's owner.
    pub uid: u32,
    /// The node's group.
    pub gid: u32,
    /// What the program may do with it: `rwm`.
    pub access: String,
}

/// The nodes to be made besides the runtime's own.
pub(super) fn nodes(inputs: &Inputs) -> Option<Vec<LinuxDevice>> {
    let nodes: Vec<LinuxDevice> = inputs
        .devices
        .iter()
        .map(|device| {
            let mut node = LinuxDevice::default();
            node.set_path(device.path.clone().into())
                .set_typ(kind(device.block))
                .set_major(i64::from(device.major))
                .set_minor(i64::from(device.minor))
                .set_file_mode(Some(device.mode))
                .set_uid(Some(device.uid))
                .set_gid(Some(device.gid));
            node
        })
        .collect();
    (!nodes.is_empty()).then_some(nodes)
}

/// The rules of the device cgroup: Docker's defaults, the devices asked for, the rules asked for.
pub(super) fn rules(
    inputs: &Inputs,
    extra: &[String],
    privileged: bool,
) -> Result<Vec<LinuxDeviceCgroup>, Invalid> {
    if privileged {
        return Ok(vec![rule(true, None, None, None, "rwm")]);
    }
    let character = Some(LinuxDeviceType::C);
    let mut rules = vec![
        rule(false, None, None, None, "rwm"),
        rule(true, character, None, None, "m"),
        rule(true, Some(LinuxDeviceType::B), None, None, "m"),
    ];
    // null, zero, full, random, urandom; tty, console, ptmx; the pseudo terminals.
    let usual = [
        (1, Some(3)),
        (1, Some(5)),
        (1, Some(7)),
        (1, Some(8)),
        (1, Some(9)),
        (5, Some(0)),
        (5, Some(1)),
        (5, Some(2)),
        (136, None),
    ];
    for (major, minor) in usual {
        rules.push(rule(true, character, Some(major), minor, "rwm"));
    }
    for device in &inputs.devices {
        let (major, minor) = (i64::from(device.major), i64::from(device.minor));
        rules.push(rule(
            true,
            Some(kind(device.block)),
            Some(major),
            Some(minor),
            &device.access,
        ));
    }
    for text in extra {
        rules.push(parse_rule(text)?);
    }
    Ok(rules)
}

fn kind(block: bool) -> LinuxDeviceType {
    if block {
        LinuxDeviceType::B
    } else {
        LinuxDeviceType::C
    }
}

fn rule(
    allow: bool,
    kind: Option<LinuxDeviceType>,
    major: Option<i64>,
    minor: Option<i64>,
    access: &str,
) -> LinuxDeviceCgroup {
    let mut rule = LinuxDeviceCgroup::default();
    rule.set_allow(allow)
        .set_typ(kind)
        .set_major(major)
        .set_minor(minor)
        .set_access(Some(access.to_owned()));
    rule
}

/// Reads `c 42:* rmw`.
///
/// # Errors
/// The text has another form.
pub fn parse_rule(text: &str) -> Result<LinuxDeviceCgroup, Invalid> {
    let fail = || Invalid(format!("invalid device cgroup rule format: '{text}'"));
    let parts: Vec<&str> = text.split(' ').collect();
    let &[typ, numbers, access] = parts.as_slice() else {
        return Err(fail());
    };
    let typ = match typ {
        "a" => LinuxDeviceType::A,
        "b" => LinuxDeviceType::B,
        "c" => LinuxDeviceType::C,
        _ => return Err(fail()),
    };
    let number = |text: &str| match text {
        "*" => Ok(None),
        _ => text
            .parse::<u32>()
            .map(|number| Some(i64::from(number)))
            .map_err(|_| fail()),
    };
    let (major, minor) = numbers.split_once(':').ok_or_else(fail)?;
    let usual = access
        .chars()
        .all(|letter| matches!(letter, 'r' | 'w' | 'm'));
    if access.is_empty() || access.len() > 3 || !usual {
        return Err(fail());
    }
    Ok(rule(
        true,
        Some(typ),
        number(major)?,
        number(minor)?,
        access,
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn rules_are_read() {
        let rule = parse_rule("c 42:* rmw").unwrap();
        assert_eq!((rule.major(), rule.minor()), (Some(42), None));
        for bad in ["", "c 42:*", "d 1:1 r", "c 1 r", "c x:1 r", "c 1:1 z"] {
            let text = format!("invalid device cgroup rule format: '{bad}'");
            assert_eq!(parse_rule(bad).unwrap_err().to_string(), text);
        }
    }
}
