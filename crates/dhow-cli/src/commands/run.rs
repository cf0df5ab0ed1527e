//! `run`: creates a container, joins its streams, starts it and ends as it does.

use dhow_api::container::CreateRequest;
use dhow_terminal::is_terminal;

use super::wait::{Condition, Waiting};
use super::{attach as attach_command, check_tty, create, runner};
use crate::attach::signals::{follow_size, forward};
use crate::attach::{self, Ended, Streams};
use crate::command::{Arguments, Command, Completes, Section};
use crate::error::{Error, Result};
use crate::session::Session;
use dhow_client::{Client, Request};
use dhow_options::flags::{Flag, Parsed};
use dhow_options::table::CONTAINER;

pub(crate) const COMMAND: Command = Command {
    also: "container run, run",
    arguments: Arguments::AtLeast(1),
    interspersed: false,
    completes: Completes::OneImage,
    flags: &[FLAGS, CONTAINER],
    section: Section::Other,
    ..Command::new(
        "run",
        "Create and run a new container from an image",
        "[OPTIONS] IMAGE [COMMAND] [ARG...]",
        runner!(run),
    )
};

const FLAGS: &[Flag] = &[
    Flag::switch("help", "Print usage"),
    Flag::switch(
        "detach",
        "Run container in background and print container ID",
    )
    .short('d'),
    Flag::text(
        "detach-keys",
        "Override the key sequence for detaching a container",
    ),
    Flag::switch(
        "disable-content-trust",
        "Skip image verification (default true)",
    )
    .default("true"),
    Flag::text("name", "Assign a name to the container"),
    Flag::text(
        "platform",
        "Set platform if server is multi-platform capable",
    ),
    Flag::text(
        "pull",
        "Pull image before running (\"always\", \"missing\", \"never\") (default \"missing\")",
    )
    .default("missing"),
    Flag::switch("quiet", "Suppress the pull output").short('q'),
    Flag::switch(
        "sig-proxy",
        "Proxy received signals to the process (default true)",
    )
    .default("true"),
];

async fn run(session: &Session, flags: &Parsed) -> Result<()> {
    let mut request = create::request(session, flags)?;
    let config = &mut request.config;
    if flags.switch("detach") {
        if flags.changed("attach") {
            return Err(Error::text(
                "conflicting options: cannot specify both --attach and --detach",
            ));
        }
        config.attach_stdin = false;
        config.attach_stdout = false;
        config.attach_stderr = false;
        config.stdin_once = false;
    } else {
        check_tty(config.attach_stdin, config.tty)?;
    }
    let streams = Streams {
        stdin: config.attach_stdin,
        stdout: config.attach_stdout,
        stderr: config.attach_stderr,
        tty: config.tty,
        proxied: flags.switch("sig-proxy"),
        detach_keys: attach_command::detach_keys(session, flags),
    };
    let removed = flags.switch("rm");
    let id = make(session, flags, request).await?;
    let client = session.client()?;
    let signals = async {
        if streams.proxied {
            forward(client, &id).await
        } else {
            std::future::pending().await
        }
    };
    tokio::select! {
        outcome = attached(session, client, &id, &streams, removed) => outcome,
        code = signals => Err(Error::exit(code)),
    }
}

async fn make(session: &Session, flags: &Parsed, request: CreateRequest) -> Result<String> {
    create::create(session, flags, request)
        .await
        .map_err(|error| failure(session, error))
}

/// Joins the streams, starts the container and waits for what is to be waited for.
async fn attached(
    session: &Session,
    client: &Client,
    id: &str,
    streams: &Streams,
    removed: bool,
) -> Result<()> {
    let any = streams.stdin || streams.stdout || streams.stderr;
    let hijacked = match any {
        true => Some(client.hijack(attach_command::request(id, streams)).await?),
        false => None,
    };
    let condition = if removed {
        Condition::Removed
    } else {
        Condition::NextExit
    };
    let waiting = match any || removed {
        true => Some(Waiting::register(client, id, condition).await?),
        false => None,
    };
    if let Err(error) = client
        .done(Request::post(format!("/containers/{id}/start")))
        .await
    {
        drop(hijacked);
        if let (true, Some(waiting)) = (removed, waiting) {
            // The container is being removed; who starts the next one should find it gone.
            waiting.code(session).await;
        }
        if !any {
            session.println(id)?;
        }
        return Err(failure(session, error.into()));
    }
    let Some(hijacked) = hijacked else {
        return session.println(id);
    };
    let size = async {
        if streams.tty && is_terminal(std::io::stdout()) {
            follow_size(client, &format!("/containers/{id}")).await;
        }
        std::future::pending::<()>().await;
    };
    let ended = tokio::select! {
        ended = attach::stream(hijacked, streams) => ended?,
        () = size => unreachable!("the size is followed for ever"),
    };
    match (ended, waiting) {
        (Ended::Output, Some(waiting)) => waiting.finish(session).await,
        _ => Ok(()),
    }
}

/// What `run` ends with where the container could not be made or started: 127 for a command that is not there, 126
/// for one that cannot be run, 125 for everything else.
fn failure(session: &Session, error: Error) -> Error {
    if matches!(error, Error::Exit { .. }) {
        return error;
    }
    let text = error.to_string();
    let has = |part: &str| text.contains(part);
    let code = if has("executable file not found") || has("no such file or directory") {
        127
    } else if has("permission denied") || has("is a directory") {
        126
    } else {
        125
    };
    create::with_help(session, &text, code)
}
