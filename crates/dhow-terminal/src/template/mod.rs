//! Go's `text/template`, as far as `--format` needs it: actions, pipelines, variables, `if`, `range`, `with`,
//! `define`/`template`, trim markers, Go's built-in functions and Docker's.
//!
//! Error texts are Go's, since users and scripts see them. Data is a [`Value`]: JSON documents convert into one,
//! and a [`Record`] stands for a Go struct, whose unknown fields are errors.
//!
//! ```
//! use dhow_terminal::template::{Template, Value};
//!
//! let template = Template::parse("", r#"{{range .Names}}{{upper .}} {{end}}"#).unwrap();
//! let data: Value = serde_json::json!({"Names": ["a", "b"]}).into();
//! assert_eq!(template.execute(&data).unwrap(), "A B ");
//! ```

mod ast;
mod eval;
mod functions;
mod lexer;
mod parser;
mod printf;
mod value;

pub use value::{Function, Record, Value, json_text};

use std::collections::BTreeMap;

/// A template could not be parsed or executed; the text is Go's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Error(pub(crate) String);

/// A parsed template.
#[derive(Debug)]
pub struct Template {
    name: String,
    text: String,
    defined: BTreeMap<String, Vec<ast::Node>>,
    strict: bool,
    header: bool,
}

impl Template {
    /// Parses `text`; `name` appears in error texts.
    ///
    /// # Errors
    /// Go's text: `template: :1: unclosed action`.
    pub fn parse(name: &str, text: &str) -> Result<Self, Error> {
        let defined = parser::parse(name, text)?;
        Ok(Self {
            name: name.to_owned(),
            text: text.to_owned(),
            defined,
            strict: false,
            header: false,
        })
    }

    /// Makes a missing key of a map an error (Go's option `missingkey=error`).
    #[must_use]
    pub fn missing_key_is_an_error(mut self) -> Self {
        self.strict = true;
        self
    }

    /// Evaluates for a table's header row: Docker's functions that change a text leave it as it is.
    #[must_use]
    pub fn for_header(mut self) -> Self {
        self.header = true;
        self
    }

    /// Evaluates the template with `data` as dot.
    ///
    /// # Errors
    /// Go's text: `template: :1:2: executing "" at <.Foo>: can't evaluate field Foo in type …`.
    pub fn execute(&self, data: &Value) -> Result<String, Error> {
        eval::execute(self, data)
    }
}

#[cfg(test)]
mod tests;
