//! A shim for a test: a bundle, a state folder, and a guard that leaves nothing behind.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "tests; not each uses all of it"
)]

use std::path::{Path, PathBuf};
use std::time::Duration;

use dhow_logging::{LogSource, Progress, ReadOptions, Reader};
use dhow_oci::runtime::{Process, ProcessBuilder};
use dhow_shim::{
    AttachRequest, Created, Error, ExecRequest, ExitRecord, LogConfig, Rootfs, RuntimeChoice,
    SHIM_VERSION, Shim, ShimConfig, ShimEvent,
};
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio::sync::mpsc;

/// The example program of this crate: shim and payload. Cargo builds it with the tests.
pub fn program() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.parent()
        .unwrap()
        .parent()
        .unwrap()
        .join("examples/shim")
}

pub const ALL: AttachRequest = AttachRequest {
    stdin: false,
    stdout: true,
    stderr: true,
};

pub struct Fixture {
    pub folder: tempfile::TempDir,
    pub config: ShimConfig,
    pub shim_pid: Option<u32>,
}

impl Fixture {
    /// A container of the simulated runtime that runs the payload with `words`.
    pub fn new(words: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["bundle", "state"] {
            std::fs::create_dir(path(name)).unwrap();
        }
        let config = ShimConfig {
            version: SHIM_VERSION,
            id: "0123456789abcdef".into(),
            bundle: path("bundle"),
            state_dir: path("state"),
            socket: path("shim.sock"),
            runtime: RuntimeChoice::External {
                program: "simulated".into(),
            },
            runtime_root: path("runtime"),
            rootfs: Rootfs::Directory("/".into()),
            user: String::new(),
            additional_groups: Vec::new(),
            terminal: false,
            open_stdin: false,
            stdin_once: false,
            console_size: None,
            log: LogConfig {
                driver: "json-file".into(),
                path: path("x-json.log"),
                ..LogConfig::default()
            },
        };
        let fixture = Self {
            folder,
            config,
            shim_pid: None,
        };
        fixture.write_spec(&serde_json::json!({
            "ociVersion": "1.2.0",
            "root": {"path": "/"},
            "process": process(words),
        }));
        fixture
    }

    pub fn write_spec(&self, spec: &serde_json::Value) {
        std::fs::write(self.config.bundle.join("config.json"), spec.to_string()).unwrap();
    }

    pub async fn spawn(&mut self) -> Result<(Shim, Created), Error> {
        let (shim, created) = Shim::spawn(&program(), &self.config, Vec::new()).await?;
        self.shim_pid = Some(created.shim_pid);
        Ok((shim, created))
    }

    /// Spawns, attaches to all output, starts, and returns what the container printed (frames taken apart).
    pub async fn run(&mut self) -> (Output, ExitRecord) {
        let (shim, _) = self.spawn().await.unwrap();
        let events = shim.subscribe().await.unwrap();
        let stream = shim.attach(ALL).await.unwrap();
        shim.start().await.unwrap();
        let output = Output::read(stream).await;
        (output, exited(events).await)
    }

    /// Waits for the end of the shim, after which nothing of the container is left.
    pub async fn shim_ended(&self) {
        let state_dir = self.config.state_dir.clone();
        let waiting = tokio::task::spawn_blocking(move || {
            let lock = std::fs::File::open(state_dir.join("lock")).unwrap();
            rustix::fs::flock(lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
        });
        within(waiting).await.unwrap();
    }

    pub fn log(&self) -> String {
        let source = LogSource::from(&self.config.log);
        let mut reader = Reader::open(
            &source,
            ReadOptions {
                framed: false,
                ..ReadOptions::default()
            },
        )
        .unwrap();
        let mut out = Vec::new();
        while reader.read(&mut out, 1_000_000).unwrap() != Progress::Ended {}
        String::from_utf8(out).unwrap()
    }

    pub fn state_dir(&self) -> &Path {
        &self.config.state_dir
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        self.end();
    }
}

impl Fixture {
    /// Ends what runs in the container, and with it the shim; waits until that has taken everything away.
    pub fn end(&mut self) {
        let Some(pid) = self.shim_pid.take() else {
            return;
        };
        let raw = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap_or(0)).unwrap();
        // It can't be opened when it has been reaped, and does not matter when the number is another's.
        let Ok(pidfd) = rustix::process::pidfd_open(raw, rustix::process::PidfdFlags::empty())
        else {
            return;
        };
        if !is_shim(pid) {
            return;
        }
        for child in children(pid) {
            let _ = dhow_sys::signal::kill(child, 9);
        }
        let mut ends = [rustix::event::PollFd::new(
            &pidfd,
            rustix::event::PollFlags::IN,
        )];
        let patience = rustix::event::Timespec {
            tv_sec: 10,
            tv_nsec: 0,
        };
        if rustix::event::poll(&mut ends, Some(&patience)) == Ok(0) {
            let _ = dhow_sys::signal::send(&pidfd, 9);
        }
    }
}

/// The children of a process, if it still is a shim.
pub fn children(pid: u32) -> Vec<i32> {
    if !is_shim(pid) {
        return Vec::new();
    }
    let text =
        std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace()
        .filter_map(|child| child.parse().ok())
        .collect()
}

pub fn is_shim(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/comm"))
        .is_ok_and(|comm| comm.starts_with("dhow-shim"))
}

pub fn process(words: &[&str]) -> Process {
    let mut args = vec![program().to_str().unwrap().to_string()];
    args.extend(words.iter().map(|word| (*word).to_string()));
    ProcessBuilder::default()
        .cwd("/")
        .args(args)
        .build()
        .unwrap()
}

pub fn exec(id: &str, words: &[&str]) -> ExecRequest {
    ExecRequest {
        id: id.into(),
        process: process(words),
        user: String::new(),
        additional_groups: Vec::new(),
        terminal: false,
        console_size: None,
        stdin: false,
        stdout: true,
        stderr: true,
    }
}

/// What came out of a multiplexed stream.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Output {
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

impl Output {
    pub async fn read(mut stream: UnixStream) -> Self {
        let mut output = Self::default();
        let mut header = [0; 8];
        while stream.read_exact(&mut header).await.is_ok() {
            let length = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
            let mut bytes = vec![0; usize::try_from(length).unwrap()];
            stream.read_exact(&mut bytes).await.unwrap();
            match header[0] {
                1 => output.stdout.extend(bytes),
                2 => output.stderr.extend(bytes),
                other => panic!("stream {other}"),
            }
        }
        output
    }

    pub fn text(&self) -> (&str, &str) {
        (
            std::str::from_utf8(&self.stdout).unwrap(),
            std::str::from_utf8(&self.stderr).unwrap(),
        )
    }
}

pub async fn exited(mut events: mpsc::Receiver<ShimEvent>) -> ExitRecord {
    loop {
        let event = within(events.recv())
            .await
            .expect("an exit before the shim's end");
        if let ShimEvent::Exited(record) = event {
            return record;
        }
    }
}

/// A test that waits for ever says so.
pub async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future)
        .await
        .expect("in time")
}

pub fn count(range: std::ops::Range<u32>) -> String {
    range.map(|number| format!("{number}\n")).collect()
}
