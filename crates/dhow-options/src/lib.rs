//! The command line's flags, and what their values mean to the engine, with Docker's syntax and error texts.
//!
//! [`flags`] reads a command line against the tables of a command; the other modules read the values of the flags
//! that several commands share, and make the wire types of them that the engine is sent.

pub mod container;
mod devices;
pub mod environment;
pub mod filters;
pub mod flags;
mod health;
mod mount;
mod network;
pub mod ports;
pub mod resources;
mod security;
pub mod table;
pub mod time;

use dhow_api::Map;
use dhow_oci::signal;

/// `a=b` and `c` as a map with an empty value for `c`.
pub fn pairs(values: &[String]) -> Map<String> {
    values
        .iter()
        .map(|pair| match pair.split_once('=') {
            Some((key, value)) => (key.to_owned(), value.to_owned()),
            None => (pair.clone(), String::new()),
        })
        .collect()
}

/// The fields of one line of comma-separated values; double quotes keep commas together.
pub fn csv(line: &str) -> Result<Vec<String>, String> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    let mut characters = line.chars().peekable();
    while let Some(c) = characters.next() {
        let field = fields.last_mut().expect("there is always a field");
        match c {
            '"' if quoted && characters.peek() == Some(&'"') => {
                characters.next();
                field.push('"');
            }
            '"' if quoted => quoted = false,
            '"' if field.is_empty() => quoted = true,
            '"' => {
                return Err(
                    r#"parse error on line 1, column 1: bare " in non-quoted-field"#.into(),
                );
            }
            ',' if !quoted => fields.push(String::new()),
            c => field.push(c),
        }
    }
    if quoted {
        return Err(
            r#"parse error on line 1, column 1: extraneous or missing " in quoted-field"#.into(),
        );
    }
    if line.is_empty() {
        return Err("EOF".to_owned());
    }
    Ok(fields)
}

/// A signal's name without `SIG`.
pub fn signal_name(number: i32) -> &'static str {
    usize::try_from(number)
        .ok()
        .and_then(|number| signal::NAMES.get(number.checked_sub(1)?))
        .copied()
        .unwrap_or("TERM")
}

/// The names completion offers for signals.
pub fn signal_names() -> impl Iterator<Item = String> {
    signal::NAMES.iter().map(|name| format!("SIG{name}"))
}

#[cfg(test)]
mod tests;
