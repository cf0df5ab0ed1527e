//! The patterns of `${name#pattern}` and its like: `*` is anything, `?` one character, `\` takes their meaning away.

use regex::{NoExpand, Regex};

/// `value` without the shortest or longest beginning that `pattern` matches.
pub(super) fn without_prefix(value: &str, pattern: &str, longest: bool) -> Result<String, String> {
    let regex = compile(&pieces(pattern)?, longest, true)?;
    let end = regex.find(value).map_or(0, |found| found.end());
    Ok(value[end..].to_owned())
}

/// `value` without the shortest or longest end that `pattern` matches.
pub(super) fn without_suffix(value: &str, pattern: &str, longest: bool) -> Result<String, String> {
    // A regular expression can't look for the shortest match at the end: both are turned round.
    let mut pieces = pieces(pattern)?;
    pieces.reverse();
    let value: String = value.chars().rev().collect();
    let regex = compile(&pieces, longest, true)?;
    let end = regex.find(&value).map_or(0, |found| found.end());
    Ok(value[end..].chars().rev().collect())
}

/// `value` with what `pattern` matches replaced, the first time or always.
pub(super) fn replaced(
    value: &str,
    pattern: &str,
    replacement: &str,
    all: bool,
) -> Result<String, String> {
    let regex = compile(&pieces(pattern)?, true, false)?;
    // What had to be escaped to stand in the braces.
    let replacement = replacement.replace("\\}", "}").replace("\\/", "/");
    let times = if all { 0 } else { 1 };
    Ok(regex
        .replacen(value, times, NoExpand(&replacement))
        .into_owned())
}

enum Piece {
    Anything,
    One,
    Letter(char),
}

fn pieces(pattern: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut letters = pattern.chars();
    while let Some(letter) = letters.next() {
        pieces.push(match letter {
            '*' => Piece::Anything,
            '?' => Piece::One,
            '\\' => match letters.next() {
                Some(escaped @ ('*' | '?' | '\\' | '}' | '/')) => Piece::Letter(escaped),
                Some(other) => return Err(format!("invalid escape '\\{other}'")),
                None => return Err("invalid escape '\\\u{fffd}'".into()),
            },
            other => Piece::Letter(other),
        });
    }
    Ok(pieces)
}

fn compile(pieces: &[Piece], longest: bool, anchored: bool) -> Result<Regex, String> {
    let mut text = String::from(if anchored { "^" } else { "" });
    for piece in pieces {
        match piece {
            Piece::Anything if longest => text.push_str(".*"),
            Piece::Anything => text.push_str(".*?"),
            Piece::One => text.push('.'),
            Piece::Letter(letter) => text.push_str(&regex::escape(&letter.to_string())),
        }
    }
    Regex::new(&text).map_err(|_| "too long".into())
}
