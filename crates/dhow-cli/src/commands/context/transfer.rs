//! `context export` and `context import`.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;

use dhow_client::context;
use dhow_terminal::is_terminal;

use super::endpoint;
use crate::command::{Arguments, Command, Completes};
use crate::commands::runner;
use crate::error::{Error, Result};
use crate::session::Session;
use dhow_golang::io_text;
use dhow_options::flags::Parsed;

pub(super) const EXPORT: Command = Command {
    arguments: Arguments::Between(1, 2),
    completes: Completes::Contexts,
    long: "Export a context to a tar archive FILE or a tar stream on STDOUT.",
    ..Command::new(
        "export",
        "Export a context to a tar archive FILE or a tar stream on STDOUT.",
        "[OPTIONS] CONTEXT [FILE|-]",
        runner!(export),
    )
};

pub(super) const IMPORT: Command = Command {
    arguments: Arguments::Exactly(2),
    completes: Completes::Files,
    ..Command::new(
        "import",
        "Import a context from a tar or zip file",
        "CONTEXT FILE|-",
        runner!(import),
    )
};

async fn export(session: &Session, flags: &Parsed) -> Result<()> {
    let name = flags.argument(0);
    let (mut document, material) = endpoint::copy(session, name)?;
    document["Name"] = name.into();
    let mut archive = Vec::new();
    context::export(&document, &material, &mut archive)?;
    match flags.argument(1) {
        "-" => {
            if is_terminal(io::stdout()) {
                return Err(Error::text(
                    "cowardly refusing to export to a terminal, specify a file path",
                ));
            }
            session.print_bytes(&archive)
        }
        "" => write(session, &format!("{name}.dockercontext"), &archive),
        path => write(session, path, &archive),
    }
}

/// Writes a file that is not there yet, for its owner only: it may hold keys.
fn write(session: &Session, path: &str, archive: &[u8]) -> Result<()> {
    let failed = |error: io::Error| Error::text(format!("open {path}: {}", io_text(&error)));
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(failed)?;
    io::Write::write_all(&mut file, archive).map_err(failed)?;
    session.warn(&format!("Written file {path:?}"));
    Ok(())
}

async fn import(session: &Session, flags: &Parsed) -> Result<()> {
    let (name, path) = (flags.argument(0), flags.argument(1));
    if path == "-" {
        context::import(&session.config, name, io::stdin())?;
    } else {
        context::check_name(name)?;
        let file = File::open(path)
            .map_err(|error| Error::text(format!("open {path}: {}", io_text(&error))))?;
        context::import(&session.config, name, file)?;
    }
    session.println(name)?;
    session.warn(&format!("Successfully imported context {name:?}"));
    Ok(())
}
