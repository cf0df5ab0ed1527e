//! Those who receive what log drivers send.

use std::io::{BufRead, BufReader, Read};
use std::net::UdpSocket;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use dhow_testkit::{Engine, packages};

/// Lines that come sooner or later.
pub(crate) struct Lines(mpsc::Receiver<String>);

impl Lines {
    fn of(source: impl Read + Send + 'static) -> Self {
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(source).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self(receiver)
    }

    /// Waits for so many.
    pub(crate) fn take(&self, count: usize) -> Vec<String> {
        let next = |_| {
            self.0
                .recv_timeout(Duration::from_secs(30))
                .expect("a line in time")
        };
        (0..count).map(next).collect()
    }
}

/// A process that ends with the test.
struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A program of an unpacked package with the libraries that came with it.
fn program(root: &Path, name: &str) -> Command {
    let mut command = Command::new(root.join(name));
    let machine = format!("{}-linux-gnu", std::env::consts::ARCH);
    let folders = ["usr/lib", "lib"].map(|lib| root.join(lib).join(&machine).display().to_string());
    command.env("LD_LIBRARY_PATH", folders.join(":"));
    command
}

/// Debian's rsyslog; its lines are `facility.severity|tag|message`.
pub(crate) struct Rsyslog {
    lines: Lines,
    folder: tempfile::TempDir,
    _process: Guard,
}

/// Its ports; it is the only one in the engine's network.
const UDP: u16 = 5514;
const TCP: u16 = 5515;

impl Rsyslog {
    /// Starts it beside an engine, and returns when it listens.
    pub(crate) fn start(engine: &Engine) -> Self {
        let root = packages::unpacked("rsyslog");
        let machine = format!("{}-linux-gnu", std::env::consts::ARCH);
        let modules = root.join("usr/lib").join(machine).join("rsyslog");
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let fifo = path("fifo");
        packages::run(Command::new("mkfifo").arg(&fifo));
        let configuration = format!(
            r#"global(workDirectory="{folder}")
module(load="imuxsock" SysSock.Use="off")
module(load="imudp")
module(load="imtcp")
input(type="imuxsock" Socket="{socket}" ParseTrusted="off" UsePIDFromSystem="off")
input(type="imudp" port="{UDP}" address="127.0.0.1")
input(type="imtcp" port="{TCP}" address="127.0.0.1")
template(name="line" type="string" string="%syslogfacility-text%.%syslogseverity-text%|%programname%|%msg:::drop-last-lf%\n")
if $syslogfacility-text == "local3" then action(type="ompipe" pipe="{fifo}" template="line")
"#,
            folder = folder.path().display(),
            socket = path("socket"),
        );
        std::fs::write(folder.path().join("conf"), configuration).unwrap();
        let mut command = program(&root, "usr/sbin/rsyslogd");
        command
            .args(["-n", "-i", &path("pid"), "-f", &path("conf"), "-M"])
            .arg(modules)
            .stdout(Stdio::null());
        let process = Guard(engine.on_its_network(|| command.spawn().unwrap()));
        let lines = Lines::of(
            std::fs::OpenOptions::new()
                .read(true)
                .write(true)
                .open(&fifo)
                .unwrap(),
        );
        let rsyslog = Self {
            lines,
            folder,
            _process: process,
        };
        rsyslog.listens(engine);
        rsyslog
    }

    /// Sends a line of our own over TCP until it has come.
    fn listens(&self, engine: &Engine) {
        let mut attempts = 0;
        let mut stream = loop {
            match engine.connect(&format!("127.0.0.1:{TCP}")) {
                Ok(stream) => break stream,
                Err(error) => assert!(attempts < 300, "rsyslog does not listen: {error}"),
            }
            attempts += 1;
            // It says nowhere that it has begun.
            std::thread::sleep(Duration::from_millis(50));
        };
        std::io::Write::write_all(&mut stream, b"<158>1 - - begin - - - now\n").unwrap();
        assert_eq!(self.take(1), ["local3.info|begin|now"]);
    }

    /// Waits for so many lines. Before the text of one form there is a space.
    pub(crate) fn take(&self, count: usize) -> Vec<String> {
        let lines = self.lines.take(count);
        lines
            .iter()
            .map(|line| line.replacen("| ", "|", 1))
            .collect()
    }

    /// Where it listens.
    pub(crate) fn address(&self, scheme: &str) -> String {
        match scheme {
            "udp" => format!("udp://127.0.0.1:{UDP}"),
            "tcp" => format!("tcp://127.0.0.1:{TCP}"),
            _ => format!("{scheme}://{}", self.folder.path().join("socket").display()),
        }
    }
}

/// The machine's journal; where there is none, Debian's journald with folders of its own.
pub(crate) struct Journal {
    folder: Option<PathBuf>,
    link: Option<PathBuf>,
    _process: Option<Guard>,
}

const JOURNAL: &str = "/run/systemd/journal";

impl Journal {
    pub(crate) fn open() -> Self {
        if Path::new(JOURNAL).exists() {
            return Self {
                folder: None,
                link: None,
                _process: None,
            };
        }
        let root = packages::unpacked("systemd");
        let mut command = program(&root, "lib/systemd/systemd-journald");
        command.stdout(Stdio::null()).stderr(Stdio::null());
        // Its sockets and files stand in a /run that only it sees.
        let mut command = {
            let mut outer = Command::new("unshare");
            outer.args(["--mount", "--propagation=private", "sh", "-c"]);
            outer.arg(
                "mount -t tmpfs none /run && mkdir -p /run/systemd/journal /run/log/journal && exec \"$0\"",
            );
            outer.arg(command.get_program());
            outer.envs(
                command
                    .get_envs()
                    .filter_map(|(key, value)| Some((key, value?))),
            );
            outer
        };
        command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0);
        let process = Guard(command.spawn().unwrap());
        let run = PathBuf::from(format!("/proc/{}/root/run", process.0.id()));
        let mut attempts = 0;
        while !run.join("systemd/journal/socket").exists() {
            attempts += 1;
            assert!(attempts < 300, "journald does not begin");
            std::thread::sleep(Duration::from_millis(50));
        }
        std::fs::create_dir_all("/run/systemd").unwrap();
        symlink(run.join("systemd/journal"), JOURNAL).unwrap();
        Self {
            folder: Some(run.join("log/journal")),
            link: Some(JOURNAL.into()),
            _process: Some(process),
        }
    }

    /// The entries of a container, as JSON, from now on.
    pub(crate) fn follow(&self, container: &str) -> Lines {
        let mut command = match &self.folder {
            None => Command::new("journalctl"),
            Some(folder) => {
                let mut command = program(&packages::unpacked("systemd"), "bin/journalctl");
                command.arg("-D").arg(folder);
                command
            }
        };
        let field = format!("CONTAINER_NAME={container}");
        let child = command
            .args(["-f", "-n", "all", "-o", "json", "--no-pager", &field])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let mut guard = Guard(child.unwrap());
        let output = guard.0.stdout.take().unwrap();
        Lines::of(Guarded {
            output,
            _guard: guard,
        })
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        if let Some(link) = &self.link {
            let _ = std::fs::remove_file(link);
        }
    }
}

/// The output of a process that ends when nobody reads it any more.
struct Guarded {
    output: std::process::ChildStdout,
    _guard: Guard,
}

impl Read for Guarded {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.output.read(buffer)
    }
}

/// Listens for GELF beside the engine: its port, and the documents.
pub(crate) fn gelf(engine: &Engine) -> (u16, Lines) {
    let socket = engine.on_its_network(|| UdpSocket::bind("127.0.0.1:0").unwrap());
    let port = socket.local_addr().unwrap().port();
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(length) = socket.recv(&mut buffer) {
            let mut text = String::new();
            let packed = &buffer[..length];
            if flate2::read::GzDecoder::new(packed)
                .read_to_string(&mut text)
                .is_err()
                || sender.send(text).is_err()
            {
                return;
            }
        }
    });
    (port, Lines(receiver))
}

/// Listens for Fluentd's protocol: the socket, its folder, and `tag source log container_name` of each record.
pub(crate) fn fluentd() -> (String, tempfile::TempDir, Lines) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut input = BufReader::new(stream);
            while let Some(line) = record(&mut input) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        }
    });
    (path.display().to_string(), folder, Lines(receiver))
}

/// `[tag, time, {text: text}, {}]` in MessagePack.
fn record(input: &mut impl Read) -> Option<String> {
    let mut byte = || {
        let mut byte = [0];
        input.read_exact(&mut byte).ok().map(|()| byte[0])
    };
    assert_eq!(byte()?, 0x94);
    let text = |byte: &mut dyn FnMut() -> Option<u8>| -> Option<String> {
        let length = match byte()? {
            0xd9 => usize::from(byte()?),
            0xda => usize::from(byte()?) << 8 | usize::from(byte()?),
            short => usize::from(short & 31),
        };
        let bytes: Option<Vec<u8>> = (0..length).map(|_| byte()).collect();
        String::from_utf8(bytes?).ok()
    };
    let tag = text(&mut byte)?;
    assert!(matches!(byte()?, 0xce | 0xd2));
    for _ in 0..4 {
        byte()?;
    }
    let mut fields = std::collections::BTreeMap::new();
    for _ in 0..byte()? & 15 {
        let key = text(&mut byte)?;
        fields.insert(key, text(&mut byte)?);
    }
    assert_eq!(byte()?, 0x80);
    Some(format!(
        "{tag} {} {} {}",
        fields["source"], fields["log"], fields["container_name"]
    ))
}
