//! Which subnet a network gets and which address an endpoint. Pure.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use crate::{AddressPool, Error, IpamConfig, IpamUsage, Prefix};

/// Docker's pools: 172.17.0.0/16 to 172.31.0.0/16 and 192.168.0.0/20 to 192.168.240.0/20.
pub(crate) fn default_pools() -> Vec<AddressPool> {
    let pool = |a, b, len, size| AddressPool {
        base: Prefix::v4(Ipv4Addr::new(a, b, 0, 0), len).expect("at most 32 bits"),
        size,
    };
    let mut pools: Vec<_> = (17..32).map(|second| pool(172, second, 16, 16)).collect();
    pools.push(pool(192, 168, 16, 20));
    pools
}

/// The first subnet of the pools that shares no address with anything in `taken`.
pub(crate) fn choose_subnet(pools: &[AddressPool], taken: &[Prefix]) -> Option<Prefix> {
    pools.iter().find_map(|pool| {
        let (first, last) = pool.base.range_v4()?;
        if pool.size < pool.base.len() || pool.size > 32 {
            return None;
        }
        let step = 1_u64 << (32 - pool.size);
        let mut start = u64::from(first);
        while start + step - 1 <= u64::from(last) {
            let subnet = Prefix::v4(Ipv4Addr::from_bits(u32::try_from(start).ok()?), pool.size)?;
            match taken
                .iter()
                .filter(|other| other.overlaps(&subnet))
                .filter_map(Prefix::range_v4)
                .map(|r| r.1)
                .max()
            {
                None => return Some(subnet),
                // Skip what is taken in one step: a pool can have millions of subnets.
                Some(end) => {
                    start = (u64::from(end) + 1)
                        .next_multiple_of(step)
                        .max(start + step)
                }
            }
        }
        None
    })
}

/// Fills in what a request for a subnet leaves open, and checks that its parts belong together.
pub(crate) fn complete(config: &IpamConfig, subnet: Prefix) -> Result<IpamConfig, Error> {
    let invalid = |text: String| Err(Error::InvalidIpam(text));
    let subnet = subnet.network();
    let Some((first, last)) = subnet.range_v4() else {
        return Err(Error::Ipv6Unsupported);
    };
    if subnet.len() > 30 {
        return invalid(format!(
            "invalid subnet {subnet}: no room for a gateway and a container"
        ));
    }
    let gateway = match config.gateway {
        Some(gateway) if !subnet.contains(gateway) => {
            return invalid(format!(
                "invalid gateway {gateway}: parent subnet {subnet} doesn't contain this address"
            ));
        }
        Some(IpAddr::V4(gateway)) if gateway.to_bits() == first || gateway.to_bits() == last => {
            return invalid(format!(
                "invalid gateway {gateway}: it is the subnet's network or broadcast address"
            ));
        }
        Some(gateway) => gateway,
        None => {
            // The first address of the range, as Docker; of the subnet when there is no range.
            let base = config
                .ip_range
                .as_ref()
                .and_then(Prefix::range_v4)
                .map_or(first, |(start, _)| start.max(first));
            let taken: Vec<_> = config.aux_addresses.values().collect();
            let free = (base..=last).map(Ipv4Addr::from_bits).map(IpAddr::V4);
            let mut free = free
                .filter(|ip| *ip != IpAddr::V4(Ipv4Addr::from_bits(first)) && !taken.contains(&ip));
            free.next()
                .ok_or_else(|| Error::InvalidIpam(format!("invalid subnet {subnet}: it is full")))?
        }
    };
    if let Some(range) = config.ip_range
        && (range.len() < subnet.len() || !subnet.contains(range.addr()))
    {
        return invalid(format!(
            "invalid ip-range {range}: parent subnet {subnet} doesn't contain ip-range"
        ));
    }
    if let Some((name, ip)) = config
        .aux_addresses
        .iter()
        .find(|(_, ip)| !subnet.contains(**ip))
    {
        return invalid(format!(
            "invalid auxiliary address {name} {ip}: parent subnet {subnet} doesn't contain this address"
        ));
    }
    Ok(IpamConfig {
        subnet: Some(subnet),
        ip_range: config.ip_range.map(|range| range.network()),
        gateway: Some(gateway),
        aux_addresses: config.aux_addresses.clone(),
    })
}

/// The addresses of a subnet that are given out by nobody: network, broadcast, gateway, auxiliary.
fn reserved(config: &IpamConfig) -> BTreeSet<u32> {
    let bounds = config
        .subnet
        .as_ref()
        .and_then(Prefix::range_v4)
        .into_iter()
        .flat_map(|(first, last)| [first, last]);
    let named = config
        .gateway
        .iter()
        .chain(config.aux_addresses.values())
        .filter_map(|ip| match ip {
            IpAddr::V4(ip) => Some(ip.to_bits()),
            IpAddr::V6(_) => None,
        });
    bounds.chain(named).collect()
}

/// The lowest address of the subnet (or of its range) that is free; `taken` holds the endpoints' addresses.
pub(crate) fn lowest_free(config: &IpamConfig, taken: &BTreeSet<u32>) -> Option<Ipv4Addr> {
    let (first, last) = config.ip_range.or(config.subnet)?.range_v4()?;
    let reserved = reserved(config);
    let mut next = first;
    // Both sets are sorted: the first gap is found in one pass.
    let mut occupied = reserved
        .range(first..=last)
        .chain(taken.range(first..=last))
        .copied()
        .collect::<Vec<_>>();
    occupied.sort_unstable();
    for address in occupied {
        if address > next {
            break;
        }
        next = address.checked_add(1)?;
    }
    (next <= last).then(|| Ipv4Addr::from_bits(next))
}

/// Whether a container may have this very address.
pub(crate) fn check_wish(
    config: &IpamConfig,
    taken: &BTreeSet<u32>,
    ip: Ipv4Addr,
) -> Result<(), Error> {
    if !config
        .subnet
        .is_some_and(|subnet| subnet.contains(IpAddr::V4(ip)))
    {
        return Err(Error::AddressOutside(IpAddr::V4(ip)));
    }
    if reserved(config).contains(&ip.to_bits()) || taken.contains(&ip.to_bits()) {
        return Err(Error::AddressInUse);
    }
    Ok(())
}

/// How full a subnet is.
pub(crate) fn usage(config: &IpamConfig, taken: &BTreeSet<u32>) -> Option<IpamUsage> {
    let subnet = config.subnet?;
    let (first, last) = config.ip_range.unwrap_or(subnet).range_v4()?;
    let occupied: BTreeSet<_> = reserved(config).union(taken).copied().collect();
    let in_range = occupied.range(first..=last).count();
    Some(IpamUsage {
        subnet,
        in_use: u64::try_from(occupied.len()).unwrap_or(u64::MAX),
        available: u64::from(last - first) + 1 - u64::try_from(in_range).unwrap_or(0),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn prefix(text: &str) -> Prefix {
        text.parse().unwrap()
    }

    fn config(subnet: &str, range: Option<&str>) -> IpamConfig {
        let wish = IpamConfig {
            ip_range: range.map(prefix),
            ..IpamConfig::default()
        };
        complete(&wish, prefix(subnet)).unwrap()
    }

    #[test]
    fn subnets_avoid_what_is_taken() {
        for (taken, expected) in [
            (&[][..], "172.17.0.0/16"),
            (&["172.17.0.0/16"], "172.18.0.0/16"),
            (&["172.17.5.0/24", "172.18.255.255/32"], "172.19.0.0/16"),
            (&["172.16.0.0/12"], "192.168.0.0/20"),
            (
                &["172.16.0.0/12", "192.168.0.0/24", "192.168.17.0/30"],
                "192.168.32.0/20",
            ),
        ] {
            let taken: Vec<_> = taken.iter().copied().map(prefix).collect();
            assert_eq!(
                choose_subnet(&default_pools(), &taken),
                Some(prefix(expected)),
                "{taken:?}"
            );
        }
        assert_eq!(
            choose_subnet(&default_pools(), &[prefix("0.0.0.0/0")]),
            None
        );
        let small = [AddressPool {
            base: prefix("10.0.0.0/24"),
            size: 25,
        }];
        assert_eq!(
            choose_subnet(&small, &[prefix("10.0.0.3/32")]),
            Some(prefix("10.0.0.128/25"))
        );
        let impossible = [AddressPool {
            base: prefix("10.0.0.0/24"),
            size: 16,
        }];
        assert_eq!(choose_subnet(&impossible, &[]), None);
        let top = [AddressPool {
            base: prefix("255.255.255.0/24"),
            size: 28,
        }];
        assert_eq!(choose_subnet(&top, &[prefix("255.255.255.0/24")]), None);
    }

    #[test]
    fn addresses_are_the_lowest_that_are_free() {
        let whole = config("172.17.0.0/16", None);
        assert_eq!(whole.gateway.unwrap().to_string(), "172.17.0.1");
        let mut taken = BTreeSet::new();
        for expected in ["172.17.0.2", "172.17.0.3", "172.17.0.4"] {
            let ip = lowest_free(&whole, &taken).unwrap();
            assert_eq!(ip.to_string(), expected);
            taken.insert(ip.to_bits());
        }
        taken.remove(&Ipv4Addr::new(172, 17, 0, 3).to_bits());
        assert_eq!(
            lowest_free(&whole, &taken).unwrap().to_string(),
            "172.17.0.3"
        );

        let ranged = config("10.210.0.0/24", Some("10.210.0.128/25"));
        assert_eq!(ranged.gateway.unwrap().to_string(), "10.210.0.128");
        assert_eq!(
            lowest_free(&ranged, &BTreeSet::new()).unwrap().to_string(),
            "10.210.0.129"
        );

        let tiny = config("10.0.0.0/30", None);
        let only = lowest_free(&tiny, &BTreeSet::new()).unwrap();
        assert_eq!(only.to_string(), "10.0.0.2");
        assert_eq!(lowest_free(&tiny, &BTreeSet::from([only.to_bits()])), None);
    }

    #[test]
    fn wishes_are_checked() {
        let config = config("10.0.0.0/24", None);
        let taken = BTreeSet::from([Ipv4Addr::new(10, 0, 0, 9).to_bits()]);
        assert!(check_wish(&config, &taken, Ipv4Addr::new(10, 0, 0, 8)).is_ok());
        for address in ["10.0.0.0", "10.0.0.1", "10.0.0.9", "10.0.0.255"] {
            let outcome = check_wish(&config, &taken, address.parse().unwrap());
            assert!(matches!(outcome, Err(Error::AddressInUse)), "{address}");
        }
        let outside = check_wish(&config, &taken, Ipv4Addr::new(1, 2, 3, 4)).unwrap_err();
        assert_eq!(
            outside.to_string(),
            "invalid endpoint settings:\nno configured subnet contains IP address 1.2.3.4"
        );
    }

    #[test]
    fn usage_counts_as_docker_does() {
        // Both figures are from a recorded engine.
        let usage_of = |config, taken: &[[u8; 4]]| {
            usage(
                &config,
                &taken.iter().map(|ip| u32::from_be_bytes(*ip)).collect(),
            )
            .unwrap()
        };
        let whole = usage_of(config("172.17.0.0/16", None), &[]);
        assert_eq!((whole.in_use, whole.available), (3, 65533));
        let mut wish = config("10.210.0.0/24", Some("10.210.0.128/25"));
        wish.gateway = Some("10.210.0.1".parse().unwrap());
        let ranged = usage_of(wish, &[[10, 210, 0, 77]]);
        assert_eq!((ranged.in_use, ranged.available), (4, 127));
    }

    #[test]
    fn parts_that_do_not_belong_together_are_refused() {
        let wish = |gateway: Option<&str>, range: Option<&str>, aux: Option<&str>| IpamConfig {
            subnet: None,
            ip_range: range.map(prefix),
            gateway: gateway.map(|ip| ip.parse().unwrap()),
            aux_addresses: aux
                .map(|ip| ("a".to_owned(), ip.parse().unwrap()))
                .into_iter()
                .collect(),
        };
        for (config, text) in [
            (
                wish(Some("10.9.0.1"), None, None),
                "invalid gateway 10.9.0.1",
            ),
            (wish(Some("10.0.0.255"), None, None), "network or broadcast"),
            (
                wish(None, Some("10.0.0.0/16"), None),
                "invalid ip-range 10.0.0.0/16",
            ),
            (
                wish(None, None, Some("10.0.1.1")),
                "invalid auxiliary address",
            ),
        ] {
            let error = complete(&config, prefix("10.0.0.0/24")).unwrap_err();
            assert!(error.to_string().contains(text), "{error}");
        }
        assert!(complete(&IpamConfig::default(), prefix("10.0.0.0/31")).is_err());
    }
}
