//! `--health-*` and `--no-healthcheck`.

use dhow_api::container::Healthcheck;

use crate::flags::Parsed;

const DURATIONS: [&str; 4] = [
    "health-interval",
    "health-timeout",
    "health-start-period",
    "health-start-interval",
];

/// The health check the flags describe, where they do.
pub(crate) fn healthcheck(flags: &Parsed) -> Result<Option<Healthcheck>, String> {
    let command = flags.text("health-cmd");
    let retries = flags.int("health-retries");
    let set = !command.is_empty()
        || retries != 0
        || DURATIONS.iter().any(|name| flags.duration(name) != 0);
    if flags.switch("no-healthcheck") {
        if set {
            return Err("--no-healthcheck conflicts with --health-* options".to_owned());
        }
        let test = Some(vec!["NONE".to_owned()]);
        return Ok(Some(Healthcheck {
            test,
            ..Healthcheck::default()
        }));
    }
    if !set {
        return Ok(None);
    }
    for name in DURATIONS {
        if flags.duration(name) < 0 {
            return Err(format!("--{name} cannot be negative"));
        }
    }
    if retries < 0 {
        return Err("--health-retries cannot be negative".to_owned());
    }
    Ok(Some(Healthcheck {
        test: (!command.is_empty()).then(|| vec!["CMD-SHELL".to_owned(), command.to_owned()]),
        interval: flags.duration("health-interval"),
        timeout: flags.duration("health-timeout"),
        start_period: flags.duration("health-start-period"),
        start_interval: flags.duration("health-start-interval"),
        retries,
    }))
}
