//! Published ports: from the host's loopback, from its address, from other containers.
#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

use dhow_e2e::{Bench, with_both};
use std::io::Read;

/// A container that answers every connection to its port 80 with `answer`, published by `publish`.
fn serve(b: &Bench, name: &str, publish: &str, answer: &str) {
    let script = format!("while true; do echo {answer} | nc -l -p 80; done");
    let _ = b.words_ok(&[
        "run", "-d", "--name", name, "-p", publish, "busybox", "sh", "-c", &script,
    ]);
    // It serves when the port is listed in the container's own table.
    let listening =
        "until grep -q ':0050 0*:0000 0A' /proc/net/tcp /proc/net/tcp6; do usleep 1000; done";
    let _ = b.words_ok(&["exec", name, "sh", "-c", listening]);
}

fn fetch(b: &Bench, address: &str) -> String {
    let mut text = String::new();
    b.engine
        .connect(address)
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    text.trim().to_owned()
}

#[test]
fn a_published_port_answers_on_loopback() {
    with_both(|b| {
        serve(b, "web", "18080:80", "here");
        assert_eq!(fetch(b, "127.0.0.1:18080"), "here");
        assert!(
            b.ok("port web").contains("80/tcp -> 0.0.0.0:18080"),
            "{}",
            b.ok("port web")
        );
    });
}

#[test]
fn a_port_is_taken_once() {
    with_both(|b| {
        serve(b, "first", "18081:80", "first");
        let second = b.run("run -d --name second -p 18081:80 busybox sleep 1000");
        assert_eq!(second.code, 125);
        assert!(
            second
                .stderr
                .contains(":18081 failed: port is already allocated"),
            "{}",
            second.stderr
        );
        let _ = b.ok("rm -f first");
        assert_eq!(b.ok("start second"), "second");
    });
}

#[test]
fn a_container_reaches_another_by_the_hosts_address() {
    with_both(|b| {
        serve(b, "web", "18082:80", "neighbour");
        let gateway = b.words_ok(&[
            "network",
            "inspect",
            "-f",
            "{{(index .IPAM.Config 0).Gateway}}",
            "bridge",
        ]);
        assert_eq!(
            b.words_ok(&["run", "--rm", "busybox", "nc", &gateway, "18082"]),
            "neighbour"
        );
    });
}

#[test]
fn ephemeral_ports_and_ranges_are_given_out() {
    with_both(|b| {
        let _ = b.ok("run -d --name ee -p 80 -p 7000-7001:90-91/udp busybox sleep 1000");
        let ports = b.ok("port ee");
        assert!(
            ports.contains("90/udp -> 0.0.0.0:7000") && ports.contains("91/udp -> 0.0.0.0:7001"),
            "{ports}"
        );
        let tcp = ports
            .lines()
            .find(|line| line.starts_with("80/tcp -> 0.0.0.0:"))
            .unwrap();
        assert!(tcp.rsplit(':').next().unwrap().parse::<u16>().unwrap() > 1024);
    });
}

#[test]
fn a_port_outlives_the_daemon() {
    if !dhow_testkit::root_or_skip("published ports") {
        return;
    }
    let mut b = Bench::new(dhow_testkit::Cli::Dhow);
    serve(&b, "web", "18083:80", "still");
    b.engine.kill9();
    assert_eq!(fetch(&b, "127.0.0.1:18083"), "still");
    b.engine.boot();
    let listening =
        "until grep -q ':0050 0*:0000 0A' /proc/net/tcp /proc/net/tcp6; do usleep 1000; done";
    let _ = b.words_ok(&["exec", "web", "sh", "-c", listening]);
    assert_eq!(fetch(&b, "127.0.0.1:18083"), "still");
}
