//! Another OCI runtime, called as a program.

use std::ffi::OsStr;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::cgroup::Cgroup;
use crate::error::{Error, Result};
use crate::request::{CreateRequest, Created, ExecRequest, Executed, State, Stdio};
use crate::rootfs::options::{MountPlan, SUBPATH};
use crate::rootfs::paths;
use crate::spec::{LinuxResources, Process, Spec};
use crate::{Runtime, user};

/// Another OCI runtime (`runc`, `crun`, ...), called through its command line.
///
/// The containers' processes are not children of the caller but orphans of the program: the caller becomes a child
/// subreaper ([`External::new`] sees to it), so that it can wait for them all the same. The root file system has to be
/// mounted where the specification says; the bundle's `config.json` is written by [`Runtime::create`].
#[derive(Debug)]
pub struct External {
    program: PathBuf,
    root: PathBuf,
    log: PathBuf,
}

/// How the program is to be called.
struct Call<'a> {
    command: &'static str,
    args: Vec<&'a OsStr>,
    /// The streams of a container's process; `None` for a call whose answer is wanted.
    stdio: Option<Stdio<'a>>,
}

impl External {
    /// A runtime that calls `program` with `--root root` and reads its errors from the file `log`.
    ///
    /// # Errors
    /// Where the caller can't become a subreaper.
    pub fn new(program: &Path, root: &Path, log: &Path) -> Result<Self> {
        rustix::process::set_child_subreaper(Some(rustix::process::getpid())).map_err(|error| {
            Error::Step {
                action: "cannot become a subreaper".into(),
                source: error.into(),
            }
        })?;
        Ok(Self {
            program: program.to_owned(),
            root: root.to_owned(),
            log: log.to_owned(),
        })
    }

    /// The control group of a container.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn cgroup(&self, id: &str) -> Result<Cgroup> {
        let state = self.state(id)?;
        if state.pid == 0 {
            return Err(Error::NotRunning(id.to_owned()));
        }
        Ok(Cgroup::of(state.pid)?)
    }

    fn name(&self) -> String {
        self.program
            .file_name()
            .unwrap_or(self.program.as_os_str())
            .to_string_lossy()
            .into_owned()
    }

    /// Calls the program and gives its output; its error is the last one it has logged.
    fn call(&self, call: &Call<'_>) -> Result<Vec<u8>> {
        let failed = |source| Error::Step {
            action: format!("cannot run {}", self.name()),
            source,
        };
        let log_start = std::fs::metadata(&self.log).map_or(0, |log| log.len());
        let mut command = Command::new(&self.program);
        command
            .arg("--root")
            .arg(&self.root)
            .arg("--log")
            .arg(&self.log);
        command
            .args(["--log-format", "json", call.command])
            .args(&call.args);
        dhow_sys::signal::start_unblocked(&mut command);
        let output = match call.stdio {
            None | Some(Stdio::Terminal { .. }) => {
                command.stdin(std::process::Stdio::null());
                command.output().map_err(failed)?
            }
            // The process that is left running has the streams: nobody waits for their end here.
            Some(stdio) => {
                if let Stdio::Pipes {
                    stdin,
                    stdout,
                    stderr,
                } = stdio
                {
                    let copy = |fd: BorrowedFd<'_>| fd.try_clone_to_owned().map_err(failed);
                    command
                        .stdin(copy(stdin)?)
                        .stdout(copy(stdout)?)
                        .stderr(copy(stderr)?);
                }
                let status = command.status().map_err(failed)?;
                std::process::Output {
                    status,
                    stdout: Vec::new(),
                    stderr: Vec::new(),
                }
            }
        };
        if output.status.success() {
            return Ok(output.stdout);
        }
        let logged = self.logged_error(log_start);
        let message = logged.unwrap_or_else(|| {
            let text = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            if text.is_empty() {
                output.status.to_string()
            } else {
                text
            }
        });
        Err(Error::External {
            program: self.name(),
            command: call.command,
            message,
        })
    }

    fn simple(&self, command: &'static str, args: &[&str]) -> Result<Vec<u8>> {
        let args = args.iter().map(OsStr::new).collect();
        self.call(&Call {
            command,
            args,
            stdio: None,
        })
    }

    fn logged_error(&self, start: u64) -> Option<String> {
        let mut log = std::fs::File::open(&self.log).ok()?;
        log.seek(SeekFrom::Start(start)).ok()?;
        let mut text = String::new();
        log.take(1 << 20).read_to_string(&mut text).ok()?;
        text.lines().rev().find_map(|line| {
            let entry: serde_json::Value = serde_json::from_str(line).ok()?;
            (entry["level"] == "error").then(|| entry["msg"].as_str().map(str::to_owned))?
        })
    }

    /// Runs `create` or `exec` with a pid file and, for a terminal, a console socket.
    fn spawn(
        &self,
        command: &'static str,
        folder: &Path,
        stdio: Stdio<'_>,
        args: &[&OsStr],
    ) -> Result<Spawned> {
        let pid_file = folder.join("pid");
        let console = match stdio {
            Stdio::Terminal { .. } => Some(Console::listen(&folder.join("console"))?),
            _ => None,
        };
        let mut all = vec![OsStr::new("--pid-file"), pid_file.as_os_str()];
        if let Some(console) = &console {
            all.extend([OsStr::new("--console-socket"), console.path.as_os_str()]);
        }
        all.extend(args);
        let done = self.call(&Call {
            command,
            args: all,
            stdio: Some(stdio),
        });
        let text = std::fs::read_to_string(&pid_file);
        let _ = std::fs::remove_file(&pid_file);
        done?;
        let pid = text.map_err(|source| Error::File {
            action: "read",
            path: pid_file,
            source,
        })?;
        let pid: i32 = pid.trim().parse().unwrap_or(0);
        let gone = || Error::Step {
            action: format!("cannot open process {pid}"),
            source: rustix::io::Errno::SRCH.into(),
        };
        let pidfd = Pid::from_raw(pid).ok_or_else(gone)?;
        let pidfd = pidfd_open(pidfd, PidfdFlags::empty()).map_err(|_| gone())?;
        let master = console.map(Console::master).transpose()?;
        if let (Some(master), Stdio::Terminal { width, height }) = (&master, stdio) {
            let _ = dhow_sys::pty::resize(master, height, width);
        }
        Ok(Spawned { pid, pidfd, master })
    }
}

struct Spawned {
    pid: i32,
    pidfd: OwnedFd,
    master: Option<OwnedFd>,
}

/// The socket at which a runtime hands over a terminal's master.
struct Console {
    path: PathBuf,
    socket: OwnedFd,
}

impl Console {
    fn listen(path: &Path) -> Result<Self> {
        let listening = (|| -> io::Result<OwnedFd> {
            let _ = std::fs::remove_file(path);
            let flags = SocketFlags::CLOEXEC;
            let socket =
                rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
            rustix::net::bind(&socket, &SocketAddrUnix::new(path)?)?;
            rustix::net::listen(&socket, 1)?;
            Ok(socket)
        })();
        let path = path.to_owned();
        match listening {
            Ok(socket) => Ok(Self { path, socket }),
            Err(source) => Err(Error::File {
                action: "create",
                path,
                source,
            }),
        }
    }

    /// The master; the runtime has succeeded, so it has been sent.
    fn master(self) -> Result<OwnedFd> {
        let failed = |source| Error::Step {
            action: "cannot receive the terminal".into(),
            source,
        };
        let connection = rustix::net::accept_with(&self.socket, SocketFlags::CLOEXEC)
            .map_err(|error| failed(error.into()))?;
        let mut name = [0; 4096];
        let (_, mut fds) =
            dhow_sys::fds::receive_with_fds(connection.as_fd(), &mut name).map_err(failed)?;
        fds.pop()
            .ok_or_else(|| failed(io::ErrorKind::UnexpectedEof.into()))
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Puts the user found in the root file system into a process.
fn resolve_user(
    root: BorrowedFd<'_>,
    process: &mut Process,
    wanted: Option<&crate::UserSpec>,
) -> Result<()> {
    let Some(wanted) = wanted else { return Ok(()) };
    let found = user::resolve(root, &wanted.user, &wanted.groups)?;
    let given = process.user_mut();
    given.set_uid(found.uid).set_gid(found.gid);
    given.set_additional_gids(Some(found.additional_gids).filter(|groups| !groups.is_empty()));
    Ok(())
}

/// Puts descriptors of ours in the place of sources with a subpath, which no other runtime knows. What they are of can't
/// be exchanged any more.
fn pin_subpaths(spec: &mut Spec, bundle: &Path) -> Result<Vec<OwnedFd>> {
    let mut pinned = Vec::new();
    for mount in spec.mounts_mut().iter_mut().flatten() {
        let plan = MountPlan::parse(mount);
        let Some(subpath) = plan.subpath else {
            continue;
        };
        if plan.bind.is_none() {
            let text = "a subpath of layers needs the built-in runtime";
            return Err(Error::Spec(text.into()));
        }
        let source = bundle.join(&plan.source);
        let place = paths::open_host(&source)
            .and_then(|source| paths::open_below(source.as_fd(), &subpath))
            .map_err(|error| Error::File {
                action: "open",
                path: source.join(&subpath),
                source: error,
            })?;
        let path = format!("/proc/{}/fd/{}", std::process::id(), place.as_raw_fd());
        mount.set_source(Some(path.into()));
        if let Some(options) = mount.options_mut() {
            options.retain(|option| !option.starts_with(SUBPATH));
        }
        pinned.push(place);
    }
    Ok(pinned)
}

fn write_json(path: &Path, value: &impl serde::Serialize) -> Result<()> {
    let failed = |source| Error::File {
        action: "write",
        path: path.to_owned(),
        source,
    };
    let bytes = serde_json::to_vec(value).map_err(|error| failed(io::Error::other(error)))?;
    std::fs::write(path, bytes).map_err(failed)
}

impl Runtime for External {
    fn create(&self, request: &CreateRequest<'_>) -> Result<Created> {
        if request.rootfs.is_some() {
            let text = "another runtime needs the root file system to be mounted in its place";
            return Err(Error::Spec(text.into()));
        }
        let mut spec = request.spec.clone();
        let path = spec
            .root()
            .as_ref()
            .map(|root| request.bundle.join(root.path()));
        let terminal = matches!(request.stdio, Stdio::Terminal { .. });
        if let (Some(process), Some(path)) = (spec.process_mut(), path) {
            process.set_terminal(Some(terminal));
            let root = paths::open_host(&path).map_err(|source| Error::File {
                action: "open",
                path,
                source,
            })?;
            resolve_user(root.as_fd(), process, request.user)?;
        }
        // Held until the container has been made.
        let _pinned = pin_subpaths(&mut spec, request.bundle)?;
        write_json(&request.bundle.join("config.json"), &spec)?;
        let args = [
            OsStr::new("--bundle"),
            request.bundle.as_os_str(),
            OsStr::new(request.id),
        ];
        let Spawned { pid, pidfd, master } =
            self.spawn("create", request.bundle, request.stdio, &args)?;
        Ok(Created {
            pid,
            pidfd,
            master,
            warnings: Vec::new(),
        })
    }

    fn start(&self, id: &str) -> Result<()> {
        self.simple("start", &[id]).map(drop)
    }

    fn kill(&self, id: &str, signal: i32, all: bool) -> Result<()> {
        let number = signal.to_string();
        let args: &[&str] = if all {
            &["--all", id, &number]
        } else {
            &[id, &number]
        };
        self.simple("kill", args).map(drop)
    }

    fn delete(&self, id: &str, force: bool) -> Result<()> {
        let args: &[&str] = if force { &["--force", id] } else { &[id] };
        self.simple("delete", args).map(drop)
    }

    fn exec(&self, id: &str, request: &ExecRequest<'_>) -> Result<Executed> {
        let mut process = request.process.clone();
        let state = self.state(id)?;
        let path = PathBuf::from(format!("/proc/{}/root", state.pid));
        let root = paths::open_host(&path).map_err(|source| Error::File {
            action: "open",
            path,
            source,
        })?;
        resolve_user(root.as_fd(), &mut process, request.user)?;
        process.set_terminal(Some(matches!(request.stdio, Stdio::Terminal { .. })));
        let folder = tempfile_in(&state.bundle)?;
        let file = folder.0.join("process.json");
        write_json(&file, &process)?;
        let mut args = vec![
            OsStr::new("--detach"),
            OsStr::new("--process"),
            file.as_os_str(),
        ];
        if let Some(cgroup) = request.cgroup {
            args.extend([OsStr::new("--cgroup"), cgroup.as_os_str()]);
        }
        args.push(OsStr::new(id));
        let Spawned { pid, pidfd, master } = self.spawn("exec", &folder.0, request.stdio, &args)?;
        Ok(Executed {
            pid,
            pidfd,
            master,
            warnings: Vec::new(),
        })
    }

    fn pause(&self, id: &str) -> Result<()> {
        self.simple("pause", &[id]).map(drop)
    }

    fn resume(&self, id: &str) -> Result<()> {
        self.simple("resume", &[id]).map(drop)
    }

    fn update(&self, id: &str, resources: &LinuxResources) -> Result<()> {
        let state = self.state(id)?;
        let folder = tempfile_in(&state.bundle)?;
        let file = folder.0.join("resources.json");
        write_json(&file, resources)?;
        self.simple("update", &["--resources", &file.to_string_lossy(), id])
            .map(drop)
    }

    fn state(&self, id: &str) -> Result<State> {
        let output = match self.simple("state", &[id]) {
            Err(Error::External { message, .. }) if message.contains("does not exist") => {
                return Err(Error::NotFound(id.to_owned()));
            }
            other => other?,
        };
        serde_json::from_slice(&output).map_err(|error| Error::Step {
            action: format!("cannot understand {} state", self.name()),
            source: io::Error::other(error),
        })
    }

    fn pids(&self, id: &str) -> Result<Vec<i32>> {
        Ok(self.cgroup(id)?.pids()?)
    }
}

/// A folder for one call, removed afterwards.
struct CallFolder(PathBuf);

impl Drop for CallFolder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn tempfile_in(bundle: &Path) -> Result<CallFolder> {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let name = format!(
        "call-{}-{}",
        std::process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    );
    let path = bundle.join(name);
    match std::fs::create_dir(&path) {
        Ok(()) => Ok(CallFolder(path)),
        Err(source) => Err(Error::File {
            action: "create",
            path,
            source,
        }),
    }
}
