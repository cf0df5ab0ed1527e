//! `load` and `import`: archives into the engine.

use std::fs::File;
use std::io;

use dhow_oci::Reference;
use dhow_terminal::is_terminal;

use super::{messages, runner};
use crate::attach::failed;
use crate::command::{Arguments, Command, Completes};
use crate::error::{Error, Result};
use crate::session::Session;
use dhow_client::{Request, Response};
use dhow_golang::io_text;
use dhow_options::flags::{Flag, Parsed};

pub(crate) const COMMAND: Command = Command {
    also: "image load, load",
    completes: Completes::Files,
    flags: &[&[
        Flag::text("input", "Read from tar archive file, instead of STDIN").short('i'),
        Flag::text(
            "platform",
            "Load only the given platform variant. Formatted as \"os[/arch[/variant]]\" (e.g., \"linux/amd64\")",
        ),
        Flag::switch("quiet", "Suppress the load output").short('q'),
    ]],
    ..Command::new(
        "load",
        "Load an image from a tar archive or STDIN",
        "[OPTIONS]",
        runner!(load),
    )
};

pub(crate) const IMPORT: Command = Command {
    also: "image import, import",
    arguments: Arguments::AtLeast(1),
    completes: Completes::Files,
    flags: &[&[
        Flag::list(
            "change",
            "Apply Dockerfile instruction to the created image",
        )
        .short('c'),
        Flag::text("message", "Set commit message for imported image").short('m'),
        Flag::text(
            "platform",
            "Set platform if server is multi-platform capable",
        ),
    ]],
    ..Command::new(
        "import",
        "Import the contents from a tarball to create a filesystem image",
        "[OPTIONS] file|URL|- [REPOSITORY[:TAG]]",
        runner!(import),
    )
};

async fn load(session: &Session, flags: &Parsed) -> Result<()> {
    let quiet = flags.switch("quiet") || !is_terminal(io::stdout());
    let mut request = Request::post("/images/load").query_if(quiet, "quiet", "1");
    for platform in flags.list("platform") {
        request = request.query("platform", super::platform_json(&platform)?);
    }
    let request = match flags.text("input") {
        "" if is_terminal(io::stdin()) => {
            return Err(Error::text("requested load from stdin, but stdin is empty"));
        }
        "" => request.stream(io::stdin()),
        path => request.stream(open(path)?),
    };
    let mut response: Response = session.client()?.send(request).await?;
    if response.header("Content-Type") == "application/json" {
        return messages::show(response, messages::Show::Stdout).await;
    }
    while let Some(chunk) = response.chunk().await? {
        crate::attach::write(dhow_client::frames::Stream::Stdout, &chunk)
            .map_err(|error| failed(&error))?;
    }
    Ok(())
}

async fn import(session: &Session, flags: &Parsed) -> Result<()> {
    let source = flags.argument(0);
    let name = flags.argument(1);
    if !name.is_empty() {
        Reference::parse(name).map_err(|error| Error::text(error.to_string()))?;
    }
    let remote = source.starts_with("http://") || source.starts_with("https://");
    let platform = flags.text("platform");
    let message = flags.text("message");
    let mut request = Request::post("/images/create");
    for change in flags.list("change") {
        request = request.query("changes", change);
    }
    request = request
        .query("fromSrc", if remote { source } else { "-" })
        .query_if(!message.is_empty(), "message", message)
        .query_if(!platform.is_empty(), "platform", platform)
        .query_if(!name.is_empty(), "repo", name);
    let request = match source {
        _ if remote => request,
        "-" => request.stream(io::stdin()),
        path => request.stream(open(path)?),
    };
    let response = session.client()?.send(request).await?;
    messages::show(response, messages::Show::Stdout).await
}

fn open(path: &str) -> Result<File> {
    let file = File::open(path)
        .map_err(|error| Error::text(format!("open {path}: {}", io_text(&error))))?;
    if file.metadata().is_ok_and(|metadata| metadata.is_dir()) {
        return Err(Error::text(format!("read {path}: is a directory")));
    }
    Ok(file)
}
