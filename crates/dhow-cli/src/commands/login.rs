//! `login` and `logout`: credentials of registries.

use std::io::{BufRead, Read};
use std::os::fd::AsFd;

use dhow_api::auth::{AuthConfig, AuthResponse};
use dhow_terminal::{is_terminal, without_echo};

use super::runner;
use crate::command::{Arguments, Command, Section};
use crate::error::{Error, Result};
use crate::session::Session;
use dhow_client::Request;
use dhow_client::credentials::{self, HUB};
use dhow_options::flags::{Flag, Parsed};

pub(crate) const COMMAND: Command = Command {
    arguments: Arguments::AtMost(1),
    long: "Authenticate to a registry.\nDefaults to Docker Hub if no server is specified.",
    flags: &[&[
        Flag::text("password", "Password or Personal Access Token (PAT)").short('p'),
        Flag::switch(
            "password-stdin",
            "Take the Password or Personal Access Token (PAT) from stdin",
        ),
        Flag::text("username", "Username").short('u'),
    ]],
    section: Section::Common,
    ..Command::new(
        "login",
        "Authenticate to a registry",
        "[OPTIONS] [SERVER]",
        runner!(login),
    )
};

pub(crate) const LOGOUT: Command = Command {
    arguments: Arguments::AtMost(1),
    long: "Log out from a registry.\nIf no server is specified, the default is defined by the daemon.",
    section: Section::Common,
    ..Command::new(
        "logout",
        "Log out from a registry",
        "[SERVER]",
        runner!(logout),
    )
};

fn server(flags: &Parsed) -> String {
    match flags.arguments.first().map(String::as_str) {
        None | Some("" | "docker.io" | "index.docker.io" | "registry-1.docker.io") => {
            HUB.to_owned()
        }
        Some(name) => name.trim_end_matches('/').to_owned(),
    }
}

async fn login(session: &Session, flags: &Parsed) -> Result<()> {
    let mut password = flags.text("password").to_owned();
    let user = flags.text("username").to_owned();
    if !password.is_empty() {
        if flags.switch("password-stdin") {
            return Err(Error::text(
                "conflicting options: cannot specify both --password and --password-stdin",
            ));
        }
        session.warn("WARNING! Using --password via the CLI is insecure. Use --password-stdin.");
    }
    if flags.switch("password-stdin") {
        if user.is_empty() {
            return Err(Error::text(
                "the --password-stdin option requires --username to be set",
            ));
        }
        std::io::stdin().lock().read_to_string(&mut password)?;
        password.truncate(password.trim_end_matches(['\r', '\n']).len());
    }
    let server = server(flags);
    let known = credentials::find(&session.config, &server)?;
    let stored = user.is_empty() && password.is_empty();
    if stored && (!known.password.is_empty() || !known.identitytoken.is_empty()) {
        session.println("Authenticating with existing credentials...")?;
        match authenticate(session, known.clone()).await {
            Ok(()) => return Ok(()),
            Err(error) => session.println(&format!("Login did not succeed, error: {error}"))?,
        }
    }
    let (username, password) = ask(session, &server, &known.username, (user, password))?;
    authenticate(
        session,
        AuthConfig {
            username,
            password,
            serveraddress: server,
            ..AuthConfig::default()
        },
    )
    .await
}

/// Asks for what was not given.
fn ask(
    session: &Session,
    server: &str,
    default_user: &str,
    (mut user, mut password): (String, String),
) -> Result<(String, String)> {
    if (user.is_empty() || password.is_empty()) && !is_terminal(std::io::stdin()) {
        return Err(Error::text(
            "Error: Cannot perform an interactive login from a non TTY device",
        ));
    }
    if user.is_empty() {
        if server == HUB {
            session.println("Log in with your Docker ID or email address to push and pull images from Docker Hub. If you don't have a Docker ID, head over to https://hub.docker.com/ to create one.")?;
        }
        let hint = if default_user.is_empty() {
            String::new()
        } else {
            format!(" ({default_user})")
        };
        session.print(&format!("Username{hint}: "))?;
        std::io::stdin().lock().read_line(&mut user)?;
        user = user.trim().to_owned();
        if user.is_empty() {
            default_user.clone_into(&mut user);
        }
        if user.is_empty() {
            return Err(Error::text("Error: username is required"));
        }
    }
    if password.is_empty() {
        session.print("Password: ")?;
        let hidden = without_echo(std::io::stdin().as_fd())?;
        std::io::stdin().lock().read_line(&mut password)?;
        drop(hidden);
        session.println("")?;
        password.truncate(password.trim_end_matches(['\r', '\n']).len());
        if password.is_empty() {
            return Err(Error::text("Error: password is required"));
        }
    }
    Ok((user, password))
}

/// Has the engine try the credentials, and keeps them.
async fn authenticate(session: &Session, mut given: AuthConfig) -> Result<()> {
    let request = Request::post("/auth").json(&given)?;
    let answer: AuthResponse = session.client()?.json(request).await?;
    if !answer.identity_token.is_empty() {
        given.password = String::new();
        given.identitytoken = answer.identity_token;
    }
    let mut config = session.config.clone();
    let plain = credentials::store(&mut config, &given)
        .map_err(|error| Error::text(format!("Error saving credentials: {error}")))?;
    if plain {
        session.warn(&format!(
            "\nWARNING! Your credentials are stored unencrypted in '{}'.\nConfigure a credential helper to remove this warning. See\nhttps://docs.docker.com/go/credential-store/\n",
            config.path().display()
        ));
    }
    if answer.status.is_empty() {
        Ok(())
    } else {
        session.println(&answer.status)
    }
}

async fn logout(session: &Session, flags: &Parsed) -> Result<()> {
    let server = server(flags);
    let shown = if server == HUB {
        "https://index.docker.io/v1/"
    } else {
        &server
    };
    session.println(&format!("Removing login credentials for {shown}"))?;
    let mut config = session.config.clone();
    if let Err(error) = credentials::erase(&mut config, &server) {
        return Err(Error::text(format!(
            "WARNING: could not erase credentials:\n{server}: {error}"
        )));
    }
    Ok(())
}
