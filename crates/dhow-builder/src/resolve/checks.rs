//! The checks, told as warnings.

use std::collections::BTreeSet;

use dhow_dockerfile::lint::{Facts, Settings, Warning as Finding, check};
use dhow_dockerfile::{Dockerfile, IgnorePatterns, Stage};
use dhow_oci::{Digest, Platform, Reference};

use crate::error::Error;
use crate::plan::{Found, Replacement, Source, familiar};
use crate::progress::{Listener, Progress, Warning};
use crate::request::Options;

/// The name of the argument that says which checks run.
const ARGUMENT: &str = "BUILDKIT_DOCKERFILE_CHECK";

/// Which checks run: the argument is stronger than the file.
pub(crate) fn settings(dockerfile: &Dockerfile, options: &Options) -> Result<Settings, Error> {
    let written = dockerfile.directives.check.as_deref().unwrap_or_default();
    let text = options
        .arguments
        .get(ARGUMENT)
        .map_or(written, String::as_str);
    Settings::read(text).map_err(|error| Error::invalid(error.to_string()))
}

/// Runs the checks.
pub(crate) fn findings(
    dockerfile: &Dockerfile,
    settings: &Settings,
    found: &Found,
    exclude: &[String],
) -> Vec<Finding> {
    let ignore = IgnorePatterns::new(exclude.iter().map(String::as_str)).ok();
    let variables = |stage: &Stage| base_variables(stage, found);
    let facts = Facts {
        base_variables: &variables,
        is_reference: &|text| Reference::parse(text).is_ok(),
        ignore: ignore.as_ref(),
    };
    check(dockerfile, &facts, settings)
}

/// The variables of the image that a stage stands on, as far as it was looked up.
fn base_variables(stage: &Stage, found: &Found) -> BTreeSet<String> {
    let mut names = BTreeSet::from(["PATH".to_owned()]);
    let host = Platform::host();
    let by_name = Reference::parse(&stage.base)
        .ok()
        .map(|reference| reference.with_default_tag().canonical());
    let images = found
        .images
        .iter()
        .filter(|((name, _), _)| Some(name) == by_name.as_ref())
        .map(|(_, image)| image);
    let replaced = match found.replacement(&familiar(&stage.base), &host) {
        Some(Replacement::Image(image)) => Some(&**image),
        _ => None,
    };
    for image in images.chain(replaced) {
        let variables = image.config.config.env.iter();
        names.extend(variables.filter_map(|line| Some(line.split_once('=')?.0.to_owned())));
    }
    names
}

/// Tells what the checks found, as warnings about the Dockerfile's own vertex.
///
/// # Errors
/// Something was found and that is an error.
pub(crate) fn tell(
    findings: &[Finding],
    settings: &Settings,
    source: &Source,
    vertex: Digest,
    listener: &dyn Listener,
) -> Result<(), Error> {
    for finding in findings {
        listener.tell(Progress::Warning(Warning {
            vertex,
            level: 1,
            short: format!(
                "{}: {} (line {})",
                finding.rule.name, finding.message, finding.lines.first
            ),
            detail: vec![finding.rule.description.to_owned()],
            url: finding.rule.url(),
            file: source.file.clone(),
            source: source.bytes.to_vec(),
            lines: vec![finding.lines],
        }));
    }
    if !settings.error || findings.is_empty() {
        return Ok(());
    }
    let rules: BTreeSet<&str> = findings.iter().map(|finding| finding.rule.name).collect();
    let rules: Vec<&str> = rules.into_iter().collect();
    Err(Error::invalid(format!(
        "lint violation found for rules: {}",
        rules.join(", ")
    )))
}
