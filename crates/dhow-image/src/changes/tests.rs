//! The texts and results are those of a real engine's `docker commit --change`.
#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

/// The config that instructions make of one with `FOO=bar`.
fn changed(changes: &[&str]) -> Result<ContainerConfig, String> {
    let mut config = ContainerConfig {
        env: vec!["FOO=bar".into()],
        cmd: Some(vec!["1000".into()]),
        entrypoint: Some(vec!["sleep".into()]),
        ..ContainerConfig::default()
    };
    let changes: Vec<String> = changes.iter().map(|change| (*change).to_owned()).collect();
    apply_changes(&mut config, &changes)
        .map(|()| config)
        .map_err(|error| error.to_string())
}

fn words(list: &Option<Vec<String>>) -> String {
    list.as_ref()
        .map_or("none".to_owned(), |words| words.join("|"))
}

#[test]
fn commands() {
    for (changes, entrypoint, cmd) in [
        (&[r#"CMD ["sh", "-l"]"#][..], "sleep", "sh|-l"),
        (&["cmd echo $FOO"], "sleep", "/bin/sh|-c|echo $FOO"),
        (&["CMD"], "sleep", "/bin/sh|-c"),
        (&["CMD []"], "sleep", ""),
        (&["ENTRYPOINT [\"/x\"]"], "/x", "none"),
        (&["ENTRYPOINT"], "none", "none"),
        (&["CMD a b", "ENTRYPOINT [\"q\"]"], "q", "/bin/sh|-c|a b"),
    ] {
        let config = changed(changes).unwrap();
        let found = (words(&config.entrypoint), words(&config.cmd));
        assert_eq!(found, (entrypoint.into(), cmd.into()), "{changes:?}");
    }
}

#[test]
fn pairs_in_both_forms() {
    let config = changed(&[
        "ENV A=$FOO B=\"$A x\" C=x\\ y",
        "ENV D old form",
        "ENV A=2",
        "ENV \"e\"=f",
    ])
    .unwrap();
    assert_eq!(
        config.env,
        ["FOO=bar", "A=2", "B= x", "C=x y", "D=old form", "e=f"]
    );
    let config = changed(&["LABEL x=$FOO\nLABEL z='q r' \"a b\"=c"]).unwrap();
    let labels: Vec<String> = config
        .labels
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    assert_eq!(labels, ["a b=c", "x=bar", "z=q r"]);
}

#[test]
fn the_rest() {
    let config = changed(&[
        "EXPOSE 80-82 53/udp",
        "VOLUME /a $FOO",
        "VOLUME [\"/c\"]",
        "WORKDIR a b",
        "WORKDIR ../x/./$FOO",
        "USER me",
        "STOPSIGNAL SIGINT",
        "ONBUILD RUN x",
        "# a comment",
        "HEALTHCHECK --interval=5s --retries=2 CMD true",
    ])
    .unwrap();
    let ports: Vec<&str> = config.exposed_ports.iter().map(String::as_str).collect();
    assert_eq!(ports, ["53/udp", "80/tcp", "81/tcp", "82/tcp"]);
    let volumes: Vec<&str> = config.volumes.iter().map(String::as_str).collect();
    assert_eq!(volumes, ["/a", "/c", "bar"]);
    assert_eq!(
        (config.working_dir.as_str(), config.user.as_str()),
        ("/x/bar", "me")
    );
    assert_eq!(config.stop_signal.as_deref(), Some("SIGINT"));
    assert_eq!(config.on_build, ["RUN x"]);
    let check = config.healthcheck.unwrap();
    assert_eq!((check.interval, check.retries), (5_000_000_000, 2));
    assert_eq!(check.test, ["CMD-SHELL", "true"]);
    assert_eq!(changed(&[]).unwrap().env, ["FOO=bar"]);
}

#[test]
fn refused() {
    for (change, text) in [
        ("RUN x", "RUN is not a valid change command"),
        ("run x", "run is not a valid change command"),
        ("FOO x", "FOO is not a valid change command"),
        ("FROM x", "FROM is not a valid change command"),
        ("ENV a\nCOPY", "COPY is not a valid change command"),
        ("ENV", "ENV requires at least one argument"),
        ("ENV a", "ENV must have two arguments"),
        (
            "ENV a=b c",
            "Syntax error - can't find = in \"c\". Must be of the form: name=value",
        ),
        ("HEALTHCHECK --foo CMD x", "unknown flag: --foo"),
        (
            "HEALTHCHECK foo",
            "Unknown type \"FOO\" in HEALTHCHECK (try CMD)",
        ),
        ("HEALTHCHECK NONE x", "HEALTHCHECK NONE takes no arguments"),
        ("EXPOSE abc", "Invalid containerPort: abc"),
        ("EXPOSE 80/foo", "Invalid proto: foo"),
        ("EXPOSE 8080 $FOO", "Invalid containerPort: bar"),
        ("STOPSIGNAL FOO", "invalid signal: FOO"),
        ("WORKDIR", "WORKDIR requires exactly one argument"),
        ("VOLUME []", "VOLUME requires at least one argument"),
        (
            "VOLUME [\"\"]",
            "VOLUME specified can not be an empty string",
        ),
        (
            "ONBUILD ONBUILD x",
            "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed",
        ),
        ("# comment", "file with no instructions"),
    ] {
        assert_eq!(changed(&[change]).unwrap_err(), text, "{change}");
    }
}
