//! `create`: makes a container; the part `run` shares with it.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;

use dhow_api::container::{CreateRequest, CreateResponse, HostConfig};
use dhow_oci::{Platform, Reference};

use super::{api_socket, check_content_trust, content_trust, pull, runner};
use crate::command::{Arguments, Command, Completes};
use crate::error::{Error, Result};
use crate::session::Session;
use dhow_client::Request;
use dhow_options::container;
use dhow_options::flags::{Flag, Parsed};
use dhow_options::table::CONTAINER;

pub(crate) const COMMAND: Command = Command {
    also: "container create, create",
    arguments: Arguments::AtLeast(1),
    interspersed: false,
    completes: Completes::OneImage,
    flags: &[FLAGS, CONTAINER],
    ..Command::new(
        "create",
        "Create a new container",
        "[OPTIONS] IMAGE [COMMAND] [ARG...]",
        runner!(run),
    )
};

const FLAGS: &[Flag] = &[
    content_trust("Skip image verification (default true)"),
    Flag::text("name", "Assign a name to the container"),
    Flag::text(
        "platform",
        "Set platform if server is multi-platform capable",
    ),
    Flag::text(
        "pull",
        "Pull image before creating (\"always\", \"|missing\", \"never\") (default \"missing\")",
    )
    .default("missing"),
    Flag::switch("quiet", "Suppress the pull output").short('q'),
    Flag::switch("help", "Print usage"),
];

async fn run(session: &Session, flags: &Parsed) -> Result<()> {
    let request = request(session, flags)?;
    let id = create(session, flags, request).await?;
    session.println(&id)
}

/// Docker's form of an error in a command's own arguments.
pub(crate) fn with_help(session: &Session, error: &str, code: u8) -> Error {
    let path = session.full_path();
    let program = &session.program;
    let text = format!("{program}: {error}\n\nRun '{path} --help' for more information");
    Error::Exit { code, text }
}

/// The request the flags describe.
pub(crate) fn request(session: &Session, flags: &Parsed) -> Result<CreateRequest> {
    check_content_trust(flags)?;
    let foreign = ["cpu-count", "cpu-percent", "io-maxbandwidth", "io-maxiops"]
        .into_iter()
        .filter(|name| flags.changed(name))
        .map(|name| format!("\"--{name}\" is only supported on a Docker daemon running on windows, but the Docker daemon is running on linux"));
    crate::session::all_or(foreign.collect())?;
    let pull = flags.text("pull");
    if !matches!(pull, "always" | "missing" | "never" | "") {
        let text = format!(
            "invalid pull option: '{pull}': must be one of \"always\", \"missing\" or \"never\""
        );
        return Err(with_help(session, &text, 125));
    }
    let mut request = container::request(flags).map_err(|error| with_help(session, &error, 125))?;
    proxies(session, &mut request);
    if flags.switch("use-api-socket") {
        api_socket::mount(session, &mut request)?;
    }
    if let Some(host) = &mut request.host_config {
        let size = dhow_terminal::window_size(std::io::stdout());
        host.console_size = size.map_or([0, 0], |(rows, columns)| [rows, columns]);
    }
    Ok(request)
}

/// Adds the proxy variables of the settings that the flags do not set.
fn proxies(session: &Session, request: &mut CreateRequest) {
    const NAMES: [(&str, &str); 5] = [
        ("httpProxy", "HTTP_PROXY"),
        ("httpsProxy", "HTTPS_PROXY"),
        ("ftpProxy", "FTP_PROXY"),
        ("noProxy", "NO_PROXY"),
        ("allProxy", "ALL_PROXY"),
    ];
    let Some(settings) = session
        .config
        .object("proxies")
        .and_then(|all| all.get("default"))
    else {
        return;
    };
    let mut added = Vec::new();
    for (key, name) in NAMES {
        let Some(value) = settings[key].as_str().filter(|value| !value.is_empty()) else {
            continue;
        };
        added.push(format!("{name}={value}"));
        added.push(format!("{}={value}", name.to_lowercase()));
    }
    if !added.is_empty() {
        let env = request.config.env.get_or_insert_default();
        let given = |name: &str| env.iter().any(|pair| pair.split('=').next() == Some(name));
        added.retain(|pair| !pair.split('=').next().is_some_and(given));
        env.extend(added);
    }
}

/// Creates the container, after a pull where the image is missing; returns its id.
pub(crate) async fn create(
    session: &Session,
    flags: &Parsed,
    request: CreateRequest,
) -> Result<String> {
    if let Some(host) = &request.host_config {
        warn(session, flags, host);
    }
    let platform = flags.text("platform");
    if !platform.is_empty() && platform.parse::<Platform>().is_err() {
        return Err(Error::text(format!(
            "error parsing specified platform: {platform:?}: cannot parse platform specifier: invalid argument"
        )));
    }
    let id_file = IdFile::new(flags.text("cidfile"))?;
    let image = &request.config.image;
    let reference = reference(image)?;
    if flags.text("pull") == "always" {
        pull_image(session, flags, reference.as_ref()).await?;
    }
    let created = match send(session, flags, &request).await {
        Err(error) if error.is_not_found() && flags.text("pull") != "never" => {
            let Some(reference) = &reference else {
                return Err(error);
            };
            if !flags.switch("quiet") {
                session.warn(&format!(
                    "Unable to find image '{}' locally",
                    reference.familiar()
                ));
            }
            pull_image(session, flags, Some(reference)).await?;
            send(session, flags, &request).await?
        }
        outcome => outcome?,
    };
    for warning in &created.warnings {
        session.warn(&format!("WARNING: {warning}"));
    }
    if flags.switch("use-api-socket") {
        api_socket::inject(session, &request, &created.id).await?;
    }
    id_file.write(&created.id)?;
    Ok(created.id)
}

/// The image's name with its tag; nothing for an id.
fn reference(image: &str) -> Result<Option<Reference>> {
    let id = |text: &str| text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
    if id(image) || image.strip_prefix("sha256:").is_some_and(id) {
        return Ok(None);
    }
    let reference = Reference::parse(image).map_err(|error| Error::text(error.to_string()))?;
    Ok(Some(reference.with_default_tag()))
}

async fn pull_image(
    session: &Session,
    flags: &Parsed,
    reference: Option<&Reference>,
) -> Result<()> {
    let Some(reference) = reference else {
        return Ok(());
    };
    let output = if flags.switch("quiet") {
        pull::Show::Nothing
    } else {
        pull::Show::Stderr
    };
    pull::pull(session, reference, flags.text("platform"), output).await
}

async fn send(
    session: &Session,
    flags: &Parsed,
    request: &CreateRequest,
) -> Result<CreateResponse> {
    let (name, platform) = (flags.text("name"), flags.text("platform"));
    let request = Request::post("/containers/create")
        .query_if(!name.is_empty(), "name", name)
        .query_if(!platform.is_empty(), "platform", platform)
        .json(request)?;
    Ok(session.client()?.json(request).await?)
}

fn warn(session: &Session, flags: &Parsed, host: &HostConfig) {
    if flags.changed("kernel-memory") {
        session.warn(
            "WARNING: --kernel-memory has no effect: kernels do not offer that limit any more.",
        );
    }
    let local = |ip: &&String| ip.starts_with("127.") || *ip == "::1";
    if let Some(ip) = host.dns.iter().flatten().find(local) {
        session.warn(&format!(
            "WARNING: Localhost DNS ({ip}) may fail in containers."
        ));
    }
}

/// The file that takes the container's id; it goes away where there is none.
struct IdFile(Option<(PathBuf, File)>);

impl IdFile {
    fn new(path: &str) -> Result<Self> {
        if path.is_empty() {
            return Ok(Self(None));
        }
        let path = PathBuf::from(path);
        if path.exists() {
            return Err(Error::text(format!(
                "container ID file found, make sure the other container isn't running or delete {}",
                path.display()
            )));
        }
        let file = File::create(&path).map_err(|error| {
            Error::text(format!(
                "failed to create the container ID file: open {}: {}",
                path.display(),
                dhow_golang::io_text(&error)
            ))
        })?;
        Ok(Self(Some((path, file))))
    }

    fn write(mut self, id: &str) -> Result<()> {
        match self.0.take() {
            None => Ok(()),
            Some((_, mut file)) => file
                .write_all(id.as_bytes())
                .map_err(|error| Error::io("failed to write the container ID to the file", error)),
        }
    }
}

impl Drop for IdFile {
    fn drop(&mut self) {
        if let Some((path, _)) = self.0.take() {
            // It was made by us a moment ago; if it is gone, so much the better.
            let _ = std::fs::remove_file(path);
        }
    }
}
