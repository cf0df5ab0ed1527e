//! Which checks run: `check=skip=NAME,NAME;error=true;experimental=all`.

use std::collections::BTreeSet;

use dhow_golang::{NumberError, parse_bool};

use super::Rule;

/// Which checks run, and whether what they find is an error.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    skip: Names,
    experimental: Names,
    /// A warning fails the build.
    pub error: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Names {
    all: bool,
    some: BTreeSet<String>,
}

/// Options of the checks that are none; the text is BuildKit's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// There is no such option.
    #[error("failed to parse check options: invalid check option {0:?}")]
    Unknown(String),
    /// Its value is none.
    #[error("failed to parse check options: failed to parse check option {option:?}: {source}")]
    NoBoolean {
        /// The whole option.
        option: String,
        /// What is wrong with its value.
        source: NumberError,
    },
}

impl Settings {
    /// Reads the directive's value, or that of the argument `BUILDKIT_DOCKERFILE_CHECK`.
    ///
    /// # Errors
    /// An option is unknown or its value wrong.
    pub fn read(text: &str) -> Result<Self, SettingsError> {
        let mut settings = Self::default();
        for option in text.split(';').map(str::trim).filter(|o| !o.is_empty()) {
            let Some((key, value)) = option.split_once('=') else {
                return Err(SettingsError::Unknown(option.to_owned()));
            };
            let value = value.trim();
            match key.trim() {
                "skip" => settings.skip = Names::read(value),
                "experimental" => settings.experimental = Names::read(value),
                "error" => {
                    settings.error = parse_bool(value).map_err(|source| {
                        let option = option.to_owned();
                        SettingsError::NoBoolean { option, source }
                    })?;
                }
                other => return Err(SettingsError::Unknown(other.to_owned())),
            }
        }
        Ok(settings)
    }

    pub(super) fn runs(&self, rule: &Rule) -> bool {
        if rule.experimental {
            return self.experimental.has(rule.name);
        }
        !self.skip.has(rule.name)
    }
}

impl Names {
    fn read(text: &str) -> Self {
        Self {
            all: text == "all",
            some: text.split(',').map(|name| name.trim().to_owned()).collect(),
        }
    }

    fn has(&self, name: &str) -> bool {
        self.all || self.some.contains(name)
    }
}
