//! A disk that is full.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use dhow_e2e::Bench;
use dhow_testkit::{Cli, Engine, EngineOptions, Registry, RegistryKind, images};

/// Bytes of the small disk.
const SIZE: u32 = 24 << 20;

/// A file system of its own; goes with this.
struct SmallDisk {
    folder: tempfile::TempDir,
}

impl SmallDisk {
    fn mount() -> Self {
        let folder = tempfile::Builder::new()
            .prefix("dhow-small-disk-")
            .tempdir()
            .unwrap();
        let mut mount = Command::new("mount");
        mount
            .args([
                "-t",
                "tmpfs",
                "-o",
                &format!("size={SIZE},mode=0710"),
                "tmpfs",
            ])
            .arg(folder.path());
        assert!(mount.status().unwrap().success());
        Self { folder }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    /// Takes the last byte.
    fn fill(&self) {
        let mut file = std::fs::File::create(self.path().join("filler")).unwrap();
        let block = [1; 4096];
        while file.write(&block).is_ok_and(|length| length > 0) {}
    }

    fn free(&self) {
        std::fs::remove_file(self.path().join("filler")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.folder.path()).status();
    }
}

/// An engine on a small disk with busybox, and a registry with an image that fits, if nothing else is there.
struct Bed {
    bench: Bench,
    registry: Registry,
    disk: SmallDisk,
}

impl Bed {
    fn new() -> Option<Self> {
        if !dhow_testkit::root_or_skip("a small disk") {
            return None;
        }
        let disk = SmallDisk::mount();
        let engine = Engine::start_with(EngineOptions {
            data_root: Some(disk.path()),
            ..EngineOptions::default()
        });
        engine.import_busybox();
        let bench = Bench {
            cli: Cli::Dhow,
            engine,
        };
        let registry = Registry::start_beside(RegistryKind::Plain, bench.engine.pid());
        registry.fill(&images::busybox_layout(), "box:1");
        Some(Self {
            bench,
            registry,
            disk,
        })
    }

    /// What there is, by the engine and on its disk.
    fn all(&self) -> BTreeSet<String> {
        let mut all = BTreeSet::new();
        for list in ["ps -aq --no-trunc", "images -q --no-trunc", "volume ls -q"] {
            all.extend(self.bench.ok(list).lines().map(str::to_owned));
        }
        for folder in [
            "containers",
            "active",
            "layers",
            "staging",
            "trash",
            "volumes",
        ] {
            all.extend(names(&self.disk.path().join(folder), folder));
        }
        for folder in ["content/blobs/sha256", "content/ingest"] {
            all.extend(names(&self.disk.path().join(folder), folder));
        }
        let runs = self.bench.engine.root().join("run/containers");
        all.extend(names(&runs, "run/containers"));
        all
    }

    fn fails(&self, line: &str) {
        let output = self.bench.run(line);
        assert_ne!(output.code, 0, "{line}: {}", output.stdout);
        let text = output.stderr.to_lowercase();
        let says = text.contains("no space left on device") || text.contains("disk is full");
        assert!(says, "{line}: {}", output.stderr);
    }
}

fn names(folder: &Path, prefix: &str) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let name = |entry: std::fs::DirEntry| format!("{prefix}/{}", entry.file_name().display());
    entries.map(name).collect()
}

/// Everything that needs room is refused with the one reason, and leaves nothing; what frees room works.
#[test]
fn a_full_disk_is_said_and_survived() {
    let Some(bed) = Bed::new() else { return };
    let b = &bed.bench;
    let large = b.words(&[
        "run",
        "--name",
        "large",
        "busybox",
        "sh",
        "-c",
        "cat /dev/zero > /fill",
    ]);
    assert_eq!(large.code, 1, "{}", large.stderr);
    assert!(
        large.stderr.contains("No space left on device"),
        "{}",
        large.stderr
    );
    // The engine's own room is gone as well now.
    bed.disk.fill();
    let before = bed.all();
    bed.fails(&format!("pull {}/box:1", bed.registry.host()));
    // There is room for a record, and for no more.
    if b.run("create --name new busybox true").code == 0 {
        bed.fails("start new");
        let _ = b.ok("rm new");
    }
    bed.fails("run --rm --name new busybox true");
    bed.fails("run --rm -v fresh:/data busybox true");
    let _ = b.run("volume rm fresh");
    let tar = images::busybox_tar();
    bed.fails(&format!("load -i {}", tar.display()));
    bed.fails(&format!("import {}", tar.display()));
    assert_eq!(bed.all(), before);
    // Removing must work just now.
    assert_eq!(b.ok("rm large"), "large");
    bed.disk.free();
    assert_eq!(b.ok("run --rm busybox echo room"), "room");
    let _ = b.words_ok(&["pull", "-q", &format!("{}/box:1", bed.registry.host())]);
    let _ = b.words_ok(&[
        "run",
        "--rm",
        "-v",
        "fresh:/data",
        "busybox",
        "touch",
        "/data/x",
    ]);
}

/// What ran before goes on: its exit code is known, and what was printed meanwhile is all that is lost.
#[test]
fn a_container_lives_through_a_full_disk() {
    let Some(mut bed) = Bed::new() else { return };
    let script = "echo before; read x; i=0; while [ $i -lt 2000 ]; do i=$((i+1)); echo lost $i; done; \
                  read x; echo after; exit 7";
    let b = &bed.bench;
    let _ = b.words_ok(&[
        "run", "-di", "--name", "lives", "busybox", "sh", "-c", script,
    ]);
    let _ = b.words_ok(&[
        "run",
        "-di",
        "--name",
        "ends",
        "busybox",
        "sh",
        "-c",
        "read x; exit 9",
    ]);
    bed.disk.fill();
    type_into(b, "lives");
    type_into(b, "ends");
    assert_eq!(b.ok("wait ends"), "9");
    assert_eq!(
        b.words_ok(&[
            "inspect",
            "-f",
            "{{.State.Status}} {{.State.ExitCode}}",
            "ends"
        ]),
        "exited 9"
    );
    assert_eq!(
        b.words_ok(&["inspect", "-f", "{{.State.Status}}", "lives"]),
        "running"
    );
    // A daemon that is killed now finds the exit again, and can be started.
    bed.bench.engine.kill9();
    bed.bench.engine.boot();
    let b = &bed.bench;
    assert_eq!(
        b.words_ok(&[
            "inspect",
            "-f",
            "{{.State.Status}} {{.State.ExitCode}}",
            "ends"
        ]),
        "exited 9"
    );
    bed.disk.free();
    type_into(b, "lives");
    assert_eq!(b.ok("wait lives"), "7");
    let log = b.ok("logs lives");
    assert!(log.starts_with("before") && log.ends_with("after"), "{log}");
}

/// One line for a container's input.
fn type_into(bench: &Bench, name: &str) {
    let path = format!("/v1.44/containers/{name}/attach?stream=1&stdin=1");
    let mut stream = bench
        .engine
        .client()
        .hijack(&path, &serde_json::json!({}))
        .unwrap();
    stream.get_mut().write_all(b"go\n").unwrap();
}
