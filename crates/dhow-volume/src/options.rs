//! The `local` driver's options: what to mount as the volume.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::io;
use std::net::ToSocketAddrs;
use std::path::Path;

use rustix::mount::{MountFlags, UnmountFlags};

use crate::Error;

/// Refuses options that the driver does not know or that lack others they need; the texts are Docker's.
pub(crate) fn validate(volume: &str, options: &BTreeMap<String, String>) -> Result<(), Error> {
    let invalid = |reason: String| Error::InvalidOptions {
        name: volume.to_owned(),
        reason,
    };
    for option in options.keys() {
        match option.as_str() {
            "type" | "device" | "o" => {}
            "size" => {
                return Err(invalid(
                    "quota size requested but no quota support".to_owned(),
                ));
            }
            _ => {
                return Err(Error::InvalidOption {
                    name: volume.to_owned(),
                    option: option.clone(),
                });
            }
        }
    }
    for (option, needed) in [
        ("device", "type"),
        ("o", "device"),
        ("o", "type"),
        ("type", "device"),
    ] {
        if options.contains_key(option) && !options.contains_key(needed) {
            return Err(invalid(format!("missing required option: {needed:?}")));
        }
    }
    Ok(())
}

/// Whether the volume is more than a directory.
pub(crate) fn needs_mount(options: Option<&BTreeMap<String, String>>) -> bool {
    options.is_some_and(|options| options.contains_key("device") || options.contains_key("type"))
}

/// Mounts what the options say at `target`.
pub(crate) fn mount(options: &BTreeMap<String, String>, target: &Path) -> io::Result<()> {
    let option = |key: &str| options.get(key).map_or("", String::as_str);
    let (flags, data) = parse(option("o"));
    let data = resolve_address(option("type"), &data)?;
    let data = CString::new(data).map_err(io::Error::other)?;
    let data = Some(data.as_c_str()).filter(|data| !data.is_empty());
    rustix::mount::mount(option("device"), target, option("type"), flags, data)?;
    if flags.contains(MountFlags::BIND) && flags != MountFlags::BIND {
        // A bind mount takes the rest of its flags only afterwards.
        rustix::mount::mount_remount(target, flags, c"")?;
    }
    Ok(())
}

/// Unmounts everything at `target`; what is not mounted is no error.
pub(crate) fn unmount(target: &Path) -> io::Result<()> {
    loop {
        match rustix::mount::unmount(target, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW) {
            // There may be another below: what follows could be the removal of what is seen there.
            Ok(()) => {}
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOENT) => return Ok(()),
            // Without the right to mount, nothing of ours is mounted.
            Err(rustix::io::Errno::PERM) if !is_mounted(target)? => return Ok(()),
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Whether something is mounted at `target`.
pub(crate) fn is_mounted(target: &Path) -> io::Result<bool> {
    use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags, statx};
    let stat = statx(
        CWD,
        target,
        AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT,
        StatxFlags::BASIC_STATS,
    )?;
    Ok(stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}

/// Mount flags, and what is left for the file system itself.
fn parse(text: &str) -> (MountFlags, String) {
    let mut flags = MountFlags::empty();
    let mut data = Vec::new();
    for option in text.split(',').filter(|option| !option.is_empty()) {
        let (set, clear) = match option {
            "ro" => (MountFlags::RDONLY, MountFlags::empty()),
            "rw" => (MountFlags::empty(), MountFlags::RDONLY),
            "nosuid" => (MountFlags::NOSUID, MountFlags::empty()),
            "suid" => (MountFlags::empty(), MountFlags::NOSUID),
            "nodev" => (MountFlags::NODEV, MountFlags::empty()),
            "dev" => (MountFlags::empty(), MountFlags::NODEV),
            "noexec" => (MountFlags::NOEXEC, MountFlags::empty()),
            "exec" => (MountFlags::empty(), MountFlags::NOEXEC),
            "sync" => (MountFlags::SYNCHRONOUS, MountFlags::empty()),
            "async" => (MountFlags::empty(), MountFlags::SYNCHRONOUS),
            "dirsync" => (MountFlags::DIRSYNC, MountFlags::empty()),
            "noatime" => (MountFlags::NOATIME, MountFlags::empty()),
            "atime" => (MountFlags::empty(), MountFlags::NOATIME),
            "nodiratime" => (MountFlags::NODIRATIME, MountFlags::empty()),
            "relatime" => (MountFlags::RELATIME, MountFlags::empty()),
            "strictatime" => (MountFlags::STRICTATIME, MountFlags::empty()),
            "bind" => (MountFlags::BIND, MountFlags::empty()),
            "rbind" => (MountFlags::BIND | MountFlags::REC, MountFlags::empty()),
            "defaults" => (MountFlags::empty(), MountFlags::empty()),
            other => {
                data.push(other);
                continue;
            }
        };
        flags = (flags | set) - clear;
    }
    (flags, data.join(","))
}

/// Network file systems take numbers only: `addr=` gets the host's address.
fn resolve_address(kind: &str, data: &str) -> io::Result<String> {
    if !matches!(kind, "nfs" | "nfs4" | "cifs") {
        return Ok(data.to_owned());
    }
    let options = data
        .split(',')
        .map(|option| match option.strip_prefix("addr=") {
            Some(host) if host.parse::<std::net::IpAddr>().is_err() => {
                let resolved = (host, 0).to_socket_addrs()?.next();
                let resolved =
                    resolved.ok_or_else(|| io::Error::other(format!("error resolving {host}")))?;
                Ok(format!("addr={}", resolved.ip()))
            }
            _ => Ok(option.to_owned()),
        });
    Ok(options.collect::<io::Result<Vec<_>>>()?.join(","))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn options(text: &str) -> BTreeMap<String, String> {
        let pairs = text.split(' ').filter_map(|pair| pair.split_once(':'));
        pairs
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect()
    }

    #[test]
    fn options_are_checked_as_docker_does() {
        for (text, message) in [
            ("", ""),
            ("type:tmpfs device:tmpfs o:size=1m", ""),
            ("nope:1", "create v: invalid option: \"nope\""),
            (
                "type:tmpfs",
                "create v: missing required option: \"device\"",
            ),
            ("device:/x", "create v: missing required option: \"type\""),
            ("o:ro", "create v: missing required option: \"device\""),
            (
                "size:1m",
                "create v: quota size requested but no quota support",
            ),
        ] {
            let outcome = validate("v", &options(text)).map_err(|error| error.to_string());
            assert_eq!(outcome.err().unwrap_or_default(), message, "{text}");
        }
    }

    #[test]
    fn flags_are_told_from_data() {
        let (flags, data) = parse("ro,nosuid,size=1m,rw,noexec,mode=700");
        assert_eq!(flags, MountFlags::NOSUID | MountFlags::NOEXEC);
        assert_eq!(data, "size=1m,mode=700");
        assert_eq!(parse(""), (MountFlags::empty(), String::new()));
        assert_eq!(parse("rbind").0, MountFlags::BIND | MountFlags::REC);
        assert_eq!(
            resolve_address("nfs", "addr=127.0.0.1,vers=4").unwrap(),
            "addr=127.0.0.1,vers=4"
        );
    }
}
