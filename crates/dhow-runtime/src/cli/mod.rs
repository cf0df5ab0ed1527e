//! `dhow runtime`: the OCI command line, with runc's flags and output.
//!
//! Every command is a function over [`Builtin`] in its detached form: what one call creates, another starts.

mod console;
mod control;
mod create;
mod exec;
mod query;

use std::ffi::{CString, OsString};
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::Builtin;

/// What went wrong, to be printed; its text is all that matters.
type Failed = Box<dyn std::error::Error>;

/// Runs containers by the OCI runtime specification.
#[derive(Debug, Parser)]
#[command(
    name = "dhow runtime",
    bin_name = "dhow runtime",
    version,
    disable_help_subcommand = true
)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Args)]
struct Global {
    /// Folder for the containers' state
    #[arg(long, default_value = "/run/dhow/runtime")]
    root: PathBuf,
    /// File to write errors to, besides standard error
    #[arg(long)]
    log: Option<PathBuf>,
    /// Form of the log
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
    /// Accepted for runc's sake: nothing more is said
    #[arg(long)]
    debug: bool,
    /// Cgroup paths are in systemd's form (slice:prefix:name), which is understood anyway
    #[arg(long)]
    systemd_cgroup: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Create a container
    Create(create::Create),
    /// Let a created container run its program
    Start(create::Id),
    /// Create and start a container
    Run(create::Run),
    /// Print the state of a container
    State(create::Id),
    /// Send a signal to a container
    Kill(control::Kill),
    /// Delete what is left of a container
    Delete(control::Delete),
    /// Run another process in a container
    Exec(exec::Exec),
    /// List the containers
    List(query::List),
    /// Freeze a container
    Pause(create::Id),
    /// Thaw a container
    Resume(create::Id),
    /// List the processes of a container
    Ps(query::Ps),
    /// Change the limits of a container
    Update(control::Update),
    /// Print what this runtime can do
    Features,
    /// Write a specification to start from
    Spec(query::Spec),
}

/// Runs `dhow runtime <args>`; `args` begins after the word `runtime`. Flags and output are runc's.
///
/// The program starts itself anew from a file that containers can't write to, where it does not run from one.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    protect();
    let args = [OsString::from("dhow runtime")].into_iter().chain(args);
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(u8::from(error.use_stderr()));
        }
    };
    match dispatch(&cli) {
        Ok(code) => code,
        Err(error) => {
            report(&cli.global, &text(&*error));
            ExitCode::FAILURE
        }
    }
}

/// See [`dhow_sys::exec::protected_self`]. Where it can't be had (not root), there are no containers to fear either.
fn protect() {
    use std::os::fd::AsRawFd;
    use std::os::unix::ffi::OsStringExt;
    if !matches!(dhow_sys::exec::is_protected(), Ok(false)) {
        return;
    }
    let Ok(file) = dhow_sys::exec::protected_self() else {
        return;
    };
    let c_string = |text: OsString| CString::new(text.into_vec()).ok();
    let args: Option<Vec<CString>> = std::env::args_os().map(c_string).collect();
    let path = CString::new(format!("/proc/self/fd/{}", file.as_raw_fd())).ok();
    if let (Some(path), Some(args)) = (path, args) {
        // It returns only where it fails; then we go on as we are.
        let _ = dhow_sys::exec::execv(&path, &args);
    }
}

fn dispatch(cli: &Cli) -> Result<ExitCode, Failed> {
    let runtime = Builtin::detached(&cli.global.root);
    let done = |result: Result<(), Failed>| result.map(|()| ExitCode::SUCCESS);
    match &cli.command {
        Command::Create(command) => done(command.run(&runtime)),
        Command::Start(id) => done(control::start(&runtime, &id.id)),
        Command::Run(command) => command.run(&runtime),
        Command::State(id) => done(query::state(&runtime, &id.id)),
        Command::Kill(command) => done(command.run(&runtime)),
        Command::Delete(command) => done(command.run(&runtime)),
        Command::Exec(command) => command.run(&runtime),
        Command::List(command) => done(command.run(&runtime, &cli.global.root)),
        Command::Pause(id) => done(control::pause(&runtime, &id.id)),
        Command::Resume(id) => done(control::resume(&runtime, &id.id)),
        Command::Ps(command) => done(command.run(&runtime)),
        Command::Update(command) => done(command.run(&runtime)),
        Command::Features => done(query::features()),
        Command::Spec(command) => done(command.run()),
    }
}

/// An error with all its sources.
fn text(error: &(dyn std::error::Error + 'static)) -> String {
    dhow_errdefs::chain(error).to_string()
}

/// Says an error where people and where programs look.
fn report(global: &Global, message: &str) {
    let _ = writeln!(io::stderr(), "{message}");
    let Some(log) = &global.log else { return };
    let time = jiff::Timestamp::now();
    let line = match global.log_format {
        LogFormat::Json => {
            serde_json::json!({"level": "error", "msg": message, "time": time.to_string()})
                .to_string()
        }
        LogFormat::Text => format!("time=\"{time}\" level=error msg={message:?}"),
    };
    let file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(log);
    let _ = file.and_then(|mut file| writeln!(file, "{line}"));
}

/// Prints to standard output.
fn print(text: &str) -> Result<(), Failed> {
    let mut output = io::stdout().lock();
    output.write_all(text.as_bytes())?;
    Ok(output.flush()?)
}

/// Prints JSON as runc does.
fn print_json(value: &impl serde::Serialize) -> Result<(), Failed> {
    print(&format!("{}\n", serde_json::to_string_pretty(value)?))
}
