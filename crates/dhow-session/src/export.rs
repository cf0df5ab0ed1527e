//! Where what was built goes to on this side.

use std::convert::Infallible;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bollard_buildkit_proto::moby::filesync::packet::file_send_server as folders;
use bollard_buildkit_proto::moby::filesync::v1::BytesMessage;
use bollard_buildkit_proto::moby::filesync::v1::file_send_server as files;
use dhow_filesync::{FolderKey, Limits, Packet};
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use rustix::fs::{Mode, OFlags, ResolveFlags, mkdirat, openat2, renameat};
use rustix::io::Errno;
use tokio::sync::mpsc;
use tonic::body::Body;
use tonic::metadata::MetadataMap;
use tonic::server::NamedService;
use tonic::{Request, Response, Status, Streaming};
use tower::Service;

use crate::session::random_id;
use crate::transport::MESSAGE;

/// Stands beside a call and says which export it is about.
const EXPORT: &str = "buildkit-attachable-exporter-id";
/// Messages on their way.
const QUEUE: usize = 64;

/// Where an export goes.
pub enum Target {
    /// Nothing comes: it stays with the engine.
    Engine,
    /// Files go into a folder, beside what is there.
    Folder(PathBuf),
    /// An archive goes into a file, which is there once it is whole.
    File(PathBuf),
    /// An archive goes where bytes go.
    Stream(Box<dyn Write + Send>),
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Engine => f.write_str("Engine"),
            Self::Folder(path) => f.debug_tuple("Folder").field(path).finish(),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Stream(_) => f.write_str("Stream"),
        }
    }
}

/// The exports' service: what is sent depends on where it goes, so that there are two of the same name.
#[derive(Clone)]
pub(crate) struct Exports {
    targets: Arc<Vec<Mutex<Target>>>,
    /// What the engine has sent and is not in its place yet.
    unfinished: Arc<Mutex<Vec<Receiving>>>,
}

/// Files on their way to their places.
pub(crate) type Receiving = tokio::task::JoinHandle<Result<(), Status>>;

impl Exports {
    pub(crate) fn new(targets: Vec<Target>) -> Self {
        Self {
            targets: Arc::new(targets.into_iter().map(Mutex::new).collect()),
            unfinished: Arc::default(),
        }
    }

    /// Waits until everything that was sent is in its place.
    pub(crate) async fn finish(&self) -> Result<(), Status> {
        let unfinished = || {
            let mut unfinished = self
                .unfinished
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            unfinished.pop()
        };
        while let Some(receiving) = unfinished() {
            receiving
                .await
                .map_err(|error| Status::internal(error.to_string()))??;
        }
        Ok(())
    }

    /// Takes the target that a call is about; nobody else gets it.
    fn take(&self, metadata: &MetadataMap) -> Result<Target, Status> {
        let id = metadata.get(EXPORT).and_then(|id| id.to_str().ok());
        let target = self.target(id.unwrap_or("0"));
        let target = target.ok_or_else(|| Status::not_found("there is no such export"))?;
        let mut target = target.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(std::mem::replace(&mut target, Target::Engine))
    }

    fn target(&self, id: &str) -> Option<&Mutex<Target>> {
        self.targets.get(id.parse::<usize>().ok()?)
    }
}

impl NamedService for Exports {
    const NAME: &'static str = "moby.filesync.v1.FileSend";
}

impl Service<http::Request<Body>> for Exports {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let id = request
            .headers()
            .get(EXPORT)
            .and_then(|id| id.to_str().ok());
        let folder = self.target(id.unwrap_or("0")).is_some_and(|target| {
            let target = target.lock().unwrap_or_else(PoisonError::into_inner);
            matches!(*target, Target::Folder(_))
        });
        let exports = self.clone();
        match folder {
            true => folders::FileSendServer::new(exports)
                .max_decoding_message_size(MESSAGE)
                .call(request),
            false => files::FileSendServer::new(exports)
                .max_decoding_message_size(MESSAGE)
                .call(request),
        }
    }
}

/// Runs what blocks elsewhere.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, Status> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Status::internal(error.to_string()))?
        .map_err(|error| Status::unknown(error.to_string()))
}

#[tonic::async_trait]
impl files::FileSend for Exports {
    type DiffCopyStream = BoxStream<'static, Result<BytesMessage, Status>>;

    async fn diff_copy(
        &self,
        request: Request<Streaming<BytesMessage>>,
    ) -> Result<Response<Self::DiffCopyStream>, Status> {
        let target = self.take(request.metadata())?;
        let mut incoming = request.into_inner();
        let (pieces, mut queue) = mpsc::channel::<Vec<u8>>(QUEUE);
        let writing = tokio::spawn(blocking(move || {
            let mut sink = Sink::open(target)?;
            while let Some(piece) = queue.blocking_recv() {
                sink.write_all(&piece)?;
            }
            Ok(sink)
        }));
        // An archive that breaks off is no archive: its file is not kept.
        while let Some(message) = incoming.message().await? {
            if pieces.send(message.data).await.is_err() {
                break;
            }
        }
        drop(pieces);
        let written = writing.await;
        let sink = written.map_err(|error| Status::internal(error.to_string()))??;
        blocking(move || sink.finish()).await?;
        Ok(Response::new(futures::stream::empty().boxed()))
    }
}

/// An archive on its way.
enum Sink {
    /// The file, where it is, and where it goes.
    File(File, PathBuf, PathBuf),
    Stream(Box<dyn Write + Send>),
    /// Done, so that nothing is to be removed.
    Done,
}

impl Sink {
    fn open(target: Target) -> io::Result<Self> {
        match target {
            Target::Stream(stream) => Ok(Self::Stream(stream)),
            // What is no file, such as a pipe, is written to as it is.
            Target::File(path) if path.exists() && !path.is_file() => {
                let file = File::options().write(true).open(path)?;
                Ok(Self::Stream(Box::new(file)))
            }
            Target::File(path) => {
                let name = format!(".{}", random_id());
                let beside = path.parent().unwrap_or(Path::new("")).join(name);
                Ok(Self::File(File::create_new(&beside)?, beside, path))
            }
            Target::Engine | Target::Folder(_) => {
                Err(io::Error::other("no archive is expected there"))
            }
        }
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::File(file, ..) => file.write_all(bytes),
            Self::Stream(stream) => stream.write_all(bytes),
            Self::Done => Ok(()),
        }
    }

    fn finish(mut self) -> io::Result<()> {
        match &mut self {
            Self::File(_, beside, path) => std::fs::rename(beside, path)?,
            Self::Stream(stream) => stream.flush()?,
            Self::Done => {}
        }
        self = Self::Done;
        drop(self);
        Ok(())
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        if let Self::File(_, beside, _) = self {
            // After it was renamed there is nothing any more.
            let _ = std::fs::remove_file(beside);
        }
    }
}

#[tonic::async_trait]
impl folders::FileSend for Exports {
    type DiffCopyStream = BoxStream<'static, Result<Packet, Status>>;

    async fn diff_copy(
        &self,
        request: Request<Streaming<Packet>>,
    ) -> Result<Response<Self::DiffCopyStream>, Status> {
        let Target::Folder(folder) = self.take(request.metadata())? else {
            return Err(Status::not_found("no files are expected there"));
        };
        let incoming = request.into_inner().map(|packet| match packet {
            // They belong to whoever asked for them.
            Ok(mut packet) => {
                if let Some(stat) = &mut packet.stat {
                    (stat.uid, stat.gid) = (0, 0);
                }
                Ok(packet)
            }
            Err(status) => Err(dhow_filesync::Error::Sender(status.message().to_owned())),
        });
        let (replies, mut said) = mpsc::unbounded_channel();
        // The engine need not wait until the files are in their places: who asked for them does.
        let receiving = tokio::spawn(receive(folder, Box::pin(incoming), replies));
        self.unfinished
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(receiving);
        let replies = futures::stream::poll_fn(move |cx| said.poll_recv(cx));
        let replies = replies.map(|reply| Ok(Packet::from(reply)));
        Ok(Response::new(replies.boxed()))
    }
}

/// Receives files beside the others in `folder`, and puts them in their places once all are there.
async fn receive(
    folder: PathBuf,
    incoming: BoxStream<'static, Result<Packet, dhow_filesync::Error>>,
    replies: mpsc::UnboundedSender<dhow_filesync::Reply>,
) -> Result<(), Status> {
    let beside = folder.join(format!(".{}", random_id()));
    let unfinished = Unfinished(beside.clone());
    let opened = blocking(move || {
        std::fs::create_dir_all(&folder)?;
        let copies = dhow_filesync::Folders::open(&beside, Limits::default());
        Ok((copies.map_err(io::Error::other)?, folder))
    });
    let (copies, folder) = opened.await?;
    let key = FolderKey {
        shared_key: String::new(),
        name: "export".into(),
        scope: String::new(),
    };
    let received = dhow_filesync::receive(&copies, &key, incoming, replies, |_| {}).await;
    let received =
        received.map_err(|error| Status::unknown(dhow_errdefs::chain(&error).to_string()))?;
    blocking(move || {
        let open = |path: &Path| File::open(path).map(OwnedFd::from);
        merge(&open(received.path())?, &open(&folder)?)?;
        drop((received, unfinished));
        Ok(())
    })
    .await
}

/// A folder that is removed with all that is in it.
struct Unfinished(PathBuf);

impl Drop for Unfinished {
    fn drop(&mut self) {
        // Where it can't be removed, its name says that nobody needs it.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Moves everything in `from` into `to`; directories that are there already get what is new. Links are never followed.
fn merge(from: &OwnedFd, to: &OwnedFd) -> io::Result<()> {
    for entry in rustix::fs::Dir::read_from(from)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let directory = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        let open = |at: &OwnedFd| openat2(at.as_fd(), name, directory, Mode::empty(), resolve);
        let inner = match open(from) {
            Ok(inner) => inner,
            Err(Errno::NOTDIR | Errno::LOOP) => {
                renameat(from, name, to, name)?;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        // An empty place is taken by the whole directory at once.
        match renameat(from, name, to, name) {
            Ok(()) => continue,
            Err(Errno::NOTEMPTY | Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        match mkdirat(to, name, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        merge(&inner, &open(to)?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn directories_are_merged_and_links_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        for path in ["from/a/b", "from/link", "to/a", "outside"] {
            std::fs::create_dir_all(at(path)).unwrap();
        }
        std::fs::write(at("from/a/b/new"), "new").unwrap();
        std::fs::write(at("from/a/one"), "new").unwrap();
        std::fs::write(at("to/a/one"), "old").unwrap();
        std::fs::write(at("to/a/stays"), "old").unwrap();
        let open = |path: &str| OwnedFd::from(File::open(at(path)).unwrap());
        merge(&open("from/a"), &open("to/a")).unwrap();
        let text = |path: &str| std::fs::read_to_string(at(path)).unwrap();
        assert_eq!(text("to/a/b/new"), "new");
        assert_eq!(text("to/a/one"), "new");
        assert_eq!(text("to/a/stays"), "old");

        std::fs::write(at("from/link/x"), "x").unwrap();
        std::os::unix::fs::symlink(at("outside"), at("to/link")).unwrap();
        assert!(merge(&open("from"), &open("to")).is_err());
        assert!(!at("outside/x").exists());
    }
}
