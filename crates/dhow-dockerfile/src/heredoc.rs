//! Heredocs: `<<EOF` and what follows, up to a line that says `EOF`.

use std::sync::LazyLock;

use regex::Regex;

use crate::words::Lexer;

/// Text that stands in the lines after an instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heredoc {
    /// The word that ends it, without quotes.
    pub name: String,
    /// The file descriptor in front of the arrows; 0 where none is given.
    pub descriptor: u32,
    /// Whether variables are expanded in it: the word was not quoted.
    pub expand: bool,
    /// Whether tabs at the beginning of lines are taken away: `<<-`.
    pub chomp: bool,
    /// The lines between, as they are in the file.
    pub content: String,
}

#[allow(
    clippy::expect_used,
    reason = "the pattern is constant, and a test compiles it"
)]
static MARK: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^(\d*)<<(-?)([^<]*)$").expect("a constant pattern"));

impl Heredoc {
    /// What the word `<<NAME` announces; nothing when it is an ordinary word.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        let parts = MARK.captures(word)?;
        let written = parts.get(3).map_or("", |part| part.as_str());
        if written.is_empty() {
            return None;
        }
        let split = |lexer: &Lexer| lexer.words(written, &()).unwrap_or_default();
        let raw = split(&Lexer::new('\\').raw());
        let plain = split(&Lexer::new('\\').keeping_unset());
        let ([raw], [name]) = (raw.as_slice(), plain.as_slice()) else {
            return None;
        };
        let descriptor = parts.get(1).map_or("", |part| part.as_str());
        Some(Self {
            name: name.clone(),
            descriptor: if descriptor.is_empty() {
                0
            } else {
                descriptor.parse().ok()?
            },
            expand: raw == name,
            chomp: parts.get(2).is_some_and(|part| !part.as_str().is_empty()),
            content: String::new(),
        })
    }

    /// Those that a line announces, in order.
    #[must_use]
    pub fn of_line(line: &str) -> Vec<Self> {
        let words = Lexer::new('\\').raw().words(line, &()).unwrap_or_default();
        let joined = join(words);
        joined
            .iter()
            .filter_map(|word| Self::of_word(word))
            .collect()
    }

    /// The content, without the tabs that [`Self::chomp`] takes away.
    #[must_use]
    pub fn text(&self) -> String {
        if !self.chomp {
            return self.content.clone();
        }
        let lines = self.content.split_inclusive('\n');
        lines.map(|line| line.trim_start_matches('\t')).collect()
    }

    /// Whether `line`, its end taken off, ends it.
    pub(crate) fn is_end(&self, line: &str) -> bool {
        let line = line.trim_end_matches(['\r', '\n']);
        let line = if self.chomp {
            line.trim_start_matches('\t')
        } else {
            line
        };
        line == self.name
    }
}

/// Puts `<<` and the name together where a blank is between them.
pub(crate) fn join(words: Vec<String>) -> Vec<String> {
    let mut joined: Vec<String> = Vec::new();
    for word in words {
        match joined.last_mut() {
            Some(arrows) if is_arrows(arrows) => arrows.push_str(&word),
            _ => joined.push(word),
        }
    }
    joined
}

fn is_arrows(word: &str) -> bool {
    let descriptor = word.strip_suffix("<<");
    descriptor.is_some_and(|digits| digits.bytes().all(|digit| digit.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn words_announce_heredocs() {
        let doc = |word| Heredoc::of_word(word);
        let plain = doc("<<EOF").unwrap();
        assert_eq!(
            (plain.name.as_str(), plain.expand, plain.chomp),
            ("EOF", true, false)
        );
        let quoted = doc("3<<-'E F'").unwrap();
        assert_eq!(
            (quoted.name.as_str(), quoted.expand, quoted.chomp),
            ("E F", false, true)
        );
        assert_eq!(quoted.descriptor, 3);
        for none in ["<<", "EOF", "<<<x", "a<<b", "<"] {
            assert_eq!(doc(none), None, "{none}");
        }
        let line = Heredoc::of_line("RUN cat <<A - 4<< \"B\" > /x");
        assert_eq!(line.len(), 2);
        assert!(!line[1].expand);
    }

    #[test]
    fn chomping_takes_leading_tabs() {
        let mut doc = Heredoc::of_word("<<-X").unwrap();
        doc.content = "\t\ta\n \tb\n\tc".into();
        assert_eq!(doc.text(), "a\n \tb\nc");
        assert!(doc.is_end("\tX\r\n"));
    }
}
