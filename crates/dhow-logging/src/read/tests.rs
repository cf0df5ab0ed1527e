#![allow(clippy::unwrap_used, reason = "tests")]
//! Reading back what the writer stored: all of it, the end of it, and while it is being written.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{LogSource, Progress, ReadOptions, Reader, follow_stop, stream};
use crate::{LogConfig, Stream, Writer, open};

struct Log {
    folder: tempfile::TempDir,
    writer: Box<dyn Writer>,
}

impl Log {
    fn new(options: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = LogConfig {
            driver: "json-file".into(),
            path: folder.path().join("x-json.log"),
            options: options
                .iter()
                .map(|(key, value)| ((*key).into(), (*value).into()))
                .collect(),
            ..LogConfig::default()
        };
        let writer = open(&config).unwrap();
        Self { folder, writer }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("x-json.log")
    }

    fn source(&self) -> LogSource {
        LogSource {
            readable: true,
            path: self.path(),
        }
    }

    fn put(&mut self, text: &str) {
        self.writer
            .write(Stream::Stdout, text.as_bytes(), SystemTime::now())
            .unwrap();
        self.writer.flush().unwrap();
    }

    fn numbers(&mut self, numbers: std::ops::Range<u32>) {
        let text: String = numbers.map(|number| format!("{number}\n")).collect();
        self.put(&text);
    }

    fn read(&self, options: ReadOptions) -> String {
        let mut reader = Reader::open(&self.source(), options).unwrap();
        let mut out = Vec::new();
        while reader.read(&mut out, 1000).unwrap() != Progress::Ended {}
        String::from_utf8(out).unwrap()
    }
}

fn plain() -> ReadOptions {
    ReadOptions {
        framed: false,
        ..ReadOptions::default()
    }
}

fn numbers(range: std::ops::Range<u32>) -> String {
    range.map(|number| format!("{number}\n")).collect()
}

#[test]
fn tails_across_files() {
    let mut log = Log::new(&[("max-size", "100k"), ("max-file", "100")]);
    log.numbers(0..5000);
    assert!(std::fs::read_dir(log.folder.path()).unwrap().count() > 3);
    assert_eq!(log.read(plain()), numbers(0..5000));
    for count in [0, 1, 2, 1100, 1400, 1500, 4999, 5000, 9000] {
        let expected = numbers(5000 - count.min(5000)..5000);
        assert_eq!(
            log.read(ReadOptions {
                tail: Some(count.into()),
                ..plain()
            }),
            expected,
            "tail {count}"
        );
    }
}

/// Waits until every rotated file is compressed.
fn compressed(log: &Log) {
    let watch = super::Watch::new(&log.path()).unwrap();
    let (never, _open) = follow_stop().unwrap();
    let plain = || {
        let names = std::fs::read_dir(log.folder.path()).unwrap();
        names
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .any(|name| {
                name.ends_with(".new") || name.rsplit('.').next().unwrap().parse::<u32>().is_ok()
            })
    };
    while plain() {
        watch.wait(never.as_fd()).unwrap();
        watch.drain();
    }
}

#[test]
fn compressed_files_are_read_like_others() {
    let mut log = Log::new(&[
        ("max-size", "20k"),
        ("max-file", "100"),
        ("compress", "true"),
    ]);
    log.numbers(0..5000);
    compressed(&log);
    let names = std::fs::read_dir(log.folder.path()).unwrap();
    assert!(
        names
            .filter(|entry| entry.as_ref().unwrap().path().extension().unwrap() == "gz")
            .count()
            > 10
    );
    assert_eq!(log.read(plain()), numbers(0..5000));
    for count in [1, 300, 1100, 4999, 9000] {
        let expected = numbers(5000 - count.min(5000)..5000);
        let options = ReadOptions {
            tail: Some(count.into()),
            ..plain()
        };
        assert_eq!(log.read(options), expected, "tail {count}");
    }
    let since = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(10);
    let options = ReadOptions {
        since: Some(since),
        ..plain()
    };
    assert_eq!(log.read(options), "");
}

#[test]
fn a_follower_sees_every_line_once_while_files_are_compressed() {
    let mut log = Log::new(&[
        ("max-size", "3k"),
        ("max-file", "1000"),
        ("compress", "true"),
    ]);
    let source = log.source();
    let (stopped, stop) = follow_stop().unwrap();
    let options = ReadOptions {
        follow: true,
        ..plain()
    };
    let follower = std::thread::spawn(move || follow_to_end(&source, options, stopped));
    for number in 0..6000 {
        log.numbers(number..number + 1);
    }
    drop(stop);
    assert!(follower.join().unwrap() == numbers(0..6000));
    compressed(&log);
    assert_eq!(log.read(plain()), numbers(0..6000));
}

#[test]
fn no_more_files_than_asked_for_are_kept_compressed() {
    let mut log = Log::new(&[("max-size", "3k"), ("max-file", "3"), ("compress", "true")]);
    for number in 0..3000 {
        log.numbers(number..number + 1);
    }
    compressed(&log);
    let mut names: Vec<String> = std::fs::read_dir(log.folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["x-json.log", "x-json.log.1.gz", "x-json.log.2.gz"]);
    assert!(log.read(plain()).ends_with("2998\n2999\n"));
}

#[test]
fn an_empty_or_missing_log_is_empty() {
    let log = Log::new(&[]);
    assert_eq!(log.read(plain()), "");
    assert_eq!(
        log.read(ReadOptions {
            tail: Some(3),
            ..plain()
        }),
        ""
    );
    std::fs::remove_file(log.path()).unwrap();
    assert_eq!(
        log.read(ReadOptions {
            tail: Some(3),
            ..plain()
        }),
        ""
    );
}

#[test]
fn the_driver_none_can_not_be_read() {
    let source = LogSource {
        readable: false,
        path: PathBuf::new(),
    };
    let error = Reader::open(&source, plain()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "configured logging driver does not support reading"
    );
}

#[test]
fn a_torn_last_line_is_not_shown() {
    let mut log = Log::new(&[]);
    log.put("a\nb\n");
    let torn = std::fs::read_to_string(log.path()).unwrap() + "{\"log\":\"c\\n\",\"str";
    std::fs::write(log.path(), torn).unwrap();
    assert_eq!(log.read(plain()), "a\nb\n");
    assert_eq!(
        log.read(ReadOptions {
            tail: Some(1),
            ..plain()
        }),
        "b\n"
    );
}

#[test]
fn rubbish_between_lines_is_passed_over() {
    let mut log = Log::new(&[]);
    log.put("a\n");
    let first = std::fs::read(log.path()).unwrap();
    let rubbish = [&vec![0; 3_000_000][..], b"\n{}\n\"log\"\n"].concat();
    std::fs::write(log.path(), [&first[..], &rubbish, &first].concat()).unwrap();
    assert_eq!(log.read(plain()), "a\na\n");
}

#[test]
fn since_and_until() {
    let mut log = Log::new(&[]);
    for second in 0..10 {
        let text = format!("{second}\n");
        log.writer
            .write(
                Stream::Stdout,
                text.as_bytes(),
                UNIX_EPOCH + Duration::from_secs(second),
            )
            .unwrap();
        log.writer.flush().unwrap();
    }
    let at = |second| Some(jiff::Timestamp::from_second(second).unwrap());
    assert_eq!(
        log.read(ReadOptions {
            since: at(7),
            ..plain()
        }),
        numbers(7..10)
    );
    assert_eq!(
        log.read(ReadOptions {
            until: at(2),
            ..plain()
        }),
        numbers(0..3)
    );
    assert_eq!(
        log.read(ReadOptions {
            since: at(4),
            until: at(5),
            tail: Some(5),
            ..plain()
        }),
        "5\n"
    );
}

#[test]
fn streams_are_told_apart() {
    let mut log = Log::new(&[]);
    log.put("out\n");
    log.writer
        .write(Stream::Stderr, b"err\n", SystemTime::now())
        .unwrap();
    log.writer.flush().unwrap();
    assert_eq!(
        log.read(ReadOptions {
            stdout: false,
            ..plain()
        }),
        "err\n"
    );
    assert_eq!(
        log.read(ReadOptions {
            stderr: false,
            ..plain()
        }),
        "out\n"
    );
    let framed = log.read(ReadOptions::default());
    assert_eq!(framed, "\x01\0\0\0\0\0\0\x04out\n\x02\0\0\0\0\0\0\x04err\n");
}

fn follow_to_end(source: &LogSource, options: ReadOptions, stop: std::os::fd::OwnedFd) -> String {
    let mut reader = Reader::open(source, options).unwrap();
    let mut out = Vec::new();
    loop {
        match reader.read(&mut out, 10_000).unwrap() {
            Progress::More => {}
            Progress::CaughtUp => reader.wait(stop.as_fd()).unwrap(),
            Progress::Ended => return String::from_utf8(out).unwrap(),
        }
    }
}

#[test]
fn a_follower_sees_every_line_once_across_rotations() {
    let mut log = Log::new(&[("max-size", "3k"), ("max-file", "1000")]);
    log.numbers(0..100);
    let source = log.source();
    let (stopped, stop) = follow_stop().unwrap();
    let follower = std::thread::spawn(move || {
        follow_to_end(
            &source,
            ReadOptions {
                follow: true,
                ..plain()
            },
            stopped,
        )
    });
    for number in 100..6000 {
        log.numbers(number..number + 1);
    }
    drop(stop);
    assert!(follower.join().unwrap() == numbers(0..6000));
}

#[test]
fn a_follower_of_a_single_rotating_file_never_sees_a_line_twice() {
    let mut log = Log::new(&[("max-size", "100k")]);
    let source = log.source();
    let (stopped, stop) = follow_stop().unwrap();
    let follower = std::thread::spawn(move || {
        follow_to_end(
            &source,
            ReadOptions {
                follow: true,
                ..plain()
            },
            stopped,
        )
    });
    for number in 0..6000 {
        log.numbers(number..number + 1);
    }
    drop(stop);
    let seen: Vec<u32> = follower
        .join()
        .unwrap()
        .lines()
        .map(|line| line.parse().unwrap())
        .collect();
    assert!(seen.is_sorted_by(|a, b| a < b));
    assert_eq!(seen.last(), Some(&5999));
}

#[test]
fn a_follower_survives_a_truncation_by_hand() {
    let mut log = Log::new(&[]);
    log.numbers(0..10);
    let mut reader = Reader::open(
        &log.source(),
        ReadOptions {
            follow: true,
            ..plain()
        },
    )
    .unwrap();
    let mut out = Vec::new();
    assert_eq!(reader.read(&mut out, 10_000).unwrap(), Progress::CaughtUp);
    std::fs::File::options()
        .write(true)
        .open(log.path())
        .unwrap()
        .set_len(0)
        .unwrap();
    log.put("new\n");
    assert_eq!(reader.read(&mut out, 10_000).unwrap(), Progress::CaughtUp);
    assert_eq!(String::from_utf8(out).unwrap(), numbers(0..10) + "new\n");
}

async fn collect(
    mut chunks: tokio::sync::mpsc::Receiver<Result<bytes::Bytes, crate::Error>>,
) -> String {
    let mut text = Vec::new();
    while let Some(chunk) = chunks.recv().await {
        text.extend_from_slice(&chunk.unwrap());
    }
    String::from_utf8(text).unwrap()
}

#[tokio::test]
async fn streams_to_the_end_of_the_writer() {
    let mut log = Log::new(&[("max-size", "20k"), ("max-file", "100")]);
    log.numbers(0..1000);
    assert!(
        collect(stream(log.source(), plain(), std::future::pending())).await == numbers(0..1000)
    );
    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    let options = ReadOptions {
        follow: true,
        tail: Some(10),
        ..plain()
    };
    let mut chunks = stream(log.source(), options, async move { drop(ended.await) });
    let first = chunks.recv().await.unwrap().unwrap();
    assert_eq!(first, numbers(990..1000));
    log.numbers(1000..3000);
    end.send(()).unwrap();
    assert!(collect(chunks).await == numbers(1000..3000));
}

#[tokio::test]
async fn a_stream_ends_when_its_receiver_goes() {
    let log = Log::new(&[]);
    let (held, released) = tokio::sync::oneshot::channel::<()>();
    let chunks = stream(
        log.source(),
        ReadOptions {
            follow: true,
            ..plain()
        },
        async move {
            let _held = held;
            std::future::pending().await
        },
    );
    drop(chunks);
    released.await.unwrap_err();
}

/// The figures of the log path; run in release: `cargo test --release -p dhow-logging -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
#[allow(clippy::print_stdout, reason = "a measurement")]
#[allow(clippy::cast_precision_loss, reason = "a measurement")]
fn throughput() {
    for width in [20, 100, 1000] {
        let mut log = Log::new(&[]);
        let text = format!("{}\n", "x".repeat(width - 1)).repeat(64 * 1024 / width);
        let (chunks, start) = (256_000_000 / text.len(), std::time::Instant::now());
        for _ in 0..chunks {
            log.put(&text);
        }
        let bytes = (chunks * text.len()) as f64 / 1e6;
        let written = bytes / start.elapsed().as_secs_f64();
        let start = std::time::Instant::now();
        let mut reader = Reader::open(&log.source(), ReadOptions::default()).unwrap();
        let mut out = Vec::new();
        while reader.read(&mut out, 100_000).unwrap() != Progress::Ended {
            out.clear();
        }
        let read = bytes / start.elapsed().as_secs_f64();
        println!("lines of {width} bytes: written {written:.0} MB/s, read back {read:.0} MB/s");
        assert!(Path::new(&log.path()).exists());
    }
}
