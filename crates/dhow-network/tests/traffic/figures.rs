//! Figures, and what needs the machine's own way out: run by hand.

use super::*;

/// Prints how long the steps take: `cargo test --release -p dhow-network --test traffic -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn how_long_the_steps_take() {
    use std::os::fd::AsFd;
    use std::time::{Duration, Instant};
    if !privileged("how_long_the_steps_take") {
        return;
    }
    let world = World::new();
    let networks = world.networks.clone();
    let mut times = [const { Vec::<Duration>::new() }; 3];
    let begin = Instant::now();
    for number in 0..300 {
        let container = Netns::new();
        let networks = networks.clone();
        let fd = container.fd().try_clone().unwrap();
        let steps = world.host.run(move || {
            let request = EndpointRequest {
                container_id: format!("{number:064x}"),
                network: "bridge".into(),
                ports: vec![publish(Protocol::Tcp, 80)],
                ..EndpointRequest::default()
            };
            let start = Instant::now();
            let reserved = networks.reserve(request).unwrap();
            let reserve = start.elapsed();
            networks.attach(&reserved.endpoint.id, fd.as_fd()).unwrap();
            let attach = start.elapsed() - reserve;
            networks
                .release_container(&reserved.endpoint.container_id)
                .unwrap();
            [reserve, attach, start.elapsed() - reserve - attach]
        });
        times
            .iter_mut()
            .zip(steps)
            .for_each(|(times, step)| times.push(step));
    }
    eprintln!("each: {:?}", begin.elapsed() / 300);
    for (step, mut times) in ["reserve", "attach", "release"].into_iter().zip(times) {
        times.sort();
        eprintln!(
            "{step}: median {:?}, nine tenths within {:?}, worst {:?}",
            times[150], times[270], times[299]
        );
    }
}

/// Prints what a published port and the way out carry, with and without the detour.
#[test]
#[ignore = "a measurement"]
fn how_much_is_carried() {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    const BYTES: usize = 2 << 30;
    for (name, rules) in [("plain", "true"), ("detour", DOCKERS_DROP)] {
        let mut world = World::with(|host| {
            host.run(move || shell(rules));
        });
        let server = world.container("bridge", vec![publish(Protocol::Tcp, 80)]);
        let port = server.host_port(0);
        for (way, from, to, at) in [
            ("in", &world.outside, &server.netns, (HOST, port)),
            ("out", &server.netns, &world.outside, (OUTSIDE, 80)),
        ] {
            let listener = to.run(|| TcpListener::bind((Ipv4Addr::UNSPECIFIED, 80)).unwrap());
            let sink = std::thread::spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                let mut buffer = vec![0; 1 << 20];
                while stream.read(&mut buffer).unwrap() > 0 {}
            });
            let begin = std::time::Instant::now();
            from.run(move || {
                let mut stream = TcpStream::connect(at).unwrap();
                let buffer = vec![0; 1 << 20];
                (0..BYTES / buffer.len()).for_each(|_| stream.write_all(&buffer).unwrap());
            });
            sink.join().unwrap();
            eprintln!(
                "{name} {way}: {:.1} Gbit/s",
                BYTES as f64 * 8e-9 / begin.elapsed().as_secs_f64()
            );
        }
    }
}

/// On this machine's own network, and its real way out: `DHOW_TEST_REAL_HOST='apt-get update' cargo test ... -- --ignored`.
#[test]
#[ignore = "changes the machine's network"]
fn the_real_way_out() {
    use std::os::fd::AsFd;
    let Ok(command) = std::env::var("DHOW_TEST_REAL_HOST") else {
        eprintln!("SKIPPED the_real_way_out: DHOW_TEST_REAL_HOST is not set");
        return;
    };
    let forwarding = std::fs::read_to_string("/proc/sys/net/ipv4/ip_forward").unwrap();
    let db = dhow_metadata::Database::open_in_memory().unwrap();
    let config = NetworksConfig {
        instance: "check".into(),
        bridge_name: "check0".into(),
        ..NetworksConfig::new(db)
    };
    let networks = Networks::open(config).unwrap();
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let container = Netns::new();
        let request = EndpointRequest {
            container_id: "c".into(),
            network: "bridge".into(),
            ..EndpointRequest::default()
        };
        let reserved = networks.reserve(request).unwrap();
        networks
            .attach(&reserved.endpoint.id, container.fd().as_fd())
            .unwrap();
        let said = container.run(move || shell(&command));
        eprintln!("{said}");
    }));
    networks.tear_down().unwrap();
    std::fs::write("/proc/sys/net/ipv4/ip_forward", forwarding).unwrap();
    outcome.unwrap();
}
