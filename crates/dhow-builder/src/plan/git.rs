//! Addresses of git repositories, as contexts and `ADD` take them.

use crate::graph::GitOp;
use crate::plan::problem::Problem;

/// The repository that a text means; nothing when it is something else.
///
/// `https://host/path.git`, `ssh://…`, `git://…`, `user@host:path`; then `#ref:directory`, or a query with `ref`, `branch`,
/// `tag`, `commit` (or `checksum`), `subdir`, `keep-git-dir` and `submodules`.
///
/// # Errors
/// It means one, but says something that makes no sense, in BuildKit's words.
pub(crate) fn parse(text: &str) -> Result<Option<GitOp>, Problem> {
    let (address, fragment) = match text.split_once('#') {
        Some((address, fragment)) => (address, Some(fragment)),
        None => (text, None),
    };
    let (path, query) = match address.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (address, None),
    };
    let Some(remote) = remote(path) else {
        return Ok(None);
    };
    let mut op = GitOp {
        remote,
        reference: None,
        subdirectory: None,
        checksum: None,
        keep_git_dir: false,
        submodules: true,
        auth: None,
    };
    if let Some(fragment) = fragment {
        let (reference, directory) = fragment.split_once(':').unwrap_or((fragment, ""));
        op.reference = Some(reference.to_owned()).filter(|text| !text.is_empty());
        op.subdirectory = subdirectory(directory);
    }
    if let Some(query) = query {
        ask(&mut op, query)?;
    }
    Ok(Some(op))
}

/// The remote, if the text has the form of one.
fn remote(path: &str) -> Option<String> {
    for scheme in ["git://", "ssh://"] {
        if path.starts_with(scheme) {
            return Some(path.to_owned());
        }
    }
    if path.starts_with("http://") || path.starts_with("https://") {
        return path.ends_with(".git").then(|| path.to_owned());
    }
    if path.contains("://") {
        return None;
    }
    // user@host:path, and nothing that could be a path.
    let (user, rest) = path.split_once('@')?;
    let (host, below) = rest.split_once(':')?;
    let plain = |text: &str| {
        !text.is_empty()
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
    };
    (plain(user) && plain(host) && !below.is_empty()).then(|| path.to_owned())
}

fn subdirectory(text: &str) -> Option<String> {
    let clean = crate::plan::path::absolute("/", text);
    Some(clean.trim_matches('/').to_owned()).filter(|text| !text.is_empty())
}

fn ask(op: &mut GitOp, query: &str) -> Result<(), Problem> {
    let mut named: Option<(&str, String)> = None;
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = decoded(value);
        match key {
            "ref" | "branch" | "tag" => {
                if let Some((other, _)) = &named {
                    return Err(format!("{key} conflicts with {other}").into());
                }
                let reference = match key {
                    "branch" => format!("refs/heads/{value}"),
                    "tag" => format!("refs/tags/{value}"),
                    _ => value,
                };
                named = Some((key, reference));
            }
            "commit" | "checksum" => match &op.checksum {
                Some(other) if *other != value => {
                    return Err("commit conflicts with checksum".into());
                }
                _ => op.checksum = Some(value),
            },
            "subdir" => op.subdirectory = subdirectory(&value),
            "keep-git-dir" => op.keep_git_dir = switch(key, &value)?,
            "submodules" => op.submodules = switch(key, &value)?,
            _ => return Err(format!("unexpected query {key:?}").into()),
        }
    }
    if let Some((key, reference)) = named {
        if op.reference.is_some() {
            return Err(format!("{key} conflicts with the fragment of the address").into());
        }
        op.reference = Some(reference);
    }
    if op.reference.is_none() {
        op.reference.clone_from(&op.checksum);
    }
    Ok(())
}

/// A key without a value is a yes.
fn switch(key: &str, value: &str) -> Result<bool, Problem> {
    if value.is_empty() {
        return Ok(true);
    }
    dhow_golang::parse_bool(value).map_err(|_| format!("invalid {key} value: {value:?}").into())
}

/// Without `%41` and `+`.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let hex = |digits: &[u8]| {
            let text = std::str::from_utf8(digits).ok()?;
            u8::from_str_radix(text, 16).ok()
        };
        match (first, after) {
            (b'%', [a, b, tail @ ..]) if hex(&[*a, *b]).is_some() => {
                bytes.extend(hex(&[*a, *b]));
                rest = tail;
            }
            (b'+', _) => {
                bytes.push(b' ');
                rest = after;
            }
            (other, _) => {
                bytes.push(*other);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn repositories_are_told_from_other_addresses() {
        for text in [
            "https://example.com/a.git",
            "ssh://git@example.com/a",
            "git://example.com/a",
            "git@example.com:a/b.git#main:sub",
        ] {
            assert!(parse(text).unwrap().is_some(), "{text}");
        }
        for text in ["https://example.com/a", "a.git", "./a@b", "dir/file", "a:b"] {
            assert!(parse(text).unwrap().is_none(), "{text}");
        }
    }

    #[test]
    fn fragments_and_queries_say_what_is_wanted() {
        let op = |text| parse(text).unwrap().unwrap();
        let one = op("https://example.com/a.git#v1:sub/../dir/");
        assert_eq!(one.remote, "https://example.com/a.git");
        assert_eq!(one.reference.as_deref(), Some("v1"));
        assert_eq!(one.subdirectory.as_deref(), Some("dir"));
        let two = op(
            "https://example.com/a.git?branch=x%2Fy&subdir=d&commit=abc&keep-git-dir=1&submodules=false",
        );
        assert_eq!(two.reference.as_deref(), Some("refs/heads/x/y"));
        assert_eq!(two.checksum.as_deref(), Some("abc"));
        assert!(two.keep_git_dir && !two.submodules);
        assert_eq!(
            op("git://h/a?checksum=abc").reference.as_deref(),
            Some("abc")
        );
        for wrong in [
            "git://h/a?tag=a&branch=b",
            "git://h/a?what=1",
            "git://h/a?ref=a#b",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
