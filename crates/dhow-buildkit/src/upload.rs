//! Contexts that a client uploads: an archive or a Dockerfile that it has from its standard input.
//!
//! The client names it by a URL of its own (`http://buildkit-session/ID`) and sends it over the session. It is unpacked
//! into a folder of the build, and stands there for the client's main context.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bollard_buildkit_proto::moby::upload::v1::BytesMessage;
use dhow_archive::{Destination, UnpackOptions, decompressed, unpack};
use dhow_builder::client::{Client, ClientError, ClientStore, ExportedFiles, Tree};
use dhow_builder::graph::LocalOp;
use dhow_builder::request::{ContextSource, DockerfileSource};
use dhow_filesync::{FolderKey, Folders, Owners, Packet, Selection};
use futures::StreamExt;
use futures::future::BoxFuture;
use tokio::net::UnixStream;
use tokio::sync::mpsc;

use crate::order::Order;
use crate::session::Folder;

/// What the URL of an upload begins with.
const SCHEME: &str = "http://buildkit-session/";
/// The name of the context that an upload becomes.
const NAME: &str = "upload";
/// The bytes that stay free on the disk.
const FREE: u64 = 256 << 20;
/// Messages on their way.
const QUEUE: usize = 64;

/// The id of the upload that an order's context is, if it is one.
fn id_of(order: &Order) -> Option<String> {
    match &order.context {
        ContextSource::Http(url) => url.strip_prefix(SCHEME).map(str::to_owned),
        _ => None,
    }
}

/// What gives an upload's bytes.
pub(crate) trait Source: Client {
    /// Has the client send an upload; `take` is called with each piece.
    fn pull<'a>(
        &'a self,
        id: &'a str,
        take: &'a mut (dyn FnMut(BytesMessage) -> Result<(), ClientError> + Send),
    ) -> BoxFuture<'a, Result<(), ClientError>>;
}

/// Takes the upload that an order names, if it names one, and puts a client in place that has it as files.
pub(crate) async fn take<S: Source>(
    order: &mut Order,
    client: Arc<S>,
    folders: &Folders,
    parent: &Path,
) -> Result<Arc<dyn Client>, ClientError> {
    let Some(id) = id_of(order) else {
        return Ok(client);
    };
    let folder = tempfile(parent)?;
    let archive = folder.0.join("upload");
    let mut file = File::create(&archive).map_err(|error| failed("keep", &error))?;
    let room = room(parent)?;
    let mut bytes: u64 = 0;
    client
        .pull(&id, &mut |piece| {
            bytes += u64::try_from(piece.data.len()).unwrap_or(u64::MAX);
            if bytes > room {
                return Err(ClientError("no room for the build context".into()));
            }
            file.write_all(&piece.data)
                .map_err(|error| failed("keep", &error))
        })
        .await?;
    let files = folder.0.join("files");
    let work = tokio::task::spawn_blocking(move || fill(&archive, &files, room));
    work.await
        .map_err(|error| failed("unpack", &std::io::Error::other(error)))??;
    order.context = ContextSource::Local(NAME.into());
    if let DockerfileSource::Context(path) = &order.dockerfile {
        order.dockerfile = DockerfileSource::Local {
            context: NAME.into(),
            path: path.clone(),
        };
    }
    Ok(Arc::new(Uploaded {
        client,
        folder,
        folders: folders.clone(),
    }))
}

fn failed(what: &str, error: &std::io::Error) -> ClientError {
    ClientError(format!("can't {what} the build context: {error}"))
}

/// The bytes that may be written.
fn room(folder: &Path) -> Result<u64, ClientError> {
    let stat = rustix::fs::statvfs(folder).map_err(|error| failed("keep", &error.into()))?;
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    Ok(free.saturating_sub(FREE))
}

/// A folder that is removed with all that is in it.
struct Temporary(PathBuf);

fn tempfile(parent: &Path) -> Result<Temporary, ClientError> {
    let folder = parent.join(crate::id::random());
    std::fs::create_dir_all(folder.join("files")).map_err(|error| failed("keep", &error))?;
    Ok(Temporary(folder))
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let folder = std::mem::take(&mut self.0);
        let remove = move || {
            if let Err(error) = std::fs::remove_dir_all(&folder) {
                tracing::warn!(%error, path = %folder.display(), "can't remove an upload");
            }
        };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(remove)),
            Err(_) => remove(),
        }
    }
}

/// Unpacks an archive; what is none is a Dockerfile.
fn fill(archive: &Path, files: &Path, room: u64) -> Result<(), ClientError> {
    let fail = |error: std::io::Error| failed("unpack", &error);
    let mut file = File::open(archive).map_err(fail)?;
    if !is_archive(&mut file).map_err(fail)? {
        return std::fs::rename(archive, files.join("Dockerfile")).map_err(fail);
    }
    let root = File::open(files).map_err(fail)?;
    let broken = |error: dhow_archive::Error| {
        ClientError(format!(
            "can't unpack the build context: {}",
            dhow_errdefs::chain(&error)
        ))
    };
    let into = Destination::find(root.as_fd(), Path::new("/")).map_err(broken)?;
    let options = UnpackOptions {
        limits: dhow_archive::Limits {
            max_bytes: room,
            ..Default::default()
        },
        ..UnpackOptions::default()
    };
    let plain = decompressed(BufReader::new(file)).map_err(fail)?;
    unpack(plain, &into, &options).map_err(broken)
}

/// Whether it is a tar, compressed or not, by its first bytes.
fn is_archive(file: &mut File) -> std::io::Result<bool> {
    const BLOCK: usize = 512;
    const MAGIC: usize = 257;
    let plain = {
        let mut reader = BufReader::new(&mut *file);
        let head = reader.fill_buf()?;
        let compressed: [&[u8]; 4] = [b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd"];
        if compressed.iter().any(|magic| head.starts_with(magic)) {
            true
        } else {
            let mut block = Vec::new();
            reader.take(BLOCK as u64).read_to_end(&mut block)?;
            let tar = block.get(MAGIC..MAGIC + 5) == Some(b"ustar");
            tar || block.len() == BLOCK && block.iter().all(|byte| *byte == 0)
        }
    };
    file.seek(SeekFrom::Start(0))?;
    Ok(plain)
}

/// A client whose main context was uploaded.
struct Uploaded<S> {
    client: Arc<S>,
    folder: Temporary,
    folders: Folders,
}

impl<S: Source> Uploaded<S> {
    /// The files, brought in step as those of a client are: so one comes to the same cache by either way.
    async fn local(&self, wanted: &LocalOp) -> Result<Arc<dyn Tree>, ClientError> {
        let selection = Selection {
            include: Vec::new(),
            exclude: wanted.exclude.clone(),
            follow: wanted.follow.clone(),
        };
        let key = FolderKey {
            shared_key: NAME.into(),
            name: wanted.name.clone(),
            scope: wanted.follow.join("\n"),
        };
        let (packets, mut sent) = mpsc::channel(QUEUE);
        let (replies, mut said) = mpsc::unbounded_channel();
        let requests = futures::stream::poll_fn(move |cx| said.poll_recv(cx));
        let requests = requests.map(|reply| Ok(Packet::from(reply)));
        let incoming = futures::stream::poll_fn(move |cx| sent.poll_recv(cx)).map(Ok);
        let files = self.folder.0.join("files");
        let sending = dhow_filesync::send(files, selection, Owners::Root, requests, packets);
        let receiving = dhow_filesync::receive(&self.folders, &key, incoming, replies, |_| {});
        let (sent, received) = tokio::join!(sending, receiving);
        let text =
            |error: dhow_filesync::Error| ClientError(dhow_errdefs::chain(&error).to_string());
        let synced = received.map_err(text)?;
        sent.map_err(text)?;
        Ok(Arc::new(Folder::new(synced, None)))
    }
}

impl<S: Source> Client for Uploaded<S> {
    fn files<'a>(
        &'a self,
        wanted: &'a LocalOp,
    ) -> BoxFuture<'a, Result<Arc<dyn Tree>, ClientError>> {
        match wanted.name.as_str() {
            NAME => Box::pin(self.local(wanted)),
            _ => self.client.files(wanted),
        }
    }

    fn secret<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Option<Vec<u8>>, ClientError>> {
        self.client.secret(id)
    }

    fn has_agent<'a>(&'a self, id: &'a str) -> BoxFuture<'a, bool> {
        self.client.has_agent(id)
    }

    fn agent<'a>(
        &'a self,
        id: &'a str,
        connection: UnixStream,
    ) -> BoxFuture<'a, Result<(), ClientError>> {
        self.client.agent(id, connection)
    }

    fn credentials<'a>(&'a self, registry: &'a str) -> BoxFuture<'a, Option<(String, String)>> {
        self.client.credentials(registry)
    }

    fn store(&self, name: &str) -> Option<Arc<dyn ClientStore>> {
        self.client.store(name)
    }

    fn receive<'a>(
        &'a self,
        export: usize,
        files: ExportedFiles,
    ) -> BoxFuture<'a, Result<(), ClientError>> {
        self.client.receive(export, files)
    }
}
