//! Many stopped containers, on an engine of their own that is started again with them: only our engine can be.

use super::report::{Table, median};
use super::{Subject, containers, memory, milliseconds};
use dhow_testkit::{Engine, EngineOptions};
use std::path::Path;

/// How many containers "ten thousand" are.
const HUGE: usize = 10_000;

/// The names of the lines, in the order they are measured in.
const NAMES: [&str; 4] = [
    "engine start with 500 stopped",
    "engine start with 10 000 stopped",
    "list all, 10 000 stopped",
    "memory for each of 10 000 stopped",
];

/// Measures all lines that are wanted, one after the other on the same growing engine.
pub(super) fn run(program: &Path, wanted: impl Fn(&str) -> bool, table: &mut Table) {
    if !NAMES.iter().any(|name| wanted(name)) {
        return;
    }
    let mut many = Many::new(program);
    let mut line = |name: &str, unit: &str, value: Result<f64, String>| {
        if wanted(name) {
            table.add(name, unit, vec![value]);
        }
    };
    let without = many.memory();
    let started = many.grow(containers::MANY).map(|()| many.start());
    line(NAMES[0], "ms", started);
    if !NAMES[1..].iter().any(|name| wanted(name)) {
        return;
    }
    let grown = many.grow(HUGE - containers::MANY);
    line(NAMES[1], "ms", grown.map(|()| many.start()));
    line(NAMES[2], "ms", containers::list_all(&many.subject()));
    let with = many.memory();
    let each = with.and_then(|with| Ok((with - without?) * 1024.0 / HUGE as f64));
    line(NAMES[3], "KiB", each);
}

/// An engine with many stopped containers.
struct Many {
    engine: Engine,
}

impl Many {
    fn new(program: &Path) -> Self {
        let engine = Engine::start_with(EngineOptions {
            program: Some(program.to_owned()),
            ..EngineOptions::default()
        });
        let many = Self { engine };
        containers::bring_busybox(&many.subject());
        many
    }

    fn subject(&self) -> Subject {
        Subject {
            name: "dhow".to_owned(),
            socket: self.engine.socket().to_owned(),
            pid: self.engine.pid(),
            rounds: 5,
        }
    }

    fn grow(&self, by: usize) -> Result<(), String> {
        containers::create_stopped(&self.subject(), by)
    }

    /// How many milliseconds the engine takes to serve again, the median of three starts.
    fn start(&mut self) -> f64 {
        let mut once = || {
            self.engine.stop();
            milliseconds(|| self.engine.boot())
        };
        median(vec![once(), once(), once()])
    }

    /// The engine's memory in MiB, freshly started and after some lists.
    fn memory(&mut self) -> Result<f64, String> {
        self.engine.stop();
        self.engine.boot();
        containers::list_all(&self.subject())?;
        Ok(memory::pss(self.engine.pid()))
    }
}
