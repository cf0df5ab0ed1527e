//! `exec`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::create::write_pid;
use super::{Failed, console};
use crate::spec::{Capability, LinuxCapabilitiesBuilder, Process, ProcessBuilder, UserBuilder};
use crate::{Builtin, ExecRequest, Runtime, Stdio};

#[derive(Debug, Args)]
pub(super) struct Exec {
    /// Unix socket to which the master of the terminal is sent
    #[arg(long)]
    console_socket: Option<PathBuf>,
    /// Working directory
    #[arg(long, default_value = "/")]
    cwd: PathBuf,
    /// Variable of the environment
    #[arg(short, long, value_name = "KEY=VALUE")]
    env: Vec<String>,
    /// Give it a terminal
    #[arg(short, long)]
    tty: bool,
    /// User and group, as numbers
    #[arg(short, long, value_name = "UID[:GID]")]
    user: Option<String>,
    /// Additional group, as a number
    #[arg(short = 'g', long)]
    additional_gids: Vec<u32>,
    /// File with the process as in the specification
    #[arg(short, long, value_name = "FILE")]
    process: Option<PathBuf>,
    /// Do not wait for its end
    #[arg(short, long)]
    detach: bool,
    /// File to write the pid to
    #[arg(long)]
    pid_file: Option<PathBuf>,
    /// Label of the process for SELinux
    #[arg(long)]
    process_label: Option<String>,
    /// Profile of the process for AppArmor
    #[arg(long)]
    apparmor: Option<String>,
    /// It can't gain privileges
    #[arg(long)]
    no_new_privs: bool,
    /// Capability to add
    #[arg(short, long = "cap", value_name = "CAPABILITY")]
    cap: Vec<String>,
    /// Sub-cgroup of the container's to run in
    #[arg(long)]
    cgroup: Option<PathBuf>,
    /// The container's id
    id: String,
    /// The program and its arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

impl Exec {
    pub(super) fn run(&self, runtime: &Builtin) -> Result<ExitCode, Failed> {
        let process = self.process()?;
        let terminal = process.terminal().unwrap_or(false);
        console::check(terminal, self.console_socket.as_deref(), self.detach)?;
        let stdio = if terminal {
            console::terminal(process.console_size())
        } else {
            Stdio::Inherit
        };
        let signals = if self.detach {
            None
        } else {
            Some(console::catch_signals()?)
        };
        let request = ExecRequest {
            process: &process,
            stdio,
            user: None,
            cgroup: self.cgroup.as_deref(),
        };
        let executed = runtime.exec(&self.id, &request).map_err(|error| {
            let text = dhow_errdefs::chain(&error).to_string();
            format!("exec failed: unable to start container process: {text}")
        })?;
        write_pid(self.pid_file.as_deref(), executed.pid)?;
        match signals {
            Some(signals) => console::relay(&executed.pidfd, &signals, executed.master.as_ref()),
            None => {
                console::send(self.console_socket.as_deref(), executed.master)?;
                Ok(ExitCode::SUCCESS)
            }
        }
    }

    fn process(&self) -> Result<Process, Failed> {
        if let Some(path) = &self.process {
            let text = std::fs::read(path)
                .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
            return Ok(serde_json::from_slice(&text)?);
        }
        if self.command.is_empty() {
            return Err("process args cannot be empty".into());
        }
        let mut user = UserBuilder::default().build()?;
        if let Some(text) = &self.user {
            let (uid, gid) = text.split_once(':').unwrap_or((text, "0"));
            let number = |text: &str| -> Result<u32, Failed> {
                Ok(text
                    .parse()
                    .map_err(|_| format!("{text:?} is not a number"))?)
            };
            user.set_uid(number(uid)?).set_gid(number(gid)?);
        }
        if !self.additional_gids.is_empty() {
            user.set_additional_gids(Some(self.additional_gids.clone()));
        }
        let default = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        let mut env = self.env.clone();
        if !env.iter().any(|entry| entry.starts_with("PATH=")) {
            env.push(default.into());
        }
        let mut process = ProcessBuilder::default()
            .args(self.command.clone())
            .cwd(self.cwd.clone())
            .env(env)
            .user(user)
            .terminal(self.tty)
            .no_new_privileges(self.no_new_privs)
            .build()?;
        process.set_rlimits(None);
        process.set_apparmor_profile(self.apparmor.clone());
        process.set_selinux_label(self.process_label.clone());
        process.set_capabilities(self.capabilities()?);
        Ok(process)
    }

    /// `None` where none are asked for: then it gets those of the container.
    fn capabilities(&self) -> Result<Option<crate::spec::LinuxCapabilities>, Failed> {
        if self.cap.is_empty() {
            return Ok(None);
        }
        let named =
            |name: &String| -> Result<Capability, Failed> {
                let value = serde_json::Value::String(name.clone());
                Ok(serde_json::from_value(value)
                    .map_err(|_| format!("unknown capability {name:?}"))?)
            };
        let set = self
            .cap
            .iter()
            .map(named)
            .collect::<Result<std::collections::HashSet<_>, _>>()?;
        let builder = LinuxCapabilitiesBuilder::default()
            .bounding(set.clone())
            .effective(set.clone())
            .permitted(set.clone())
            .inheritable(std::collections::HashSet::new())
            .ambient(set);
        Ok(Some(builder.build()?))
    }
}
