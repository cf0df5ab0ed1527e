//! Names in archives.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::Error;

/// The longest path the kernel takes.
const LONGEST: usize = 4095;

/// A name as it is used here: relative, without `.`, `..` and empty components; empty for the root itself.
///
/// # Errors
/// When it climbs out of the root with `..`, or no file could have it.
pub(crate) fn clean(path: &Path) -> Result<Vec<u8>, Error> {
    let bytes = path.as_os_str().as_bytes();
    if bytes.len() > LONGEST {
        return Err(Error::malformed(format!(
            "file name of {} bytes",
            bytes.len()
        )));
    }
    let mut clean = Vec::with_capacity(bytes.len());
    for component in bytes.split(|byte| *byte == b'/') {
        match component {
            b"" | b"." => {}
            b".." if clean.is_empty() => {
                return Err(Error::Outside {
                    path: path.to_owned(),
                });
            }
            b".." => {
                let parent = clean.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
                clean.truncate(parent);
            }
            name => {
                if !clean.is_empty() {
                    clean.push(b'/');
                }
                clean.extend_from_slice(name);
            }
        }
    }
    Ok(clean)
}

/// Where the symbolic link `target` in the directory `parent` leads, both relative to the root; `..` stops at the root.
pub fn follow(parent: &[u8], target: &[u8]) -> Vec<u8> {
    let mut path: Vec<&[u8]> = match target.first() {
        Some(b'/') => Vec::new(),
        _ => parent
            .split(|byte| *byte == b'/')
            .filter(|name| !name.is_empty())
            .collect(),
    };
    for component in target.split(|byte| *byte == b'/') {
        match component {
            b"" | b"." => {}
            b".." => drop(path.pop()),
            name => path.push(name),
        }
    }
    path.join(&b'/')
}

/// Parent and last component of a clean path that is not empty.
pub fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (&[], path),
    }
}

/// `parent/name`, where either may be empty.
pub fn join(parent: &[u8], name: &[u8]) -> Vec<u8> {
    match (parent, name) {
        ([], path) | (path, []) => path.to_vec(),
        _ => [parent, b"/", name].concat(),
    }
}

pub(crate) fn as_path(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

pub(crate) fn to_path(bytes: &[u8]) -> PathBuf {
    as_path(bytes).to_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn names_are_cleaned() {
        for (name, expected) in [
            ("a/b", "a/b"),
            ("./a//b/", "a/b"),
            ("/etc/passwd", "etc/passwd"),
            ("a/../b", "b"),
            ("a/b/../../c", "c"),
            ("", ""),
            ("./", ""),
            ("/", ""),
            ("a/..", ""),
        ] {
            assert_eq!(
                clean(Path::new(name)).unwrap(),
                expected.as_bytes(),
                "{name}"
            );
        }
        for name in ["..", "../x", "a/../../x", "/../x"] {
            assert!(
                matches!(clean(Path::new(name)), Err(Error::Outside { .. })),
                "{name}"
            );
        }
        assert!(clean(Path::new(&"x/".repeat(3000))).is_err());
    }

    #[test]
    fn links_stay_inside() {
        for (parent, target, expected) in [
            ("usr", "lib", "usr/lib"),
            ("usr", "/lib", "lib"),
            ("usr/share", "../lib", "usr/lib"),
            ("usr", "../../../../etc", "etc"),
            ("", "..", ""),
        ] {
            let path = follow(parent.as_bytes(), target.as_bytes());
            assert_eq!(path, expected.as_bytes(), "{parent} {target}");
        }
    }
}
