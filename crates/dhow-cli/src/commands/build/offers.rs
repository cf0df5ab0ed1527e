//! What the engine may have of this side: folders, secrets, agents, credentials.

use std::collections::BTreeMap;
use std::os::unix::fs::FileTypeExt;
use std::path::PathBuf;

use dhow_client::settings::variable;
use dhow_golang::io_text;
use dhow_oci::Hasher;
use dhow_options::flags::Parsed;
use dhow_session::{Offer, Secret};

use super::context::Source;
use super::exports::Export;
use super::flags::fields;
use crate::session::Session;

/// The largest secret, as BuildKit has it.
const LARGEST: u64 = 500 * 1024;

/// Everything that is served while the build goes on.
pub(super) fn offer(
    session: &Session,
    flags: &Parsed,
    source: &mut Source,
    exports: Vec<Export>,
) -> Result<Offer, String> {
    Ok(Offer {
        shared_key: shared_key(source),
        folders: source.folders.clone(),
        secrets: secrets(&flags.list("secret"))?,
        agents: agents(&flags.list("ssh"))?,
        stores: BTreeMap::new(),
        config: session.config.clone(),
        targets: exports.into_iter().map(|export| export.target).collect(),
        upload: source.upload.take(),
    })
}

/// The same for a folder on a machine, and of no other: the engine compares only sizes and times of what it has.
fn shared_key(source: &Source) -> String {
    let machine = std::fs::read_to_string("/etc/machine-id").unwrap_or_default();
    let user = rustix::process::getuid().as_raw();
    let mut hasher = Hasher::new();
    let path = source.path.to_string_lossy();
    hasher.update(format!("{}\0{user}\0{path}", machine.trim()).as_bytes());
    hasher.finish().hex()
}

/// `id=ID[,src=FILE|,env=NAME][,type=file|env]`
fn secrets(texts: &[String]) -> Result<BTreeMap<String, Secret>, String> {
    let mut secrets = BTreeMap::new();
    for text in texts {
        let (mut id, mut file, mut name, mut kind) = Default::default();
        for (key, value) in fields(text)? {
            let field: &mut String = match key.as_str() {
                "id" => &mut id,
                "source" | "src" => &mut file,
                "env" => &mut name,
                "type" => &mut kind,
                "" => return Err(format!("invalid field '{value}' must be a key=value pair")),
                _ => return Err(format!("unexpected key '{key}' in '{key}={value}'")),
            };
            *field = value;
        }
        match kind.as_str() {
            "" | "file" => {}
            "env" if name.is_empty() => name = std::mem::take(&mut file),
            "env" => {}
            kind => return Err(format!("unsupported secret type {kind:?}")),
        }
        if name.is_empty() && file.is_empty() {
            match std::env::var_os(&id) {
                Some(_) => name.clone_from(&id),
                None => file.clone_from(&id),
            }
        }
        let secret = secret(&file, &name)?;
        secrets.insert(id, secret);
    }
    Ok(secrets)
}

fn secret(file: &str, name: &str) -> Result<Secret, String> {
    if file.is_empty() {
        return Ok(Secret::Text(std::env::var(name).unwrap_or_default()));
    }
    let metadata = std::fs::metadata(file);
    let metadata = metadata
        .map_err(|error| format!("failed to stat {file}: stat {file}: {}", io_text(&error)))?;
    if metadata.len() > LARGEST {
        return Err(format!("secret {file} too big. max size 500KB"));
    }
    Ok(Secret::File(PathBuf::from(file)))
}

/// `default`, or `ID[=SOCKET]`
fn agents(texts: &[String]) -> Result<BTreeMap<String, PathBuf>, String> {
    let mut agents = BTreeMap::new();
    for text in texts {
        let (id, path) = text.split_once('=').unwrap_or((text, ""));
        let socket = match path {
            "" => variable("SSH_AUTH_SOCK")
                .ok_or("invalid empty ssh agent socket: make sure SSH_AUTH_SOCK is set")?,
            path => path.to_owned(),
        };
        let metadata = std::fs::metadata(&socket);
        let metadata =
            metadata.map_err(|error| format!("failed to open {socket}: {}", io_text(&error)))?;
        if !metadata.file_type().is_socket() {
            return Err(format!(
                "not implemented: {socket} is no agent's socket: add the key to an agent with ssh-add"
            ));
        }
        agents.insert(id.to_owned(), PathBuf::from(socket));
    }
    Ok(agents)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_read_as_buildx_does() {
        let read = |text: &str| secrets(&[text.to_owned()]);
        let file = |text: &str| {
            let found = read(text).unwrap_or_default();
            found.get("a").cloned()
        };
        let here = Some(Secret::File("Cargo.toml".into()));
        for text in [
            "id=a,src=Cargo.toml",
            "id=a,source=Cargo.toml",
            "type=file,id=a,src=Cargo.toml",
        ] {
            assert_eq!(file(text), here, "{text}");
        }
        let home = std::env::var("PATH").unwrap_or_default();
        for text in ["id=a,env=PATH", "type=env,id=a,src=PATH"] {
            assert_eq!(file(text), Some(Secret::Text(home.clone())), "{text}");
        }
        for (text, error) in [
            (
                "id=a,src=none",
                "failed to stat none: stat none: no such file or directory",
            ),
            ("a", "invalid field 'a' must be a key=value pair"),
            ("id=a,x=y", "unexpected key 'x' in 'x=y'"),
            ("id=a,type=z", "unsupported secret type \"z\""),
        ] {
            assert_eq!(read(text), Err(error.to_owned()));
        }
    }
}
