//! Instances over their starts: what is kept, what goes, what may change, and two side by side.

use super::*;

#[test]
fn a_restart_keeps_the_running_and_drops_the_rest() {
    if !privileged("a_restart_keeps_the_running_and_drops_the_rest") {
        return;
    }
    let mut world = World::new();
    world.network("mine", false, &[]);
    let kept = world.container("bridge", vec![publish(Protocol::Tcp, 80)]);
    let dropped = world.container("mine", vec![publish(Protocol::Tcp, 80)]);
    let (kept_port, dropped_port) = (kept.host_port(0), dropped.host_port(0));
    let serving = [
        tcp_server(&kept.netns, 80, 2),
        tcp_server(&dropped.netns, 80, 1),
    ];
    tcp(&world.outside, HOST, kept_port).unwrap();
    tcp(&world.outside, HOST, dropped_port).unwrap();

    let db = world.db.clone();
    let active = vec![kept.endpoint.container_id.clone()];
    let again = world.host.run(move || {
        let networks = Networks::open(NetworksConfig::new(db)).unwrap();
        networks.reconcile(&active).unwrap();
        networks
    });
    tcp(&world.outside, HOST, kept_port).expect("the running container's port");
    assert!(
        tcp_is_blocked(&world.outside, HOST, dropped_port),
        "the dead container's port"
    );
    serving
        .into_iter()
        .for_each(|server| server.join().unwrap());
    // The old daemon is gone, and with it whoever would put its table back.
    let before = std::mem::replace(&mut world.networks, again.clone())
        .list()
        .unwrap();
    assert_eq!(again.list().unwrap(), before, "ids and subnets are stable");
    assert!(
        again
            .endpoints_of_container(&dropped.endpoint.container_id)
            .unwrap()
            .is_empty()
    );
    let links = world.host.run(|| shell("ip -o link"));
    assert!(links.contains(kept.endpoint.host_interface.as_deref().unwrap()));
    assert!(!links.contains(dropped.endpoint.host_interface.as_deref().unwrap()));
    world.host.run(move || again.tear_down().unwrap());
    let left = world.host.run(|| shell("ip -o link; nft list ruleset"));
    assert!(
        !left.contains("dhow") && !left.contains("br-") && !left.contains(": dv"),
        "{left}"
    );
}

#[test]
fn settings_may_change_between_starts() {
    if !privileged("settings_may_change_between_starts") {
        return;
    }
    let world = World::with(|host| {
        host.run(|| shell("ip link set wire0 mtu 1400 && ip route add default via 10.99.0.2"));
    });
    let look = || {
        world
            .host
            .run(|| shell("ip -o link show dhow0; ip -o addr show dhow0"))
    };
    assert!(
        look().contains("mtu 1400") && look().contains("172.17.0.1/16"),
        "{}",
        look()
    );
    let reopen = |change: fn(&mut NetworksConfig)| {
        let mut config = NetworksConfig::new(world.db.clone());
        change(&mut config);
        world
            .host
            .run(move || Networks::open(config).unwrap().get("bridge").unwrap())
    };
    let before = world.networks.get("bridge").unwrap();
    let after = reopen(|config| {
        config.bip = Some("10.50.0.1/24".parse().unwrap());
        config.mtu = Some(1300);
    });
    assert_eq!(after.id, before.id);
    assert_eq!(after.options["com.docker.network.driver.mtu"], "1300");
    let text = look();
    assert!(
        text.contains("10.50.0.1/24") && !text.contains("172.17.0.1") && text.contains("mtu 1300"),
        "{text}"
    );
    assert_eq!(
        reopen(|_| ()).subnet().unwrap().to_string(),
        "10.50.0.0/24",
        "kept without --bip"
    );
    // A bridge follows its ports' MTU unless told otherwise.
    let mut world = world;
    let container = world.container("bridge", vec![]);
    let (networks, id) = (world.networks.clone(), container.endpoint.id.clone());
    world.host.run(move || networks.release(&id)).unwrap();
    assert!(
        world
            .host
            .run(|| shell("ip -o link show dhow0"))
            .contains("mtu 1400")
    );
}

#[test]
fn instances_live_side_by_side() {
    if !privileged("instances_live_side_by_side") {
        return;
    }
    let mut world = World::new();
    let first = world.container("bridge", vec![publish(Protocol::Tcp, 80)]);
    let db = dhow_metadata::Database::open_in_memory().unwrap();
    let other = world.host.run(move || {
        let config = NetworksConfig {
            instance: "two".into(),
            bridge_name: "two0".into(),
            ..NetworksConfig::new(db)
        };
        Networks::open(config).unwrap()
    });
    let ours = world.networks.get("bridge").unwrap().subnet().unwrap();
    assert!(
        !other
            .get("bridge")
            .unwrap()
            .subnet()
            .unwrap()
            .overlaps(&ours)
    );
    let mine = std::mem::replace(&mut world.networks, other);
    let second = world.container("bridge", vec![publish(Protocol::Tcp, 80)]);
    let serving = [
        tcp_server(&first.netns, 80, 1),
        tcp_server(&second.netns, 80, 2),
    ];
    tcp(&world.outside, HOST, first.host_port(0)).unwrap();
    tcp(&world.outside, HOST, second.host_port(0)).unwrap();
    assert!(tcp_is_blocked(&first.netns, second.ip(), 80), "isolated");
    let two = world.networks.clone();
    world.host.run(move || mine.tear_down().unwrap());
    tcp(&world.outside, HOST, second.host_port(0)).expect("untouched by the other's end");
    drop(serving);
    world.host.run(move || two.tear_down().unwrap());
}

#[test]
fn a_failed_attach_leaves_nothing() {
    if !privileged("a_failed_attach_leaves_nothing") {
        return;
    }
    let world = World::new();
    let networks = world.networks.clone();
    let container = Netns::new();
    // eth0 is taken: the peer can't be made.
    container.run(|| shell("ip link add eth0 type veth peer name eth9"));
    let fd = container.fd().try_clone().unwrap();
    let request = EndpointRequest {
        container_id: "f".repeat(64),
        container_name: "f".into(),
        network: "bridge".into(),
        ports: vec![publish(Protocol::Tcp, 80)],
        ..EndpointRequest::default()
    };
    let state = world.host.run(move || {
        let reserved = networks.reserve(request).unwrap();
        let error = networks
            .attach(&reserved.endpoint.id, std::os::fd::AsFd::as_fd(&fd))
            .unwrap_err();
        assert!(
            error.to_string().starts_with("create veth pair dv"),
            "{error}"
        );
        networks.release(&reserved.endpoint.id).unwrap();
        shell("ip -o link; nft list map ip dhow published")
    });
    assert!(
        !state.contains(": dv") && !state.contains("elements"),
        "{state}"
    );
}
