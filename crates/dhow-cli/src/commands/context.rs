//! `context`: the engines one can talk to.

use dhow_terminal::template::Value;
use serde_json::json;

use super::runner;
use crate::command::{Arguments, Command};
use crate::error::{Error, Result};
use crate::flags::{Flag, Parsed};
use crate::format::{self, Layout, Row, document};
use crate::session::Session;
use dhow_client::context;
use dhow_client::settings::variable;

pub(crate) const COMMAND: Command =
    Command::group("context", "Manage contexts", &[&INSPECT, &LS, &SHOW, &USE]);

const LS: Command = Command {
    aliases: &["list"],
    also: "context ls, context list",
    flags: &[&[
        Flag::text(
            "format",
            "Format output using a custom template:\n'table':            Print output in table format with column headers (default)\n'table TEMPLATE':   Print output in table format using the given Go template\n'json':             Print in JSON format\n'TEMPLATE':         Print output using the given Go template.\nRefer to https://docs.docker.com/go/formatting/ for more information about formatting output with templates",
        ),
        Flag::switch("quiet", "Only show context names").short('q'),
    ]],
    ..Command::new("ls", "List contexts", "[OPTIONS]", runner!(ls))
};

const SHOW: Command = Command::new(
    "show",
    "Print the name of the current context",
    "",
    runner!(show),
);

const USE: Command = Command {
    arguments: Arguments::Exactly(1),
    ..Command::new(
        "use",
        "Set the current docker context",
        "CONTEXT",
        runner!(use_context),
    )
};

const INSPECT: Command = Command {
    arguments: Arguments::Any,
    flags: &[&[
    Flag::text("format", "Format output using a custom template:\n'json':             Print in JSON format\n'TEMPLATE':         Print output using the given Go template.\nRefer to https://docs.docker.com/go/formatting/ for more information about formatting output with templates").short('f'),
    ]],
    ..Command::new(
        "inspect",
        "Display detailed information on one or more contexts",
        "[OPTIONS] [CONTEXT] [CONTEXT...]",
        runner!(inspect),
    )
};

const TYPE: &str = "*formatter.clientContextContext";

async fn ls(session: &Session, flags: &Parsed) -> Result<()> {
    let current = context::current(&session.globals, &session.config);
    let host = host_override();
    let default = (
        "default".to_owned(),
        "Current DOCKER_HOST based configuration".to_owned(),
        host.as_ref()
            .map_or(context::DEFAULT_HOST.to_owned(), |(_, host)| host.clone()),
    );
    let others = context::all(&session.config).into_iter();
    let others = others.map(|context| (context.name, context.description, context.host));
    let rows: Vec<Row> = std::iter::once(default)
        .chain(others)
        .map(|(name, description, host)| {
            let current = name == current;
            Row::new(
                TYPE,
                vec![
                    ("Current", Value::Bool(current)),
                    ("Name", name.into()),
                    ("Description", description.into()),
                    ("DockerEndpoint", host.into()),
                    ("Error", "".into()),
                ],
            )
        })
        .collect();
    let layout = Layout {
        headers: &[
            ("Current", ""),
            ("Name", "NAME"),
            ("Description", "DESCRIPTION"),
            ("DockerEndpoint", "DOCKER ENDPOINT"),
            ("Error", "ERROR"),
        ],
        table:
            "{{.Name}}{{if .Current}} *{{end}}\t{{.Description}}\t{{.DockerEndpoint}}\t{{.Error}}"
                .to_owned(),
        quiet: "{{.Name}}",
        raw: None,
    };
    session.print(&format::render(
        &layout,
        flags.text("format"),
        flags.switch("quiet"),
        &rows,
    )?)?;
    if let (Some((name, _)), false) = (host, flags.switch("quiet")) {
        session.warn(&format!(
            "Warning: {name} environment variable overrides the active context. To use a context, either set the global --context flag, or unset {name} environment variable."
        ));
    }
    Ok(())
}

fn host_override() -> Option<(&'static str, String)> {
    ["DHOW_HOST", "DOCKER_HOST"]
        .into_iter()
        .find_map(|name| Some((name, variable(name)?)))
}

async fn show(session: &Session, _flags: &Parsed) -> Result<()> {
    session.println(&context::current(&session.globals, &session.config))
}

async fn use_context(session: &Session, flags: &Parsed) -> Result<()> {
    let name = flags.argument(0);
    let mut config = session.config.clone();
    if name == "default" {
        config.unset("currentContext");
    } else {
        context::find(&config, name)?;
        config.set("currentContext", json!(name));
    }
    config.save()?;
    session.println(name)?;
    session.warn(&format!("Current context is now {name:?}"));
    Ok(())
}

async fn inspect(session: &Session, flags: &Parsed) -> Result<()> {
    let mut names = flags.arguments.clone();
    if names.is_empty() {
        names.push(context::current(&session.globals, &session.config));
    }
    let mut documents = Vec::new();
    for name in &names {
        let document = if name == "default" {
            let host = host_override().map_or(context::DEFAULT_HOST.to_owned(), |(_, host)| host);
            json!({"Name": "default", "Metadata": {}, "Endpoints": {"docker": {"Host": host, "SkipTLSVerify": false}}})
        } else {
            context::find(&session.config, name)?.document
        };
        documents.push(document);
    }
    match flags.text("format") {
        "" => {
            let text = serde_json::to_string_pretty(&documents);
            let text = text.map_err(|error| Error::text(error.to_string()))?;
            session.println(&text.replace("  ", "    "))
        }
        source => {
            for document in &documents {
                let text = document::format(source, "context", document);
                session.println(&text.and_then(|text| text).map_err(Error::text)?)?;
            }
            Ok(())
        }
    }
}
