//! From a file to its stages.

use crate::instruction::{Argument, Instruction};
use crate::lines::{BlankContinuation, Raw};
use crate::stage::{Stage, Step};
use crate::{Directives, Lines, ParseError, lines};

/// A Dockerfile that is understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dockerfile {
    /// What its first lines say about how to read it.
    pub directives: Directives,
    /// The `ARG`s before the first stage.
    pub arguments: Vec<Step>,
    /// The stages, in order; there is at least one.
    pub stages: Vec<Stage>,
    /// Empty lines within instructions, which the checks complain about.
    pub blank_continuations: Vec<BlankContinuation>,
}

impl Dockerfile {
    /// The `ARG`s before the first stage, one at a time.
    pub fn global_arguments(&self) -> impl Iterator<Item = &Argument> {
        self.arguments
            .iter()
            .flat_map(|step| match &step.instruction {
                Instruction::Arg(arguments) => arguments.as_slice(),
                _ => &[],
            })
    }
}

/// Reads a Dockerfile; a byte order mark and bytes that are not UTF-8 are tolerated as BuildKit does.
///
/// # Errors
/// The first thing in the file that can't be understood, in BuildKit's words.
pub fn parse(bytes: &[u8]) -> Result<Dockerfile, ParseError> {
    let text = String::from_utf8_lossy(bytes);
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    if text.is_empty() {
        return Err(ParseError::whole("the Dockerfile cannot be empty"));
    }
    let directives = Directives::read(text)?;
    let read = lines::read(text, &directives)?;
    // What is wrong with the form of any line comes before what an earlier one may mean.
    let mut nodes = Vec::new();
    for raw in read.instructions {
        let lines = raw.lines;
        let node = Node::of(raw, directives.escape);
        nodes.push(node.map_err(|reason| ParseError::within(lines, reason))?);
    }
    let mut dockerfile = Dockerfile {
        directives,
        arguments: Vec::new(),
        stages: Vec::new(),
        blank_continuations: read.blanks,
    };
    for node in &nodes {
        dockerfile.add(node)?;
    }
    if dockerfile.stages.is_empty() {
        return Err(ParseError::within(
            nodes.last().map_or(Lines::at(1), |node| node.raw.lines),
            "no build stage in current context",
        ));
    }
    Ok(dockerfile)
}

impl Dockerfile {
    fn add(&mut self, node: &Node) -> Result<(), ParseError> {
        let lines = node.raw.lines;
        let wrong = |reason| ParseError::instruction(lines, reason);
        if node.keyword == "FROM" {
            self.stages.push(Stage::of(node).map_err(wrong)?);
            return Ok(());
        }
        let instruction = Instruction::of(node).map_err(wrong)?;
        let step = Step {
            instruction,
            keyword: node.raw.keyword.clone(),
            original: node.raw.original.clone(),
            comments: node.raw.comments.clone(),
            lines,
        };
        match self.stages.last_mut() {
            Some(stage) => stage.steps.push(step),
            None if matches!(step.instruction, Instruction::Arg(_)) => self.arguments.push(step),
            None => {
                return Err(ParseError::within(
                    lines,
                    "no build stage in current context",
                ));
            }
        }
        Ok(())
    }
}

/// An instruction with its arguments told apart, not yet understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Node {
    /// In upper case.
    pub(crate) keyword: String,
    pub(crate) args: Vec<String>,
    /// The arguments are a JSON array's.
    pub(crate) json: bool,
    /// `ENV name value` instead of `ENV name=value`.
    pub(crate) legacy: bool,
    pub(crate) raw: Raw,
}

impl Node {
    fn of(raw: Raw, escape: char) -> Result<Self, String> {
        let keyword = raw.keyword.to_uppercase();
        let rest = raw.rest.as_str();
        let mut node = Self {
            args: Vec::new(),
            json: false,
            legacy: false,
            keyword,
            raw: Raw {
                rest: String::new(),
                ..raw.clone()
            },
        };
        match node.keyword.as_str() {
            "ENV" | "LABEL" => node.pairs(rest, escape)?,
            "ARG" => node.args = words(rest, escape),
            "FROM" | "EXPOSE" => node.args = blanks(rest),
            "ADD" | "COPY" | "VOLUME" => {
                node.array(rest)?;
                if !node.json {
                    node.args = crate::heredoc::join(blanks(rest));
                }
            }
            "CMD" | "ENTRYPOINT" | "RUN" | "SHELL" => {
                node.array(rest)?;
                if !node.json {
                    node.args = vec![rest.to_owned()];
                }
            }
            "HEALTHCHECK" => node.health(rest)?,
            _ if rest.is_empty() => {}
            _ => node.args = vec![rest.to_owned()],
        }
        node.raw.rest = raw.rest;
        Ok(node)
    }

    fn array(&mut self, rest: &str) -> Result<(), String> {
        match json_words(rest) {
            Ok(words) => {
                self.args = words;
                self.json = true;
                Ok(())
            }
            Err(NoArray::NotJson) => Ok(()),
            Err(NoArray::NotStrings) => {
                Err("when using JSON array syntax, arrays must be comprised of strings only".into())
            }
        }
    }

    fn health(&mut self, rest: &str) -> Result<(), String> {
        let (kind, command) = match rest.split_once(char::is_whitespace) {
            Some((kind, command)) => (kind, command.trim_start()),
            None => (rest, ""),
        };
        if kind.is_empty() {
            return Ok(());
        }
        self.array(command)?;
        if !self.json && !command.is_empty() {
            self.args = vec![command.to_owned()];
        }
        self.args.insert(0, kind.to_owned());
        Ok(())
    }

    /// `name=value` as often as wanted, or one name and all of the rest.
    fn pairs(&mut self, rest: &str, escape: char) -> Result<(), String> {
        let words = words(rest, escape);
        let Some(first) = words.first() else {
            return Ok(());
        };
        if !first.contains('=') {
            let (name, value) = rest
                .split_once(is_blank)
                .ok_or_else(|| format!("{} must have two arguments", self.keyword))?;
            let value = value.trim_start_matches(is_blank);
            self.args = vec![name.to_owned(), value.to_owned()];
            self.legacy = true;
            return Ok(());
        }
        for word in words {
            let (name, value) = word.split_once('=').ok_or_else(|| {
                format!("Syntax error - can't find = in {word:?}. Must be of the form: name=value")
            })?;
            self.args.extend([name.to_owned(), value.to_owned()]);
        }
        Ok(())
    }
}

fn is_blank(letter: char) -> bool {
    matches!(letter, '\t' | '\u{b}' | '\u{c}' | '\r' | ' ')
}

/// The words between blanks, whatever else is in them.
fn blanks(rest: &str) -> Vec<String> {
    let words = rest.split(is_blank).filter(|word| !word.is_empty());
    words.map(str::to_owned).collect()
}

/// The words between blanks outside of quotes; quotes and escapes stay.
fn words(rest: &str, escape: char) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    let mut letters = rest.chars();
    while let Some(letter) = letters.next() {
        if quote.is_none() && letter.is_whitespace() {
            if !word.is_empty() {
                words.push(std::mem::take(&mut word));
            }
            continue;
        }
        word.push(letter);
        match quote {
            Some(open) if letter == open => quote = None,
            None if letter == '\'' || letter == '"' => quote = Some(letter),
            // Between single quotes nothing is escaped.
            _ if letter == escape && quote != Some('\'') => word.extend(letters.next()),
            _ => {}
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// Why something is no array of strings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoArray {
    NotJson,
    NotStrings,
}

/// The words of `["a", "b"]`.
pub(crate) fn json_words(text: &str) -> Result<Vec<String>, NoArray> {
    let text = text.trim_start();
    if !text.starts_with('[') {
        return Err(NoArray::NotJson);
    }
    let values: Vec<serde_json::Value> =
        serde_json::from_str(text).map_err(|_| NoArray::NotJson)?;
    let strings = values.into_iter().map(|value| match value {
        serde_json::Value::String(text) => Ok(text),
        _ => Err(NoArray::NotStrings),
    });
    strings.collect()
}

#[cfg(test)]
mod tests;
