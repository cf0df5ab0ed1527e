//! Dockerfile instructions that change an image's config: `--change` of import and commit.

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
/// Instructions of a Dockerfile that change more than the config.
const OTHERS: [&str; 7] = ["ADD", "ARG", "COPY", "FROM", "MAINTAINER", "RUN", "SHELL"];

/// Applies the Dockerfile instructions `changes` in order; each may hold several lines.
///
/// # Errors
/// [`Error::Change`] for one that is unknown, malformed or not allowed here; `config` is changed in part then.
pub fn apply_changes(config: &mut ContainerConfig, changes: &[String]) -> Result<(), Error> {
    let joined = changes.join("\n").replace("\\\n", " ");
    for (number, line) in joined.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        apply(config, line, number + 1)?;
    }
    Ok(())
}

fn apply(config: &mut ContainerConfig, line: &str, number: usize) -> Result<(), Error> {
    let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let (name, rest) = (word.to_ascii_uppercase(), rest.trim());
    if OTHERS.contains(&name.as_str()) {
        return Err(Error::Change(format!(
            "{} is not a valid change command",
            name.to_lowercase()
        )));
    }
    if !ALLOWED.contains(&name.as_str()) {
        return Err(Error::Change(format!(
            "dockerfile parse error on line {number}: unknown instruction: {word}"
        )));
    }
    if rest.is_empty() && !matches!(name.as_str(), "CMD" | "ENTRYPOINT") {
        return Err(Error::Change(format!(
            "dockerfile parse error on line {number}: {name} requires at least one argument"
        )));
    }
    match name.as_str() {
        "CMD" => config.cmd = Some(command(rest, config)),
        "ENTRYPOINT" => {
            config.entrypoint = Some(command(rest, config));
            config.cmd = None;
        }
        "ENV" => {
            for (key, value) in pairs(rest, number)? {
                config.env.retain(|old| old.split('=').next() != Some(&key));
                config.env.push(format!("{key}={value}"));
            }
        }
        "LABEL" => config.labels.extend(pairs(rest, number)?),
        "EXPOSE" => {
            config.exposed_ports.extend(words(rest).into_iter().map(
                |port| match port.contains('/') {
                    true => port,
                    false => format!("{port}/tcp"),
                },
            ))
        }
        "VOLUME" => config
            .volumes
            .extend(json_list(rest).unwrap_or_else(|| words(rest))),
        "USER" => config.user = rest.to_owned(),
        "WORKDIR" => config.working_dir = workdir(&config.working_dir, rest),
        "STOPSIGNAL" => config.stop_signal = Some(rest.to_owned()),
        "ONBUILD" => config.on_build.push(rest.to_owned()),
        "HEALTHCHECK" => config.healthcheck = Some(healthcheck(rest, config, number)?),
        _ => {}
    }
    Ok(())
}

/// A JSON list is the command itself; anything else is for the shell.
fn command(text: &str, config: &ContainerConfig) -> Vec<String> {
    json_list(text).unwrap_or_else(|| {
        let mut command = match config.shell.is_empty() {
            true => vec!["/bin/sh".to_owned(), "-c".to_owned()],
            false => config.shell.clone(),
        };
        command.push(text.to_owned());
        command
    })
}

fn json_list(text: &str) -> Option<Vec<String>> {
    text.starts_with('[')
        .then(|| serde_json::from_str(text).ok())
        .flatten()
}

/// `key=value key2="a b"`, or the old form `key the rest`.
fn pairs(text: &str, number: usize) -> Result<Vec<(String, String)>, Error> {
    let first = text.split(char::is_whitespace).next().unwrap_or_default();
    if !first.contains('=') {
        let (key, value) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        return Ok(vec![(key.to_owned(), value.trim().to_owned())]);
    }
    words(text)
        .into_iter()
        .map(|word| match word.split_once('=') {
            Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
            _ => Err(Error::Change(format!(
                "dockerfile parse error on line {number}: Syntax error - can't find = in {word:?}. \
                 Must be of the form: name=value"
            ))),
        })
        .collect()
}

/// Words with quotes and backslashes taken away.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    let mut open = false;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match (quote, character) {
            (Some(q), c) if c == q => quote = None,
            (Some('\''), c) => word.push(c),
            (_, '\\') => word.extend(characters.next()),
            (None, c @ ('"' | '\'')) => {
                quote = Some(c);
                open = true;
            }
            (None, c) if c.is_whitespace() => {
                if open || !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                    open = false;
                }
            }
            (_, c) => word.push(c),
        }
    }
    if open || !word.is_empty() {
        words.push(word);
    }
    words
}

fn workdir(old: &str, new: &str) -> String {
    match new.starts_with('/') || old.is_empty() {
        true if new.starts_with('/') => new.to_owned(),
        true => format!("/{new}"),
        false => format!("{}/{new}", old.trim_end_matches('/')),
    }
}

fn healthcheck(text: &str, config: &ContainerConfig, number: usize) -> Result<Healthcheck, Error> {
    let wrong = |what: &str| {
        Error::Change(format!(
            "dockerfile parse error on line {number}: {what} in HEALTHCHECK"
        ))
    };
    let mut check = Healthcheck::default();
    let mut rest = text;
    while let Some(option) = rest.strip_prefix("--") {
        let (option, after) = option
            .split_once(char::is_whitespace)
            .unwrap_or((option, ""));
        let (name, value) = option
            .split_once('=')
            .ok_or_else(|| wrong("missing value"))?;
        let duration = || nanoseconds(value).ok_or_else(|| wrong("invalid duration"));
        match name {
            "interval" => check.interval = duration()?,
            "timeout" => check.timeout = duration()?,
            "start-period" => check.start_period = duration()?,
            "start-interval" => check.start_interval = duration()?,
            "retries" => check.retries = value.parse().map_err(|_| wrong("invalid retries"))?,
            _ => return Err(wrong("unknown flag")),
        }
        rest = after.trim_start();
    }
    let (kind, command_text) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    check.test = match kind.to_ascii_uppercase().as_str() {
        "NONE" => vec!["NONE".into()],
        "CMD" => match json_list(command_text.trim()) {
            Some(list) => std::iter::once("CMD".to_owned()).chain(list).collect(),
            None => vec!["CMD-SHELL".into(), command_text.trim().to_owned()],
        },
        _ => return Err(wrong("unknown type")),
    };
    let _ = config;
    Ok(check)
}

/// A duration as Go writes it: `1m30s`, `500ms`.
fn nanoseconds(text: &str) -> Option<i64> {
    let duration: jiff::SignedDuration = text.parse().ok()?;
    i64::try_from(duration.as_nanos()).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn changed(changes: &[&str]) -> Result<ContainerConfig, Error> {
        let mut config = ContainerConfig::default();
        let changes: Vec<String> = changes.iter().map(|c| (*c).to_owned()).collect();
        apply_changes(&mut config, &changes).map(|()| config)
    }

    #[test]
    fn commands() {
        let config = changed(&[r#"CMD ["sh", "-l"]"#]).unwrap();
        assert_eq!(config.cmd.unwrap(), ["sh", "-l"]);
        let config = changed(&["cmd echo hi", "ENTRYPOINT [\"/x\"]"]).unwrap();
        assert_eq!(config.cmd, None);
        assert_eq!(config.entrypoint.unwrap(), ["/x"]);
        let config = changed(&["CMD echo hi"]).unwrap();
        assert_eq!(config.cmd.unwrap(), ["/bin/sh", "-c", "echo hi"]);
    }

    #[test]
    fn pairs_in_both_forms() {
        let config = changed(&[
            "ENV A=1 B=\"two words\" C=x\\ y",
            "ENV D old form",
            "ENV A=2",
        ])
        .unwrap();
        assert_eq!(config.env, ["B=two words", "C=x y", "D=old form", "A=2"]);
        let config = changed(&["LABEL x=y\nLABEL z='q'"]).unwrap();
        assert_eq!(config.labels["z"], "q");
    }

    #[test]
    fn the_rest() {
        let config = changed(&[
            "EXPOSE 80 53/udp",
            "VOLUME /a /b",
            "VOLUME [\"/c\"]",
            "WORKDIR /x",
            "WORKDIR y",
            "USER me",
            "STOPSIGNAL SIGINT",
            "HEALTHCHECK --interval=5s --retries=2 CMD true",
        ])
        .unwrap();
        assert!(config.exposed_ports.contains("80/tcp") && config.exposed_ports.contains("53/udp"));
        assert_eq!(config.volumes.len(), 3);
        assert_eq!(config.working_dir, "/x/y");
        let check = config.healthcheck.unwrap();
        assert_eq!((check.interval, check.retries), (5_000_000_000, 2));
        assert_eq!(check.test, ["CMD-SHELL", "true"]);
    }

    #[test]
    fn refused() {
        let table = [
            ("RUN x", "run is not a valid change command"),
            (
                "FOO x",
                "dockerfile parse error on line 1: unknown instruction: FOO",
            ),
            (
                "ENV",
                "dockerfile parse error on line 1: ENV requires at least one argument",
            ),
        ];
        for (change, text) in table {
            assert_eq!(changed(&[change]).unwrap_err().to_string(), text);
        }
    }
}
