//! A sender and a receiver in one process, on real folders.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use dhow_filesync::{
    Error, FolderKey, Folders, Limits, Owners, Packet, PacketType, Reply, Selection, Stat, Synced,
    receive, send,
};
use dhow_oci::Digest;
use futures::StreamExt;
use tokio::sync::mpsc;

struct World {
    _dir: tempfile::TempDir,
    source: PathBuf,
    store: PathBuf,
    folders: Folders,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let source = dir.path().join("source");
        fs::create_dir(&source).unwrap();
        let store = dir.path().join("store");
        Self {
            folders: Folders::open(&store, Limits::default()).unwrap(),
            _dir: dir,
            source,
            store,
        }
    }

    fn write(&self, path: &str, content: &str) {
        let path = self.source.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    async fn sync(&self) -> (Synced, usize) {
        self.sync_part(Selection::default()).await.unwrap()
    }

    /// What was synchronised, and how many files were asked for.
    async fn sync_part(&self, selection: Selection) -> Result<(Synced, usize), Error> {
        let (packets, sent) = mpsc::channel(16);
        let (replies, mut requests) = mpsc::unbounded_channel();
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        let requests =
            futures::stream::poll_fn(move |cx| requests.poll_recv(cx)).map(move |reply: Reply| {
                if matches!(reply, Reply::Request(_)) {
                    count.fetch_add(1, Ordering::Relaxed);
                }
                Ok(Packet::from(reply))
            });
        let sender = tokio::spawn(send(
            self.source.clone(),
            selection,
            Owners::Root,
            requests,
            packets,
        ));
        let mut sent = sent;
        let incoming = futures::stream::poll_fn(move |cx| sent.poll_recv(cx)).map(Ok);
        let key = FolderKey::default();
        let done = receive(&self.folders, &key, incoming, replies, |_| {}).await;
        let sender = sender.await.unwrap();
        let done = done?;
        sender.unwrap();
        Ok((done, asked.load(Ordering::Relaxed)))
    }
}

/// All that is in a folder: paths with types, permissions, times and content.
fn listing(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut todo = vec![root.to_owned()];
    while let Some(dir) = todo.pop() {
        for entry in fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            let metadata = path.symlink_metadata().unwrap();
            let content = match () {
                () if metadata.is_symlink() => format!("{:?}", fs::read_link(&path).unwrap()),
                () if metadata.is_dir() => String::new(),
                () => format!("{:?}", fs::read(&path).unwrap()),
            };
            let time = (metadata.mtime(), metadata.mtime_nsec());
            let name = path.strip_prefix(root).unwrap().to_owned();
            found.push(format!("{name:?} {:o} {time:?} {content}", metadata.mode()));
            if metadata.is_dir() {
                todo.push(path);
            }
        }
    }
    found.sort();
    found
}

#[tokio::test]
async fn a_folder_arrives_as_it_is_and_only_changes_are_sent_again() {
    let world = World::new();
    world.write("a", "alpha");
    world.write("d/b", "beta");
    world.write("d/e/empty", "");
    world.write("d.txt", "dot");
    symlink("../a", world.source.join("d/link")).unwrap();
    fs::hard_link(world.source.join("a"), world.source.join("z")).unwrap();
    let executable = fs::Permissions::from_mode(0o4755);
    fs::set_permissions(world.source.join("d/b"), executable).unwrap();

    let (synced, asked) = world.sync().await;
    assert_eq!(listing(synced.path()), listing(&world.source));
    assert_eq!(asked, 4, "the second name of a file is not asked for");
    for (path, content) in [
        ("a", "alpha"),
        ("d/b", "beta"),
        ("z", "alpha"),
        ("d/e/empty", ""),
    ] {
        let digest = Digest::of(content.as_bytes());
        assert_eq!(synced.digest(Path::new(path)), Some(digest), "{path}");
    }
    assert_eq!(synced.digest(Path::new("d")), None);
    drop(synced);

    let (synced, asked) = world.sync().await;
    assert_eq!(asked, 0, "nothing has changed");
    drop(synced);

    world.write("d/b", "beta, changed");
    fs::remove_dir_all(world.source.join("d/e")).unwrap();
    fs::remove_file(world.source.join("d.txt")).unwrap();
    world.write("d.txt/now/a/directory", "x");
    let (synced, asked) = world.sync().await;
    assert_eq!(asked, 2);
    assert_eq!(listing(synced.path()), listing(&world.source));
}

#[tokio::test]
async fn the_folder_outlives_the_daemon() {
    let mut world = World::new();
    world.write("a", "alpha");
    drop(world.sync().await);
    world.folders = Folders::open(&world.store, Limits::default()).unwrap();
    let (synced, asked) = world.sync().await;
    assert_eq!(asked, 0);
    assert_eq!(listing(synced.path()), listing(&world.source));
    // Killed while it was changed: there is no index, nothing is relied on.
    drop(synced);
    let slot = fs::read_dir(&world.store).unwrap().next().unwrap().unwrap();
    fs::remove_file(slot.path().join("index")).unwrap();
    fs::write(slot.path().join("files/a"), "alpHa").unwrap();
    world.folders = Folders::open(&world.store, Limits::default()).unwrap();
    let (synced, asked) = world.sync().await;
    assert_eq!(asked, 1);
    assert_eq!(listing(synced.path()), listing(&world.source));
}

#[tokio::test]
async fn what_is_in_use_does_not_change() {
    let world = World::new();
    world.write("a", "one");
    world.write("d/b", "same");
    let (first, _) = world.sync().await;
    let before = listing(first.path());
    let (same, asked) = world.sync().await;
    assert_eq!(asked, 0);
    assert_eq!(same.path(), first.path(), "unchanged, so it is shared");

    world.write("a", "two!");
    let (second, asked) = world.sync().await;
    assert_eq!(asked, 1, "what is the same is taken from the folder in use");
    assert_ne!(second.path(), first.path());
    assert_eq!(listing(first.path()), before);
    assert_eq!(listing(second.path()), listing(&world.source));
    drop((first, same));
    drop(second);
    let usage = world.folders.usage();
    assert_eq!(usage.len(), 1, "the older one goes: {usage:?}");
    assert!(world.folders.remove(&usage[0].id));
    assert_eq!(fs::read_dir(&world.store).unwrap().count(), 0);
}

#[tokio::test]
async fn patterns_select() {
    let world = World::new();
    for path in ["a", "b/c/d", "b/c/e", "b/f", "g/h", "real/target"] {
        world.write(path, path);
    }
    symlink("real", world.source.join("link")).unwrap();
    let strings = |texts: &[&str]| texts.iter().map(ToString::to_string).collect::<Vec<_>>();
    for (include, exclude, follow, expected) in [
        (
            &[][..],
            &["b"][..],
            &[][..],
            &["a", "g", "g/h", "link", "real", "real/target"][..],
        ),
        (&[], &["b", "!b/c/e"], &["b"], &["b", "b/c", "b/c/e"]),
        (&["b/c"], &[], &[], &["b", "b/c", "b/c/d", "b/c/e"]),
        (&[], &["**/d"], &["b/*"], &["b", "b/c", "b/c/e", "b/f"]),
        (&[], &[], &["link/target"], &["link", "real", "real/target"]),
        (&[], &[], &["nothing"], &[]),
        (
            &[],
            &[],
            &["/"],
            &[
                "a",
                "b",
                "b/c",
                "b/c/d",
                "b/c/e",
                "b/f",
                "g",
                "g/h",
                "link",
                "real",
                "real/target",
            ],
        ),
    ] {
        let selection = Selection {
            include: strings(include),
            exclude: strings(exclude),
            follow: strings(follow),
        };
        let (synced, _) = world.sync_part(selection.clone()).await.unwrap();
        let mut paths: Vec<_> = walk(synced.path(), synced.path());
        paths.sort();
        assert_eq!(paths, expected, "{selection:?}");
    }
}

fn walk(root: &Path, dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        found.push(
            path.strip_prefix(root)
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned(),
        );
        if path.is_dir() && !path.is_symlink() {
            found.extend(walk(root, &path));
        }
    }
    found
}

/// What a receiver says to a sender that sends these packets, then leaves.
async fn hostile(world: &World, packets: Vec<Packet>) -> Result<Synced, Error> {
    let (replies, _kept) = mpsc::unbounded_channel();
    let incoming = futures::stream::iter(packets.into_iter().map(Ok));
    receive(
        &world.folders,
        &FolderKey::default(),
        incoming,
        replies,
        |_| {},
    )
    .await
}

fn listed(path: &str, mode: u32, link: &str) -> Packet {
    Packet {
        stat: Some(Stat {
            path: path.into(),
            mode,
            linkname: link.into(),
            ..Stat::default()
        }),
        ..Packet::default()
    }
}

#[tokio::test]
async fn hostile_senders_reach_nothing() {
    const DIRECTORY: u32 = 1 << 31 | 0o755;
    const LINK: u32 = 1 << 27 | 0o777;
    const DEVICE: u32 = 1 << 26 | 0o600;
    let data = |id| Packet {
        r#type: PacketType::PacketData.into(),
        id,
        data: b"x".to_vec(),
        ..Packet::default()
    };
    for (name, packets) in [
        ("up", vec![listed("../a", 0o644, "")]),
        ("absolute", vec![listed("/etc/passwd", 0o644, "")]),
        (
            "through a link",
            vec![listed("a", LINK, "/tmp"), listed("a/b", 0o644, "")],
        ),
        ("in nothing", vec![listed("a/b", 0o644, "")]),
        (
            "twice",
            vec![listed("a", DIRECTORY, ""), listed("a", LINK, "/tmp")],
        ),
        (
            "out of order",
            vec![listed("b", 0o644, ""), listed("a", 0o644, "")],
        ),
        ("link out", vec![listed("a", 0o644, "../../x")]),
        (
            "link to a link",
            vec![listed("a", LINK, "/etc/shadow"), listed("b", 0o644, "a")],
        ),
        ("device", vec![listed("a", DEVICE, "")]),
        ("unasked", vec![listed("a", DIRECTORY, ""), data(0)]),
        ("of nothing", vec![data(7)]),
        (
            "after the end",
            vec![Packet::default(), listed("a", 0o644, "")],
        ),
    ] {
        let world = World::new();
        let error = hostile(&world, packets).await.unwrap_err();
        assert!(
            matches!(error, Error::Protocol(_) | Error::Sender(_)),
            "{name}: {error:?}"
        );
    }
}

#[tokio::test]
async fn what_was_received_before_a_failure_is_kept() {
    let world = World::new();
    let content = |id, data: &[u8]| Packet {
        r#type: PacketType::PacketData.into(),
        id,
        data: data.to_vec(),
        ..Packet::default()
    };
    let packets = vec![
        listed("a", 0o644, ""),
        listed("b", 0o644, ""),
        content(0, b"whole"),
        content(0, b""),
        content(1, b"hal"),
    ];
    let error = hostile(&world, packets).await.unwrap_err();
    assert!(matches!(error, Error::Ended), "{error:?}");
    let requests = Arc::new(Mutex::new(Vec::new()));
    let (replies, mut sent) = mpsc::unbounded_channel();
    let (packets, mut queue) = mpsc::unbounded_channel();
    for packet in [
        listed("a", 0o644, ""),
        listed("b", 0o644, ""),
        Packet::default(),
    ] {
        packets.send(packet).unwrap();
    }
    let seen = requests.clone();
    tokio::spawn(async move {
        while let Some(reply) = sent.recv().await {
            seen.lock().unwrap().push(reply);
            match reply {
                Reply::Request(id) => {
                    packets.send(content(id, b"half")).unwrap();
                    packets.send(content(id, b"")).unwrap();
                }
                Reply::Finished => packets.send(Reply::Finished.into()).unwrap(),
            }
        }
    });
    let incoming = futures::stream::poll_fn(move |cx| queue.poll_recv(cx)).map(Ok);
    let synced = receive(
        &world.folders,
        &FolderKey::default(),
        incoming,
        replies,
        |_| {},
    )
    .await
    .unwrap();
    assert_eq!(fs::read(synced.path().join("a")).unwrap(), b"whole");
    assert_eq!(fs::read(synced.path().join("b")).unwrap(), b"half");
    assert_eq!(
        *requests.lock().unwrap(),
        [Reply::Request(1), Reply::Finished]
    );
}

#[tokio::test]
async fn a_full_disk_is_said() {
    let mut world = World::new();
    let limits = Limits {
        free: u64::MAX / 2,
        ..Limits::default()
    };
    world.folders = Folders::open(&world.store, limits).unwrap();
    world.write("a", "x");
    let error = world.sync_part(Selection::default()).await.unwrap_err();
    assert!(matches!(error, Error::Full(_)), "{error:?}");
}
