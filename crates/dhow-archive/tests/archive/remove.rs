//! Trees removed.

use std::os::fd::AsFd;
use std::path::Path;

use dhow_archive::remove_tree;
use rustix::fs::{CWD, Mode, OFlags, mkdirat, openat};

use crate::common::{open, read};

#[test]
fn anything_is_removed_and_nothing_else() {
    let at = tempfile::tempdir().unwrap();
    let parent = open(at.path());
    let outside = at.path().join("outside");
    std::fs::create_dir_all(outside.join("sub")).unwrap();
    std::fs::write(outside.join("kept"), "kept").unwrap();
    std::fs::create_dir_all(at.path().join("tree/a/b")).unwrap();
    for index in 0..3000 {
        std::fs::write(at.path().join(format!("tree/a/{index}")), "").unwrap();
    }
    std::os::unix::fs::symlink(&outside, at.path().join("tree/a/link")).unwrap();
    std::os::unix::fs::symlink(&outside, at.path().join("link")).unwrap();
    for name in ["tree", "link", "missing"] {
        remove_tree(parent.as_fd(), Path::new(name)).unwrap();
    }
    assert_eq!(std::fs::read_dir(at.path()).unwrap().count(), 1);
    assert_eq!(read(outside.join("kept")), "kept");
}

#[test]
fn any_depth_is_removed() {
    let at = tempfile::tempdir().unwrap();
    let parent = open(at.path());
    // Deeper than any path can name.
    std::fs::create_dir(at.path().join("deep")).unwrap();
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut directory = openat(CWD, at.path().join("deep"), flags, Mode::empty()).unwrap();
    for _ in 0..4_000 {
        mkdirat(&directory, "d", Mode::RWXU).unwrap();
        openat(&directory, "f", OFlags::CREATE | OFlags::WRONLY, Mode::RUSR).unwrap();
        directory = openat(&directory, "d", flags, Mode::empty()).unwrap();
    }
    drop(directory);
    remove_tree(parent.as_fd(), Path::new("deep")).unwrap();
    assert_eq!(std::fs::read_dir(at.path()).unwrap().count(), 0);
}
