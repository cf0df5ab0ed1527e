//! What the verbs answer, on simulated supervisors.

use dhow_errdefs::{Classify, ErrorKind, chain};

use super::World;
use crate::container::{ListOptions, RemoveOptions};
use crate::exec::{CreateExec, StartExec};
use crate::filters::Filters;

fn text(error: &crate::Error) -> String {
    chain(error).to_string()
}

#[tokio::test]
async fn signals_and_removals_meet_dockers_refusals() {
    let world = World::new().await;
    let containers = world.engine.containers();
    let sim = world.run("web", |_| {}).await;
    let id = containers
        .inspect("web", false)
        .await
        .unwrap()
        .record
        .id
        .clone();
    let error = containers.kill("web", Some("NOPE")).await.unwrap_err();
    assert_eq!(
        text(&error),
        "cannot kill container: web: invalid signal: NOPE"
    );
    containers.kill("web", Some("HUP")).await.unwrap();
    assert_eq!(sim.signals(), [1]);
    let error = containers
        .remove("web", RemoveOptions::default())
        .await
        .unwrap_err();
    assert_eq!(
        text(&error),
        "cannot remove container \"web\": container is running: stop the container before removing or force remove"
    );
    assert_eq!(error.kind(), ErrorKind::Conflict);
    containers.pause("web").await.unwrap();
    let error = containers.pause("web").await.unwrap_err();
    assert_eq!(text(&error), format!("container {id} is already paused"));
    containers.unpause("web").await.unwrap();
    let error = containers.unpause("web").await.unwrap_err();
    assert_eq!(text(&error), format!("Container {id} is not paused"));
    containers.kill("web", None).await.unwrap();
    let error = containers.kill("web", None).await.unwrap_err();
    assert_eq!(
        text(&error),
        format!("cannot kill container: web: container {id} is not running")
    );
    containers.start("web").await.unwrap();
    containers
        .remove(
            "web",
            RemoveOptions {
                force: true,
                ..RemoveOptions::default()
            },
        )
        .await
        .unwrap();
    assert!(containers.inspect("web", false).await.is_err());
}

#[tokio::test]
async fn execs_run_once_and_tell_their_code() {
    let world = World::new().await;
    let (containers, execs) = (world.engine.containers(), world.engine.execs());
    let sim = world
        .run("web", |request| request.config.env = vec!["A=1".into()])
        .await;
    let error = execs
        .create("web", CreateExec::default())
        .await
        .unwrap_err();
    assert_eq!(text(&error), "No exec command specified");
    let ask = |program: &str| CreateExec {
        cmd: vec![program.into()],
        ..CreateExec::default()
    };
    let id = execs.create("web", ask("true")).await.unwrap();
    assert_eq!(execs.inspect(&id).unwrap().exit_code, None);
    let detached = StartExec {
        detach: true,
        ..StartExec::default()
    };
    assert!(execs.start(&id, detached).await.unwrap().is_none());
    assert!(execs.inspect(&id).unwrap().running);
    let env = sim.execs()[0].process.env().clone().unwrap();
    assert!(env.contains(&"A=1".to_owned()));
    sim.exec_exit(&id, 3);
    assert_eq!(world.engine.execs().services.execs.ended(&id).await, 3);
    let error = execs.start(&id, detached).await.unwrap_err();
    assert_eq!(text(&error), format!("exec command {id} has already run"));

    let id = execs.create("web", ask("/no/bin")).await.unwrap();
    let error = execs.start(&id, detached).await.unwrap_err();
    assert_eq!(
        text(&error),
        "OCI runtime exec failed: exec failed: unable to start container process: \
         exec: \"/no/bin\": stat /no/bin: no such file or directory"
    );
    assert_eq!(execs.inspect(&id).unwrap().exit_code, Some(127));
    containers.pause("web").await.unwrap();
    let error = execs.create("web", ask("true")).await.unwrap_err();
    assert_eq!(
        text(&error),
        "Container web is paused, unpause the container before exec"
    );
}

#[tokio::test]
async fn lists_are_filtered() {
    let world = World::new().await;
    let containers = world.engine.containers();
    world
        .run("web", |request| {
            drop(request.config.labels.insert("tier".into(), "front".into()))
        })
        .await;
    world.create("db", |_| {}).await;
    let list = async |pairs: &[(&str, &str)], all: bool| {
        let map = pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), vec![(*value).to_owned()]));
        let options = ListOptions {
            all,
            filters: Filters::new(map.collect()),
            ..ListOptions::default()
        };
        containers.list(&options).await.map(|list| {
            list.iter()
                .map(|summary| summary.record.name.to_string())
                .collect::<Vec<_>>()
        })
    };
    assert_eq!(list(&[], false).await.unwrap(), ["web"]);
    assert_eq!(list(&[], true).await.unwrap(), ["db", "web"]);
    for (filter, wanted) in [
        (("label", "tier=front"), vec!["web"]),
        (("status", "created"), vec!["db"]),
        (("name", "^/d"), vec!["db"]),
        (("ancestor", "box"), vec!["db", "web"]),
        (("since", "web"), vec!["db"]),
        (("before", "db"), vec!["web"]),
        (("network", "bridge"), vec!["db", "web"]),
        (("health", "none"), vec!["db", "web"]),
        (("exited", "0"), vec![]),
    ] {
        assert_eq!(list(&[filter], true).await.unwrap(), wanted, "{filter:?}");
    }
    let error = list(&[("status", "weird")], true).await.unwrap_err();
    assert_eq!(
        text(&error),
        "invalid filter 'status=weird': invalid value for state (weird): must be one of created, running, paused, \
         restarting, removing, exited, dead"
    );
    assert_eq!(
        text(&list(&[("nosuch", "x")], true).await.unwrap_err()),
        "invalid filter 'nosuch'"
    );
}

#[tokio::test]
async fn pruning_takes_what_does_not_run() {
    let world = World::new().await;
    let containers = world.engine.containers();
    world.run("web", |_| {}).await;
    let id = world.create("old", |_| {}).await;
    let pruned = containers.prune(&Filters::default()).await.unwrap();
    assert_eq!(pruned.removed, [id]);
    assert_eq!(
        containers
            .list(&ListOptions {
                all: true,
                ..ListOptions::default()
            })
            .await
            .unwrap()
            .len(),
        1
    );
}
