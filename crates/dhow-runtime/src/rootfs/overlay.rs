//! Mounts of layers: the content of an image, shown in a container; with a directory for what is written there, if any.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use dhow_sys::overlay::OverlayMount;
use rustix::fs::OFlags;

use super::options::{MountPlan, Recursive};
use super::{paths, tree};

/// The option with the layers' paths, the topmost first, joined by colons; a backslash takes a colon's meaning away.
const LOWER: &str = "lowerdir=";
/// The option with the directory that is written to.
const UPPER: &str = "upperdir=";
/// The option with the directory that the kernel needs for that.
const WORK: &str = "workdir=";

/// Whether the mount says its directories and nothing else.
pub(super) fn is_layers(mount: &MountPlan) -> bool {
    let data = mount.data.as_slice();
    let known = |option: &String| {
        [LOWER, UPPER, WORK]
            .iter()
            .any(|key| option.starts_with(key))
    };
    value(data, LOWER).is_some()
        && value(data, UPPER).is_some() == value(data, WORK).is_some()
        && data.iter().all(known)
}

fn value<'a>(data: &'a [String], key: &str) -> Option<&'a str> {
    data.iter().find_map(|option| option.strip_prefix(key))
}

/// The layers as one tree, mounted nowhere; of a mount with a subpath, what is there for a process whose root the tree
/// is.
pub(super) fn layers(mount: &MountPlan) -> io::Result<OwnedFd> {
    let data = mount.data.as_slice();
    let upper = value(data, UPPER).map(PathBuf::from);
    let overlay = OverlayMount {
        lower: split(value(data, LOWER).unwrap_or_default()),
        read_only: upper.is_none(),
        // What is written goes away with its container.
        volatile: upper.is_some(),
        upper,
        work: value(data, WORK).map(PathBuf::from),
    };
    let tree = overlay
        .detached()
        .map_err(|error| io::Error::other(dhow_errdefs::chain(&error).to_string()))?;
    let Some(path) = &mount.subpath else {
        return Ok(tree);
    };
    let place = paths::open(tree.as_fd(), path, OFlags::PATH)?;
    tree::clone_at(place.as_fd(), Recursive::No)
}

/// The paths in a `lowerdir` option.
fn split(text: &str) -> Vec<PathBuf> {
    let mut paths = vec![String::new()];
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match (letter, paths.last_mut()) {
            (':', _) => paths.push(String::new()),
            ('\\', Some(path)) => path.extend(letters.next()),
            (letter, Some(path)) => path.push(letter),
            (_, None) => {}
        }
    }
    paths.retain(|path| !path.is_empty());
    paths.into_iter().map(PathBuf::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_known_by_their_options() {
        for (data, expected) in [
            (&["lowerdir=/a"][..], true),
            (&["lowerdir=/a:/b", "upperdir=/u", "workdir=/w"], true),
            (&["lowerdir=/a", "upperdir=/u"], false),
            (&["lowerdir=/a", "xino=on"], false),
            (&["upperdir=/u", "workdir=/w"], false),
        ] {
            let mount = MountPlan {
                data: data.iter().map(ToString::to_string).collect(),
                ..MountPlan::default()
            };
            assert_eq!(is_layers(&mount), expected, "{data:?}");
        }
    }

    #[test]
    fn layers_are_told_apart() {
        let expected: Vec<PathBuf> = ["/a", "/b:c", "/d\\e"].map(PathBuf::from).to_vec();
        assert_eq!(split("/a:/b\\:c:/d\\\\e"), expected);
        assert!(split("").is_empty());
    }
}
