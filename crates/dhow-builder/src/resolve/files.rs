//! The Dockerfile, and what the context leaves out.

use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;
use std::path::Path;

use dhow_dockerfile::IgnorePatterns;
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, fstat, open, openat2};
use rustix::io::Errno;

use crate::client::Tree;
use crate::error::Error;
use crate::graph::LocalOp;
use crate::plan::Source;
use crate::request::{BuildRequest, ContextSource, DockerfileSource};
use crate::resolve::remote::Remote;
use crate::resolve::tell::Telling;

/// No Dockerfile and no ignore file is larger.
pub(crate) const LARGEST: u64 = 16 << 20;
/// Bytes that a transfer has besides a file's content: what BuildKit counts.
const OVERHEAD: u64 = 2;

/// The Dockerfile, and the ignore file of its own.
pub(crate) async fn definition(
    request: &BuildRequest,
    remote: Option<&Remote>,
) -> Result<(Source, Option<Vec<u8>>), Error> {
    match &request.dockerfile {
        DockerfileSource::Inline(bytes) => Ok((source("Dockerfile", bytes.clone()), None)),
        DockerfileSource::Context(name) => match remote {
            Some(Remote::Dockerfile(bytes)) => Ok((source(name, bytes.clone()), None)),
            Some(remote) => found(|path| remote.read(path), name),
            None => match &request.context {
                ContextSource::Local(context) => local_definition(request, context, name).await,
                _ => Err(missing(name)),
            },
        },
        DockerfileSource::Local { context, path } => local_definition(request, context, path).await,
    }
}

async fn local_definition(
    request: &BuildRequest,
    context: &str,
    name: &str,
) -> Result<(Source, Option<Vec<u8>>), Error> {
    let title = format!("[internal] load build definition from {}", file_name(name));
    let telling = Telling::begin(&request.listener, &request.id, &title);
    let wanted = LocalOp {
        name: context.to_owned(),
        follow: followed(name),
        exclude: Vec::new(),
    };
    let result = match request.client.files(&wanted).await {
        Ok(tree) => found(|path| read(&*tree, path), name),
        Err(source) => Err(Error::Client {
            what: "failed to read dockerfile".into(),
            source,
        }),
    };
    let bytes = match &result {
        Ok((source, _)) => u64::try_from(source.bytes.len()).unwrap_or(u64::MAX),
        Err(_) => 0,
    };
    telling.transferred("transferring dockerfile:", bytes + OVERHEAD);
    // A file that is not there is no failure of the transfer.
    match result {
        Err(error @ Error::NotFound { .. }) => {
            telling.end(Ok(()))?;
            Err(error)
        }
        other => telling.end(other),
    }
}

/// What is asked for: the file, its ignore file, and for the usual name that in small letters.
fn followed(name: &str) -> Vec<String> {
    let mut follow = vec![name.to_owned(), format!("{name}.dockerignore")];
    if file_name(name) == "Dockerfile" {
        follow.push(lower(name));
    }
    follow
}

fn lower(name: &str) -> String {
    let path = Path::new(name);
    path.with_file_name("dockerfile")
        .to_string_lossy()
        .into_owned()
}

fn found(
    read: impl Fn(&str) -> Result<Option<Vec<u8>>, Error>,
    name: &str,
) -> Result<(Source, Option<Vec<u8>>), Error> {
    let mut bytes = read(name)?;
    if bytes.is_none() && file_name(name) == "Dockerfile" {
        bytes = read(&lower(name))?;
    }
    let bytes = bytes.ok_or_else(|| missing(name))?;
    let ignore = read(&format!("{name}.dockerignore"))?;
    Ok((source(name, bytes), ignore))
}

fn missing(name: &str) -> Error {
    let name = file_name(name);
    Error::NotFound {
        text: format!("failed to read dockerfile: open {name}: no such file or directory"),
        hint: Some("-f names the Dockerfile, the last argument the folder it is in".into()),
    }
}

fn source(name: &str, bytes: Vec<u8>) -> Source {
    Source {
        file: file_name(name).to_owned(),
        bytes: bytes.into(),
    }
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// What the context leaves out: by the ignore file of the Dockerfile's own, else by the context's `.dockerignore`.
pub(crate) async fn exclude(
    request: &BuildRequest,
    remote: Option<&Remote>,
    own: Option<Vec<u8>>,
) -> Result<Vec<String>, Error> {
    let written = match own {
        Some(own) => Some(own),
        None => ignore(request, remote).await?,
    };
    written.map_or_else(|| Ok(Vec::new()), |bytes| patterns(&bytes))
}

async fn ignore(request: &BuildRequest, remote: Option<&Remote>) -> Result<Option<Vec<u8>>, Error> {
    if let Some(remote) = remote {
        return remote.read(".dockerignore");
    }
    let ContextSource::Local(context) = &request.context else {
        return Ok(None);
    };
    local_ignore(request, context, "[internal] load .dockerignore").await
}

/// The `.dockerignore` of a context of the client.
pub(crate) async fn local_ignore(
    request: &BuildRequest,
    context: &str,
    title: &str,
) -> Result<Option<Vec<u8>>, Error> {
    let telling = Telling::begin(&request.listener, &request.id, title);
    let wanted = LocalOp {
        name: context.to_owned(),
        follow: vec![".dockerignore".into()],
        exclude: Vec::new(),
    };
    let result = match request.client.files(&wanted).await {
        Ok(tree) => read(&*tree, ".dockerignore"),
        Err(source) => Err(Error::Client {
            what: "failed to load .dockerignore".into(),
            source,
        }),
    };
    let bytes = match &result {
        Ok(Some(bytes)) => u64::try_from(bytes.len()).unwrap_or(u64::MAX),
        _ => 0,
    };
    telling.transferred("transferring context:", bytes + OVERHEAD);
    telling.end(result)
}

/// The patterns of an ignore file, each checked.
pub(crate) fn patterns(bytes: &[u8]) -> Result<Vec<String>, Error> {
    IgnorePatterns::read(bytes)
        .map_err(|error| Error::invalid(format!("error reading .dockerignore: {error}")))?;
    let text = String::from_utf8_lossy(bytes);
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let lines = lines.map(str::trim).filter(|line| !line.is_empty());
    Ok(lines.map(str::to_owned).collect())
}

/// A regular file of a tree, opened; nothing when there is none.
pub(crate) fn open_in(tree: &dyn Tree, path: &str) -> Result<Option<File>, Error> {
    let failed = |source: std::io::Error| Error::file("open", path, source);
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = open(tree.path(), flags, Mode::empty()).map_err(|e| failed(e.into()))?;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = match openat2(root.as_fd(), path, flags, Mode::empty(), resolve) {
        Ok(file) => file,
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
        Err(error) => return Err(failed(error.into())),
    };
    let stat = fstat(&file).map_err(|e| failed(e.into()))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(Error::invalid(format!("{path} is not a regular file")));
    }
    Ok(Some(file.into()))
}

/// A regular file of a tree, whole; nothing when there is none.
pub(crate) fn read(tree: &dyn Tree, path: &str) -> Result<Option<Vec<u8>>, Error> {
    let Some(file) = open_in(tree, path)? else {
        return Ok(None);
    };
    let mut bytes = Vec::new();
    let mut limited = file.take(LARGEST + 1);
    limited
        .read_to_end(&mut bytes)
        .map_err(|source| Error::file("read", path, source))?;
    if bytes.len() as u64 > LARGEST {
        let text = format!("{path} is larger than {} MiB", LARGEST >> 20);
        return Err(Error::invalid(text));
    }
    Ok(Some(bytes))
}
