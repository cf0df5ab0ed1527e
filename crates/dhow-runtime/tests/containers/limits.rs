//! Limits: control groups for real, resource limits, the out-of-memory killer.

use dhow_runtime::Runtime;
use dhow_runtime::cgroup::Version;
use dhow_runtime::spec::LinuxResources;
use rustix::event::{PollFd, PollFlags, poll};
use serde_json::json;

use crate::Test;
use crate::bed::Bed;

pub(crate) const TESTS: &[Test] = &[
    ("limits::they_are_set_before_the_program_runs", they_are_set),
    ("limits::they_can_be_changed", they_can_be_changed),
    (
        "limits::memory_that_runs_out_is_told",
        memory_that_runs_out_is_told,
    ),
    (
        "limits::resource_limits_are_set_as_far_as_may_be",
        resource_limits_are_set,
    ),
    ("limits::figures_are_read", figures_are_read),
    ("limits::the_view_of_cgroups", the_view_of_cgroups),
    ("limits::oom_score_adj", oom_score_adj),
];

fn value(bed: &Bed, controller: &str, v1: &str, v2: &str) -> String {
    let cgroup = bed.runtime.cgroup(&bed.id).unwrap();
    let file = if cgroup.version() == Version::V1 {
        v1
    } else {
        v2
    };
    let path = cgroup.directory(controller).unwrap().join(file);
    std::fs::read_to_string(path).unwrap().trim().to_owned()
}

fn they_are_set() {
    let bed = Bed::new("sleep")
        .set("/linux/resources/memory", json!({"limit": 67_108_864}))
        .set("/linux/resources/pids", json!({"limit": 20}))
        .set(
            "/linux/resources/cpu",
            json!({"shares": 512, "quota": 50_000, "period": 100_000, "cpus": "0"}),
        )
        .start();
    assert_eq!(
        value(&bed, "memory", "memory.limit_in_bytes", "memory.max"),
        "67108864"
    );
    assert_eq!(value(&bed, "pids", "pids.max", "pids.max"), "20");
    let cgroup = bed.runtime.cgroup(&bed.id).unwrap();
    if cgroup.version() == Version::V1 {
        assert_eq!(value(&bed, "cpu", "cpu.shares", ""), "512");
        assert_eq!(value(&bed, "cpu", "cpu.cfs_quota_us", ""), "50000");
        assert_eq!(value(&bed, "cpuset", "cpuset.cpus", ""), "0");
    } else {
        assert_eq!(value(&bed, "cpu", "", "cpu.max"), "50000 100000");
    }
    let pid = bed.created.as_ref().unwrap().pid;
    // The init is in the group in every hierarchy.
    assert_eq!(dhow_runtime::cgroup::Cgroup::of(pid).unwrap(), cgroup);
}

fn they_can_be_changed() {
    let bed = Bed::new("sleep")
        .set(
            "/linux/resources/memory",
            json!({"limit": 67_108_864, "swap": 134_217_728}),
        )
        .start();
    let update = |json: serde_json::Value| {
        let resources: LinuxResources = serde_json::from_value(json).unwrap();
        bed.runtime.update(&bed.id, &resources).unwrap();
    };
    let limit = || value(&bed, "memory", "memory.limit_in_bytes", "memory.max");
    update(json!({"memory": {"limit": 268_435_456, "swap": 536_870_912}}));
    assert_eq!(limit(), "268435456");
    update(json!({"memory": {"limit": 33_554_432, "swap": 33_554_432}, "pids": {"limit": 5}}));
    assert_eq!(limit(), "33554432");
    assert_eq!(value(&bed, "pids", "pids.max", "pids.max"), "5");
    update(json!({"pids": {"limit": -1}}));
    assert_eq!(value(&bed, "pids", "pids.max", "pids.max"), "max");
    let resources = serde_json::from_value(json!({"memory": {"limit": 1}})).unwrap();
    // Not enough for what is there already: the kernel may refuse, and then it is an error with the file's name.
    if let Err(error) = bed.runtime.update(&bed.id, &resources) {
        assert!(
            dhow_errdefs::chain(&error).to_string().contains("memory."),
            "{error}"
        );
    }
}

fn memory_that_runs_out_is_told() {
    let mut bed = Bed::new("line ; allocate 256 ; exit 3").set(
        "/linux/resources/memory",
        json!({"limit": 33_554_432, "swap": 33_554_432}),
    );
    let (stdin, mut keyboard) = std::io::pipe().unwrap();
    let null = std::fs::OpenOptions::new()
        .write(true)
        .open("/dev/null")
        .unwrap();
    use std::os::fd::AsFd;
    let (stdin, out) = (stdin.as_fd(), null.as_fd());
    bed.create_with(dhow_runtime::Stdio::Pipes {
        stdin,
        stdout: out,
        stderr: out,
    })
    .unwrap();
    let cgroup = bed.runtime.cgroup(&bed.id).unwrap();
    let watch = cgroup.watch_oom().unwrap();
    bed.runtime.start(&bed.id).unwrap();
    std::io::Write::write_all(&mut keyboard, b"go\n").unwrap();
    let fd = watch.fd();
    poll(&mut [PollFd::new(&fd, PollFlags::IN)], None).unwrap();
    watch.drain().unwrap();
    assert_eq!(bed.wait(), 137);
    assert!(cgroup.oom_kills() >= 1);
}

fn resource_limits_are_set() {
    let bed = Bed::new("limit 7 ; limit 4").set(
        "/process/rlimits",
        json!([
            {"type": "RLIMIT_NOFILE", "soft": 64, "hard": 128},
            {"type": "RLIMIT_CORE", "soft": 0, "hard": 0},
        ]),
    );
    assert_eq!(bed.run(), "64 128\n0 0\n");
    let most: u64 = std::fs::read_to_string("/proc/sys/fs/nr_open")
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    let (_, hard) = dhow_sys::exec::resource_limit(7).unwrap();
    let mut bed = Bed::new("limit 7")
        .set(
            "/process/rlimits",
            json!([{"type": "RLIMIT_NOFILE", "soft": 1000, "hard": most}]),
        )
        .start();
    let text = bed.output();
    bed.wait();
    if text == format!("1000 {most}\n") {
        assert!(bed.warnings().is_empty());
    } else {
        // Without CAP_SYS_RESOURCE the hard limit stays, and that is said.
        assert_eq!(text, format!("1000 {hard}\n"));
        assert!(
            bed.warnings()[0].starts_with("RLIMIT_NOFILE: cannot raise"),
            "{:?}",
            bed.warnings()
        );
    }
}

fn figures_are_read() {
    let bed = Bed::new("allocate 8 ; sleep").start();
    let cgroup = bed.runtime.cgroup(&bed.id).unwrap();
    crate::bed::until(|| cgroup.stats().unwrap().memory.usage > 8 << 20);
    let stats = cgroup.stats().unwrap();
    assert!(stats.cpu.total > 0);
    assert_eq!(stats.pids, 1);
    assert!(stats.memory.details.len() > 5);
    bed.runtime.kill(&bed.id, 9, false).unwrap();
    bed.wait();
    bed.runtime.delete(&bed.id, false).unwrap();
    assert!(cgroup.stats().is_err());
}

fn the_view_of_cgroups() {
    let text = Bed::new("ls /sys/fs/cgroup ; mkdir /sys/fs/cgroup/x").run();
    assert!(
        text.contains("memory") && text.ends_with("error: Read-only file system (os error 30)\n"),
        "{text}"
    );
    let mut bed = Bed::new("cat /proc/self/cgroup ; ls /sys/fs/cgroup");
    bed.spec["linux"]["namespaces"]
        .as_array_mut()
        .unwrap()
        .push(json!({"type": "cgroup"}));
    let text = bed.run();
    let paths = text.lines().filter_map(|line| line.splitn(3, ':').nth(2));
    // The v2 tree beside v1 is not ours to change.
    let paths: Vec<&str> = paths.collect();
    assert!(
        paths.iter().filter(|path| **path == "/").count() + 1 >= paths.len(),
        "{text}"
    );
    assert!(text.contains("memory"), "{text}");
}

fn oom_score_adj() {
    let text = Bed::new("cat /proc/self/oom_score_adj")
        .set("/process/oomScoreAdj", json!(500))
        .run();
    assert_eq!(text, "500\n");
    let mut bed = Bed::new("cat /proc/self/oom_score_adj")
        .set("/process/oomScoreAdj", json!(-500))
        .start();
    let text = bed.output();
    bed.wait();
    assert!(
        text == "-500\n" || bed.warnings()[0].contains("oom_score_adj"),
        "{text}"
    );
}
