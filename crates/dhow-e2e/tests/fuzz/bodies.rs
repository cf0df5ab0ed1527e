//! JSON bodies of requests to a real engine: each is answered, and never as a failure of the engine's own.

use dhow_e2e::Bench;
use dhow_testkit::http::Body;
use dhow_testkit::{Cli, fuzz};

#[test]
fn bodies_are_refused_or_done() {
    if !dhow_testkit::root_or_skip("requests to an engine") {
        return;
    }
    let b = Bench::new(Cli::Dhow);
    let create: &[u8] = br#"{"Image":"busybox","Cmd":["true"],"Env":["A=b"],"User":"0:0","Hostname":"h","ExposedPorts":{"80/tcp":{}},
        "Labels":{"a":"b"},"Tty":false,"Healthcheck":{"Test":["CMD","x"],"Interval":1000000000},"StopTimeout":3,
        "HostConfig":{"Binds":["/tmp:/x:ro"],"Memory":10000000,"PortBindings":{"80/tcp":[{"HostIp":"","HostPort":"0"}]},
        "RestartPolicy":{"Name":"on-failure","MaximumRetryCount":2},"Mounts":[{"Type":"tmpfs","Target":"/t"}],
        "Ulimits":[{"Name":"nofile","Soft":1,"Hard":2}],"Devices":[{"PathOnHost":"/dev/null","PathInContainer":"/dev/n"}],
        "LogConfig":{"Type":"json-file","Config":{"max-size":"1m"}},"CapAdd":["NET_ADMIN"],"Tmpfs":{"/r":"size=1m"},
        "SecurityOpt":["no-new-privileges"],"Sysctls":{"net.ipv4.ip_forward":"1"},"ShmSize":1000000,"Init":true},
        "NetworkingConfig":{"EndpointsConfig":{"bridge":{"Aliases":["x"]}}}}"#;
    let exec: &[u8] = br#"{"Cmd":["true"],"AttachStdout":true,"Env":["A=b"],"User":"0","WorkingDir":"/","Tty":false}"#;
    let network: &[u8] = br#"{"Name":"n","Driver":"bridge","IPAM":{"Config":[{"Subnet":"10.9.0.0/24","Gateway":"10.9.0.1"}]},"Labels":{}}"#;
    let volume: &[u8] = br#"{"Name":"v","Driver":"local","DriverOpts":{},"Labels":{"a":"b"}}"#;
    let update: &[u8] =
        br#"{"Memory":20000000,"CpuShares":5,"RestartPolicy":{"Name":"always"},"PidsLimit":10}"#;
    let _ = b.ok("create --name target busybox true");
    let words: [&[u8]; 10] = [
        b"null",
        b"{}",
        b"[]",
        b"\"\"",
        b"-1",
        b"1e400",
        b"\\u0000",
        b"../../etc",
        b"\"HostConfig\":",
        b"true",
    ];
    let mut client = b.engine.client();
    for (path, seed, cases) in [
        ("/v1.44/containers/create", create, 700),
        ("/v1.44/containers/target/exec", exec, 150),
        ("/v1.44/networks/create", network, 150),
        ("/v1.44/volumes/create", volume, 150),
        ("/v1.44/containers/target/update", update, 150),
    ] {
        fuzz::run(cases, &[seed], &words, |input| {
            let body = Body::Bytes("application/json", input);
            let answer = client.request("POST", path, body).unwrap();
            let text = answer.text();
            let made = answer.json()["Id"].as_str().map(str::to_owned);
            // Docker's own texts for some mistakes come with 500.
            assert!(
                answer.status < 500 || is_plain(&text),
                "{} {text}",
                answer.status
            );
            if let Some(id) = made.filter(|_| !path.ends_with("exec")) {
                let kind = if path.contains("networks") {
                    "networks"
                } else {
                    "containers"
                };
                let _ = client.delete(&format!("/v1.44/{kind}/{id}?force=1&v=1"));
            }
        });
    }
    assert_eq!(
        b.words_ok(&["ps", "-a", "--format", "{{.Names}}"]),
        "target"
    );
    assert!(!b.engine.log().contains("panicked"), "{}", b.engine.log());
}

/// One line that says what is wrong, not that something broke.
fn is_plain(text: &str) -> bool {
    let broken = [
        "panick",
        "ended early",
        "unreachable",
        "overflow",
        "sqlite",
        "database",
    ];
    text.starts_with("{\"message\":\"") && !broken.iter().any(|word| text.contains(word))
}
