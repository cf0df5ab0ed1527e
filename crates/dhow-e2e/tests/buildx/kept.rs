//! What is kept: the cache and the history.

use super::world::{build, cached, engine, folder, run};

#[test]
fn the_cache_is_shown_and_pruned() {
    let Some(engine) = engine("the cache with buildx") else {
        return;
    };
    let folder = folder(&[
        ("Dockerfile", "FROM busybox\nCOPY a /a\nRUN echo x > /x\n"),
        ("a", "1"),
    ]);
    let here = folder.path();
    let _ = build(&engine, here, &["."]).ok();
    let usage = run(&engine, here, &["buildx", "du"]);
    assert!(usage.ok().contains("Reclaimable:"), "{usage:?}");
    let verbose = run(&engine, here, &["buildx", "du", "--verbose"]);
    for expected in ["source.local", "echo x", "regular"] {
        assert!(verbose.ok().contains(expected), "{expected}: {verbose:?}");
    }
    let only = run(
        &engine,
        here,
        &["buildx", "du", "--filter", "type=source.local", "--verbose"],
    );
    assert!(!only.ok().contains("regular"), "{only:?}");
    let pruned = run(&engine, here, &["buildx", "prune", "-af"]);
    assert!(pruned.ok().contains("Total:"), "{pruned:?}");
    let again = build(&engine, here, &["."]);
    let _ = again.ok();
    assert!(cached(&again.stderr).is_empty(), "{}", again.stderr);
}

#[test]
fn builds_are_remembered() {
    let Some(engine) = engine("the history with buildx") else {
        return;
    };
    let folder = folder(&[("Dockerfile", "FROM busybox\nRUN echo remembered\n")]);
    let here = folder.path();
    let _ = build(&engine, here, &["-t", "h", "."]).ok();
    std::fs::write(here.join("Dockerfile"), "FROM busybox\nRUN false\n").unwrap();
    assert_eq!(build(&engine, here, &["."]).code, 1);
    let listed = run(&engine, here, &["buildx", "history", "ls"]);
    let states: Vec<_> = listed.ok().lines().skip(1).collect();
    assert_eq!(states.len(), 2, "{listed:?}");
    assert!(
        states[0].contains("Error") && states[1].contains("Completed"),
        "{listed:?}"
    );
    let id = states[1].split_whitespace().next().unwrap();
    let logs = run(&engine, here, &["buildx", "history", "logs", id]);
    let said = format!("{}{}", logs.stdout, logs.stderr);
    assert!(said.contains("remembered"), "{logs:?}");
    let inspected = run(&engine, here, &["buildx", "history", "inspect", id]);
    assert!(inspected.ok().contains("Build Steps:"), "{inspected:?}");
    let _ = run(&engine, here, &["buildx", "history", "rm", id]).ok();
    let listed = run(&engine, here, &["buildx", "history", "ls"]);
    assert!(!listed.ok().contains(id), "{listed:?}");
}
