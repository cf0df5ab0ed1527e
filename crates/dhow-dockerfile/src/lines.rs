//! From bytes to instructions as they are written: continuations, comments, heredocs, flags.

use crate::{Directives, Heredoc, Lines, ParseError, flags};

/// The longest line, in bytes; BuildKit's.
const LONGEST: usize = 65535;

/// An instruction as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Raw {
    /// The keyword as it is written; compare it without case.
    pub keyword: String,
    /// The words that begin with `--` between the keyword and the rest.
    pub flags: Vec<String>,
    /// What comes after the keyword and the flags, continuation lines joined.
    pub rest: String,
    /// The whole instruction, joined.
    pub original: String,
    /// The heredocs announced in it.
    pub heredocs: Vec<Heredoc>,
    /// Where it is.
    pub lines: Lines,
    /// The comments directly above it, without their `#`.
    pub comments: Vec<String>,
}

/// An empty line within an instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlankContinuation {
    /// The instruction's last line.
    pub line: u32,
}

/// What [`read`] finds.
pub(crate) struct Read {
    pub(crate) instructions: Vec<Raw>,
    pub(crate) blanks: Vec<BlankContinuation>,
}

/// Splits a file into instructions.
pub(crate) fn read(text: &str, directives: &Directives) -> Result<Read, ParseError> {
    let mut reader = Reader {
        lines: text.split_inclusive('\n'),
        number: 0,
        escape: directives.escape,
        found: Read {
            instructions: Vec::new(),
            blanks: Vec::new(),
        },
    };
    reader.all()?;
    if reader.found.instructions.is_empty() {
        return Err(ParseError::within(
            Lines::at(reader.number.max(1)),
            "file with no instructions",
        ));
    }
    Ok(reader.found)
}

struct Reader<'a> {
    lines: std::str::SplitInclusive<'a, char>,
    /// The number of the line read last.
    number: u32,
    escape: char,
    found: Read,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<Option<&'a str>, ParseError> {
        let Some(line) = self.lines.next() else {
            return Ok(None);
        };
        if line.len() > LONGEST {
            return Err(ParseError::within(
                Lines::at(self.number + 1),
                format!("dockerfile line greater than maximum allowed size of {LONGEST}"),
            ));
        }
        self.number += 1;
        Ok(Some(line))
    }

    fn all(&mut self) -> Result<(), ParseError> {
        let mut comments = Vec::new();
        while let Some(line) = self.next()? {
            let line = trim_line(line);
            let trimmed = line.trim_start();
            if let Some(comment) = trimmed.strip_prefix('#') {
                comments.push(comment.trim().to_owned());
                continue;
            }
            if trimmed.is_empty() {
                comments.clear();
                continue;
            }
            self.instruction(trimmed, std::mem::take(&mut comments))?;
        }
        Ok(())
    }

    /// Joins the lines of an instruction that begins with `line`.
    fn instruction(&mut self, line: &str, comments: Vec<String>) -> Result<(), ParseError> {
        let first = self.number;
        let (part, mut ends) = continued(line, self.escape);
        if ends && part.is_empty() {
            return Ok(());
        }
        let mut joined = part.to_owned();
        let mut blank = false;
        while !ends {
            let Some(line) = self.next()? else { break };
            let line = trim_line(line);
            if line.trim_start().starts_with('#') {
                continue;
            }
            if line.trim().is_empty() {
                blank = true;
                continue;
            }
            let (part, last) = continued(line, self.escape);
            joined.push_str(part);
            ends = last;
        }
        if blank {
            self.found
                .blanks
                .push(BlankContinuation { line: self.number });
        }
        let mut raw = split(&joined, self.escape);
        raw.comments = comments;
        if takes_heredocs(&raw) && joined.contains("<<") {
            for doc in Heredoc::of_line(&joined) {
                let doc = self.heredoc(doc, first)?;
                raw.heredocs.push(doc);
            }
        }
        raw.lines = Lines {
            first,
            last: self.number,
        };
        self.found.instructions.push(raw);
        Ok(())
    }

    fn heredoc(&mut self, mut doc: Heredoc, first: u32) -> Result<Heredoc, ParseError> {
        while let Some(line) = self.next()? {
            if doc.is_end(line) {
                return Ok(doc);
            }
            doc.content.push_str(line);
        }
        let lines = Lines {
            first,
            last: self.number,
        };
        Err(ParseError::within(lines, "unterminated heredoc"))
    }
}

/// Without the end of the line.
fn trim_line(line: &str) -> &str {
    line.trim_end_matches(['\r', '\n'])
}

/// The line without what continues it, and whether the instruction ends with it.
///
/// An escape character continues a line if only blanks follow it, and no other escape character stands before it.
fn continued(line: &str, escape: char) -> (&str, bool) {
    let Some(rest) = line.trim_end_matches([' ', '\t']).strip_suffix(escape) else {
        return (line, true);
    };
    if rest.ends_with(escape) {
        return (line, true);
    }
    (rest, false)
}

/// Keyword, flags and the rest.
fn split(joined: &str, escape: char) -> Raw {
    let trimmed = joined.trim();
    let is_blank = |c: char| matches!(c, '\t' | '\u{b}' | '\u{c}' | '\r' | ' ');
    let (keyword, rest) = match trimmed.split_once(is_blank) {
        Some((keyword, rest)) => (keyword, rest.trim()),
        None => (trimmed, ""),
    };
    let (flags, rest) = flags::extract(rest, escape);
    Raw {
        keyword: keyword.to_owned(),
        flags,
        rest,
        original: trimmed.to_owned(),
        heredocs: Vec::new(),
        lines: Lines::default(),
        comments: Vec::new(),
    }
}

/// Only these announce heredocs; `ONBUILD` does for the one it holds, and not when that is JSON.
fn takes_heredocs(raw: &Raw) -> bool {
    let keyword = raw.keyword.to_ascii_uppercase();
    let (keyword, rest) = match keyword.as_str() {
        "ONBUILD" => {
            let inner = split(&raw.rest, '\\');
            (inner.keyword.to_ascii_uppercase(), inner.rest)
        }
        _ => (keyword, raw.rest.clone()),
    };
    matches!(keyword.as_str(), "ADD" | "COPY" | "RUN") && crate::parse::json_words(&rest).is_err()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn read_all(text: &str) -> Vec<Raw> {
        read(text, &Directives::default()).unwrap().instructions
    }

    #[test]
    fn lines_are_joined_and_comments_dropped() {
        let all = read_all("# about x\nRUN a \\\n# no\n  b\\\n\n c\nCMD d\\\\\n");
        assert_eq!(all[0].original, "RUN a   b c");
        assert_eq!(all[0].lines, Lines { first: 2, last: 6 });
        assert_eq!(all[0].comments, ["about x"]);
        assert_eq!(all[1].original, "CMD d\\\\");
        assert_eq!(all.len(), 2);
    }

    #[test]
    fn a_blank_line_within_an_instruction_is_noted() {
        let text = "RUN a \\\n\n b\n";
        let found = read(text, &Directives::default()).unwrap();
        assert_eq!(found.blanks, [BlankContinuation { line: 3 }]);
    }

    #[test]
    fn flags_are_taken_off() {
        let all = read_all("copy  --from=a --chown=1:2 -- --x y\n");
        assert_eq!(all[0].keyword, "copy");
        assert_eq!(all[0].flags, ["--from=a", "--chown=1:2"]);
        assert_eq!(all[0].rest, "--x y");
    }

    #[test]
    fn heredocs_take_the_lines_after() {
        let all =
            read_all("RUN <<A cat <<-B\nx\nA\n\ty\n\tB\nONBUILD COPY <<E /f\nz\nE\nENV a=<<X\n");
        assert_eq!(all[0].heredocs[0].content, "x\n");
        assert_eq!(all[0].heredocs[1].content, "\ty\n");
        assert_eq!(all[1].heredocs[0].content, "z\n");
        assert!(all[2].heredocs.is_empty());
        let open = read("RUN <<A\nx\n", &Directives::default());
        assert_eq!(open.err().unwrap().to_string(), "unterminated heredoc");
    }

    #[test]
    fn a_line_may_not_be_endless() {
        let long = format!("RUN {}\n", "x".repeat(70_000));
        let error = read(&long, &Directives::default()).err().unwrap();
        assert_eq!(
            error.to_string(),
            "dockerfile line greater than maximum allowed size of 65535"
        );
    }
}
