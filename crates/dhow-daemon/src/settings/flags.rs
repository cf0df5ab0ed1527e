//! The command line, made from the table of settings.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::{Map, Value, json};

use super::Error;
use super::table::{Kind, SETTINGS, Setting};

/// What the command line says.
#[derive(Debug, Default)]
pub(crate) struct Flags {
    /// `--config-file`, if given.
    pub(crate) config_file: Option<PathBuf>,
    /// `--validate`.
    pub(crate) validate: bool,
    /// `--remove-host-state`.
    pub(crate) remove_host_state: bool,
    /// `--version`.
    pub(crate) version: bool,
    /// `--ready-fd`.
    pub(crate) ready_fd: Option<i32>,
    /// What was given, by the keys of the file.
    pub(super) given: Map<String, Value>,
}

fn command() -> Command {
    let command = Command::new("dhow daemon")
        .about("The engine and its API. Takes all of dockerd's flags.")
        .no_binary_name(true)
        .disable_version_flag(true)
        .args_override_self(true);
    SETTINGS
        .iter()
        .filter(|setting| !setting.flag.is_empty())
        .fold(command, |command, setting| command.arg(arg(setting)))
}

fn arg(setting: &'static Setting) -> Arg {
    let arg = Arg::new(setting.flag).long(setting.flag).help(setting.help);
    let arg = match setting.short {
        Some(short) => arg.short(short),
        None => arg,
    };
    match setting.kind {
        Kind::Flag => arg
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true")
            .value_name("BOOL")
            .value_parser(clap::builder::BoolishValueParser::new()),
        Kind::Number => arg
            .value_parser(clap::value_parser!(i64))
            .allow_negative_numbers(true),
        Kind::Text | Kind::Document => arg,
        Kind::List | Kind::Pairs | Kind::Runtime | Kind::Ulimit | Kind::Pool => {
            arg.action(ArgAction::Append)
        }
    }
}

/// Reads the command line (without the program's name).
pub(super) fn parse(args: Vec<OsString>) -> Result<Flags, Error> {
    let matches = command().try_get_matches_from(args)?;
    let mut flags = Flags::default();
    for setting in SETTINGS.iter().filter(|setting| !setting.flag.is_empty()) {
        if matches.value_source(setting.flag) != Some(ValueSource::CommandLine) {
            continue;
        }
        let value = value(setting, &matches)?;
        match setting.flag {
            "config-file" => flags.config_file = value.as_str().map(PathBuf::from),
            "validate" => flags.validate = value == true,
            "remove-host-state" => flags.remove_host_state = value == true,
            "version" => flags.version = value == true,
            "ready-fd" => flags.ready_fd = value.as_i64().and_then(|fd| i32::try_from(fd).ok()),
            _ => {
                flags.given.insert(setting.key.to_owned(), value);
            }
        }
    }
    Ok(flags)
}

fn value(setting: &Setting, matches: &ArgMatches) -> Result<Value, Error> {
    let texts = || {
        matches
            .get_many::<String>(setting.flag)
            .into_iter()
            .flatten()
    };
    let bad = |text: &str, form: &'static str| Error::Flag {
        flag: setting.flag,
        value: text.to_owned(),
        form,
    };
    Ok(match setting.kind {
        Kind::Flag => json!(matches.get_one::<bool>(setting.flag)),
        Kind::Number => json!(matches.get_one::<i64>(setting.flag)),
        Kind::Text | Kind::Document => json!(texts().last()),
        Kind::List => json!(texts().collect::<Vec<_>>()),
        Kind::Pairs => {
            let pair = |text: &String| match text.split_once('=') {
                Some((key, value)) => Ok((key.to_owned(), json!(value))),
                None => Err(bad(text, "KEY=VALUE")),
            };
            texts().map(pair).collect::<Result<Map<_, _>, _>>()?.into()
        }
        Kind::Runtime => {
            let pair = |text: &String| match text.split_once('=') {
                Some((name, path)) => Ok((name.to_owned(), json!({"path": path}))),
                None => Err(bad(text, "NAME=PATH")),
            };
            texts().map(pair).collect::<Result<Map<_, _>, _>>()?.into()
        }
        Kind::Ulimit => {
            let limit = |text: &String| {
                let parsed = ulimit(text).ok_or_else(|| bad(text, "NAME=SOFT[:HARD]"))?;
                Ok::<_, Error>((
                    parsed["Name"].as_str().unwrap_or_default().to_owned(),
                    parsed,
                ))
            };
            texts().map(limit).collect::<Result<Map<_, _>, _>>()?.into()
        }
        Kind::Pool => {
            let pool = |text: &String| pool(text).ok_or_else(|| bad(text, "base=CIDR,size=BITS"));
            texts().map(pool).collect::<Result<Vec<_>, _>>()?.into()
        }
    })
}

fn ulimit(text: &str) -> Option<Value> {
    let (name, limits) = text.split_once('=')?;
    let number = |text: &str| match text {
        "unlimited" => Some(-1),
        _ => text.parse::<i64>().ok(),
    };
    let (soft, hard) = limits.split_once(':').unwrap_or((limits, limits));
    Some(json!({"Name": name, "Soft": number(soft)?, "Hard": number(hard)?}))
}

fn pool(text: &str) -> Option<Value> {
    let mut base = None;
    let mut size = None;
    for part in text.split(',') {
        match part.split_once('=')? {
            ("base", value) => base = Some(value),
            ("size", value) => size = value.parse::<u8>().ok(),
            _ => return None,
        }
    }
    Some(json!({"base": base?, "size": size?}))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn given(args: &[&str]) -> Map<String, Value> {
        parse(args.iter().map(OsString::from).collect())
            .unwrap()
            .given
    }

    #[test]
    fn the_command_line_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn flags_become_keys_of_the_file() {
        for (args, key, value) in [
            (&["-D"][..], "debug", json!(true)),
            (&["--icc=false"], "icc", json!(false)),
            (
                &["-H", "unix:///a", "--host=fd://"],
                "hosts",
                json!(["unix:///a", "fd://"]),
            ),
            (
                &["--log-opt", "max-size=1m"],
                "log-opts",
                json!({"max-size": "1m"}),
            ),
            (&["--mtu", "1400", "--mtu", "1450"], "mtu", json!(1450)),
            (
                &["--add-runtime", "crun=/usr/bin/crun"],
                "runtimes",
                json!({"crun": {"path": "/usr/bin/crun"}}),
            ),
            (
                &["--default-ulimit", "nofile=1024:2048"],
                "default-ulimits",
                json!({"nofile": {"Name": "nofile", "Soft": 1024, "Hard": 2048}}),
            ),
            (
                &["--default-address-pool", "base=10.0.0.0/8,size=24"],
                "default-address-pools",
                json!([{"base": "10.0.0.0/8", "size": 24}]),
            ),
        ] {
            assert_eq!(given(args)[key], value, "{args:?}");
        }
        assert!(given(&[]).is_empty());
    }

    #[test]
    fn every_flag_of_dockerd_is_taken() {
        for setting in SETTINGS.iter().filter(|setting| !setting.flag.is_empty()) {
            let value = match setting.kind {
                Kind::Flag => "true",
                Kind::Number => "3",
                Kind::Pool => "base=10.0.0.0/8,size=24",
                Kind::Ulimit => "core=0",
                _ => "a=b",
            };
            let args = vec![OsString::from(format!("--{}={value}", setting.flag))];
            assert!(parse(args).is_ok(), "--{}", setting.flag);
        }
    }

    #[test]
    fn malformed_values_are_refused() {
        for args in [
            ["--log-opt", "nonsense"],
            ["--default-ulimit", "nofile=many"],
            ["--default-address-pool", "10.0.0.0/8"],
            ["--add-runtime", "crun"],
            ["--mtu", "big"],
            ["--nosuch", "x"],
        ] {
            assert!(
                parse(args.iter().map(OsString::from).collect()).is_err(),
                "{args:?}"
            );
        }
    }
}
