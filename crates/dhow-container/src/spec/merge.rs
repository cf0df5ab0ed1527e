//! What the image adds to a container's configuration.

use std::time::Duration;

use super::{ContainerConfig, Healthcheck, Invalid};

/// Fills in what the request left to the image; what both say is the request's.
///
/// # Errors
/// There is no command in the end, or the image has a malformed port.
pub fn with_image(
    mut config: ContainerConfig,
    image: &dhow_oci::ContainerConfig,
) -> Result<ContainerConfig, Invalid> {
    fill(&mut config.user, &image.user);
    fill(&mut config.working_dir, &image.working_dir);
    for port in &image.exposed_ports {
        config.exposed_ports.insert(port.parse()?);
    }
    for variable in &image.env {
        let name = |text: &str| text.split('=').next().unwrap_or_default().to_owned();
        if config.env.iter().all(|own| name(own) != name(variable)) {
            config.env.push(variable.clone());
        }
    }
    for (key, value) in &image.labels {
        config
            .labels
            .entry(key.clone())
            .or_insert_with(|| value.clone());
    }
    config.volumes.extend(image.volumes.iter().cloned());
    config.stop_signal = config
        .stop_signal
        .filter(|signal| !signal.is_empty())
        .or_else(|| image.stop_signal.clone());
    if config.shell.is_none() && !image.shell.is_empty() {
        config.shell = Some(image.shell.clone());
    }
    command(&mut config, image);
    config.healthcheck = health(config.healthcheck, image.healthcheck.as_ref());
    if path(&config).is_none() {
        return Err(Invalid::new("no command specified"));
    }
    Ok(config)
}

/// The environment with variables set (`A=b`, at its place or at the end) and removed (`A`).
#[must_use]
pub fn with_env(mut env: Vec<String>, changes: &[String]) -> Vec<String> {
    for change in changes {
        let name = change.split('=').next().unwrap_or_default();
        let is_it = |variable: &String| variable.split('=').next() == Some(name);
        if !change.contains('=') {
            env.retain(|variable| !is_it(variable));
        } else if let Some(known) = env.iter_mut().find(|variable| is_it(variable)) {
            known.clone_from(change);
        } else {
            env.push(change.clone());
        }
    }
    env
}

/// The program a configuration runs, and its arguments.
pub fn path(config: &ContainerConfig) -> Option<(String, Vec<String>)> {
    let entrypoint = config.entrypoint.iter().flatten();
    let mut words = entrypoint.chain(config.cmd.iter().flatten()).cloned();
    let path = words.next()?;
    Some((path, words.collect()))
}

fn fill(own: &mut String, image: &str) {
    if own.is_empty() {
        image.clone_into(own);
    }
}

/// An entrypoint of the request's makes the image's command void.
fn command(config: &mut ContainerConfig, image: &dhow_oci::ContainerConfig) {
    let is_empty = |list: &Option<Vec<String>>| list.as_ref().is_none_or(Vec::is_empty);
    if is_empty(&config.entrypoint) {
        if is_empty(&config.cmd) {
            config.cmd.clone_from(&image.cmd);
            config.args_escaped = image.args_escaped;
        }
        if config.entrypoint.is_none() {
            config.entrypoint.clone_from(&image.entrypoint);
        }
    }
    // One empty string resets the image's entrypoint.
    if config
        .entrypoint
        .as_ref()
        .is_some_and(|list| list.len() == 1 && list[0].is_empty())
    {
        config.entrypoint = None;
    }
}

fn health(own: Option<Healthcheck>, image: Option<&dhow_oci::Healthcheck>) -> Option<Healthcheck> {
    let duration = |nanos: i64| Duration::from_nanos(u64::try_from(nanos).unwrap_or(0));
    let image = image.map(|image| Healthcheck {
        test: image.test.clone(),
        interval: duration(image.interval),
        timeout: duration(image.timeout),
        retries: u32::try_from(image.retries).unwrap_or(0),
        start_period: duration(image.start_period),
        start_interval: duration(image.start_interval),
    });
    let (Some(mut own), Some(image)) = (own.clone(), image.clone()) else {
        return own.or(image);
    };
    let fill = |own: &mut Duration, image: Duration| {
        if own.is_zero() {
            *own = image;
        }
    };
    if own.test.is_empty() {
        own.test = image.test;
    }
    fill(&mut own.interval, image.interval);
    fill(&mut own.timeout, image.timeout);
    fill(&mut own.start_period, image.start_period);
    fill(&mut own.start_interval, image.start_interval);
    if own.retries == 0 {
        own.retries = image.retries;
    }
    Some(own)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn words(list: &[&str]) -> Vec<String> {
        list.iter().map(|word| (*word).to_owned()).collect()
    }

    fn merged(entrypoint: Option<&[&str]>, cmd: Option<&[&str]>) -> Result<Vec<String>, Invalid> {
        let image = dhow_oci::ContainerConfig {
            entrypoint: Some(words(&["entry"])),
            cmd: Some(words(&["default"])),
            ..dhow_oci::ContainerConfig::default()
        };
        let own = ContainerConfig {
            entrypoint: entrypoint.map(words),
            cmd: cmd.map(words),
            ..ContainerConfig::default()
        };
        let (path, mut args) = path(&with_image(own, &image)?).unwrap();
        args.insert(0, path);
        Ok(args)
    }

    #[test]
    fn commands_merge_as_in_docker() {
        assert_eq!(merged(None, None).unwrap(), ["entry", "default"]);
        assert_eq!(merged(None, Some(&["x"])).unwrap(), ["entry", "x"]);
        assert_eq!(merged(Some(&["own"]), None).unwrap(), ["own"]);
        assert_eq!(merged(Some(&["own"]), Some(&["x"])).unwrap(), ["own", "x"]);
        assert_eq!(merged(Some(&[""]), Some(&["x"])).unwrap(), ["x"]);
        assert_eq!(
            merged(Some(&[""]), None).unwrap_err().to_string(),
            "no command specified"
        );
    }

    #[test]
    fn the_request_wins_over_the_image() {
        let image: dhow_oci::ContainerConfig = serde_json::from_value(serde_json::json!({
            "Env": ["A=image", "B=image"], "Labels": {"l": "image", "m": "image"}, "User": "www",
            "WorkingDir": "/srv", "ExposedPorts": {"80/tcp": {}}, "Volumes": {"/data": {}}, "Cmd": ["x"],
            "StopSignal": "SIGQUIT",
        }))
        .unwrap();
        let own = ContainerConfig {
            env: words(&["A=own"]),
            labels: [("l".to_owned(), "own".to_owned())].into(),
            user: "root".into(),
            ..ContainerConfig::default()
        };
        let merged = with_image(own, &image).unwrap();
        assert_eq!(merged.env, ["A=own", "B=image"]);
        assert_eq!(merged.labels["l"], "own");
        assert_eq!(merged.labels["m"], "image");
        assert_eq!(
            (merged.user.as_str(), merged.working_dir.as_str()),
            ("root", "/srv")
        );
        assert_eq!(merged.stop_signal.as_deref(), Some("SIGQUIT"));
        assert!(merged.volumes.contains("/data") && merged.exposed_ports.len() == 1);
    }

    #[test]
    fn variables_are_set_at_their_place_and_removed() {
        let env = words(&["A=1", "B=2", "C"]);
        let changed = with_env(env, &words(&["B=3", "D=4=5", "A", "E"]));
        assert_eq!(changed, ["B=3", "C", "D=4=5"]);
    }
}
