//! Real traffic through real devices and rules, in network namespaces of the test's own.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    unreachable_pub,
    missing_docs,
    reason = "tests"
)]

mod figures;
mod restart;
mod talk;
mod world;

use std::net::{IpAddr, Ipv4Addr};

use dhow_network::{EndpointRequest, MacAddress, Networks, NetworksConfig, Protocol};
use talk::{tcp, tcp_is_blocked, tcp_server, udp, udp_server};
use world::{Dockerd, HOST, Netns, OUTSIDE, World, privileged, publish, publish_at, shell};

const LOOPBACK: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// Everything that has to work with published ports and the way out, whatever other firewalls there are.
fn conversations(world: &mut World) {
    let server = world.container(
        "bridge",
        vec![publish(Protocol::Tcp, 80), publish(Protocol::Udp, 53)],
    );
    let other = world.container("bridge", vec![]);
    let (port, udp_port) = (server.host_port(0), server.host_port(1));

    let serving = tcp_server(&server.netns, 80, 7);
    assert_eq!(
        tcp(&world.outside, HOST, port).unwrap(),
        IpAddr::V4(OUTSIDE),
        "from outside, with its own address"
    );
    tcp(&world.host, LOOPBACK, port).expect("from the host's 127.0.0.1");
    tcp(&world.host, HOST, port).expect("from the host to its own address");
    tcp(&world.host, server.ip(), 80).expect("from the host to the container");
    tcp(&other.netns, server.ip(), 80).expect("from a neighbour directly");
    tcp(&other.netns, HOST, port).expect("from a neighbour through the host's address");
    tcp(&server.netns, HOST, port).expect("from the container itself through the host's address");
    serving.join().unwrap();

    let serving = udp_server(&server.netns, 53, 5);
    assert_eq!(
        udp(&world.outside, HOST, udp_port).unwrap(),
        IpAddr::V4(OUTSIDE)
    );
    udp(&world.host, LOOPBACK, udp_port).expect("from the host's 127.0.0.1");
    udp(&world.host, HOST, udp_port).expect("from the host to its own address");
    udp(&other.netns, server.ip(), 53).expect("from a neighbour directly");
    udp(&other.netns, HOST, udp_port).expect("from a neighbour through the host's address");
    serving.join().unwrap();

    let serving = tcp_server(&world.outside, 8000, 2);
    let asking = udp_server(&world.outside, 8001, 1);
    assert_eq!(
        tcp(&server.netns, OUTSIDE, 8000).unwrap(),
        IpAddr::V4(HOST),
        "hidden behind the host"
    );
    assert_eq!(
        tcp(&other.netns, OUTSIDE, 8000).unwrap(),
        IpAddr::V4(HOST),
        "hidden behind the host"
    );
    assert_eq!(
        udp(&other.netns, OUTSIDE, 8001).unwrap(),
        IpAddr::V4(HOST),
        "hidden behind the host"
    );
    serving.join().unwrap();
    asking.join().unwrap();

    let serving = talk::udp_echo(&world.outside, 8002, 1);
    talk::udp_large(&server.netns, OUTSIDE, 8002).expect("a datagram in fragments, out and back");
    serving.join().unwrap();
    let serving = talk::udp_echo(&server.netns, 53, 1);
    talk::udp_large(&world.outside, HOST, udp_port).expect("a datagram in fragments, in and back");
    serving.join().unwrap();

    let local = tcp_server(&world.host, 9000, 1);
    tcp(
        &other.netns,
        world.networks.get("bridge").unwrap().gateway().unwrap(),
        9000,
    )
    .expect("to the host itself");
    local.join().unwrap();
}

#[test]
fn published_ports_and_the_way_out() {
    if privileged("published_ports_and_the_way_out") {
        conversations(&mut World::new());
    }
}

#[test]
fn the_same_when_bridged_frames_skip_the_firewall() {
    if privileged("the_same_when_bridged_frames_skip_the_firewall") {
        conversations(&mut World::with(|host| {
            host.run(|| shell("! test -e /proc/sys/net/bridge || echo 0 > /proc/sys/net/bridge/bridge-nf-call-iptables"));
        }));
    }
}

const DOCKERS_DROP: &str = "nft 'add table ip filter;
    add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; };
    add rule ip filter FORWARD iifname docker0 accept'";

#[test]
fn the_same_beside_a_firewall_that_drops_forwarded_packets() {
    if privileged("the_same_beside_a_firewall_that_drops_forwarded_packets") {
        let mut world = World::with(|host| {
            host.run(|| shell(DOCKERS_DROP));
        });
        conversations(&mut world);
        let rules = world.host.run(|| shell("nft list table ip filter"));
        assert!(
            rules.contains("policy drop") && rules.lines().count() < 8,
            "left alone: {rules}"
        );
    }
}

#[test]
fn the_same_beside_a_dropping_firewall_without_bridged_frames() {
    if privileged("the_same_beside_a_dropping_firewall_without_bridged_frames") {
        conversations(&mut World::with(|host| {
            host.run(|| shell("! test -e /proc/sys/net/bridge || echo 0 > /proc/sys/net/bridge/bridge-nf-call-iptables"));
            host.run(|| shell(DOCKERS_DROP));
        }));
    }
}

#[test]
fn firewalls_that_come_and_go_are_noticed() {
    if !privileged("firewalls_that_come_and_go_are_noticed") {
        return;
    }
    let mut world = World::new();
    let server = world.container("bridge", vec![publish(Protocol::Tcp, 80)]);
    let serving = tcp_server(&server.netns, 80, 4);
    let port = server.host_port(0);
    for change in [
        "true",
        DOCKERS_DROP,
        "nft delete table ip filter",
        "nft flush ruleset",
    ] {
        world.host.run(move || shell(change));
        let seen = talk::tcp_soon(&world.outside, HOST, port);
        assert!(seen.is_ok(), "after {change}: {seen:?}");
    }
    serving.join().unwrap();
    conversations(&mut world);
}

/// With `DHOW_TEST_DOCKERD=/path/to/dockerd`, beside a real one with rules of its own.
#[test]
fn the_same_beside_a_real_docker() {
    let Some(program) = std::env::var_os("DHOW_TEST_DOCKERD") else {
        eprintln!("SKIPPED the_same_beside_a_real_docker: DHOW_TEST_DOCKERD is not set");
        return;
    };
    let slot = std::cell::RefCell::new(None);
    let mut world =
        World::with(|host| *slot.borrow_mut() = Some(Dockerd::start(host, program.as_ref())));
    let rules = world.host.run(|| shell("iptables-save -t filter"));
    assert!(rules.contains(":FORWARD DROP"), "{rules}");
    conversations(&mut world);
    assert_eq!(
        world
            .host
            .run(|| shell("iptables-save -t filter | grep -v '^[#:]'")),
        {
            rules
                .lines()
                .filter(|line| !line.starts_with(['#', ':']))
                .map(|line| format!("{line}\n"))
                .collect::<String>()
        }
    );
}

#[test]
fn networks_are_isolated() {
    if !privileged("networks_are_isolated") {
        return;
    }
    for dropping in [false, true] {
        let mut world = World::with(|host| {
            if dropping {
                host.run(|| shell(DOCKERS_DROP));
            }
        });
        world.network("other", false, &[]);
        world.network("inner", true, &[]);
        world.network(
            "quiet",
            false,
            &[("com.docker.network.bridge.enable_icc", "false")],
        );
        let server = world.container("bridge", vec![publish(Protocol::Tcp, 80)]);
        let serving = tcp_server(&server.netns, 80, 2);
        let stranger = world.container("other", vec![]);
        assert!(
            tcp_is_blocked(&stranger.netns, server.ip(), 80),
            "another network's container"
        );
        tcp(&stranger.netns, HOST, server.host_port(0)).expect("but its published port");
        world
            .outside
            .run(|| shell(&format!("ip route add default via {HOST}")));
        assert!(
            tcp_is_blocked(&world.outside, server.ip(), 80),
            "past the published port"
        );
        tcp(&world.outside, HOST, server.host_port(0)).expect("but through it");
        serving.join().unwrap();

        let outer = tcp_server(&world.outside, 8000, 1);
        let [inner, neighbour] = [
            world.container("inner", vec![]),
            world.container("inner", vec![]),
        ];
        assert!(tcp_is_blocked(&inner.netns, OUTSIDE, 8000), "no way out");
        let inside = tcp_server(&neighbour.netns, 80, 1);
        tcp(&inner.netns, neighbour.ip(), 80).expect("but to its neighbour");
        inside.join().unwrap();

        let [quiet, silent] = [
            world.container("quiet", vec![]),
            world.container("quiet", vec![]),
        ];
        let _deaf = tcp_server(&silent.netns, 80, 1);
        assert!(
            tcp_is_blocked(&quiet.netns, silent.ip(), 80),
            "no talk among containers"
        );
        tcp(&quiet.netns, OUTSIDE, 8000).expect("but out");
        outer.join().unwrap();
    }
}

#[test]
fn ports_at_one_address_are_there_only() {
    if !privileged("ports_at_one_address_are_there_only") {
        return;
    }
    let mut world = World::new();
    let server = world.container(
        "bridge",
        vec![publish_at(LOOPBACK, 80), publish_at(HOST, 80)],
    );
    let serving = tcp_server(&server.netns, 80, 3);
    let [local, public] = [server.host_port(0), server.host_port(1)];
    tcp(&world.host, LOOPBACK, local).unwrap();
    tcp(&world.outside, HOST, public).unwrap();
    tcp(&world.host, HOST, public).unwrap();
    assert!(tcp_is_blocked(&world.outside, HOST, local));
    assert!(tcp_is_blocked(&world.host, LOOPBACK, public));
    // Packets to 127.0.0.1 from the wire and from a container.
    world.outside.run(|| shell("echo 1 > /proc/sys/net/ipv4/conf/wire1/route_localnet; ip route del local 127.0.0.0/8 dev lo table local 2>/dev/null; ip addr flush dev lo; ip route add 127.0.0.1 via 10.99.0.1 src 10.99.0.2"));
    assert!(
        tcp_is_blocked(&world.outside, LOOPBACK, local),
        "from the wire"
    );
    serving.join().unwrap();
}

#[test]
fn a_container_gets_what_docker_gives() {
    if !privileged("a_container_gets_what_docker_gives") {
        return;
    }
    let mut world = World::new();
    world.network(
        "second",
        false,
        &[("com.docker.network.driver.mtu", "1280")],
    );
    let container = world.container("bridge", vec![]);
    assert_eq!(container.endpoint.mac, Some(MacAddress::of(container.ip())));
    let request = EndpointRequest {
        container_id: container.endpoint.container_id.clone(),
        container_name: "c1".to_owned(),
        network: "second".to_owned(),
        ..EndpointRequest::default()
    };
    let (networks, fd) = (
        world.networks.clone(),
        container.netns.fd().try_clone().unwrap(),
    );
    let second = world.host.run(move || {
        let reserved = networks.reserve(request).unwrap();
        networks
            .attach(&reserved.endpoint.id, std::os::fd::AsFd::as_fd(&fd))
            .unwrap()
    });
    assert_eq!(second.interface.as_deref(), Some("eth1"));
    let text = container
        .netns
        .run(|| shell("ip -o addr; ip route; ip -o link"));
    for expected in [
        format!("eth0    inet {}/16", container.ip()),
        format!("default via {}", container.endpoint.gateway.unwrap()),
    ] {
        assert!(text.contains(&expected), "{expected} in {text}");
    }
    assert!(
        text.contains("02:42:") && text.contains("mtu 1280") && text.contains("127.0.0.1/8"),
        "{text}"
    );
    assert_eq!(text.matches("default via").count(), 1, "{text}");
    assert!(
        !text
            .lines()
            .any(|line| line.contains("eth0") && line.contains("inet6")),
        "{text}"
    );
}

#[test]
fn releasing_closes_ports_and_forgets_datagram_flows() {
    if !privileged("releasing_closes_ports_and_forgets_datagram_flows") {
        return;
    }
    let mut world = World::new();
    let mut first = world.container(
        "bridge",
        vec![publish(Protocol::Udp, 53), publish(Protocol::Tcp, 80)],
    );
    let port = first.host_port(0);
    let serving = udp_server(&first.netns, 53, 1);
    // One client socket, so that it stays one flow to the kernel.
    let client = world
        .outside
        .run(|| std::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap());
    talk::ask(&client, (HOST, port).into()).unwrap();
    serving.join().unwrap();
    let (networks, id) = (world.networks.clone(), first.endpoint.id.clone());
    first.held.clear();
    world.host.run(move || networks.release(&id)).unwrap();
    assert!(tcp_is_blocked(&world.host, HOST, first.host_port(1)));
    assert_eq!(
        world
            .host
            .run(|| shell("nft list map ip dhow published"))
            .matches(" : ")
            .count(),
        1,
        "only the type"
    );

    let wish = dhow_network::HostPorts::one(port);
    let request = dhow_network::PortRequest {
        host_ports: wish,
        ..publish(Protocol::Udp, 53)
    };
    // A neighbour takes the old address, so that the new server has another one.
    let _neighbour = world.container("bridge", vec![]);
    let second = world.container("bridge", vec![request]);
    assert_ne!(second.ip(), first.ip());
    let serving = udp_server(&second.netns, 53, 1);
    talk::ask(&client, (HOST, port).into()).expect("the flow leads to the new container");
    serving.join().unwrap();
}
