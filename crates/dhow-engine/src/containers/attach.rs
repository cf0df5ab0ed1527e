//! `attach` and `resize`.

use dhow_logging::{LogSource, ReadOptions};
use dhow_shim::AttachRequest;
use tokio::sync::oneshot;

use super::Containers;
use crate::container::{ContainerRecord, Status};
use crate::store::{Container, Pending};
use crate::streams::{AttachOptions, Attached, Attachment, Target, keys};
use crate::{Error, Result};

impl Containers {
    /// Connects to a container's process; to its next one when it does not run.
    ///
    /// # Errors
    /// It does not exist or is paused, or the detach keys are malformed.
    pub async fn attach(&self, name: &str, options: AttachOptions) -> Result<Attachment> {
        let keys = keys(options.detach_keys.as_deref())?;
        let container = self.services.find(name)?;
        let record = container.record();
        match record.state.status {
            Status::Paused => {
                return Err(Error::Conflict(format!(
                    "container {} is paused, unpause the container before attach",
                    record.id
                )));
            }
            Status::Restarting => {
                return Err(Error::Conflict(format!(
                    "container {} is restarting, wait until the container is running",
                    record.id
                )));
            }
            _ => {}
        }
        let tty = record.config.tty;
        let target = match options.stream {
            true => connect(&container, &options).await?,
            false => Target::Closed,
        };
        // Keys are typed on terminals only.
        let mut stream = Attached::new(target, if tty { keys } else { Vec::new() });
        if options.logs && super::logs::readable(&record).is_ok() {
            stream = stream.after(log(&record, &options));
        }
        self.services.tell(&record, "attach");
        Ok(Attachment {
            tty,
            stream: Box::new(stream),
        })
    }

    /// Sets the size of a running container's terminal.
    ///
    /// # Errors
    /// It does not exist, does not run or has no terminal.
    pub async fn resize(&self, name: &str, rows: u16, columns: u16) -> Result<()> {
        let container = self.services.find(name)?;
        let record = container.record();
        let stopped = || Error::Conflict(format!("container {} is not running", record.id));
        let task = container.task().ok_or_else(stopped)?;
        if record.config.tty {
            task.resize(None, rows, columns).await?;
        }
        let (height, width) = (rows.to_string(), columns.to_string());
        self.services
            .tell_with(&record, "resize", &[("height", &height), ("width", &width)]);
        Ok(())
    }
}

/// The process's stream: at once when it runs, else when it is started.
async fn connect(container: &Container, options: &AttachOptions) -> Result<Target> {
    let record = container.record();
    let request = AttachRequest {
        stdin: options.stdin && record.config.open_stdin,
        stdout: options.stdout,
        stderr: options.stderr,
    };
    let task = {
        let mut live = container.live();
        match live.task.clone() {
            Some(task) => task,
            None => {
                let (reply, receiver) = oneshot::channel();
                live.pending.push(Pending { request, reply });
                return Ok(Target::Waiting(receiver));
            }
        }
    };
    match task.attach(request).await {
        Ok(stream) => Ok(Target::Connected(stream)),
        // It ended just now: there is nothing more to come.
        Err(error) if error.is_gone() => Ok(Target::Closed),
        Err(error) => Err(error.into()),
    }
}

fn log(
    record: &ContainerRecord,
    options: &AttachOptions,
) -> tokio::sync::mpsc::Receiver<std::result::Result<bytes::Bytes, dhow_logging::Error>> {
    let read = ReadOptions {
        stdout: options.stdout,
        stderr: options.stderr,
        framed: !record.config.tty,
        ..ReadOptions::default()
    };
    dhow_logging::stream(LogSource::from(&record.log), read, std::future::ready(()))
}
