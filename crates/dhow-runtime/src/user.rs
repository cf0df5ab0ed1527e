//! Looking up a user as Docker writes it (`name|uid[:group|gid]`) in a root file system's own files.
//!
//! `/etc/passwd` and `/etc/group` are opened with `openat2(RESOLVE_IN_ROOT)`, so that nothing in a hostile image leads
//! out of it. Rules and texts are those of moby's `user` package.

use std::io::{self, Read};
use std::num::IntErrorKind;
use std::os::fd::BorrowedFd;
use std::path::Path;

use dhow_errdefs::{Classify, ErrorKind};
use rustix::fs::{FileType, OFlags};

use crate::rootfs::paths;

/// A user that has been looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedUser {
    /// The user id.
    pub uid: u32,
    /// The primary group.
    pub gid: u32,
    /// The primary group, those of the user in `/etc/group`, then the additional ones asked for, each once.
    ///
    /// The primary group is among them so that the program can't lose it by changing to another one: files that a group
    /// is kept out of (mode 0705) would become its to read.
    pub additional_gids: Vec<u32>,
    /// The home directory of `/etc/passwd`; `/` where there is none.
    pub home: String,
}

/// Why a user can't be looked up; the texts are Docker's.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No such user.
    #[error("unable to find user {0}: no matching entries in passwd file")]
    NoUser(String),
    /// No such group.
    #[error("unable to find group {0}: no matching entries in group file")]
    NoGroup(String),
    /// A number out of range.
    #[error("uids and gids must be in range 0-2147483647")]
    Range,
    /// A file that can't be read.
    #[error("cannot read {path} of the container")]
    Read {
        /// Which.
        path: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl Classify for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Read { .. } => ErrorKind::System,
            _ => ErrorKind::InvalidArgument,
        }
    }
}

const PASSWD: &str = "/etc/passwd";
const GROUP: &str = "/etc/group";
/// More than any honest file has; what lies behind it is not looked at.
const LARGEST: u64 = 8 * 1024 * 1024;

/// Looks up `user` and the additional groups in the root file system `root`. An empty string is root.
///
/// # Errors
/// See [`enum@Error`]. A missing file is like an empty one.
pub fn resolve(
    root: BorrowedFd<'_>,
    user: &str,
    additional_groups: &[String],
) -> Result<ResolvedUser, Error> {
    let passwd = read(root, PASSWD)?;
    let (name, group) = match user.split_once(':') {
        Some((name, group)) => (name, Some(group).filter(|group| !group.is_empty())),
        None => (user, None),
    };
    let mut resolved = primary(&passwd, name)?;
    let needs_groups =
        group.is_some() || !resolved.name.is_empty() || !additional_groups.is_empty();
    let groups = if needs_groups {
        read(root, GROUP)?
    } else {
        String::new()
    };
    match group {
        Some(group) => {
            resolved.user.gid =
                find_group(&groups, group)?.ok_or_else(|| Error::NoGroup(group.to_owned()))?;
        }
        None if !resolved.name.is_empty() => {
            resolved.user.additional_gids = groups_of(&groups, &resolved.name);
        }
        None => {}
    }
    let primary = resolved.user.gid;
    let gids = &mut resolved.user.additional_gids;
    gids.retain(|gid| *gid != primary);
    gids.insert(0, primary);
    for wanted in additional_groups {
        let gid = find_group(&groups, wanted)?.ok_or_else(|| Error::NoGroup(wanted.clone()))?;
        if !gids.contains(&gid) {
            gids.push(gid);
        }
    }
    Ok(resolved.user)
}

/// The home directory of `uid` in the root file system `root`, `/` where nothing says another.
#[must_use]
pub fn home_of(root: BorrowedFd<'_>, uid: u32) -> String {
    let passwd = read(root, PASSWD).unwrap_or_default();
    let entry = entries(&passwd).find(|entry| entry.uid == Some(uid));
    entry
        .map(|entry| entry.home)
        .filter(|home| !home.is_empty())
        .unwrap_or("/")
        .to_owned()
}

struct Primary {
    user: ResolvedUser,
    /// The name in the file; empty where the number has none.
    name: String,
}

fn primary(passwd: &str, name: &str) -> Result<Primary, Error> {
    let number = number(name)?;
    // Root by default, by its number.
    let wanted = |entry: &Entry<'_>| match number {
        _ if name.is_empty() => entry.uid == Some(0),
        Some(number) => entry.uid.map(i64::from) == Some(number),
        None => entry.name == name,
    };
    if let Some(entry) = entries(passwd).find(wanted) {
        let home = if entry.home.is_empty() {
            "/"
        } else {
            entry.home
        };
        let user = ResolvedUser {
            uid: entry.uid.unwrap_or(0),
            gid: entry.gid.unwrap_or(0),
            additional_gids: Vec::new(),
            home: home.to_owned(),
        };
        return Ok(Primary {
            user,
            name: entry.name.to_owned(),
        });
    }
    let uid = match number {
        Some(number) => in_range(number)?,
        None if name.is_empty() => 0,
        None => return Err(Error::NoUser(name.to_owned())),
    };
    let user = ResolvedUser {
        uid,
        gid: 0,
        additional_gids: Vec::new(),
        home: "/".into(),
    };
    Ok(Primary {
        user,
        name: String::new(),
    })
}

fn find_group(groups: &str, wanted: &str) -> Result<Option<u32>, Error> {
    let number = number(wanted)?;
    for line in groups.lines() {
        let mut fields = line.trim().split(':');
        let (Some(name), Some(gid)) = (fields.next(), fields.nth(1)) else {
            continue;
        };
        let Ok(gid) = gid.parse::<u32>() else {
            continue;
        };
        if number.map_or(name == wanted, |number| number == i64::from(gid)) {
            return Ok(Some(gid));
        }
    }
    number.map(in_range).transpose()
}

/// The groups in which the user is listed.
fn groups_of(groups: &str, user: &str) -> Vec<u32> {
    let mut gids = Vec::new();
    for line in groups.lines() {
        let mut fields = line.trim().split(':').skip(2);
        let (Some(Ok(gid)), Some(members)) = (fields.next().map(str::parse), fields.next()) else {
            continue;
        };
        if members.split(',').any(|member| member == user) && !gids.contains(&gid) {
            gids.push(gid);
        }
    }
    gids
}

/// The number that a text is, if it is one; one that no id can be is an error, not a name.
fn number(text: &str) -> Result<Option<i64>, Error> {
    match text.parse::<i64>() {
        Ok(number) => Ok(Some(number)),
        Err(error) => match error.kind() {
            IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => Err(Error::Range),
            _ => Ok(None),
        },
    }
}

fn in_range(number: i64) -> Result<u32, Error> {
    match u32::try_from(number) {
        Ok(number) if number <= i32::MAX.unsigned_abs() => Ok(number),
        _ => Err(Error::Range),
    }
}

struct Entry<'a> {
    name: &'a str,
    uid: Option<u32>,
    gid: Option<u32>,
    home: &'a str,
}

fn entries(passwd: &str) -> impl Iterator<Item = Entry<'_>> {
    passwd
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| {
            let mut fields = line.split(':');
            let name = fields.next().unwrap_or_default();
            let uid = fields.nth(1).and_then(|text| text.parse().ok());
            let gid = fields.next().and_then(|text| text.parse().ok());
            Entry {
                name,
                uid,
                gid,
                home: fields.nth(1).unwrap_or_default(),
            }
        })
}

fn read(root: BorrowedFd<'_>, path: &'static str) -> Result<String, Error> {
    let failed = |source| Error::Read { path, source };
    // Without blocking: an image may have a named pipe there.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = match paths::open(root, Path::new(path), flags) {
        Ok(file) => std::fs::File::from(file),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            return Ok(String::new());
        }
        Err(error) => return Err(failed(error)),
    };
    let stat = rustix::fs::fstat(&file).map_err(|error| failed(error.into()))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Ok(String::new());
    }
    let mut bytes = Vec::new();
    file.take(LARGEST).read_to_end(&mut bytes).map_err(failed)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use std::os::fd::AsFd;

    const USERS: &str = "root:x:0:0:root:/root:/bin/sh\n# a comment\nweb:x:33:34:web:/var/www:/bin/false\n\
        nohome:x:50:50\n1000:x:77:77::/odd:\n";
    const GROUPS: &str = "root:x:0:\nwww:x:34:\ndocker:x:999:web,other\naudio:x:29:web\n";

    fn root(folder: &Path) -> std::os::fd::OwnedFd {
        std::fs::create_dir_all(folder.join("etc")).unwrap();
        std::fs::write(folder.join("etc/passwd"), USERS).unwrap();
        std::fs::write(folder.join("etc/group"), GROUPS).unwrap();
        paths::open_host(folder).unwrap()
    }

    fn check(user: &str, groups: &[&str]) -> Result<(u32, u32, Vec<u32>, String), String> {
        let folder = tempfile::tempdir().unwrap();
        let root = root(folder.path());
        let groups: Vec<String> = groups.iter().map(|text| (*text).to_owned()).collect();
        resolve(root.as_fd(), user, &groups)
            .map(|user| (user.uid, user.gid, user.additional_gids, user.home))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn users_are_found_by_name_and_number() {
        assert_eq!(check("", &[]), Ok((0, 0, vec![0], "/root".into())));
        assert_eq!(
            check("web", &[]),
            Ok((33, 34, vec![34, 999, 29], "/var/www".into()))
        );
        assert_eq!(
            check("33", &[]),
            Ok((33, 34, vec![34, 999, 29], "/var/www".into()))
        );
        assert_eq!(check("nohome", &[]), Ok((50, 50, vec![50], "/".into())));
        assert_eq!(check("1234", &[]), Ok((1234, 0, vec![0], "/".into())));
        assert_eq!(
            check("1000", &[]),
            Ok((1000, 0, vec![0], "/".into())),
            "not the name"
        );
    }

    #[test]
    fn a_group_replaces_the_ones_of_the_user() {
        assert_eq!(
            check("web:root", &[]),
            Ok((33, 0, vec![0], "/var/www".into()))
        );
        assert_eq!(
            check("web:4321", &["audio", "5"]),
            Ok((33, 4321, vec![4321, 29, 5], "/var/www".into()))
        );
        assert_eq!(check("5:", &[]), Ok((5, 0, vec![0], "/".into())));
        assert_eq!(check(":www", &[]), Ok((0, 34, vec![34], "/root".into())));
    }

    #[test]
    fn errors_have_dockers_texts() {
        let text = "unable to find user nobody-here: no matching entries in passwd file";
        assert_eq!(check("nobody-here", &[]), Err(text.into()));
        let text = "unable to find group nogroup: no matching entries in group file";
        assert_eq!(check("root:nogroup", &[]), Err(text.into()));
        let text = "unable to find group none: no matching entries in group file";
        assert_eq!(check("root", &["none"]), Err(text.into()));
        let text = "uids and gids must be in range 0-2147483647";
        assert_eq!(check("4294967295", &[]), Err(text.into()));
        assert_eq!(check("-1", &[]), Err(text.into()));
        for huge in ["18446744073709551616", "0:99999999999999999999"] {
            assert_eq!(check(huge, &[]), Err(text.into()), "{huge}");
        }
    }

    #[test]
    fn files_are_looked_for_inside_the_root_only() {
        let folder = tempfile::tempdir().unwrap();
        let inside = folder.path().join("root");
        std::fs::create_dir_all(inside.join("etc")).unwrap();
        std::fs::write(folder.path().join("passwd"), "evil:x:1:1::/:\n").unwrap();
        std::os::unix::fs::symlink("../../passwd", inside.join("etc/passwd")).unwrap();
        let root = paths::open_host(&inside).unwrap();
        assert!(matches!(
            resolve(root.as_fd(), "evil", &[]),
            Err(Error::NoUser(_))
        ));
        assert_eq!(home_of(root.as_fd(), 1), "/");
    }
}
