//! Descriptors and processes that are used up.

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use dhow_e2e::Bench;
use dhow_testkit::{Cli, Engine};
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use serde_json::json;

/// How many descriptors the daemon may have in the test.
const DESCRIPTORS: u64 = 64;

fn limit_descriptors(engine: &Engine, most: Option<u64>) {
    let pid = Pid::from_raw(i32::try_from(engine.pid()).unwrap());
    let limit = Rlimit {
        current: most,
        maximum: getrlimit(Resource::Nofile).maximum,
    };
    let _ = prlimit(pid, Resource::Nofile, limit).unwrap();
}

/// The processor time the daemon has used.
fn used(engine: &Engine) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{}/stat", engine.pid())).unwrap();
    let fields: Vec<&str> = stat
        .rsplit_once(')')
        .unwrap()
        .1
        .split_whitespace()
        .collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}

/// Clients that take all descriptors keep others out for as long, and the daemon does not spin over them.
#[test]
fn used_up_descriptors_are_waited_for() {
    if !dhow_testkit::root_or_skip("used up descriptors") {
        return;
    }
    let b = Bench::new(Cli::Dhow);
    let mut early = b.engine.client();
    let body = json!({"Image": "busybox", "Cmd": ["true"]});
    assert_eq!(early.get("/_ping").unwrap().status, 200);
    limit_descriptors(&b.engine, Some(DESCRIPTORS));
    let crowd: Vec<UnixStream> = (0..2 * DESCRIPTORS)
        .map(|_| UnixStream::connect(b.engine.socket()).unwrap())
        .collect();
    let (begun, before) = (Instant::now(), used(&b.engine));
    // Who was there before is answered: with what is wrong, if it needs descriptors.
    let id = early
        .post("/v1.44/containers/create?name=poor", Some(&body))
        .unwrap();
    if id.status == 201 {
        let answer = early.post("/v1.44/containers/poor/start", None).unwrap();
        assert_eq!(answer.status, 500, "{}", answer.text());
        assert!(
            answer.text().contains("oo many open files"),
            "{}",
            answer.text()
        );
        assert_eq!(early.delete("/v1.44/containers/poor").unwrap().status, 204);
    } else {
        assert!(id.text().contains("oo many open files"), "{}", id.text());
    }
    std::thread::sleep(Duration::from_secs(1).saturating_sub(begun.elapsed()));
    let spent = used(&b.engine).saturating_sub(before);
    assert!(
        spent < Duration::from_millis(300),
        "{spent:?} of {:?}",
        begun.elapsed()
    );
    drop(crowd);
    assert_eq!(b.ok("ps -aq"), "");
    limit_descriptors(&b.engine, getrlimit(Resource::Nofile).maximum);
    assert_eq!(b.ok("run --rm busybox echo fine"), "fine");
}

/// A cgroup in which only so many processes and threads may be; the daemon is taken out before it goes.
struct Narrow {
    folder: PathBuf,
    pid: u32,
}

impl Narrow {
    fn around(engine: &Engine) -> Option<Self> {
        let hierarchies = ["/sys/fs/cgroup/pids", "/sys/fs/cgroup"].map(PathBuf::from);
        let parent = hierarchies
            .into_iter()
            .find(|folder| folder.join("cgroup.procs").exists())?;
        let folder = parent.join(format!("dhow-e2e-narrow-{}", engine.pid()));
        fs::create_dir(&folder).ok()?;
        let narrow = Self {
            folder,
            pid: engine.pid(),
        };
        if !narrow.folder.join("pids.max").exists() {
            eprintln!("SKIPPED used up processes: there is no pids controller");
            return None;
        }
        fs::write(narrow.folder.join("cgroup.procs"), narrow.pid.to_string()).ok()?;
        Some(narrow)
    }

    /// Leaves room for so many more.
    fn leave(&self, more: u32) {
        let now = fs::read_to_string(self.folder.join("pids.current")).unwrap();
        let now: u32 = now.trim().parse().unwrap();
        self.allow(&(now + more).to_string());
    }

    fn allow(&self, most: &str) {
        fs::write(self.folder.join("pids.max"), most).unwrap();
    }
}

impl Drop for Narrow {
    fn drop(&mut self) {
        let root = self.folder.parent().unwrap().join("cgroup.procs");
        let inside = fs::read_to_string(self.folder.join("cgroup.procs")).unwrap_or_default();
        for pid in inside.lines() {
            let _ = fs::write(&root, pid);
        }
        let _ = fs::remove_dir(&self.folder);
    }
}

/// No process can be made: starting fails with the reason, whatever step it fails at; then all is well again.
#[test]
fn used_up_processes_are_said() {
    if !dhow_testkit::root_or_skip("used up processes") {
        return;
    }
    let b = Bench::new(Cli::Dhow);
    let Some(narrow) = Narrow::around(&b.engine) else {
        return;
    };
    let _ = b.ok("run -d --name steady busybox sleep 1000");
    for more in 0..4 {
        narrow.leave(more);
        let output = b.run("run --rm --name poor busybox echo made");
        if output.code == 0 {
            assert_eq!(output.stdout, "made\n");
        } else {
            assert_eq!(output.code, 125, "{more}: {}", output.stderr);
            assert!(
                output.stderr.contains("esource temporarily unavailable"),
                "{more}: {}",
                output.stderr
            );
        }
        let exec = b.run("exec steady echo made");
        if exec.code != 0 {
            assert!(
                (exec.stderr + &exec.stdout).contains("esource temporarily unavailable"),
                "{more}"
            );
        }
        narrow.allow("max");
        assert_eq!(
            b.words_ok(&["ps", "-a", "--format", "{{.Names}}"]),
            "steady"
        );
    }
    assert_eq!(b.ok("run --rm busybox echo fine"), "fine");
    let _ = b.ok("rm -f steady");
}
