//! The life of containers on simulated supervisors.

use std::time::Duration;

use dhow_errdefs::{Classify, ErrorKind, chain};
use futures::StreamExt;
use jiff::Timestamp;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{World, request};
use crate::container::{ListOptions, RemoveOptions, Status, StopOptions, WaitCondition};
use crate::events::Event;
use crate::filters::Filters;
use crate::streams::AttachOptions;
use dhow_container::spec::{Port, PortBinding, PortRange, Protocol, RestartName, RestartPolicy};

async fn actions(world: &World) -> Vec<String> {
    let (since, now) = (Some(Timestamp::UNIX_EPOCH), Some(Timestamp::now()));
    let stream = world
        .engine
        .events()
        .subscribe(since, now, Filters::default());
    let events: Vec<std::sync::Arc<Event>> = stream.collect().await;
    events
        .iter()
        .map(|event| format!("{} {}", event.kind.name(), event.action))
        .collect()
}

fn text(error: &crate::Error) -> String {
    chain(error).to_string()
}

#[tokio::test]
async fn a_container_is_made_run_and_removed_without_a_trace() {
    let world = World::new().await;
    let containers = world.engine.containers();
    let id = world.create("web", |_| {}).await;
    let before = containers.inspect("web", false).await.unwrap();
    assert_eq!(before.record.state.status, Status::Created);
    assert!(before.paths.hosts.as_os_str().is_empty());
    let wait = containers.wait("web", WaitCondition::NextExit).unwrap();

    containers.start("web").await.unwrap();
    let running = containers.inspect(&id[..12], false).await.unwrap().record;
    assert_eq!(
        (running.state.status, running.state.pid),
        (Status::Running, 4242)
    );
    assert_eq!(running.networks["bridge"].ip_prefix_len, 16);
    let hosts =
        std::fs::read_to_string(world.path(&format!("data/containers/{id}/hosts"))).unwrap();
    assert!(hosts.contains(&id[..12]), "{hosts}");
    let again = containers.start("web").await.unwrap_err();
    assert_eq!(again.kind(), ErrorKind::NotModified);

    world.supervisor.sim(&id).exit(7);
    assert_eq!(wait.await.unwrap().code, 7);
    let ended = containers.inspect("web", false).await.unwrap().record;
    assert_eq!(
        (ended.state.status, ended.state.exit_code),
        (Status::Exited, 7)
    );
    assert!(world.networks.connected().is_empty());
    assert_eq!(world.count("run/containers"), 0);

    let removed = containers.wait("web", WaitCondition::Removed).unwrap();
    containers
        .remove("web", RemoveOptions::default())
        .await
        .unwrap();
    assert_eq!(removed.await.unwrap().code, 7);
    assert_eq!(
        text(&containers.inspect("web", false).await.unwrap_err()),
        "No such container: web"
    );
    assert_eq!(world.count("data/containers"), 0);
    assert_eq!(world.count("data/layers/active"), 0);
    let wanted = [
        "image tag",
        "image import",
        "container create",
        "network connect",
        "container start",
        "network disconnect",
        "container die",
        "container destroy",
    ];
    assert_eq!(actions(&world).await, wanted);
}

#[tokio::test]
async fn names_are_unique_and_can_be_changed() {
    let world = World::new().await;
    let containers = world.engine.containers();
    let id = world.create("one", |_| {}).await;
    let error = containers.create(request("one")).await.unwrap_err();
    assert_eq!(
        text(&error),
        format!(
            "Conflict. The container name \"/one\" is already in use by container \"{id}\". \
             You have to remove (or rename) that container to be able to reuse that name."
        )
    );
    assert_eq!(error.kind(), ErrorKind::Conflict);
    containers.rename("one", "two").await.unwrap();
    let other = world.create("one", |_| {}).await;
    assert_ne!(id, other);
    assert_eq!(
        containers.inspect("/two", false).await.unwrap().record.id,
        id
    );
    let unnamed = containers.create(request("")).await.unwrap();
    assert!(
        containers
            .inspect(&unnamed.id, false)
            .await
            .unwrap()
            .record
            .name
            .contains('_')
    );
}

#[tokio::test]
async fn a_failed_creation_leaves_nothing() {
    let world = World::new().await;
    let containers = world.engine.containers();
    let mut missing = request("x1");
    missing.config.image = "nosuch:1".into();
    assert_eq!(
        text(&containers.create(missing).await.unwrap_err()),
        "No such image: nosuch:1"
    );
    let mut bad = request("x1");
    bad.host.binds = vec!["vol1:/x".into(), "a b:/y".into()];
    containers.create(bad).await.unwrap_err();
    assert_eq!(world.count("data/containers"), 0);
    assert_eq!(world.count("data/layers/active"), 0);
    assert!(
        world
            .engine
            .volumes()
            .list(&Filters::default())
            .await
            .unwrap()
            .is_empty()
    );
    world.create("x1", |_| {}).await;
}

#[tokio::test]
async fn a_failed_start_is_noted_with_dockers_code_and_undone() {
    let world = World::new().await;
    let containers = world.engine.containers();
    world.create("bad", |_| {}).await;
    let cause =
        "error during container init: exec: \"/no/bin\": stat /no/bin: no such file or directory";
    *world.supervisor.refuse.lock().unwrap() = Some(cause.into());
    let error = containers.start("bad").await.unwrap_err();
    let wanted = format!(
        "failed to create task for container: failed to create shim task: OCI runtime create failed: \
         runc create failed: unable to start container process: {cause}"
    );
    assert_eq!(text(&error), wanted);
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    let record = containers.inspect("bad", false).await.unwrap().record;
    assert_eq!(
        (record.state.status, record.state.exit_code),
        (Status::Created, 127)
    );
    assert_eq!(record.state.error, wanted);
    assert!(world.networks.connected().is_empty());
    assert_eq!(world.count("run/containers"), 0);

    // The supervisor is there already when the network fails.
    *world.networks.refuse_attach.lock().unwrap() = true;
    let error = containers.start("bad").await.unwrap_err();
    assert!(
        text(&error).starts_with("failed to set up container networking: "),
        "{error}"
    );
    assert!(world.networks.connected().is_empty());
    assert_eq!(world.count("run/containers"), 0);
    containers.start("bad").await.unwrap();
    assert_eq!(
        containers
            .inspect("bad", false)
            .await
            .unwrap()
            .record
            .state
            .error,
        ""
    );
}

#[tokio::test]
async fn a_taken_port_and_a_missing_network_are_told_at_the_start() {
    let world = World::new().await;
    let containers = world.engine.containers();
    let port = Port {
        number: 80,
        protocol: Protocol::Tcp,
    };
    let binding = PortBinding {
        host_ip: None,
        host_port: Some(PortRange {
            start: 8080,
            end: 8080,
        }),
    };
    let publish = |request: &mut dhow_container::spec::CreateContainer| {
        request.config.exposed_ports.insert(port);
        request
            .host
            .port_bindings
            .insert(port, vec![binding.clone()]);
    };
    world.run("first", publish).await;
    world.create("second", publish).await;
    let error = text(&containers.start("second").await.unwrap_err());
    assert!(error.starts_with("failed to set up container networking: driver failed programming external connectivity on endpoint second ("), "{error}");
    assert!(
        error.ends_with("Bind for 0.0.0.0:8080 failed: port is already allocated"),
        "{error}"
    );
    let state = containers
        .inspect("second", false)
        .await
        .unwrap()
        .record
        .state
        .clone();
    assert_eq!((state.status, state.exit_code), (Status::Created, 128));

    world
        .create("lost", |request| {
            request.host.network_mode = "nonet".parse().unwrap()
        })
        .await;
    let error = containers.start("lost").await.unwrap_err();
    assert_eq!(
        text(&error),
        "failed to set up container networking: network nonet not found"
    );
    assert_eq!(error.kind(), ErrorKind::NotFound);

    let list = containers.list(&ListOptions::default()).await.unwrap();
    assert_eq!(list.len(), 1);
    assert_eq!(list[0].ports[0].public, Some(8080));
}

#[tokio::test]
async fn stopping_asks_then_kills() {
    let world = World::new().await;
    let containers = world.engine.containers();
    let soft = world.run("soft", |_| {}).await;
    containers
        .stop("soft", StopOptions::default())
        .await
        .unwrap();
    assert_eq!(soft.signals(), [15]);
    let again = containers
        .stop("soft", StopOptions::default())
        .await
        .unwrap_err();
    assert_eq!(again.kind(), ErrorKind::NotModified);

    let hard = world
        .run("hard", |request| {
            request.config.stop_signal = Some("SIGINT".into())
        })
        .await;
    let options = StopOptions {
        timeout: Some(0),
        ..StopOptions::default()
    };
    containers.stop("hard", options).await.unwrap();
    assert_eq!(hard.signals(), [2, 9]);
    let record = containers.inspect("hard", false).await.unwrap().record;
    assert_eq!(
        (record.state.exit_code, record.manually_stopped),
        (137, true)
    );
}

#[tokio::test]
async fn auto_remove_removes_with_volumes() {
    let world = World::new().await;
    let containers = world.engine.containers();
    let sim = world
        .run("once", |request| {
            request.host.auto_remove = true;
            request.host.binds = vec!["kept:/kept".into()];
            request.config.volumes.insert("/anon".into());
        })
        .await;
    assert_eq!(
        world
            .engine
            .volumes()
            .list(&Filters::default())
            .await
            .unwrap()
            .len(),
        2
    );
    let wait = containers.wait("once", WaitCondition::Removed).unwrap();
    sim.exit(3);
    assert_eq!(wait.await.unwrap().code, 3);
    let left = world
        .engine
        .volumes()
        .list(&Filters::default())
        .await
        .unwrap();
    assert_eq!(
        left.iter()
            .map(|volume| volume.name.as_str())
            .collect::<Vec<_>>(),
        ["kept"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_failing_container_is_restarted_so_often() {
    let world = World::new().await;
    let containers = world.engine.containers();
    let policy = RestartPolicy {
        name: RestartName::OnFailure,
        maximum_retry_count: 2,
    };
    let id = world
        .create("flaky", |request| request.host.restart_policy = policy)
        .await;
    containers.start("flaky").await.unwrap();
    for run in 1..=3 {
        let wait = containers.wait("flaky", WaitCondition::NextExit).unwrap();
        world.supervisor.sim(&id).exit(1);
        wait.await.unwrap();
        while run < 3 && world.supervisor.spawned() == run {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        while run < 3
            && containers
                .inspect("flaky", false)
                .await
                .unwrap()
                .record
                .state
                .status
                != Status::Running
        {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    let record = containers.inspect("flaky", false).await.unwrap().record;
    assert_eq!(
        (record.state.status, record.restart_count),
        (Status::Exited, 2)
    );
}

#[tokio::test]
async fn a_stop_calls_the_restart_off() {
    let world = World::new().await;
    let containers = world.engine.containers();
    let policy = RestartPolicy {
        name: RestartName::Always,
        maximum_retry_count: 0,
    };
    let sim = world
        .run("always", |request| request.host.restart_policy = policy)
        .await;
    let wait = containers.wait("always", WaitCondition::NextExit).unwrap();
    sim.exit(0);
    wait.await.unwrap();
    assert_eq!(
        containers
            .inspect("always", false)
            .await
            .unwrap()
            .record
            .state
            .status,
        Status::Restarting
    );
    containers
        .stop("always", StopOptions::default())
        .await
        .unwrap();
    assert_eq!(
        containers
            .inspect("always", false)
            .await
            .unwrap()
            .record
            .state
            .status,
        Status::Exited
    );
    assert_eq!(world.supervisor.spawned(), 1);
}

#[tokio::test]
async fn attachers_before_the_start_get_every_byte() {
    let world = World::new().await;
    let containers = world.engine.containers();
    let id = world.create("chatty", |_| {}).await;
    let options = AttachOptions {
        stdout: true,
        stream: true,
        ..AttachOptions::default()
    };
    let mut attachment = containers.attach("chatty", options).await.unwrap();
    containers.start("chatty").await.unwrap();
    let sim = world.supervisor.sim(&id);
    sim.print("hello").await;
    sim.exit(0);
    let mut heard = String::new();
    attachment.stream.read_to_string(&mut heard).await.unwrap();
    assert_eq!(heard, "hello");
    attachment.stream.shutdown().await.ok();
}
