//! Commands that are programs of their own: `docker-NAME` in the folders of plugins.
//!
//! The protocol is Docker's. `docker-NAME docker-cli-plugin-metadata` prints a JSON document that says who made the
//! plugin and what it is for; otherwise the program gets the whole command line, flags before the plugin's name and
//! that name included, and takes the place of this process, so that its exit code and its signals are its own.

use std::collections::BTreeMap;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use dhow_client::settings::variable;
use dhow_client::{Config, Globals, context};
use serde_json::Value;

use crate::error::{Error, Result};
use dhow_golang::io_text;

/// What a plugin's file is called before its name.
const PREFIX: &str = "docker-";
/// The command with which a plugin says what it is.
const METADATA: &str = "docker-cli-plugin-metadata";
/// Where a plugin learns by which program it was called.
const ORIGINAL: &str = "DOCKER_CLI_PLUGIN_ORIGINAL_CLI_COMMAND";
const NAMES: &str = "^[a-z][a-z0-9]*$";
/// The folders for all users, in the order in which they are searched.
const SYSTEM_FOLDERS: [&str; 4] = [
    "/usr/local/lib/docker/cli-plugins",
    "/usr/local/libexec/docker/cli-plugins",
    "/usr/lib/docker/cli-plugins",
    "/usr/libexec/docker/cli-plugins",
];

/// A file that is called like a plugin.
#[derive(Debug, Clone)]
pub(crate) struct Plugin {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    /// What it says of itself; empty where it says nothing.
    pub(crate) metadata: Value,
    /// Why it is not usable.
    pub(crate) error: Option<String>,
}

impl Plugin {
    /// A text of its metadata.
    pub(crate) fn text(&self, key: &str) -> &str {
        self.metadata[key].as_str().unwrap_or_default()
    }

    /// Asks the file what it is. `taken` tells whether a command of ours has a name.
    fn ask(name: String, path: PathBuf, taken: impl Fn(&str) -> bool) -> Self {
        let mut plugin = Self {
            metadata: Value::Null,
            error: None,
            name,
            path,
        };
        plugin.error = if !is_name(&plugin.name) {
            let name = &plugin.name;
            Some(format!("plugin candidate {name:?} did not match {NAMES:?}"))
        } else if taken(&plugin.name) {
            Some(format!(
                "plugin {:?} duplicates builtin command",
                plugin.name
            ))
        } else {
            match metadata(&plugin.path) {
                Ok(metadata) => {
                    plugin.metadata = metadata;
                    plugin.unusable()
                }
                Err(error) => Some(error),
            }
        };
        plugin
    }

    /// What its metadata lack.
    fn unusable(&self) -> Option<String> {
        match self.text("SchemaVersion") {
            "0.1.0" if self.text("Vendor").is_empty() => {
                Some("plugin metadata does not define a vendor".to_owned())
            }
            "0.1.0" => None,
            version => Some(format!(
                "plugin SchemaVersion {version:?} is not valid, must be 0.1.0"
            )),
        }
    }
}

/// Every plugin there is, also those that are not usable, by name. Of several of one name, the first counts.
pub(crate) fn all(config: &Config, taken: impl Fn(&str) -> bool) -> Vec<Plugin> {
    let mut paths = BTreeMap::new();
    for folder in folders(config) {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let file = entry.file_name().to_string_lossy().into_owned();
            let is_file = entry.path().metadata().is_ok_and(|data| data.is_file());
            if let (Some(name), true) = (file.strip_prefix(PREFIX), is_file) {
                paths.entry(name.to_owned()).or_insert(entry.path());
            }
        }
    }
    let ask = |(name, path)| Plugin::ask(name, path, &taken);
    paths.into_iter().map(ask).collect()
}

/// The plugin called `name`, where there is a usable one.
pub(crate) fn find(config: &Config, name: &str) -> Option<Plugin> {
    if !is_name(name) {
        return None;
    }
    let path = folders(config)
        .into_iter()
        .map(|folder| folder.join(format!("{PREFIX}{name}")))
        .find(|path| path.is_file())?;
    let plugin = Plugin::ask(name.to_owned(), path, |_| false);
    plugin.error.is_none().then_some(plugin)
}

/// Becomes the plugin; returns only where that fails. `words` are all that followed the program's name.
pub(crate) fn become_it(
    plugin: &Plugin,
    called_by: &str,
    words: &[String],
    globals: &Globals,
    config: &Config,
) -> Error {
    let mut command = Command::new(&plugin.path);
    // What only this command line knows would be refused by the plugin's parser.
    let before = words.iter().position(|word| *word == plugin.name);
    let ours =
        |(at, word): &(usize, &String)| Some(*at) < before && word.starts_with("--no-autostart");
    let passed = words.iter().enumerate().filter(|word| !ours(word));
    command
        .args(passed.map(|(_, word)| word))
        .env(ORIGINAL, called_by);
    // Plugins know neither our default address nor our variable.
    let unnamed = globals.host.is_none() && variable("DOCKER_HOST").is_none();
    if unnamed && context::current(globals, config) == context::DEFAULT {
        command.env("DOCKER_HOST", context::default_target(globals).host);
    }
    let error = command.exec();
    Error::text(format!("{}: {}", plugin.path.display(), io_text(&error)))
}

fn folders(config: &Config) -> Vec<PathBuf> {
    let extra = config.list("cliPluginsExtraDirs").map(PathBuf::from);
    extra
        .chain([config.folder.join("cli-plugins")])
        .chain(SYSTEM_FOLDERS.map(PathBuf::from))
        .collect()
}

fn is_name(name: &str) -> bool {
    let letter = name.starts_with(|first: char| first.is_ascii_lowercase());
    letter
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
}

/// What a plugin says of itself.
fn metadata(path: &Path) -> Result<Value, String> {
    let failed = |text: String| format!("failed to fetch metadata: {text}");
    let output = Command::new(path)
        .arg(METADATA)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .map_err(|error| failed(format!("fork/exec {}: {}", path.display(), io_text(&error))))?;
    if !output.status.success() {
        return Err(failed(match output.status.code() {
            Some(code) => format!("exit status {code}"),
            None => output.status.to_string(),
        }));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| format!("invalid metadata: {error}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn script(folder: &Path, name: &str, mode: u32, answer: &str) {
        let path = folder.join(format!("docker-{name}"));
        std::fs::write(&path, format!("#!/bin/sh\n{answer}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn plugins_are_what_they_say_they_are() {
        let home = tempfile::tempdir().unwrap();
        let extra = tempfile::tempdir().unwrap();
        let own = home.path().join("cli-plugins");
        std::fs::create_dir(&own).unwrap();
        let settings = serde_json::json!({"cliPluginsExtraDirs": [extra.path()]});
        std::fs::write(home.path().join("config.json"), settings.to_string()).unwrap();
        let good = r#"echo '{"SchemaVersion":"0.1.0","Vendor":"Me","Version":"v1"}'"#;
        script(&own, "good", 0o755, good);
        script(extra.path(), "good", 0o755, &good.replace("v1", "v2"));
        script(&own, "ps", 0o755, good);
        script(&own, "Bad.name", 0o755, good);
        script(&own, "broken", 0o755, "exit 3");
        script(&own, "closed", 0o644, good);
        script(
            &own,
            "future",
            0o755,
            r#"echo '{"SchemaVersion":"9.1.0","Vendor":"x"}'"#,
        );
        script(
            &own,
            "nobodys",
            0o755,
            r#"echo '{"SchemaVersion":"0.1.0"}'"#,
        );
        let config = Config::load(home.path().to_path_buf()).unwrap();
        let found = all(&config, |name| name == "ps");
        let errors: Vec<_> = found
            .iter()
            .filter(|plugin| {
                plugin.path.starts_with(home.path()) || plugin.path.starts_with(extra.path())
            })
            .map(|plugin| (plugin.name.as_str(), plugin.error.as_deref()))
            .collect();
        let closed = format!(
            "failed to fetch metadata: fork/exec {}: permission denied",
            own.join("docker-closed").display()
        );
        assert_eq!(
            errors,
            [
                (
                    "Bad.name",
                    Some("plugin candidate \"Bad.name\" did not match \"^[a-z][a-z0-9]*$\"")
                ),
                ("broken", Some("failed to fetch metadata: exit status 3")),
                ("closed", Some(closed.as_str())),
                (
                    "future",
                    Some("plugin SchemaVersion \"9.1.0\" is not valid, must be 0.1.0")
                ),
                ("good", None),
                ("nobodys", Some("plugin metadata does not define a vendor")),
                ("ps", Some("plugin \"ps\" duplicates builtin command")),
            ]
        );
        assert_eq!(find(&config, "good").unwrap().text("Version"), "v2");
        assert!(find(&config, "broken").is_none());
        assert!(find(&config, "../good").is_none());
    }
}
