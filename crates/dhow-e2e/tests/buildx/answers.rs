//! Questions about a Dockerfile, and about who builds.

use super::world::{engine, folder, run};

#[test]
fn dockerfiles_are_checked_and_explained() {
    let Some(engine) = engine("checks with buildx") else {
        return;
    };
    let folder = folder(&[(
        "Dockerfile",
        "# what is built\nFROM busybox as base\n# who is greeted\nARG WHO=world\nRUN echo $WHO\nFROM base AS last\n",
    )]);
    let check = run(&engine, folder.path(), &["buildx", "build", "--check", "."]);
    assert_eq!(check.code, 1, "{check:?}");
    let said = format!("{}{}", check.stdout, check.stderr);
    assert!(said.contains("WARNING: FromAsCasing"), "{said}");
    assert!(said.contains("Dockerfile:2"), "{said}");
    let outline = run(
        &engine,
        folder.path(),
        &["buildx", "build", "--call=outline", "."],
    );
    assert!(outline.ok().contains("WHO"), "{outline:?}");
    let targets = run(
        &engine,
        folder.path(),
        &["buildx", "build", "--call=targets", "."],
    );
    assert!(targets.ok().contains("last (default)"), "{targets:?}");
}

#[test]
fn the_builder_is_known() {
    let Some(engine) = engine("builders with buildx") else {
        return;
    };
    let here = std::env::temp_dir();
    let listed = run(&engine, &here, &["buildx", "ls"]);
    assert!(listed.ok().contains("running"), "{listed:?}");
    let inspected = run(&engine, &here, &["buildx", "inspect"]);
    assert!(
        inspected
            .ok()
            .contains("org.mobyproject.buildkit.worker.snapshotter"),
        "{inspected:?}"
    );
    let own = ["buildx", "create", "--driver=docker"];
    assert_ne!(run(&engine, &here, &own).code, 0);
}
