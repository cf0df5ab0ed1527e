//! The commands, and what several of them share.

mod api_socket;
mod attach;
mod build;
mod builder;
mod commit;
mod completion;
mod context;
mod cp;
mod create;
mod diff;
mod events;
mod exec;
mod fsck;
mod history;
mod images;
mod info;
mod inspect;
mod kill;
mod load;
mod login;
mod logs;
mod manifest;
mod messages;
mod network;
mod pause;
mod port;
mod prune;
mod ps;
mod pull;
mod push;
mod rename;
mod restart;
mod rm;
mod rmi;
mod run;
mod save;
mod search;
mod start;
mod stats;
mod stop;
mod system;
mod tag;
mod top;
mod unpause;
mod update;
mod version;
mod volume;
mod wait;
mod why;

use dhow_client::settings::variable;
use dhow_oci::{Platform, Reference};
use dhow_terminal::is_terminal;
use serde_json::json;

use crate::command::{Command, Section};
use crate::error::{Error, Result};
use crate::session::Session;
use dhow_golang::parse_bool;
use dhow_options::flags::{Flag, Parsed};

/// A command's function in the form its table takes.
macro_rules! runner {
    ($function:path) => {
        |session, flags| Box::pin($function(session, flags))
    };
}
pub(crate) use runner;

/// All commands.
pub(crate) const ROOT: Command = Command {
    about: "A self-sufficient runtime for containers",
    usage: "[OPTIONS] COMMAND",
    ..Command::group("", "", COMMANDS)
};

const COMMANDS: &[&Command] = &[
    &Command {
        section: Section::Common,
        ..run::COMMAND
    },
    &Command {
        section: Section::Common,
        ..exec::COMMAND
    },
    &Command {
        section: Section::Common,
        ..ps::COMMAND
    },
    &Command {
        section: Section::Common,
        ..build::COMMAND
    },
    &Command {
        section: Section::Common,
        ..pull::COMMAND
    },
    &Command {
        section: Section::Common,
        ..push::COMMAND
    },
    &images::COMMAND,
    &login::COMMAND,
    &login::LOGOUT,
    &search::COMMAND,
    &version::COMMAND,
    &info::COMMAND,
    &builder::BUILDER,
    &builder::BUILDX,
    &CONTAINER,
    &context::COMMAND,
    &IMAGE,
    &manifest::COMMAND,
    &network::COMMAND,
    &system::COMMAND,
    &volume::COMMAND,
    &attach::COMMAND,
    &commit::COMMAND,
    &completion::COMMAND,
    &cp::COMMAND,
    &create::COMMAND,
    &diff::COMMAND,
    &events::COMMAND,
    &save::EXPORT,
    &history::COMMAND,
    &load::IMPORT,
    &inspect::COMMAND,
    &kill::COMMAND,
    &load::COMMAND,
    &logs::COMMAND,
    &pause::COMMAND,
    &port::COMMAND,
    &rename::COMMAND,
    &restart::COMMAND,
    &rm::COMMAND,
    &rmi::COMMAND,
    &save::COMMAND,
    &start::COMMAND,
    &stats::COMMAND,
    &stop::COMMAND,
    &tag::COMMAND,
    &top::COMMAND,
    &unpause::COMMAND,
    &update::COMMAND,
    &wait::COMMAND,
    &why::COMMAND,
];

const CONTAINER: Command = Command::group(
    "container",
    "Manage containers",
    &[
        &attach::COMMAND,
        &commit::COMMAND,
        &cp::COMMAND,
        &create::COMMAND,
        &diff::COMMAND,
        &exec::COMMAND,
        &save::EXPORT,
        &inspect::CONTAINER,
        &kill::COMMAND,
        &logs::COMMAND,
        &ps::LS,
        &pause::COMMAND,
        &port::COMMAND,
        &prune::CONTAINER,
        &rename::COMMAND,
        &restart::COMMAND,
        &rm::COMMAND,
        &run::COMMAND,
        &start::COMMAND,
        &stats::COMMAND,
        &stop::COMMAND,
        &top::COMMAND,
        &unpause::COMMAND,
        &update::COMMAND,
        &wait::COMMAND,
    ],
);

const IMAGE: Command = Command::group(
    "image",
    "Manage images",
    &[
        &build::COMMAND,
        &history::COMMAND,
        &load::IMPORT,
        &inspect::IMAGE,
        &load::COMMAND,
        &images::LS,
        &prune::IMAGE,
        &pull::COMMAND,
        &push::COMMAND,
        &rmi::RM,
        &save::COMMAND,
        &tag::COMMAND,
    ],
);

/// Docker's commands that are not here yet, so that whoever types one learns that it is not a slip.
pub(crate) const MISSING: [&str; 21] = [
    "buildx bake",
    "buildx create",
    "buildx dial-stdio",
    "buildx history",
    "buildx imagetools",
    "buildx rm",
    "buildx stop",
    "buildx use",
    "checkpoint",
    "compose",
    "config",
    "model",
    "node",
    "plugin",
    "scout",
    "secret",
    "service",
    "stack",
    "swarm",
    "trust",
    "volume update",
];

/// The states in which a container can be attached to.
const ATTACHABLE: &[&str] = &["running"];

/// The format given by flag, else that of the settings.
fn format_or(session: &Session, flags: &Parsed, setting: &str) -> String {
    match flags.text("format") {
        "" if !flags.switch("quiet") => session.config.text(setting).unwrap_or_default().to_owned(),
        format => format.to_owned(),
    }
}

/// A terminal in the container needs one here.
fn check_tty(stdin: bool, tty: bool) -> Result<()> {
    if stdin && tty && !is_terminal(std::io::stdin()) {
        return Err(Error::text("the input device is not a TTY"));
    }
    Ok(())
}

/// `--disable-content-trust`; to turn it off is refused, as signatures are not there to be checked or made.
const fn content_trust(usage: &'static str) -> Flag {
    Flag::switch("disable-content-trust", usage)
        .default("true")
        .checked(|value| match parse_bool(value) {
            Ok(false) => Err("content trust is not implemented".to_owned()),
            _ => Ok(()),
        })
}

/// Refuses to go on where the environment asks for signed images.
fn check_content_trust(flags: &Parsed) -> Result<()> {
    let asked =
        variable("DOCKER_CONTENT_TRUST").is_some_and(|value| parse_bool(&value) == Ok(true));
    if asked && !flags.changed("disable-content-trust") {
        return Err(Error::text(
            "content trust is not implemented: unset DOCKER_CONTENT_TRUST, or use --disable-content-trust",
        ));
    }
    Ok(())
}

/// The image that is pulled or pushed: without a tag, the default one is meant, and said; all with `--all-tags`.
fn tagged(session: &Session, flags: &Parsed) -> Result<Reference> {
    check_content_trust(flags)?;
    let reference =
        Reference::parse(flags.argument(0)).map_err(|error| Error::text(error.to_string()))?;
    let all = flags.switch("all-tags");
    let bare = reference.tag().is_none() && reference.digest().is_none();
    if all && !bare {
        return Err(Error::text("tag can't be used with --all-tags/-a"));
    }
    if all || !bare {
        return Ok(reference);
    }
    let reference = reference.with_default_tag();
    if !flags.switch("quiet") {
        let tag = reference.tag().unwrap_or_default();
        session.println(&format!("Using default tag: {tag}"))?;
    }
    Ok(reference)
}

/// A platform in the form of the API: JSON. Nothing for nothing.
fn platform_json(text: &str) -> Result<String> {
    if text.is_empty() {
        return Ok(String::new());
    }
    let platform: Platform = text
        .parse()
        .map_err(|error| Error::text(format!("invalid platform: {error}")))?;
    let mut value = json!({"architecture": platform.architecture, "os": platform.os});
    if let Some(variant) = &platform.variant {
        value["variant"] = json!(variant);
    }
    Ok(value.to_string())
}

#[cfg(test)]
mod docker;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::command::Action;
    use dhow_options::flags::Kind;

    fn visit(command: &Command, path: &str, seen: &mut Vec<String>) {
        seen.push(path.to_owned());
        let flags: Vec<_> = command
            .flags
            .iter()
            .flat_map(|table| table.iter())
            .collect();
        let mut names = HashSet::new();
        let mut shorts = HashSet::new();
        for flag in &flags {
            assert!(names.insert(flag.name), "{path}: --{} twice", flag.name);
            assert!(
                flag.short.is_none_or(|s| shorts.insert(s)),
                "{path}: -{:?} twice",
                flag.short
            );
            let bare = flag.kind == Kind::Switch;
            assert_eq!(
                bare,
                flag.value.is_empty(),
                "{path}: --{}'s kind of value",
                flag.name
            );
            let alias = flag.alias_of;
            assert!(
                alias.is_empty() || flags.iter().any(|f| f.name == alias),
                "{path}: {alias}"
            );
        }
        let help = crate::help::command(command, path, 80);
        assert!(help.starts_with(&format!("Usage:  {path}")), "{help}");
        if let Action::Group(commands) = command.action {
            let mut names = HashSet::new();
            for inner in commands {
                let all = inner.aliases.iter().chain([&inner.name]);
                all.for_each(|name| assert!(names.insert(*name), "{path} {name} twice"));
                visit(inner, &format!("{path} {}", inner.name), seen);
            }
        }
    }

    #[test]
    fn the_tables_are_sound() {
        let mut seen = Vec::new();
        visit(&ROOT, "dhow", &mut seen);
        assert!(seen.len() > 90, "{} commands", seen.len());
        assert!(MISSING.iter().all(|path| {
            let words: Vec<String> = path.split(' ').map(str::to_owned).collect();
            crate::command::find(&ROOT, &words).path.len() < words.len()
        }));
    }

    #[test]
    fn help_is_wrapped_as_dockers() {
        let help = crate::help::command(&stop::COMMAND, "docker stop", 80);
        assert_eq!(
            help,
            "Usage:  docker stop [OPTIONS] CONTAINER [CONTAINER...]\n\n\
             Stop one or more running containers\n\n\
             Aliases:\n  docker container stop, docker stop\n\n\
             Options:\n\
             \x20 -s, --signal string   Signal to send to the container\n\
             \x20 -t, --timeout int     Seconds to wait before killing the container\n"
        );
    }

    #[test]
    fn slips_are_recognised() {
        for (typed, meant) in [("pss", "ps"), ("iamges", "images"), ("volum", "volume")] {
            assert!(ROOT.suggestions(typed).contains(&meant), "{typed}");
        }
        assert!(ROOT.suggestions("foo").is_empty());
    }
}
