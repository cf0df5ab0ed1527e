//! The files of a container's `/etc` that are the engine's: `hostname`, `hosts`, `resolv.conf`.

use std::ffi::CString;
use std::fs::File;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use dhow_network::{HostsEntry, ResolvOptions, hosts_file, resolv_conf};

use super::{links, network};
use crate::container::ContainerRecord;
use crate::services::Services;
use crate::{Error, Result};
use dhow_container::oci::EtcFiles;
use dhow_container::spec::NetworkMode;

const RESOLVED_STUB: &str = "127.0.0.53";
const RESOLVED_UPLINKS: &str = "/run/systemd/resolve/resolv.conf";

/// Writes what does not depend on the container's addresses; `hosts` is made, to be written by [`write_hosts`].
/// A container in another one's network has that one's files.
pub(super) fn prepare(services: &Services, record: &ContainerRecord) -> Result<EtcFiles> {
    if let NetworkMode::Container(other) = &record.host.network_mode {
        let other = services.find(other)?;
        return Ok(existing(&services.folder(&other.id)));
    }
    let folder = services.folder(&record.id);
    let hostname = folder.join("hostname");
    write(&hostname, &format!("{}\n", record.config.hostname))?;
    let resolv = folder.join("resolv.conf");
    write(&resolv, &resolver(services, record))?;
    let hosts = folder.join("hosts");
    make(&hosts)?;
    Ok(EtcFiles {
        hostname: Some(hostname),
        hosts: Some(hosts),
        resolv_conf: Some(resolv),
    })
}

/// Makes a file unless it is there: its text may be, as it is written beside this.
pub(crate) fn make(path: &Path) -> Result<()> {
    let made = File::options().append(true).create(true).open(path);
    made.map(drop).map_err(|source| Error::File {
        action: "make",
        path: path.to_owned(),
        source,
    })
}

fn existing(folder: &Path) -> EtcFiles {
    let file =
        |name: &str| -> Option<PathBuf> { Some(folder.join(name)).filter(|path| path.exists()) };
    EtcFiles {
        hostname: file("hostname"),
        hosts: file("hosts"),
        resolv_conf: file("resolv.conf"),
    }
}

/// Writes `hosts`, once the container's addresses are known.
pub(super) fn write_hosts(
    services: &Services,
    record: &ContainerRecord,
    own: &[IpAddr],
) -> Result<()> {
    if let NetworkMode::Container(_) = record.host.network_mode {
        return Ok(());
    }
    let text = hosts(services, record, own);
    write(&services.folder(&record.id).join("hosts"), &text)
}

/// The text of `hosts` of who has these addresses.
pub(crate) fn hosts(services: &Services, record: &ContainerRecord, own: &[IpAddr]) -> String {
    let mut entries: Vec<HostsEntry> = record
        .host
        .extra_hosts
        .iter()
        .filter_map(|text| extra(services, text))
        .collect();
    if record.host.network_mode == NetworkMode::Host {
        with_hosts_own(&entries)
    } else {
        let name = &record.config.hostname;
        let names = match record.config.domainname.as_str() {
            "" => vec![name.clone()],
            domain => vec![format!("{name}.{domain}"), name.clone()],
        };
        entries.extend(links::hosts(services, record));
        entries.extend(own.iter().map(|ip| HostsEntry {
            ip: *ip,
            names: names.clone(),
        }));
        hosts_file(&entries)
    }
}

/// The host's own file, with what was added.
fn with_hosts_own(entries: &[HostsEntry]) -> String {
    let mut text = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    for entry in entries {
        text.push_str(&format!("{}\t{}\n", entry.ip, entry.names.join(" ")));
    }
    text
}

/// An entry of `--add-host`, which was checked at the creation.
fn extra(services: &Services, text: &str) -> Option<HostsEntry> {
    let (name, address) = text.split_once([':', '='])?;
    let ip = match address {
        "host-gateway" => network::host_gateway(services)?,
        _ => address
            .trim_start_matches('[')
            .trim_end_matches(']')
            .parse()
            .ok()?,
    };
    Some(HostsEntry {
        ip,
        names: vec![name.to_owned()],
    })
}

/// The text of `resolv.conf`.
pub(crate) fn resolver(services: &Services, record: &ContainerRecord) -> String {
    let defaults = &services.config.defaults;
    let host = &record.host;
    let own: Vec<IpAddr> = host
        .dns
        .iter()
        .filter_map(|server| server.parse().ok())
        .collect();
    let or = |own: &Vec<String>, default: &Vec<String>| {
        if own.is_empty() {
            default.clone()
        } else {
            own.clone()
        }
    };
    let wish = ResolvOptions {
        servers: if own.is_empty() {
            defaults.dns.clone()
        } else {
            own
        },
        search: or(&host.dns_search, &defaults.dns_search),
        options: or(&host.dns_options, &defaults.dns_options),
    };
    let mut theirs = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    if host.network_mode == NetworkMode::Host {
        if wish == ResolvOptions::default() {
            return theirs;
        }
    } else if theirs.contains(RESOLVED_STUB)
        && let Ok(uplinks) = std::fs::read_to_string(RESOLVED_UPLINKS)
    {
        // The stub of systemd-resolved can't be reached from a namespace of its own.
        theirs = uplinks;
    }
    resolv_conf(&theirs, &wish)
}

/// Where a container keeps the `/dev/shm` that others may share.
pub(super) fn shm(services: &Services, id: &str) -> PathBuf {
    services.run_folder(id).join("shm")
}

/// Mounts the `/dev/shm` that others may share. It is on the host as long as the container runs: a mount within a
/// container's namespace could not be given to another one.
pub(super) fn make_shm(services: &Services, record: &ContainerRecord) -> Result<PathBuf> {
    let path = shm(services, &record.id);
    super::create::make_folder(&path)?;
    let flags = MountFlags::NOSUID | MountFlags::NOEXEC | MountFlags::NODEV;
    let options =
        CString::new(format!("mode=1777,size={}", record.host.shm_size)).unwrap_or_default();
    let mounted = mount("shm", &path, "tmpfs", flags, options.as_c_str());
    mounted.map_err(|error| Error::File {
        action: "mount",
        path: path.clone(),
        source: error.into(),
    })?;
    Ok(path)
}

/// Takes [`make_shm`] back; fine when nothing is mounted there.
pub(super) fn unmount_shm(services: &Services, id: &str) {
    // What is not mounted or not there needs no unmounting, and anything else shows when the folder is removed.
    let _ = unmount(
        shm(services, id),
        UnmountFlags::DETACH | UnmountFlags::NOFOLLOW,
    );
}

/// Writes one of these files.
pub(crate) fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).map_err(|source| Error::File {
        action: "write",
        path: path.to_owned(),
        source,
    })
}
