//! `exec`: runs a command in a running container.

use dhow_api::exec::{ExecCreated, ExecInspect};
use dhow_terminal::is_terminal;
use serde_json::{Value, json};

use super::{attach as attach_command, check_tty, runner};
use crate::attach::signals::follow_size;
use crate::attach::{self, Ended, Streams};
use crate::command::{Arguments, Command, Completes};
use crate::error::{Error, Result};
use crate::session::Session;
use dhow_client::Request;
use dhow_client::request::escape;
use dhow_options::environment;
use dhow_options::flags::{Flag, Parsed};

pub(crate) const COMMAND: Command = Command {
    also: "container exec, exec",
    arguments: Arguments::AtLeast(2),
    interspersed: false,
    completes: Completes::OneContainer(&["running"]),
    flags: &[&[
        Flag::switch("detach", "Detached mode: run command in the background").short('d'),
        Flag::text(
            "detach-keys",
            "Override the key sequence for detaching a container",
        ),
        Flag::list("env", "Set environment variables")
            .short('e')
            .checked(environment::check),
        Flag::list("env-file", "Read in a file of environment variables"),
        Flag::switch("interactive", "Keep STDIN open even if not attached").short('i'),
        Flag::switch("privileged", "Give extended privileges to the command"),
        Flag::switch("tty", "Allocate a pseudo-TTY").short('t'),
        Flag::text(
            "user",
            "Username or UID (format: \"<name|uid>[:<group|gid>]\")",
        )
        .short('u'),
        Flag::text("workdir", "Working directory inside the container").short('w'),
    ]],
    ..Command::new(
        "exec",
        "Execute a command in a running container",
        "[OPTIONS] CONTAINER COMMAND [ARG...]",
        runner!(run),
    )
};

async fn run(session: &Session, flags: &Parsed) -> Result<()> {
    let client = session.client()?;
    let env = environment::environment(&flags.list("env-file"), &flags.list("env"))
        .map_err(Error::text)?;
    let (tty, detach) = (flags.switch("tty"), flags.switch("detach"));
    let streams = Streams {
        stdin: flags.switch("interactive") && !detach,
        stdout: !detach,
        stderr: !detach,
        tty,
        proxied: false,
        detach_keys: attach_command::detach_keys(session, flags),
    };
    let size = dhow_terminal::window_size(std::io::stdout())
        .filter(|_| tty && !detach)
        .map(|(rows, columns)| json!([rows, columns]));
    let name = flags.argument(0);
    // Docker asks first whether the container is there, so that its error comes before that of the terminal.
    client
        .done(Request::get(format!("/containers/{}/json", escape(name))))
        .await?;
    check_tty(streams.stdin, tty)?;
    let request = json!({
        "User": flags.text("user"),
        "Privileged": flags.switch("privileged"),
        "Tty": tty,
        "ConsoleSize": size,
        "AttachStdin": streams.stdin,
        "AttachStderr": streams.stderr,
        "AttachStdout": streams.stdout,
        "DetachKeys": streams.detach_keys,
        "Env": if env.is_empty() { Value::Null } else { json!(env) },
        "WorkingDir": flags.text("workdir"),
        "Cmd": flags.arguments[1..],
    });
    let create = Request::post(format!("/containers/{}/exec", escape(name))).json(&request)?;
    let exec: ExecCreated = client.json(create).await?;
    let start = Request::post(format!("/exec/{}/start", exec.id));
    let start = start.json(&json!({"Detach": detach, "Tty": tty, "ConsoleSize": size}))?;
    if detach {
        return client
            .done(start)
            .await
            .map_err(|error| not_run(error.into()));
    }
    let hijacked = client
        .hijack(start)
        .await
        .map_err(|error| not_run(error.into()))?;
    let path = format!("/exec/{}", exec.id);
    let size = async {
        if tty && is_terminal(std::io::stdout()) {
            follow_size(client, &path).await;
        }
        std::future::pending::<()>().await;
    };
    let ended = tokio::select! {
        ended = attach::stream(hijacked, &streams) => ended?,
        () = size => unreachable!("the size is followed for ever"),
    };
    if ended == Ended::Detached {
        return Err(Error::text("read escape sequence"));
    }
    let state: ExecInspect = client.json(Request::get(format!("{path}/json"))).await?;
    match state.exit_code {
        None | Some(0) => Ok(()),
        Some(code) => Err(Error::exit(u8::try_from(code & 0xff).unwrap_or(1))),
    }
}

/// A command that could not be run has its own exit codes where the engine says so before the streams are joined.
fn not_run(error: Error) -> Error {
    let text = error.to_string();
    let code = if text.contains("executable file not found") || text.contains("no such file") {
        127
    } else if text.contains("permission denied") {
        126
    } else {
        return error;
    };
    Error::Exit { code, text }
}
