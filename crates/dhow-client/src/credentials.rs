//! Registry credentials: from `config.json` itself or from a `docker-credential-*` program.

use std::io::Write;
use std::process::{Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use dhow_api::auth::AuthConfig;
use dhow_oci::Reference;
use serde_json::{Value, json};

use crate::config::Config;
use crate::error::{Error, Result};

/// The key of Docker Hub's credentials.
pub const HUB: &str = "https://index.docker.io/v1/";

/// The key under which the credentials for an image's registry are kept.
pub fn registry_key(reference: &Reference) -> String {
    match reference.domain() {
        "docker.io" => HUB.to_owned(),
        domain => domain.to_owned(),
    }
}

/// The `X-Registry-Auth` header for the registry of `reference`.
pub fn header(config: &Config, reference: &Reference) -> Result<String> {
    Ok(encode(&find(config, &registry_key(reference))?))
}

/// Credentials in the form of the `X-Registry-Auth` header; empty fields are left out.
pub fn encode(credentials: &AuthConfig) -> String {
    let mut value = serde_json::to_value(credentials).unwrap_or_default();
    if let Some(fields) = value.as_object_mut() {
        fields.retain(|_, field| field.as_str().is_some_and(|text| !text.is_empty()));
    }
    URL_SAFE.encode(value.to_string())
}

/// The credentials kept for a registry; empty ones where there are none.
pub fn find(config: &Config, registry: &str) -> Result<AuthConfig> {
    match helper(config, registry) {
        Some(program) => from_helper(&program, registry),
        None => Ok(from_file(config, registry)),
    }
}

/// The program that keeps a registry's credentials, where one does.
fn helper(config: &Config, registry: &str) -> Option<String> {
    let own = config
        .object("credHelpers")
        .and_then(|helpers| helpers.get(registry));
    let name = own
        .and_then(Value::as_str)
        .or_else(|| config.text("credsStore"))?;
    (!name.is_empty()).then(|| format!("docker-credential-{name}"))
}

fn from_helper(program: &str, registry: &str) -> Result<AuthConfig> {
    let output = match call(program, "get", registry) {
        Ok(output) => output,
        Err(error) if error.to_string().contains("credentials not found") => {
            return Ok(AuthConfig::default());
        }
        Err(error) => return Err(error),
    };
    let answer: Value = serde_json::from_str(&output).unwrap_or_default();
    let text = |key: &str| answer[key].as_str().unwrap_or_default().to_owned();
    let mut credentials = AuthConfig {
        serveraddress: registry.to_owned(),
        ..AuthConfig::default()
    };
    if text("Username") == "<token>" {
        credentials.identitytoken = text("Secret");
    } else {
        credentials.username = text("Username");
        credentials.password = text("Secret");
    }
    Ok(credentials)
}

fn from_file(config: &Config, registry: &str) -> AuthConfig {
    let Some(auths) = config.object("auths") else {
        return AuthConfig::default();
    };
    let host = hostname(registry);
    let entry = auths.get(registry).or_else(|| {
        auths
            .iter()
            .find(|(key, _)| hostname(key) == host)
            .map(|(_, entry)| entry)
    });
    let Some(entry) = entry else {
        return AuthConfig::default();
    };
    let text = |key: &str| entry[key].as_str().unwrap_or_default().to_owned();
    let decoded = STANDARD.decode(text("auth")).unwrap_or_default();
    let decoded = String::from_utf8(decoded).unwrap_or_default();
    let (username, password) = decoded.split_once(':').unwrap_or_default();
    AuthConfig {
        username: username.to_owned(),
        password: password.trim_end_matches('\0').to_owned(),
        identitytoken: text("identitytoken"),
        registrytoken: text("registrytoken"),
        serveraddress: registry.to_owned(),
        ..AuthConfig::default()
    }
}

/// `https://host/v1/` and `host` are the same registry.
fn hostname(registry: &str) -> &str {
    let bare = registry
        .strip_prefix("https://")
        .or_else(|| registry.strip_prefix("http://"));
    let bare = bare.unwrap_or(registry);
    bare.split('/').next().unwrap_or(bare)
}

/// Keeps credentials; says whether they now stand unencrypted in `config.json`.
pub fn store(config: &mut Config, credentials: &AuthConfig) -> Result<bool> {
    let registry = credentials.serveraddress.clone();
    if let Some(program) = helper(config, &registry) {
        let (user, secret) = if credentials.identitytoken.is_empty() {
            (credentials.username.as_str(), &credentials.password)
        } else {
            ("<token>", &credentials.identitytoken)
        };
        let entry = json!({"ServerURL": registry, "Username": user, "Secret": secret});
        call(&program, "store", &entry.to_string())?;
        config.object_mut("auths").insert(registry, json!({}));
        config.save()?;
        return Ok(false);
    }
    let entry = if credentials.identitytoken.is_empty() {
        let pair = format!("{}:{}", credentials.username, credentials.password);
        json!({"auth": STANDARD.encode(pair)})
    } else {
        let pair = format!("{}:", credentials.username);
        json!({"auth": STANDARD.encode(pair), "identitytoken": credentials.identitytoken})
    };
    config.object_mut("auths").insert(registry, entry);
    config.save()?;
    Ok(true)
}

/// Forgets a registry's credentials; says whether there were any.
pub fn erase(config: &mut Config, registry: &str) -> Result<bool> {
    if let Some(program) = helper(config, registry) {
        call(&program, "erase", registry)?;
    }
    let host = hostname(registry).to_owned();
    let auths = config.object_mut("auths");
    let before = auths.len();
    auths.retain(|key, _| key != registry && hostname(key) != host);
    let found = auths.len() != before;
    if auths.is_empty() {
        config.unset("auths");
    }
    if found {
        config.save()?;
    }
    Ok(found)
}

/// Runs a credential program: `input` goes in, its answer comes out.
fn call(program: &str, action: &str, input: &str) -> Result<String> {
    let failed = |text: &str| {
        let what = match action {
            "get" => "getting",
            "store" => "storing",
            _ => "erasing",
        };
        Error::text(format!("error {what} credentials - err: {text}"))
    };
    let mut child = Command::new(program)
        .arg(action)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => failed(&format!(
                "exec: {program:?}: executable file not found in $PATH, out: ``"
            )),
            _ => failed(&error.to_string()),
        })?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that does not read its input says why by its exit code.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child
        .wait_with_output()
        .map_err(|error| failed(&error.to_string()))?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if output.status.success() {
        Ok(text)
    } else {
        Err(failed(&format!(
            "exit status {}, out: `{text}`",
            output.status.code().unwrap_or(-1)
        )))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn credentials_are_kept_found_and_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let text = r#"{"credHelpers":{"x.example":"none-such"},"other":[1],"auths":{"https://old.example/v1/":{"auth":"dTpw"}}}"#;
        std::fs::write(folder.path().join("config.json"), text).unwrap();
        let load = || Config::load(folder.path().to_path_buf()).unwrap();
        let mut config = load();
        let old = find(&config, "old.example").unwrap();
        assert_eq!((old.username.as_str(), old.password.as_str()), ("u", "p"));

        let mine = AuthConfig {
            username: "me".into(),
            password: "se:cret".into(),
            serveraddress: "reg.example:5000".into(),
            ..AuthConfig::default()
        };
        assert!(store(&mut config, &mine).unwrap());
        let mut config = load();
        assert_eq!(find(&config, "reg.example:5000").unwrap(), mine);
        assert!(
            config.object("credHelpers").is_some(),
            "what is not ours stays"
        );

        assert!(erase(&mut config, "reg.example:5000").unwrap());
        assert!(!erase(&mut config, "reg.example:5000").unwrap());
        assert_eq!(
            find(&load(), "reg.example:5000").unwrap(),
            AuthConfig::default()
        );
        assert_eq!(
            find(&load(), "x.example").unwrap_err().to_string(),
            "error getting credentials - err: exec: \"docker-credential-none-such\": executable file not found in $PATH, out: ``"
        );
    }

    #[test]
    fn the_header_holds_only_what_there_is() {
        assert_eq!(encode(&AuthConfig::default()), "e30=");
        let reference = Reference::parse("busybox").unwrap();
        assert_eq!(registry_key(&reference), HUB);
        assert_eq!(
            registry_key(&Reference::parse("localhost:5000/x").unwrap()),
            "localhost:5000"
        );
    }
}
