//! What an engine finds that begins where another one died.

use std::collections::BTreeMap;

use dhow_shim::ShimStatus;

use super::World;
use crate::connector::Connector;
use crate::container::{ListOptions, Status, WaitCondition};
use dhow_container::spec::{PortBinding, RestartName, RestartPolicy};

#[tokio::test]
async fn running_containers_are_taken_back() {
    let world = World::new().await;
    let sim = world.run("web", |_| {}).await;
    let world = world.reborn().await;
    let containers = world.engine.containers();
    let record = containers.inspect("web", false).await.unwrap().record;
    assert_eq!(
        (record.state.status, record.state.pid),
        (Status::Running, 4242)
    );
    assert_eq!(world.networks.connected().len(), 1);
    let wait = containers.wait("web", WaitCondition::NextExit).unwrap();
    sim.exit(5);
    assert_eq!(wait.await.unwrap().code, 5);
}

#[tokio::test]
async fn exits_that_nobody_saw_are_not_lost() {
    let world = World::new().await;
    let sim = world.run("web", |_| {}).await;
    let lost = world.run("lost", |_| {}).await;
    world.supervisor.disconnect_all();
    sim.exit(5);
    lost.vanish();
    let world = world.reborn().await;
    let containers = world.engine.containers();
    let record = containers.inspect("web", false).await.unwrap().record;
    assert_eq!(
        (record.state.status, record.state.exit_code),
        (Status::Exited, 5)
    );
    let record = containers.inspect("lost", false).await.unwrap().record;
    assert_eq!(
        (record.state.status, record.state.exit_code),
        (Status::Exited, 255)
    );
    assert!(world.networks.connected().is_empty());
    assert_eq!(world.count("run/containers"), 0);
}

#[tokio::test]
async fn policies_hold_across_the_engines_death() {
    let world = World::new().await;
    let policy = |name| RestartPolicy {
        name,
        maximum_retry_count: 0,
    };
    let sim = world
        .run("always", |request| {
            request.host.restart_policy = policy(RestartName::Always)
        })
        .await;
    let once = world
        .run("once", |request| request.host.auto_remove = true)
        .await;
    world.supervisor.disconnect_all();
    sim.exit(1);
    once.exit(0);
    let world = world.reborn().await;
    let containers = world.engine.containers();
    let mut events =
        world
            .engine
            .events()
            .subscribe(None, None, crate::filters::Filters::default());
    while containers
        .inspect("always", false)
        .await
        .unwrap()
        .record
        .state
        .status
        != Status::Running
    {
        futures::StreamExt::next(&mut events).await;
    }
    assert!(containers.inspect("once", false).await.is_err());
    assert_eq!(world.supervisor.spawned(), 3);
}

#[tokio::test]
async fn a_start_that_was_cut_is_undone_or_finished() {
    let world = World::new().await;
    let (cut, done) = (
        world.create("cut", |_| {}).await,
        world.create("done", |_| {}).await,
    );
    // A template of what the supervisor was told.
    let template = world.run("other", |_| {}).await.config.clone();
    for (id, status) in [(&cut, ShimStatus::Created), (&done, ShimStatus::Running)] {
        let run = world.path(&format!("run/containers/{id}"));
        std::fs::create_dir_all(&run).unwrap();
        let mut config = template.clone();
        config.id.clone_from(id);
        config.socket = run.join("shim.sock");
        config.state_dir = world.path(&format!("data/containers/{id}"));
        world.supervisor.plant(config, status);
    }
    let world = world.reborn().await;
    let containers = world.engine.containers();
    let status = async |name: &str| {
        containers
            .inspect(name, false)
            .await
            .unwrap()
            .record
            .state
            .status
    };
    assert_eq!(status("cut").await, Status::Created);
    assert_eq!(status("done").await, Status::Running);
    assert_eq!(world.supervisor.sim(&cut).signals(), [9]);
    assert_eq!(world.count("run/containers"), 2);
}

#[tokio::test]
async fn what_belongs_to_nobody_is_removed() {
    let world = World::new().await;
    let id = world.create("kept", |_| {}).await;
    for folder in ["data/containers/orphan", "run/containers/orphan"] {
        std::fs::create_dir_all(world.path(folder)).unwrap();
    }
    let services = &world.engine.containers().services;
    services.snapshots.prepare("orphan", None).unwrap();
    let world = world.reborn().await;
    assert_eq!(world.count("data/containers"), 1);
    assert_eq!(world.count("run/containers"), 0);
    assert_eq!(world.count("data/layers/active"), 1);
    world.engine.containers().start(&id).await.unwrap();
}

#[tokio::test]
async fn many_stopped_containers_cost_little() {
    let world = World::new().await;
    for number in 0..500 {
        world.create(&format!("c{number}"), |_| {}).await;
    }
    let begun = std::time::Instant::now();
    let world = world.reborn().await;
    let restored = begun.elapsed();
    let options = ListOptions {
        all: true,
        ..ListOptions::default()
    };
    let begun = std::time::Instant::now();
    assert_eq!(
        world
            .engine
            .containers()
            .list(&options)
            .await
            .unwrap()
            .len(),
        500
    );
    let listed = begun.elapsed();
    // Far above the goals, which hold for an optimised program on a quiet machine.
    assert!(
        restored.as_millis() < 3000 && listed.as_millis() < 500,
        "{restored:?} {listed:?}"
    );
}

/// A change of ports that was cut before it was noted is taken back: the container's record counts.
#[tokio::test]
async fn half_changed_ports_are_mended() {
    let world = World::new().await;
    let port = "80/tcp".parse().unwrap();
    let wish = PortBinding {
        host_ip: None,
        host_port: "8080".parse().ok(),
    };
    let _sim = world
        .run("web", |request| {
            request.host.port_bindings = BTreeMap::from([(port, vec![wish])]);
        })
        .await;
    let published = |world: &World| {
        let (endpoints, _) = world.networks.occupancy(&bridge(world)).unwrap();
        endpoints[0].ports.clone()
    };
    let before = published(&world);
    assert_eq!(before[0].host_port, 8080);
    let (endpoints, _) = world.networks.occupancy(&bridge(&world)).unwrap();
    let mut changed = before.clone();
    changed[0].host_port = 9090;
    world.networks.publish(&endpoints[0].id, changed).unwrap();
    let world = world.reborn().await;
    assert_eq!(published(&world), before);
}

fn bridge(world: &World) -> String {
    world.networks.get("bridge").unwrap().id
}
