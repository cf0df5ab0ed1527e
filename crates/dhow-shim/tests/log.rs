#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]
//! Log drivers in a process of their own: what their containers and receivers see of it.

mod common;

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use common::{ALL, Fixture, Output, children, count, exec, exited, within};
use dhow_shim::{Shim, ShimEvent};

/// A container whose log goes to `receiver` with syslog.
fn logged(words: &[&str], receiver: &TcpListener, more: &[(&str, &str)]) -> Fixture {
    let mut fixture = Fixture::new(words);
    let log = &mut fixture.config.log;
    log.driver = "syslog".into();
    let address = format!("tcp://{}", receiver.local_addr().unwrap());
    log.options.insert("syslog-address".into(), address);
    for (key, value) in more {
        log.options.insert((*key).into(), (*value).into());
    }
    log.origin.container_id = "0123456789abcdef".into();
    fixture
}

fn receiver() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

/// Reads a receiver's connection to its end; the lines without what stands before them.
fn lines(mut stream: TcpStream) -> String {
    let mut text = String::new();
    stream
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    stream.read_to_string(&mut text).unwrap();
    let line = |message: &str| {
        let (head, line) = message.split_once(": ").unwrap();
        assert!(head.contains(" 0123456789ab["), "{message}");
        format!("{line}\n")
    };
    text.lines().map(line).collect()
}

/// The process of a shim's driver.
fn logger(shim_pid: u32) -> i32 {
    let is_logger = |pid: &i32| {
        std::fs::read_to_string(format!("/proc/{pid}/comm"))
            .is_ok_and(|comm| comm == "dhow-logger\n")
    };
    children(shim_pid).into_iter().find(is_logger).unwrap()
}

#[tokio::test]
async fn lines_reach_the_receiver_and_the_copy() {
    let receiver = receiver();
    let mut fixture = logged(&["count", "20000", "7"], &receiver, &[]);
    let (shim, _) = fixture.spawn().await.unwrap();
    let stream = receiver.accept().unwrap().0;
    let reading = tokio::task::spawn_blocking(move || lines(stream));
    let events = shim.subscribe().await.unwrap();
    shim.start().await.unwrap();
    assert_eq!(exited(events).await.code, 7);
    assert!(fixture.log() == count(0..20_000));
    assert!(within(reading).await.unwrap() == count(0..20_000));
    fixture.shim_ended().await;
}

#[tokio::test]
async fn a_driver_that_can_not_begin_is_told_in_dockers_words() {
    let receiver = receiver();
    let mut fixture = logged(&["exit", "0"], &receiver, &[]);
    let address = receiver.local_addr().unwrap();
    drop(receiver);
    let error = fixture.spawn().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "failed to initialize logging driver: dial tcp {address}: connect: connection refused"
        )
    );
}

/// A receiver that takes nothing: the container waits, and nothing else does.
#[tokio::test]
async fn a_slow_receiver_holds_up_the_container_only() {
    let receiver = receiver();
    let mut fixture = logged(&["count", "500000", "0"], &receiver, &[]);
    let (shim, created) = fixture.spawn().await.unwrap();
    let stream = receiver.accept().unwrap().0;
    let mut events = shim.subscribe().await.unwrap();
    shim.start().await.unwrap();
    assert_eq!(events.recv().await, Some(ShimEvent::Started));
    assert!(
        tokio::time::timeout(Duration::from_secs(3), events.recv())
            .await
            .is_err()
    );
    assert!(lives(&shim).await);
    for pid in [
        i32::try_from(created.shim_pid).unwrap(),
        logger(created.shim_pid),
    ] {
        let resident = resident(pid);
        assert!(resident < 24 * 1024, "{pid} has {resident} KiB");
    }
    let reading = tokio::task::spawn_blocking(move || lines(stream));
    assert_eq!(exited(events).await.code, 0);
    assert!(within(reading).await.unwrap() == count(0..500_000));
}

/// The shim still serves: an exec runs.
async fn lives(shim: &Shim) -> bool {
    let started = shim.exec(&exec("e", &["print", "here"])).await.unwrap();
    within(Output::read(started.stream)).await.text().0 == "here\n"
}

/// KiB of memory, programs' text included.
fn resident(pid: i32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let anonymous = status
        .lines()
        .find(|line| line.starts_with("RssAnon:"))
        .unwrap();
    anonymous
        .split_whitespace()
        .nth(1)
        .unwrap()
        .parse()
        .unwrap()
}

#[tokio::test]
async fn a_container_that_may_not_wait_loses_lines_and_counts_them() {
    let receiver = receiver();
    let options = [("mode", "non-blocking"), ("max-buffer-size", "64k")];
    let mut fixture = logged(&["count", "1000000", "3"], &receiver, &options);
    let (shim, _) = fixture.spawn().await.unwrap();
    let stream = receiver.accept().unwrap().0;
    let events = shim.subscribe().await.unwrap();
    shim.start().await.unwrap();
    assert_eq!(exited(events).await.code, 3);
    // What was not lost is in order.
    let text = within(tokio::task::spawn_blocking(move || lines(stream)))
        .await
        .unwrap();
    let numbers: Vec<u32> = text.lines().filter_map(|line| line.parse().ok()).collect();
    assert!(numbers.is_sorted() && numbers.len() > 1000 && numbers.len() < 1_000_000);
    fixture.shim_ended().await;
    let note = std::fs::read_to_string(fixture.state_dir().join("shim.log")).unwrap();
    assert!(note.contains("lost"), "{note}");
}

#[tokio::test]
async fn files_that_no_container_waits_for_are_whole_when_it_ends() {
    for driver in ["json-file", "local"] {
        let mut fixture = Fixture::new(&["count", "50000", "0"]);
        fixture.config.log.driver = driver.into();
        for (key, value) in [("mode", "non-blocking"), ("max-buffer-size", "100m")] {
            fixture.config.log.options.insert(key.into(), value.into());
        }
        let (shim, _) = fixture.spawn().await.unwrap();
        let events = shim.subscribe().await.unwrap();
        shim.start().await.unwrap();
        assert_eq!(exited(events).await.code, 0);
        assert!(fixture.log() == count(0..50_000), "{driver}");
    }
}

#[tokio::test]
async fn a_logger_that_was_killed_is_started_again() {
    let receiver = receiver();
    let mut fixture = logged(&["cat"], &receiver, &[]);
    fixture.config.open_stdin = true;
    let (shim, created) = fixture.spawn().await.unwrap();
    let first = receiver.accept().unwrap().0;
    let mut all = ALL;
    all.stdin = true;
    let mut stream = shim.attach(all).await.unwrap();
    shim.start().await.unwrap();
    dhow_sys::signal::kill(logger(created.shim_pid), 9).unwrap();
    assert_eq!(lines(first), "");
    // Lines are lost until there is a new one, which is not at once.
    let accepting = tokio::task::spawn_blocking(move || receiver.accept().unwrap().0);
    let mut ticks = tokio::time::interval(Duration::from_millis(100));
    while !accepting.is_finished() {
        ticks.tick().await;
        tokio::io::AsyncWriteExt::write_all(&mut stream, b"again\n")
            .await
            .unwrap();
    }
    let second = accepting.await.unwrap();
    let events = shim.subscribe().await.unwrap();
    shim.kill(9, false).await.unwrap();
    exited(events).await;
    let text = within(tokio::task::spawn_blocking(move || lines(second)))
        .await
        .unwrap();
    assert!(text.starts_with("again\n"), "{text}");
    assert!(fixture.log().starts_with("again\n"));
}

#[tokio::test]
async fn rotated_files_are_compressed_while_the_container_runs_on() {
    let mut fixture = Fixture::new(&["count", "400000", "0"]);
    for (key, value) in [
        ("max-size", "1m"),
        ("max-file", "100"),
        ("compress", "true"),
    ] {
        fixture.config.log.options.insert(key.into(), value.into());
    }
    let (shim, _) = fixture.spawn().await.unwrap();
    let events = shim.subscribe().await.unwrap();
    shim.start().await.unwrap();
    assert_eq!(exited(events).await.code, 0);
    assert!(fixture.log() == count(0..400_000));
    let compressed = std::fs::read_dir(fixture.folder.path())
        .unwrap()
        .filter(|entry| {
            let name = entry.as_ref().unwrap().file_name();
            name.to_string_lossy().ends_with(".gz")
        });
    assert!(compressed.count() > 0);
}
