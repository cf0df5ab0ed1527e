//! What is wrong with a Dockerfile, before it is known whose file it is.

use std::sync::Arc;

use dhow_dockerfile::{Lines, ParseError, WordError};

use crate::error::{Error, Location};
use crate::plan::Source;

/// Something that is wrong; the text is BuildKit's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    /// What.
    pub(crate) text: String,
    /// Where.
    pub(crate) lines: Option<Lines>,
    /// What to do about it.
    pub(crate) hint: Option<String>,
}

impl Problem {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            lines: None,
            hint: None,
        }
    }

    /// Says where it is, unless that is known.
    pub(crate) fn at(mut self, lines: Lines) -> Self {
        self.lines.get_or_insert(lines);
        self
    }

    /// The error of a build with this Dockerfile.
    pub(crate) fn into_error(self, source: &Source) -> Error {
        let location = self.lines.map(|lines| Location {
            file: source.file.clone(),
            source: Arc::clone(&source.bytes),
            lines: vec![lines],
        });
        Error::Invalid {
            text: self.text,
            location,
            hint: self.hint,
        }
    }
}

impl From<String> for Problem {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl From<&str> for Problem {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<WordError> for Problem {
    fn from(error: WordError) -> Self {
        Self::new(error.to_string())
    }
}

impl From<ParseError> for Problem {
    fn from(error: ParseError) -> Self {
        Self {
            text: error.to_string(),
            lines: error.lines,
            hint: None,
        }
    }
}
