//! Changing what a container publishes. Pure; Dhow's own.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use super::{Invalid, Port, PortBinding, PortRange};
use crate::PublishedPort;

/// A wish to change published ports: what goes, goes first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PublishChange {
    /// What is to be published besides.
    pub add: BTreeMap<Port, Vec<PortBinding>>,
    /// What is to be published no more.
    pub remove: Vec<Unpublish>,
}

impl PublishChange {
    /// Whether nothing is to change.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.add.is_empty() && self.remove.is_empty()
    }
}

/// Published ports by what is said of them, `[[ADDRESS:][HOST-PORT]:]PORT[/PROTOCOL]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unpublish {
    /// The container's port.
    pub port: Port,
    /// At this address of the host's only.
    pub host_ip: Option<IpAddr>,
    /// At this port of the host's only.
    pub host_port: Option<u16>,
}

impl FromStr for Unpublish {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let fail = || Invalid(format!("invalid published port: {text:?}"));
        let (host, port) = text.rsplit_once(':').unwrap_or(("", text));
        let (ip, number) = host.rsplit_once(':').unwrap_or(("", host));
        let bare = ip.strip_prefix('[').and_then(|ip| ip.strip_suffix(']'));
        let host_ip = match bare.unwrap_or(ip) {
            "" => None,
            ip => Some(ip.parse().map_err(|_| fail())?),
        };
        let host_port = match number {
            "" => None,
            number => Some(number.parse().map_err(|_| fail())?),
        };
        Ok(Self {
            port: port.parse().map_err(|_| fail())?,
            host_ip,
            host_port,
        })
    }
}

impl fmt::Display for Unpublish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.host_ip, self.host_port) {
            (None, None) => {}
            (None, Some(port)) => write!(f, "{port}:")?,
            (Some(IpAddr::V6(ip)), port) => write!(f, "[{ip}]:{}:", number(port))?,
            (Some(ip), port) => write!(f, "{ip}:{}:", number(port))?,
        }
        self.port.fmt(f)
    }
}

fn number(port: Option<u16>) -> String {
    port.map(|port| port.to_string()).unwrap_or_default()
}

/// What is published now.
#[derive(Debug, Clone, Copy)]
pub struct Published<'a> {
    /// The wishes.
    pub bindings: &'a BTreeMap<Port, Vec<PortBinding>>,
    /// Where the ports are while the container runs: of each port as many as there are wishes, in their order.
    pub ports: &'a BTreeMap<Port, Vec<PublishedPort>>,
    /// Exposed ports without a wish are published somewhere.
    pub all: bool,
}

/// What a change does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PublishPlan {
    /// The wishes afterwards.
    pub bindings: BTreeMap<Port, Vec<PortBinding>>,
    /// What a running container publishes no more.
    pub closed: Vec<(Port, PublishedPort)>,
    /// What it publishes besides.
    pub opened: Vec<(Port, PortBinding)>,
}

/// Plans a change.
///
/// # Errors
/// What is to go is not there, or what is to come is there already.
pub fn plan(now: &Published<'_>, change: &PublishChange) -> Result<PublishPlan, Invalid> {
    let mut plan = PublishPlan::default();
    // Each wish with where it came true.
    let mut wishes: BTreeMap<Port, Vec<(PortBinding, Option<PublishedPort>)>> = BTreeMap::new();
    for (port, bindings) in now.bindings {
        let any = [PortBinding::default()];
        let bindings = if bindings.is_empty() {
            &any
        } else {
            &**bindings
        };
        let places = now.ports.get(port).map_or(&[][..], |places| places);
        let pairs = bindings.iter().enumerate();
        let pairs = pairs.map(|(index, wish)| (wish.clone(), places.get(index).cloned()));
        wishes.insert(*port, pairs.collect());
    }
    for wanted in &change.remove {
        let list = wishes.entry(wanted.port).or_default();
        let (gone, kept): (Vec<_>, Vec<_>) = std::mem::take(list)
            .into_iter()
            .partition(|(wish, place)| names(wanted, wish, place.as_ref()));
        if gone.is_empty() {
            return Err(not_published(now, wanted));
        }
        *list = kept;
        let places = gone.into_iter().filter_map(|(_, place)| place);
        plan.closed.extend(places.map(|place| (wanted.port, place)));
    }
    for (port, bindings) in &change.add {
        if port.number == 0 {
            return Err(Invalid(format!("invalid port specification: \"{port}\"")));
        }
        let list = wishes.entry(*port).or_default();
        if list.is_empty() && !now.bindings.contains_key(port) {
            // Where it is only because all exposed ports are, it is no more: as after the next start.
            let places = now.ports.get(port).into_iter().flatten();
            plan.closed
                .extend(places.map(|place| (*port, place.clone())));
        }
        for binding in bindings {
            if binding.host_port.is_some() && list.iter().any(|(wish, _)| wish == binding) {
                return Err(Invalid(format!(
                    "port {port} is published at {} already",
                    shown(binding)
                )));
            }
            list.push((binding.clone(), None));
            plan.opened.push((*port, binding.clone()));
        }
    }
    wishes.retain(|_, list| !list.is_empty());
    let wish = |list: Vec<(PortBinding, _)>| list.into_iter().map(|(wish, _)| wish).collect();
    let wishes = wishes.into_iter();
    plan.bindings = wishes.map(|(port, list)| (port, wish(list))).collect();
    Ok(plan)
}

/// Whether `wanted` names this wish, by what was wished or by what came of it.
fn names(wanted: &Unpublish, wish: &PortBinding, place: Option<&PublishedPort>) -> bool {
    let at = |ip: IpAddr| match (wish.host_ip, place) {
        (Some(own), _) => own == ip,
        (None, Some(place)) => place.host_ip == ip,
        (None, None) => ip.is_unspecified(),
    };
    let on = |port: u16| {
        let exactly = PortRange {
            start: port,
            end: port,
        };
        wish.host_port == Some(exactly) || place.is_some_and(|place| place.host_port == port)
    };
    wanted.host_ip.is_none_or(at) && wanted.host_port.is_none_or(on)
}

fn not_published(now: &Published<'_>, wanted: &Unpublish) -> Invalid {
    let places = now.ports.get(&wanted.port);
    if now.all && places.is_some_and(|places| !places.is_empty()) {
        return Invalid(format!(
            "port {} is published because all exposed ports are; it can't be taken back alone",
            wanted.port
        ));
    }
    Invalid(format!("port {wanted} is not published"))
}

fn shown(binding: &PortBinding) -> String {
    let port = binding.host_port.map(|port| port.to_string());
    let port = port.unwrap_or_default();
    match binding.host_ip {
        Some(IpAddr::V6(ip)) => format!("[{ip}]:{port}"),
        Some(ip) => format!("{ip}:{port}"),
        None => port,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn port(text: &str) -> Port {
        text.parse().unwrap()
    }

    fn wish(ip: &str, range: &str) -> PortBinding {
        PortBinding {
            host_ip: ip.parse().ok(),
            host_port: range.parse().ok(),
        }
    }

    fn place(number: u16) -> PublishedPort {
        PublishedPort {
            host_ip: "0.0.0.0".parse().unwrap(),
            host_port: number,
        }
    }

    #[test]
    fn published_ports_are_named_as_they_are_given() {
        for text in [
            "80/tcp",
            "8080:80/tcp",
            "127.0.0.1:8080:80/udp",
            "127.0.0.1::80/tcp",
            "[::1]:8080:80/tcp",
        ] {
            assert_eq!(text.parse::<Unpublish>().unwrap().to_string(), text);
        }
        assert_eq!("80".parse::<Unpublish>().unwrap().to_string(), "80/tcp");
        for text in [
            "",
            "x",
            "80/x",
            "x:80",
            "1.2.3:1:80",
            "70000:80",
            "1:2:3:80",
        ] {
            assert!(text.parse::<Unpublish>().is_err(), "{text}");
        }
    }

    #[test]
    fn what_goes_is_found_by_wish_and_by_place() {
        let bindings = BTreeMap::from([(
            port("80/tcp"),
            vec![
                wish("", "8080"),
                wish("127.0.0.1", "9000-9010"),
                wish("", ""),
            ],
        )]);
        let ports =
            BTreeMap::from([(port("80/tcp"), vec![place(8080), place(9003), place(49153)])]);
        let now = Published {
            bindings: &bindings,
            ports: &ports,
            all: false,
        };
        let left = |text: &str| {
            let change = PublishChange {
                remove: vec![text.parse().unwrap()],
                ..PublishChange::default()
            };
            plan(&now, &change).map(|plan| {
                let closed: Vec<u16> = plan.closed.iter().map(|(_, p)| p.host_port).collect();
                (
                    plan.bindings.get(&port("80/tcp")).map_or(0, Vec::len),
                    closed,
                )
            })
        };
        assert_eq!(left("80").unwrap(), (0, vec![8080, 9003, 49153]));
        assert_eq!(left("8080:80").unwrap(), (2, vec![8080]));
        assert_eq!(left("9003:80").unwrap(), (2, vec![9003]));
        assert_eq!(left("49153:80").unwrap(), (2, vec![49153]));
        assert_eq!(left("127.0.0.1::80").unwrap(), (2, vec![9003]));
        for text in ["81", "80/udp", "8081:80", "127.0.0.1:8080:80"] {
            let error = left(text).unwrap_err();
            assert!(error.0.ends_with(" is not published"), "{error}");
        }
    }

    #[test]
    fn what_comes_must_not_be_there() {
        let bindings = BTreeMap::from([(port("80/tcp"), vec![wish("", "8080")])]);
        let ports = BTreeMap::from([
            (port("80/tcp"), vec![place(8080)]),
            (port("90/tcp"), vec![place(49153)]),
        ]);
        let now = Published {
            bindings: &bindings,
            ports: &ports,
            all: true,
        };
        let add = |of: &str, binding: PortBinding| {
            let add = BTreeMap::from([(port(of), vec![binding])]);
            let change = PublishChange {
                add,
                ..PublishChange::default()
            };
            plan(&now, &change)
        };
        assert!(add("80/tcp", wish("", "8080")).is_err());
        assert!(add("0/tcp", wish("", "8081")).is_err());
        let more = add("80/tcp", wish("", "8081")).unwrap();
        assert_eq!(more.bindings[&port("80/tcp")].len(), 2);
        assert_eq!((more.closed.len(), more.opened.len()), (0, 1));
        // One that was published with all the exposed ones moves.
        let moved = add("90/tcp", wish("", "9090")).unwrap();
        assert_eq!(moved.closed, [(port("90/tcp"), place(49153))]);
        let alone = PublishChange {
            remove: vec!["90".parse().unwrap()],
            ..PublishChange::default()
        };
        assert!(plan(&now, &alone).unwrap_err().0.contains("alone"));
    }

    #[test]
    fn a_port_can_move_in_one_go() {
        let bindings = BTreeMap::from([(port("80/tcp"), vec![wish("", "8080")])]);
        let ports = BTreeMap::from([(port("80/tcp"), vec![place(8080)])]);
        let now = Published {
            bindings: &bindings,
            ports: &ports,
            all: false,
        };
        let change = PublishChange {
            add: BTreeMap::from([(port("80/tcp"), vec![wish("127.0.0.1", "8080")])]),
            remove: vec!["80".parse().unwrap()],
        };
        let plan = plan(&now, &change).unwrap();
        assert_eq!(plan.closed, [(port("80/tcp"), place(8080))]);
        assert_eq!(plan.bindings[&port("80/tcp")], [wish("127.0.0.1", "8080")]);
    }
}
