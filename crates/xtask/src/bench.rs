//! `cargo xtask bench`: measures engines side by side, over their API sockets, the command line kept out.
//!
//! This tree's engine is built in release mode and started privately; any other engine is named by its socket. Every
//! engine does the same work in the same run and the table gives medians and the ratio to this tree's.

mod builds;
mod containers;
mod fixtures;
mod looking;
mod memory;
mod pulls;
mod report;
mod scale;

use dhow_testkit::{Engine, EngineOptions, http::Client};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// What to measure, and on which engines besides our own.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    engines: Vec<(String, PathBuf)>,
    only: Option<String>,
    program: Option<PathBuf>,
    rounds: usize,
}

impl Options {
    /// Reads the chore's arguments; the error is a line for the user.
    pub(crate) fn parse(arguments: &[String]) -> Result<Self, String> {
        let mut options = Self {
            engines: Vec::new(),
            only: None,
            program: None,
            rounds: 15,
        };
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let value = rest
                .next()
                .ok_or_else(|| format!("{argument} needs a value"))?;
            match argument.as_str() {
                "--engine" => {
                    let (name, socket) =
                        value.split_once('=').ok_or("--engine takes NAME=SOCKET")?;
                    options
                        .engines
                        .push((name.to_owned(), PathBuf::from(socket)));
                }
                "--program" => options.program = Some(PathBuf::from(value)),
                "--only" => options.only = Some(value.clone()),
                "--rounds" => {
                    options.rounds = value
                        .parse()
                        .map_err(|_| format!("not a number: {value}"))?
                }
                other => return Err(format!("unknown option: {other}")),
            }
        }
        Ok(options)
    }

    /// Whether the measurement of that name is to be made.
    fn wants(&self, name: &str) -> bool {
        self.only.as_ref().is_none_or(|text| name.contains(text))
    }
}

/// An engine under measurement.
pub(crate) struct Subject {
    name: String,
    socket: PathBuf,
    /// The engine's main process, told by its socket.
    pid: u32,
    rounds: usize,
}

impl Subject {
    fn client(&self) -> Client {
        Client::new(&self.socket)
    }
}

/// One line of the table: its name, its unit, and how it is measured.
#[derive(Clone, Copy)]
pub(crate) struct Measurement {
    name: &'static str,
    unit: &'static str,
    measure: fn(&Subject) -> Result<f64, String>,
}

/// Runs all that `options` ask for and prints the table.
pub(crate) fn run(options: &Options) -> ExitCode {
    let program = options.program.clone().unwrap_or_else(release_build);
    let own = Engine::start_with(EngineOptions {
        program: Some(program.clone()),
        ..EngineOptions::default()
    });
    let mut subjects = vec![("dhow".to_owned(), own.socket().to_owned())];
    subjects.extend(options.engines.iter().cloned());
    let subjects: Vec<Subject> = subjects
        .into_iter()
        .map(|(name, socket)| Subject {
            pid: memory::listener(&socket),
            name,
            socket,
            rounds: options.rounds,
        })
        .collect();
    for subject in &subjects {
        containers::bring_busybox(subject);
    }
    let mut table = report::Table::new(
        subjects
            .iter()
            .map(|subject| subject.name.clone())
            .collect(),
    );
    let measurements = [
        memory::ALL,
        containers::ALL,
        looking::ALL,
        pulls::ALL,
        builds::ALL,
    ]
    .concat();
    for measurement in measurements.iter().filter(|m| options.wants(m.name)) {
        let values: Vec<Result<f64, String>> = subjects
            .iter()
            .map(|subject| (measurement.measure)(subject))
            .collect();
        let floor = pulls::FLOORS
            .iter()
            .find(|(name, _)| *name == measurement.name);
        let floor = floor.map(|(_, layout)| pulls::floor(&layout(0)));
        let measured = values.clone();
        table.add(measurement.name, measurement.unit, values);
        if let Some(floor) = floor {
            table.add_floor("    gunzip | tar x of the same layers", floor, &measured);
        }
    }
    scale::run(&program, |name| options.wants(name), &mut table);
    table.add_own(
        "dhow --version",
        "ms",
        version_time(&program, options.rounds),
    );
    ExitCode::SUCCESS
}

fn release_build() -> PathBuf {
    let root = crate::root();
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .args([
            "build",
            "--release",
            "--quiet",
            "--package",
            "dhow",
            "--bin",
            "dhow",
        ])
        .current_dir(&root);
    dhow_testkit::packages::run(&mut cargo);
    let own = std::env::current_exe().ok();
    let target = own
        .as_deref()
        .and_then(Path::parent)
        .and_then(Path::parent)
        .map_or_else(|| root.join("target"), Path::to_path_buf);
    target.join("release/dhow")
}

fn version_time(program: &Path, rounds: usize) -> f64 {
    let once = || milliseconds(|| drop(Command::new(program).arg("--version").output()));
    report::median((0..rounds.max(20)).map(|_| once()).collect())
}

/// How many milliseconds `f` takes.
pub(crate) fn milliseconds(f: impl FnOnce()) -> f64 {
    let start = std::time::Instant::now();
    f();
    start.elapsed().as_secs_f64() * 1000.0
}
