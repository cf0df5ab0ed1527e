//! Lists a folder's files, as far as patterns select them.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use dhow_dockerfile::{IgnorePatterns, PatternError};

use crate::{Stat, stat};

/// How many links are followed to find one path.
const LINKS: usize = 255;

/// Which files are listed.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Only what fits one of these, and what is below; everything if there are none.
    pub include: Vec<String>,
    /// Not what fits these (`.dockerignore`).
    pub exclude: Vec<String>,
    /// As `include`, and what the links on the way lead to.
    pub follow: Vec<String>,
}

/// A folder can't be listed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WalkError {
    /// A pattern is none.
    #[error("invalid pattern")]
    Pattern(#[from] PatternError),
    /// A file can't be read.
    #[error("can't read {0}")]
    Read(PathBuf, #[source] std::io::Error),
    /// A path is not text.
    #[error("the name of {0:?} is not UTF-8")]
    Name(PathBuf),
    /// Who listens has gone.
    #[error("nobody listens any more")]
    Stopped,
}

/// Lists a folder's files in order, parents first. `tell` is given each with its place on the disk.
///
/// # Errors
/// A pattern is none, a file can't be read, or `tell` says so.
pub(crate) fn walk(
    root: &Path,
    selection: &Selection,
    tell: &mut dyn FnMut(Stat, &Path) -> Result<(), WalkError>,
) -> Result<(), WalkError> {
    let mut include: BTreeSet<String> = selection.include.iter().cloned().collect();
    let mut everything = selection.include.is_empty() && selection.follow.is_empty();
    for path in follow(root, &selection.follow) {
        everything |= path.is_empty();
        include.insert(path);
    }
    let include = match everything {
        true => None,
        false => Some(IgnorePatterns::new(include.iter().map(String::as_str))?),
    };
    let exclude = IgnorePatterns::new(selection.exclude.iter().map(String::as_str))?;
    let mut walk = Walk {
        include,
        prefixes: selection.include.clone(),
        exclude,
        waiting: Vec::new(),
        links: HashMap::new(),
        tell,
    };
    walk.prefixes.extend(follow(root, &selection.follow));
    walk.directory(root, "")
}

struct Walk<'a> {
    include: Option<IgnorePatterns>,
    prefixes: Vec<String>,
    exclude: IgnorePatterns,
    /// Directories that are told once something in them is.
    waiting: Vec<(Stat, PathBuf)>,
    /// Files with several names: device and number, and the first name.
    links: HashMap<(u64, u64), String>,
    tell: &'a mut dyn FnMut(Stat, &Path) -> Result<(), WalkError>,
}

impl Walk<'_> {
    fn directory(&mut self, place: &Path, path: &str) -> Result<(), WalkError> {
        let fail = |error| WalkError::Read(place.to_owned(), error);
        let mut names: Vec<OsString> = Vec::new();
        for entry in fs::read_dir(place).map_err(fail)? {
            names.push(entry.map_err(fail)?.file_name());
        }
        names.sort_by(|one, other| one.as_bytes().cmp(other.as_bytes()));
        for name in names {
            let place = place.join(&name);
            let Some(name) = name.to_str() else {
                return Err(WalkError::Name(place));
            };
            let path = match path {
                "" => name.to_owned(),
                path => format!("{path}/{name}"),
            };
            self.file(&place, path)?;
        }
        Ok(())
    }

    fn file(&mut self, place: &Path, path: String) -> Result<(), WalkError> {
        let metadata = match fs::symlink_metadata(place) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(WalkError::Read(place.to_owned(), error)),
        };
        let directory = metadata.is_dir();
        let included = self
            .include
            .as_ref()
            .is_none_or(|include| include.excludes(&path));
        let excluded = self.exclude.excludes(&path);
        let selected = included && !excluded;
        if !directory {
            return match selected && !is_socket(&metadata) {
                true => {
                    let stat = self.stat(place, path, &metadata)?;
                    self.tell_with_parents(stat, place)
                }
                false => Ok(()),
            };
        }
        if excluded && self.exclude.excludes_all_below(&path) || !included && !self.leads(&path) {
            return Ok(());
        }
        let stat = self.stat(place, path.clone(), &metadata)?;
        if selected {
            self.tell_with_parents(stat, place)?;
            return self.directory(place, &path);
        }
        let depth = self.waiting.len();
        self.waiting.push((stat, place.to_owned()));
        self.directory(place, &path)?;
        self.waiting.truncate(depth);
        Ok(())
    }

    /// Whether something that is included may be below a directory that is not.
    fn leads(&self, path: &str) -> bool {
        self.prefixes.iter().any(|pattern| {
            let pattern = pattern.trim_start_matches('/');
            let wild = pattern.find(['*', '?', '[', '\\']);
            let literal = &pattern[..wild.unwrap_or(pattern.len())];
            let below = format!("{path}/");
            literal.starts_with(&below) || wild.is_some() && below.starts_with(literal)
        })
    }

    fn tell_with_parents(&mut self, stat: Stat, place: &Path) -> Result<(), WalkError> {
        for (stat, place) in std::mem::take(&mut self.waiting) {
            (self.tell)(stat, &place)?;
        }
        (self.tell)(stat, place)
    }

    fn stat(&mut self, place: &Path, path: String, metadata: &Metadata) -> Result<Stat, WalkError> {
        let mut stat = Stat {
            path,
            mode: stat::from_raw(metadata.mode()),
            uid: metadata.uid(),
            gid: metadata.gid(),
            mod_time: metadata.mtime().saturating_mul(1_000_000_000) + metadata.mtime_nsec(),
            ..Stat::default()
        };
        if metadata.is_file() {
            stat.size = i64::try_from(metadata.size()).unwrap_or(i64::MAX);
            if metadata.nlink() > 1 {
                let key = (metadata.dev(), metadata.ino());
                let first = self.links.entry(key).or_insert_with(|| stat.path.clone());
                if *first != stat.path {
                    stat.linkname.clone_from(first);
                }
            }
        }
        if metadata.is_symlink() {
            let target = fs::read_link(place);
            let target = target.map_err(|error| WalkError::Read(place.to_owned(), error))?;
            let target = target.to_str().map(str::to_owned);
            stat.linkname = target.ok_or_else(|| WalkError::Name(place.to_owned()))?;
        }
        if !metadata.is_symlink() {
            attributes(place, &mut stat);
        }
        Ok(stat)
    }
}

fn is_socket(metadata: &Metadata) -> bool {
    use std::os::unix::fs::FileTypeExt;
    metadata.file_type().is_socket()
}

/// Adds the extended attributes that mean the same elsewhere.
fn attributes(place: &Path, stat: &mut Stat) {
    let mut names = [0_u8; 4096];
    let Ok(length) = rustix::fs::llistxattr(place, &mut names[..]) else {
        return;
    };
    for name in names[..length].split(|byte| *byte == 0) {
        let Ok(name) = std::str::from_utf8(name) else {
            continue;
        };
        if !name.starts_with("user.") && name != "security.capability" {
            continue;
        }
        let mut value = [0_u8; 4096];
        if let Ok(length) = rustix::fs::lgetxattr(place, name, &mut value[..]) {
            stat.xattrs
                .insert(name.to_owned(), value[..length].to_vec());
        }
    }
}

/// The paths that `wanted` lead to within `root`, the links on the way included; an empty path is all of it.
fn follow(root: &Path, wanted: &[String]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for path in wanted {
        let parts: Vec<String> = clean(path);
        resolve(root, String::new(), &parts, LINKS, &mut found);
    }
    found
}

fn clean(path: &str) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part.to_owned()),
        }
    }
    parts
}

fn resolve(root: &Path, at: String, rest: &[String], links: usize, found: &mut BTreeSet<String>) {
    let Some((name, below)) = rest.split_first() else {
        found.insert(at);
        return;
    };
    if name.contains(['*', '?', '[']) {
        if name.contains("**") {
            // What these match is left to the patterns.
            found.insert(
                [&[at], rest]
                    .concat()
                    .join("/")
                    .trim_matches('/')
                    .to_owned(),
            );
            return;
        }
        for name in matching(&root.join(&at), name) {
            let rest: Vec<String> = std::iter::once(name).chain(below.iter().cloned()).collect();
            resolve(root, at.clone(), &rest, links, found);
        }
        return;
    }
    let path = match at.as_str() {
        "" => name.clone(),
        at => format!("{at}/{name}"),
    };
    match fs::read_link(root.join(&path)) {
        Ok(target) if links > 0 => {
            found.insert(path);
            let Some(target) = target.to_str() else {
                return;
            };
            let start = if target.starts_with('/') { "" } else { &at };
            let mut parts = clean(&format!("{start}/{target}"));
            parts.extend(below.iter().cloned());
            resolve(root, String::new(), &parts, links - 1, found);
        }
        _ => resolve(root, path, below, links, found),
    }
}

fn matching(directory: &Path, pattern: &str) -> Vec<String> {
    let Ok(pattern) = IgnorePatterns::new([pattern]) else {
        return Vec::new();
    };
    let Ok(entries) = fs::read_dir(directory) else {
        return Vec::new();
    };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|name| pattern.excludes(name)).collect();
    names.sort();
    names
}
