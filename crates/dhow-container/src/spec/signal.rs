//! Signals as users name them.

use std::fmt;
use std::str::FromStr;

use dhow_oci::signal;

use super::Invalid;
use super::mode::as_string;

/// A Linux signal, parsed from `9`, `KILL`, `SIGKILL` or `sigkill`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signal(i32);

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
                1..=signal::LAST => Ok(Self(number)),
                0 => Err(fail()),
                _ => Err(Invalid::new(format!(
                    "the linux daemon does not support signal {number}"
                ))),
            };
        }
        signal::number_of(text).map(Self).ok_or_else(fail)
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
        for text in ["", "0", "NOPE", "RTMIN+40", "RTMIN+2147483647"] {
            let error = text.parse::<Signal>().unwrap_err();
            assert_eq!(error.to_string(), format!("invalid signal: {text}"));
        }
    }
}
