//! What `POST /build` asks for: the query read as Docker reads it, with Docker's texts.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use dhow_api::container::Ulimit;
use dhow_builder::graph::{Arguments, Limits};
use dhow_builder::request::{CacheSource, Export, ImageOptions, NoCache, Options};
use dhow_distribution::Credentials;
use dhow_dockerfile::Network;
use dhow_errdefs::ErrorKind;
use dhow_oci::{Platform, Reference};
use http::HeaderMap;
use tokio_util::sync::CancellationToken;

use crate::ApiVersion;
use crate::error::{ApiError, Result};
use crate::request::{Query, registries};

/// The least memory that a container may be given, as in Docker.
const LEAST_MEMORY: i64 = 6 * 1024 * 1024;

/// Everything the query says.
#[derive(Debug)]
pub(crate) struct Order {
    /// The build's id; one is made where none is given.
    pub(crate) id: Option<String>,
    /// BuildKit's output (`version=2`) rather than the classic one.
    pub(crate) traces: bool,
    /// The session that has the files.
    pub(crate) session: Option<String>,
    /// Where the context is, if not in the body.
    pub(crate) remote: Option<String>,
    /// The Dockerfile's path in the context.
    pub(crate) dockerfile: String,
    /// Only the image's id is told.
    pub(crate) quiet: bool,
    /// Whether it is told that containers are removed.
    pub(crate) removes: bool,
    pub(crate) tags: Vec<Reference>,
    pub(crate) exports: Vec<Export>,
    pub(crate) options: Options,
    pub(crate) cache_from: Vec<CacheSource>,
    pub(crate) credentials: BTreeMap<String, Credentials>,
}

/// Reads the query; `gateway` is what `host-gateway` stands for.
pub(crate) fn read(
    version: ApiVersion,
    query: &Query,
    headers: &HeaderMap,
    experimental: bool,
    gateway: Option<IpAddr>,
) -> Result<Order> {
    let traces = builder(query)?;
    refuse(query, experimental)?;
    let platform = match query.some("platform").filter(|_| !version.before(32)) {
        Some(text) => Some(platform(text)?),
        None => None,
    };
    let limits = limits(query, gateway)?;
    let options = Options {
        target: query.some("target").map(ToOwned::to_owned),
        arguments: arguments(query)?,
        labels: query
            .json("labels", "error reading labels")?
            .unwrap_or_default(),
        platforms: platform.into_iter().collect(),
        no_cache: if query.flag("nocache") {
            NoCache::All
        } else {
            NoCache::Nothing
        },
        pull: query.flag("pull"),
        network: match query.get("networkmode") {
            "none" => Network::None,
            "host" => Network::Host,
            _ => Network::Default,
        },
        limits,
        // As with the classic builder, which always allowed it.
        entitlements: vec!["network.host".into()],
        squash: query.flag("squash"),
        ..Options::default()
    };
    let tags = tags(query)?;
    Ok(Order {
        id: query.some("buildid").map(ToOwned::to_owned),
        traces,
        session: query.some("session").map(ToOwned::to_owned),
        remote: remote(query)?,
        dockerfile: query.some("dockerfile").unwrap_or("Dockerfile").to_owned(),
        quiet: query.flag("q"),
        removes: removes(query),
        exports: exports(version, query, &tags)?,
        tags,
        options,
        cache_from: cache_from(query)?,
        credentials: registries(headers),
    })
}

fn builder(query: &Query) -> Result<bool> {
    match query.get("version") {
        "" | "1" => Ok(false),
        "2" => Ok(true),
        other => Err(ApiError::invalid(format!("invalid version {other:?}"))),
    }
}

fn refuse(query: &Query, experimental: bool) -> Result<()> {
    if query.has("securityopt") {
        return Err(ApiError::invalid(
            "security options are not supported on linux",
        ));
    }
    let isolation = query.get("isolation");
    if !matches!(isolation.to_lowercase().as_str(), "" | "default") {
        return Err(ApiError::invalid(format!(
            "unsupported isolation: {isolation:?}"
        )));
    }
    if query.flag("squash") && !experimental {
        return Err(ApiError::invalid(
            "squash is only supported with experimental mode",
        ));
    }
    Ok(())
}

fn removes(query: &Query) -> bool {
    query.flag("forcerm") || query.get("rm").is_empty() || query.flag("rm")
}

fn platform(text: &str) -> Result<Platform> {
    let fail = || {
        ApiError::invalid(format!(
            "{text:?}: cannot parse platform specifier: invalid argument"
        ))
    };
    text.parse().map_err(|_| fail())
}

/// A context in the body, or at an address.
fn remote(query: &Query) -> Result<Option<String>> {
    let Some(remote) = query.some("remote") else {
        return Ok(None);
    };
    let known = is_git(remote) || remote.starts_with("http://") || remote.starts_with("https://");
    if known || remote == "client-session" {
        return Ok(Some(remote.to_owned()));
    }
    Err(ApiError::new(
        ErrorKind::System,
        format!("remoteURL ({remote}) could not be recognized as URL"),
    ))
}

/// Whether an address is one of a git repository, as Docker tells them apart.
pub(crate) fn is_git(remote: &str) -> bool {
    let prefixes = ["git://", "ssh://", "github.com/", "git@"];
    if prefixes.iter().any(|prefix| remote.starts_with(prefix)) {
        return true;
    }
    let is_web = remote.starts_with("http://") || remote.starts_with("https://");
    let path = remote.split(['#', '?']).next().unwrap_or(remote);
    is_web && path.ends_with(".git")
}

/// Those without a value are declared by the Dockerfile and stay as they are.
fn arguments(query: &Query) -> Result<Arguments> {
    let all: Option<BTreeMap<String, Option<String>>> =
        query.json("buildargs", "error reading build args")?;
    let all = all.unwrap_or_default().into_iter();
    Ok(all
        .filter_map(|(name, value)| Some((name, value?)))
        .collect())
}

fn tags(query: &Query) -> Result<Vec<Reference>> {
    let fail = |why: String| ApiError::new(ErrorKind::System, why);
    let mut tags: Vec<Reference> = Vec::new();
    for text in query.all("t").iter().filter(|text| !text.is_empty()) {
        let name = Reference::parse(text).map_err(|error| fail(error.to_string()))?;
        if name.digest().is_some() {
            return Err(fail("build tag cannot contain a digest".into()));
        }
        let name = name.with_default_tag();
        if !tags.contains(&name) {
            tags.push(name);
        }
    }
    Ok(tags)
}

fn cache_from(query: &Query) -> Result<Vec<CacheSource>> {
    let names: Option<Vec<String>> = query.json("cachefrom", "error reading cache-from")?;
    let names = names.unwrap_or_default();
    let source = |name: &String| -> Result<CacheSource> {
        Ok(CacheSource::Registry(
            Reference::parse(name)?.with_default_tag(),
        ))
    };
    names.iter().map(source).collect()
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[derive(Default)]
struct Output {
    r#type: String,
    attrs: BTreeMap<String, String>,
}

/// What is made of the result: an image unless something else is asked for.
fn exports(version: ApiVersion, query: &Query, tags: &[Reference]) -> Result<Vec<Export>> {
    let image = || Export::Image {
        names: tags.to_vec(),
        push: false,
        image: ImageOptions::default(),
    };
    let outputs = query.some("outputs").filter(|_| !version.before(40));
    if outputs.is_none() {
        return Ok(vec![image()]);
    }
    let outputs: Vec<Output> = query
        .json("outputs", "invalid outputs specified")?
        .unwrap_or_default();
    let [output] = outputs.as_slice() else {
        if outputs.is_empty() {
            return Ok(vec![image()]);
        }
        let text = "multiple outputs are not supported";
        return Err(ApiError::invalid(text));
    };
    match output.r#type.as_str() {
        "moby" | "image" | "docker" if output.attrs.is_empty() => Ok(vec![image()]),
        "cacheonly" => Ok(Vec::new()),
        "local" => Ok(vec![Export::Local { split: None }]),
        "tar" => Ok(vec![Export::Tar]),
        other => Err(ApiError::not_implemented(format!(
            "the output {other:?} of a build without buildx"
        ))),
    }
}

fn limits(query: &Query, gateway: Option<IpAddr>) -> Result<Limits> {
    let number = |key: &str| query.get(key).trim().parse::<i64>().unwrap_or(0);
    let (memory, swap) = (number("memory"), number("memswap"));
    if memory != 0 && memory < LEAST_MEMORY {
        return Err(ApiError::invalid("Minimum memory limit allowed is 6MB"));
    }
    let cpu = (number("cpushares"), number("cpuquota"), number("cpuperiod"));
    let text = |key: &str| query.get(key).to_owned();
    let cpuset = (text("cpusetcpus"), text("cpusetmems"));
    let ulimits: Vec<Ulimit> = query
        .json("ulimits", "error reading ulimit settings")?
        .unwrap_or_default();
    let hosts = query.all("extrahosts");
    let hosts = hosts.iter().map(|text| host(text, gateway));
    let network = query.get("networkmode");
    Ok(Limits {
        hosts: hosts.collect::<Result<_>>()?,
        network: (!matches!(network, "" | "default" | "bridge" | "none" | "host"))
            .then(|| network.to_owned()),
        shm_size: shm_size(query)?,
        ulimits: ulimits
            .into_iter()
            .map(|limit| (limit.name, limit.soft, limit.hard))
            .collect(),
        cgroup_parent: query.some("cgroupparent").map(ToOwned::to_owned),
        memory: (memory != 0 || swap != 0).then_some((memory, swap)),
        cpu: (cpu != (0, 0, 0)).then_some(cpu),
        cpuset: (!cpuset.0.is_empty() || !cpuset.1.is_empty()).then_some(cpuset),
        ..Limits::default()
    })
}

fn shm_size(query: &Query) -> Result<Option<u64>> {
    let Some(text) = query.some("shmsize") else {
        return Ok(None);
    };
    let size = dhow_golang::parse_int(text, 10, 64)
        .map_err(|error| ApiError::new(ErrorKind::System, error.to_string()))?;
    match u64::try_from(size) {
        Ok(size) => Ok(Some(size).filter(|size| *size > 0)),
        Err(_) => Err(ApiError::invalid("SHM size can not be less than 0")),
    }
}

/// `name:address`; also with an equals sign between.
fn host(text: &str, gateway: Option<IpAddr>) -> Result<(String, IpAddr)> {
    let bad = || ApiError::invalid(format!("bad format for add-host: {text:?}"));
    let (name, address) = text.split_once([':', '=']).ok_or_else(bad)?;
    if name.is_empty() || address.is_empty() {
        return Err(bad());
    }
    if address == "host-gateway" {
        let none = || ApiError::invalid("unable to derive the IP value for host-gateway");
        return Ok((name.to_owned(), gateway.ok_or_else(none)?));
    }
    let plain = address.trim_start_matches('[').trim_end_matches(']');
    let ip = plain
        .parse()
        .map_err(|_| ApiError::invalid(format!("invalid IP address in add-host: {address:?}")))?;
    Ok((name.to_owned(), ip))
}

/// The builds under way that have an id of their client's.
#[derive(Debug, Clone, Default)]
pub struct Running {
    builds: Arc<Mutex<HashMap<String, CancellationToken>>>,
}

/// A build under way; no more when this is dropped.
#[derive(Debug)]
pub(crate) struct Entered {
    running: Running,
    id: Option<String>,
    pub(crate) cancelled: CancellationToken,
}

impl Running {
    /// Notes a build, so that it can be cancelled by that id.
    pub(crate) fn enter(&self, id: Option<&str>) -> Entered {
        let cancelled = CancellationToken::new();
        if let Some(id) = id {
            self.locked().insert(id.to_owned(), cancelled.clone());
        }
        Entered {
            running: self.clone(),
            id: id.map(ToOwned::to_owned),
            cancelled,
        }
    }

    /// Cancels the build of that id, if there is one.
    pub(crate) fn cancel(&self, id: &str) {
        if let Some(cancelled) = self.locked().get(id) {
            cancelled.cancel();
        }
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, HashMap<String, CancellationToken>> {
        self.builds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        if let Some(id) = &self.id {
            self.running.locked().remove(id);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn order(query: &str) -> Result<Order> {
        let gateway = Some("172.17.0.1".parse().unwrap());
        let query = Query::parse(query);
        read(
            ApiVersion::NEWEST,
            &query,
            &HeaderMap::new(),
            false,
            gateway,
        )
    }

    #[test]
    fn limits_are_read() {
        let order = order(
            "memory=67108864&memswap=-1&cpushares=2&cpuquota=5&cpusetcpus=0&shmsize=9&cgroupparent=/p\
             &extrahosts=a:1.2.3.4&extrahosts=b:host-gateway&extrahosts=c=::1&networkmode=mine\
             &ulimits=[{\"Name\":\"nofile\",\"Soft\":1,\"Hard\":2}]",
        )
        .unwrap();
        let limits = order.options.limits;
        assert_eq!(limits.memory, Some((67_108_864, -1)));
        assert_eq!(limits.cpu, Some((2, 5, 0)));
        assert_eq!(limits.cpuset, Some(("0".into(), String::new())));
        assert_eq!(limits.shm_size, Some(9));
        assert_eq!(limits.cgroup_parent.as_deref(), Some("/p"));
        assert_eq!(limits.network.as_deref(), Some("mine"));
        assert_eq!(limits.ulimits, [("nofile".to_owned(), 1, 2)]);
        let hosts: Vec<String> = limits
            .hosts
            .iter()
            .map(|(n, a)| format!("{n} {a}"))
            .collect();
        assert_eq!(hosts, ["a 1.2.3.4", "b 172.17.0.1", "c ::1"]);
    }

    #[test]
    fn tags_are_whole_and_each_but_once() {
        let order = order("t=a&t=a:latest&t=b:1&rm=0").unwrap();
        let names: Vec<String> = order.tags.iter().map(|name| name.familiar()).collect();
        assert_eq!(names, ["a:latest", "b:1"]);
        assert!(!order.removes && !order.traces);
        for query in ["t=A", "t=a%20b"] {
            assert!(self::order(query).is_err(), "{query}");
        }
    }

    #[test]
    fn remote_contexts_are_told_apart() {
        for (remote, git) in [
            ("https://x.org/a.git", true),
            ("https://x.org/a.git#main:dir", true),
            ("git://x/a", true),
            ("github.com/a/b", true),
            ("git@x.org:a/b", true),
            ("https://x.org/a.tar.gz", false),
            ("http://x.org/Dockerfile", false),
        ] {
            assert_eq!(is_git(remote), git, "{remote}");
        }
        assert!(order("remote=/etc").is_err());
        assert!(order("remote=file:///etc").is_err());
    }

    #[test]
    fn outputs_are_of_the_kinds_that_a_client_can_take() {
        let kinds = |text: &str| order(&format!("outputs={text}"));
        let local = "[{\"Type\":\"local\"}]";
        assert_eq!(
            kinds(local).unwrap().exports,
            [Export::Local { split: None }]
        );
        assert!(
            kinds("[{\"Type\":\"cacheonly\"}]")
                .unwrap()
                .exports
                .is_empty()
        );
        assert!(kinds("[{\"Type\":\"tar\"},{\"Type\":\"local\"}]").is_err());
        assert!(kinds("[{\"Type\":\"registry\"}]").is_err());
    }
}
