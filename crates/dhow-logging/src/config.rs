//! Which driver, where, and with which options.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use regex::Regex;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::options::{self, Options};

/// Which of a container's two streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    /// Standard output, and all output of a container with a terminal.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Stream {
    /// The name in a log file: `stdout` or `stderr`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }

    /// The first byte of a frame's header: 1 or 2.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Stdout => 1,
            Self::Stderr => 2,
        }
    }
}

/// A container's log: its driver and where that keeps it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogConfig {
    /// One of [`crate::DRIVERS`] or `none`; empty means `json-file`.
    pub driver: String,
    /// The log file, see [`file`]; unused by `none`.
    pub path: PathBuf,
    /// The options, as in Docker: `max-size`, `max-file`, ...
    #[serde(default)]
    pub options: BTreeMap<String, String>,
    /// Extra attributes of every entry (`attrs` in the file), made by [`attributes`].
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
    /// What drivers tell of the container; known when it is started.
    #[serde(default)]
    pub origin: Origin,
}

/// What a driver tells its receiver of the container whose output it sends.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The container's id, all of it.
    pub container_id: String,
    /// Its name, without a slash.
    pub container_name: String,
    /// Its image's id, `sha256:...`.
    pub image_id: String,
    /// Its image's name as it was asked for.
    pub image_name: String,
    /// Its program and arguments.
    pub command: String,
    /// When it was created, RFC 3339.
    pub created: String,
    /// What the option `tag` stands for; empty when it is not there.
    pub tag: String,
}

impl Origin {
    /// The tag, or Docker's default one: the first twelve digits of the id.
    pub(crate) fn tag(&self) -> &str {
        match self.tag.as_str() {
            "" => self.container_id.get(..12).unwrap_or(&self.container_id),
            tag => tag,
        }
    }
}

/// The file in which a container's log is kept: that of its driver, or, for a driver which keeps none that could be
/// read, the copy for `docker logs`.
#[must_use]
pub fn file(driver: &str, folder: &Path, id: &str) -> PathBuf {
    match driver {
        "" | "json-file" => folder.join(format!("{id}-json.log")),
        "local" => folder.join("local-logs").join("container.log"),
        _ => folder.join("container-cached.log"),
    }
}

/// The extra attributes which the options `labels`, `labels-regex`, `env`, `env-regex` and `tag` select.
///
/// `env` is the container's environment as `KEY=value`; the tag is taken as it stands.
///
/// # Errors
/// [`Error::BadValue`] for a pattern that is none, with Docker's text.
pub fn attributes(
    options: &BTreeMap<String, String>,
    labels: &BTreeMap<String, String>,
    env: &[String],
) -> Result<BTreeMap<String, String>, Error> {
    let env: BTreeMap<String, String> = env
        .iter()
        .filter_map(|variable| variable.split_once('='))
        .map(|(key, value)| (key.to_string(), value.to_string()))
        .collect();
    let mut selected = BTreeMap::new();
    select(&mut selected, labels, options, "labels")?;
    select(&mut selected, &env, options, "env")?;
    Ok(selected)
}

fn select(
    selected: &mut BTreeMap<String, String>,
    from: &BTreeMap<String, String>,
    options: &Options,
    what: &str,
) -> Result<(), Error> {
    let names: Vec<&str> = options::text(options, what).split(',').collect();
    let pattern = match options::text(options, &format!("{what}-regex")) {
        "" => None,
        // Go's regular expressions and ours have the same syntax, but for the texts of errors.
        pattern => Some(
            Regex::new(pattern)
                .map_err(|_| Error::BadValue(format!("error parsing regexp: `{pattern}`")))?,
        ),
    };
    for (key, value) in from {
        let matches = |pattern: &Regex| pattern.is_match(key);
        if names.contains(&key.as_str()) || pattern.as_ref().is_some_and(matches) {
            selected.insert(key.clone(), value.clone());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|(key, value)| ((*key).to_string(), (*value).to_string()))
            .collect()
    }

    #[test]
    fn attributes_are_selected_by_name_and_pattern() {
        let options = map(&[("labels", "a,b"), ("env-regex", "^X_"), ("tag", "t")]);
        let labels = map(&[("a", "1"), ("c", "3")]);
        let env = ["X_Y=z=1".to_string(), "PATH=/bin".to_string()];
        assert_eq!(
            attributes(&options, &labels, &env).unwrap(),
            map(&[("a", "1"), ("X_Y", "z=1")])
        );
        attributes(&map(&[("env-regex", "[")]), &labels, &env).unwrap_err();
    }
}
