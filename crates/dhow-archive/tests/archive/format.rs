//! The tar format, read and written, against the `tar` crate and against archives made by hand.

use std::io::Read;
use std::os::unix::ffi::OsStrExt;

use dhow_archive::Error;
use dhow_archive::tar::{Header, Kind, Mtime, Reader, Writer, Xattr};

use crate::common::{archive, dir, file};

/// All entries with their contents.
fn entries(tar: &[u8]) -> Result<Vec<(Header, Vec<u8>)>, Error> {
    let mut reader = Reader::new(tar);
    let mut entries = Vec::new();
    while let Some(header) = reader.next_entry()? {
        let mut content = Vec::new();
        reader
            .content()
            .read_to_end(&mut content)
            .map_err(Error::Read)?;
        entries.push((header, content));
    }
    Ok(entries)
}

/// A header block with a right checksum.
fn block(name: &str, kind: u8, size: u64, edit: impl FnOnce(&mut [u8; 512])) -> Vec<u8> {
    let mut block = [0; 512];
    block[..name.len()].copy_from_slice(name.as_bytes());
    block[100..107].copy_from_slice(b"0000644");
    block[124..135].copy_from_slice(format!("{size:011o}").as_bytes());
    block[156] = kind;
    block[257..265].copy_from_slice(b"ustar  \0");
    edit(&mut block);
    seal(&mut block);
    block.to_vec()
}

fn seal(block: &mut [u8; 512]) {
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
}

fn padded(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

fn pax(records: &[(&str, &str)], name: &str) -> Vec<u8> {
    let mut text = Vec::new();
    for (key, value) in records {
        let rest = key.len() + value.len() + 3;
        let mut length = rest + 1;
        while length != rest + length.to_string().len() {
            length += 1;
        }
        text.extend_from_slice(format!("{length} {key}={value}\n").as_bytes());
    }
    [block(name, b'x', text.len() as u64, |_| {}), padded(&text)].concat()
}

#[test]
fn what_is_written_is_read_again() {
    let long = "d/".repeat(100) + "name";
    let very_long = "x".repeat(250);
    let xattr = Xattr {
        name: b"user.x".to_vec(),
        value: b"a=b\n\0c".to_vec(),
    };
    let headers = [
        Header::file("plain", 0o4755, 5)
            .owned_by(1000, 100)
            .modified_at(1_700_000_000),
        Header::file(&long, 0o644, 5),
        Header::file(&very_long, 0o644, 5),
        Header::directory("dir/", 0o1777),
        Header::symlink("link", "t".repeat(150)),
        Header::hardlink("hard", "plain"),
        Header::node("null", Kind::CharDevice, 0o666, (1, 3)),
        Header::node("pipe", Kind::Fifo, 0o600, (0, 0)),
        Header::file("big-owner", 0o644, 5).owned_by(u32::MAX - 1, 3_000_000),
        Header::file("old", 0o644, 5).modified_at(-5),
        Header {
            mtime: Mtime {
                seconds: -2,
                nanoseconds: 750_000_000,
            },
            ..Header::file("older", 0o644, 5)
        },
        Header {
            mtime: Mtime {
                seconds: 12,
                nanoseconds: 3,
            },
            xattrs: vec![xattr],
            ..Header::file("attributes", 0o644, 5)
        },
    ];
    let tar = archive(
        headers
            .iter()
            .map(|header| (header.clone(), b"hello".as_slice())),
    );
    let read = entries(&tar).unwrap();
    assert_eq!(read.len(), headers.len());
    for ((header, content), expected) in read.iter().zip(&headers) {
        assert_eq!(header, expected);
        assert_eq!(
            content.as_slice(),
            if expected.size > 0 {
                b"hello".as_slice()
            } else {
                b""
            }
        );
    }
}

#[test]
fn the_tar_crate_reads_what_is_written() {
    let long = "d/".repeat(120) + "name";
    let tar = archive([dir("a"), file("a/b", "content"), file(&long, "x")]);
    let mut other = tar::Archive::new(tar.as_slice());
    let paths: Vec<_> = other
        .entries()
        .unwrap()
        .map(|entry| String::from_utf8(entry.unwrap().path_bytes().to_vec()).unwrap())
        .collect();
    assert_eq!(paths, ["a/".to_owned(), "a/b".to_owned(), long]);
}

#[test]
fn gnu_archives_are_read() {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(3);
    header.set_mode(0o640);
    header.set_uid(5);
    header.set_mtime(77);
    let long = "n".repeat(300);
    builder
        .append_data(&mut header, &long, b"abc".as_slice())
        .unwrap();
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    builder
        .append_link(&mut header, "link", "t".repeat(300))
        .unwrap();
    let read = entries(&builder.into_inner().unwrap()).unwrap();
    assert_eq!(read[0].0.path.as_os_str().as_bytes(), long.as_bytes());
    assert_eq!(
        (read[0].0.mode, read[0].0.uid, read[0].0.mtime.seconds),
        (0o640, 5, 77)
    );
    assert_eq!(read[0].1, b"abc");
    assert_eq!(
        read[1].0.link.as_os_str().as_bytes(),
        "t".repeat(300).as_bytes()
    );
}

#[test]
fn old_archives_are_read() {
    // Before ustar a directory was a file whose name ends in a slash, and numbers were filled with spaces.
    let old = block("dir/", 0, 0, |block| {
        block[257..265].fill(0);
        block[100..108].copy_from_slice(b"   755 \0");
    });
    let tar = [old, block("f", b'0', 2, |_| {}), padded(b"hi")].concat();
    let read = entries(&tar).unwrap();
    assert_eq!((read[0].0.kind, read[0].0.mode), (Kind::Directory, 0o755));
    assert_eq!(read[1].1, b"hi");
}

#[test]
fn binary_numbers_are_read() {
    let tar = block("f", b'0', 0, |block| {
        block[108..116].copy_from_slice(&[0x80, 0, 0, 0, 0x80, 0, 0, 1]);
        block[136..148].copy_from_slice(&[0xff; 12]);
    });
    let (header, _) = entries(&tar).unwrap().remove(0);
    assert_eq!((header.uid, header.mtime.seconds), (0x8000_0001, -1));
}

fn sparse_content() -> Vec<u8> {
    let mut expected = vec![0; 5000];
    expected[1000..1003].copy_from_slice(b"abc");
    expected[4000..4004].copy_from_slice(b"defg");
    expected
}

#[test]
fn every_form_of_sparse_files_is_read() {
    let old = block("s", b'S', 7, |block| {
        for (at, number) in [(386, 1000), (398, 3), (410, 4000), (422, 4)] {
            block[at..at + 11].copy_from_slice(format!("{number:011o}").as_bytes());
        }
        block[483..494].copy_from_slice(format!("{:011o}", 5000).as_bytes());
    });
    let v00 = pax(
        &[
            ("GNU.sparse.size", "5000"),
            ("GNU.sparse.numblocks", "2"),
            ("GNU.sparse.offset", "1000"),
            ("GNU.sparse.numbytes", "3"),
            ("GNU.sparse.offset", "4000"),
            ("GNU.sparse.numbytes", "4"),
        ],
        "x",
    );
    let v01 = pax(
        &[
            ("GNU.sparse.size", "5000"),
            ("GNU.sparse.map", "1000,3,4000,4"),
            ("GNU.sparse.name", "s"),
        ],
        "x",
    );
    let v10 = pax(
        &[
            ("GNU.sparse.major", "1"),
            ("GNU.sparse.minor", "0"),
            ("GNU.sparse.name", "s"),
            ("GNU.sparse.realsize", "5000"),
        ],
        "x",
    );
    let plain = |name: &str| [block(name, b'0', 7, |_| {}), padded(b"abcdefg")].concat();
    let map = padded(b"2\n1000\n3\n4000\n4\n");
    let v10_file = [block("z", b'0', 512 + 7, |_| {}), map, padded(b"abcdefg")].concat();
    for (form, tar) in [
        ("old", [old, padded(b"abcdefg")].concat()),
        ("0.0", [v00, plain("s")].concat()),
        ("0.1", [v01, plain("z")].concat()),
        ("1.0", [v10, v10_file].concat()),
    ] {
        let next = block("next", b'0', 0, |_| {});
        let read = entries(&[tar, next].concat()).unwrap();
        assert_eq!(read[0].0.path.to_str(), Some("s"), "{form}");
        assert_eq!(read[0].0.size, 5000, "{form}");
        assert!(read[0].1 == sparse_content(), "{form}");
        assert_eq!(read[1].0.path.to_str(), Some("next"), "{form}");
    }
}

#[test]
fn a_sparse_map_may_go_on_in_further_blocks() {
    let mut map: Vec<(u64, u64)> = (0..30).map(|index| (index * 1000, 1)).collect();
    let mut header = block("s", b'S', 30, |block| {
        for (slot, (offset, length)) in block[386..482].chunks_exact_mut(24).zip(&map) {
            slot[..11].copy_from_slice(format!("{offset:011o}").as_bytes());
            slot[12..23].copy_from_slice(format!("{length:011o}").as_bytes());
        }
        block[482] = 1;
        block[483..494].copy_from_slice(format!("{:011o}", 30_000).as_bytes());
    });
    map.drain(..4);
    for chunk in map.chunks(21) {
        let mut more = [0; 512];
        for (slot, (offset, length)) in more.chunks_exact_mut(24).zip(chunk) {
            slot[..11].copy_from_slice(format!("{offset:011o}").as_bytes());
            slot[12..23].copy_from_slice(format!("{length:011o}").as_bytes());
        }
        more[504] = u8::from(chunk.len() == 21);
        header.extend_from_slice(&more);
    }
    let read = entries(&[header, padded(&[b'x'; 30])].concat()).unwrap();
    assert_eq!(read[0].1.len(), 30_000);
    assert!((0..30).all(|index| read[0].1[index * 1000] == b'x'));
    assert_eq!(read[0].1.iter().filter(|byte| **byte != 0).count(), 30);
}

#[test]
fn broken_archives_are_refused() {
    let long_record = pax(&[("path", "x")], "x");
    let mut wrong_length = long_record.clone();
    wrong_length[512] = b'8';
    let bad_map = pax(
        &[("GNU.sparse.size", "10"), ("GNU.sparse.map", "5,10")],
        "x",
    );
    let overlapping = pax(
        &[("GNU.sparse.size", "99"), ("GNU.sparse.map", "0,7,3,0")],
        "x",
    );
    let seven = [block("s", b'0', 7, |_| {}), padded(b"abcdefg")].concat();
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("no tar at all", vec![b'x'; 512]),
        ("half a header", vec![b'x'; 100]),
        ("content cut off", block("f", b'0', 600, |_| {})),
        (
            "record's length",
            [wrong_length, block("f", b'0', 0, |_| {})].concat(),
        ),
        ("huge extended header", block("x", b'x', 1 << 21, |_| {})),
        ("endless extended headers", long_record.repeat(40)),
        ("unknown type", block("f", b'Z', 0, |_| {})),
        (
            "negative size",
            block("f", b'0', 0, |block| block[124..136].fill(0xff)),
        ),
        (
            "not a number",
            block("f", b'0', 0, |block| block[124] = b'9'),
        ),
        ("sparse beyond its end", [bad_map, seven.clone()].concat()),
        ("sparse overlap", [overlapping, seven].concat()),
        (
            "NUL in name",
            [pax(&[("path", "a\0b")], "x"), block("f", b'0', 0, |_| {})].concat(),
        ),
        (
            "owner",
            [
                pax(&[("uid", "99999999999")], "x"),
                block("f", b'0', 0, |_| {}),
            ]
            .concat(),
        ),
    ];
    for (case, tar) in cases {
        assert!(entries(&tar).is_err(), "{case}");
    }
    let mut changed = block("f", b'0', 0, |_| {});
    changed[0] = b'g';
    assert_eq!(
        entries(&changed).unwrap_err().to_string(),
        "invalid tar archive: invalid tar header"
    );
}

#[test]
fn no_bytes_make_the_reader_panic() {
    let tar = archive([
        dir("a"),
        file("a/b", "content"),
        file(&"n".repeat(300), "x"),
    ]);
    // A fixed sequence of "random" changes; each finds its way through or an error.
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    for _ in 0..3000 {
        let mut changed = tar.clone();
        for _ in 0..4 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let at = usize::try_from(state >> 8).unwrap() % changed.len();
            changed[at] = u8::try_from(state & 0xff).unwrap();
            let start = at / 512 * 512;
            let header: &mut [u8; 512] = (&mut changed[start..start + 512]).try_into().unwrap();
            seal(header);
        }
        let _ = entries(&changed);
    }
}

#[test]
fn a_source_that_shrinks_is_filled_up() {
    let mut writer = Writer::new(Vec::new());
    writer
        .file(&Header::file("f", 0o644, 10), b"abc".as_slice())
        .unwrap();
    let read = entries(&writer.finish().unwrap()).unwrap();
    assert_eq!(read[0].1, b"abc\0\0\0\0\0\0\0");
}
