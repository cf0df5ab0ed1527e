//! What commands see, and what is left of it.

use super::bench::{Bench, Draw, run};
use super::root;
use crate::graph::{MountSource, Op, RunMount, RunOp};

fn mounted(words: &[&str], target: &str, source: MountSource) -> RunOp {
    RunOp {
        mounts: vec![RunMount {
            target: target.into(),
            read_only: false,
            source,
        }],
        ..run(words)
    }
}

fn cache(id: &str) -> MountSource {
    MountSource::Cache {
        id: id.into(),
        sharing: dhow_dockerfile::MountSharing::Shared,
        from: None,
        mode: 0o755,
        uid: 0,
        gid: 0,
    }
}

fn secret(id: &str, required: bool) -> MountSource {
    MountSource::Secret {
        id: id.into(),
        env: Some("TOKEN".into()),
        file: true,
        required,
        mode: 0o400,
        uid: 0,
        gid: 0,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn places_that_mounts_need_are_not_in_the_layer() {
    if !root() {
        return;
    }
    let bench = Bench::new();
    let mut draw = Draw::default();
    let scratch = draw.scratch();
    let base = draw.run(scratch, &["write", "/have/file", "x"]);
    let op = mounted(
        &["true"],
        "/have/new/deep",
        MountSource::Tmpfs { size: None },
    );
    draw.add("RUN", Op::Run(Box::new(op)), &[base]);
    let root = bench.solve(&draw.0).await.unwrap();
    let paths: Vec<String> = bench.files(&root).into_keys().collect();
    assert_eq!(paths, ["have/", "have/file"]);
    // Nothing at all is in the layer, not even the directory that they were made in.
    let empty = dhow_oci::Digest::of(&[0; 1024]);
    assert_eq!(root.layers[1].diff_id, empty);
}

#[tokio::test(flavor = "multi_thread")]
async fn caches_outlive_builds() {
    if !root() {
        return;
    }
    let bench = Bench::new();
    for (n, expected) in [(1, "a"), (2, "aa"), (3, "aaa")] {
        let mut draw = Draw::default();
        let scratch = draw.scratch();
        let begun = draw.run(scratch, &["write", "/n", &n.to_string()]);
        let op = mounted(&["append", "/c/log", "a"], "/c", cache("log"));
        let grown = draw.add("RUN append", Op::Run(Box::new(op)), &[begun]);
        let op = mounted(&["cat", "/c/log", "/seen"], "/c", cache("log"));
        draw.add("RUN cat", Op::Run(Box::new(op)), &[grown]);
        let root = bench.solve(&draw.0).await.unwrap();
        assert_eq!(bench.files(&root)["seen"], expected);
        assert!(!bench.files(&root).contains_key("c/"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_seen_and_nowhere_else() {
    if !root() {
        return;
    }
    let bench = Bench::new();
    let value = "correct horse battery staple";
    bench
        .client
        .secrets
        .lock()
        .unwrap()
        .insert("key".into(), value.into());
    let graph = |words: &[&str], id: &str, required: bool| {
        let mut draw = Draw::default();
        let scratch = draw.scratch();
        let op = mounted(words, "/run/secrets/key", secret(id, required));
        draw.add("RUN", Op::Run(Box::new(op)), &[scratch]);
        draw.0
    };
    let root = bench
        .solve(&graph(&["cat", "/run/secrets/key", "/seen"], "key", true))
        .await
        .unwrap();
    assert_eq!(bench.files(&root)["seen"], value);
    let root = bench
        .solve(&graph(&["env", "TOKEN", "/seen"], "key", true))
        .await
        .unwrap();
    assert_eq!(bench.files(&root)["seen"], value);
    let root = bench.solve(&graph(&["true"], "key", true)).await.unwrap();
    assert!(bench.files(&root).is_empty());
    let before = root;
    // Another secret is the same step.
    bench
        .client
        .secrets
        .lock()
        .unwrap()
        .insert("key".into(), b"other".into());
    let root = bench.solve(&graph(&["true"], "key", true)).await.unwrap();
    assert_eq!(root, before);
    let error = bench
        .solve(&graph(&["true", "2"], "nosuch", true))
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "secret nosuch: not found");
    bench
        .solve(&graph(&["true", "2"], "nosuch", false))
        .await
        .unwrap();
    assert_eq!(std::fs::read_dir(&bench.config.memory).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_allowed_is_refused() {
    if !root() {
        return;
    }
    let bench = Bench::new();
    let mut draw = Draw::default();
    let scratch = draw.scratch();
    let op = RunOp {
        security: dhow_dockerfile::Security::Insecure,
        ..run(&["true"])
    };
    draw.add("RUN", Op::Run(Box::new(op)), &[scratch]);
    let error = bench.solve(&draw.0).await.unwrap_err();
    assert_eq!(error.to_string(), "security.insecure is not allowed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whiteout_of_what_only_the_engine_put_there_is_nothing() {
    if !root() {
        return;
    }
    let bench = Bench::new();
    let mut draw = Draw::default();
    let scratch = draw.scratch();
    let base = draw.run(scratch, &["write", "/x", "y"]);
    draw.run(base, &["rm", "/.dockerenv"]);
    let root = bench.solve(&draw.0).await.unwrap();
    assert_eq!(bench.files(&root).into_keys().collect::<Vec<_>>(), ["x"]);
    assert_eq!(root.layers[1].diff_id, dhow_oci::Digest::of(&[0; 1024]));
}
