//! Log drivers and `docker logs`, with real receivers: rsyslog and the journal from Debian, and what can be had of the
//! others' protocols by listening.
#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

#[path = "logs/receivers.rs"]
mod receivers;

use dhow_e2e::{Bench, with_both};
use dhow_testkit::{Cli, Engine, EngineOptions};
use receivers::{Journal, Rsyslog};

fn numbers(range: std::ops::Range<u32>) -> String {
    let lines: Vec<String> = range.map(|number| number.to_string()).collect();
    lines.join("\n")
}

/// Runs a container with these log options and words until its end; gives its name.
fn ended(b: &Bench, name: &str, options: &[&str], script: &str) {
    let mut words = vec!["run", "-d", "--name", name];
    words.extend(options);
    words.extend(["busybox", "sh", "-c", script]);
    let _ = b.words_ok(&words);
    assert_eq!(b.ok(&format!("wait {name}")), "0");
}

#[test]
fn rotated_and_compressed_files_are_one_log() {
    with_both(|b| {
        for (name, driver) in [("files", "json-file"), ("local", "local")] {
            let driver = format!("--log-driver={driver}");
            let options = [
                driver.as_str(),
                "--log-opt=max-size=40k",
                "--log-opt=max-file=50",
                "--log-opt=compress=true",
            ];
            ended(b, name, &options, "seq 0 2999");
            assert_eq!(b.ok(&format!("logs {name}")), numbers(0..3000));
            assert_eq!(
                b.ok(&format!("logs --tail 1500 {name}")),
                numbers(1500..3000)
            );
            assert_eq!(b.ok(&format!("logs --tail 0 {name}")), "");
            let stamped = b.ok(&format!("logs -t --tail 1 {name}"));
            let (time, line) = stamped.split_once(' ').unwrap();
            assert_eq!(
                (time.len(), line),
                ("2026-11-21T11:35:05.266081872Z".len(), "2999")
            );
            assert_eq!(
                b.ok(&format!("logs --since {time} --tail 1 {name}")),
                "2999"
            );
            assert_eq!(
                b.ok(&format!("logs --until 2020-01-01T00:00:00Z {name}")),
                ""
            );
            assert_eq!(
                b.ok(&format!(
                    "logs --since 2m --until 2999-01-01T00:00:00Z {name}"
                )),
                numbers(0..3000)
            );
            let _ = b.ok(&format!("rm {name}"));
        }
    });
}

#[test]
fn a_follower_of_a_rotating_log_sees_every_line_once() {
    with_both(|b| {
        let script = "i=0; while [ $i -lt 3000 ]; do echo $i; i=$((i+1)); done";
        let _ = b.words_ok(&[
            "run",
            "-d",
            "--name",
            "following",
            "--log-opt=max-size=20k",
            "--log-opt=max-file=90",
            "busybox",
            "sh",
            "-c",
            script,
        ]);
        assert_eq!(b.ok("logs -f following"), numbers(0..3000));
        let _ = b.ok("rm following");
    });
}

#[test]
fn details_are_labels_variables_and_the_tag() {
    with_both(|b| {
        let options = [
            "--label=com.example.a=1",
            "--label=b=two words",
            "--label=c=3",
            "-e=ONE=x",
            "-e=TWO=y",
            "--log-opt=labels=b",
            "--log-opt=labels-regex=^com",
            "--log-opt=env=ONE",
            "--log-opt=env-regex=^TW",
            "--log-opt=tag={{.ImageName}}/{{.Name}}/{{upper .Name}}",
        ];
        ended(b, "dd", &options, "echo line");
        assert_eq!(
            b.ok("logs --details dd"),
            "ONE=x,TWO=y,b=two+words,com.example.a=1,tag=busybox%2Fdd%2FDD line"
        );
        let _ = b.ok("rm dd");
    });
}

#[test]
fn what_can_not_be_read_says_so() {
    with_both(|b| {
        let refusal = "configured logging driver does not support reading";
        ended(b, "none", &["--log-driver=none"], "echo lost");
        let options = [
            "--log-driver=gelf",
            "--log-opt=gelf-address=udp://127.0.0.1:1",
            "--log-opt=cache-disabled=true",
        ];
        ended(b, "uncached", &options, "echo lost");
        for name in ["none", "uncached"] {
            let output = b.run(&format!("logs {name}"));
            assert_eq!(output.code, 1);
            assert!(output.stderr.contains(refusal), "{}", output.stderr);
        }
        // Any other driver keeps a copy; only files of json-file have a path that others may use.
        ended(b, "cached", &options[..2], "echo kept");
        assert_eq!(b.ok("logs cached"), "kept");
        for (name, path) in [("cached", false), ("none", false)] {
            let shown = b.words_ok(&["inspect", "-f", "{{.LogPath}}", name]);
            assert_eq!(shown.ends_with("-json.log"), path, "{shown}");
        }
        let _ = b.ok("rm none cached uncached");
    });
}

#[test]
fn options_are_refused_with_dockers_texts() {
    with_both(|b| {
        for (options, text) in [
            (
                &["--log-driver=nope"][..],
                "error looking up logging plugin nope: plugin \"nope\" not found",
            ),
            (
                &["--log-opt=foo=1"],
                "unknown log opt 'foo' for json-file log driver",
            ),
            (
                &["--log-driver=local", "--log-opt=tag=x"],
                "unknown log opt 'tag' for log driver local",
            ),
            (
                &["--log-opt=mode=x"],
                "logger: logging mode not supported: x",
            ),
            (
                &["--log-driver=gelf"],
                "gelf-address is a required parameter",
            ),
            (
                &["--log-driver=syslog", "--log-opt=syslog-facility=x"],
                "invalid syslog facility",
            ),
            (
                &["--log-driver=fluentd", "--log-opt=fluentd-buffer-limit=x"],
                "invalid size: 'x'",
            ),
            (
                &["--log-driver=none", "--log-opt=a=b"],
                "invalid logging opts for driver none",
            ),
        ] {
            let words = [&["create"], options, &["busybox", "true"]].concat();
            let output = b.words(&words);
            assert!(
                output.code != 0 && output.stderr.contains(text),
                "{options:?}: {}",
                output.stderr
            );
        }
    });
}

#[test]
fn what_can_not_be_begun_is_told_at_the_start() {
    with_both(|b| {
        let failed = "failed to create task for container: failed to initialize logging driver: ";
        for (options, text) in [
            (&["--log-opt=max-size=x"][..], "invalid size: 'x'"),
            (
                &["--log-opt=compress=true"],
                "compress cannot be true when max-file is less than 2 or max-size is not set",
            ),
            (
                &["--log-opt=tag={{.Foo}}"],
                "template: log-tag:1:2: executing \"log-tag\" at <.Foo>: can't evaluate field Foo in type *logger.Info",
            ),
            (
                &["--log-driver=local", "--log-opt=max-file=1"],
                "compression cannot be enabled when max file count is 1",
            ),
            (
                &[
                    "--log-driver=syslog",
                    "--log-opt=syslog-address=tcp://127.0.0.1:9",
                ],
                "dial tcp 127.0.0.1:9: connect: connection refused",
            ),
            (
                &["--log-driver=fluentd"],
                "dial tcp 127.0.0.1:24224: connect: connection refused",
            ),
            (
                &[
                    "--log-driver=gelf",
                    "--log-opt=gelf-address=tcp://127.0.0.1:9",
                ],
                "gelf: cannot connect to GELF endpoint: 127.0.0.1:9 dial tcp 127.0.0.1:9: connect: connection refused",
            ),
        ] {
            let words = [&["run", "--name=start"], options, &["busybox", "true"]].concat();
            let output = b.words(&words);
            assert_eq!(output.code, 125);
            assert!(
                output.stderr.contains(&format!("{failed}{text}")),
                "{options:?}: {}",
                output.stderr
            );
            let _ = b.ok("rm start");
        }
        // A receiver that need not be there does not keep the container from starting.
        let options = ["--log-driver=fluentd", "--log-opt=fluentd-async=true"];
        ended(b, "start", &options, "echo kept");
        assert_eq!(b.ok("logs start"), "kept");
        let _ = b.ok("rm start");
    });
}

#[test]
fn rsyslog_understands_every_form() {
    with_both(|b| {
        let rsyslog = Rsyslog::start(&b.engine);
        for (address, format) in [
            (rsyslog.address("unixgram"), ""),
            (rsyslog.address("udp"), "rfc3164"),
            (rsyslog.address("tcp"), "rfc3164"),
            (rsyslog.address("udp"), "rfc5424"),
            (rsyslog.address("tcp"), "rfc5424micro"),
        ] {
            let address = format!("--log-opt=syslog-address={address}");
            let format = format!("--log-opt=syslog-format={format}");
            let options = [
                "--log-driver=syslog",
                &address,
                &format,
                "--log-opt=syslog-facility=local3",
                "--log-opt=tag=app-{{.Name}}",
            ];
            ended(
                b,
                "start",
                &options,
                "echo to stdout; sleep 0.2; echo 'to stderr' >&2",
            );
            let mut seen = rsyslog.take(2);
            seen.sort();
            assert_eq!(
                seen,
                [
                    "local3.err|app-start|to stderr",
                    "local3.info|app-start|to stdout"
                ],
                "{address} {format}"
            );
            assert_eq!(b.ok("logs start"), "to stdout");
            let _ = b.ok("rm start");
        }
    });
}

#[test]
fn the_journal_has_every_field() {
    with_both(|b| {
        let journal = Journal::open();
        let options = [
            "--log-driver=journald",
            "--label=com.example.key=value",
            "--log-opt=labels=com.example.key",
            "--log-opt=tag=app",
        ];
        let script = "echo line; sleep 0.2; echo error >&2; sleep 0.2; printf end";
        let name = format!("j{}", std::process::id());
        let following = journal.follow(&name);
        ended(b, &name, &options, script);
        let entries: Vec<serde_json::Value> = following
            .take(3)
            .iter()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let field = |name: &str| -> Vec<&str> {
            entries
                .iter()
                .map(|entry| entry[name].as_str().unwrap_or(""))
                .collect()
        };
        assert_eq!(field("MESSAGE"), ["line", "error", "end"]);
        assert_eq!(field("PRIORITY"), ["6", "3", "6"]);
        assert_eq!(field("CONTAINER_TAG"), ["app"; 3]);
        assert_eq!(field("SYSLOG_IDENTIFIER"), ["app"; 3]);
        assert_eq!(field("IMAGE_NAME"), ["busybox"; 3]);
        assert_eq!(field("COM_EXAMPLE_KEY"), ["value"; 3]);
        assert_eq!(field("CONTAINER_PARTIAL_MESSAGE"), ["", "", "true"]);
        assert_eq!(field("CONTAINER_LOG_ORDINAL"), ["1", "2", "3"]);
        assert_eq!(field("CONTAINER_ID_FULL")[0].len(), 64);
        // The reference reads a journal that stands where journald keeps one, ours its copy.
        if dhow_testkit::reference::socket().is_none() {
            assert_eq!(b.words(&["logs", &name]).stdout, "line\nend");
        }
        let _ = b.ok(&format!("rm {name}"));
    });
}

#[test]
fn gelf_and_fluentd_receivers_get_every_line() {
    with_both(|b| {
        let (port, documents) = receivers::gelf(&b.engine);
        let address = format!("--log-opt=gelf-address=udp://127.0.0.1:{port}");
        let options = [
            "--log-driver=gelf",
            &address,
            "--label=l=v",
            "--log-opt=labels=l",
        ];
        ended(b, "gelf", &options, "echo one; sleep 0.2; echo two >&2");
        for (line, level) in [("one", 6), ("two", 3)] {
            let document: serde_json::Value = serde_json::from_str(&documents.take(1)[0]).unwrap();
            assert_eq!(document["short_message"], line);
            assert_eq!(document["level"], level);
            assert_eq!(document["version"], "1.1");
            assert_eq!(document["_container_name"], "gelf");
            assert_eq!(document["_image_name"], "busybox");
            assert_eq!(document["_l"], "v");
            assert!(
                document["_command"]
                    .as_str()
                    .unwrap()
                    .starts_with("sh -c echo one")
            );
            assert!(document["timestamp"].as_f64().unwrap() > 1.7e9);
        }
        let (socket, _folder, records) = receivers::fluentd();
        let address = format!("--log-opt=fluentd-address=unix://{socket}");
        let options = [
            "--log-driver=fluentd",
            &address,
            "--log-opt=tag=app.{{.Name}}",
        ];
        ended(b, "fluent", &options, "echo one; sleep 0.2; echo two >&2");
        let seen = records.take(2);
        assert_eq!(
            seen,
            [
                "app.fluent stdout one /fluent",
                "app.fluent stderr two /fluent"
            ]
        );
        let _ = b.ok("rm gelf fluent");
    });
}

/// Ours alone: Docker's `json-file` grows without end.
#[test]
fn json_files_are_bounded_unless_the_engine_is_told_otherwise() {
    if !dhow_testkit::root_or_skip("bounded logs") {
        return;
    }
    for (unbounded, files) in [(false, true), (true, false)] {
        let engine = Engine::start_with(EngineOptions {
            settings: Some(serde_json::json!({"json-file-unbounded": unbounded})),
            ..EngineOptions::default()
        });
        engine.import_busybox();
        let b = Bench {
            cli: Cli::Dhow,
            engine,
        };
        let line = "x".repeat(1000);
        ended(&b, "big", &[], &format!("yes {line} | head -n 22000"));
        let path = b.words_ok(&["inspect", "-f", "{{.LogPath}}", "big"]);
        assert_eq!(std::path::Path::new(&format!("{path}.1")).exists(), files);
        assert_eq!(
            b.words_ok(&[
                "inspect",
                "-f",
                "{{json .HostConfig.LogConfig.Config}}",
                "big"
            ]),
            "{}"
        );
        assert_eq!(b.ok("logs big").lines().count(), 22_000);
    }
}
