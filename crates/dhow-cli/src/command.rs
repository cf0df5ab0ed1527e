//! What a command is, and finding the one a command line names.

use std::future::Future;
use std::pin::Pin;

use crate::error::Result;
use crate::session::Session;
use crate::suggest;
use dhow_options::flags::{Flag, Parsed};

/// A command or a group of commands; all of them stand in `const` tables.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Command {
    pub(crate) name: &'static str,
    /// Other names for it in the same group.
    pub(crate) aliases: &'static [&'static str],
    /// The full command lines help lists under "Aliases", separated by commas.
    pub(crate) also: &'static str,
    pub(crate) about: &'static str,
    /// What its own help says instead of `about`, where that is more.
    pub(crate) long: &'static str,
    /// What follows the name in a command line; one line for each form.
    pub(crate) usage: &'static str,
    pub(crate) flags: &'static [&'static [Flag]],
    pub(crate) arguments: Arguments,
    /// Whether flags may follow arguments.
    pub(crate) interspersed: bool,
    pub(crate) action: Action,
    pub(crate) section: Section,
    /// What its arguments are, for completion.
    pub(crate) completes: Completes,
}

/// A command's future; it stays on the thread that made it.
pub(crate) type Running<'a> = Pin<Box<dyn Future<Output = Result<()>> + 'a>>;

/// What a command does.
#[derive(Clone, Copy)]
pub(crate) enum Action {
    Run(for<'a> fn(&'a Session, &'a Parsed) -> Running<'a>),
    Group(&'static [&'static Command]),
}

impl std::fmt::Debug for Action {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Run(_) => "Run",
            Self::Group(_) => "Group",
        })
    }
}

/// Where the top-level help lists a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Section {
    Common,
    Management,
    Other,
    Hidden,
}

/// How many arguments a command takes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Arguments {
    None,
    Exactly(usize),
    AtLeast(usize),
    AtMost(usize),
    Between(usize, usize),
    Any,
}

/// What a command's arguments name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Completes {
    Nothing,
    /// Containers in one of these states; all where there is none.
    Containers(&'static [&'static str]),
    /// A container, then a command inside it.
    OneContainer(&'static [&'static str]),
    Images,
    OneImage,
    Networks,
    Volumes,
    Contexts,
    Files,
    NetworkThenContainer,
    Anything,
}

impl Command {
    /// A command that runs; the rest is set by struct update.
    pub(crate) const fn new(
        name: &'static str,
        about: &'static str,
        usage: &'static str,
        run: for<'a> fn(&'a Session, &'a Parsed) -> Running<'a>,
    ) -> Self {
        Self {
            name,
            aliases: &[],
            also: "",
            about,
            long: "",
            usage,
            flags: &[],
            arguments: Arguments::None,
            interspersed: true,
            action: Action::Run(run),
            section: Section::Other,
            completes: Completes::Nothing,
        }
    }

    /// A group of commands.
    pub(crate) const fn group(
        name: &'static str,
        about: &'static str,
        commands: &'static [&'static Command],
    ) -> Self {
        Self {
            name,
            aliases: &[],
            also: "",
            about,
            long: "",
            usage: "COMMAND",
            flags: &[],
            arguments: Arguments::Any,
            interspersed: true,
            action: Action::Group(commands),
            section: Section::Management,
            completes: Completes::Nothing,
        }
    }

    /// The command of the group that is called `name`.
    pub(crate) fn find(&self, name: &str) -> Option<&'static Command> {
        let Action::Group(commands) = self.action else {
            return None;
        };
        commands
            .iter()
            .copied()
            .find(|command| command.name == name || command.aliases.contains(&name))
    }

    /// Names in the group that `name` may be a slip of.
    pub(crate) fn suggestions(&self, name: &str) -> Vec<&'static str> {
        let Action::Group(commands) = self.action else {
            return Vec::new();
        };
        let shown = commands
            .iter()
            .filter(|command| command.section != Section::Hidden);
        suggest::nearest(name, shown.map(|command| command.name))
    }

    /// The usage with the path before each of its forms.
    pub(crate) fn usage_of(&self, path: &str) -> String {
        let forms: Vec<String> = self
            .usage
            .split('\n')
            .map(|form| {
                if form.is_empty() {
                    path.to_owned()
                } else {
                    format!("{path} {form}")
                }
            })
            .collect();
        forms.join("\n\t")
    }
}

impl Arguments {
    /// Checks the number of arguments given to the command at `path`; the error is Docker's first line.
    pub(crate) fn check(self, given: usize, path: &str) -> Result<(), String> {
        let plural = |count: usize| if count == 1 { "argument" } else { "arguments" };
        let wants = |how: &str, count: usize| {
            Err(format!("'{path}' requires {how}{count} {}", plural(count)))
        };
        match self {
            Self::None if given > 0 => Err(format!("'{path}' accepts no arguments")),
            Self::Exactly(count) if given != count => wants("", count),
            Self::AtLeast(count) if given < count => wants("at least ", count),
            Self::AtMost(count) if given > count => wants("at most ", count),
            Self::Between(least, most) if given < least || given > most => Err(format!(
                "'{path}' requires at least {least} and at most {most} {}",
                plural(most)
            )),
            _ => Ok(()),
        }
    }
}

/// What the arguments before a command name turned out to be.
pub(crate) struct Found<'a> {
    pub(crate) command: &'static Command,
    /// The names that lead to it, without the program's.
    pub(crate) path: Vec<&'static str>,
    pub(crate) rest: &'a [String],
}

/// Follows the names in `words` from the group `root` on, as far as they name commands.
pub(crate) fn find<'a>(root: &'static Command, words: &'a [String]) -> Found<'a> {
    let mut found = Found {
        command: root,
        path: Vec::new(),
        rest: words,
    };
    while let Some((word, rest)) = found.rest.split_first() {
        match found.command.find(word) {
            Some(command) => {
                found.path.push(command.name);
                found = Found {
                    command,
                    path: found.path,
                    rest,
                };
            }
            None => break,
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_numbers_of_arguments_have_dockers_texts() {
        for (arguments, given, text) in [
            (Arguments::None, 1, "'docker x' accepts no arguments"),
            (Arguments::Exactly(1), 0, "'docker x' requires 1 argument"),
            (Arguments::Exactly(2), 1, "'docker x' requires 2 arguments"),
            (
                Arguments::AtLeast(1),
                0,
                "'docker x' requires at least 1 argument",
            ),
            (
                Arguments::AtMost(1),
                2,
                "'docker x' requires at most 1 argument",
            ),
        ] {
            assert_eq!(arguments.check(given, "docker x"), Err(text.to_owned()));
        }
        assert_eq!(Arguments::AtLeast(1).check(3, "docker x"), Ok(()));
    }
}
