//! Which stages there are, what they stand on, and which of them the target needs.

use std::collections::{BTreeMap, BTreeSet};

use dhow_dockerfile::{Dockerfile, Instruction, Lexer, Lines, Mount, MountKind, Step, suggest};
use dhow_oci::Platform;

use crate::plan::environment::{Environment, Platforms, globals};
use crate::plan::problem::Problem;
use crate::request::Options;

/// All stages, also those that are only named by `--from`.
#[derive(Debug, Clone)]
pub(crate) struct Survey {
    pub(crate) stages: Vec<Surveyed>,
    /// The position of the stage that is asked for.
    pub(crate) target: usize,
    /// The positions of those it needs, itself included.
    pub(crate) needed: BTreeSet<usize>,
    /// The arguments before the first stage.
    pub(crate) globals: Environment,
    /// How many of the stages stand in the file.
    pub(crate) written: usize,
}

/// A stage.
#[derive(Debug, Clone)]
pub(crate) struct Surveyed {
    /// What others call it.
    pub(crate) name: Option<String>,
    /// What people are told in names of vertices; nothing when it is the only one.
    pub(crate) shown: String,
    /// What it stands on, as it is written, variables expanded.
    pub(crate) base_name: String,
    /// What that is.
    pub(crate) base: Base,
    /// The platform that `FROM` asks for.
    pub(crate) platform: Option<Platform>,
    /// It is not in the file: only `--from` names it.
    pub(crate) implicit: bool,
    /// Where it begins.
    pub(crate) lines: Lines,
    /// What it does.
    pub(crate) commands: Vec<Command>,
    /// How many of its vertices are numbered.
    pub(crate) total: usize,
    /// How many of them its base image left to do.
    pub(crate) triggered: usize,
}

/// What a stage stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Base {
    /// Nothing.
    Scratch,
    /// Another stage, by position.
    Stage(usize),
    /// An image, or what a named context replaces it with.
    Image,
}

/// An instruction, and the stages it takes files from.
#[derive(Debug, Clone)]
pub(crate) struct Command {
    pub(crate) step: Step,
    /// For `COPY` one at most, for `RUN` one a mount.
    pub(crate) sources: Vec<Option<usize>>,
}

/// Instructions that images had left for the stages that stand on them, by the position of the stage.
pub(crate) type Triggers = BTreeMap<usize, Vec<Step>>;

impl Survey {
    /// Surveys a file for one platform.
    pub(crate) fn of(
        dockerfile: &Dockerfile,
        options: &Options,
        platforms: &Platforms,
        triggers: &Triggers,
    ) -> Result<Self, Problem> {
        let target = options.target.as_deref().filter(|name| !name.is_empty());
        let globals = globals(dockerfile, &options.arguments, platforms, target)?;
        let mut names = BTreeMap::new();
        let mut stages = Vec::new();
        for (position, stage) in dockerfile.stages.iter().enumerate() {
            let surveyed = surveyed(dockerfile, position, &globals, &names)?;
            stages.push(surveyed);
            if let Some(name) = &stage.name {
                names.insert(name.clone(), position);
            }
        }
        let mut survey = Self {
            written: stages.len(),
            target: 0,
            stages,
            needed: BTreeSet::new(),
            globals,
        };
        survey.target = survey.find_target(target)?;
        for position in 0..survey.written {
            let steps = &dockerfile.stages[position].steps;
            let inherited = triggers.get(&position).into_iter().flatten();
            for step in inherited.chain(steps) {
                let command = survey.command(step, &names)?;
                survey.stages[position].commands.push(command);
            }
            let triggered = triggers.get(&position).map_or(0, Vec::len);
            survey.stages[position].total += triggered;
            survey.stages[position].triggered = triggered;
        }
        // Every mount counts as a stage of its own, as far as telling stages apart goes.
        let told_apart = survey.stages.len() > 1 || survey.stages[0].has_mounts();
        if !told_apart {
            survey.stages[0].shown.clear();
        }
        survey.check_cycles()?;
        survey.needed = survey.needed_by(survey.target);
        Ok(survey)
    }

    fn find_target(&self, wanted: Option<&str>) -> Result<usize, Problem> {
        let Some(wanted) = wanted else {
            return Ok(self.written - 1);
        };
        let lower = wanted.to_lowercase();
        let named = |stage: &Surveyed| stage.name.as_deref() == Some(&lower);
        if let Some(found) = self.stages.iter().rposition(named) {
            return Ok(found);
        }
        let names: Vec<&str> = self
            .stages
            .iter()
            .filter_map(|stage| stage.name.as_deref())
            .collect();
        let meant = suggest(wanted, &names);
        Err(Problem::new(format!(
            "target stage {wanted:?} could not be found{meant}"
        )))
    }

    /// Looks up what a step takes files from.
    fn command(
        &mut self,
        step: &Step,
        names: &BTreeMap<String, usize>,
    ) -> Result<Command, Problem> {
        let mut sources = Vec::new();
        match &step.instruction {
            Instruction::Copy(copy) => {
                if let Some(from) = &copy.from {
                    if from.find('$').is_some_and(|at| at + 1 < from.len()) {
                        return Err(Problem::new(
                            "variable expansion is not supported for --from, define a new stage with FROM using ARG \
                             from global scope as a workaround",
                        )
                        .at(step.lines));
                    }
                    sources.push(Some(self.copied(from, step.lines, names)?));
                }
            }
            Instruction::Run(run) => {
                for mount in &run.mounts {
                    let (kind, from) =
                        Mount::origin(mount).map_err(|text| Problem::new(text).at(step.lines))?;
                    let takes = matches!(kind, MountKind::Bind | MountKind::Cache);
                    let source = from.filter(|_| takes);
                    sources.push(source.map(|from| self.source(&from, step.lines, names)));
                }
            }
            _ => {}
        }
        Ok(Command {
            step: step.clone(),
            sources,
        })
    }

    /// The stage that `COPY --from` means, which may be a number.
    fn copied(
        &mut self,
        from: &str,
        lines: Lines,
        names: &BTreeMap<String, usize>,
    ) -> Result<usize, Problem> {
        let Ok(index) = from.parse::<i64>() else {
            return Ok(self.source(from, lines, names));
        };
        let found = usize::try_from(index).ok().filter(|at| *at < self.written);
        found.ok_or_else(|| Problem::new(format!("invalid stage index {index}")).at(lines))
    }

    /// The stage of that name, or a new one that is an image only.
    fn source(&mut self, from: &str, lines: Lines, names: &BTreeMap<String, usize>) -> usize {
        if let Some(found) = names.get(&from.to_lowercase()) {
            return *found;
        }
        let same = |stage: &Surveyed| stage.implicit && stage.base_name == from;
        if let Some(found) = self.stages.iter().position(same) {
            return found;
        }
        self.stages.push(Surveyed {
            name: None,
            shown: String::new(),
            base_name: from.to_owned(),
            base: match from {
                "scratch" => Base::Scratch,
                _ => Base::Image,
            },
            platform: None,
            implicit: true,
            lines,
            commands: Vec::new(),
            total: 0,
            triggered: 0,
        });
        self.stages.len() - 1
    }

    /// What the commands of a stage take files from.
    fn sources(&self, position: usize) -> BTreeSet<usize> {
        let commands = &self.stages[position].commands;
        let sources = commands.iter().flat_map(|command| &command.sources);
        sources.flatten().copied().collect()
    }

    /// What a stage stands on and takes files from.
    fn inputs(&self, position: usize) -> BTreeSet<usize> {
        let stage = &self.stages[position];
        let mut inputs = self.sources(position);
        if let Base::Stage(base) = stage.base {
            inputs.insert(base);
        }
        inputs
    }

    fn needed_by(&self, target: usize) -> BTreeSet<usize> {
        let mut needed = BTreeSet::new();
        let mut open = vec![target];
        while let Some(next) = open.pop() {
            if needed.insert(next) {
                open.extend(self.inputs(next));
            }
        }
        needed
    }

    fn check_cycles(&self) -> Result<(), Problem> {
        let mut done = BTreeSet::new();
        for start in 0..self.stages.len() {
            self.visit(start, &mut Vec::new(), &mut done)?;
        }
        Ok(())
    }

    /// Goes as deep as there are stages: each is on the path once at most.
    fn visit(
        &self,
        stage: usize,
        path: &mut Vec<usize>,
        done: &mut BTreeSet<usize>,
    ) -> Result<(), Problem> {
        if done.contains(&stage) {
            return Ok(());
        }
        if path.contains(&stage) {
            let before = path.last().copied().unwrap_or(stage);
            let by = self.stages[before]
                .commands
                .iter()
                .find(|command| command.sources.contains(&Some(stage)));
            let lines = by.map_or(self.stages[before].lines, |command| command.step.lines);
            let text = format!(
                "circular dependency detected on stage: {}",
                self.stages[stage].shown_or("stage-0")
            );
            return Err(Problem::new(text).at(lines));
        }
        path.push(stage);
        for input in self.sources(stage) {
            self.visit(input, path, done)?;
        }
        path.pop();
        done.insert(stage);
        Ok(())
    }
}

impl Surveyed {
    fn has_mounts(&self) -> bool {
        let mut steps = self.commands.iter().map(|command| &command.step);
        steps.any(
            |step| matches!(&step.instruction, Instruction::Run(run) if !run.mounts.is_empty()),
        )
    }

    /// Its name for people, also when it is the only one.
    pub(crate) fn shown_or<'a>(&'a self, only: &'a str) -> &'a str {
        match self.shown.as_str() {
            "" => self.name.as_deref().unwrap_or(only),
            shown => shown,
        }
    }
}

fn surveyed(
    dockerfile: &Dockerfile,
    position: usize,
    globals: &Environment,
    names: &BTreeMap<String, usize>,
) -> Result<Surveyed, Problem> {
    let stage = &dockerfile.stages[position];
    let lexer = Lexer::new(dockerfile.directives.escape);
    let wrong = |problem: Problem| problem.at(stage.lines);
    let expand = |text: &str| lexer.word(text, globals).map_err(|e| wrong(e.into()));
    let base_name = expand(&stage.base)?.text;
    if base_name.is_empty() {
        let text = format!("base name ({}) should not be blank", stage.base);
        return Err(wrong(text.into()));
    }
    let base = match names.get(&base_name) {
        Some(earlier) => Base::Stage(*earlier),
        None if base_name == "scratch" => Base::Scratch,
        None => Base::Image,
    };
    let platform = match &stage.platform {
        None => None,
        Some(written) => Some(platform(written, expand(written)?, globals).map_err(wrong)?),
    };
    let numbered = |step: &&Step| {
        matches!(
            step.instruction,
            Instruction::Add(_)
                | Instruction::Copy(_)
                | Instruction::Run(_)
                | Instruction::Workdir(_)
        )
    };
    let from = usize::from(base == Base::Image);
    Ok(Surveyed {
        shown: stage
            .name
            .clone()
            .unwrap_or_else(|| format!("stage-{position}")),
        name: stage.name.clone(),
        base_name,
        base,
        platform,
        implicit: false,
        lines: stage.lines,
        commands: Vec::new(),
        total: from + stage.steps.iter().filter(numbered).count(),
        triggered: 0,
    })
}

fn platform(
    written: &str,
    expanded: dhow_dockerfile::Expanded,
    globals: &Environment,
) -> Result<Platform, Problem> {
    let names = globals.names();
    let meant = expanded
        .unset
        .iter()
        .map(|unset| suggest(unset, &names))
        .find(|meant| !meant.is_empty())
        .unwrap_or_default();
    if expanded.text.is_empty() {
        return Err(Problem::new(format!(
            "empty platform value from expression {written}{meant}"
        )));
    }
    expanded.text.parse().map_err(|error| {
        Problem::new(format!(
            "failed to parse platform {}: {error}{meant}",
            expanded.text
        ))
    })
}
