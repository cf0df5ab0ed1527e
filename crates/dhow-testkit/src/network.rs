//! Servers of the tests' own, in the network namespace of an engine.

use std::fs::File;
use std::io::{BufRead, BufReader, Error, ErrorKind, Result, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;

/// A port on the loopback address where each connection gets a thread; ends when dropped.
#[derive(Debug)]
pub(crate) struct Listening {
    port: u16,
    pid: Option<u32>,
    over: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Listening {
    /// Listens in the network namespace of process `pid`, or in this one; `serve` runs there too.
    pub(crate) fn start(
        pid: Option<u32>,
        serve: impl Fn(TcpStream) + Send + Sync + 'static,
    ) -> Self {
        let (told, port) = mpsc::channel();
        let over = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&over);
        let serve = Arc::new(serve);
        let thread = std::thread::spawn(move || {
            enter(pid);
            let listener = TcpListener::bind("0.0.0.0:0").expect("there are free ports");
            let address = listener.local_addr().expect("it has an address");
            told.send(address.port()).expect("it is waited for");
            for stream in listener.incoming() {
                if flag.load(Ordering::SeqCst) {
                    return;
                }
                let (Ok(stream), serve) = (stream, Arc::clone(&serve)) else {
                    continue;
                };
                std::thread::spawn(move || {
                    if !greeted(&stream) {
                        serve(stream);
                    }
                });
            }
        });
        Self {
            port: port.recv().expect("the thread listens"),
            pid,
            over,
            thread: Some(thread),
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        let (pid, port) = (self.pid, self.port);
        // The accepting thread sees the flag with the next connection; where its network has no more processes, the
        // descriptors of this one still hold it.
        let knock = std::thread::spawn(move || {
            enter_if_there(pid).then(|| TcpStream::connect(("127.0.0.1", port)))
        });
        let reached = matches!(knock.join(), Ok(Some(Ok(_))));
        if let Some(thread) = self.thread.take().filter(|_| reached) {
            let _ = thread.join();
        }
    }
}

/// Whether a TLS client began, which is answered as plain servers do.
fn greeted(mut stream: &TcpStream) -> bool {
    let mut first = [0];
    let tls = matches!(stream.peek(&mut first), Ok(1)) && first[0] == 0x16;
    if tls {
        // Whether the client reads it is its own business.
        let _ = stream.write_all(b"HTTP/1.0 400 Bad Request\r\n\r\n");
    }
    tls
}

/// Puts this thread, and those that it starts, into the network namespace of process `pid`.
pub(crate) fn enter(pid: Option<u32>) {
    assert!(enter_if_there(pid), "process {pid:?} has no network");
}

fn enter_if_there(pid: Option<u32>) -> bool {
    let Some(pid) = pid else {
        return true;
    };
    let Ok(namespace) = File::open(format!("/proc/{pid}/ns/net")) else {
        return false;
    };
    let kind = Some(rustix::thread::LinkNameSpaceType::Network);
    rustix::thread::move_into_link_name_space(namespace.as_fd(), kind).is_ok()
}

/// The head of a request or an answer, as it came.
#[derive(Debug, Clone, Default)]
pub(crate) struct Head {
    /// The first line's words: method and path, or version and status.
    pub(crate) words: Vec<String>,
    /// The fields, names as they were written.
    pub(crate) fields: Vec<(String, String)>,
}

/// The longest head.
const LONGEST: usize = 64 << 10;

impl Head {
    /// Reads one; nothing at the stream's end.
    pub(crate) fn read(stream: &mut BufReader<TcpStream>) -> Result<Option<Self>> {
        let mut head = Self::default();
        let mut total = 0;
        loop {
            let mut line = Vec::new();
            let read = stream.read_until(b'\n', &mut line)?;
            total += read;
            if total > LONGEST {
                return Err(ErrorKind::InvalidData.into());
            }
            let line = String::from_utf8_lossy(&line);
            let line = line.trim_end();
            match (read, head.words.is_empty()) {
                (0, true) => return Ok(None),
                (0, false) => return Err(ErrorKind::UnexpectedEof.into()),
                (_, true) => head.words = line.splitn(3, ' ').map(str::to_owned).collect(),
                _ if line.is_empty() => return Ok(Some(head)),
                _ => {
                    let field = line
                        .split_once(':')
                        .ok_or_else(|| Error::other("no field"))?;
                    head.fields
                        .push((field.0.to_owned(), field.1.trim().to_owned()));
                }
            }
        }
    }

    /// The value of a field, its name in lower case; empty where it is missing.
    pub(crate) fn field(&self, name: &str) -> &str {
        let mut fields = self.fields.iter();
        let found = fields.find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map_or("", |(_, value)| value)
    }

    /// The length that it tells.
    pub(crate) fn length(&self) -> Option<u64> {
        self.field("content-length").parse().ok()
    }

    /// A word of the first line.
    pub(crate) fn word(&self, number: usize) -> &str {
        self.words.get(number).map_or("", String::as_str)
    }

    /// The text of it, the empty line included.
    pub(crate) fn text(&self) -> String {
        let first = self.words.join(" ");
        let fields = self.fields.iter();
        let fields: String = fields.map(|(n, v)| format!("{n}: {v}\r\n")).collect();
        format!("{first}\r\n{fields}\r\n")
    }
}
