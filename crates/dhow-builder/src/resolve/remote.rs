//! Contexts that are not the client's: repositories and addresses.

use std::collections::BTreeMap;
use std::io::{BufReader, Read};
use std::sync::Arc;

use dhow_archive::tar::Reader;

use crate::client::Tree;
use crate::error::Error;
use crate::graph::{GitOp, HttpOp, Op};
use crate::plan::{Context, parse_git};
use crate::prepare::Sources;
use crate::request::{BuildRequest, ContextSource, DockerfileSource};
use crate::resolve::files::{LARGEST, open_in, read};

/// What a remote context turned out to be.
pub(crate) enum Remote {
    /// Files.
    Tree(Arc<dyn Tree>),
    /// The files of an archive that may be asked for: those at its top, without what is large.
    Archive(BTreeMap<String, Vec<u8>>),
    /// A Dockerfile alone; there are no files.
    Dockerfile(Vec<u8>),
}

impl Remote {
    /// A file of it; nothing when there is none.
    pub(crate) fn read(&self, path: &str) -> Result<Option<Vec<u8>>, Error> {
        match self {
            Self::Tree(tree) => read(&**tree, path),
            Self::Archive(files) => Ok(files.get(path.trim_start_matches('/')).cloned()),
            Self::Dockerfile(_) => Ok(None),
        }
    }
}

/// What the file at an address is called here.
const FILE: &str = "context";

/// An archive at an address.
pub(crate) fn http(url: &str) -> HttpOp {
    HttpOp {
        url: url.to_owned(),
        checksum: None,
        file_name: Some(FILE.to_owned()),
    }
}

/// The repository that an address means.
pub(crate) fn git(address: &str, keep: bool) -> Result<GitOp, Error> {
    let parsed = parse_git(address).map_err(|problem| Error::invalid(problem.text))?;
    // What Docker has always taken for a repository without a scheme.
    let parsed = match parsed {
        None if address.starts_with("github.com/") => {
            parse_git(&format!("https://{}", with_suffix(address)))
                .map_err(|problem| Error::invalid(problem.text))?
        }
        other => other,
    };
    let mut op =
        parsed.ok_or_else(|| Error::invalid(format!("invalid git context {address:?}")))?;
    op.keep_git_dir |= keep;
    Ok(op)
}

/// `github.com/a/b#x` with `.git` where it must be.
fn with_suffix(address: &str) -> String {
    let end = address.find(['#', '?']).unwrap_or(address.len());
    let (path, rest) = address.split_at(end);
    match path.ends_with(".git") {
        true => address.to_owned(),
        false => format!("{path}.git{rest}"),
    }
}

/// Fetches a remote main context, if the request has one.
pub(crate) async fn remote(
    request: &BuildRequest,
    sources: &dyn Sources,
) -> Result<(Option<Remote>, Option<Context>), Error> {
    match &request.context {
        ContextSource::Git(address) => {
            let keep = request
                .options
                .arguments
                .get("BUILDKIT_CONTEXT_KEEP_GIT_DIR");
            let keep = keep.is_some_and(|value| dhow_golang::parse_bool(value) == Ok(true));
            let op = git(address, keep)?;
            let title = format!("[internal] load git source {address}");
            let tree = sources.tree(&Op::Git(op.clone()), &title).await?;
            Ok((Some(Remote::Tree(tree)), Some(Context::Git(op))))
        }
        ContextSource::Http(url) => {
            let op = http(url);
            let title = "[internal] load remote build context";
            let tree = sources.tree(&Op::Http(op.clone()), title).await?;
            let wanted = wanted(request);
            let reading = tokio::task::spawn_blocking(move || archived(&*tree, &wanted));
            match reading.await.map_err(|_| Error::Cancelled)?? {
                Some(files) => Ok((Some(Remote::Archive(files)), Some(Context::Archive(op)))),
                None => {
                    let tree = sources.tree(&Op::Http(op), title).await?;
                    let bytes = read(&*tree, FILE)?;
                    let bytes = bytes.ok_or_else(|| Error::Remote(format!("nothing at {url}")))?;
                    Ok((Some(Remote::Dockerfile(bytes)), Some(Context::Empty)))
                }
            }
        }
        _ => Ok((None, None)),
    }
}

/// What a build wants of an archive before it is planned.
fn wanted(request: &BuildRequest) -> Vec<String> {
    let name = match &request.dockerfile {
        DockerfileSource::Context(name) => name.as_str(),
        _ => "Dockerfile",
    };
    let name = name.trim_start_matches('/');
    vec![
        name.to_owned(),
        format!("{name}.dockerignore"),
        "dockerfile".to_owned(),
        ".dockerignore".to_owned(),
    ]
}

/// Those of the wanted files that an archive has; nothing when it is no archive. Blocking.
fn archived(
    tree: &dyn Tree,
    wanted: &[String],
) -> Result<Option<BTreeMap<String, Vec<u8>>>, Error> {
    let failed = |source| Error::file("read", FILE, source);
    let Some(file) = open_in(tree, FILE)? else {
        return Err(Error::Remote("the address led to nothing".into()));
    };
    let source = BufReader::with_capacity(256 << 10, file);
    let Ok(stream) = dhow_archive::decompressed(source) else {
        return Ok(None);
    };
    let mut reader = Reader::new(stream);
    let mut files = BTreeMap::new();
    let mut entries = 0_u64;
    loop {
        let entry = match reader.next_entry() {
            Ok(Some(entry)) => entry,
            Ok(None) if entries == 0 => return Ok(None),
            Ok(None) => return Ok(Some(files)),
            Err(_) if entries == 0 => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        entries += 1;
        let path = entry.path.to_string_lossy();
        let path = path.trim_start_matches("./").trim_start_matches('/');
        if wanted.iter().any(|name| name == path) && entry.size <= LARGEST {
            let mut bytes = Vec::new();
            reader.content().read_to_end(&mut bytes).map_err(failed)?;
            files.insert(path.to_owned(), bytes);
        }
    }
}
