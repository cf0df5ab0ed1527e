//! Random work on overlay mounts: a layer made of it, applied alone, gives the same file system again.

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use dhow_archive::{ApplyOptions, apply, diff, export, settle};
use dhow_sys::overlay::OverlayMount;
use tempfile::TempDir;

use crate::common::{listing, open, root};

/// Reproducible random numbers (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) % limit
    }

    /// A path of few names, so that the same ones come again.
    fn path(&mut self) -> PathBuf {
        let depth = 1 + self.below(3);
        let names = ["a", "b", "c", "d", "with space", ".hidden"];
        (0..depth)
            .map(|_| names[usize::try_from(self.below(6)).unwrap()])
            .collect()
    }
}

/// One random change below `at`; what is impossible there is left.
fn change(random: &mut Random, at: &Path) {
    let (path, other) = (at.join(random.path()), at.join(random.path()));
    let number = random.below(1 << 20);
    let _ = match random.below(12) {
        0..3 => fs::write(&path, number.to_string()),
        3 => fs::create_dir_all(&path),
        4 => fs::remove_file(&path),
        5 => fs::remove_dir_all(&path),
        6 => fs::rename(&path, &other),
        7 => fs::hard_link(&path, &other),
        8 => symlink(random.path(), &path),
        9 => {
            let mode = PermissionsExt::from_mode(0o400 | u32::try_from(number).unwrap() & 0o7777);
            match path.is_symlink() {
                true => Ok(()),
                false => fs::set_permissions(&path, mode),
            }
        }
        10 => match path.is_symlink() {
            true => Ok(()),
            false => chown(&path, Some(u32::try_from(number).unwrap()), Some(5)),
        },
        _ => fs::remove_dir_all(&path).and_then(|()| fs::create_dir(&path)),
    };
}

fn mounted(lower: &[&TempDir], work: Option<&TempDir>) -> (OwnedFd, PathBuf) {
    let overlay = OverlayMount {
        lower: lower.iter().map(|layer| layer.path().to_owned()).collect(),
        upper: work.map(|work| work.path().join("upper")),
        work: work.map(|work| work.path().join("work")),
        read_only: false,
        volatile: false,
    };
    let mount = overlay.detached().unwrap();
    let path = PathBuf::from(format!("/proc/self/fd/{}/", mount.as_raw_fd()));
    (mount, path)
}

/// Without the number of names of each file: overlayfs counts those as well that are hidden.
fn uncounted(mut listing: BTreeMap<PathBuf, String>) -> BTreeMap<PathBuf, String> {
    for text in listing.values_mut() {
        if let Some(rest) = text.strip_prefix("file ") {
            *text = rest.split_once(' ').unwrap().1.to_owned();
        }
    }
    listing
}

#[test]
fn layers_made_of_random_work_give_the_same_tree() {
    if !root() {
        return;
    }
    for seed in 1_u64..25 {
        let mut random = Random(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(seed));
        let base = tempfile::tempdir().unwrap();
        (0..80).for_each(|_| change(&mut random, base.path()));
        let second = tempfile::tempdir().unwrap();
        fs::write(second.path().join("only here"), "x").unwrap();
        let work = tempfile::tempdir().unwrap();
        fs::create_dir(work.path().join("upper")).unwrap();
        fs::create_dir(work.path().join("work")).unwrap();
        let (_mount, path) = mounted(&[&second, &base], Some(&work));
        (0..80).for_each(|_| change(&mut random, &path));

        let mut tar = Vec::new();
        diff(open(&work.path().join("upper")).as_fd(), &mut tar).unwrap();
        let again = tempfile::tempdir().unwrap();
        let applied = apply(tar.as_slice(), again.path(), &ApplyOptions::default()).unwrap();
        let (below, _) = mounted(&[&second, &base], None);
        settle(open(again.path()).as_fd(), Some(below.as_fd()), &applied).unwrap();
        let (merged, merged_path) = mounted(&[&again, &second, &base], None);
        assert_eq!(listing(&merged_path), listing(&path), "seed {seed}");

        let mut whole = Vec::new();
        export(merged.as_fd(), &mut whole).unwrap();
        let flat = tempfile::tempdir().unwrap();
        let applied = apply(whole.as_slice(), flat.path(), &ApplyOptions::default()).unwrap();
        assert!(applied.implicit_dirs.is_empty() && applied.foreign_hardlinks.is_empty());
        let (left, right) = (listing(flat.path()), listing(&path));
        assert_eq!(uncounted(left), uncounted(right), "export, seed {seed}");
    }
}
