//! The `dhow` program: one static file, many names.
//!
//! It finds out who it is asked to be and hands over, before any thread or async runtime exists. Called by the name
//! of another program it is that program: `docker` is the command line, `dhowd` and `dockerd` the daemon,
//! `docker-init` the init of `--init`.
//!
//! | called as | is |
//! |---|---|
//! | `dhow daemon`, `dhowd`, `dockerd` | the engine and its API |
//! | `dhow shim` | the supervisor of one container, started by the daemon |
//! | `dhow logger` | the log driver of one container, where that needs a process of its own; started by its shim |
//! | `dhow runtime` | the OCI runtime's command line |
//! | `dhow init`, `docker-init` | the tiny init of `--init` |
//! | anything else | the command line |

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::ExitCode;

/// One of the programs in this file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Cli,
    Daemon,
    Shim,
    Logger,
    Runtime,
    Init,
}

/// Says which program `args` ask for, and how many of them were spent on saying so.
fn role(args: &[OsString]) -> (Role, usize) {
    let name = args.first().map(Path::new).and_then(Path::file_name);
    match name.and_then(OsStr::to_str) {
        Some("dhowd" | "dockerd") => return (Role::Daemon, 1),
        Some("docker-init") => return (Role::Init, 1),
        _ => {}
    }
    match args.get(1).and_then(|arg| arg.to_str()) {
        Some("daemon") => (Role::Daemon, 2),
        Some("shim") => (Role::Shim, 2),
        Some("logger") => (Role::Logger, 2),
        Some("runtime") => (Role::Runtime, 2),
        Some("init") => (Role::Init, 2),
        _ => (Role::Cli, 0),
    }
}

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().collect();
    let (role, spent) = role(&args);
    let rest = args.get(spent..).unwrap_or_default().to_vec();
    match role {
        Role::Cli => dhow_cli::main(rest),
        Role::Daemon => dhow_daemon::main(rest),
        Role::Shim => dhow_shim::main(rest),
        Role::Logger => dhow_shim::logger::main(&rest),
        Role::Runtime => dhow_runtime::main(rest),
        Role::Init => dhow_runtime::init::main(rest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role_of(args: &[&str]) -> (Role, usize) {
        role(&args.iter().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn the_name_decides_before_the_first_argument() {
        assert_eq!(role_of(&["/usr/bin/dockerd", "run"]), (Role::Daemon, 1));
        assert_eq!(
            role_of(&["/sbin/docker-init", "--", "true"]),
            (Role::Init, 1)
        );
        assert_eq!(role_of(&["/usr/bin/docker", "ps"]), (Role::Cli, 0));
    }

    #[test]
    fn the_first_argument_names_the_inner_programs() {
        assert_eq!(role_of(&["dhow", "daemon", "-D"]), (Role::Daemon, 2));
        assert_eq!(role_of(&["dhow", "shim"]), (Role::Shim, 2));
        assert_eq!(role_of(&["dhow", "logger"]), (Role::Logger, 2));
        assert_eq!(role_of(&["dhow", "runtime", "list"]), (Role::Runtime, 2));
        assert_eq!(role_of(&["dhow", "init", "--", "sh"]), (Role::Init, 2));
        assert_eq!(role_of(&["dhow", "run", "x"]), (Role::Cli, 0));
        assert_eq!(role_of(&[]), (Role::Cli, 0));
    }
}
