//! What is wrong with a file, and where.

use std::fmt;

/// A range of lines, both counted from 1 and included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Lines {
    /// The first line.
    pub first: u32,
    /// The last one.
    pub last: u32,
}

impl Lines {
    /// One line.
    #[must_use]
    pub const fn at(line: u32) -> Self {
        Self {
            first: line,
            last: line,
        }
    }
}

/// A file that is no Dockerfile; the text is BuildKit's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ParseError {
    /// What is wrong, without a place.
    pub reason: String,
    /// Where; nothing when it is about the whole file.
    pub lines: Option<Lines>,
    /// The line is part of the message.
    pub(crate) names_line: bool,
}

impl ParseError {
    /// Something about the file as a whole.
    pub(crate) fn whole(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            lines: None,
            names_line: false,
        }
    }

    /// Something in how lines are put together; the message doesn't name the line.
    pub(crate) fn within(lines: Lines, reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            lines: Some(lines),
            names_line: false,
        }
    }

    /// Something about an instruction; the message names its first line.
    pub(crate) fn instruction(lines: Lines, reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            lines: Some(lines),
            names_line: true,
        }
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.lines {
            Some(lines) if self.names_line => {
                write!(
                    f,
                    "dockerfile parse error on line {}: {}",
                    lines.first, self.reason
                )
            }
            _ => f.write_str(&self.reason),
        }
    }
}

/// The lines `lines` of `source` with some around them, numbered and marked, as BuildKit prints them:
///
/// ```text
/// Dockerfile:2
/// --------------------
///    1 |     FROM scratch
///    2 | >>> FOO bar
/// --------------------
/// ```
///
/// Empty when the lines are not there. Characters that would move a terminal's cursor are replaced.
#[must_use]
pub fn excerpt(name: &str, source: &str, lines: Lines) -> String {
    let all: Vec<&str> = source.split('\n').collect();
    let count = u32::try_from(all.len()).unwrap_or(u32::MAX);
    if lines.first == 0 || lines.first > count {
        return String::new();
    }
    let last = lines.last.clamp(lines.first, count);
    let (mut from, mut to) = (lines.first, last);
    // One line gets two on each side, several get one.
    let wanted = if from == to { 4 } else { 2 };
    let mut shown = 0;
    while shown < wanted {
        if from > 1 {
            from -= 1;
            shown += 1;
        }
        if to < count {
            to += 1;
            shown += 1;
        }
        shown += 1;
    }
    let rule = "--------------------\n";
    let mut text = format!("{name}:{}\n{rule}", lines.first);
    for (number, line) in (1..).zip(&all).skip_while(|(n, _)| *n < from) {
        if number > to {
            break;
        }
        let mark = if (lines.first..=last).contains(&number) {
            ">>>"
        } else {
            "   "
        };
        let line: String = line.chars().map(visible).collect();
        text.push_str(&format!("{number:>4} | {mark} {line}\n"));
    }
    text.push_str(rule);
    text
}

fn visible(character: char) -> char {
    match character {
        '\t' => '\t',
        control if control.is_control() => '\u{fffd}',
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_are_shown_with_those_around_them() {
        let source = "FROM scratch\nFOO bar\n\x1b[2J";
        assert_eq!(
            excerpt("Dockerfile", source, Lines::at(2)),
            "Dockerfile:2\n\
             --------------------\n   \
             1 |     FROM scratch\n   \
             2 | >>> FOO bar\n   \
             3 |     \u{fffd}[2J\n\
             --------------------\n"
        );
        assert_eq!(excerpt("Dockerfile", source, Lines::at(9)), "");
    }
}
