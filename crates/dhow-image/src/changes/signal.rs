//! The signal of `STOPSIGNAL`.

use crate::Error;

/// The signals of Linux by their names, without `SIG`.
const NAMES: [&str; 36] = [
    "ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT", "KILL",
    "PIPE", "POLL", "PROF", "PWR", "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM", "TRAP", "TSTP",
    "TTIN", "TTOU", "URG", "USR1", "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ", "RTMIN", "RTMAX",
];

/// Refuses what is no signal.
pub(super) fn check(text: &str) -> Result<(), Error> {
    match is_signal(text) {
        true => Ok(()),
        false => Err(Error::Change(format!("invalid signal: {text}"))),
    }
}

/// Whether a text is a signal's number or name, with or without `SIG`.
#[must_use]
pub fn is_signal(text: &str) -> bool {
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let of = |prefix: &str| name.strip_prefix(prefix).and_then(|rest| rest.parse().ok());
    let real_time = of("RTMIN+").or_else(|| of("RTMAX-"));
    match text.parse::<u8>() {
        Ok(number) => (1..=64).contains(&number),
        Err(_) => NAMES.contains(&name) || real_time.is_some_and(|at: u8| (1..=15).contains(&at)),
    }
}
