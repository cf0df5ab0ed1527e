//! How things are written: case, forms, comments.

use std::sync::LazyLock;

use regex::Regex;

use super::{Report, rules};
use crate::instruction::{CommandLine, Instruction, KeyValue};
use crate::stage::described;
use crate::{Dockerfile, Lines, Stage, Step};

pub(super) fn check(dockerfile: &Dockerfile, report: &mut Report<'_>) {
    for blank in &dockerfile.blank_continuations {
        let lines = Lines::at(blank.line);
        report.add(
            &rules::NO_EMPTY_CONTINUATION,
            lines,
            "Empty continuation line",
        );
    }
    casing(dockerfile, report);
    for step in &dockerfile.arguments {
        description(step, report);
        secrets(step, report);
    }
    for stage in &dockerfile.stages {
        of_stage(stage, report);
        for step in &stage.steps {
            description(step, report);
            legacy(step, report);
            secrets(step, report);
            if matches!(step.instruction, Instruction::Maintainer(_)) {
                report.add(
                    &rules::MAINTAINER_DEPRECATED,
                    step.lines,
                    "Maintainer instruction is deprecated in favor of using label",
                );
            }
        }
        commands(stage, report);
    }
}

/// All keywords should be as most of them are.
fn casing(dockerfile: &Dockerfile, report: &mut Report<'_>) {
    let keywords = || {
        let arguments = dockerfile.arguments.iter();
        arguments
            .map(|step| (step.keyword.as_str(), step.lines))
            .chain(dockerfile.stages.iter().flat_map(|stage| {
                let steps = stage.steps.iter();
                std::iter::once((stage.keywords.0.as_str(), stage.lines))
                    .chain(steps.map(|step| (step.keyword.as_str(), step.lines)))
            }))
    };
    let is_lower = |word: &str| word == word.to_lowercase();
    let is_upper = |word: &str| word == word.to_uppercase();
    let lower = keywords().filter(|(word, _)| is_lower(word)).count();
    let upper = keywords().filter(|(word, _)| is_upper(word)).count();
    let (majority, fits): (_, &dyn Fn(&str) -> bool) = match lower > upper {
        true => ("lowercase", &is_lower),
        false => ("uppercase", &is_upper),
    };
    for (word, lines) in keywords().filter(|(word, _)| !fits(word)) {
        report.add(
            &rules::CONSISTENT_INSTRUCTION_CASING,
            lines,
            format!("Command '{word}' should match the case of the command majority ({majority})"),
        );
    }
}

fn of_stage(stage: &Stage, report: &mut Report<'_>) {
    if let Some(name) = &stage.written_name
        && *name != name.to_lowercase()
    {
        report.add(
            &rules::STAGE_NAME_CASING,
            stage.lines,
            format!("Stage name '{name}' should be lowercase"),
        );
    }
    if let (from, Some(word)) = &stage.keywords {
        let lower = |text: &str| text == text.to_lowercase();
        let upper = |text: &str| text == text.to_uppercase();
        if lower(from) != lower(word) || upper(from) != upper(word) {
            report.add(
                &rules::FROM_AS_CASING,
                stage.lines,
                format!("'{word}' and '{from}' keywords' casing do not match"),
            );
        }
    }
    if let Some(name) = &stage.name {
        named(&stage.comments, name, ("FROM", stage.lines), report);
    }
}

fn description(step: &Step, report: &mut Report<'_>) {
    if let Instruction::Arg(arguments) = &step.instruction
        && let [argument] = arguments.as_slice()
    {
        named(&step.comments, &argument.name, ("ARG", step.lines), report);
    }
}

/// A comment above something that has a name is about it, if it begins with the name.
fn named(comments: &[String], name: &str, of: (&str, Lines), report: &mut Report<'_>) {
    if comments.is_empty() || described(comments, name).is_some() {
        return;
    }
    report.add(
        &rules::INVALID_DEFINITION_DESCRIPTION,
        of.1,
        format!(
            "Comment for {} should follow the format: `# {name} <description>`",
            of.0
        ),
    );
}

fn legacy(step: &Step, report: &mut Report<'_>) {
    let (word, pairs) = match &step.instruction {
        Instruction::Env(pairs) => ("ENV", pairs),
        Instruction::Label(pairs) => ("LABEL", pairs),
        _ => return,
    };
    if pairs.iter().any(|pair| pair.legacy) {
        report.add(
            &rules::LEGACY_KEY_VALUE_FORMAT,
            step.lines,
            format!(
                "\"{word} key=value\" should be used instead of legacy \"{word} key value\" format"
            ),
        );
    }
}

#[allow(
    clippy::expect_used,
    reason = "the patterns are constant, and a test compiles them"
)]
static SECRET: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new("(?i-u)(?:_|^)(?:apikey|auth|credential|credentials|key|password|pword|passwd|secret|token)(?:_|$)")
        .expect("a constant pattern")
});
#[allow(
    clippy::expect_used,
    reason = "the patterns are constant, and a test compiles them"
)]
static PUBLIC: LazyLock<Regex> =
    LazyLock::new(|| Regex::new("(?i-u)(?:_|^)public(?:_|$)").expect("a constant pattern"));

fn secrets(step: &Step, report: &mut Report<'_>) {
    let (word, names): (_, Vec<&str>) = match &step.instruction {
        Instruction::Arg(arguments) => ("ARG", arguments.iter().map(|a| a.name.as_str()).collect()),
        Instruction::Env(pairs) => (
            "ENV",
            pairs
                .iter()
                .map(|KeyValue { key, .. }| key.as_str())
                .collect(),
        ),
        _ => return,
    };
    for name in names {
        if SECRET.is_match(name) && !PUBLIC.is_match(name) {
            report.add(
                &rules::SECRETS_USED_IN_ARG_OR_ENV,
                step.lines,
                format!("Do not use ARG or ENV instructions for sensitive data ({word} {name:?})"),
            );
        }
    }
}

/// Commands of which the last one counts, and how they should be written.
fn commands(stage: &Stage, report: &mut Report<'_>) {
    let mut has_shell = false;
    let mut last: [Option<Lines>; 3] = [None; 3];
    for step in &stage.steps {
        let (word, slot, line): (_, _, Option<&CommandLine>) = match &step.instruction {
            Instruction::Shell(_) => {
                has_shell = true;
                continue;
            }
            Instruction::Cmd(line) => ("CMD", 0, Some(line)),
            Instruction::Entrypoint(line) => ("ENTRYPOINT", 1, Some(line)),
            Instruction::Healthcheck(_) => ("HEALTHCHECK", 2, None),
            _ => continue,
        };
        if line.is_some_and(|line| line.shell) && !has_shell {
            report.add(
                &rules::JSON_ARGS_RECOMMENDED,
                step.lines,
                format!(
                    "JSON arguments recommended for {word} to prevent unintended behavior related to OS signals"
                ),
            );
        }
        if let Some(earlier) = last[slot].replace(step.lines) {
            report.add(
                &rules::MULTIPLE_INSTRUCTIONS_DISALLOWED,
                earlier,
                format!(
                    "Multiple {word} instructions should not be used in the same stage because only the last one will be used"
                ),
            );
        }
    }
}
