//! Starting an engine where nobody answers at the default address.
//!
//! The command line starts its own file again as [`HELPER`], which leaves the terminal's session and then becomes
//! `dhow daemon --ready-fd N`. The daemon writes a byte to that pipe when it serves; a pipe that closes without one
//! tells that it could not. A lock makes several command lines start one engine between them.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::fs::{FlockOperation, flock};
use rustix::io::FdFlags;

use crate::outcome;
use dhow_client::context::DEFAULT_HOST;
use dhow_client::{Autostart, Error, Result};

/// The hidden command that becomes the daemon.
pub(crate) const HELPER: &str = "__start-daemon";

const RUN_FOLDER: &str = "/run/dhow";

/// What starts an engine for the client; nothing where the user may not have one.
pub(crate) fn starter(wanted: bool) -> Option<Autostart> {
    let start: Autostart = || Box::pin(start());
    (wanted && rustix::process::geteuid().is_root()).then_some(start)
}

/// Starts an engine and returns when it serves.
async fn start() -> Result<()> {
    tokio::task::spawn_blocking(start_and_wait)
        .await
        .map_err(|error| Error::text(error.to_string()))?
}

fn start_and_wait() -> Result<()> {
    std::fs::create_dir_all(RUN_FOLDER).map_err(|e| Error::io(format!("make {RUN_FOLDER}"), e))?;
    let _lock = lock(&Path::new(RUN_FOLDER).join("autostart.lock"))
        .map_err(|error| Error::io("lock the engine's start", error))?;
    let socket = DEFAULT_HOST.trim_start_matches("unix://");
    if std::os::unix::net::UnixStream::connect(socket).is_ok() {
        // Another command line was faster.
        return Ok(());
    }
    let (log_path, log) = open_log()?;
    let (mut ready, theirs) = pipe().map_err(|error| Error::io("make a pipe", error))?;
    outcome::to_stderr(&format!(
        "Starting the Dhow engine in the background (log: {})",
        log_path.display()
    ));
    let errors = log
        .try_clone()
        .map_err(|error| Error::io("share the log", error))?;
    Command::new("/proc/self/exe")
        .arg0("dhow")
        .args([HELPER, &theirs.as_raw_fd().to_string()])
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        .spawn()
        .map_err(|error| Error::io("start the engine", error))?;
    drop(theirs);
    let mut byte = [0];
    match ready.read(&mut byte) {
        Ok(1) => Ok(()),
        _ => Err(Error::text(format!(
            "The Dhow engine did not start: {}",
            last_line(&log_path).unwrap_or_else(|| format!("see {}", log_path.display()))
        ))),
    }
}

/// The process that [`start`] starts: leaves the session and becomes the daemon.
pub(crate) fn helper(ready_fd: &str) -> Result<()> {
    rustix::process::setsid().map_err(|error| Error::io("leave the session", error.into()))?;
    let number = ready_fd
        .parse()
        .map_err(|_| Error::text("no descriptor to report to"))?;
    // Whatever else we were started with must not live as long as the daemon.
    let _ready = dhow_sys::fds::inherit(number)
        .and_then(|ready| {
            dhow_sys::fds::close_on_exec_from(3)?;
            rustix::io::fcntl_setfd(&ready, FdFlags::empty())?;
            Ok(ready)
        })
        .map_err(|error| Error::io("close descriptors", error))?;
    let error = Command::new("/proc/self/exe")
        .arg0("dhow")
        .args(["daemon", "--ready-fd", ready_fd])
        .exec();
    Err(Error::io("become the daemon", error))
}

fn lock(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().create(true).append(true).open(path)?;
    flock(&file, FlockOperation::LockExclusive)?;
    Ok(file)
}

/// The reading end, and the end the daemon inherits under the same number.
fn pipe() -> io::Result<(File, OwnedFd)> {
    let (ours, theirs) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    rustix::io::fcntl_setfd(&theirs, FdFlags::empty())?;
    Ok((File::from(ours), theirs))
}

fn open_log() -> Result<(PathBuf, File)> {
    let open = |path: &Path| OpenOptions::new().create(true).append(true).open(path);
    let path = PathBuf::from("/var/log/dhow.log");
    if let Ok(file) = open(&path) {
        return Ok((path, file));
    }
    let path = Path::new(RUN_FOLDER).join("daemon.log");
    let file = open(&path).map_err(|e| Error::io(format!("open {}", path.display()), e))?;
    Ok((path, file))
}

fn last_line(path: &Path) -> Option<String> {
    let text = String::from_utf8_lossy(&std::fs::read(path).ok()?).into_owned();
    text.lines()
        .rev()
        .find(|line| !line.trim().is_empty())
        .map(str::to_owned)
}
