//! Security options: seccomp and what else `--security-opt` says.

use dhow_oci::runtime::{Capability, LinuxSeccomp};

use super::Inputs;
use crate::spec::{HostConfig, Invalid};

/// What `--security-opt` said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SecurityOptions {
    /// `unconfined`, `builtin` or a profile's JSON.
    pub seccomp: Option<String>,
    /// Nothing where the engine's default counts.
    pub no_new_privileges: Option<bool>,
    /// Whether `/sys/fs/cgroup` can be written to; nothing where privileges decide.
    pub writable_cgroups: Option<bool>,
    /// The AppArmor profile to be in, or `unconfined`; nothing where the engine's default counts.
    pub apparmor: Option<String>,
}

impl SecurityOptions {
    /// The AppArmor profile that applies; none when unconfined, or privileged without a profile of its own. `default` is
    /// the engine's, where there is AppArmor.
    #[must_use]
    pub fn profile(&self, privileged: bool, default: Option<&str>) -> Option<String> {
        let default = default.filter(|_| !privileged);
        let profile = self.apparmor.as_deref().or(default)?;
        (profile != UNCONFINED).then(|| profile.to_owned())
    }
}

/// No AppArmor profile.
pub const UNCONFINED: &str = "unconfined";

/// Reads security options. Containers have no SELinux labels, so that of these only `label=disable` can be had.
///
/// # Errors
/// An option is malformed or unknown, in Docker's words; or it asks for a label.
pub fn parse(options: &[String]) -> Result<SecurityOptions, Invalid> {
    let mut parsed = SecurityOptions::default();
    for option in options {
        if option == "no-new-privileges" {
            parsed.no_new_privileges = Some(true);
            continue;
        }
        if option == "disable" {
            continue;
        }
        // `key:value` is the old form.
        let (key, value) = option
            .split_once('=')
            .or_else(|| option.split_once(':'))
            .ok_or_else(|| Invalid(format!("invalid --security-opt 1: \"{option}\"")))?;
        match key {
            "label" if value == "disable" => {}
            "label" => {
                return Err(Invalid(format!(
                    "SELinux labels are not implemented: \"{option}\" (only label=disable is)"
                )));
            }
            "apparmor" => {
                parsed.apparmor = Some(value.to_owned()).filter(|name| !name.is_empty());
            }
            "seccomp" => parsed.seccomp = Some(value.to_owned()),
            "no-new-privileges" => {
                let flag = value
                    .parse()
                    .map_err(|_| Invalid(format!("invalid --security-opt 2: \"{option}\"")))?;
                parsed.no_new_privileges = Some(flag);
            }
            "writable-cgroups" => {
                let flag = value
                    .parse()
                    .map_err(|_| Invalid(format!("invalid --security-opt 2: \"{option}\"")))?;
                parsed.writable_cgroups = Some(flag);
            }
            _ => return Err(Invalid(format!("invalid --security-opt 2: \"{option}\""))),
        }
    }
    Ok(parsed)
}

/// Checks security options against what the kernel has.
///
/// # Errors
/// As [`parse`]; an AppArmor profile is asked for where there is no AppArmor: the container would run without it.
pub fn check(options: &[String], has_apparmor: bool) -> Result<(), Invalid> {
    match parse(options)?.apparmor {
        Some(profile) if !has_apparmor && profile != UNCONFINED => Err(Invalid(format!(
            "AppArmor profile \"{profile}\" cannot be applied: the kernel has no AppArmor"
        ))),
        _ => Ok(()),
    }
}

/// The seccomp policy that applies; none when unconfined, or privileged without a profile of its own.
pub(super) fn seccomp(
    host: &HostConfig,
    options: &SecurityOptions,
    inputs: &Inputs,
    capabilities: &[Capability],
) -> Result<Option<LinuxSeccomp>, Invalid> {
    let default = if host.privileged {
        Some("unconfined")
    } else {
        inputs.seccomp_profile.as_deref()
    };
    match options.seccomp.as_deref().or(default) {
        Some("unconfined") => Ok(None),
        None | Some("builtin" | "") => {
            Ok(Some(dhow_runtime::seccomp::default_profile(capabilities)))
        }
        Some(json) => dhow_runtime::seccomp::from_docker_json(json, capabilities)
            .map(Some)
            .map_err(|error| Invalid(dhow_errdefs::chain(&error).to_string())),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn read(option: &str) -> Result<SecurityOptions, Invalid> {
        parse(&[option.to_owned()])
    }

    #[test]
    fn options_are_read_in_both_forms() {
        assert_eq!(
            read("no-new-privileges").unwrap().no_new_privileges,
            Some(true)
        );
        assert_eq!(
            read("no-new-privileges:false").unwrap().no_new_privileges,
            Some(false)
        );
        assert_eq!(
            read("seccomp=unconfined").unwrap().seccomp.as_deref(),
            Some("unconfined")
        );
        assert_eq!(
            read("seccomp={\"a\": 1}").unwrap().seccomp.as_deref(),
            Some("{\"a\": 1}")
        );
        assert_eq!(read("label=disable").unwrap(), SecurityOptions::default());
        assert_eq!(
            read("apparmor=unconfined").unwrap().apparmor.as_deref(),
            Some(UNCONFINED)
        );
        assert_eq!(read("apparmor=").unwrap(), SecurityOptions::default());
        assert_eq!(
            read("apparmor:strict").unwrap().apparmor.as_deref(),
            Some("strict")
        );
        assert!(read("label=type:x_t").is_err());
        assert_eq!(
            read("x").unwrap_err().to_string(),
            "invalid --security-opt 1: \"x\""
        );
        assert_eq!(
            read("x=y").unwrap_err().to_string(),
            "invalid --security-opt 2: \"x=y\""
        );
    }

    #[test]
    fn a_profile_is_the_own_one_or_the_default() {
        let profile = |option: &str, privileged, default| {
            let read = parse(&[option.to_owned()]).unwrap();
            read.profile(privileged, default)
        };
        let default = Some("docker-default");
        for (option, privileged, default, wanted) in [
            ("apparmor=", false, None, None),
            ("apparmor=", false, default, default),
            ("apparmor=", true, default, None),
            ("apparmor=own", false, default, Some("own")),
            ("apparmor=own", true, default, Some("own")),
            ("apparmor=unconfined", false, default, None),
        ] {
            let is = profile(option, privileged, default);
            assert_eq!(is.as_deref(), wanted, "{option} {privileged} {default:?}");
        }
    }

    #[test]
    fn a_profile_that_cannot_be_applied_is_refused() {
        let options = ["apparmor=strict".to_owned()];
        assert_eq!(check(&options, true), Ok(()));
        assert_eq!(
            check(&options, false).unwrap_err().to_string(),
            "AppArmor profile \"strict\" cannot be applied: the kernel has no AppArmor"
        );
        assert_eq!(check(&["apparmor=unconfined".to_owned()], false), Ok(()));
    }
}
