//! Names, archives and images made here.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;
#[path = "../../dhow-distribution/tests/fake/mod.rs"]
mod fake;

use common::fixture::{self, Layer};
use common::{TestStore, progress, store};
use dhow_errdefs::chain;
use dhow_image::{CommitOptions, Deleted, Error, Image, ImportOptions, InUse};
use dhow_oci::{ContainerConfig, Digest, Platform, Reference};

fn parse(name: &str) -> Reference {
    Reference::parse(name).unwrap()
}

async fn import(store: &TestStore, name: &str, files: &[(&str, &[u8])]) -> Image {
    let options = ImportOptions {
        reference: Some(parse(name)),
        changes: vec!["CMD [\"sh\"]".into(), "ENV A=1".into()],
        ..ImportOptions::default()
    };
    let archive = std::io::Cursor::new(fixture::tar(files));
    store.images.import(archive, options).await.unwrap()
}

fn nobody(_: &Digest) -> Option<InUse> {
    None
}

fn stopped(_: &Digest) -> Option<InUse> {
    Some(InUse {
        container: "130946115d7b00".into(),
        running: false,
    })
}

fn running(_: &Digest) -> Option<InUse> {
    Some(InUse {
        container: "130946115d7b00".into(),
        running: true,
    })
}

async fn save(store: &TestStore, names: &[&str]) -> Vec<u8> {
    let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
    let file = tempfile::NamedTempFile::new().unwrap();
    let out = tokio::fs::File::create(file.path()).await.unwrap();
    store.images.save(&names, &[], out).await.unwrap();
    std::fs::read(file.path()).unwrap()
}

async fn load(store: &TestStore, archive: Vec<u8>) -> Result<(Vec<Image>, Vec<String>), Error> {
    let (sender, collected) = progress();
    let result = store
        .images
        .load(std::io::Cursor::new(archive), &[], &sender)
        .await;
    drop(sender);
    let lines = collected
        .await
        .unwrap()
        .into_iter()
        .filter_map(|m| m.stream)
        .collect();
    Ok((result?, lines))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_imported_image_is_found_by_every_name() {
    if !common::is_root("an_imported_image_is_found_by_every_name") {
        return;
    }
    let store = store();
    let image = import(&store, "busybox", &[("bin/sh", b"#!")]).await;
    assert_eq!(
        image.config.config.cmd.as_deref(),
        Some(&["sh".to_owned()][..])
    );
    assert_eq!(image.tags, [parse("busybox:latest")]);
    assert_eq!(image.digests, [parse(&format!("busybox@{}", image.id))]);
    assert!(image.chain.is_some());
    let hex = image.id.hex();
    for name in [
        "busybox",
        "busybox:latest",
        "docker.io/library/busybox",
        &hex,
        &hex[..12],
        &hex[..4],
        &format!("sha256:{}", &hex[..12]),
        &image.id.to_string(),
        &format!("busybox@{}", image.id),
    ] {
        assert_eq!(
            store.images.resolve(name, None).unwrap().id,
            image.id,
            "{name}"
        );
    }
    for (name, text) in [
        ("nosuch:1", "No such image: nosuch:1".to_owned()),
        ("nosuch", "No such image: nosuch:latest".to_owned()),
        (
            &format!("other@{}", image.id),
            format!("No such image: other@{}", image.id),
        ),
        (
            "UPPER..  x",
            "invalid reference format: repository name (library/UPPER..  x) must be lowercase"
                .into(),
        ),
    ] {
        assert_eq!(
            store.images.resolve(name, None).unwrap_err().to_string(),
            text
        );
    }
    let history = store.images.history("busybox", None).unwrap();
    assert_eq!(history.len(), 1);
    assert_eq!(history[0].comment, "Imported from -");
    assert_eq!(
        (history[0].id, &history[0].tags[..]),
        (Some(image.id), &["busybox:latest".to_owned()][..])
    );
}

/// An image's record as it stands in the database.
#[derive(serde::Serialize, serde::Deserialize)]
struct Raw(serde_json::Value);

impl dhow_metadata::Record for Raw {
    const COLLECTION: &'static str = "images";
}

#[test]
fn the_beginning_of_two_ids_is_ambiguous() {
    let store = store();
    for (name, end) in [("one", "1"), ("two", "2")] {
        let digest = format!("sha256:abcdef{}{end}", "0".repeat(57));
        let record = serde_json::json!({
            "target": { "mediaType": "x", "digest": digest, "size": 1 },
            "tagged_at": "2024-01-01T00:00:00Z",
        });
        store
            .db
            .put(&format!("docker.io/library/{name}:latest"), &Raw(record))
            .unwrap();
    }
    let error = store.images.resolve("abcdef", None).unwrap_err();
    assert_eq!(error.to_string(), "ambiguous reference");
    assert_eq!(
        store.images.resolve("abcde", None).unwrap_err().to_string(),
        "ambiguous reference"
    );
    assert_eq!(
        store.images.resolve("abd", None).unwrap_err().to_string(),
        "No such image: abd:latest"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn names_come_and_go_as_in_docker() {
    if !common::is_root("names_come_and_go_as_in_docker") {
        return;
    }
    let store = store();
    let image = import(&store, "busybox", &[("a", b"a")]).await;
    store.images.tag("busybox", &parse("rec/one:v1")).unwrap();
    store
        .images
        .tag(&image.id.short(), &parse("busybox:2"))
        .unwrap();
    assert!(store.images.tag("nosuch", &parse("x")).is_err());
    let deleted = store
        .images
        .remove("rec/one:v1", false, true, &stopped)
        .unwrap();
    assert_eq!(deleted, [Deleted::Untagged("rec/one:v1".into())]);
    let missing = store
        .images
        .remove("rec/one:v1", false, true, &nobody)
        .unwrap_err();
    assert_eq!(missing.to_string(), "No such image: rec/one:v1");

    let id = image.id.short();
    let conflict = |name: &str, force, users: &dyn Fn(&Digest) -> Option<InUse>| {
        store
            .images
            .remove(name, force, true, users)
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        conflict(&id, false, &nobody),
        format!(
            "conflict: unable to delete {id} (must be forced) - image is referenced in multiple repositories"
        )
    );
    assert_eq!(
        conflict(&id, false, &stopped),
        format!(
            "conflict: unable to delete {id} (must be forced) - image is being used by stopped container 130946115d7b"
        )
    );
    assert_eq!(
        conflict(&id, true, &running),
        format!(
            "conflict: unable to delete {id} (cannot be forced) - image is being used by running container 130946115d7b"
        )
    );
    store
        .images
        .remove("busybox:2", false, true, &nobody)
        .unwrap();
    assert_eq!(
        conflict("busybox", false, &stopped),
        format!(
            "conflict: unable to delete busybox:latest (must be forced) - container 130946115d7b is using its referenced image {id}"
        )
    );
    // Forced, it only loses its name.
    let deleted = store
        .images
        .remove("busybox", true, true, &running)
        .unwrap();
    assert_eq!(deleted, [Deleted::Untagged("busybox:latest".into())]);
    assert!(store.images.resolve(&id, None).unwrap().is_dangling());
    let deleted = store.images.remove(&id, false, true, &nobody).unwrap();
    assert_eq!(deleted, [Deleted::Deleted(image.id)]);
    assert_eq!(store.content.list().unwrap(), vec![]);
    assert_eq!(store.snapshots.layers().unwrap(), vec![]);
}

#[tokio::test(flavor = "multi_thread")]
async fn removing_the_last_name_removes_all() {
    if !common::is_root("removing_the_last_name_removes_all") {
        return;
    }
    let store = store();
    let image = import(&store, "busybox", &[("a", b"a")]).await;
    let other = import(&store, "other", &[("a", b"a"), ("b", b"b")]).await;
    let deleted = store
        .images
        .remove("busybox", false, true, &nobody)
        .unwrap();
    assert_eq!(
        deleted,
        [
            Deleted::Untagged("busybox:latest".into()),
            Deleted::Deleted(image.id)
        ]
    );
    assert_eq!(store.images.list().unwrap().len(), 1);
    let other = store.images.resolve("other", None).unwrap_or(other);
    assert!(store.snapshots.contains(&other.chain.unwrap()).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_stands_on_its_parent() {
    if !common::is_root("a_commit_stands_on_its_parent") {
        return;
    }
    let store = store();
    let base = import(&store, "base", &[("a", b"a")]).await;
    let layer = fixture::tar(&[("b", b"b")]);
    let options = CommitOptions {
        reference: Some(parse("rec/commit:1")),
        author: "a".into(),
        comment: "c".into(),
        config: ContainerConfig {
            cmd: Some(vec!["true".into()]),
            ..ContainerConfig::default()
        },
        created_by: "sh -c x".into(),
        changes: vec![],
    };
    let (images, parent) = (store.images.clone(), base.clone());
    let image = tokio::task::spawn_blocking(move || {
        images.commit(Some(&parent), Some(&mut layer.as_slice()), options)
    })
    .await
    .unwrap()
    .unwrap();
    assert_eq!(image.parent, Some(base.id));
    assert_eq!(image.config.rootfs.diff_ids.len(), 2);
    let history = store.images.history("rec/commit:1", None).unwrap();
    assert_eq!(
        (history[0].id, &*history[0].created_by, &*history[0].comment),
        (Some(image.id), "sh -c x", "c")
    );
    assert_eq!(
        (history[1].id, &history[1].tags[..]),
        (Some(base.id), &["base:latest".to_owned()][..])
    );
    // Once the parent's name is gone it lives on in its child, and goes with it.
    store.images.remove("base", false, true, &nobody).unwrap();
    assert!(store.snapshots.contains(&image.chain.unwrap()).unwrap());
    store
        .images
        .remove("rec/commit:1", false, true, &nobody)
        .unwrap();
    assert_eq!(store.snapshots.layers().unwrap(), vec![]);
}

#[tokio::test(flavor = "multi_thread")]
async fn saved_and_loaded_is_the_same_image() {
    if !common::is_root("saved_and_loaded_is_the_same_image") {
        return;
    }
    let first = store();
    let image = import(&first, "busybox", &[("a", b"a")]).await;
    first.images.tag("busybox", &parse("busybox:2")).unwrap();
    let archive = save(&first, &["busybox"]).await;
    for packed in [
        archive.clone(),
        fixture::gzip(&archive),
        zstd::encode_all(&*archive, 1).unwrap(),
    ] {
        let second = store();
        let (images, lines) = load(&second, packed).await.unwrap();
        assert_eq!(images.len(), 1);
        assert_eq!(images[0].id, image.id);
        assert_eq!(images[0].chain, image.chain);
        assert_eq!(
            lines,
            [
                "Loaded image: busybox:2\n",
                "Loaded image: busybox:latest\n"
            ]
        );
    }
    let by_id = save(&first, &[&image.id.short()]).await;
    let second = store();
    let (images, lines) = load(&second, by_id).await.unwrap();
    assert_eq!(lines, [format!("Loaded image ID: {}\n", image.id)]);
    assert!(images[0].is_dangling());
    let missing = first
        .images
        .save(&["nosuch".into()], &[], tokio::io::sink())
        .await
        .unwrap_err();
    assert_eq!(missing.to_string(), "No such image: nosuch:latest");
}

/// What `docker save` wrote before version 25.
fn old_archive(config: &str, layers: &[(&str, &[u8])]) -> Vec<u8> {
    let names: Vec<&str> = layers.iter().map(|(name, _)| *name).collect();
    let list = serde_json::json!([{ "Config": "c.json", "RepoTags": ["old:1"], "Layers": names }])
        .to_string();
    let mut files = vec![("c.json", config.as_bytes())];
    files.extend(layers);
    files.push(("manifest.json", list.as_bytes()));
    fixture::tar(&files)
}

fn config_of(layer: &[u8]) -> String {
    let platform = Platform::host();
    serde_json::json!({
        "os": "linux", "architecture": platform.architecture,
        "rootfs": { "type": "layers", "diff_ids": [Digest::of(layer)] },
    })
    .to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn old_archives_load() {
    if !common::is_root("old_archives_load") {
        return;
    }
    let store = store();
    let layer = fixture::tar(&[("a", b"a")]);
    let archive = old_archive(&config_of(&layer), &[("1/layer.tar", &layer)]);
    let (images, lines) = load(&store, archive).await.unwrap();
    assert_eq!(lines, ["Loaded image: old:1\n"]);
    assert!(images[0].chain.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_archives_are_refused_and_leave_nothing() {
    if !common::is_root("hostile_archives_are_refused_and_leave_nothing") {
        return;
    }
    let layer = fixture::tar(&[("a", b"a")]);
    let wrong_name = format!("blobs/sha256/{}", Digest::of(b"x").hex());
    let nested = r#"{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":0}]}"#;
    let table: Vec<(&str, Vec<u8>, &str)> = vec![
        (
            "no tar",
            b"hello, this is not an archive".to_vec(),
            "invalid archive",
        ),
        (
            "empty",
            vec![],
            "invalid archive: neither index.json nor manifest.json",
        ),
        (
            "nothing in it",
            fixture::tar(&[("x", b"y")]),
            "invalid archive: neither index.json nor manifest.json",
        ),
        (
            "wrong digest",
            fixture::tar(&[(&wrong_name, b"y")]),
            "unexpected commit digest",
        ),
        (
            "missing manifest",
            fixture::tar(&[("index.json", nested.as_bytes())]),
            "invalid archive: sha256:e3b0",
        ),
        (
            "broken index",
            fixture::tar(&[("index.json", b"{")]),
            "invalid archive: index.json",
        ),
        (
            "missing layer",
            old_archive(&config_of(&layer), &[]).clone(),
            "invalid image",
        ),
        (
            "outside",
            old_archive(&config_of(&layer), &[("../../etc/passwd", &layer)]),
            "invalid archive: ../../etc/passwd is missing",
        ),
        (
            "wrong diff id",
            old_archive(&config_of(b"other"), &[("l", &layer)]),
            "wrong diff id calculated on extraction",
        ),
    ];
    let store = store();
    for (what, archive, text) in table {
        let error = load(&store, archive).await.map(|_| ()).unwrap_err();
        let found = chain(&error).to_string();
        assert!(found.starts_with(text), "{what}: {found}");
        assert_eq!(store.content.list().unwrap(), vec![], "{what}");
        assert_eq!(store.images.list().unwrap(), vec![], "{what}");
    }
    let cut = {
        import(&store, "busybox", &[("a", &fixture::noise(100_000, 1))]).await;
        let mut archive = save(&store, &["busybox"]).await;
        archive.truncate(60_000);
        archive
    };
    let fresh = common::store();
    assert!(load(&fresh, cut).await.is_err());
    assert_eq!(fresh.content.list().unwrap(), vec![]);
}

#[tokio::test(flavor = "multi_thread")]
async fn imports_take_any_compression_and_refuse_bad_changes() {
    if !common::is_root("imports_take_any_compression_and_refuse_bad_changes") {
        return;
    }
    let store = store();
    let tar = fixture::tar(&[("a", b"a")]);
    let mut chains = Vec::new();
    for archive in [
        tar.clone(),
        fixture::gzip(&tar),
        zstd::encode_all(&*tar, 1).unwrap(),
    ] {
        let image = store
            .images
            .import(std::io::Cursor::new(archive), ImportOptions::default())
            .await
            .unwrap();
        assert!(image.is_dangling());
        chains.push(image.chain.unwrap());
    }
    assert!(chains.iter().all(|chain| *chain == chains[0]));
    let options = ImportOptions {
        changes: vec!["RUN x".into()],
        ..ImportOptions::default()
    };
    let error = store
        .images
        .import(std::io::Cursor::new(tar), options)
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "RUN is not a valid change command");
    let garbage = std::io::Cursor::new(vec![7; 5000]);
    assert!(
        store
            .images
            .import(garbage, ImportOptions::default())
            .await
            .is_err()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn layers_lost_to_a_crash_are_unpacked_again() {
    if !common::is_root("layers_lost_to_a_crash_are_unpacked_again") {
        return;
    }
    let store = store();
    let image = import(&store, "busybox", &[("a", b"a")]).await;
    store.snapshots.remove_layer(&image.chain.unwrap()).unwrap();
    let lost = store.images.resolve("busybox", None).unwrap();
    assert_eq!(lost.chain, None);
    let images = store.images.clone();
    let chain = tokio::task::spawn_blocking(move || images.unpack(&lost))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(chain, image.chain);
    let _ = Layer::plain(b"");
}
