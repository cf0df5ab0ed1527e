//! `--docker`: an engine's address and certificates, as the user types them.

use std::path::Path;

use dhow_client::context;
use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::session::Session;
use dhow_golang::io_text;
use dhow_options::csv;
use dhow_options::flags::{Flag, Kind};

/// What help says of the flag's keys, after the command's own sentence.
macro_rules! long {
    ($about:literal, $verb:literal) => {
        concat!(
            $about,
            "\n\nDocker endpoint config:\n\n",
            "NAME                DESCRIPTION\n",
            "from                Copy named context's Docker endpoint configuration\n",
            "host                Docker endpoint on which to connect\n",
            "ca                  Trust certs signed only by this CA\n",
            "cert                Path to TLS certificate file\n",
            "key                 Path to TLS key file\n",
            "skip-tls-verify     Skip TLS certificate validation\n\n",
            "Example:\n\n$ docker context ",
            $verb,
            " my-context --description \"some description\" --docker ",
            "\"host=tcp://myserver:2376,ca=~/ca-file,cert=~/cert-file,key=~/key-file\""
        )
    };
}
pub(super) use long;

pub(super) const FLAG: Flag = Flag::new(
    "docker",
    Kind::List,
    "stringToString",
    "set the docker endpoint (default [])",
)
.checked(check);

/// What a context keeps of an engine.
pub(super) struct Endpoint {
    pub(super) document: Value,
    pub(super) material: context::Material,
}

fn check(value: &str) -> Result<(), String> {
    fields(value).map(drop)
}

/// `key=value,key=value`; with one `=`, commas belong to the value.
fn fields(value: &str) -> Result<Vec<(String, String)>, String> {
    let pairs = match value.matches('=').count() {
        0 => return Err(format!("{value} must be formatted as key=value")),
        1 => vec![value.trim_matches('"').to_owned()],
        _ => csv(value)?,
    };
    let pair = |pair: &String| match pair.split_once('=') {
        Some((key, value)) => Ok((key.to_owned(), value.to_owned())),
        None => Err(format!("{pair} must be formatted as key=value")),
    };
    pairs.iter().map(pair).collect()
}

impl Endpoint {
    /// Reads the values of `--docker`.
    pub(super) fn new(session: &Session, values: &[String]) -> Result<Self> {
        let mut given = Given::default();
        for value in values {
            for (key, value) in fields(value).map_err(Error::text)? {
                given.set(&key, value)?;
            }
        }
        given.endpoint(session).map_err(wrong)
    }

    /// The engine of a context that there is; its certificates are not taken along.
    fn of(session: &Session, name: &str) -> Result<Self> {
        let document = if name == context::DEFAULT {
            json!({"Host": context::default_target(&session.globals).host, "SkipTLSVerify": false})
        } else {
            context::find(&session.config, name)?.document["Endpoints"]["docker"].clone()
        };
        Ok(Self {
            document,
            material: Vec::new(),
        })
    }
}

/// The keys of `--docker` that were given.
#[derive(Default)]
struct Given {
    from: Option<String>,
    host: Option<String>,
    skip_verify: Option<String>,
    /// File name in the context, path here.
    files: Vec<(&'static str, String)>,
}

impl Given {
    fn set(&mut self, key: &str, value: String) -> Result<()> {
        match key {
            "from" => self.from = Some(value),
            "host" => self.host = Some(value),
            "skip-tls-verify" => self.skip_verify = Some(value),
            "ca" => self.files.push(("ca.pem", value)),
            "cert" => self.files.push(("cert.pem", value)),
            "key" => self.files.push(("key.pem", value)),
            other => {
                let text = format!("unrecognized config key: {other}");
                return Err(wrong(Error::text(text)));
            }
        }
        Ok(())
    }

    fn endpoint(self, session: &Session) -> Result<Endpoint> {
        if let Some(name) = self.from.filter(|name| !name.is_empty()) {
            return Endpoint::of(session, &name);
        }
        let skip = match self.skip_verify.as_deref() {
            None | Some("") => false,
            Some(text) => dhow_golang::parse_bool(text).map_err(|_| {
                Error::text(format!("skip-tls-verify: parsing {text:?}: invalid syntax"))
            })?,
        };
        let mut material = Vec::new();
        for (name, path) in self.files.into_iter().filter(|(_, path)| !path.is_empty()) {
            let bytes = std::fs::read(&path)
                .map_err(|error| Error::text(format!("open {path}: {}", io_text(&error))))?;
            material.push((name.to_owned(), bytes));
        }
        check_material(&material)?;
        let mut document = json!({});
        if let Some(host) = self.host.filter(|host| !host.is_empty()) {
            check_host(&host)?;
            document["Host"] = host.into();
        }
        document["SkipTLSVerify"] = skip.into();
        Ok(Endpoint { document, material })
    }
}

/// An address that no client could use is refused here rather than later.
fn check_host(host: &str) -> Result<()> {
    if host.contains(char::is_whitespace) {
        let text = format!("invalid docker endpoint options: unable to parse docker host `{host}`");
        return Err(Error::text(text));
    }
    Ok(())
}

/// Certificates and keys are what they should be, and come in pairs.
fn check_material(material: &context::Material) -> Result<()> {
    let given = |name: &str| material.iter().find(|(file, _)| file == name);
    let invalid = |what: &str| {
        Error::text(format!(
            "invalid docker endpoint options: failed to retrieve context tls info: {what}"
        ))
    };
    if given("ca.pem").is_some_and(|(_, pem)| !has_block(pem, "CERTIFICATE")) {
        return Err(invalid("ca.pem seems invalid"));
    }
    match (given("cert.pem"), given("key.pem")) {
        (Some((_, cert)), Some((_, key))) => {
            if !has_block(cert, "CERTIFICATE") || !has_block(key, "PRIVATE KEY") {
                let text = "tls: failed to find any PEM data in certificate or key input";
                return Err(invalid(text));
            }
            Ok(())
        }
        (None, None) => Ok(()),
        _ => Err(Error::text(
            "invalid docker endpoint options: a certificate needs its key, and a key its certificate",
        )),
    }
}

fn has_block(pem: &[u8], kind: &str) -> bool {
    let text = String::from_utf8_lossy(pem);
    text.lines()
        .any(|line| line.starts_with("-----BEGIN ") && line.contains(kind))
}

fn wrong(error: Error) -> Error {
    Error::text(format!("unable to create docker endpoint config: {error}"))
}

/// The document of a new context.
pub(super) fn document(description: &str, endpoint: &Value) -> Value {
    let mut metadata = json!({});
    if !description.is_empty() {
        metadata["Description"] = description.into();
    }
    json!({"Name": "", "Metadata": metadata, "Endpoints": {"docker": endpoint}})
}

/// A context as the start of another one, certificates and all.
pub(super) fn copy(session: &Session, name: &str) -> Result<(Value, context::Material)> {
    let config = &session.config;
    if name != context::DEFAULT {
        let document = context::find(config, name)?.document;
        return Ok((document, context::material(config, name)?));
    }
    let target = context::default_target(&session.globals);
    let verify = target.tls.as_ref().is_none_or(|tls| tls.verify);
    let endpoint = json!({"Host": target.host, "SkipTLSVerify": !verify});
    let mut material = Vec::new();
    for (name, path) in target.tls.iter().flat_map(files) {
        if let Ok(bytes) = std::fs::read(path) {
            material.push((name.to_owned(), bytes));
        }
    }
    Ok((document(super::DEFAULT_DESCRIPTION, &endpoint), material))
}

fn files(tls: &dhow_client::settings::TlsFiles) -> [(&'static str, &Path); 3] {
    [
        ("ca.pem", tls.ca.as_path()),
        ("cert.pem", tls.cert.as_path()),
        ("key.pem", tls.key.as_path()),
    ]
}
