//! `system fsck`: whether what is on the engine's disk and what its records say agree.

use dhow_api::check::CheckReport;

use super::runner;
use crate::command::{Arguments, Command};
use crate::error::{Error, Result};
use crate::session::Session;
use dhow_client::Request;
use dhow_options::flags::{Flag, Parsed};

pub(crate) const COMMAND: Command = Command {
    arguments: Arguments::Exactly(0),
    flags: &[&[
        Flag::switch("deep", "Read every blob and compare its digest"),
        Flag::switch("repair", "Remove what belongs to nobody, and damaged blobs"),
    ]],
    ..Command::new(
        "fsck",
        "Check that files and records of the engine agree",
        "[OPTIONS]",
        runner!(run),
    )
};

async fn run(session: &Session, flags: &Parsed) -> Result<()> {
    let (deep, repair) = (flags.switch("deep"), flags.switch("repair"));
    let path = format!("/dhow/fsck?deep={deep}&repair={repair}");
    let report: CheckReport = session.client()?.json(Request::post(path)).await?;
    let mut text = String::new();
    for finding in &report.findings {
        let done = if finding.repaired { " (repaired)" } else { "" };
        text += &format!("{}: {}{done}\n", finding.subject, finding.problem);
    }
    session.print(&text)?;
    let left = report.findings.iter().filter(|one| !one.repaired).count();
    match left {
        0 => session.print("everything is in order\n"),
        1 => Err(Error::text("1 problem is left")),
        left => Err(Error::text(format!("{left} problems are left"))),
    }
}
