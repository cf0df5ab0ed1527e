//! `save` and `export`: archives out of the engine.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use dhow_terminal::is_terminal;

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
    match std::fs::metadata(folder) {
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

/// Writes beside the file and puts it in place when it is whole.
async fn to_file(path: &Path, response: Response) -> Result<()> {
    let name = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let temporary: PathBuf = path.with_file_name(format!(".tmp-{name}{}", std::process::id()));
    let wrong = |error: io::Error| {
        Error::text(format!("open {}: {}", temporary.display(), io_text(&error)))
    };
    let mut file = std::fs::File::create(&temporary).map_err(wrong)?;
    let outcome = copy(response, &mut file).await;
    let outcome = outcome.and_then(|()| Ok(std::fs::rename(&temporary, path)?));
    if outcome.is_err() {
        // Half an archive is of no use.
        let _ = std::fs::remove_file(&temporary);
    }
    outcome
}

async fn copy(mut response: Response, out: &mut impl Write) -> Result<()> {
    while let Some(chunk) = response.chunk().await? {
        out.write_all(&chunk).map_err(|error| failed(&error))?;
    }
    out.flush().map_err(|error| failed(&error))
}
