//! The receiving side: compares the list with the folder and asks for what differs.

use std::collections::HashMap;
use std::io::Write;
use std::iter::Peekable;
use std::vec;

use dhow_oci::Digest;
use futures::{Stream, StreamExt};
use prost::Message;
use tokio::sync::mpsc;

use crate::folders::{FolderKey, Folders, Synced, Taken};
use crate::index::{self, Entry};
use crate::stat::{self, Kind};
use crate::write::{Files, Unnamed};
use crate::{Error, Packet, PacketType, Stat, path};

/// Messages that wait between the connection and the disk.
const QUEUE: usize = 256;
/// Files that may be open at once; a sender has four.
const OPEN: usize = 256;
/// After so many bytes the room on the disk is looked at again.
const MEASURE: u64 = 16 << 20;

/// Bounds of what is received.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Files, directories and links.
    pub files: usize,
    /// Bytes of all their paths, links and attributes.
    pub names: usize,
    /// Bytes that stay free on the disk.
    pub free: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            files: 4_000_000,
            names: 512 << 20,
            free: 256 << 20,
        }
    }
}

/// What the receiver says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// The content of the file with that number in the list.
    Request(u32),
    /// Everything is here.
    Finished,
}

impl From<Reply> for Packet {
    fn from(reply: Reply) -> Self {
        let (kind, id) = match reply {
            Reply::Request(id) => (PacketType::PacketReq, id),
            Reply::Finished => (PacketType::PacketFin, 0),
        };
        Self {
            r#type: kind.into(),
            id,
            ..Self::default()
        }
    }
}

/// Brings the folder of that key in step with a sender's. `progress` is told the bytes received so far.
///
/// Whoever drops the future gives up; what was received until then is kept for the next time.
///
/// # Errors
/// The sender fails, goes away or does not keep to the protocol; the disk is full or fails.
pub async fn receive<S, P>(
    folders: &Folders,
    key: &FolderKey,
    mut incoming: S,
    replies: mpsc::UnboundedSender<Reply>,
    mut progress: P,
) -> Result<Synced, Error>
where
    S: Stream<Item = Result<Packet, Error>> + Unpin,
    P: FnMut(u64),
{
    let turn = folders.turn(key).await;
    let (packets, queue) = mpsc::channel(QUEUE);
    let (owned, key) = (folders.clone(), key.clone());
    let work = tokio::task::spawn_blocking(move || {
        let taken = owned.take(&key);
        let done = Sync::begin(taken, owned.limits(), replies)?.run(queue);
        drop(turn);
        done
    });
    let mut received: u64 = 0;
    let mut failure = None;
    while let Some(packet) = incoming.next().await {
        let packet = match packet {
            Ok(packet) => packet,
            Err(error) => {
                failure = Some(error);
                break;
            }
        };
        received += u64::try_from(packet.encoded_len()).unwrap_or(0);
        progress(received);
        let last = packet.r#type == i32::from(PacketType::PacketFin);
        if packets.send(packet).await.is_err() || last {
            break;
        }
    }
    drop(packets);
    let done = work
        .await
        .map_err(|error| Error::file("synchronise", "files", std::io::Error::other(error)))?;
    match (done, failure) {
        (Err(Error::Ended), Some(failure)) => Err(failure),
        (done, _) => done,
    }
}

/// A file whose content was asked for.
struct Pending {
    at: usize,
    /// What stood there before.
    old: Option<Entry>,
    open: Option<(Unnamed, dhow_oci::Hasher)>,
}

struct Sync {
    taken: Taken,
    limits: Limits,
    replies: mpsc::UnboundedSender<Reply>,
    files: Option<Files>,
    /// What the folder has and was not compared yet.
    old: Peekable<vec::IntoIter<Entry>>,
    /// What the sender listed.
    new: Vec<Entry>,
    pending: HashMap<u32, Pending>,
    /// The directories that the last path is in.
    parents: Vec<String>,
    count: u32,
    names: usize,
    listed: bool,
    open: usize,
    written: u64,
}

impl Sync {
    fn begin(
        taken: Taken,
        limits: Limits,
        replies: mpsc::UnboundedSender<Reply>,
    ) -> Result<Self, Error> {
        let old = match index::read(&taken.path().join("index")) {
            Some((_, entries)) => entries,
            None => {
                // Nothing is known of what is there: it goes.
                let files = taken.path().join("files");
                if files.exists() {
                    std::fs::remove_dir_all(&files)
                        .map_err(|error| Error::file("remove", files.to_string_lossy(), error))?;
                }
                Vec::new()
            }
        };
        Ok(Self {
            new: Vec::with_capacity(old.len()),
            taken,
            limits,
            replies,
            files: None,
            old: old.into_iter().peekable(),
            pending: HashMap::new(),
            parents: Vec::new(),
            count: 0,
            names: 0,
            listed: false,
            open: 0,
            written: 0,
        })
    }

    fn run(mut self, mut queue: mpsc::Receiver<Packet>) -> Result<Synced, Error> {
        match self.follow(&mut queue) {
            Ok(()) => self.finish(),
            Err(error) => {
                self.keep();
                Err(error)
            }
        }
    }

    fn follow(&mut self, queue: &mut mpsc::Receiver<Packet>) -> Result<(), Error> {
        let mut finished = false;
        while let Some(packet) = queue.blocking_recv() {
            match PacketType::try_from(packet.r#type) {
                Ok(PacketType::PacketStat) => match packet.stat {
                    Some(_) if self.listed => return Err(protocol("a file after the list's end")),
                    Some(stat) => self.file(stat)?,
                    None => self.end_of_list()?,
                },
                Ok(PacketType::PacketData) => self.data(packet.id, &packet.data)?,
                Ok(PacketType::PacketFin) if finished => return Ok(()),
                Ok(PacketType::PacketErr) => {
                    let text = String::from_utf8_lossy(&packet.data).into_owned();
                    return Err(Error::Sender(text));
                }
                _ => return Err(protocol(format!("a message of type {}", packet.r#type))),
            }
            if self.listed && self.pending.is_empty() && !finished {
                finished = true;
                // The sender may be gone already; then the queue ends next.
                let _ = self.replies.send(Reply::Finished);
            }
        }
        match finished {
            // Everything is here; a sender that leaves without a word has nothing more to say.
            true => Ok(()),
            false => Err(Error::Ended),
        }
    }

    /// One more file of the list.
    fn file(&mut self, stat: Stat) -> Result<(), Error> {
        let id = self.check(&stat)?;
        while let Some(gone) = self
            .old
            .next_if(|old| path::compare(&old.stat.path, &stat.path) == std::cmp::Ordering::Less)
        {
            self.writable()?.remove(&gone.stat)?;
        }
        let old = self.old.next_if(|old| old.stat.path == stat.path);
        if let Some(old) = old.as_ref().filter(|old| stat::same(&old.stat, &stat)) {
            let digest = old.digest.clone();
            self.new.push(Entry { stat, digest });
            return Ok(());
        }
        self.change(id, stat, old)
    }

    fn change(&mut self, id: u32, stat: Stat, old: Option<Entry>) -> Result<(), Error> {
        let kind = stat::kind(stat.mode);
        let files = self.writable()?;
        let stays = old.as_ref().is_some_and(|old| {
            kind == stat::kind(old.stat.mode)
                && match kind {
                    Kind::Directory => true,
                    Kind::File => stat.linkname.is_empty(),
                    _ => false,
                }
        });
        if let Some(old) = old.as_ref().filter(|_| !stays) {
            files.remove(&old.stat)?;
        }
        let mut digest = Vec::new();
        match kind {
            Kind::File if stat.linkname.is_empty() => {
                let pending = Pending {
                    at: self.new.len(),
                    old: old.filter(|_| stays),
                    open: None,
                };
                self.pending.insert(id, pending);
                let _ = self.replies.send(Reply::Request(id));
            }
            Kind::File => digest = self.link(&stat)?,
            Kind::Directory | Kind::Symlink | Kind::Fifo => files.make(&stat)?,
            Kind::Other => {
                let text = format!(
                    "{} is a device or socket, which can't be built with",
                    stat.path
                );
                return Err(Error::Sender(text));
            }
        }
        self.new.push(Entry { stat, digest });
        Ok(())
    }

    /// One more name of a file that was listed before; gives its digest, if its content is here.
    fn link(&mut self, stat: &Stat) -> Result<Vec<u8>, Error> {
        let target = self
            .new
            .binary_search_by(|entry| path::compare(&entry.stat.path, &stat.linkname))
            .map_err(|_| protocol(format!("{} is linked to what was not listed", stat.path)))?;
        let regular = self.new.get(target).filter(|entry| {
            stat::kind(entry.stat.mode) == Kind::File && entry.stat.linkname.is_empty()
        });
        let Some(digest) = regular.map(|entry| entry.digest.clone()) else {
            return Err(protocol(format!("{} is linked to no file", stat.path)));
        };
        // Without a digest its content is still to come; then the link is made in the end.
        if !digest.is_empty() {
            self.writable()?.link(stat)?;
        }
        Ok(digest)
    }

    fn data(&mut self, id: u32, data: &[u8]) -> Result<(), Error> {
        let Some(mut pending) = self.pending.remove(&id) else {
            return Err(protocol(format!(
                "content of {id}, which was not asked for"
            )));
        };
        let stat = self.new.get(pending.at).map(|entry| entry.stat.clone());
        let stat = stat.ok_or_else(|| protocol("content of nothing"))?;
        let (file, mut hasher) = match pending.open.take() {
            Some(open) => open,
            None if self.open >= OPEN => return Err(protocol("too many files at once")),
            None => {
                self.open += 1;
                (self.writable()?.create(&stat)?, dhow_oci::Hasher::new())
            }
        };
        if data.is_empty() {
            self.open -= 1;
            let digest = hasher.finish();
            return self.complete(pending.at, &file, &stat, digest);
        }
        self.room(data.len())?;
        hasher.update(data);
        (&file.file)
            .write_all(data)
            .map_err(|error| Error::file("write", &*stat.path, error))?;
        pending.open = Some((file, hasher));
        self.pending.insert(id, pending);
        Ok(())
    }

    fn complete(
        &mut self,
        at: usize,
        file: &Unnamed,
        stat: &Stat,
        digest: Digest,
    ) -> Result<(), Error> {
        self.writable()?.name(file, stat)?;
        if let Some(entry) = self.new.get_mut(at) {
            entry.digest = digest.as_bytes().to_vec();
        }
        Ok(())
    }

    fn end_of_list(&mut self) -> Result<(), Error> {
        if self.listed {
            return Err(protocol("two ends of the list"));
        }
        self.listed = true;
        while let Some(gone) = self.old.next() {
            self.writable()?.remove(&gone.stat)?;
        }
        Ok(())
    }

    /// Checks a listed file against what came before, and gives its number.
    fn check(&mut self, stat: &Stat) -> Result<u32, Error> {
        if let Some(fault) = path::fault(&stat.path) {
            return Err(protocol(fault));
        }
        let last = self.new.last().map(|entry| entry.stat.path.as_str());
        if last.is_some_and(|last| path::compare(last, &stat.path) != std::cmp::Ordering::Less) {
            return Err(protocol(format!("{} is out of order", stat.path)));
        }
        let (parent, _) = path::split(&stat.path);
        while self.parents.last().is_some_and(|last| last != parent) {
            self.parents.pop();
        }
        if !parent.is_empty() && self.parents.is_empty() {
            return Err(protocol(format!("{} is in no directory", stat.path)));
        }
        if stat::kind(stat.mode) == Kind::Directory {
            self.parents.push(stat.path.clone());
        }
        let attributes = stat
            .xattrs
            .iter()
            .map(|(key, value)| key.len() + value.len());
        self.names += stat.path.len() + stat.linkname.len() + attributes.sum::<usize>();
        if self.names > self.limits.names || self.new.len() >= self.limits.files {
            return Err(protocol("there are too many files"));
        }
        let id = self.count;
        self.count += 1;
        Ok(id)
    }

    /// Makes sure that the disk does not fill up with the next bytes.
    fn room(&mut self, bytes: usize) -> Result<(), Error> {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        if self.written == 0 || self.written / MEASURE != (self.written + bytes) / MEASURE {
            let floor = self.limits.free;
            if self.writable()?.free()? < floor.saturating_add(MEASURE) {
                return Err(Error::Full(floor));
            }
        }
        self.written += bytes;
        Ok(())
    }

    /// The folder, to be changed: from now on it has no index, and nobody else has it.
    fn writable(&mut self) -> Result<&mut Files, Error> {
        let files = match self.files.take() {
            Some(files) => files,
            None => self.begin_changes()?,
        };
        Ok(self.files.insert(files))
    }

    fn begin_changes(&mut self) -> Result<Files, Error> {
        let open = |taken: &Taken| {
            let path = taken.path();
            Files::open(&path.join("files"), &path.join("unfinished"))
        };
        if self.taken.is_alone() {
            let index = self.taken.path().join("index");
            match std::fs::remove_file(&index) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Error::file("remove", index.to_string_lossy(), error));
                }
                _ => return open(&self.taken),
            }
        }
        let beside = self.taken.beside();
        let mut files = open(&beside)?;
        let mut there = self.new.clone();
        there.extend(self.old.clone());
        files.clone_from(&mut open(&self.taken)?, &there)?;
        self.taken = beside;
        Ok(files)
    }

    fn finish(mut self) -> Result<Synced, Error> {
        if let Some(mut files) = self.files.take() {
            self.late_links(&mut files)?;
            files.restamp(&self.new)?;
            self.taken.write_index(&self.new)?;
        } else if self.new.is_empty() {
            // Nothing was changed as there is nothing: there has to be a folder even so.
            let path = self.taken.path();
            Files::open(&path.join("files"), &path.join("unfinished"))?;
            self.taken.write_index(&self.new)?;
        }
        Ok(self.taken.finish(self.new))
    }

    /// Makes the links to files whose content came after the links.
    fn late_links(&mut self, files: &mut Files) -> Result<(), Error> {
        for at in 0..self.new.len() {
            let Some(entry) = self.new.get(at) else { break };
            let stat = &entry.stat;
            let late = stat::kind(stat.mode) == Kind::File && !stat.linkname.is_empty();
            if !late || !entry.digest.is_empty() {
                continue;
            }
            let target = self
                .new
                .binary_search_by(|entry| path::compare(&entry.stat.path, &stat.linkname));
            let digest = target.ok().and_then(|at| self.new.get(at));
            let digest = digest.map(|entry| entry.digest.clone()).unwrap_or_default();
            files.link(stat)?;
            if let Some(entry) = self.new.get_mut(at) {
                entry.digest = digest;
            }
        }
        Ok(())
    }

    /// Keeps what is here of a synchronisation that failed.
    fn keep(&mut self) {
        let Some(mut files) = self.files.take() else {
            return;
        };
        let mut missing = HashMap::new();
        for pending in std::mem::take(&mut self.pending).into_values() {
            if let Some((file, _)) = &pending.open {
                files.forget(file);
            }
            missing.insert(pending.at, pending.old);
        }
        let mut entries = Vec::with_capacity(self.new.len());
        for (at, entry) in std::mem::take(&mut self.new).into_iter().enumerate() {
            match missing.remove(&at) {
                Some(old) => entries.extend(old),
                None if late(&entry) => {}
                None => entries.push(entry),
            }
        }
        entries.extend(self.old.by_ref());
        let kept = files
            .restamp(&entries)
            .and_then(|()| self.taken.write_index(&entries));
        if let Err(error) = kept {
            tracing::debug!(%error, "what was received is not kept");
        }
    }
}

/// Whether an entry is a link that was not made.
fn late(entry: &Entry) -> bool {
    stat::kind(entry.stat.mode) == Kind::File
        && !entry.stat.linkname.is_empty()
        && entry.digest.is_empty()
}

fn protocol(text: impl Into<String>) -> Error {
    Error::Protocol(text.into())
}
