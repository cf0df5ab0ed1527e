//! The variables that tell a container of another one it is linked to (`--link`). Pure.

use std::net::IpAddr;

use crate::spec::{Port, Protocol};

/// A container that another one is linked to.
#[derive(Debug, Clone)]
pub struct Linked<'a> {
    /// The name of the container that has the link.
    pub parent: &'a str,
    /// What the other one is called by it.
    pub alias: &'a str,
    /// The other one's address.
    pub address: IpAddr,
    /// The other one's ports.
    pub ports: Vec<Port>,
    /// The other one's own variables.
    pub env: &'a [String],
}

/// The variables, in Docker's order.
#[must_use]
pub fn environment(link: &Linked<'_>) -> Vec<String> {
    let prefix = link.alias.replace('-', "_").to_ascii_uppercase();
    let mut ports = link.ports.clone();
    ports.sort_by_key(|port| {
        (
            port.protocol != Protocol::Tcp,
            port.protocol.to_string(),
            port.number,
        )
    });
    ports.dedup();
    let mut list = Vec::new();
    if let Some(first) = ports.first() {
        list.push(format!("{prefix}_PORT={}", url(link, *first)));
    }
    let mut start = 0;
    while let Some(first) = ports.get(start).copied() {
        let run = ports[start..]
            .iter()
            .zip(first.number..)
            .take_while(|(port, number)| port.protocol == first.protocol && port.number == *number)
            .count();
        let run = &ports[start..start + run.max(1)];
        if let [first, .., last] = run {
            list.extend(range(&prefix, link, *first, *last));
        }
        for port in run {
            list.extend(single(&prefix, link, *port));
        }
        start += run.len();
    }
    list.push(format!("{prefix}_NAME=/{}/{}", link.parent, link.alias));
    for variable in link.env {
        if let Some((name, value)) = variable.split_once('=')
            && !matches!(name, "HOME" | "PATH")
        {
            list.push(format!("{prefix}_ENV_{name}={value}"));
        }
    }
    list
}

fn url(link: &Linked<'_>, port: Port) -> String {
    format!("{}://{}:{}", port.protocol, link.address, port.number)
}

/// `DB_PORT_80_TCP`.
fn stem(prefix: &str, port: Port) -> String {
    let protocol = port.protocol.to_string().to_ascii_uppercase();
    format!("{prefix}_PORT_{}_{protocol}", port.number)
}

fn single(prefix: &str, link: &Linked<'_>, port: Port) -> [String; 4] {
    let stem = stem(prefix, port);
    [
        format!("{stem}={}", url(link, port)),
        format!("{stem}_ADDR={}", link.address),
        format!("{stem}_PORT={}", port.number),
        format!("{stem}_PROTO={}", port.protocol),
    ]
}

fn range(prefix: &str, link: &Linked<'_>, first: Port, last: Port) -> [String; 4] {
    let stem = stem(prefix, first);
    [
        format!("{stem}_START={}", url(link, first)),
        format!("{stem}_PORT_START={}", first.number),
        format!("{stem}_END={}", url(link, last)),
        format!("{stem}_PORT_END={}", last.number),
    ]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn variables_are_those_of_docker() {
        let ports = ["90/udp", "70/tcp", "81/tcp", "80/tcp"];
        let env = ["A=b=c".to_owned(), "HOME=/x".to_owned()];
        let list = environment(&Linked {
            parent: "web",
            alias: "my-db",
            address: "10.0.0.2".parse().unwrap(),
            ports: ports.iter().map(|port| port.parse().unwrap()).collect(),
            env: &env,
        });
        let expected = "\
MY_DB_PORT=tcp://10.0.0.2:70
MY_DB_PORT_70_TCP=tcp://10.0.0.2:70
MY_DB_PORT_70_TCP_ADDR=10.0.0.2
MY_DB_PORT_70_TCP_PORT=70
MY_DB_PORT_70_TCP_PROTO=tcp
MY_DB_PORT_80_TCP_START=tcp://10.0.0.2:80
MY_DB_PORT_80_TCP_PORT_START=80
MY_DB_PORT_80_TCP_END=tcp://10.0.0.2:81
MY_DB_PORT_80_TCP_PORT_END=81
MY_DB_PORT_80_TCP=tcp://10.0.0.2:80
MY_DB_PORT_80_TCP_ADDR=10.0.0.2
MY_DB_PORT_80_TCP_PORT=80
MY_DB_PORT_80_TCP_PROTO=tcp
MY_DB_PORT_81_TCP=tcp://10.0.0.2:81
MY_DB_PORT_81_TCP_ADDR=10.0.0.2
MY_DB_PORT_81_TCP_PORT=81
MY_DB_PORT_81_TCP_PROTO=tcp
MY_DB_PORT_90_UDP=udp://10.0.0.2:90
MY_DB_PORT_90_UDP_ADDR=10.0.0.2
MY_DB_PORT_90_UDP_PORT=90
MY_DB_PORT_90_UDP_PROTO=udp
MY_DB_NAME=/web/my-db
MY_DB_ENV_A=b=c";
        assert_eq!(list.join("\n"), expected);
    }
}
