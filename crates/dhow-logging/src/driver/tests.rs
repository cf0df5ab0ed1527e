#![allow(clippy::unwrap_used, reason = "tests")]
//! What every driver that sends must do, over every transport: bring each line to its receiver, unharmed and in order;
//! live through the receiver's end, and find it again; begin only when the receiver is there.

use std::io::Read;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use super::journald::Journald;
use super::{Driver, open};
use crate::entry::{Entry, Part};
use crate::{LogConfig, Stream};

/// A kind of message: how lines are found in what a receiver got.
type Decode = fn(&[u8]) -> Vec<Vec<u8>>;

/// A receiver: what it got, message by message or in pieces of a stream.
struct Receiver {
    got: mpsc::Receiver<Vec<u8>>,
    /// Streams it has; shutting them down is its end.
    open: Arc<Mutex<Vec<TcpStream>>>,
    stop: Option<Box<dyn FnOnce() + Send>>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        for stream in self.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
        if let Some(stop) = self.stop.take() {
            stop();
        }
    }
}

/// Listens on TCP; the same port every time.
fn tcp(port: u16) -> (Receiver, u16) {
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, got) = mpsc::channel();
    let open = Arc::new(Mutex::new(Vec::<TcpStream>::new()));
    let (ended, end) = mpsc::channel::<()>();
    let known = Arc::clone(&open);
    let thread = std::thread::spawn(move || {
        for stream in listener.incoming() {
            if end.try_recv() != Err(mpsc::TryRecvError::Empty) {
                return;
            }
            let (mut stream, sender) = (stream.unwrap(), sender.clone());
            known.lock().unwrap().push(stream.try_clone().unwrap());
            std::thread::spawn(move || pour(&mut stream, &sender));
        }
    });
    let stop: Box<dyn FnOnce() + Send> = Box::new(move || {
        drop(ended);
        let _ = TcpStream::connect(address);
        thread.join().unwrap();
    });
    let receiver = Receiver {
        got,
        open,
        stop: Some(stop),
    };
    (receiver, address.port())
}

fn pour(stream: &mut impl Read, sender: &mpsc::Sender<Vec<u8>>) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = stream.read(&mut buffer) {
        if sender.send(buffer[..length].to_vec()).is_err() {
            return;
        }
    }
}

fn udp() -> (Receiver, u16) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    let (sender, got) = mpsc::channel();
    std::thread::spawn(move || {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(length) = socket.recv(&mut buffer) {
            if sender.send(buffer[..length].to_vec()).is_err() {
                return;
            }
        }
    });
    (detached(got), port)
}

fn detached(got: mpsc::Receiver<Vec<u8>>) -> Receiver {
    Receiver {
        got,
        open: Arc::default(),
        stop: None,
    }
}

fn datagrams(path: &Path) -> Receiver {
    let socket = UnixDatagram::bind(path).unwrap();
    let (sender, got) = mpsc::channel();
    std::thread::spawn(move || {
        let mut buffer = vec![0; 256 * 1024];
        while let Ok(length) = socket.recv(&mut buffer) {
            if sender.send(buffer[..length].to_vec()).is_err() {
                return;
            }
        }
    });
    detached(got)
}

fn unix_stream(path: &Path) -> Receiver {
    let listener = UnixListener::bind(path).unwrap();
    let (sender, got) = mpsc::channel();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        pour(&mut stream, &sender);
    });
    detached(got)
}

impl Receiver {
    /// Waits until so many lines have come.
    fn lines(&self, count: usize, decode: Decode) -> Vec<Vec<u8>> {
        let (mut bytes, mut lines) = (Vec::new(), Vec::new());
        while lines.len() < count {
            let piece = self.got.recv_timeout(Duration::from_secs(20)).unwrap();
            bytes.extend_from_slice(&piece);
            lines = decode(&bytes);
        }
        lines
    }
}

fn config(driver: &str, options: &[(&str, &str)]) -> LogConfig {
    let mut config = LogConfig {
        driver: driver.into(),
        options: options
            .iter()
            .map(|(key, value)| ((*key).to_string(), (*value).to_string()))
            .collect(),
        ..LogConfig::default()
    };
    config.origin.container_id = "0123456789abcdef".repeat(4);
    config.origin.container_name = "name".into();
    config.attributes.insert("label".into(), "value".into());
    config
}

fn entry(line: &[u8]) -> Entry<'_> {
    Entry {
        stream: Stream::Stdout,
        time: UNIX_EPOCH + Duration::from_millis(1_772_323_200_500),
        line,
        part: None,
    }
}

/// What comes after `: ` or ` - ` in each message that ends with a newline.
fn syslog(bytes: &[u8]) -> Vec<Vec<u8>> {
    let whole = memchr::memrchr(b'\n', bytes).map_or(0, |end| end + 1);
    let messages = bytes[..whole].split_inclusive(|byte| *byte == b'\n');
    messages
        .map(|message| {
            assert!(memchr::memmem::find(message, b"<30>").is_some());
            let at = memchr::memmem::find(message, b": ").unwrap();
            message[at + 2..message.len() - 1].to_vec()
        })
        .collect()
}

/// RFC 5424 with lengths before the messages.
fn counted(bytes: &[u8]) -> Vec<Vec<u8>> {
    let (mut rest, mut lines) = (bytes, Vec::new());
    while let Some(space) = memchr::memchr(b' ', rest) {
        let length: usize = std::str::from_utf8(&rest[..space])
            .unwrap()
            .parse()
            .unwrap();
        let Some(message) = rest.get(space + 1..space + 1 + length) else {
            break;
        };
        let at = memchr::memmem::find(message, b" - ").unwrap();
        lines.push(message[at + 3..length - 1].to_vec());
        rest = &rest[space + 1 + length..];
    }
    lines
}

fn gelf_line(message: &serde_json::Value) -> Vec<u8> {
    assert_eq!(message["_label"], "value");
    assert_eq!(message["_container_name"], "name");
    assert_eq!(message["_tag"], "0123456789ab");
    assert_eq!(message["timestamp"].to_string(), "1772323200.5");
    message["short_message"].as_str().unwrap().into()
}

fn gelf_documents(bytes: &[u8]) -> Vec<Vec<u8>> {
    let whole = memchr::memrchr(0, bytes).unwrap_or(0);
    let documents = bytes[..whole].split(|byte| *byte == 0);
    documents
        .filter(|document| !document.is_empty())
        .map(|document| gelf_line(&serde_json::from_slice(document).unwrap()))
        .collect()
}

/// One compressed document after the other.
fn gelf_gzip(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut text = String::new();
    let _ = flate2::read::MultiGzDecoder::new(bytes).read_to_string(&mut text);
    gelf_plain(text.as_bytes())
}

fn gelf_plain(bytes: &[u8]) -> Vec<Vec<u8>> {
    serde_json::Deserializer::from_slice(bytes)
        .into_iter::<serde_json::Value>()
        .map_while(Result::ok)
        .map(|message| gelf_line(&message))
        .collect()
}

fn gelf_zlib(bytes: &[u8]) -> Vec<Vec<u8>> {
    let (mut rest, mut lines) = (bytes, Vec::new());
    while !rest.is_empty() {
        let mut decoder = flate2::read::ZlibDecoder::new(rest);
        let mut text = Vec::new();
        if decoder.read_to_end(&mut text).is_err() {
            break;
        }
        let used = usize::try_from(decoder.total_in()).unwrap();
        lines.extend(gelf_plain(&text));
        rest = &rest[used..];
    }
    lines
}

/// The text after `log` in each message, whose length is below 32 or in one or two bytes.
fn fluentd(bytes: &[u8]) -> Vec<Vec<u8>> {
    let finder = memchr::memmem::find_iter(bytes, b"\xa3log");
    finder
        .filter_map(|at| {
            let rest = &bytes[at + 4..];
            let (length, from) = match *rest.first()? {
                0xd9 => (usize::from(*rest.get(1)?), 2),
                0xda => (
                    usize::from(*rest.get(1)?) << 8 | usize::from(*rest.get(2)?),
                    3,
                ),
                short => (usize::from(short & 31), 1),
            };
            rest.get(from..from + length).map(<[u8]>::to_vec)
        })
        .collect()
}

fn journal(bytes: &[u8]) -> Vec<Vec<u8>> {
    let finder = memchr::memmem::find_iter(bytes, b"\nMESSAGE=");
    finder
        .filter_map(|at| {
            let rest = &bytes[at + 9..];
            let end = memchr::memchr(b'\n', rest)?;
            Some(rest[..end].to_vec())
        })
        .collect()
}

/// Sends lines of many kinds, and looks whether they arrive.
fn brings_lines(driver: &mut dyn Driver, receiver: &Receiver, decode: Decode) {
    let long = vec![b'l'; 16 * 1024];
    let lines: [&[u8]; 6] = [
        b"first",
        "\u{e9}\u{1f600} <tag> & \"quote\" \\".as_bytes(),
        b"\ttabbed\x01",
        &long,
        b"a",
        b"last",
    ];
    for line in lines {
        driver.deliver(&entry(line)).unwrap();
    }
    driver.flush().unwrap();
    assert!(receiver.lines(lines.len(), decode) == lines);
}

fn open_with(driver: &str, options: &[(&str, &str)]) -> Box<dyn Driver> {
    open(&config(driver, options)).unwrap_or_else(|error| panic!("{driver}: {error}"))
}

#[test]
fn lines_arrive_over_streams() {
    for (driver, option, scheme, more, decode) in [
        ("syslog", "syslog-address", "tcp", &[][..], syslog as Decode),
        (
            "syslog",
            "syslog-address",
            "tcp",
            &[("syslog-format", "rfc3164"), ("tag", "x")],
            syslog,
        ),
        ("gelf", "gelf-address", "tcp", &[], gelf_documents),
        ("fluentd", "fluentd-address", "tcp", &[], fluentd),
        (
            "fluentd",
            "fluentd-address",
            "tcp",
            &[
                ("fluentd-sub-second-precision", "true"),
                ("fluentd-write-timeout", "5s"),
            ],
            fluentd,
        ),
    ] {
        let (receiver, port) = tcp(0);
        let address = format!("{scheme}://127.0.0.1:{port}");
        let options = [&[(option, address.as_str())][..], more].concat();
        let mut driver = open_with(driver, &options);
        brings_lines(&mut *driver, &receiver, decode);
    }
}

#[test]
fn lines_arrive_over_datagrams() {
    let compressions: [(&[(&str, &str)], Decode); 3] = [
        (&[], gelf_gzip),
        (
            &[
                ("gelf-compression-type", "zlib"),
                ("gelf-compression-level", "9"),
            ],
            gelf_zlib,
        ),
        (&[("gelf-compression-type", "none")], gelf_plain),
    ];
    let (receiver, port) = udp();
    let address = format!("udp://127.0.0.1:{port}");
    let mut driver = open_with("syslog", &[("syslog-address", &address)]);
    brings_lines(&mut *driver, &receiver, syslog);
    for (more, decode) in compressions {
        let (receiver, port) = udp();
        let address = format!("udp://127.0.0.1:{port}");
        let options = [&[("gelf-address", address.as_str())][..], more].concat();
        let mut driver = open_with("gelf", &options);
        for line in [&b"first"[..], b"\x01\ttabs", b"last"] {
            driver.deliver(&entry(line)).unwrap();
        }
        assert!(receiver.lines(3, decode) == [&b"first"[..], b"\x01\ttabs", b"last"]);
    }
}

#[test]
fn lines_arrive_over_unix_sockets() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let address = |scheme: &str, path: &PathBuf| format!("{scheme}://{}", path.display());
    let receiver = datagrams(&path("dgram"));
    let options = address("unixgram", &path("dgram"));
    let mut driver = open_with("syslog", &[("syslog-address", &options)]);
    brings_lines(&mut *driver, &receiver, syslog);
    let receiver = unix_stream(&path("stream"));
    let options = address("unix", &path("stream"));
    let mut driver = open_with("syslog", &[("syslog-address", &options)]);
    brings_lines(&mut *driver, &receiver, syslog);
    let receiver = unix_stream(&path("fluent"));
    let options = address("unix", &path("fluent"));
    let mut driver = open_with("fluentd", &[("fluentd-address", &options)]);
    brings_lines(&mut *driver, &receiver, fluentd);
    let receiver = datagrams(&path("journal"));
    let mut driver = Journald::at(&path("journal"), &config("journald", &[])).unwrap();
    brings_lines(&mut driver, &receiver, journal);
}

#[test]
fn a_long_document_is_sent_in_chunks() {
    let (receiver, port) = udp();
    let address = format!("udp://127.0.0.1:{port}");
    let options = [
        ("gelf-address", address.as_str()),
        ("gelf-compression-type", "none"),
    ];
    let mut driver = open_with("gelf", &options);
    let line = vec![b'x'; 10_000];
    driver.deliver(&entry(&line)).unwrap();
    let (mut document, mut id) = (Vec::new(), None);
    for number in 0.. {
        let chunk = receiver.got.recv_timeout(Duration::from_secs(20)).unwrap();
        assert!(chunk.len() <= 1420 && chunk[..2] == [0x1e, 0x0f]);
        assert_eq!(*id.get_or_insert(chunk[2..10].to_vec()), chunk[2..10]);
        assert_eq!(chunk[10], number);
        document.extend_from_slice(&chunk[12..]);
        if number + 1 == chunk[11] {
            break;
        }
    }
    assert!(gelf_plain(&document) == [line]);
}

#[test]
fn a_receiver_that_comes_back_is_found_again() {
    for (driver, option, decode) in [
        ("syslog", "syslog-address", syslog as Decode),
        ("gelf", "gelf-address", gelf_documents),
        ("fluentd", "fluentd-address", fluentd),
    ] {
        let (receiver, port) = tcp(0);
        let address = format!("tcp://127.0.0.1:{port}");
        let patience: &[(&str, &str)] = match driver {
            "gelf" => &[("gelf-tcp-max-reconnect", "0")],
            "fluentd" => &[("fluentd-max-retries", "1"), ("fluentd-retry-wait", "1ms")],
            _ => &[],
        };
        let options = [&[(option, address.as_str())][..], patience].concat();
        let mut driver = open_with(driver, &options);
        driver.deliver(&entry(b"before")).unwrap();
        assert!(receiver.lines(1, decode) == [b"before"]);
        drop(receiver);
        // The first ones may still go into the connection that was; then they are lost, and it is told.
        let mut tries = 0;
        while driver.deliver(&entry(b"lost")).is_ok() {
            tries += 1;
            assert!(tries < 100, "{address}: nothing is lost without a receiver");
        }
        let (receiver, _) = tcp(port);
        while driver.deliver(&entry(b"after")).is_err() {}
        assert!(receiver.lines(1, decode)[0] == b"after");
    }
}

#[test]
fn a_driver_begins_only_with_its_receiver() {
    let refused = |driver: &str, option: &str, address: &str| {
        let opened = open(&config(driver, &[(option, address)]));
        opened
            .map(drop)
            .map_err(|error| error.to_string())
            .unwrap_err()
    };
    let (receiver, port) = tcp(0);
    drop(receiver);
    let connect = format!("dial tcp 127.0.0.1:{port}: connect: connection refused");
    let tcp = format!("tcp://127.0.0.1:{port}");
    assert_eq!(refused("syslog", "syslog-address", &tcp), connect);
    assert_eq!(refused("fluentd", "fluentd-address", &tcp), connect);
    assert_eq!(
        refused("gelf", "gelf-address", &tcp),
        format!("gelf: cannot connect to GELF endpoint: 127.0.0.1:{port} {connect}")
    );
    assert_eq!(
        refused("syslog", "syslog-address", "tcp+tls://127.0.0.1:1"),
        "dial tcp 127.0.0.1:1: connect: connection refused"
    );
    let options = [("fluentd-address", tcp.as_str()), ("fluentd-async", "true")];
    open(&config("fluentd", &options)).unwrap();
    if !Path::new("/run/systemd/journal/socket").exists() {
        assert_eq!(
            open(&config("journald", &[]))
                .map(drop)
                .unwrap_err()
                .to_string(),
            "journald is not enabled on this host"
        );
    }
}

#[test]
fn fluentd_tells_parts_and_waits_for_acknowledgements() {
    use std::io::Write;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let receiver = std::thread::spawn(move || {
        // The first connection never answers: the message comes again over the second one.
        let mut first = listener.accept().unwrap().0;
        let mut buffer = vec![0; 4096];
        let length = first.read(&mut buffer).unwrap();
        assert!(memchr::memmem::find(&buffer[..length], b"partial_ordinal\xa12").is_some());
        drop(first);
        let mut second = listener.accept().unwrap().0;
        let length = second.read(&mut buffer).unwrap();
        let at = memchr::memmem::find(&buffer[..length], b"\xa5chunk").unwrap();
        // {"ack": the same text}
        let answer = [b"\x81\xa3ack", &buffer[at + 6..length]].concat();
        second.write_all(&answer).unwrap();
        length
    });
    let options = [
        ("fluentd-address", address.as_str()),
        ("fluentd-request-ack", "true"),
    ];
    let mut driver = open_with("fluentd", &options);
    let part = Part {
        id: 1,
        ordinal: 2,
        last: true,
    };
    driver
        .deliver(&Entry {
            part: Some(part),
            ..entry(b"end")
        })
        .unwrap();
    assert!(receiver.join().unwrap() > 100);
}

#[test]
fn syslog_goes_over_tls_to_those_who_are_trusted() {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (ca, key) = (folder.path().join("ca.pem"), folder.path().join("key.pem"));
    std::fs::write(&ca, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let (chain, key) = dhow_tls::identity(&ca, &key).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let server = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let server = Arc::new(server);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!(
        "tcp+tls://localhost:{}",
        listener.local_addr().unwrap().port()
    );
    let (sender, got) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = rustls::ServerConnection::new(Arc::clone(&server)).unwrap();
            pour(
                &mut rustls::StreamOwned::new(connection, stream.unwrap()),
                &sender,
            );
        }
    });
    let receiver = detached(got);
    let ca = ca.display().to_string();
    let base = [
        ("syslog-address", address.as_str()),
        ("syslog-format", "rfc5424"),
    ];
    let trusted = [&base[..], &[("syslog-tls-ca-cert", ca.as_str())]].concat();
    let mut driver = open_with("syslog", &trusted);
    brings_lines(&mut *driver, &receiver, counted);
    drop(driver);
    let untrusted = open(&config("syslog", &base))
        .map(drop)
        .unwrap_err()
        .to_string();
    assert_eq!(
        untrusted,
        "tls: failed to verify certificate: x509: certificate signed by unknown authority"
    );
    let anybody = [&base[..], &[("syslog-tls-skip-verify", "true")]].concat();
    let mut driver = open_with("syslog", &anybody);
    brings_lines(&mut *driver, &receiver, counted);
}
