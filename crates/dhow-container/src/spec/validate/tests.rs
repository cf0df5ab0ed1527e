#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::spec::{NetworkMode, Resources, RestartName};

fn refused(change: impl FnOnce(&mut CreateContainer)) -> String {
    let mut request = CreateContainer::default();
    change(&mut request);
    let runtimes = ["runc".to_owned()];
    create(
        &request,
        &Facts {
            cpus: 2,
            memory_nodes: "0",
            runtimes: &runtimes,
            apparmor: false,
            quotas: false,
        },
    )
    .map_or_else(|error| error.to_string(), |_| String::new())
}

fn limit(change: impl FnOnce(&mut Resources)) -> String {
    refused(|request| change(&mut request.host.resources))
}

#[test]
fn names() {
    assert_eq!(name("/web").unwrap(), "web");
    assert_eq!(name("a_b.c-1").unwrap(), "a_b.c-1");
    for bad in ["", "/", "a", "/bad/name", "-a", "a b", "é2"] {
        let text =
            format!("Invalid container name ({bad}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed");
        assert_eq!(name(bad).unwrap_err().to_string(), text);
    }
}

#[test]
fn limits_are_checked_with_dockers_texts() {
    assert_eq!(
        limit(|limits| limits.memory = 1024),
        "Minimum memory limit allowed is 6MB"
    );
    assert_eq!(
        limit(|limits| limits.memory_swap = 1 << 30),
        "You should always set the Memory limit when using Memoryswap limit, see usage"
    );
    assert_eq!(
        limit(|limits| limits.nano_cpus = 3_000_000_000),
        "range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available"
    );
    assert_eq!(
        limit(|limits| limits.cpuset_cpus = "0-5".into()),
        "Requested CPUs are not available - requested 0-5, available: 0-1"
    );
    assert_eq!(
        limit(|limits| limits.cpuset_cpus = "x".into()),
        "Invalid value x for cpuset cpus: invalid format: x"
    );
    assert_eq!(
        limit(|limits| limits.blkio_weight = 5),
        "Range of blkio weight is from 10 to 1000"
    );
    assert_eq!(limit(|limits| limits.memory = 64 << 20), "");
}

#[test]
fn settings_that_contradict_each_other_are_refused() {
    assert_eq!(
        refused(|request| {
            request.host.auto_remove = true;
            request.host.restart_policy.name = RestartName::Always;
        }),
        "can't create 'AutoRemove' container with restart policy"
    );
    assert_eq!(
        refused(|request| {
            request.host.network_mode = NetworkMode::Container("x".into());
            request.config.hostname = "h".into();
        }),
        "conflicting options: hostname and the network mode"
    );
    assert_eq!(
        refused(|request| request.config.working_dir = "tmp".into()),
        "the working directory 'tmp' is invalid, it needs to be an absolute path"
    );
    assert_eq!(
        refused(|request| request.host.runtime = "kata".into()),
        "unknown or invalid runtime name: kata"
    );
    assert_eq!(
        refused(|request| request.host.extra_hosts = vec!["db".into()]),
        "bad format for add-host: \"db\""
    );
    assert_eq!(
        refused(|request| request.config.env = vec!["=x".into()]),
        "invalid environment variable: =x"
    );
}
