//! Tar archives: whatever is in them, nothing outside the folder changes.

use std::fs;
use std::path::Path;

use dhow_archive::tar::{Header, Kind, Reader, Writer};
use dhow_archive::{ApplyOptions, Limits, apply};
use dhow_testkit::fuzz;

fn archive(outside: &Path) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    let entries = [
        Header::directory("dir", 0o755),
        Header::symlink("link", outside),
        Header::symlink("dir/up", "../.."),
        Header::hardlink("again", "dir/file"),
        Header::node("dir/.wh.gone", Kind::File, 0, (0, 0)),
        Header::node("fifo", Kind::Fifo, 0o600, (0, 0)),
        Header::file("dir/.wh..wh..opq", 0o600, 0),
        Header::symlink(format!("dir/{}", "x".repeat(200)), "y".repeat(300)),
    ];
    for name in ["dir/file", "link/file", "dir/up/file", "again"] {
        let header = Header::file(name, 0o644, 4);
        writer.bytes(header, b"data").unwrap();
    }
    for entry in &entries {
        writer.entry(entry).unwrap();
    }
    writer
        .bytes(Header::file("link/new", 0o644, 3), b"abc")
        .unwrap();
    writer.finish().unwrap()
}

/// Makes the headers' checksums right again, or no case would get behind them.
fn mend(bytes: &mut [u8]) {
    for block in bytes.chunks_exact_mut(512) {
        if &block[257..262] != b"ustar" {
            continue;
        }
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
}

#[test]
fn nothing_leaves_the_folder() {
    if !dhow_testkit::root_or_skip("archives with devices and owners") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let outside = folder.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("file"), "untouched").unwrap();
    let seed = archive(&outside);
    let target = outside.display().to_string();
    let words: [&[u8]; 7] = [
        target.as_bytes(),
        b"../",
        b"/",
        b"30 mtime=1.5\n",
        b"15 size=99999\n",
        b"22 GNU.sparse.major=1\n",
        b"28 SCHILY.xattr.user.a=b\n",
    ];
    let root = folder.path().join("root");
    let options = ApplyOptions {
        limits: Limits {
            max_bytes: 1 << 22,
            max_entries: 1000,
        },
    };
    fuzz::run(2000, &[&seed], &words, |input| {
        let mut input = input.to_vec();
        mend(&mut input);
        fs::create_dir(&root).unwrap();
        let _ = apply(input.as_slice(), &root, &options);
        assert_eq!(fs::read(outside.join("file")).unwrap(), b"untouched");
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
        fs::remove_dir_all(&root).unwrap();
    });
}

/// The reader alone, on shorter and wilder input.
#[test]
fn the_reader_ends() {
    let seed = archive(Path::new("/outside"));
    let sparse = b"GNU.sparse.map\x001\n0\n5\n";
    fuzz::run(10_000, &[&seed], &[sparse], |input| {
        let mut input = input.to_vec();
        mend(&mut input);
        let mut reader = Reader::new(input.as_slice());
        let mut entries = 0;
        while let Ok(Some(_)) = reader.next_entry() {
            entries += 1;
            while let Ok(Some(_)) = reader.data() {}
        }
        assert!(entries <= input.len() / 512);
    });
}
