//! Profiles in Docker's JSON format, as `--security-opt seccomp=profile.json` takes them.

use serde::Deserialize;

use super::Error;
use crate::spec::{
    Arch, Capability, LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompBuilder,
    LinuxSeccompFilterFlag, LinuxSyscall, LinuxSyscallBuilder,
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Profile {
    default_action: LinuxSeccompAction,
    default_errno_ret: Option<u32>,
    #[serde(default)]
    architectures: Option<Vec<Arch>>,
    #[serde(default)]
    arch_map: Option<Vec<ArchMap>>,
    flags: Option<Vec<LinuxSeccompFilterFlag>>,
    listener_path: Option<std::path::PathBuf>,
    listener_metadata: Option<String>,
    #[serde(default)]
    syscalls: Option<Vec<Rule>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ArchMap {
    // Names of architectures we know nothing of must not spoil the profile.
    architecture: String,
    #[serde(default)]
    sub_architectures: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    name: Option<String>,
    #[serde(default)]
    names: Option<Vec<String>>,
    action: LinuxSeccompAction,
    errno_ret: Option<u32>,
    #[serde(default)]
    args: Option<Vec<LinuxSeccompArg>>,
    #[serde(default)]
    includes: Filter,
    #[serde(default)]
    excludes: Filter,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Filter {
    #[serde(default)]
    caps: Option<Vec<String>>,
    #[serde(default)]
    arches: Option<Vec<String>>,
    min_kernel: Option<String>,
}

/// A profile in Docker's JSON format (with `includes`, `excludes`, `archMap`; or the plain OCI form), resolved for a
/// container with the capabilities `caps` on this machine.
///
/// # Errors
/// See [`enum@Error`].
pub fn from_docker_json(json: &str, caps: &[Capability]) -> Result<LinuxSeccomp, Error> {
    let kernel = kernel_version(&rustix::system::uname().release().to_string_lossy());
    resolve(
        serde_json::from_str(json).map_err(Error::Decode)?,
        caps,
        kernel,
    )
}

fn resolve(
    profile: Profile,
    caps: &[Capability],
    kernel: (u32, u32),
) -> Result<LinuxSeccomp, Error> {
    let listed = profile
        .architectures
        .as_ref()
        .is_some_and(|list| !list.is_empty());
    let mapped = profile
        .arch_map
        .as_ref()
        .is_some_and(|list| !list.is_empty());
    if listed && mapped {
        return Err(Error::Invalid(
            "both 'architectures' and 'archMap' were specified in the seccomp profile, use either \
             'architectures' or 'archMap'"
                .into(),
        ));
    }
    let architectures = match profile.arch_map {
        Some(map) if mapped => of_map(map),
        _ => profile.architectures.unwrap_or_default(),
    };
    let mut rules = Vec::new();
    for rule in profile.syscalls.into_iter().flatten() {
        if rule.name.is_some() && rule.names.as_ref().is_some_and(|names| !names.is_empty()) {
            return Err(Error::Invalid(
                "both 'name' and 'names' were specified in the seccomp profile, use either 'name' or \
                 'names'"
                    .into(),
            ));
        }
        if applies(&rule, caps, kernel) {
            rules.push(plain(rule)?);
        }
    }
    let mut resolved = LinuxSeccompBuilder::default()
        .default_action(profile.default_action)
        .architectures(architectures)
        .syscalls(rules)
        .build()
        .map_err(|error| Error::Invalid(error.to_string()))?;
    resolved.set_default_errno_ret(profile.default_errno_ret);
    resolved.set_flags(profile.flags);
    resolved.set_listener_path(profile.listener_path);
    resolved.set_listener_metadata(profile.listener_metadata);
    Ok(resolved)
}

fn of_map(map: Vec<ArchMap>) -> Vec<Arch> {
    let native = if cfg!(target_arch = "aarch64") {
        "SCMP_ARCH_AARCH64"
    } else {
        "SCMP_ARCH_X86_64"
    };
    let Some(entry) = map.into_iter().find(|entry| entry.architecture == native) else {
        return Vec::new();
    };
    let parse = |name: String| serde_json::from_value(serde_json::Value::String(name)).ok();
    let subs = entry.sub_architectures.unwrap_or_default();
    [entry.architecture]
        .into_iter()
        .chain(subs)
        .filter_map(parse)
        .collect()
}

fn applies(rule: &Rule, caps: &[Capability], kernel: (u32, u32)) -> bool {
    let arch = if cfg!(target_arch = "aarch64") {
        "arm64"
    } else {
        "amd64"
    };
    let has_arch = |list: &Option<Vec<String>>| list.iter().flatten().any(|name| name == arch);
    let has_cap = |name: &String| {
        let name = name.strip_prefix("CAP_").unwrap_or(name);
        caps.iter().any(|cap| cap.to_string() == name)
    };
    let recent = |least: &Option<String>| {
        least
            .as_deref()
            .filter(|text| !text.is_empty())
            .map(|text| kernel >= kernel_version(text))
    };
    let (includes, excludes) = (&rule.includes, &rule.excludes);
    let excluded = has_arch(&excludes.arches)
        || excludes.caps.iter().flatten().any(has_cap)
        || recent(&excludes.min_kernel) == Some(true);
    let some_arch = includes
        .arches
        .as_ref()
        .is_some_and(|list| !list.is_empty());
    let included = (!some_arch || has_arch(&includes.arches))
        && includes.caps.iter().flatten().all(has_cap)
        && recent(&includes.min_kernel) != Some(false);
    included && !excluded
}

fn plain(rule: Rule) -> Result<LinuxSyscall, Error> {
    let mut names = rule.names.unwrap_or_default();
    names.extend(rule.name);
    let mut call = LinuxSyscallBuilder::default()
        .names(names)
        .action(rule.action)
        .build()
        .map_err(|error| Error::Invalid(error.to_string()))?;
    call.set_errno_ret(rule.errno_ret);
    call.set_args(rule.args.filter(|args| !args.is_empty()));
    Ok(call)
}

/// The first two numbers of a release.
fn kernel_version(release: &str) -> (u32, u32) {
    let mut numbers = release.split(|character: char| !character.is_ascii_digit());
    let mut next = || {
        numbers
            .next()
            .and_then(|text| text.parse().ok())
            .unwrap_or(0)
    };
    (next(), next())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const PROFILE: &str = r#"{
      "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1,
      "archMap": [
        {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"]},
        {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"]},
        {"architecture": "SCMP_ARCH_UNHEARD_OF", "subArchitectures": null}
      ],
      "syscalls": [
        {"names": ["read", "write"], "action": "SCMP_ACT_ALLOW"},
        {"names": ["ptrace"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "4.8"}},
        {"names": ["new"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "99.0"}},
        {"names": ["mount"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN"]}},
        {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38, "excludes": {"caps": ["CAP_SYS_ADMIN"]}},
        {"names": ["s390"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["s390x"]}},
        {"name": "old", "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 8, "op": "SCMP_CMP_EQ"}]}
      ]}"#;

    fn names(profile: &LinuxSeccomp) -> Vec<String> {
        profile
            .syscalls()
            .iter()
            .flatten()
            .flat_map(|rule| rule.names().clone())
            .collect()
    }

    #[test]
    fn conditions_are_resolved_for_the_container() {
        let plain = from_docker_json(PROFILE, &[]).unwrap();
        assert_eq!(names(&plain), ["read", "write", "ptrace", "clone3", "old"]);
        let admin = from_docker_json(PROFILE, &[Capability::SysAdmin]).unwrap();
        assert_eq!(names(&admin), ["read", "write", "ptrace", "mount", "old"]);
        assert!(plain.architectures().as_ref().unwrap().len() >= 2);
    }

    #[test]
    fn two_forms_of_one_setting_are_refused_in_dockers_words() {
        let both = r#"{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86"],
            "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": []}]}"#;
        let error = from_docker_json(both, &[]).unwrap_err().to_string();
        assert!(
            error.starts_with("both 'architectures' and 'archMap' were specified"),
            "{error}"
        );
        assert!(matches!(from_docker_json("{", &[]), Err(Error::Decode(_))));
    }

    #[test]
    fn releases_compare_by_their_numbers() {
        assert_eq!(kernel_version("6.18.44-fc"), (6, 18));
        assert!(kernel_version("4.10") > kernel_version("4.8"));
    }
}
