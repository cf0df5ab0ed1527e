//! What a real builder (BuildKit, as of Docker Engine 28.5) says of 180 Dockerfiles: errors and warnings.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use dhow_dockerfile::lint::{Facts, Settings, check};
use dhow_dockerfile::parse;
use serde_json::Value;

/// Errors that are found only when a stage is built, by what they contain.
const OF_THE_BUILD: &[&str] = &[
    "failed to process",
    "did not complete successfully",
    "base name (",
    "invalid signal",
    "invalid containerPort",
    "invalid port",
    "invalid proto",
    "invalid checksum",
    "invalid mount target",
    "failed to parse stage name",
    "empty platform value",
    "variable expansion is not supported for --from",
    "mount",
    "VOLUME specified can not be an empty string",
    "unsupported sharing",
    "unexpected key",
    "must be a key=value pair",
    "invalid value",
    "device feature",
    "both source and id",
    "failed to calculate checksum",
    "not found",
    "lint violation",
    // --security is there in the labs channel, and here.
    "unknown flag: --security",
];

/// Whether the answer is for the parser to give.
fn is_parsers(error: &str) -> bool {
    error.starts_with("dockerfile parse error") && !error.contains("--security")
        || !OF_THE_BUILD.iter().any(|text| error.contains(text))
}

fn is_reference(text: &str) -> bool {
    !text.is_empty()
        && !text.ends_with(':')
        && !text.contains("::")
        && text
            .chars()
            .all(|c| !c.is_uppercase() && !c.is_whitespace())
}

#[test]
fn errors_and_warnings_are_those_of_the_real_builder() {
    let recorded = include_str!("recorded.jsonl");
    let mut wrong = Vec::new();
    for line in recorded.lines() {
        let record: Value = serde_json::from_str(line).unwrap();
        let text = record["dockerfile"].as_str().unwrap();
        let error = record["error"].as_str().unwrap_or_default();
        let parsed = parse(text.as_bytes());
        let settings = parsed
            .as_ref()
            .ok()
            .map(|parsed| Settings::read(parsed.directives.check.as_deref().unwrap_or_default()));
        let found = match (&parsed, &settings) {
            (Err(error), _) => error.to_string(),
            (_, Some(Err(error))) => error.to_string(),
            _ => String::new(),
        };
        let expected = if is_parsers(error) { error } else { "" };
        if found != expected && !text.contains("--security") {
            wrong.push(format!(
                "{text:?}\n  expected {expected:?}\n  found    {found:?}"
            ));
        }
        let (Ok(parsed), Some(Ok(settings))) = (parsed, settings) else {
            continue;
        };
        let facts = Facts {
            is_reference: &is_reference,
            ..Facts::default()
        };
        let mut found: Vec<(String, u64, String)> = check(&parsed, &facts, &settings)
            .into_iter()
            .map(|w| (w.rule.name.to_owned(), u64::from(w.lines.first), w.message))
            .collect();
        let mut expected: Vec<(String, u64, String)> = record["warnings"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|w| {
                let text = |n: usize| w[n].as_str().unwrap().to_owned();
                (text(0), w[1].as_u64().unwrap(), text(2))
            })
            .collect();
        if !error.is_empty() && !error.starts_with("lint violation") {
            // The real one stopped at the error; what it had found until then must be found here too.
            found.retain(|one| expected.contains(one));
        }
        found.sort();
        found.dedup();
        expected.sort();
        expected.dedup();
        if found != expected {
            wrong.push(format!(
                "{text:?}\n  expected {expected:#?}\n  found    {found:#?}"
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}
