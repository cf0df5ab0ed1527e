//! A private engine: this tree's `dhow daemon` with its own root, socket, settings and network namespace.

use crate::{Leaks, cli, http, packages, reference};
use serde_json::Value;
use std::fs::{self, File};
use std::net::TcpStream;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// How a private engine is to be started.
#[derive(Debug, Clone, Default)]
pub struct EngineOptions {
    /// More arguments for `dhow daemon`.
    pub arguments: Vec<String>,
    /// Its `daemon.json`.
    pub settings: Option<Value>,
    /// The program to run instead of this tree's own build.
    pub program: Option<PathBuf>,
    /// Its state folder, made by the test, instead of one in the engine's own root.
    pub data_root: Option<PathBuf>,
    /// Run in the host's network namespace, for tests that need the outside; else in one of its own.
    pub host_network: bool,
}

/// A running private engine; dropping it ends it, its containers and all that is theirs, and panics if anything is left.
#[derive(Debug)]
pub struct Engine {
    root: Option<tempfile::TempDir>,
    home: PathBuf,
    socket: PathBuf,
    options: EngineOptions,
    subnet: u32,
    daemon: Option<Child>,
    leaks: Leaks,
    /// Whether it has ever served.
    started: bool,
    anchor: Option<Child>,
    /// The process of an engine that is not ours, in a run against a reference engine.
    foreign: Option<u32>,
    /// It is ours alone while we are there.
    _turn: Option<reference::Turn>,
}

/// The `dhow` program of this tree, built once if it is not fresh, or the one that `DHOW_TEST_PROGRAM` names.
///
/// # Panics
/// When it does not build.
pub fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        if let Some(other) = std::env::var_os("DHOW_TEST_PROGRAM") {
            return PathBuf::from(other);
        }
        let test = std::env::current_exe().expect("the test program has a path");
        let in_deps = test.parent().filter(|folder| folder.ends_with("deps"));
        let folder = in_deps
            .and_then(Path::parent)
            .or(test.parent())
            .expect("programs are in folders")
            .to_owned();
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo
            // With the whole workspace's features, which are those that the tests are built with.
            .args(["build", "--quiet", "--workspace", "--bin", "dhow"])
            .current_dir(cli::tree());
        if folder.ends_with("release") {
            cargo.arg("--release");
        }
        packages::run(&mut cargo);
        folder.join("dhow")
    })
}

impl Engine {
    /// Starts an engine with the usual options.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(EngineOptions::default())
    }

    /// Starts an engine and returns when it serves.
    ///
    /// # Panics
    /// When it does not come up; its log is part of the message.
    #[must_use]
    pub fn start_with(options: EngineOptions) -> Self {
        let root = tempfile::Builder::new()
            .prefix("dhow-e2e-")
            .tempdir()
            .expect("the temporary folder is writable");
        let home = root.path().join("home");
        fs::create_dir(&home).expect("the engine's root is writable");
        let settings = options
            .settings
            .clone()
            .unwrap_or_else(|| serde_json::json!({}));
        fs::write(root.path().join("daemon.json"), settings.to_string())
            .expect("the engine's root is writable");
        let mut engine = Self {
            socket: root.path().join("run/dhow.sock"),
            home,
            leaks: Leaks::watch(root.path()),
            subnet: slot(),
            started: false,
            root: Some(root),
            options,
            daemon: None,
            anchor: None,
            foreign: None,
            _turn: None,
        };
        if !engine.options.host_network {
            engine.anchor = Some(anchor());
        }
        engine.boot();
        engine
    }

    /// Takes the engine that listens on `socket`, which is not ours and may be another program, so that the same tests
    /// can be run against a reference engine. It should have no containers: those that are there are removed at the end.
    ///
    /// # Panics
    /// When nobody listens there.
    #[must_use]
    pub fn foreign(socket: &Path) -> Self {
        let turn = reference::Turn::wait();
        let root = tempfile::Builder::new()
            .prefix("dhow-e2e-")
            .tempdir()
            .expect("the temporary folder is writable");
        let home = root.path().join("home");
        fs::create_dir(&home).expect("the engine's root is writable");
        let stream =
            UnixStream::connect(socket).unwrap_or_else(|e| panic!("{}: {e}", socket.display()));
        Self {
            socket: socket.to_owned(),
            home,
            leaks: Leaks::watch(root.path()),
            subnet: 0,
            started: false,
            root: Some(root),
            options: EngineOptions::default(),
            daemon: None,
            anchor: None,
            foreign: u32::try_from(crate::peer(&stream)).ok(),
            _turn: Some(turn),
        }
    }

    /// Starts the daemon again on the same state; it must not be running.
    pub fn boot(&mut self) {
        assert!(self.daemon.is_none(), "the daemon runs already");
        let notify = self.root().join("notify");
        let _ = fs::remove_file(&notify);
        let ready = UnixDatagram::bind(&notify).expect("the engine's root is writable");
        ready
            .set_read_timeout(Some(Duration::from_secs(30)))
            .expect("30 seconds are a time-out");
        let mut command = self.daemon_command();
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log_path())
            .expect("the engine's root is writable");
        command.env("NOTIFY_SOCKET", &notify).stdin(Stdio::null());
        command
            .stdout(log.try_clone().expect("descriptors are there"))
            .stderr(log);
        self.daemon = Some(
            command
                .spawn()
                .unwrap_or_else(|e| panic!("starting the engine: {e}")),
        );
        let mut message = [0; 4096];
        loop {
            match ready.recv(&mut message) {
                Ok(length) if message[..length].windows(7).any(|text| text == b"READY=1") => {
                    self.started = true;
                    return;
                }
                Ok(_) => {}
                Err(error) => panic!("the engine did not come up: {error}\n{}", self.log()),
            }
        }
    }

    fn daemon_command(&self) -> Command {
        let program = self
            .options
            .program
            .clone()
            .unwrap_or_else(|| program().to_owned());
        let mut command = match &self.anchor {
            Some(anchor) => {
                let mut command = Command::new("nsenter");
                command
                    .arg(format!("--net=/proc/{}/ns/net", anchor.id()))
                    .arg(program);
                command
            }
            None => Command::new(program),
        };
        let root = self.root();
        command
            .arg("daemon")
            .arg("--data-root")
            .arg(self.data_root())
            .arg("--exec-root")
            .arg(root.join("run"));
        command
            .arg("-H")
            .arg(format!("unix://{}", self.socket.display()))
            .arg("--pidfile")
            .arg(root.join("dhow.pid"));
        command.arg("--config-file").arg(root.join("daemon.json"));
        command.arg("--bip").arg(format!(
            "10.{}.{}.1/24",
            201 + self.subnet / 250,
            self.subnet % 250
        ));
        command.args(&self.options.arguments);
        command.env_remove("DOCKER_HOST").env_remove("DHOW_HOST");
        command
    }

    /// Kills the daemon with SIGKILL; its containers live on.
    pub fn kill9(&mut self) {
        let mut daemon = self.daemon.take().expect("the daemon runs");
        daemon.kill().expect("the daemon is ours to kill");
        daemon.wait().expect("the daemon is ours to wait for");
    }

    /// Asks the daemon to end with SIGTERM and waits for it; its containers live on.
    pub fn stop(&mut self) -> std::process::ExitStatus {
        let mut daemon = self.daemon.take().expect("the daemon runs");
        let pid = i32::try_from(daemon.id())
            .ok()
            .and_then(rustix::process::Pid::from_raw);
        let pid = pid.expect("a child has a pid");
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)
            .expect("the daemon is ours to signal");
        daemon.wait().expect("the daemon is ours to wait for")
    }

    /// The daemon's process id.
    ///
    /// # Panics
    /// When it does not run.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.foreign
            .unwrap_or_else(|| self.daemon.as_ref().expect("the daemon runs").id())
    }

    /// Whether it is not ours.
    #[must_use]
    pub fn is_foreign(&self) -> bool {
        self.foreign.is_some()
    }

    /// The engine's socket.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// The home folder of the command lines that talk to this engine.
    #[must_use]
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// The folder that holds all of this engine.
    ///
    /// # Panics
    /// Never while the engine exists.
    #[must_use]
    pub fn root(&self) -> &Path {
        self.root
            .as_ref()
            .expect("the root lives as long as the engine")
            .path()
    }

    /// The engine's state folder.
    #[must_use]
    pub fn data_root(&self) -> PathBuf {
        let own = || self.root().join("data");
        self.options.data_root.clone().unwrap_or_else(own)
    }

    /// A client of the engine's API.
    #[must_use]
    pub fn client(&self) -> http::Client {
        http::Client::new(&self.socket)
    }

    /// The control groups in which the engine's containers are, one in each hierarchy.
    #[must_use]
    pub fn cgroups(&self) -> Vec<PathBuf> {
        self.leaks.cgroups_of(instance(&self.log()))
    }

    /// Kills the supervisors of the engine, whose daemon does not run, and what is in its control groups.
    pub fn end_containers(&self) {
        self.leaks.end_processes(instance(&self.log()));
        for group in self.cgroups() {
            crate::leaks::remove_inner(&group);
        }
    }

    /// Kills the supervisors alone.
    pub fn end_supervisors(&self) {
        self.leaks.end_processes(None);
    }

    /// What the daemon has logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// The name that the engine's bridge, table and control groups have.
    #[must_use]
    pub fn instance(&self) -> Option<String> {
        instance(&self.log()).map(str::to_owned)
    }

    fn log_path(&self) -> PathBuf {
        self.root().join("daemon.log")
    }

    /// Runs `f` in the engine's network namespace, on a thread of its own.
    ///
    /// # Panics
    /// When `f` does.
    pub fn on_its_network<T: Send>(&self, f: impl FnOnce() -> T + Send) -> T {
        let holder = self.anchor.as_ref().map(Child::id).or(self.foreign);
        let namespace = holder.map(|holder| {
            File::open(format!("/proc/{holder}/ns/net")).expect("the holder has a namespace")
        });
        std::thread::scope(|scope| {
            let thread = scope.spawn(move || {
                if let Some(namespace) = namespace {
                    let kind = Some(rustix::thread::LinkNameSpaceType::Network);
                    rustix::thread::move_into_link_name_space(
                        std::os::fd::AsFd::as_fd(&namespace),
                        kind,
                    )
                    .expect("root may enter a network namespace");
                }
                f()
            });
            thread
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Connects to `address` from the engine's host.
    ///
    /// # Errors
    /// As connecting.
    pub fn connect(&self, address: &str) -> std::io::Result<TcpStream> {
        self.on_its_network(|| TcpStream::connect(address))
    }

    /// Brings the busybox fixture into the engine as `busybox:latest`.
    pub fn import_busybox(&self) {
        let tar = fs::read(crate::images::busybox_tar()).expect("the fixture was just made");
        let path =
            "/v1.44/images/create?fromSrc=-&repo=busybox&tag=latest&changes=CMD%20%5B%22sh%22%5D";
        let answer =
            self.client()
                .request("POST", path, http::Body::Bytes("application/x-tar", &tar));
        let answer = answer.expect("the engine answers");
        assert!(
            answer.status == 200 && !answer.text().contains("\"error\""),
            "{}",
            answer.text()
        );
    }

    fn remove_containers(&self) {
        let mut client = self.client();
        let Ok(list) = client.get("/v1.44/containers/json?all=1") else {
            return;
        };
        for container in list.json().as_array().into_iter().flatten() {
            let id = container["Id"].as_str().unwrap_or_default();
            let _ = client.delete(&format!("/v1.44/containers/{id}?force=1&v=1"));
        }
    }
}

impl Engine {
    /// What tests make beside containers, of an engine that stays when they are over.
    fn remove_the_rest(&self) {
        let mut client = self.client();
        for path in [
            "/v1.44/volumes/prune?filters=%7B%22all%22%3A%5B%22true%22%5D%7D",
            "/v1.44/networks/prune",
            "/v1.44/images/prune?filters=%7B%22dangling%22%3A%5B%22false%22%5D%7D",
        ] {
            let _ = client.post(path, None);
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if self.foreign.is_some() {
            self.remove_containers();
            self.remove_the_rest();
            return;
        }
        if self.daemon.is_some() {
            self.remove_containers();
            self.stop();
        }
        let log = self.log();
        self.leaks.end_processes(instance(&log));
        if self.started {
            let mut command = self.daemon_command();
            let removal = command.arg("--remove-host-state").stdout(Stdio::null());
            // What it could not remove is found below.
            let _ = removal.stderr(Stdio::null()).status();
        }
        if let Some(mut anchor) = self.anchor.take() {
            let _ = anchor.kill();
            let _ = anchor.wait();
        }
        let log = self.log();
        let root = self.root().to_owned();
        let left = self.leaks.left_behind(instance(&log));
        drop(self.root.take());
        if std::thread::panicking() {
            eprintln!("--- the engine's log ---\n{log}");
        } else {
            assert!(
                left.is_empty(),
                "the engine left behind: {}\n{log}",
                left.join(", ")
            );
            assert!(
                !root.exists(),
                "the engine's root {} can't be removed",
                root.display()
            );
        }
    }
}

/// A process that holds a new network namespace, its loopback up.
fn anchor() -> Child {
    let ip = packages::tool("ip", "iproute2");
    let (ip, address) = (ip.path().display(), crate::HOST_ADDRESS);
    let up = format!("{ip} link set lo up && {ip} addr add {address}/32 dev lo");
    let script = format!("{up} && echo up && exec sleep infinity");
    let mut child = Command::new("unshare")
        .args(["--net", "--", "sh", "-c", &script])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("making a network namespace: {e}"));
    let mut up = [0; 3];
    let mut stdout = child.stdout.take().expect("stdout is piped");
    std::io::Read::read_exact(&mut stdout, &mut up).expect("root may make a network namespace");
    child
}

/// The name of the instance, as the daemon's log tells it: what it has in the kernel is named after it.
fn instance(log: &str) -> Option<&str> {
    log.split("instance=\"").nth(1)?.split('"').next()
}

/// A number that no other engine of any test process on this machine has now.
fn slot() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let base = std::process::id() % 50 * 50;
    base + NEXT.fetch_add(1, Ordering::Relaxed) % 50
}
