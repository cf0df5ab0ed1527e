//! The five capability sets of a process.

use rustix::thread::{
    CapabilitySet, CapabilitySets, capability_is_in_bounding_set, clear_ambient_capability_set,
    configure_capability_in_ambient_set, remove_capability_from_bounding_set, set_capabilities,
};
use serde::{Deserialize, Serialize};

use crate::failure::{Step, StepContext};
use crate::spec::{Capabilities, Capability, LinuxCapabilities};

/// The sets, as bit masks.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CapabilityPlan {
    pub(crate) bounding: u64,
    pub(crate) effective: u64,
    pub(crate) permitted: u64,
    pub(crate) inheritable: u64,
    pub(crate) ambient: u64,
}

impl CapabilityPlan {
    /// The sets of the specification; what is not given is empty.
    pub(crate) fn new(given: &LinuxCapabilities) -> Self {
        let mask = |set: &Option<Capabilities>| {
            set.iter()
                .flatten()
                .fold(0, |mask, one| mask | (1 << number(*one)))
        };
        Self {
            bounding: mask(given.bounding()),
            effective: mask(given.effective()),
            permitted: mask(given.permitted()),
            inheritable: mask(given.inheritable()),
            ambient: mask(given.ambient()),
        }
    }

    /// Takes from the bounding set what is not in it. Needs CAP_SETPCAP, so it comes first.
    pub(crate) fn limit(&self) -> Step {
        for number in 0..64 {
            let one = CapabilitySet::from_bits_retain(1 << number);
            if self.bounding & one.bits() != 0 {
                continue;
            }
            match capability_is_in_bounding_set(one) {
                Ok(true) => remove_capability_from_bounding_set(one)
                    .step(|| "cannot drop capabilities".into())?,
                Ok(false) => {}
                // The kernel knows no more.
                Err(_) => break,
            }
        }
        Ok(())
    }

    /// Sets all but the ambient set; `more` is kept effective besides, for what is still to be done.
    pub(crate) fn set(&self, more: u64) -> Step {
        let known = known();
        let set = |mask: u64| CapabilitySet::from_bits_retain(mask & known);
        let sets = CapabilitySets {
            effective: set(self.effective | more),
            permitted: set(self.permitted | more),
            inheritable: set(self.inheritable),
        };
        set_capabilities(None, sets).step(|| "unable to apply caps".into())
    }

    /// Sets the ambient set, which has to be in the permitted and the inheritable one.
    pub(crate) fn set_ambient(&self) -> Step {
        let failed = || "unable to apply ambient caps".to_owned();
        clear_ambient_capability_set().step(failed)?;
        let mut rest = self.ambient & self.permitted & self.inheritable;
        if rest != 0 {
            rest &= known();
        }
        while rest != 0 {
            let one = CapabilitySet::from_bits_retain(rest & rest.wrapping_neg());
            configure_capability_in_ambient_set(one, true).step(failed)?;
            rest &= rest - 1;
        }
        Ok(())
    }
}

/// What this kernel and whoever started us let us have: others are left out, as runc does, with the same outcome.
fn known() -> u64 {
    rustix::thread::capabilities(None).map_or(u64::MAX, |sets| sets.permitted.bits())
}

/// CAP_SYS_ADMIN, needed to load a seccomp filter without `no_new_privs`.
pub(crate) const SYS_ADMIN: u64 = 1 << 21;

/// The capabilities, each at the place of its number (`linux/capability.h`).
const ALL: [Capability; 41] = [
    Capability::Chown,
    Capability::DacOverride,
    Capability::DacReadSearch,
    Capability::Fowner,
    Capability::Fsetid,
    Capability::Kill,
    Capability::Setgid,
    Capability::Setuid,
    Capability::Setpcap,
    Capability::LinuxImmutable,
    Capability::NetBindService,
    Capability::NetBroadcast,
    Capability::NetAdmin,
    Capability::NetRaw,
    Capability::IpcLock,
    Capability::IpcOwner,
    Capability::SysModule,
    Capability::SysRawio,
    Capability::SysChroot,
    Capability::SysPtrace,
    Capability::SysPacct,
    Capability::SysAdmin,
    Capability::SysBoot,
    Capability::SysNice,
    Capability::SysResource,
    Capability::SysTime,
    Capability::SysTtyConfig,
    Capability::Mknod,
    Capability::Lease,
    Capability::AuditWrite,
    Capability::AuditControl,
    Capability::Setfcap,
    Capability::MacOverride,
    Capability::MacAdmin,
    Capability::Syslog,
    Capability::WakeAlarm,
    Capability::BlockSuspend,
    Capability::AuditRead,
    Capability::Perfmon,
    Capability::Bpf,
    Capability::CheckpointRestore,
];

/// The number of a capability.
pub(crate) fn number(capability: Capability) -> u32 {
    let at = ALL.iter().position(|known| *known == capability);
    at.and_then(|at| u32::try_from(at).ok()).unwrap_or(63)
}

/// The capability of a number.
pub(crate) fn named(number: usize) -> Option<Capability> {
    ALL.get(number).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_the_kernels() {
        let cases = [
            (Capability::Chown, 0),
            (Capability::SysAdmin, 21),
            (Capability::Mknod, 27),
            (Capability::CheckpointRestore, 40),
        ];
        for (capability, expected) in cases {
            assert_eq!(number(capability), expected);
            assert_eq!(named(expected as usize), Some(capability));
        }
        assert_eq!(SYS_ADMIN, 1 << number(Capability::SysAdmin));
    }
}
