//! Variables with an order, and the arguments that every build has.

use std::borrow::Cow;

use dhow_dockerfile::{Dockerfile, Instruction, Lexer, Variables};
use dhow_oci::Platform;

use crate::graph::Arguments;
use crate::plan::problem::Problem;

/// Variables in the order they were first set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Environment(Vec<(String, String)>);

impl Environment {
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => value.clone_into(old),
            None => self.0.push((name.to_owned(), value.to_owned())),
        }
    }

    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    pub(crate) fn names(&self) -> Vec<&str> {
        self.0.iter().map(|(name, _)| name.as_str()).collect()
    }

    /// `NAME=value`
    pub(crate) fn lines(&self) -> Vec<String> {
        let pairs = self.0.iter();
        pairs
            .map(|(name, value)| format!("{name}={value}"))
            .collect()
    }
}

impl Variables for Environment {
    fn get(&self, name: &str) -> Option<Cow<'_, str>> {
        self.value(name).map(Cow::from)
    }
}

/// The platforms of a build.
#[derive(Debug, Clone)]
pub(crate) struct Platforms {
    /// Of the machine that builds.
    pub(crate) build: Platform,
    /// Of the result.
    pub(crate) target: Platform,
    /// Whether the result's was not asked for.
    pub(crate) implicit: bool,
}

/// The arguments that are known in `FROM`: predefined ones and those before the first stage.
pub(crate) fn globals(
    dockerfile: &Dockerfile,
    given: &Arguments,
    platforms: &Platforms,
    target: Option<&str>,
) -> Result<Environment, Problem> {
    let mut known = predefined(given, platforms, target);
    let lexer = Lexer::new(dockerfile.directives.escape);
    for step in &dockerfile.arguments {
        let Instruction::Arg(arguments) = &step.instruction else {
            continue;
        };
        for argument in arguments {
            let value = match (given.get(&argument.name), &argument.value) {
                (Some(value), _) => value.clone(),
                (None, Some(default)) => {
                    let expanded = lexer.word(default, &known);
                    expanded
                        .map_err(|error| Problem::from(error).at(step.lines))?
                        .text
                }
                (None, None) => continue,
            };
            known.set(&argument.name, &value);
        }
    }
    Ok(known)
}

fn predefined(given: &Arguments, platforms: &Platforms, target: Option<&str>) -> Environment {
    let (build, result) = (&platforms.build, &platforms.target);
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let values = [
        ("BUILDPLATFORM", build.to_string()),
        ("BUILDOS", build.os.clone()),
        ("BUILDOSVERSION", text(&build.os_version)),
        ("BUILDARCH", build.architecture.clone()),
        ("BUILDVARIANT", text(&build.variant)),
        ("TARGETPLATFORM", result.to_string()),
        ("TARGETOS", result.os.clone()),
        ("TARGETOSVERSION", text(&result.os_version)),
        ("TARGETARCH", result.architecture.clone()),
        ("TARGETVARIANT", text(&result.variant)),
        ("TARGETSTAGE", target.unwrap_or("default").to_owned()),
    ];
    let mut known = Environment::default();
    for (name, value) in values {
        known.set(name, given.get(name).unwrap_or(&value));
    }
    known
}

/// Arguments that every command gets without being declared, in both cases of letters, and that no cache key has.
const PROXIES: [&str; 5] = [
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "FTP_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
];

/// The proxies among the arguments, as variables of a command.
pub(crate) fn proxies(given: &Arguments) -> Vec<String> {
    let mut lines = Vec::new();
    for name in PROXIES {
        let value = given
            .iter()
            .find(|(key, value)| key.eq_ignore_ascii_case(name) && !value.is_empty());
        if let Some((_, value)) = value {
            lines.push(format!("{name}={value}"));
            lines.push(format!("{}={value}", name.to_ascii_lowercase()));
        }
    }
    lines
}
