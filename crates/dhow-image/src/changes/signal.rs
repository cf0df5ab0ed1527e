//! The signal of `STOPSIGNAL`.

use dhow_oci::signal;

use crate::Error;

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
    match text.parse::<u8>() {
        Ok(number) => (1..=signal::LAST).contains(&i32::from(number)),
        Err(_) => signal::number_of(text).is_some(),
    }
}
