//! `--chmod`, octal and symbolic.

use crate::error::Error;
use crate::graph::ModeChange;

/// What permissions become.
#[derive(Debug, Clone)]
pub(crate) enum Modes {
    /// These.
    All(u32),
    /// Changed one after another.
    Changes(Vec<Change>),
}

/// One change of a symbolic mode: `u+rwX`.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    who: u32,
    operator: char,
    permissions: Vec<char>,
}

const USER: u32 = 0o4700;
const GROUP: u32 = 0o2070;
const OTHER: u32 = 0o0007;
const STICKY: u32 = 0o1000;

impl Modes {
    /// Understands a mode as `chmod` does.
    ///
    /// # Errors
    /// It is none.
    pub(crate) fn new(change: &ModeChange) -> Result<Self, Error> {
        let text = match change {
            ModeChange::Octal(mode) => return Ok(Self::All(mode & 0o7777)),
            ModeChange::Symbolic(text) => text,
        };
        let wrong = || {
            Error::invalid(format!(
                "invalid chmod parameter: '{text}'. it should be octal string or symbolic mode"
            ))
        };
        let clauses = text
            .split(',')
            .map(|clause| parse(clause).ok_or_else(wrong));
        let changes: Vec<Vec<Change>> = clauses.collect::<Result<_, _>>()?;
        Ok(Self::Changes(changes.concat()))
    }

    /// The permissions of something that has `mode` now.
    pub(crate) fn apply(&self, mode: u32, directory: bool) -> u32 {
        match self {
            Self::All(mode) => *mode,
            Self::Changes(changes) => changes
                .iter()
                .fold(mode & 0o7777, |mode, change| change.apply(mode, directory)),
        }
    }
}

fn parse(clause: &str) -> Option<Vec<Change>> {
    let mut letters = clause.chars().peekable();
    let mut who = 0;
    while let Some(letter) = letters.next_if(|letter| "ugoa".contains(*letter)) {
        who |= match letter {
            'u' => USER,
            'g' => GROUP,
            'o' => OTHER | STICKY,
            _ => 0o7777,
        };
    }
    if who == 0 {
        who = 0o7777;
    }
    let mut changes = Vec::new();
    while let Some(operator) = letters.next_if(|letter| "+-=".contains(*letter)) {
        let mut permissions = Vec::new();
        while let Some(letter) = letters.next_if(|letter| "rwxXstugo".contains(*letter)) {
            permissions.push(letter);
        }
        changes.push(Change {
            who,
            operator,
            permissions,
        });
    }
    (letters.next().is_none() && !changes.is_empty()).then_some(changes)
}

impl Change {
    fn apply(&self, mode: u32, directory: bool) -> u32 {
        let mut bits = 0;
        for letter in &self.permissions {
            bits |= match letter {
                'r' => 0o444,
                'w' => 0o222,
                'x' => 0o111,
                'X' if directory || mode & 0o111 != 0 => 0o111,
                's' => 0o6000,
                't' => STICKY,
                'u' => spread(mode >> 6),
                'g' => spread(mode >> 3),
                'o' => spread(mode),
                _ => 0,
            };
        }
        let bits = bits & self.who;
        match self.operator {
            '+' => mode | bits,
            '-' => mode & !bits,
            _ => {
                (mode & !(self.who & 0o777)) & !(self.who & if directory { 0 } else { 0o7000 })
                    | bits
            }
        }
    }
}

/// The three bits for everybody.
fn spread(bits: u32) -> u32 {
    (bits & 7) * 0o111
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn modes_change_as_chmod_does_it() {
        for (text, mode, directory, expected) in [
            ("u=rwX,go=rX", 0o600, false, 0o644),
            ("u=rwX,go=rX", 0o600, true, 0o755),
            ("u=rwX,go=rX", 0o711, false, 0o755),
            ("+x", 0o644, false, 0o755),
            ("a-w", 0o666, false, 0o444),
            ("g=u", 0o640, false, 0o660),
            ("u+s,o-rwx", 0o755, false, 0o4750),
            ("g+s", 0o755, true, 0o2755),
            ("+t", 0o777, true, 0o1777),
            ("o=", 0o777, false, 0o770),
        ] {
            let modes = Modes::new(&ModeChange::Symbolic(text.into())).unwrap();
            let found = modes.apply(mode, directory);
            assert_eq!(found, expected, "{text} of {mode:o} is {found:o}");
        }
        for text in ["", "u", "z+x", "u+q", "u=rw,", "755x"] {
            assert!(
                Modes::new(&ModeChange::Symbolic(text.into())).is_err(),
                "{text}"
            );
        }
    }
}
