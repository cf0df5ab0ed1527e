//! A runtime that makes no containers: it runs the processes as they are. For tests without privileges.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::process::Command;

use dhow_runtime::spec::{LinuxResources, Process};
use dhow_runtime::{
    CreateRequest, Created, Error, ExecRequest, Executed, Result, Runtime, State, Status, Stdio,
};
use dhow_sys::clone::{CloneOptions, Cloned, clone3};
use rustix::process::Signal;

/// The processes of the one container.
#[derive(Debug, Default)]
pub(crate) struct Plain {
    init: RefCell<Option<(i32, Option<OwnedFd>)>>,
    all: RefCell<BTreeMap<i32, OwnedFd>>,
}

impl Plain {
    fn run(
        &self,
        process: &Process,
        stdio: Stdio<'_>,
        wait: Option<OwnedFd>,
    ) -> Result<(i32, OwnedFd, Option<OwnedFd>)> {
        let args = process.args().clone().unwrap_or_default();
        let program = args.first().cloned().unwrap_or_default();
        if !std::path::Path::new(&program).exists() {
            return Err(Error::Executable(dhow_runtime::ExecutableError::Missing(
                program,
            )));
        }
        let step = |source: io::Error| Error::Step {
            action: "simulate".into(),
            source,
        };
        let terminal = match stdio {
            Stdio::Terminal { width, height } => {
                let pty = dhow_sys::pty::open().map_err(step)?;
                dhow_sys::pty::resize(&pty.master, height, width).map_err(step)?;
                Some(pty)
            }
            _ => None,
        };
        match clone3(&CloneOptions::default()).map_err(step)? {
            Cloned::Parent(made) => {
                let pidfd = made.pidfd.try_clone().map_err(step)?;
                self.all.borrow_mut().insert(made.pid, pidfd);
                Ok((made.pid, made.pidfd, terminal.map(|pty| pty.master)))
            }
            Cloned::Child => {
                let _ = child(&args, stdio, terminal, wait);
                dhow_sys::exec::exit(96)
            }
        }
    }
}

fn child(
    args: &[String],
    stdio: Stdio<'_>,
    terminal: Option<dhow_sys::pty::Pty>,
    wait: Option<OwnedFd>,
) -> io::Result<()> {
    dhow_sys::signal::reset_dispositions();
    dhow_sys::signal::set_mask(&dhow_sys::signal::SignalSet::empty())?;
    match (stdio, &terminal) {
        (
            Stdio::Pipes {
                stdin,
                stdout,
                stderr,
            },
            _,
        ) => dhow_sys::fds::set_stdio(stdin, stdout, stderr)?,
        (_, Some(pty)) => {
            rustix::process::setsid()?;
            dhow_sys::pty::make_controlling(&pty.slave)?;
            let slave = pty.slave.as_fd();
            dhow_sys::fds::set_stdio(slave, slave, slave)?;
        }
        _ => {}
    }
    if let Some(wait) = wait {
        let mut word = [0];
        if rustix::io::read(wait, &mut word)? == 0 {
            dhow_sys::exec::exit(95);
        }
    }
    let args: Vec<CString> = args
        .iter()
        .map(|arg| CString::new(arg.as_str()))
        .collect::<std::result::Result<_, _>>()?;
    let program = args[0].clone();
    dhow_sys::exec::execve(&program, &args, &[])?;
    Ok(())
}

impl Runtime for Plain {
    fn create(&self, request: &CreateRequest<'_>) -> Result<Created> {
        let process = request.spec.process().clone().unwrap_or_default();
        let step = |source: io::Error| Error::Step {
            action: "simulate".into(),
            source,
        };
        let (wait, go) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
            .map_err(|error| step(error.into()))?;
        let (pid, pidfd, master) = self.run(&process, request.stdio, Some(wait))?;
        *self.init.borrow_mut() = Some((pid, Some(go)));
        Ok(Created {
            pid,
            pidfd,
            master,
            warnings: Vec::new(),
        })
    }

    fn start(&self, id: &str) -> Result<()> {
        let go = self
            .init
            .borrow_mut()
            .as_mut()
            .and_then(|(_, go)| go.take());
        let go = go.ok_or_else(|| Error::NotFound(id.into()))?;
        let written = rustix::io::write(go, b"x");
        written.map(drop).map_err(|error| Error::Step {
            action: "start".into(),
            source: error.into(),
        })
    }

    fn kill(&self, _: &str, signal: i32, all: bool) -> Result<()> {
        let init = self.init.borrow().as_ref().map(|(pid, _)| *pid);
        for (pid, pidfd) in self.all.borrow().iter() {
            if all || Some(*pid) == init {
                let _ = dhow_sys::signal::send(pidfd, signal);
            }
        }
        Ok(())
    }

    fn delete(&self, id: &str, _: bool) -> Result<()> {
        self.kill(id, Signal::KILL.as_raw(), true)
    }

    fn exec(&self, _: &str, request: &ExecRequest<'_>) -> Result<Executed> {
        let (pid, pidfd, master) = self.run(request.process, request.stdio, None)?;
        Ok(Executed {
            pid,
            pidfd,
            master,
            warnings: Vec::new(),
        })
    }

    fn pause(&self, id: &str) -> Result<()> {
        self.kill(id, Signal::STOP.as_raw(), true)
    }

    fn resume(&self, id: &str) -> Result<()> {
        self.kill(id, Signal::CONT.as_raw(), true)
    }

    fn update(&self, _: &str, _: &LinuxResources) -> Result<()> {
        // A child of the program's own, as External has them: it must not confuse the reaping.
        let ran = Command::new("/bin/true").status();
        ran.map(drop).map_err(|source| Error::Step {
            action: "update".into(),
            source,
        })
    }

    fn state(&self, id: &str) -> Result<State> {
        let init = self.init.borrow().as_ref().map(|(pid, _)| *pid);
        Ok(State {
            oci_version: "1.2.0".into(),
            id: id.into(),
            status: Status::Running,
            pid: init.unwrap_or(0),
            bundle: "/".into(),
            annotations: BTreeMap::default(),
        })
    }

    fn pids(&self, _: &str) -> Result<Vec<i32>> {
        Ok(self.all.borrow().keys().copied().collect())
    }
}
