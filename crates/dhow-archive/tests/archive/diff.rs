//! What real overlay mounts write, as changes and as layers.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use dhow_archive::{ApplyOptions, ChangeKind, apply, changes, diff, settle, usage};
use dhow_sys::overlay::OverlayMount;
use tempfile::TempDir;

use crate::common::{dir, file, hardlink, layer, listing, names, open, root, symlink as link};

/// An overlay over one layer, to be written to below [`Overlay::path`].
struct Overlay {
    lower: TempDir,
    at: TempDir,
    mount: OwnedFd,
}

impl Overlay {
    fn new() -> Self {
        let (lower, applied) = layer([
            dir("etc"),
            file("etc/passwd", "root"),
            file("etc/group", "wheel"),
            dir("var"),
            dir("var/lib"),
            file("var/lib/a", "a"),
            file("var/lib/b", "b"),
            dir("gone"),
            file("gone/f", "f"),
            link("bin", "etc"),
            file("one", "1"),
            hardlink("two", "one"),
            dir("."),
        ]);
        settle(open(lower.path()).as_fd(), None, &applied).unwrap();
        let at = tempfile::tempdir().unwrap();
        for name in ["upper", "work", "empty"] {
            std::fs::create_dir(at.path().join(name)).unwrap();
        }
        let mount = OverlayMount {
            lower: vec![lower.path().to_owned()],
            upper: Some(at.path().join("upper")),
            work: Some(at.path().join("work")),
            read_only: false,
            volatile: false,
        };
        let mount = mount.detached().unwrap();
        Self { lower, at, mount }
    }

    fn path(&self, path: &str) -> PathBuf {
        use std::os::fd::AsRawFd;
        PathBuf::from(format!("/proc/self/fd/{}", self.mount.as_raw_fd())).join(path)
    }

    fn upper(&self) -> File {
        open(&self.at.path().join("upper"))
    }

    /// All sorts of changes.
    fn change(&self) {
        std::fs::write(self.path("etc/passwd"), "changed").unwrap();
        std::fs::remove_file(self.path("etc/group")).unwrap();
        std::fs::create_dir_all(self.path("new/dir")).unwrap();
        std::fs::write(self.path("new/dir/f"), "f").unwrap();
        std::fs::hard_link(self.path("new/dir/f"), self.path("new/g")).unwrap();
        symlink("/etc/passwd", self.path("new/link")).unwrap();
        std::fs::remove_dir_all(self.path("gone")).unwrap();
        std::fs::remove_dir_all(self.path("var/lib")).unwrap();
        std::fs::create_dir(self.path("var/lib")).unwrap();
        std::fs::write(self.path("var/lib/a"), "again").unwrap();
        std::fs::set_permissions(self.path("one"), PermissionsExt::from_mode(0o600)).unwrap();
        std::fs::remove_file(self.path("bin")).unwrap();
        std::fs::write(self.path("bin"), "a file now").unwrap();
    }
}

#[test]
fn changes_are_dockers() {
    if !root() {
        return;
    }
    let overlay = Overlay::new();
    let lower = open(overlay.lower.path());
    let list = || {
        let found = changes(overlay.upper().as_fd(), Some(lower.as_fd())).unwrap();
        let letter = |kind| match kind {
            ChangeKind::Modified => 'C',
            ChangeKind::Added => 'A',
            ChangeKind::Deleted => 'D',
        };
        let text = |change: dhow_archive::Change| {
            format!("{} {}", letter(change.kind), change.path.display())
        };
        found.into_iter().map(text).collect::<Vec<_>>()
    };
    assert!(list().is_empty());
    overlay.change();
    assert_eq!(
        list(),
        [
            "C /bin",
            "C /etc",
            "D /etc/group",
            "C /etc/passwd",
            "D /gone",
            "A /new",
            "A /new/dir",
            "A /new/dir/f",
            "A /new/g",
            "A /new/link",
            "C /one",
            "C /var",
            "C /var/lib",
            "C /var/lib/a",
            "D /var/lib/b",
        ]
    );
    assert_eq!(usage(overlay.upper().as_fd()).unwrap(), 7 + 1 + 5 + 1 + 10);
    let nothing_below = changes(overlay.upper().as_fd(), None).unwrap();
    assert!(
        nothing_below
            .iter()
            .all(|change| change.kind != ChangeKind::Modified)
    );
}

#[test]
fn a_diff_applied_again_is_the_same_layer() {
    if !root() {
        return;
    }
    let overlay = Overlay::new();
    overlay.change();
    let mut tar = Vec::new();
    let written = diff(overlay.upper().as_fd(), &mut tar).unwrap();
    let names = names(&tar);
    assert_eq!(written.entries, names.len() as u64);
    for name in [
        "etc/.wh.group",
        ".wh.gone",
        "var/lib/.wh..wh..opq",
        "new/dir/f",
        "bin",
    ] {
        assert!(
            names.iter().any(|found| found == name),
            "{name} in {names:?}"
        );
    }
    let again = tempfile::tempdir().unwrap();
    let applied = apply(tar.as_slice(), again.path(), &ApplyOptions::default()).unwrap();
    let lower = open(overlay.lower.path());
    settle(open(again.path()).as_fd(), Some(lower.as_fd()), &applied).unwrap();
    assert_eq!(
        listing(again.path()),
        listing(&overlay.at.path().join("upper"))
    );
    let mut second = Vec::new();
    diff(open(again.path()).as_fd(), &mut second).unwrap();
    assert!(second == tar, "the same tree gives the same bytes");
}

#[test]
fn layers_applied_apart_look_like_layers_applied_in_order() {
    if !root() {
        return;
    }
    let overlay = Overlay::new();
    overlay.change();
    let mut tar = Vec::new();
    diff(overlay.upper().as_fd(), &mut tar).unwrap();
    let again = tempfile::tempdir().unwrap();
    let applied = apply(tar.as_slice(), again.path(), &ApplyOptions::default()).unwrap();
    let lower = open(overlay.lower.path());
    settle(open(again.path()).as_fd(), Some(lower.as_fd()), &applied).unwrap();
    let both = OverlayMount {
        lower: vec![again.path().to_owned(), overlay.lower.path().to_owned()],
        ..OverlayMount::default()
    };
    let mount = both.detached().unwrap();
    use std::os::fd::AsRawFd;
    let merged = PathBuf::from(format!("/proc/self/fd/{}/", mount.as_raw_fd()));
    assert_eq!(listing(&merged), listing(&overlay.path("")));
}
