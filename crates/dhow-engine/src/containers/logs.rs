//! `logs`.

use std::future::Future;

use dhow_logging::{LogSource, ReadOptions};

use super::Containers;
use crate::container::{ContainerRecord, LogsOptions};
use crate::store::Container;
use crate::streams::LogStream;
use crate::{Error, Result};
use dhow_container::spec::Invalid;

impl Containers {
    /// A container's log.
    ///
    /// # Errors
    /// It does not exist, no stream was chosen, or its log driver can't be read.
    pub async fn logs(&self, name: &str, options: LogsOptions) -> Result<LogStream> {
        if !options.stdout && !options.stderr {
            return Err(Invalid::new("must specify at least one of 'stdout' or 'stderr'").into());
        }
        let container = self.services.find(name)?;
        let record = container.record();
        readable(&record)?;
        let tty = record.config.tty;
        let read = ReadOptions {
            stdout: options.stdout,
            stderr: options.stderr,
            since: options.since,
            until: options.until,
            tail: options.tail,
            follow: options.follow && record.state.status.is_running(),
            timestamps: options.timestamps,
            details: options.details,
            framed: !tty,
        };
        let chunks = dhow_logging::stream(LogSource::from(&record.log), read, ended(&container));
        Ok(LogStream { tty, chunks })
    }
}

/// Refuses a log that nobody can read.
pub(super) fn readable(record: &ContainerRecord) -> Result<()> {
    match dhow_logging::is_readable(&record.log) {
        true => Ok(()),
        false => Err(Error::Log(dhow_logging::Error::NotReadable)),
    }
}

/// Ready as soon as the container's present run has ended.
fn ended(container: &Container) -> impl Future<Output = ()> + Send + 'static {
    let mut exits = container.exits();
    let seen = exits.borrow_and_update().count;
    let runs = container.record().state.status.is_running();
    async move {
        if runs {
            // An error means that the container is gone.
            let _ = exits
                .wait_for(|exits| exits.removed || exits.count > seen)
                .await;
        }
    }
}
