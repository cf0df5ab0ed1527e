#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "tests")]

use super::*;
use rustix::fs::{OFlags, openat};
use std::io::{Read, Write};

fn root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("SKIPPED: overlay mounts need root");
    }
    root
}

fn layers(at: &Path, count: usize) -> Vec<PathBuf> {
    (0..count)
        .map(|index| {
            let layer = at.join(format!("layer-{index}"));
            std::fs::create_dir(&layer).unwrap();
            std::fs::write(layer.join(format!("file-{index}")), index.to_string()).unwrap();
            std::fs::write(layer.join("top"), index.to_string()).unwrap();
            layer
        })
        .collect()
}

fn overlay(at: &Path, count: usize) -> OverlayMount {
    let (upper, work) = (at.join("upper"), at.join("work"));
    std::fs::create_dir(&upper).unwrap();
    std::fs::create_dir(&work).unwrap();
    OverlayMount {
        lower: layers(at, count),
        upper: Some(upper),
        work: Some(work),
        read_only: false,
        volatile: false,
    }
}

fn read(mount: &OwnedFd, name: &str) -> String {
    let file = openat(mount, name, OFlags::RDONLY, Mode::empty()).unwrap();
    let mut text = String::new();
    std::fs::File::from(file).read_to_string(&mut text).unwrap();
    text
}

fn write(mount: &OwnedFd, name: &str) -> Result<(), Errno> {
    let flags = OFlags::WRONLY | OFlags::CREATE;
    let file = openat(mount, name, flags, Mode::from_raw_mode(0o644))?;
    std::fs::File::from(file).write_all(b"new").unwrap();
    Ok(())
}

fn check(mount: &OwnedFd, at: &Path, count: usize) {
    assert_eq!(
        read(mount, "top"),
        "0",
        "the first lower directory is the topmost"
    );
    for index in 0..count {
        assert_eq!(read(mount, &format!("file-{index}")), index.to_string());
    }
    write(mount, "written").unwrap();
    assert_eq!(
        std::fs::read_to_string(at.join("upper/written")).unwrap(),
        "new"
    );
}

#[test]
fn two_hundred_layers_are_mounted() {
    if !root() {
        return;
    }
    let at = tempfile::tempdir().unwrap();
    let mount = overlay(at.path(), 200).detached().unwrap();
    check(&mount, at.path(), 200);
}

#[test]
fn older_kernels_mount_two_hundred_layers_too() {
    if !root() {
        return;
    }
    let at = tempfile::tempdir().unwrap();
    let mount = overlay(at.path(), 200).by_private_namespace().unwrap();
    check(&mount, at.path(), 200);
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(
        !mounts.contains(" dhow "),
        "the private namespace leaks a mount"
    );
}

#[test]
fn long_paths_are_no_obstacle() {
    if !root() {
        return;
    }
    let at = tempfile::tempdir().unwrap();
    let deep = at.path().join("x".repeat(200)).join("y".repeat(200));
    std::fs::create_dir_all(&deep).unwrap();
    let mount = overlay(&deep, 3).detached().unwrap();
    check(&mount, &deep, 3);
}

#[test]
fn read_only_mounts_refuse_writes() {
    if !root() {
        return;
    }
    let at = tempfile::tempdir().unwrap();
    let whole = overlay(at.path(), 2);
    let without_upper = OverlayMount {
        lower: whole.lower.clone(),
        ..OverlayMount::default()
    };
    let single = OverlayMount {
        lower: vec![whole.lower[0].clone()],
        ..OverlayMount::default()
    };
    let forced = OverlayMount {
        read_only: true,
        ..whole
    };
    for overlay in [without_upper, single, forced] {
        let mount = overlay.detached().unwrap();
        assert_eq!(read(&mount, "top"), "0");
        assert_eq!(
            write(&mount, "written").unwrap_err(),
            Errno::ROFS,
            "{overlay:?}"
        );
    }
}

#[test]
fn an_upper_directory_alone_is_enough() {
    if !root() {
        return;
    }
    let at = tempfile::tempdir().unwrap();
    let mount = OverlayMount {
        lower: vec![],
        ..overlay(at.path(), 1)
    }
    .detached()
    .unwrap();
    write(&mount, "written").unwrap();
    assert!(at.path().join("upper/written").exists());
}

#[test]
fn nothing_at_all_is_refused() {
    let nothing = OverlayMount::default();
    assert!(matches!(
        nothing.detached(),
        Err(OverlayError::Incomplete(_))
    ));
    let no_work = OverlayMount {
        lower: vec!["/".into(), "/usr".into()],
        upper: Some("/tmp".into()),
        ..OverlayMount::default()
    };
    assert_eq!(
        no_work.detached().unwrap_err().to_string(),
        "overlay mount without a work directory"
    );
}

#[test]
fn volatile_mounts_follow_each_other() {
    if !root() {
        return;
    }
    let at = tempfile::tempdir().unwrap();
    let plain = overlay(at.path(), 2);
    let volatile = OverlayMount {
        volatile: true,
        ..plain.clone()
    };
    for overlay in [&volatile, &volatile, &plain, &volatile] {
        let mount = overlay.detached().unwrap();
        write(&mount, "written").unwrap();
    }
    let mount = volatile.by_private_namespace();
    assert!(
        mount.is_err(),
        "the mark of the mount before is still there"
    );
    forget_volatile(&at.path().join("work"));
    write(&volatile.by_private_namespace().unwrap(), "again").unwrap();
}
