//! Words: quotes, escapes and variables, by the rules of a POSIX shell as far as Dockerfiles have them.

mod pattern;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::iter::Peekable;
use std::str::Chars;

/// Where the values of variables come from.
pub trait Variables {
    /// The value of `name`; nothing when it is not set.
    fn get(&self, name: &str) -> Option<Cow<'_, str>>;
}

/// No variable is set.
impl Variables for () {
    fn get(&self, _: &str) -> Option<Cow<'_, str>> {
        None
    }
}

impl Variables for BTreeMap<String, String> {
    fn get(&self, name: &str) -> Option<Cow<'_, str>> {
        self.get(name).map(Cow::from)
    }
}

/// A word that can't be expanded; the text is BuildKit's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("failed to process {word:?}: {reason}")]
pub struct WordError {
    /// The word.
    pub word: String,
    /// What is wrong with it.
    pub reason: String,
    /// The variables in it that are not set, as far as it was read.
    pub unset: BTreeSet<String>,
}

/// A word with its variables substituted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expanded {
    /// The text.
    pub text: String,
    /// The variables in it that are set.
    pub set: BTreeSet<String>,
    /// Those that are not.
    pub unset: BTreeSet<String>,
}

/// Splits and expands words.
#[derive(Debug, Clone, Copy)]
pub struct Lexer {
    escape: char,
    raw_quotes: bool,
    raw_escapes: bool,
    keep_unset: bool,
    ignore_quotes: bool,
}

impl Lexer {
    /// With the file's escape character.
    #[must_use]
    pub const fn new(escape: char) -> Self {
        Self {
            escape,
            raw_quotes: false,
            raw_escapes: false,
            keep_unset: false,
            ignore_quotes: false,
        }
    }

    /// Leaves quotes, escapes and variables that are not set as they are.
    #[must_use]
    pub const fn raw(self) -> Self {
        Self {
            raw_quotes: true,
            raw_escapes: true,
            keep_unset: true,
            ..self
        }
    }

    /// Leaves quotes as they are.
    #[must_use]
    pub const fn keeping_quotes(self) -> Self {
        Self {
            raw_quotes: true,
            ..self
        }
    }

    /// Leaves variables that are not set as they are.
    #[must_use]
    pub const fn keeping_unset(self) -> Self {
        Self {
            keep_unset: true,
            ..self
        }
    }

    /// Quotes mean nothing, as in the text of a heredoc.
    #[must_use]
    pub const fn ignoring_quotes(self) -> Self {
        Self {
            ignore_quotes: true,
            ..self
        }
    }

    /// The text with quotes and escapes resolved and variables substituted.
    ///
    /// # Errors
    /// A quote or brace is not closed, or a modifier is unknown or says that the variable must be set.
    pub fn word(&self, text: &str, variables: &dyn Variables) -> Result<Expanded, WordError> {
        self.run(text, variables).map(|(expanded, _)| expanded)
    }

    /// The same, split where blanks stand outside of quotes; also where they come out of a variable.
    ///
    /// # Errors
    /// As [`Self::word`].
    pub fn words(&self, text: &str, variables: &dyn Variables) -> Result<Vec<String>, WordError> {
        self.run(text, variables).map(|(_, words)| words)
    }

    fn run(
        &self,
        text: &str,
        variables: &dyn Variables,
    ) -> Result<(Expanded, Vec<String>), WordError> {
        let mut scan = Scan {
            lexer: *self,
            rest: text.chars().peekable(),
            variables,
            depth: 0,
            set: BTreeSet::new(),
            unset: BTreeSet::new(),
        };
        let (text, words) = match scan.until(None, self.raw_escapes) {
            Ok(read) => read,
            Err(reason) => {
                return Err(WordError {
                    word: text.to_owned(),
                    reason,
                    unset: scan.unset,
                });
            }
        };
        let expanded = Expanded {
            text,
            set: scan.set,
            unset: scan.unset,
        };
        Ok((expanded, words))
    }
}

/// A [`Lexer`] with the variables of a point in a build.
#[derive(Clone, Copy)]
pub struct Expander<'a> {
    /// How words are read.
    pub lexer: Lexer,
    /// What is set.
    pub variables: &'a dyn Variables,
}

impl std::fmt::Debug for Expander<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Expander")
            .field("lexer", &self.lexer)
            .finish_non_exhaustive()
    }
}

impl Expander<'_> {
    /// As [`Lexer::word`], the text only.
    ///
    /// # Errors
    /// As [`Lexer::word`].
    pub fn expand(&self, text: &str) -> Result<String, WordError> {
        Ok(self.lexer.word(text, self.variables)?.text)
    }
}

/// How deep `${a:-${b:-…}}` may go.
const DEEPEST: usize = 64;

/// A text being read.
struct Scan<'a> {
    lexer: Lexer,
    rest: Peekable<Chars<'a>>,
    variables: &'a dyn Variables,
    depth: usize,
    set: BTreeSet<String>,
    unset: BTreeSet<String>,
}

impl Scan<'_> {
    /// Reads up to `stop`, which is taken too, or to the end.
    fn until(
        &mut self,
        stop: Option<char>,
        raw_escapes: bool,
    ) -> Result<(String, Vec<String>), String> {
        let mut text = String::new();
        let mut words = Words::default();
        while let Some(letter) = self.rest.peek().copied() {
            if Some(letter) == stop {
                self.rest.next();
                return Ok((text, words.finish()));
            }
            let quoted = !self.lexer.ignore_quotes;
            match letter {
                '\'' | '"' if quoted => {
                    let part = match letter {
                        '\'' => self.single_quoted()?,
                        _ => self.double_quoted()?,
                    };
                    text.push_str(&part);
                    words.push_str(&part);
                }
                '$' => {
                    let part = self.dollar()?;
                    text.push_str(&part);
                    part.chars().for_each(|letter| words.split_or_push(letter));
                }
                _ => {
                    self.rest.next();
                    if letter != self.lexer.escape {
                        text.push(letter);
                        words.split_or_push(letter);
                        continue;
                    }
                    if raw_escapes {
                        text.push(letter);
                        words.push(letter);
                    }
                    // At the very end an escape character is nothing.
                    let Some(escaped) = self.rest.next() else {
                        break;
                    };
                    text.push(escaped);
                    words.push(escaped);
                }
            }
        }
        match stop {
            Some(stop) => Err(format!(
                "unexpected end of statement while looking for matching {stop}"
            )),
            None => Ok((text, words.finish())),
        }
    }

    /// Everything up to the next quote, as it is.
    fn single_quoted(&mut self) -> Result<String, String> {
        self.quoted('\'', "single", |words, text| {
            text.extend(words.rest.next());
            Ok(())
        })
    }

    /// Everything up to the next quote that is not escaped, variables substituted.
    fn double_quoted(&mut self) -> Result<String, String> {
        self.quoted('"', "double", |words, text| {
            match words.rest.peek() {
                Some('$') => text.push_str(&words.dollar()?),
                _ => words.quoted_letter(text),
            }
            Ok(())
        })
    }

    /// From one quote to the next; `take` takes what is between them, piece by piece.
    fn quoted(
        &mut self,
        quote: char,
        kind: &str,
        mut take: impl FnMut(&mut Self, &mut String) -> Result<(), String>,
    ) -> Result<String, String> {
        let mut text = String::new();
        self.quote(&mut text);
        loop {
            match self.rest.peek() {
                None => {
                    return Err(format!(
                        "unexpected end of statement while looking for matching {kind}-quote"
                    ));
                }
                Some(next) if *next == quote => {
                    self.quote(&mut text);
                    return Ok(text);
                }
                Some(_) => take(self, &mut text)?,
            }
        }
    }

    fn quoted_letter(&mut self, text: &mut String) {
        let Some(letter) = self.rest.next() else {
            return;
        };
        if letter != self.lexer.escape {
            text.push(letter);
            return;
        }
        match self.rest.peek().copied() {
            // At the very end an escape character is nothing.
            None => {}
            Some(next) if next == '"' || next == '$' || next == self.lexer.escape => {
                if self.lexer.raw_escapes {
                    text.push(letter);
                }
                text.push(next);
                self.rest.next();
            }
            // Before all others it is itself.
            Some(_) => text.push(letter),
        }
    }

    /// Takes a quote.
    fn quote(&mut self, text: &mut String) {
        let quote = self.rest.next();
        if self.lexer.raw_quotes {
            text.extend(quote);
        }
    }

    fn value(&mut self, name: &str) -> Option<String> {
        let value = self.variables.get(name).map(Cow::into_owned);
        let names = match value {
            Some(_) => &mut self.set,
            None => &mut self.unset,
        };
        names.insert(name.to_owned());
        value
    }

    /// `$name`, or `${…}`.
    fn dollar(&mut self) -> Result<String, String> {
        self.rest.next();
        if self.rest.peek() == Some(&'{') {
            self.rest.next();
            self.depth += 1;
            if self.depth > DEEPEST {
                return Err("variables are nested too deeply".into());
            }
            let part = self.braces();
            self.depth -= 1;
            return part;
        }
        let name = self.name();
        if name.is_empty() {
            return Ok("$".into());
        }
        match self.value(&name) {
            None if self.lexer.keep_unset => Ok(format!("${name}")),
            value => Ok(value.unwrap_or_default()),
        }
    }

    /// What comes after `${`.
    fn braces(&mut self) -> Result<String, String> {
        let name = self.name();
        match self.rest.next() {
            Some('}') => match self.value(&name) {
                None if self.lexer.keep_unset => Ok(format!("${{{name}}}")),
                value => Ok(value.unwrap_or_default()),
            },
            Some(':') => {
                let modifier = self.rest.next().unwrap_or('\u{fffd}');
                match modifier {
                    '-' | '+' | '?' => self.alternative(&name, modifier, true),
                    _ => Err(format!(
                        "unsupported modifier (:{modifier}) in substitution"
                    )),
                }
            }
            Some(modifier @ ('-' | '+' | '?')) => self.alternative(&name, modifier, false),
            Some(modifier @ ('#' | '%')) => self.trimmed(&name, modifier),
            Some('/') => self.replaced(&name),
            other => Err(format!(
                "unsupported modifier ({}) in substitution",
                other.unwrap_or('\u{fffd}')
            )),
        }
    }

    /// The word up to the closing brace.
    fn operand(&mut self, raw_escapes: bool) -> Result<String, String> {
        match self.until(Some('}'), raw_escapes) {
            Ok((word, _)) => Ok(word),
            Err(_) if self.rest.peek().is_none() => Err("syntax error: missing '}'".into()),
            Err(error) => Err(error),
        }
    }

    /// `${name:-word}` and its like; with the colon an empty value counts as none.
    fn alternative(&mut self, name: &str, modifier: char, colon: bool) -> Result<String, String> {
        let word = self.operand(false)?;
        let value = self.value(name);
        if self.lexer.keep_unset && value.is_none() {
            let colon = if colon { ":" } else { "" };
            return Ok(format!("${{{name}{colon}{modifier}{word}}}"));
        }
        let has = value
            .as_ref()
            .is_some_and(|value| !colon || !value.is_empty());
        match modifier {
            '-' if has => Ok(value.unwrap_or_default()),
            '-' => Ok(word),
            '+' if has => Ok(word),
            '+' => Ok(String::new()),
            _ if has => Ok(value.unwrap_or_default()),
            _ => {
                let usual = match value {
                    None => "is not allowed to be unset",
                    Some(_) => "is not allowed to be empty",
                };
                let word = if word.is_empty() { usual } else { &word };
                Err(format!("{name}: {word}"))
            }
        }
    }

    /// `${name#pattern}`, `##`, `%`, `%%`.
    fn trimmed(&mut self, name: &str, modifier: char) -> Result<String, String> {
        let word = self.operand(true)?;
        let Some(value) = self.value(name) else {
            return Ok(match self.lexer.keep_unset {
                true => format!("${{{name}{modifier}{word}}}"),
                false => String::new(),
            });
        };
        let (pattern, longest) = match word.strip_prefix(modifier) {
            Some(rest) => (rest, true),
            None => (word.as_str(), false),
        };
        let trimmed = match modifier {
            '#' => pattern::without_prefix(&value, pattern, longest),
            _ => pattern::without_suffix(&value, pattern, longest),
        };
        trimmed.map_err(|error| format!("invalid pattern ({pattern}) in substitution: {error}"))
    }

    /// `${name/pattern/replacement}`, and with two slashes for all.
    fn replaced(&mut self, name: &str) -> Result<String, String> {
        let all = self.rest.next_if_eq(&'/').is_some();
        let pattern = match self.until(Some('/'), true) {
            Ok((pattern, _)) => pattern,
            Err(_) if self.rest.peek().is_none() => {
                return Err("syntax error: missing '/' in ${}".into());
            }
            Err(error) => return Err(error),
        };
        let replacement = self.operand(true)?;
        let Some(value) = self.value(name) else {
            return Ok(match self.lexer.keep_unset {
                true => format!("${{{name}/{pattern}/{replacement}}}"),
                false => String::new(),
            });
        };
        pattern::replaced(&value, &pattern, &replacement, all)
            .map_err(|error| format!("invalid pattern ({pattern}) in substitution: {error}"))
    }

    /// Letters, digits and underscores; or digits only; or one of the shell's own.
    fn name(&mut self) -> String {
        let mut name = String::new();
        let Some(first) = self.rest.peek().copied() else {
            return name;
        };
        if first.is_ascii_digit() {
            while let Some(digit) = self.rest.next_if(char::is_ascii_digit) {
                name.push(digit);
            }
            return name;
        }
        if matches!(first, '@' | '*' | '#' | '?' | '-' | '$' | '!') {
            self.rest.next();
            return first.to_string();
        }
        while let Some(letter) = self.rest.next_if(|c| c.is_alphanumeric() || *c == '_') {
            name.push(letter);
        }
        name
    }
}

/// Words being collected.
#[derive(Default)]
struct Words {
    done: Vec<String>,
    current: String,
    within: bool,
}

impl Words {
    fn split_or_push(&mut self, letter: char) {
        if !letter.is_whitespace() {
            self.push(letter);
        } else if self.within && !self.current.is_empty() {
            self.done.push(std::mem::take(&mut self.current));
            self.within = false;
        }
    }

    fn push(&mut self, letter: char) {
        self.current.push(letter);
        self.within = true;
    }

    fn push_str(&mut self, text: &str) {
        self.current.push_str(text);
        self.within = true;
    }

    fn finish(mut self) -> Vec<String> {
        if !self.current.is_empty() {
            self.done.push(self.current);
        }
        self.done
    }
}

#[cfg(test)]
mod tests;
