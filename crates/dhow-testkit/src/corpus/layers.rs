//! How layers hide and replace what is below them.

use super::entries::capability;
use super::image::ImageBuilder;
use super::tar::{Entry, MTIME, Tar};
use super::{Case, base};

pub(super) fn cases() -> Vec<Case> {
    [
        whiteouts(),
        opaque(),
        both(),
        replaced(),
        changed(),
        linked(),
        many(),
    ]
    .concat()
}

fn over(name: &'static str, entries: impl IntoIterator<Item = Entry>) -> Case {
    Case::of(name, [base(), Tar::new().all(entries)])
}

fn whiteouts() -> Vec<Case> {
    let gone = Entry::whiteout;
    vec![
        over(
            "whiteout",
            [
                gone("etc", "hosts"),
                gone("", "null"),
                gone("usr/bin", "twin"),
                gone("", "bin"),
                gone("var/lib", "deep"),
            ],
        ),
        over(
            "whiteout-with-parents",
            [
                Entry::dir("var").mode(0o700),
                Entry::dir("var/lib").mode(0o755).owner(1, 1),
                gone("var/lib", "one"),
            ],
        ),
        over(
            "whiteout-of-nothing",
            [
                gone("etc", "never"),
                gone("", "never"),
                gone("new/dir", "never"),
                gone("etc/hosts.d", "never"),
            ],
        ),
        Case::of(
            "whiteout-in-the-lowest",
            [Tar::new().all([gone("etc", "x"), Entry::file("y", "y")])],
        ),
        over(
            "whiteouts-only",
            [gone("", "etc"), gone("", "var"), gone("", "usr")],
        ),
    ]
}

fn opaque() -> Vec<Case> {
    vec![
        over(
            "opaque",
            [
                Entry::dir("var/lib"),
                Entry::opaque("var/lib"),
                Entry::file("var/lib/new", "x"),
            ],
        ),
        over(
            "opaque-last",
            [
                Entry::dir("var/lib").mode(0o700),
                Entry::file("var/lib/new", "x"),
                Entry::file("var/lib/deep/er/new", "x"),
                Entry::opaque("var/lib"),
            ],
        ),
        over(
            "opaque-unmentioned",
            [Entry::opaque("var/lib"), Entry::opaque("etc")],
        ),
        over(
            "opaque-root",
            [Entry::opaque(""), Entry::file("alone", "x")],
        )
        .but("OCI: the root too can be opaque; Docker shows what is below"),
        over(
            "opaque-of-nothing",
            [
                Entry::dir("new"),
                Entry::opaque("new"),
                Entry::file("new/file", "x"),
            ],
        ),
    ]
}

fn both() -> Vec<Case> {
    let gone = Entry::whiteout;
    vec![
        over(
            "whiteout-then-again",
            [
                gone("var", "lib"),
                Entry::dir("var/lib").mode(0o755),
                Entry::file("var/lib/again", "x"),
                gone("etc", "hosts"),
                Entry::file("etc/hosts", "again"),
            ],
        )
        .but("OCI: a whiteout hides what is below, not what its own layer has, wherever in the archive it stands"),
        over(
            "again-then-whiteout",
            [
                Entry::dir("var/lib").mode(0o755),
                Entry::file("var/lib/again", "x"),
                gone("var", "lib"),
                Entry::file("etc/hosts", "again"),
                gone("etc", "hosts"),
            ],
        )
        .but("OCI: a whiteout hides what is below, not what its own layer has, wherever in the archive it stands"),
        Case::of(
            "whiteout-and-back",
            [
                base(),
                Tar::new().all([gone("var", "lib"), gone("etc", "hosts")]),
                Tar::new().all([
                    Entry::dir("var/lib").mode(0o700),
                    Entry::file("var/lib/back", "x"),
                    Entry::file("etc/hosts", "back"),
                ]),
            ],
        ),
        over(
            "aufs",
            [
                Entry::dir(".wh..wh.plnk").mode(0o700),
                Entry::file(".wh..wh.plnk/1.2", "x"),
                Entry::file(".wh..wh.aufs", "").mode(0o444),
                Entry::dir(".wh..wh.orph").mode(0o700),
                Entry::file("real", "x"),
            ],
        ),
    ]
}

fn replaced() -> Vec<Case> {
    vec![
        Case::of(
            "file-dir-file",
            [
                Tar::new().with(Entry::file("x", "file")),
                Tar::new().all([Entry::dir("x"), Entry::file("x/inner", "in")]),
                Tar::new().with(Entry::file("x", "file again")),
            ],
        ),
        Case::of(
            "dir-file-dir",
            [
                Tar::new().all([Entry::dir("x"), Entry::file("x/first", "1")]),
                Tar::new().with(Entry::file("x", "file")),
                Tar::new().all([Entry::dir("x").mode(0o700), Entry::file("x/second", "2")]),
            ],
        ),
        Case::of(
            "kinds-change",
            [
                Tar::new().all([
                    Entry::file("a", "x"),
                    Entry::symlink("b", "a"),
                    Entry::fifo("c"),
                    Entry::device(b'3', "d", 1, 3),
                    Entry::dir("e"),
                ]),
                Tar::new().all([
                    Entry::symlink("a", "e"),
                    Entry::fifo("b"),
                    Entry::device(b'3', "c", 1, 3),
                    Entry::dir("d"),
                    Entry::file("e", "x"),
                ]),
            ],
        ),
    ]
}

fn changed() -> Vec<Case> {
    vec![
        over(
            "link-becomes-dir",
            [Entry::dir("bin").mode(0o755), Entry::file("bin/own", "x")],
        ),
        over(
            "dir-becomes-link",
            [
                Entry::symlink("var", "usr"),
                Entry::symlink("etc", "/nowhere"),
            ],
        ),
        over(
            "through-a-link",
            [
                Entry::file("bin/new", "x").mode(0o755),
                Entry::file("bin/tool", "newer").mode(0o755),
            ],
        )
        .but("as on one file system after the other: Docker hides the link behind a directory"),
        over(
            "attributes-only",
            [
                Entry::dir("var").mode(0o777).owner(9, 9).mtime(MTIME + 50),
                Entry::dir("usr/bin").xattr("user.other", "kind"),
                Entry::file("etc/hosts", "127.0.0.1 localhost\n")
                    .mode(0o600)
                    .owner(9, 9),
            ],
        ),
        over(
            "below-the-unmentioned",
            [
                Entry::file("var/lib/deep/er/other", "x"),
                Entry::file("usr/bin/more", "x"),
                Entry::symlink("etc/link", "hosts"),
            ],
        ),
        over(
            "capability-goes",
            [Entry::file("usr/bin/tool", "x")
                .mode(0o755)
                .xattr("security.capability", capability(1))],
        ),
        Case::of(
            "capability-is-lost",
            [
                Tar::new()
                    .with(Entry::file("tool", "x").xattr("security.capability", capability(1))),
                Tar::new().with(Entry::file("tool", "x")),
            ],
        ),
    ]
}

fn linked() -> Vec<Case> {
    vec![
        over(
            "link-to-below",
            [Entry::hardlink("var/lib/three", "var/lib/two").mode(0o4711)],
        )
        .but("Docker fails: the target of a hard link has to be in the same layer there"),
        over(
            "link-to-below-and-new",
            [
                Entry::file("var/lib/two", "changed"),
                Entry::hardlink("var/lib/three", "var/lib/two"),
                Entry::hardlink("usr/four", "var/lib/three"),
            ],
        ),
        over(
            "link-into-the-opaque",
            [
                Entry::dir("var/lib"),
                Entry::opaque("var/lib"),
                Entry::hardlink("var/lib/three", "var/lib/two"),
            ],
        )
        .but("Docker fails: the target of a hard link has to be in the same layer there"),
        over(
            "target-whited-out",
            [
                Entry::file("first", "x"),
                Entry::hardlink("second", "first"),
                Entry::whiteout("", "first"),
                Entry::whiteout("usr/bin", "tool"),
            ],
        )
        .but("OCI: a whiteout hides what is below, not what its own layer has, wherever in the archive it stands"),
        over("link-nowhere", [Entry::hardlink("here", "not/there")]),
        over("link-to-a-directory", [Entry::hardlink("here", "etc")]),
        over(
            "link-climbs-out",
            [Entry::hardlink("here", "../../etc/hosts")],
        ),
        over("name-climbs-out", [Entry::file("../escaped", "x")])
        .but("refused: whoever climbs out of the root means no good"),
        over(
            "link-leads-out",
            [
                Entry::symlink("out", "/tmp"),
                Entry::file("out/escaped", "x"),
            ],
        ),
        over(
            "link-leads-round",
            [
                Entry::symlink("round", "round"),
                Entry::file("round/file", "x"),
            ],
        ),
    ]
}

fn many() -> Vec<Case> {
    let numbered = |number: usize| {
        let own = Entry::file(format!("layer-{number}"), number.to_string());
        let shared = Entry::file("last", number.to_string())
            .mode(0o600 + u32::from(number.is_multiple_of(2)));
        let tar = Tar::new().all([own, shared, Entry::dir("dir").mtime(MTIME + 1)]);
        match number {
            0 | 1 => tar,
            _ => tar.with(Entry::whiteout("", &format!("layer-{}", number - 2))),
        }
    };
    let stack = |count| {
        let layers = (0..count).map(numbered);
        layers.fold(ImageBuilder::new(), |image, tar| image.layer(tar.finish()))
    };
    let twice = Tar::new().with(Entry::file("same", "x")).finish();
    vec![
        Case::new("layers-127", stack(127).build()),
        Case::new("layers-40", stack(40).build()),
        Case::new("no-layers", ImageBuilder::new().build()),
        Case::of("empty-layers", [Tar::new(), base(), Tar::new(), Tar::new()]),
        Case::new(
            "layer-of-nothing",
            ImageBuilder::new().layer(base().finish()).layer("").build(),
        ),
        Case::new(
            "layer-twice",
            ImageBuilder::new()
                .layer(&twice)
                .layer(Tar::new().with(Entry::whiteout("", "same")).finish())
                .layer(&twice)
                .build(),
        ),
    ]
}
