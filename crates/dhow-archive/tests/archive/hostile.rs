//! Archives that want to get out, or to be too much.

use std::io::{self, Read};
use std::path::Path;
use std::time::{Duration, Instant};

use dhow_archive::tar::{Header, Kind};
use dhow_archive::{ApplyOptions, Destination, Error, Limits, UnpackOptions, apply, unpack};
use std::os::fd::AsFd;

use crate::common::{
    archive, dir, file, hardlink, is_whiteout, listing, read, root, symlink, try_layer,
};

/// Applies the archive in a directory of its own beside a file that must not be touched.
fn contained(entries: Vec<(Header, &'static [u8])>) -> Result<(), Error> {
    let at = tempfile::tempdir().unwrap();
    std::fs::write(at.path().join("victim"), "untouched").unwrap();
    let inside = at.path().join("root");
    std::fs::create_dir(&inside).unwrap();
    let tar = archive(entries);
    let applied = apply(tar.as_slice(), &inside, &ApplyOptions::default()).map(drop);
    let rootfs = std::fs::File::open(&inside).unwrap();
    let into = Destination::find(rootfs.as_fd(), Path::new("/")).unwrap();
    let _ = unpack(tar.as_slice(), &into, &UnpackOptions::default());
    assert_eq!(read(at.path().join("victim")), "untouched");
    assert_eq!(
        std::fs::read_dir(at.path()).unwrap().count(),
        2,
        "something got out"
    );
    applied
}

#[test]
fn nothing_gets_out() {
    let real = tempfile::tempdir().unwrap();
    let outside = real.path().to_str().unwrap();
    let refused = |entries| assert!(contained(entries).is_err());
    let harmless = |entries| contained(entries).unwrap();
    refused(vec![file("../victim", "x")]);
    refused(vec![file("a/../../victim", "x")]);
    refused(vec![dir("..")]);
    refused(vec![file("f", "x"), hardlink("l", "../victim")]);
    refused(vec![symlink("..", "/")]);
    harmless(vec![file("/victim", "x")]);
    harmless(vec![file("//./victim", "x")]);
    harmless(vec![symlink("up", ".."), file("up/victim", "x")]);
    harmless(vec![
        symlink("a", "/"),
        symlink("a/b", ".."),
        file("a/b/victim", "x"),
    ]);
    harmless(vec![symlink("out", outside), file("out/planted", "x")]);
    harmless(vec![symlink("victim", "../victim"), file("victim", "x")]);
    harmless(vec![
        symlink("s", "../victim"),
        hardlink("l", "s"),
        file("l", "x"),
    ]);
    harmless(vec![symlink("d", ".."), dir("d"), file("d/victim", "x")]);
    refused(vec![symlink("x", "y"), symlink("y", "x"), file("x/f", "x")]);
    refused(vec![file("f", "x"), file("f/g", "y")]);
    assert_eq!(
        std::fs::read_dir(real.path()).unwrap().count(),
        0,
        "planted outside"
    );
}

#[test]
fn links_into_proc_are_not_followed() {
    let at = tempfile::tempdir().unwrap();
    let tar = archive([symlink("p", "/proc/self/root"), file("p/tmp/planted", "x")]);
    apply(tar.as_slice(), at.path(), &ApplyOptions::default()).unwrap();
    assert_eq!(
        read(at.path().join("proc/self/root/tmp/planted")),
        "x",
        "inside the root"
    );
}

#[test]
fn marks_of_overlayfs_mean_nothing_in_a_tar() {
    if !root() {
        return;
    }
    for name in [".wh.", ".wh..", ".wh...", "a/.wh.."] {
        assert!(try_layer(&archive([file(name, "")])).1.is_err(), "{name}");
    }
    // A device 0/0 is a whiteout, and known to be one.
    let device = (
        Header::node("gone", Kind::CharDevice, 0o666, (0, 0)),
        b"".as_slice(),
    );
    let (at, applied) = try_layer(&archive([device]));
    assert!(is_whiteout(&at.path().join("gone")));
    assert_eq!(applied.unwrap().whiteouts, [Path::new("gone")]);
}

#[test]
fn names_that_are_too_long_are_refused() {
    for name in [
        "x".repeat(300),
        "d/".repeat(2100) + "f",
        "d/".repeat(600_000) + "f",
    ] {
        let (at, applied) = try_layer(&archive([(Header::file(name, 0o644, 0), b"".as_slice())]));
        assert!(applied.is_err());
        assert!(listing(at.path()).is_empty());
    }
    let deep = "d/".repeat(1900) + "f";
    assert!(
        try_layer(&archive([(Header::file(deep, 0o644, 0), b"".as_slice())]))
            .1
            .is_ok()
    );
}

/// An archive that goes on for ever.
struct Endless {
    block: Vec<u8>,
    at: usize,
}

impl Read for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = buffer.len().min(self.block.len() - self.at);
        buffer[..length].copy_from_slice(&self.block[self.at..self.at + length]);
        self.at = (self.at + length) % self.block.len();
        Ok(length)
    }
}

#[test]
fn an_endless_archive_ends_at_the_limit() {
    let at = tempfile::tempdir().unwrap();
    let mut entry = archive([file("same", "")]);
    entry.truncate(512);
    let endless = Endless {
        block: entry,
        at: 0,
    };
    let error = apply(
        endless,
        at.path(),
        &ApplyOptions {
            limits: Limits {
                max_entries: 3_000,
                ..Limits::default()
            },
        },
    );
    assert_eq!(
        error.unwrap_err().to_string(),
        "archive exceeds the limit of 3000 entries"
    );
}

#[test]
fn ten_gigabytes_of_zeroes_are_refused_at_once() {
    let at = tempfile::tempdir().unwrap();
    let mut tar = dhow_archive::tar::Writer::new(Vec::new());
    tar.entry(&Header::file("zeroes", 0o644, 0)).unwrap();
    let mut tar = tar.finish().unwrap();
    tar.truncate(512);
    tar[124..135].copy_from_slice(format!("{:011o}", 10_u64 << 30 & 0o77_777_777_777).as_bytes());
    // 10 GB don't fit eleven octal digits: binary.
    tar[124..136].copy_from_slice(&[0x80, 0, 0, 0, 0, 0, 0, 2, 0x80, 0, 0, 0]);
    tar[148..156].fill(b' ');
    let sum: u32 = tar.iter().map(|byte| u32::from(*byte)).sum();
    tar[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    let start = Instant::now();
    let limits = Limits::for_compressed(10 << 10);
    let source = tar.as_slice().chain(io::repeat(0));
    let error = apply(source, at.path(), &ApplyOptions { limits }).unwrap_err();
    assert_eq!(
        error.to_string(),
        "archive exceeds the limit of 1073741824 bytes"
    );
    assert!(start.elapsed() < Duration::from_secs(1));
    assert!(listing(at.path()).is_empty(), "nothing was written");
}

#[test]
fn replacing_directories_over_and_over_stays_cheap() {
    let at = tempfile::tempdir().unwrap();
    let mut entries = vec![];
    for index in 0..500 {
        entries.push(dir(&format!("keep-{index}")));
    }
    for _ in 0..500 {
        entries.push(dir("d"));
        entries.push(file("d", "f"));
    }
    let start = Instant::now();
    apply(
        archive(entries).as_slice(),
        at.path(),
        &ApplyOptions::default(),
    )
    .unwrap();
    assert!(start.elapsed() < Duration::from_secs(20));
}

#[test]
fn without_descriptors_there_is_one_clear_error() {
    use rustix::process::{Resource, Rlimit, setrlimit};

    // The limit is the whole process's: this test runs itself again in one of its own.
    const CHILD: &str = "DHOW_TEST_WITHOUT_DESCRIPTORS";
    let entries = (0..40).map(|index| file(&format!("d{index}/f"), "x"));
    let tar = archive(entries.collect::<Vec<_>>());
    if std::env::var_os(CHILD).is_some() {
        let at = tempfile::tempdir().unwrap();
        let limit = Rlimit {
            current: Some(16),
            maximum: Some(16),
        };
        setrlimit(Resource::Nofile, limit).unwrap();
        let error = apply(tar.as_slice(), at.path(), &ApplyOptions::default()).unwrap_err();
        let text = dhow_errdefs::chain(&error).to_string();
        assert!(
            text.ends_with("Too many open files (os error 24)"),
            "{text}"
        );
        return;
    }
    let name = "hostile::without_descriptors_there_is_one_clear_error";
    let child = std::process::Command::new(std::env::current_exe().unwrap())
        .args([name, "--exact", "--test-threads=1"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    assert!(
        child.status.success(),
        "{}",
        String::from_utf8_lossy(&child.stdout)
    );
}
