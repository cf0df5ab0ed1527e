//! `update --publish-add`, `--publish-rm` and `--env`.

use std::io::Read;
use std::time::Duration;

use dhow_e2e::Bench;
use dhow_testkit::{Cli, http::Body};

/// What answers at a port of the engine's host; nothing when nobody does. Between two answers the server does not
/// listen for a moment, and so is asked more than once.
fn answer(b: &Bench, port: u16) -> Option<String> {
    let ask = || {
        let mut stream = b.engine.connect(&format!("127.0.0.1:{port}")).ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        Some(text.trim().to_owned())
    };
    (0..50).find_map(|_| {
        ask().or_else(|| {
            std::thread::sleep(Duration::from_millis(10));
            None
        })
    })
}

fn ports(b: &Bench, name: &str) -> Vec<String> {
    let mut lines: Vec<String> = b
        .ok(&format!("port {name}"))
        .lines()
        .map(str::to_owned)
        .collect();
    lines.sort();
    lines
}

/// A container that says `eighty` at its port 80 and `ninety` at 90.
fn serve(b: &Bench, name: &str, more: &[&str]) {
    let script =
        "serve() { while :; do echo $2 | nc -l -p $1; done; }; serve 80 eighty & serve 90 ninety";
    let mut words = vec!["run", "-d", "--name", name];
    words.extend(more);
    words.extend(["busybox", "sh", "-c", script]);
    let _ = b.words_ok(&words);
    for port in ["0050", "005A"] {
        let listens = format!(
            "until grep -q ':{port} 0*:0000 0A' /proc/net/tcp /proc/net/tcp6; do usleep 1000; done"
        );
        let _ = b.words_ok(&["exec", name, "sh", "-c", &listens]);
    }
}

/// Ports come and go while the container runs, and are so after the engine's death and the container's restart.
#[test]
fn ports_change_while_the_container_runs() {
    if !dhow_testkit::root_or_skip("changing ports") {
        return;
    }
    let mut b = Bench::new(Cli::Dhow);
    serve(&b, "web", &["-p", "18080:80"]);
    let pid = b.words_ok(&["inspect", "-f", "{{.State.Pid}}", "web"]);
    assert_eq!(answer(&b, 18080).as_deref(), Some("eighty"));

    let _ = b.ok("update --publish-add 18081:80 --publish-add 127.0.0.1:18090:90 web");
    assert_eq!(answer(&b, 18081).as_deref(), Some("eighty"));
    assert_eq!(answer(&b, 18090).as_deref(), Some("ninety"));
    assert_eq!(
        ports(&b, "web"),
        [
            "80/tcp -> 0.0.0.0:18080",
            "80/tcp -> 0.0.0.0:18081",
            "90/tcp -> 127.0.0.1:18090",
        ]
    );
    // The new ones are nobody else's either.
    let bound = b
        .engine
        .on_its_network(|| std::net::TcpListener::bind("127.0.0.1:18081"));
    assert!(bound.is_err());

    // One goes, and another one leads elsewhere in the same breath.
    let _ = b.ok("update --publish-rm 18081:80 --publish-rm 90 --publish-add 18081:90 web");
    assert_eq!(answer(&b, 18081).as_deref(), Some("ninety"));
    assert_eq!(answer(&b, 18090), None);
    let bound = b
        .engine
        .on_its_network(|| std::net::TcpListener::bind("127.0.0.1:18090"));
    assert!(bound.is_ok());
    drop(bound);
    let expected = ["80/tcp -> 0.0.0.0:18080", "90/tcp -> 0.0.0.0:18081"];
    assert_eq!(ports(&b, "web"), expected);

    b.engine.kill9();
    assert_eq!(answer(&b, 18081).as_deref(), Some("ninety"));
    b.engine.boot();
    assert_eq!(answer(&b, 18081).as_deref(), Some("ninety"));
    assert_eq!(ports(&b, "web"), expected);
    assert_eq!(b.words_ok(&["inspect", "-f", "{{.State.Pid}}", "web"]), pid);

    let _ = b.ok("restart -t 0 web");
    assert_eq!(ports(&b, "web"), expected);
    let _ = b.ok("update --publish-rm 80 --publish-rm 90 web");
    assert_eq!(ports(&b, "web"), [""; 0]);
    assert_eq!((answer(&b, 18080), answer(&b, 18081)), (None, None));
}

/// What does not run is changed for its next start; so are variables of what does.
#[test]
fn the_next_start_has_what_was_changed_before() {
    if !dhow_testkit::root_or_skip("changing ports") {
        return;
    }
    let b = Bench::new(Cli::Dhow);
    let script = "env | grep -E ^[ABC]= | sort";
    let _ = b.words_ok(&[
        "create", "--name", "env", "-e", "A=1", "-e", "B=2", "busybox", "sh", "-c", script,
    ]);
    let _ = b.ok("update -e B=two -e C=3=3 -e A --publish-add 18085:80 env");
    assert_eq!(b.ok("start -a env"), "B=two\nC=3=3");
    let format = "{{json .HostConfig.PortBindings}}";
    assert_eq!(
        b.words_ok(&["inspect", "-f", format, "env"]),
        "{\"80/tcp\":[{\"HostIp\":\"\",\"HostPort\":\"18085\"}]}"
    );
    let _ = b.ok("update --publish-rm 18085:80 env");
    assert_eq!(b.words_ok(&["inspect", "-f", format, "env"]), "{}");
}

#[test]
fn nonsense_is_refused_and_changes_nothing() {
    if !dhow_testkit::root_or_skip("changing ports") {
        return;
    }
    let b = Bench::new(Cli::Dhow);
    serve(&b, "web", &["-p", "18080:80"]);
    let _ = b.ok("run -d --name other -p 18090:80 busybox sleep 1000");
    let _ = b.ok("create --name host --network host busybox");
    let _ = b.ok("network create --internal inside");
    let _ = b.ok("create --name inner --network inside busybox");
    let taken = b
        .engine
        .on_its_network(|| std::net::TcpListener::bind("0.0.0.0:18099"));
    let before = b.words_ok(&["inspect", "web"]);
    for (line, why) in [
        ("--publish-rm 81 web", "port 81/tcp is not published"),
        (
            "--publish-rm 18081:80 web",
            "port 18081:80/tcp is not published",
        ),
        ("--publish-rm x web", "invalid published port: \"x\""),
        (
            "--publish-add 18080:80 web",
            "port 80/tcp is published at 18080 already",
        ),
        ("--publish-add 18090:90 web", "port is already allocated"),
        (
            "--publish-add 18091:90 --publish-add 18099:90 web",
            "address already in use",
        ),
        (
            "--publish-add 18091:90 --env =x web",
            "invalid environment variable: =x",
        ),
        (
            "--publish-add 18091:90 --memory 1k web",
            "Minimum memory limit allowed is 6MB",
        ),
        (
            "--publish-add 18091:90 host",
            "can't be published in the network mode host",
        ),
        (
            "--publish-add 18091:90 inner",
            "the network inside is internal",
        ),
    ] {
        let words: Vec<&str> = std::iter::once("update").chain(line.split(' ')).collect();
        let output = b.words(&words);
        assert!(
            output.code != 0 && output.stderr.contains(why),
            "{line}: {output:?}"
        );
        assert_eq!(b.words_ok(&["inspect", "web"]), before, "{line}");
    }
    drop(taken);
    assert_eq!(answer(&b, 18080).as_deref(), Some("eighty"));
    // What was taken for a change that failed is free again.
    let bound = b
        .engine
        .on_its_network(|| std::net::TcpListener::bind("0.0.0.0:18091"));
    assert!(bound.is_ok());
    drop(bound);
    for (body, status) in [
        ("{\"PublishRemove\": \"80\"}", 400),
        ("{\"PublishAdd\": {\"x\": []}}", 400),
        ("{\"PublishAdd\": {\"0/tcp\": [{}]}}", 400),
        ("{\"Env\": [\"A\\u0000B=1\"]}", 400),
    ] {
        let body = Body::Bytes("application/json", body.as_bytes());
        let answer = b
            .engine
            .client()
            .request("POST", "/v1.51/containers/web/update", body);
        assert_eq!(answer.unwrap().status, status);
    }
}

/// Ports that are there because all exposed ones are can move, but not go alone.
#[test]
fn ports_that_are_published_with_all_others_can_move() {
    if !dhow_testkit::root_or_skip("changing ports") {
        return;
    }
    let b = Bench::new(Cli::Dhow);
    serve(&b, "web", &["-P", "--expose", "80", "--expose", "90"]);
    assert_eq!(ports(&b, "web").len(), 2);
    let alone = b.run("update --publish-rm 80 web");
    assert!(
        alone.stderr.contains("it can't be taken back alone"),
        "{alone:?}"
    );
    let _ = b.ok("update --publish-add 18080:80 web");
    let listed = ports(&b, "web");
    assert_eq!(listed.len(), 2, "{listed:?}");
    assert_eq!(listed[0], "80/tcp -> 0.0.0.0:18080");
    assert_eq!(answer(&b, 18080).as_deref(), Some("eighty"));
}
