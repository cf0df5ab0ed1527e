//! What the classic build says: `Step 2/5 : RUN make`, one instruction after the other, whatever runs at the same time.
//! Pure.
//!
//! The builder tells of vertices; a vertex belongs to the instruction that its lines are those of. An instruction is told
//! when all before it have ended; what the ones after it print meanwhile waits, so much as is told at most.
//!
//! ```text
//! Step 2/3 : RUN make           told when it is its turn
//!  ---> Running in 3ad142301c7b when it prints something or has ended
//! ...                           what it prints
//!  ---> Removed intermediate container 3ad142301c7b
//!  ---> 27dfe144cdbe            when it has ended
//! ```

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use dhow_builder::Progress;
use dhow_builder::progress::VertexStatus;
use dhow_dockerfile::{Dockerfile, Instruction, Lines};
use dhow_oci::{Digest, Reference};

/// How much of an instruction's output waits for its turn; the same as is kept by BuildKit.
const WAITING: usize = 2 * 1024 * 1024;
/// What is said in the place of more.
const CLIPPED: &str = "[output clipped, log limit 2MiB reached]\n";
/// What is said of an instruction that nothing needs: unlike with the classic builder it is not carried out.
const SKIPPED: &str = " ---> Skipped: the target does not need this stage\n";
/// The colour of standard error.
const RED: (&str, &str) = ("\u{1b}[91m", "\u{1b}[0m");

/// One line of a Dockerfile, as it is told.
#[derive(Debug)]
struct Told {
    text: String,
    lines: Lines,
    what: What,
    /// The stage it is in, and that it begins with.
    stage: usize,
    base: Base,
    state: State,
    /// Its vertices that have not ended.
    under_way: HashSet<Digest>,
    /// What it printed before its turn.
    waiting: Vec<(u8, Vec<u8>)>,
    bytes: usize,
    /// What it gives is known by this.
    id: String,
    /// The whole name of the image that it begins with.
    image: Option<String>,
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
    /// It printed something: it was not in the cache.
    printed: bool,
    ended: bool,
    cached: bool,
    /// Some of it was not in the cache.
    missed: bool,
    failed: bool,
}

/// How a build is told.
#[derive(Debug, Clone, Default)]
pub(crate) struct Manner {
    /// `--rm`: that a container was removed is told.
    pub(crate) removes: bool,
    /// Labels beside the Dockerfile's, told as instructions of their own.
    pub(crate) labels: BTreeMap<String, String>,
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
    /// The stages that the target needs.
    needed: BTreeSet<usize>,
    /// Whether all of this stage was in the cache until now; nothing while that is not known.
    cached: Option<bool>,
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
            let image = Reference::parse(&stage.base).ok();
            let image = image.filter(|_| base == Base::Image);
            let from = Told::new(&stage.original, stage.lines, What::From, number, base);
            steps.push(Told {
                image: image.map(|image| image.with_default_tag().to_string()),
                ..from
            });
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
        for (key, value) in &manner.labels {
            let text = format!("LABEL {key}={value}");
            let lines = Lines { first: 0, last: 0 };
            steps.push(Told::new(&text, lines, What::Metadata, target, Base::None));
        }
        let mut transcript = Self {
            steps,
            turn: 0,
            opened: false,
            running: false,
            vertices: HashMap::new(),
            manner,
            needed: needed(dockerfile, target),
            cached: None,
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
        self.image(status);
        let Some(number) = self.number(status) else {
            return;
        };
        self.vertices.insert(status.digest, number);
        let step = &mut self.steps[number];
        step.state.failed |= !status.error.is_empty();
        if status.completed.is_some() && status.error.is_empty() {
            step.state.missed |= !status.cached;
            step.under_way.remove(&status.digest);
        } else {
            step.under_way.insert(status.digest);
        }
        step.state.ended = step.under_way.is_empty();
        step.state.cached = step.state.ended && !step.state.missed;
        step.id = match (step.what, image_of(&status.name)) {
            (What::From, Some((_, id))) => id.to_owned(),
            _ => status.digest.short(),
        };
    }

    /// An image that several instructions begin with is one vertex, which has the lines of one of them only.
    fn image(&mut self, status: &VertexStatus) {
        let Some((name, id)) = image_of(&status.name).filter(|_| status.completed.is_some()) else {
            return;
        };
        for step in &mut self.steps {
            if step.image.as_ref().is_some_and(|image| *image == name) {
                step.id = id.to_owned();
                step.state.ended = status.error.is_empty();
            }
        }
    }

    fn number(&self, status: &VertexStatus) -> Option<usize> {
        if let Some(number) = self.vertices.get(&status.digest) {
            return Some(*number);
        }
        let lines = status.lines?;
        // An image is fetched for a `FROM`, or for what only takes something of it.
        let image = image_of(&status.name).is_some();
        let fits = |step: &Told| {
            step.what != What::Metadata
                && (step.what == What::From) == image
                && step.lines.first == lines.first
        };
        self.steps.iter().position(fits)
    }

    fn log(&mut self, vertex: &Digest, stream: u8, bytes: &[u8]) {
        let Some(number) = self.vertices.get(vertex).copied() else {
            return;
        };
        self.steps[number].state.printed = true;
        self.advance(false);
        if number <= self.turn {
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
            // Whether it was in the cache is known at its end only, unless it prints something.
            let ran = step.state.printed || (step.state.ended && !step.state.cached);
            if (ran || step.state.failed) && step.what == What::Run && !self.running {
                self.running = true;
                self.out
                    .push(format!(" ---> Running in {}\n", step.container()));
            }
            self.flush();
            if !self.is_over(all) {
                return;
            }
            self.close();
        }
    }

    /// Whether the instruction whose turn it is has ended.
    fn is_over(&mut self, all: bool) -> bool {
        let step = &self.steps[self.turn];
        if !self.needed.contains(&step.stage) {
            return true;
        }
        if step.state.failed {
            return false;
        }
        match step.what {
            What::Run | What::Copy => step.state.ended || all,
            What::From => step.base != Base::Image || step.state.ended || all,
            What::Metadata => {
                // Something about the configuration is in the cache when what comes after it is.
                let next = self.steps[self.turn..].iter().find(|next| {
                    next.stage == step.stage && matches!(next.what, What::Run | What::Copy)
                });
                let state = next.map(|next| next.state).unwrap_or_default();
                let known = self.cached.is_some() || next.is_none() || all;
                if !known && !state.ended && !state.printed && !state.failed {
                    return false;
                }
                self.cached.get_or_insert(state.ended && state.cached);
                true
            }
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
        let (what, container) = (step.what, step.container());
        step.id.clone_from(&id);
        let cached = match what {
            What::From => false,
            What::Run | What::Copy => step.state.cached,
            What::Metadata => self.cached.unwrap_or(false),
        };
        if !self.needed.contains(&step.stage) {
            self.out.push(SKIPPED.to_owned());
        } else if cached {
            self.out.push(" ---> Using cache\n".into());
        } else if matches!(what, What::Run | What::Metadata) {
            if !self.running {
                self.out.push(format!(" ---> Running in {container}\n"));
            }
            if self.manner.removes {
                let text = format!(" ---> Removed intermediate container {container}\n");
                self.out.push(text);
            }
        }
        if self.needed.contains(&self.steps[self.turn].stage) {
            self.out.push(format!(" ---> {id}\n"));
        }
        self.cached = match what {
            What::From => None,
            _ => Some(cached),
        };
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
            lines,
            what,
            stage,
            base,
            state: State::default(),
            under_way: HashSet::new(),
            waiting: Vec::new(),
            bytes: 0,
            id: String::new(),
            image: None,
        }
    }

    /// The name of the container that it runs in.
    fn container(&self) -> String {
        let text = format!("container\n{}\n{:?}\n{}", self.text, self.lines, self.id);
        Digest::of(text.as_bytes()).short()
    }
}

/// The stages that the target needs; one whose name depends on an argument needs all before it.
fn needed(dockerfile: &Dockerfile, target: usize) -> BTreeSet<usize> {
    let mut needed = BTreeSet::from([target]);
    for number in (0..=target).rev() {
        if !needed.contains(&number) {
            continue;
        }
        let stage = &dockerfile.stages[number];
        let named = |name: &str| {
            let name = name.to_lowercase();
            let earlier = &dockerfile.stages[..number];
            let by_name = earlier
                .iter()
                .rposition(|other| other.name.as_ref() == Some(&name));
            by_name.or_else(|| name.parse().ok().filter(|by_number| *by_number < number))
        };
        let mut names = vec![stage.base.clone()];
        for step in &stage.steps {
            match &step.instruction {
                Instruction::Copy(copy) => names.extend(copy.from.clone()),
                Instruction::Run(run) => names.extend(run.mounts.iter().filter_map(|mount| {
                    let from = mount.split(',').find_map(|part| part.strip_prefix("from="));
                    from.map(ToOwned::to_owned)
                })),
                _ => {}
            }
        }
        for name in names {
            if name.contains('$') {
                needed.extend(0..number);
            }
            needed.extend(named(&name));
        }
    }
    needed
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
fn image_of(name: &str) -> Option<(&str, &str)> {
    let (name, hex) = name.split_once("@sha256:")?;
    let (_, name) = name.rsplit_once(' ')?;
    Some((name, hex.get(..12)?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use jiff::Timestamp;

    use super::*;

    const FILE: &str =
        "FROM busybox AS one\nENV A=b\nRUN make\nFROM busybox\nRUN other\nCOPY --from=one /x /\n";

    fn digest(line: u32) -> Digest {
        Digest::of(&line.to_le_bytes())
    }

    fn vertex(line: u32, done: bool, cached: bool) -> Progress {
        let now = Timestamp::now();
        Progress::Vertex(VertexStatus {
            digest: digest(line),
            inputs: Vec::new(),
            name: match line {
                1 | 4 => "[1/2] FROM docker.io/library/busybox:latest@sha256:0123456789abcdef",
                _ => "[2/2] RUN something",
            }
            .into(),
            lines: Some(Lines {
                first: line,
                last: line,
            }),
            started: Some(now),
            completed: done.then_some(now),
            cached,
            error: String::new(),
        })
    }

    fn print(line: u32, text: &str) -> Progress {
        Progress::Log {
            vertex: digest(line),
            stream: 1,
            bytes: text.as_bytes().to_vec(),
            time: Timestamp::now(),
        }
    }

    fn transcript() -> Transcript {
        let file = dhow_dockerfile::parse(FILE.as_bytes()).unwrap();
        Transcript::new(
            &file,
            1,
            Manner {
                removes: true,
                ..Manner::default()
            },
        )
    }

    fn told(transcript: &mut Transcript) -> String {
        transcript.told().concat()
    }

    #[test]
    fn what_runs_at_once_is_told_in_the_files_order() {
        let mut transcript = transcript();
        assert_eq!(told(&mut transcript), "Step 1/6 : FROM busybox AS one\n");
        transcript.take(&vertex(1, true, false));
        transcript.take(&vertex(4, true, false));
        let text = told(&mut transcript);
        // Whether that is in the cache is not known before the next one begins.
        assert_eq!(text, " ---> 0123456789ab\nStep 2/6 : ENV A=b\n");
        // The other stage is faster.
        transcript.take(&vertex(5, false, false));
        transcript.take(&print(5, "later\n"));
        transcript.take(&vertex(5, true, false));
        transcript.take(&vertex(3, false, false));
        transcript.take(&print(3, "now\n"));
        let text = told(&mut transcript);
        assert!(
            text.contains("Step 3/6 : RUN make\n ---> Running in "),
            "{text}"
        );
        assert!(text.ends_with("\nnow\n"), "{text}");
        transcript.take(&vertex(3, true, false));
        let text = told(&mut transcript);
        let stage = "Step 4/6 : FROM busybox\n ---> 0123456789ab\nStep 5/6 : RUN other\n";
        assert!(text.contains(stage), "{text}");
        let late = "\nlater\n ---> Removed intermediate container ";
        assert!(text.contains(late), "{text}");
        assert!(
            text.ends_with("Step 6/6 : COPY --from=one /x /\n"),
            "{text}"
        );
        transcript.take(&vertex(6, true, true));
        transcript.finish();
        let text = told(&mut transcript);
        assert!(text.starts_with(" ---> Using cache\n ---> "), "{text}");
    }

    #[test]
    fn what_waits_for_its_turn_is_bounded() {
        let mut transcript = transcript();
        transcript.take(&vertex(5, false, false));
        let line = "x".repeat(1 << 20);
        for _ in 0..10 {
            transcript.take(&print(5, &line));
        }
        let waiting: usize = transcript.steps.iter().map(|step| step.bytes).sum();
        assert_eq!(waiting, WAITING);
        for line in [1, 3, 4] {
            transcript.take(&vertex(line, true, false));
        }
        let text = told(&mut transcript);
        assert!(
            text.ends_with(CLIPPED) || text.contains(CLIPPED.trim()),
            "clipped"
        );
    }

    #[test]
    fn an_image_that_a_command_takes_from_is_not_the_command() {
        let mut transcript = transcript();
        transcript.take(&vertex(1, true, false));
        let Progress::Vertex(mut status) = vertex(4, true, false) else {
            unreachable!("a vertex");
        };
        let line = 3;
        status.lines = Some(Lines {
            first: line,
            last: line,
        });
        transcript.take(&Progress::Vertex(status));
        transcript.take(&vertex(line, false, false));
        transcript.take(&print(line, "output\n"));
        let text = told(&mut transcript);
        assert!(text.ends_with("\noutput\n"), "{text}");
    }

    #[test]
    fn a_failed_instruction_is_the_last() {
        let mut transcript = transcript();
        transcript.take(&vertex(1, true, false));
        let Progress::Vertex(mut status) = vertex(3, true, false) else {
            unreachable!("a vertex");
        };
        status.error = "process failed".into();
        transcript.take(&Progress::Vertex(status));
        transcript.take(&vertex(4, true, false));
        let text = told(&mut transcript);
        let last = text.lines().last().unwrap();
        assert!(last.starts_with(" ---> Running in "), "{text}");
    }
}
