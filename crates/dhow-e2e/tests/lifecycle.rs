//! Containers' lives as Docker's users know them: states, policies, health, ends.
//!
//! All of it is true of a real Docker Engine as well: `DHOW_E2E_SOCKET` runs it there.
#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

use std::time::{Duration, Instant};

use dhow_e2e::Bench;
use dhow_testkit::Cli;
use serde_json::Value;

fn bench() -> Option<Bench> {
    dhow_testkit::root_or_skip("containers' lives").then(|| Bench::new(Cli::Docker))
}

/// `STATUS EXIT-CODE RESTARTS`.
const STATE: &str = "{{.State.Status}} {{.State.ExitCode}} {{.RestartCount}}";
/// What the probes have found.
const HEALTH: &str = "{{.State.Health.Status}}";

fn state(b: &Bench, name: &str) -> String {
    b.inspect(name, STATE)
}

/// Waits for something that neither a request nor an event tells.
#[track_caller]
fn becomes(what: impl Fn() -> String, wanted: impl Fn(&str) -> bool) -> String {
    let begun = Instant::now();
    loop {
        let now = what();
        if wanted(&now) {
            return now;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "it is {now}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn health(b: &Bench, name: &str) -> Value {
    let text = b.inspect(name, "{{json .State.Health}}");
    serde_json::from_str(&text).unwrap()
}

/// What happened to a container, so far.
fn events(b: &Bench, name: &str) -> Vec<String> {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    let until = format!("{}.{:09}", now.as_secs(), now.subsec_nanos());
    let filter = format!("container={name}");
    let words = [
        "events",
        "--since",
        "1h",
        "--until",
        &until,
        "--filter",
        &filter,
        "--format",
        "{{.Action}}",
    ];
    b.words_ok(&words).lines().map(str::to_owned).collect()
}

#[test]
fn policies_start_again_what_ends() {
    let Some(b) = bench() else { return };
    let run = |name: &str, policy: &str, script: &str| {
        let _ = b.words_ok(&[
            "run",
            "-d",
            "--name",
            name,
            "--restart",
            policy,
            "busybox",
            "sh",
            "-c",
            script,
        ]);
    };
    run("failing", "on-failure:2", "exit 3");
    run("fine", "on-failure:2", "exit 0");
    run("ever", "always", "exit 0");
    run("killed", "always", "sleep 1000");
    b.wait_for("failing", STATE, "exited 3 2");
    b.wait_for("fine", STATE, "exited 0 0");
    // Whose process is killed by somebody else is started again, who is killed by the user is not.
    let pid = b.inspect("killed", "{{.State.Pid}}");
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(pid.parse().unwrap()).unwrap(),
        rustix::process::Signal::KILL,
    )
    .unwrap();
    b.wait_for("killed", STATE, "running 0 1");
    let _ = b.ok("kill killed");
    assert_eq!(state(&b, "killed"), "exited 137 1");
    let _ = b.ok("start killed");
    assert_eq!(state(&b, "killed"), "running 0 0");
    // Stopped in whatever moment between its runs, it stays so.
    for _ in 0..5 {
        becomes(|| state(&b, "ever"), |state| !state.ends_with(" 0"));
        let _ = b.ok("stop -t 0 ever");
        assert!(
            state(&b, "ever").starts_with("exited 0"),
            "{}",
            state(&b, "ever")
        );
        let _ = b.ok("start ever");
    }
    let format = "{{.State.Status}} {{.State.Running}} {{.State.Restarting}}";
    becomes(
        || b.inspect("ever", format),
        |state| state == "restarting true true",
    );
    let refused = b.run("rm ever");
    assert!(
        refused
            .stderr
            .contains("stop the container before removing or force remove"),
        "{}",
        refused.stderr
    );
    let _ = b.ok("rm -f ever");
}

#[test]
fn states_and_codes_are_right_at_every_step() {
    let Some(b) = bench() else { return };
    let _ = b.ok("create --name one busybox sleep 1000");
    assert_eq!(state(&b, "one"), "created 0 0");
    let _ = b.ok("restart -t 0 one");
    assert_eq!(state(&b, "one"), "running 0 0");
    let _ = b.ok("pause one");
    assert_eq!(
        b.inspect("one", "{{.State.Running}} {{.State.Paused}}"),
        "true true"
    );
    let _ = b.ok("stop -t 1 one");
    assert_eq!(state(&b, "one"), "exited 137 0");
    assert_eq!(
        events(&b, "one")
            .iter()
            .map(String::as_str)
            .filter(|action| *action != "stop")
            .collect::<Vec<_>>(),
        [
            "create", "start", "restart", "pause", "kill", "unpause", "kill", "die"
        ]
    );
    let refused = b.run("kill one");
    assert!(
        refused.stderr.contains("is not running"),
        "{}",
        refused.stderr
    );
    assert_eq!(b.ok("stop one"), "one");
    let failing = b.run("run --name none busybox nosuch");
    assert_eq!(failing.code, 127);
    assert_eq!(state(&b, "none"), "created 127 0");
    let error = b.inspect("none", "{{.State.Error}}");
    assert!(
        error.contains("executable file not found in $PATH"),
        "{error}"
    );
    for (script, code) in [
        ("exit 200", 200),
        ("kill -9 $$; sleep 9", 137),
        ("kill -15 $$", 0),
        ("kill -2 $$", 130),
    ] {
        // The first process of a pid namespace does not get what it does not handle, SIGKILL from within included;
        // busybox' shell handles SIGINT.
        let script = script.replace("kill -9 $$; sleep 9", "sleep 0.1 & wait; exit 137");
        let output = b.words(&["run", "--rm", "busybox", "sh", "-c", &script]);
        assert_eq!(output.code, code, "{script}: {}", output.stderr);
    }
    assert_eq!(b.run("run --rm busybox /etc/passwd").code, 126);
    assert_eq!(b.run("run --rm --no-such-flag busybox true").code, 125);
}

#[test]
fn want_of_memory_is_told() {
    let Some(b) = bench() else { return };
    let eat = "dd if=/dev/zero of=/dev/null bs=64M count=1";
    let output = b.starve("hungry", eat);
    assert_eq!(output.code, 137, "{}", output.stderr);
    assert_eq!(b.inspect("hungry", "{{.State.OOMKilled}}"), "true");
    assert!(events(&b, "hungry").contains(&"oom".to_owned()));
    let _ = b.ok("run --name modest -m 16m busybox true");
    assert_eq!(b.inspect("modest", "{{.State.OOMKilled}}"), "false");
}

/// Runs a container with a quick health check.
fn checked(b: &Bench, name: &str, command: &str, options: &[&str]) {
    let fixed = [
        "run",
        "-d",
        "--name",
        name,
        "--health-interval",
        "200ms",
        "--health-cmd",
        command,
    ];
    let _ = b.words_ok(&[&fixed[..], options, &["busybox", "sleep", "1000"]].concat());
}

fn health_status(b: &Bench, name: &str) -> String {
    health(b, name)["Status"].as_str().unwrap().to_owned()
}

#[test]
fn health_is_as_the_probes_say() {
    let Some(b) = bench() else { return };
    checked(
        &b,
        "ill",
        "echo hi; test -e /ok",
        &["--health-retries", "2"],
    );
    assert_eq!(health(&b, "ill")["Status"], "starting");
    b.wait_for("ill", HEALTH, "unhealthy");
    let now = health(&b, "ill");
    assert!(now["FailingStreak"].as_i64().unwrap() >= 2, "{now}");
    assert_eq!(
        (&now["Log"][0]["ExitCode"], &now["Log"][0]["Output"]),
        (&1.into(), &"hi\n".into())
    );
    becomes(
        || {
            health(&b, "ill")["Log"]
                .as_array()
                .unwrap()
                .len()
                .to_string()
        },
        |count| count == "5",
    );
    let _ = b.ok("exec ill touch /ok");
    b.wait_for("ill", HEALTH, "healthy");
    assert_eq!(health(&b, "ill")["FailingStreak"], 0);
    assert!(
        b.words_ok(&["ps", "--format", "{{.Status}}"])
            .ends_with("(healthy)")
    );
    let _ = b.ok("stop -t 0 ill");
    assert_eq!(health(&b, "ill")["Status"], "unhealthy");
    let _ = b.ok("start ill");
    let anew = health(&b, "ill");
    assert_eq!(
        (&anew["Status"], anew["Log"].as_array().unwrap().is_empty()),
        (&"starting".into(), false)
    );
    let told: Vec<String> = events(&b, "ill")
        .into_iter()
        .filter(|action| action.starts_with("health"))
        .collect();
    assert_eq!(
        told[..2],
        ["health_status: unhealthy", "health_status: healthy"]
    );
}

/// Probes that take too long, say too much, or don't count yet.
#[test]
fn probes_are_bounded() {
    let Some(b) = bench() else { return };
    checked(
        &b,
        "slow",
        "echo begun; sleep 77",
        &["--health-timeout", "300ms", "--health-retries", "1"],
    );
    b.wait_for("slow", HEALTH, "unhealthy");
    let probe = health(&b, "slow")["Log"][0].clone();
    assert_eq!(probe["ExitCode"], -1);
    assert_eq!(
        probe["Output"],
        "Health check exceeded timeout (300ms): begun\n"
    );
    // The probe's process does not stay.
    becomes(
        || {
            events(&b, "slow")
                .iter()
                .filter(|action| *action == "exec_die")
                .count()
                .to_string()
        },
        |count| count != "0",
    );

    checked(
        &b,
        "loud",
        "i=0; while [ $i -lt 1000 ]; do echo 0123456789; i=$((i+1)); done",
        &[],
    );
    b.wait_for("loud", HEALTH, "healthy");
    let output = health(&b, "loud")["Log"][0]["Output"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!((output.len(), output.ends_with("...")), (4099, true));

    checked(
        &b,
        "patient",
        "exit 2",
        &[
            "--health-start-period",
            "100s",
            "--health-start-interval",
            "100ms",
            "--health-retries",
            "1",
        ],
    );
    becomes(
        || {
            health(&b, "patient")["Log"]
                .as_array()
                .unwrap()
                .len()
                .to_string()
        },
        |count| count == "5",
    );
    assert_eq!(health(&b, "patient")["FailingStreak"], 0);
    assert_eq!(health_status(&b, "patient"), "starting");
}

/// The init of `--init` is the first process, and takes in those whose parents are gone.
#[test]
fn an_init_reaps_whoever_is_left() {
    let Some(b) = bench() else { return };
    let script =
        "i=0; while [ $i -lt 20 ]; do (sleep 0.2 & exec true); i=$((i+1)); done; exec sleep 1000";
    for (name, more) in [("with", &["--init"][..]), ("without", &[])] {
        let mut words = vec!["run", "-d", "--name", name];
        words.extend(more);
        words.extend(["busybox", "sh", "-c", script]);
        let _ = b.words_ok(&words);
    }
    // All orphans have ended when nobody but those that stay is there and no zombie.
    let zombies = |name: &str| {
        let count = "grep -l '^State:.Z' /proc/[0-9]*/status 2>/dev/null | wc -l";
        b.words_ok(&["exec", name, "sh", "-c", count])
    };
    let sleeping = |name: &str| {
        let count = "grep -l '^sleep.0.2' /proc/[0-9]*/cmdline 2>/dev/null | wc -l";
        b.words_ok(&["exec", name, "sh", "-c", count])
    };
    for name in ["with", "without"] {
        becomes(|| sleeping(name), |count| count == "0");
    }
    becomes(|| zombies("with"), |count| count == "0");
    // Without, the program is the first process, and this one waits for nobody.
    becomes(|| zombies("without"), |count| count == "20");
    let first = b.ok("exec with cat /proc/1/cmdline");
    assert!(first.contains("init"), "{first}");
    // It passes signals on, and ends as its program does.
    let _ = b.ok("kill -s TERM with");
    assert_eq!(b.ok("wait with"), "143");
}

/// The engine's own restart: who was stopped by hand stays so if that is the policy.
#[test]
fn policies_hold_across_the_daemons_restart() {
    let Some(mut b) = bench() else { return };
    for (name, policy) in [
        ("never", "no"),
        ("ever", "always"),
        ("kept", "unless-stopped"),
        ("stopped", "unless-stopped"),
        ("again", "always"),
        ("failing", "on-failure"),
    ] {
        let _ = b.words_ok(&[
            "run",
            "-d",
            "--name",
            name,
            "--restart",
            policy,
            "busybox",
            "sleep",
            "1000",
        ]);
    }
    let _ = b.ok("stop -t 0 stopped again");
    b.engine.kill9();
    b.engine.end_containers();
    b.engine.boot();
    for name in ["ever", "kept", "again", "failing"] {
        becomes(|| state(&b, name), |state| state.starts_with("running 0"));
    }
    assert_eq!(state(&b, "stopped"), "exited 137 0");
    assert_eq!(state(&b, "never"), "exited 255 0");
}
