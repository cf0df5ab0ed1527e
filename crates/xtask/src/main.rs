//! The project's chores: `cargo xtask tidy`, `cargo xtask bench`, `cargo xtask soak`, `cargo xtask corpus`.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for developers that reports on the terminal"
)]

mod bench;
mod corpus;
mod soak;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

const USAGE: &str = "\
Usage: cargo xtask <CHORE>

Chores:
  tidy                     check the rules of ARCHITECTURE.md that a program can check
  bench [OPTIONS]          measure this tree's engine, and any other engine beside it
  soak [OPTIONS]           many workers at once while the daemon is killed; then look for what is left
  corpus [OPTIONS]         unpack images with awkward layers and compare every file with what Docker makes of them

Options of bench:
  --engine NAME=SOCKET     also measure the engine that listens on SOCKET (repeatable)
  --program PATH           measure this program instead of a release build of the tree
  --only TEXT              run only the measurements whose name contains TEXT
  --rounds N               how often each is repeated (default 15)

Options of soak:
  --minutes N              how long (default 30)
  --workers N              how many at once (default 20)
  --kill-every SECONDS     how often the daemon is killed (default 60)
  --program PATH           the program to run instead of a build of the tree

Options of corpus:
  --engine SOCKET          compare with the Docker Engine that listens on SOCKET instead of what was recorded, and
                           also what umoci, buildah, debootstrap and skopeo make
  --record                 write down what that engine makes of the images
  --only TEXT              only the images whose name contains TEXT
  --program PATH           the program to run instead of a build of the tree
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.first().map(String::as_str) {
        Some("tidy") => tidy_chore(),
        Some("bench") => match bench::Options::parse(&args[1..]) {
            Ok(options) => bench::run(&options),
            Err(message) => usage_error(&message),
        },
        Some("soak") => match soak::Options::parse(&args[1..]) {
            Ok(options) => soak::run(&options),
            Err(message) => usage_error(&message),
        },
        Some("corpus") => match corpus::Options::parse(&args[1..]) {
            Ok(options) => corpus::run(&options),
            Err(message) => usage_error(&message),
        },
        Some("-h" | "--help") => {
            print!("{USAGE}");
            ExitCode::SUCCESS
        }
        Some(other) => usage_error(&format!("no such chore: {other}")),
        None => usage_error("which chore?"),
    }
}

fn usage_error(message: &str) -> ExitCode {
    eprintln!("xtask: {message}\n\n{USAGE}");
    ExitCode::from(2)
}

fn tidy_chore() -> ExitCode {
    let findings = tidy::check(&root());
    for finding in &findings {
        eprintln!("{finding}");
    }
    if findings.is_empty() {
        println!("tidy: all rules hold");
        ExitCode::SUCCESS
    } else {
        eprintln!("tidy: {} finding(s)", findings.len());
        ExitCode::FAILURE
    }
}

/// The root of the source tree.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .map_or_else(PathBuf::new, Path::to_path_buf)
}
