//! Signals as users name them.

use std::fmt;
use std::str::FromStr;

use super::Invalid;
use super::mode::as_string;

/// A Linux signal, parsed from `9`, `KILL`, `SIGKILL` or `sigkill`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signal(i32);

const NAMES: [(&str, i32); 33] = [
    ("ABRT", 6),
    ("ALRM", 14),
    ("BUS", 7),
    ("CHLD", 17),
    ("CLD", 17),
    ("CONT", 18),
    ("FPE", 8),
    ("HUP", 1),
    ("ILL", 4),
    ("INT", 2),
    ("IO", 29),
    ("IOT", 6),
    ("KILL", 9),
    ("PIPE", 13),
    ("POLL", 29),
    ("PROF", 27),
    ("PWR", 30),
    ("QUIT", 3),
    ("SEGV", 11),
    ("STKFLT", 16),
    ("STOP", 19),
    ("SYS", 31),
    ("TERM", 15),
    ("TRAP", 5),
    ("TSTP", 20),
    ("TTIN", 21),
    ("TTOU", 22),
    ("URG", 23),
    ("USR1", 10),
    ("USR2", 12),
    ("VTALRM", 26),
    ("WINCH", 28),
    ("XCPU", 24),
];
const XFSZ: i32 = 25;
const RT_MIN: i32 = 34;
const RT_MAX: i32 = 64;

impl Signal {
    /// SIGKILL.
    pub const KILL: Self = Self(9);
    /// SIGTERM.
    pub const TERM: Self = Self(15);

    /// The kernel's number.
    #[must_use]
    pub const fn number(self) -> i32 {
        self.0
    }
}

impl FromStr for Signal {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let fail = || Invalid::new(format!("invalid signal: {text}"));
        if let Ok(number) = text.parse::<i32>() {
            return match number {
                1..=RT_MAX => Ok(Self(number)),
                0 => Err(fail()),
                _ => Err(Invalid::new(format!(
                    "the linux daemon does not support signal {number}"
                ))),
            };
        }
        let upper = text.to_ascii_uppercase();
        let name = upper.strip_prefix("SIG").unwrap_or(&upper);
        if name == "XFSZ" {
            return Ok(Self(XFSZ));
        }
        if let Some((_, number)) = NAMES.iter().find(|(known, _)| *known == name) {
            return Ok(Self(*number));
        }
        let offset = |rest: &str, sign: char| -> Option<i32> {
            if rest.is_empty() {
                return Some(0);
            }
            rest.strip_prefix(sign)?.parse().ok()
        };
        let number = if let Some(rest) = name.strip_prefix("RTMIN") {
            RT_MIN + offset(rest, '+').ok_or_else(fail)?
        } else if let Some(rest) = name.strip_prefix("RTMAX") {
            RT_MAX - offset(rest, '-').ok_or_else(fail)?
        } else {
            return Err(fail());
        };
        if (RT_MIN..=RT_MAX).contains(&number) {
            Ok(Self(number))
        } else {
            Err(fail())
        }
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

as_string!(Signal);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn signals_have_many_names() {
        let cases = [
            ("9", 9),
            ("KILL", 9),
            ("SIGKILL", 9),
            ("sigterm", 15),
            ("SIGRTMIN+3", 37),
            ("RTMAX", 64),
            ("RTMAX-1", 63),
            ("XFSZ", 25),
        ];
        for (text, number) in cases {
            assert_eq!(text.parse::<Signal>().unwrap().number(), number, "{text}");
        }
        for text in ["65", "-1"] {
            let error = text.parse::<Signal>().unwrap_err();
            let expected = format!("the linux daemon does not support signal {text}");
            assert_eq!(error.to_string(), expected);
        }
        for text in ["", "0", "NOPE", "RTMIN+40"] {
            let error = text.parse::<Signal>().unwrap_err();
            assert_eq!(error.to_string(), format!("invalid signal: {text}"));
        }
    }
}
