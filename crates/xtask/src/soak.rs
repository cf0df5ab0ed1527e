//! `cargo xtask soak`: many workers do what people do with containers, at random, while the daemon is killed again and
//! again. Every exit code, line of output and copied byte is checked, and at the end nothing may be left.

mod census;
mod worker;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use dhow_testkit::{Engine, EngineOptions};

use census::Census;
use worker::Worker;

/// How long, how many, how often.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    time: Duration,
    workers: u64,
    between_kills: Duration,
    program: Option<PathBuf>,
}

impl Options {
    /// Reads the chore's arguments; the error is a line for the user.
    pub(crate) fn parse(arguments: &[String]) -> Result<Self, String> {
        let mut options = Self {
            time: Duration::from_secs(30 * 60),
            workers: 20,
            between_kills: Duration::from_secs(60),
            program: None,
        };
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let value = rest
                .next()
                .ok_or_else(|| format!("{argument} needs a value"))?;
            let number = || {
                let parsed = value.parse::<u64>();
                parsed.map_err(|_| format!("not a number: {value}"))
            };
            match argument.as_str() {
                "--minutes" => options.time = Duration::from_secs(60 * number()?),
                "--workers" => options.workers = number()?,
                "--kill-every" => options.between_kills = Duration::from_secs(number()?),
                "--program" => options.program = Some(PathBuf::from(value)),
                other => return Err(format!("unknown option: {other}")),
            }
        }
        Ok(options)
    }
}

/// Whether the daemon is up, as the workers know it.
#[derive(Debug)]
pub(crate) struct World {
    engine: RwLock<Engine>,
    life: Mutex<Life>,
    changed: Condvar,
    failures: Mutex<Vec<String>>,
}

#[derive(Debug, Clone, Copy)]
struct Life {
    up: bool,
    /// How often it was started.
    number: u64,
    over: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World {
    /// Waits until the daemon is up; its life's number, or nothing when the time is over.
    fn up(&self) -> Option<u64> {
        let mut life = lock(&self.life);
        while !life.up {
            life = self
                .changed
                .wait(life)
                .unwrap_or_else(PoisonError::into_inner);
        }
        (!life.over).then_some(life.number)
    }

    fn fail(&self, what: String) {
        eprintln!("FAILED: {what}");
        lock(&self.failures).push(what);
        self.changed.notify_all();
    }

    /// Waits until `deadline`, or until a worker has failed; whether it is the former.
    fn wait(&self, deadline: Instant) -> bool {
        let mut life = lock(&self.life);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            if !lock(&self.failures).is_empty() {
                return false;
            }
            let waited = self.changed.wait_timeout(life, left);
            life = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Kills the daemon and starts it again; how long it took to be there again.
    fn kill(&self) -> Duration {
        lock(&self.life).up = false;
        let mut engine = self.engine.write().unwrap_or_else(PoisonError::into_inner);
        engine.kill9();
        let began = Instant::now();
        engine.boot();
        let took = began.elapsed();
        drop(engine);
        let mut life = lock(&self.life);
        life.up = true;
        life.number += 1;
        self.changed.notify_all();
        took
    }
}

/// Runs it all and says what came out.
pub(crate) fn run(options: &Options) -> ExitCode {
    let engine = Engine::start_with(EngineOptions {
        program: options.program.clone(),
        ..EngineOptions::default()
    });
    engine.import_busybox();
    let before = Census::take(&engine);
    let world = World {
        engine: RwLock::new(engine),
        life: Mutex::new(Life {
            up: true,
            number: 0,
            over: false,
        }),
        changed: Condvar::new(),
        failures: Mutex::default(),
    };
    let totals = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..options.workers)
            .map(|number| {
                let world = &world;
                scope.spawn(move || Worker::new(number, world).run())
            })
            .collect();
        conduct(&world, options);
        let mut totals = worker::Totals::default();
        for worker in workers {
            match worker.join() {
                Ok(done) => totals.add(&done),
                Err(_) => world.fail("a worker panicked".into()),
            }
        }
        totals
    });
    println!("{totals}");
    let engine = world.engine.read().unwrap_or_else(PoisonError::into_inner);
    let after = Census::take(&engine);
    println!("before: {before}\nafter:  {after}");
    for difference in before.worse(&after) {
        world.fail(difference);
    }
    drop(engine);
    let failures = lock(&world.failures).len();
    println!("{failures} failure(s)");
    ExitCode::from(u8::from(failures > 0))
}

/// Kills the daemon as often as asked for, then tells the workers that the time is over.
fn conduct(world: &World, options: &Options) {
    let end = Instant::now() + options.time;
    let mut kills = 0_u32;
    loop {
        let next = Instant::now() + options.between_kills;
        if next >= end {
            world.wait(end);
            break;
        }
        if !world.wait(next) {
            break;
        }
        let census = Census::take(&world.engine.read().unwrap_or_else(PoisonError::into_inner));
        let took = world.kill();
        kills += 1;
        println!("kill {kills}: {census}; back in {took:?}");
    }
    lock(&world.life).over = true;
    println!("{kills} kills");
}
