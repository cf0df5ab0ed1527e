//! Drivers: where entries are delivered, one by one, by the logger's process.
//!
//! A driver is made when the container starts; that it can't be is told, and the container does not start. From then on
//! [`Driver::deliver`] may take as long as the receiver does, within the limits of its transport, and an entry that
//! could not be delivered is lost and counted. A receiver that was lost is looked for again with the next entry.

pub(crate) mod fluentd;
pub(crate) mod gelf;
mod journald;
mod link;
mod local;
pub(crate) mod syslog;
#[cfg(test)]
mod tests;

use crate::entry::Entry;
use crate::{Error, LogConfig};

/// Delivers entries.
pub(crate) trait Driver: Send {
    /// Delivers an entry, or keeps it until [`Driver::flush`].
    ///
    /// # Errors
    /// The entry is lost; the next one is tried anew.
    fn deliver(&mut self, entry: &Entry<'_>) -> Result<(), Error>;

    /// Delivers what was kept. Called when there is nothing more at the moment.
    ///
    /// # Errors
    /// What was kept is lost.
    fn flush(&mut self) -> Result<(), Error> {
        Ok(())
    }
}

/// Makes the driver that `config` names.
///
/// # Errors
/// With Docker's text: an option's value can't be used, or the receiver is not there.
pub(crate) fn open(config: &LogConfig) -> Result<Box<dyn Driver>, Error> {
    let failed = Error::Driver;
    Ok(match config.driver.as_str() {
        "syslog" => Box::new(syslog::Syslog::open(config).map_err(failed)?),
        "journald" => Box::new(journald::Journald::open(config).map_err(failed)?),
        "fluentd" => Box::new(fluentd::Fluentd::open(config).map_err(failed)?),
        "gelf" => Box::new(gelf::Gelf::open(config).map_err(failed)?),
        _ => Box::new(local::Files::open(config)?),
    })
}

/// How many bytes wait for the driver at most, and whether more are thrown away rather than waited for; what
/// `fluentd-async` asks for.
pub(crate) fn queue(config: &LogConfig) -> Option<usize> {
    match config.driver.as_str() {
        "fluentd" => fluentd::queue(&config.options),
        _ => None,
    }
}

/// The machine's name.
fn host_name() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}

/// A number in hexadecimal that no other run of a driver has.
fn run_id() -> String {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    format!("{:024x}{:08x}", since.as_nanos(), std::process::id())
}

/// What tells the parts of one line from those of all others.
fn part_id(part: crate::entry::Part) -> String {
    static RUN: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    format!("{}{:032x}", RUN.get_or_init(run_id), part.id)
}
