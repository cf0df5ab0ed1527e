//! Published and exposed ports in one line: `0.0.0.0:80->80/tcp, 9000-9002/udp`.

use std::net::IpAddr;

use dhow_api::container::Port;

/// Consecutive ports that map to themselves become one range.
pub fn text(ports: &[Port]) -> String {
    let mut ports: Vec<&Port> = ports.iter().collect();
    ports.sort_by_key(|port| {
        (
            port.private_port,
            address(port).to_owned(),
            port.public_port,
            port.kind.clone(),
        )
    });
    let mut groups: Vec<Group> = Vec::new();
    let (mut done, mut mapped) = (Vec::new(), Vec::new());
    for port in ports {
        let public = port.public_port;
        if !address(port).is_empty() && public != port.private_port {
            mapped.push(format!(
                "{}->{}/{}",
                join(address(port), &public.to_string()),
                port.private_port,
                port.kind
            ));
            continue;
        }
        let same = groups
            .iter_mut()
            .find(|group| group.address == address(port) && group.kind == port.kind);
        match same {
            Some(group) if group.last.checked_add(1) == Some(port.private_port) => {
                group.last = port.private_port;
            }
            Some(group) => {
                done.push(group.to_string());
                group.first = port.private_port;
                group.last = port.private_port;
            }
            None => groups.push(Group {
                address: address(port).to_owned(),
                kind: port.kind.clone(),
                first: port.private_port,
                last: port.private_port,
            }),
        }
    }
    done.extend(groups.iter().map(ToString::to_string));
    done.extend(mapped);
    done.join(", ")
}

fn address(port: &Port) -> &str {
    &port.ip
}

struct Group {
    address: String,
    kind: String,
    first: u16,
    last: u16,
}

impl std::fmt::Display for Group {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let range = if self.first == self.last {
            self.first.to_string()
        } else {
            format!("{}-{}", self.first, self.last)
        };
        if self.address.is_empty() {
            write!(f, "{range}/{}", self.kind)
        } else {
            write!(f, "{}->{range}/{}", join(&self.address, &range), self.kind)
        }
    }
}

/// Go's `JoinHostPort`.
pub fn join(host: &str, port: &str) -> String {
    match host.parse::<IpAddr>() {
        Ok(IpAddr::V6(_)) => format!("[{host}]:{port}"),
        _ => format!("{host}:{port}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(ip: &str, private: u16, public: u16) -> Port {
        Port {
            ip: ip.into(),
            private_port: private,
            public_port: public,
            kind: "tcp".into(),
        }
    }

    #[test]
    fn ranges_are_joined_and_mappings_kept() {
        for (ports, expected) in [
            (vec![port("", 80, 0)], "80/tcp"),
            (
                vec![port("", 81, 0), port("", 80, 0), port("", 90, 0)],
                "80-81/tcp, 90/tcp",
            ),
            (
                vec![port("0.0.0.0", 80, 8080), port("::", 80, 8080)],
                "0.0.0.0:8080->80/tcp, [::]:8080->80/tcp",
            ),
            (
                vec![port("1.2.3.4", 80, 80), port("1.2.3.4", 81, 81)],
                "1.2.3.4:80-81->80-81/tcp",
            ),
        ] {
            assert_eq!(text(&ports), expected);
        }
    }
}
