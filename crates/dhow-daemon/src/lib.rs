//! Composition root: settings, wiring, restore, signals, drain.
//!
//! [`main`] is `dhow daemon`. It takes dockerd's flags and `daemon.json`, locks its folder, opens its sockets, puts
//! the engine together out of the crates below, has it find out what happened meanwhile, and serves the API until
//! SIGTERM. Containers live on without it: it may also be killed at any moment.
//!
//! Several daemons run side by side when their `--data-root`, `--exec-root`, `-H` and `--bip` differ: what they have
//! in the kernel is named after the data root.
//!
//! This crate and the binary are the only ones that read the environment; nobody else decides what is made of what.

mod activation;
mod assemble;
mod builder;
mod idle;
mod listen;
mod lock;
mod logs;
mod notify;
mod removal;
mod run;
mod serve;
mod settings;
mod tls;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use activation::Inherited;
use notify::Notify;
use settings::{Flags, Settings};

/// The commit this was built from, if the build says so.
const GIT_COMMIT: &str = match option_env!("DHOW_GIT_COMMIT") {
    Some(commit) => commit,
    None => "unknown",
};
/// When this was built, if the build says so.
const BUILD_TIME: &str = match option_env!("DHOW_BUILD_TIME") {
    Some(time) => time,
    None => "unknown",
};

/// Runs the daemon with these arguments (without the program's name) until it is told to end.
#[must_use]
pub fn main(args: Vec<OsString>) -> ExitCode {
    let flags = match settings::flags(args) {
        Ok(flags) => flags,
        Err(settings::Error::CommandLine(error)) => {
            // Help goes to stdout, complaints to stderr; if neither can be written there is nobody to tell.
            let _ = error.print();
            return if error.use_stderr() {
                ExitCode::FAILURE
            } else {
                ExitCode::SUCCESS
            };
        }
        Err(error) => return fail(&error),
    };
    if flags.version {
        let line = format!(
            "Dhow version {}, build {GIT_COMMIT}\n",
            env!("CARGO_PKG_VERSION")
        );
        return say(&mut std::io::stdout(), &line);
    }
    let settings = match settings::load(&flags) {
        Ok(settings) => settings,
        Err(error) => return fail(&error),
    };
    if flags.validate {
        return say(&mut std::io::stderr(), "configuration OK\n");
    }
    start(flags, settings)
}

fn start(flags: Flags, settings: Settings) -> ExitCode {
    if !rustix::process::geteuid().is_root() {
        return fail(&Failure(
            "the engine needs to be started with root privileges",
        ));
    }
    if flags.remove_host_state {
        return match removal::remove(&settings) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&error),
        };
    }
    dhow_sys::heap::limit_arenas(2);
    let log_level = logs::start(settings.logs);
    for warning in &settings.warnings {
        tracing::warn!("{warning}");
    }
    let inherited = match Inherited::from_env(|name| std::env::var_os(name)) {
        Ok(inherited) => inherited,
        Err(error) => return fail(&error),
    };
    let manager = std::env::var_os("NOTIFY_SOCKET");
    let notify = match Notify::new(manager.as_deref(), flags.ready_fd) {
        Ok(notify) => notify,
        Err(_) => return fail(&Failure("--ready-fd is no open descriptor")),
    };
    let result = run::run(run::Start {
        flags,
        settings,
        inherited,
        notify,
        log_level,
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Failure(&'static str);

/// Says in one line why the daemon can't run.
fn fail(error: &(dyn std::error::Error + 'static)) -> ExitCode {
    let line = format!("dhow daemon: {}\n", dhow_errdefs::chain(error));
    say(&mut std::io::stderr(), &line);
    ExitCode::FAILURE
}

fn say(to: &mut dyn Write, text: &str) -> ExitCode {
    match to.write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
