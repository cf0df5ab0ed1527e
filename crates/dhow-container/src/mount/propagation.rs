//! Whether mounts can spread as asked for: that takes a mount of the host that they spread from. Pure.

use crate::spec::{Invalid, Propagation};

/// Checks that what is mounted at the host's `path` (canonical) can spread as asked for. `mountinfo` is the text of
/// `/proc/self/mountinfo`.
///
/// # Errors
/// The mount that the path is on is private, or a slave where it has to be shared; the texts are Docker's.
pub fn check(mountinfo: &str, path: &str, wish: Propagation) -> Result<(), Invalid> {
    let needs_shared = match wish {
        Propagation::Private | Propagation::RPrivate => return Ok(()),
        Propagation::Shared | Propagation::RShared => true,
        Propagation::Slave | Propagation::RSlave => false,
    };
    let Some((place, tags)) = mount_of(mountinfo, path) else {
        return Err(Invalid(format!("could not find source mount of {path}")));
    };
    let has = |kind: &str| tags.iter().any(|tag| tag.starts_with(kind));
    match (needs_shared, has("shared:"), has("master:")) {
        (_, true, _) | (false, _, true) => Ok(()),
        (true, ..) => Err(Invalid(format!(
            "path {path} is mounted on {place} but it is not a shared mount"
        ))),
        (false, ..) => Err(Invalid(format!(
            "path {path} is mounted on {place} but it is not a shared or slave mount"
        ))),
    }
}

/// The mount that a path is on, and its optional fields. Of several at the same place the last one covers the others.
fn mount_of<'a>(mountinfo: &'a str, path: &str) -> Option<(String, Vec<&'a str>)> {
    let mut best: Option<(String, Vec<&str>)> = None;
    for line in mountinfo.lines() {
        let mut fields = line.split(' ');
        let Some(place) = fields.nth(4).map(unescape) else {
            continue;
        };
        let inside = path == place
            || place == "/"
            || path
                .strip_prefix(&place)
                .is_some_and(|rest| rest.starts_with('/'));
        if inside
            && best
                .as_ref()
                .is_none_or(|(known, _)| known.len() <= place.len())
        {
            let tags = fields.skip(1).take_while(|field| *field != "-").collect();
            best = Some((place, tags));
        }
    }
    best
}

/// Takes the kernel's octal escapes of blanks and backslashes back.
fn unescape(text: &str) -> String {
    let mut plain = text.to_owned();
    for (escape, letter) in [
        ("\\040", " "),
        ("\\011", "\t"),
        ("\\012", "\n"),
        ("\\134", "\\"),
    ] {
        plain = plain.replace(escape, letter);
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
23 22 0:20 / /sh rw shared:5 - tmpfs tmpfs rw
24 22 0:21 / /sl rw master:5 - tmpfs tmpfs rw
25 23 0:22 / /sh/private rw - tmpfs tmpfs rw
26 22 0:23 / /with\\040blank rw shared:6 master:5 - tmpfs tmpfs rw";

    #[test]
    fn mounts_spread_from_shared_ones_only() {
        use Propagation::{RPrivate, RShared, RSlave, Shared, Slave};
        for (path, wish, text) in [
            ("/a", RPrivate, ""),
            (
                "/a",
                RShared,
                "path /a is mounted on / but it is not a shared mount",
            ),
            (
                "/a",
                Slave,
                "path /a is mounted on / but it is not a shared or slave mount",
            ),
            ("/sh", Shared, ""),
            ("/sh/x", RSlave, ""),
            (
                "/shx",
                RShared,
                "path /shx is mounted on / but it is not a shared mount",
            ),
            ("/sl/x", RSlave, ""),
            (
                "/sl/x",
                RShared,
                "path /sl/x is mounted on /sl but it is not a shared mount",
            ),
            (
                "/sh/private/x",
                RShared,
                "path /sh/private/x is mounted on /sh/private but it is not a shared mount",
            ),
            ("/with blank/x", RShared, ""),
        ] {
            let found = check(MOUNTS, path, wish)
                .err()
                .map(|error| error.to_string());
            assert_eq!(found.unwrap_or_default(), text, "{path} {wish}");
        }
    }
}
