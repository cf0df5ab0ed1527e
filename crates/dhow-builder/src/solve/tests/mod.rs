//! Graphs carried out on real overlay mounts.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "tests")]

mod bench;
mod cache;
mod copies;
mod remote;
mod runs;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bench::{Bench, Draw};

/// Whether overlay mounts can be made; says loudly when not.
fn root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("SKIPPED: overlay mounts need root");
    }
    root
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_of_steps_becomes_layers() {
    if !root() {
        return;
    }
    let bench = Bench::new();
    bench.write("app/main", "hello");
    let mut draw = Draw::default();
    let scratch = draw.scratch();
    let context = draw.context();
    let copied = draw.copy(scratch, context, &["app"], "/srv/");
    let ran = draw.run(copied, &["write", "/srv/made", "new"]);
    draw.run(ran, &["rm", "/srv/main"]);
    let root = bench.solve(&draw.0).await.unwrap();
    assert_eq!(root.layers.len(), 3);
    let files = bench.files(&root);
    let expected = [("srv/", ""), ("srv/made", "new")];
    assert_eq!(files, expected.map(|(a, b)| (a.into(), b.into())).into());
    // What was unpacked nowhere is what its blob says.
    let chains: Vec<_> = root.layers.iter().map(|layer| layer.diff_id).collect();
    assert_eq!(root.chain_id().unwrap(), dhow_oci::chain_id(&chains));
    for layer in &root.layers {
        let blob = bench.config.content.open_blob(&layer.blob.digest).unwrap();
        let mut tar = Vec::new();
        std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(blob), &mut tar).unwrap();
        assert_eq!(dhow_oci::Digest::of(&tar), layer.diff_id);
    }
    assert_eq!(bench.config.images.collect_garbage().unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn branches_run_at_the_same_time_and_what_nobody_needs_never() {
    if !root() {
        return;
    }
    let bench = Bench::new();
    let mut draw = Draw::default();
    let scratch = draw.scratch();
    let one = draw.run(scratch, &["wait", "1"]);
    let two = draw.run(scratch, &["wait", "2"]);
    draw.run(scratch, &["fail", "1"]);
    let joined = draw.copy(one, two, &["/"], "/");
    assert!(joined.0 > 0);
    let (executor, graph) = (Arc::clone(&bench.executor), draw.0.clone());
    let release = tokio::spawn(async move {
        executor.waiting.notified().await;
        while executor.most.load(Ordering::SeqCst) < 2 {
            executor.waiting.notified().await;
        }
        executor.gate.notify_waiters();
    });
    bench.solve(&graph).await.unwrap();
    release.await.unwrap();
    assert_eq!(bench.executor.most.load(Ordering::SeqCst), 2);
    assert_eq!(bench.executor.runs.load(Ordering::SeqCst), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_ends_the_build_and_kills_what_runs() {
    if !root() {
        return;
    }
    let bench = Bench::new();
    let mut draw = Draw::default();
    let scratch = draw.scratch();
    let slow = draw.run(scratch, &["wait"]);
    let bad = draw.run(scratch, &["fail", "3"]);
    draw.copy(slow, bad, &["/"], "/");
    let error = bench.solve(&draw.0).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "process \"fail 3\" did not complete successfully: exit code: 3"
    );
    assert_eq!(error.exit_code(), Some(3));
    let mut ended = bench.told.ended();
    ended.sort();
    // The one that was killed may not have begun.
    assert!(ended.contains(&"RUN fail 3!".to_owned()), "{ended:?}");
    assert!(
        ended
            .iter()
            .all(|name| name.ends_with('!') || name.is_empty()),
        "{ended:?}"
    );
    leaves_nothing(&bench).await;
}

/// Waits for what was given up, and sees that nothing is left.
async fn leaves_nothing(bench: &Bench) {
    let folder = bench.folder.path().join("layers/staging");
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while std::fs::read_dir(&folder).unwrap().next().is_some() {
        assert!(std::time::Instant::now() < deadline, "drafts stay");
        tokio::task::yield_now().await;
    }
    bench.config.images.collect_garbage().unwrap();
    for folder in ["memory", "builder/work", "content/ingest"] {
        let left = std::fs::read_dir(bench.folder.path().join(folder))
            .unwrap()
            .count();
        assert_eq!(left, 0, "{folder}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_a_build_kills_it_at_once() {
    if !root() {
        return;
    }
    let bench = Bench::new();
    let mut draw = Draw::default();
    let scratch = draw.scratch();
    draw.run(scratch, &["wait"]);
    tokio::select! {
        _ = bench.solve(&draw.0) => panic!("nobody lets it go on"),
        () = bench.executor.waiting.notified() => {}
    }
    leaves_nothing(&bench).await;
    assert_eq!(bench.executor.killed.load(Ordering::SeqCst), 1);
    assert!(bench.config.content.list().unwrap().is_empty());
    let graph = {
        let mut draw = Draw::default();
        let scratch = draw.scratch();
        draw.run(scratch, &["write", "/x", "y"]);
        draw.0
    };
    bench.solve(&graph).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_step_of_two_builds_is_done_once() {
    if !root() {
        return;
    }
    let bench = Arc::new(Bench::new());
    let mut draw = Draw::default();
    let scratch = draw.scratch();
    let waits = draw.run(scratch, &["wait"]);
    draw.run(waits, &["write", "/x", "y"]);
    let graph = Arc::new(draw.0);
    let build = |bench: &Arc<Bench>| {
        let (bench, graph) = (Arc::clone(bench), Arc::clone(&graph));
        tokio::spawn(async move { bench.solve(&graph).await.unwrap() })
    };
    let first = build(&bench);
    bench.executor.waiting.notified().await;
    let second = build(&bench);
    // The second one waits for the first, which goes on only now.
    bench.executor.gate.notify_one();
    assert_eq!(first.await.unwrap(), second.await.unwrap());
    assert_eq!(bench.executor.runs.load(Ordering::SeqCst), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_a_step_that_is_given_up_does_it_itself() {
    if !root() {
        return;
    }
    let bench = Arc::new(Bench::new());
    let mut draw = Draw::default();
    let scratch = draw.scratch();
    draw.run(scratch, &["wait"]);
    let graph = Arc::new(draw.0);
    let build = |bench: &Arc<Bench>| {
        let (bench, graph) = (Arc::clone(bench), Arc::clone(&graph));
        tokio::spawn(async move { bench.solve(&graph).await })
    };
    let first = build(&bench);
    bench.executor.waiting.notified().await;
    let second = build(&bench);
    first.abort();
    bench.executor.waiting.notified().await;
    bench.executor.gate.notify_one();
    second.await.unwrap().unwrap();
    assert_eq!(bench.executor.runs.load(Ordering::SeqCst), 2);
}
