//! Linux's signals by name and number (signal(7), as on x86-64 and arm64).

/// The names without `SIG`; a signal's number is its place, counted from 1.
pub const NAMES: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2",
    "PIPE", "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG",
    "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];
/// Further names of some.
const ALIASES: [(&str, &str); 3] = [("CLD", "CHLD"), ("IOT", "ABRT"), ("POLL", "IO")];
/// The first signal that programs may use for what they like; glibc keeps two before it for itself.
const RT_MIN: i32 = 34;
/// The last signal.
pub const LAST: i32 = 64;

/// The number of a signal by its name, in any case, with or without `SIG`: `KILL`, `sigterm`, `RTMIN+3`, `RTMAX-1`.
///
/// ```
/// assert_eq!(dhow_oci::signal::number_of("SIGRTMIN+3"), Some(37));
/// assert_eq!(dhow_oci::signal::number_of("9"), None);
/// ```
#[must_use]
pub fn number_of(name: &str) -> Option<i32> {
    let upper = name.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    if let Some(rest) = name.strip_prefix("RTMIN") {
        return real_time(RT_MIN.checked_add(offset(rest, '+')?)?);
    }
    if let Some(rest) = name.strip_prefix("RTMAX") {
        return real_time(LAST.checked_sub(offset(rest, '-')?)?);
    }
    let alias = ALIASES.iter().find(|(alias, _)| *alias == name);
    let name = alias.map_or(name, |(_, name)| name);
    let at = NAMES.iter().position(|known| *known == name)?;
    i32::try_from(at + 1).ok()
}

/// How far from the end of the real-time signals; written with a sign, and never negative.
fn offset(rest: &str, sign: char) -> Option<i32> {
    if rest.is_empty() {
        return Some(0);
    }
    let digits = rest.strip_prefix(sign)?;
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().ok()).flatten()
}

fn real_time(number: i32) -> Option<i32> {
    (RT_MIN..=LAST).contains(&number).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_numbers() {
        let cases = [
            ("KILL", Some(9)),
            ("SIGKILL", Some(9)),
            ("sigterm", Some(15)),
            ("XFSZ", Some(25)),
            ("SYS", Some(31)),
            ("IOT", Some(6)),
            ("CLD", Some(17)),
            ("POLL", Some(29)),
            ("SIGRTMIN", Some(34)),
            ("RTMIN+30", Some(64)),
            ("RTMAX", Some(64)),
            ("RTMAX-30", Some(34)),
            ("RTMIN+31", None),
            ("RTMAX-31", None),
            ("RTMIN-1", None),
            ("RTMIN+-1", None),
            ("RTMIN+2147483647", None),
            ("RTMAX-99999999999", None),
            ("NOPE", None),
            ("9", None),
            ("", None),
            ("SIG", None),
        ];
        for (name, number) in cases {
            assert_eq!(number_of(name), number, "{name}");
        }
    }
}
