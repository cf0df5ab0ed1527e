//! `--use-api-socket`: the engine's socket, and the credentials for registries, in the container.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dhow_api::container::{BindOptions, CreateRequest, Mount};
use dhow_archive::tar::{Header, Writer};
use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::session::Session;
use dhow_client::request::escape;
use dhow_client::{Config, Request, credentials};

/// Where the socket is in the container.
const SOCKET: &str = "/var/run/docker.sock";
/// Where the settings with the credentials are in the container.
const FOLDER: &str = "/run/secrets/docker";
const VARIABLE: &str = "DOCKER_CONFIG=";

/// Adds the socket to the request, and the variable that tells where the credentials are if there are any.
///
/// # Errors
/// The engine is not reached by a socket; the text is Docker's.
pub(crate) fn mount(session: &Session, request: &mut CreateRequest) -> Result<()> {
    let host = session.client()?.host();
    let Some(path) = host.strip_prefix("unix://") else {
        return Err(Error::text(format!(
            "flag --use-api-socket can only be used with unix sockets: docker endpoint {host} incompatible"
        )));
    };
    let mount = Mount {
        kind: "bind".to_owned(),
        source: path.to_owned(),
        target: SOCKET.to_owned(),
        bind_options: Some(BindOptions::default()),
        ..Mount::default()
    };
    let mounts = &mut request.host_config.get_or_insert_default().mounts;
    mounts.get_or_insert_default().push(mount);
    let env = request.config.env.get_or_insert_default();
    // Who sets it knows where the container's settings are.
    let given = env.iter().any(|variable| variable.starts_with(VARIABLE));
    if !given && !all(&session.config)?.is_empty() {
        env.push(format!("{VARIABLE}{FOLDER}"));
    }
    Ok(())
}

/// Puts the credentials into the container that was made of the request, unless it has settings of its own.
///
/// # Errors
/// They can't be read, or not be copied.
pub(crate) async fn inject(session: &Session, request: &CreateRequest, id: &str) -> Result<()> {
    let ours = format!("{VARIABLE}{FOLDER}");
    if !request
        .config
        .env
        .iter()
        .flatten()
        .any(|variable| *variable == ours)
    {
        return Ok(());
    }
    let settings = json!({"auths": all(&session.config)?});
    let archive = archive(settings.to_string().as_bytes()).map_err(|error| {
        Error::text(format!(
            "injecting docker config.json into container failed: {error}"
        ))
    })?;
    let request = Request::put(format!("/containers/{}/archive", escape(id)))
        .query("path", "/")
        .stream(std::io::Cursor::new(archive));
    session.client()?.done(request).await?;
    Ok(())
}

/// The credentials for every registry that the settings name, in the form of a settings file.
fn all(config: &Config) -> Result<BTreeMap<String, Value>> {
    let mut found = BTreeMap::new();
    for part in ["auths", "credHelpers"] {
        for registry in config
            .object(part)
            .into_iter()
            .flat_map(|object| object.keys())
        {
            let known = credentials::find(config, registry)?;
            let entry = if !known.identitytoken.is_empty() {
                json!({"identitytoken": known.identitytoken})
            } else if !known.username.is_empty() {
                let pair = format!("{}:{}", known.username, known.password);
                json!({"auth": STANDARD.encode(pair)})
            } else {
                continue;
            };
            found.insert(registry.clone(), entry);
        }
    }
    Ok(found)
}

/// A tar archive with the settings, for root alone.
fn archive(settings: &[u8]) -> std::result::Result<Vec<u8>, dhow_archive::Error> {
    let mut writer = Writer::new(Vec::new());
    writer.entry(&Header::directory("run/secrets", 0o755))?;
    writer.entry(&Header::directory("run/secrets/docker", 0o700))?;
    writer.bytes(
        Header::file("run/secrets/docker/config.json", 0o600, 0),
        settings,
    )?;
    writer.finish()
}
