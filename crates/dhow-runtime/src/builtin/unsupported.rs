//! What the specification knows and this runtime does not do: refused before anything is made, never passed over.
//! docs/compatibility/runtime.md has a row for each field.

use crate::error::{Error, Result};
use crate::spec::Spec;

/// Refuses what can't be done.
pub(super) fn check(spec: &Spec) -> Result<()> {
    version(spec.version())?;
    let linux = spec.linux().as_ref();
    let memory = linux
        .and_then(|linux| linux.resources().as_ref())
        .and_then(|resources| resources.memory().as_ref());
    let process = spec.process().as_ref();
    for (name, is_set) in [
        ("solaris", spec.solaris().is_some()),
        ("windows", spec.windows().is_some()),
        ("vm", spec.vm().is_some()),
        ("zos", spec.zos().is_some()),
        (
            "process.execCPUAffinity",
            process.is_some_and(|process| process.exec_cpu_affinity().is_some()),
        ),
        (
            "linux.intelRdt",
            linux.is_some_and(|linux| linux.intel_rdt().is_some()),
        ),
        (
            "linux.netDevices",
            linux.is_some_and(|linux| linux.net_devices().is_some()),
        ),
        (
            "linux.memoryPolicy",
            linux.is_some_and(|linux| linux.memory_policy().is_some()),
        ),
        (
            "linux.resources.memory.useHierarchy=false",
            memory.is_some_and(|memory| memory.use_hierarchy() == Some(false)),
        ),
    ] {
        if is_set {
            return Err(Error::Spec(format!("{name} is not supported")));
        }
    }
    Ok(())
}

/// Version 1 in any of its releases; what a later one adds and is not known here is passed over, as the specification
/// wants it.
fn version(text: &str) -> Result<()> {
    let mut numbers = text.split(['-', '+']).next().unwrap_or(text).split('.');
    let three = [numbers.next(), numbers.next(), numbers.next()];
    let three = three.map(|number| number.and_then(|number| number.parse::<u32>().ok()));
    match three {
        [Some(1), Some(_), Some(_)] if numbers.next().is_none() => Ok(()),
        [Some(_), Some(_), Some(_)] => Err(Error::Spec(format!(
            "ociVersion {text} is not supported, only 1.x"
        ))),
        _ => Err(Error::Spec(format!("ociVersion {text:?} is no version"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_release_of_version_1_is_understood() {
        for text in ["1.0.0", "1.2.1", "1.0.2-dev", "1.3.0-rc.1+x.y.z"] {
            assert!(version(text).is_ok(), "{text}");
        }
        for text in ["", "1", "1.2", "1.2.3.4", "0.9.0", "2.0.0", "one.two.three"] {
            assert!(version(text).is_err(), "{text}");
        }
    }
}
