//! Dockerfile instructions that change an image's config: `--change` of import and commit.

mod expose;
mod signal;

pub use signal::is_signal;

use std::borrow::Cow;
use std::time::Duration;

use dhow_dockerfile::{
    CommandLine, Expander, Health, HealthCommand, Instruction, KeyValue, Lexer, Variables,
};
use dhow_oci::{ContainerConfig, Healthcheck};

use crate::Error;

/// The instructions moby allows here.
const ALLOWED: [&str; 11] = [
    "CMD",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "HEALTHCHECK",
    "LABEL",
    "ONBUILD",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];

/// Applies the Dockerfile instructions `changes` in order; each may hold several lines.
///
/// # Errors
/// [`Error::Change`] for one that is unknown, malformed or not allowed here; `config` is changed in part then.
pub fn apply_changes(config: &mut ContainerConfig, changes: &[String]) -> Result<(), Error> {
    if changes.is_empty() {
        return Ok(());
    }
    let text = changes.join("\n");
    let parsed = dhow_dockerfile::parse(format!("FROM scratch\n{text}\n").as_bytes());
    let stages = match parsed {
        Ok(parsed) => parsed.stages,
        Err(error) => {
            return Err(foreign(&text).unwrap_or_else(|| Error::Change(error.reason)));
        }
    };
    if let Some(other) = stages.get(1) {
        return Err(not_here(&other.keywords.0));
    }
    let steps: Vec<_> = stages.into_iter().flat_map(|stage| stage.steps).collect();
    let foreign = steps.iter().find(|step| !is_allowed(&step.keyword));
    if let Some(step) = foreign {
        return Err(not_here(&step.keyword));
    }
    if steps.is_empty() {
        return Err(Error::Change("file with no instructions".into()));
    }
    let mut changing = Changing {
        config,
        has_command: false,
    };
    steps
        .into_iter()
        .try_for_each(|step| changing.apply(step.instruction))
}

fn is_allowed(keyword: &str) -> bool {
    ALLOWED.contains(&keyword.to_ascii_uppercase().as_str())
}

fn not_here(keyword: &str) -> Error {
    Error::Change(format!("{keyword} is not a valid change command"))
}

/// The first instruction of a text that is not allowed: that is told before what is wrong with the others.
fn foreign(text: &str) -> Option<Error> {
    let mut goes_on = false;
    for line in text.lines().map(str::trim) {
        let begins = !std::mem::replace(&mut goes_on, line.ends_with('\\'));
        let keyword = line.split_whitespace().next();
        if let Some(keyword) = keyword.filter(|word| begins && !word.starts_with('#'))
            && !is_allowed(keyword)
        {
            return Some(not_here(keyword));
        }
    }
    None
}

/// A config that is being changed.
struct Changing<'a> {
    config: &'a mut ContainerConfig,
    /// One of the instructions has set the command, which an entrypoint then leaves alone.
    has_command: bool,
}

impl Changing<'_> {
    fn apply(&mut self, instruction: Instruction) -> Result<(), Error> {
        match instruction {
            Instruction::Cmd(command) => {
                self.has_command = !is_empty(&command);
                self.config.cmd = Some(self.command(command));
            }
            Instruction::Entrypoint(command) => {
                self.config.entrypoint = (!is_empty(&command)).then(|| self.command(command));
                if !self.has_command {
                    self.config.cmd = None;
                }
            }
            Instruction::Env(pairs) => self.env(pairs)?,
            Instruction::Label(pairs) => {
                let pairs = self.pairs(pairs)?;
                self.config.labels.extend(pairs);
            }
            Instruction::Expose(expose) => {
                for words in &expose.ports {
                    for word in self.words(words)? {
                        self.config.exposed_ports.extend(expose::ports(&word)?);
                    }
                }
            }
            Instruction::Volume(paths) => {
                for path in &paths {
                    let path = self.expand(path)?;
                    if path.is_empty() {
                        let text = "VOLUME specified can not be an empty string";
                        return Err(Error::Change(text.into()));
                    }
                    self.config.volumes.insert(path);
                }
            }
            Instruction::User(user) => self.config.user = self.expand(&user)?,
            Instruction::Workdir(path) => {
                let path = self.expand(&path)?;
                self.config.working_dir = workdir(&self.config.working_dir, &path)?;
            }
            Instruction::StopSignal(name) => {
                let name = self.expand(&name)?;
                signal::check(&name)?;
                self.config.stop_signal = Some(name);
            }
            Instruction::Onbuild(trigger) => self.config.on_build.push(trigger),
            Instruction::Healthcheck(health) => self.config.healthcheck = Some(check(health)),
            // Refused before the first is applied.
            _ => {}
        }
        Ok(())
    }

    /// A command as it is run: one line is for the shell.
    fn command(&self, command: CommandLine) -> Vec<String> {
        if !command.shell {
            return command.words;
        }
        let mut words = match self.config.shell.is_empty() {
            true => vec!["/bin/sh".to_owned(), "-c".to_owned()],
            false => self.config.shell.clone(),
        };
        words.extend(command.words.into_iter().filter(|word| !word.is_empty()));
        words
    }

    fn env(&mut self, pairs: Vec<KeyValue>) -> Result<(), Error> {
        for (key, value) in self.pairs(pairs)? {
            let variable = format!("{key}={value}");
            let there = self
                .config
                .env
                .iter_mut()
                .find(|old| old.split('=').next() == Some(&key));
            match there {
                Some(there) => *there = variable,
                None => self.config.env.push(variable),
            }
        }
        Ok(())
    }

    /// All pairs of an instruction, expanded by what was set before it.
    fn pairs(&self, pairs: Vec<KeyValue>) -> Result<Vec<(String, String)>, Error> {
        let pairs = pairs.into_iter();
        pairs
            .map(|pair| Ok((self.expand(&pair.key)?, self.expand(&pair.value)?)))
            .collect()
    }

    fn expand(&self, text: &str) -> Result<String, Error> {
        let expander = Expander {
            lexer: Lexer::new('\\'),
            variables: &Environment(&self.config.env),
        };
        expander
            .expand(text)
            .map_err(|error| Error::Change(error.to_string()))
    }

    fn words(&self, text: &str) -> Result<Vec<String>, Error> {
        Lexer::new('\\')
            .words(text, &Environment(&self.config.env))
            .map_err(|error| Error::Change(error.to_string()))
    }
}

/// The variables of a config.
struct Environment<'a>(&'a [String]);

impl Variables for Environment<'_> {
    fn get(&self, name: &str) -> Option<Cow<'_, str>> {
        let pairs = self.0.iter().filter_map(|pair| pair.split_once('='));
        pairs
            .rev()
            .find(|(key, _)| *key == name)
            .map(|(_, value)| Cow::from(value))
    }
}

fn is_empty(command: &CommandLine) -> bool {
    command.words.iter().all(String::is_empty)
}

fn workdir(old: &str, new: &str) -> Result<String, Error> {
    if new.is_empty() {
        return Err(Error::Change("cannot normalize nothing".into()));
    }
    if new.starts_with('/') {
        return Ok(new.to_owned());
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in old.split('/').chain(new.split('/')) {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    Ok(format!("/{}", parts.join("/")))
}

fn check(health: Health) -> Healthcheck {
    let nanoseconds = |time: Option<Duration>| {
        time.map_or(0, |time| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX))
    };
    let test = match health.command {
        None => vec!["NONE".to_owned()],
        Some(HealthCommand::Shell(line)) => vec!["CMD-SHELL".to_owned(), line],
        Some(HealthCommand::Exec(words)) => {
            std::iter::once("CMD".to_owned()).chain(words).collect()
        }
    };
    Healthcheck {
        test,
        interval: nanoseconds(health.interval),
        timeout: nanoseconds(health.timeout),
        start_period: nanoseconds(health.start_period),
        start_interval: nanoseconds(health.start_interval),
        retries: i64::from(health.retries),
    }
}

#[cfg(test)]
mod tests;
