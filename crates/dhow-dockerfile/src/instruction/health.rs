//! `HEALTHCHECK`.

use std::time::Duration;

use dhow_golang::{parse_duration, parse_int};

use crate::flags::{Flags, Takes};
use crate::parse::Node;

/// `HEALTHCHECK`; times that are not given are those of the engine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Health {
    /// What is run; nothing turns an inherited check off.
    pub command: Option<HealthCommand>,
    /// Between two checks.
    pub interval: Option<Duration>,
    /// After which a check has failed.
    pub timeout: Option<Duration>,
    /// In which failures don't count.
    pub start_period: Option<Duration>,
    /// Between two checks in that period.
    pub start_interval: Option<Duration>,
    /// How many failures in a row make it unhealthy; 0 is the engine's own number.
    pub retries: u32,
}

/// What a check runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HealthCommand {
    /// A program with its arguments.
    Exec(Vec<String>),
    /// A line for the shell.
    Shell(String),
}

impl Health {
    pub(crate) fn of(node: &Node) -> Result<Self, String> {
        let Some((kind, command)) = node.args.split_first() else {
            return Err("HEALTHCHECK requires at least one argument".into());
        };
        let kind = kind.to_uppercase();
        if kind == "NONE" {
            if !command.is_empty() {
                return Err("HEALTHCHECK NONE takes no arguments".into());
            }
            return Ok(Self::default());
        }
        let names = [
            "interval",
            "timeout",
            "start-period",
            "start-interval",
            "retries",
        ];
        let flags = Flags::read(&node.raw.flags, &names.map(|name| (name, Takes::Value)))?;
        if kind != "CMD" {
            return Err(format!("Unknown type {kind:?} in HEALTHCHECK (try CMD)"));
        }
        let command = match command {
            [] => return Err("Missing command after HEALTHCHECK CMD".into()),
            words if node.json => HealthCommand::Exec(words.to_vec()),
            words => HealthCommand::Shell(words.join(" ")),
        };
        Ok(Self {
            command: Some(command),
            interval: time(&flags, "interval")?,
            timeout: time(&flags, "timeout")?,
            start_period: time(&flags, "start-period")?,
            start_interval: time(&flags, "start-interval")?,
            retries: retries(&flags)?,
        })
    }
}

fn retries(flags: &Flags) -> Result<u32, String> {
    let Some(text) = flags.value("retries") else {
        return Ok(0);
    };
    let number = parse_int(text, 10, 32).map_err(|error| error.to_string())?;
    u32::try_from(number).map_err(|_| format!("--retries cannot be negative ({number})"))
}

fn time(flags: &Flags, name: &str) -> Result<Option<Duration>, String> {
    let Some(text) = flags.value(name).filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let nanoseconds = parse_duration(text).map_err(|error| error.to_string())?;
    if nanoseconds == 0 {
        return Ok(None);
    }
    let time = Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(0));
    if time < Duration::from_millis(1) {
        return Err(format!("Interval {name:?} cannot be less than 1ms"));
    }
    Ok(Some(time))
}
