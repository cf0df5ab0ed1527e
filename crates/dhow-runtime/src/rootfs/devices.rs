//! What stands in a container's `/dev`.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Gid, Mode, Uid, chmodat, chownat, makedev, mknodat, symlinkat};
use rustix::io::Errno;

use super::options::Recursive;
use super::{paths, tree};
use crate::failure::{Failure, Step, StepContext};
use crate::spec::{LinuxDevice, LinuxDeviceType};

/// A device node to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DevicePlan {
    path: PathBuf,
    kind: FileType,
    number: u64,
    mode: u32,
    uid: u32,
    gid: u32,
}

/// The devices every container has (runtime specification, "Default Devices").
const DEFAULTS: [(&str, u32, u32); 6] = [
    ("/dev/null", 1, 3),
    ("/dev/zero", 1, 5),
    ("/dev/full", 1, 7),
    ("/dev/random", 1, 8),
    ("/dev/urandom", 1, 9),
    ("/dev/tty", 5, 0),
];

/// The links every container has in `/dev`.
const LINKS: [(&str, &str); 5] = [
    ("/proc/self/fd", "fd"),
    ("/proc/self/fd/0", "stdin"),
    ("/proc/self/fd/1", "stdout"),
    ("/proc/self/fd/2", "stderr"),
    ("pts/ptmx", "ptmx"),
];

/// The devices of the specification, then the default ones it does not name.
pub(crate) fn plan(devices: &[LinuxDevice]) -> Result<Vec<DevicePlan>, String> {
    let mut plans = devices.iter().map(of_spec).collect::<Result<Vec<_>, _>>()?;
    for (path, major, minor) in DEFAULTS {
        let path = PathBuf::from(path);
        if !plans.iter().any(|device| device.path == path) {
            let number = makedev(major, minor);
            let kind = FileType::CharacterDevice;
            plans.push(DevicePlan {
                path,
                kind,
                number,
                mode: 0o666,
                uid: 0,
                gid: 0,
            });
        }
    }
    Ok(plans)
}

fn of_spec(device: &LinuxDevice) -> Result<DevicePlan, String> {
    let kind = match device.typ() {
        LinuxDeviceType::B => FileType::BlockDevice,
        LinuxDeviceType::C | LinuxDeviceType::U => FileType::CharacterDevice,
        LinuxDeviceType::P => FileType::Fifo,
        LinuxDeviceType::A => return Err("a device node of the type a".into()),
    };
    let part = |number: i64| {
        u32::try_from(number).map_err(|_| format!("device number {number} is out of range"))
    };
    let number = match kind {
        FileType::Fifo => 0,
        _ => makedev(part(device.major())?, part(device.minor())?),
    };
    Ok(DevicePlan {
        path: device.path().clone(),
        kind,
        number,
        mode: device.file_mode().unwrap_or(0o666) & 0o7777,
        uid: device.uid().unwrap_or(0),
        gid: device.gid().unwrap_or(0),
    })
}

/// Makes the nodes and links. In a user namespace nodes can't be made, so the host's are shown in their place.
pub(crate) fn make(root: BorrowedFd<'_>, devices: &[DevicePlan], bind: bool) -> Step {
    let directory = paths::make_directory(root, Path::new("/dev"), 0o755)
        .step(|| "cannot open /dev of the container".into())?;
    for device in devices {
        if bind {
            bind_node(root, device)?;
            continue;
        }
        let (parent, name) = split(device)?;
        if parent == Path::new("/dev") {
            make_node(directory.as_fd(), name, device)?;
        } else {
            let parent = paths::make_directory(root, parent, 0o755)
                .step(|| format!("error creating device {}", device.path.display()))?;
            make_node(parent.as_fd(), name, device)?;
        }
    }
    for (target, name) in LINKS {
        match symlinkat(target, &directory, name) {
            Ok(()) => {}
            Err(Errno::EXIST) if name != "ptmx" => {}
            Err(Errno::EXIST) => replace_ptmx(directory.as_fd())?,
            Err(error) => return Err(error).step(|| format!("cannot make /dev/{name}")),
        }
    }
    Ok(())
}

/// An image's own `/dev/ptmx` is not the one of the container's terminals.
fn replace_ptmx(directory: BorrowedFd<'_>) -> Step {
    let flags = rustix::fs::AtFlags::empty();
    rustix::fs::unlinkat(directory, "ptmx", flags)
        .and_then(|()| symlinkat("pts/ptmx", directory, "ptmx"))
        .step(|| "cannot make /dev/ptmx".into())
}

fn make_node(directory: BorrowedFd<'_>, name: &std::ffi::OsStr, device: &DevicePlan) -> Step {
    let failed = || format!("error creating device {}", device.path.display());
    match mknodat(
        directory,
        name,
        device.kind,
        Mode::from(device.mode),
        device.number,
    ) {
        Ok(()) => {}
        // The image or an earlier entry has it.
        Err(Errno::EXIST) => {
            let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
            let there = rustix::fs::statat(directory, name, flags).step(failed)?;
            if FileType::from_raw_mode(there.st_mode) == device.kind
                && there.st_rdev == device.number
            {
                return Ok(());
            }
            return Err(Errno::EXIST).step(failed);
        }
        Err(error) => return Err(error).step(failed),
    }
    if device.uid != 0 || device.gid != 0 {
        let (uid, gid) = (Uid::from_raw(device.uid), Gid::from_raw(device.gid));
        let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
        chownat(directory, name, Some(uid), Some(gid), flags).step(failed)?;
        // Changing the owner clears some bits of the mode.
        let flags = rustix::fs::AtFlags::empty();
        chmodat(directory, name, Mode::from(device.mode), flags).step(failed)?;
    }
    Ok(())
}

fn bind_node(root: BorrowedFd<'_>, device: &DevicePlan) -> Step {
    let failed = || format!("error showing device {}", device.path.display());
    let place = paths::make_file(root, &device.path).step(failed)?;
    let node = tree::clone_host(&device.path, Recursive::No).step(failed)?;
    tree::attach(node.as_fd(), place.as_fd()).step(failed)
}

fn split(device: &DevicePlan) -> Step<(&Path, &std::ffi::OsStr)> {
    match (device.path.parent(), device.path.file_name()) {
        (Some(parent), Some(name)) => Ok((parent, name)),
        _ => Err(Failure::Step(format!(
            "invalid device path {}",
            device.path.display()
        ))),
    }
}

/// Whether the mounts of the specification leave it to the runtime to fill `/dev`: not where the host's is shown.
pub(crate) fn are_ours(mounts: &[super::options::MountPlan]) -> bool {
    !mounts.iter().any(|mount| {
        mount.bind.is_some()
            && mount
                .destination
                .components()
                .eq(Path::new("/dev").components())
    })
}
