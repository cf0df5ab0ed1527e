//! When results are taken from the cache, and what becomes of it.

use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::Ordering;

use super::bench::{Bench, Draw};
use super::root;
use crate::graph::Graph;
use crate::usage::{Bounds, CacheKind, Comparison, Filter, PruneOptions};

/// A stage that copies the context and runs something, and a second one that takes a file of it.
fn two_stages() -> Graph {
    let mut draw = Draw::default();
    let scratch = draw.scratch();
    let context = draw.context();
    let copied = draw.copy(scratch, context, &["src"], "/src/");
    let built = draw.run(copied, &["write", "/out/app", "built"]);
    draw.copy(scratch, built, &["/out/app"], "/bin/");
    draw.0
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_the_same_is_not_done_again() {
    if !root() {
        return;
    }
    let bench = Bench::new();
    bench.write("src/main", "1");
    let first = bench.solve(&two_stages()).await.unwrap();
    bench.told.ended();
    // Touched, written anew: the same content.
    std::fs::remove_dir_all(bench.client.root.join("src")).unwrap();
    bench.write("src/main", "1");
    let again = bench.solve(&two_stages()).await.unwrap();
    assert_eq!(first, again);
    let told = bench.told.ended();
    let cached = [
        "COPY src /src/*",
        "RUN write /out/app built*",
        "COPY /out/app /bin/*",
    ];
    assert_eq!(told[told.len() - 3..], cached);
    // Also after a restart.
    let bench = bench.reopened();
    let again = bench.solve(&two_stages()).await.unwrap();
    assert_eq!(first, again);
    assert_eq!(bench.executor.runs.load(Ordering::SeqCst), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn content_and_permissions_make_a_difference() {
    if !root() {
        return;
    }
    let bench = Bench::new();
    bench.write("src/main", "1");
    bench.solve(&two_stages()).await.unwrap();
    bench.write("src/main", "2");
    bench.solve(&two_stages()).await.unwrap();
    assert_eq!(bench.executor.runs.load(Ordering::SeqCst), 2);
    let told = bench.told.ended();
    // What the second stage takes is the same though the first was built anew.
    assert_eq!(told.last().unwrap(), "COPY /out/app /bin/*");
    let main = bench.client.root.join("src/main");
    std::fs::set_permissions(main, std::fs::Permissions::from_mode(0o755)).unwrap();
    bench.solve(&two_stages()).await.unwrap();
    assert_eq!(bench.executor.runs.load(Ordering::SeqCst), 3);
    let mut without = two_stages();
    for vertex in &mut without.vertices {
        vertex.no_cache = true;
    }
    bench.solve(&without).await.unwrap();
    assert_eq!(bench.executor.runs.load(Ordering::SeqCst), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_cache_holds_is_shown_and_pruned() {
    if !root() {
        return;
    }
    let bench = Bench::new();
    bench.write("src/main", "1");
    bench.solve(&two_stages()).await.unwrap();
    let usage = bench.cache.usage().unwrap();
    assert_eq!(usage.len(), 3);
    assert!(
        usage
            .iter()
            .all(|record| record.id.len() == 25 && !record.in_use)
    );
    assert!(usage.iter().all(|record| record.kind == CacheKind::Regular));
    let ran = usage
        .iter()
        .find(|record| record.description.starts_with("RUN"))
        .unwrap();
    let copied = usage
        .iter()
        .find(|record| record.description.starts_with("COPY src"))
        .unwrap();
    assert_eq!(ran.parents, std::slice::from_ref(&copied.id));
    assert_eq!(bench.config.images.collect_garbage().unwrap(), 0);
    let by_id = |id: &str| PruneOptions {
        filters: vec![Filter {
            field: "id".into(),
            comparison: Comparison::Equal,
            value: id.into(),
        }],
        ..PruneOptions::default()
    };
    // Something stands on it.
    assert!(
        bench
            .cache
            .prune(&by_id(&copied.id))
            .unwrap()
            .removed
            .is_empty()
    );
    let pruned = bench.cache.prune(&by_id(&ran.id)).unwrap();
    assert_eq!(pruned.removed.len(), 1);
    assert_eq!(pruned.reclaimed, ran.size);
    let recent = PruneOptions {
        unused_for: Some(std::time::Duration::from_secs(3600)),
        ..PruneOptions::default()
    };
    assert!(bench.cache.prune(&recent).unwrap().removed.is_empty());
    let all = bench.cache.prune(&PruneOptions::default()).unwrap();
    assert_eq!(all.removed.len(), 2);
    assert!(bench.config.content.list().unwrap().is_empty());
    assert!(bench.config.snapshots.layers().unwrap().is_empty());
    let wrong = Filter {
        field: "colour".into(),
        comparison: Comparison::Equal,
        value: "red".into(),
    };
    let wrong = PruneOptions {
        filters: vec![wrong],
        ..PruneOptions::default()
    };
    assert_eq!(
        bench.cache.prune(&wrong).unwrap_err().to_string(),
        "invalid filter 'colour'"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cache_stays_within_its_bounds() {
    if !root() {
        return;
    }
    let most = 3_000_000;
    let bench = Bench::with(Bounds {
        most: Some(most),
        free_percent: 0,
        reserved: 0,
    });
    let mut last = None;
    for n in 0..8 {
        let mut draw = Draw::default();
        let scratch = draw.scratch();
        let text = format!("{n}").repeat(900_000);
        draw.run(scratch, &["write", "/big", &text]);
        last = Some(bench.solve(&draw.0).await.unwrap());
        assert!(bench.cache.total() <= most, "{}", bench.cache.total());
    }
    let newest = last.unwrap().chain_id();
    assert!(
        bench
            .cache
            .lock()
            .values()
            .any(|entry| entry.chain == newest)
    );
    // What is larger than all of it is built, but not kept.
    let mut draw = Draw::default();
    let scratch = draw.scratch();
    draw.run(scratch, &["write", "/huge", &"x".repeat(4_000_000)]);
    bench.solve(&draw.0).await.unwrap();
    assert!(bench.cache.total() <= most);
}

#[tokio::test(flavor = "multi_thread")]
async fn records_without_layers_are_forgotten() {
    if !root() {
        return;
    }
    let bench = Bench::new();
    bench.write("src/main", "1");
    let root = bench.solve(&two_stages()).await.unwrap();
    let blob = root.layers[0].blob.digest;
    bench.config.content.remove(&blob).unwrap();
    let bench = bench.reopened();
    assert_eq!(bench.cache.usage().unwrap().len(), 2);
    let again = bench.solve(&two_stages()).await.unwrap();
    assert_eq!(again, bench.solve(&two_stages()).await.unwrap());
    assert!(bench.config.content.contains(&blob));
}
