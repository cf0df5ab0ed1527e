//! The daemon as its users meet it: refusals, sockets, signals, bad clients.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;

use dhow_testkit::{Engine, EngineOptions, program, root_or_skip};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

fn engine(arguments: &[&str]) -> Engine {
    Engine::start_with(EngineOptions {
        arguments: arguments.iter().map(ToString::to_string).collect(),
        ..EngineOptions::default()
    })
}

/// Runs the daemon with arguments with which it can't start.
fn refused(arguments: &[&str]) -> String {
    let Output {
        status,
        stdout,
        stderr,
    } = Command::new(program())
        .arg("daemon")
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!((status.code(), stdout.len()), (Some(1), 0));
    String::from_utf8(stderr).unwrap()
}

#[test]
fn settings_that_cannot_be_are_refused_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("daemon.json");
    fs::write(&file, r#"{"nosuch": true}"#).unwrap();
    let file = file.to_str().unwrap();
    assert_eq!(
        refused(&["--config-file", file]),
        format!(
            "dhow daemon: unable to configure the Docker daemon with file {file}: the following directives don't match any \
             configuration option: nosuch\n"
        )
    );
    assert!(refused(&["--dns", "x"]).starts_with("dhow daemon: dns: x is not an ip address"));
    assert!(refused(&["--nosuch"]).contains("unexpected argument '--nosuch'"));
}

#[test]
fn a_second_engine_on_the_same_folder_names_it_and_the_first() {
    if !root_or_skip("two engines on one folder") {
        return;
    }
    let engine = engine(&[]);
    let root = engine.root();
    let data = root.join("data");
    let (run, socket) = (root.join("run2"), root.join("other.sock"));
    let text = refused(&[
        "--data-root",
        data.to_str().unwrap(),
        "--exec-root",
        run.to_str().unwrap(),
        "-H",
        &format!("unix://{}", socket.display()),
    ]);
    assert_eq!(
        text.lines().last().unwrap(),
        format!(
            "dhow daemon: another engine works on {} (pid {}): stop it, or give this one a folder of its own with --data-root",
            data.display(),
            engine.pid()
        )
    );
    assert_eq!(engine.client().get("/_ping").unwrap().status, 200);
}

/// What comes back for these bytes until the daemon hangs up.
fn answer(mut connection: impl Read + Write, bytes: &[u8]) -> String {
    // The daemon may hang up before it has read all.
    let _ = connection.write_all(bytes);
    let mut all = Vec::new();
    let _ = connection.read_to_end(&mut all);
    String::from_utf8_lossy(&all).into_owned()
}

#[test]
fn bad_clients_are_answered_and_disturb_nobody() {
    if !root_or_skip("bad clients") {
        return;
    }
    let engine = engine(&[]);
    let connect = || UnixStream::connect(engine.socket()).unwrap();
    let huge = format!(
        "GET /_ping HTTP/1.1\r\nHost: d\r\nX-Big: {}\r\n\r\n",
        "x".repeat(1 << 20)
    );
    let many: String = (0..1000)
        .map(|number| format!("X-{number}: 1\r\n"))
        .collect();
    let many = format!("GET /_ping HTTP/1.1\r\nHost: d\r\n{many}\r\n");
    for (bytes, start) in [
        (&b"\x16\x03\x01\x02\x00garbage\r\n\r\n"[..], "HTTP/1.1 400 "),
        (b"GET\r\n\r\n", "HTTP/1.1 400 "),
        (huge.as_bytes(), "HTTP/1.1 431 "),
        (many.as_bytes(), "HTTP/1.1 431 "),
    ] {
        let text = answer(connect(), bytes);
        assert!(text.starts_with(start), "{:?} {text}", &bytes[..10]);
    }
    // Clients that go away in the middle of whatever they were at.
    for bytes in [
        "GET /_pi",
        "POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nContent-Length: 900\r\n\r\n{\"Im",
        "POST /images/load HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\nabc",
        "GET /events HTTP/1.1\r\nHost: d\r\n\r\n",
        "POST /exec/x/start HTTP/1.1\r\nHost: d\r\nUpgrade: tcp\r\nConnection: Upgrade\r\n\r\n",
    ] {
        connect().write_all(bytes.as_bytes()).unwrap();
    }
    let body = format!(
        "POST /volumes/create HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nContent-Length: 99999999\r\n\r\n{}",
        "[".repeat(17 << 20)
    );
    let text = answer(connect(), body.as_bytes());
    assert!(
        text.starts_with("HTTP/1.1 413 ") || text.is_empty(),
        "{text}"
    );
    assert_eq!(engine.client().get("/_ping").unwrap().text(), "OK");
}

#[test]
fn a_reload_takes_over_the_log_level_and_is_told() {
    if !root_or_skip("reload") {
        return;
    }
    let engine = engine(&[]);
    let (status, mut events) = engine
        .client()
        .stream(
            "GET",
            "/events?filters=%7B%22type%22%3A%5B%22daemon%22%5D%7D",
        )
        .unwrap();
    assert_eq!(status, 200);
    let file = engine.root().join("daemon.json");
    fs::write(&file, r#"{"debug": true}"#).unwrap();
    let pid = rustix::process::Pid::from_raw(i32::try_from(engine.pid()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::HUP).unwrap();
    let mut line = String::new();
    while !line.contains("\"reload\"") {
        line.clear();
        assert_ne!(events.read_line(&mut line).unwrap(), 0);
    }
    assert!(line.contains("\"debug\":\"true\""), "{line}");
    engine.client().get("/_ping").unwrap();
    assert!(engine.log().contains("DEBUG"), "{}", engine.log());
}

#[test]
fn the_end_ends_endless_streams_and_removes_the_socket() {
    if !root_or_skip("shutdown") {
        return;
    }
    let mut engine = engine(&[]);
    let (status, mut events) = engine.client().stream("GET", "/events").unwrap();
    assert_eq!(status, 200);
    assert!(engine.stop().success());
    let mut rest = Vec::new();
    let _ = events.read_to_end(&mut rest);
    assert!(!engine.socket().exists() && !engine.root().join("dhow.pid").exists());
    engine.boot();
}

struct Certificates {
    folder: tempfile::TempDir,
}

impl Certificates {
    /// An authority, the daemon's certificate, a client's, and one of a stranger's.
    fn new() -> Self {
        use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
        let folder = tempfile::tempdir().unwrap();
        let authority = |name: &str| {
            let mut params = CertificateParams::new(vec![]).unwrap();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params
                .distinguished_name
                .push(rcgen::DnType::CommonName, name);
            CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
        };
        let (ours, theirs) = (authority("ours"), authority("theirs"));
        let write = |name: &str, text: String| fs::write(folder.path().join(name), text).unwrap();
        write("ca.pem", ours.pem());
        for (name, issuer) in [("server", &ours), ("client", &ours), ("stranger", &theirs)] {
            let key = KeyPair::generate().unwrap();
            let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
            let certificate = CertificateParams::new(names)
                .unwrap()
                .signed_by(&key, issuer)
                .unwrap();
            write(&format!("{name}.pem"), certificate.pem());
            write(&format!("{name}.key"), key.serialize_pem());
        }
        Self { folder }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    fn client(&self, name: Option<&str>) -> ClientConfig {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_file(self.path("ca.pem")).unwrap())
            .unwrap();
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        match name {
            None => builder.with_no_client_auth(),
            Some(name) => {
                let chain =
                    vec![CertificateDer::from_pem_file(self.path(&format!("{name}.pem"))).unwrap()];
                let key = PrivateKeyDer::from_pem_file(self.path(&format!("{name}.key"))).unwrap();
                builder.with_client_auth_cert(chain, key).unwrap()
            }
        }
    }
}

const PING: &[u8] = b"GET /_ping HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n";

#[test]
fn tls_lets_in_who_has_a_certificate_and_nobody_else() {
    if !root_or_skip("TLS") {
        return;
    }
    let certificates = Certificates::new();
    let path = |name| certificates.path(name);
    let engine = engine(&[
        "-H",
        "tcp://127.0.0.1",
        "--tlsverify",
        "--tlscacert",
        &path("ca.pem"),
        "--tlscert",
        &path("server.pem"),
        "--tlskey",
        &path("server.key"),
    ]);
    let tcp = || engine.connect("127.0.0.1:2376").unwrap();
    let tls = |name| {
        let server = ServerName::try_from("localhost").unwrap();
        let connection =
            ClientConnection::new(Arc::new(certificates.client(name)), server).unwrap();
        answer(StreamOwned::new(connection, tcp()), PING)
    };
    assert!(tls(Some("client")).ends_with("\r\n\r\nOK"));
    for refused in [tls(None), tls(Some("stranger")), answer(tcp(), PING)] {
        assert!(!refused.contains("OK"), "{refused}");
    }
    // Who begins a handshake and then is silent holds nobody up.
    let silent: TcpStream = tcp();
    assert!(tls(Some("client")).ends_with("\r\n\r\nOK"));
    drop(silent);
}

#[test]
fn tcp_for_everybody_needs_tls_or_a_clear_word() {
    if !root_or_skip("TCP") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let root = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let text = refused(&[
        "--data-root",
        &root("data"),
        "--exec-root",
        &root("run"),
        "-H",
        "tcp://0.0.0.0:0",
    ]);
    assert!(
        text.contains("would let everybody who reaches it be root on this host"),
        "{text}"
    );
    let engine = engine(&["-H", "tcp://0.0.0.0:2375", "--tls=false"]);
    let connection = engine.connect("127.0.0.1:2375").unwrap();
    assert!(answer(connection, PING).ends_with("\r\n\r\nOK"));
    assert!(engine.log().contains("who reaches it is root on this host"));
}

/// A daemon with a socket handed over as descriptor 3 and a pipe for its readiness as 4.
struct Activated {
    child: Child,
    _folder: tempfile::TempDir,
    socket: PathBuf,
}

impl Drop for Activated {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Activated {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("handed.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let script = format!(
            "LISTEN_FDS=1 LISTEN_PID=$$ exec unshare --net {} daemon --data-root {root}/data --exec-root {root}/run \
             --config-file {root}/daemon.json --bridge none -H fd:// --ready-fd 4 3<&0 4>&1 0</dev/null 1>/dev/null",
            program().display(),
            root = folder.path().display(),
        );
        fs::write(folder.path().join("daemon.json"), "{}").unwrap();
        let mut child = Command::new("sh")
            .args(["-c", &script])
            .stdin(std::os::fd::OwnedFd::from(listener))
            .stdout(Stdio::piped())
            .stderr(fs::File::create(folder.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        let mut ready = Vec::new();
        child
            .stdout
            .take()
            .unwrap()
            .read_to_end(&mut ready)
            .unwrap();
        let log = fs::read_to_string(folder.path().join("log")).unwrap();
        assert_eq!(ready, b"1", "{log}");
        Self {
            child,
            _folder: folder,
            socket,
        }
    }
}

#[test]
fn a_socket_that_was_handed_over_is_served_and_readiness_is_told() {
    if !root_or_skip("socket activation") {
        return;
    }
    let daemon = Activated::start();
    let connection = UnixStream::connect(&daemon.socket).unwrap();
    assert!(answer(connection, PING).ends_with("\r\n\r\nOK"));
}

#[test]
fn the_first_line_and_the_headers_are_dockers() {
    if !root_or_skip("headers") {
        return;
    }
    let engine = engine(&[]);
    let lines = |path: &Path, request: &str| -> Vec<String> {
        let mut connection = UnixStream::connect(path).unwrap();
        connection.write_all(request.as_bytes()).unwrap();
        let lines = BufReader::new(connection).lines().map(Result::unwrap);
        lines.take_while(|line| !line.is_empty()).collect()
    };
    let head = lines(engine.socket(), "HEAD /_ping HTTP/1.1\r\nHost: d\r\n\r\n");
    for line in [
        "HTTP/1.1 200 OK",
        "Api-Version: 1.56",
        "Ostype: linux",
        "Docker-Experimental: false",
        "Swarm: inactive",
    ] {
        assert!(head.iter().any(|have| have == line), "{line} in {head:?}");
    }
    engine.import_busybox();
    let mut client = engine.client();
    let body =
        serde_json::json!({"Image": "busybox", "Cmd": ["cat"], "OpenStdin": true, "Tty": false});
    let made = client
        .post("/containers/create?name=cc", Some(&body))
        .unwrap();
    assert_eq!(made.status, 201, "{}", made.text());
    let attach = "POST /containers/cc/attach?stream=1&stdin=1&stdout=1 HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\n\
                  Upgrade: tcp\r\nContent-Length: 0\r\n\r\n";
    let head = lines(engine.socket(), attach);
    assert_eq!(head[0], "HTTP/1.1 101 UPGRADED");
    let kind = "Content-Type: application/vnd.docker.multiplexed-stream";
    for line in [kind, "Connection: Upgrade", "Upgrade: tcp"] {
        assert!(
            head.iter().any(|have| have.eq_ignore_ascii_case(line)),
            "{line} in {head:?}"
        );
    }
    let removed = client.delete("/containers/cc?force=1").unwrap();
    assert_eq!(removed.status, 204);
}
