//! `kill -9` of the daemon: nothing that runs notices, nothing that happened is lost.
#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

use dhow_e2e::Bench;
use dhow_testkit::Cli;
use serde_json::json;

/// Twenty kills with containers printing and ending all the while: every line in the log, every exit code found.
///
/// The number of rounds can be raised with `DHOW_CRASH_ROUNDS`.
#[test]
fn no_exit_code_or_line_is_lost() {
    if !dhow_testkit::root_or_skip("kill -9 of the daemon") {
        return;
    }
    let rounds = std::env::var("DHOW_CRASH_ROUNDS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(20);
    let mut b = Bench::new(Cli::Dhow);
    let _ = b.words_ok(&[
        "run",
        "-d",
        "--name",
        "steady",
        "busybox",
        "sh",
        "-c",
        "i=0; while true; do i=$((i+1)); echo $i; usleep 2000; done",
    ]);
    let mut random: u64 = 0x9e37_79b9_7f4a_7c15;
    for round in 0..rounds {
        let names: Vec<String> = (0..3).map(|number| format!("c{round}-{number}")).collect();
        for (number, name) in names.iter().enumerate() {
            let lines = 200 * (number + 1);
            let script = format!(
                "i=0; while [ $i -lt {lines} ]; do i=$((i+1)); echo line $i; done; exit {}",
                number + 3
            );
            let _ = b.words_ok(&["run", "-d", "--name", name, "busybox", "sh", "-c", &script]);
        }
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        std::thread::sleep(std::time::Duration::from_micros(random >> 50));
        b.engine.kill9();
        b.engine.boot();
        for (number, name) in names.iter().enumerate() {
            assert_eq!(
                b.ok(&format!("wait {name}")),
                (number + 3).to_string(),
                "round {round}\n{}",
                b.engine.log()
            );
            let expected: Vec<String> = (1..=200 * (number + 1))
                .map(|line| format!("line {line}"))
                .collect();
            assert_eq!(
                b.ok(&format!("logs {name}")),
                expected.join("\n"),
                "round {round}"
            );
            let _ = b.ok(&format!("rm {name}"));
        }
    }
    let _ = b.ok("kill steady");
    let log = b.ok("logs steady");
    assert!(
        log.lines()
            .zip(1..)
            .all(|(line, number)| line == number.to_string()),
        "the steady log has a gap"
    );
    assert_eq!(b.ok("ps -aq").lines().count(), 1);
}

/// A daemon killed in the middle of creates, starts and removals: afterwards every container is whole or gone.
#[test]
fn half_made_containers_are_finished_or_undone() {
    if !dhow_testkit::root_or_skip("kill -9 of the daemon") {
        return;
    }
    let mut b = Bench::new(Cli::Dhow);
    for round in 0..10_u64 {
        let socket = b.engine.socket().to_owned();
        let worker = std::thread::spawn(move || {
            let mut client = dhow_testkit::http::Client::new(&socket);
            let body = json!({"Image": "busybox", "Cmd": ["sleep", "1000"]});
            while let Ok(answer) = client.post("/v1.44/containers/create", Some(&body)) {
                let id = answer.json()["Id"].as_str().unwrap_or_default().to_owned();
                if client
                    .post(&format!("/v1.44/containers/{id}/start"), None)
                    .is_err()
                    || client
                        .delete(&format!("/v1.44/containers/{id}?force=1"))
                        .is_err()
                {
                    break;
                }
            }
        });
        std::thread::sleep(std::time::Duration::from_millis(40 + round * 7));
        b.engine.kill9();
        worker.join().unwrap();
        b.engine.boot();
        for id in b.ok("ps -aq").lines() {
            let state = b.words_ok(&["inspect", "-f", "{{.State.Status}}", id]);
            assert!(
                ["created", "running", "exited"].contains(&state.as_str()),
                "{state}"
            );
            let _ = b.words_ok(&["rm", "-f", id]);
        }
        let folder = b.engine.root().join("data/containers");
        let left = std::fs::read_dir(folder).into_iter().flatten().count();
        assert_eq!(left, 0, "round {round}: {}", b.engine.log());
    }
}

/// What runs goes on while no daemon is there, and all commands work again afterwards.
#[test]
fn a_container_can_be_handled_after_the_next_start() {
    if !dhow_testkit::root_or_skip("kill -9 of the daemon") {
        return;
    }
    let mut b = Bench::new(Cli::Dhow);
    let _ = b.words_ok(&[
        "run",
        "-d",
        "--name",
        "aa",
        "busybox",
        "sh",
        "-c",
        "trap 'echo ending; exit 9' TERM; echo up; while true; do usleep 1000; done",
    ]);
    let pid = b.words_ok(&["inspect", "-f", "{{.State.Pid}}", "aa"]);
    b.engine.kill9();
    b.engine.boot();
    assert_eq!(
        b.words_ok(&["inspect", "-f", "{{.State.Pid}} {{.State.Status}}", "aa"]),
        format!("{pid} running")
    );
    assert_eq!(b.ok("exec aa echo still"), "still");
    assert_eq!(b.ok("stop aa"), "aa");
    assert_eq!(
        b.words_ok(&["inspect", "-f", "{{.State.ExitCode}}", "aa"]),
        "9"
    );
    assert_eq!(b.ok("logs aa"), "up\nending");
}

/// Two daemons on one folder: the second says so in one line and does no harm.
#[test]
fn a_second_daemon_on_the_same_state_is_refused() {
    if !dhow_testkit::root_or_skip("two daemons") {
        return;
    }
    let b = Bench::new(Cli::Dhow);
    let mut second = std::process::Command::new(dhow_testkit::program());
    second
        .arg("daemon")
        .arg("--data-root")
        .arg(b.engine.root().join("data"));
    second
        .arg("--exec-root")
        .arg(b.engine.root().join("run2"))
        .arg("--pidfile")
        .arg(b.engine.root().join("pid2"));
    second
        .arg("--config-file")
        .arg(b.engine.root().join("daemon.json"));
    second.arg("-H").arg(format!(
        "unix://{}",
        b.engine.root().join("second.sock").display()
    ));
    let output = dhow_testkit::Output::of(&mut second, b"");
    assert_ne!(output.code, 0);
    assert!(
        output
            .stderr
            .contains(&b.engine.root().join("data").display().to_string()),
        "{}",
        output.stderr
    );
    assert_eq!(b.ok("run --rm busybox echo fine"), "fine");
}
