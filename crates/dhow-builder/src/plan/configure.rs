//! The instructions that change an image's configuration and nothing else.

use std::time::Duration;

use dhow_dockerfile::{Argument, Health, HealthCommand, Instruction, KeyValue, Lexer};
use dhow_golang::{format_duration, quote};
use dhow_image::is_signal;
use dhow_oci::Healthcheck;

use crate::graph::Arguments;
use crate::plan::environment::Environment;
use crate::plan::problem::Problem;
use crate::plan::state::State;

/// What these instructions need besides the stage.
pub(crate) struct Configuring<'a> {
    pub(crate) lexer: Lexer,
    pub(crate) given: &'a Arguments,
    pub(crate) globals: &'a Environment,
    /// One of the stage's instructions has set the command, which an entrypoint then leaves alone.
    pub(crate) has_command: bool,
}

impl Configuring<'_> {
    /// Carries out an instruction; the others are left alone.
    pub(crate) fn apply(
        &mut self,
        state: &mut State,
        instruction: &Instruction,
    ) -> Result<(), Problem> {
        match instruction {
            Instruction::Arg(arguments) => self.arguments(state, arguments)?,
            Instruction::Cmd(_) | Instruction::Entrypoint(_) | Instruction::Shell(_) => {
                self.program(state, instruction);
            }
            Instruction::Env(pairs) => {
                let pairs = self.pairs(state, pairs)?;
                for (name, value) in &pairs {
                    set_variable(&mut state.image.config.env, name, value);
                    state.environment.set(name, value);
                }
                state.note(format!("ENV{}", joined(&pairs)), false);
            }
            Instruction::Label(pairs) => {
                let pairs = self.pairs(state, pairs)?;
                state.note(format!("LABEL{}", joined(&pairs)), false);
                state.image.config.labels.extend(pairs);
            }
            Instruction::Expose(expose) => {
                let mut ports = Vec::new();
                for written in &expose.ports {
                    for word in self.lexer.words(written, &state.environment)? {
                        ports.extend(exposed(&word)?);
                    }
                }
                ports.sort();
                ports.dedup();
                state.note(format!("EXPOSE [{}]", ports.join(" ")), false);
                state.image.config.exposed_ports.extend(ports);
            }
            Instruction::Healthcheck(health) => {
                let check = healthcheck(health);
                state.note(format!("HEALTHCHECK {}", shown(health, &check)), false);
                state.image.config.healthcheck = Some(check);
            }
            Instruction::Maintainer(name) => {
                state.image.author = Some(name.clone());
                state.note(format!("MAINTAINER {name}"), false);
            }
            Instruction::Onbuild(trigger) => state.image.config.on_build.push(trigger.clone()),
            Instruction::StopSignal(name) => {
                let name = self.expand(state, name)?;
                if !is_signal(&name) {
                    return Err(format!("invalid signal: {name}").into());
                }
                state.note(format!("STOPSIGNAL {name}"), false);
                state.image.config.stop_signal = Some(name);
            }
            Instruction::User(user) => {
                let user = self.expand(state, user)?;
                state.note(format!("USER {user}"), false);
                state.image.config.user = user;
            }
            Instruction::Volume(paths) => {
                let paths = paths.iter().map(|path| self.expand(state, path));
                let paths = paths.collect::<Result<Vec<_>, _>>()?;
                if paths.iter().any(String::is_empty) {
                    return Err("VOLUME specified can not be an empty string".into());
                }
                state.note(format!("VOLUME [{}]", paths.join(" ")), false);
                state.image.config.volumes.extend(paths);
            }
            Instruction::Add(_)
            | Instruction::Copy(_)
            | Instruction::Run(_)
            | Instruction::Workdir(_) => {}
        }
        Ok(())
    }

    /// What is run, and by which shell.
    fn program(&mut self, state: &mut State, instruction: &Instruction) {
        match instruction {
            Instruction::Cmd(command) => {
                let words = state.command(command);
                self.has_command = true;
                state.image.config.args_escaped = true;
                state.note(format!("CMD {}", quoted(&words)), false);
                state.image.config.cmd = Some(words).filter(|words| !words.is_empty());
            }
            Instruction::Entrypoint(command) => {
                let words = state.command(command);
                state.note(format!("ENTRYPOINT {}", quoted(&words)), false);
                state.image.config.entrypoint = Some(words).filter(|words| !words.is_empty());
                if !self.has_command {
                    state.image.config.cmd = None;
                }
            }
            Instruction::Shell(words) => {
                state.image.config.shell.clone_from(words);
                state.note(format!("SHELL [{}]", words.join(" ")), false);
            }
            _ => {}
        }
    }

    fn expand(&self, state: &State, text: &str) -> Result<String, Problem> {
        Ok(self.lexer.word(text, &state.environment)?.text)
    }

    /// All pairs of an instruction, expanded by what was set before it.
    fn pairs(&self, state: &State, pairs: &[KeyValue]) -> Result<Vec<(String, String)>, Problem> {
        let pairs = pairs.iter();
        pairs
            .map(|pair| {
                let name = self.expand(state, &pair.key)?;
                Ok((name, self.expand(state, &pair.value)?))
            })
            .collect()
    }

    fn arguments(&self, state: &mut State, arguments: &[Argument]) -> Result<(), Problem> {
        let mut noted = Vec::new();
        for argument in arguments {
            let name = self.expand(state, &argument.name)?;
            let value = match (self.given.get(&name), &argument.value) {
                (Some(value), _) => Some(value.clone()),
                (None, Some(default)) => Some(self.expand(state, default)?),
                (None, None) => self.globals.value(&name).map(str::to_owned),
            };
            if let Some(value) = &value {
                state.environment.set(&name, value);
            }
            noted.push(match &value {
                Some(value) => format!("{name}={value}"),
                None => name.clone(),
            });
            state.arguments.push((name, value.unwrap_or_default()));
        }
        state.note(format!("ARG {}", noted.join(" ")), false);
        Ok(())
    }
}

/// Sets a variable of a configuration, in its place if it is there.
fn set_variable(variables: &mut Vec<String>, name: &str, value: &str) {
    let text = format!("{name}={value}");
    let there = variables
        .iter_mut()
        .find(|old| old.split('=').next() == Some(name));
    match there {
        Some(there) => *there = text,
        None => variables.push(text),
    }
}

/// ` name=value` of each.
fn joined(pairs: &[(String, String)]) -> String {
    let pairs = pairs.iter();
    pairs
        .map(|(name, value)| format!(" {name}={value}"))
        .collect()
}

/// `["a" "b"]`, as Go prints it.
fn quoted(words: &[String]) -> String {
    let words: Vec<String> = words.iter().map(|word| quote(word)).collect();
    format!("[{}]", words.join(" "))
}

/// The ports that a word means, as a configuration names them: `80`, `53/udp`, `8000-8010`, with an address and the host's
/// ports in front, which say nothing here.
fn exposed(word: &str) -> Result<Vec<String>, Problem> {
    let (ports, protocol) = word.split_once('/').unwrap_or((word, ""));
    let protocol = match protocol.to_ascii_lowercase().as_str() {
        "" => "tcp".to_owned(),
        known @ ("tcp" | "udp" | "sctp") => known.to_owned(),
        _ => return Err(format!("invalid port: {word:?}: invalid proto: {protocol}").into()),
    };
    let container = ports.rsplit(':').next().unwrap_or(ports);
    if container.is_empty() {
        return Err(format!("no port specified: {word}<empty>").into());
    }
    let (first, last) = container.split_once('-').unwrap_or((container, container));
    let number = |text: &str| text.parse::<u16>().ok();
    match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last => Ok((first..=last)
            .map(|port| format!("{port}/{protocol}"))
            .collect()),
        _ => Err(format!("invalid containerPort: {container}").into()),
    }
}

fn nanoseconds(time: Option<Duration>) -> i64 {
    time.map_or(0, |time| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX))
}

fn healthcheck(health: &Health) -> Healthcheck {
    let test = match &health.command {
        None => vec!["NONE".to_owned()],
        Some(HealthCommand::Shell(line)) => vec!["CMD-SHELL".to_owned(), line.clone()],
        Some(HealthCommand::Exec(words)) => {
            let mut test = vec!["CMD".to_owned()];
            test.extend(words.iter().cloned());
            test
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

/// As Go prints it with quotes around everything, the number of retries being taken for a letter.
fn shown(health: &Health, check: &Healthcheck) -> String {
    let times = [
        check.interval,
        check.timeout,
        check.start_period,
        check.start_interval,
    ];
    let times = times.map(|time| quote(&format_duration(time)));
    let retries = char::from_u32(health.retries).unwrap_or('\u{fffd}');
    let letter = match retries {
        '\'' => "\\'".to_owned(),
        '"' => "\"".to_owned(),
        other => quote(&other.to_string()).trim_matches('"').to_owned(),
    };
    format!(
        "&{{{} {} '{letter}'}}",
        quoted(&check.test),
        times.join(" ")
    )
}
