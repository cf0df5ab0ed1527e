//! Variables and what comes out of them: what is not defined, and what is not as it should be once expanded.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::{Facts, Report, Warning, rules};
use crate::instruction::{Instruction, Source};
use crate::suggest::nearest;
use crate::{Dockerfile, Lexer, Lines, Stage, Variables};

/// Arguments that are the builder's business alone.
const SCANS: &[&str] = &["BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE"];

/// What is known of a stage at one of its instructions.
#[derive(Debug, Clone, Default)]
struct Scope {
    /// Values by name, in the order of their definition.
    names: Vec<String>,
    values: BTreeMap<String, String>,
    /// An absolute `WORKDIR` was there.
    has_workdir: bool,
}

impl Variables for Scope {
    fn get(&self, name: &str) -> Option<Cow<'_, str>> {
        self.values.get(name).map(Cow::from)
    }
}

impl Scope {
    /// Of an argument without a value it is only known that it may be used.
    fn declare(&mut self, name: &str, value: Option<String>) {
        match value {
            Some(value) => self.set(name, value),
            None => {
                self.values.entry(name.to_owned()).or_default();
            }
        }
    }

    fn set(&mut self, name: &str, value: String) {
        if self.values.insert(name.to_owned(), value).is_none() {
            self.names.push(name.to_owned());
        }
    }
}

pub(super) fn check(dockerfile: &Dockerfile, facts: &Facts<'_>, report: &mut Report<'_>) {
    let lexer = Lexer::new(dockerfile.directives.escape);
    let mut ends: BTreeMap<&str, Scope> = BTreeMap::new();
    for stage in &dockerfile.stages {
        let scope = match ends.get(stage.base.to_lowercase().as_str()) {
            Some(scope) => scope.clone(),
            None => {
                let mut scope = Scope::default();
                for name in (facts.base_variables)(stage) {
                    scope.set(&name, String::new());
                }
                scope
            }
        };
        let mut walk = Walk {
            lexer,
            dockerfile,
            facts,
            scope,
        };
        walk.stage(stage, report);
        // Arguments of a stage are there in those that stand on it.
        if let Some(name) = &stage.name {
            ends.insert(name, walk.scope);
        }
    }
}

struct Walk<'a> {
    lexer: Lexer,
    dockerfile: &'a Dockerfile,
    facts: &'a Facts<'a>,
    scope: Scope,
}

impl Walk<'_> {
    fn stage(&mut self, stage: &Stage, report: &mut Report<'_>) {
        for step in &stage.steps {
            let lines = step.lines;
            match &step.instruction {
                Instruction::Add(add) => {
                    let sources = ("Add", add.sources.as_slice());
                    self.sources(sources, &add.destination, true, (lines, report));
                    self.optional([&add.chown, &add.chmod, &add.checksum], lines, report);
                }
                Instruction::Copy(copy) => {
                    let sources = ("Copy", copy.sources.as_slice());
                    let local = copy.from.is_none();
                    self.sources(sources, &copy.destination, local, (lines, report));
                    self.optional([&copy.chown, &copy.chmod, &None], lines, report);
                }
                Instruction::Arg(arguments) => {
                    for argument in arguments {
                        let value = argument.value.as_deref();
                        let value = value.map(|value| self.expand(value, lines, report));
                        let global = self.global(&argument.name);
                        self.scope.declare(&argument.name, value.or(global));
                    }
                }
                Instruction::Env(pairs) => {
                    let expanded: Vec<(String, String)> = pairs
                        .iter()
                        .map(|pair| {
                            let key = self.expand(&pair.key, lines, report);
                            (key, self.expand(&pair.value, lines, report))
                        })
                        .collect();
                    for (key, value) in expanded {
                        self.scope.set(&key, value);
                    }
                }
                Instruction::Label(pairs) => {
                    for pair in pairs {
                        self.expand(&pair.key, lines, report);
                        self.expand(&pair.value, lines, report);
                    }
                }
                Instruction::Expose(expose) => self.ports(&expose.ports, lines, report),
                Instruction::StopSignal(word) | Instruction::User(word) => {
                    self.expand(word, lines, report);
                }
                Instruction::Volume(words) => {
                    for word in words {
                        self.expand(word, lines, report);
                    }
                }
                Instruction::Workdir(word) => self.workdir(word, lines, report),
                _ => {}
            }
        }
    }

    /// What a global argument of that name has, which a stage takes over by naming it.
    fn global(&self, name: &str) -> Option<String> {
        let mut all = self.dockerfile.global_arguments();
        all.find(|argument| argument.name == name)
            .and_then(|argument| argument.value.clone())
    }

    fn expand(&self, word: &str, lines: Lines, report: &mut Report<'_>) -> String {
        self.expand_with(&self.lexer, word, lines, report)
    }

    fn expand_with(
        &self,
        lexer: &Lexer,
        word: &str,
        lines: Lines,
        report: &mut Report<'_>,
    ) -> String {
        // What can't be expanded is an error of the build.
        let (text, unset) = match lexer.word(word, &self.scope) {
            Ok(expanded) => (expanded.text, expanded.unset),
            Err(error) => (String::new(), error.unset),
        };
        let known: Vec<&str> = self.scope.names.iter().map(String::as_str).collect();
        for name in unset.iter().filter(|name| !SCANS.contains(&name.as_str())) {
            let meant = match nearest(name, &known) {
                Some(meant) => format!(" (did you mean ${meant}?)"),
                None => String::new(),
            };
            let message = format!("Usage of undefined variable '${name}'{meant}");
            let again = |found: &Warning| found.lines == lines && found.message == message;
            if !report.found.iter().any(again) {
                report.add(&rules::UNDEFINED_VAR, lines, message);
            }
        }
        text
    }

    fn optional(&self, words: [&Option<String>; 3], lines: Lines, report: &mut Report<'_>) {
        for word in words.into_iter().flatten() {
            self.expand(word, lines, report);
        }
    }

    fn sources(
        &self,
        (verb, sources): (&str, &[Source]),
        destination: &str,
        local: bool,
        (lines, report): (Lines, &mut Report<'_>),
    ) {
        for source in sources {
            match source {
                Source::Path(path) => {
                    let path = self.expand(path, lines, report);
                    if local {
                        self.ignored(verb, &path, (lines, report));
                    }
                }
                Source::Inline(doc) if doc.expand => {
                    let lexer = self.lexer.ignoring_quotes();
                    self.expand_with(&lexer, &doc.text(), lines, report);
                }
                Source::Inline(_) => {}
            }
        }
        self.expand(destination, lines, report);
    }

    fn ignored(&self, verb: &str, path: &str, (lines, report): (Lines, &mut Report<'_>)) {
        let Some(ignore) = self.facts.ignore else {
            return;
        };
        let relative = path.trim_start_matches("./").trim_start_matches('/');
        let remote = path.contains("://") || path.starts_with("git@");
        if remote || relative.is_empty() || relative == "." || !ignore.excludes(relative) {
            return;
        }
        report.add(
            &rules::COPY_IGNORED_FILE,
            lines,
            format!("Attempting to {verb} file {path:?} that is excluded by .dockerignore"),
        );
    }

    fn ports(&self, ports: &[String], lines: Lines, report: &mut Report<'_>) {
        for port in ports {
            // Ports whose variables are not set are no ports; the build says so.
            let expanded = self.lexer.word(port, &self.scope).unwrap_or_default();
            let port = expanded.text;
            if port.contains(':') {
                report.add(
                    &rules::EXPOSE_INVALID_FORMAT,
                    lines,
                    format!(
                        "EXPOSE instruction should not define an IP address or host-port mapping, found '{port}'"
                    ),
                );
            }
            if let Some((_, protocol)) = port.split_once('/')
                && protocol != protocol.to_lowercase()
            {
                report.add(
                    &rules::EXPOSE_PROTO_CASING,
                    lines,
                    format!("Defined protocol '{port}' in EXPOSE instruction should be lowercase"),
                );
            }
        }
    }

    fn workdir(&mut self, word: &str, lines: Lines, report: &mut Report<'_>) {
        let path = self.expand(word, lines, report);
        if path.starts_with('/') {
            self.scope.has_workdir = true;
        } else if !self.scope.has_workdir {
            report.add(
                &rules::WORKDIR_RELATIVE_PATH,
                lines,
                format!("Relative workdir {path:?} can have unexpected results if the base image changes"),
            );
            // Once is enough.
            self.scope.has_workdir = true;
        }
    }
}
