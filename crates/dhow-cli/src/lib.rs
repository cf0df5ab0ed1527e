//! The command line: one file per verb.
//!
//! [`main`] reads the global flags, finds the command in the tables of `commands`, reads its flags and runs it.
//! A command is a `const` [`command::Command`] beside the function that does the work; help and completion come
//! from the same tables. Commands talk to the engine only through [`dhow_client::Client`], and what they print about
//! the engine's answers goes through `dhow_format`.

mod attach;
mod autostart;
mod command;
mod commands;
mod complete;
mod error;
mod globals;
mod help;
mod outcome;
mod plugins;
mod session;
mod suggest;

#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::process::ExitCode;

use command::{Action, Command, Found};
use dhow_client::{Config, Globals};
use dhow_options::flags::{self, Outcome, Parsed};
use error::Error;
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
    let line = CommandLine {
        called_by: name,
        program,
        words,
    };
    let code = line.run();
    dhow_terminal::restore_all();
    ExitCode::from(code)
}

/// One command line.
struct CommandLine<'a> {
    /// The program as it was called, perhaps with its path.
    called_by: &'a str,
    /// `dhow` or `docker`.
    program: &'a str,
    words: &'a [String],
}

impl CommandLine<'_> {
    fn run(&self) -> u8 {
        match self.dispatch() {
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

    fn dispatch(&self) -> Result<(), Error> {
        let globals = match flags::parse(&[GLOBALS], false, self.words) {
            Ok(Outcome::Parsed(parsed)) => parsed,
            Ok(Outcome::Help(deprecated)) => return self.root_help(&Parsed::default(), deprecated),
            Err(error) => {
                let usage = format!("{} [OPTIONS] COMMAND [ARG...]", self.program);
                let meant = suggest::flags(&error, &[GLOBALS]);
                return Err(outcome::usage(&error, &meant, &usage, self.program));
            }
        };
        if globals.switch("version") {
            return outcome::to_stdout(&format!("{}\n", globals::version_line(self.program)));
        }
        let rest = globals.arguments.clone();
        match rest.first().map(String::as_str) {
            Some("__complete") => return complete::run(&globals, &rest[1..]),
            Some(autostart::HELPER) => {
                return Ok(autostart::helper(rest.get(1).map_or("", String::as_str))?);
            }
            None => {
                let plugins = plugins::all(&config(&globals)?, is_command);
                outcome::to_stderr(self.root_help_text(&plugins).trim_end());
                return Ok(());
            }
            Some("help") if rest.len() == 1 => return self.root_help(&globals, false),
            _ => {}
        }
        let asked = rest[0] == "help";
        let found = command::find(&commands::ROOT, &rest[usize::from(asked)..]);
        if found.path.is_empty() {
            self.plugin(&found.rest[0], &globals)?;
        }
        // What there is not here of buildx, a plugin may have.
        if found.path == ["buildx"]
            && found
                .rest
                .first()
                .is_some_and(|word| !word.starts_with('-'))
        {
            self.plugin("buildx", &globals)?;
        }
        if asked {
            return self.help(&found, &globals, false);
        }
        self.command(&found, &globals)
    }

    /// Becomes the plugin called `name`; returns where there is none.
    fn plugin(&self, name: &str, globals: &Parsed) -> Result<(), Error> {
        let config = config(globals)?;
        let Some(plugin) = plugins::find(&config, name) else {
            return Ok(());
        };
        let globals = globals::read(globals)?;
        let words = self.words;
        start_engine_for(name, words, &globals, &config);
        Err(plugins::become_it(
            &plugin,
            self.called_by,
            words,
            &globals,
            &config,
        ))
    }

    fn command(&self, found: &Found<'_>, globals: &Parsed) -> Result<(), Error> {
        let command = found.command;
        let path = format!("{} {}", self.program, found.path.join(" "));
        let path = path.trim_end();
        let parsed = match flags::parse(command.flags, command.interspersed, found.rest) {
            Ok(Outcome::Parsed(parsed)) => parsed,
            Ok(Outcome::Help(deprecated)) => return self.help(found, globals, deprecated),
            Err(error) => {
                let meant = suggest::flags(&error, command.flags);
                let usage = command.usage_of(path);
                return Err(outcome::usage(&error, &meant, &usage, path));
            }
        };
        let action = match command.action {
            Action::Run(action) => action,
            Action::Group(_) => return self.group(found, path, &parsed),
        };
        command
            .arguments
            .check(parsed.arguments.len(), path)
            .map_err(|error| outcome::arguments(&error, command, path, self.program))?;
        let session = Session::new(
            self.program.to_owned(),
            found.path.join(" "),
            globals::read(globals)?,
            config(globals)?,
        );
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Error::io("start the event loop", error))?;
        attach::signals::end_when_interrupted();
        let outcome = runtime.block_on(async {
            let outcome = action(&session, &parsed).await;
            if let Err(error) = &outcome {
                suggest::names(&session, error).await;
            }
            outcome
        });
        // A thread may still wait for input that nobody needs any more.
        runtime.shutdown_background();
        outcome
    }

    /// A group named without a command of it.
    fn group(&self, found: &Found<'_>, path: &str, parsed: &Parsed) -> Result<(), Error> {
        let program = self.program;
        let Some(word) = parsed.arguments.first() else {
            outcome::to_stderr(help::command(found.command, path, session::columns()).trim_end());
            return Ok(());
        };
        let full = format!("{} {word}", found.path.join(" "));
        if commands::MISSING.contains(&full.trim_start()) {
            return Err(Error::text(format!(
                "{program}: '{path} {word}' is not implemented"
            )));
        }
        let usage = if found.path.is_empty() {
            String::new()
        } else {
            format!("Usage:  {path}\n\n")
        };
        let meant = suggest::block(&found.command.suggestions(word));
        Err(Error::text(format!(
            "{program}: unknown command: {path} {word}\n\n{usage}{meant}Run '{path} --help' for more information"
        )))
    }

    fn help(&self, found: &Found<'_>, globals: &Parsed, deprecated: bool) -> Result<(), Error> {
        if found.path.is_empty() {
            return self.root_help(globals, deprecated);
        }
        warn_of_h(deprecated);
        let path = format!("{} {}", self.program, found.path.join(" "));
        outcome::to_stdout(&help::command(found.command, &path, session::columns()))
    }

    fn root_help(&self, globals: &Parsed, deprecated: bool) -> Result<(), Error> {
        warn_of_h(deprecated);
        let plugins = plugins::all(&config(globals)?, is_command);
        outcome::to_stdout(&self.root_help_text(&plugins))
    }

    fn root_help_text(&self, plugins: &[plugins::Plugin]) -> String {
        help::root(
            &commands::ROOT,
            self.program,
            GLOBALS,
            plugins,
            session::columns(),
        )
    }
}

/// Has an engine started for a plugin that will want the default one, where none runs.
fn start_engine_for(plugin: &str, words: &[String], globals: &Globals, config: &Config) {
    let after = words.iter().skip_while(|word| *word != plugin).skip(1);
    let asks = ["--help", "-h", "help", "version", "--version", "completion"];
    let idle = after.clone().all(|word| word.starts_with('-'))
        || after.clone().any(|word| asks.contains(&word.as_str()));
    if idle || !dhow_client::context::target(globals, config).is_ok_and(|target| target.default) {
        return;
    }
    let starter = autostart::starter(globals.autostart);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    if let (Ok(runtime), Ok(client)) = (runtime, dhow_client::Client::new(globals, config, starter))
    {
        // The plugin itself says what is wrong with the engine.
        let _ = runtime.block_on(client.version());
    }
}

fn warn_of_h(deprecated: bool) {
    if deprecated {
        outcome::to_stderr("Flag shorthand -h has been deprecated, use --help");
    }
}

fn config(globals: &Parsed) -> Result<Config, Error> {
    Ok(Config::load(globals::folder(globals))?)
}

/// Whether a command of ours has that name.
fn is_command(name: &str) -> bool {
    commands::ROOT.find(name).is_some()
}

/// The root of all commands, for those who list them.
fn root() -> &'static Command {
    &commands::ROOT
}
