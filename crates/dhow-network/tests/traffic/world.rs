//! A small world of network namespaces: a "host", an "outside" machine on a wire to it, and containers.
//!
//! Everything is made with netlink by the crate under test or by `ip`-less primitives here; all of it lives in
//! namespaces that end with the test, so that nothing is left behind whatever happens.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread::JoinHandle;

use dhow_metadata::Database;
use dhow_network::{
    CreateNetwork, Endpoint, EndpointRequest, HostPorts, Networks, NetworksConfig, PortRequest,
    Protocol,
};
use dhow_sys::namespace::{kind, unshare};

/// Whether the test can run; says loudly when it can't.
pub fn privileged(test: &str) -> bool {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED {test}: needs root to make network namespaces");
        return false;
    }
    // The product needs neither; the tests look at its work with other eyes.
    for (program, package) in [("ip", "iproute2"), ("nft", "nftables")] {
        if Command::new(program).arg("-V").output().is_err() {
            eprintln!("SKIPPED {test}: needs the program {program} (Debian's package {package})");
            return false;
        }
    }
    true
}

/// A network namespace that a thread keeps open; closures run in it.
pub struct Netns {
    jobs: Option<mpsc::Sender<Box<dyn FnOnce() + Send>>>,
    thread: Option<JoinHandle<()>>,
    fd: OwnedFd,
}

impl Netns {
    pub fn new() -> Self {
        let (jobs, queue) = mpsc::channel::<Box<dyn FnOnce() + Send>>();
        let (ready, opened) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            unshare(kind::NET | kind::MOUNT).unwrap();
            ready
                .send(OwnedFd::from(
                    File::open("/proc/thread-self/ns/net").unwrap(),
                ))
                .unwrap();
            for job in queue {
                job();
            }
        });
        let fd = opened.recv().unwrap();
        Self {
            jobs: Some(jobs),
            thread: Some(thread),
            fd,
        }
    }

    pub fn fd(&self) -> &OwnedFd {
        &self.fd
    }

    /// Runs `job` in the namespace and waits for it.
    pub fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> T {
        let (done, outcome) = mpsc::channel();
        let job = Box::new(move || {
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
            let _ = done.send(result);
        });
        self.jobs.as_ref().unwrap().send(job).unwrap();
        match outcome.recv().unwrap() {
            Ok(value) => value,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Runs a command of the test's own (never of the product's) and insists on its success.
pub fn shell(command: &str) -> String {
    let output = Command::new("sh").args(["-c", command]).output().unwrap();
    assert!(
        output.status.success(),
        "{command}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// A host with an outside machine: 10.99.0.1 here, 10.99.0.2 there.
pub struct World {
    pub host: Netns,
    pub outside: Netns,
    pub networks: Networks,
    pub db: Database,
    containers: u32,
}

pub const HOST: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 1);
pub const OUTSIDE: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 2);

impl World {
    pub fn new() -> Self {
        Self::with(|_| ())
    }

    /// A world in whose host `prepare` has been at work before the networks were opened.
    pub fn with(prepare: impl FnOnce(&Netns)) -> Self {
        let (host, outside) = wired();
        prepare(&host);
        let db = Database::open_in_memory().unwrap();
        let config = NetworksConfig::new(db.clone());
        let networks = host.run(move || Networks::open(config).unwrap());
        Self {
            host,
            outside,
            networks,
            db,
            containers: 0,
        }
    }

    /// A container on `network` with these ports published.
    pub fn container(&mut self, network: &str, ports: Vec<PortRequest>) -> Container {
        self.containers += 1;
        let name = format!("c{}", self.containers);
        let id = format!("{:064x}", self.containers);
        let netns = Netns::new();
        let request = EndpointRequest {
            container_id: id,
            container_name: name,
            network: network.to_owned(),
            ports,
            ..EndpointRequest::default()
        };
        let networks = self.networks.clone();
        let fd = netns.fd().try_clone().unwrap();
        let (endpoint, held) = self.host.run(move || {
            let reserved = networks.reserve(request).unwrap();
            let endpoint = networks.attach(&reserved.endpoint.id, fd.as_fd()).unwrap();
            (endpoint, reserved.held)
        });
        Container {
            netns,
            endpoint,
            held,
        }
    }

    pub fn network(&self, name: &str, internal: bool, options: &[(&str, &str)]) {
        let networks = self.networks.clone();
        let options = options
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        let request = CreateNetwork {
            name: name.to_owned(),
            internal,
            options,
            ..CreateNetwork::default()
        };
        self.host.run(move || networks.create(request)).unwrap();
    }
}

/// A host and an outside machine on one wire.
fn wired() -> (Netns, Netns) {
    let (host, outside) = (Netns::new(), Netns::new());
    let there = outside.run(|| {
        shell("ip link set lo up");
        rustix::thread::gettid().as_raw_nonzero()
    });
    host.run(move || {
        shell(&format!(
            "echo 0 > /proc/sys/net/ipv4/ip_forward && ip link set lo up && ip link add wire0 type veth peer name wire1 netns {there} &&
             ip addr add {HOST}/24 dev wire0 && ip link set wire0 up"
        ))
    });
    outside.run(|| {
        shell(&format!(
            "ip addr add {OUTSIDE}/24 dev wire1 && ip link set wire1 up"
        ))
    });
    (host, outside)
}

pub struct Container {
    pub netns: Netns,
    pub endpoint: Endpoint,
    pub held: Vec<OwnedFd>,
}

impl Container {
    pub fn ip(&self) -> Ipv4Addr {
        self.endpoint.ip.unwrap()
    }

    pub fn host_port(&self, index: usize) -> u16 {
        self.endpoint.ports[index].host_port
    }
}

pub fn publish(protocol: Protocol, container_port: u16) -> PortRequest {
    PortRequest {
        protocol,
        container_port,
        host_ip: None,
        host_ports: HostPorts::EPHEMERAL,
    }
}

pub fn publish_at(host_ip: Ipv4Addr, container_port: u16) -> PortRequest {
    PortRequest {
        host_ip: Some(IpAddr::V4(host_ip)),
        ..publish(Protocol::Tcp, container_port)
    }
}

/// A real Docker daemon in a namespace; it ends with the test.
pub struct Dockerd {
    process: Child,
    _state: tempfile::TempDir,
}

impl Dockerd {
    pub fn start(host: &Netns, program: &Path) -> Self {
        let state = tempfile::tempdir().unwrap();
        let path = |name: &str| state.path().join(name).display().to_string();
        let beside = format!(
            "{}:{}",
            program.parent().unwrap().display(),
            std::env::var("PATH").unwrap()
        );
        let mut command = Command::new(program);
        command
            .args([
                "--data-root",
                &path("data"),
                "--exec-root",
                &path("exec"),
                "--pidfile",
                &path("pid"),
            ])
            .args(["-H", &format!("unix://{}", path("sock"))])
            .env("PATH", beside)
            .stderr(Stdio::piped());
        let mut process = host.run(move || command.spawn().unwrap());
        let mut log = BufReader::new(process.stderr.take().unwrap()).lines();
        let ready = log.any(|line| line.unwrap().contains("API listen on"));
        // Its log goes on; someone has to read it.
        std::thread::spawn(move || log.for_each(drop));
        let started = Self {
            process,
            _state: state,
        };
        assert!(ready, "dockerd did not start");
        started
    }
}

impl Drop for Dockerd {
    fn drop(&mut self) {
        if let Some(pid) = rustix::process::Pid::from_raw(self.process.id().cast_signed()) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let _ = self.process.wait();
    }
}
