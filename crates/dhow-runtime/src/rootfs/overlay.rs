//! Mounts of read-only layers: the content of an image, shown in a container.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use dhow_sys::overlay::OverlayMount;

use super::mounts::below;
use super::options::{MountPlan, Recursive};

/// The option with the layers' paths, the topmost first, joined by colons; a backslash takes a colon's meaning away.
const LOWER: &str = "lowerdir=";

/// Whether the mount has layers and nothing else: no directory to write to.
pub(super) fn is_layers(mount: &MountPlan) -> bool {
    matches!(mount.data.as_slice(), [only] if only.starts_with(LOWER))
}

/// The layers as one tree, mounted nowhere; of a mount with a subpath, what is there.
pub(super) fn layers(mount: &MountPlan) -> io::Result<OwnedFd> {
    let text = mount
        .data
        .first()
        .map_or("", |option| option.trim_start_matches(LOWER));
    let overlay = OverlayMount {
        lower: split(text),
        read_only: true,
        ..OverlayMount::default()
    };
    let tree = overlay
        .detached()
        .map_err(|error| io::Error::other(dhow_errdefs::chain(&error).to_string()))?;
    match &mount.subpath {
        None => Ok(tree),
        Some(path) => below(tree.as_fd(), path, Recursive::No),
    }
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
    fn layers_are_told_apart() {
        let expected: Vec<PathBuf> = ["/a", "/b:c", "/d\\e"].map(PathBuf::from).to_vec();
        assert_eq!(split("/a:/b\\:c:/d\\\\e"), expected);
        assert!(split("").is_empty());
    }
}
