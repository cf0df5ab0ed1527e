//! What an engine has made of an image: every file of the merged layers, a line each.

use std::collections::HashMap;
use std::fmt::Write;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use dhow_sys::overlay::OverlayMount;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, openat, readlinkat, statat};
use serde_json::{Value, json};

use super::Image;
use crate::Engine;
use crate::http::Body;
use crate::images::digest;
use crate::packages::tool;

/// What became of a pull: a line for each file, or the error.
pub type Outcome = Result<Vec<String>, String>;

/// How an image comes into an engine.
#[derive(Debug, Clone, Copy)]
pub enum Way<'a> {
    /// From a registry, which has it under this name.
    Pull(&'a str),
    /// From an archive.
    Load(&'a Image),
}

/// Brings an image into the engine, reads the file system that its layers make, and removes it again.
///
/// # Panics
/// When the engine does not answer, or has not the layers that it tells of.
pub fn unpacked(engine: &Engine, way: Way<'_>) -> Outcome {
    let begun = SystemTime::now();
    // The kernel's clock of file systems is a little behind.
    let begun = begun
        .duration_since(UNIX_EPOCH)
        .map_or(0, |t| t.as_secs() - 2);
    let mut client = engine.client();
    let (name, answer) = match way {
        Way::Pull(name) => {
            let path = format!("/v1.44/images/create?fromImage={name}&tag=latest");
            (name, client.request("POST", &path, Body::Empty))
        }
        Way::Load(image) => {
            let archive = image.archive("corpus:latest");
            let body = Body::Bytes("application/x-tar", &archive);
            ("corpus", client.request("POST", "/v1.44/images/load", body))
        }
    };
    let answer = answer.expect("the engine answers");
    let text = answer.text();
    if answer.status != 200 {
        return Err(text);
    }
    if let Some(error) = text.lines().find(|line| line.contains("\"error\"")) {
        return Err(error.to_owned());
    }
    let lower = layers(engine, name);
    let lines = if lower.is_empty() {
        Vec::new()
    } else {
        let mount = OverlayMount {
            lower,
            read_only: true,
            ..OverlayMount::default()
        };
        let root = mount.detached().expect("the layers can be mounted");
        let root = open(root.as_fd(), b".", OFlags::DIRECTORY);
        lines(root.as_fd(), i64::try_from(begun).unwrap_or(i64::MAX))
    };
    let removed = client.delete(&format!("/v1.44/images/{name}?force=1"));
    let removed = removed.expect("the engine answers");
    assert_eq!(removed.status, 200, "{name}: {}", removed.text());
    Ok(lines)
}

/// The folders of an image's layers, topmost first, as the engine keeps them: ours by their chain ids, those of a
/// reference engine where it tells.
fn layers(engine: &Engine, name: &str) -> Vec<PathBuf> {
    let answer = engine.client().get(&format!("/v1.44/images/{name}/json"));
    let image = answer.expect("the engine answers").json();
    let driver = &image["GraphDriver"]["Data"];
    if let Some(upper) = driver["UpperDir"].as_str() {
        let below = driver["LowerDir"].as_str().unwrap_or_default();
        return std::iter::once(upper)
            .chain(below.split(':').filter(|path| !path.is_empty()))
            .map(PathBuf::from)
            .collect();
    }
    if let Some(socket) = containerd(engine.pid()).filter(|_| engine.is_foreign()) {
        return of_containerd(engine, name, &socket);
    }
    let mut folders = Vec::new();
    let mut chain = String::new();
    let diff_ids = image["RootFS"]["Layers"].as_array();
    for diff_id in diff_ids.into_iter().flatten().filter_map(Value::as_str) {
        chain = match chain.as_str() {
            "" => diff_id.to_owned(),
            below => digest(format!("{below} {diff_id}").as_bytes()),
        };
        let folder = chain.trim_start_matches("sha256:");
        folders.push(engine.data_root().join("layers").join(folder));
    }
    folders.reverse();
    folders
}

/// The socket of the containerd that a reference engine has started.
fn containerd(pid: u32) -> Option<PathBuf> {
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let mut words = line.split(|byte| *byte == 0);
    words.find(|word| *word == b"--exec-root")?;
    let root = std::str::from_utf8(words.next()?).ok()?;
    Some(Path::new(root).join("containerd/containerd.sock"))
}

/// What a reference engine with containerd's image store has below a container, without what is the container's own.
fn of_containerd(engine: &Engine, name: &str, socket: &Path) -> Vec<PathBuf> {
    let mut client = engine.client();
    let body = json!({"Image": format!("{name}:latest"), "Cmd": ["/x"]});
    let made = client.post("/v1.44/containers/create", Some(&body));
    let made = made.expect("the engine answers");
    let id = made.json()["Id"].as_str().map(str::to_owned);
    let id = id.unwrap_or_else(|| panic!("{name}: {}", made.text()));
    let mut ctr = tool("ctr", "containerd").command();
    ctr.arg("-a").arg(socket).args(["-n", "moby", "snapshots"]);
    ctr.args(["--snapshotter", "overlayfs", "mounts", "/x", &id]);
    let output = ctr.output().expect("ctr runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let lower = text.split(['\n', ' ', ',']);
    let lower = lower
        .filter_map(|word| word.strip_prefix("lowerdir="))
        .next();
    let lower = lower
        .unwrap_or_else(|| panic!("{ctr:?}: {output:?}"))
        .to_owned();
    let removed = client.delete(&format!("/v1.44/containers/{id}?force=1"));
    removed.expect("the engine answers");
    // The topmost is what the engine prepares for every container.
    lower.split(':').skip(1).map(PathBuf::from).collect()
}

/// A line for every file below `root`; what was changed after `begun` has the time `now`.
fn lines(root: BorrowedFd<'_>, begun: i64) -> Vec<String> {
    let mut listing = Listing {
        begun,
        seen: HashMap::new(),
        lines: Vec::new(),
    };
    let stat = statat(root, "", AtFlags::EMPTY_PATH).expect("the root is there");
    listing.add(root, b".", b"", &stat);
    listing.folder(root, b"");
    listing.lines
}

/// How long a run may take, in seconds: what was changed within that time was changed by it.
const LONGEST: i64 = 3600;

struct Listing {
    begun: i64,
    /// The first name of each file that has several.
    seen: HashMap<(u64, u64), String>,
    lines: Vec<String>,
}

impl Listing {
    fn folder(&mut self, folder: BorrowedFd<'_>, path: &[u8]) {
        let entries = Dir::read_from(folder).expect("a directory can be read");
        let names = entries.map(|entry| entry.expect("a directory can be read"));
        let mut names: Vec<Vec<u8>> = names.map(|e| e.file_name().to_bytes().to_vec()).collect();
        names.retain(|name| name != b"." && name != b"..");
        names.sort();
        for name in names {
            let path = match path {
                b"" => name.clone(),
                path => [path, b"/", &name].concat(),
            };
            // A whiteout where there is nothing to hide is listed and yet not there.
            let Ok(stat) = statat(folder, &*name, AtFlags::SYMLINK_NOFOLLOW) else {
                continue;
            };
            self.add(folder, &name, &path, &stat);
            if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                let inner = open(folder, &name, OFlags::DIRECTORY);
                self.folder(inner.as_fd(), &path);
            }
        }
    }

    fn add(&mut self, folder: BorrowedFd<'_>, name: &[u8], path: &[u8], stat: &Stat) {
        let shown = escaped(path);
        let kind = FileType::from_raw_mode(stat.st_mode);
        let time = match (self.begun..self.begun + LONGEST).contains(&stat.st_mtime) {
            // Of the root nobody keeps the time.
            _ if path.is_empty() => "-".to_owned(),
            true => "now".to_owned(),
            false => format!("{}.{:09}", stat.st_mtime, stat.st_mtime_nsec),
        };
        let mut line = format!(
            "/{shown} {}{:04o} {}:{} {time}",
            letter(kind),
            stat.st_mode & 0o7777,
            stat.st_uid,
            stat.st_gid
        );
        let told = match kind {
            FileType::RegularFile => content(folder, name),
            FileType::Symlink => {
                let target = readlinkat(folder, name, Vec::new()).expect("a link leads somewhere");
                format!(" -> {}", escaped(target.to_bytes()))
            }
            FileType::CharacterDevice | FileType::BlockDevice => {
                let (major, minor) = (
                    rustix::fs::major(stat.st_rdev),
                    rustix::fs::minor(stat.st_rdev),
                );
                format!(" {major}:{minor}")
            }
            _ => String::new(),
        };
        line += &told;
        for (key, value) in xattrs(folder, name) {
            let _ = write!(line, " {key}={value}");
        }
        if kind != FileType::Directory && stat.st_nlink > 1 {
            let first = self.seen.entry((stat.st_dev, stat.st_ino));
            let first = first.or_insert_with(|| shown.clone());
            if *first != shown {
                let _ = write!(line, " same as /{first}");
            }
        }
        self.lines.push(line);
    }
}

fn open(folder: BorrowedFd<'_>, name: &[u8], flags: OFlags) -> OwnedFd {
    let flags = flags | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(folder, name, flags, Mode::empty()).expect("root may read it")
}

fn content(folder: BorrowedFd<'_>, name: &[u8]) -> String {
    let mut file = std::fs::File::from(open(folder, name, OFlags::empty()));
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut file, &mut bytes).expect("root may read it");
    match bytes.len() {
        0 => " empty".to_owned(),
        length => format!(" {length} {}", &digest(&bytes)[7..23]),
    }
}

fn letter(kind: FileType) -> char {
    match kind {
        FileType::RegularFile => '-',
        FileType::Directory => 'd',
        FileType::Symlink => 'l',
        FileType::Fifo => 'p',
        FileType::CharacterDevice => 'c',
        FileType::BlockDevice => 'b',
        FileType::Socket => 's',
        FileType::Unknown => '?',
    }
}

/// The extended attributes, sorted; long values by their digest.
fn xattrs(folder: BorrowedFd<'_>, name: &[u8]) -> Vec<(String, String)> {
    let at = [
        format!("/proc/self/fd/{}/", folder.as_raw_fd()).as_bytes(),
        name,
    ]
    .concat();
    let mut names = vec![0; 1 << 16];
    let length = rustix::fs::llistxattr(at.as_slice(), names.as_mut_slice()).unwrap_or(0);
    let mut all = Vec::new();
    let mut value = vec![0; 1 << 16];
    for key in names[..length]
        .split(|byte| *byte == 0)
        .filter(|key| !key.is_empty())
    {
        let read = rustix::fs::lgetxattr(at.as_slice(), key, value.as_mut_slice());
        let read = read.expect("an attribute that is listed can be read");
        let shown = match &value[..read] {
            long if long.len() > 60 => digest(long)[..23].to_owned(),
            short => escaped(short),
        };
        all.push((escaped(key), shown));
    }
    all.sort();
    all
}

/// Text in one word: whatever is not a plain character is written in hexadecimal.
fn escaped(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        match byte {
            b'\\' => text += "\\\\",
            b'!'..=b'~' => text.push(char::from(*byte)),
            byte => {
                let _ = write!(text, "\\{byte:02x}");
            }
        }
    }
    text
}

/// The line of a directory that was touched while it was unpacked, without the time: Docker keeps the time of no
/// directory that an archive puts something into without mentioning it.
fn untimed(line: &str) -> Option<String> {
    let touched = line.split(' ').nth(1)?.starts_with('d') && line.split(' ').nth(3)? == "now";
    touched.then(|| untimed_always(line)).flatten()
}

fn untimed_always(line: &str) -> Option<String> {
    let mut words: Vec<&str> = line.split(' ').collect();
    (words.len() > 3).then(|| {
        words.remove(3);
        words.join(" ")
    })
}

/// What is another in the two, a line each; nothing where they are equal. Errors are equal whatever they say.
#[must_use]
pub fn compare(expected: &Outcome, found: &Outcome) -> Vec<String> {
    match (expected, found) {
        (Err(_), Err(_)) => Vec::new(),
        (Err(error), Ok(_)) => vec![format!("not refused; expected: {error}")],
        (Ok(_), Err(error)) => vec![format!("refused: {error}")],
        (Ok(expected), Ok(found)) => {
            let at_any_time: Vec<String> =
                expected.iter().filter_map(|line| untimed(line)).collect();
            let any =
                |line: &&String| untimed_always(line).is_some_and(|l| at_any_time.contains(&l));
            let found_any: Vec<String> = found.iter().filter_map(|l| untimed_always(l)).collect();
            let missing = expected.iter().filter(|line| match untimed(line) {
                Some(untimed) => !found_any.contains(&untimed),
                None => !found.contains(line),
            });
            let more = found
                .iter()
                .filter(|line| !expected.contains(line) && !any(line));
            let missing = missing.map(|line| format!("- {line}"));
            missing
                .chain(more.map(|line| format!("+ {line}")))
                .collect()
        }
    }
}
