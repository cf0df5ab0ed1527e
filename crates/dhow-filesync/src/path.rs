//! Paths as they are sent: relative, clean, with slashes, and in the order of a walk.

use std::cmp::Ordering;

/// The longest path.
const LONGEST: usize = 4096;
/// The longest name in it.
const LONGEST_NAME: usize = 255;

/// Compares two paths so that what is below a directory comes right after it: bytes, the slash before all others.
pub(crate) fn compare(one: &str, other: &str) -> Ordering {
    let rank = |byte: &u8| {
        if *byte == b'/' {
            0
        } else {
            u16::from(*byte) + 1
        }
    };
    one.bytes()
        .map(|b| rank(&b))
        .cmp(other.bytes().map(|b| rank(&b)))
}

/// Why a path can't be taken, if so.
pub(crate) fn fault(path: &str) -> Option<String> {
    if path.is_empty() || path.len() > LONGEST || path.contains('\0') {
        return Some(format!("invalid path {path:?}"));
    }
    let name_fault = |name: &str| matches!(name, "" | "." | "..") || name.len() > LONGEST_NAME;
    path.split('/')
        .any(name_fault)
        .then(|| format!("path {path:?} is not clean"))
}

/// The directory that a path is in and its name there.
pub(crate) fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_stands_right_before_what_is_in_it() {
        let mut paths = ["a.b", "a/x", "a", "a/b/c", "a-", "b", "a/b"];
        paths.sort_by(|one, other| compare(one, other));
        assert_eq!(paths, ["a", "a/b", "a/b/c", "a/x", "a-", "a.b", "b"]);
    }

    #[test]
    fn paths_that_lead_elsewhere_are_refused() {
        for path in [
            "", "/a", "a/", "../a", "a/../b", "a/./b", "a//b", ".", "a\0b",
        ] {
            assert!(fault(path).is_some(), "{path:?}");
        }
        for path in ["a", "a/b", "..a", "a../b", "...", "-", "ä/ö"] {
            assert_eq!(fault(path), None, "{path:?}");
        }
    }
}
