#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    missing_docs,
    reason = "tests"
)]
//! Real shims with real containers; needs root.

mod common;

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::{ALL, Fixture, Output, count, exec, exited, program, within};
use dhow_oci::runtime::ProcessBuilder;
use dhow_shim::{Rootfs, RuntimeChoice, Shim, ShimEvent, ShimStatus, exit_record};

/// A real container on an overlay, in namespaces and a control group of its own.
struct Real {
    fixture: Fixture,
    cgroup: String,
}

impl Real {
    /// `None`, said loudly, without root.
    fn new(words: &[&str]) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            eprintln!("SKIPPED: containers need root");
            return None;
        }
        let mut fixture = Fixture::new(&[]);
        let path = |name: &str| fixture.folder.path().join(name);
        for name in [
            "lower/etc",
            "lower/proc",
            "lower/dev",
            "lower/tmp",
            "upper",
            "work",
        ] {
            std::fs::create_dir_all(path(name)).unwrap();
        }
        std::fs::copy(program(), path("lower/payload")).unwrap();
        std::fs::write(
            path("lower/etc/passwd"),
            "root:x:0:0::/:\nuser:x:1000:1000::/:\n",
        )
        .unwrap();
        let cgroup = format!(
            "/dhow-test-{}-{}",
            std::process::id(),
            fixture.folder.path().display()
        )
        .replace("/tmp/", "")
        .replace('.', "");
        let rootfs = Rootfs::Overlay {
            lower: vec![path("lower")],
            upper: Some(path("upper")),
            work: Some(path("work")),
            read_only: false,
            volatile: false,
        };
        fixture.config.rootfs = rootfs;
        fixture.config.runtime = RuntimeChoice::Builtin;
        let real = Self { fixture, cgroup };
        real.write_spec(words, &serde_json::json!({}));
        Some(real)
    }

    fn write_spec(&self, words: &[&str], resources: &serde_json::Value) {
        self.fixture.write_spec(&serde_json::json!({
            "ociVersion": "1.2.0",
            "root": {"path": "rootfs"},
            "hostname": "box",
            "process": process(words),
            "mounts": [
                {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"]},
                {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "strictatime", "mode=755"]},
                {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
                 "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]},
            ],
            "linux": {
                "cgroupsPath": format!("{}/{}", self.cgroup, self.fixture.config.id),
                "resources": resources,
                "namespaces": [
                    {"type": "pid"}, {"type": "mount"}, {"type": "ipc"}, {"type": "uts"}, {"type": "network"},
                ],
            },
        }));
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        self.fixture.end();
        // What the container's own group was made in.
        for hierarchy in std::fs::read_dir("/sys/fs/cgroup")
            .into_iter()
            .flatten()
            .flatten()
        {
            let _ = std::fs::remove_dir(hierarchy.path().join(&self.cgroup[1..]));
        }
        let _ = std::fs::remove_dir(Path::new("/sys/fs/cgroup").join(&self.cgroup[1..]));
    }
}

fn process(words: &[&str]) -> dhow_oci::runtime::Process {
    let args: Vec<String> = std::iter::once("/payload")
        .chain(words.iter().copied())
        .map(String::from)
        .collect();
    ProcessBuilder::default()
        .cwd("/")
        .args(args)
        .build()
        .unwrap()
}

fn mounts() -> String {
    std::fs::read_to_string("/proc/self/mounts").unwrap()
}

#[tokio::test]
async fn a_container_runs_and_leaves_nothing() {
    let Some(mut real) = Real::new(&["both"]) else {
        return;
    };
    let (output, exit) = within(real.fixture.run()).await;
    assert_eq!(output.text(), ("to stdout\n", "to stderr\n"));
    assert_eq!((exit.code, exit.signal, exit.oom_killed), (0, None, false));
    real.fixture.shim_ended().await;
    assert!(!mounts().contains(real.fixture.folder.path().to_str().unwrap()));
    let runtime = std::fs::read_dir(&real.fixture.config.runtime_root);
    assert_eq!(runtime.into_iter().flatten().count(), 0);
    assert_eq!(groups(&real), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn a_foreign_runtime_does_the_same() {
    let Some(mut real) = Real::new(&["both"]) else {
        return;
    };
    let program = Path::new("/usr/sbin/runc");
    if !program.exists() {
        eprintln!("SKIPPED: no {}", program.display());
        return;
    }
    real.fixture.config.runtime = RuntimeChoice::External {
        program: program.into(),
    };
    let (output, exit) = within(real.fixture.run()).await;
    assert_eq!(output.text(), ("to stdout\n", "to stderr\n"));
    assert_eq!((exit.code, exit.signal), (0, None));
    real.fixture.shim_ended().await;
    // Its root file system was attached in the host's mount namespace, and only there others see it.
    assert!(!mounts().contains(real.fixture.folder.path().to_str().unwrap()));
    assert_eq!(groups(&real), Vec::<PathBuf>::new());
}

/// The control groups of the container that are still there.
fn groups(real: &Real) -> Vec<PathBuf> {
    let name = format!("{}/{}", &real.cgroup[1..], real.fixture.config.id);
    let hierarchies = std::fs::read_dir("/sys/fs/cgroup")
        .into_iter()
        .flatten()
        .flatten();
    let mut groups: Vec<PathBuf> = hierarchies
        .map(|hierarchy| hierarchy.path().join(&name))
        .collect();
    groups.push(Path::new("/sys/fs/cgroup").join(&name));
    groups.retain(|group| group.exists());
    groups
}

#[tokio::test]
async fn errors_are_told_whole_and_leave_nothing() {
    let Some(mut real) = Real::new(&[]) else {
        return;
    };
    for (args, text) in [
        (
            ["/no/such", ""],
            "exec: \"/no/such\": stat /no/such: no such file or directory",
        ),
        (
            ["nothere", ""],
            "exec: \"nothere\": executable file not found in $PATH",
        ),
        (
            ["/etc/passwd", ""],
            "exec: \"/etc/passwd\": permission denied",
        ),
    ] {
        real.fixture.write_spec(&serde_json::json!({
            "ociVersion": "1.2.0", "root": {"path": "rootfs"},
            "process": {"cwd": "/", "args": args, "user": {"uid": 0, "gid": 0}, "env": ["PATH=/bin"]},
            "linux": {
                "cgroupsPath": format!("{}/{}", real.cgroup, real.fixture.config.id),
                "namespaces": [{"type": "pid"}, {"type": "mount"}],
            },
        }));
        let error = within(real.fixture.spawn()).await.unwrap_err().to_string();
        assert!(error.ends_with(text), "{error}");
        assert_eq!(groups(&real), Vec::<PathBuf>::new());
    }
    real.write_spec(&["exit", "0"], &serde_json::json!({}));
    real.fixture.config.user = "nobody-here".into();
    let error = within(real.fixture.spawn()).await.unwrap_err().to_string();
    assert_eq!(
        error,
        "unable to find user nobody-here: no matching entries in passwd file"
    );
    assert!(!mounts().contains(real.fixture.folder.path().to_str().unwrap()));
    assert_eq!(groups(&real), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn execs_terminals_pausing_and_users() {
    let Some(mut real) = Real::new(&["sleep"]) else {
        return;
    };
    real.fixture.config.user = "user".into();
    let (shim, _) = within(real.fixture.spawn()).await.unwrap();
    let events = shim.subscribe().await.unwrap();
    shim.start().await.unwrap();
    for number in 0..20 {
        let id = format!("e{number}");
        let mut request = exec(&id, &[]);
        request.process = process(&["count", "1000", "9"]);
        let started = within(shim.exec(&request)).await.unwrap();
        assert!(within(Output::read(started.stream)).await.text().0 == count(0..1000));
        assert_eq!(shim.exec_state(&id).await.unwrap().exit_code, Some(9));
    }
    let mut request = exec("bad", &[]);
    request.process = process(&[]);
    request.process.set_args(Some(vec!["/no/such".into()]));
    let error = within(shim.exec(&request)).await.unwrap_err().to_string();
    assert!(
        error.ends_with("exec: \"/no/such\": stat /no/such: no such file or directory"),
        "{error}"
    );
    shim.pause().await.unwrap();
    assert_eq!(shim.state().await.unwrap().status, ShimStatus::Paused);
    shim.resume().await.unwrap();
    assert_eq!(shim.state().await.unwrap().status, ShimStatus::Running);
    assert_eq!(shim.pids().await.unwrap().len(), 1);
    shim.kill(9, false).await.unwrap();
    let exit = exited(events).await;
    assert_eq!((exit.code, exit.signal), (137, Some(9)));
}

#[tokio::test]
async fn memory_running_out_is_noticed() {
    let Some(mut real) = Real::new(&[]) else {
        return;
    };
    real.write_spec(
        &["eat", "200"],
        &serde_json::json!({"memory": {"limit": 20_000_000, "swap": 20_000_000}}),
    );
    let (shim, _) = within(real.fixture.spawn()).await.unwrap();
    let mut events = shim.subscribe().await.unwrap();
    shim.start().await.unwrap();
    let mut told = false;
    let exit = loop {
        match within(events.recv()).await.unwrap() {
            ShimEvent::OomKilled => told = true,
            ShimEvent::Exited(exit) => break exit,
            _ => {}
        }
    };
    assert_eq!((exit.code, exit.oom_killed, told), (137, true, true));
}

#[tokio::test]
async fn held_descriptors_are_held_and_stay_outside() {
    let Some(mut real) = Real::new(&["fds"]) else {
        return;
    };
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
    let (shim, created) = within(Shim::spawn(&program(), &real.fixture.config, vec![write]))
        .await
        .unwrap();
    real.fixture.shim_pid = Some(created.shim_pid);
    let stream = shim.attach(ALL).await.unwrap();
    shim.start().await.unwrap();
    // 0, 1, 2 and the one that lists them.
    assert_eq!(within(Output::read(stream)).await.text().0, "4\n");
    let read: OwnedFd = read;
    let mut end = [0];
    // Ends with the shim, as nobody else has the other side.
    assert_eq!(rustix::io::read(&read, &mut end).unwrap(), 0);
}

#[tokio::test]
async fn nothing_changes_for_the_container_when_its_daemon_is_killed() {
    let Some(mut real) = Real::new(&["count", "2000000", "6"]) else {
        return;
    };
    // Another process is the daemon: it starts the container, is slow in reading its output, and is killed.
    let config = real.fixture.folder.path().join("config.json");
    std::fs::write(&config, serde_json::to_vec(&real.fixture.config).unwrap()).unwrap();
    let mut daemon = Command::new(program())
        .arg("daemon")
        .arg(&config)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(
        &mut std::io::BufReader::new(daemon.stdout.take().unwrap()),
        &mut line,
    )
    .unwrap();
    real.fixture.shim_pid = line.trim().parse().ok();
    let pid =
        rustix::process::Pid::from_raw(i32::try_from(real.fixture.shim_pid.unwrap()).unwrap())
            .unwrap();
    let shim = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).unwrap();
    daemon.kill().unwrap();
    daemon.wait().unwrap();
    let mut ends = [rustix::event::PollFd::new(
        &shim,
        rustix::event::PollFlags::IN,
    )];
    rustix::event::poll(&mut ends, None).unwrap();
    assert_eq!(
        exit_record(real.fixture.state_dir()).unwrap().unwrap().code,
        6
    );
    assert!(real.fixture.log() == count(0..2_000_000));
}
