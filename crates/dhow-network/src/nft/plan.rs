//! What the table should hold, from networks and published ports. Pure.
//!
//! Published ports are elements of two maps (`published` for any address of the host, `published_at` for one), so the
//! number of rules does not grow with containers. They apply to packets from outside (`prerouting`) and to the host's
//! own (`output`).
//!
//! # Beside a firewall that drops what is forwarded
//!
//! Docker (and ufw, and others) may set the policy of its own forward chain to drop. All chains at a hook have to let
//! a packet pass, so nothing that is forwarded for us would get through, whatever our table says. Instead of writing
//! into foreign tables the *detour* takes such packets out of the forward hook's way: before connection tracking,
//! `dup` sends a copy of the packet on as if it were the host's own (so it passes output and postrouting instead of
//! forward), and the original is dropped. A copy is untracked; `ct zone set` in our raw output chain undoes that, so
//! that address translation works on it. Answers whose destination was translated back in prerouting are sent on
//! untracked, since nothing remains to be translated. The isolation that the forward chain gives is repeated there.

use std::net::{IpAddr, Ipv4Addr};

use super::expr::{
    Direction::{In, Out},
    ESTABLISHED_RELATED,
    End::{Destination, Source},
    Expr, LOCAL, UNICAST,
};
use super::ruleset::{Chain, Element, Hook, Kind, Point, Ruleset, Set};
use crate::{Prefix, Protocol};

const BRIDGES: &str = "bridges";
const INTERNAL: &str = "internal";
const PAIRS: &str = "pairs";
const SUBNETS: &str = "subnets";
const HIDDEN: &str = "hidden";
const PUBLISHED: &str = "published";
const PUBLISHED_AT: &str = "published_at";
const PUBLISH: &str = "publish";

/// Marks packets between the detour's two halves; "dhow" in ASCII.
const MARK: u32 = 0x6468_6f77;

/// The address behind which containers that reach each other through the host's ports are hidden on the detour: the
/// "IPv4 dummy address" of RFC 7600, which no one has.
const HAIRPIN: [u8; 4] = [192, 0, 0, 8];

/// Everything the table depends on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Plan {
    pub(crate) table: String,
    pub(crate) networks: Vec<NetworkPlan>,
    pub(crate) ports: Vec<PortPlan>,
    /// Whether packets have to avoid the forward hook.
    pub(crate) detour: bool,
}

/// A bridge network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NetworkPlan {
    pub(crate) device: String,
    pub(crate) index: u32,
    pub(crate) subnet: Prefix,
    /// No way in or out.
    pub(crate) internal: bool,
    /// Containers may talk to each other.
    pub(crate) icc: bool,
    /// Containers are hidden behind the host's address on the way out.
    pub(crate) masquerade: bool,
}

/// A published port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PortPlan {
    pub(crate) protocol: Protocol,
    pub(crate) host_ip: IpAddr,
    pub(crate) host_port: u16,
    pub(crate) ip: Ipv4Addr,
    pub(crate) port: u16,
}

impl Plan {
    /// The table's content.
    pub(crate) fn ruleset(&self) -> Ruleset {
        let mut chains = vec![
            publish(),
            self.raw_prerouting(),
            prerouting(),
            output(),
            self.postrouting(),
            forward(),
        ];
        if self.detour {
            chains.push(answers());
            chains.push(raw_output());
        }
        Ruleset {
            table: self.table.clone(),
            sets: self.sets(),
            chains,
        }
    }

    /// The published ports as elements, by map.
    pub(crate) fn port_elements(&self) -> [(&'static str, Vec<Element>); 2] {
        let mut any = Vec::new();
        let mut one = Vec::new();
        for port in &self.ports {
            match port.host_ip {
                IpAddr::V4(ip) if ip.is_unspecified() => {
                    any.push(Element::Port(
                        port.protocol,
                        port.host_port,
                        port.ip,
                        port.port,
                    ));
                }
                IpAddr::V4(ip) => {
                    one.push(Element::AddressPort(
                        ip,
                        port.protocol,
                        port.host_port,
                        port.ip,
                        port.port,
                    ));
                }
                IpAddr::V6(_) => {}
            }
        }
        [(PUBLISHED, any), (PUBLISHED_AT, one)]
    }

    fn sets(&self) -> Vec<Set> {
        let devices = |filter: fn(&NetworkPlan) -> bool| {
            self.networks
                .iter()
                .filter(|network| filter(network))
                .map(|n| Element::Device(n.device.clone()))
                .collect()
        };
        let subnets = |filter: fn(&NetworkPlan) -> bool| {
            self.networks
                .iter()
                .filter(|network| filter(network))
                .map(|n| Element::Subnet(n.subnet))
                .collect()
        };
        let pairs = self.networks.iter().filter(|network| network.icc);
        let pairs = pairs
            .map(|n| Element::DevicePair(n.device.clone(), n.device.clone()))
            .collect();
        let [(_, any), (_, one)] = self.port_elements();
        vec![
            Set {
                name: BRIDGES,
                kind: Kind::Devices,
                elements: devices(|_| true),
            },
            Set {
                name: INTERNAL,
                kind: Kind::Devices,
                elements: devices(|network| network.internal),
            },
            Set {
                name: PAIRS,
                kind: Kind::DevicePairs,
                elements: pairs,
            },
            Set {
                name: SUBNETS,
                kind: Kind::Subnets,
                elements: subnets(|_| true),
            },
            Set {
                name: HIDDEN,
                kind: Kind::Subnets,
                elements: subnets(|n| n.masquerade && !n.internal),
            },
            Set {
                name: PUBLISHED,
                kind: Kind::PortMap,
                elements: any,
            },
            Set {
                name: PUBLISHED_AT,
                kind: Kind::AddressPortMap,
                elements: one,
            },
        ]
    }

    /// What must not even be looked at; and the detour's entrance.
    fn raw_prerouting(&self) -> Chain {
        // `route_localnet` on the bridges lets the host's 127.0.0.1 reach published ports; not the other way round.
        let mut rules = vec![vec![
            Expr::DeviceIn(In, true, BRIDGES),
            Expr::Address(Destination, true, loopback()),
            Expr::Drop,
        ]];
        if self.detour {
            self.detour_rules(&mut rules);
        }
        Chain {
            name: "raw_prerouting",
            hook: Some(Hook {
                kind: "filter",
                point: Point::Prerouting,
                // Between the putting together of fragments (-400) and connection tracking (-200).
                priority: -300,
            }),
            rules,
        }
    }

    fn detour_rules(&self, rules: &mut Vec<Vec<Expr>>) {
        let tracked = |mut when: Vec<Expr>| {
            when.extend([
                Expr::TtlAboveOne,
                Expr::SetMark(MARK),
                Expr::Resend,
                Expr::Drop,
            ]);
            when
        };
        let hairpin = Prefix::v4(HAIRPIN.into(), 32).expect("32 bits at most");
        for network in &self.networks {
            let from = || Expr::Device(In, true, network.device.clone());
            // A container's answer to another one that came through the host's port.
            rules.push(vec![
                from(),
                Expr::Address(Destination, true, hairpin),
                Expr::SetMark(MARK),
                Expr::ResendThrough(network.index),
                Expr::Drop,
            ]);
            // Bridged frames come by here when bridge-nf-call-iptables is on. Nothing is translated between neighbours.
            if network.icc {
                rules.push(vec![
                    from(),
                    Expr::Address(Destination, true, network.subnet),
                    Expr::DestinationType(UNICAST),
                    Expr::TtlAboveOne,
                    Expr::Resend,
                    Expr::Drop,
                ]);
            }
        }
        // From one network into another, or out of an internal one: not at all.
        rules.push(vec![
            Expr::DeviceIn(In, true, BRIDGES),
            Expr::AddressIn(Destination, SUBNETS),
            Expr::DestinationType(UNICAST),
            Expr::Drop,
        ]);
        rules.push(vec![
            Expr::DeviceIn(In, true, INTERNAL),
            Expr::DestinationType(UNICAST),
            Expr::Drop,
        ]);
        rules.push(tracked(vec![
            Expr::DeviceIn(In, true, BRIDGES),
            Expr::DestinationType(UNICAST),
        ]));
        // To published ports.
        for port in [Expr::AddressPortIn(PUBLISHED_AT), Expr::PortIn(PUBLISHED)] {
            rules.push(tracked(vec![
                Expr::Device(In, false, "lo".to_owned()),
                Expr::Address(Destination, false, loopback()),
                Expr::DestinationType(LOCAL),
                port,
            ]));
        }
    }

    fn postrouting(&self) -> Chain {
        let hide_neighbour = if self.detour {
            Expr::SourceNat(HAIRPIN)
        } else {
            Expr::Masquerade
        };
        let rules = vec![
            // The host's own 127.0.0.1 at a published port.
            vec![
                Expr::DeviceIn(Out, true, BRIDGES),
                Expr::Address(Source, true, loopback()),
                Expr::Masquerade,
            ],
            // A container at another's published port: the answer has to come back through here.
            vec![
                Expr::AddressIn(Source, SUBNETS),
                Expr::DeviceIn(Out, true, BRIDGES),
                Expr::Redirected,
                hide_neighbour,
            ],
            vec![
                Expr::AddressIn(Source, HIDDEN),
                Expr::DeviceIn(Out, false, BRIDGES),
                Expr::Masquerade,
            ],
        ];
        let hook = Hook {
            kind: "nat",
            point: Point::Postrouting,
            priority: 100,
        };
        Chain {
            name: "postrouting",
            hook: Some(hook),
            rules,
        }
    }
}

fn loopback() -> Prefix {
    Prefix::v4(Ipv4Addr::new(127, 0, 0, 0), 8).expect("8 bits are at most 32")
}

fn publish() -> Chain {
    let rules = vec![
        vec![Expr::RedirectByAddressPort(PUBLISHED_AT)],
        vec![Expr::RedirectByPort(PUBLISHED)],
    ];
    Chain {
        name: PUBLISH,
        hook: None,
        rules,
    }
}

fn prerouting() -> Chain {
    let rules = vec![vec![
        // Someone outside could send packets to 127.0.0.1 here; the kernel drops them unless they are redirected.
        Expr::Address(Destination, false, loopback()),
        Expr::DestinationType(LOCAL),
        Expr::Jump(PUBLISH),
    ]];
    Chain {
        name: "prerouting",
        hook: Some(Hook {
            kind: "nat",
            point: Point::Prerouting,
            priority: -100,
        }),
        rules,
    }
}

fn output() -> Chain {
    let rules = vec![vec![Expr::DestinationType(LOCAL), Expr::Jump(PUBLISH)]];
    Chain {
        name: "output",
        hook: Some(Hook {
            kind: "nat",
            point: Point::Output,
            priority: -100,
        }),
        rules,
    }
}

fn forward() -> Chain {
    let rules = vec![
        vec![Expr::State(ESTABLISHED_RELATED), Expr::Accept],
        vec![
            Expr::DeviceIn(Out, true, BRIDGES),
            Expr::Redirected,
            Expr::Accept,
        ],
        vec![Expr::DevicesIn(PAIRS), Expr::Accept],
        // Into a network from another one or from outside, past the published ports.
        vec![Expr::DeviceIn(Out, true, BRIDGES), Expr::Drop],
        vec![Expr::DeviceIn(In, true, INTERNAL), Expr::Drop],
    ];
    Chain {
        name: "forward",
        hook: Some(Hook {
            kind: "filter",
            point: Point::Forward,
            priority: 0,
        }),
        rules,
    }
}

/// The detour for answers to what left through us: their destination is a container's again here.
fn answers() -> Chain {
    let rules = vec![vec![
        Expr::DeviceIn(In, false, BRIDGES),
        Expr::AddressIn(Destination, SUBNETS),
        Expr::Reply,
        Expr::TtlAboveOne,
        Expr::Resend,
        Expr::Drop,
    ]];
    Chain {
        name: "answers",
        hook: Some(Hook {
            kind: "filter",
            point: Point::Prerouting,
            priority: -90,
        }),
        rules,
    }
}

/// The detour's other half: what was sent on as the host's own is tracked after all.
fn raw_output() -> Chain {
    let rules = vec![vec![Expr::Mark(MARK), Expr::Track, Expr::SetMark(0)]];
    Chain {
        name: "raw_output",
        hook: Some(Hook {
            kind: "filter",
            point: Point::Output,
            priority: -450,
        }),
        rules,
    }
}

#[cfg(test)]
mod tests;
