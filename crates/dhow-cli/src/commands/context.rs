//! `context`: the engines one can talk to.

mod change;
mod endpoint;
mod transfer;

use dhow_terminal::template::Value;
use serde_json::{Value as Json, json};

use super::runner;
use crate::command::{Arguments, Command, Completes};
use crate::error::Result;
use crate::session::Session;
use dhow_client::context;
use dhow_client::settings::variable;
use dhow_format::{Layout, Row, document};
use dhow_options::flags::{Flag, Parsed};

pub(crate) const COMMAND: Command = Command::group(
    "context",
    "Manage contexts",
    &[
        &change::CREATE,
        &transfer::EXPORT,
        &transfer::IMPORT,
        &INSPECT,
        &LS,
        &change::RM,
        &SHOW,
        &change::UPDATE,
        &USE,
    ],
);

/// What the default context says of itself.
const DEFAULT_DESCRIPTION: &str = "Current DOCKER_HOST based configuration";
/// Where the default context is kept.
const IN_MEMORY: &str = "<IN MEMORY>";

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
    completes: Completes::Contexts,
    ..Command::new(
        "use",
        "Set the current docker context",
        "CONTEXT",
        runner!(use_context),
    )
};

const INSPECT: Command = Command {
    arguments: Arguments::Any,
    completes: Completes::Contexts,
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

/// As much of an error as the table shows.
const LONGEST_ERROR: usize = 45;

/// A context as the list shows it.
struct Line {
    name: String,
    description: String,
    host: String,
    error: String,
}

async fn ls(session: &Session, flags: &Parsed) -> Result<()> {
    let current = context::current(&session.globals, &session.config);
    let rows: Vec<Row> = lines(session, &current)
        .into_iter()
        .map(|line| {
            Row::new(
                TYPE,
                vec![
                    ("Current", Value::Bool(line.name == current)),
                    ("Name", line.name.into()),
                    ("Description", line.description.into()),
                    ("DockerEndpoint", line.host.into()),
                    ("Error", line.error.into()),
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
    let quiet = flags.switch("quiet");
    session.print(&dhow_format::render(
        &layout,
        flags.text("format"),
        quiet,
        &rows,
    )?)?;
    if let (Some(name), false) = (host_variable(), quiet) {
        session.warn(&format!(
            "Warning: {name} environment variable overrides the active context. To use a context, either set the global --context flag, or unset {name} environment variable."
        ));
    }
    Ok(())
}

/// The default context, those that are kept, and the one in use where there is none of its name.
fn lines(session: &Session, current: &str) -> Vec<Line> {
    let mut lines = vec![Line {
        name: context::DEFAULT.to_owned(),
        description: DEFAULT_DESCRIPTION.to_owned(),
        host: context::default_target(&session.globals).host,
        error: String::new(),
    }];
    for context in context::all(&session.config) {
        let error = if context.has_endpoint() {
            ""
        } else {
            "cannot find docker endpoint in context"
        };
        lines.push(Line {
            name: context.name,
            description: context.description,
            host: context.host,
            error: error.to_owned(),
        });
    }
    if lines.iter().all(|line| line.name != current)
        && let Err(error) = context::find(&session.config, current)
    {
        lines.push(Line {
            name: current.to_owned(),
            description: String::new(),
            host: String::new(),
            error: dhow_format::ellipsis(&error.to_string(), LONGEST_ERROR),
        });
    }
    lines.sort_by(|a, b| a.name.cmp(&b.name));
    lines
}

/// The variable that names an engine, so that contexts do not count.
fn host_variable() -> Option<&'static str> {
    ["DHOW_HOST", "DOCKER_HOST"]
        .into_iter()
        .find(|name| variable(name).is_some())
}

async fn show(session: &Session, _flags: &Parsed) -> Result<()> {
    session.println(&context::current(&session.globals, &session.config))
}

async fn use_context(session: &Session, flags: &Parsed) -> Result<()> {
    let name = flags.argument(0);
    let mut config = session.config.clone();
    if name == context::DEFAULT {
        config.unset("currentContext");
    } else {
        context::find(&config, name)?;
        config.set("currentContext", json!(name));
    }
    config.save()?;
    session.println(name)?;
    session.warn(&format!("Current context is now {name:?}"));
    if let (Some(variable), true) = (host_variable(), name != context::DEFAULT) {
        session.warn(&format!(
            "Warning: {variable} environment variable overrides the active context. To use {name:?}, either set the global --context flag, or unset {variable} environment variable."
        ));
    }
    Ok(())
}

async fn inspect(session: &Session, flags: &Parsed) -> Result<()> {
    let mut names = flags.arguments.clone();
    if names.is_empty() {
        names.push(context::current(&session.globals, &session.config));
    }
    let (mut documents, mut failures) = (Vec::new(), Vec::new());
    for name in &names {
        match description(session, name) {
            Ok(document) => documents.push(document),
            Err(error) => failures.push(error.to_string()),
        }
    }
    match flags.text("format") {
        "" => session.println(&dhow_format::escape_html(&super::inspect::pretty(
            &documents,
        )?))?,
        "json" => session.println(&dhow_format::escape_html(
            &Json::Array(documents).to_string(),
        ))?,
        source => {
            for document in &documents {
                session.println(&document::format(source, "context", document)?)?;
            }
        }
    }
    crate::session::all_or(failures)
}

/// What `inspect` says of a context.
fn description(session: &Session, name: &str) -> Result<Json> {
    if name == context::DEFAULT {
        let host = context::default_target(&session.globals).host;
        return Ok(json!({
            "Name": name,
            "Metadata": {},
            "Endpoints": {"docker": {"Host": host, "SkipTLSVerify": false}},
            "TLSMaterial": {},
            "Storage": {"MetadataPath": IN_MEMORY, "TLSPath": IN_MEMORY},
        }));
    }
    let mut document = context::find(&session.config, name)?.document;
    let material = context::material(&session.config, name)?;
    let files: Vec<String> = material.into_iter().map(|(file, _)| file).collect();
    document["TLSMaterial"] = if files.is_empty() {
        json!({})
    } else {
        json!({"docker": files})
    };
    let (meta, tls) = context::folders(&session.config, name);
    document["Storage"] = json!({"MetadataPath": meta, "TLSPath": tls});
    Ok(document)
}
