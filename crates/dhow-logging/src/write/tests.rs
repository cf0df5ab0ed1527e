#![allow(clippy::unwrap_used, reason = "tests")]
//! What the writer stores, compared with Docker's copier and encoder written the simple way.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{JsonFile, Writer, numbered, open};
use crate::{LogConfig, Stream};

const NOW: &str = "2026-03-01T00:00:00.5Z";

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::new(1_772_323_200, 500_000_000)
}

fn config(path: &Path, options: &[(&str, &str)]) -> LogConfig {
    LogConfig {
        driver: "json-file".into(),
        path: path.into(),
        options: options
            .iter()
            .map(|(key, value)| ((*key).to_string(), (*value).to_string()))
            .collect(),
        ..LogConfig::default()
    }
}

fn line(stream: &str, log: &str) -> String {
    format!("{{\"log\":\"{log}\",\"stream\":\"{stream}\",\"time\":\"{NOW}\"}}\n")
}

fn written(chunks: &[(Stream, &[u8])]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x-json.log");
    let mut writer = JsonFile::open(&config(&path, &[])).unwrap();
    for (stream, chunk) in chunks {
        writer.write(*stream, chunk, now()).unwrap();
    }
    writer.finish(Stream::Stdout, now()).unwrap();
    writer.finish(Stream::Stderr, now()).unwrap();
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn lines_are_stored_as_docker_does() {
    use Stream::{Stderr, Stdout};
    let big = "y".repeat(16 * 1024);
    for (chunks, expected) in [
        (
            vec![(Stdout, &b"a\nb\n"[..])],
            line("stdout", "a\\n") + &line("stdout", "b\\n"),
        ),
        (vec![(Stdout, b"\n\n")], line("stdout", "\\n").repeat(2)),
        (vec![(Stdout, b"no end")], line("stdout", "no end")),
        (
            vec![(Stdout, b"one "), (Stderr, b"e\n"), (Stdout, b"two\nthree")],
            line("stderr", "e\\n") + &line("stdout", "one two\\n") + &line("stdout", "three"),
        ),
        (
            vec![(Stdout, b"\xe2\x82"), (Stdout, b"\xac\n")],
            line("stdout", "€\\n"),
        ),
        (
            vec![(Stdout, big.as_bytes()), (Stdout, b"\nz\n")],
            line("stdout", &big) + &line("stdout", "\\n") + &line("stdout", "z\\n"),
        ),
        (
            vec![
                (Stdout, b"a\n"),
                (Stdout, big.as_bytes()),
                (Stdout, b"tail\n"),
            ],
            line("stdout", "a\\n") + &line("stdout", &big) + &line("stdout", "tail\\n"),
        ),
    ] {
        assert_eq!(written(&chunks), expected);
    }
}

#[test]
fn parts_of_a_long_line_have_the_time_of_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x-json.log");
    let mut writer = JsonFile::open(&config(&path, &[])).unwrap();
    writer
        .write(Stream::Stdout, &[b'a'; 16 * 1024], now())
        .unwrap();
    writer
        .write(Stream::Stdout, b"b\nc\n", now() + Duration::from_secs(1))
        .unwrap();
    writer.flush().unwrap();
    let text = std::fs::read_to_string(path).unwrap();
    let times: Vec<&str> = text.lines().map(|line| &line[line.len() - 25..]).collect();
    assert_eq!(
        times,
        [
            "\"2026-03-01T00:00:00.5Z\"}",
            "\"2026-03-01T00:00:00.5Z\"}",
            "\"2026-03-01T00:00:01.5Z\"}"
        ]
    );
}

/// Docker's copier, as it stands in its source, over a reader that returns `step` bytes at a time.
fn copier(text: &[u8], step: usize) -> Vec<(Vec<u8>, bool)> {
    let (mut buffer, mut entries, mut rest) = (Vec::new(), Vec::new(), text);
    loop {
        let room = (16 * 1024 - buffer.len()).min(step).min(rest.len());
        buffer.extend_from_slice(&rest[..room]);
        rest = &rest[room..];
        let ended = rest.is_empty();
        let mut from = 0;
        while let Some(newline) = buffer[from..].iter().position(|byte| *byte == b'\n') {
            entries.push((buffer[from..from + newline].to_vec(), true));
            from += newline + 1;
        }
        if (ended || (from == 0 && buffer.len() == 16 * 1024)) && from < buffer.len() {
            entries.push((buffer[from..].to_vec(), false));
            from = buffer.len();
        }
        buffer.drain(..from);
        if ended {
            return entries;
        }
    }
}

#[test]
fn any_cut_into_chunks_gives_dockers_entries() {
    let mut seed = 3_u64;
    let mut random = |below: usize| {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(seed >> 33).unwrap() % below
    };
    for _ in 0..60 {
        let mut text = Vec::new();
        for _ in 0..random(12) {
            let length = [random(40), random(300), 16_384, 16_383, 16_385, 40_000][random(6)];
            text.extend((0..length).map(|_| b"abc<\"\xc3\xa9\t"[random(8)]));
            text.push(b'\n');
        }
        text.extend((0..random(100)).map(|_| b'x'));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x-json.log");
        let mut writer = JsonFile::open(&config(&path, &[])).unwrap();
        let mut rest = &text[..];
        while !rest.is_empty() {
            let take = (1 + random(30_000)).min(rest.len());
            writer.write(Stream::Stdout, &rest[..take], now()).unwrap();
            rest = &rest[take..];
        }
        writer.finish(Stream::Stdout, now()).unwrap();
        let mut expected = Vec::new();
        for (entry, complete) in copier(&text, 2048) {
            expected.extend_from_slice(b"{\"log\":\"");
            super::escape::push_escaped(&mut expected, &entry);
            expected.extend_from_slice(if complete { b"\\n" } else { b"" });
            expected.extend_from_slice(
                format!("\",\"stream\":\"stdout\",\"time\":\"{NOW}\"}}\n").as_bytes(),
            );
        }
        assert!(std::fs::read(&path).unwrap() == expected);
    }
}

#[test]
fn rotates_when_full_and_keeps_so_many_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x-json.log");
    let length = line("stdout", "n00\\n").len();
    let size = (length * 2).to_string();
    let mut writer = open(&config(&path, &[("max-size", &size), ("max-file", "3")])).unwrap();
    let text: String = (0..9).map(|number| format!("n{number:02}\n")).collect();
    writer
        .write(Stream::Stdout, text.as_bytes(), now())
        .unwrap();
    writer.flush().unwrap();
    let read = |path: &Path| std::fs::read_to_string(path).unwrap();
    assert_eq!(read(&path), line("stdout", "n08\\n"));
    assert_eq!(
        read(&numbered(&path, 1)),
        line("stdout", "n06\\n") + &line("stdout", "n07\\n")
    );
    assert_eq!(
        read(&numbered(&path, 2)),
        line("stdout", "n04\\n") + &line("stdout", "n05\\n")
    );
    assert!(!numbered(&path, 3).exists());
}

#[test]
fn as_many_files_as_anybody_may_ask_for_cost_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x-json.log");
    let options = [
        ("max-size", "1"),
        ("max-file", "2000000000"),
        ("compress", "true"),
    ];
    let mut writer = open(&config(&path, &options)).unwrap();
    writer.write(Stream::Stdout, b"a\nb\nc\n", now()).unwrap();
    writer.flush().unwrap();
    assert_eq!(super::rotate::numbers(&path).unwrap(), [1, 2]);
}

#[test]
fn one_file_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x-json.log");
    let mut writer = open(&config(&path, &[("max-size", "1")])).unwrap();
    writer.write(Stream::Stdout, b"a\nb\n", now()).unwrap();
    writer.flush().unwrap();
    assert_eq!(
        std::fs::read_to_string(&path).unwrap(),
        line("stdout", "b\\n")
    );
    assert!(!numbered(&path, 1).exists());
}

#[test]
fn an_old_log_is_continued_and_its_torn_end_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x-json.log");
    std::fs::write(&path, line("stdout", "old\\n") + "{\"log\":\"to").unwrap();
    let mut writer = open(&config(&path, &[])).unwrap();
    writer.write(Stream::Stdout, b"new\n", now()).unwrap();
    writer.flush().unwrap();
    assert_eq!(
        std::fs::read_to_string(&path).unwrap(),
        line("stdout", "old\\n") + &line("stdout", "new\\n")
    );
}

#[test]
fn attributes_stand_before_the_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x-json.log");
    let mut config = config(&path, &[]);
    config.attributes.insert("a\"".into(), "1".into());
    config.attributes.insert("b".into(), "<".into());
    config.origin.tag = "t".into();
    let mut writer = open(&config).unwrap();
    writer.write(Stream::Stderr, b"x\n", now()).unwrap();
    writer.flush().unwrap();
    let expected = format!(
        "{{\"log\":\"x\\n\",\"stream\":\"stderr\",\"attrs\":{{\"a\\\"\":\"1\",\"b\":\"\\u003c\",\"tag\":\"t\"}},\"time\":\"{NOW}\"}}\n"
    );
    assert_eq!(std::fs::read_to_string(&path).unwrap(), expected);
}

#[test]
fn a_full_disk_loses_lines_and_nothing_else() {
    let config = config(Path::new("/dev/full"), &[]);
    let mut writer = JsonFile::open(&config).unwrap();
    writer.write(Stream::Stdout, b"x\n", now()).unwrap();
    let error = writer.flush().unwrap_err();
    assert_eq!(
        dhow_errdefs::chain(&error).to_string(),
        "write log file /dev/full: No space left on device (os error 28)"
    );
    writer.flush().unwrap();
}
