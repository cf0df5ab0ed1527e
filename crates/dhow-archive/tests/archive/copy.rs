//! `docker cp`, both ways, and `docker export`.

use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use dhow_archive::tar::Header;
use dhow_archive::{Destination, Error, UnpackOptions, export, pack, stat, unpack};
use tempfile::TempDir;

use crate::common::{archive, dir, file, hardlink, listing, names, open, read, root};

/// A small root file system.
fn rootfs() -> (TempDir, File) {
    let at = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(at.path().join("etc/sub")).unwrap();
    std::fs::write(at.path().join("etc/passwd"), "root").unwrap();
    std::fs::write(at.path().join("etc/sub/f"), "f").unwrap();
    std::fs::hard_link(at.path().join("etc/passwd"), at.path().join("etc/sub/same")).unwrap();
    symlink("/etc", at.path().join("abs")).unwrap();
    symlink("../../../../etc/passwd", at.path().join("etc/up")).unwrap();
    let fd = open(at.path());
    (at, fd)
}

fn packed(rootfs: &File, path: &str) -> Vec<String> {
    let mut tar = Vec::new();
    pack(rootfs.as_fd(), Path::new(path), &mut tar).unwrap();
    names(&tar)
}

#[test]
fn names_are_dockers() {
    let (_at, root) = rootfs();
    let inside = |base: &str| {
        ["", "passwd", "sub/", "sub/f", "sub/same", "up"]
            .map(|name| format!("{base}{name}"))
            .to_vec()
    };
    assert_eq!(packed(&root, "/etc"), inside("etc/"));
    assert_eq!(packed(&root, "/etc/"), inside("etc/"));
    assert_eq!(packed(&root, "/etc/."), inside("./"));
    assert_eq!(packed(&root, "/abs"), ["abs"]);
    assert_eq!(packed(&root, "/abs/"), inside("abs/"));
    assert_eq!(packed(&root, "/abs/sub"), ["sub/", "sub/f", "sub/same"]);
    assert_eq!(packed(&root, "etc/passwd"), ["passwd"]);
    assert_eq!(packed(&root, "/etc/../etc/sub/../passwd"), ["passwd"]);
    assert_eq!(packed(&root, "/")[..3], ["/", "/abs", "/etc/"]);
}

#[test]
fn missing_paths_are_not_found() {
    let (_at, root) = rootfs();
    let missing = stat(root.as_fd(), Path::new("/etc/nope")).unwrap_err();
    assert_eq!(
        missing.to_string(),
        "lstat /etc/nope: no such file or directory"
    );
    assert!(matches!(missing, Error::NotFound { .. }));
    assert!(stat(root.as_fd(), Path::new("/etc/passwd/")).is_err());
}

#[test]
fn a_path_is_described() {
    let (at, root) = rootfs();
    let of = |path: &str| stat(root.as_fd(), Path::new(path)).unwrap();
    let file = of("/etc/passwd");
    assert_eq!(
        (file.name.as_str(), file.size, file.link_target.as_str()),
        ("passwd", 4, "")
    );
    assert_eq!(
        file.mtime.seconds,
        at.path().join("etc/passwd").metadata().unwrap().mtime()
    );
    assert_eq!(of("/etc").mode & (1 << 31), 1 << 31);
    let link = of("/abs");
    assert_eq!(
        (link.mode & (1 << 27), link.link_target.as_str()),
        (1 << 27, "/etc")
    );
    assert_eq!(of("/etc/up").link_target, "/etc/passwd");
    assert_eq!(of("/").name, "/");
    assert_eq!(of("/abs/.").mode & (1 << 31), 1 << 31);
}

#[test]
fn an_export_holds_everything_and_unpacks_again() {
    if !root() {
        return;
    }
    let (at, fd) = rootfs();
    let mut tar = Vec::new();
    let written = export(fd.as_fd(), &mut tar).unwrap();
    assert_eq!((written.entries, written.bytes), (7, 5));
    let target = tempfile::tempdir().unwrap();
    let options = UnpackOptions::default();
    unpacked(&open(target.path()), "/", &tar, &options).unwrap();
    assert_eq!(listing(target.path()), listing(at.path()));
}

fn unpacked(rootfs: &File, path: &str, tar: &[u8], options: &UnpackOptions) -> Result<(), Error> {
    let into = Destination::find(rootfs.as_fd(), Path::new(path))?;
    unpack(tar, &into, options)
}

#[test]
fn archives_are_unpacked_into_directories_only() {
    let (at, root) = rootfs();
    let tar = archive([dir("new"), file("new/f", "x"), hardlink("new/g", "new/f")]);
    let plain = UnpackOptions::default();
    unpacked(&root, "/abs/sub", &tar, &plain).unwrap();
    assert_eq!(read(at.path().join("etc/sub/new/g")), "x");
    let error = unpacked(&root, "/etc/passwd", &tar, &plain).unwrap_err();
    assert_eq!(error.to_string(), "extraction point is not a directory");
    assert!(matches!(
        unpacked(&root, "/no", &tar, &plain),
        Err(Error::NotFound { .. })
    ));
    let dangling = archive([hardlink("l", "nowhere")]);
    assert!(matches!(
        unpacked(&root, "/", &dangling, &plain),
        Err(Error::LinkTarget { .. })
    ));
}

#[test]
fn whiteouts_are_plain_files_here() {
    let (at, root) = rootfs();
    let tar = archive([file(".wh.passwd", "w")]);
    unpacked(&root, "/etc", &tar, &UnpackOptions::default()).unwrap();
    assert_eq!(read(at.path().join("etc/.wh.passwd")), "w");
    assert_eq!(read(at.path().join("etc/passwd")), "root");
}

#[test]
fn kinds_are_kept_when_asked_for() {
    let (at, root) = rootfs();
    let keep = UnpackOptions {
        no_overwrite_dir_non_dir: true,
        ..UnpackOptions::default()
    };
    let file_over_dir = archive([file("sub", "x")]);
    let error = unpacked(&root, "/etc", &file_over_dir, &keep).unwrap_err();
    assert_eq!(
        error.to_string(),
        r#"cannot overwrite directory "sub" with non-directory "/etc""#
    );
    let dir_over_file = archive([dir("passwd")]);
    let error = unpacked(&root, "/etc", &dir_over_file, &keep).unwrap_err();
    assert_eq!(
        error.to_string(),
        r#"cannot overwrite non-directory "passwd" with directory "/etc""#
    );
    unpacked(&root, "/etc", &file_over_dir, &UnpackOptions::default()).unwrap();
    assert_eq!(read(at.path().join("etc/sub")), "x");
}

#[test]
fn owners_and_modes_are_the_archives_or_those_asked_for() {
    if !root() {
        return;
    }
    let (at, fd) = rootfs();
    let set = PermissionsExt::from_mode(0o2777);
    std::fs::set_permissions(at.path().join("etc"), set).unwrap();
    let tar = archive([
        (
            Header::file("f", 0o600, 0).owned_by(5, 6).modified_at(7),
            b"x".as_slice(),
        ),
        (
            Header::directory("d", 0o711).owned_by(5, 6).modified_at(8),
            b"",
        ),
    ]);
    let is = |path: &str| {
        let metadata = at.path().join(path).metadata().unwrap();
        (
            metadata.mode() & 0o7777,
            metadata.uid(),
            metadata.gid(),
            metadata.mtime(),
        )
    };
    unpacked(&fd, "/etc", &tar, &UnpackOptions::default()).unwrap();
    assert_eq!(
        (is("etc/f"), is("etc/d")),
        ((0o600, 5, 6, 7), (0o711, 5, 6, 8))
    );
    let owner = UnpackOptions {
        owner: Some((10, 11)),
        ..UnpackOptions::default()
    };
    unpacked(&fd, "/etc", &tar, &owner).unwrap();
    assert_eq!(
        (is("etc/f"), is("etc/d")),
        ((0o600, 10, 11, 7), (0o711, 10, 11, 8))
    );
}

#[test]
fn links_are_followed_below_the_destination_only() {
    let (at, root) = rootfs();
    symlink("/", at.path().join("etc/sub/out")).unwrap();
    symlink("../../..", at.path().join("etc/sub/up")).unwrap();
    let tar = archive([file("out/one", "1"), file("up/two", "2")]);
    unpacked(&root, "/etc/sub", &tar, &UnpackOptions::default()).unwrap();
    assert_eq!(read(at.path().join("etc/sub/one")), "1");
    assert_eq!(read(at.path().join("etc/sub/two")), "2");
}

#[test]
fn paths_that_lead_nowhere_are_told_in_dockers_words() {
    let (at, root) = rootfs();
    symlink("loop", at.path().join("loop")).unwrap();
    let text = |error: Error| dhow_errdefs::chain(&error).to_string();
    let find = |path: &str| text(Destination::find(root.as_fd(), Path::new(path)).unwrap_err());
    assert_eq!(find("/loop"), "EvalSymlinks: too many links");
    assert!(find("/etc/passwd/").starts_with("lstat /etc/passwd/: "));
    let of = |path: &str| text(stat(root.as_fd(), Path::new(path)).unwrap_err());
    assert_eq!(of("/loop"), "evalSymlinksInScope: too many links in /loop");
    assert!(of("/loop/x").starts_with("lstat /loop/x: "));
}

#[test]
fn names_can_be_replaced() {
    let (at, root) = rootfs();
    let tar = archive([
        dir("old"),
        file("old/f", "x"),
        hardlink("old/g", "old/f"),
        file("older", "y"),
    ]);
    let options = UnpackOptions {
        rebase: Some(("old".into(), "new".into())),
        ..UnpackOptions::default()
    };
    unpacked(&root, "/etc", &tar, &options).unwrap();
    assert_eq!(read(at.path().join("etc/new/g")), "x");
    assert_eq!(read(at.path().join("etc/older")), "y");
}
