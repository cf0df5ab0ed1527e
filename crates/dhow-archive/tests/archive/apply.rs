//! Layers applied.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use dhow_archive::tar::{Header, Kind, Xattr};
use dhow_archive::{ApplyOptions, Error, Limits, apply};

use crate::common::{
    archive, attributes, dir, file, hardlink, is_opaque, is_whiteout, layer, listing, read, root,
    symlink, try_layer,
};

#[test]
fn files_get_all_their_attributes() {
    if !root() {
        return;
    }
    let xattr = |name: &str, value: &[u8]| Xattr {
        name: name.into(),
        value: value.to_vec(),
    };
    // A real capability: cap_net_raw=ep.
    let capability = [
        1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    ];
    let (at, applied) = layer([
        (
            Header::directory("d", 0o2750)
                .owned_by(7, 8)
                .modified_at(10),
            b"".as_slice(),
        ),
        (
            Header::file("d/suid", 0o4755, 0)
                .owned_by(7, 8)
                .modified_at(20),
            b"program",
        ),
        (
            Header {
                xattrs: vec![
                    xattr("security.capability", &capability),
                    xattr("user.note", b"x"),
                    xattr("trusted.overlay.redirect", b"/etc"),
                ],
                ..Header::file("d/ping", 0o755, 0).owned_by(7, 8)
            },
            b"ping",
        ),
        (
            Header::symlink("d/link", "/x")
                .owned_by(9, 9)
                .modified_at(30),
            b"",
        ),
        (
            Header::node("null", Kind::CharDevice, 0o666, (1, 3)).modified_at(40),
            b"",
        ),
        (
            Header::node("disk", Kind::BlockDevice, 0o660, (8, 1)).owned_by(0, 6),
            b"",
        ),
        (Header::node("pipe", Kind::Fifo, 0o622, (0, 0)), b""),
        (Header::file("setgid", 0o2755, 0), b"x"),
    ]);
    let listing = listing(at.path());
    let is = |path: &str| listing[&PathBuf::from(path)].as_str();
    assert_eq!(is("d"), "dir 2750 (7, 8) 10 {}");
    assert_eq!(is("d/suid"), r#"file 1 "program" 4755 (7, 8) 20 {}"#);
    assert_eq!(is("d/link"), r#"link "/x" 777 (9, 9) 30 {}"#);
    assert_eq!(is("null"), "c 1:3 666 (0, 0) 40 {}");
    assert_eq!(is("disk"), "b 8:1 660 (0, 6) 0 {}");
    assert_eq!(is("pipe"), "fifo 622 (0, 0) 0 {}");
    assert_eq!(is("setgid"), r#"file 1 "x" 2755 (0, 0) 0 {}"#);
    let found = attributes(&at.path().join("d/ping"));
    assert_eq!(
        found.keys().collect::<Vec<_>>(),
        ["security.capability", "user.note"]
    );
    assert_eq!((applied.entries, applied.bytes), (8, 12));
    assert!(applied.implicit_dirs.is_empty());
}

#[test]
fn parents_nobody_mentions_are_implicit() {
    let (at, applied) = layer([
        file("a/b/c/f", "x"),
        dir("a/b"),
        file("usr/lib/l", "y"),
        (Header::directory("./", 0o711), b""),
    ]);
    let implicit: Vec<_> = applied
        .implicit_dirs
        .iter()
        .map(|path| path.to_str().unwrap())
        .collect();
    assert_eq!(implicit, ["a", "a/b/c", "usr", "usr/lib"]);
    assert_eq!(at.path().join("a/b").metadata().unwrap().mtime(), 1000);
    let root = at.path().metadata().unwrap();
    assert_eq!(root.mode() & 0o777, 0o755, "the root stays as it is");
}

#[test]
fn whiteouts_take_overlays_form() {
    if !root() {
        return;
    }
    let (at, applied) = layer([
        file("etc/.wh.passwd", ""),
        file("var/.wh..wh..opq", ""),
        file("var/new", "n"),
        file(".wh..wh.plnk", ""),
        // What this layer has itself is not hidden by its own whiteout, wherever that stands.
        file("first/f", "1"),
        file(".wh.first", ""),
        file(".wh.second", ""),
        file("second/f", "2"),
        file(".wh.third", ""),
        dir("third"),
        file(".wh.fourth", ""),
        file("fourth", "4"),
        file("fifth", "5"),
        file(".wh.fifth", ""),
    ]);
    let at = at.path();
    assert!(is_whiteout(&at.join("etc/passwd")));
    assert!(is_opaque(&at.join("var")) && read(at.join("var/new")) == "n");
    assert!(!at.join(".wh..wh.plnk").exists());
    for opaque in ["first", "second", "third"] {
        assert!(is_opaque(&at.join(opaque)), "{opaque}");
    }
    assert_eq!(read(at.join("second/f")), "2");
    assert_eq!(read(at.join("fourth")), "4");
    assert_eq!(read(at.join("fifth")), "5");
    assert_eq!(applied.whiteouts, [PathBuf::from("etc/passwd")]);
    assert!(!applied.opaque_root);
    assert_eq!(
        applied.implicit_dirs.len(),
        4,
        "{:?}",
        applied.implicit_dirs
    );
}

#[test]
fn later_entries_replace_earlier_ones() {
    let (at, _) = layer([
        file("a", "old"),
        file("a", "new"),
        dir("dir"),
        dir("dir/sub"),
        file("dir/sub/f", "x"),
        file("dir", "now a file"),
        file("file", "x"),
        dir("file"),
        file("file/inside", "y"),
        symlink("link", "/nowhere"),
        file("link", "no link"),
        symlink("other", "dir"),
        dir("other"),
        file("other/f", "z"),
        dir("kept"),
        file("kept/f", "k"),
        (
            Header::directory("kept", 0o700).modified_at(5),
            b"".as_slice(),
        ),
    ]);
    let at = at.path();
    assert_eq!(read(at.join("a")), "new");
    assert_eq!(read(at.join("dir")), "now a file");
    assert_eq!(read(at.join("file/inside")), "y");
    assert_eq!(read(at.join("link")), "no link");
    assert_eq!(read(at.join("other/f")), "z");
    assert_eq!(read(at.join("kept/f")), "k");
    let kept = at.join("kept").metadata().unwrap();
    assert_eq!((kept.mode() & 0o777, kept.mtime()), (0o700, 5));
}

#[test]
fn a_replaced_file_keeps_its_other_names() {
    let (at, _) = layer([file("a", "old"), hardlink("b", "a"), file("a", "new")]);
    assert_eq!(read(at.path().join("a")), "new");
    assert_eq!(read(at.path().join("b")), "old");
}

#[test]
fn hard_links_within_the_layer_are_links() {
    let (at, applied) = layer([
        file("d/a", "x"),
        hardlink("b", "d/a"),
        hardlink("c", "/d/./a"),
        hardlink("b", "d/a"),
        hardlink("d/a", "d/a"),
        symlink("s", "d/a"),
        hardlink("t", "s"),
    ]);
    let inode = |path: &str| at.path().join(path).symlink_metadata().unwrap().ino();
    assert_eq!(inode("b"), inode("d/a"));
    assert_eq!(inode("c"), inode("d/a"));
    assert_eq!(inode("t"), inode("s"), "the symbolic link itself");
    assert!(applied.foreign_hardlinks.is_empty());
}

#[test]
fn hard_links_to_elsewhere_are_left_for_later() {
    if !root() {
        return;
    }
    let (at, applied) = layer([
        hardlink("a", "usr/bin/x"),
        file(".wh.gone", ""),
        hardlink("b", "gone"),
    ]);
    let links: Vec<_> = applied
        .foreign_hardlinks
        .iter()
        .map(|link| (link.path.to_str().unwrap(), link.target.to_str().unwrap()))
        .collect();
    assert_eq!(links, [("a", "usr/bin/x"), ("b", "gone")]);
    assert!(!at.path().join("a").exists());
}

#[test]
fn links_among_the_parents_are_followed_inside() {
    let (at, applied) = layer([
        dir("usr"),
        dir("usr/bin"),
        symlink("bin", "usr/bin"),
        file("bin/sh", "shell"),
        symlink("up", "../../../../usr"),
        file("up/f", "contained"),
        symlink("abs", "/usr/bin"),
        file("abs/g", "absolute"),
        symlink("lib", "usr/lib"),
        file("lib/deep/l", "made"),
    ]);
    let at = at.path();
    assert_eq!(read(at.join("usr/bin/sh")), "shell");
    assert_eq!(read(at.join("usr/f")), "contained");
    assert_eq!(read(at.join("usr/bin/g")), "absolute");
    assert_eq!(read(at.join("usr/lib/deep/l")), "made");
    let implicit: Vec<_> = applied
        .implicit_dirs
        .iter()
        .map(|path| path.to_str().unwrap())
        .collect();
    assert_eq!(implicit, ["lib/deep", "usr/lib"]);
}

#[test]
fn sparse_files_stay_sparse() {
    let at = tempfile::tempdir().unwrap();
    let source = at.path().join("sparse");
    let file = std::fs::File::create(&source).unwrap();
    file.set_len(50 << 20).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"in the middle", 20 << 20).unwrap();
    for format in ["gnu", "pax"] {
        let tar = std::process::Command::new("tar")
            .args(["--sparse", "--format", format, "-cf", "-", "-C"])
            .arg(at.path())
            .arg("sparse")
            .output()
            .unwrap();
        assert!(tar.status.success() && tar.stdout.len() < 1 << 20);
        let (layer, applied) = try_layer(&tar.stdout);
        let target = layer.path().join("sparse");
        assert_eq!(applied.unwrap().bytes, 50 << 20);
        assert!(
            target.metadata().unwrap().blocks() * 512 < 1 << 20,
            "{format}"
        );
        assert!(
            std::fs::read(&target).unwrap() == std::fs::read(&source).unwrap(),
            "{format}"
        );
    }
}

#[test]
fn limits_give_one_clear_error() {
    let at = tempfile::tempdir().unwrap();
    let tar = archive([file("a", "x"), file("b", "y"), file("c", "z")]);
    let with = |limits| apply(tar.as_slice(), at.path(), &ApplyOptions { limits });
    let entries = with(Limits {
        max_entries: 2,
        ..Limits::default()
    })
    .unwrap_err();
    assert_eq!(
        entries.to_string(),
        "archive exceeds the limit of 2 entries"
    );
    let bytes = with(Limits {
        max_bytes: 2048,
        ..Limits::default()
    })
    .unwrap_err();
    assert_eq!(bytes.to_string(), "archive exceeds the limit of 2048 bytes");
    assert!(
        with(Limits {
            max_entries: 3,
            max_bytes: 1 << 20
        })
        .is_ok()
    );
}

#[test]
fn the_stream_is_read_to_its_end() {
    let mut tar = archive([file("a", "x")]);
    tar.resize(tar.len() + 20_000, 0);
    let mut source = tar.as_slice();
    let at = tempfile::tempdir().unwrap();
    apply(&mut source, at.path(), &ApplyOptions::default()).unwrap();
    assert!(source.is_empty());
}

#[test]
fn a_stream_that_breaks_off_is_an_error() {
    let tar = archive([file("a", "x"), file("b", "y")]);
    for length in [1, 511, 512, 1030, 1536] {
        let (_at, applied) = try_layer(&tar[..length]);
        assert!(matches!(applied, Err(Error::Read(_))), "{length}");
    }
    for (length, entries) in [(513, 1), (1600, 2)] {
        let (_at, applied) = try_layer(&tar[..length]);
        let why = "the last block needs not be filled up";
        assert_eq!(applied.unwrap().entries, entries, "{why}");
    }
    let (_at, applied) = try_layer(&[]);
    assert_eq!(
        applied.unwrap().entries,
        0,
        "an empty stream is an empty archive, as for Docker"
    );
}
