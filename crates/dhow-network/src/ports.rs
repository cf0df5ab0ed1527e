//! The host's ports: which are free, and the sockets that keep them so.
//!
//! A published port is kernel state (an element of an nftables map), which nobody listens on. So that no other program
//! takes it, a socket is bound to it for as long as the container runs.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::OwnedFd;

use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, ipproto, socket_with, sockopt};

use crate::error::{PortError, SystemText};
use crate::{PortBinding, PortRequest, Protocol};

/// The range of ephemeral ports when the kernel does not say.
const FALLBACK: (u16, u16) = (49153, 65535);

/// Chooses and binds a host port for each request, all or none.
///
/// `next` is where the search for an ephemeral port goes on.
pub(crate) fn reserve(
    requests: &[PortRequest],
    default_ip: IpAddr,
    container: Option<Ipv4Addr>,
    taken: &Taken<'_>,
    next: &mut u16,
) -> Result<(Vec<PortBinding>, Vec<OwnedFd>), PortError> {
    let mut bindings: Vec<PortBinding> = Vec::with_capacity(requests.len());
    let mut held = Vec::with_capacity(requests.len());
    for request in requests {
        let host_ip = match request.host_ip.unwrap_or(default_ip) {
            IpAddr::V4(ip) => ip,
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv4Addr::UNSPECIFIED,
            IpAddr::V6(ip) => return Err(PortError::Ipv6(IpAddr::V6(ip))),
        };
        let mut attempt = |port: u16| {
            let binding = PortBinding {
                protocol: request.protocol,
                container_port: request.container_port,
                host_ip: IpAddr::V4(host_ip),
                host_port: port,
            };
            if taken
                .ports
                .iter()
                .chain(&bindings)
                .any(|other| clashes(other, &binding))
            {
                return Err(PortError::Allocated {
                    ip: host_ip.to_string(),
                    port,
                });
            }
            if taken.given_up.iter().any(|own| same_place(own, &binding)) {
                // Its socket is there.
                bindings.push(binding);
                return Ok(());
            }
            let socket =
                hold(request.protocol, host_ip, port).map_err(|source| PortError::Bind {
                    host_ip: host_ip.to_string(),
                    host_port: port,
                    container: container
                        .map_or_else(String::new, |ip| format!("{ip}:{}", request.container_port)),
                    protocol: request.protocol,
                    source: SystemText(source),
                })?;
            bindings.push(binding);
            held.extend(socket);
            Ok(())
        };
        if request.host_ports.is_ephemeral() {
            *next = ephemeral(*next, &mut attempt)?;
        } else {
            in_range(
                request.host_ports.start,
                request.host_ports.end,
                &mut attempt,
            )?;
        }
    }
    Ok((bindings, held))
}

/// Ports that can't be had.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Taken<'a> {
    /// Those of containers.
    pub(crate) ports: &'a [PortBinding],
    /// Those that the container is just giving up: it may have them again, with the sockets that hold them.
    pub(crate) given_up: &'a [PortBinding],
}

/// Whether both are at the same place on the host.
fn same_place(a: &PortBinding, b: &PortBinding) -> bool {
    (a.protocol, a.host_ip, a.host_port) == (b.protocol, b.host_ip, b.host_port)
}

/// Whether two published ports can't both be.
fn clashes(a: &PortBinding, b: &PortBinding) -> bool {
    a.protocol == b.protocol
        && a.host_port == b.host_port
        && (a.host_ip == b.host_ip || a.host_ip.is_unspecified() || b.host_ip.is_unspecified())
}

/// The first port of the range that can be had; for a single port, the reason why it can't.
fn in_range(
    start: u16,
    end: u16,
    attempt: &mut impl FnMut(u16) -> Result<(), PortError>,
) -> Result<u16, PortError> {
    let mut failure = PortError::Exhausted;
    for port in start..=end {
        match attempt(port) {
            Ok(()) => return Ok(port),
            Err(error) if worth_another(&error) => failure = error,
            Err(error) => return Err(error),
        }
    }
    Err(if start == end {
        failure
    } else {
        PortError::Exhausted
    })
}

/// A free ephemeral port; returns where to look next time.
fn ephemeral(
    next: u16,
    attempt: &mut impl FnMut(u16) -> Result<(), PortError>,
) -> Result<u16, PortError> {
    let (low, high) = ephemeral_range();
    let start = if (low..=high).contains(&next) {
        next
    } else {
        low
    };
    let port = match in_range(start, high, attempt) {
        Err(error) if start > low && worth_another(&error) => in_range(low, start - 1, attempt)?,
        outcome => outcome?,
    };
    Ok(if port == high { low } else { port + 1 })
}

/// Whether the failure concerns this port only.
fn worth_another(error: &PortError) -> bool {
    match error {
        PortError::Allocated { .. } | PortError::Exhausted => true,
        PortError::Bind { source, .. } => source.0.kind() == io::ErrorKind::AddrInUse,
        PortError::Ipv6(_) => false,
    }
}

fn ephemeral_range() -> (u16, u16) {
    let text =
        std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let mut numbers = text
        .split_whitespace()
        .map_while(|number| number.parse().ok());
    match (numbers.next(), numbers.next()) {
        (Some(low), Some(high)) if low <= high && low > 0 => (low, high),
        _ => FALLBACK,
    }
}

/// A socket bound to the port; `None` when the kernel has no such protocol (SCTP), and then nobody else can have it.
fn hold(protocol: Protocol, ip: Ipv4Addr, port: u16) -> io::Result<Option<OwnedFd>> {
    let (kind, number) = match protocol {
        Protocol::Tcp => (SocketType::STREAM, ipproto::TCP),
        Protocol::Udp => (SocketType::DGRAM, ipproto::UDP),
        Protocol::Sctp => (SocketType::STREAM, ipproto::SCTP),
    };
    let socket = match socket_with(
        AddressFamily::INET,
        kind,
        SocketFlags::CLOEXEC,
        Some(number),
    ) {
        Err(rustix::io::Errno::PROTONOSUPPORT | rustix::io::Errno::SOCKTNOSUPPORT) => {
            return Ok(None);
        }
        outcome => outcome?,
    };
    if protocol == Protocol::Tcp {
        // Connections that linger in TIME_WAIT must not keep the port from us ...
        sockopt::set_socket_reuseaddr(&socket, true)?;
    } else if protocol == Protocol::Udp {
        // Nothing is ever read from it.
        sockopt::set_socket_recv_buffer_size(&socket, 0)?;
    }
    bind(&socket, &SocketAddr::V4(SocketAddrV4::new(ip, port)))?;
    if protocol == Protocol::Tcp {
        // ... but a server that is started later must not share it with us.
        sockopt::set_socket_reuseaddr(&socket, false)?;
    }
    Ok(Some(socket))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::net::{TcpListener, UdpSocket};

    use super::*;
    use crate::HostPorts;

    const LOCAL: Ipv4Addr = Ipv4Addr::LOCALHOST;

    fn request(protocol: Protocol, host_ports: HostPorts) -> PortRequest {
        PortRequest {
            protocol,
            container_port: 80,
            host_ip: Some(IpAddr::V4(LOCAL)),
            host_ports,
        }
    }

    fn try_reserve(
        requests: &[PortRequest],
        taken: &[PortBinding],
    ) -> Result<(Vec<PortBinding>, Vec<OwnedFd>), PortError> {
        reserve(
            requests,
            IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            Some(Ipv4Addr::new(172, 17, 0, 2)),
            &Taken {
                ports: taken,
                given_up: &[],
            },
            &mut 0,
        )
    }

    #[test]
    fn a_held_port_is_nobody_elses() {
        let requests = [
            request(Protocol::Tcp, HostPorts::EPHEMERAL),
            request(Protocol::Udp, HostPorts::EPHEMERAL),
        ];
        let (bindings, held) = try_reserve(&requests, &[]).unwrap();
        assert_eq!(held.len(), 2);
        let [tcp, udp] = [bindings[0].host_port, bindings[1].host_port];
        // std sets SO_REUSEADDR on listeners, as nearly every server does.
        assert!(TcpListener::bind((LOCAL, tcp)).is_err());
        assert!(UdpSocket::bind((LOCAL, udp)).is_err());
        drop(held);
        TcpListener::bind((LOCAL, tcp)).unwrap();
        UdpSocket::bind((LOCAL, udp)).unwrap();
    }

    #[test]
    fn a_port_of_another_program_is_reported_as_docker_does() {
        let other = TcpListener::bind((LOCAL, 0)).unwrap();
        let port = other.local_addr().unwrap().port();
        let error = try_reserve(&[request(Protocol::Tcp, HostPorts::one(port))], &[]).unwrap_err();
        let text = dhow_errdefs::chain(&error).to_string();
        assert_eq!(
            text,
            format!(
                "failed to bind host port for 127.0.0.1:{port}:172.17.0.2:80/tcp: address already in use"
            )
        );
    }

    #[test]
    fn a_port_of_another_container_is_reported_as_docker_does() {
        let taken = [PortBinding {
            protocol: Protocol::Tcp,
            container_port: 1,
            host_ip: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            host_port: 18099,
        }];
        let error =
            try_reserve(&[request(Protocol::Tcp, HostPorts::one(18099))], &taken).unwrap_err();
        assert_eq!(
            error.to_string(),
            "Bind for 127.0.0.1:18099 failed: port is already allocated"
        );
    }

    #[test]
    fn a_port_that_is_given_up_is_had_again_without_a_socket() {
        let other = TcpListener::bind((LOCAL, 0)).unwrap();
        let port = other.local_addr().unwrap().port();
        let wanted = [request(Protocol::Tcp, HostPorts::one(port))];
        let given_up = PortBinding {
            protocol: Protocol::Tcp,
            container_port: 1,
            host_ip: IpAddr::V4(LOCAL),
            host_port: port,
        };
        let taken = Taken {
            ports: &[],
            given_up: &[given_up],
        };
        let (ports, held) = reserve(&wanted, IpAddr::V4(LOCAL), None, &taken, &mut 0).unwrap();
        assert_eq!((ports[0].host_port, held.len()), (port, 0));
        assert_eq!(ports[0].container_port, 80);
    }

    #[test]
    fn ranges_give_the_first_free_port() {
        let other = TcpListener::bind((LOCAL, 0)).unwrap();
        let port = other.local_addr().unwrap().port();
        let range = HostPorts {
            start: port,
            end: port.saturating_add(20),
        };
        let (bindings, _held) = try_reserve(&[request(Protocol::Tcp, range)], &[]).unwrap();
        assert!(bindings[0].host_port > port);
        let full = HostPorts {
            start: port,
            end: port,
        };
        assert!(try_reserve(&[request(Protocol::Tcp, full)], &[]).is_err());
    }

    #[test]
    fn ephemeral_ports_go_round() {
        let (low, high) = ephemeral_range();
        assert_eq!(ephemeral(high, &mut |_| Ok(())).unwrap(), low);
        assert_eq!(ephemeral(low, &mut |_| Ok(())).unwrap(), low + 1);
        let only = low + 5;
        let mut tried = |port: u16| {
            if port == only {
                Ok(())
            } else {
                Err(PortError::Allocated {
                    ip: String::new(),
                    port,
                })
            }
        };
        assert_eq!(ephemeral(high, &mut tried).unwrap(), only + 1);
        let none = ephemeral(0, &mut |port| {
            Err(PortError::Allocated {
                ip: String::new(),
                port,
            })
        });
        assert!(matches!(none, Err(PortError::Exhausted)));
    }
}
