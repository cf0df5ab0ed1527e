//! `kill -9` of the daemon: nothing that runs notices, nothing that happened is lost.
#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use dhow_e2e::Bench;
use dhow_testkit::Cli;
use serde_json::json;

/// Twenty kills with containers printing and ending all the while: every line in the log, every exit code found.
#[test]
fn no_exit_code_or_line_is_lost() {
    if !dhow_testkit::root_or_skip("kill -9 of the daemon") {
        return;
    }
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
    let web = [
        "run",
        "-d",
        "--name",
        "web",
        "-p",
        "127.0.0.1:8099:80",
        "busybox",
        "httpd",
        "-f",
        "-p",
        "80",
    ];
    let _ = b.words_ok(&web);
    let mut random: u64 = 0x9e37_79b9_7f4a_7c15;
    for round in 0..rounds(20) {
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
        std::thread::sleep(Duration::from_micros(random >> 49));
        b.engine.kill9();
        // The port is served without a daemon, and with the next one.
        assert!(b.engine.connect("127.0.0.1:8099").is_ok(), "round {round}");
        b.engine.boot();
        assert!(b.engine.connect("127.0.0.1:8099").is_ok(), "round {round}");
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
    let _ = b.words_ok(&["rm", "-f", "web", "steady"]);
    nothing_is_left(&b);
}

/// How many times the daemon is killed; `DHOW_CRASH_ROUNDS` makes it more often.
fn rounds(few: u64) -> u64 {
    let set = std::env::var("DHOW_CRASH_ROUNDS").ok();
    set.and_then(|text| text.parse().ok()).unwrap_or(few)
}

/// With its last container everything of an engine's containers is gone.
#[track_caller]
fn nothing_is_left(b: &Bench) {
    assert_eq!(b.ok("ps -aq"), "");
    let entries = |folder: &Path| {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect::<Vec<_>>()
    };
    let root = b.engine.root();
    // A supervisor tells of the end before it takes the last of a container away.
    let begun = Instant::now();
    let mut left = vec![root.to_owned()];
    while !left.is_empty() {
        let late = begun.elapsed() > Duration::from_secs(10);
        assert!(!late, "{left:?}\n{}", b.engine.log());
        left = [
            "data/containers",
            "data/active",
            "data/staging",
            "data/trash",
            "run/containers",
            "run/runtime",
        ]
        .iter()
        .flat_map(|folder| entries(&root.join(folder)))
        .collect();
        let groups = b.engine.cgroups();
        let inner = groups.iter().flat_map(|group| entries(group));
        left.extend(inner.filter(|path| path.is_dir()));
        let table = format!("/proc/{}/net/dev", b.engine.pid());
        let table = std::fs::read_to_string(table).unwrap();
        let names = table.lines().map(str::trim_start).map(PathBuf::from);
        left.extend(names.filter(|name| name.as_os_str().as_encoded_bytes().starts_with(b"veth")));
    }
    assert_eq!(b.ok("volume ls -q"), "");
    let endpoints = b.words_ok(&["network", "inspect", "-f", "{{len .Containers}}", "bridge"]);
    assert_eq!(endpoints, "0");
}

/// A daemon killed in the middle of creates, starts and removals: afterwards every container is whole or gone.
#[test]
fn half_made_containers_are_finished_or_undone() {
    if !dhow_testkit::root_or_skip("kill -9 of the daemon") {
        return;
    }
    let mut b = Bench::new(Cli::Dhow);
    for round in 0..rounds(10) {
        let workers: Vec<_> = (0..3)
            .map(|worker| {
                let socket = b.engine.socket().to_owned();
                std::thread::spawn(move || while live(&socket, worker).is_ok() {})
            })
            .collect();
        std::thread::sleep(Duration::from_millis(40 + round * 7 % 300));
        b.engine.kill9();
        for worker in workers {
            worker.join().unwrap();
        }
        b.engine.boot();
        for id in b.ok("ps -aq").lines() {
            let state = b.words_ok(&["inspect", "-f", "{{.State.Status}}", id]);
            assert!(
                ["created", "running", "exited"].contains(&state.as_str()),
                "{state}"
            );
            if state != "running" {
                // It is whole: it can be started.
                let _ = b.words_ok(&["start", id]);
            }
            let _ = b.words_ok(&["rm", "-f", "-v", id]);
        }
        nothing_is_left(&b);
    }
}

/// One container's short life, until the daemon is gone.
fn live(socket: &Path, worker: u16) -> std::io::Result<()> {
    let mut client = dhow_testkit::http::Client::new(socket);
    let body = json!({
        "Image": "busybox", "Cmd": ["sleep", "1000"], "Volumes": {"/data": {}},
        "HostConfig": {"PortBindings": {"80/tcp": [{"HostPort": (9200 + worker).to_string()}]}},
    });
    let answer = client.post("/v1.44/containers/create", Some(&body))?;
    let id = answer.json()["Id"].as_str().unwrap_or_default().to_owned();
    let path = format!("/v1.44/containers/{id}");
    client.post(&format!("{path}/start"), None)?;
    client.post(&format!("{path}/rename?name=worker{worker}"), None)?;
    client.post(&format!("{path}/restart?t=0"), None)?;
    client.delete(&format!("{path}?force=1&v=1"))?;
    Ok(())
}

/// As after a loss of power: no process, no run folder and no control group is left. Who is to go with its end is gone,
/// the others are told as ended, and what is to run runs.
#[test]
fn a_loss_of_power_is_recovered_from() {
    if !dhow_testkit::root_or_skip("kill -9 of everything") {
        return;
    }
    let mut b = Bench::new(Cli::Dhow);
    for (name, option) in [
        ("plain", "--restart=no"),
        ("short", "--rm"),
        ("ever", "--restart=always"),
        ("kept", "--restart=unless-stopped"),
    ] {
        let _ = b.words_ok(&[
            "run", "-d", "--name", name, option, "-v", "/data", "busybox", "sleep", "1000",
        ]);
    }
    let _ = b.words_ok(&["create", "--name", "fresh", "--rm", "busybox", "true"]);
    let _ = b.words_ok(&["stop", "-t", "0", "kept"]);
    b.engine.kill9();
    b.engine.end_containers();
    std::fs::remove_dir_all(b.engine.root().join("run")).unwrap();
    std::fs::write(b.engine.root().join("data/content/boot"), "another").unwrap();
    b.engine.boot();
    // It is removed when the engine has come up.
    let gone = "/v1.44/containers/short/wait?condition=removed";
    let _ = b.engine.client().post(gone, None).unwrap();
    let state = |name: &str| {
        b.words(&[
            "inspect",
            "-f",
            "{{.State.Status}} {{.State.ExitCode}}",
            name,
        ])
    };
    assert_eq!(state("plain").ok(), "exited 255");
    assert_eq!(state("kept").ok(), "exited 137");
    assert_eq!(state("fresh").ok(), "created 0");
    let begun = Instant::now();
    while state("ever").ok() == "restarting 255" && begun.elapsed() < Duration::from_secs(10) {}
    assert_eq!(state("ever").ok(), "running 0");
    assert_ne!(state("short").code, 0, "{}", state("short").stdout);
    assert_eq!(b.ok("volume ls -q").lines().count(), 3);
    let _ = b.words_ok(&["rm", "-f", "-v", "plain", "kept", "fresh", "ever"]);
    nothing_is_left(&b);
}

/// A supervisor that is killed before its runtime has noted anything leaves a control group and a process in it: both
/// go with the next start.
#[test]
fn what_no_supervisor_watches_is_ended() {
    if !dhow_testkit::root_or_skip("kill -9 of the supervisor") {
        return;
    }
    let mut b = Bench::new(Cli::Dhow);
    let _ = b.ok("run -d --name lost busybox sleep 1000");
    let pid = b.words_ok(&["inspect", "-f", "{{.State.Pid}}", "lost"]);
    b.engine.kill9();
    b.engine.end_supervisors();
    assert!(runs(&pid));
    std::fs::remove_dir_all(b.engine.root().join("run/runtime")).unwrap();
    b.engine.boot();
    assert!(!runs(&pid), "{}", b.engine.log());
    assert_eq!(
        b.words_ok(&["inspect", "-f", "{{.State.ExitCode}}", "lost"]),
        "255"
    );
    let _ = b.ok("rm lost");
    nothing_is_left(&b);
}

/// Whether a process does more than wait to be reaped.
fn runs(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(") ").map(|(_, rest)| rest);
    state.is_some_and(|state| !state.starts_with(['Z', 'X']))
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
