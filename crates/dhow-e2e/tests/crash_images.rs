//! `kill -9` of the daemon in the middle of what it does with images: nothing half-made, nothing left behind, and what
//! was fetched is not fetched again. After each, `system fsck --deep` finds nothing wrong or repairs it.
//!
//! The number of rounds can be raised with `DHOW_CRASH_ROUNDS`.
#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use dhow_e2e::Bench;
use dhow_testkit::faults::{Fault, FaultProxy};
use dhow_testkit::http::{Body, Client};
use dhow_testkit::{Cli, Registry, RegistryKind, images};

/// How large each layer's file is; random, so that it takes its time.
const LAYER: usize = 2 << 20;
/// How many layers there are.
const LAYERS: usize = 4;

/// A pull that was cut short is gone on with: the layers that are there are not fetched again.
#[test]
fn a_pull_cut_short_is_gone_on_with() {
    let Some(mut bed) = Bed::new() else { return };
    let whole = bed.timed(Bed::pull);
    let _ = bed.bench.words_ok(&["rmi", &bed.name]);
    bed.is_as_before("a whole pull");
    for round in 0..rounds() {
        bed.cut(whole, Bed::pull);
        let left = Left::of(&bed.bench);
        assert!(left.passing.is_empty(), "round {round}: {left:?}");
        if bed.has_image() {
            bed.runs();
        }
        let (here, sent) = (bed.bytes_here(), bed.proxy.sent());
        let progress = bed.pull_again();
        let asked = bed.proxy.sent() - sent;
        let missing = bed.total.saturating_sub(here);
        assert!(
            asked <= missing + ON_THE_WAY,
            "round {round}: {asked} bytes were fetched, {missing} were missing"
        );
        for layer in bed.layers.intersection(&left.blobs) {
            let fetched = format!("\"id\":\"{}\",\"status\":\"Downloading\"", &layer[..12]);
            assert!(
                !progress.contains(&fetched),
                "round {round}: {layer} was here\n{progress}"
            );
        }
        bed.runs();
        let _ = bed.bench.words_ok(&["rmi", &bed.name]);
        bed.is_as_before(&format!("round {round}"));
    }
}

/// A load or import that was cut short has made a whole image or nothing.
#[test]
fn a_load_or_import_cut_short_leaves_an_image_or_nothing() {
    let Some(mut bed) = Bed::new() else { return };
    for what in [Bed::load, Bed::import] {
        let whole = bed.timed(what);
        let _ = bed.bench.words_ok(&["rmi", &bed.name]);
        bed.is_as_before("all of it");
        for round in 0..rounds() {
            bed.cut(whole, what);
            if bed.has_image() {
                bed.runs();
                let _ = bed.bench.words_ok(&["rmi", &bed.name]);
            }
            bed.is_as_before(&format!("round {round}"));
        }
    }
}

/// A push that was cut short harms nobody, and the next one succeeds.
#[test]
fn a_push_cut_short_can_be_repeated() {
    let Some(mut bed) = Bed::new() else { return };
    let tag = |bed: &Bed, name: &str| {
        let _ = bed.bench.words_ok(&["tag", &bed.name, name]);
    };
    let _ = bed.pull_again();
    let fetched = bed.name.clone();
    bed.name = format!("{}/pushed/first:1", bed.registry.host());
    let _ = bed.bench.words_ok(&["tag", &fetched, &bed.name]);
    let whole = bed.timed(Bed::push);
    for round in 0..rounds() {
        let name = format!("{}/pushed/again{round}:1", bed.registry.host());
        tag(&bed, &name);
        let _ = bed.bench.words_ok(&["rmi", &bed.name]);
        bed.name = name;
        bed.cut(whole, Bed::push);
        bed.runs();
        let pushed = bed.bench.words_ok(&["push", &bed.name]);
        assert!(pushed.contains("1: digest: sha256:"), "{pushed}");
        let _ = bed.bench.words_ok(&["rmi", "-f", &bed.name, &fetched]);
        let _ = bed.pull_again();
        bed.runs();
        let _ = bed.bench.words_ok(&["tag", &bed.name, &fetched]);
    }
    let _ = bed.bench.words_ok(&["rmi", &bed.name, &fetched]);
    bed.is_as_before("the pushes");
}

/// A removal that was cut short leaves the whole image or nothing of it.
#[test]
fn a_removal_cut_short_leaves_the_image_or_nothing() {
    let Some(mut bed) = Bed::new() else { return };
    Bed::load(&mut bed.client(), &bed.job());
    let whole = bed.timed(Bed::remove);
    for round in 0..rounds() {
        Bed::load(&mut bed.client(), &bed.job());
        bed.cut(whole, Bed::remove);
        if bed.has_image() {
            bed.runs();
            let _ = bed.bench.words_ok(&["rmi", &bed.name]);
        }
        bed.is_as_before(&format!("round {round}"));
    }
}

/// Whatever happens at once is cut short at once.
#[test]
fn several_things_cut_short_at_once_leave_what_is_whole() {
    let Some(mut bed) = Bed::new() else { return };
    let whole = bed.timed(Bed::pull);
    // The pruning takes it as well.
    let _ = bed.bench.words_ok(&["rmi", &bed.name, "busybox"]);
    bed.before = Left::of(&bed.bench);
    for round in 0..rounds() {
        let others: [(&str, Work); 4] = [
            ("other/loaded:1", Bed::load),
            ("other/imported:1", Bed::import),
            ("other/pruned:1", Bed::prune),
            ("other/pushed:1", Bed::push_loaded),
        ];
        let workers: Vec<_> = others
            .into_iter()
            .map(|(name, work)| {
                let (mut client, mut job) = (bed.client(), bed.job());
                name.clone_into(&mut job.name);
                std::thread::spawn(move || work(&mut client, &job))
            })
            .collect();
        bed.cut(whole * 3, Bed::pull);
        for worker in workers {
            worker.join().unwrap();
        }
        let _ = bed.pull_again();
        bed.runs();
        for name in bed.bench.ok("images -qa").lines() {
            // Two names of one image are both gone with the first.
            let _ = bed.bench.words(&["rmi", "-f", name]);
        }
        bed.is_as_before(&format!("round {round}"));
    }
}

/// What may have been on its way when the daemon was killed: received and not yet written, or written and not yet
/// noted; and the documents.
const ON_THE_WAY: u64 = 1 << 20;

fn rounds() -> u32 {
    let set = std::env::var("DHOW_CRASH_ROUNDS").ok();
    set.and_then(|text| text.parse().ok()).unwrap_or(3)
}

/// An engine, a registry with an image of some layers in it, and what the engine had on its disk before.
struct Bed {
    bench: Bench,
    registry: Registry,
    /// Stands before the registry and counts.
    proxy: FaultProxy,
    name: String,
    /// The bytes of all layers.
    total: u64,
    layers: BTreeSet<String>,
    checksum: String,
    archives: Archives,
    before: Left,
    random: u64,
    _folder: tempfile::TempDir,
}

/// The image in files: as an archive of images, and its file system.
#[derive(Clone)]
struct Archives {
    image: PathBuf,
    files: PathBuf,
}

/// What a request needs.
struct Job {
    name: String,
    archives: Archives,
}

/// Something the engine is asked for; whether it ends well is not its concern.
type Work = fn(&mut Client, &Job);

impl Bed {
    fn new() -> Option<Self> {
        if !dhow_testkit::root_or_skip("kill -9 of the daemon") {
            return None;
        }
        let bench = Bench::new(Cli::Dhow);
        let folder = tempfile::tempdir().unwrap();
        let layout = folder.path().join("layout");
        let (archives, checksum) = make_image(folder.path(), &layout);
        let registry = Registry::start_beside(RegistryKind::Plain, bench.engine.pid());
        registry.fill(&layout, "cut/short:1");
        let pid = Some(bench.engine.pid());
        let proxy = FaultProxy::start(pid, &registry.host(), |_| Fault::None);
        let before = Left::of(&bench);
        let layers = layers_of(&layout);
        let size = |name: &String| std::fs::metadata(layout.join("blobs/sha256").join(name));
        Some(Self {
            name: format!("{}/cut/short:1", proxy.host()),
            total: layers.iter().map(|name| size(name).unwrap().len()).sum(),
            layers,
            proxy,
            bench,
            registry,
            checksum,
            archives,
            before,
            random: 0x9e37_79b9_7f4a_7c15,
            _folder: folder,
        })
    }

    fn client(&self) -> Client {
        self.bench.engine.client()
    }

    fn job(&self) -> Job {
        Job {
            name: self.name.clone(),
            archives: self.archives.clone(),
        }
    }

    /// How long the work takes.
    fn timed(&self, work: Work) -> Duration {
        let begun = Instant::now();
        work(&mut self.client(), &self.job());
        begun.elapsed()
    }

    /// Kills the daemon at a random moment of the work and starts it again.
    fn cut(&mut self, whole: Duration, work: Work) {
        let (mut client, job) = (self.client(), self.job());
        let worker = std::thread::spawn(move || work(&mut client, &job));
        self.random = self
            .random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let share = u32::try_from(self.random >> 40).unwrap();
        std::thread::sleep(whole.mul_f64(f64::from(share) / f64::from(1 << 24)));
        self.bench.engine.kill9();
        worker.join().unwrap();
        self.bench.engine.boot();
        let checked = self.bench.run("system fsck --deep --repair");
        assert_eq!(checked.code, 0, "{checked:?}");
        let _ = self.bench.ok("system fsck --deep");
    }

    /// How much of the layers is here, whole or in part.
    fn bytes_here(&self) -> u64 {
        let data = self.bench.engine.data_root();
        let blobs = self
            .layers
            .iter()
            .map(|name| data.join("content/blobs/sha256").join(name));
        let whole: u64 = blobs
            .filter_map(|path| std::fs::metadata(path).ok())
            .map(|m| m.len())
            .sum();
        let parts = names(&data.join("content/ingest")).into_iter();
        let parts = parts.map(|name| std::fs::metadata(data.join("content/ingest").join(name)));
        // Holes are not here.
        whole + parts.map(|part| 512 * part.unwrap().blocks()).sum::<u64>()
    }

    fn pull(client: &mut Client, job: &Job) {
        let path = format!("/v1.44/images/create?fromImage={}", job.name);
        let _ = client.post(&path, None);
    }

    fn push(client: &mut Client, job: &Job) {
        let (name, tag) = job.name.rsplit_once(':').unwrap();
        let _ = client.post(&format!("/v1.44/images/{name}/push?tag={tag}"), None);
    }

    fn load(client: &mut Client, job: &Job) {
        let bytes = std::fs::read(&job.archives.image).unwrap();
        let body = Body::Bytes("application/x-tar", &bytes);
        if client.request("POST", "/v1.44/images/load", body).is_ok() {
            let (name, tag) = job.name.rsplit_once(':').unwrap();
            let path = format!("/v1.44/images/cut:short/tag?repo={name}&tag={tag}");
            let _ = client.post(&path, None);
            let _ = client.delete("/v1.44/images/cut:short");
        }
    }

    fn import(client: &mut Client, job: &Job) {
        let bytes = std::fs::read(&job.archives.files).unwrap();
        let (name, tag) = job.name.rsplit_once(':').unwrap();
        let path = format!("/v1.44/images/create?fromSrc=-&repo={name}&tag={tag}");
        let _ = client.request("POST", &path, Body::Bytes("application/x-tar", &bytes));
    }

    fn prune(client: &mut Client, _: &Job) {
        let path = "/v1.44/images/prune?filters=%7B%22dangling%22%3A%5B%22false%22%5D%7D";
        while client.post(path, None).is_ok() {}
    }

    fn push_loaded(client: &mut Client, job: &Job) {
        Self::load(client, job);
        Self::push(client, job);
    }

    fn remove(client: &mut Client, job: &Job) {
        let _ = client.delete(&format!("/v1.44/images/{}", job.name));
    }

    /// Pulls to the end; all that was told on the way.
    fn pull_again(&self) -> String {
        let path = format!("/v1.44/images/create?fromImage={}", self.name);
        let answer = self.client().post(&path, None).unwrap();
        let text = answer.text();
        assert!(
            answer.status == 200 && text.contains("Status: "),
            "{text}\n{}",
            self.bench.engine.log()
        );
        text
    }

    fn has_image(&self) -> bool {
        // An archive that was loaded and not yet tagged has another name.
        if self.bench.words(&["image", "inspect", "cut:short"]).code == 0 {
            let _ = self.bench.words_ok(&["tag", "cut:short", &self.name]);
            let _ = self.bench.words_ok(&["rmi", "cut:short"]);
        }
        self.bench.words(&["image", "inspect", &self.name]).code == 0
    }

    /// The image runs and has all its files.
    fn runs(&self) {
        let script = "cat /data* | sha256sum";
        let sum = self
            .bench
            .words_ok(&["run", "--rm", &self.name, "sh", "-c", script]);
        assert_eq!(sum.split(' ').next(), Some(self.checksum.as_str()));
    }

    /// Nothing is on the disk that was not there in the beginning.
    fn is_as_before(&self, when: &str) {
        let left = Left::of(&self.bench);
        assert_eq!(left, self.before, "{when}\n{}", self.bench.engine.log());
    }
}

/// What the engine has of images on its disk.
#[derive(Debug, PartialEq, Eq)]
struct Left {
    blobs: BTreeSet<String>,
    layers: BTreeSet<String>,
    /// What is of the moment: half-fetched, half-unpacked, half-removed.
    passing: BTreeSet<String>,
}

impl Left {
    fn of(bench: &Bench) -> Self {
        // Whatever clears up in the background has come to its end after that.
        let _ = bench.ok("image prune -f");
        let data = bench.engine.root().join("data");
        let mut passing = BTreeSet::new();
        for folder in ["content/ingest", "staging", "trash"] {
            passing.extend(names(&data.join(folder)));
        }
        // What of a layer was fetched is kept for the next pull.
        let partials = names(&data.join("content/ingest"));
        passing.retain(|name| !partials.contains(name) || name.contains('.'));
        Self {
            blobs: names(&data.join("content/blobs/sha256")),
            layers: names(&data.join("layers")),
            passing,
        }
    }
}

fn names(folder: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let name = |entry: std::io::Result<std::fs::DirEntry>| {
        entry.unwrap().file_name().into_string().unwrap()
    };
    entries.map(name).collect()
}

/// Makes busybox with some layers of random files on it.
fn make_image(folder: &Path, layout: &Path) -> (Archives, String) {
    let busybox = std::fs::read(images::busybox_tar()).unwrap();
    let mut image = images::Layout::new(layout).layer(&busybox);
    let mut all = Vec::new();
    let mut files = tar::Builder::new(Vec::new());
    files.append_dir_all(".", images::busybox_rootfs()).unwrap();
    for number in 0..LAYERS {
        let bytes = noise(u64::try_from(number).unwrap() + 1);
        let name = format!("data{number}");
        let mut layer = tar::Builder::new(Vec::new());
        for archive in [&mut layer, &mut files] {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            archive
                .append_data(&mut header, &name, bytes.as_slice())
                .unwrap();
        }
        image = image.layer(&layer.into_inner().unwrap());
        all.extend(bytes);
    }
    image.finish("cut:short");
    let archives = Archives {
        image: folder.join("image.tar"),
        files: folder.join("files.tar"),
    };
    std::fs::write(&archives.files, files.into_inner().unwrap()).unwrap();
    let mut archive = tar::Builder::new(std::fs::File::create(&archives.image).unwrap());
    archive.append_dir_all(".", layout).unwrap();
    archive.finish().unwrap();
    let digest = images::digest(&all);
    (archives, digest.trim_start_matches("sha256:").to_owned())
}

/// Bytes that don't compress.
fn noise(seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    (0..LAYER / 8).flat_map(|_| next()).collect()
}

/// The digests of the layers, as their files are called.
fn layers_of(layout: &Path) -> BTreeSet<String> {
    let blobs = layout.join("blobs/sha256");
    let large =
        |name: &String| std::fs::metadata(blobs.join(name)).is_ok_and(|file| file.len() > 100_000);
    names(&blobs).into_iter().filter(large).collect()
}
