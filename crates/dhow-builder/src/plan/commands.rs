//! A stage's instructions become vertices and changes of its state.

use std::collections::BTreeMap;

use dhow_dockerfile::{Instruction, Lexer, Mount, MountKind};

use crate::graph::{FileAction, FileOp, Op, Vertex};
use crate::plan::configure::Configuring;
use crate::plan::copy::{self, From};
use crate::plan::draw::{Done, Stages};
use crate::plan::path::absolute;
use crate::plan::problem::Problem;
use crate::plan::run;
use crate::plan::state::{State, Step, Titles, owner, told};
use crate::plan::survey::{Command, Survey};
use crate::request::NoCache;

/// The instructions of a stage.
pub(super) struct Commands<'a, 'b> {
    pub(super) stages: &'a mut Stages<'b>,
    pub(super) done: &'a BTreeMap<usize, Done>,
    pub(super) titles: Titles,
    pub(super) stage: String,
    pub(super) configuring_command: bool,
    pub(super) globals: &'a Survey,
}

impl Commands<'_, '_> {
    pub(super) fn draw(&mut self, command: &Command, state: &mut State) -> Result<(), Problem> {
        let lexer = Lexer::new(self.stages.dockerfile.directives.escape);
        let step = Step {
            original: &command.step.original,
            lines: command.step.lines,
            no_cache: self.no_cache(),
            lexer,
        };
        match &command.step.instruction {
            Instruction::Copy(one) => {
                let from = match command.sources.first().copied().flatten() {
                    Some(source) => self.copied_from(source, one.from.as_deref())?,
                    None => self.context(),
                };
                let drawing = (&mut self.stages.drawing, &mut self.titles);
                copy::copy(one, from, &step, state, drawing)
            }
            Instruction::Add(one) => {
                let from = self.context();
                let drawing = (&mut self.stages.drawing, &mut self.titles);
                copy::add(one, from, &step, state, drawing)
            }
            Instruction::Run(one) => {
                let mut origins = Vec::new();
                for (source, text) in command.sources.iter().zip(&one.mounts) {
                    origins.push(match source {
                        Some(source) => self.mounted_from(*source, text)?,
                        None => self.mounted_context(text, state),
                    });
                }
                let drawing = (&mut self.stages.drawing, &mut self.titles);
                run::run(one, &origins, self.stages.options, &step, state, drawing)
            }
            Instruction::Workdir(path) => self.workdir(path, &step, state),
            other => {
                let mut configuring = Configuring {
                    lexer,
                    given: &self.stages.options.arguments,
                    globals: &self.globals.globals,
                    has_command: self.configuring_command,
                };
                configuring.apply(state, other)?;
                self.configuring_command = configuring.has_command;
                Ok(())
            }
        }
    }

    fn no_cache(&self) -> bool {
        match &self.stages.options.no_cache {
            NoCache::Nothing => false,
            NoCache::All => true,
            NoCache::Stages(names) => {
                let mut names = names.iter();
                names.any(|name| name.eq_ignore_ascii_case(&self.stage))
            }
        }
    }

    fn context(&mut self) -> From {
        let context = self.stages.found.context.clone();
        self.stages.context(&context)
    }

    fn from(&self, source: usize) -> Option<From> {
        let done = self.done.get(&source)?;
        Some(From {
            vertex: done.state.root,
            tree: done.tree,
        })
    }

    fn copied_from(&self, source: usize, written: Option<&str>) -> Result<From, Problem> {
        self.from(source).ok_or_else(|| {
            let written = written.unwrap_or_default();
            Problem::new(format!(
                "cannot copy from stage {written:?}, it needs to be defined before current stage {:?}",
                self.stage
            ))
        })
    }

    fn mounted_from(&self, source: usize, text: &str) -> Result<From, Problem> {
        self.from(source).ok_or_else(|| {
            let name = &self.globals.stages[source].shown;
            Problem::new(format!(
                "cannot mount from stage {name:?} to {text:?}, stage needs to be defined before current command"
            ))
        })
    }

    /// The context, for mounts that take files from it.
    fn mounted_context(&mut self, text: &str, state: &State) -> From {
        match Mount::origin(text) {
            Ok((MountKind::Bind, None)) => self.context(),
            _ => From {
                vertex: state.root,
                tree: false,
            },
        }
    }

    fn workdir(&mut self, path: &str, step: &Step<'_>, state: &mut State) -> Result<(), Problem> {
        let path = step.lexer.word(path, &state.environment)?.text;
        // An absolute path stands in the image as it is written.
        let path = match path.starts_with('/') {
            true => path,
            false => match absolute(state.directory(), &path).trim_end_matches('/') {
                "" => "/".to_owned(),
                path => path.to_owned(),
            },
        };
        let made = absolute("/", &path);
        state.image.config.working_dir.clone_from(&path);
        if made == "/" {
            state.note(format!("WORKDIR {path}"), false);
            return Ok(());
        }
        let text = told(step.original, &state.environment, &step.lexer);
        let title = self.titles.next(&text);
        let action = FileAction::MakeDirectory {
            path: made.trim_end_matches('/').to_owned(),
            mode: 0o755,
            owner: owner(&state.image.config.user),
            epoch: state.epoch,
        };
        state.root = self.stages.drawing.add(Vertex {
            op: Op::File(FileOp {
                actions: vec![action],
            }),
            inputs: vec![state.root],
            name: title,
            platform: state.platform.clone(),
            no_cache: false,
            lines: Some(step.lines),
        });
        state.note(format!("WORKDIR {path}"), true);
        Ok(())
    }
}
