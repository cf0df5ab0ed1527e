//! `HEALTHCHECK`.

use std::time::Duration;

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
    let wrong = |why| format!("strconv.ParseInt: parsing {text:?}: {why}");
    let number: i64 = match text.parse::<i128>() {
        Ok(number) => i64::try_from(number).map_err(|_| wrong("value out of range"))?,
        Err(_) => return Err(wrong("invalid syntax")),
    };
    if number < 0 {
        return Err(format!("--retries cannot be negative ({number})"));
    }
    u32::try_from(number).map_err(|_| wrong("value out of range"))
}

fn time(flags: &Flags, name: &str) -> Result<Option<Duration>, String> {
    let Some(text) = flags.value(name).filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let (negative, time) = duration(text)?;
    if time.is_zero() {
        return Ok(None);
    }
    if negative || time < Duration::from_millis(1) {
        return Err(format!("Interval {name:?} cannot be less than 1ms"));
    }
    Ok(Some(time))
}

/// Reads a time as Go writes it: `1h2m3.5s`; also whether it is negative.
fn duration(text: &str) -> Result<(bool, Duration), String> {
    let invalid = || format!("time: invalid duration {text:?}");
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok((negative, Duration::ZERO));
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total = 0.0_f64;
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let number: f64 = rest[..digits].parse().map_err(|_| invalid())?;
        rest = &rest[digits..];
        let letters = rest
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(rest.len());
        let seconds = match &rest[..letters] {
            "" => return Err(format!("time: missing unit in duration {text:?}")),
            "ns" => 1e-9,
            "us" | "µs" | "μs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            unit => return Err(format!("time: unknown unit {unit:?} in duration {text:?}")),
        };
        total += number * seconds;
        rest = &rest[letters..];
    }
    let time = Duration::try_from_secs_f64(total).map_err(|_| invalid())?;
    Ok((negative, time))
}
