//! `cargo xtask corpus`: images with awkward layers, as this tree's engine unpacks them and as a real one does.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use dhow_testkit::corpus::{
    Hub, Image, Outcome, Recorded, Way, cases, compare, made_by_tools, unpacked,
};
use dhow_testkit::{Engine, EngineOptions};

/// What to compare with, and what to do with it.
#[derive(Debug, Default)]
pub(crate) struct Options {
    reference: Option<PathBuf>,
    record: bool,
    only: String,
    program: Option<PathBuf>,
}

impl Options {
    /// Reads the chore's arguments; the error is a line for the user.
    pub(crate) fn parse(arguments: &[String]) -> Result<Self, String> {
        let mut options = Self::default();
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            if argument == "--record" {
                options.record = true;
                continue;
            }
            let value = rest.next();
            let value = value.ok_or_else(|| format!("{argument} needs a value"))?;
            match argument.as_str() {
                "--engine" => options.reference = Some(PathBuf::from(value)),
                "--only" => options.only.clone_from(value),
                "--program" => options.program = Some(PathBuf::from(value)),
                other => return Err(format!("unknown option: {other}")),
            }
        }
        match (options.record, &options.reference) {
            (true, None) => Err("--record needs --engine".into()),
            _ => Ok(options),
        }
    }
}

/// An engine and a registry beside it.
struct Side {
    engine: Engine,
    hub: Hub,
}

impl Side {
    fn new(engine: Engine) -> Self {
        let hub = Hub::start(Some(engine.pid()));
        Self { engine, hub }
    }

    fn pulled(&self, name: &str, image: &Image) -> Outcome {
        let name = self.hub.offer(name, image);
        unpacked(&self.engine, Way::Pull(&name))
    }
}

/// What came out, so far.
#[derive(Default)]
struct Tally {
    images: usize,
    files: usize,
    refused: usize,
    different: usize,
}

impl Tally {
    fn add(&mut self, name: &str, expected: &Outcome, found: &Outcome) {
        self.images += 1;
        match found {
            Ok(lines) => self.files += lines.len(),
            Err(_) => self.refused += 1,
        }
        let differences = compare(expected, found);
        self.different += usize::from(!differences.is_empty());
        match differences.as_slice() {
            [] => println!("{name}: {}", told(found)),
            all => println!("{name}: DIFFERENT\n  {}", all.join("\n  ")),
        }
    }
}

fn told(outcome: &Outcome) -> String {
    match outcome {
        Ok(lines) => format!("{} files", lines.len()),
        Err(error) => format!("refused: {}", error.trim()),
    }
}

/// Runs it all and says what came out.
pub(crate) fn run(options: &Options) -> ExitCode {
    let own = Side::new(Engine::start_with(EngineOptions {
        program: options.program.clone(),
        ..EngineOptions::default()
    }));
    let reference = options
        .reference
        .as_deref()
        .map(Engine::foreign)
        .map(Side::new);
    let mut recorded = Recorded::read();
    let mut tally = Tally::default();
    for case in cases()
        .iter()
        .filter(|case| case.name.contains(&options.only))
    {
        let found = own.pulled(case.name, &case.image);
        let other = format!("{} dhow", case.name);
        if let Some(reference) = &reference {
            let theirs = reference.pulled(case.name, &case.image);
            if options.record {
                recorded.remove(&other);
                recorded.put(case.name, &theirs);
                if case.differs.is_some() {
                    recorded.put(&other, &found);
                }
            }
            if let Some(reason) = case.differs {
                println!("{}: not as Docker: {reason}", case.name);
            } else {
                tally.add(case.name, &theirs, &found);
                continue;
            }
        }
        match recorded.expected(case.name) {
            Some(expected) => tally.add(case.name, expected, &found),
            None => println!("{}: nothing is recorded; {}", case.name, told(&found)),
        }
    }
    if let Some(reference) = &reference {
        let made = made_by_tools().into_iter();
        for (name, image) in made.filter(|(name, _)| name.contains(&options.only)) {
            let theirs = reference.pulled(&name, &image);
            tally.add(&name, &theirs, &own.pulled(&name, &image));
        }
    }
    println!(
        "{} images, {} files; {} images refused; {} different",
        tally.images, tally.files, tally.refused, tally.different
    );
    match options.record.then(|| write(&recorded)) {
        Some(false) => ExitCode::FAILURE,
        _ => ExitCode::from(u8::from(tally.different > 0)),
    }
}

fn write(recorded: &Recorded) -> bool {
    let file: &Path = &Recorded::file();
    let written = std::fs::write(file, recorded.text());
    if let Err(error) = &written {
        eprintln!("{}: {error}", file.display());
    }
    written.is_ok()
}
