//! How fast a pull is; run by hand against a registry with a large image:
//! `DHOW_PULL=127.0.0.1:5000/big:1 cargo test --release -p dhow-image --test pull_speed -- --ignored --nocapture`
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

mod common;
#[path = "../../dhow-distribution/tests/fake/mod.rs"]
mod fake;

use std::time::Instant;

use dhow_distribution::{Credentials, RegistryConfig};
use dhow_oci::Reference;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn pull_speed() {
    let name = std::env::var("DHOW_PULL").unwrap();
    let reference = Reference::parse(&name).unwrap();
    let base = std::env::var("DHOW_PULL_DIR").unwrap_or_else(|_| "/var/tmp".into());
    let mut stores = Vec::new();
    for _ in 0..3 {
        // Kept to the end: ext4 is slow where many files were removed a moment ago.
        let folder = tempfile::tempdir_in(&base).unwrap();
        let store = common::store_in(folder, RegistryConfig::default());
        let (progress, _collected) = common::progress();
        let start = Instant::now();
        store
            .images
            .pull(&reference, None, &Credentials::anonymous(), &progress)
            .await
            .unwrap();
        println!("pulled {name} in {:.2} s", start.elapsed().as_secs_f64());
        stores.push(store);
    }
}
