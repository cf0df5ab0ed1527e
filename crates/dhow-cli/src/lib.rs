//! The command line: one file per verb.
//!
//! [`main`] reads the global flags, finds the command in the tables of `commands`, reads its flags and runs it.
//! A command is a `const` [`command::Command`] beside the function that does the work; help and completion come
//! from the same tables. Commands talk to the engine only through [`dhow_client::Client`], and what they print about
//! the engine's answers goes through `format`.

mod attach;
mod autostart;
mod command;
mod commands;
mod complete;
mod error;
mod flags;
mod format;
mod globals;
mod help;
mod options;
mod outcome;
mod session;

#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::process::ExitCode;

use command::{Action, Command, Found};
use dhow_client::Config;
use error::Error;
use flags::{Outcome, Parsed};
use globals::GLOBALS;
use session::Session;

/// Runs one command line; `args[0]` is the name the program was called by (`dhow` or `docker`).
///
/// The exit code is Docker's: 125 where flags are wrong or a container could not be made, 126 and 127 where its
/// command could not be run, the container's own for `run`, `start -a`, `exec` and `attach`, and 1 otherwise.
#[must_use]
pub fn main(args: Vec<OsString>) -> ExitCode {
    let previous = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        dhow_terminal::restore_all();
        previous(panic);
    }));
    let words: Vec<String> = args
        .into_iter()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let (name, words) = words
        .split_first()
        .map_or(("dhow", &[][..]), |(n, w)| (n.as_str(), w));
    let program = name
        .rsplit('/')
        .next()
        .filter(|name| !name.is_empty())
        .unwrap_or("dhow");
    let code = run(program, words);
    dhow_terminal::restore_all();
    ExitCode::from(code)
}

fn run(program: &str, words: &[String]) -> u8 {
    match dispatch(program, words) {
        Ok(()) => 0,
        Err(error) => {
            let text = error.to_string();
            if !text.is_empty() {
                outcome::to_stderr(&text);
            }
            error.code()
        }
    }
}

fn dispatch(program: &str, words: &[String]) -> Result<(), Error> {
    let root = &commands::ROOT;
    let globals = match flags::parse(&[GLOBALS], false, words) {
        Ok(Outcome::Parsed(parsed)) => parsed,
        Ok(Outcome::Help(deprecated)) => return show_root_help(program, deprecated),
        Err(error) => {
            return Err(outcome::usage(
                &error,
                &format!("{program} [OPTIONS] COMMAND [ARG...]"),
                program,
            ));
        }
    };
    if globals.switch("version") {
        return outcome::to_stdout(&format!("{}\n", globals::version_line(program)));
    }
    let rest = globals.arguments.clone();
    match rest.first().map(String::as_str) {
        Some("__complete") => return complete::run(&globals, &rest[1..]),
        Some(autostart::HELPER) => {
            return Ok(autostart::helper(rest.get(1).map_or("", String::as_str))?);
        }
        _ => {}
    }
    let found = match rest.first().map(String::as_str) {
        None => {
            outcome::to_stderr(help::root(root, program, GLOBALS, session::columns()).trim_end());
            return Ok(());
        }
        Some("help") if rest.len() == 1 => return show_root_help(program, false),
        Some("help") => {
            let found = command::find(root, &rest[1..]);
            return show_help(&found, program, false);
        }
        Some(_) => command::find(root, &rest),
    };
    run_command(program, &found, &globals)
}

fn run_command(program: &str, found: &Found<'_>, globals: &Parsed) -> Result<(), Error> {
    let command = found.command;
    let path = format!("{program} {}", found.path.join(" "))
        .trim_end()
        .to_owned();
    let parsed = match flags::parse(command.flags, command.interspersed, found.rest) {
        Ok(Outcome::Parsed(parsed)) => parsed,
        Ok(Outcome::Help(deprecated)) => return show_help(found, program, deprecated),
        Err(error) => return Err(outcome::usage(&error, &command.usage_of(&path), &path)),
    };
    let action = match command.action {
        Action::Run(action) => action,
        Action::Group(_) => return group(found, program, &path, &parsed),
    };
    command
        .arguments
        .check(parsed.arguments.len(), &path)
        .map_err(|error| outcome::arguments(&error, command, &path, program))?;
    let session = Session::new(
        program.to_owned(),
        found.path.join(" "),
        globals::read(globals)?,
        Config::load(globals::folder(globals))?,
    );
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::io("start the event loop", error))?;
    let outcome = runtime.block_on(action(&session, &parsed));
    // A thread may still wait for input that nobody needs any more.
    runtime.shutdown_background();
    outcome
}

/// A group named without a command of it.
fn group(found: &Found<'_>, program: &str, path: &str, parsed: &Parsed) -> Result<(), Error> {
    let Some(word) = parsed.arguments.first() else {
        outcome::to_stderr(help::command(found.command, path, session::columns()).trim_end());
        return Ok(());
    };
    if found.path.is_empty() && commands::MISSING.contains(&word.as_str()) {
        return Err(Error::text(format!(
            "{program}: '{program} {word}' is not implemented"
        )));
    }
    let usage = if found.path.is_empty() {
        String::new()
    } else {
        format!("Usage:  {path}\n\n")
    };
    let suggestions = found.command.suggestions(word);
    let meant = match suggestions.as_slice() {
        [] => String::new(),
        names => format!("Did you mean this?\n\t{}\n\n", names.join("\n\t")),
    };
    Err(Error::text(format!(
        "{program}: unknown command: {path} {word}\n\n{usage}{meant}Run '{path} --help' for more information"
    )))
}

fn show_help(found: &Found<'_>, program: &str, deprecated: bool) -> Result<(), Error> {
    if found.path.is_empty() {
        return show_root_help(program, deprecated);
    }
    if deprecated {
        outcome::to_stderr("Flag shorthand -h has been deprecated, use --help");
    }
    let path = format!("{program} {}", found.path.join(" "));
    outcome::to_stdout(&help::command(found.command, &path, session::columns()))
}

fn show_root_help(program: &str, deprecated: bool) -> Result<(), Error> {
    if deprecated {
        outcome::to_stderr("Flag shorthand -h has been deprecated, use --help");
    }
    outcome::to_stdout(&help::root(
        &commands::ROOT,
        program,
        GLOBALS,
        session::columns(),
    ))
}

/// The root of all commands, for those who list them.
fn root() -> &'static Command {
    &commands::ROOT
}
