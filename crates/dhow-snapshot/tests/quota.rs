//! Limits of what containers write, on a file system with project quotas.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "tests")]

use std::fs;
use std::io::Write;
use std::os::fd::AsFd;
use std::process::{Command, Stdio};

use dhow_metadata::Database;
use dhow_snapshot::Snapshots;
use dhow_sys::quota;
use tempfile::TempDir;

/// A small file system in a file, mounted; goes with this.
struct Disk(TempDir);

impl Disk {
    /// With these mount options, the first kind that this machine can have so; none, and loudly, where it can't.
    fn mount(options: &str) -> Option<Self> {
        let xfs = dhow_testkit::packages::tool("mkfs.xfs", "xfsprogs");
        let mut ext4 = Command::new("mkfs.ext4");
        ext4.args(["-q", "-O", "quota,project", "-E", "quotatype=prjquota"]);
        for mut make in [xfs.command(), ext4] {
            let at = tempfile::tempdir().unwrap();
            let (image, folder) = (at.path().join("image"), at.path().join("disk"));
            fs::create_dir(&folder).unwrap();
            let file = fs::File::create(&image).unwrap();
            file.set_len(320 << 20).unwrap();
            make.arg(&image);
            let mut mount = Command::new("mount");
            mount.args(["-o", options]).args([&image, &folder]);
            if [&mut make, &mut mount].into_iter().all(succeeds) {
                return Some(Self(at));
            }
        }
        eprintln!("SKIPPED: no file system with {options} can be mounted here");
        None
    }

    fn folder(&self) -> std::path::PathBuf {
        self.0.path().join("disk")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.folder()).status();
    }
}

fn succeeds(command: &mut Command) -> bool {
    let quiet = command.stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

fn open(path: &std::path::Path) -> fs::File {
    fs::File::open(path).unwrap()
}

/// What is made in a directory of a project belongs to it.
#[test]
fn projects_are_handed_on() {
    let Some(disk) = Disk::mount("loop") else {
        return;
    };
    let folder = disk.folder().join("tree");
    fs::create_dir(&folder).unwrap();
    assert_eq!(quota::project(open(&folder).as_fd()).unwrap(), 0);
    quota::set_project(open(&folder).as_fd(), 0x4000_0007).unwrap();
    fs::create_dir(folder.join("inner")).unwrap();
    fs::write(folder.join("inner/file"), "x").unwrap();
    for path in ["", "inner", "inner/file"] {
        let project = quota::project(open(&folder.join(path)).as_fd());
        assert_eq!(project.unwrap(), 0x4000_0007, "{path}");
    }
    // Projects alone are no quotas.
    let store = disk.folder().join("store");
    let snapshots = Snapshots::open(&store, Database::open_in_memory().unwrap()).unwrap();
    assert!(!snapshots.has_quotas());
    snapshots.prepare("one", None).unwrap();
    assert!(snapshots.limit("one", 4 << 20).is_err());
}

#[test]
fn a_limited_snapshot_takes_no_more() {
    let Some(disk) = Disk::mount("loop,prjquota") else {
        return;
    };
    let store = disk.folder().join("store");
    let snapshots = Snapshots::open(&store, Database::open_in_memory().unwrap()).unwrap();
    assert!(snapshots.has_quotas());
    for key in ["one", "two", "free"] {
        snapshots.prepare(key, None).unwrap();
    }
    for key in ["one", "two"] {
        snapshots.limit(key, 4 << 20).unwrap();
    }
    let project = |key: &str| quota::project(open(&snapshots.upper(key).unwrap()).as_fd()).unwrap();
    assert_ne!(project("one"), project("two"));
    let fill = |key: &str| {
        let path = snapshots.upper(key).unwrap().join("filler");
        let mut file = fs::File::create(path).unwrap();
        let block = [1; 64 * 1024];
        let mut written = 0;
        while written < 8 << 20 && file.write_all(&block).is_ok() {
            written += block.len();
        }
        written
    };
    assert!(fill("one") <= 4 << 20);
    assert!(fill("two") <= 4 << 20);
    assert_eq!(fill("free"), 8 << 20);
    let used = project("one");
    let root = open(&store);
    assert!(quota::usage(root.as_fd(), used).unwrap().used > 3 << 20);
    snapshots.remove("one").unwrap();
    let usage = quota::usage(root.as_fd(), used).unwrap();
    assert_eq!((usage.limit, usage.used), (0, 0));
}
