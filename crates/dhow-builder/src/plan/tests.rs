#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::collections::BTreeSet;
use std::path::Path;

use dhow_oci::{ContainerConfig, Digest, History, ImageConfig, Reference, RootFs};
use dhow_testkit::dockerfiles::{Case, cases};
use serde_json::Value;

use super::*;
use crate::request::Options;

fn corpus() -> Vec<Case> {
    cases(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../dhow-e2e/tests/dockerfiles"))
}

fn reference(name: &str) -> Reference {
    Reference::parse(name).unwrap().with_default_tag()
}

/// An image as `docker import` makes one.
fn busybox() -> FoundImage {
    FoundImage {
        reference: reference("busybox"),
        digest: Digest::of(b"busybox"),
        config: ImageConfig {
            architecture: Platform::host().architecture,
            os: "linux".into(),
            rootfs: RootFs {
                diff_ids: vec![Digest::of(b"layer")],
                ..RootFs::default()
            },
            history: vec![History {
                comment: Some("Imported from -".into()),
                ..History::default()
            }],
            ..ImageConfig::default()
        },
    }
}

fn options(case: &Case) -> Options {
    Options {
        target: case.keys.get("target").cloned(),
        arguments: case.pairs("args"),
        labels: case.pairs("labels"),
        ..Options::default()
    }
}

fn found(images: &[FoundImage]) -> Found {
    let host = Platform::host().to_string();
    let images = images.iter().cloned();
    Found {
        context: Context::Local {
            name: "context".into(),
            exclude: Vec::new(),
            title: "[internal] load build context".into(),
        },
        images: images
            .map(|image| ((image.reference.canonical(), host.clone()), image))
            .collect(),
        ..Found::default()
    }
}

fn planned(text: &str, options: &Options, images: &[FoundImage]) -> Result<Plan, Problem> {
    let dockerfile = dhow_dockerfile::parse(text.as_bytes())?;
    let epoch = options.arguments.get("SOURCE_DATE_EPOCH");
    let planning = Planning {
        dockerfile: &dockerfile,
        options,
        found: &found(images),
        build: &Platform::host(),
        epoch: epoch.map(|text| text.parse().unwrap()),
    };
    planning.plan(Source::default())
}

/// Plans a case, its base first.
fn plan_of(case: &Case) -> Result<Plan, Problem> {
    let mut images = vec![busybox()];
    if let Some(base) = case.keys.get("base") {
        let plan = planned(&case.files["base/Dockerfile"], &Options::default(), &images)?;
        let mut config = plan.targets[0].image.clone();
        config.rootfs.diff_ids = vec![Digest::of(b"layer")];
        images.push(FoundImage {
            reference: reference(base),
            digest: Digest::of(base.as_bytes()),
            config,
        });
    }
    let text = case.files.get(case.file()).map_or("", String::as_str);
    planned(text, &options(case), &images)
}

/// The names of what is told, but for the client's files; an image's digest is this test's own.
fn names(plan: &Plan) -> BTreeSet<String> {
    let used = used(plan);
    let vertices = plan.graph.vertices.iter().enumerate();
    vertices
        .filter(|(position, vertex)| {
            used.contains(position)
                && !vertex.name.is_empty()
                && !vertex.name.starts_with("[internal]")
        })
        .map(|(_, vertex)| without_digest(&vertex.name))
        .collect()
}

fn without_digest(name: &str) -> String {
    name.split("@sha256:").next().unwrap_or(name).to_owned()
}

fn used(plan: &Plan) -> BTreeSet<usize> {
    let mut open: Vec<usize> = plan.targets.iter().map(|target| target.vertex.0).collect();
    let mut used = BTreeSet::new();
    while let Some(next) = open.pop() {
        if used.insert(next) {
            open.extend(plan.graph.vertices[next].inputs.iter().map(|id| id.0));
        }
    }
    used
}

fn strings(value: &Value) -> BTreeSet<String> {
    let all = value.as_array().into_iter().flatten();
    all.map(|text| text.as_str().unwrap().to_owned()).collect()
}

/// What differs between a plan and what was recorded.
fn differences(case: &Case, recorded: &Value) -> Vec<String> {
    let plan = match plan_of(case) {
        Ok(plan) => plan,
        Err(problem) => {
            let expected = recorded["error"].as_str().unwrap_or("no error");
            return match expected.contains(&problem.text) {
                true => Vec::new(),
                false => vec![format!("expected {expected}\n  found {}", problem.text)],
            };
        }
    };
    let mut wrong = Vec::new();
    let (expected, found) = (strings(&recorded["vertices"]), names(&plan));
    // The real builder counts a stage's beginning twice where a trigger brings another stage.
    let miscounted = case.keys.contains_key("miscounted");
    if expected != found && recorded["error"].is_null() && !miscounted {
        let missing: Vec<_> = expected.difference(&found).collect();
        let more: Vec<_> = found.difference(&expected).collect();
        wrong.push(format!(
            "vertices missing {missing:#?}\n  too many {more:#?}"
        ));
    }
    if recorded["history"].is_null() {
        return wrong;
    }
    let image = &plan.targets[0].image;
    let history: Vec<Value> = image
        .history
        .iter()
        .map(|entry| {
            let text = |text: &Option<String>| text.clone().unwrap_or_default();
            serde_json::json!([
                text(&entry.created_by),
                entry.empty_layer,
                text(&entry.comment)
            ])
        })
        .collect();
    for (expected, found) in recorded["history"].as_array().unwrap().iter().zip(&history) {
        if expected != found {
            wrong.push(format!("history {expected}\n  found {found}"));
        }
    }
    if recorded["history"].as_array().map(Vec::len) != Some(history.len()) {
        wrong.push(format!(
            "history has {} entries: {history:#?}",
            history.len()
        ));
    }
    let config: ContainerConfig = serde_json::from_value(recorded["config"].clone()).unwrap();
    let mut expected = serde_json::to_value(config).unwrap();
    let mut found = serde_json::to_value(&image.config).unwrap();
    for value in [&mut expected, &mut found] {
        value
            .as_object_mut()
            .unwrap()
            .retain(|_, field| !field.is_null());
    }
    if expected != found {
        wrong.push(format!("config {expected:#}\n  found {found:#}"));
    }
    wrong
}

#[test]
fn plans_are_those_that_the_real_builder_carries_out() {
    let mut wrong = Vec::new();
    let mut compared = 0;
    for case in corpus() {
        let Some(recorded) = &case.recorded else {
            continue;
        };
        if !case.files.contains_key(case.file()) {
            continue;
        }
        compared += 1;
        for difference in differences(&case, recorded) {
            wrong.push(format!("{}: {difference}", case.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(compared >= 60, "{compared} cases");
}

#[test]
fn errors_are_those_of_the_real_builder() {
    // What is found when a step is carried out, or a file is not there, has its own tests.
    let later = [
        "run-exit",
        "copy-missing",
        "copy-ignored",
        "from-copy-outside",
        "user",
        "secret-required",
        "check-error",
    ];
    for case in corpus() {
        let has_file = case.files.contains_key(case.file());
        let Some(name) = case.name.strip_prefix("error-").filter(|_| has_file) else {
            continue;
        };
        let planned = plan_of(&case);
        assert_eq!(
            planned.is_ok(),
            later.contains(&name),
            "{name}: {planned:?}"
        );
    }
}
