//! A stage while its instructions are gone through.

use dhow_dockerfile::{CommandLine, Lexer, Lines};
use dhow_oci::{ContainerConfig, History, ImageConfig, Platform};
use jiff::Timestamp;

use crate::graph::{Owner, VertexId};
use crate::plan::environment::Environment;

/// What BuildKit's front end notes in each entry of the history.
const COMMENT: &str = "buildkit.dockerfile.v0";
/// What `PATH` is where nobody sets it.
pub(crate) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What is so after the last instruction.
#[derive(Debug, Clone)]
pub(crate) struct State {
    /// The root.
    pub(crate) root: VertexId,
    /// What commands see: the image's variables and the arguments.
    pub(crate) environment: Environment,
    /// The image.
    pub(crate) image: ImageConfig,
    /// How many layers the image below has.
    pub(crate) inherited: usize,
    /// The platform.
    pub(crate) platform: Platform,
    /// The arguments that were declared, with their values.
    pub(crate) arguments: Vec<(String, String)>,
    /// The time of new entries of the history, if it is not that of their layers.
    pub(crate) epoch: Option<i64>,
}

impl State {
    /// An empty image.
    pub(crate) fn scratch(root: VertexId, platform: &Platform, epoch: Option<i64>) -> Self {
        let image = ImageConfig {
            config: ContainerConfig {
                working_dir: "/".into(),
                ..ContainerConfig::default()
            },
            ..ImageConfig::default()
        };
        let mut state = Self {
            root,
            environment: Environment::default(),
            image,
            inherited: 0,
            platform: platform.clone(),
            arguments: Vec::new(),
            epoch,
        };
        state.set_platform(platform);
        state
    }

    /// Says in the image what it is for.
    pub(crate) fn set_platform(&mut self, platform: &Platform) {
        self.image.os.clone_from(&platform.os);
        self.image.architecture.clone_from(&platform.architecture);
        self.image.variant.clone_from(&platform.variant);
        self.image.os_version.clone_from(&platform.os_version);
    }

    /// Begins a stage that stands on this: the image's variables are set again, `PATH` in any case.
    pub(crate) fn begin(&mut self) {
        let has_path = self.image.config.env.iter().any(|v| v.starts_with("PATH="));
        if !has_path {
            self.image.config.env.push(format!("PATH={PATH}"));
        }
        for variable in &self.image.config.env {
            let (name, value) = variable.split_once('=').unwrap_or((variable, ""));
            self.environment.set(name, value);
        }
    }

    /// Notes a step in the history.
    pub(crate) fn note(&mut self, created_by: impl Into<String>, layer: bool) {
        self.image.history.push(History {
            created: self.epoch.and_then(|s| Timestamp::from_second(s).ok()),
            created_by: Some(created_by.into()),
            author: None,
            comment: Some(COMMENT.into()),
            empty_layer: !layer,
        });
    }

    /// Where commands run.
    pub(crate) fn directory(&self) -> &str {
        match self.image.config.working_dir.as_str() {
            "" => "/",
            directory => directory,
        }
    }

    /// A command as it is run: one line is for the shell.
    pub(crate) fn command(&self, command: &CommandLine) -> Vec<String> {
        match command.shell {
            true => self.with_shell(&command.words.join(" ")),
            false => command.words.clone(),
        }
    }

    pub(crate) fn with_shell(&self, line: &str) -> Vec<String> {
        let mut words = match self.image.config.shell.is_empty() {
            true => vec!["/bin/sh".to_owned(), "-c".to_owned()],
            false => self.image.config.shell.clone(),
        };
        words.push(line.to_owned());
        words
    }
}

/// Names vertices as BuildKit does: `[build 2/5] RUN make`.
#[derive(Debug, Clone)]
pub(crate) struct Titles {
    /// The stage's name.
    pub(crate) stage: String,
    /// How many there are.
    pub(crate) total: usize,
    /// How many there were.
    pub(crate) index: usize,
    /// The platform is told.
    pub(crate) platform: Option<String>,
}

impl Titles {
    /// The next one's.
    pub(crate) fn next(&mut self, text: &str) -> String {
        if self.total == 0 {
            return text.to_owned();
        }
        self.index += 1;
        let mut words = Vec::new();
        words.extend(self.platform.clone());
        if !self.stage.is_empty() {
            words.push(self.stage.clone());
        }
        let width = self.total.to_string().len();
        words.push(format!("{:>width$}/{}", self.index, self.total));
        format!("[{}] {text}", words.join(" "))
    }
}

/// An instruction as people are told: its keyword in upper case, variables substituted where that can be done.
pub(crate) fn told(original: &str, environment: &Environment, lexer: &Lexer) -> String {
    let expanded = lexer.word(original, environment);
    let text = expanded.map_or_else(|_| original.to_owned(), |expanded| expanded.text);
    match text.split_once(' ') {
        Some((keyword, rest)) => format!("{} {rest}", keyword.to_uppercase()),
        None => text.to_uppercase(),
    }
}

/// `user[:group]`
pub(crate) fn owner(text: &str) -> Option<Owner> {
    if text.is_empty() {
        return None;
    }
    Some(match text.split_once(':') {
        Some((user, group)) => Owner {
            user: user.to_owned(),
            group: Some(group.to_owned()).filter(|group| !group.is_empty()),
        },
        None => Owner {
            user: text.to_owned(),
            group: None,
        },
    })
}

/// What is known while a stage is gone through.
pub(crate) struct Step<'a> {
    /// The instruction as it is written.
    pub(crate) original: &'a str,
    /// Where it is.
    pub(crate) lines: Lines,
    /// Whether the cache is not asked.
    pub(crate) no_cache: bool,
    /// The file's lexer.
    pub(crate) lexer: Lexer,
}
