//! Debian's `docker-registry` on a free port: plain, with TLS, or with a password.

use crate::packages;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// How a registry is to be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RegistryKind {
    /// Plain HTTP.
    Plain,
    /// HTTPS with a certificate of a private authority: [`Registry::authority`].
    Tls,
    /// Plain HTTP with the user `dhow` and the password `secret`.
    Password,
}

/// A running registry; dropping it ends it and removes its folder.
#[derive(Debug)]
pub struct Registry {
    folder: tempfile::TempDir,
    process: Child,
    port: u16,
    kind: RegistryKind,
    beside: Option<u32>,
}

impl Registry {
    /// The user of a [`RegistryKind::Password`] registry.
    pub const USER: &'static str = "dhow";
    /// The user's password.
    pub const PASSWORD: &'static str = "secret";

    /// Starts a registry, empty, in this thread's network namespace and returns when it serves.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn start(kind: RegistryKind) -> Self {
        Self::start_in(kind, None)
    }

    /// As [`Registry::start`], in the network namespace of process `pid`.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn start_beside(kind: RegistryKind, pid: u32) -> Self {
        Self::start_in(kind, Some(pid))
    }

    /// Starts a registry beside `upstream` that has what that one has, fetched when it is asked for it.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn start_mirror(upstream: &Self) -> Self {
        let more = format!("proxy:\n  remoteurl: http://{}\n", upstream.host());
        Self::start_with(RegistryKind::Plain, upstream.beside, &more)
    }

    fn start_in(kind: RegistryKind, beside: Option<u32>) -> Self {
        Self::start_with(kind, beside, "")
    }

    fn start_with(kind: RegistryKind, beside: Option<u32>, more: &str) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("dhow-registry-")
            .tempdir()
            .expect("the temporary folder is writable");
        let port = free_port();
        let file = folder.path().join("registry.yml");
        fs::write(&file, settings(kind, folder.path(), port) + more)
            .expect("the registry's folder is writable");
        let mut command = within(
            beside,
            &packages::tool("docker-registry", "docker-registry").command(),
        );
        command
            .arg("serve")
            .arg(&file)
            .env("OTEL_TRACES_EXPORTER", "none");
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut process = command
            .spawn()
            .unwrap_or_else(|e| panic!("starting docker-registry: {e}"));
        wait_until_it_listens(&mut process);
        Self {
            folder,
            process,
            port,
            kind,
            beside,
        }
    }

    /// `localhost:PORT`, as it stands in references.
    #[must_use]
    pub fn host(&self) -> String {
        format!("localhost:{}", self.port)
    }

    /// `ADDRESS:PORT` with the address of the private engine's host that is not a loopback one.
    #[must_use]
    pub fn outer_host(&self) -> String {
        format!("{}:{}", crate::HOST_ADDRESS, self.port)
    }

    /// The certificate authority's file of a TLS registry.
    #[must_use]
    pub fn authority(&self) -> PathBuf {
        self.folder.path().join("cert.pem")
    }

    /// The folder with the blobs, for tests that spoil them.
    #[must_use]
    pub fn storage(&self) -> PathBuf {
        self.folder.path().join("storage")
    }

    /// Copies the OCI layout `layout` into the registry as `name` (`repository:tag`) with skopeo.
    pub fn fill(&self, layout: &Path, name: &str) {
        packages::run(&mut self.filling(layout, name));
    }

    /// The command behind [`Registry::fill`].
    #[must_use]
    pub fn filling(&self, layout: &Path, name: &str) -> Command {
        let skopeo = packages::tool("skopeo", "skopeo").command();
        let mut skopeo = self
            .beside
            .map_or_else(|| within(None, &skopeo), |pid| within(Some(pid), &skopeo));
        skopeo.args(["--insecure-policy", "copy", "--quiet", "--preserve-digests"]);
        match self.kind {
            RegistryKind::Plain => skopeo.arg("--dest-tls-verify=false"),
            RegistryKind::Tls => skopeo
                .arg("--dest-cert-dir")
                .arg(self.folder.path().join("certs")),
            RegistryKind::Password => {
                let user = format!("--dest-creds={}:{}", Self::USER, Self::PASSWORD);
                skopeo.arg("--dest-tls-verify=false").arg(user)
            }
        };
        skopeo
            .arg(format!("oci:{}", layout.display()))
            .arg(format!("docker://{}/{name}", self.host()));
        skopeo
    }
}

/// `command`, to be run in the network namespace of process `pid`, or in this one.
fn within(pid: Option<u32>, command: &Command) -> Command {
    let mut inner = match pid {
        Some(pid) => {
            let mut inner = Command::new("nsenter");
            inner
                .arg(format!("--net=/proc/{pid}/ns/net"))
                .arg(command.get_program());
            inner
        }
        None => Command::new(command.get_program()),
    };
    for (name, value) in command
        .get_envs()
        .filter_map(|(name, value)| Some((name, value?)))
    {
        inner.env(name, value);
    }
    inner
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn settings(kind: RegistryKind, folder: &Path, port: u16) -> String {
    let extra = match kind {
        RegistryKind::Plain => String::new(),
        RegistryKind::Tls => {
            certificate(folder);
            let at = folder.display();
            format!("  tls:\n    certificate: {at}/cert.pem\n    key: {at}/key.pem\n")
        }
        RegistryKind::Password => {
            let file = folder.join("htpasswd");
            fs::write(&file, htpasswd()).expect("the registry's folder is writable");
            format!(
                "auth:\n  htpasswd:\n    realm: test\n    path: {}\n",
                file.display()
            )
        }
    };
    let storage = folder.join("storage");
    format!(
        "version: 0.1\nlog:\n  level: info\nstorage:\n  filesystem:\n    rootdirectory: {}\n  delete:\n    enabled: true\n\
         http:\n  addr: :{port}\n{extra}",
        storage.display()
    )
}

/// A self-signed certificate for localhost, made by openssl.
fn certificate(folder: &Path) {
    let mut openssl = packages::tool("openssl", "openssl").command();
    openssl.args([
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
    ]);
    openssl.args([
        "-subj",
        "/CN=localhost",
        "-addext",
        &format!(
            "subjectAltName=DNS:localhost,IP:127.0.0.1,IP:{}",
            crate::HOST_ADDRESS
        ),
    ]);
    openssl.args(["-addext", "basicConstraints=critical,CA:FALSE"]);
    openssl
        .arg("-keyout")
        .arg(folder.join("key.pem"))
        .arg("-out")
        .arg(folder.join("cert.pem"));
    packages::run(&mut openssl);
    fs::create_dir(folder.join("certs")).expect("the registry's folder is writable");
    fs::copy(folder.join("cert.pem"), folder.join("certs/ca.crt"))
        .expect("the registry's folder is writable");
}

/// The line for [`Registry::USER`] and [`Registry::PASSWORD`]; registries take bcrypt only, so it is made in advance.
fn htpasswd() -> String {
    format!("{}:{}\n", Registry::USER, BCRYPT_OF_SECRET)
}

/// `secret` in bcrypt with cost 5.
const BCRYPT_OF_SECRET: &str = "$2y$05$R3OZEwwqulVqS4Hhy6cC.up0xMW4K.qLfooT7LiLnxQ0Ig9ESLWsy";

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
    listener.local_addr().map_or(0, |address| address.port())
}

/// Reads the registry's log until it says that it listens; the rest is read and thrown away.
fn wait_until_it_listens(process: &mut Child) {
    let mut log = BufReader::new(process.stderr.take().expect("stderr is piped"));
    let mut seen = String::new();
    loop {
        let start = seen.len();
        let read = log
            .read_line(&mut seen)
            .expect("the registry's log is text");
        assert!(read > 0, "docker-registry ended: {seen}");
        if seen[start..].contains("listening on") {
            break;
        }
    }
    std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
}
