//! `version`: what runs here and there.

use std::rc::Rc;

use dhow_terminal::template::{Record, Template, Value};
use serde_json::{Value as Json, json};

use super::runner;
use crate::command::{Command, Section};
use crate::error::{Error, Result};
use crate::globals::version;
use crate::session::Session;
use dhow_client::context;
use dhow_client::{MAX_VERSION, Request};
use dhow_format::document;
use dhow_options::flags::{Flag, Parsed};

pub(crate) const COMMAND: Command = Command {
    flags: &[&[
    Flag::text("format", "Format output using a custom template:\n'json':             Print in JSON format\n'TEMPLATE':         Print output using the given Go template.\nRefer to https://docs.docker.com/go/formatting/ for more information about formatting output with templates").short('f'),
    ]],
    section: Section::Common,
    ..Command::new("version", "Show the Docker version information", "[OPTIONS]", runner!(run))
};

async fn run(session: &Session, flags: &Parsed) -> Result<()> {
    let client = session.client()?;
    let format = flags.text("format");
    let template = match format {
        "" => None,
        "json" => Some("{{json .}}"),
        format => Some(format),
    };
    let template = template
        .map(|source| {
            Template::parse("version", source).map_err(|error| Error::Exit {
                code: 64,
                text: format!("template parsing error: {error}"),
            })
        })
        .transpose()?;
    let server: Result<Json, _> = client.json(Request::get("/version")).await;
    let api = client.version().await.unwrap_or(MAX_VERSION).to_owned();
    let ours = client_info(session, &api);
    match template {
        Some(template) => {
            let info = Info(json!({"Client": ours, "Server": server.as_ref().ok()}));
            let text = template
                .execute(&Value::Record(Rc::new(info)))
                .map_err(|error| {
                    // Docker prints the line it did not fill.
                    let _ = session.println("");
                    Error::text(error.to_string())
                })?;
            session.println(&text)?;
        }
        None => {
            let mut text = client_text(&ours);
            if let Ok(server) = &server {
                text += &server_text(server);
            }
            session.print(&text)?;
        }
    }
    server.map(drop).map_err(Error::from)
}

/// The whole answer, as the Go struct templates see.
struct Info(Json);

impl Record for Info {
    fn type_name(&self) -> &'static str {
        "system.versionInfo"
    }

    fn field(&self, name: &str) -> Option<Value> {
        match name {
            "ServerOK" => Some(Value::Bool(!self.0["Server"].is_null())),
            name => match self.0.get(name)? {
                Json::Null => Some(Value::Nil),
                json if name == "Client" => Some(document::value(json, "system.clientVersion")),
                json => Some(document::value(json, "types.Version")),
            },
        }
    }

    fn json(&self) -> String {
        self.0.to_string()
    }
}

fn client_info(session: &Session, api: &str) -> Json {
    let arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    json!({
        "Version": version(&session.program),
        "ApiVersion": api,
        "DefaultAPIVersion": MAX_VERSION,
        "GitCommit": concat!("dhow-", env!("CARGO_PKG_VERSION")),
        "GoVersion": "",
        "Os": "linux",
        "Arch": arch,
        "BuildTime": "",
        "Context": context::current(&session.globals, &session.config),
    })
}

fn client_text(client: &Json) -> String {
    let text = |key: &str| client[key].as_str().unwrap_or_default();
    let downgraded = if text("ApiVersion") == text("DefaultAPIVersion") {
        String::new()
    } else {
        format!(" (downgraded from {})", text("DefaultAPIVersion"))
    };
    format!(
        "Client: Dhow\n Version:           {}\n API version:       {}{downgraded}\n Git commit:        {}\n OS/Arch:           {}/{}\n Context:           {}\n",
        text("Version"),
        text("ApiVersion"),
        text("GitCommit"),
        text("Os"),
        text("Arch"),
        text("Context"),
    )
}

fn server_text(server: &Json) -> String {
    let platform = server["Platform"]["Name"].as_str().unwrap_or_default();
    let mut out = format!(
        "\nServer:{}{platform}\n",
        if platform.is_empty() { "" } else { " " }
    );
    for component in server["Components"].as_array().into_iter().flatten() {
        let text = |key: &str| component[key].as_str().unwrap_or_default();
        let detail = |key: &str| component["Details"][key].as_str().unwrap_or_default();
        if text("Name") != "Engine" {
            out += &format!(" {}:\n", text("Name"));
            let mut line =
                |name: &str, value: &str| out += &format!("  {:<17}{value}\n", format!("{name}:"));
            line("Version", text("Version"));
            line("GitCommit", detail("GitCommit"));
            continue;
        }
        out += " Engine:\n";
        let mut line =
            |name: &str, value: &str| out += &format!("  {:<17}{value}\n", format!("{name}:"));
        line("Version", text("Version"));
        let api = format!(
            "{} (minimum version {})",
            detail("ApiVersion"),
            detail("MinAPIVersion")
        );
        line("API version", &api);
        line("Go version", detail("GoVersion"));
        line("Git commit", detail("GitCommit"));
        line("Built", detail("BuildTime"));
        line("OS/Arch", &format!("{}/{}", detail("Os"), detail("Arch")));
        line("Experimental", detail("Experimental"));
    }
    out
}
