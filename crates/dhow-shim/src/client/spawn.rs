//! Starting a shim.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream as StdStream;
use std::path::Path;

use dhow_sys::clone::Process;
use dhow_sys::spawn::Program;
use rustix::process::{WaitId, WaitIdOptions, waitid};
use tokio::io::unix::AsyncFd;
use tokio::net::UnixStream;

use super::Created;
use super::connection::{Connection, unexpected};
use crate::protocol::{self, Request, Response};
use crate::{Error, ShimConfig};

/// The allocator's settings in a shim: give freed memory back at once, keep large buffers out of the heap.
const TUNABLES: &str = "GLIBC_TUNABLES=glibc.malloc.trim_threshold=16384:glibc.malloc.top_pad=4096:\
                        glibc.malloc.mmap_threshold=32768:glibc.malloc.tcache_count=0";

/// Starts a shim and lets it make the container.
pub(crate) async fn spawn(
    program: &Path,
    config: &ShimConfig,
    held: Vec<OwnedFd>,
) -> Result<(Connection, Created), Error> {
    let failed = |source| Error::Spawn {
        program: program.into(),
        source,
    };
    let (ours, process) = launch(program, config, held).await.map_err(failed)?;
    let child = Child::new(process).map_err(failed)?;
    let stream = UnixStream::from_std(ours).map_err(failed)?;
    let mut connection = Connection::unversioned(&config.socket, stream);
    let hello = Request::Hello {
        min: protocol::OLDEST,
        max: protocol::NEWEST,
    };
    connection
        .send(&[&hello, &Request::Create(Box::new(config.clone()))])
        .await?;
    let answer = connection.receive().await?;
    connection.check_hello(&answer)?;
    match connection.receive().await? {
        Response::Process { pid, warnings } => Ok((
            connection,
            Created {
                pid,
                shim_pid: child.keep(),
                warnings,
            },
        )),
        other => Err(unexpected(&config.socket, &other)),
    }
}

/// Starts the process; off the executor's threads, which the kernel would hold up for as long as it takes.
async fn launch(
    program: &Path,
    config: &ShimConfig,
    held: Vec<OwnedFd>,
) -> io::Result<(StdStream, Process)> {
    let program = program.to_path_buf();
    let name = format!("dhow-shim {}", config.id.get(..12).unwrap_or(&config.id));
    let container = config.state_dir.display().to_string();
    let numbers = [
        "--control".into(),
        "3".into(),
        "--held".into(),
        held.len().to_string(),
    ];
    let args = [name, "shim".into()]
        .into_iter()
        .chain(numbers)
        .chain(["--container".into(), container]);
    let launched = tokio::task::spawn_blocking(move || {
        let (ours, theirs) = StdStream::pair()?;
        ours.set_nonblocking(true)?;
        let args = args.map(CString::new).collect::<Result<Vec<_>, _>>()?;
        let search = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        let env = [CString::new(search)?, CString::new(TUNABLES)?];
        let protected = protect(&program, held.len())?;
        let path = protected.as_ref().map_or(program, |file| {
            format!("/proc/self/fd/{}", file.as_raw_fd()).into()
        });
        let inherited: Vec<_> = std::iter::once(theirs.as_fd())
            .chain(held.iter().map(AsFd::as_fd))
            .collect();
        let process = dhow_sys::spawn::spawn(&Program {
            path: &path,
            args: &args,
            env: &env,
            inherited: &inherited,
        })?;
        Ok((ours, process))
    });
    launched.await.map_err(io::Error::other)?
}

/// The program as a file that containers can't write to through the shim, above the descriptors that the shim inherits.
/// None where the kernel refuses: then the program runs as it is.
fn protect(program: &Path, held: usize) -> io::Result<Option<OwnedFd>> {
    let Ok(file) = dhow_sys::exec::protected(program) else {
        return Ok(None);
    };
    let lowest = i32::try_from(held)
        .map_err(io::Error::other)?
        .saturating_add(16);
    Ok(Some(rustix::io::fcntl_dupfd_cloexec(file, lowest)?))
}

/// A shim that has not made its container yet: dropped, it is told to take everything away again.
struct Child {
    pid: u32,
    pidfd: OwnedFd,
    keep: bool,
}

impl Child {
    /// Takes charge of the process, which is reaped in the background whenever it ends.
    fn new(process: Process) -> io::Result<Self> {
        let pidfd = process.pidfd.try_clone()?;
        tokio::spawn(reap(process.pidfd));
        let pid = u32::try_from(process.pid).map_err(io::Error::other)?;
        Ok(Self {
            pid,
            pidfd,
            keep: false,
        })
    }

    fn keep(mut self) -> u32 {
        self.keep = true;
        self.pid
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if !self.keep {
            // An error means that it has ended, which is the common case: it refused to make the container.
            let _ = rustix::process::pidfd_send_signal(&self.pidfd, rustix::process::Signal::TERM);
        }
    }
}

#[allow(
    deprecated,
    reason = "unsound only for types whose descriptor changes; an OwnedFd's does not"
)]
async fn reap(pidfd: OwnedFd) {
    let Ok(pidfd) = AsyncFd::new(pidfd) else {
        return;
    };
    if pidfd.readable().await.is_ok() {
        // Nothing to be told: what matters of a shim's end stands in its records.
        let _ = waitid(
            WaitId::PidFd(pidfd.as_fd()),
            WaitIdOptions::EXITED | WaitIdOptions::NOHANG,
        );
    }
}
