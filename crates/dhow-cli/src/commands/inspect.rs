//! `inspect` of every noun: documents as JSON or by a template.

use serde_json::Value;

use super::runner;
use crate::command::{Arguments, Command, Completes};
use crate::error::{Error, Result};
use crate::session::Session;
use dhow_client::Request;
use dhow_client::request::{escape, escape_path};
use dhow_format::document;
use dhow_options::flags::{Flag, Parsed};

pub(crate) const COMMAND: Command = Command {
    arguments: Arguments::AtLeast(1),
    completes: Completes::Anything,
    flags: &[&[
    Flag::text("format", "Format output using a custom template:\n'json':             Print in JSON format\n'TEMPLATE':         Print output using the given Go template.\nRefer to https://docs.docker.com/go/formatting/ for more information about formatting output with templates").short('f'),
    Flag::switch("size", "Display total file sizes if the type is container").short('s'),
    Flag::text("type", "Only inspect objects of the given type"),
    ]],
    ..Command::new(
        "inspect",
        "Return low-level information on Docker objects",
        "[OPTIONS] NAME|ID [NAME|ID...]",
        runner!(run),
    )
};

pub(crate) const CONTAINER: Command = Command {
    arguments: Arguments::AtLeast(1),
    completes: Completes::Containers(&[]),
    flags: &[&[
    Flag::text("format", "Format output using a custom template:\n'json':             Print in JSON format\n'TEMPLATE':         Print output using the given Go template.\nRefer to https://docs.docker.com/go/formatting/ for more information about formatting output with templates").short('f'),
    Flag::switch("size", "Display total file sizes").short('s'),
    ]],
    ..Command::new(
        "inspect",
        "Display detailed information on one or more containers",
        "[OPTIONS] CONTAINER [CONTAINER...]",
        runner!(run_container),
    )
};

pub(crate) const IMAGE: Command = Command {
    arguments: Arguments::AtLeast(1),
    completes: Completes::Images,
    flags: &[&[
    Flag::text("format", "Format output using a custom template:\n'json':             Print in JSON format\n'TEMPLATE':         Print output using the given Go template.\nRefer to https://docs.docker.com/go/formatting/ for more information about formatting output with templates").short('f'),
    Flag::text("platform", "Inspect a specific platform of the multi-platform image.\nIf the image or the server is not multi-platform capable, the command will error out if the platform does not match.\n'os[/arch[/variant]]': Explicit platform (eg. linux/amd64)"),
    ]],
    ..Command::new(
        "inspect",
        "Display detailed information on one or more images",
        "[OPTIONS] IMAGE [IMAGE...]",
        runner!(run_image),
    )
};

pub(crate) const NETWORK: Command = Command {
    arguments: Arguments::AtLeast(1),
    completes: Completes::Networks,
    flags: &[&[
    Flag::text("format", "Format output using a custom template:\n'json':             Print in JSON format\n'TEMPLATE':         Print output using the given Go template.\nRefer to https://docs.docker.com/go/formatting/ for more information about formatting output with templates").short('f'),
    Flag::switch("verbose", "Verbose output for diagnostics").short('v'),
    ]],
    ..Command::new(
        "inspect",
        "Display detailed information on one or more networks",
        "[OPTIONS] NETWORK [NETWORK...]",
        runner!(run_network),
    )
};

pub(crate) const VOLUME: Command = Command {
    arguments: Arguments::AtLeast(1),
    completes: Completes::Volumes,
    flags: &[&[
    Flag::text("format", "Format output using a custom template:\n'json':             Print in JSON format\n'TEMPLATE':         Print output using the given Go template.\nRefer to https://docs.docker.com/go/formatting/ for more information about formatting output with templates").short('f'),
    ]],
    ..Command::new(
        "inspect",
        "Display detailed information on one or more volumes",
        "[OPTIONS] VOLUME [VOLUME...]",
        runner!(run_volume),
    )
};

/// Every kind `--type` knows; only some can be there.
const KINDS: [&str; 10] = [
    "config",
    "container",
    "image",
    "network",
    "node",
    "plugin",
    "secret",
    "service",
    "task",
    "volume",
];

async fn run(session: &Session, flags: &Parsed) -> Result<()> {
    let kind = flags.text("type");
    if flags.changed("type") && kind.is_empty() {
        return Err(Error::text(
            "type is empty: must be one of \"config\", \"container\", \"image\", \"network\", \"node\", \"plugin\", \"secret\", \"service\", \"task\", \"volume\"",
        ));
    }
    if !kind.is_empty() && !KINDS.contains(&kind) {
        let kinds: Vec<String> = KINDS.iter().map(|kind| format!("{kind:?}")).collect();
        return Err(Error::text(format!(
            "unknown type: {kind:?}: must be one of {}",
            kinds.join(", ")
        )));
    }
    inspect(session, flags, async |name| {
        if !kind.is_empty() {
            return one(session, flags, kind, name).await;
        }
        for kind in ["container", "image", "network", "volume"] {
            match one(session, flags, kind, name).await {
                Err(error) if error.is_not_found() => {}
                outcome => return outcome,
            }
        }
        Err(Error::text(format!("Error: No such object: {name}")))
    })
    .await
}

async fn run_container(session: &Session, flags: &Parsed) -> Result<()> {
    inspect(session, flags, async |name| {
        one(session, flags, "container", name).await
    })
    .await
}

async fn run_image(session: &Session, flags: &Parsed) -> Result<()> {
    inspect(session, flags, async |name| {
        one(session, flags, "image", name).await
    })
    .await
}

async fn run_network(session: &Session, flags: &Parsed) -> Result<()> {
    inspect(session, flags, async |name| {
        one(session, flags, "network", name).await
    })
    .await
}

async fn run_volume(session: &Session, flags: &Parsed) -> Result<()> {
    inspect(session, flags, async |name| {
        one(session, flags, "volume", name).await
    })
    .await
}

/// The document of one thing.
async fn one(
    session: &Session,
    flags: &Parsed,
    kind: &str,
    name: &str,
) -> Result<(&'static str, Value)> {
    let kind = KINDS
        .iter()
        .copied()
        .find(|known| *known == kind)
        .unwrap_or_default();
    let request = match kind {
        "container" => Request::get(format!("/containers/{}/json", escape(name))).query_if(
            flags.switch("size"),
            "size",
            "1",
        ),
        "image" => {
            let platform = super::platform_json(flags.text("platform"))?;
            Request::get(format!("/images/{}/json", escape_path(name))).query_if(
                !platform.is_empty(),
                "platform",
                platform,
            )
        }
        "network" => Request::get(format!("/networks/{}", escape(name))).query_if(
            flags.switch("verbose"),
            "verbose",
            "true",
        ),
        "volume" => Request::get(format!("/volumes/{}", escape(name))),
        kind => {
            return Err(Error::text(format!(
                "inspecting a {kind} is not implemented"
            )));
        }
    };
    Ok((kind, session.client()?.json(request).await?))
}

/// Fetches all documents, prints what there is and fails with what there is not.
async fn inspect<F>(session: &Session, flags: &Parsed, fetch: F) -> Result<()>
where
    F: AsyncFn(&str) -> Result<(&'static str, Value)>,
{
    let format = flags.text("format");
    let (mut documents, mut failures) = (Vec::new(), Vec::new());
    let mut text = String::new();
    for name in &flags.arguments {
        match fetch(name).await {
            Ok((_, document)) if matches!(format, "" | "json") => documents.push(document),
            Ok((kind, document)) => match document::format(format, kind, &document) {
                Ok(line) => text += &format!("{line}\n"),
                Err(error @ dhow_format::Error::Syntax(_)) => {
                    let text = error.to_string();
                    return Err(Error::Exit { code: 64, text });
                }
                Err(error) => failures.push(error.to_string()),
            },
            Err(error) if error.is_no_daemon() => return Err(error),
            Err(error) => failures.push(error.to_string()),
        }
    }
    match format {
        "" => session.println(&pretty(&documents)?)?,
        "json" => session.println(&Value::Array(documents).to_string())?,
        _ if text.is_empty() => session.println("")?,
        _ => session.print(&text)?,
    }
    crate::session::all_or(failures)
}

/// JSON indented by four spaces.
pub(super) fn pretty(documents: &[Value]) -> Result<String> {
    let mut text = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let mut serializer = serde_json::Serializer::with_formatter(&mut text, formatter);
    serde::Serialize::serialize(documents, &mut serializer)
        .map_err(|error| Error::text(error.to_string()))?;
    String::from_utf8(text).map_err(|error| Error::text(error.to_string()))
}
