#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]
//! Real shims, with a runtime that makes no containers.

mod common;

use std::time::Duration;

use common::{ALL, Fixture, Output, count, exec, exited, is_shim, within};
use dhow_errdefs::Classify;
use dhow_shim::{
    AttachRequest, ConsoleSize, Error, ExecRequest, HeldPort, Shim, ShimEvent, ShimStatus,
    exec_records, exit_record,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test]
async fn output_goes_to_the_client_and_the_log_and_the_exit_to_everyone() {
    let mut fixture = Fixture::new(&["both"]);
    let (output, exit) = within(fixture.run()).await;
    assert_eq!(output.text(), ("to stdout\n", "to stderr\n"));
    assert_eq!((exit.code, exit.signal, exit.oom_killed), (0, None, false));
    let mut lines: Vec<String> = fixture.log().lines().map(String::from).collect();
    lines.sort();
    assert_eq!(lines, ["to stderr", "to stdout"]);
    assert_eq!(exit_record(fixture.state_dir()).unwrap(), Some(exit));
}

#[tokio::test]
async fn exit_codes_and_signals() {
    let (_, exit) = within(Fixture::new(&["exit", "42"]).run()).await;
    assert_eq!((exit.code, exit.signal), (42, None));
    let mut fixture = Fixture::new(&["sleep"]);
    let (shim, _) = fixture.spawn().await.unwrap();
    let events = shim.subscribe().await.unwrap();
    shim.start().await.unwrap();
    shim.kill(15, false).await.unwrap();
    let exit = exited(events).await;
    assert_eq!((exit.code, exit.signal), (143, Some(15)));
}

#[tokio::test]
async fn everything_printed_is_in_the_log_before_the_exit_is_told() {
    for _ in 0..5 {
        let mut fixture = Fixture::new(&["count", "200000", "7"]);
        let (shim, _) = fixture.spawn().await.unwrap();
        let events = shim.subscribe().await.unwrap();
        shim.start().await.unwrap();
        assert_eq!(exited(events).await.code, 7);
        assert!(fixture.log() == count(0..200_000));
    }
}

#[tokio::test]
async fn a_client_that_reads_late_gets_everything() {
    let mut fixture = Fixture::new(&["count", "300000", "0"]);
    let (shim, _) = fixture.spawn().await.unwrap();
    let mut events = shim.subscribe().await.unwrap();
    let slow = shim.attach(ALL).await.unwrap();
    let quick = shim.attach(ALL).await.unwrap();
    shim.start().await.unwrap();
    let quick = tokio::spawn(Output::read(quick));
    // The container is held up by the slow client: it can't have ended.
    assert_eq!(events.recv().await, Some(ShimEvent::Started));
    assert_eq!(shim.state().await.unwrap().status, ShimStatus::Running);
    assert!(
        tokio::time::timeout(Duration::from_millis(300), events.recv())
            .await
            .is_err()
    );
    let slow = within(Output::read(slow)).await;
    assert!(slow.text().0 == count(0..300_000));
    assert_eq!(quick.await.unwrap(), slow);
    assert_eq!(exited(events).await.code, 0);
}

#[tokio::test]
async fn a_client_that_vanishes_holds_nobody_up() {
    let mut fixture = Fixture::new(&["count", "300000", "0"]);
    let (shim, _) = fixture.spawn().await.unwrap();
    let events = shim.subscribe().await.unwrap();
    let mut stream = shim.attach(ALL).await.unwrap();
    shim.start().await.unwrap();
    let mut some = [0; 100];
    stream.read_exact(&mut some).await.unwrap();
    drop(stream);
    assert_eq!(exited(events).await.code, 0);
    assert!(fixture.log() == count(0..300_000));
}

#[tokio::test]
async fn input_reaches_the_process_and_its_end_too() {
    let mut fixture = Fixture::new(&["cat"]);
    (fixture.config.open_stdin, fixture.config.stdin_once) = (true, true);
    let (shim, _) = fixture.spawn().await.unwrap();
    let events = shim.subscribe().await.unwrap();
    let stream = shim
        .attach(AttachRequest { stdin: true, ..ALL })
        .await
        .unwrap();
    shim.start().await.unwrap();
    // More than all buffers on the way hold, both ways.
    let text = count(0..400_000);
    let sent = text.clone();
    let (reader, mut writer) = stream.into_split();
    let writing = tokio::spawn(async move {
        writer.write_all(sent.as_bytes()).await.unwrap();
        writer.shutdown().await.unwrap();
        writer
    });
    let mut received = Vec::new();
    let mut reader = reader;
    within(reader.read_to_end(&mut received)).await.unwrap();
    let _writer = writing.await.unwrap();
    let output = unframe(&received);
    assert!(output == text.as_bytes());
    assert_eq!(exited(events).await.code, 0);
}

fn unframe(mut bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    while let Some((header, rest)) = bytes.split_first_chunk::<8>() {
        let length = usize::try_from(u32::from_be_bytes([
            header[4], header[5], header[6], header[7],
        ]))
        .unwrap();
        out.extend_from_slice(&rest[..length]);
        bytes = &rest[length..];
    }
    out
}

#[tokio::test]
async fn input_that_stays_open_only_detaches() {
    let mut fixture = Fixture::new(&["cat"]);
    fixture.config.open_stdin = true;
    let (shim, _) = fixture.spawn().await.unwrap();
    shim.start().await.unwrap();
    for word in ["one", "two"] {
        let mut stream = shim
            .attach(AttachRequest { stdin: true, ..ALL })
            .await
            .unwrap();
        stream.write_all(word.as_bytes()).await.unwrap();
        let mut frame = [0; 11];
        within(stream.read_exact(&mut frame)).await.unwrap();
        assert_eq!(&frame[8..], word.as_bytes());
        stream.shutdown().await.unwrap();
        assert_eq!(within(stream.read(&mut frame)).await.unwrap(), 0);
    }
    let events = shim.subscribe().await.unwrap();
    shim.kill(9, true).await.unwrap();
    assert_eq!(exited(events).await.code, 137);
}

#[tokio::test]
async fn a_terminal_is_raw_and_has_a_size() {
    let mut fixture = Fixture::new(&["size"]);
    fixture.config.terminal = true;
    fixture.config.console_size = Some(ConsoleSize {
        rows: 33,
        cols: 111,
    });
    let (shim, _) = fixture.spawn().await.unwrap();
    let mut stream = shim.attach(ALL).await.unwrap();
    shim.start().await.unwrap();
    let mut text = String::new();
    within(stream.read_to_string(&mut text)).await.unwrap();
    assert_eq!(text, "33x111\r\n");
    assert_eq!(fixture.log(), "33x111\r\n");
}

#[tokio::test]
async fn resizing_needs_a_terminal() {
    let mut fixture = Fixture::new(&["size"]);
    let (shim, _) = fixture.spawn().await.unwrap();
    assert_eq!(
        shim.resize(None, 1, 2).await.unwrap_err().to_string(),
        "no terminal"
    );
    fixture.config.terminal = true;
    // The next shim may take over the socket's path before this one is done.
    shim.kill(9, true).await.unwrap();
    let (shim, _) = fixture.spawn().await.unwrap();
    let mut stream = shim.attach(ALL).await.unwrap();
    shim.resize(None, 5, 6).await.unwrap();
    shim.start().await.unwrap();
    let mut text = String::new();
    within(stream.read_to_string(&mut text)).await.unwrap();
    assert_eq!(text, "5x6\r\n");
}

#[tokio::test]
async fn a_container_that_can_not_be_made_leaves_no_shim() {
    let mut fixture = Fixture::new(&[]);
    fixture.write_spec(&serde_json::json!({
        "ociVersion": "1.2.0", "root": {"path": "/"},
        "process": {"cwd": "/", "args": ["/no/such"], "user": {"uid": 0, "gid": 0}},
    }));
    let error = fixture.spawn().await.unwrap_err();
    let text = error.to_string();
    assert!(
        text.ends_with("exec: \"/no/such\": stat /no/such: no such file or directory"),
        "{text}"
    );
    assert_eq!(error.kind(), dhow_errdefs::ErrorKind::InvalidArgument);
    assert!(!fixture.config.socket.exists());
    let left: Vec<_> = std::fs::read_dir(fixture.state_dir())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left, ["lock"]);
}

#[tokio::test]
async fn execs_have_streams_and_codes_of_their_own() {
    let mut fixture = Fixture::new(&["sleep"]);
    let (shim, _) = fixture.spawn().await.unwrap();
    let mut events = shim.subscribe().await.unwrap();
    shim.start().await.unwrap();
    assert_eq!(events.recv().await, Some(ShimEvent::Started));
    let started = shim.exec(&exec("e1", &["both"])).await.unwrap();
    assert_eq!(
        within(Output::read(started.stream)).await.text(),
        ("to stdout\n", "to stderr\n")
    );
    assert_eq!(shim.exec_state("e1").await.unwrap().exit_code, Some(0));
    assert_eq!(
        within(events.recv()).await,
        Some(ShimEvent::ExecExited {
            id: "e1".into(),
            code: 0
        })
    );
    let started = shim
        .exec(&exec("e2", &["count", "100000", "3"]))
        .await
        .unwrap();
    assert!(within(Output::read(started.stream)).await.text().0 == count(0..100_000));
    assert_eq!(shim.exec_state("e2").await.unwrap().exit_code, Some(3));
    // Nothing of it is the container's.
    assert_eq!(fixture.log(), "");
    let codes: Vec<_> = exec_records(fixture.state_dir())
        .unwrap()
        .iter()
        .map(|record| record.code)
        .collect();
    assert_eq!(codes, [0, 3]);
    assert_eq!(
        shim.exec_state("e9").await.unwrap_err().to_string(),
        "no such exec: e9"
    );
    let request = ExecRequest {
        terminal: true,
        console_size: Some(ConsoleSize { rows: 2, cols: 9 }),
        ..exec("e3", &["size"])
    };
    let mut started = shim.exec(&request).await.unwrap();
    let mut text = String::new();
    within(started.stream.read_to_string(&mut text))
        .await
        .unwrap();
    assert_eq!(text, "2x9\r\n");
    shim.kill(9, true).await.unwrap();
    assert_eq!(exited(events).await.code, 137);
}

#[tokio::test]
async fn an_exec_reads_its_client_to_the_end() {
    let mut fixture = Fixture::new(&["sleep"]);
    let (shim, _) = fixture.spawn().await.unwrap();
    shim.start().await.unwrap();
    let mut started = shim
        .exec(&ExecRequest {
            stdin: true,
            ..exec("e", &["cat"])
        })
        .await
        .unwrap();
    started.stream.write_all(b"hello").await.unwrap();
    started.stream.shutdown().await.unwrap();
    assert_eq!(within(Output::read(started.stream)).await.text().0, "hello");
    let started = shim.exec(&exec("k", &["sleep"])).await.unwrap();
    shim.kill_exec("k", 9).await.unwrap();
    within(Output::read(started.stream)).await;
    assert_eq!(shim.exec_state("k").await.unwrap().exit_code, Some(137));
    shim.kill(9, true).await.unwrap();
}

#[tokio::test]
async fn an_exec_is_not_held_open_by_what_it_leaves_behind() {
    let mut fixture = Fixture::new(&["sleep"]);
    let (shim, _) = fixture.spawn().await.unwrap();
    shim.start().await.unwrap();
    let request = exec("e", &["leave", common::program().to_str().unwrap()]);
    let started = shim.exec(&request).await.unwrap();
    let begun = std::time::Instant::now();
    assert_eq!(
        within(Output::read(started.stream)).await.text().0,
        "left\n"
    );
    assert!(
        begun.elapsed() > Duration::from_millis(1500) && begun.elapsed() < Duration::from_secs(20)
    );
    assert_eq!(shim.exec_state("e").await.unwrap().exit_code, Some(0));
    shim.kill(9, true).await.unwrap();
}

#[tokio::test]
async fn the_next_client_finds_everything_as_it_is() {
    let mut fixture = Fixture::new(&["sleep"]);
    let (shim, created) = fixture.spawn().await.unwrap();
    shim.start().await.unwrap();
    drop(shim);
    let shim = Shim::connect(&fixture.config.socket).await.unwrap();
    let state = shim.state().await.unwrap();
    assert_eq!(
        (state.status, state.pid, state.shim_pid),
        (ShimStatus::Running, created.pid, created.shim_pid)
    );
    let mut events = shim.subscribe().await.unwrap();
    assert_eq!(events.recv().await, Some(ShimEvent::Started));
    shim.update(&dhow_oci::runtime::LinuxResources::default())
        .await
        .unwrap();
    assert!(shim.pids().await.unwrap().contains(&created.pid));
    shim.kill(9, true).await.unwrap();
    assert_eq!(exited(events).await.code, 137);
    assert!(
        Shim::connect(&fixture.config.socket)
            .await
            .unwrap_err()
            .is_gone()
    );
    assert!(shim.state().await.unwrap_err().is_gone());
}

#[tokio::test]
async fn giving_up_on_a_spawn_takes_everything_away() {
    let mut fixture = Fixture::new(&["sleep"]);
    let (shim, created) = fixture.spawn().await.unwrap();
    let events = shim.subscribe().await.unwrap();
    dhow_sys::signal::kill(i32::try_from(created.shim_pid).unwrap(), 15).unwrap();
    assert_eq!(exited(events).await.signal, Some(9));
    // Once it runs, nobody's wish to end the shim counts.
    let (shim, created) = fixture.spawn().await.unwrap();
    shim.start().await.unwrap();
    dhow_sys::signal::kill(i32::try_from(created.shim_pid).unwrap(), 15).unwrap();
    assert_eq!(shim.state().await.unwrap().status, ShimStatus::Running);
    shim.kill(9, true).await.unwrap();
}

#[tokio::test]
async fn garbage_on_the_socket_harms_nobody() {
    let mut fixture = Fixture::new(&["sleep"]);
    let (shim, created) = fixture.spawn().await.unwrap();
    shim.start().await.unwrap();
    for garbage in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        b"\xff\xff\xff\xff",
        b"\x02\0\0\0{}",
        b"\x07\0\0\0\"start\"",
        b"",
    ] {
        let mut stream = tokio::net::UnixStream::connect(&fixture.config.socket)
            .await
            .unwrap();
        // The shim may have hung up already.
        let _ = stream.write_all(garbage).await;
        let _ = stream.shutdown().await;
        let mut answer = Vec::new();
        let _ = within(stream.read_to_end(&mut answer)).await;
    }
    assert!(is_shim(created.shim_pid));
    assert_eq!(shim.state().await.unwrap().status, ShimStatus::Running);
    shim.kill(9, true).await.unwrap();
}

#[tokio::test]
async fn versions_are_agreed_on() {
    let mut fixture = Fixture::new(&["sleep"]);
    let (shim, _) = fixture.spawn().await.unwrap();
    // A newer client that still speaks ours, with a field we don't know, and one that does not.
    for (hello, version) in [
        ("{\"hello\":{\"min\":1,\"max\":99,\"name\":\"x\"}}", "1"),
        ("{\"hello\":{\"min\":98,\"max\":99}}", "null"),
    ] {
        let mut stream = tokio::net::UnixStream::connect(&fixture.config.socket)
            .await
            .unwrap();
        let mut bytes = Vec::new();
        for message in [hello, "{\"teleport\":{}}"] {
            bytes.extend(u32::try_from(message.len()).unwrap().to_le_bytes());
            bytes.extend(message.as_bytes());
        }
        stream.write_all(&bytes).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = Vec::new();
        let _ = within(stream.read_to_end(&mut answer)).await;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(
            answer.contains(&format!(
                "{{\"hello\":{{\"min\":1,\"max\":1,\"version\":{version}}}}}"
            )),
            "{answer}"
        );
        assert_eq!(
            answer.contains("not_implemented"),
            version == "1",
            "{answer}"
        );
    }
    shim.kill(9, true).await.unwrap();
}

#[tokio::test]
async fn a_shim_of_another_time_is_refused_or_understood() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("shim.sock");
    let listener = tokio::net::UnixListener::bind(&socket).unwrap();
    // What an old shim may say: only what version 1 always had; and one too new.
    let answers = [
        "{\"hello\":{\"min\":0,\"max\":1,\"version\":1}}",
        "{\"hello\":{\"min\":7,\"max\":9}}",
    ];
    let serving = tokio::spawn(async move {
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let length = stream.read_u32_le().await.unwrap();
            let mut hello = vec![0; usize::try_from(length).unwrap()];
            stream.read_exact(&mut hello).await.unwrap();
            stream
                .write_all(&u32::try_from(answer.len()).unwrap().to_le_bytes())
                .await
                .unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    Shim::connect(&socket).await.unwrap();
    let error = Shim::connect(&socket).await.unwrap_err();
    assert!(
        matches!(error, Error::Version { min: 7, max: 9, .. }),
        "{error}"
    );
    serving.await.unwrap();
}

#[tokio::test]
async fn a_full_disk_does_not_end_the_container() {
    let mut fixture = Fixture::new(&["count", "100000", "5"]);
    fixture.config.log.path = "/dev/full".into();
    let (output, exit) = within(fixture.run()).await;
    assert_eq!(exit.code, 5);
    assert!(output.text().0 == count(0..100_000));
    let note = std::fs::read_to_string(fixture.state_dir().join("shim.log")).unwrap();
    assert_eq!(note.lines().count(), 1);
    assert!(note.contains("No space left on device"), "{note}");
}

#[tokio::test]
async fn long_paths_fit() {
    let mut fixture = Fixture::new(&["exit", "0"]);
    let deep = fixture.folder.path().join("d".repeat(120));
    std::fs::create_dir(&deep).unwrap();
    fixture.config.socket = deep.join("shim.sock");
    let (shim, _) = fixture.spawn().await.unwrap();
    let events = Shim::connect(&fixture.config.socket)
        .await
        .unwrap()
        .subscribe()
        .await
        .unwrap();
    shim.start().await.unwrap();
    assert_eq!(exited(events).await.code, 0);
}

#[tokio::test]
async fn sockets_are_held_until_they_are_let_go() {
    let mut fixture = Fixture::new(&["sleep"]);
    let (shim, _) = fixture.spawn().await.unwrap();
    shim.start().await.unwrap();
    // More than go with one message.
    let sockets: Vec<_> = (0..dhow_shim::protocol::MOST_DESCRIPTORS + 6)
        .map(|_| std::net::UdpSocket::bind("127.0.0.1:0").unwrap())
        .collect();
    let places: Vec<_> = sockets
        .iter()
        .map(|socket| HeldPort {
            protocol: 17,
            address: socket.local_addr().unwrap(),
        })
        .collect();
    let sockets = sockets.into_iter().map(Into::into).collect();
    shim.hold(sockets, None).await.unwrap();
    let taken = |place: &HeldPort| std::net::UdpSocket::bind(place.address).is_err();
    assert!(places.iter().all(taken));
    let (kept, gone) = places.split_at(2);
    shim.hold(Vec::new(), Some(kept.to_vec())).await.unwrap();
    assert!(kept.iter().all(taken));
    assert!(!gone.iter().any(taken));
    shim.hold(Vec::new(), Some(Vec::new())).await.unwrap();
    assert!(!places.iter().any(taken));
    let events = shim.subscribe().await.unwrap();
    shim.kill(15, false).await.unwrap();
    assert_eq!(exited(events).await.code, 143);
}
