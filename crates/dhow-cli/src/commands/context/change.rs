//! `context create`, `context update` and `context rm`.

use dhow_client::context;
use serde_json::json;

use super::endpoint::{self, Endpoint};
use crate::command::{Arguments, Command, Completes};
use crate::commands::runner;
use crate::error::{Error, Result};
use crate::session::{Session, all_or};
use dhow_options::flags::{Flag, Parsed};

pub(super) const CREATE: Command = Command {
    arguments: Arguments::Exactly(1),
    long: endpoint::long!("Create a context", "create"),
    flags: &[&[
        Flag::text("description", "Description of the context"),
        endpoint::FLAG,
        Flag::text("from", "create context from a named context"),
    ]],
    ..Command::new(
        "create",
        "Create a context",
        "[OPTIONS] CONTEXT",
        runner!(create),
    )
};

pub(super) const UPDATE: Command = Command {
    arguments: Arguments::Exactly(1),
    completes: Completes::Contexts,
    long: endpoint::long!("Update a context", "update"),
    flags: &[&[
        Flag::text("description", "Description of the context"),
        endpoint::FLAG,
    ]],
    ..Command::new(
        "update",
        "Update a context",
        "[OPTIONS] CONTEXT",
        runner!(update),
    )
};

pub(super) const RM: Command = Command {
    aliases: &["remove"],
    also: "context rm, context remove",
    arguments: Arguments::AtLeast(1),
    completes: Completes::Contexts,
    flags: &[&[Flag::switch("force", "Force the removal of a context in use").short('f')]],
    ..Command::new(
        "rm",
        "Remove one or more contexts",
        "CONTEXT [CONTEXT...]",
        runner!(rm),
    )
};

async fn create(session: &Session, flags: &Parsed) -> Result<()> {
    let name = flags.argument(0);
    let config = &session.config;
    context::check_name(name)?;
    if context::exists(config, name) {
        return Err(Error::text(format!("context {name:?} already exists")));
    }
    let values = flags.list("docker");
    let (mut document, material) = if values.is_empty() {
        let from = Some(flags.text("from")).filter(|from| !from.is_empty());
        let from = from.map_or_else(|| context::current(&session.globals, config), str::to_owned);
        endpoint::copy(session, &from)?
    } else if flags.changed("from") {
        let text = "cannot use --docker flag when --from is set";
        return Err(Error::text(text));
    } else {
        let endpoint = Endpoint::new(session, &values)?;
        (
            endpoint::document("", &endpoint.document),
            endpoint.material,
        )
    };
    let description = flags.text("description");
    if !description.is_empty() {
        document["Metadata"]["Description"] = json!(description);
    }
    context::create(config, name, &document, &material)?;
    session.println(name)?;
    session.warn(&format!("Successfully created context {name:?}"));
    Ok(())
}

async fn update(session: &Session, flags: &Parsed) -> Result<()> {
    let name = flags.argument(0);
    context::check_name(name)?;
    let mut document = context::find(&session.config, name)?.document;
    let description = flags.text("description");
    if !description.is_empty() {
        document["Metadata"]["Description"] = json!(description);
    }
    let values = flags.list("docker");
    let material = if values.is_empty() {
        None
    } else {
        let endpoint = Endpoint::new(session, &values)?;
        document["Endpoints"]["docker"] = endpoint.document;
        Some(endpoint.material)
    };
    context::replace(&session.config, name, &document, material.as_ref())?;
    session.println(name)?;
    session.warn(&format!("Successfully updated context {name:?}"));
    Ok(())
}

async fn rm(session: &Session, flags: &Parsed) -> Result<()> {
    let current = context::current(&session.globals, &session.config);
    let force = flags.switch("force");
    let mut failures = Vec::new();
    for name in &flags.arguments {
        match remove(session, name, *name == current, force) {
            Ok(()) => session.println(name)?,
            Err(error) => failures.push(error.to_string()),
        }
    }
    all_or(failures)
}

fn remove(session: &Session, name: &str, current: bool, force: bool) -> Result<()> {
    if name == context::DEFAULT {
        let text = format!("context {name:?} cannot be removed");
        return Err(Error::text(text));
    }
    if !context::exists(&session.config, name) && force {
        return Ok(());
    }
    if current && context::exists(&session.config, name) {
        if !force {
            return Err(Error::text(format!(
                "context {name:?} is in use, set -f flag to force remove"
            )));
        }
        let mut config = session.config.clone();
        config.unset("currentContext");
        config.save()?;
    }
    Ok(context::remove(&session.config, name)?)
}
