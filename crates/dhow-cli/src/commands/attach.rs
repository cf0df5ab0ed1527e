//! `attach`: joins this terminal to a running container.

use dhow_terminal::is_terminal;
use serde_json::Value;

use super::wait::{Condition, Waiting};
use super::{ATTACHABLE, check_tty, runner};
use crate::attach::signals::{follow_size, forward, redraw};
use crate::attach::{self, Ended, Streams};
use crate::command::{Arguments, Command, Completes};
use crate::error::{Error, Result};
use crate::session::Session;
use dhow_client::Request;
use dhow_client::request::escape;
use dhow_options::flags::{Flag, Parsed};

pub(crate) const COMMAND: Command = Command {
    also: "container attach, attach",
    arguments: Arguments::Exactly(1),
    completes: Completes::Containers(ATTACHABLE),
    flags: &[&[
        Flag::text(
            "detach-keys",
            "Override the key sequence for detaching a container",
        ),
        Flag::switch("no-stdin", "Do not attach STDIN"),
        Flag::switch(
            "sig-proxy",
            "Proxy all received signals to the process (default true)",
        )
        .default("true"),
    ]],
    ..Command::new(
        "attach",
        "Attach local standard input, output, and error streams to a running container",
        "[OPTIONS] CONTAINER",
        runner!(run),
    )
};

async fn run(session: &Session, flags: &Parsed) -> Result<()> {
    let client = session.client()?;
    let name = flags.argument(0);
    let container: Value = client
        .json(Request::get(format!("/containers/{}/json", escape(name))))
        .await?;
    let state = |key: &str| container["State"][key] == Value::Bool(true);
    if !state("Running") {
        return Err(Error::text(
            "You cannot attach to a stopped container, start it first",
        ));
    }
    if state("Paused") {
        return Err(Error::text(
            "You cannot attach to a paused container, unpause it first",
        ));
    }
    if state("Restarting") {
        return Err(Error::text(
            "You cannot attach to a restarting container, wait until it is running",
        ));
    }
    let id = container["Id"].as_str().unwrap_or(name).to_owned();
    let tty = container["Config"]["Tty"] == Value::Bool(true);
    let stdin = !flags.switch("no-stdin") && container["Config"]["OpenStdin"] == Value::Bool(true);
    check_tty(stdin, tty)?;
    let proxied = flags.switch("sig-proxy") && !tty;
    let streams = Streams {
        stdin,
        stdout: true,
        stderr: true,
        tty,
        proxied,
        detach_keys: detach_keys(session, flags),
    };
    let waiting = Waiting::register(client, &id, Condition::NotRunning).await?;
    let hijacked = client.hijack(request(&id, &streams)).await?;
    let size = async {
        if tty && is_terminal(std::io::stdout()) {
            redraw(client, &format!("/containers/{id}")).await;
            follow_size(client, &format!("/containers/{id}")).await;
        }
        std::future::pending::<()>().await;
    };
    let signals = async {
        if proxied {
            forward(client, &id).await
        } else {
            std::future::pending().await
        }
    };
    let ended = tokio::select! {
        ended = attach::stream(hijacked, &streams) => ended?,
        () = size => unreachable!("the size is followed for ever"),
        code = signals => return Err(Error::exit(code)),
    };
    if ended == Ended::Detached {
        return Err(Error::text("read escape sequence"));
    }
    waiting.finish(session).await
}

/// The request that attaches to a container.
pub(crate) fn request(container: &str, streams: &Streams) -> Request {
    let path = format!("/containers/{container}/attach");
    Request::post(path)
        .query_if(
            !streams.detach_keys.is_empty(),
            "detachKeys",
            streams.detach_keys.as_str(),
        )
        .query_if(streams.stderr, "stderr", "1")
        .query_if(streams.stdin, "stdin", "1")
        .query_if(streams.stdout, "stdout", "1")
        .query("stream", "1")
}

/// The keys given by flag, else those of the settings.
pub(crate) fn detach_keys(session: &Session, flags: &Parsed) -> String {
    match flags.text("detach-keys") {
        "" => session
            .config
            .text("detachKeys")
            .unwrap_or_default()
            .to_owned(),
        keys => keys.to_owned(),
    }
}
