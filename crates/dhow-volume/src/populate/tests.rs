#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "tests")]

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};

use rustix::fs::CWD;

use super::*;

struct Trees {
    directory: tempfile::TempDir,
}

impl Trees {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("from")).unwrap();
        fs::create_dir(directory.path().join("to")).unwrap();
        Self { directory }
    }

    fn from(&self, name: &str) -> PathBuf {
        self.directory.path().join("from").join(name)
    }

    fn to(&self, name: &str) -> PathBuf {
        self.directory.path().join("to").join(name)
    }

    fn populate(&self) -> Result<bool, PopulateError> {
        let (from, to) = (
            File::open(self.from("")).unwrap(),
            File::open(self.to("")).unwrap(),
        );
        populate(from.as_fd(), to.as_fd())
    }
}

#[test]
fn everything_is_copied_as_it_is() {
    let trees = Trees::new();
    fs::create_dir_all(trees.from("sub/deeper")).unwrap();
    fs::write(trees.from("sub/deeper/file"), b"content").unwrap();
    fs::hard_link(trees.from("sub/deeper/file"), trees.from("sub/second")).unwrap();
    symlink("/etc/passwd", trees.from("sub/link")).unwrap();
    symlink("/nowhere", trees.from("dangling")).unwrap();
    rustix::fs::mkfifoat(CWD, trees.from("fifo"), Mode::from_raw_mode(0o640)).unwrap();
    fs::set_permissions(
        trees.from("sub/deeper/file"),
        fs::Permissions::from_mode(0o4755),
    )
    .unwrap();
    fs::set_permissions(trees.from("sub"), fs::Permissions::from_mode(0o1777)).unwrap();
    fs::set_permissions(trees.from(""), fs::Permissions::from_mode(0o2750)).unwrap();
    let old = Timespec {
        tv_sec: 1_000_000_000,
        tv_nsec: 5,
    };
    let times = Timestamps {
        last_access: old,
        last_modification: old,
    };
    rustix::fs::utimensat(CWD, trees.from("sub"), &times, AtFlags::empty()).unwrap();
    rustix::fs::setxattr(
        trees.from("sub/deeper/file"),
        "user.colour",
        b"blue",
        XattrFlags::empty(),
    )
    .unwrap();

    assert!(trees.populate().unwrap());

    assert_eq!(fs::read(trees.to("sub/deeper/file")).unwrap(), b"content");
    assert_eq!(
        fs::metadata(trees.to("sub/deeper/file")).unwrap().mode() & 0o7777,
        0o4755
    );
    assert_eq!(
        fs::metadata(trees.to("sub/second")).unwrap().ino(),
        fs::metadata(trees.to("sub/deeper/file")).unwrap().ino()
    );
    assert_eq!(
        fs::read_link(trees.to("sub/link")).unwrap(),
        Path::new("/etc/passwd")
    );
    assert_eq!(
        fs::read_link(trees.to("dangling")).unwrap(),
        Path::new("/nowhere")
    );
    assert!(
        fs::symlink_metadata(trees.to("fifo"))
            .unwrap()
            .file_type()
            .is_fifo()
    );
    assert_eq!(
        fs::metadata(trees.to("fifo")).unwrap().mode() & 0o7777,
        0o640
    );
    let sub = fs::metadata(trees.to("sub")).unwrap();
    assert_eq!(
        (sub.mode() & 0o7777, sub.mtime(), sub.mtime_nsec()),
        (0o1777, 1_000_000_000, 5)
    );
    assert_eq!(fs::metadata(trees.to("")).unwrap().mode() & 0o7777, 0o2750);
    let mut value = [0; 8];
    let length =
        rustix::fs::getxattr(trees.to("sub/deeper/file"), "user.colour", &mut value[..]).unwrap();
    assert_eq!(&value[..length], b"blue");
}

#[test]
fn owners_and_devices_are_copied() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED owners_and_devices_are_copied: needs root");
        return;
    }
    let trees = Trees::new();
    fs::write(trees.from("file"), b"x").unwrap();
    symlink("x", trees.from("link")).unwrap();
    rustix::fs::mknodat(
        CWD,
        trees.from("null"),
        FileType::CharacterDevice,
        Mode::RUSR,
        rustix::fs::makedev(1, 3),
    )
    .unwrap();
    for (name, owner) in [("", 70), ("file", 71), ("link", 72), ("null", 73)] {
        std::os::unix::fs::lchown(trees.from(name), Some(owner), Some(owner + 100)).unwrap();
    }
    fs::set_permissions(trees.from("file"), fs::Permissions::from_mode(0o6711)).unwrap();
    trees.populate().unwrap();
    for (name, owner) in [("", 70), ("file", 71), ("link", 72), ("null", 73)] {
        let there = fs::symlink_metadata(trees.to(name)).unwrap();
        assert_eq!((there.uid(), there.gid()), (owner, owner + 100), "{name}");
    }
    assert_eq!(
        fs::metadata(trees.to("file")).unwrap().mode() & 0o7777,
        0o6711,
        "chown must not cost the bits"
    );
    assert_eq!(
        fs::metadata(trees.to("null")).unwrap().rdev(),
        rustix::fs::makedev(1, 3)
    );
}

#[test]
fn holes_stay_holes() {
    let trees = Trees::new();
    let file = File::create(trees.from("sparse")).unwrap();
    file.set_len(64 << 20).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"middle", 32 << 20).unwrap();
    trees.populate().unwrap();
    let there = fs::metadata(trees.to("sparse")).unwrap();
    assert_eq!(there.len(), 64 << 20);
    assert!(there.blocks() * 512 < 1 << 20, "{} blocks", there.blocks());
    let mut read = [0; 6];
    std::os::unix::fs::FileExt::read_exact_at(
        &File::open(trees.to("sparse")).unwrap(),
        &mut read,
        32 << 20,
    )
    .unwrap();
    assert_eq!(&read, b"middle");
}

#[test]
fn a_volume_with_something_in_it_is_left_alone() {
    let trees = Trees::new();
    fs::write(trees.from("image"), b"").unwrap();
    fs::write(trees.to("users"), b"").unwrap();
    assert!(!trees.populate().unwrap());
    assert!(!trees.to("image").exists());
}

#[test]
fn a_tree_too_deep_is_refused() {
    let trees = Trees::new();
    let mut deep = trees.from("");
    (0..300).for_each(|_| deep.push("d"));
    fs::create_dir_all(&deep).unwrap();
    let error = trees.populate().unwrap_err();
    assert!(
        error.to_string().starts_with("descend into d/d/"),
        "{error}"
    );
}
