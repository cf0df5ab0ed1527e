//! `cp`: copies between a container and this machine.

mod local;
mod paths;

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use dhow_api::container::PathStat;
use dhow_client::request::escape;
use dhow_client::{Client, Request, Response};
use dhow_terminal::is_terminal;
use dhow_terminal::units::human_size_with;
use tokio::sync::mpsc;

use self::paths::{Source, Target};
use super::runner;
use crate::attach::failed;
use crate::command::{Arguments, Command, Completes};
use crate::error::{Error, Result};
use crate::session::Session;
use dhow_options::flags::{Flag, Parsed};

pub(crate) const COMMAND: Command = Command {
    also: "container cp, cp",
    arguments: Arguments::Exactly(2),
    long: "Copy files/folders between a container and the local filesystem\n\nUse '-' as the source to read a tar archive from stdin\nand extract it to a directory destination in a container.\nUse '-' as the destination to stream a tar archive of a\ncontainer source to stdout.",
    completes: Completes::Files,
    flags: &[&[
        Flag::switch("archive", "Archive mode (copy all uid/gid information)").short('a'),
        Flag::switch("follow-link", "Always follow symbol link in SRC_PATH").short('L'),
        Flag::switch(
            "quiet",
            "Suppress progress output during copy. Progress output is automatically suppressed if no terminal is attached",
        )
        .short('q'),
    ]],
    ..Command::new(
        "cp",
        "Copy files/folders between a container and the local filesystem",
        "[OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-\n[OPTIONS] SRC_PATH|- CONTAINER:DEST_PATH",
        runner!(run),
    )
};

/// The bits of Go's file modes.
const IS_FOLDER: u32 = 1 << 31;
const IS_LINK: u32 = 1 << 27;
const IS_DEVICE: u32 = 1 << 26;

/// How many chunks wait while the disk is slow.
const WAITING: usize = 16;

async fn run(session: &Session, flags: &Parsed) -> Result<()> {
    let (source, target) = (flags.argument(0), flags.argument(1));
    for (argument, what) in [(source, "source"), (target, "destination")] {
        if argument.is_empty() {
            return Err(Error::text(format!("{what} can not be empty")));
        }
    }
    match (paths::container(source), paths::container(target)) {
        (Some(_), Some(_)) => Err(Error::text("copying between containers is not supported")),
        (Some((container, path)), None) => out(session, flags, container, path).await,
        (None, Some((container, path))) => into(session, flags, container, path).await,
        (None, None) => Err(Error::text("must specify at least one container source")),
    }
}

async fn stat(client: &Client, container: &str, path: &str) -> Result<PathStat> {
    let request = Request::head(format!("/containers/{}/archive", escape(container)));
    decode(&client.send(request.query("path", path)).await?)
}

fn decode(response: &Response) -> Result<PathStat> {
    let header = response.header("X-Docker-Container-Path-Stat");
    let bytes = STANDARD.decode(header).unwrap_or_default();
    serde_json::from_slice(&bytes).map_err(|error| {
        Error::text(format!(
            "unable to decode container path stat header: {error}"
        ))
    })
}

async fn out(session: &Session, flags: &Parsed, container: &str, path: &str) -> Result<()> {
    let client = session.client()?;
    let to_stdout = flags.argument(1) == "-";
    let target = match to_stdout {
        true => String::new(),
        false => local::absolute(flags.argument(1))?,
    };
    if !to_stdout {
        local::check_output(&target)?;
    }
    let mut source = Source {
        path: path.to_owned(),
        ..Source::default()
    };
    // What is wrong with the path, the copy itself will say.
    if flags.switch("follow-link")
        && let Ok(stat) = stat(client, container, path).await
        && stat.mode & IS_LINK != 0
    {
        source = paths::followed(path, paths::linked(path, &stat.link_target), false);
    }
    let request = Request::get(format!("/containers/{}/archive", escape(container)));
    let request = request.query("path", source.path.as_str());
    let mut response = client.send(request).await?;
    if to_stdout {
        while let Some(chunk) = response.chunk().await? {
            let written = io::stdout().lock().write_all(&chunk);
            written.map_err(|error| failed(&error))?;
        }
        return Ok(());
    }
    source.is_folder = decode(&response)?.mode & IS_FOLDER != 0;
    let copied = unpack(response, &source, &target).await?;
    done(session, flags, copied, &target);
    Ok(())
}

/// Unpacks what is received; gives how much it was.
async fn unpack(mut response: Response, source: &Source, target: &str) -> Result<u64> {
    let plan = paths::plan(source, &local::target(target)?)?;
    let (_, old) = paths::split(&source.path);
    let (sender, receiver) = mpsc::channel(WAITING);
    let unpacker =
        tokio::task::spawn_blocking(move || local::extract(Received::new(receiver), &old, &plan));
    let mut copied = 0;
    let received = loop {
        match response.chunk().await {
            Ok(Some(chunk)) => {
                copied += chunk.len() as u64;
                if sender.send(chunk).await.is_err() {
                    // The unpacker says why it stopped.
                    break Ok(());
                }
            }
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    drop(sender);
    let unpacked = unpacker
        .await
        .map_err(|error| Error::text(error.to_string()))?;
    received?;
    unpacked.map(|()| copied)
}

async fn into(session: &Session, flags: &Parsed, container: &str, path: &str) -> Result<()> {
    let client = session.client()?;
    let given = flags.argument(0);
    let target = target(client, container, path).await?;
    let request = Request::put(format!("/containers/{}/archive", escape(container)))
        .query_if(flags.switch("archive"), "copyUIDGID", "true")
        .query("noOverwriteDirNonDir", "true");
    let count = Arc::new(AtomicU64::new(0));
    if given == "-" {
        if !target.is_folder {
            return Err(Error::text(format!(
                "destination \"{container}:{path}\" must be a directory"
            )));
        }
        let stdin = Counting::new(io::stdin(), &count);
        client
            .done(request.query("path", target.path.as_str()).stream(stdin))
            .await?;
    } else {
        let source = local::source(&local::absolute(given)?, flags.switch("follow-link"))?;
        let plan = paths::plan(&source, &target)?;
        let (reader, writer) = io::pipe()?;
        let packer = tokio::task::spawn_blocking(move || local::pack(&source, &plan.name, writer));
        let request = request.query("path", plan.folder.as_str());
        let sent = client
            .done(request.stream(Counting::new(reader, &count)))
            .await;
        let packed = packer
            .await
            .map_err(|error| Error::text(error.to_string()))?;
        sent?;
        packed?;
    }
    let shown = format!("{container}:{}", target.path);
    done(session, flags, count.load(Ordering::Relaxed), &shown);
    Ok(())
}

/// What a path in a container is as a target; one that can't be looked at may still become one.
async fn target(client: &Client, container: &str, path: &str) -> Result<Target> {
    let mut target = Target {
        path: path.to_owned(),
        ..Target::default()
    };
    let mut found = stat(client, container, path).await;
    if let Ok(stat) = &found
        && stat.mode & IS_LINK != 0
    {
        target.path = paths::linked(path, &stat.link_target);
        found = self::stat(client, container, &target.path).await;
    }
    match found {
        Ok(stat) if stat.mode & IS_DEVICE != 0 => Err(Error::text(format!(
            "destination \"{container}:{path}\" must be a directory or a regular file: got a device"
        ))),
        Ok(stat) => {
            target.exists = true;
            target.is_folder = stat.mode & IS_FOLDER != 0;
            Ok(target)
        }
        Err(error) if error.is_no_daemon() => Err(error),
        Err(_) => Ok(target),
    }
}

/// Counts what is read.
struct Counting<R> {
    inner: R,
    count: Arc<AtomicU64>,
}

impl<R> Counting<R> {
    fn new(inner: R, count: &Arc<AtomicU64>) -> Self {
        Self {
            inner,
            count: count.clone(),
        }
    }
}

impl<R: Read> Read for Counting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.count.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// What was received, to be read by a thread that may wait for it.
struct Received {
    chunks: mpsc::Receiver<Bytes>,
    current: Bytes,
}

impl Received {
    fn new(chunks: mpsc::Receiver<Bytes>) -> Self {
        Self {
            chunks,
            current: Bytes::new(),
        }
    }
}

impl Read for Received {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            match self.chunks.blocking_recv() {
                Some(chunk) => self.current = chunk,
                None => return Ok(0),
            }
        }
        let length = buffer.len().min(self.current.len());
        buffer[..length].copy_from_slice(&self.current.split_to(length));
        Ok(length)
    }
}

/// Says how much was copied, unless nobody would see it.
fn done(session: &Session, flags: &Parsed, bytes: u64, target: &str) {
    let quiet = match flags.changed("quiet") {
        true => flags.switch("quiet"),
        false => !is_terminal(io::stdout()),
    };
    if !quiet {
        #[allow(clippy::cast_precision_loss, reason = "three digits are shown")]
        let size = human_size_with(bytes as f64, 3);
        session.warn(&format!("Successfully copied {size} to {target}"));
    }
}
