//! Clients that break off, dawdle or talk nonsense.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use dhow_e2e::Bench;
use dhow_testkit::{Cli, Engine};
use serde_json::json;

/// How often each client breaks off.
const TIMES: usize = 12;

fn connect(engine: &Engine) -> UnixStream {
    let stream = UnixStream::connect(engine.socket()).unwrap();
    let patience = Some(Duration::from_secs(20));
    stream.set_read_timeout(patience).unwrap();
    stream.set_write_timeout(patience).unwrap();
    stream
}

fn ask(engine: &Engine, head: &str) -> UnixStream {
    let mut stream = connect(engine);
    write!(stream, "{head}\r\n\r\n").unwrap();
    stream
}

/// The daemon's open descriptors.
fn descriptors(engine: &Engine) -> usize {
    fs::read_dir(format!("/proc/{}/fd", engine.pid()))
        .unwrap()
        .count()
}

/// A value of the daemon's `/proc/PID/status`, in KiB.
fn memory(engine: &Engine, key: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", engine.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with(key)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Waits for something that happens in another process and that nothing tells of.
fn eventually(what: &str, so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !so() {
        assert!(begun.elapsed() < Duration::from_secs(15), "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The daemon's open descriptors when their number does not change any more.
fn settled(engine: &Engine) -> usize {
    let mut counts = [usize::MAX; 5];
    while counts.iter().any(|count| *count != counts[0]) || counts[0] == usize::MAX {
        std::thread::sleep(Duration::from_millis(20));
        counts.rotate_left(1);
        counts[4] = descriptors(engine);
    }
    counts[0]
}

/// Whoever goes away in the middle of something leaves no descriptor and no container behind.
#[test]
fn who_breaks_off_leaves_nothing() {
    if !dhow_testkit::root_or_skip("clients that break off") {
        return;
    }
    let b = Bench::new(Cli::Dhow);
    let script = "i=0; while true; do i=$((i+1)); echo $i; usleep 1000; done";
    let _ = b.words_ok(&[
        "run", "-d", "--name", "steady", "busybox", "sh", "-c", script,
    ]);
    // A registry that never answers.
    let listener = b
        .engine
        .on_its_network(|| TcpListener::bind("127.0.0.1:0").unwrap());
    let port = listener.local_addr().unwrap().port();
    let upgrade = "Host: d\r\nConnection: Upgrade\r\nUpgrade: tcp";
    let requests = [
        format!("POST /v1.44/images/create?fromImage=localhost:{port}/x:1 HTTP/1.1\r\nHost: d"),
        format!("POST /v1.44/containers/steady/attach?stream=1&stdout=1 HTTP/1.1\r\n{upgrade}"),
        format!("POST /v1.44/containers/steady/attach?logs=1&stream=1&stdout=1 HTTP/1.1\r\n{upgrade}"),
        "GET /v1.44/containers/steady/logs?follow=1&stdout=1 HTTP/1.1\r\nHost: d".to_owned(),
        "GET /v1.44/events HTTP/1.1\r\nHost: d".to_owned(),
        "POST /v1.44/containers/steady/wait HTTP/1.1\r\nHost: d".to_owned(),
        "GET /v1.44/containers/steady/stats HTTP/1.1\r\nHost: d".to_owned(),
        "POST /v1.44/images/load HTTP/1.1\r\nHost: d\r\nContent-Type: application/x-tar\r\nContent-Length: 1000000\r\n\r\nhalf".to_owned(),
        "POST /v1.44/build HTTP/1.1\r\nHost: d\r\nContent-Type: application/x-tar\r\nContent-Length: 1000000\r\n\r\nhalf".to_owned(),
        "POST /v1.44/containers/create HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n{\"Image\": ".to_owned(),
    ];
    for request in &requests {
        // What is made once and kept is made now.
        drop(ask(&b.engine, request));
        let mut client = b.engine.client();
        assert_eq!(client.get("/_ping").unwrap().status, 200);
        drop(client);
        let before = settled(&b.engine);
        let mut clients: Vec<UnixStream> = (0..TIMES).map(|_| ask(&b.engine, request)).collect();
        // Some have an answer already when they go, some not.
        let mut byte = [0];
        if request.starts_with("GET") {
            clients[0].read_exact(&mut byte).unwrap();
        }
        drop(clients);
        eventually(&format!("{request}: descriptors stay open"), || {
            descriptors(&b.engine) <= before
        });
    }
    assert_eq!(
        b.words_ok(&["ps", "-a", "--format", "{{.Names}}"]),
        "steady"
    );
    assert_eq!(b.ok("images -q").lines().count(), 1);
}

/// What is no HTTP is answered with 400 or hung up on, and harms nobody.
#[test]
fn nonsense_is_refused() {
    if !dhow_testkit::root_or_skip("clients that talk nonsense") {
        return;
    }
    let b = Bench::new(Cli::Dhow);
    let pieces: [&[u8]; 15] = [
        b"\0\0\0\0",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"hello\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff\xff\xff\xff\xffnonsense",
        b"GET /_ping HTTP/1.1\r\nHost\r\n\r\n",
        b"GET /_ping HTTP/1.1\r\nHost: a\r\n b\xff: c\r\n\r\n",
        b"POST /v1.44/containers/create HTTP/1.1\r\nHost: d\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1.44/containers/create HTTP/1.1\r\nHost: d\r\nContent-Length: 99999999999999999999\r\n\r\n",
        b"POST /v1.44/containers/create HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST /v1.44/containers/create HTTP/1.1\r\nHost: d\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET /v1.44/containers/%00/json HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n",
        b"GET /v1.44/containers/..%2f..%2fetc/json HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n",
    ];
    for piece in pieces {
        let mut stream = connect(&b.engine);
        // It may be hung up on before it has said all.
        let _ = stream.write_all(piece);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let text = String::from_utf8_lossy(&answer);
        // HTTP/2 begins with the server's settings (RFC 9113, section 3.4), whatever follows.
        let settings = piece.starts_with(b"PRI ") && answer.get(3) == Some(&4);
        let fine = answer.is_empty()
            || settings
            || text.starts_with("HTTP/1.1 4")
            || text.starts_with("HTTP/1.0 4");
        assert!(fine, "{}: {text}", String::from_utf8_lossy(piece));
    }
    assert_eq!(b.ok("ps -aq"), "");
}

/// Too much of anything is refused before it is kept in memory.
#[test]
fn too_much_is_refused() {
    if !dhow_testkit::root_or_skip("clients that say too much") {
        return;
    }
    let b = Bench::new(Cli::Dhow);
    let long = "x".repeat(1 << 20);
    let many = "X-A: b\r\n".repeat(2000);
    let deep = format!("{{\"Labels\": {}", "[".repeat(1 << 20));
    let large = format!("{{\"Image\": \"{}\"}}", "x".repeat(17 << 20));
    let create =
        "POST /v1.44/containers/create HTTP/1.1\r\nHost: d\r\nContent-Type: application/json";
    let body = |text: &str| format!("{create}\r\nContent-Length: {}\r\n\r\n{text}", text.len());
    for (what, request, statuses) in [
        (
            "header",
            format!("GET /_ping HTTP/1.1\r\nHost: d\r\nX-A: {long}\r\n\r\n"),
            [431, 400],
        ),
        (
            "headers",
            format!("GET /_ping HTTP/1.1\r\nHost: d\r\n{many}\r\n"),
            [431, 400],
        ),
        (
            "path",
            format!("GET /{long} HTTP/1.1\r\nHost: d\r\n\r\n"),
            [431, 414],
        ),
        ("depth", body(&deep), [400, 400]),
        ("body", body(&large), [413, 400]),
    ] {
        let mut stream = connect(&b.engine);
        // It is answered before all is read.
        let _ = stream.write_all(request.as_bytes());
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let text = String::from_utf8_lossy(&answer);
        let status = text
            .split(' ')
            .nth(1)
            .and_then(|word| word.parse::<u16>().ok());
        // Nothing, where the rest of the request made the kernel throw the answer away.
        let refused = status.is_none_or(|status| statuses.contains(&status));
        assert!(refused, "{what}: {text}");
    }
    let peak = memory(&b.engine, "VmHWM");
    assert!(peak < 200 << 10, "{peak} KiB");
    assert_eq!(b.ok("run --rm busybox echo fine"), "fine");
}

/// Who writes or reads slowly keeps nobody else waiting, and costs no memory.
#[test]
fn slow_clients_are_waited_for_alone() {
    if !dhow_testkit::root_or_skip("slow clients") {
        return;
    }
    let b = Bench::new(Cli::Dhow);
    let mut writers: Vec<UnixStream> = (0..50).map(|_| connect(&b.engine)).collect();
    for (number, writer) in writers.iter_mut().enumerate() {
        let begun: &[u8] = match number % 2 {
            0 => b"POST /v1.44/cont",
            _ => b"POST /v1.44/containers/create HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{",
        };
        writer.write_all(begun).unwrap();
    }
    let script = "dd if=/dev/zero bs=64k count=500 2>/dev/null | tr '\\0' 'x' | fold -w 100; echo done; sleep 1000";
    let _ = b.words_ok(&[
        "run",
        "-d",
        "--name",
        "loud",
        "busybox",
        "sh",
        "-c",
        "sleep 1000",
    ]);
    let exec = json!({"Cmd": ["sh", "-c", script], "AttachStdout": true});
    let mut client = b.engine.client();
    let id = client
        .post("/v1.44/containers/loud/exec", Some(&exec))
        .unwrap()
        .json();
    let path = format!("/v1.44/exec/{}/start", id["Id"].as_str().unwrap());
    let before = memory(&b.engine, "VmRSS");
    // Nobody ever reads this.
    let reader = client.hijack(&path, &json!({})).unwrap();
    for _ in 0..5 {
        assert_eq!(b.ok("run --rm busybox echo fine"), "fine");
    }
    let grown = memory(&b.engine, "VmRSS").saturating_sub(before);
    assert!(grown < 32 << 10, "{grown} KiB");
    drop(reader);
    drop(writers);
    let _ = b.ok("rm -f loud");
}
