//! Against Debian's own registry, with skopeo looking on.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;
#[path = "../../dhow-distribution/tests/fake/mod.rs"]
mod fake;

use std::process::Command;

use common::{TestStore, fixture, progress, store};
use dhow_distribution::{Credentials, RegistryConfig};
use dhow_errdefs::chain;
use dhow_image::{Error, Image, ImportOptions, Progress};
use dhow_oci::Reference;
use dhow_testkit::{Registry, RegistryKind, packages};

fn parse(name: &str) -> Reference {
    Reference::parse(name).unwrap()
}

async fn import(store: &TestStore, name: &str) -> Image {
    let options = ImportOptions {
        reference: Some(parse(name)),
        ..ImportOptions::default()
    };
    let archive = std::io::Cursor::new(fixture::tar(&[("bin/sh", &fixture::noise(400_000, 5))]));
    store.images.import(archive, options).await.unwrap()
}

async fn push(store: &TestStore, name: &str, user: &Credentials) -> Result<Vec<Progress>, Error> {
    let (sender, collected) = progress();
    let result = store.images.push(&parse(name), None, user, &sender).await;
    drop(sender);
    result?;
    Ok(collected.await.unwrap())
}

async fn pull(store: &TestStore, name: &str, user: &Credentials) -> Result<Image, Error> {
    let (sender, _collected) = progress();
    store.images.pull(&parse(name), None, user, &sender).await
}

fn skopeo(arguments: &[&str]) -> String {
    let output = packages::tool("skopeo", "skopeo")
        .command()
        // Which images may be copied is decided here, not by the machine.
        .arg("--insecure-policy")
        .args(arguments)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

fn lines(messages: &[Progress]) -> Vec<String> {
    let mut lines: Vec<String> = messages
        .iter()
        .filter(|m| !m.status.starts_with("Pushing") && m.status != "Preparing")
        // What is for programs has no status.
        .filter(|m| !m.status.is_empty())
        .map(|m| m.status.clone())
        .collect();
    lines.dedup();
    lines
}

#[tokio::test(flavor = "multi_thread")]
async fn pushed_images_are_seen_and_pulled_by_others() {
    if !common::is_root("pushed_images_are_seen_and_pulled_by_others") {
        return;
    }
    let registry = Registry::start(RegistryKind::Plain);
    let nobody = Credentials::anonymous();
    let store = store();
    let name = format!("{}/rec:v1", registry.host());
    let image = import(&store, &name).await;
    let size = image.target.size;
    let told = lines(&push(&store, &name, &nobody).await.unwrap());
    assert_eq!(
        told,
        [
            format!("The push refers to repository [{}/rec]", registry.host()),
            "Pushed".into(),
            format!("v1: digest: {} size: {size}", image.id),
        ]
    );
    let told = lines(&push(&store, &name, &nobody).await.unwrap());
    assert_eq!(told[1], "Layer already exists");
    let other = format!("{}/other:v2", registry.host());
    store.images.tag(&name, &parse(&other)).unwrap();
    let told = lines(&push(&store, &other, &nobody).await.unwrap());
    assert_eq!(told[1], "Mounted from rec");

    let digest = skopeo(&[
        "inspect",
        "--tls-verify=false",
        "--format={{.Digest}}",
        &format!("docker://{other}"),
    ]);
    assert_eq!(digest.trim(), image.id.to_string());
    let second = common::store();
    let pulled = pull(&second, &other, &nobody).await.unwrap();
    assert_eq!((pulled.id, pulled.chain), (image.id, image.chain));
    let by_digest = format!("{}/rec@{}", registry.host(), image.id);
    let third = common::store();
    let pulled = pull(&third, &by_digest, &nobody).await.unwrap();
    assert_eq!(pulled.tags, []);
    assert_eq!(pulled.digests, [parse(&by_digest)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_tagged_is_not_pushed() {
    let store = store();
    let nobody = Credentials::anonymous();
    let all = push(&store, "localhost:5000/zzz", &nobody)
        .await
        .unwrap_err();
    assert_eq!(
        all.to_string(),
        "An image does not exist locally with the tag: localhost:5000/zzz"
    );
    let one = push(&store, "localhost:5000/zzz:1", &nobody)
        .await
        .unwrap_err();
    assert_eq!(one.to_string(), "tag does not exist: localhost:5000/zzz:1");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_tags_of_a_repository_are_pushed() {
    if !common::is_root("all_tags_of_a_repository_are_pushed") {
        return;
    }
    let registry = Registry::start(RegistryKind::Plain);
    let store = store();
    let repository = format!("{}/many", registry.host());
    import(&store, &format!("{repository}:1")).await;
    import(&store, &format!("{repository}:2")).await;
    push(&store, &repository, &Credentials::anonymous())
        .await
        .unwrap();
    let tags = skopeo(&[
        "list-tags",
        "--tls-verify=false",
        &format!("docker://{repository}"),
    ]);
    assert!(tags.contains("\"1\"") && tags.contains("\"2\""), "{tags}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_needed_and_used() {
    if !common::is_root("a_password_is_needed_and_used") {
        return;
    }
    let registry = Registry::start(RegistryKind::Password);
    let store = store();
    let name = format!("{}/rec:v1", registry.host());
    let image = import(&store, &name).await;
    let error = push(&store, &name, &Credentials::anonymous())
        .await
        .unwrap_err();
    assert_eq!(
        chain(&error).to_string(),
        "push access denied, repository does not exist or may require authorization: \
         authorization failed: no basic auth credentials"
    );
    let user = Credentials::basic(Registry::USER, Registry::PASSWORD);
    push(&store, &name, &user).await.unwrap();
    let second = common::store();
    let error = pull(&second, &name, &Credentials::anonymous())
        .await
        .unwrap_err();
    assert!(
        chain(&error)
            .to_string()
            .ends_with("no basic auth credentials")
    );
    assert_eq!(pull(&second, &name, &user).await.unwrap().id, image.id);
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_checked_against_the_hosts_own_authority() {
    if !common::is_root("certificates_are_checked_against_the_hosts_own_authority") {
        return;
    }
    let registry = Registry::start(RegistryKind::Tls);
    let certs = tempfile::tempdir().unwrap();
    let folder = certs.path().join(registry.host());
    std::fs::create_dir(&folder).unwrap();
    std::fs::copy(registry.authority(), folder.join("ca.crt")).unwrap();
    let config = |dirs| RegistryConfig {
        certs_dirs: dirs,
        retries: 1,
        ..RegistryConfig::default()
    };
    let checked = common::store_in(
        tempfile::tempdir().unwrap(),
        config(vec![certs.path().to_owned()]),
    );
    let name = format!("{}/rec:v1", registry.host());
    let image = import(&checked, &name).await;
    push(&checked, &name, &Credentials::anonymous())
        .await
        .unwrap();
    // On the loopback network anything goes without an authority, as with Docker.
    let unchecked = common::store_in(tempfile::tempdir().unwrap(), config(vec![]));
    assert_eq!(
        pull(&unchecked, &name, &Credentials::anonymous())
            .await
            .unwrap()
            .id,
        image.id
    );

    let other = Registry::start(RegistryKind::Tls);
    std::fs::copy(other.authority(), folder.join("ca.crt")).unwrap();
    let wrong = common::store_in(
        tempfile::tempdir().unwrap(),
        config(vec![certs.path().to_owned()]),
    );
    let error = pull(&wrong, &name, &Credentials::anonymous())
        .await
        .unwrap_err();
    let text = chain(&error).to_string();
    assert!(
        text.contains("tls: failed to verify certificate: x509: "),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn archives_are_exchanged_with_skopeo() {
    if !common::is_root("archives_are_exchanged_with_skopeo") {
        return;
    }
    let store = store();
    let image = import(&store, "busybox:1").await;
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let out = tokio::fs::File::create(path("saved.tar")).await.unwrap();
    store
        .images
        .save(&["busybox:1".into()], &[], out)
        .await
        .unwrap();
    skopeo(&[
        "copy",
        &format!("docker-archive:{}", path("saved.tar")),
        &format!("docker-archive:{}:old/style:1", path("old.tar")),
    ]);
    skopeo(&[
        "copy",
        &format!("docker-archive:{}", path("saved.tar")),
        &format!("oci-archive:{}:new/style:1", path("oci.tar")),
    ]);
    for (file, name) in [("old.tar", "old/style:1"), ("oci.tar", "new/style:1")] {
        let second = common::store();
        let (sender, _collected) = progress();
        let archive = tokio::fs::File::open(path(file)).await.unwrap();
        let loaded = second.images.load(archive, &[], &sender).await.unwrap();
        assert_eq!(loaded[0].tags, [parse(name)], "{file}");
        assert_eq!(loaded[0].chain, image.chain, "{file}");
    }
    let listing = Command::new("tar")
        .args(["tf", &path("saved.tar")])
        .output()
        .unwrap();
    let listing = String::from_utf8(listing.stdout).unwrap();
    for name in [
        "blobs/sha256/",
        "index.json",
        "manifest.json",
        "oci-layout",
        "repositories",
    ] {
        assert!(listing.contains(name), "{listing}");
    }
}
