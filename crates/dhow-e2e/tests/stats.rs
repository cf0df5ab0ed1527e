//! What containers use and what takes room, by both command lines and over the API.
#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

use std::io::BufRead;

use dhow_e2e::{Bench, with_both};
use dhow_testkit::Cli;
use serde_json::Value;

/// A container that runs and has a memory limit, and one that never ran.
fn two(b: &Bench) {
    let _ = b.words_ok(&[
        "run",
        "-d",
        "--name",
        "sa",
        "-m",
        "64m",
        "--pids-limit",
        "50",
        "busybox",
        "sleep",
        "1000",
    ]);
    let _ = b.words_ok(&["create", "--name", "sb", "busybox", "true"]);
}

fn get(b: &Bench, path: &str) -> (u16, Value) {
    let answer = b.engine.client().get(path).unwrap();
    (answer.status, answer.json())
}

#[test]
fn stats_are_a_table_of_the_running_or_of_all() {
    if !dhow_testkit::root_or_skip("stats_are_a_table_of_the_running_or_of_all") {
        return;
    }
    with_both(|b| {
        two(b);
        let names = |line: &str| -> Vec<String> {
            let table = b.ok(line);
            assert!(table.starts_with("CONTAINER ID"), "{table}");
            let rows = table.lines().skip(1);
            rows.map(|row| row.split_whitespace().nth(1).unwrap().to_owned())
                .collect()
        };
        assert_eq!(names("stats --no-stream"), ["sa"]);
        assert_eq!(names("stats --no-stream -a"), ["sb", "sa"]);
        assert_eq!(names("stats --no-stream sb"), ["sb"]);
        let format = "{{.Name}} {{.MemUsage}} {{.PIDs}} {{.NetIO}}";
        let line = b.words_ok(&["stats", "--no-stream", "--format", format, "sb"]);
        assert_eq!(line, "sb 0B / 0B 0 0B / 0B");
        let line = b.words_ok(&["stats", "--no-stream", "--format", format, "sa"]);
        assert!(line.contains(" / 64MiB 1 "), "{line}");
        let missing = b.run("stats --no-stream nosuch");
        assert_eq!(missing.code, 1);
        let text = "Error response from daemon: No such container: nosuch";
        assert_eq!(missing.stderr.trim(), text);
    });
}

#[test]
fn samples_come_alone_in_pairs_or_for_ever() {
    if !dhow_testkit::root_or_skip("samples_come_alone_in_pairs_or_for_ever") {
        return;
    }
    let b = Bench::new(Cli::Docker);
    two(&b);
    let zero = "0001-01-01T00:00:00Z";
    let (_, alone) = get(&b, "/v1.44/containers/sa/stats?stream=0&one-shot=1");
    assert_eq!(alone["preread"], zero);
    assert_ne!(alone["read"], zero);
    assert!(alone["cpu_stats"]["system_cpu_usage"].is_u64(), "{alone}");
    let (_, pair) = get(&b, "/v1.44/containers/sa/stats?stream=0");
    assert_ne!(pair["preread"], zero);
    assert!(pair["precpu_stats"]["online_cpus"].is_u64(), "{pair}");
    assert_eq!(pair["memory_stats"]["limit"], 64 << 20);
    assert_eq!(pair["pids_stats"]["limit"], 50);
    assert!(pair["networks"]["eth0"]["rx_bytes"].is_u64(), "{pair}");
    let (_, stopped) = get(&b, "/v1.44/containers/sb/stats?stream=0");
    assert_eq!(stopped["read"], zero);
    assert_eq!(stopped["memory_stats"], serde_json::json!({}));
    let (status, error) = get(&b, "/v1.44/containers/sa/stats?stream=1&one-shot=1");
    assert_eq!(status, 400);
    assert_eq!(
        error["message"],
        "cannot have stream=true and one-shot=true"
    );
    // A stream goes on when the container ends, and ends when it is removed.
    let (_, mut lines) = b
        .engine
        .client()
        .stream("GET", "/v1.44/containers/sa/stats")
        .unwrap();
    let mut next = || {
        let mut line = String::new();
        while !line.starts_with('{') {
            line.clear();
            if lines.read_line(&mut line).unwrap() == 0 || line == "0\r\n" {
                return None;
            }
        }
        Some(serde_json::from_str::<Value>(line.trim()).unwrap())
    };
    assert_eq!(next().unwrap()["preread"], zero);
    assert_ne!(next().unwrap()["preread"], zero);
    let _ = b.ok("kill sa");
    let mut last = next().unwrap();
    while last["read"] != zero {
        last = next().unwrap();
    }
    let _ = b.ok("rm sa");
    while next().is_some() {}
}

#[test]
fn what_takes_room_is_counted_and_pruned() {
    if !dhow_testkit::root_or_skip("what_takes_room_is_counted_and_pruned") {
        return;
    }
    with_both(|b| {
        let _ = b.ok("create --name sa --label keep=1 -v room:/data busybox true");
        let _ = b.ok("create --name sb busybox true");
        let lines = b.words_ok(&["system", "df", "--format", "{{.Type}} {{.Active}}"]);
        assert_eq!(
            lines,
            "Images 1\nContainers 0\nLocal Volumes 1\nBuild Cache 0"
        );
        for version in ["1.24", "1.44", "1.51"] {
            let (_, usage) = get(b, &format!("/v{version}/system/df"));
            assert_eq!(usage["Images"][0]["Containers"], 2, "{version}");
        }
        let bad = b.run("container prune -f --filter until=x");
        let text = "failed to parse value as time or duration: \"x\"";
        assert!(bad.stderr.contains(text), "{}", bad.stderr);
        assert_eq!(b.run("container prune -f --filter nosuch=x").code, 1);
        let kept = b.ok("container prune -f --filter until=24h");
        assert_eq!(kept, "Total reclaimed space: 0B");
        let gone = b.ok("container prune -f --filter label!=keep");
        assert_eq!(gone.lines().next(), Some("Deleted Containers:"));
        assert_eq!(b.words_ok(&["ps", "-a", "--format", "{{.Names}}"]), "sa");
        let _ = b.ok("rm sa");
        assert!(b.ok("volume prune -a -f").contains("room"));
    });
}
