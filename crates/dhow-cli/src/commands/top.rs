//! `top`: the processes of a container.

use dhow_api::container::TopResponse;

use super::runner;
use crate::command::{Arguments, Command, Completes};
use crate::error::Result;
use crate::session::Session;
use dhow_client::Request;
use dhow_client::request::escape;
use dhow_options::flags::Parsed;

pub(crate) const COMMAND: Command = Command {
    also: "container top, top",
    arguments: Arguments::AtLeast(1),
    interspersed: false,
    completes: Completes::OneContainer(&["running"]),
    ..Command::new(
        "top",
        "Display the running processes of a container",
        "CONTAINER [ps OPTIONS]",
        runner!(run),
    )
};

async fn run(session: &Session, flags: &Parsed) -> Result<()> {
    let arguments = flags.arguments[1..].join(" ");
    let request = Request::get(format!("/containers/{}/top", escape(flags.argument(0)))).query_if(
        !arguments.is_empty(),
        "ps_args",
        arguments,
    );
    let top: TopResponse = session.client()?.json(request).await?;
    let mut text = top.titles.join("\t") + "\n";
    for process in top.processes {
        text += &(process.join("\t") + "\n");
    }
    session.print(&dhow_terminal::align(&text, 20, 3))
}
