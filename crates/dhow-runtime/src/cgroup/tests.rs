//! The drivers on faked trees: what is written where.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "tests")]

use super::*;
use crate::spec::LinuxResources;

/// A tree of ordinary files in the place of a real one.
struct Fake {
    folder: tempfile::TempDir,
    cgroup: Cgroup,
}

impl Fake {
    fn v1(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut paths = BTreeMap::new();
        for (hierarchy, file) in files {
            let directory = folder.path().join(hierarchy);
            std::fs::create_dir_all(&directory).unwrap();
            std::fs::write(directory.join(file), "").unwrap();
            paths.insert((*hierarchy).to_owned(), directory);
        }
        Self {
            folder,
            cgroup: Cgroup {
                version: Version::V1,
                paths,
            },
        }
    }

    fn v2(files: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            std::fs::write(folder.path().join(file), "").unwrap();
        }
        let paths = BTreeMap::from([(String::new(), folder.path().to_owned())]);
        Self {
            folder,
            cgroup: Cgroup {
                version: Version::V2,
                paths,
            },
        }
    }

    fn set(&self, json: &str) -> Result<Vec<String>, Error> {
        self.cgroup
            .set(&serde_json::from_str::<LinuxResources>(json).unwrap())
    }

    fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(file)).unwrap()
    }
}

const LIMITS: &str = r#"{
  "memory": {"limit": 1048576, "swap": 2097152, "reservation": 524288},
  "cpu": {"shares": 1024, "quota": 50000, "period": 100000, "cpus": "0-1"},
  "pids": {"limit": 64},
  "blockIO": {"weight": 500, "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 1000}]}
}"#;

#[test]
fn limits_on_v1() {
    let fake = Fake::v1(&[
        ("memory", "memory.limit_in_bytes"),
        ("memory", "memory.memsw.limit_in_bytes"),
        ("memory", "memory.soft_limit_in_bytes"),
        ("cpu,cpuacct", "cpu.shares"),
        ("cpu,cpuacct", "cpu.cfs_quota_us"),
        ("cpu,cpuacct", "cpu.cfs_period_us"),
        ("cpuset", "cpuset.cpus"),
        ("pids", "pids.max"),
        ("blkio", "blkio.weight"),
        ("blkio", "blkio.throttle.read_bps_device"),
    ]);
    assert_eq!(fake.set(LIMITS).unwrap(), Vec::<String>::new());
    assert_eq!(fake.read("memory/memory.limit_in_bytes"), "1048576");
    assert_eq!(fake.read("memory/memory.memsw.limit_in_bytes"), "2097152");
    assert_eq!(fake.read("memory/memory.soft_limit_in_bytes"), "524288");
    assert_eq!(fake.read("cpu,cpuacct/cpu.shares"), "1024");
    assert_eq!(fake.read("cpu,cpuacct/cpu.cfs_quota_us"), "50000");
    assert_eq!(fake.read("cpuset/cpuset.cpus"), "0-1");
    assert_eq!(fake.read("pids/pids.max"), "64");
    assert_eq!(
        fake.read("blkio/blkio.throttle.read_bps_device"),
        "8:0 1000"
    );
}

#[test]
fn a_cpuset_is_filled_through_a_parent_that_is_not_yet() {
    // Two containers start at once: one has made their parent, the other comes before that is filled.
    let top = tempfile::tempdir().unwrap();
    let (parent, child) = (top.path().join("dhow"), top.path().join("dhow/abc"));
    std::fs::create_dir_all(&child).unwrap();
    for (directory, has) in [(top.path(), "0-1\n"), (&parent, "\n"), (&child, "\n")] {
        std::fs::write(directory.join("cpuset.cpus"), has).unwrap();
        std::fs::write(directory.join("cpuset.mems"), has).unwrap();
        std::fs::write(directory.join("cgroup.clone_children"), "0").unwrap();
    }
    v1::fill_cpuset(&child).unwrap();
    for file in ["cpuset.cpus", "cpuset.mems"] {
        assert_eq!(std::fs::read_to_string(parent.join(file)).unwrap(), "0-1");
        assert_eq!(std::fs::read_to_string(child.join(file)).unwrap(), "0-1");
    }
}

#[test]
fn limits_on_v2() {
    let fake = Fake::v2(&[
        "memory.max",
        "memory.swap.max",
        "memory.low",
        "cpu.weight",
        "cpu.max",
        "cpuset.cpus",
        "pids.max",
        "io.weight",
        "io.max",
    ]);
    assert_eq!(fake.set(LIMITS).unwrap(), Vec::<String>::new());
    assert_eq!(fake.read("memory.max"), "1048576");
    assert_eq!(fake.read("memory.swap.max"), "1048576");
    assert_eq!(fake.read("memory.low"), "524288");
    assert_eq!(fake.read("cpu.weight"), "39");
    assert_eq!(fake.read("cpu.max"), "50000 100000");
    assert_eq!(fake.read("io.weight"), "4950");
    assert_eq!(fake.read("io.max"), "8:0 rbps=1000");
}

#[test]
fn what_the_machine_lacks_is_a_warning() {
    let fake = Fake::v1(&[("pids", "pids.max")]);
    let warnings = fake.set(LIMITS).unwrap();
    assert!(warnings.contains(&"the memory controller is not available here".to_owned()));
    assert_eq!(fake.read("pids/pids.max"), "64");
}

#[test]
fn unified_settings_are_file_names_of_v2_only() {
    let fake = Fake::v2(&["memory.high"]);
    fake.set(r#"{"unified": {"memory.high": "1000"}}"#).unwrap();
    assert_eq!(fake.read("memory.high"), "1000");
    assert!(fake.set(r#"{"unified": {"../memory.high": "1"}}"#).is_err());
    let fake = Fake::v1(&[("memory", "memory.high")]);
    assert!(fake.set(r#"{"unified": {"memory.high": "1000"}}"#).is_err());
}

#[test]
fn device_rules_on_v1_are_lines() {
    let fake = Fake::v1(&[("devices", "devices.allow"), ("devices", "devices.deny")]);
    fake.set(r#"{"devices": [{"allow": false, "access": "rwm"}]}"#)
        .unwrap();
    assert_eq!(fake.read("devices/devices.deny"), "a");
    assert_eq!(
        fake.read("devices/devices.allow"),
        "c 136:* rwm",
        "the last line written"
    );
}

#[test]
fn out_of_memory_kills_are_counted() {
    let fake = Fake::v1(&[("memory", "memory.oom_control")]);
    let file = fake.folder.path().join("memory/memory.oom_control");
    std::fs::write(file, "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n").unwrap();
    assert_eq!(fake.cgroup.oom_kills(), 3);
}

/// A group in the v2 tree of this machine, which needs no controllers for what is tried here.
struct Real(Cgroup);

impl Real {
    fn new(name: &str) -> Option<Self> {
        let top = layout::layout().unified.clone();
        let (true, Some(top)) = (rustix::process::geteuid().is_root(), top) else {
            eprintln!("\n*** SKIPPED: {name} needs root and a v2 tree ***\n");
            return None;
        };
        let path = top.join(format!("dhow-test-{name}-{}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        let paths = BTreeMap::from([(String::new(), path)]);
        Some(Self(Cgroup {
            version: Version::V2,
            paths,
        }))
    }

    fn shell(&self, script: &str) -> std::process::Command {
        let procs = self.0.directory("").unwrap().join("cgroup.procs");
        let mut command = std::process::Command::new("sh");
        command
            .arg("-c")
            .arg(format!("echo 0 > {}; {script}", procs.display()));
        command
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        self.0.remove().unwrap();
    }
}

#[test]
fn a_real_group_of_v2_is_frozen_and_killed() {
    let Some(real) = Real::new("freeze") else {
        return;
    };
    let mut child = real.shell("sleep 1000 & echo up; wait");
    let mut child = child.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut up = [0; 3];
    io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut up).unwrap();
    assert_eq!(real.0.pids().unwrap().len(), 2);
    real.0.freeze(true).unwrap();
    assert!(real.0.is_frozen().unwrap());
    real.0.freeze(false).unwrap();
    assert!(!real.0.is_frozen().unwrap());
    real.0.freeze(true).unwrap();
    real.0.kill(9).unwrap();
    assert!(!child.wait().unwrap().success());
}

#[test]
fn a_real_device_program_is_obeyed_and_replaced() {
    let Some(real) = Real::new("devices") else {
        return;
    };
    let set = |json: &str| {
        real.0
            .set(&serde_json::from_str::<LinuxResources>(json).unwrap())
            .unwrap()
    };
    let may_open = |path: &str| {
        real.shell(&format!("exec 3< {path}"))
            .output()
            .unwrap()
            .status
            .success()
    };
    let other = "/dev/autofs";
    assert!(may_open("/dev/zero"));
    set(r#"{"devices": [{"allow": false, "access": "rwm"}]}"#);
    assert!(may_open("/dev/zero"), "one of those everybody may use");
    if Path::new(other).exists() {
        assert!(!may_open(other));
        set(r#"{"devices": [{"allow": false, "access": "rwm"},
            {"allow": true, "type": "c", "major": 10, "minor": 235, "access": "r"}]}"#);
        assert!(may_open(other));
    }
    set(r#"{"devices": [{"allow": true, "access": "rwm"}]}"#);
    let directory = std::fs::File::open(real.0.directory("").unwrap()).unwrap();
    let attached = dhow_sys::bpf::device_programs(std::os::fd::AsFd::as_fd(&directory)).unwrap();
    assert_eq!(attached.len(), 1, "the old ones are gone");
}
