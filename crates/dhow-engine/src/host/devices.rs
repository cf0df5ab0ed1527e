//! Devices of the host.

use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use rustix::fs::{major, minor};

use dhow_container::cdi::DeviceNode;
use dhow_container::oci::HostDevice;
use dhow_container::oci::resources::{self, BlockDevices};
use dhow_container::spec::{DeviceMapping, Invalid, Resources};

/// How deep folders of devices are searched; `/dev` has loops through links only, which are not followed.
const DEPTH: usize = 8;

/// The numbers of the devices whose throughput a container's limits name.
///
/// # Errors
/// There is no such device; the text is Docker's.
pub(crate) fn limited(wish: &Resources) -> Result<BlockDevices, Invalid> {
    let numbers = |path: &str| {
        let metadata = std::fs::metadata(path)
            .map_err(|_| Invalid(format!("stat {path}: no such file or directory")))?;
        let device = metadata.rdev();
        let numbers = (i64::from(major(device)), i64::from(minor(device)));
        Ok((path.to_owned(), numbers))
    };
    resources::block_devices(wish).map(numbers).collect()
}

/// Looks up the devices a container asks for; a folder stands for every device in it.
///
/// # Errors
/// There is no such device; the text is Docker's.
pub(crate) fn look_up(wanted: &[DeviceMapping]) -> Result<Vec<HostDevice>, Invalid> {
    let mut found = Vec::new();
    for mapping in wanted {
        let source = Path::new(&mapping.path_on_host);
        let fail = || {
            Invalid(format!(
                "error gathering device information while adding custom device \"{}\": no such file or directory",
                mapping.path_on_host
            ))
        };
        let source = source.canonicalize().map_err(|_| fail())?;
        let target = if mapping.path_in_container.is_empty() {
            &mapping.path_on_host
        } else {
            &mapping.path_in_container
        };
        let access = if mapping.permissions.is_empty() {
            "rwm"
        } else {
            &mapping.permissions
        };
        if let Some(device) = at(&source, target, access) {
            found.push(device);
        } else if source.is_dir() {
            collect(&source, target, access, DEPTH, &mut found);
        } else {
            return Err(Invalid(format!(
                "error gathering device information while adding custom device \"{}\": not a device node",
                mapping.path_on_host
            )));
        }
    }
    Ok(found)
}

/// The device that a vendor's node means; what the vendor does not say is looked up.
///
/// # Errors
/// There is no such device.
pub(crate) fn of_node(node: &DeviceNode) -> Result<HostDevice, Invalid> {
    let source = match node.host_path.as_str() {
        "" => &node.path,
        path => path,
    };
    let access = match node.permissions.as_str() {
        "" => "rw",
        given => given,
    };
    let number = |number: i64| u32::try_from(number).ok();
    let given = match (node.kind.as_str(), number(node.major), number(node.minor)) {
        (kind @ ("b" | "c" | "u"), Some(major), Some(minor)) if (major, minor) != (0, 0) => {
            Some(HostDevice {
                path: node.path.clone(),
                block: kind == "b",
                major,
                minor,
                mode: 0o666,
                uid: 0,
                gid: 0,
                access: access.to_owned(),
            })
        }
        _ => at(Path::new(source), &node.path, access),
    };
    let mut device = given.ok_or_else(|| {
        Invalid(format!(
            "CDI device injection failed: failed to stat CDI host device {source:?}"
        ))
    })?;
    device.mode = node.file_mode.map_or(device.mode, |mode| mode & 0o7777);
    device.uid = node.uid.unwrap_or(device.uid);
    device.gid = node.gid.unwrap_or(device.gid);
    Ok(device)
}

/// Every device of the host, for a privileged container.
pub(crate) fn all() -> Vec<HostDevice> {
    let mut found = Vec::new();
    collect(Path::new("/dev"), "/dev", "rwm", DEPTH, &mut found);
    found
}

fn collect(folder: &Path, target: &str, access: &str, depth: usize, found: &mut Vec<HostDevice>) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let Ok(kind) = entry.file_type() else {
            continue;
        };
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        let inner = format!("{target}/{name}");
        if kind.is_dir() {
            // What the container has for itself is not the host's.
            let own = matches!(
                inner.as_str(),
                "/dev/pts" | "/dev/shm" | "/dev/fd" | "/dev/mqueue"
            );
            if !own && depth > 0 {
                collect(&entry.path(), &inner, access, depth - 1, found);
            }
        } else if (kind.is_char_device() || kind.is_block_device())
            && !matches!(inner.as_str(), "/dev/console" | "/dev/ptmx")
            && let Some(device) = at(&entry.path(), &inner, access)
        {
            found.push(device);
        }
    }
}

fn at(path: &Path, target: &str, access: &str) -> Option<HostDevice> {
    let metadata = std::fs::metadata(path).ok()?;
    let kind = metadata.file_type();
    if !kind.is_char_device() && !kind.is_block_device() {
        return None;
    }
    Some(HostDevice {
        path: target.to_owned(),
        block: kind.is_block_device(),
        major: major(metadata.rdev()),
        minor: minor(metadata.rdev()),
        mode: metadata.mode() & 0o7777,
        uid: metadata.uid(),
        gid: metadata.gid(),
        access: access.to_owned(),
    })
}
