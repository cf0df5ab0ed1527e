//! Containers from create to remove, by both command lines.
#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

use dhow_e2e::with_both;
use dhow_testkit::{Cli, Engine, EngineOptions};

#[test]
fn run_prints_and_returns_the_exit_code() {
    with_both(|b| {
        assert_eq!(b.ok("run --rm busybox echo hello world"), "hello world");
        let output = b.words(&[
            "run",
            "--rm",
            "busybox",
            "sh",
            "-c",
            "echo out; echo err >&2; exit 42",
        ]);
        assert_eq!(
            (output.code, output.stdout.as_str(), output.stderr.as_str()),
            (42, "out\n", "err\n")
        );
        assert_eq!(b.ok("ps -aq"), "");
    });
}

#[test]
fn a_command_that_is_not_there_is_127_and_one_that_cannot_run_126() {
    with_both(|b| {
        let missing = b.run("run --rm busybox /no/bin");
        assert_eq!(missing.code, 127, "{}", missing.stderr);
        assert!(
            missing
                .stderr
                .contains("exec: \"/no/bin\": stat /no/bin: no such file or directory"),
            "{}",
            missing.stderr
        );
        let unknown = b.run("run --rm busybox nosuchprogram");
        assert_eq!(unknown.code, 127, "{}", unknown.stderr);
        assert!(
            unknown
                .stderr
                .contains("exec: \"nosuchprogram\": executable file not found in $PATH"),
            "{}",
            unknown.stderr
        );
        let plain = b.run("run --rm busybox /etc/passwd");
        assert_eq!(plain.code, 126, "{}", plain.stderr);
        assert!(
            plain
                .stderr
                .contains("exec: \"/etc/passwd\": permission denied"),
            "{}",
            plain.stderr
        );
        assert_eq!(b.run("run --no-such-flag busybox").code, 125);
        assert_eq!(b.ok("ps -aq"), "");
    });
}

#[test]
fn a_detached_container_lives_until_it_is_stopped() {
    with_both(|b| {
        let id = b.words_ok(&[
            "run",
            "-d",
            "--name",
            "one",
            "busybox",
            "sh",
            "-c",
            "echo started; exec sleep 1000",
        ]);
        assert_eq!(id.len(), 64, "{id}");
        assert_eq!(
            b.words_ok(&["ps", "--format", "{{.Names}} {{.Image}} {{.State}}"]),
            "one busybox running"
        );
        // It is followed until it has said so, which may be later than the start.
        let mut logs = b.cli.command(b.engine.socket(), b.engine.home());
        let mut logs = logs
            .args(["logs", "-f", "one"])
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = [0; 8];
        std::io::Read::read_exact(logs.stdout.as_mut().unwrap(), &mut said).unwrap();
        logs.kill().unwrap();
        logs.wait().unwrap();
        assert_eq!(&said, b"started\n");
        assert_eq!(b.ok("logs one"), "started");
        assert_eq!(b.ok("exec one echo inside"), "inside");
        assert_eq!(b.words(&["exec", "one", "sh", "-c", "exit 7"]).code, 7);
        assert_eq!(b.ok("stop -t 0 one"), "one");
        assert_eq!(
            b.inspect("one", "{{.State.Status}} {{.State.ExitCode}}"),
            "exited 137"
        );
        assert_eq!(b.ok("start one"), "one");
        assert_eq!(b.inspect("one", "{{.State.Running}}"), "true");
        let refused = b.run("rm one");
        assert_eq!(refused.code, 1);
        assert!(
            refused.stderr.contains("container is running"),
            "{}",
            refused.stderr
        );
        assert_eq!(b.ok("rm -f one"), "one");
        assert_eq!(b.ok("ps -aq"), "");
    });
}

#[test]
fn names_are_unique_and_can_be_changed() {
    with_both(|b| {
        let id = b.ok("create --name aa busybox true");
        let taken = b.run("create --name aa busybox true");
        assert_eq!(taken.code, 1);
        assert!(
            taken
                .stderr
                .contains("Conflict. The container name \"/aa\" is already in use by container"),
            "{}",
            taken.stderr
        );
        let _ = b.ok("rename aa bb");
        assert_eq!(
            b.words_ok(&["inspect", "-f", "{{.Name}}", &id[..12]]),
            "/bb"
        );
        let missing = b.run("rm aa");
        assert!(
            missing.stderr.contains("No such container: aa"),
            "{}",
            missing.stderr
        );
        assert_eq!(b.ok("rm bb"), "bb");
    });
}

#[test]
fn environment_user_and_folder_are_what_was_asked_for() {
    with_both(|b| {
        assert_eq!(
            b.words_ok(&[
                "run", "--rm", "-e", "A=1 2", "busybox", "sh", "-c", "echo $A"
            ]),
            "1 2"
        );
        assert_eq!(b.ok("run --rm -w /var/new busybox pwd"), "/var/new");
        assert_eq!(b.ok("run --rm -u web busybox id -u"), "1000");
        assert_eq!(b.ok("run --rm -u 12:34 busybox id -u"), "12");
        assert_eq!(
            b.ok("run --rm -u 1000 --group-add 77 busybox id -G"),
            "1000 77 2000"
        );
        let nobody = b.run("run --rm -u nosuch busybox true");
        assert!(
            nobody.code >= 125 && nobody.stderr.contains("unable to find user nosuch"),
            "{}",
            nobody.stderr
        );
        assert_eq!(b.ok("run --rm -h box busybox hostname"), "box");
        assert_eq!(
            b.words_ok(&["run", "--rm", "--entrypoint", "echo", "busybox", "x"]),
            "x"
        );
    });
}

#[test]
fn limits_reach_the_kernel() {
    with_both(|b| {
        let limit = "cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || cat /sys/fs/cgroup/memory.max";
        assert_eq!(
            b.words_ok(&["run", "--rm", "-m", "64m", "busybox", "sh", "-c", limit]),
            "67108864"
        );
        let pids = "cat /sys/fs/cgroup/pids/pids.max 2>/dev/null || cat /sys/fs/cgroup/pids.max";
        assert_eq!(
            b.words_ok(&[
                "run",
                "--rm",
                "--pids-limit",
                "50",
                "busybox",
                "sh",
                "-c",
                pids
            ]),
            "50"
        );
        assert_eq!(
            b.words_ok(&[
                "run",
                "--rm",
                "--ulimit",
                "nofile=100:200",
                "busybox",
                "sh",
                "-c",
                "ulimit -n"
            ]),
            "100"
        );
        assert!(
            b.ok("run --rm --shm-size 10m busybox df -k /dev/shm")
                .contains("10240")
        );
        let small = b.run("run --rm -m 1k busybox true");
        assert_eq!(small.code, 125);
        assert!(
            small.stderr.contains("Minimum memory limit allowed is 6MB"),
            "{}",
            small.stderr
        );
    });
}

#[test]
fn a_container_out_of_memory_is_killed_and_says_so() {
    with_both(|b| {
        let eat = "x=a; while true; do x=$x$x; done";
        let output = b.starve("eater", eat);
        assert_eq!(output.code, 137, "{}", output.stderr);
        assert_eq!(b.inspect("eater", "{{.State.OOMKilled}}"), "true");
    });
}

#[test]
fn capabilities_and_seccomp_hold() {
    with_both(|b| {
        assert_ne!(b.ok("run --rm busybox ls /").len(), 0);
        assert_ne!(b.run("run --rm busybox mount -t tmpfs none /tmp").code, 0);
        assert_eq!(
            b.run("run --rm --privileged busybox mount -t tmpfs none /tmp")
                .code,
            0
        );
        assert_ne!(
            b.run("run --rm --cap-drop ALL busybox chown 1 /tmp").code,
            0
        );
        assert_eq!(
            b.run("run --rm --cap-drop ALL --cap-add CHOWN busybox chown 1 /tmp")
                .code,
            0
        );
        let seccomp = "grep Seccomp: /proc/self/status";
        assert_eq!(
            b.words_ok(&["run", "--rm", "busybox", "sh", "-c", seccomp])
                .split_whitespace()
                .last(),
            Some("2")
        );
        let unconfined = [
            "run",
            "--rm",
            "--security-opt",
            "seccomp=unconfined",
            "busybox",
            "sh",
            "-c",
            seccomp,
        ];
        assert_eq!(b.words_ok(&unconfined).split_whitespace().last(), Some("0"));
        let nnp = [
            "run",
            "--rm",
            "--security-opt",
            "no-new-privileges",
            "busybox",
            "grep",
            "NoNewPrivs",
            "/proc/self/status",
        ];
        assert_eq!(b.words_ok(&nnp).split_whitespace().last(), Some("1"));
        assert_ne!(b.run("run --rm --read-only busybox touch /x").code, 0);
        assert_eq!(
            b.run("run --rm --read-only --tmpfs /t busybox touch /t/x")
                .code,
            0
        );
        assert_eq!(b.ok("run --rm --sysctl net.ipv4.ip_unprivileged_port_start=7 busybox cat /proc/sys/net/ipv4/ip_unprivileged_port_start"), "7");
    });
}

#[test]
fn volumes_and_binds_keep_data() {
    with_both(|b| {
        let folder = b.engine.root().join("bound");
        std::fs::create_dir(&folder).unwrap();
        let bind = format!("{}:/data", folder.display());
        let _ = b.words_ok(&[
            "run",
            "--rm",
            "-v",
            &bind,
            "busybox",
            "sh",
            "-c",
            "echo kept > /data/file",
        ]);
        assert_eq!(
            std::fs::read_to_string(folder.join("file")).unwrap(),
            "kept\n"
        );
        let read_only = format!("{bind}:ro");
        assert_ne!(
            b.words(&[
                "run", "--rm", "-v", &read_only, "busybox", "touch", "/data/x"
            ])
            .code,
            0
        );
        assert_eq!(b.ok("volume create keep"), "keep");
        let _ = b.words_ok(&[
            "run",
            "--rm",
            "-v",
            "keep:/data",
            "busybox",
            "sh",
            "-c",
            "echo volume > /data/f",
        ]);
        assert_eq!(
            b.ok("run --rm --mount type=volume,src=keep,dst=/d busybox cat /d/f"),
            "volume"
        );
        assert!(b.ok("volume ls -q").lines().any(|name| name == "keep"));
        assert_eq!(b.ok("volume rm keep"), "keep");
        let missing = b.run("run --rm --mount type=bind,src=/no/such/dir,dst=/x busybox true");
        assert_eq!(missing.code, 125);
        assert!(
            missing
                .stderr
                .contains("bind source path does not exist: /no/such/dir"),
            "{}",
            missing.stderr
        );
        // A new volume starts with what the image has there.
        assert!(
            b.ok("run --rm -v fresh:/etc busybox cat /etc/passwd")
                .contains("web:x:1000")
        );
    });
}

#[test]
fn restart_policies_bring_a_container_back() {
    with_both(|b| {
        let script = "echo run >> /data/runs; exit 3";
        let _ = b.words_ok(&[
            "run",
            "-d",
            "--name",
            "rr",
            "--restart",
            "on-failure:2",
            "-v",
            "runs:/data",
            "busybox",
            "sh",
            "-c",
            script,
        ]);
        assert_eq!(b.ok("wait rr"), "3");
        b.wait_for("rr", "{{.State.Status}} {{.RestartCount}}", "exited 2");
        assert_eq!(
            b.ok("run --rm -v runs:/data busybox wc -l /data/runs"),
            "3 /data/runs"
        );
    });
}

#[test]
fn pause_stops_and_unpause_goes_on() {
    with_both(|b| {
        let _ = b.ok("run -d --name pp busybox sleep 1000");
        assert_eq!(b.ok("pause pp"), "pp");
        assert_eq!(b.inspect("pp", "{{.State.Status}}"), "paused");
        let refused = b.run("exec pp true");
        assert!(
            refused
                .stderr
                .contains("is paused, unpause the container before exec"),
            "{}",
            refused.stderr
        );
        assert_eq!(b.ok("unpause pp"), "pp");
        assert_eq!(b.ok("exec pp echo awake"), "awake");
        assert!(b.ok("top pp").contains("sleep 1000"));
        assert_eq!(b.ok("kill -s KILL pp"), "pp");
        assert_eq!(b.ok("wait pp"), "137");
    });
}

#[test]
fn standard_input_reaches_the_container_and_ends() {
    with_both(|b| {
        let input = vec![b'a'; 3 << 20];
        let output = b.cli.run_with_input(
            &b.engine,
            &["run", "-i", "--rm", "busybox", "wc", "-c"],
            &input,
        );
        assert_eq!(output.ok(), "3145728");
        let echoed =
            b.cli
                .run_with_input(&b.engine, &["run", "-i", "--rm", "busybox", "cat"], &input);
        assert_eq!((echoed.code, echoed.stdout.len()), (0, input.len()));
        let _ = b.ok("run -d --name ee busybox sleep 1000");
        let output = b
            .cli
            .run_with_input(&b.engine, &["exec", "-i", "ee", "wc", "-c"], &input);
        assert_eq!(output.ok(), "3145728");
    });
}

#[test]
fn logs_can_be_cut_and_followed() {
    with_both(|b| {
        let script = "for i in 1 2 3 4 5; do echo line $i; done; echo bad >&2";
        let _ = b.words_ok(&["run", "--name", "ll", "busybox", "sh", "-c", script]);
        assert_eq!(
            b.ok("logs -n 2 ll").lines().count() + b.run("logs -n 2 ll").stderr.lines().count(),
            2
        );
        assert_eq!(b.run("logs ll").stderr, "bad\n");
        let stamped = b.ok("logs -t ll");
        assert!(
            stamped
                .lines()
                .all(|line| line.as_bytes().get(10) == Some(&b'T')),
            "{stamped}"
        );
        let _ = b.words_ok(&[
            "run",
            "-d",
            "--name",
            "ff",
            "busybox",
            "sh",
            "-c",
            "for i in 1 2 3; do echo $i; sleep 0.1; done",
        ]);
        assert_eq!(b.ok("logs -f ff"), "1\n2\n3");
    });
}

#[test]
fn the_init_reaps_and_forwards_signals() {
    with_both(|b| {
        let _ = b.words_ok(&[
            "run", "-d", "--init", "--name", "ii", "busybox", "sleep", "1000",
        ]);
        assert!(b.ok("exec ii ps").contains("docker-init"));
        assert_eq!(b.ok("stop ii"), "ii");
        assert_eq!(b.inspect("ii", "{{.State.ExitCode}}"), "143");
    });
}

#[test]
fn namespaces_can_be_shared() {
    with_both(|b| {
        let _ = b.ok("run -d --name host busybox sleep 1000");
        let address = b.ok("exec host hostname -i");
        assert_eq!(
            b.ok("run --rm --network container:host busybox hostname -i"),
            address
        );
        assert!(
            b.ok("run --rm --pid container:host busybox ps")
                .contains("sleep 1000")
        );
        assert_eq!(
            b.ok("run --rm --network none busybox ls /sys/class/net"),
            "lo"
        );
    });
}

#[test]
fn the_bundled_image_greets_and_needs_no_registry() {
    with_both(|b| {
        let output = b.run("run --rm dhow/hello");
        assert_eq!(output.code, 0, "{}", output.stderr);
        assert!(output.stdout.contains("dhow run"), "{}", output.stdout);
    });
}

#[test]
fn a_foreign_runtime_runs_through_the_same_path() {
    if !dhow_testkit::root_or_skip("runc") {
        return;
    }
    let runc = dhow_testkit::packages::tool("runc", "runc");
    let settings = serde_json::json!({"runtimes": {"runc": {"path": runc.path()}}});
    let engine = Engine::start_with(EngineOptions {
        settings: Some(settings),
        ..EngineOptions::default()
    });
    engine.import_busybox();
    let output = Cli::Dhow.run(
        &engine,
        &[
            "run",
            "--rm",
            "--runtime",
            "runc",
            "busybox",
            "echo",
            "by runc",
        ],
    );
    assert_eq!(output.ok(), "by runc");
    let _ = Cli::Dhow
        .run(
            &engine,
            &[
                "run",
                "-d",
                "--name",
                "xx",
                "--runtime",
                "runc",
                "busybox",
                "sleep",
                "1000",
            ],
        )
        .ok();
    assert_eq!(
        Cli::Dhow.run(&engine, &["exec", "xx", "echo", "in"]).ok(),
        "in"
    );
}
