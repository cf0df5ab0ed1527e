#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex};

use dhow_content::ContentStore;
use dhow_distribution::{Registry, RegistryConfig};
use dhow_image::{Images, ImagesConfig};
use dhow_metadata::Database;
use dhow_oci::media_type::Compression;
use dhow_oci::{Index, Manifest, Platform};
use dhow_snapshot::Snapshots;
use futures::future::BoxFuture;
use serde_json::Value;

use super::*;
use crate::builder::Builder;
use crate::client::{Client, ClientError, Tree};
use crate::executor::{Command, Executor, ExecutorError};
use crate::graph::LocalOp;
use crate::progress::{Listener, Progress};
use crate::request::{Call, ContextSource, DockerfileSource, NoCache, Options};
use crate::usage::Bounds;

/// A builder in a folder of its own, whose client keeps what it is given.
struct Bench {
    folder: tempfile::TempDir,
    images: Images,
    content: ContentStore,
    builder: Builder,
    client: Arc<Files>,
    told: Arc<Heard>,
}

struct Files {
    root: PathBuf,
    received: PathBuf,
}

struct Folder(PathBuf);

impl Tree for Folder {
    fn path(&self) -> &Path {
        &self.0
    }
}

impl Client for Files {
    fn files<'a>(&'a self, _: &'a LocalOp) -> BoxFuture<'a, Result<Arc<dyn Tree>, ClientError>> {
        let tree: Arc<dyn Tree> = Arc::new(Folder(self.root.clone()));
        Box::pin(async { Ok(tree) })
    }

    fn receive<'a>(
        &'a self,
        export: usize,
        files: ExportedFiles,
    ) -> BoxFuture<'a, Result<(), ClientError>> {
        let to = self.received.join(export.to_string());
        let copied = match files {
            ExportedFiles::File(path) => std::fs::copy(path, to).map(drop),
            ExportedFiles::Directory(path) => copy_tree(&path, &to),
        };
        Box::pin(async move { copied.map_err(|error| ClientError(error.to_string())) })
    }
}

fn copy_tree(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => copy_tree(&entry.path(), &target)?,
            false => std::fs::copy(entry.path(), target).map(drop)?,
        }
    }
    Ok(())
}

#[derive(Default)]
struct Heard(Mutex<Vec<Progress>>);

impl Listener for Heard {
    fn tell(&self, progress: Progress) {
        self.0.lock().unwrap().push(progress);
    }
}

/// Runs nothing.
struct Nobody;

impl Executor for Nobody {
    fn run<'a>(&'a self, _: Command) -> BoxFuture<'a, Result<i32, ExecutorError>> {
        Box::pin(async { Err(ExecutorError("nothing is run here".into())) })
    }
}

impl Bench {
    fn new(files: &[(&str, &str)]) -> Self {
        // Another test may have done it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        let db = Database::open(&at.join("db")).unwrap();
        let content = ContentStore::open(&at.join("content")).unwrap();
        let snapshots = Snapshots::open(&at.join("layers"), db.clone()).unwrap();
        let registry = Registry::new(RegistryConfig::default()).unwrap();
        let images = Images::open(ImagesConfig {
            content: content.clone(),
            snapshots: snapshots.clone(),
            db: db.clone(),
            registry: registry.clone(),
            bundled: Vec::new(),
        })
        .unwrap();
        std::fs::create_dir_all(at.join("memory")).unwrap();
        let builder = Builder::open(BuilderConfig {
            images: images.clone(),
            content: content.clone(),
            snapshots,
            db,
            registry,
            executor: Arc::new(Nobody),
            http: Arc::new(LazyLock::new(Box::new(|| Ok(reqwest::Client::new())))),
            folder: at.join("builder"),
            memory: at.join("memory"),
            bounds: Bounds {
                free_percent: 0,
                ..Bounds::default()
            },
        })
        .unwrap();
        let client = Arc::new(Files {
            root: at.join("context"),
            received: at.join("received"),
        });
        std::fs::create_dir_all(&client.received).unwrap();
        std::fs::create_dir_all(&client.root).unwrap();
        for (path, text) in files {
            let path = client.root.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        Self {
            folder,
            images,
            content,
            builder,
            client,
            told: Arc::default(),
        }
    }

    fn request(&self, options: Options, exports: Vec<Export>) -> BuildRequest {
        BuildRequest {
            id: "build".into(),
            client: self.client.clone(),
            listener: self.told.clone(),
            dockerfile: DockerfileSource::Local {
                context: "dockerfile".into(),
                path: "Dockerfile".into(),
            },
            context: ContextSource::Local("context".into()),
            named_contexts: BTreeMap::new(),
            options,
            exports,
            cache_from: Vec::new(),
            cache_to: Vec::new(),
        }
    }

    async fn build(&self, options: Options, export: Export) -> Outcome {
        let built = self
            .builder
            .build(self.request(options, vec![export]))
            .await;
        built.unwrap_or_else(|error| panic!("{}", dhow_errdefs::chain(&error)))
    }

    fn received(&self) -> PathBuf {
        self.client.received.join("0")
    }

    fn document<T: serde::de::DeserializeOwned>(&self, digest: &Digest) -> T {
        serde_json::from_slice(&self.content.read(digest, 1 << 20).unwrap()).unwrap()
    }

    /// The statements of the attestation in an index.
    fn statements(&self, index: &Index) -> Vec<Value> {
        let attested = index.manifests.last().unwrap();
        assert_eq!(
            attested.annotation("vnd.docker.reference.digest"),
            Some(index.manifests[0].digest.to_string().as_str())
        );
        let manifest: Manifest = self.document(&attested.digest);
        let layers = manifest.layers.iter();
        layers.map(|layer| self.document(&layer.digest)).collect()
    }
}

fn image(name: &str, options: ImageOptions) -> Export {
    Export::Image {
        names: vec![Reference::parse(name).unwrap()],
        push: false,
        image: options,
    }
}

fn as_root() -> bool {
    dhow_testkit::root_or_skip("exports")
}

/// The names and contents in an archive.
fn archived(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut reader = dhow_archive::tar::Reader::new(std::fs::File::open(path).unwrap());
    let mut files = BTreeMap::new();
    while let Some(header) = reader.next_entry().unwrap() {
        let mut bytes = Vec::new();
        reader.content().read_to_end(&mut bytes).unwrap();
        let name = header.path.to_string_lossy().trim_matches('/').to_owned();
        files.insert(name, bytes);
    }
    files
}

const TWO_STEPS: &str = "FROM scratch\nCOPY a /a\nWORKDIR /w\nLABEL x=y\n";

#[tokio::test]
async fn equal_builds_give_equal_images() {
    if !as_root() {
        return;
    }
    let mut ids = Vec::new();
    for no_cache in [NoCache::Nothing, NoCache::Nothing, NoCache::All] {
        let bench = Bench::new(&[("Dockerfile", TWO_STEPS), ("a", "one")]);
        let file = std::fs::File::open(bench.client.root.join("a")).unwrap();
        let long_ago = std::time::UNIX_EPOCH + std::time::Duration::from_secs(500_000_000);
        file.set_modified(long_ago).unwrap();
        let options = Options {
            epoch: Some(1_000_000_000),
            no_cache,
            ..Options::default()
        };
        let outcome = bench
            .build(options.clone(), image("x:1", ImageOptions::default()))
            .await;
        let again = bench
            .build(options, image("x:2", ImageOptions::default()))
            .await;
        assert_eq!(outcome.image, again.image);
        let found = bench.images.resolve("x:1", None).unwrap();
        assert_eq!(found.created.unwrap().as_second(), 1_000_000_000);
        assert!(found.chain.is_some(), "usable at once");
        ids.push(outcome.image.unwrap().digest);
    }
    assert_eq!(ids[0], ids[1], "in another folder");
    assert_eq!(ids[0], ids[2], "without the cache");
}

#[tokio::test]
async fn a_cached_build_gives_the_same_image_without_an_epoch() {
    if !as_root() {
        return;
    }
    let bench = Bench::new(&[("Dockerfile", TWO_STEPS), ("a", "one")]);
    let with = ImageOptions {
        attestations: BTreeMap::from([("provenance".to_owned(), BTreeMap::new())]),
        ..ImageOptions::default()
    };
    let first = bench
        .build(Options::default(), image("x:1", with.clone()))
        .await;
    let second = bench.build(Options::default(), image("x:1", with)).await;
    assert_eq!(first.image, second.image);
    assert_eq!(first.metadata["image.name"], "docker.io/library/x:1");
    assert!(first.metadata.contains_key("containerimage.config.digest"));
}

#[tokio::test]
async fn attestations_say_how_it_was_built_and_what_is_in_it() {
    if !as_root() {
        return;
    }
    let status = "Package: bash\nStatus: install ok installed\nVersion: 5.2\nArchitecture: amd64\n";
    let bench = Bench::new(&[
        (
            "Dockerfile",
            "FROM scratch\nARG SECRETLESS=1\nCOPY root /\n",
        ),
        ("root/var/lib/dpkg/status", status),
        ("root/etc/os-release", "ID=debian\nVERSION_ID=12\n"),
    ]);
    let mode = BTreeMap::from([("mode".to_owned(), "max".to_owned())]);
    let with = ImageOptions {
        attestations: BTreeMap::from([
            ("provenance".to_owned(), mode),
            ("sbom".to_owned(), BTreeMap::new()),
        ]),
        annotations: BTreeMap::from([
            ("one".to_owned(), "1".to_owned()),
            ("index:two".to_owned(), "2".to_owned()),
            (
                "manifest-descriptor[linux/amd64]:three".to_owned(),
                "3".to_owned(),
            ),
        ]),
        ..ImageOptions::default()
    };
    let options = Options {
        arguments: BTreeMap::from([("SECRETLESS".to_owned(), "2".to_owned())]),
        platforms: vec!["linux/amd64".parse().unwrap()],
        ..Options::default()
    };
    let outcome = bench.build(options, image("x", with)).await;
    let index: Index = bench.document(&outcome.image.unwrap().digest);
    assert_eq!(index.manifests.len(), 2);
    assert_eq!(index.annotations["two"], "2");
    assert_eq!(index.manifests[0].annotations["three"], "3");
    let manifest: Manifest = bench.document(&index.manifests[0].digest);
    assert_eq!(
        manifest.annotations,
        BTreeMap::from([("one".to_owned(), "1".to_owned())])
    );
    let statements = bench.statements(&index);
    let predicate = &statements[0]["predicate"];
    let parameters = &predicate["invocation"]["parameters"];
    assert_eq!(parameters["args"]["build-arg:SECRETLESS"], "2");
    assert_eq!(predicate["metadata"]["buildInvocationID"], "build");
    let package = &statements[1]["predicate"]["packages"][0];
    assert_eq!(package["name"], "bash");
    assert_eq!(
        package["externalRefs"][0]["referenceLocator"],
        "pkg:deb/debian/bash@5.2?arch=amd64&distro=debian-12"
    );
    assert_eq!(
        statements[1]["subject"][0]["digest"]["sha256"],
        index.manifests[0].digest.hex()
    );
}

#[tokio::test]
async fn several_platforms_are_an_index_and_folders() {
    if !as_root() {
        return;
    }
    let text = "FROM scratch AS amd64\nCOPY a /only\nFROM scratch AS arm64\nCOPY b /only\n\
         FROM --platform=$TARGETPLATFORM $TARGETARCH\nARG TARGETPLATFORM\nLABEL for=$TARGETPLATFORM\n";
    let bench = Bench::new(&[("Dockerfile", text), ("a", "A"), ("b", "B")]);
    let options = Options {
        platforms: vec![
            "linux/amd64".parse().unwrap(),
            "linux/arm64".parse().unwrap(),
        ],
        ..Options::default()
    };
    let outcome = bench
        .build(options.clone(), image("x", ImageOptions::default()))
        .await;
    let index: Index = bench.document(&outcome.image.unwrap().digest);
    let platforms: Vec<String> = index
        .manifests
        .iter()
        .map(|entry| entry.platform.as_ref().unwrap().to_string())
        .collect();
    assert_eq!(platforms, ["linux/amd64", "linux/arm64"]);
    let arm: Platform = "linux/arm64".parse().unwrap();
    let found = bench.images.resolve("x", Some(&arm)).unwrap();
    assert_eq!(found.config.config.labels["for"], "linux/arm64");
    bench
        .build(options.clone(), Export::Local { split: None })
        .await;
    let file = bench.received().join("linux_arm64/only");
    assert_eq!(std::fs::read_to_string(file).unwrap(), "B");
    std::fs::remove_dir_all(bench.received()).unwrap();
    bench.build(options, Export::Tar).await;
    assert_eq!(archived(&bench.received())["linux_amd64/only"], b"A");
}

#[tokio::test]
async fn files_and_layouts_reach_the_client() {
    if !as_root() {
        return;
    }
    let bench = Bench::new(&[("Dockerfile", TWO_STEPS), ("a", "one")]);
    bench
        .build(Options::default(), Export::Local { split: None })
        .await;
    let file = bench.received().join("a");
    assert_eq!(std::fs::read_to_string(file).unwrap(), "one");
    assert!(bench.received().join("w").is_dir());
    std::fs::remove_dir_all(bench.received()).unwrap();
    bench.build(Options::default(), Export::Tar).await;
    let files = archived(&bench.received());
    assert_eq!(files["a"], b"one");
    assert!(files.contains_key("w"));
    let names = vec![Reference::parse("x:1").unwrap()];
    let zstd = ImageOptions {
        compression: Some(Compression::Zstd),
        force: true,
        ..ImageOptions::default()
    };
    let oci = Export::Oci {
        names: names.clone(),
        tar: true,
        image: zstd,
    };
    bench.build(Options::default(), oci).await;
    let files = archived(&bench.received());
    let index: Index = serde_json::from_slice(&files["index.json"]).unwrap();
    let target = &index.manifests[0];
    assert_eq!(
        target.annotation("io.containerd.image.name"),
        Some("docker.io/library/x:1")
    );
    let path = format!("blobs/sha256/{}", target.digest.hex());
    let manifest: Manifest = serde_json::from_slice(&files[&path]).unwrap();
    let layer = &manifest.layers[0];
    assert!(
        layer.media_type.ends_with("tar+zstd"),
        "{}",
        layer.media_type
    );
    assert!(files.contains_key(&format!("blobs/sha256/{}", layer.digest.hex())));
    let docker = Export::Docker {
        names,
        image: ImageOptions::default(),
    };
    bench.build(Options::default(), docker).await;
    let archive = tokio::fs::File::open(bench.received()).await.unwrap();
    assert!(
        bench.images.resolve("x:1", None).is_err(),
        "only for the client"
    );
    let manifest: Value =
        serde_json::from_slice(&archived(&bench.received())["manifest.json"]).unwrap();
    assert_eq!(manifest[0]["RepoTags"][0], "x:1");
    drop(archive);
    let left = std::fs::read_dir(bench.folder.path().join("builder/work")).unwrap();
    assert_eq!(left.count(), 0, "nothing is left behind");
}

#[tokio::test]
async fn times_are_cut_to_the_epoch_where_asked_for() {
    if !as_root() {
        return;
    }
    let bench = Bench::new(&[("Dockerfile", TWO_STEPS), ("a", "one")]);
    let options = Options {
        epoch: Some(1_000_000_000),
        ..Options::default()
    };
    let rewrite = ImageOptions {
        rewrite_timestamps: true,
        ..ImageOptions::default()
    };
    let outcome = bench.build(options, image("x", rewrite)).await;
    let manifest: Manifest = bench.document(&outcome.image.unwrap().digest);
    for layer in &manifest.layers {
        let blob = bench.content.open_blob(&layer.digest).unwrap();
        let tar = dhow_archive::decompressed(std::io::BufReader::new(blob)).unwrap();
        let mut reader = dhow_archive::tar::Reader::new(tar);
        while let Some(header) = reader.next_entry().unwrap() {
            assert!(header.mtime.seconds <= 1_000_000_000, "{header:?}");
        }
    }
    let found = bench.images.resolve("x", None).unwrap();
    assert!(found.chain.is_some(), "unpacked again");
}

#[tokio::test]
async fn what_is_wrong_before_anything_is_built_is_told() {
    if !as_root() {
        return;
    }
    let bench = Bench::new(&[]);
    let failed = |request| async {
        let error = bench.builder.build(request).await.unwrap_err();
        (error.to_string(), error.location().map(|at| at.to_string()))
    };
    let text = "failed to read dockerfile: open Dockerfile: no such file or directory";
    let request = bench.request(Options::default(), Vec::new());
    assert_eq!(failed(request).await, (text.to_owned(), None));
    let inline = |text: &str, options: Options| BuildRequest {
        dockerfile: DockerfileSource::Inline(text.as_bytes().to_vec()),
        ..bench.request(options, Vec::new())
    };
    let checked = "# check=error=true\nFROM scratch as x\nMAINTAINER me\n";
    let text = "lint violation found for rules: FromAsCasing, MaintainerDeprecated";
    let request = inline(checked, Options::default());
    assert_eq!(failed(request).await, (text.to_owned(), None));
    let request = inline("FROM scratch\nEXPOSE a\n", Options::default());
    assert_eq!(
        failed(request).await,
        (
            "invalid containerPort: a".to_owned(),
            Some("Dockerfile:2".to_owned())
        )
    );
    let call = |call| Options {
        call: Some(call),
        ..Options::default()
    };
    let answer = bench
        .builder
        .build(inline(checked, call(Call::Check)))
        .await
        .unwrap();
    assert_eq!(answer.metadata["result.statuscode"], "1");
    let json: Value = serde_json::from_str(&answer.metadata["result.json"]).unwrap();
    assert_eq!(json["warnings"][0]["ruleName"], "FromAsCasing");
    let answer = bench
        .builder
        .build(inline("FRM x", call(Call::Check)))
        .await
        .unwrap();
    let json: Value = serde_json::from_str(&answer.metadata["result.json"]).unwrap();
    assert_eq!(
        json["buildError"]["location"]["ranges"][0]["start"]["line"],
        1
    );
    let text = "# v the version\nARG v=1\nFROM scratch AS a\nARG v\nARG w=2\n";
    let answer = bench
        .builder
        .build(inline(text, call(Call::Outline)))
        .await
        .unwrap();
    let json: Value = serde_json::from_str(&answer.metadata["result.json"]).unwrap();
    assert_eq!(json["args"][0]["description"], "the version");
    assert_eq!(json["args"][1]["value"], "2");
    let answer = bench
        .builder
        .build(inline(text, call(Call::Targets)))
        .await
        .unwrap();
    let json: Value = serde_json::from_str(&answer.metadata["result.json"]).unwrap();
    assert_eq!(json["targets"][0]["default"], true);
}
