//! Paths as text, as they stand in a Dockerfile and in an image's configuration.

/// `path` from `directory`, without `.`, `..` and doubled slashes, never above the root; a slash at the end stays.
pub(crate) fn absolute(directory: &str, path: &str) -> String {
    let parts = match path.starts_with('/') {
        true => "".split('/').chain(path.split('/')),
        false => directory.split('/').chain(path.split('/')),
    };
    let mut kept: Vec<&str> = Vec::new();
    for part in parts {
        match part {
            "" | "." => {}
            ".." => {
                kept.pop();
            }
            part => kept.push(part),
        }
    }
    let mut joined = format!("/{}", kept.join("/"));
    if path.ends_with('/') && joined != "/" {
        joined.push('/');
    }
    joined
}

/// The last part of a path; empty for the root.
pub(crate) fn base(path: &str) -> &str {
    let path = path.trim_end_matches('/');
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned() {
        for (directory, path, expected) in [
            ("/", "a", "/a"),
            ("/w", "./", "/w/"),
            ("/w", "", "/w"),
            ("/w", "../../x//y/", "/x/y/"),
            ("/w", "/a/../b//c", "/b/c"),
            ("", "foo", "/foo"),
            ("/", "/", "/"),
        ] {
            assert_eq!(absolute(directory, path), expected, "{directory} {path}");
        }
        assert_eq!(base("/a/b/"), "b");
        assert_eq!(base("/"), "");
    }
}
