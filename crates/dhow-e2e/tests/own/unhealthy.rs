//! `--restart on-unhealthy`, and what is told between two runs.

use std::time::{Duration, Instant};

use dhow_e2e::Bench;
use dhow_testkit::Cli;
use serde_json::Value;

/// What a test waits for at most.
const LIMIT: Duration = Duration::from_secs(30);

fn inspect(b: &Bench, name: &str) -> Value {
    let path = format!("/v1.51/containers/{name}/json");
    b.engine.client().get(&path).unwrap().json()
}

#[track_caller]
fn until(b: &Bench, name: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let begun = Instant::now();
    loop {
        let now = inspect(b, name);
        if is_so(&now) {
            return now;
        }
        assert!(begun.elapsed() < LIMIT, "{}", now["State"]);
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A container that is as healthy as `/well` says, and ends with 0 when it is asked to.
fn run(b: &Bench, name: &str, policy: &str) {
    let script = "trap 'exit 0' TERM; echo begun; while :; do sleep 0.05; done";
    let _ = b.words_ok(&[
        "run",
        "-d",
        "--name",
        name,
        "--restart",
        policy,
        "--health-cmd",
        "test ! -e /ill",
        "--health-interval",
        "100ms",
        "--health-retries",
        "2",
        "busybox",
        "sh",
        "-c",
        script,
    ]);
}

fn restarts(container: &Value) -> u64 {
    container["RestartCount"].as_u64().unwrap()
}

/// Whether it runs now: between two runs it counts as running, too.
fn runs(container: &Value) -> bool {
    container["State"]["Status"] == "running"
}

fn health(container: &Value) -> &str {
    container["State"]["Health"]["Status"].as_str().unwrap()
}

/// Whoever turns unhealthy is stopped and started, as often as it is said; then it is left alone.
#[test]
fn the_unhealthy_are_started_again() {
    if !dhow_testkit::root_or_skip("restart on unhealthy") {
        return;
    }
    for cli in Cli::BOTH {
        let b = Bench::new(cli);
        run(&b, "web", "on-unhealthy:2");
        let pid = inspect(&b, "web")["State"]["Pid"].clone();
        until(&b, "web", |now| health(now) == "healthy");
        // The files of a container outlive its runs, so it never gets well again.
        let _ = b.ok("exec web touch /ill");
        let now = until(&b, "web", |now| {
            restarts(now) == 2 && runs(now) && health(now) == "unhealthy"
        });
        assert_ne!(now["State"]["Pid"], pid);
        let policy = &now["HostConfig"]["RestartPolicy"];
        assert_eq!(policy["Name"], "on-unhealthy");
        assert_eq!(policy["MaximumRetryCount"], 2);
        assert_eq!(b.ok("logs web"), "begun\nbegun\nbegun");
        // No try is left: it runs on, and can get well.
        let _ = b.ok("exec web rm /ill");
        until(&b, "web", |now| health(now) == "healthy");
        assert_eq!(restarts(&inspect(&b, "web")), 2);

        let why = Cli::Dhow.run(&b.engine, &["why", "web"]).stdout;
        assert!(why.contains("because it was unhealthy"), "{why}");
        assert!(
            why.contains("on-unhealthy (2 times at most); it was restarted 2 times"),
            "{why}"
        );
        // Who is stopped stays so, ill or not.
        let _ = b.ok("update --restart on-unhealthy web");
        let _ = b.ok("stop web");
        let _ = b.ok("start web");
        let _ = b.ok("stop web");
        let now = inspect(&b, "web");
        assert_eq!(
            (&now["State"]["Status"], restarts(&now)),
            (&"exited".into(), 0)
        );
    }
}

/// The verdict outlives the engine: the next one acts on it, and sees the ends that nobody saw.
#[test]
fn the_unhealthy_are_started_again_by_the_next_engine() {
    if !dhow_testkit::root_or_skip("restart on unhealthy") {
        return;
    }
    let mut b = Bench::new(Cli::Dhow);
    run(&b, "web", "always");
    let _ = b.ok("exec web touch /ill");
    until(&b, "web", |now| health(now) == "unhealthy");
    assert_eq!(restarts(&inspect(&b, "web")), 0);
    // A probe takes its time, so that the engine is gone before the next one.
    let _ = b.ok("update --restart on-unhealthy:1 web");
    b.engine.kill9();
    b.engine.boot();
    let now = until(&b, "web", |now| restarts(now) == 1 && runs(now));
    assert_eq!(now["State"]["ExitCode"], 0);
    until(&b, "web", |now| health(now) == "unhealthy");

    // It ends by itself while no engine runs; ill as it was, it is started although it ended well.
    let _ = b.ok("update --restart on-unhealthy:2 web");
    until(&b, "web", |now| {
        restarts(now) == 2 && runs(now) && health(now) == "unhealthy"
    });
    let pid = inspect(&b, "web")["State"]["Pid"].as_i64().unwrap();
    b.engine.kill9();
    let process = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(process, rustix::process::Signal::TERM).unwrap();
    b.engine.boot();
    let now = until(&b, "web", |now| now["State"]["Running"] == false);
    // Both tries are gone.
    assert_eq!((restarts(&now), &now["State"]["ExitCode"]), (2, &0.into()));
}

#[test]
fn what_can_have_no_effect_is_refused() {
    if !dhow_testkit::root_or_skip("restart on unhealthy") {
        return;
    }
    let b = Bench::new(Cli::Docker);
    let refused = |line: &str, why: &str| {
        let output = b.run(line);
        assert!(
            output.code != 0 && output.stderr.contains(why),
            "{output:?}"
        );
    };
    refused(
        "create --restart on-unhealthy busybox",
        "'on-unhealthy' needs a health check",
    );
    refused(
        "create --restart on-unhealthy --no-healthcheck busybox",
        "'on-unhealthy' needs a health check",
    );
    let _ = b.ok("create --name plain busybox");
    refused(
        "update --restart on-unhealthy:3 plain",
        "'on-unhealthy' needs a health check",
    );
}

/// Between two runs it is told when the next one begins: in the list as Dhow shows it, and in fields of its own.
#[test]
fn the_next_start_is_told() {
    if !dhow_testkit::root_or_skip("crash loops") {
        return;
    }
    let b = Bench::new(Cli::Dhow);
    let _ = b.ok("run -d --name loop --restart always busybox false");
    // The waits double, so that soon there is time to look.
    until(&b, "loop", |now| {
        restarts(now) >= 5 && now["State"]["NextStartAt"].is_string()
    });
    let list = b.ok("ps");
    let expected = "Restarting (1)";
    assert!(
        list.contains(expected) && list.contains(" ago, next in "),
        "{list}"
    );
    let format = "{{.Status}}";
    let status = b.words_ok(&["ps", "--format", format]);
    assert!(!status.contains("next"), "{status}");
    let official = Cli::Docker.run(&b.engine, &["ps"]).stdout;
    assert!(
        official.contains(expected) && !official.contains("next in"),
        "{official}"
    );
    let entry = b
        .engine
        .client()
        .get("/v1.51/containers/json")
        .unwrap()
        .json();
    assert!(entry[0]["NextStartAt"].is_string(), "{entry}");
    assert!(b.ok("why loop").contains("it is started again in "), "why");
    let _ = b.ok("rm -f loop");
}
