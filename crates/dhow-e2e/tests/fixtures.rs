//! The fixtures themselves: that they are made, and are what they claim.
#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

use dhow_testkit::{images, packages};
use std::process::Command;

#[test]
fn busybox_runs_in_its_root() {
    if !dhow_testkit::root_or_skip("busybox fixture") {
        return;
    }
    let output = Command::new("chroot")
        .arg(images::busybox_rootfs())
        .args(["/bin/echo", "hello"])
        .output()
        .unwrap();
    assert_eq!(output.stdout, b"hello\n");
}

#[test]
fn the_debian_archive_has_a_package_database() {
    if !dhow_testkit::root_or_skip("debian fixture") {
        return;
    }
    let archive = std::fs::File::open(images::debian_tar()).unwrap();
    let mut archive = tar::Archive::new(archive);
    let found = archive.entries().unwrap().any(|entry| {
        entry.is_ok_and(|entry| {
            entry
                .path()
                .is_ok_and(|path| path.ends_with("var/lib/dpkg/status"))
        })
    });
    assert!(found);
}

#[test]
fn tools_of_packages_run() {
    let output = packages::tool("docker-registry", "docker-registry")
        .command()
        .arg("--version")
        .output()
        .unwrap();
    assert!(output.status.success());
    let output = packages::tool("skopeo", "skopeo")
        .command()
        .arg("--version")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
