//! What the classic build says: `Step 2/5 : RUN make`, one instruction after the other, whatever runs at the same time.
//! Pure.
//!
//! The builder tells of vertices; a vertex belongs to the instruction that its lines are those of. An instruction is told
//! when all before it have ended; what the ones after it print meanwhile waits, so much as is told at most.
//!
//! ```text
//! Step 2/3 : RUN make           told when it is its turn
//!  ---> Running in 3ad142301c7b when it runs
//! ...                           what it prints
//!  ---> Removed intermediate container 3ad142301c7b
//!  ---> 27dfe144cdbe            when it has ended
//! ```

use std::collections::HashMap;

use dhow_builder::Progress;
use dhow_builder::progress::VertexStatus;
use dhow_dockerfile::{Dockerfile, Instruction, Lines};
use dhow_oci::Digest;

/// How much of an instruction's output waits for its turn; the same as is kept by BuildKit.
const WAITING: usize = 2 * 1024 * 1024;
/// What is said in the place of more.
const CLIPPED: &str = "[output clipped, log limit 2MiB reached]\n";
/// The colour of standard error.
const RED: (&str, &str) = ("\u{1b}[91m", "\u{1b}[0m");

/// One line of a Dockerfile, as it is told.
#[derive(Debug)]
struct Told {
    text: String,
    lines: Option<Lines>,
    what: What,
    /// The stage it is in, and that it begins with.
    stage: usize,
    base: Base,
    state: State,
    /// What it printed before its turn.
    waiting: Vec<(u8, Vec<u8>)>,
    bytes: usize,
    /// What it gives is known by this.
    id: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Base {
    /// No `FROM`.
    None,
    Scratch,
    Stage(usize),
    Image,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    From,
    Run,
    Copy,
    /// Something about the image's configuration: no vertex.
    Metadata,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct State {
    begun: bool,
    ended: bool,
    cached: bool,
    failed: bool,
}

/// How a build is told.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Manner {
    /// `--rm`: that a container was removed is told.
    pub(crate) removes: bool,
}

/// The text of a classic build.
#[derive(Debug)]
pub(crate) struct Transcript {
    steps: Vec<Told>,
    /// The instruction whose turn it is.
    turn: usize,
    /// Whether its first line was told.
    opened: bool,
    running: bool,
    vertices: HashMap<Digest, usize>,
    manner: Manner,
    /// All of this stage was in the cache until now.
    cached: bool,
    out: Vec<String>,
}

impl Transcript {
    /// The text of a build of this file up to `target`; the stages after that are not told of.
    pub(crate) fn new(dockerfile: &Dockerfile, target: usize, manner: Manner) -> Self {
        let mut steps = Vec::new();
        for (number, stage) in dockerfile.stages.iter().enumerate().take(target + 1) {
            let earlier = dockerfile.stages.iter().take(number);
            let named = |other: &dhow_dockerfile::Stage| {
                other.name.as_deref() == Some(stage.base.to_lowercase().as_str())
            };
            let base = match earlier.collect::<Vec<_>>().into_iter().rposition(named) {
                Some(earlier) => Base::Stage(earlier),
                None if stage.base == "scratch" => Base::Scratch,
                None => Base::Image,
            };
            steps.push(Told::new(
                &stage.original,
                stage.lines,
                What::From,
                number,
                base,
            ));
            for step in &stage.steps {
                let what = what(&step.instruction);
                steps.push(Told::new(
                    &step.original,
                    step.lines,
                    what,
                    number,
                    Base::None,
                ));
            }
        }
        let mut transcript = Self {
            steps,
            turn: 0,
            opened: false,
            running: false,
            vertices: HashMap::new(),
            manner,
            cached: true,
            out: Vec::new(),
        };
        transcript.advance(false);
        transcript
    }

    /// Takes in what has happened.
    pub(crate) fn take(&mut self, progress: &Progress) {
        match progress {
            Progress::Vertex(status) => self.vertex(status),
            Progress::Log {
                vertex,
                stream,
                bytes,
                ..
            } => self.log(vertex, *stream, bytes),
            Progress::Task(_) | Progress::Warning(_) => {}
        }
        self.advance(false);
    }

    /// All went well: whatever has not been told is.
    pub(crate) fn finish(&mut self) {
        self.advance(true);
    }

    /// What is to be told now.
    pub(crate) fn told(&mut self) -> Vec<String> {
        std::mem::take(&mut self.out)
    }

    fn vertex(&mut self, status: &VertexStatus) {
        let Some(number) = self.number(status) else {
            return;
        };
        self.vertices.insert(status.digest, number);
        let step = &mut self.steps[number];
        step.state.begun |= status.started.is_some();
        step.state.failed |= !status.error.is_empty();
        if status.completed.is_some() && status.error.is_empty() {
            step.state.ended = true;
            step.state.cached = status.cached;
        }
        step.id = match (step.what, from_digest(&status.name)) {
            (What::From, Some(id)) => id.to_owned(),
            _ => status.digest.short(),
        };
    }

    fn number(&self, status: &VertexStatus) -> Option<usize> {
        if let Some(number) = self.vertices.get(&status.digest) {
            return Some(*number);
        }
        let lines = status.lines?;
        let fits = |step: &Told| {
            step.what != What::Metadata && step.lines.is_some_and(|own| own.first == lines.first)
        };
        self.steps.iter().position(fits)
    }

    fn log(&mut self, vertex: &Digest, stream: u8, bytes: &[u8]) {
        let Some(number) = self.vertices.get(vertex).copied() else {
            return;
        };
        if number == self.turn {
            self.advance(false);
            let text = printed(stream, bytes);
            self.out.push(text);
            return;
        }
        let step = &mut self.steps[number];
        if step.bytes < WAITING {
            step.bytes += bytes.len();
            step.waiting.push((stream, bytes.to_vec()));
            if step.bytes >= WAITING {
                step.waiting.push((2, CLIPPED.into()));
            }
        }
    }

    /// Tells all that can be told now; `all` that is left, when the build has ended.
    fn advance(&mut self, all: bool) {
        while self.turn < self.steps.len() {
            self.open();
            let step = &self.steps[self.turn];
            let needed = matches!(step.what, What::Run | What::Copy) || step.base == Base::Image;
            if step.state.begun && !step.state.cached && step.what == What::Run && !self.running {
                // Whether it was in the cache is known at its end only, and then it has not run.
                self.running = true;
                self.out
                    .push(format!(" ---> Running in {}\n", step.container()));
            }
            self.flush();
            let step = &self.steps[self.turn];
            if step.state.failed || (needed && !step.state.ended && !all) {
                return;
            }
            self.close();
        }
    }

    fn open(&mut self) {
        if self.opened {
            return;
        }
        let (step, count) = (&self.steps[self.turn], self.steps.len());
        self.out
            .push(format!("Step {}/{count} : {}", self.turn + 1, step.text));
        self.out.push("\n".into());
        (self.opened, self.running) = (true, false);
    }

    fn flush(&mut self) {
        let waiting = std::mem::take(&mut self.steps[self.turn].waiting);
        for (stream, bytes) in waiting {
            self.out.push(printed(stream, &bytes));
        }
    }

    fn close(&mut self) {
        let id = self.identity();
        let step = &mut self.steps[self.turn];
        step.id.clone_from(&id);
        let cached = match step.what {
            What::From => false,
            What::Run | What::Copy => step.state.cached,
            What::Metadata => self.cached,
        };
        let container = step.container();
        match step.what {
            What::From => self.cached = true,
            _ if cached => self.out.push(" ---> Using cache\n".into()),
            What::Copy => self.cached = false,
            What::Run | What::Metadata => {
                self.cached = false;
                if !self.running {
                    self.out.push(format!(" ---> Running in {container}\n"));
                }
                if self.manner.removes {
                    let text = format!(" ---> Removed intermediate container {container}\n");
                    self.out.push(text);
                }
            }
        }
        self.out.push(format!(" ---> {id}\n"));
        self.turn += 1;
        self.opened = false;
    }

    /// What the instruction gives is known by.
    fn identity(&self) -> String {
        let step = &self.steps[self.turn];
        match step.base {
            Base::Scratch => return String::new(),
            Base::Stage(stage) => {
                let last = self.steps.iter().rfind(|other| other.stage == stage);
                return last.map(|last| last.id.clone()).unwrap_or_default();
            }
            Base::Image => return step.id.clone(),
            Base::None => {}
        }
        let below = self.turn.checked_sub(1).map(|below| &self.steps[below]);
        let below = below.map_or("", |below| below.id.as_str());
        let text = format!("{below}\n{}\n{}", step.text, step.id);
        Digest::of(text.as_bytes()).short()
    }
}

impl Told {
    fn new(text: &str, lines: Lines, what: What, stage: usize, base: Base) -> Self {
        Self {
            text: text.trim_end().to_owned(),
            lines: Some(lines),
            what,
            stage,
            base,
            state: State::default(),
            waiting: Vec::new(),
            bytes: 0,
            id: String::new(),
        }
    }

    /// The name of the container that it runs in.
    fn container(&self) -> String {
        let text = format!("container\n{}\n{:?}\n{}", self.text, self.lines, self.id);
        Digest::of(text.as_bytes()).short()
    }
}

fn what(instruction: &Instruction) -> What {
    match instruction {
        Instruction::Run(_) => What::Run,
        Instruction::Add(_) | Instruction::Copy(_) => What::Copy,
        _ => What::Metadata,
    }
}

fn printed(stream: u8, bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    if stream == 2 {
        format!("{}{text}{}", RED.0, RED.1)
    } else {
        text.into_owned()
    }
}

/// What a vertex's name says of the image: `[1/2] FROM docker.io/library/busybox:latest@sha256:…`.
fn from_digest(name: &str) -> Option<&str> {
    let (_, hex) = name.split_once("@sha256:")?;
    hex.get(..12)
}
