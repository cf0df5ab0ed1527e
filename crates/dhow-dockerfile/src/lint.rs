//! What is legal but probably not meant: BuildKit's checks, with its names and texts.
//!
//! ```
//! use dhow_dockerfile::lint::{Facts, Settings, check};
//!
//! let dockerfile = dhow_dockerfile::parse(b"FROM scratch as Base\n")?;
//! let warnings = check(&dockerfile, &Facts::default(), &Settings::default());
//! assert_eq!(warnings[0].rule.name, "StageNameCasing");
//! # Ok::<(), dhow_dockerfile::ParseError>(())
//! ```

mod rules;
mod settings;
mod stages;
mod variables;
mod writing;

use std::collections::BTreeSet;

use crate::{Dockerfile, IgnorePatterns, Lines, Stage};

pub use rules::{RULES, Rule};
pub use settings::{Settings, SettingsError};

/// Something that a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The rule that is not kept.
    pub rule: &'static Rule,
    /// What exactly, in a sentence.
    pub message: String,
    /// Where.
    pub lines: Lines,
}

/// What the checks have to know besides the file.
pub struct Facts<'a> {
    /// The names of the variables that a stage's base image sets.
    pub base_variables: &'a dyn Fn(&Stage) -> BTreeSet<String>,
    /// Whether a text is a reference to an image.
    pub is_reference: &'a dyn Fn(&str) -> bool,
    /// The context's `.dockerignore`.
    pub ignore: Option<&'a IgnorePatterns>,
}

impl std::fmt::Debug for Facts<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Facts")
            .field("ignore", &self.ignore)
            .finish_non_exhaustive()
    }
}

impl Default for Facts<'_> {
    /// Images set nothing but `PATH`, every text is a reference, and nothing is ignored.
    fn default() -> Self {
        Self {
            base_variables: &|_| BTreeSet::from(["PATH".to_owned()]),
            is_reference: &|text| !text.is_empty(),
            ignore: None,
        }
    }
}

/// Runs all checks that `settings` don't turn off, and returns what they find in the order of the lines.
#[must_use]
pub fn check(dockerfile: &Dockerfile, facts: &Facts<'_>, settings: &Settings) -> Vec<Warning> {
    let mut report = Report {
        settings,
        found: Vec::new(),
    };
    writing::check(dockerfile, &mut report);
    stages::check(dockerfile, facts, &mut report);
    variables::check(dockerfile, facts, &mut report);
    let mut found = report.found;
    found.sort_by_key(|warning| warning.lines.first);
    found
}

/// What was found so far.
struct Report<'a> {
    settings: &'a Settings,
    found: Vec<Warning>,
}

impl Report<'_> {
    fn add(&mut self, rule: &'static Rule, lines: Lines, message: impl Into<String>) {
        if self.settings.runs(rule) {
            self.found.push(Warning {
                rule,
                message: message.into(),
                lines,
            });
        }
    }
}

#[cfg(test)]
mod tests;
