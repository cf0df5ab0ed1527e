//! What instructions say. Variables in them are not expanded: their values are known only when a stage is built.

mod copy;
mod health;
mod run;

pub use copy::{Add, Copy, Source};
pub use health::{Health, HealthCommand};
pub use run::{CommandLine, Device, Mount, MountKind, MountSharing, Network, Run, Security};

use crate::parse::Node;
use crate::stage::described;
use crate::suggest::suggest;

/// Every instruction's keyword.
pub(crate) const KEYWORDS: &[&str] = &[
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "FROM",
    "HEALTHCHECK",
    "LABEL",
    "MAINTAINER",
    "ONBUILD",
    "RUN",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];

/// An instruction of a stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Instruction {
    /// `ADD`
    Add(Add),
    /// `ARG`
    Arg(Vec<Argument>),
    /// `CMD`
    Cmd(CommandLine),
    /// `COPY`
    Copy(Copy),
    /// `ENTRYPOINT`
    Entrypoint(CommandLine),
    /// `ENV`
    Env(Vec<KeyValue>),
    /// `EXPOSE`
    Expose(Expose),
    /// `HEALTHCHECK`
    Healthcheck(Health),
    /// `LABEL`
    Label(Vec<KeyValue>),
    /// `MAINTAINER`
    Maintainer(String),
    /// `ONBUILD`, with the instruction as it is written, its heredocs included.
    Onbuild(String),
    /// `RUN`
    Run(Run),
    /// `SHELL`
    Shell(Vec<String>),
    /// `STOPSIGNAL`
    StopSignal(String),
    /// `USER`
    User(String),
    /// `VOLUME`
    Volume(Vec<String>),
    /// `WORKDIR`
    Workdir(String),
}

/// `name=value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyValue {
    /// The name.
    pub key: String,
    /// The value, with its quotes.
    pub value: String,
    /// Written with a blank in place of `=`: the value has no quotes to resolve.
    pub legacy: bool,
}

/// An argument of the build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Argument {
    /// The name.
    pub name: String,
    /// Its default.
    pub value: Option<String>,
    /// What the comment above says of it, after its name.
    pub description: Option<String>,
}

/// `EXPOSE`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expose {
    /// The ports, as they are written, sorted.
    pub ports: Vec<String>,
}

impl Instruction {
    /// Understands a line; `FROM` is none of these.
    pub(crate) fn of(node: &Node) -> Result<Self, String> {
        match node.keyword.as_str() {
            "ADD" => Add::of(node).map(Self::Add),
            "COPY" => Copy::of(node).map(Self::Copy),
            "RUN" => Run::of(node).map(Self::Run),
            "HEALTHCHECK" => Health::of(node).map(Self::Healthcheck),
            _ => {
                if !KEYWORDS.contains(&node.keyword.as_str()) {
                    let meant = suggest(&node.keyword, KEYWORDS);
                    return Err(format!("unknown instruction: {}{meant}", node.raw.keyword));
                }
                crate::flags::Flags::read(&node.raw.flags, &[])?;
                Self::simple(node)
            }
        }
    }

    /// Those without flags.
    fn simple(node: &Node) -> Result<Self, String> {
        Ok(match node.keyword.as_str() {
            "ARG" => Self::Arg(arguments(node)?),
            "CMD" => Self::Cmd(CommandLine::of(node)),
            "ENTRYPOINT" => Self::Entrypoint(CommandLine::of(node)),
            "ENV" => Self::Env(pairs(node)?),
            "LABEL" => Self::Label(pairs(node)?),
            "EXPOSE" => {
                let mut ports = at_least_one(node)?.to_vec();
                ports.sort();
                Self::Expose(Expose { ports })
            }
            "MAINTAINER" => Self::Maintainer(exactly_one(node)?),
            "ONBUILD" => Self::Onbuild(trigger(node)?),
            "SHELL" if !node.json => {
                return Err("SHELL requires the arguments to be in JSON form".into());
            }
            "SHELL" => Self::Shell(at_least_one(node)?.to_vec()),
            "STOPSIGNAL" => Self::StopSignal(exactly_one(node)?),
            "USER" => Self::User(exactly_one(node)?),
            "VOLUME" => Self::Volume(volumes(node)?),
            _ => Self::Workdir(exactly_one(node)?),
        })
    }
}

fn at_least_one(node: &Node) -> Result<&[String], String> {
    match node.args.as_slice() {
        [] => Err(format!("{} requires at least one argument", node.keyword)),
        args => Ok(args),
    }
}

fn exactly_one(node: &Node) -> Result<String, String> {
    match node.args.as_slice() {
        [one] => Ok(one.clone()),
        _ => Err(format!("{} requires exactly one argument", node.keyword)),
    }
}

fn pairs(node: &Node) -> Result<Vec<KeyValue>, String> {
    let pairs = at_least_one(node)?.chunks_exact(2).map(|pair| match pair {
        [key, value] if !key.is_empty() => Ok(KeyValue {
            key: key.clone(),
            value: value.clone(),
            legacy: node.legacy,
        }),
        _ => Err(format!("{} names can not be blank", node.keyword)),
    });
    pairs.collect()
}

fn arguments(node: &Node) -> Result<Vec<Argument>, String> {
    let arguments = at_least_one(node)?.iter().map(|word| {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (word.as_str(), None),
        };
        if name.is_empty() {
            return Err("ARG names can not be blank".to_owned());
        }
        Ok(Argument {
            name: name.to_owned(),
            value,
            description: described(&node.raw.comments, name),
        })
    });
    arguments.collect()
}

fn volumes(node: &Node) -> Result<Vec<String>, String> {
    let volumes = at_least_one(node)?.iter().map(|volume| {
        let volume = volume.trim();
        if volume.is_empty() {
            return Err("VOLUME specified can not be an empty string".to_owned());
        }
        Ok(volume.to_owned())
    });
    volumes.collect()
}

/// The instruction that `ONBUILD` holds.
fn trigger(node: &Node) -> Result<String, String> {
    let inner = at_least_one(node)?.first().map_or("", String::as_str);
    let keyword = inner.split_whitespace().next().unwrap_or_default();
    match keyword.to_uppercase().as_str() {
        "ONBUILD" => return Err("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed".into()),
        other @ ("MAINTAINER" | "FROM") => {
            return Err(format!("{other} isn't allowed as an ONBUILD trigger"));
        }
        _ => {}
    }
    let start = node.keyword.len();
    let mut text = node
        .raw
        .original
        .get(start..)
        .unwrap_or_default()
        .trim()
        .to_owned();
    for doc in &node.raw.heredocs {
        text.push('\n');
        text.push_str(&doc.content);
        text.push_str(&doc.name);
    }
    Ok(text)
}
