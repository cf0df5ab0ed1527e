//! A solve request as the builder's request.
//!
//! Everything that a client asks for is understood or refused: nothing is passed over in silence but what is only told
//! (who asks, from which repository), and what belongs to other parts of the protocol.

mod cache;
mod export;
mod limits;

use std::collections::{BTreeMap, HashMap};

use dhow_builder::request::{CacheSource, Call, ContextSource, DockerfileSource, NoCache, Options};
use dhow_dockerfile::Network;
use dhow_oci::{Digest, Platform};
use tonic::Status;

pub(crate) use cache::{sources, targets};
pub(crate) use export::exports;

/// Attributes by name.
pub(crate) type Attributes = BTreeMap<String, String>;

/// What a front end is asked: everything of a request but who asks and what is made of the result.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Order {
    pub(crate) dockerfile: DockerfileSource,
    pub(crate) context: ContextSource,
    pub(crate) named_contexts: BTreeMap<String, ContextSource>,
    pub(crate) options: Options,
    pub(crate) attestations: BTreeMap<String, BTreeMap<String, String>>,
    pub(crate) cache_from: Vec<CacheSource>,
}

/// Told, and no part of what is built.
const TOLD: [&str; 5] = [
    "cmdline",
    "source",
    "frontend.caps",
    "vcs:source",
    "vcs:revision",
];

/// Something that this engine does not do.
pub(crate) fn not_implemented(what: impl std::fmt::Display) -> Status {
    Status::unimplemented(format!("not implemented: {what}"))
}

/// Something that can't be.
pub(crate) fn invalid(what: impl Into<String>) -> Status {
    Status::invalid_argument(what)
}

impl Order {
    /// Understands a front end's attributes. `inputs` are results of other builds that contexts name.
    pub(crate) fn read(
        frontend: &str,
        attributes: &Attributes,
        inputs: &HashMap<String, Digest>,
    ) -> Result<Self, Status> {
        check_frontend(frontend, attributes)?;
        let mut order = Self {
            dockerfile: dockerfile(attributes),
            context: context(attributes, inputs)?,
            named_contexts: BTreeMap::new(),
            options: Options::default(),
            attestations: BTreeMap::new(),
            cache_from: Vec::new(),
        };
        for (key, value) in attributes {
            order.attribute(key, value, inputs)?;
        }
        Ok(order)
    }

    /// One more place where results are looked for.
    pub(crate) fn add_cache(
        &mut self,
        kind: &str,
        attributes: &HashMap<String, String>,
    ) -> Result<(), Status> {
        let source = cache::source(kind, attributes)?;
        self.cache_from.push(source);
        Ok(())
    }

    fn attribute(
        &mut self,
        key: &str,
        value: &str,
        inputs: &HashMap<String, Digest>,
    ) -> Result<(), Status> {
        let options = &mut self.options;
        if let Some((group, name)) = key.split_once(':') {
            match group {
                "build-arg" => argument(options, name, value)?,
                "label" => {
                    options.labels.insert(name.into(), value.into());
                }
                "context" => {
                    self.named_contexts
                        .insert(name.into(), source(value, inputs)?);
                }
                "attest" => {
                    if let Some(parameters) = attestation(name, value)? {
                        self.attestations.insert(name.into(), parameters);
                    }
                }
                "vcs" | "input-metadata" | "local-sessionid" => {}
                _ => return Err(not_implemented(format!("the front end attribute {key:?}"))),
            }
            return Ok(());
        }
        let limits = &mut options.limits;
        match key {
            "filename" | "context" | "contextkey" | "dockerfilekey" => {}
            "target" => options.target = Some(value.into()).filter(|v: &String| !v.is_empty()),
            "platform" => options.platforms = platforms(value)?,
            "no-cache" => {
                options.no_cache = match value {
                    "" => NoCache::All,
                    stages => NoCache::Stages(list(stages)),
                }
            }
            "image-resolve-mode" => {
                options.pull = match value {
                    "pull" => true,
                    "" | "default" | "local" => false,
                    mode => return Err(invalid(format!("invalid image-resolve-mode: {mode}"))),
                }
            }
            "force-network-mode" => options.network = network(value)?,
            "add-hosts" => limits.hosts = limits::hosts(value)?,
            "cgroup-parent" => limits.cgroup_parent = Some(value.into()),
            "shm-size" => limits.shm_size = Some(limits::bytes(value)?),
            "ulimit" => limits.ulimits = limits::ulimits(value)?,
            "hostname" => limits.hostname = Some(value.into()),
            "multi-platform" => options.multi_platform = truth(key, value)?,
            "cache-imports" => self.cache_from.extend(cache::listed(value)?),
            "requestid" => options.call = Some(call(value)?),
            key if TOLD.contains(&key) => {}
            key => return Err(not_implemented(format!("the front end attribute {key:?}"))),
        }
        Ok(())
    }
}

/// The front ends that are built in: the Dockerfile's, by its own name or that of the image it comes in elsewhere.
fn check_frontend(frontend: &str, attributes: &Attributes) -> Result<(), Status> {
    match frontend {
        "dockerfile.v0" => Ok(()),
        "gateway.v0" => {
            let source = attributes.get("source").map_or("", String::as_str);
            let name = source.split(['@', ':']).next().unwrap_or_default();
            match name {
                "docker/dockerfile" | "docker.io/docker/dockerfile" => Ok(()),
                _ => Err(not_implemented(format!("the front end {source:?}"))),
            }
        }
        other => Err(not_implemented(format!("the front end {other:?}"))),
    }
}

fn dockerfile(attributes: &Attributes) -> DockerfileSource {
    let path = attributes.get("filename").filter(|name| !name.is_empty());
    let path = path.map_or("Dockerfile", String::as_str).to_owned();
    let key = attributes.get("dockerfilekey");
    let remote = attributes.get("context").is_some_and(|c| !c.is_empty());
    match key {
        None if remote => DockerfileSource::Context(path),
        key => DockerfileSource::Local {
            context: key.map_or("dockerfile", String::as_str).to_owned(),
            path,
        },
    }
}

fn context(
    attributes: &Attributes,
    inputs: &HashMap<String, Digest>,
) -> Result<ContextSource, Status> {
    match attributes.get("context").map_or("", String::as_str) {
        "" => {
            let key = attributes.get("contextkey");
            let name = key.map_or("context", String::as_str);
            Ok(ContextSource::Local(name.to_owned()))
        }
        text => source(text, inputs),
    }
}

/// Where a context comes from, as it is written.
fn source(text: &str, inputs: &HashMap<String, Digest>) -> Result<ContextSource, Status> {
    let (scheme, rest) = text.split_once(':').unwrap_or(("", text));
    let short = rest.strip_prefix("//").unwrap_or(rest);
    Ok(match scheme {
        "local" => ContextSource::Local(short.to_owned()),
        "docker-image" => ContextSource::Image(short.to_owned()),
        "oci-layout" => ContextSource::OciLayout(short.to_owned()),
        "input" => match inputs.get(short) {
            Some(digest) => ContextSource::Result(*digest),
            None => return Err(invalid(format!("invalid context {text}: no such input"))),
        },
        "http" | "https" if !is_git(text) => ContextSource::Http(text.to_owned()),
        _ if is_git(text) => ContextSource::Git(text.to_owned()),
        _ => return Err(invalid(format!("invalid context source {text:?}"))),
    })
}

/// Whether a URL leads to a repository, by its look, as Docker has it.
fn is_git(text: &str) -> bool {
    let (url, _) = text.split_once(['#', '?']).unwrap_or((text, ""));
    let schemes = ["git://", "ssh://", "git@"];
    let web = ["http://", "https://"];
    schemes.iter().any(|scheme| text.starts_with(scheme))
        || text.starts_with("github.com/")
        || web.iter().any(|scheme| text.starts_with(scheme)) && url.ends_with(".git")
}

fn argument(options: &mut Options, name: &str, value: &str) -> Result<(), Status> {
    if name == "SOURCE_DATE_EPOCH" && !value.is_empty() {
        // "context" means the time of the commit, which only a repository has.
        let number = value
            .parse()
            .map_err(|_| invalid(format!("invalid SOURCE_DATE_EPOCH: {value}")))?;
        options.epoch = Some(number);
    }
    if name == "BUILDKIT_MULTI_PLATFORM" {
        options.multi_platform = truth(name, value)?;
    }
    options.arguments.insert(name.into(), value.into());
    Ok(())
}

/// The parameters of an attestation; nothing if it is turned off.
fn attestation(kind: &str, value: &str) -> Result<Option<BTreeMap<String, String>>, Status> {
    if !matches!(kind, "provenance" | "sbom") {
        return Err(not_implemented(format!("attestations of type {kind:?}")));
    }
    let mut parameters = BTreeMap::new();
    for field in list(value) {
        let (name, value) = field.split_once('=').unwrap_or((&field, ""));
        parameters.insert(name.to_owned(), value.to_owned());
    }
    parameters.remove("type");
    let off = parameters
        .remove("disabled")
        .is_some_and(|v| v == "true" || v == "1");
    Ok((!off).then_some(parameters))
}

fn platforms(value: &str) -> Result<Vec<Platform>, Status> {
    let parse = |text: &String| {
        text.parse()
            .map_err(|error| invalid(format!("failed to parse target platform {text}: {error}")))
    };
    list(value).iter().map(parse).collect()
}

fn network(value: &str) -> Result<Network, Status> {
    match value {
        "" | "default" | "sandbox" | "bridge" => Ok(Network::Default),
        "none" => Ok(Network::None),
        "host" => Ok(Network::Host),
        mode => Err(not_implemented(format!("network mode {mode:?} for builds"))),
    }
}

fn call(value: &str) -> Result<Call, Status> {
    match value {
        "frontend.lint" => Ok(Call::Check),
        "frontend.outline" => Ok(Call::Outline),
        "frontend.targets" => Ok(Call::Targets),
        "frontend.subrequests.describe" => Ok(Call::Describe),
        other => Err(Status::unimplemented(format!(
            "unsupported request {other}"
        ))),
    }
}

/// A boolean as Go reads them.
pub(crate) fn truth(key: &str, value: &str) -> Result<bool, Status> {
    match value {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
        _ => Err(invalid(format!("non-bool value specified for {key}"))),
    }
}

/// A list with commas.
fn list(value: &str) -> Vec<String> {
    let parts = value.split(',').map(|part| part.trim().to_owned());
    parts.filter(|part| !part.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(attributes: &[(&str, &str)]) -> Result<Order, Status> {
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        let attributes = attributes.iter().map(owned).collect();
        Order::read("dockerfile.v0", &attributes, &HashMap::new())
    }

    #[test]
    fn what_buildx_says_is_understood() {
        let order = read(&[
            ("filename", "sub/Dockerfile"),
            ("target", "final"),
            ("build-arg:A", "B"),
            ("build-arg:SOURCE_DATE_EPOCH", "1700000000"),
            ("label:l", "1"),
            ("no-cache", "one,two"),
            ("image-resolve-mode", "pull"),
            ("force-network-mode", "host"),
            ("add-hosts", "db=10.0.0.2,v6=::1"),
            ("shm-size", "67108864"),
            ("ulimit", "nofile=10:20,nproc=5"),
            ("platform", "linux/amd64,linux/arm64"),
            ("context:base", "docker-image://busybox"),
            ("attest:provenance", "mode=max"),
            ("attest:sbom", "disabled=true"),
            ("vcs:source", "https://example.org/x.git"),
        ]);
        let order = match order {
            Ok(order) => order,
            Err(status) => panic!("{status}"),
        };
        let path = "sub/Dockerfile".to_owned();
        let context = "dockerfile".to_owned();
        assert_eq!(order.dockerfile, DockerfileSource::Local { context, path });
        assert_eq!(order.context, ContextSource::Local("context".into()));
        assert_eq!(order.options.target.as_deref(), Some("final"));
        assert_eq!(order.options.epoch, Some(1_700_000_000));
        assert_eq!(order.options.network, Network::Host);
        assert!(order.options.pull);
        let stages = NoCache::Stages(vec!["one".into(), "two".into()]);
        assert_eq!(order.options.no_cache, stages);
        assert_eq!(order.options.platforms.len(), 2);
        assert_eq!(order.options.limits.hosts.len(), 2);
        let limits = [("nofile".to_owned(), 10, 20), ("nproc".to_owned(), 5, 5)];
        assert_eq!(order.options.limits.ulimits, limits);
        let image = ContextSource::Image("busybox".into());
        assert_eq!(order.named_contexts.get("base"), Some(&image));
        assert_eq!(order.attestations.len(), 1);
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for (key, value) in [
            ("surprise", "x"),
            ("other:surprise", "x"),
            ("force-network-mode", "mynet"),
            ("ulimit", "nofile"),
            ("add-hosts", "x=y"),
            ("context:a", "ftp://x"),
            ("attest:magic", ""),
            ("platform", "/"),
            ("requestid", "frontend.magic"),
        ] {
            assert!(read(&[(key, value)]).is_err(), "{key}={value}");
        }
        assert!(Order::read("mine.v0", &Attributes::new(), &HashMap::new()).is_err());
    }

    #[test]
    fn contexts_are_told_apart() {
        let at = |text: &str| source(text, &HashMap::new()).ok();
        for url in [
            "https://x.org/a.git",
            "https://x.org/a.git#main:sub",
            "git@x.org:a",
            "git://x/a",
        ] {
            assert_eq!(at(url), Some(ContextSource::Git(url.into())), "{url}");
        }
        for url in ["https://x.org/a.tar.gz", "http://buildkit-session/abc"] {
            assert_eq!(at(url), Some(ContextSource::Http(url.into())), "{url}");
        }
        assert_eq!(at("local:name"), Some(ContextSource::Local("name".into())));
    }
}
