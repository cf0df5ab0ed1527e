//! End-to-end tests: this tree's engine, driven by both command lines and over its API.
//!
//! The tests stand in `tests/`, one file a subject. Each starts engines of its own ([`dhow_testkit::Engine`]) and
//! leaves nothing behind. With `DHOW_E2E_SOCKET` they run against the engine that listens there instead (one test at a
//! time): what fails against a real Docker Engine is wrong as a test, or listed in [`dhow_testkit::reference`]. Those that talk only through a command line run with `dhow` and with the official `docker`.

use dhow_testkit::{Cli, Engine, Output};

/// A command line and an engine of its own with the busybox image in it.
#[derive(Debug)]
pub struct Bench {
    /// The command line that drives the test.
    pub cli: Cli,
    /// The engine that it talks to.
    pub engine: Engine,
}

impl Bench {
    /// Starts an engine with the busybox image.
    #[must_use]
    pub fn new(cli: Cli) -> Self {
        let engine = dhow_testkit::reference::socket()
            .map_or_else(Engine::start, |socket| Engine::foreign(&socket));
        engine.import_busybox();
        Self { cli, engine }
    }

    /// Runs a command, its words separated by single spaces.
    #[must_use]
    pub fn run(&self, line: &str) -> Output {
        self.words(&line.split(' ').collect::<Vec<_>>())
    }

    /// Runs a command, word by word.
    #[must_use]
    pub fn words(&self, words: &[&str]) -> Output {
        self.cli.run(&self.engine, words)
    }

    /// Runs a command that must succeed and returns what it printed, trimmed.
    ///
    /// # Panics
    /// When it fails.
    #[track_caller]
    #[must_use]
    pub fn ok(&self, line: &str) -> String {
        let output = self.run(line);
        assert_eq!(
            output.code, 0,
            "{:?}: {line}\nstdout: {}\nstderr: {}",
            self.cli, output.stdout, output.stderr
        );
        output.stdout.trim().to_owned()
    }

    /// As [`Bench::ok`], word by word.
    ///
    /// # Panics
    /// When it fails.
    #[track_caller]
    #[must_use]
    pub fn words_ok(&self, words: &[&str]) -> String {
        let output = self.words(words);
        assert_eq!(
            output.code, 0,
            "{:?}: {words:?}\nstdout: {}\nstderr: {}",
            self.cli, output.stdout, output.stderr
        );
        output.stdout.trim().to_owned()
    }

    /// What an inspection says of a container in that format.
    ///
    /// # Panics
    /// When there is no such container.
    #[track_caller]
    #[must_use]
    pub fn inspect(&self, name: &str, format: &str) -> String {
        self.words_ok(&["inspect", "-f", format, name])
    }

    /// Waits, on the engine's events, until the inspection of a container says what is expected.
    ///
    /// # Panics
    /// When there is no such container, or the engine has ended.
    #[track_caller]
    pub fn wait_for(&self, name: &str, format: &str, expected: &str) {
        let since = "/v1.44/events?since=0";
        let stream = self.engine.client().stream("GET", since);
        let (_, mut events) = stream.expect("the engine tells its events");
        while self.inspect(name, format) != expected {
            let mut line = String::new();
            let read = std::io::BufRead::read_line(&mut events, &mut line);
            assert!(read.is_ok_and(|length| length > 0), "no more events");
        }
    }

    /// Runs a script that takes more memory than its container may have.
    #[must_use]
    pub fn starve(&self, name: &str, script: &str) -> Output {
        let limits = ["-m", "16m", "--memory-swap", "16m"];
        let command = ["busybox", "sh", "-c", script];
        self.words(&[&["run", "--name", name], &limits[..], &command].concat())
    }
}

/// Runs `test` with each command line on an engine of its own; skips it loudly without root.
pub fn with_both(test: impl Fn(&Bench)) {
    if dhow_testkit::root_or_skip("an end-to-end test") {
        for cli in command_lines() {
            test(&Bench::new(cli));
        }
    }
}

/// Both command lines, or the one that `DHOW_E2E_CLI` names.
fn command_lines() -> Vec<Cli> {
    match std::env::var("DHOW_E2E_CLI").as_deref() {
        Ok("dhow") => vec![Cli::Dhow],
        Ok("docker") => vec![Cli::Docker],
        _ => Cli::BOTH.to_vec(),
    }
}
