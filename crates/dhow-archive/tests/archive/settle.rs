//! Layers fitted to those below.

use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use dhow_archive::tar::{Header, Xattr};
use dhow_archive::{Error, settle};

use crate::common::{
    attributes, dir, file, hardlink, is_opaque, is_whiteout, layer, listing, open, read, root,
    symlink,
};

type Entries = Vec<(Header, &'static [u8])>;

/// A layer settled on a tree of these entries.
fn settled(
    below: Entries,
    entries: Entries,
) -> Result<(tempfile::TempDir, tempfile::TempDir), Error> {
    let (lower, _) = layer(below);
    let (upper, applied) = layer(entries);
    let (lower_fd, upper_fd) = (open(lower.path()), open(upper.path()));
    settle(upper_fd.as_fd(), Some(lower_fd.as_fd()), &applied)?;
    Ok((upper, lower))
}

#[test]
fn implicit_directories_look_like_those_below() {
    if !root() {
        return;
    }
    let xattr = Xattr {
        name: b"user.note".to_vec(),
        value: b"x".to_vec(),
    };
    let special = Header {
        xattrs: vec![xattr],
        ..Header::directory("tmp", 0o1777)
            .owned_by(3, 4)
            .modified_at(50)
    };
    let (at, _lower) = settled(
        vec![(special, b""), dir("tmp/in")],
        vec![file("tmp/in/f", "x"), file("tmp/other/f", "x")],
    )
    .unwrap();
    let tmp = at.path().join("tmp").metadata().unwrap();
    assert_eq!(
        (tmp.mode() & 0o7777, tmp.uid(), tmp.gid(), tmp.mtime()),
        (0o1777, 3, 4, 50)
    );
    assert_eq!(attributes(&at.path().join("tmp"))["user.note"], "x");
    assert_eq!(at.path().join("tmp/in").metadata().unwrap().mtime(), 1000);
    assert_eq!(
        at.path().join("tmp/other").metadata().unwrap().mode() & 0o7777,
        0o755
    );
}

#[test]
fn implicit_directories_give_way_to_links_below() {
    if !root() {
        return;
    }
    let (at, _lower) = settled(
        vec![
            dir("usr"),
            dir("usr/lib"),
            (Header::directory("usr/lib/sub", 0o700).modified_at(77), b""),
            symlink("lib", "usr/lib"),
            symlink("lib64", "/lib"),
            symlink("dangling", "nowhere"),
        ],
        vec![
            file("lib/new", "n"),
            file("lib/sub/f", "s"),
            file("lib64/other", "o"),
            file("dangling/f", "d"),
            file("lib/.wh.old", ""),
        ],
    )
    .unwrap();
    let at = at.path();
    assert!(!at.join("lib").exists() && !at.join("lib64").exists());
    assert_eq!(read(at.join("usr/lib/new")), "n");
    assert_eq!(read(at.join("usr/lib/sub/f")), "s");
    assert_eq!(read(at.join("usr/lib/other")), "o");
    assert_eq!(read(at.join("dangling/f")), "d");
    let sub = at.join("usr/lib/sub").metadata().unwrap();
    assert_eq!((sub.mode() & 0o777, sub.mtime()), (0o700, 77));
}

#[test]
fn links_to_files_below_are_copies_with_both_names() {
    if !root() {
        return;
    }
    let (at, lower) = settled(
        vec![
            dir("bin"),
            (
                Header::file("bin/a", 0o4755, 0)
                    .owned_by(5, 6)
                    .modified_at(70),
                b"program",
            ),
            symlink("s", "bin/a"),
        ],
        vec![
            hardlink("usr/b", "bin/a"),
            hardlink("usr/c", "bin/a"),
            hardlink("t", "s"),
        ],
    )
    .unwrap();
    let all = listing(at.path());
    for name in ["bin/a", "usr/b", "usr/c"] {
        assert_eq!(
            all[Path::new(name)],
            r#"file 3 "program" 4755 (5, 6) 70 {}"#,
            "{name}"
        );
    }
    assert!(all[Path::new("t")].starts_with("link \"bin/a\""));
    assert_eq!(at.path().join("bin").metadata().unwrap().mtime(), 1000);
    assert_eq!(
        lower.path().join("bin/a").metadata().unwrap().nlink(),
        1,
        "below stays as it is"
    );
}

#[test]
fn a_renamed_file_is_a_link_and_a_whiteout() {
    if !root() {
        return;
    }
    let (at, _lower) = settled(
        vec![file("a", "x")],
        vec![hardlink("b", "a"), file(".wh.a", "")],
    )
    .unwrap();
    assert!(is_whiteout(&at.path().join("a")));
    assert_eq!(read(at.path().join("b")), "x");
}

#[test]
fn a_link_to_nothing_is_an_error() {
    let error = settled(vec![dir("a")], vec![hardlink("b", "gone/x")]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "hard link b: target gone/x does not exist"
    );
    assert!(
        settled(vec![dir("a")], vec![hardlink("b", "a")]).is_err(),
        "a directory"
    );
    let (layer, applied) = layer(vec![hardlink("b", "a")]);
    assert!(settle(open(layer.path()).as_fd(), None, &applied).is_err());
}

#[test]
fn whiteouts_of_nothing_go_away() {
    if !root() {
        return;
    }
    let (at, _lower) = settled(
        vec![dir("d"), file("d/there", "x")],
        vec![
            dir("d"),
            file("d/.wh.there", ""),
            file("d/.wh.missing", ""),
            file("e/.wh.f", ""),
        ],
    )
    .unwrap();
    let at = at.path();
    assert!(is_whiteout(&at.join("d/there")));
    assert!(!is_whiteout(&at.join("d/missing")) && !is_whiteout(&at.join("e/f")));
    assert_eq!(
        at.join("d").metadata().unwrap().mtime(),
        1000,
        "times are set back"
    );
}

#[test]
fn an_opaque_root_hides_every_name() {
    if !root() {
        return;
    }
    let (at, _lower) = settled(
        vec![dir("a"), dir("b"), file("c", "x"), file("d", "x")],
        vec![file(".wh..wh..opq", ""), dir("b"), file("d", "mine")],
    )
    .unwrap();
    let at = at.path();
    assert!(is_whiteout(&at.join("a")) && is_whiteout(&at.join("c")) && is_opaque(&at.join("b")));
    assert_eq!(read(at.join("d")), "mine");
}
