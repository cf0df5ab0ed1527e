//! Steps on simulated supervisors and networks.

use std::path::Path;
use std::sync::{Arc, Mutex};

use dhow_oci::runtime::Spec;
use dhow_shim::{Rootfs, ShimStatus};
use dhow_snapshot::Mounts;
use tokio::task::JoinHandle;

use super::{Sim, World};
use crate::container::ListOptions;
use crate::spec::{NetworkMode, Resources};
use crate::steps::{Step, StepHost, StepOutput};

#[derive(Default)]
struct Text(Mutex<String>);

impl StepOutput for Text {
    fn write(&self, stream: u8, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        self.0.lock().unwrap().push_str(&format!("{stream}{text}"));
    }
}

fn step(id: &str) -> Step {
    Step {
        id: id.into(),
        root: Mounts {
            lower: vec!["/lower".into()],
            upper: Some("/upper".into()),
            work: Some("/work".into()),
            ..Mounts::default()
        },
        args: vec!["/bin/sh".into(), "-c".into(), "make".into()],
        env: vec!["A=b".into()],
        ..Step::default()
    }
}

/// Begins a step and gives what simulates it, once it runs.
async fn begin(
    world: &World,
    step: Step,
    output: Arc<Text>,
) -> (Arc<Sim>, JoinHandle<crate::Result<i32>>) {
    let steps = world.engine.steps();
    let id = step.id.clone();
    let work = tokio::spawn(async move { steps.run(step, output).await });
    (world.supervisor.running(&id).await, work)
}

fn document(sim: &Sim) -> Spec {
    let document = std::fs::read(sim.config.bundle.join("config.json")).unwrap();
    serde_json::from_slice(&document).unwrap()
}

#[tokio::test]
async fn a_step_runs_prints_and_leaves_nothing() {
    let world = World::new().await;
    let text = Arc::new(Text::default());
    let wish = Step {
        host: StepHost {
            hosts: vec![("db".into(), "10.9.9.9".parse().unwrap())],
            resources: Resources {
                cgroup_parent: "/other".into(),
                ..Resources::default()
            },
            ..StepHost::default()
        },
        ..step("s1")
    };
    let (sim, work) = begin(&world, wish, text.clone()).await;

    assert_eq!(sim.config.log.driver, "none");
    let overlay = Rootfs::Overlay {
        lower: vec!["/lower".into()],
        upper: Some("/upper".into()),
        work: Some("/work".into()),
        read_only: false,
        volatile: true,
    };
    assert_eq!(sim.config.rootfs, overlay);
    let spec = document(&sim);
    let process = spec.process().as_ref().unwrap();
    assert_eq!(process.env().as_ref().unwrap().as_slice(), ["A=b"]);
    assert_eq!(spec.hostname().as_deref(), Some("buildkitsandbox"));
    let linux = spec.linux().as_ref().unwrap();
    let group = linux.cgroups_path().as_ref().unwrap();
    assert_eq!(group, Path::new("/other/s1"));
    let hosts = std::fs::read_to_string(sim.config.bundle.join("hosts")).unwrap();
    assert!(hosts.contains("10.9.9.9\tdb\n"), "{hosts}");
    assert!(hosts.contains("buildkitsandbox"), "{hosts}");
    assert_eq!(world.networks.connected(), ["s1"]);
    let all = ListOptions {
        all: true,
        ..ListOptions::default()
    };
    let listed = world.engine.containers().list(&all).await.unwrap();
    assert!(listed.is_empty());

    sim.print("\u{1}\0\0\0\0\0\0\u{3}one\u{2}\0\0\0\0\0\0\u{3}two")
        .await;
    sim.exit(7);
    assert_eq!(work.await.unwrap().unwrap(), 7);
    assert_eq!(*text.0.lock().unwrap(), "1one2two");
    nothing_is_left(&world);
}

fn nothing_is_left(world: &World) {
    assert_eq!(world.count("run/steps"), 0);
    assert_eq!(world.count("data/steps"), 0);
    assert!(world.networks.connected().is_empty());
}

#[tokio::test]
async fn dropping_the_future_kills() {
    let world = World::new().await;
    let (sim, work) = begin(&world, step("s1"), Arc::default()).await;
    work.abort();
    world.engine.steps().settled("s1").await;
    assert_eq!(sim.signals(), [9]);
    nothing_is_left(&world);
    // The id is free again.
    drop(world.engine.steps().services.steps.enter("s1").unwrap());
}

#[tokio::test]
async fn the_end_of_the_engine_kills() {
    let world = World::new().await;
    let (sim, work) = begin(&world, step("s1"), Arc::default()).await;
    world.engine.drain().await;
    assert_eq!(work.await.unwrap().unwrap(), 137);
    assert_eq!(sim.signals(), [9]);
    nothing_is_left(&world);
    let steps = world.engine.steps();
    let refused = steps.run(step("s2"), Arc::<Text>::default());
    assert!(refused.await.is_err());
}

#[tokio::test]
async fn a_step_that_can_not_be_started_leaves_nothing() {
    let world = World::new().await;
    *world.networks.refuse_attach.lock().unwrap() = true;
    let steps = world.engine.steps();
    let output = || Arc::<Text>::default();
    steps.run(step("s1"), output()).await.unwrap_err();
    nothing_is_left(&world);

    *world.supervisor.refuse.lock().unwrap() = Some("exec: \"make\": not found".into());
    let error = steps.run(step("s1"), output()).await.unwrap_err();
    let text = dhow_errdefs::chain(&error).to_string();
    assert!(text.ends_with("exec: \"make\": not found"), "{text}");
    nothing_is_left(&world);

    for id in ["", "../x", "a/b", "a b"] {
        assert!(steps.run(step(id), output()).await.is_err(), "{id}");
    }
}

#[tokio::test]
async fn the_supervisor_of_a_step_is_killed() {
    let world = World::new().await;
    let (sim, work) = begin(&world, step("s1"), Arc::default()).await;
    sim.vanish();
    let error = work.await.unwrap().unwrap_err();
    assert_eq!(error.to_string(), "the command's supervisor was killed");
    nothing_is_left(&world);
}

#[tokio::test]
async fn networks_are_as_asked_for() {
    let world = World::new().await;
    for (mode, endpoints, own) in [
        (NetworkMode::Default, 1, true),
        (NetworkMode::None, 0, true),
        (NetworkMode::Network("own".into()), 1, true),
        (NetworkMode::Host, 0, false),
    ] {
        let wish = Step {
            network: mode.clone(),
            ..step(&format!("s-{mode}"))
        };
        let (sim, work) = begin(&world, wish, Arc::default()).await;
        assert_eq!(world.networks.connected().len(), endpoints, "{mode:?}");
        let namespaces = document(&sim).linux().clone().unwrap();
        let network = dhow_oci::runtime::LinuxNamespaceType::Network;
        let has = namespaces
            .namespaces()
            .iter()
            .flatten()
            .any(|namespace| namespace.typ() == network);
        assert_eq!(has, own, "{mode:?}");
        sim.exit(0);
        work.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn the_next_engine_ends_the_steps_of_the_last() {
    let world = World::new().await;
    let (sim, _work) = begin(&world, step("s1"), Arc::default()).await;
    // Of another, not even the supervisor is there any more.
    std::fs::create_dir_all(world.path("run/steps/s2")).unwrap();
    std::fs::create_dir_all(world.path("data/steps/s3/0/upper")).unwrap();
    let world = world.reborn().await;
    assert!(sim.signals().contains(&9));
    assert_eq!(sim.status(), ShimStatus::Stopped);
    nothing_is_left(&world);
}
