//! Stages become vertices.

use std::collections::{BTreeMap, BTreeSet};

use dhow_dockerfile::{Dockerfile, Instruction};
use dhow_oci::{Digest, Platform, Reference};

use crate::graph::{CopyAction, FileAction, FileOp, ImageOp, Op, Vertex, VertexId};
use crate::plan::commands::Commands;
use crate::plan::copy::From;
use crate::plan::drawing::Drawing;
use crate::plan::environment::Platforms;
use crate::plan::found::{Context, Found, FoundImage, Replacement};
use crate::plan::problem::Problem;
use crate::plan::state::{State, Titles};
use crate::plan::survey::{Base, Survey, Surveyed, Triggers};
use crate::plan::{Material, Target};
use crate::request::Options;

/// A plan while it is made.
pub(crate) struct Stages<'a> {
    pub(crate) dockerfile: &'a Dockerfile,
    pub(crate) options: &'a Options,
    pub(crate) found: &'a Found,
    pub(crate) epoch: Option<i64>,
    pub(crate) drawing: Drawing,
    pub(crate) materials: BTreeMap<String, Option<Digest>>,
}

/// A stage that was gone through.
#[derive(Clone)]
pub(super) struct Done {
    pub(super) state: State,
    /// Its root is a tree: a named context.
    pub(super) tree: bool,
    /// What people are told.
    name: String,
}

impl Stages<'_> {
    /// Draws what one platform needs.
    pub(crate) fn target(&mut self, platforms: &Platforms) -> Result<Target, Problem> {
        let triggers = self.triggers(platforms)?;
        let survey = Survey::of(self.dockerfile, self.options, platforms, &triggers)?;
        let mut done: BTreeMap<usize, Done> = BTreeMap::new();
        // What only --from names has no instructions: it is there before all others.
        let implicit = survey.written..survey.stages.len();
        for position in implicit.chain(0..survey.written) {
            if survey.needed.contains(&position) {
                let stage = self.stage(position, &survey, platforms, &done)?;
                done.insert(position, stage);
            }
        }
        let Some(mut last) = done.remove(&survey.target) else {
            return Err("the target was not planned".into());
        };
        if last.tree {
            last.state.root = self.rooted(&last.state);
        }
        let mut state = last.state;
        state
            .image
            .config
            .labels
            .extend(self.options.labels.clone());
        if !platforms.implicit {
            state.set_platform(&platforms.target);
        }
        state.image.created = self
            .epoch
            .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
        Ok(Target {
            platform: match platforms.implicit {
                true => state.platform.clone(),
                false => platforms.target.clone(),
            },
            vertex: state.root,
            inherited: state.inherited,
            image: state.image,
        })
    }

    /// The instructions that images left for the stages that stand on them.
    pub(crate) fn triggers(&self, platforms: &Platforms) -> Result<Triggers, Problem> {
        let survey = Survey::of(self.dockerfile, self.options, platforms, &Triggers::new())?;
        let mut triggers = Triggers::new();
        for position in 0..survey.written {
            let stage = &survey.stages[position];
            for written in self.left_by_base(stage, platforms) {
                let steps = triggers.entry(position).or_default();
                steps.extend(trigger(written, stage)?);
            }
        }
        Ok(triggers)
    }

    /// The instructions that a stage's image, or the stage it stands on, left for it.
    fn left_by_base(&self, stage: &Surveyed, platforms: &Platforms) -> Vec<&str> {
        if let Base::Stage(base) = stage.base {
            let steps = self.dockerfile.stages.get(base).into_iter();
            let steps = steps.flat_map(|stage| &stage.steps);
            let left = steps.filter_map(|step| match &step.instruction {
                Instruction::Onbuild(written) => Some(written.as_str()),
                _ => None,
            });
            return left.collect();
        }
        let image = self.base_image(stage, platforms);
        let left = image.iter().flat_map(|image| &image.config.config.on_build);
        left.map(String::as_str).collect()
    }

    /// The image that a stage stands on, if it is one and was looked up.
    pub(crate) fn base_image(
        &self,
        stage: &Surveyed,
        platforms: &Platforms,
    ) -> Option<&FoundImage> {
        if stage.base != Base::Image {
            return None;
        }
        let platform = stage.platform.as_ref().unwrap_or(&platforms.target);
        match self.found.replacement(&stage.base_name, platform) {
            Some(Replacement::Image(image)) => Some(image),
            Some(Replacement::Files(_)) => None,
            None => {
                let reference = Reference::parse(&stage.base_name).ok()?.with_default_tag();
                self.found.image(&reference, platform)
            }
        }
    }

    fn stage(
        &mut self,
        position: usize,
        survey: &Survey,
        platforms: &Platforms,
        done: &BTreeMap<usize, Done>,
    ) -> Result<Done, Problem> {
        let stage = &survey.stages[position];
        let platform = stage.platform.as_ref().unwrap_or(&platforms.target);
        let name = stage.shown_or("stage-0").to_owned();
        let named = stage.name.as_deref();
        if let Some(replacement) = named.and_then(|name| self.found.replacement(name, platform)) {
            let title = format!("[context {}]", named.unwrap_or_default());
            return Ok(self.replaced(&replacement.clone(), &title, name, platforms, stage));
        }
        let mut titles = Titles {
            stage: stage.shown.clone(),
            total: stage.total - stage.triggered,
            index: 0,
            platform: None,
        };
        let mut begun = match stage.base {
            Base::Stage(base) => done
                .get(&base)
                .cloned()
                .ok_or("a stage stands on a later one")?,
            _ => self.begun(stage, platforms, &mut titles)?,
        };
        if begun.tree && !stage.commands.is_empty() {
            begun.state.root = self.rooted(&begun.state);
            begun.tree = false;
        }
        begun.name.clone_from(&name);
        if matches!(stage.base, Base::Stage(_)) {
            // They are done in this stage.
            begun.state.image.config.on_build.clear();
        }
        if stage.implicit {
            return Ok(begun);
        }
        begun.state.begin();
        titles.total = stage.total;
        if self.options.multi_platform || self.options.platforms.len() > 1 {
            titles.platform = Some(crossed(&begun.state, platforms));
        }
        let mut commands = Commands {
            stages: self,
            done,
            titles,
            stage: name,
            configuring_command: false,
            globals: survey,
        };
        for command in &stage.commands {
            let drawn = commands.draw(command, &mut begun.state);
            drawn.map_err(|problem| problem.at(command.step.lines))?;
        }
        Ok(begun)
    }

    /// A stage's beginning, where that is no other stage.
    fn begun(
        &mut self,
        stage: &Surveyed,
        platforms: &Platforms,
        titles: &mut Titles,
    ) -> Result<Done, Problem> {
        let platform = stage
            .platform
            .clone()
            .unwrap_or_else(|| platforms.target.clone());
        if stage.base == Base::Scratch {
            // A platform changes nothing about nothing.
            let platform = &platforms.target;
            let root = self.drawing.scratch(platform);
            return Ok(Done {
                state: State::scratch(root, platform, self.epoch),
                tree: false,
                name: String::new(),
            });
        }
        if let Some(replacement) = self.found.replacement(&stage.base_name, &platform) {
            let title = format!("[context {}]", stage.base_name);
            let replacement = replacement.clone();
            return Ok(self.replaced(&replacement, &title, String::new(), platforms, stage));
        }
        let reference = Reference::parse(&stage.base_name).map_err(|error| {
            Problem::new(format!(
                "failed to parse stage name {:?}: {error}",
                stage.base_name
            ))
            .at(stage.lines)
        })?;
        let image = self.found.image(&reference.with_default_tag(), &platform);
        let Some(image) = image.cloned() else {
            return Err(format!("{} was not looked up", stage.base_name).into());
        };
        if self.options.multi_platform || self.options.platforms.len() > 1 {
            titles.platform = Some(platform.to_string());
        }
        let text = format!("FROM {}", image.whole_name());
        let title = titles.next(&text);
        Ok(self.image(&image, title, stage, platforms))
    }

    fn image(
        &mut self,
        image: &FoundImage,
        title: String,
        stage: &Surveyed,
        platforms: &Platforms,
    ) -> Done {
        let mut platform = stage
            .platform
            .clone()
            .unwrap_or_else(|| platforms.target.clone());
        let has = image.config.platform();
        if stage.platform.is_none()
            && platforms.implicit
            && !platform.matches(&has)
            && !has.os.is_empty()
        {
            platform = has;
        }
        let root = match image.config.rootfs.diff_ids.is_empty() {
            true => self.drawing.scratch(&platform),
            false => self.drawing.add(Vertex {
                op: Op::Image(ImageOp {
                    reference: image.reference.clone(),
                    digest: image.digest,
                }),
                inputs: Vec::new(),
                name: title,
                platform: platform.clone(),
                no_cache: false,
                lines: Some(stage.lines),
            }),
        };
        let uri = format!(
            "pkg:docker/{}?platform={}",
            image.reference.familiar().replace(':', "@"),
            platform.to_string().replace('/', "%2F")
        );
        self.materials.insert(uri, Some(image.digest));
        let mut state = State::scratch(root, &platform, self.epoch);
        state.inherited = image.config.rootfs.diff_ids.len();
        state.image = image.config.clone();
        state.image.created = None;
        state.image.config.on_build.clear();
        state.image.rootfs.diff_ids.clear();
        Done {
            state,
            tree: false,
            name: String::new(),
        }
    }

    fn replaced(
        &mut self,
        replacement: &Replacement,
        title: &str,
        name: String,
        platforms: &Platforms,
        stage: &Surveyed,
    ) -> Done {
        match replacement {
            Replacement::Image(image) => {
                let shown = format!("{title} {}", image.whole_name());
                let done = self.image(image, shown, stage, platforms);
                Done { name, ..done }
            }
            Replacement::Files(context) => {
                let from = self.context(context);
                Done {
                    state: State::scratch(from.vertex, &platforms.target, self.epoch),
                    tree: from.tree,
                    name,
                }
            }
        }
    }

    /// The vertex of a context.
    pub(super) fn context(&mut self, context: &Context) -> From {
        let host = Platform::host();
        match context {
            Context::Empty => From {
                vertex: self.drawing.scratch(&host),
                tree: false,
            },
            Context::Local {
                name,
                exclude,
                title,
            } => From {
                vertex: self.drawing.local(name, exclude, title),
                tree: true,
            },
            Context::Git(op) => {
                self.materials.insert(op.remote.clone(), None);
                let title = format!("[internal] load git source {}", op.remote);
                From {
                    vertex: self.drawing.source(Op::Git(op.clone()), title, &host),
                    tree: true,
                }
            }
            Context::Archive(op) => {
                self.materials.insert(op.url.clone(), op.checksum);
                let title = "[internal] load remote build context".to_owned();
                let archive = self.drawing.source(Op::Http(op.clone()), title, &host);
                let name = op.file_name.clone().unwrap_or_default();
                let from = From {
                    vertex: archive,
                    tree: true,
                };
                From {
                    vertex: self.copied(from, &format!("/{name}"), true, &host),
                    tree: false,
                }
            }
        }
    }

    /// A root with the files of a tree.
    fn rooted(&mut self, state: &State) -> VertexId {
        self.drawing.uses(state.root, "/");
        let from = From {
            vertex: state.root,
            tree: true,
        };
        self.copied(from, "/", false, &state.platform)
    }

    fn copied(&mut self, from: From, source: &str, unpack: bool, platform: &Platform) -> VertexId {
        let empty = self.drawing.scratch(platform);
        let action = CopyAction {
            input: 1,
            sources: vec![source.to_owned()],
            destination: "/".into(),
            owner: None,
            mode: None,
            parents: false,
            exclude: Vec::new(),
            unpack,
            foreign_owners: from.tree,
            epoch: self.epoch,
        };
        self.drawing.add(Vertex {
            op: Op::File(FileOp {
                actions: vec![FileAction::Copy(action)],
            }),
            inputs: vec![empty, from.vertex],
            name: match unpack {
                true => "[internal] unpack remote build context".to_owned(),
                false => String::new(),
            },
            platform: platform.clone(),
            no_cache: false,
            lines: None,
        })
    }

    /// What the plan is made of.
    pub(crate) fn materials(&self) -> Vec<Material> {
        let all = self.materials.iter();
        all.map(|(uri, digest)| Material {
            uri: uri.clone(),
            digest: *digest,
        })
        .collect()
    }
}

/// An instruction that was left for a stage.
fn trigger(written: &str, stage: &Surveyed) -> Result<Vec<dhow_dockerfile::Step>, Problem> {
    let text = format!("FROM scratch\n{written}\n");
    let parsed = dhow_dockerfile::parse(text.as_bytes())
        .map_err(|error| Problem::new(error.to_string()).at(stage.lines))?;
    let steps = parsed.stages.into_iter().flat_map(|stage| stage.steps);
    let mut steps: Vec<_> = steps.collect();
    if steps.len() != 1 {
        let text = "onbuild trigger should be a single expression";
        return Err(Problem::new(text).at(stage.lines));
    }
    for step in &mut steps {
        step.lines = stage.lines;
        step.original = format!("ONBUILD {}", step.original);
    }
    Ok(steps)
}

/// The platform that vertices of a stage tell: `linux/amd64->arm64` for one that makes something for another.
fn crossed(state: &State, platforms: &Platforms) -> String {
    let base = state.platform.normalise();
    let target = platforms.target.normalise();
    let shown = base.to_string();
    if target.os != base.os {
        return format!("{shown}->{target}");
    }
    if target.architecture == base.architecture {
        return shown;
    }
    match &target.variant {
        Some(variant) => format!("{shown}->{}/{variant}", target.architecture),
        None => format!("{shown}->{}", target.architecture),
    }
}

/// The names of all stages, for what may have been meant.
pub(crate) fn stage_names(dockerfile: &Dockerfile) -> BTreeSet<String> {
    let stages = dockerfile.stages.iter();
    stages.filter_map(|stage| stage.name.clone()).collect()
}
