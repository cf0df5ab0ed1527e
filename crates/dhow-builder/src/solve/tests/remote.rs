//! Caches elsewhere: what one builder has written another one finds.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::bench::{Bench, Draw, run};
use super::root;
use crate::graph::{Graph, MountSource, Op, RunMount, RunOp};
use crate::remote::{Imported, export};
use crate::request::{CacheSource, CacheTarget};

/// Two stages, a cache mount in the first one.
fn graph() -> Graph {
    let mut draw = Draw::default();
    let scratch = draw.scratch();
    let context = draw.context();
    let copied = draw.copy(scratch, context, &["src"], "/src/");
    let op = RunOp {
        mounts: vec![RunMount {
            target: "/c".into(),
            read_only: false,
            source: MountSource::Cache {
                id: "log".into(),
                sharing: dhow_dockerfile::MountSharing::Shared,
                from: None,
                mode: 0o755,
                uid: 0,
                gid: 0,
            },
        }],
        ..run(&["append", "/c/log", "a"])
    };
    let used = draw.add("RUN append", Op::Run(Box::new(op)), &[copied]);
    let built = draw.run(used, &["write", "/out/app", "built"]);
    draw.copy(scratch, built, &["/out/app"], "/bin/");
    draw.0
}

/// Writes a cache and reads it with a builder that knows nothing; how many commands that one runs, and which cache mounts it
/// has then.
async fn carried(all: bool, mounts: bool) -> (usize, usize) {
    let first = Bench::new();
    first.write("src/main", "1");
    let job = first.job();
    let built = first.solve_in(&job, &graph()).await.unwrap();
    let target = CacheTarget::Local {
        store: "cache".into(),
        all,
        mounts,
    };
    let manifest = export(&job, &[target], std::slice::from_ref(&built))
        .await
        .unwrap();
    let second = Bench::new();
    second.write("src/main", "1");
    let (from, to) = (
        first.client.root.join("cache"),
        second.client.root.join("cache"),
    );
    std::fs::rename(from, to).unwrap();
    let job = second.job();
    let source = CacheSource::Local {
        store: "cache".into(),
        digest: manifest.unwrap().digest,
    };
    job.import(Imported::load(&job, &[source]).await);
    let found = second.solve_in(&job, &graph()).await.unwrap();
    let same = |root: &crate::result::Root| -> Vec<_> {
        root.layers.iter().map(|layer| layer.blob.digest).collect()
    };
    assert_eq!(same(&found), same(&built));
    assert_eq!(second.files(&found)["bin/app"], "built");
    // A command that is done anyhow finds the mount as it was left.
    let mut again = graph();
    again.vertices[3].no_cache = true;
    second.solve_in(&job, &again).await.unwrap();
    let folder = second.folder.path().join("builder/mounts");
    let log = std::fs::read_dir(folder).unwrap().next().unwrap().unwrap();
    let log = std::fs::read(log.path().join("log")).unwrap();
    (second.executor.runs.load(Ordering::SeqCst), log.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn all_steps_are_found_elsewhere() {
    if !root() {
        return;
    }
    // One command is run anyhow, and what follows it has another root's content, but the same.
    let (runs, log) = carried(true, false).await;
    assert_eq!(log, 1);
    assert!((1..=2).contains(&runs), "{runs}");
    let (_, log) = carried(true, true).await;
    assert_eq!(log, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_part_of_the_image_is_not_carried_unless_asked_for() {
    if !root() {
        return;
    }
    let (runs, _) = carried(false, false).await;
    // Two commands of the first stage, and one of them again.
    assert!((3..=4).contains(&runs), "{runs}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_that_is_none_is_told_and_left() {
    if !root() {
        return;
    }
    let bench = Bench::new();
    bench.write("src/main", "1");
    let job = bench.job();
    let source = CacheSource::Local {
        store: "cache".into(),
        digest: dhow_oci::Digest::of(b"nothing"),
    };
    job.import(Imported::load(&job, &[source]).await);
    let told = bench.told.ended();
    assert!(told[0].starts_with("importing cache manifest from") && told[0].ends_with('!'));
    bench.solve_in(&Arc::clone(&job), &graph()).await.unwrap();
}
