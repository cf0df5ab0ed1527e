#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

fn network(device: &str, subnet: &str) -> NetworkPlan {
    NetworkPlan {
        device: device.to_owned(),
        index: 7,
        subnet: subnet.parse().unwrap(),
        internal: false,
        icc: true,
        masquerade: true,
    }
}

fn port(protocol: Protocol, host_ip: &str, host_port: u16, container: u8) -> PortPlan {
    let ip = Ipv4Addr::new(172, 17, 0, container);
    PortPlan {
        protocol,
        host_ip: host_ip.parse().unwrap(),
        host_port,
        ip,
        port: 80,
    }
}

fn plan() -> Plan {
    Plan {
        table: "dhow".to_owned(),
        networks: vec![
            network("dhow0", "172.17.0.0/16"),
            NetworkPlan {
                internal: true,
                ..network("br-inner", "172.18.0.0/16")
            },
            NetworkPlan {
                icc: false,
                masquerade: false,
                ..network("br-quiet", "172.19.0.0/16")
            },
        ],
        ports: vec![
            port(Protocol::Tcp, "0.0.0.0", 8080, 2),
            port(Protocol::Udp, "0.0.0.0", 8080, 3),
            port(Protocol::Tcp, "127.0.0.1", 9090, 2),
        ],
        detour: false,
    }
}

#[test]
fn the_table_as_a_whole() {
    let expected = r#"table ip dhow {
	set bridges {
		type ifname
		elements = { "dhow0", "br-inner", "br-quiet" }
	}
	set internal {
		type ifname
		elements = { "br-inner" }
	}
	set pairs {
		type ifname . ifname
		elements = { "dhow0" . "dhow0", "br-inner" . "br-inner" }
	}
	set subnets {
		type ipv4_addr; flags interval
		elements = { 172.17.0.0/16, 172.18.0.0/16, 172.19.0.0/16 }
	}
	set hidden {
		type ipv4_addr; flags interval
		elements = { 172.17.0.0/16 }
	}
	map published {
		type inet_proto . inet_service : ipv4_addr . inet_service
		elements = { tcp . 8080 : 172.17.0.2 . 80, udp . 8080 : 172.17.0.3 . 80 }
	}
	map published_at {
		type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service
		elements = { 127.0.0.1 . tcp . 9090 : 172.17.0.2 . 80 }
	}
	chain publish {
		dnat ip to ip daddr . meta l4proto . th dport map @published_at
		dnat ip to meta l4proto . th dport map @published
	}
	chain raw_prerouting {
		type filter hook prerouting priority -300; policy accept;
		iifname @bridges ip daddr 127.0.0.0/8 drop
	}
	chain prerouting {
		type nat hook prerouting priority -100; policy accept;
		ip daddr != 127.0.0.0/8 fib daddr type local jump publish
	}
	chain output {
		type nat hook output priority -100; policy accept;
		fib daddr type local jump publish
	}
	chain postrouting {
		type nat hook postrouting priority 100; policy accept;
		oifname @bridges ip saddr 127.0.0.0/8 masquerade
		ip saddr @subnets oifname @bridges ct status dnat masquerade
		ip saddr @hidden oifname != @bridges masquerade
	}
	chain forward {
		type filter hook forward priority 0; policy accept;
		ct state established,related accept
		oifname @bridges ct status dnat accept
		iifname . oifname @pairs accept
		oifname @bridges drop
		iifname @internal drop
	}
}
"#;
    assert_eq!(plan().ruleset().to_string(), expected);
}

#[test]
fn rules_do_not_grow_with_containers() {
    let rules = |plan: &Plan| {
        plan.ruleset()
            .chains
            .iter()
            .map(|chain| chain.rules.len())
            .sum::<usize>()
    };
    let mut many = plan();
    many.ports = (0..500)
        .map(|number| port(Protocol::Tcp, "0.0.0.0", 10_000 + number, 2))
        .collect();
    assert_eq!(rules(&many), rules(&plan()));
}

#[test]
fn the_detour_is_taken_before_connections_are_tracked() {
    let text = Plan {
        detour: true,
        ..plan()
    }
    .ruleset()
    .to_string();
    let chain = |name: &str| {
        let (_, rest) = text.split_once(&format!("chain {name} {{\n")).unwrap();
        let rules = rest.split_once("\n\t}").unwrap().0;
        rules
            .lines()
            .map(str::trim)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        chain("raw_prerouting"),
        [
            "type filter hook prerouting priority -300; policy accept;",
            "iifname @bridges ip daddr 127.0.0.0/8 drop",
            "iifname \"dhow0\" ip daddr 192.0.0.8/32 meta mark set 0x64686f77 dup to ip daddr device 7 drop",
            "iifname \"dhow0\" ip daddr 172.17.0.0/16 fib daddr type unicast ip ttl > 1 dup to ip daddr drop",
            "iifname \"br-inner\" ip daddr 192.0.0.8/32 meta mark set 0x64686f77 dup to ip daddr device 7 drop",
            "iifname \"br-inner\" ip daddr 172.18.0.0/16 fib daddr type unicast ip ttl > 1 dup to ip daddr drop",
            "iifname \"br-quiet\" ip daddr 192.0.0.8/32 meta mark set 0x64686f77 dup to ip daddr device 7 drop",
            "iifname @bridges ip daddr @subnets fib daddr type unicast drop",
            "iifname @internal fib daddr type unicast drop",
            "iifname @bridges fib daddr type unicast ip ttl > 1 meta mark set 0x64686f77 dup to ip daddr drop",
            "iifname != \"lo\" ip daddr != 127.0.0.0/8 fib daddr type local ip daddr . meta l4proto . th dport \
         @published_at ip ttl > 1 meta mark set 0x64686f77 dup to ip daddr drop",
            "iifname != \"lo\" ip daddr != 127.0.0.0/8 fib daddr type local meta l4proto . th dport @published \
         ip ttl > 1 meta mark set 0x64686f77 dup to ip daddr drop",
        ]
    );
    assert_eq!(
        chain("answers"),
        [
            "type filter hook prerouting priority -90; policy accept;",
            "iifname != @bridges ip daddr @subnets ct direction reply ip ttl > 1 dup to ip daddr drop",
        ]
    );
    assert_eq!(
        chain("raw_output"),
        [
            "type filter hook output priority -450; policy accept;",
            "meta mark 0x64686f77 ct zone set 0 meta mark set 0x0",
        ]
    );
    assert!(chain("postrouting").contains(
        &"ip saddr @subnets oifname @bridges ct status dnat snat to 192.0.0.8".to_owned()
    ));
}

#[test]
fn nothing_is_planned_for_nothing() {
    let text = Plan {
        table: "dhow-x".to_owned(),
        ..Plan::default()
    }
    .ruleset()
    .to_string();
    assert!(text.starts_with("table ip dhow-x {\n"));
    assert!(!text.contains("elements"));
}
