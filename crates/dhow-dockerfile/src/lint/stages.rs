//! Stages: their names, bases and platforms.

use std::collections::{BTreeMap, BTreeSet};

use super::{Facts, Report, rules};
use crate::suggest::suggest;
use crate::{Dockerfile, Lexer, Stage};

/// The arguments that every build has.
pub(super) const PREDEFINED: &[&str] = &[
    "BUILDPLATFORM",
    "BUILDOS",
    "BUILDOSVERSION",
    "BUILDARCH",
    "BUILDVARIANT",
    "TARGETPLATFORM",
    "TARGETOS",
    "TARGETOSVERSION",
    "TARGETARCH",
    "TARGETVARIANT",
    "TARGETSTAGE",
];

const RESERVED: &[&str] = &["context", "scratch"];

pub(super) fn check(dockerfile: &Dockerfile, facts: &Facts<'_>, report: &mut Report<'_>) {
    let lexer = Lexer::new(dockerfile.directives.escape);
    let defaults = defaults(dockerfile, &lexer);
    let mut names = BTreeSet::new();
    for stage in &dockerfile.stages {
        base(stage, &names, &defaults, &lexer, facts, report);
        if let Some(name) = &stage.name {
            if RESERVED.contains(&name.as_str()) {
                report.add(
                    &rules::RESERVED_STAGE_NAME,
                    stage.lines,
                    format!("Stage name should not use the same name as reserved stage {name:?}"),
                );
            }
            if !names.insert(name.as_str()) {
                report.add(
                    &rules::DUPLICATE_STAGE_NAME,
                    stage.lines,
                    format!("Duplicate stage name {name:?}, stage names should be unique"),
                );
            }
        }
        platform(stage, &defaults, &lexer, report);
    }
}

/// The values of global arguments when none is given; those that are predefined have something.
fn defaults(dockerfile: &Dockerfile, lexer: &Lexer) -> BTreeMap<String, String> {
    let mut values: BTreeMap<String, String> = PREDEFINED
        .iter()
        .map(|name| ((*name).to_owned(), "linux".to_owned()))
        .collect();
    for argument in dockerfile.global_arguments() {
        let value = argument.value.as_deref().unwrap_or_default();
        let expanded = lexer.word(value, &values).unwrap_or_default().text;
        values.insert(argument.name.clone(), expanded);
    }
    values
}

fn base(
    stage: &Stage,
    earlier: &BTreeSet<&str>,
    defaults: &BTreeMap<String, String>,
    lexer: &Lexer,
    facts: &Facts<'_>,
    report: &mut Report<'_>,
) {
    let Ok(expanded) = lexer.word(&stage.base, defaults) else {
        return;
    };
    let name = expanded.text.as_str();
    let known = name == "scratch" || earlier.contains(name);
    if !known && (name.is_empty() || !(facts.is_reference)(name)) {
        report.add(
            &rules::INVALID_DEFAULT_ARG_IN_FROM,
            stage.lines,
            format!(
                "Default value for ARG {} results in empty or invalid base image name",
                stage.base
            ),
        );
    }
    undeclared(&expanded.unset, stage, defaults, report);
}

fn undeclared(
    unset: &BTreeSet<String>,
    stage: &Stage,
    defaults: &BTreeMap<String, String>,
    report: &mut Report<'_>,
) {
    let known: Vec<&str> = defaults.keys().map(String::as_str).collect();
    for name in unset {
        report.add(
            &rules::UNDEFINED_ARG_IN_FROM,
            stage.lines,
            format!(
                "FROM argument '{name}' is not declared{}",
                suggest(name, &known)
            ),
        );
    }
}

fn platform(
    stage: &Stage,
    defaults: &BTreeMap<String, String>,
    lexer: &Lexer,
    report: &mut Report<'_>,
) {
    let Some(platform) = &stage.platform else {
        return;
    };
    if matches!(platform.as_str(), "$TARGETPLATFORM" | "${TARGETPLATFORM}") {
        report.add(
            &rules::REDUNDANT_TARGET_PLATFORM,
            stage.lines,
            format!(
                "Setting platform to predefined {platform} in FROM is redundant as this is the default behavior"
            ),
        );
    }
    if let Ok(expanded) = lexer.word(platform, defaults) {
        undeclared(&expanded.unset, stage, defaults, report);
    }
    if !platform.contains('$') && !is_named_after(stage, platform) {
        report.add(
            &rules::FROM_PLATFORM_FLAG_CONST_DISALLOWED,
            stage.lines,
            format!("FROM --platform flag should not use constant value {platform:?}"),
        );
    }
}

/// A stage that says in its name what it is for may be for that alone.
fn is_named_after(stage: &Stage, platform: &str) -> bool {
    let Some(name) = &stage.name else {
        return false;
    };
    platform
        .split('/')
        .any(|part| !part.is_empty() && name.contains(&part.to_lowercase()))
}
