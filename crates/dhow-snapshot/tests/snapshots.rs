//! Layers and snapshots on a real file system, with real overlay mounts.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "tests")]

use std::fs;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;

use dhow_archive::tar::{Header, Kind, Writer};
use dhow_archive::{ApplyOptions, ChangeKind, apply};
use dhow_errdefs::{Classify, ErrorKind, chain};
use dhow_metadata::Database;
use dhow_oci::{Digest, chain_id};
use dhow_snapshot::{ChainId, Error, Snapshots};
use tempfile::TempDir;

fn root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("SKIPPED: overlay mounts need root");
    }
    root
}

struct Store {
    at: TempDir,
    db: Database,
    snapshots: Snapshots,
}

impl Store {
    fn new() -> Self {
        let at = tempfile::tempdir().unwrap();
        let db = Database::open_in_memory().unwrap();
        let snapshots = Snapshots::open(at.path(), db.clone()).unwrap();
        Self { at, db, snapshots }
    }

    /// As after a restart.
    fn reopen(&mut self) {
        self.snapshots = Snapshots::open(self.at.path(), self.db.clone()).unwrap();
    }

    fn commit(&self, layer: &[u8], parent: Option<&ChainId>) -> Result<ChainId, Error> {
        let staging = self.snapshots.begin()?;
        let applied = apply(layer, staging.path(), &ApplyOptions::default()).unwrap();
        self.snapshots
            .commit(staging, &applied, &Digest::of(layer), parent)
    }

    /// How many directories there are in a folder of the store.
    fn count(&self, folder: &str) -> usize {
        fs::read_dir(self.at.path().join(folder)).unwrap().count()
    }
}

fn layer(entries: &[(&str, &str)]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    for (path, content) in entries {
        match path.strip_suffix('/') {
            Some(directory) => writer.entry(&Header::directory(directory, 0o755)).unwrap(),
            None => writer
                .bytes(Header::file(*path, 0o644, 0), content.as_bytes())
                .unwrap(),
        }
    }
    writer.finish().unwrap()
}

fn path(mount: &impl AsRawFd, path: &str) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}/{path}", mount.as_raw_fd()))
}

fn read(mount: &impl AsRawFd, name: &str) -> String {
    fs::read_to_string(path(mount, name)).unwrap()
}

#[test]
fn a_stack_of_layers_is_mounted_and_written_to() {
    if !root() {
        return;
    }
    let store = Store::new();
    let (a, b) = (
        layer(&[("./", ""), ("etc/", ""), ("etc/a", "a"), ("etc/b", "b")]),
        layer(&[("etc/.wh.a", ""), ("etc/c", "c"), ("etc/.wh.never", "")]),
    );
    let base = store.commit(&a, None).unwrap();
    let top = store.commit(&b, Some(&base)).unwrap();
    assert_eq!(base, Digest::of(&a));
    assert_eq!(top, chain_id(&[Digest::of(&a), Digest::of(&b)]));
    let info = store.snapshots.layer(&top).unwrap();
    assert_eq!(
        (info.parent, info.size, info.diff_id),
        (Some(base), 1, Digest::of(&b))
    );

    let mounts = store.snapshots.prepare("one", Some(&top)).unwrap();
    assert_eq!(mounts, store.snapshots.mounts("one").unwrap());
    // The layers and the skeleton.
    assert_eq!(mounts.lower.len(), 3);
    let text = serde_json::to_string(&mounts).unwrap();
    assert_eq!(
        serde_json::from_str::<dhow_snapshot::Mounts>(&text).unwrap(),
        mounts
    );
    let mount = mounts.mount().unwrap();
    assert!(!path(&mount, "etc/a").exists());
    let mut names: Vec<_> = fs::read_dir(path(&mount, "etc"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(
        names,
        ["b", "c", "hostname", "hosts", "mtab", "resolv.conf"]
    );
    fs::write(path(&mount, "etc/b"), "bb").unwrap();
    fs::write(path(&mount, "new"), "n").unwrap();
    drop(mount);

    assert_eq!(store.snapshots.usage("one").unwrap(), 3);
    let changes = store.snapshots.changes("one").unwrap();
    let found: Vec<_> = changes
        .iter()
        .map(|change| (change.path.to_str().unwrap(), change.kind))
        .collect();
    let modified = ChangeKind::Modified;
    assert_eq!(
        found,
        [
            ("/etc", modified),
            ("/etc/b", modified),
            ("/new", ChangeKind::Added)
        ]
    );
    let mut tar = Vec::new();
    store.snapshots.diff("one", &mut tar).unwrap();
    let committed = store.commit(&tar, Some(&top)).unwrap();
    let again = store.snapshots.view(&committed).unwrap().mount().unwrap();
    assert_eq!(
        (read(&again, "etc/b").as_str(), read(&again, "new").as_str()),
        ("bb", "n")
    );
    assert!(
        fs::write(path(&again, "new"), "x").is_err(),
        "a view is read-only"
    );
    store.snapshots.remove("one").unwrap();
    store.snapshots.remove("one").unwrap();
    assert_eq!(
        (
            store.count("active"),
            store.count("trash"),
            store.count("staging")
        ),
        (0, 0, 0)
    );
}

#[test]
fn layers_in_use_stay() {
    if !root() {
        return;
    }
    let store = Store::new();
    let base = store.commit(&layer(&[("a", "a")]), None).unwrap();
    let top = store.commit(&layer(&[("b", "b")]), Some(&base)).unwrap();
    store.snapshots.prepare("c1", Some(&top)).unwrap();
    let error = store.snapshots.remove_layer(&base).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("layer {base} is in use by layer {top}")
    );
    let error = store.snapshots.remove_layer(&top).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("layer {top} is in use by container c1")
    );
    assert_eq!(error.kind(), ErrorKind::Conflict);
    store.snapshots.remove("c1").unwrap();
    store.snapshots.remove_layer(&top).unwrap();
    store.snapshots.remove_layer(&base).unwrap();
    assert_eq!(
        store.snapshots.remove_layer(&base).unwrap_err().kind(),
        ErrorKind::NotFound
    );
    assert_eq!((store.count("layers"), store.count("trash")), (0, 0));
}

#[test]
fn the_same_layer_twice_is_one_layer() {
    if !root() {
        return;
    }
    let store = Store::new();
    let tar = layer(&[("a", "a")]);
    let staged: Vec<_> = (0..4)
        .map(|_| {
            let staging = store.snapshots.begin().unwrap();
            let applied = apply(tar.as_slice(), staging.path(), &ApplyOptions::default()).unwrap();
            (staging, applied)
        })
        .collect();
    let digest = Digest::of(&tar);
    std::thread::scope(|scope| {
        for (staging, applied) in staged {
            let snapshots = &store.snapshots;
            scope.spawn(move || snapshots.commit(staging, &applied, &digest, None).unwrap());
        }
    });
    assert_eq!((store.count("layers"), store.count("staging")), (1, 0));
    assert_eq!(store.snapshots.layers().unwrap().len(), 1);
}

#[test]
fn what_cannot_be_committed_leaves_nothing() {
    if !root() {
        return;
    }
    let store = Store::new();
    let base = store.commit(&layer(&[("a", "a")]), None).unwrap();
    let mut writer = Writer::new(Vec::new());
    writer.entry(&Header::hardlink("link", "missing")).unwrap();
    let error = store
        .commit(&writer.finish().unwrap(), Some(&base))
        .unwrap_err();
    assert!(
        chain(&error)
            .to_string()
            .ends_with(": hard link link: target missing does not exist"),
        "{}",
        chain(&error)
    );
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    let nobody = Digest::of(b"nobody");
    let error = store
        .commit(&layer(&[("a", "a")]), Some(&nobody))
        .unwrap_err();
    assert!(matches!(error, Error::NoLayer(id) if id == nobody));
    assert!(matches!(
        store.snapshots.prepare("x", Some(&nobody)),
        Err(Error::NoLayer(_))
    ));
    drop(store.snapshots.begin().unwrap());
    assert_eq!(
        (
            store.count("layers"),
            store.count("staging"),
            store.count("active")
        ),
        (1, 0, 0)
    );
}

#[test]
fn keys_are_names() {
    let store = Store::new();
    for key in ["", ".", "..", "a/b", ".hidden", "a\0b", &"x".repeat(200)] {
        let error = store.snapshots.prepare(key, None).unwrap_err();
        assert!(matches!(error, Error::InvalidKey(_)), "{key}");
    }
    store.snapshots.prepare("a", None).unwrap();
    let error = store.snapshots.prepare("a", None).unwrap_err();
    assert_eq!(error.to_string(), "snapshot a already exists");
    assert_eq!(
        store.snapshots.mounts("b").unwrap_err().to_string(),
        "snapshot b does not exist"
    );
    assert_eq!(store.snapshots.keys().unwrap(), ["a"]);
}

#[test]
fn a_container_can_stand_on_nothing() {
    if !root() {
        return;
    }
    let store = Store::new();
    let mount = store
        .snapshots
        .prepare("scratch", None)
        .unwrap()
        .mount()
        .unwrap();
    fs::write(path(&mount, "f"), "f").unwrap();
    let changes = store.snapshots.changes("scratch").unwrap();
    assert_eq!((changes.len(), changes[0].kind), (1, ChangeKind::Added));
}

#[test]
fn no_layer_has_a_say_in_the_root() {
    if !root() {
        return;
    }
    let store = Store::new();
    let mut writer = Writer::new(Vec::new());
    writer
        .entry(&Header::directory("./", 0o1711).owned_by(7, 8))
        .unwrap();
    let base = store.commit(&writer.finish().unwrap(), None).unwrap();
    let top = store.commit(&layer(&[("f", "f")]), Some(&base)).unwrap();
    let mount = store
        .snapshots
        .prepare("c", Some(&top))
        .unwrap()
        .mount()
        .unwrap();
    let seen = rustix::fs::fstat(&mount).unwrap();
    assert_eq!(
        (seen.st_mode & 0o7777, seen.st_uid, seen.st_gid),
        (0o755, 0, 0),
        "as in Docker"
    );
}

#[test]
fn two_hundred_layers_are_one_file_system() {
    if !root() {
        return;
    }
    let store = Store::new();
    let mut top = None;
    for index in 0..200 {
        let name = format!("d/{index}");
        let tar = layer(&[(&name, "x"), ("last", &index.to_string())]);
        top = Some(store.commit(&tar, top.as_ref()).unwrap());
    }
    let mount = store
        .snapshots
        .prepare("c", top.as_ref())
        .unwrap()
        .mount()
        .unwrap();
    assert_eq!(fs::read_dir(path(&mount, "d")).unwrap().count(), 200);
    assert_eq!(read(&mount, "last"), "199");
}

#[test]
fn a_crash_anywhere_is_cleared_up() {
    if !root() {
        return;
    }
    let mut store = Store::new();
    let base = store.commit(&layer(&[("a", "a")]), None).unwrap();
    let lost = store.commit(&layer(&[("b", "b")]), None).unwrap();
    store.snapshots.prepare("kept", Some(&base)).unwrap();
    store.snapshots.prepare("lost", Some(&base)).unwrap();
    let at = store.at.path().to_owned();
    // Staging and trash half-way, directories without records, records without directories.
    std::mem::forget(store.snapshots.begin().unwrap());
    fs::create_dir_all(at.join("trash/1-1/deep/er")).unwrap();
    fs::create_dir_all(at.join("layers").join("0".repeat(64)).join("x")).unwrap();
    fs::create_dir_all(at.join("active/unknown/upper")).unwrap();
    fs::remove_dir_all(at.join("layers").join(lost.hex())).unwrap();
    fs::remove_dir_all(at.join("active/lost")).unwrap();
    store.reopen();
    assert_eq!((store.count("layers"), store.count("active")), (1, 1));
    assert_eq!((store.count("staging"), store.count("trash")), (0, 0));
    assert!(store.snapshots.contains(&base).unwrap() && !store.snapshots.contains(&lost).unwrap());
    assert_eq!(store.snapshots.keys().unwrap(), ["kept"]);
    let mount = store.snapshots.mounts("kept").unwrap().mount().unwrap();
    assert_eq!(read(&mount, "a"), "a");
}

#[test]
fn layers_not_on_the_disk_are_forgotten_after_a_loss_of_power() {
    #[derive(serde::Serialize, serde::Deserialize)]
    struct Raw(serde_json::Value);
    impl dhow_metadata::Record for Raw {
        const COLLECTION: &'static str = "layers";
    }
    if !root() {
        return;
    }
    let mut store = Store::new();
    let flushed = store.commit(&layer(&[("a", "a")]), None).unwrap();
    store.snapshots.flush().unwrap();
    let used = store.commit(&layer(&[("b", "b")]), Some(&flushed)).unwrap();
    let unused = store.commit(&layer(&[("c", "c")]), Some(&flushed)).unwrap();
    store.snapshots.prepare("c", Some(&used)).unwrap();
    store.reopen();
    assert_eq!(store.snapshots.layers().unwrap().len(), 3, "the same boot");
    // The next boot.
    for (key, mut record) in store.db.list::<Raw>().unwrap() {
        if record.0["unflushed_since_boot"].is_string() {
            record.0["unflushed_since_boot"] = "another".into();
            store.db.put(&key, &record).unwrap();
        }
    }
    store.reopen();
    assert!(!store.snapshots.contains(&unused).unwrap());
    assert!(
        store.snapshots.contains(&used).unwrap(),
        "a container stands on it"
    );
    assert!(store.snapshots.contains(&flushed).unwrap());
    assert_eq!(store.count("layers"), 2);
}

#[test]
fn a_full_disk_leaves_nothing_behind() {
    use rustix::mount::{
        FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_string, fsmount,
        fsopen,
    };
    if !root() {
        return;
    }
    let context = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC).unwrap();
    fsconfig_set_string(&context, "size", "256k").unwrap();
    fsconfig_create(context.as_fd()).unwrap();
    let flags = FsMountFlags::FSMOUNT_CLOEXEC;
    let disk = fsmount(context.as_fd(), flags, MountAttrFlags::empty()).unwrap();
    let db = Database::open_in_memory().unwrap();
    let snapshots = Snapshots::open(&path(&disk, "store"), db).unwrap();
    let staging = snapshots.begin().unwrap();
    let mut writer = Writer::new(Vec::new());
    writer
        .bytes(Header::file("big", 0o644, 0), &vec![1; 1 << 20])
        .unwrap();
    let tar = writer.finish().unwrap();
    let error = apply(tar.as_slice(), staging.path(), &ApplyOptions::default()).unwrap_err();
    let text = chain(&error).to_string();
    assert_eq!(text, "write /big: No space left on device (os error 28)");
    assert!(error.hint().is_some());
    drop(staging);
    assert_eq!(
        fs::read_dir(path(&disk, "store/staging")).unwrap().count(),
        0
    );
}

#[test]
fn devices_and_setuid_survive_in_a_stack() {
    if !root() {
        return;
    }
    let store = Store::new();
    let mut writer = Writer::new(Vec::new());
    writer
        .entry(&Header::node("dev/null", Kind::CharDevice, 0o666, (1, 3)))
        .unwrap();
    writer.bytes(Header::file("su", 0o4755, 0), b"x").unwrap();
    let base = store.commit(&writer.finish().unwrap(), None).unwrap();
    let mut writer = Writer::new(Vec::new());
    writer.entry(&Header::hardlink("sudo", "su")).unwrap();
    let top = store
        .commit(&writer.finish().unwrap(), Some(&base))
        .unwrap();
    let mount = store.snapshots.view(&top).unwrap().mount().unwrap();
    let null = path(&mount, "dev/null").metadata().unwrap();
    assert_eq!(
        (null.mode(), null.rdev()),
        (0o020_666, rustix::fs::makedev(1, 3))
    );
    let [su, sudo] = ["su", "sudo"].map(|name| path(&mount, name).metadata().unwrap());
    assert_eq!(
        (su.permissions().mode() & 0o7777, su.ino()),
        (0o4755, sudo.ino())
    );
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(
        !mounts.contains(store.at.path().to_str().unwrap()),
        "nothing is mounted for others"
    );
}
