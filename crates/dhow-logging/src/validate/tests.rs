#![allow(clippy::unwrap_used, reason = "tests")]
//! Docker's texts, as a real engine (28.5) said them.

use super::*;

fn refused(driver: &str, pairs: &[&str]) -> String {
    let option = |pair: &&str| {
        let (key, value) = pair.split_once('=').unwrap();
        (key.to_string(), value.to_string())
    };
    match validate(driver, &pairs.iter().map(option).collect()) {
        Ok(()) => String::new(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn unknown_drivers_and_options() {
    for (driver, option, text) in [
        (
            "splunk",
            "a=b",
            "error looking up logging plugin splunk: plugin \"splunk\" not found",
        ),
        (
            "",
            "foo=1",
            "unknown log opt 'foo' for json-file log driver",
        ),
        (
            "json-file",
            "syslog-address=",
            "unknown log opt 'syslog-address' for json-file log driver",
        ),
        (
            "local",
            "labels=1",
            "unknown log opt 'labels' for log driver local",
        ),
        (
            "local",
            "foo=1",
            "unknown log opt 'foo' for log driver local",
        ),
        (
            "syslog",
            "max-size=1",
            "unknown log opt 'max-size' for syslog log driver",
        ),
        (
            "journald",
            "foo=1",
            "unknown log opt 'foo' for journald log driver",
        ),
        (
            "fluentd",
            "foo=1",
            "unknown log opt 'foo' for fluentd log driver",
        ),
        (
            "fluentd",
            "fluentd-async-connect=true",
            "unknown log opt 'fluentd-async-connect' for fluentd log driver",
        ),
        ("gelf", "foo=1", "gelf-address is a required parameter"),
        ("none", "foo=1", ""),
        ("none", "mode=x", ""),
    ] {
        assert_eq!(refused(driver, &[option]), text, "{driver} {option}");
    }
}

#[test]
fn modes_and_the_cache() {
    for (driver, options, text) in [
        (
            "local",
            &["mode=x"][..],
            "logger: logging mode not supported: x",
        ),
        (
            "",
            &["max-buffer-size=1m"],
            "logger: max-buffer-size option is only supported with 'mode=non-blocking'",
        ),
        (
            "journald",
            &["mode=non-blocking", "max-buffer-size=zz"],
            "error parsing option max-buffer-size: invalid size: 'zz'",
        ),
        (
            "json-file",
            &["cache-disabled=x"],
            "invalid value for option cache-disabled: x",
        ),
        (
            "json-file",
            &["cache-disabled=true", "cache-max-size=x"],
            "",
        ),
        ("local", &["mode=non-blocking", "max-buffer-size=4m"], ""),
        // Docker looks at the values of these when the container is started.
        (
            "json-file",
            &[
                "max-size=x",
                "max-file=0",
                "compress=x",
                "tag={{",
                "labels-regex=[",
            ],
            "",
        ),
    ] {
        assert_eq!(refused(driver, options), text, "{driver} {options:?}");
    }
}

#[test]
fn values_of_syslog() {
    for (option, text) in [
        ("syslog-address=foo", "unsupported scheme: ''"),
        ("syslog-address=foo://x", "unsupported scheme: 'foo'"),
        ("syslog-address=udp://", ""),
        (
            "syslog-address=tcp://h:1:2",
            "address h:1:2: too many colons in address",
        ),
        (
            "syslog-address=unix:///nope",
            "stat /nope: no such file or directory",
        ),
        ("syslog-address=unix:///tmp", ""),
        ("syslog-address=tcp://localhost", ""),
        ("syslog-address=tcp+tls://localhost:1", ""),
        ("syslog-facility=foo", "invalid syslog facility"),
        ("syslog-facility=99", "invalid syslog facility"),
        ("syslog-facility=-1", "invalid syslog facility"),
        ("syslog-facility=KERN", "invalid syslog facility"),
        ("syslog-facility=5", ""),
        ("syslog-facility=local7", ""),
        ("syslog-format=x", "Invalid syslog format"),
        ("syslog-format=", ""),
        ("syslog-format=rfc5424micro", ""),
        ("syslog-tls-skip-verify=x", ""),
        ("tag={{", ""),
    ] {
        assert_eq!(refused("syslog", &[option]), text, "{option}");
    }
}

#[test]
fn values_of_fluentd() {
    let range = "value out of range";
    for (option, text) in [
        ("address=foo", String::new()),
        (
            "address=foo:x",
            "invalid fluentd-address (foo:x): parse \"tcp://foo:x\": invalid port \":x\" after host".into(),
        ),
        (
            "address=tcp://a:1/p",
            "invalid fluentd-address (tcp://a:1/p): should not contain a path element".into(),
        ),
        (
            "address=udp://x",
            "invalid fluentd-address (udp://x): unsupported scheme: 'udp'".into(),
        ),
        ("address=unix://", "invalid fluentd-address (unix://): path is empty".into()),
        ("address=unix:///nope", String::new()),
        (
            "address=tls://x:99999",
            format!("invalid fluentd-address (tls://x:99999): invalid port: strconv.ParseUint: parsing \"99999\": {range}"),
        ),
        ("address=:24", String::new()),
        ("address=tcp://", String::new()),
        ("async=x", "strconv.ParseBool: parsing \"x\": invalid syntax".into()),
        (
            "async-reconnect-interval=x",
            "invalid value for fluentd-async-reconnect-interval: time: invalid duration \"x\"".into(),
        ),
        (
            "async-reconnect-interval=1ms",
            "invalid value for fluentd-async-reconnect-interval: value (\"1ms\") must be between 100ms and 10s".into(),
        ),
        ("async-reconnect-interval=1s", String::new()),
        ("buffer-limit=x", "invalid size: 'x'".into()),
        ("buffer-limit=0", String::new()),
        ("max-retries=-1", "strconv.ParseUint: parsing \"-1\": invalid syntax".into()),
        ("request-ack=x", "strconv.ParseBool: parsing \"x\": invalid syntax".into()),
        ("retry-wait=1", "time: missing unit in duration \"1\"".into()),
        ("sub-second-precision=x", "strconv.ParseBool: parsing \"x\": invalid syntax".into()),
        (
            "write-timeout=x",
            "invalid value for fluentd-write-timeout: value must be a duration: time: invalid duration \"x\"".into(),
        ),
        (
            "write-timeout=-1s",
            "invalid value for fluentd-write-timeout: value must be a duration that is non-negative".into(),
        ),
    ] {
        assert_eq!(refused("fluentd", &[&format!("fluentd-{option}")]), text, "{option}");
    }
}

#[test]
fn values_of_gelf() {
    let please = "gelf: please provide gelf-address as proto://host:port";
    let protocol = "gelf: endpoint needs to be TCP or UDP";
    for (address, text) in [
        ("", "gelf-address is a required parameter"),
        ("foo", protocol),
        ("foo://x", protocol),
        ("udp://x", please),
        ("udp://127.0.0.1", please),
        (
            "udp://x:y",
            "parse \"udp://x:y\": invalid port \":y\" after host",
        ),
        ("udp://:1", ""),
        ("udp://127.0.0.1:1/p", ""),
    ] {
        assert_eq!(
            refused("gelf", &[&format!("gelf-address={address}")]),
            text,
            "{address}"
        );
    }
    let (udp, tcp) = (
        "gelf-address=udp://127.0.0.1:1",
        "gelf-address=tcp://127.0.0.1:1",
    );
    for (address, option, text) in [
        (
            udp,
            "compression-type=x",
            "unknown value \"x\" for log opt \"gelf-compression-type\" for gelf log driver",
        ),
        (udp, "compression-type=none", ""),
        (
            udp,
            "compression-level=10",
            "unknown value \"10\" for log opt \"gelf-compression-level\" for gelf log driver",
        ),
        (udp, "compression-level=-1", ""),
        (
            udp,
            "tcp-max-reconnect=1",
            "\"gelf-tcp-max-reconnect\" is only valid for TCP",
        ),
        (
            udp,
            "tcp-reconnect-delay=1",
            "\"gelf-tcp-reconnect-delay\" is only valid for TCP",
        ),
        (
            tcp,
            "compression-type=gzip",
            "compression is only supported on UDP",
        ),
        (
            tcp,
            "compression-level=1",
            "compression is only supported on UDP",
        ),
        (
            tcp,
            "tcp-max-reconnect=-1",
            "\"gelf-tcp-max-reconnect\" must be a positive integer",
        ),
        (tcp, "tcp-max-reconnect=0", ""),
        (
            tcp,
            "tcp-reconnect-delay=x",
            "\"gelf-tcp-reconnect-delay\" must be a positive integer",
        ),
    ] {
        assert_eq!(
            refused("gelf", &[address, &format!("gelf-{option}")]),
            text,
            "{option}"
        );
    }
}

#[test]
fn what_a_log_needs() {
    let plan = |driver: &str, pairs: &[(&str, &str)]| {
        let option = |(key, value): &(&str, &str)| ((*key).to_string(), (*value).to_string());
        Plan::of(&LogConfig {
            driver: driver.into(),
            options: pairs.iter().map(option).collect(),
            ..LogConfig::default()
        })
    };
    let needs = |file, remote, buffer| Plan {
        file,
        remote,
        buffer,
    };
    assert_eq!(plan("", &[]), needs(true, false, None));
    assert_eq!(plan("none", &[]), needs(false, false, None));
    assert_eq!(plan("gelf", &[]), needs(true, true, None));
    assert_eq!(
        plan("gelf", &[("cache-disabled", "true")]),
        needs(false, true, None)
    );
    assert_eq!(
        plan("local", &[("mode", "non-blocking")]),
        needs(true, false, Some(1024 * 1024))
    );
}
