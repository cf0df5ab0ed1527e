//! The handle of execs.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use dhow_oci::runtime::{LinuxCapabilities, Process};
use dhow_shim::{ConsoleSize, ExecRequest};
use rustix::fs::{Mode, OFlags};

use super::{CreateExec, ExecDetails, StartExec};
use crate::container::{ContainerRecord, Status};
use crate::lifecycle::create::new_id;
use crate::lifecycle::links;
use crate::services::{Services, blocking};
use crate::store::Container;
use crate::streams::{self, Attachment};
use crate::{Defaults, Error, Result, host};
use dhow_container::oci;

/// How long a terminal's new size waits for the process, as in Docker.
const READY: Duration = Duration::from_secs(10);

/// Further processes in running containers.
#[derive(Debug, Clone)]
pub struct Execs {
    pub(crate) services: Arc<Services>,
}

impl Execs {
    /// Prepares an exec in a running container and gives its id.
    ///
    /// # Errors
    /// The container does not exist, does not run or is paused, there is no command or no such user.
    pub async fn create(&self, container: &str, mut request: CreateExec) -> Result<String> {
        let found = self.services.find(container)?;
        let record = found.record();
        running(&record, container)?;
        if request.cmd.is_empty() {
            return Err(dhow_container::spec::Invalid::new("No exec command specified").into());
        }
        streams::keys(request.detach_keys.as_deref())?;
        check_user(&record, &request.user)?;
        if request.user.is_empty() {
            request.user.clone_from(&record.config.user);
        }
        let id = new_id();
        let action = format!("exec_create: {}", words(&request.cmd));
        self.services
            .execs
            .insert(id.clone(), found.id.clone(), request);
        self.services.tell_with(&record, action, &[("execID", &id)]);
        Ok(id)
    }

    /// Starts an exec; unless it is detached, gives the connection to it.
    ///
    /// # Errors
    /// It does not exist, has run already, its container stopped, or the program can't be started.
    pub async fn start(&self, id: &str, options: StartExec) -> Result<Option<Attachment>> {
        let details = self.services.execs.get(id)?;
        let container = self.services.find(&details.container_id)?;
        let record = container.record();
        running(&record, &record.name)?;
        let keys = streams::keys(details.request.detach_keys.as_deref())?;
        let details = self.services.execs.begin(id)?;
        let action = format!("exec_start: {}", words(&details.request.cmd));
        self.services.tell_with(&record, action, &[("execID", id)]);
        let tty = details.request.tty;
        match self.run(&container, &details, options).await {
            Ok(stream) => Ok((!options.detach).then(|| {
                let (services, id) = (Arc::clone(&self.services), id.to_owned());
                let end = async move {
                    let _ = services.execs.ended(&id).await;
                };
                Attachment {
                    tty,
                    stream: streams::of_exec(stream, keys, tty, end),
                }
            })),
            Err(error) => {
                let text = dhow_errdefs::chain(&error).to_string();
                self.services.execs.end(id, exit_code(&text));
                Err(error)
            }
        }
    }

    async fn run(
        &self,
        container: &Container,
        details: &ExecDetails,
        options: StartExec,
    ) -> Result<tokio::net::UnixStream> {
        let record = container.record();
        let stopped = || Error::Conflict(format!("container {} is not running", record.id));
        let task = container.task().ok_or_else(stopped)?;
        let links = links::environment(&self.services, &record)?;
        let name = host::machine::name();
        let env = oci::process::environment(&record, &name, details.request.tty, &links);
        let defaults = &self.services.config.defaults;
        let services = self.services.clone();
        let apparmor = match host::machine::has_apparmor() {
            true => blocking(move || services.apparmor()).await?,
            false => None,
        };
        let request = request(
            &record,
            details,
            (options, env),
            defaults,
            apparmor.as_deref(),
        );
        let started = task
            .exec(request)
            .await
            .map_err(|error| Error::about_user(&error).unwrap_or_else(|| Error::Exec(error)))?;
        self.services.execs.started(&details.id, started.pid);
        Ok(started.stream)
    }

    /// What is known of an exec.
    ///
    /// # Errors
    /// It does not exist.
    pub fn inspect(&self, id: &str) -> Result<ExecDetails> {
        self.services.execs.get(id)
    }

    /// What is known of an exec whose container is ready for it.
    ///
    /// # Errors
    /// It does not exist, or its container does not run or is paused.
    pub fn startable(&self, id: &str) -> Result<ExecDetails> {
        let details = self.services.execs.get(id)?;
        let record = self.services.find(&details.container_id)?.record();
        running(&record, &record.name)?;
        Ok(details)
    }

    /// Sets the size of its terminal, once its process is there.
    ///
    /// # Errors
    /// It does not exist, does not run, has no terminal, or its process is not there in time.
    pub async fn resize(&self, id: &str, rows: u16, columns: u16) -> Result<()> {
        let ready = tokio::time::timeout(READY, self.services.execs.ready(id)).await;
        ready
            .map_err(|_| Error::Refused("timeout waiting for exec session ready".to_owned()))??;
        let details = self.services.execs.get(id)?;
        let container = self.services.find(&details.container_id)?;
        let stopped = || Error::Conflict(format!("Container {} is not running", container.id));
        let task = container
            .task()
            .filter(|_| details.running)
            .ok_or_else(stopped)?;
        Ok(task.resize(Some(id), rows, columns).await?)
    }
}

impl Services {
    /// Notes and tells that an exec has ended.
    pub(crate) fn exec_ended(&self, id: &str, code: i32) {
        let Some(details) = self.execs.end(id, code) else {
            return;
        };
        if let Ok(container) = self.find(&details.container_id) {
            let code = code.to_string();
            self.tell_with(
                &container.record(),
                "exec_die",
                &[("execID", id), ("exitCode", &code)],
            );
        }
    }

    /// Notes the end of execs that ended with their container.
    pub(crate) fn execs_orphaned(&self, container_id: &str) {
        for id in self.execs.of(container_id) {
            if self.execs.get(&id).is_ok_and(|details| details.running) {
                self.exec_ended(&id, 137);
            }
        }
    }

    pub(crate) fn forget_execs(&self, container_id: &str) {
        self.execs.forget_all(container_id);
    }
}

fn running(record: &ContainerRecord, name: &str) -> Result<()> {
    match record.state.status {
        Status::Running => Ok(()),
        Status::Paused => Err(Error::Conflict(format!(
            "Container {name} is paused, unpause the container before exec"
        ))),
        Status::Restarting => Err(Error::Conflict(format!(
            "Container {} is restarting, wait until the container is running",
            record.id
        ))),
        _ => Err(Error::Conflict(format!(
            "container {} is not running",
            record.id
        ))),
    }
}

/// Looks a user up in the container, as Docker does before it comes to run the program. Who it is in the end, the
/// runtime finds out.
fn check_user(record: &ContainerRecord, user: &str) -> Result<()> {
    if user.is_empty() {
        return Ok(());
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = format!("/proc/{}/root", record.state.pid);
    let Ok(root) = rustix::fs::open(root, flags, Mode::empty()) else {
        // It has ended just now, which will be found out.
        return Ok(());
    };
    let found = dhow_runtime::user::resolve(root.as_fd(), user, &record.host.group_add);
    found
        .map(drop)
        .map_err(|error| Error::Refused(error.to_string()))
}

/// The command as Docker's events show it: with a space behind a lone program.
fn words(cmd: &[String]) -> String {
    match cmd {
        [program] => format!("{program} "),
        _ => cmd.join(" "),
    }
}

fn request(
    record: &ContainerRecord,
    details: &ExecDetails,
    (options, mut env): (StartExec, Vec<String>),
    defaults: &Defaults,
    apparmor: Option<&str>,
) -> ExecRequest {
    let wish = &details.request;
    oci::process::override_with(&mut env, &wish.env);
    let folder = match wish.working_dir.as_str() {
        "" => oci::process::folder(record),
        folder => folder.to_owned(),
    };
    let capabilities = match wish.privileged {
        true => oci::capabilities::all(),
        false => oci::capabilities::effective(&record.host).unwrap_or_default(),
    };
    let set: std::collections::HashSet<_> = capabilities.into_iter().collect();
    let mut sets = LinuxCapabilities::default();
    sets.set_bounding(Some(set.clone()))
        .set_effective(Some(set.clone()))
        .set_permitted(Some(set))
        .set_inheritable(None)
        .set_ambient(None);
    let size = options.console_size.or(wish.console_size);
    let security = oci::security::parse(&record.host.security_opt).unwrap_or_default();
    let apparmor = security.profile(record.host.privileged, apparmor);
    let mut process = Process::default();
    process
        .set_apparmor_profile(apparmor.filter(|_| !wish.privileged))
        .set_terminal(Some(wish.tty))
        .set_user(oci::process::root())
        .set_console_size(size.and_then(oci::process::console))
        .set_args(Some(wish.cmd.clone()))
        .set_env(Some(env))
        .set_cwd(folder.into())
        .set_capabilities(Some(sets))
        .set_rlimits(oci::process::limits(record, &defaults.ulimits))
        .set_oom_score_adj(Some(record.host.oom_score_adj))
        .set_no_new_privileges(Some(
            security
                .no_new_privileges
                .unwrap_or(defaults.no_new_privileges),
        ));
    ExecRequest {
        id: details.id.clone(),
        process,
        user: wish.user.clone(),
        additional_groups: record.host.group_add.clone(),
        terminal: wish.tty,
        console_size: size.map(|(rows, cols)| ConsoleSize { rows, cols }),
        stdin: wish.attach_stdin && !options.detach,
        stdout: wish.attach_stdout && !options.detach,
        stderr: wish.attach_stderr && !options.detach,
    }
}

/// Docker's exit code for a program that could not be started.
fn exit_code(text: &str) -> i32 {
    let text = text.to_lowercase();
    if text.contains("executable file not found") || text.contains("no such file or directory") {
        127
    } else {
        126
    }
}
