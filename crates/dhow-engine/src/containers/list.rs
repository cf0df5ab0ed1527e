//! `list`.

use std::collections::HashMap;
use std::sync::Arc;

use dhow_oci::Digest;
use jiff::Timestamp;

use super::Containers;
use crate::container::{HealthStatus, ListOptions, Outline, Status, Summary, SummaryPort};
use crate::filters::{Filters, Patterns};
use crate::services::Services;
use crate::text;
use crate::{Error, Result, lifecycle};
use dhow_container::spec::{Invalid, Port, PortRange};

const FILTERS: &[&str] = &[
    "ancestor",
    "before",
    "exited",
    "expose",
    "health",
    "id",
    "is-task",
    "isolation",
    "label",
    "name",
    "network",
    "publish",
    "since",
    "status",
    "volume",
];

impl Containers {
    /// The containers that pass the filters, the newest first.
    ///
    /// # Errors
    /// A filter is unknown or malformed.
    pub async fn list(&self, options: &ListOptions) -> Result<Vec<Summary>> {
        let query = Query::new(&self.services, options)?;
        let all = self.services.containers.all();
        let mut records: Vec<Arc<Outline>> = all
            .iter()
            .map(|container| container.outline())
            .filter(|record| query.accepts(record))
            .collect();
        records.sort_by(|a, b| b.created.cmp(&a.created).then_with(|| a.id.cmp(&b.id)));
        if let Some(limit) = options.limit {
            records.truncate(limit);
        }
        let now = Timestamp::now();
        let mut images = ImageNames {
            services: &self.services,
            known: HashMap::new(),
        };
        let mut linked = lifecycle::links::names(&self.services);
        let mut list = Vec::with_capacity(records.len());
        for record in records {
            let size = if options.size {
                Some(self.size(&record.id, record.image.chain).await?)
            } else {
                None
            };
            list.push(Summary {
                image: images.shown(&record),
                linked_as: linked.remove(&*record.id).unwrap_or_default(),
                status: text::status(&record.state, now),
                next_start: self.next_start(&record),
                ports: ports(&record),
                size,
                record,
            });
        }
        Ok(list)
    }

    fn next_start(&self, record: &Outline) -> Option<Timestamp> {
        if record.state.status != Status::Restarting {
            return None;
        }
        self.services.find(&record.id).ok()?.next_start()
    }
}

/// Which images names mean now; each is looked up once a list.
struct ImageNames<'a> {
    services: &'a Services,
    known: HashMap<Arc<str>, Option<Digest>>,
}

impl ImageNames<'_> {
    /// The image's name as the container was made with, or its id when that name means another one now.
    fn shown(&mut self, record: &Outline) -> Arc<str> {
        let name = &record.config.image;
        let id = match self.known.get(name) {
            Some(id) => *id,
            None => {
                let id = self
                    .services
                    .images
                    .resolve(name, None)
                    .ok()
                    .map(|image| image.id);
                self.known.insert(name.clone(), id);
                id
            }
        };
        if id == Some(record.image.id) {
            name.clone()
        } else {
            record.image.id.to_string().into()
        }
    }
}

fn ports(record: &Outline) -> Vec<SummaryPort> {
    let mut list: Vec<SummaryPort> = Vec::new();
    for (port, published) in record.ports.iter() {
        let plain = SummaryPort {
            private: port.number,
            protocol: port.protocol,
            ip: None,
            public: None,
        };
        if published.is_empty() {
            list.push(plain);
        }
        for place in published {
            list.push(SummaryPort {
                ip: Some(place.host_ip),
                public: Some(place.host_port),
                ..plain
            });
        }
    }
    list.sort();
    list
}

/// A list's filters, checked and looked up.
struct Query<'a> {
    filters: &'a Filters,
    all: bool,
    statuses: Vec<Status>,
    exited: Vec<i32>,
    health: Vec<HealthStatus>,
    before: Option<Timestamp>,
    since: Option<Timestamp>,
    ancestors: Vec<Digest>,
    publish: Vec<(PortRange, Port)>,
    expose: Vec<(PortRange, Port)>,
    is_task: bool,
    names: Patterns,
}

impl<'a> Query<'a> {
    fn new(services: &Services, options: &'a ListOptions) -> Result<Self> {
        let filters = &options.filters;
        filters.check(FILTERS)?;
        let statuses: Vec<Status> = parse(filters, "status", |value| value.parse::<Status>())?;
        let exited = parse(filters, "exited", |value| {
            value
                .parse::<i32>()
                .map_err(|_| Invalid(format!("strconv.Atoi: parsing {value:?}: invalid syntax")))
        })?;
        let time = |key: &str| -> Result<Option<Timestamp>> {
            match filters.get(key) {
                [] => Ok(None),
                names => {
                    let times: Result<Vec<Timestamp>> = names
                        .iter()
                        .map(|name| Ok(services.find(name)?.record().created))
                        .collect();
                    Ok(times?.pop())
                }
            }
        };
        // An image that does not exist is nobody's.
        let ancestors = filters.get("ancestor").iter();
        let ancestors = ancestors
            .filter_map(|name| services.images.resolve(name, None).ok())
            .map(|image| image.id);
        Ok(Self {
            filters,
            all: options.all
                || options.limit.is_some()
                || !statuses.is_empty()
                || !exited.is_empty()
                || filters.contains("before")
                || filters.contains("since"),
            statuses,
            exited,
            health: parse(filters, "health", health)?,
            before: time("before")?,
            since: time("since")?,
            ancestors: ancestors.collect(),
            publish: ports_of(filters, "publish")?,
            expose: ports_of(filters, "expose")?,
            is_task: filters.flag("is-task", false)?,
            names: Patterns::new(filters, "name"),
        })
    }

    fn accepts(&self, record: &Outline) -> bool {
        let filters = self.filters;
        let state = &record.state;
        let exited_so = state.status == Status::Exited && self.exited.contains(&state.exit_code);
        (self.all || state.status.is_running())
            && !self.is_task
            && (self.statuses.is_empty() || self.statuses.contains(&state.status))
            && (self.exited.is_empty() || exited_so)
            && (self.health.is_empty() || self.health.contains(&state.health_status()))
            && self.before.is_none_or(|before| record.created < before)
            && self.since.is_none_or(|since| record.created > since)
            && (!filters.contains("ancestor") || self.ancestors.contains(&record.image.id))
            && filters.any("id", |id| record.id.starts_with(id.as_str()))
            && (self.names.fit(&record.name) || self.names.fit(&format!("/{}", record.name)))
            && filters.labels("label", &record.config.labels)
            && filters.any("volume", |volume| {
                record.mounts.iter().any(|point| {
                    point.name == *volume || point.source == *volume || point.destination == *volume
                })
            })
            && filters.any("network", |wanted| {
                record.networks.iter().any(|(name, settings)| {
                    name == wanted
                        || (!settings.network_id.is_empty()
                            && settings.network_id.starts_with(wanted.as_str()))
                })
            })
            && self.ports(record)
    }

    fn ports(&self, record: &Outline) -> bool {
        let within = |(range, kind): &(PortRange, Port), number: u16, port: &Port| {
            kind.protocol == port.protocol && (range.start..=range.end).contains(&number)
        };
        let published = record.ports.iter().any(|(port, places)| {
            places.iter().any(|place| {
                self.publish
                    .iter()
                    .any(|wanted| within(wanted, place.host_port, port))
            })
        });
        let mut exposed = record.config.exposed_ports.iter();
        (self.publish.is_empty() || published)
            && (self.expose.is_empty()
                || exposed.any(|port| {
                    self.expose
                        .iter()
                        .any(|wanted| within(wanted, port.number, port))
                }))
    }
}

fn parse<T>(
    filters: &Filters,
    key: &str,
    parse: impl Fn(&str) -> Result<T, Invalid>,
) -> Result<Vec<T>> {
    let fail = |value: &str, error: Invalid| {
        Error::Invalid(Invalid(format!("invalid filter '{key}={value}': {error}")))
    };
    filters
        .get(key)
        .iter()
        .map(|value| parse(value).map_err(|error| fail(value, error)))
        .collect()
}

fn health(text: &str) -> Result<HealthStatus, Invalid> {
    let all = [
        HealthStatus::None,
        HealthStatus::Starting,
        HealthStatus::Healthy,
        HealthStatus::Unhealthy,
    ];
    all.into_iter().find(|health| health.name() == text).ok_or_else(|| {
        Invalid(format!(
            "invalid value for health ({text}): must be one of none, starting, healthy, unhealthy"
        ))
    })
}

/// The ports of a filter, `80`, `80/udp` or `80-90/tcp`; what is wrong with one is said in Go's words.
fn ports_of(filters: &Filters, key: &str) -> Result<Vec<(PortRange, Port)>> {
    let one = |text: &String| {
        if text.contains(':') {
            let error = format!("filter for '{key}' should not contain ':': {text}");
            return Err(Error::Invalid(Invalid(error)));
        }
        port_range(text).map_err(|why| {
            Error::Invalid(Invalid(format!(
                "error while looking up for {key} {text}: {why}"
            )))
        })
    };
    filters.get(key).iter().map(one).collect()
}

fn port_range(text: &str) -> Result<(PortRange, Port), String> {
    let (range, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let wrong = range.split('-').find(|part| part.parse::<u16>().is_err());
    let (start, end) = range.split_once('-').unwrap_or((range, range));
    let (Ok(start), Ok(end)) = (start.parse::<u16>(), end.parse::<u16>()) else {
        let part = wrong.unwrap_or(range);
        let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        let why = if range.is_empty() {
            return Err("empty string specified for ports".to_owned());
        } else if digits {
            "value out of range"
        } else {
            "invalid syntax"
        };
        return Err(format!("strconv.ParseUint: parsing {part:?}: {why}"));
    };
    if end < start {
        return Err(format!("invalid range specified for port: {range}"));
    }
    let protocol = protocol
        .parse()
        .map_err(|error: Invalid| error.to_string())?;
    Ok((
        PortRange { start, end },
        Port {
            number: start,
            protocol,
        },
    ))
}
