//! `create` and `run`.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::{Failed, console};
use crate::spec::Spec;
use crate::{Builtin, CreateRequest, Created, Runtime, Stdio};

/// The id of a container.
#[derive(Debug, Args)]
pub(super) struct Id {
    /// The container's id
    pub(super) id: String,
}

/// What `create` and `run` have in common.
#[derive(Debug, Args)]
pub(super) struct Bundle {
    /// Folder of the bundle
    #[arg(short, long, default_value = ".")]
    bundle: PathBuf,
    /// Unix socket to which the master of the terminal is sent
    #[arg(long)]
    console_socket: Option<PathBuf>,
    /// File to write the pid to
    #[arg(long)]
    pid_file: Option<PathBuf>,
    /// The container's id
    id: String,
}

#[derive(Debug, Args)]
pub(super) struct Create {
    #[command(flatten)]
    bundle: Bundle,
}

#[derive(Debug, Args)]
pub(super) struct Run {
    #[command(flatten)]
    bundle: Bundle,
    /// Do not wait for its end
    #[arg(short, long)]
    detach: bool,
    /// Do not delete it at its end
    #[arg(long)]
    keep: bool,
}

impl Create {
    pub(super) fn run(&self, runtime: &Builtin) -> Result<(), Failed> {
        let (terminal, spec) = self.bundle.read()?;
        console::check(terminal, self.bundle.console_socket.as_deref(), true)?;
        let created = self.bundle.create(runtime, &spec, terminal)?;
        self.bundle.hand_over(runtime, created.pid, created.master)
    }
}

impl Run {
    pub(super) fn run(&self, runtime: &Builtin) -> Result<ExitCode, Failed> {
        let (terminal, spec) = self.bundle.read()?;
        console::check(terminal, self.bundle.console_socket.as_deref(), self.detach)?;
        let created = self.bundle.create(runtime, &spec, terminal)?;
        let (pid, pidfd) = (created.pid, created.pidfd);
        if self.detach {
            self.bundle.hand_over(runtime, pid, created.master)?;
            runtime.start(&self.bundle.id)?;
            return Ok(ExitCode::SUCCESS);
        }
        let relayed = self.bundle.write_pid(pid).and_then(|()| {
            let signals = console::catch_signals()?;
            runtime.start(&self.bundle.id)?;
            console::relay(&pidfd, &signals, created.master.as_ref())
        });
        if relayed.is_err() || !self.keep {
            let deleted = runtime.delete(&self.bundle.id, true);
            let code = relayed?;
            deleted?;
            return Ok(code);
        }
        relayed
    }
}

impl Bundle {
    fn folder(&self) -> Result<PathBuf, Failed> {
        let failed = |error| format!("cannot open bundle {}: {error}", self.bundle.display());
        Ok(std::fs::canonicalize(&self.bundle).map_err(failed)?)
    }

    /// The specification, and whether it wants a terminal.
    fn read(&self) -> Result<(bool, Spec), Failed> {
        let path = self.folder()?.join("config.json");
        let text = std::fs::read(&path)
            .map_err(|_| format!("JSON specification file {} not found", path.display()))?;
        let spec: Spec = serde_json::from_slice(&text)
            .map_err(|error| format!("cannot understand {}: {error}", path.display()))?;
        let terminal = spec
            .process()
            .as_ref()
            .and_then(crate::spec::Process::terminal);
        Ok((terminal.unwrap_or(false), spec))
    }

    fn create(&self, runtime: &Builtin, spec: &Spec, terminal: bool) -> Result<Created, Failed> {
        let size = spec
            .process()
            .as_ref()
            .and_then(crate::spec::Process::console_size);
        let stdio = if terminal {
            console::terminal(size)
        } else {
            Stdio::Inherit
        };
        let bundle = self.folder()?;
        let request = CreateRequest {
            id: &self.id,
            bundle: &bundle,
            spec,
            rootfs: None,
            stdio,
            user: None,
        };
        let created = runtime.create(&request).map_err(|error| {
            let text = dhow_errdefs::chain(&error).to_string();
            format!("container create failed: unable to start container process: {text}")
        })?;
        for warning in &created.warnings {
            use std::io::Write;
            let _ = writeln!(std::io::stderr(), "warning: {warning}");
        }
        Ok(created)
    }

    fn write_pid(&self, pid: i32) -> Result<(), Failed> {
        write_pid(self.pid_file.as_deref(), pid)
    }

    /// Leaves the container to others: its terminal, its pid. Where that fails it is deleted.
    fn hand_over(
        &self,
        runtime: &Builtin,
        pid: i32,
        master: Option<OwnedFd>,
    ) -> Result<(), Failed> {
        let handed = console::send(self.console_socket.as_deref(), master)
            .and_then(|()| self.write_pid(pid));
        if handed.is_err() {
            let _ = runtime.delete(&self.id, true);
        }
        handed
    }
}

/// Writes a pid file so that a reader sees it whole or not at all.
pub(super) fn write_pid(path: Option<&Path>, pid: i32) -> Result<(), Failed> {
    let Some(path) = path else { return Ok(()) };
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let new = path.with_file_name(format!(".{name}"));
    let failed = |error| format!("cannot write {}: {error}", path.display());
    std::fs::write(&new, pid.to_string())
        .and_then(|()| std::fs::rename(&new, path))
        .map_err(failed)?;
    Ok(())
}
