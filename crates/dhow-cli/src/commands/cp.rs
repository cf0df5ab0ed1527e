//! `cp`: copies between a container and this machine.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use dhow_api::container::PathStat;
use dhow_terminal::is_terminal;
use dhow_terminal::units::human_size_with;

use super::runner;
use crate::attach::failed;
use crate::command::{Arguments, Command, Completes};
use crate::error::{Error, Result, go_io};
use crate::flags::{Flag, Parsed};
use crate::session::Session;
use dhow_client::request::escape;
use dhow_client::{Client, Request, Response};

pub(crate) const COMMAND: Command = Command {
    also: "container cp, cp",
    arguments: Arguments::Exactly(2),
    long: "Copy files/folders between a container and the local filesystem\n\nUse '-' as the source to read a tar archive from stdin\nand extract it to a directory destination in a container.\nUse '-' as the destination to stream a tar archive of a\ncontainer source to stdout.",
    completes: Completes::Files,
    flags: &[&[
    Flag::switch("archive", "Archive mode (copy all uid/gid information)").short('a'),
    Flag::switch("follow-link", "Always follow symbol link in SRC_PATH").short('L'),
    Flag::switch("quiet", "Suppress progress output during copy. Progress output is automatically suppressed if no terminal is attached").short('q'),
    ]],
    ..Command::new(
        "cp",
        "Copy files/folders between a container and the local filesystem",
        "[OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-\n[OPTIONS] SRC_PATH|- CONTAINER:DEST_PATH",
        runner!(run),
    )
};

async fn run(session: &Session, flags: &Parsed) -> Result<()> {
    let (source, target) = (flags.argument(0), flags.argument(1));
    match (split(source), split(target)) {
        (Some(_), Some(_)) => Err(Error::text("copying between containers is not supported")),
        (Some((container, path)), None) => out(session, flags, container, path).await,
        (None, Some((container, path))) => into(session, flags, container, path).await,
        (None, None) => Err(Error::text("must specify at least one container source")),
    }
}

/// `container:path`; a path that begins with a slash or a dot is none of a container.
fn split(argument: &str) -> Option<(&str, &str)> {
    if argument.starts_with('/') || argument.starts_with('.') {
        return None;
    }
    argument
        .split_once(':')
        .filter(|(name, _)| !name.is_empty())
}

/// Whether what is in the folder is meant, not the folder.
fn means_contents(path: &str) -> bool {
    path == "." || path.ends_with("/.")
}

fn base(path: &str) -> String {
    let path = path.trim_end_matches("/.").trim_end_matches('/');
    path.rsplit('/').next().unwrap_or(path).to_owned()
}

const IS_FOLDER: u32 = 1 << 31;
const IS_LINK: u32 = 1 << 27;

async fn stat(client: &Client, container: &str, path: &str) -> Result<PathStat> {
    let request = Request::head(format!("/containers/{}/archive", escape(container)));
    let response = client.send(request.query("path", path)).await?;
    decode(&response)
}

fn decode(response: &Response) -> Result<PathStat> {
    let header = response.header("X-Docker-Container-Path-Stat");
    let bytes = STANDARD.decode(header).unwrap_or_default();
    serde_json::from_slice(&bytes)
        .map_err(|_| Error::text("unable to decode container path stat header"))
}

async fn out(session: &Session, flags: &Parsed, container: &str, path: &str) -> Result<()> {
    let client = session.client()?;
    let target = flags.argument(1);
    if target == "-" && is_terminal(io::stdout()) {
        return Err(Error::text("cowardly refusing to write to a terminal"));
    }
    let mut path = path.to_owned();
    if flags.switch("follow-link") {
        // What is wrong with the path, the copy itself will say.
        if let Ok(stat) = stat(client, container, &path).await
            && stat.mode & IS_LINK != 0
            && !stat.link_target.is_empty()
        {
            path = absolute_link(&path, &stat.link_target);
        }
    }
    let request = Request::get(format!("/containers/{}/archive", escape(container)));
    let mut response = client.send(request.query("path", path.as_str())).await?;
    if target == "-" {
        while let Some(chunk) = response.chunk().await? {
            io::stdout()
                .lock()
                .write_all(&chunk)
                .map_err(|error| failed(&error))?;
        }
        return Ok(());
    }
    let stat = decode(&response)?;
    let place = place_for(target, &path, stat.mode & IS_FOLDER != 0)?;
    let (reader, mut writer) = io::pipe()?;
    let unpacker = tokio::task::spawn_blocking(move || unpack(reader, &stat.name, &place));
    let mut copied = 0;
    while let Some(chunk) = response.chunk().await? {
        copied += chunk.len() as u64;
        if writer.write_all(&chunk).is_err() {
            // The unpacker says why it stopped.
            break;
        }
    }
    drop(writer);
    unpacker
        .await
        .map_err(|error| Error::text(error.to_string()))??;
    done(session, flags, copied, target);
    Ok(())
}

fn absolute_link(path: &str, link: &str) -> String {
    if link.starts_with('/') {
        return link.to_owned();
    }
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    format!("{folder}/{link}")
}

/// Where what is copied goes: a folder, and the name it gets there (none: the contents go straight into it).
struct Place {
    folder: PathBuf,
    name: Option<String>,
}

fn place_for(target: &str, source: &str, source_is_folder: bool) -> Result<Place> {
    let path = Path::new(target);
    let parent = || {
        let parent = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty());
        parent.unwrap_or(Path::new(".")).to_path_buf()
    };
    let name = || base(target);
    match std::fs::metadata(path) {
        Ok(found) if found.is_dir() => {
            let name = (!means_contents(source)).then(|| base(source));
            Ok(Place {
                folder: path.to_path_buf(),
                name,
            })
        }
        Ok(_) if source_is_folder => Err(Error::text("cannot copy directory")),
        Ok(_) if target.ends_with('/') => Err(Error::text("not a directory")),
        Ok(_) => Ok(Place {
            folder: parent(),
            name: Some(name()),
        }),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
            Err(Error::text(format!(
                "stat {}: {}",
                whole.display(),
                go_io(&error)
            )))
        }
        Err(_) if target.ends_with('/') && !source_is_folder => {
            Err(Error::text("no such directory"))
        }
        Err(_) => {
            let place = Place {
                folder: parent(),
                name: Some(name()),
            };
            match std::fs::metadata(&place.folder) {
                Ok(_) => Ok(place),
                Err(error) => Err(Error::text(format!(
                    "invalid output path: directory {:?} does not exist ({})",
                    place.folder.display().to_string(),
                    go_io(&error)
                ))),
            }
        }
    }
}

/// Unpacks an archive whose root is called `root`, under another name where the place has one.
fn unpack(reader: impl Read, root: &str, place: &Place) -> Result<()> {
    let mut archive = tar::Archive::new(reader);
    archive.set_preserve_permissions(true);
    archive.set_overwrite(true);
    let mut folders = Vec::new();
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = entry.path()?.into_owned();
        let inner = path
            .strip_prefix(root.trim_matches('/'))
            .unwrap_or(&path)
            .to_path_buf();
        let renamed = match &place.name {
            Some(name) if inner.as_os_str().is_empty() => PathBuf::from(name),
            Some(name) => Path::new(name).join(&inner),
            None => inner.clone(),
        };
        if renamed.as_os_str().is_empty() {
            continue;
        }
        if let Some(link) = entry
            .link_name()?
            .filter(|_| entry.header().entry_type().is_hard_link())
        {
            // Hard links name the archive's paths, which have other names here.
            let inner = link.strip_prefix(root).unwrap_or(&link).to_path_buf();
            let original = place
                .folder
                .join(place.name.as_deref().unwrap_or_default())
                .join(inner);
            let new = place.folder.join(&renamed);
            let _ = std::fs::remove_file(&new);
            std::fs::hard_link(original, new)?;
            continue;
        }
        unpack_one(&mut entry, &place.folder, &renamed, &mut folders)?;
    }
    // Last, and from the deepest up, so that nothing written later changes them or is kept out by them.
    for (path, mode) in folders.iter().rev() {
        use std::os::unix::fs::PermissionsExt;
        let _ = std::fs::set_permissions(path, std::fs::Permissions::from_mode(*mode));
    }
    Ok(())
}

fn unpack_one(
    entry: &mut tar::Entry<'_, impl Read>,
    folder: &Path,
    renamed: &Path,
    folders: &mut Vec<(PathBuf, u32)>,
) -> Result<()> {
    if renamed
        .components()
        .any(|part| matches!(part, std::path::Component::ParentDir))
    {
        return Err(Error::text(format!(
            "the archive leaves its folder: {}",
            renamed.display()
        )));
    }
    let path = folder.join(renamed);
    if entry.header().entry_type().is_dir() {
        std::fs::create_dir_all(&path)?;
        folders.push((path, entry.header().mode()?));
        return Ok(());
    }
    let parent = path.parent().unwrap_or(folder);
    let (parent, root) = (parent.canonicalize()?, folder.canonicalize()?);
    if !parent.starts_with(root) {
        return Err(Error::text(format!(
            "the archive leaves its folder: {}",
            renamed.display()
        )));
    }
    entry.unpack(&path)?;
    Ok(())
}

async fn into(session: &Session, flags: &Parsed, container: &str, path: &str) -> Result<()> {
    let client = session.client()?;
    let source = flags.argument(0);
    let mut target = path.to_owned();
    let mut found = stat(client, container, &target).await;
    if let Ok(stat) = &found
        && stat.mode & IS_LINK != 0
        && !stat.link_target.is_empty()
    {
        target = absolute_link(&target, &stat.link_target);
        found = self::stat(client, container, &target).await;
    }
    let found = match found {
        Ok(stat) => Some(stat),
        Err(error) if error.is_no_daemon() => return Err(error),
        Err(_) => None,
    };
    let is_folder = found
        .as_ref()
        .is_some_and(|stat| stat.mode & IS_FOLDER != 0);
    let request = Request::put(format!("/containers/{}/archive", escape(container)))
        .query_if(flags.switch("archive"), "copyUIDGID", "true")
        .query("noOverwriteDirNonDir", "true");
    if source == "-" {
        if !is_folder {
            return Err(Error::text(format!(
                "destination \"{container}:{path}\" must be a directory"
            )));
        }
        client
            .done(request.query("path", target).stream(io::stdin()))
            .await?;
        return Ok(());
    }
    let local = if flags.switch("follow-link") {
        std::fs::canonicalize(source).map_err(|error| missing(source, &error))?
    } else {
        PathBuf::from(source)
    };
    let metadata =
        std::fs::symlink_metadata(local.as_path()).map_err(|error| missing(source, &error))?;
    let (folder, name) = match (is_folder, &found) {
        (true, _) if means_contents(source) => (target, None),
        (true, _) => (target, Some(local_name(&local))),
        (false, Some(_)) if metadata.is_dir() => return Err(Error::text("cannot copy directory")),
        (false, None) if target.ends_with('/') && !metadata.is_dir() => {
            return Err(Error::text("no such directory"));
        }
        (false, _) => {
            let bare = target.trim_end_matches('/');
            let folder = bare.rsplit_once('/').map_or("", |(folder, _)| folder);
            (format!("{folder}/"), Some(base(bare)))
        }
    };
    let (reader, writer) = io::pipe()?;
    let count = Arc::new(AtomicU64::new(0));
    let counted = Counting {
        inner: reader,
        count: count.clone(),
    };
    let packer = tokio::task::spawn_blocking(move || pack(&local, name.as_deref(), writer));
    let sent = client
        .done(request.query("path", folder).stream(counted))
        .await;
    let packed = packer
        .await
        .map_err(|error| Error::text(error.to_string()))?;
    sent?;
    packed?;
    done(
        session,
        flags,
        count.load(Ordering::Relaxed),
        &format!("{container}:{path}"),
    );
    Ok(())
}

fn missing(path: &str, error: &io::Error) -> Error {
    let whole = std::path::absolute(path).unwrap_or_else(|_| PathBuf::from(path));
    Error::text(format!("lstat {}: {}", whole.display(), go_io(error)))
}

fn local_name(path: &Path) -> String {
    let whole = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    let name = path.file_name().or_else(|| whole.file_name());
    name.map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}

/// Packs a file or folder under `name`, or a folder's contents under none.
fn pack(path: &Path, name: Option<&str>, writer: impl Write) -> Result<()> {
    let mut archive = tar::Builder::new(writer);
    archive.follow_symlinks(false);
    archive.mode(tar::HeaderMode::Complete);
    match name {
        Some(name) if path.is_dir() && !path.is_symlink() => archive.append_dir_all(name, path)?,
        Some(name) => archive.append_path_with_name(path, name)?,
        None => archive.append_dir_all(".", path)?,
    }
    archive.into_inner()?.flush()?;
    Ok(())
}

/// Counts what is read.
struct Counting<R> {
    inner: R,
    count: Arc<AtomicU64>,
}

impl<R: Read> Read for Counting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.count.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

fn done(session: &Session, flags: &Parsed, bytes: u64, target: &str) {
    if !flags.switch("quiet") && is_terminal(io::stderr()) {
        #[allow(clippy::cast_precision_loss, reason = "three digits are shown")]
        let size = human_size_with(bytes as f64, 3);
        session.warn(&format!("Successfully copied {size} to {target}"));
    }
}
