//! Rotated files are compressed by a process of their own, so that nobody waits for it.
//!
//! There is one at a time for a log. It takes the rotated file with the highest number that is not compressed yet,
//! then the next one, and ends when there is none. Meanwhile the files may be rotated on: both sides rename under the
//! lock of the log's folder, and the compressor knows its file by its inode, whatever its name is by then. When files
//! come faster than they can be compressed the oldest are thrown away as they are; there are never more than
//! `max-file`.

use std::fs::{File, FileTimes};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use flate2::{Compression, GzBuilder};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use super::rotate::numbers;
use super::{compressed, numbered};

/// How much of a file is looked at to know it again.
const HEAD: usize = 256;
const BLOCK: usize = 64 * 1024;

/// What tells a log file from every other of the same log: inodes alone are used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    device: u64,
    inode: u64,
    /// A checksum of its first bytes, which hold a time.
    head: u64,
}

impl Identity {
    /// That of an open, uncompressed file.
    pub(crate) fn of(file: &File) -> io::Result<Self> {
        use std::os::unix::fs::FileExt;
        let metadata = file.metadata()?;
        let mut head = [0; HEAD];
        let length = file.read_at(&mut head, 0)?;
        let end = memchr::memchr(b'\n', &head[..length]).unwrap_or(length);
        Ok(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            head: checksum(&head[..end]),
        })
    }

    /// That of the file which a compressed one was made of, as its header says.
    pub(crate) fn of_header(extra: &[u8]) -> Option<Self> {
        serde_json::from_slice(extra).ok()
    }
}

/// FNV-1a.
fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |sum, byte| {
        (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// The lock under which log files get other names; held for a moment only.
#[derive(Debug)]
pub(super) struct FolderLock(#[allow(dead_code, reason = "closing it unlocks")] File);

impl FolderLock {
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let folder = File::open(path.parent().unwrap_or(Path::new(".")))?;
        flock(&folder, FlockOperation::LockExclusive)?;
        Ok(Self(folder))
    }
}

/// The process that compresses a log's files, if there is one.
#[derive(Debug, Default)]
pub(super) struct Compressor {
    /// Readable as soon as it has found nothing more to do.
    running: Option<OwnedFd>,
}

impl Compressor {
    /// There is a new rotated file. Needs the lock: so a compressor that runs will see it.
    pub(super) fn wake(&mut self, path: &Path, _: &FolderLock) {
        let runs = |done: &OwnedFd| {
            let mut wanted = [PollFd::new(done, PollFlags::IN)];
            poll(&mut wanted, Some(&rustix::time::Timespec::default())) == Ok(0)
        };
        if self.running.as_ref().is_none_or(|done| !runs(done)) {
            // Without one the files stay as they are; the next rotation tries again.
            self.running = start(path).ok();
        }
    }
}

#[cfg(not(test))]
fn start(path: &Path) -> io::Result<OwnedFd> {
    let (done, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    crate::logger::command()
        .arg("--compress")
        .arg(path)
        .stdin(std::process::Stdio::null())
        .stdout(write)
        .spawn()?;
    Ok(done)
}

/// In tests the program is another one; a thread does the same.
#[cfg(test)]
fn start(path: &Path) -> io::Result<OwnedFd> {
    let (done, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    let path = path.to_owned();
    std::thread::spawn(move || run(&path, &write));
    Ok(done)
}

/// Compresses what there is to compress; then says so on `done`.
pub(crate) fn run(path: &Path, done: &OwnedFd) -> io::Result<()> {
    loop {
        let lock = FolderLock::of(path)?;
        let Some(file) = waiting(path) else {
            // Under the lock: the next rotation knows that it must start another one.
            rustix::io::write(done, b".")?;
            return Ok(());
        };
        drop(lock);
        let identity = Identity::of(&file)?;
        // Open for as long as its name may be in use by no other compressor.
        let Some((packed, _claim)) = pack(path, &file, identity)? else {
            return Ok(());
        };
        let lock = FolderLock::of(path)?;
        replace(path, &file, &packed)?;
        // The large file is given back to the file system only here, when nobody waits for the lock.
        drop(lock);
    }
}

/// The oldest rotated file that is not compressed.
fn waiting(path: &Path) -> Option<File> {
    let numbers = numbers(path).unwrap_or_default();
    let mut oldest_first = numbers.into_iter().rev();
    oldest_first.find_map(|number| File::open(numbered(path, number)).ok())
}

/// Writes the compressed form of `file` under a temporary name; `None` when another compressor is at it.
fn pack(path: &Path, mut file: &File, identity: Identity) -> io::Result<Option<(PathBuf, File)>> {
    let mut name = path.as_os_str().to_os_string();
    name.push(".gz.new");
    let name = PathBuf::from(name);
    let target = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o640)
        .open(&name)?;
    if flock(&target, FlockOperation::NonBlockingLockExclusive).is_err() {
        return Ok(None);
    }
    target.set_len(0)?;
    let mut encoder = GzBuilder::new()
        .extra(serde_json::to_vec(&identity)?)
        .write(&target, Compression::default());
    let mut block = vec![0; BLOCK];
    loop {
        match file.read(&mut block)? {
            0 => break,
            length => encoder.write_all(&block[..length])?,
        }
    }
    encoder.finish()?;
    // Readers skip files that are too old by this time.
    let modified = file.metadata()?.modified()?;
    target.set_times(FileTimes::new().set_modified(modified))?;
    Ok(Some((name, target)))
}

/// Puts the compressed form in the place of `file`, under the name it has now; away with it if it has none any more.
fn replace(path: &Path, file: &File, packed: &Path) -> io::Result<()> {
    let same = |name: &Path| {
        let (ours, theirs) = (file.metadata()?, std::fs::metadata(name)?);
        Ok::<_, io::Error>((ours.dev(), ours.ino()) == (theirs.dev(), theirs.ino()))
    };
    for number in numbers(path)? {
        let name = numbered(path, number);
        if same(&name).unwrap_or(false) {
            // In this order: a reader that does not find the one finds the other.
            std::fs::rename(packed, compressed(path, number))?;
            return std::fs::remove_file(name);
        }
    }
    std::fs::remove_file(packed)
}
