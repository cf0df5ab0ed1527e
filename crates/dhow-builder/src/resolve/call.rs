//! What is answered instead of a build: checks, the outline of a target, the targets of a file.
//!
//! The shapes are those of BuildKit's subrequests; clients read `result.json` or print `result.txt`.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use dhow_dockerfile::lint::Warning as Finding;
use dhow_dockerfile::{
    Dockerfile, Expander, Instruction, Lexer, Lines, Mount, MountKind, ParseError,
};
use dhow_oci::Platform;
use serde_json::{Map, Value, json};

use crate::error::Error;
use crate::plan::{Platforms, Problem, Source, Survey, Triggers};
use crate::request::{Options, Outcome};

/// The version of all these answers.
const VERSION: &str = "1.0.0";

fn answer(json: &Value, text: String, status: Option<bool>) -> Outcome {
    let pretty = serde_json::to_string_pretty(json).unwrap_or_default();
    let mut metadata = BTreeMap::from([
        ("result.json".to_owned(), pretty),
        ("result.txt".to_owned(), text),
        ("version".to_owned(), VERSION.to_owned()),
    ]);
    if let Some(failed) = status {
        let status = if failed { "1" } else { "0" };
        metadata.insert("result.statuscode".into(), status.into());
    }
    Outcome {
        metadata,
        ..Outcome::default()
    }
}

fn location(lines: Lines) -> Value {
    json!({"ranges": [{"start": {"line": lines.first}, "end": {"line": lines.last}}]})
}

/// What can be asked.
pub(crate) fn describe() -> Outcome {
    let results = json!([
        {"name": "result.json", "description": ""},
        {"name": "result.txt", "description": ""},
    ]);
    let calls = [
        ("frontend.lint", "Lint a Dockerfile", json!([])),
        (
            "frontend.outline",
            "List all parameters current build target supports",
            json!([{"name": "target", "description": "Target build stage"}]),
        ),
        (
            "frontend.targets",
            "List all targets current build supports",
            json!([]),
        ),
        (
            "frontend.subrequests.describe",
            "List available subrequest types",
            Value::Null,
        ),
    ];
    let mut text = String::from("NAME VERSION DESCRIPTION\n");
    let mut all = Vec::new();
    for (name, description, options) in calls {
        text.push_str(&format!("{name} {VERSION} {description}\n"));
        all.push(json!({
            "name": name, "version": VERSION, "type": "rpc", "description": description,
            "opts": options, "inputs": null, "metadata": results, "refs": null,
        }));
    }
    answer(&Value::Array(all), text, None)
}

/// What the checks found, and what else is wrong.
pub(crate) fn check(findings: &[Finding], problem: Option<&Problem>, source: &Source) -> Outcome {
    let mut text = String::new();
    let mut warnings = Vec::new();
    for finding in findings {
        let rule = finding.rule;
        let around = dhow_dockerfile::excerpt(&source.file, &source.text(), finding.lines);
        text.push_str(&format!(
            "\nWARNING: {} - {}\n{}\n{around}",
            rule.name,
            rule.url(),
            finding.message
        ));
        warnings.push(json!({
            "ruleName": rule.name, "description": rule.description, "url": rule.url(),
            "detail": finding.message, "location": location(finding.lines),
        }));
    }
    let warnings = match warnings.is_empty() {
        true => Value::Null,
        false => Value::Array(warnings),
    };
    let mut document = json!({
        "warnings": warnings,
        "sources": [{
            "filename": source.file, "data": STANDARD.encode(&source.bytes), "language": "Dockerfile",
        }],
    });
    if let Some(problem) = problem {
        text.push_str(&format!("\nERROR: {}\n", problem.text));
        let mut error = json!({"message": problem.text});
        if let Some(lines) = problem.lines {
            error["location"] = location(lines);
            text.push_str(&dhow_dockerfile::excerpt(
                &source.file,
                &source.text(),
                lines,
            ));
        }
        document["buildError"] = error;
    }
    let failed = !findings.is_empty() || problem.is_some();
    answer(&document, text, Some(failed))
}

/// A file that is no Dockerfile.
pub(crate) fn broken(error: &ParseError, source: &Source) -> Outcome {
    check(&[], Some(&Problem::from(error.clone())), source)
}

/// The stages that have a name, and the last one.
pub(crate) fn targets(dockerfile: &Dockerfile, source: &Source) -> Outcome {
    let last = dockerfile.stages.len() - 1;
    let mut text = String::from("TARGET DESCRIPTION\n");
    let mut all = Vec::new();
    for (position, stage) in dockerfile.stages.iter().enumerate() {
        if stage.name.is_none() && position != last {
            continue;
        }
        let mut one = Map::new();
        if let Some(name) = &stage.name {
            one.insert("name".into(), json!(name));
        }
        if let Some(description) = &stage.description {
            one.insert("description".into(), json!(description));
        }
        if position == last {
            one.insert("default".into(), json!(true));
        }
        one.insert("base".into(), json!(stage.base));
        if let Some(platform) = &stage.platform {
            one.insert("platform".into(), json!(platform));
        }
        one.insert("location".into(), location(stage.lines));
        let mark = if position == last { " (default)" } else { "" };
        text.push_str(&format!(
            "{}{mark} {}\n",
            stage.name.as_deref().unwrap_or_default(),
            stage.description.as_deref().unwrap_or_default()
        ));
        all.push(Value::Object(one));
    }
    let document = json!({"targets": all, "sources": [STANDARD.encode(&source.bytes)]});
    answer(&document, text, None)
}

/// The arguments, secrets and agents that a target takes.
pub(crate) fn outline(
    dockerfile: &Dockerfile,
    options: &Options,
    build: &Platform,
    source: &Source,
) -> Result<Outcome, Error> {
    let platforms = Platforms {
        build: build.clone(),
        target: options.platforms.first().unwrap_or(build).clone(),
        implicit: options.platforms.is_empty(),
    };
    let survey = Survey::of(dockerfile, options, &platforms, &Triggers::new())
        .map_err(|problem| problem.into_error(source))?;
    let mut outline = Outline {
        dockerfile,
        options,
        survey: &survey,
        arguments: BTreeMap::new(),
        secrets: BTreeMap::new(),
        agents: BTreeMap::new(),
    };
    for position in &survey.needed {
        outline.stage(*position);
    }
    Ok(outline.answer(source))
}

/// An outline while it is drawn; what is told is sorted by its line.
struct Outline<'a> {
    dockerfile: &'a Dockerfile,
    options: &'a Options,
    survey: &'a Survey,
    arguments: BTreeMap<(u32, String), Value>,
    secrets: BTreeMap<String, (bool, Lines)>,
    agents: BTreeMap<String, (bool, Lines)>,
}

impl Outline<'_> {
    fn stage(&mut self, position: usize) {
        if let Some(stage) = self.dockerfile.stages.get(position) {
            let lexer = Lexer::new(self.dockerfile.directives.escape);
            let texts = std::iter::once(&stage.base).chain(&stage.platform);
            let used: BTreeSet<String> = texts
                .filter_map(|text| lexer.word(text, &self.survey.globals).ok())
                .flat_map(|expanded| expanded.set)
                .collect();
            for name in used {
                self.global(&name);
            }
        }
        for command in &self.survey.stages[position].commands {
            let lines = command.step.lines;
            match &command.step.instruction {
                Instruction::Arg(arguments) => {
                    for argument in arguments {
                        match &argument.value {
                            None if self.global(&argument.name) => {}
                            _ => self.argument(argument, lines),
                        }
                    }
                }
                Instruction::Run(run) => {
                    for mount in &run.mounts {
                        self.mount(mount, lines);
                    }
                }
                _ => {}
            }
        }
    }

    /// An argument from before the first stage; false when there is none of that name.
    fn global(&mut self, name: &str) -> bool {
        for step in &self.dockerfile.arguments {
            if let Instruction::Arg(arguments) = &step.instruction
                && let Some(argument) = arguments.iter().find(|one| one.name == name)
            {
                self.argument(argument, step.lines);
                return true;
            }
        }
        false
    }

    fn argument(&mut self, argument: &dhow_dockerfile::Argument, lines: Lines) {
        let lexer = Lexer::new(self.dockerfile.directives.escape);
        let default = argument.value.as_deref().map(|value| {
            let expanded = lexer.word(value, &self.survey.globals);
            expanded.map_or_else(|_| value.to_owned(), |expanded| expanded.text)
        });
        let given = self.options.arguments.get(&argument.name).cloned();
        let mut one = Map::new();
        one.insert("name".into(), json!(argument.name));
        if let Some(description) = &argument.description {
            one.insert("description".into(), json!(description));
        }
        if let Some(value) = given.or(default) {
            one.insert("value".into(), json!(value));
        }
        one.insert("location".into(), location(lines));
        self.arguments
            .insert((lines.first, argument.name.clone()), Value::Object(one));
    }

    fn mount(&mut self, text: &str, lines: Lines) {
        let expander = Expander {
            lexer: Lexer::new(self.dockerfile.directives.escape),
            variables: &self.survey.globals,
        };
        let Ok(mount) = Mount::parse(text, &expander) else {
            return;
        };
        let named = |fallback: &str| match (mount.source.as_str(), mount.id.as_str()) {
            ("", "") => fallback.to_owned(),
            ("", id) => id.to_owned(),
            (source, _) => source.to_owned(),
        };
        let target = mount.target.rsplit('/').next().unwrap_or_default();
        let (all, name) = match mount.kind {
            MountKind::Secret => (&mut self.secrets, named(target)),
            MountKind::Ssh => (&mut self.agents, named("default")),
            _ => return,
        };
        let entry = all.entry(name).or_insert((false, lines));
        entry.0 |= mount.required;
    }

    fn answer(self, source: &Source) -> Outcome {
        let mut document = Map::new();
        let target = &self.survey.stages[self.survey.target];
        let mut text = String::new();
        if let Some(name) = &target.name {
            text.push_str(&format!("TARGET: {name}\n"));
            document.insert("name".into(), json!(name));
        }
        let stage = self.dockerfile.stages.get(self.survey.target);
        if let Some(description) = stage.and_then(|stage| stage.description.as_ref()) {
            text.push_str(&format!("DESCRIPTION: {description}\n"));
            document.insert("description".into(), json!(description));
        }
        let field = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
        for one in self.arguments.values() {
            let (name, value) = (field(one, "name"), field(one, "value"));
            text.push_str(&format!(
                "ARG {name} {value} {}\n",
                field(one, "description")
            ));
        }
        let arguments: Vec<Value> = self.arguments.into_values().collect();
        if !arguments.is_empty() {
            document.insert("args".into(), Value::Array(arguments));
        }
        for (key, all) in [("secrets", self.secrets), ("ssh", self.agents)] {
            let all: Vec<Value> = all
                .into_iter()
                .map(|(name, (required, lines))| {
                    text.push_str(&format!("{} {name} {required}\n", key.to_uppercase()));
                    let mut one = Map::new();
                    one.insert("name".into(), json!(name));
                    if required {
                        one.insert("required".into(), json!(true));
                    }
                    one.insert("location".into(), location(lines));
                    Value::Object(one)
                })
                .collect();
            if !all.is_empty() {
                document.insert(key.into(), Value::Array(all));
            }
        }
        document.insert("sources".into(), json!([STANDARD.encode(&source.bytes)]));
        answer(&Value::Object(document), text, None)
    }
}
