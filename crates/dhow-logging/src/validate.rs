//! What of a log's options is refused when a container is created. Docker refuses the rest when it is started, and so
//! do we: see the drivers.

use crate::driver::{fluentd, gelf, syslog};
use crate::options::{self, Options};
use crate::{Error, LogConfig};

/// The drivers there are, beside `none`.
pub const DRIVERS: &[&str] = &[
    "fluentd",
    "gelf",
    "journald",
    "json-file",
    "local",
    "syslog",
];

/// The options any driver takes.
const COMMON: &[&str] = &[
    "mode",
    "max-buffer-size",
    "cache-disabled",
    "cache-max-size",
    "cache-max-file",
    "cache-compress",
];
/// The options of drivers that tell something of the container.
const TELLING: &[&str] = &["labels", "labels-regex", "env", "env-regex", "tag"];
/// The options of files.
const FILES: &[&str] = &["max-file", "max-size", "compress"];

/// Checks a driver's name and options, as Docker does when a container is created, with its texts.
///
/// # Errors
/// [`Error::UnknownDriver`], [`Error::UnknownOption`] or [`Error::BadValue`].
pub fn validate(driver: &str, options: &Options) -> Result<(), Error> {
    if driver == "none" {
        return Ok(());
    }
    let driver = if driver.is_empty() {
        "json-file"
    } else {
        driver
    };
    if !DRIVERS.contains(&driver) {
        return Err(Error::UnknownDriver(driver.to_string()));
    }
    mode(options)?;
    if let Some(value) = options.get("cache-disabled") {
        options::truth(value).map_err(|_| {
            Error::BadValue(format!("invalid value for option cache-disabled: {value}"))
        })?;
    }
    match driver {
        "syslog" => {
            known(driver, options, &[TELLING, syslog::OPTIONS])?;
            syslog::validate(options)
        }
        "fluentd" => {
            known(driver, options, &[TELLING, fluentd::OPTIONS])?;
            fluentd::validate(options)
        }
        "gelf" => {
            gelf::validate_address(options)?;
            known(driver, options, &[TELLING, gelf::OPTIONS])?;
            gelf::validate(options)
        }
        "journald" => known(driver, options, &[TELLING]),
        "local" => known(driver, options, &[FILES]),
        _ => known(driver, options, &[FILES, TELLING]),
    }
}

fn known(driver: &str, options: &Options, groups: &[&[&str]]) -> Result<(), Error> {
    let known = |option: &str| {
        COMMON.contains(&option) || groups.iter().any(|group| group.contains(&option))
    };
    match options.keys().find(|option| !known(option)) {
        None => Ok(()),
        Some(option) => Err(Error::UnknownOption {
            driver: match driver {
                "local" => "log driver local".into(),
                driver => format!("{driver} log driver"),
            },
            option: option.clone(),
        }),
    }
}

fn mode(options: &Options) -> Result<(), Error> {
    let mode = options::text(options, "mode");
    if !matches!(mode, "" | "blocking" | "non-blocking") {
        return Err(Error::BadValue(format!(
            "logger: logging mode not supported: {mode}"
        )));
    }
    let Some(size) = options.get("max-buffer-size") else {
        return Ok(());
    };
    if mode != "non-blocking" {
        let text = "logger: max-buffer-size option is only supported with 'mode=non-blocking'";
        return Err(Error::BadValue(text.into()));
    }
    options::size(size, 1024.0)
        .map(drop)
        .map_err(|text| Error::BadValue(format!("error parsing option max-buffer-size: {text}")))
}

/// Is there a file in which a log's entries can be read?
#[must_use]
pub fn is_readable(config: &LogConfig) -> bool {
    Plan::of(config).file
}

/// What a log needs, as its options say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Entries are kept in a file, from which they can be read.
    pub(crate) file: bool,
    /// They are sent to a receiver.
    pub(crate) remote: bool,
    /// How many bytes wait at most, where output is thrown away rather than waited for.
    pub(crate) buffer: Option<usize>,
}

/// Docker's default of `max-buffer-size`.
const BUFFER: u64 = 1024 * 1024;

impl Plan {
    /// What a log needs. Options that can't be understood count as not given.
    pub(crate) fn of(config: &LogConfig) -> Self {
        let remote = !matches!(config.driver.as_str(), "" | "json-file" | "local" | "none");
        let uncached = options::truth(options::text(&config.options, "cache-disabled"));
        let size = || options::size(options::text(&config.options, "max-buffer-size"), 1024.0);
        let buffer = match options::text(&config.options, "mode") {
            "non-blocking" => Some(size().unwrap_or(BUFFER)),
            _ => None,
        };
        Self {
            file: config.driver != "none" && !(remote && uncached == Ok(true)),
            remote,
            buffer: buffer.map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX)),
        }
    }
}

#[cfg(test)]
mod tests;
