//! Paths as `cp` understands them: what stands at their end decides what is copied, and under which name. Pure.

use crate::error::{Error, Result};

/// What is copied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) path: String,
    pub(super) is_folder: bool,
    /// The name it was asked for by, where following a link has led to another one.
    pub(super) name: Option<String>,
}

/// Where to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) path: String,
    pub(super) exists: bool,
    pub(super) is_folder: bool,
}

/// How an archive of the source becomes the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    /// The folder it is unpacked into.
    pub(super) folder: String,
    /// The name its top gets there.
    pub(super) name: String,
}

/// Decides under which name, and in which folder, the source arrives.
pub(super) fn plan(source: &Source, target: &Target) -> Result<Plan> {
    let own = || {
        let name = source.name.clone();
        name.unwrap_or_else(|| split(&source.path).1)
    };
    let (folder, name) = split(&target.path);
    match (target.exists, target.is_folder, source.is_folder) {
        (true, true, _) => Ok(Plan {
            folder: target.path.clone(),
            name: own(),
        }),
        (true, false, true) => Err(Error::text("cannot copy directory")),
        (false, _, false) if means_folder(&target.path) => Err(Error::text("no such directory")),
        _ => Ok(Plan { folder, name }),
    }
}

/// A container and a path in it, if the argument names one.
pub(super) fn container(argument: &str) -> Option<(&str, &str)> {
    if argument.starts_with('/') || argument.starts_with('.') {
        return None;
    }
    argument
        .split_once(':')
        .filter(|(name, _)| !name.is_empty())
}

/// Go's `filepath.Clean`.
pub(super) fn clean(path: &str) -> String {
    let absolute = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match (part, parts.last()) {
            ("" | ".", _) => {}
            ("..", Some(&last)) if last != ".." => {
                parts.pop();
            }
            ("..", _) if absolute => {}
            (part, _) => parts.push(part),
        }
    }
    match (absolute, parts.join("/")) {
        (true, path) => format!("/{path}"),
        (false, path) if path.is_empty() => ".".to_owned(),
        (false, path) => path,
    }
}

/// The last part of a path; `.` and `/` for what has none.
pub(super) fn base(path: &str) -> &str {
    match path.trim_end_matches('/') {
        "" if path.is_empty() => ".",
        "" => "/",
        path => path.rsplit('/').next().unwrap_or(path),
    }
}

/// Folder and last part of a path; a dot at its end is the last part.
pub(super) fn split(path: &str) -> (String, String) {
    let mut cleaned = clean(path);
    if base(path) == "." && cleaned != "." {
        cleaned.push_str("/.");
    }
    let folder = match cleaned.rsplit_once('/') {
        Some(("", _)) => "/".to_owned(),
        Some((folder, _)) => clean(folder),
        None => ".".to_owned(),
    };
    (folder, base(&cleaned).to_owned())
}

/// Whether a path can only be a folder's.
pub(super) fn means_folder(path: &str) -> bool {
    path.ends_with('/') || base(path) == "."
}

/// `path` with what stood at the end of `given` and got lost.
pub(super) fn with_end(path: String, given: &str) -> String {
    if base(given) == "." && base(&path) != "." {
        let slash = if path.ends_with('/') { "" } else { "/" };
        return format!("{path}{slash}.");
    }
    match given.ends_with('/') && !path.ends_with('/') {
        true => format!("{path}/"),
        false => path,
    }
}

/// The path that a link leads to, given that of the link.
pub(super) fn linked(link: &str, target: &str) -> String {
    match target.starts_with('/') {
        true => target.to_owned(),
        false => clean(&format!("{}/{target}", split(link).0)),
    }
}

/// A source that was asked for as `given` and found, after following links, at `found`.
pub(super) fn followed(given: &str, found: String, is_folder: bool) -> Source {
    let path = with_end(found, given);
    let name = (base(given) != base(&path)).then(|| base(given).to_owned());
    Source {
        path,
        is_folder,
        name,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn paths_are_gos() {
        for (path, cleaned, last) in [
            ("/a/b/", "/a/b", "b"),
            ("/a/./b/../c", "/a/c", "c"),
            ("", ".", "."),
            ("/", "/", "/"),
            ("../x", "../x", "x"),
            ("/..", "/", ".."),
            ("a/.", "a", "."),
        ] {
            assert_eq!(
                (clean(path).as_str(), base(path)),
                (cleaned, last),
                "{path}"
            );
        }
        for (path, folder, last) in [
            ("/a/b", "/a", "b"),
            ("/a/b/", "/a", "b"),
            ("/a/b/.", "/a/b", "."),
            ("/a", "/", "a"),
            ("/", "/", "/"),
            ("a", ".", "a"),
            (".", ".", "."),
        ] {
            assert_eq!(split(path), (folder.to_owned(), last.to_owned()), "{path}");
        }
    }

    fn planned(source: &str, is_folder: bool, target: &str, there: Option<bool>) -> String {
        let source = Source {
            path: source.to_owned(),
            is_folder,
            name: None,
        };
        let target = Target {
            path: target.to_owned(),
            exists: there.is_some(),
            is_folder: there == Some(true),
        };
        match plan(&source, &target) {
            Ok(plan) => format!("{} {}", plan.folder, plan.name),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn what_is_there_decides_where_it_goes() {
        for (source, is_folder, target, there, expected) in [
            ("/d/x", false, "/t", Some(true), "/t x"),
            ("/d/x", false, "/t/f", Some(false), "/t f"),
            ("/d/x", false, "/t/new", None, "/t new"),
            ("/d/x", false, "/t/new/", None, "no such directory"),
            ("/d", true, "/t", Some(true), "/t d"),
            ("/d/.", true, "/t", Some(true), "/t ."),
            ("/d", true, "/t/new", None, "/t new"),
            ("/d", true, "/t/new/", None, "/t new"),
            ("/d/.", true, "/t/new", None, "/t new"),
            ("/d", true, "/t/f", Some(false), "cannot copy directory"),
        ] {
            let found = planned(source, is_folder, target, there);
            assert_eq!(found, expected, "{source} {target}");
        }
    }

    #[test]
    fn followed_links_keep_the_name_that_was_asked_for() {
        let source = followed("/d/link", "/d/file".into(), false);
        assert_eq!(source.name.as_deref(), Some("link"));
        let source = followed("/link/", "/dir".into(), true);
        assert_eq!(
            (source.path.as_str(), source.name.as_deref()),
            ("/dir/", Some("link"))
        );
        let source = followed("/link/.", "/dir".into(), true);
        assert_eq!((source.path.as_str(), source.name), ("/dir/.", None));
        assert_eq!(linked("/a/link", "b"), "/a/b");
        assert_eq!(linked("/a/link", "../c"), "/c");
        assert_eq!(linked("/a/link", "/b"), "/b");
    }

    #[test]
    fn only_names_with_a_colon_are_containers() {
        assert_eq!(container("c:/x"), Some(("c", "/x")));
        assert_eq!(container("c:"), Some(("c", "")));
        for argument in ["/a:b", "./a:b", ":x", "x", "-"] {
            assert_eq!(container(argument), None, "{argument}");
        }
    }
}
