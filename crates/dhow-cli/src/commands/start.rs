//! `start`: starts stopped containers, with `-a` or `-i` joined to one of them.

use dhow_terminal::is_terminal;
use serde_json::Value;

use super::wait::{Condition, Waiting};
use super::{attach as attach_command, check_tty, runner};
use crate::attach::signals::{follow_size, forward};
use crate::attach::{self, Ended, Streams};
use crate::command::{Arguments, Command, Completes};
use crate::error::{Error, Result};
use crate::session::Session;
use dhow_client::request::escape;
use dhow_client::{Client, Request};
use dhow_options::flags::{Flag, Parsed};

pub(crate) const COMMAND: Command = Command {
    also: "container start, start",
    arguments: Arguments::AtLeast(1),
    completes: Completes::Containers(&["created", "exited"]),
    flags: &[&[
        Flag::switch("attach", "Attach STDOUT/STDERR and forward signals").short('a'),
        Flag::text("checkpoint", "Restore from this checkpoint").hidden(),
        Flag::text(
            "checkpoint-dir",
            "Use a custom checkpoint storage directory",
        )
        .hidden(),
        Flag::text(
            "detach-keys",
            "Override the key sequence for detaching a container",
        ),
        Flag::switch("interactive", "Attach container's STDIN").short('i'),
    ]],
    ..Command::new(
        "start",
        "Start one or more stopped containers",
        "[OPTIONS] CONTAINER [CONTAINER...]",
        runner!(run),
    )
};

async fn run(session: &Session, flags: &Parsed) -> Result<()> {
    if flags.changed("checkpoint") || flags.changed("checkpoint-dir") {
        return Err(Error::text("--checkpoint is not implemented"));
    }
    let client = session.client()?;
    if !flags.switch("attach") && !flags.switch("interactive") {
        return start_all(session, client, &flags.arguments).await;
    }
    if flags.arguments.len() > 1 {
        return Err(Error::text(
            "you cannot start and attach multiple containers at once",
        ));
    }
    let name = escape(flags.argument(0));
    let container: Value = client
        .json(Request::get(format!("/containers/{name}/json")))
        .await?;
    let id = container["Id"].as_str().unwrap_or_default().to_owned();
    let is = |section: &str, key: &str| container[section][key] == Value::Bool(true);
    let tty = is("Config", "Tty");
    let streams = Streams {
        stdin: flags.switch("interactive") && is("Config", "OpenStdin"),
        stdout: true,
        stderr: true,
        tty,
        proxied: !tty,
        detach_keys: attach_command::detach_keys(session, flags),
    };
    check_tty(streams.stdin, tty)?;
    let hijacked = client
        .hijack(attach_command::request(&id, &streams))
        .await?;
    let removed = is("HostConfig", "AutoRemove");
    let condition = if removed {
        Condition::Removed
    } else {
        Condition::NextExit
    };
    let waiting = Waiting::register(client, &id, condition).await?;
    client
        .done(Request::post(format!("/containers/{id}/start")))
        .await?;
    let size = async {
        if tty && is_terminal(std::io::stdout()) {
            follow_size(client, &format!("/containers/{id}")).await;
        }
        std::future::pending::<()>().await;
    };
    let signals = async {
        if streams.proxied {
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
        return Ok(());
    }
    waiting.finish(session).await
}

async fn start_all(session: &Session, client: &Client, names: &[String]) -> Result<()> {
    let mut failed = Vec::new();
    for name in names {
        match client
            .done(Request::post(format!("/containers/{}/start", escape(name))))
            .await
        {
            Ok(()) => session.println(name)?,
            Err(error) if error.is_no_daemon() => return Err(error.into()),
            Err(error) => {
                session.warn(&error.to_string());
                failed.push(name.as_str());
            }
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    Err(Error::text(format!(
        "Error: failed to start containers: {}",
        failed.join(", ")
    )))
}
