//! `save` and `export`: archives out of the engine.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use dhow_terminal::is_terminal;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, linkat};
use rustix::io::Errno;

use super::runner;
use crate::attach::failed;
use crate::command::{Arguments, Command, Completes};
use crate::error::{Error, Result};
use crate::session::Session;
use dhow_client::request::escape;
use dhow_client::{Request, Response};
use dhow_golang::io_text;
use dhow_options::flags::{Flag, Parsed};

pub(crate) const COMMAND: Command = Command {
    also: "image save, save",
    arguments: Arguments::AtLeast(1),
    completes: Completes::Images,
    flags: &[&[
        Flag::text("output", "Write to a file, instead of STDOUT").short('o'),
        Flag::text(
            "platform",
            "Save only the given platform variant. Formatted as \"os[/arch[/variant]]\" (e.g., \"linux/amd64\")",
        ),
    ]],
    ..Command::new(
        "save",
        "Save one or more images to a tar archive (streamed to STDOUT by default)",
        "[OPTIONS] IMAGE [IMAGE...]",
        runner!(save),
    )
};

pub(crate) const EXPORT: Command = Command {
    also: "container export, export",
    arguments: Arguments::Exactly(1),
    completes: Completes::Containers(&[]),
    flags: &[&[Flag::text("output", "Write to a file, instead of STDOUT").short('o')]],
    ..Command::new(
        "export",
        "Export a container's filesystem as a tar archive",
        "[OPTIONS] CONTAINER",
        runner!(export),
    )
};

async fn save(session: &Session, flags: &Parsed) -> Result<()> {
    let mut request = Request::get("/images/get");
    for name in &flags.arguments {
        request = request.query("names", name.as_str());
    }
    for platform in flags.list("platform") {
        request = request.query("platform", super::platform_json(&platform)?);
    }
    archive(
        session,
        flags.text("output"),
        request,
        "failed to save image",
    )
    .await
}

async fn export(session: &Session, flags: &Parsed) -> Result<()> {
    let request = Request::get(format!("/containers/{}/export", escape(flags.argument(0))));
    archive(
        session,
        flags.text("output"),
        request,
        "failed to export container",
    )
    .await
}

/// Writes the answer to the file, or to standard output where there is none.
async fn archive(session: &Session, output: &str, request: Request, what: &str) -> Result<()> {
    if output.is_empty() && is_terminal(io::stdout()) {
        return Err(Error::text(
            "cowardly refusing to save to a terminal. Use the -o flag or redirect",
        ));
    }
    if !output.is_empty() {
        check_folder(output).map_err(|error| Error::text(format!("{what}: {error}")))?;
    }
    let response = session.client()?.send(request).await?;
    if output.is_empty() {
        return copy(response, &mut io::stdout().lock()).await;
    }
    to_file(Path::new(output), response).await
}

fn check_folder(output: &str) -> Result<(), String> {
    let path = Path::new(output);
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let shown = folder.display();
    match fs::metadata(folder) {
        Err(error) => {
            let reason = io_text(&error);
            return Err(format!("invalid output path: stat {shown}: {reason}"));
        }
        Ok(data) if !data.is_dir() => {
            return Err(format!("invalid output path: {shown} is not a directory"));
        }
        Ok(_) => {}
    }
    if path.is_dir() {
        return Err("cannot write to a directory".to_owned());
    }
    Ok(())
}

/// Writes a file without a name and puts it in place when it is whole: whoever interrupts that leaves nothing behind.
async fn to_file(path: &Path, response: Response) -> Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let wrong =
        |error: io::Error| Error::text(format!("open {}: {}", path.display(), io_text(&error)));
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    match rustix::fs::open(folder, flags, Mode::from_raw_mode(0o666)) {
        Ok(file) => {
            let mut file = File::from(file);
            copy(response, &mut file).await?;
            put_in_place(&file, path).map_err(wrong)
        }
        // Not every file system can do that.
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => {
            let temporary = beside(path);
            let mut file = File::create(&temporary).map_err(wrong)?;
            let outcome = copy(response, &mut file).await;
            let outcome = outcome.and_then(|()| fs::rename(&temporary, path).map_err(wrong));
            if outcome.is_err() {
                // Half an archive is of no use.
                let _ = fs::remove_file(&temporary);
            }
            outcome
        }
        Err(error) => Err(wrong(error.into())),
    }
}

/// Gives a file without a name this one, in place of what has it.
fn put_in_place(file: &File, path: &Path) -> io::Result<()> {
    let own = format!("/proc/self/fd/{}", file.as_raw_fd());
    let temporary = beside(path);
    linkat(CWD, own, CWD, &temporary, AtFlags::SYMLINK_FOLLOW)?;
    fs::rename(&temporary, path).inspect_err(|_| {
        // It has no name again, and goes.
        let _ = fs::remove_file(&temporary);
    })
}

/// A name in the same folder that nobody else has.
fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".tmp-{name}{}", std::process::id()))
}

async fn copy(mut response: Response, out: &mut impl Write) -> Result<()> {
    while let Some(chunk) = response.chunk().await? {
        out.write_all(&chunk).map_err(|error| failed(&error))?;
    }
    out.flush().map_err(|error| failed(&error))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::tests::with_engine;
    use dhow_testkit::scripted::{common, no_raw};
    use futures::FutureExt;

    fn pieces(request: &str) -> String {
        let end = match request {
            "GET /v1.41/whole" => "0\r\n\r\n",
            "GET /v1.41/endless" => "",
            other => return common(other),
        };
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nnew\r\n{end}")
    }

    #[test]
    fn a_file_is_replaced_as_a_whole_or_not_at_all() {
        with_engine(pieces, no_raw, async |client| {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("out.tar");
            fs::write(&path, "before").unwrap();
            let left = || {
                (
                    fs::read_to_string(&path).unwrap(),
                    fs::read_dir(folder.path()).unwrap().count(),
                )
            };
            // Interrupted in the middle.
            let response = client.send(Request::get("/endless")).await.unwrap();
            assert!(to_file(&path, response).now_or_never().is_none());
            assert_eq!(left(), ("before".to_owned(), 1));
            let response = client.send(Request::get("/whole")).await.unwrap();
            to_file(&path, response).await.unwrap();
            assert_eq!(left(), ("new".to_owned(), 1));
        });
    }
}
