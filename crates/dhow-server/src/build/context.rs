//! The files that come with a build: an archive as the request's body.
//!
//! The archive is unpacked into a folder that goes away with the build. The Dockerfile and what it says to leave out
//! are kept apart: the patterns may name them as well.

use std::collections::BTreeMap;
use std::io::{self, BufReader, Read};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use dhow_archive::fd::{names, open_dir, open_in_root, stat};
use dhow_archive::{Destination, Limits, UnpackOptions, decompressed, remove_tree, unpack};
use dhow_builder::client::{Client, ClientError, ExportedFiles, Tree};
use dhow_builder::graph::LocalOp;
use dhow_distribution::Credentials;
use dhow_dockerfile::IgnorePatterns;
use dhow_errdefs::{ErrorKind, chain};
use futures::future::BoxFuture;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, openat, unlinkat};
use tokio::io::AsyncRead;
use tokio::net::UnixStream;
use tokio_util::io::SyncIoBridge;

use crate::error::{ApiError, Result};
use crate::routes::block;

/// The largest Dockerfile.
const LARGEST: u64 = 4 * 1024 * 1024;
/// How much of the archive is read at once.
const BUFFER: usize = 128 * 1024;
/// What is left free on the disk, whatever the archive holds.
const FREE: u64 = 256 * 1024 * 1024;
/// The name of the file with the patterns of what is left out.
const IGNORE: &str = ".dockerignore";

/// The unpacked files of one build.
#[derive(Debug)]
pub(crate) struct Context {
    /// Removed with all that is in it.
    folder: Mutex<PathBuf>,
    /// The Dockerfile's name in the folder of its own.
    pub(crate) name: String,
    /// What it says.
    pub(crate) dockerfile: Vec<u8>,
    /// What was left out already.
    left_out: Mutex<Option<Vec<String>>>,
}

impl Context {
    /// Unpacks an archive below `parent`, and finds the Dockerfile in it.
    pub(crate) async fn unpack(
        parent: &Path,
        id: &str,
        archive: impl AsyncRead + Send + Unpin + 'static,
        dockerfile: &str,
    ) -> Result<Self> {
        let context = Self::new(parent, id, dockerfile)?;
        let archive = SyncIoBridge::new(archive);
        let room = room(parent)?;
        block(move || context.fill(archive, room)).await
    }

    fn new(parent: &Path, id: &str, dockerfile: &str) -> Result<Self> {
        let context = Self {
            folder: Mutex::new(parent.join(id)),
            name: dockerfile.to_owned(),
            dockerfile: Vec::new(),
            left_out: Mutex::new(None),
        };
        for folder in [context.files(), context.apart()] {
            std::fs::create_dir_all(folder).map_err(failed("make room for the build context"))?;
        }
        Ok(context)
    }

    fn folder(&self) -> PathBuf {
        let folder = self.folder.lock().unwrap_or_else(PoisonError::into_inner);
        folder.clone()
    }

    /// Removes all of it, at the end of its build.
    pub(crate) async fn remove(&self) {
        let folder = self.take();
        let work = tokio::task::spawn_blocking(move || remove(&folder));
        if let Err(error) = work.await {
            tracing::warn!("remove a build context: {error}");
        }
    }

    /// The folder, which is nobody's from now on.
    fn take(&self) -> PathBuf {
        let mut folder = self.folder.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *folder)
    }

    /// The files that `COPY` takes.
    pub(crate) fn files(&self) -> PathBuf {
        self.folder().join("files")
    }

    /// The Dockerfile and what belongs to it.
    pub(crate) fn apart(&self) -> PathBuf {
        self.folder().join("dockerfile")
    }

    fn fill(mut self, archive: impl Read, room: u64) -> Result<Self> {
        let files = self.files();
        let root = open(&files)?;
        let into = Destination::find(root.as_fd(), Path::new("/"))?;
        let options = UnpackOptions {
            limits: Limits {
                max_bytes: room,
                ..Limits::default()
            },
            ..UnpackOptions::default()
        };
        let archive = decompressed(BufReader::with_capacity(BUFFER, archive));
        let archive = archive.map_err(failed("read the build context"))?;
        // A bad archive counts as a failure of the engine's own, as in Docker.
        unpack(archive, &into, &options)
            .map_err(|error| ApiError::new(ErrorKind::System, chain(&error).to_string()))?;
        let (name, text) = find(&files, &self.name)?;
        (self.name, self.dockerfile) = (name, text);
        let ignore = [format!("{}.dockerignore", self.name), IGNORE.to_owned()];
        let ignore = ignore.iter().find_map(|name| read(&files, name).ok());
        self.keep_apart(ignore.as_deref())?;
        Ok(self)
    }

    fn keep_apart(&mut self, ignore: Option<&[u8]>) -> Result<()> {
        // Wherever it was: there it has one name.
        self.name = "Dockerfile".into();
        let write = |name: &str, text: &[u8]| {
            std::fs::write(self.apart().join(name), text).map_err(failed("keep the Dockerfile"))
        };
        write(&self.name, &self.dockerfile)?;
        ignore.map_or(Ok(()), |text| write(IGNORE, text))
    }

    /// Leaves out what the patterns say. The files of a context are the same in all of a build.
    fn leave_out(&self, patterns: &[String]) -> Result<(), ClientError> {
        let mut done = self.left_out.lock().unwrap_or_else(PoisonError::into_inner);
        if done.as_deref() == Some(patterns) || (done.is_none() && patterns.is_empty()) {
            return Ok(());
        }
        if done.is_some() {
            return Err(ClientError(
                "the context is asked for twice, differently".into(),
            ));
        }
        let error = |error: &dyn std::fmt::Display| ClientError(error.to_string());
        let read = IgnorePatterns::new(patterns.iter().map(String::as_str));
        let read = read.map_err(|e| error(&e))?;
        let root = open(&self.files()).map_err(|e| error(&e.message))?;
        prune(&root, "", &read).map_err(|e| error(&e))?;
        *done = Some(patterns.to_vec());
        Ok(())
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        let folder = self.take();
        if folder.as_os_str().is_empty() {
            return;
        }
        match tokio::runtime::Handle::try_current() {
            Ok(handle) => drop(handle.spawn_blocking(move || remove(&folder))),
            Err(_) => remove(&folder),
        }
    }
}

/// Removes a context's folder; blocking.
fn remove(folder: &Path) {
    let (Some(parent), Some(name)) = (folder.parent(), folder.file_name()) else {
        return;
    };
    let removed = open(parent).and_then(|parent| {
        let removed = remove_tree(parent.as_fd(), Path::new(name));
        removed.map_err(ApiError::from)
    });
    if let Err(error) = removed {
        tracing::warn!("remove a build context: {}", error.message);
    }
}

/// How many bytes an archive may have.
fn room(parent: &Path) -> Result<u64> {
    let disk = rustix::fs::statvfs(parent).map_err(failed("look at the disk of build contexts"))?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    Ok(free.saturating_sub(FREE))
}

fn failed<E: std::fmt::Display>(action: &'static str) -> impl FnOnce(E) -> ApiError {
    move |error| ApiError::new(ErrorKind::System, format!("{action}: {error}"))
}

fn open(path: &Path) -> Result<std::os::fd::OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat(rustix::fs::CWD, path, flags, Mode::empty()).map_err(failed("open the build context"))
}

/// The Dockerfile of that name: `dockerfile` too where the default is meant.
fn find(files: &Path, name: &str) -> Result<(String, Vec<u8>)> {
    let mut wanted = vec![name.to_owned()];
    if name == "Dockerfile" {
        wanted.push("dockerfile".to_owned());
    }
    for name in wanted {
        match read(files, &name) {
            Ok(text) => return Ok((name, text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed("read the Dockerfile")(error)),
        }
    }
    Err(ApiError::new(
        ErrorKind::System,
        format!("Cannot locate specified Dockerfile: {name}"),
    ))
}

/// A small regular file, by a path that does not lead out of the folder.
fn read(files: &Path, name: &str) -> io::Result<Vec<u8>> {
    let root = open(files).map_err(|error| io::Error::other(error.message))?;
    let flags = OFlags::RDONLY | OFlags::NONBLOCK;
    let file = open_in_root(&root, name.trim_start_matches('/').as_bytes(), flags)?;
    let file = std::fs::File::from(file);
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.len() > LARGEST {
        return Err(io::Error::other("not a file of a sensible size"));
    }
    let mut text = Vec::new();
    file.take(LARGEST).read_to_end(&mut text)?;
    Ok(text)
}

/// Removes what the patterns leave out of a directory whose path is `path`; says whether anything was left in it.
fn prune(
    folder: &std::os::fd::OwnedFd,
    path: &str,
    patterns: &IgnorePatterns,
) -> rustix::io::Result<bool> {
    let mut left = false;
    for name in names(folder.as_fd())? {
        let shown = String::from_utf8_lossy(&name);
        let own = match path {
            "" => shown.into_owned(),
            _ => format!("{path}/{shown}"),
        };
        let excluded = patterns.excludes(&own);
        let kind = FileType::from_raw_mode(stat(folder, &name)?.st_mode);
        if kind != FileType::Directory {
            if excluded {
                unlinkat(folder, name.as_slice(), AtFlags::empty())?;
            } else {
                left = true;
            }
            continue;
        }
        // An exception may keep something of an excluded directory.
        let below = open_dir(folder, &name)?;
        let kept = prune(&below, &own, patterns)?;
        if excluded && !kept {
            unlinkat(folder, name.as_slice(), AtFlags::REMOVEDIR)?;
        } else {
            left = true;
        }
    }
    Ok(left)
}

/// The client of a classic build: its archive, and credentials from its head.
pub(crate) struct TarClient {
    pub(crate) context: Option<Arc<Context>>,
    pub(crate) credentials: BTreeMap<String, Credentials>,
    /// Has what the archive has not: secrets, agents, other files.
    pub(crate) session: Option<Arc<dyn Client>>,
}

struct Files {
    path: PathBuf,
    /// The folder stays as long as this does.
    _context: Arc<Context>,
}

impl Tree for Files {
    fn path(&self) -> &Path {
        &self.path
    }
}

impl Client for TarClient {
    fn files<'a>(
        &'a self,
        wanted: &'a LocalOp,
    ) -> BoxFuture<'a, Result<Arc<dyn Tree>, ClientError>> {
        Box::pin(async move {
            let none = || ClientError(format!("the client has no context {:?}", wanted.name));
            let context = match (&self.context, &self.session) {
                (Some(context), _) => context.clone(),
                (None, Some(session)) => return session.files(wanted).await,
                (None, None) => return Err(none()),
            };
            let path = match wanted.name.as_str() {
                "dockerfile" => context.apart(),
                "context" => context.files(),
                _ => return Err(none()),
            };
            if wanted.name == "context" {
                let (context, patterns) = (context.clone(), wanted.exclude.clone());
                let work = tokio::task::spawn_blocking(move || context.leave_out(&patterns));
                work.await
                    .map_err(|error| ClientError(error.to_string()))??;
            }
            let files = Files {
                path,
                _context: context,
            };
            Ok(Arc::new(files) as Arc<dyn Tree>)
        })
    }

    fn credentials<'a>(&'a self, registry: &'a str) -> BoxFuture<'a, Option<(String, String)>> {
        const HUB: [&str; 4] = [
            "https://index.docker.io/v1/",
            "index.docker.io",
            "docker.io",
            "registry-1.docker.io",
        ];
        let names = if HUB.contains(&registry) {
            HUB.to_vec()
        } else {
            vec![registry]
        };
        let found = names.iter().find_map(|name| self.credentials.get(*name));
        let pair = found.map(|found| match found.identity_token.as_str() {
            "" => (found.username.clone(), found.password.clone()),
            token => (String::new(), token.to_owned()),
        });
        Box::pin(async move {
            match (pair, &self.session) {
                (None, Some(session)) => session.credentials(registry).await,
                (pair, _) => pair,
            }
        })
    }

    fn secret<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Option<Vec<u8>>, ClientError>> {
        match &self.session {
            Some(session) => session.secret(id),
            None => Box::pin(async { Ok(None) }),
        }
    }

    fn has_agent<'a>(&'a self, id: &'a str) -> BoxFuture<'a, bool> {
        match &self.session {
            Some(session) => session.has_agent(id),
            None => Box::pin(async { false }),
        }
    }

    fn agent<'a>(
        &'a self,
        id: &'a str,
        connection: UnixStream,
    ) -> BoxFuture<'a, Result<(), ClientError>> {
        match &self.session {
            Some(session) => session.agent(id, connection),
            None => {
                let text = format!("no ssh agent {id:?} is forwarded");
                Box::pin(async { Err(ClientError(text)) })
            }
        }
    }

    fn receive<'a>(
        &'a self,
        export: usize,
        files: ExportedFiles,
    ) -> BoxFuture<'a, Result<(), ClientError>> {
        match &self.session {
            Some(session) => session.receive(export, files),
            None => Box::pin(async { Err(ClientError("the client takes no files".into())) }),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn archive(files: &[(&str, &str)]) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let root = open(folder.path()).unwrap();
        let mut bytes = Vec::new();
        dhow_archive::diff(root.as_fd(), &mut bytes).unwrap();
        bytes
    }

    async fn unpack(parent: &Path, files: &[(&str, &str)], name: &str) -> Result<Context> {
        let bytes = io::Cursor::new(archive(files));
        Context::unpack(parent, "one", bytes, name).await
    }

    #[tokio::test]
    async fn what_is_ignored_is_left_out_and_the_dockerfile_kept_apart() {
        let parent = tempfile::tempdir().unwrap();
        let files = [
            ("Dockerfile", "FROM scratch"),
            (".dockerignore", "*\n!keep\n!d/x\n"),
            ("keep", "1"),
            ("drop", "2"),
            ("d/x", "3"),
            ("d/y", "4"),
            ("e/z", "5"),
        ];
        let context = unpack(parent.path(), &files, "Dockerfile").await.unwrap();
        assert_eq!(context.dockerfile, b"FROM scratch");
        let patterns = ["*", "!keep", "!d/x"].map(str::to_owned);
        context.leave_out(&patterns).unwrap();
        context.leave_out(&patterns).unwrap();
        assert!(context.leave_out(&[]).is_err());
        let there = |name: &str| context.files().join(name).exists();
        assert!(there("keep") && there("d/x"));
        for name in ["drop", "d/y", "e", "Dockerfile", ".dockerignore"] {
            assert!(!there(name), "{name}");
        }
        let apart = std::fs::read(context.apart().join(IGNORE)).unwrap();
        assert_eq!(apart, b"*\n!keep\n!d/x\n");
        let folder = context.folder();
        tokio::task::spawn_blocking(move || drop(context))
            .await
            .unwrap();
        // Removed by a thread of its own.
        while folder.exists() {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn the_dockerfile_is_found_inside_or_not_at_all() {
        let parent = tempfile::tempdir().unwrap();
        let secret = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(secret.path(), "FROM secret").unwrap();
        let lower = [("dockerfile", "FROM lower")];
        let context = unpack(parent.path(), &lower, "Dockerfile").await.unwrap();
        assert_eq!(context.dockerfile, b"FROM lower");
        let up = format!("../../../../../../../{}", secret.path().display());
        for name in ["nosuch", up.as_str(), "."] {
            assert!(unpack(parent.path(), &lower, name).await.is_err(), "{name}");
        }
    }
}
