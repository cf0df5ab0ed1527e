//! `info`: the engine at a glance.

use std::fmt::Write;
use std::rc::Rc;

use dhow_terminal::template::{Record, Template, Value};
use dhow_terminal::units::bytes_size;
use serde_json::{Value as Json, json};

use super::runner;
use crate::command::{Command, Section};
use crate::error::{Error, Result};
use crate::globals::version;
use crate::plugins::{self, Plugin};
use crate::session::Session;
use dhow_client::Request;
use dhow_client::context;
use dhow_format::document;
use dhow_options::flags::{Flag, Parsed};

pub(crate) const COMMAND: Command = Command {
    also: "system info, info",
    flags: &[&[
    Flag::text("format", "Format output using a custom template:\n'json':             Print in JSON format\n'TEMPLATE':         Print output using the given Go template.\nRefer to https://docs.docker.com/go/formatting/ for more information about formatting output with templates").short('f'),
    ]],
    section: Section::Common,
    ..Command::new("info", "Display system-wide information", "[OPTIONS]", runner!(run))
};

async fn run(session: &Session, flags: &Parsed) -> Result<()> {
    let source = match flags.text("format") {
        "json" => "{{json .}}",
        format => format,
    };
    let template = match source {
        "" => None,
        source => Some(Template::parse("", source).map_err(|error| Error::Exit {
            code: 64,
            text: format!("template parsing error: {error}"),
        })?),
    };
    let server: Result<Json, _> = session.client()?.json(Request::get("/info")).await;
    let context = context::current(&session.globals, &session.config);
    let plugins = plugins::all(&session.config, crate::is_command);
    let Some(template) = template else {
        let mut text = client_text(session, &context);
        text += &plugins_text(&plugins);
        match &server {
            Ok(server) => text += &server_text(server),
            Err(_) => text += "\nServer:\n",
        }
        session.print(&text)?;
        for (path, error) in plugins
            .iter()
            .filter_map(|p| Some((&p.path, p.error.as_ref()?)))
        {
            session.warn(&format!("WARNING: Plugin {path:?} is not valid: {error}"));
        }
        if let Ok(server) = &server {
            for warning in server["Warnings"].as_array().into_iter().flatten() {
                session.warn(warning.as_str().unwrap_or_default());
            }
        }
        return server.map(drop).map_err(Error::from);
    };
    let mut all = server.as_ref().ok().cloned().unwrap_or_else(|| json!({}));
    all["ClientInfo"] = json!({
        "Debug": session.globals.debug,
        "Version": version(&session.program),
        "Context": context,
        "Plugins": plugins.iter().map(plugin_json).collect::<Vec<_>>(),
        "Warnings": null,
    });
    let text = template
        .execute(&Value::Record(Rc::new(Info(all))))
        .map_err(|error| {
            // Docker prints the line it did not fill.
            let _ = session.println("");
            Error::text(error.to_string())
        })?;
    session.println(&text)?;
    server.map(drop).map_err(Error::from)
}

/// The whole answer, as the Go struct templates see.
struct Info(Json);

impl Record for Info {
    fn type_name(&self) -> &'static str {
        "system.dockerInfo"
    }

    fn field(&self, name: &str) -> Option<Value> {
        let Value::Record(document) = document::value(&self.0, "system.dockerInfo") else {
            return None;
        };
        document.field(name)
    }

    fn json(&self) -> String {
        self.0.to_string()
    }
}

fn client_text(session: &Session, context: &str) -> String {
    format!(
        "Client: Dhow\n Version:    {}\n Context:    {context}\n Debug Mode: {}\n",
        version(&session.program),
        session.globals.debug
    )
}

/// The plugins that can be used.
fn plugins_text(plugins: &[Plugin]) -> String {
    let mut text = String::new();
    for plugin in plugins.iter().filter(|plugin| plugin.error.is_none()) {
        let about = plugin.text("ShortDescription");
        text += &format!("  {}: {about} ({})\n", plugin.name, plugin.text("Vendor"));
        for (name, value) in [
            ("Version: ", plugin.text("Version")),
            ("Path:    ", &plugin.path.to_string_lossy()),
        ] {
            if !value.is_empty() {
                text += &format!("    {name} {value}\n");
            }
        }
    }
    if text.is_empty() {
        text
    } else {
        format!(" Plugins:\n{text}")
    }
}

/// A plugin in `ClientInfo`: its metadata, where it is, and what is wrong with it.
fn plugin_json(plugin: &Plugin) -> Json {
    let mut document = match &plugin.metadata {
        Json::Object(metadata) => Json::Object(metadata.clone()),
        _ => json!({}),
    };
    document["Name"] = json!(plugin.name);
    document["Path"] = json!(plugin.path);
    if let Some(error) = &plugin.error {
        document["Err"] = json!(error);
    }
    document
}

/// The words of a list.
fn words(list: &Json) -> String {
    let words: Vec<&str> = list
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Json::as_str)
        .collect();
    words.join(" ")
}

fn server_text(info: &Json) -> String {
    let mut out = String::from("\nServer:\n");
    let number = |key: &str| info[key].as_i64().unwrap_or(0);
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        " Containers: {}\n  Running: {}\n  Paused: {}\n  Stopped: {}\n Images: {}",
        number("Containers"),
        number("ContainersRunning"),
        number("ContainersPaused"),
        number("ContainersStopped"),
        number("Images"),
    );
    let mut given = |name: &str, key: &str| {
        if let Some(value) = info[key].as_str().filter(|value| !value.is_empty()) {
            let _ = writeln!(out, " {name}: {value}");
        }
    };
    given("Server Version", "ServerVersion");
    given("Storage Driver", "Driver");
    for pair in info["DriverStatus"].as_array().into_iter().flatten() {
        let text = |at: usize| pair[at].as_str().unwrap_or_default();
        let _ = writeln!(out, "  {}: {}", text(0), text(1));
    }
    let mut given = |name: &str, key: &str| {
        if let Some(value) = info[key].as_str().filter(|value| !value.is_empty()) {
            let _ = writeln!(out, " {name}: {value}");
        }
    };
    given("Logging Driver", "LoggingDriver");
    given("Cgroup Driver", "CgroupDriver");
    given("Cgroup Version", "CgroupVersion");
    plugins(info, &mut out);
    runtimes(info, &mut out);
    security(info, &mut out);
    host(info, &mut out);
    out
}

fn plugins(info: &Json, out: &mut String) {
    let plugins = &info["Plugins"];
    let _ = writeln!(
        out,
        " Plugins:\n  Volume: {}\n  Network: {}",
        words(&plugins["Volume"]),
        words(&plugins["Network"])
    );
    if plugins["Authorization"]
        .as_array()
        .is_some_and(|list| !list.is_empty())
    {
        let _ = writeln!(out, "  Authorization: {}", words(&plugins["Authorization"]));
    }
    let _ = writeln!(out, "  Log: {}", words(&plugins["Log"]));
    if let Some(folders) = info["CDISpecDirs"]
        .as_array()
        .filter(|list| !list.is_empty())
    {
        out.push_str(" CDI spec directories:\n");
        for folder in folders {
            let _ = writeln!(out, "  {}", folder.as_str().unwrap_or_default());
        }
    }
}

fn runtimes(info: &Json, out: &mut String) {
    let swarm = info["Swarm"]["LocalNodeState"]
        .as_str()
        .unwrap_or("inactive");
    let _ = writeln!(
        out,
        " Swarm: {}",
        if swarm.is_empty() { "inactive" } else { swarm }
    );
    if let Some(runtimes) = info["Runtimes"].as_object().filter(|map| !map.is_empty()) {
        let mut names: Vec<&str> = runtimes.keys().map(String::as_str).collect();
        names.sort_unstable();
        let default = info["DefaultRuntime"].as_str().unwrap_or_default();
        let _ = writeln!(
            out,
            " Runtimes: {}\n Default Runtime: {default}",
            names.join(" ")
        );
    }
    if info["OSType"] != "linux" {
        return;
    }
    let id = |key: &str| match info[key]["ID"].as_str() {
        Some("N/A") => "N/A",
        Some(id) => id,
        None => "",
    };
    let _ = writeln!(
        out,
        " Init Binary: {}\n containerd version: {}\n runc version: {}\n init version: {}",
        info["InitBinary"].as_str().unwrap_or_default(),
        id("ContainerdCommit"),
        id("RuncCommit"),
        match id("InitCommit") {
            "" => "N/A",
            id => id,
        },
    );
}

/// `name=seccomp,profile=builtin` becomes a name and its options below it.
fn security(info: &Json, out: &mut String) {
    let options = info["SecurityOptions"]
        .as_array()
        .filter(|list| !list.is_empty());
    let Some(options) = options else { return };
    out.push_str(" Security Options:\n");
    for option in options.iter().filter_map(Json::as_str) {
        for (index, pair) in option.split(',').enumerate() {
            let (key, value) = pair.split_once('=').unwrap_or(("name", pair));
            let _ = match (index, key) {
                (0, _) | (_, "name") => writeln!(out, "  {value}"),
                (_, "profile") => writeln!(out, "   Profile: {value}"),
                (_, key) => writeln!(out, "   {key}: {value}"),
            };
        }
    }
}

fn host(info: &Json, out: &mut String) {
    let text = |key: &str| info[key].as_str().unwrap_or_default();
    let on = |key: &str| info[key] == Json::Bool(true);
    #[allow(clippy::cast_precision_loss, reason = "four digits are shown")]
    let memory = bytes_size(info["MemTotal"].as_i64().unwrap_or(0) as f64);
    let _ = writeln!(
        out,
        " Kernel Version: {}\n Operating System: {}\n OSType: {}\n Architecture: {}\n CPUs: {}\n Total Memory: {memory}\n Name: {}\n ID: {}\n Docker Root Dir: {}\n Debug Mode: {}",
        text("KernelVersion"),
        text("OperatingSystem"),
        text("OSType"),
        text("Architecture"),
        info["NCPU"].as_i64().unwrap_or(0),
        text("Name"),
        text("ID"),
        text("DockerRootDir"),
        on("Debug"),
    );
    for (name, key) in [
        ("HTTP Proxy", "HttpProxy"),
        ("HTTPS Proxy", "HttpsProxy"),
        ("No Proxy", "NoProxy"),
    ] {
        if !text(key).is_empty() {
            let _ = writeln!(out, " {name}: {}", text(key));
        }
    }
    let labels = info["Labels"].as_array().filter(|list| !list.is_empty());
    if let Some(labels) = labels {
        out.push_str(" Labels:\n");
        for label in labels.iter().filter_map(Json::as_str) {
            let _ = writeln!(out, "  {label}");
        }
    }
    let _ = writeln!(out, " Experimental: {}", on("ExperimentalBuild"));
    let registries = &info["RegistryConfig"];
    let insecure = registries["InsecureRegistryCIDRs"]
        .as_array()
        .into_iter()
        .flatten();
    let configs = registries["IndexConfigs"].as_object().into_iter().flatten();
    let named = configs
        .filter(|(_, config)| config["Secure"] == false)
        .map(|(name, _)| name.as_str());
    let all: Vec<&str> = named.chain(insecure.filter_map(Json::as_str)).collect();
    if !all.is_empty() {
        let _ = writeln!(out, " Insecure Registries:\n  {}", all.join("\n  "));
    }
    let mirrors = registries["Mirrors"]
        .as_array()
        .filter(|list| !list.is_empty());
    if let Some(mirrors) = mirrors {
        let mirrors: Vec<&str> = mirrors.iter().filter_map(Json::as_str).collect();
        let _ = writeln!(out, " Registry Mirrors:\n  {}", mirrors.join("\n  "));
    }
    let _ = writeln!(out, " Live Restore Enabled: {}\n", on("LiveRestoreEnabled"));
}
