//! Parser directives: `# syntax=…`, `# escape=…`, `# check=…` on the first lines.

use crate::{Lines, ParseError};

/// What the first lines of a file say about how to read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directives {
    /// The front end that is asked for, an image's reference and perhaps options after it.
    pub syntax: Option<String>,
    /// The character that continues a line and takes away a character's meaning: `\` or a backquote.
    pub escape: char,
    /// Options of the checks: `skip=…;error=true`.
    pub check: Option<String>,
}

impl Default for Directives {
    fn default() -> Self {
        Self {
            syntax: None,
            escape: '\\',
            check: None,
        }
    }
}

impl Directives {
    /// Reads them from the beginning of a file.
    ///
    /// # Errors
    /// One is there twice, or the escape character is none.
    pub fn read(text: &str) -> Result<Self, ParseError> {
        let mut found = Self::default();
        let mut escape = None;
        for (number, line) in (1..).zip(text.split('\n')) {
            let Some((key, value)) = directive(line) else {
                break;
            };
            let slot = match key.as_str() {
                "syntax" => &mut found.syntax,
                "escape" => &mut escape,
                "check" => &mut found.check,
                // An unknown one is a comment, and ends them.
                _ => break,
            };
            if slot.replace(value.to_owned()).is_some() {
                return Err(ParseError::within(
                    Lines::at(number),
                    format!("only one {key} parser directive can be used"),
                ));
            }
        }
        if let Some(token) = escape {
            found.escape = match token.as_str() {
                "\\" => '\\',
                "`" => '`',
                _ => {
                    return Err(ParseError::whole(format!(
                        "invalid escape token '{token}' does not match ` or \\"
                    )));
                }
            };
        }
        Ok(found)
    }
}

/// `# key = value`, the key in lower case.
fn directive(line: &str) -> Option<(String, &str)> {
    let (key, value) = line.trim_start().strip_prefix('#')?.split_once('=')?;
    let (key, value) = (key.trim(), value.trim());
    let mut letters = key.chars();
    let named = letters.next().is_some_and(|c| c.is_ascii_alphabetic())
        && letters.all(|c| c.is_ascii_alphanumeric());
    (named && !value.is_empty()).then(|| (key.to_ascii_lowercase(), value))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn the_first_lines_are_read_until_something_else_comes() {
        let text = "# Syntax = docker/dockerfile:1\n#escape=`\n# check=skip=all;error=true\nFROM x\n# escape=\\\n";
        let read = Directives::read(text).unwrap();
        assert_eq!(read.syntax.as_deref(), Some("docker/dockerfile:1"));
        assert_eq!(read.escape, '`');
        assert_eq!(read.check.as_deref(), Some("skip=all;error=true"));
        for ends in [
            "\n# escape=`",
            "# a comment\n# escape=`",
            "#other=1\n#escape=`",
        ] {
            assert_eq!(Directives::read(ends).unwrap().escape, '\\', "{ends}");
        }
    }

    #[test]
    fn twice_and_wrong_values_are_errors() {
        let twice = Directives::read("#escape=`\n#escape=`\n").unwrap_err();
        assert_eq!(
            twice.to_string(),
            "only one escape parser directive can be used"
        );
        assert_eq!(twice.lines, Some(Lines::at(2)));
        let wrong = Directives::read("#escape=x\n").unwrap_err();
        assert_eq!(
            wrong.to_string(),
            "invalid escape token 'x' does not match ` or \\"
        );
    }
}
