#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "tests")]

use super::*;

struct World {
    directory: tempfile::TempDir,
    db: Database,
    volumes: Volumes,
}

impl World {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let db = Database::open_in_memory().unwrap();
        let volumes = Volumes::open(&directory.path().join("volumes"), db.clone()).unwrap();
        Self {
            directory,
            db,
            volumes,
        }
    }

    /// The same volumes after the daemon's death.
    fn restart(&self) -> Volumes {
        Volumes::open(&self.directory.path().join("volumes"), self.db.clone()).unwrap()
    }

    fn named(&self, name: &str) -> VolumeRecord {
        self.volumes
            .create(CreateVolume {
                name: Some(name.to_owned()),
                ..CreateVolume::default()
            })
            .unwrap()
    }

    fn image(&self) -> File {
        let image = self.directory.path().join("image");
        fs::create_dir_all(&image).unwrap();
        fs::write(image.join("index"), b"hello").unwrap();
        File::open(image).unwrap()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for volume in self.volumes.list().unwrap_or_default() {
            let _ = options::unmount(&volume.mountpoint);
        }
    }
}

fn map(key: &str, value: &str) -> BTreeMap<String, String> {
    BTreeMap::from([(key.to_owned(), value.to_owned())])
}

fn request(name: &str, driver: &str, options: BTreeMap<String, String>) -> CreateVolume {
    CreateVolume {
        name: Some(name.to_owned()),
        driver: driver.to_owned(),
        options,
        labels: BTreeMap::new(),
    }
}

#[test]
fn errors_have_dockers_texts() {
    let world = World::new();
    let create = |name: &str, driver: &str, options| {
        world
            .volumes
            .create(request(name, driver, options))
            .unwrap_err()
            .to_string()
    };
    let none = BTreeMap::new;
    assert_eq!(
        create("bad name", "", none()),
        "create bad name: \"bad name\" includes invalid characters for a local volume name, only \
         \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, use absolute path"
    );
    assert_eq!(
        create("x", "nodrv", none()),
        "create x: error looking up volume plugin nodrv: plugin \"nodrv\" not found"
    );
    assert_eq!(
        create("recvb", "", map("nope", "1")),
        "create recvb: invalid option: \"nope\""
    );
    assert_eq!(
        world.volumes.get("nosuch").unwrap_err().to_string(),
        "get nosuch: no such volume"
    );
    assert_eq!(
        world.volumes.remove("recv", false).unwrap_err().to_string(),
        "get recv: no such volume"
    );
    world.volumes.remove("recv", true).unwrap();
    world.named("recv");
    world.volumes.acquire("recv", "a44c").unwrap();
    world.volumes.acquire("recv", "b55d").unwrap();
    let error = world.volumes.remove("recv", true).unwrap_err();
    assert_eq!(
        error.to_string(),
        "remove recv: volume is in use - [a44c, b55d]"
    );
    assert_eq!(
        world
            .volumes
            .acquire("nosuch", "a")
            .unwrap_err()
            .to_string(),
        "get nosuch: no such volume"
    );
}

#[test]
fn create_is_repeatable_and_keeps_the_first() {
    let world = World::new();
    let wish = CreateVolume {
        labels: map("a", "b"),
        ..request("recv", "local", BTreeMap::new())
    };
    let first = world.volumes.create(wish).unwrap();
    assert_eq!(first.labels, Some(map("a", "b")));
    assert_eq!(first.options, None);
    assert!(first.mountpoint.ends_with("volumes/recv/_data") && first.mountpoint.is_dir());
    assert_eq!(world.named("recv"), first);
    let other = BTreeMap::from([
        ("type".into(), "tmpfs".into()),
        ("device".into(), "tmpfs".into()),
    ]);
    assert_eq!(
        world.volumes.create(request("recv", "", other)).unwrap(),
        first
    );
    assert_eq!(world.restart().list().unwrap(), [first]);
}

#[test]
fn anonymous_volumes_are_pruned_named_ones_only_when_asked() {
    let world = World::new();
    let anonymous = world.volumes.create(CreateVolume::default()).unwrap();
    assert_eq!(anonymous.name.len(), 64);
    assert_eq!(anonymous.labels, Some(map(ANONYMOUS_LABEL, "")));
    fs::write(anonymous.mountpoint.join("file"), b"12345").unwrap();
    let used = world.volumes.create(CreateVolume::default()).unwrap();
    world.volumes.acquire(&used.name, "c").unwrap();
    world.named("named");

    let pruned = world.volumes.prune(false, |_| true).unwrap();
    assert_eq!(
        (pruned.volumes, pruned.reclaimed),
        (vec![anonymous.clone()], 5)
    );
    assert!(!anonymous.mountpoint.exists());
    assert!(
        world
            .volumes
            .prune(true, |volume| volume.name != "named")
            .unwrap()
            .volumes
            .is_empty()
    );
    assert_eq!(
        world.volumes.prune(true, |_| true).unwrap().volumes.len(),
        1
    );
    assert_eq!(world.volumes.list().unwrap(), [used]);
}

#[test]
fn users_survive_a_restart_and_are_reconciled() {
    let world = World::new();
    world.named("data");
    world.volumes.acquire("data", "kept").unwrap();
    world.volumes.acquire("data", "gone").unwrap();
    let again = world.restart();
    assert_eq!(again.users("data").unwrap(), ["gone", "kept"]);
    again.reconcile(&["kept".to_owned()]).unwrap();
    assert_eq!(again.users("data").unwrap(), ["kept"]);
    again.release("data", "kept").unwrap();
    again.release("data", "kept").unwrap();
    again.remove("data", false).unwrap();
}

#[test]
fn what_a_crash_cut_short_is_finished() {
    let world = World::new();
    // A volume whose directory was not made yet.
    let volume = world.named("young");
    fs::remove_dir_all(volume.mountpoint.parent().unwrap()).unwrap();
    // A removal whose directory is still there.
    let doomed = world.named("doomed");
    fs::write(doomed.mountpoint.join("secret"), b"x").unwrap();
    world.db.delete::<VolumeRecord>("doomed").unwrap();
    world.db.put("doomed", &Removal {}).unwrap();
    // A copy that stopped half-way.
    let half = world.named("half");
    fs::write(half.mountpoint.join("part"), b"x").unwrap();
    fs::create_dir(half.mountpoint.join("more")).unwrap();
    world.db.put("half", &Filling {}).unwrap();

    let again = world.restart();
    assert!(volume.mountpoint.is_dir());
    assert!(!doomed.mountpoint.exists());
    assert!(again.populate("half", world.image().as_fd()).unwrap());
    let names: Vec<_> = fs::read_dir(&half.mountpoint)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names, ["index"]);
    assert!(
        world.db.list::<Removal>().unwrap().is_empty()
            && world.db.list::<Filling>().unwrap().is_empty()
    );
}

#[test]
fn only_an_empty_volume_is_populated() {
    let world = World::new();
    let volume = world.named("data");
    assert!(
        world
            .volumes
            .populate("data", world.image().as_fd())
            .unwrap()
    );
    assert_eq!(world.volumes.size("data").unwrap(), 5);
    fs::write(volume.mountpoint.join("index"), b"mine").unwrap();
    assert!(
        !world
            .volumes
            .populate("data", world.image().as_fd())
            .unwrap()
    );
    assert_eq!(fs::read(volume.mountpoint.join("index")).unwrap(), b"mine");
}

#[test]
fn options_are_mounted_while_in_use() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED options_are_mounted_while_in_use: needs root");
        return;
    }
    let world = World::new();
    let wish = [
        ("type", "tmpfs"),
        ("device", "tmpfs"),
        ("o", "size=1m,noexec"),
    ];
    let wish = wish
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
    let volume = world.volumes.create(request("fast", "", wish)).unwrap();
    for container in ["a", "b"] {
        world.volumes.acquire("fast", container).unwrap();
        assert_eq!(
            world.volumes.mount("fast", container).unwrap(),
            volume.mountpoint
        );
    }
    assert!(options::is_mounted(&volume.mountpoint).unwrap());
    fs::write(volume.mountpoint.join("x"), b"x").unwrap();
    world.volumes.unmount("fast", "a").unwrap();
    world.volumes.unmount("fast", "a").unwrap();
    assert!(volume.mountpoint.join("x").exists(), "b still has it");
    // The daemon dies; b is still there, then it is not.
    let again = world.restart();
    again.reconcile(&["a".to_owned(), "b".to_owned()]).unwrap();
    assert!(volume.mountpoint.join("x").exists());
    again.reconcile(&["a".to_owned()]).unwrap();
    assert!(!options::is_mounted(&volume.mountpoint).unwrap());
    again.release("fast", "a").unwrap();
    again.remove("fast", false).unwrap();

    let wrong = BTreeMap::from([
        ("type".into(), "nosuchfs".into()),
        ("device".into(), "/dev/null".into()),
    ]);
    let broken = world.volumes.create(request("broken", "", wrong)).unwrap();
    world.volumes.acquire("broken", "c").unwrap();
    let error = world.volumes.mount("broken", "c").unwrap_err();
    let text = dhow_errdefs::chain(&error).to_string();
    let path = broken.mountpoint.display();
    assert!(
        text.starts_with(&format!(
            "failed to mount local volume: mount /dev/null:{path}: "
        )),
        "{text}"
    );
    world.volumes.release("broken", "c").unwrap();
}
