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
        for number in 0..64 {
            let bit = 1 << number;
            if self.ambient & self.permitted & self.inheritable & known() & bit != 0 {
                let one = CapabilitySet::from_bits_retain(bit);
                configure_capability_in_ambient_set(one, true).step(failed)?;
            }
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

/// The number of a capability (`linux/capability.h`).
pub(crate) fn number(capability: Capability) -> u32 {
    match capability {
        Capability::Chown => 0,
        Capability::DacOverride => 1,
        Capability::DacReadSearch => 2,
        Capability::Fowner => 3,
        Capability::Fsetid => 4,
        Capability::Kill => 5,
        Capability::Setgid => 6,
        Capability::Setuid => 7,
        Capability::Setpcap => 8,
        Capability::LinuxImmutable => 9,
        Capability::NetBindService => 10,
        Capability::NetBroadcast => 11,
        Capability::NetAdmin => 12,
        Capability::NetRaw => 13,
        Capability::IpcLock => 14,
        Capability::IpcOwner => 15,
        Capability::SysModule => 16,
        Capability::SysRawio => 17,
        Capability::SysChroot => 18,
        Capability::SysPtrace => 19,
        Capability::SysPacct => 20,
        Capability::SysAdmin => 21,
        Capability::SysBoot => 22,
        Capability::SysNice => 23,
        Capability::SysResource => 24,
        Capability::SysTime => 25,
        Capability::SysTtyConfig => 26,
        Capability::Mknod => 27,
        Capability::Lease => 28,
        Capability::AuditWrite => 29,
        Capability::AuditControl => 30,
        Capability::Setfcap => 31,
        Capability::MacOverride => 32,
        Capability::MacAdmin => 33,
        Capability::Syslog => 34,
        Capability::WakeAlarm => 35,
        Capability::BlockSuspend => 36,
        Capability::AuditRead => 37,
        Capability::Perfmon => 38,
        Capability::Bpf => 39,
        Capability::CheckpointRestore => 40,
    }
}
