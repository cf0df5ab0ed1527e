//! Create requests: the portable part.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use dhow_api::container::{Config, CreateRequest, Healthcheck};
use dhow_engine::spec::{self, ContainerConfig, CreateContainer};
use dhow_oci::Platform;
use http::StatusCode;

use super::{host, map, network, null_list};
use crate::error::{ApiError, Result};

/// A create request with the query's name and platform.
pub(crate) fn create(
    request: CreateRequest,
    name: Option<&str>,
    platform: Option<Platform>,
) -> Result<CreateContainer> {
    let config = config(request.config)?;
    let host = host::host_config(request.host_config.unwrap_or_default())?;
    let endpoints = request
        .networking_config
        .and_then(|networking| networking.endpoints_config)
        .unwrap_or_default();
    let mut networking = BTreeMap::new();
    for (name, settings) in endpoints {
        let settings = settings.unwrap_or_default();
        let shown = if name == "default" { "bridge" } else { &name };
        let wish = network::endpoint_wish(settings).map_err(|error| match error.status {
            StatusCode::BAD_REQUEST => ApiError::invalid(format!(
                "invalid config for network {shown}: {}",
                error.message
            )),
            _ => error,
        })?;
        networking.insert(name, wish);
    }
    Ok(CreateContainer {
        name: name.map(ToOwned::to_owned),
        platform,
        config,
        host,
        networking,
    })
}

/// The portable part of a request.
pub(crate) fn config(config: Config) -> Result<ContainerConfig> {
    let ports = map(config.exposed_ports);
    let exposed_ports = ports
        .keys()
        .map(|text| host::port(text))
        .collect::<Result<BTreeSet<_>>>()?;
    Ok(ContainerConfig {
        hostname: config.hostname,
        domainname: config.domainname,
        user: config.user,
        attach_stdin: config.attach_stdin,
        attach_stdout: config.attach_stdout,
        attach_stderr: config.attach_stderr,
        exposed_ports,
        tty: config.tty,
        open_stdin: config.open_stdin,
        stdin_once: config.stdin_once,
        env: config.env.unwrap_or_default(),
        cmd: config.cmd.map(|words| words.0),
        entrypoint: config.entrypoint.map(|words| words.0),
        healthcheck: config.healthcheck.map(healthcheck).transpose()?,
        args_escaped: config.args_escaped,
        image: config.image,
        volumes: map(config.volumes).into_keys().collect(),
        working_dir: config.working_dir,
        network_disabled: config.network_disabled,
        on_build: config.on_build.unwrap_or_default(),
        labels: map(config.labels),
        stop_signal: Some(config.stop_signal).filter(|signal| !signal.is_empty()),
        stop_timeout: config.stop_timeout,
        shell: config.shell,
    })
}

fn healthcheck(check: Healthcheck) -> Result<spec::Healthcheck> {
    let duration = |name: &str, nanos: i64| match u64::try_from(nanos) {
        Ok(0) => Ok(Duration::ZERO),
        Ok(nanos @ 1_000_000..) => Ok(Duration::from_nanos(nanos)),
        _ => Err(ApiError::invalid(format!(
            "{name} in Healthcheck cannot be less than 1ms"
        ))),
    };
    Ok(spec::Healthcheck {
        test: check.test.unwrap_or_default(),
        interval: duration("Interval", check.interval)?,
        timeout: duration("Timeout", check.timeout)?,
        retries: u32::try_from(check.retries)
            .map_err(|_| ApiError::invalid("Retries in Healthcheck cannot be negative"))?,
        start_period: duration("StartPeriod", check.start_period)?,
        start_interval: duration("StartInterval", check.start_interval)?,
    })
}

/// A container's portable part as it is shown.
pub(crate) fn config_view(config: &ContainerConfig) -> Config {
    let set = |keys: Vec<String>| keys.into_iter().map(|key| (key, dhow_api::Empty)).collect();
    let ports: Vec<String> = config
        .exposed_ports
        .iter()
        .map(ToString::to_string)
        .collect();
    Config {
        hostname: config.hostname.clone(),
        domainname: config.domainname.clone(),
        user: config.user.clone(),
        attach_stdin: config.attach_stdin,
        attach_stdout: config.attach_stdout,
        attach_stderr: config.attach_stderr,
        exposed_ports: Some(set(ports)),
        tty: config.tty,
        open_stdin: config.open_stdin,
        stdin_once: config.stdin_once,
        env: null_list(&config.env),
        cmd: config.cmd.clone().map(Into::into),
        healthcheck: config.healthcheck.as_ref().map(healthcheck_view),
        args_escaped: config.args_escaped,
        image: config.image.clone(),
        volumes: (!config.volumes.is_empty())
            .then(|| set(config.volumes.iter().cloned().collect())),
        working_dir: config.working_dir.clone(),
        entrypoint: config.entrypoint.clone().map(Into::into),
        network_disabled: config.network_disabled,
        mac_address: String::new(),
        on_build: null_list(&config.on_build),
        labels: Some(config.labels.clone()),
        stop_signal: config.stop_signal.clone().unwrap_or_default(),
        stop_timeout: config.stop_timeout,
        shell: config.shell.clone(),
    }
}

fn healthcheck_view(check: &spec::Healthcheck) -> Healthcheck {
    let nanos = |duration: Duration| i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX);
    Healthcheck {
        test: null_list(&check.test),
        interval: nanos(check.interval),
        timeout: nanos(check.timeout),
        start_period: nanos(check.start_period),
        start_interval: nanos(check.start_interval),
        retries: check.retries.into(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use serde_json::json;

    use super::*;

    fn parse(request: serde_json::Value) -> Result<CreateContainer> {
        create(serde_json::from_value(request).unwrap(), Some("n"), None)
    }

    #[test]
    fn impossible_values_are_refused_in_dockers_words() {
        for (request, text) in [
            (
                json!({"Healthcheck": {"Interval": 5}}),
                "Interval in Healthcheck cannot be less than 1ms",
            ),
            (
                json!({"Healthcheck": {"Retries": -1}}),
                "Retries in Healthcheck cannot be negative",
            ),
            (
                json!({"ExposedPorts": {"abc/tcp": {}}}),
                "invalid port specification: \"abc\"",
            ),
            (
                json!({"NetworkingConfig": {"EndpointsConfig": {"web": {"MacAddress": "nonsense"}}}}),
                "invalid config for network web: invalid MAC address nonsense",
            ),
        ] {
            assert_eq!(parse(request).unwrap_err().message, text);
        }
    }

    #[test]
    fn a_config_survives_the_way_there_and_back() {
        let wire = json!({
            "Hostname": "box", "Domainname": "", "User": "0:0",
            "AttachStdin": false, "AttachStdout": true, "AttachStderr": false,
            "ExposedPorts": {"80/tcp": {}}, "Tty": false, "OpenStdin": false, "StdinOnce": false,
            "Env": ["A=1"], "Cmd": ["sh"],
            "Healthcheck": {"Test": ["CMD-SHELL", "true"], "Interval": 1_000_000_000, "Retries": 2},
            "Image": "busybox:latest", "Volumes": null, "WorkingDir": "/tmp", "Entrypoint": null,
            "Labels": {"l1": "v1"}, "StopSignal": "SIGTERM", "StopTimeout": 3,
        });
        let spec = parse(wire.clone()).unwrap();
        assert_eq!(
            serde_json::to_value(config_view(&spec.config)).unwrap(),
            wire
        );
    }
}
