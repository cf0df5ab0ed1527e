//! The patterns of `.dockerignore`.
//!
//! One pattern a line; lines that begin with `#` are comments; `!` takes back what earlier patterns excluded; `*` and `?`
//! stop at slashes and `**` doesn't. The last pattern that matches a path, or a directory it is in, decides.

use regex::Regex;

/// The patterns of one file.
#[derive(Debug, Clone, Default)]
pub struct IgnorePatterns {
    patterns: Vec<Pattern>,
}

#[derive(Debug, Clone)]
struct Pattern {
    text: String,
    keeps: bool,
    regex: Regex,
}

/// A pattern that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Only an exclamation mark.
    #[error("illegal exclusion pattern: \"!\"")]
    Empty,
    /// Brackets that are not closed, for instance.
    #[error("syntax error in pattern: {0}")]
    Syntax(String),
}

impl IgnorePatterns {
    /// Reads a `.dockerignore`.
    ///
    /// # Errors
    /// A line is no pattern.
    pub fn read(bytes: &[u8]) -> Result<Self, PatternError> {
        let text = String::from_utf8_lossy(bytes);
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        Self::new(lines)
    }

    /// Takes patterns as they are written in a `.dockerignore` or after `--exclude=`.
    ///
    /// # Errors
    /// One is no pattern.
    pub fn new<'a>(written: impl IntoIterator<Item = &'a str>) -> Result<Self, PatternError> {
        let mut patterns = Vec::new();
        for line in written {
            let line = line.trim();
            let (keeps, text) = match line.strip_prefix('!') {
                Some(rest) => (true, rest.trim()),
                None => (false, line),
            };
            if text.is_empty() {
                match keeps {
                    true => return Err(PatternError::Empty),
                    false => continue,
                }
            }
            let text = clean(text);
            let regex = compile(&text)?;
            patterns.push(Pattern { text, keeps, regex });
        }
        Ok(Self { patterns })
    }

    /// Whether there are no patterns.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Whether `path`, relative to the context and with slashes, is left out.
    #[must_use]
    pub fn excludes(&self, path: &str) -> bool {
        let path = path.trim_matches('/');
        let mut excluded = false;
        for pattern in &self.patterns {
            // Only what would change the answer needs to be asked.
            if pattern.keeps == excluded && pattern.matches_with_parents(path) {
                excluded = !pattern.keeps;
            }
        }
        excluded
    }

    /// Whether nothing below the directory `path` can be kept, so that it need not be looked into.
    #[must_use]
    pub fn excludes_all_below(&self, path: &str) -> bool {
        if !self.excludes(path) {
            return false;
        }
        let below = format!("{}/", path.trim_matches('/'));
        let mut keepers = self.patterns.iter().filter(|pattern| pattern.keeps);
        !keepers.any(|pattern| {
            let wild = pattern.text.find(['*', '?', '[', '\\']);
            let literal = &pattern.text[..wild.unwrap_or(pattern.text.len())];
            below.starts_with(literal) || literal.starts_with(&below)
        })
    }
}

impl Pattern {
    fn matches_with_parents(&self, path: &str) -> bool {
        if self.regex.is_match(path) {
            return true;
        }
        let slashes = path.match_indices('/');
        slashes
            .into_iter()
            .any(|(at, _)| self.regex.is_match(&path[..at]))
    }
}

/// The shortest text for the same path, as Go's `filepath.Clean` makes it; no slash in front.
fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    let absolute = path.starts_with('/');
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if absolute => {}
            part => parts.push(part),
        }
    }
    match parts.is_empty() {
        true => ".".to_owned(),
        false => parts.join("/"),
    }
}

fn compile(pattern: &str) -> Result<Regex, PatternError> {
    let wrong = || PatternError::Syntax(pattern.to_owned());
    let mut text = String::from("^(?s:");
    let mut letters = pattern.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '*' if letters.next_if_eq(&'*').is_some() => {
                let slash = letters.next_if_eq(&'/').is_some();
                match (slash, letters.peek().is_none()) {
                    // At the end it is everything.
                    (_, true) => text.push_str(".*"),
                    (_, false) => text.push_str("(.*/)?"),
                }
            }
            '*' => text.push_str("[^/]*"),
            '?' => text.push_str("[^/]"),
            '\\' => {
                let escaped = letters.next().ok_or_else(wrong)?;
                text.push_str(&regex::escape(&escaped.to_string()));
            }
            '[' => class(&mut letters, &mut text).ok_or_else(wrong)?,
            other => text.push_str(&regex::escape(&other.to_string())),
        }
    }
    text.push_str(")$");
    Regex::new(&text).map_err(|_| wrong())
}

/// `[a-z]`, `[^x]`; the opening bracket is read.
fn class(letters: &mut std::iter::Peekable<std::str::Chars<'_>>, text: &mut String) -> Option<()> {
    text.push('[');
    if letters.next_if_eq(&'^').is_some() {
        text.push('^');
    }
    let mut empty = true;
    loop {
        let letter = letters.next()?;
        match letter {
            ']' if !empty => break,
            ']' => return None,
            '\\' => text.push_str(&regex::escape(&letters.next()?.to_string())),
            '-' if !empty => text.push('-'),
            // What a class of this engine gives a meaning that Go's hasn't.
            '[' | '&' | '~' | '-' | '^' => {
                text.push('\\');
                text.push(letter);
            }
            other => text.push(other),
        }
        empty = false;
    }
    text.push(']');
    Some(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn excludes(patterns: &str, path: &str) -> bool {
        IgnorePatterns::read(patterns.as_bytes())
            .unwrap()
            .excludes(path)
    }

    #[test]
    fn patterns_match_as_gos_do() {
        let yes = [
            ("foo", "foo"),
            ("foo", "foo/bar"),
            ("/foo/", "foo/a/b"),
            ("*.go", "a.go"),
            ("*", "a/b"),
            ("**", "a/b/c"),
            ("**/x", "x"),
            ("**/x", "a/b/x"),
            ("a/**/x", "a/x"),
            ("a/**/x", "a/b/c/x"),
            ("a/**", "a/b/c"),
            ("**/*.txt", "a/b.txt"),
            ("d?r", "dir/x"),
            ("[a-c]x", "bx"),
            ("[^a]x", "bx"),
            ("a\\*", "a*"),
            ("./a/../b", "b"),
            ("a.b", "a.b"),
            ("# x\nfoo", "foo"),
            (" foo ", "foo"),
            ("a\n!a\na", "a"),
            ("(x", "(x"),
            ("$x", "$x"),
            ("**foo", "a/foo"),
        ];
        for (patterns, path) in yes {
            assert!(excludes(patterns, path), "{patterns} {path}");
        }
        let no = [
            ("foo", "foobar"),
            ("*.go", "a/b.go"),
            ("a?c", "a/c"),
            ("a.b", "axb"),
            ("[^a]x", "ax"),
            ("a\\*", "ab"),
            ("foo\n!foo/bar", "foo/bar"),
            ("*\n!a", "a/b"),
            ("#foo", "#foo"),
            ("", "a"),
            ("*.md\n!R*.md", "README.md"),
        ];
        for (patterns, path) in no {
            assert!(!excludes(patterns, path), "{patterns} {path}");
        }
    }

    #[test]
    fn wrong_patterns_are_told() {
        let error = |text: &str| {
            IgnorePatterns::read(text.as_bytes())
                .unwrap_err()
                .to_string()
        };
        assert_eq!(error("!"), "illegal exclusion pattern: \"!\"");
        assert_eq!(error("[a"), "syntax error in pattern: [a");
        assert_eq!(error("a\\"), "syntax error in pattern: a\\");
    }

    #[test]
    fn a_directory_is_skipped_only_if_nothing_in_it_is_kept() {
        let patterns = IgnorePatterns::read(b"node_modules\n!node_modules/keep\nout\n").unwrap();
        assert!(!patterns.excludes_all_below("node_modules"));
        assert!(patterns.excludes_all_below("node_modules/x"));
        assert!(patterns.excludes_all_below("out"));
        assert!(!patterns.excludes_all_below("src"));
        let patterns = IgnorePatterns::read(b"*\n!**/*.rs\n").unwrap();
        assert!(!patterns.excludes_all_below("src"));
    }
}
