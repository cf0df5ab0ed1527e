//! Memory, processors, limits of processes, sysctls, and small checks of single values.

use std::net::IpAddr;

use dhow_api::container::{RestartPolicy, Ulimit};
use dhow_golang::parse_int;
use dhow_terminal::units::parse_bytes;

const ULIMITS: [&str; 15] = [
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

/// Checks a size.
pub fn check_bytes(value: &str) -> Result<(), String> {
    parse_bytes(value).map(drop)
}

/// A size, 0 for an empty text.
pub(crate) fn bytes(value: &str) -> i64 {
    parse_bytes(value).unwrap_or(0)
}

/// Checks `--memory-swap`.
pub fn check_swap(value: &str) -> Result<(), String> {
    if value == "-1" {
        Ok(())
    } else {
        check_bytes(value)
    }
}

/// A size, or -1 for no limit.
pub fn swap(value: &str) -> i64 {
    if value == "-1" { -1 } else { bytes(value) }
}

/// Checks `--cpus`.
pub fn check_cpus(value: &str) -> Result<(), String> {
    cpus(value).map(drop)
}

/// Processors in billionths.
pub fn cpus(value: &str) -> Result<i64, String> {
    if value.is_empty() {
        return Ok(0);
    }
    let invalid = || format!("failed to parse {value} as a rational number");
    let (negative, digits) = match value.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, value.strip_prefix('+').unwrap_or(value)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let digit = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !digit(whole) || !digit(fraction) {
        return Err(invalid());
    }
    let fraction = fraction.trim_end_matches('0');
    if fraction.len() > 9 {
        return Err("value is too precise".to_owned());
    }
    let number: i64 = format!("0{whole}{fraction:0<9}")
        .parse()
        .map_err(|_| invalid())?;
    Ok(if negative { -number } else { number })
}

/// Checks `--ulimit`.
pub fn check_ulimit(value: &str) -> Result<(), String> {
    ulimit(value).map(drop)
}

/// Reads `name=soft[:hard]`.
pub(crate) fn ulimit(value: &str) -> Result<Ulimit, String> {
    let (name, limits) = value
        .split_once('=')
        .ok_or_else(|| format!("invalid ulimit argument: {value}"))?;
    if !ULIMITS.contains(&name) {
        return Err(format!("invalid ulimit type: {name}"));
    }
    let number = |text: &str| parse_int(text, 10, 64).map_err(|error| error.to_string());
    let parts: Vec<&str> = limits.split(':').collect();
    let (soft, hard) = match parts.as_slice() {
        [both] => (number(both)?, number(both)?),
        [soft, hard] => (number(soft)?, number(hard)?),
        _ => {
            return Err(format!(
                "too many limit value arguments - {limits}, can only have up to two, `soft[:hard]`"
            ));
        }
    };
    if hard != -1 && (soft > hard || soft == -1) {
        return Err(format!(
            "ulimit soft limit must be less than or equal to hard limit: {soft} > {hard}"
        ));
    }
    Ok(Ulimit {
        name: name.to_owned(),
        hard,
        soft,
    })
}

/// Checks `--sysctl`: only those of namespaces.
pub(crate) fn check_sysctl(value: &str) -> Result<(), String> {
    const NAMES: [&str; 8] = [
        "kernel.msgmax",
        "kernel.msgmnb",
        "kernel.msgmni",
        "kernel.sem",
        "kernel.shmall",
        "kernel.shmmax",
        "kernel.shmmni",
        "kernel.shm_rmid_forced",
    ];
    let allowed = value.split_once('=').is_some_and(|(name, _)| {
        NAMES.contains(&name) || name.starts_with("net.") || name.starts_with("fs.mqueue.")
    });
    if allowed {
        Ok(())
    } else {
        Err(format!("sysctl '{value}' is not allowed"))
    }
}

/// Reads `--restart`.
pub fn restart(value: &str) -> Result<RestartPolicy, String> {
    let (name, count) = match value.split_once(':') {
        Some((name, count)) => (name, Some(count)),
        None => (value, None),
    };
    if count.is_some() && name.is_empty() {
        return Err("invalid restart policy format: no policy provided before colon".to_owned());
    }
    let maximum_retry_count = count.map_or(Ok(0), |count| {
        count.parse::<i64>().map_err(|_| {
            "invalid restart policy format: maximum retry count must be an integer".to_owned()
        })
    })?;
    Ok(RestartPolicy {
        name: name.to_owned(),
        maximum_retry_count,
    })
}

/// Checks `--attach`.
pub(crate) fn check_attach(value: &str) -> Result<(), String> {
    match value.to_lowercase().as_str() {
        "stdin" | "stdout" | "stderr" => Ok(()),
        _ => Err("valid streams are STDIN, STDOUT and STDERR".to_owned()),
    }
}

/// Checks `--dns`.
pub(crate) fn check_ip(value: &str) -> Result<(), String> {
    value
        .trim()
        .parse::<IpAddr>()
        .map(drop)
        .map_err(|_| format!("IP address is not correctly formatted: {value}"))
}

/// Checks `--dns-search`.
pub(crate) fn check_domain(value: &str) -> Result<(), String> {
    let value = value.trim();
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let letters = value.bytes().any(|b| b.is_ascii_alphabetic());
    let domain = value.strip_suffix('.').unwrap_or(value);
    if value == "." || (letters && value.len() < 255 && domain.split('.').all(label)) {
        return Ok(());
    }
    Err(format!("{value} is not a valid domain"))
}

/// Checks `--link`.
pub(crate) fn check_link(value: &str) -> Result<(), String> {
    if value.is_empty() {
        return Err("empty string specified for links".to_owned());
    }
    if value.split(':').count() > 2 {
        return Err(format!("bad format for links: {value}"));
    }
    Ok(())
}

/// Checks `--add-host`.
pub(crate) fn check_host(value: &str) -> Result<(), String> {
    extra_host(value).map(drop)
}

/// Reads `name:ip` or `name=ip` into the form the API takes.
pub(crate) fn extra_host(value: &str) -> Result<String, String> {
    let (name, ip) = value
        .split_once('=')
        .or_else(|| value.split_once(':'))
        .filter(|(name, _)| !name.is_empty() && !name.contains(':'))
        .ok_or_else(|| format!("bad format for add-host: {value:?}"))?;
    let bare = ip
        .strip_prefix('[')
        .and_then(|ip| ip.strip_suffix(']'))
        .unwrap_or(ip);
    if ip != "host-gateway" && check_ip(bare).is_err() {
        return Err(format!("invalid IP address in add-host: {bare:?}"));
    }
    Ok(format!("{name}:{bare}"))
}
