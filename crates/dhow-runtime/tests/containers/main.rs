//! Real containers: created, started, entered, limited, killed and deleted, as root on this machine.
//!
//! The program inside them is this test itself ([`payload`]), shown in an otherwise empty root. Tests run one after the
//! other in one thread, because that is what the runtime asks of its caller. Everything they make is below a temporary
//! folder and a cgroup of their own, and goes away with them.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "tests"
)]

mod bed;
mod bench;
mod cli;
mod execs;
mod isolation;
mod life;
mod limits;
mod payload;
mod terminals;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

/// A test and its name.
type Test = (&'static str, fn());

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    match args.get(1).map(String::as_str) {
        Some("payload") => return payload::main(&args[2..]),
        Some("runtime") => return dhow_runtime::main(std::env::args_os().skip(2)),
        Some("init") => return dhow_runtime::init::main(std::env::args_os().skip(2)),
        Some("bench") => {
            bench::main();
            bed::remove_cgroups();
            return ExitCode::SUCCESS;
        }
        _ => {}
    }
    let all: Vec<Test> = [
        life::TESTS,
        isolation::TESTS,
        limits::TESTS,
        execs::TESTS,
        terminals::TESTS,
        cli::TESTS,
    ]
    .concat();
    if args.iter().any(|arg| arg == "--list") {
        all.iter().for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    if !rustix::process::geteuid().is_root() {
        eprintln!(
            "\n*** SKIPPED: {} tests of real containers need root ***\n",
            all.len()
        );
        return ExitCode::SUCCESS;
    }
    run(&all, args.iter().skip(1).find(|arg| !arg.starts_with('-')))
}

fn run(all: &[Test], filter: Option<&String>) -> ExitCode {
    let mut failed = Vec::new();
    let chosen = all
        .iter()
        .filter(|(name, _)| filter.is_none_or(|filter| name.contains(filter)));
    for (name, test) in chosen {
        let started = std::time::Instant::now();
        if catch_unwind(AssertUnwindSafe(test)).is_ok() {
            println!("test {name} ... ok ({:.0?})", started.elapsed());
        } else {
            println!("test {name} ... FAILED");
            failed.push(name);
        }
    }
    bed::remove_cgroups();
    if failed.is_empty() {
        return ExitCode::SUCCESS;
    }
    println!("failed: {failed:?}");
    ExitCode::FAILURE
}
