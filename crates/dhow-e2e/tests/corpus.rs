//! Images with awkward layers: what this engine makes of them is what a real Docker Engine makes of them, file by file.
//!
//! That was recorded; `cargo xtask corpus` compares with a running one, also for images made by other tools.

use dhow_testkit::corpus::{Case, Hub, Recorded, Way, cases, compare, unpacked};
use dhow_testkit::{Engine, root_or_skip};

/// Whichever way an image comes.
fn each(way: impl Fn(&Engine, &Hub, &Case) -> Vec<String>) {
    if !root_or_skip("the corpus of images") {
        return;
    }
    let engine = Engine::start();
    let hub = Hub::start(Some(engine.pid()));
    let differences: Vec<String> = cases()
        .iter()
        .flat_map(|case| {
            let found = way(&engine, &hub, case).into_iter();
            found.map(|line| format!("{}: {line}", case.name))
        })
        .collect();
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    let images = engine.client().get("/v1.44/images/json?all=1");
    assert_eq!(
        images.map(|answer| answer.text().trim().to_owned()).ok(),
        Some("[]".to_owned()),
        "refused images leave nothing"
    );
}

#[test]
fn pulled_images_have_the_files_that_docker_makes_of_them() {
    let recorded = Recorded::read();
    each(|engine, hub, case| {
        let name = hub.offer(case.name, &case.image);
        let found = unpacked(engine, Way::Pull(&name));
        match recorded.expected(case.name) {
            Some(expected) => compare(expected, &found),
            None => vec!["nothing is recorded".to_owned()],
        }
    });
}

#[test]
fn loaded_images_have_the_same_files() {
    let recorded = Recorded::read();
    each(|engine, _, case| {
        // Images of other platforms are loaded, but have no files to compare.
        if case.name == "index-foreign" {
            return Vec::new();
        }
        let found = unpacked(engine, Way::Load(&case.image));
        recorded
            .expected(case.name)
            .map_or_else(Vec::new, |expected| compare(expected, &found))
    });
}
