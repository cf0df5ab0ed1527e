//! Many stopped containers: packed in memory, and none the worse for it.

use std::sync::Arc;

use super::World;
use crate::container::{ListOptions, RemoveOptions};
use crate::filters::Filters;

/// More than are kept unpacked.
const MANY: usize = 100;

#[tokio::test]
async fn packed_containers_are_listed_inspected_and_changed() {
    let world = World::new().await;
    for number in 0..MANY {
        let wish = |request: &mut dhow_container::spec::CreateContainer| {
            let labels = &mut request.config.labels;
            labels.insert("parity".into(), (number % 2).to_string());
        };
        world.create(&format!("n{number}"), wish).await;
    }
    let containers = world.engine.containers();
    let all = ListOptions {
        all: true,
        ..ListOptions::default()
    };
    let list = containers.list(&all).await.unwrap();
    assert_eq!(list.len(), MANY);
    // What they have in common is there once, but for those that are not packed.
    let mut networks: Vec<_> = list
        .iter()
        .map(|one| Arc::as_ptr(&one.record.networks))
        .collect();
    networks.sort();
    networks.dedup();
    assert!(networks.len() < MANY, "{}", networks.len());
    let odd = ListOptions {
        filters: Filters::new([("label".to_owned(), vec!["parity=1".to_owned()])].into()),
        ..all.clone()
    };
    assert_eq!(containers.list(&odd).await.unwrap().len(), MANY / 2);
    // The first ones are packed.
    let first = containers.inspect("n0", false).await.unwrap().record;
    assert_eq!(first.name, "n0");
    assert_eq!(first.config.labels["parity"], "0");
    containers.rename("n1", "other").await.unwrap();
    assert!(containers.inspect("n1", false).await.is_err());
    assert_eq!(
        containers
            .inspect("other", false)
            .await
            .unwrap()
            .record
            .config
            .labels["parity"],
        "1"
    );
    containers.start("n2").await.unwrap();
    containers
        .remove("n3", RemoveOptions::default())
        .await
        .unwrap();
    let pruned = containers.prune(&Filters::default()).await.unwrap();
    assert_eq!(pruned.removed.len(), MANY - 2);
    let left = containers.list(&all).await.unwrap();
    assert_eq!(
        left.iter().map(|one| &*one.record.name).collect::<Vec<_>>(),
        ["n2"]
    );
}
