//! Images on their way: pulled from and pushed to a registry on the engine's own loopback, saved and loaded.

use super::{Measurement, Subject, fixtures, memory, milliseconds, report::median};
use dhow_testkit::{Registry, RegistryKind, http::Body, packages};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

pub(super) const ALL: &[Measurement] = &[
    Measurement {
        name: "pull: 4 gzip layers, 780 MB in 31 000 files",
        unit: "ms",
        measure: |subject| pulls(subject, 3, fixtures::four),
    },
    Measurement {
        name: "pull: 4 zstd layers, 780 MB in 31 000 files",
        unit: "ms",
        measure: |subject| pulls(subject, 2, fixtures::four_zstd),
    },
    Measurement {
        name: "pull: one gzip layer, 500 MB in 19 900 files",
        unit: "ms",
        measure: |subject| pulls(subject, 2, fixtures::single),
    },
    Measurement {
        name: "pull: 40 gzip layers, 40 MB in 1 600 files",
        unit: "ms",
        measure: |subject| pulls(subject, 2, fixtures::small),
    },
    Measurement {
        name: "pull: one gzip layer, 200 000 files",
        unit: "ms",
        measure: |subject| pulls(subject, 2, fixtures::tiny),
    },
    Measurement {
        name: "pull: again, one of the 4 layers changed",
        unit: "ms",
        measure: changed,
    },
    Measurement {
        name: "pull: 5 images at once, 2 gzip layers each, 375 MB",
        unit: "ms",
        measure: several,
    },
    Measurement {
        name: "pull: processor time for a GB of files",
        unit: "s",
        measure: processor_time,
    },
    Measurement {
        name: "pull: most memory of the engine meanwhile, PSS",
        unit: "MiB",
        measure: most_memory,
    },
    Measurement {
        name: "push: 4 gzip layers, 780 MB of files",
        unit: "ms",
        measure: push,
    },
    Measurement {
        name: "save | load: 4 layers, 780 MB of files",
        unit: "ms",
        measure: save_and_load,
    },
];

/// Makes the fixture of a round.
type Fixture = fn(u64) -> PathBuf;

/// Rows that are bound by unpacking, and what the machine's own tools need for the same layers.
pub(super) const FLOORS: &[(&str, Fixture)] = &[
    (
        "pull: 4 gzip layers, 780 MB in 31 000 files",
        fixtures::four,
    ),
    (
        "pull: one gzip layer, 500 MB in 19 900 files",
        fixtures::single,
    ),
    (
        "pull: 40 gzip layers, 40 MB in 1 600 files",
        fixtures::small,
    ),
    ("pull: one gzip layer, 200 000 files", fixtures::tiny),
];

/// `gunzip | tar x` of all layers of an image at once, in milliseconds.
pub(super) fn floor(layout: &Path) -> f64 {
    let folder = tempfile::tempdir_in("/var/tmp").expect("/var/tmp is writable");
    let blobs = fixtures::blobs(layout);
    forget_removals();
    for blob in &blobs {
        // The registry's are in memory as well.
        drop(std::fs::read(blob));
    }
    milliseconds(|| {
        let unpack = |(number, blob): (usize, &PathBuf)| {
            let target = folder.path().join(number.to_string());
            std::fs::create_dir(&target).expect("the folder is new");
            let line = "gzip -dc \"$1\" | tar -xf - -C \"$2\"";
            let mut shell = Command::new("sh");
            shell.args(["-c", line, "sh"]).arg(blob).arg(target);
            shell.spawn().expect("there is a shell")
        };
        let running: Vec<_> = blobs.iter().enumerate().map(unpack).collect();
        for mut shell in running {
            let status = shell.wait().expect("the shell was started");
            assert!(status.success(), "gzip or tar failed");
        }
    })
}

/// The median time of pulls, each of an image of its own. None is removed before the end: file systems are slow for a
/// while after many deletions, and that would be measured as well.
fn pulls(subject: &Subject, rounds: u64, layout: Fixture) -> Result<f64, String> {
    let site = Site::new(subject);
    let mut times = Vec::new();
    for round in 0..rounds {
        site.fill(&layout(round), round);
        times.push(site.pull(round)?);
    }
    site.remove(0..rounds)?;
    Ok(median(times))
}

/// A new version of an image whose lower layers are here.
fn changed(subject: &Subject) -> Result<f64, String> {
    let site = Site::new(subject);
    let mut times = Vec::new();
    for round in 0..2 {
        site.fill(&fixtures::four(round), round);
        site.pull(round)?;
        site.fill(&fixtures::changed(round), 10 + round);
        times.push(site.pull(10 + round)?);
    }
    site.remove([0, 1, 10, 11].into_iter())?;
    Ok(median(times))
}

fn several(subject: &Subject) -> Result<f64, String> {
    let site = Site::new(subject);
    let mut times = Vec::new();
    for round in 0..2 {
        let numbers: Vec<u64> = (5 * round..5 * round + 5).collect();
        for number in &numbers {
            site.fill(&fixtures::several(*number), *number);
        }
        let mut pulled = Ok(());
        times.push(milliseconds(|| {
            pulled = std::thread::scope(|scope| {
                let pull = |number: &u64| {
                    let (site, number) = (&site, *number);
                    scope.spawn(move || site.pull(number))
                };
                let running: Vec<_> = numbers.iter().map(pull).collect();
                let joined = running.into_iter().map(|one| one.join());
                let results: Vec<_> = joined.collect();
                results.into_iter().try_for_each(|result| {
                    result.map_err(|_| "a pull panicked".to_owned())?.map(drop)
                })
            });
        }));
        pulled?;
    }
    site.remove(0..10)?;
    Ok(median(times))
}

fn processor_time(subject: &Subject) -> Result<f64, String> {
    let site = Site::new(subject);
    site.fill(&fixtures::four(0), 0);
    let before = memory::processor_time(subject);
    site.pull(0)?;
    let used = memory::processor_time(subject) - before;
    site.remove(0..1)?;
    Ok(used / 0.78)
}

fn most_memory(subject: &Subject) -> Result<f64, String> {
    let site = Site::new(subject);
    site.fill(&fixtures::four(1), 1);
    let over = AtomicBool::new(false);
    let most = std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut most: f64 = 0.0;
            while !over.load(Ordering::Relaxed) {
                most = most.max(memory::family(subject).into_iter().map(memory::pss).sum());
                std::thread::sleep(Duration::from_millis(50));
            }
            most
        });
        let pulled = site.pull(1);
        over.store(true, Ordering::Relaxed);
        pulled.map(|_| watcher.join().unwrap_or_default())
    });
    site.remove(1..2)?;
    most
}

/// Pushes to repositories of registries that have nothing of the image.
fn push(subject: &Subject) -> Result<f64, String> {
    let site = Site::new(subject);
    site.fill(&fixtures::four(0), 0);
    site.pull(0)?;
    let mut times = Vec::new();
    for _ in 0..3 {
        let other = Registry::start_beside(RegistryKind::Plain, subject.pid);
        let name = format!("{}/pushed", other.host());
        let tag = format!("/v1.44/images/{}:0/tag?repo={name}&tag=1", site.name);
        site.done("POST", &tag, &[])?;
        sync();
        let path = format!("/v1.44/images/{name}/push?tag=1");
        let mut result = Ok(());
        times.push(milliseconds(|| result = site.done("POST", &path, &[])));
        result?;
        site.done("DELETE", &format!("/v1.44/images/{name}:1"), &[])?;
    }
    site.remove(0..1)?;
    Ok(median(times))
}

fn save_and_load(subject: &Subject) -> Result<f64, String> {
    let site = Site::new(subject);
    site.fill(&fixtures::four(1), 1);
    site.pull(1)?;
    let path = format!("/v1.44/images/get?names={}:1", site.name);
    let mut answer = Err(std::io::ErrorKind::NotConnected.into());
    let saving = milliseconds(|| answer = subject.client().get(&path));
    let archive = answer.map_err(|error| error.to_string())?;
    site.remove(1..2)?;
    forget_removals();
    let mut result = Ok(());
    let loading = milliseconds(|| {
        result = site.done("POST", "/v1.44/images/load?quiet=1", &archive.body);
    });
    result?;
    site.remove(1..2)?;
    Ok(saving + loading)
}

/// An engine and a registry beside it.
struct Site<'a> {
    subject: &'a Subject,
    registry: Registry,
    name: String,
}

impl<'a> Site<'a> {
    fn new(subject: &'a Subject) -> Self {
        forget_removals();
        let registry = Registry::start_beside(RegistryKind::Plain, subject.pid);
        let name = format!("{}/bench", registry.host());
        Self {
            subject,
            registry,
            name,
        }
    }

    /// Puts an image into the registry. What that has left to be written is not the engine's.
    fn fill(&self, layout: &Path, tag: u64) {
        self.registry.fill(layout, &format!("bench:{tag}"));
        sync();
    }

    /// How long a pull takes.
    fn pull(&self, tag: u64) -> Result<f64, String> {
        let path = format!("/v1.44/images/create?fromImage={}&tag={tag}", self.name);
        let mut result = Ok(());
        let time = milliseconds(|| result = self.done("POST", &path, &[]));
        result.map(|()| time)
    }

    fn remove(&self, mut tags: impl Iterator<Item = u64>) -> Result<(), String> {
        tags.try_for_each(|tag| {
            let path = format!("/v1.44/images/{}:{tag}?force=1", self.name);
            self.done("DELETE", &path, &[])
        })
    }

    /// A request that must succeed, to the end of what is told of its progress.
    fn done(&self, method: &str, path: &str, body: &[u8]) -> Result<(), String> {
        let body = match body {
            [] => Body::Empty,
            archive => Body::Bytes("application/x-tar", archive),
        };
        let answer = self.subject.client().request(method, path, body);
        let answer = answer.map_err(|error| error.to_string())?;
        match answer.status < 300 && !answer.text().contains("\"error\"") {
            true => Ok(()),
            false => Err(answer.text().lines().last().unwrap_or_default().to_owned()),
        }
    }
}

/// Without a journal ext4 doesn't use the inodes of what was removed a moment ago, and looks long for others; not, where
/// it no longer has in memory when they were removed. Each engine is to find the same conditions.
fn forget_removals() {
    sync();
    // Only the superuser can; without, the figures are a little less even.
    let _ = std::fs::write("/proc/sys/vm/drop_caches", "1");
}

fn sync() {
    packages::run(&mut Command::new("sync"));
}
